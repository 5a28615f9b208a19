# Windows where the elements of a row are neighbours in memory.
from ndconv._c cimport nd_problem
from ndconv._window cimport Pool, Way

# n positions of nothing
cdef void no_place(const Pool *f, void *to, ptrdiff_t n) noexcept nogil
# Lists the rows of a window that are not padding, from a column on, and the positions of their elements there
cdef ptrdiff_t window_rows(const Pool *f, const void **cells, ptrdiff_t *bases, const char *plane, ptrdiff_t od, ptrdiff_t oh,
                           ptrdiff_t column) noexcept nogil
# The first window that reaches beyond the end of its row
cdef ptrdiff_t inner_end(const nd_problem *p) noexcept nogil
# Sets the buffers and the tasks; False for windows that are too large
cdef bint plan_rows(Pool *f, Way *way) noexcept nogil
