# Windows where the elements of a row are neighbours in memory.
from ndconv._window cimport Pool, Way

# n positions of nothing
cdef void no_place(const Pool *f, void *to, ptrdiff_t n) noexcept nogil
# Sets the buffers and the tasks; False for windows that are too large
cdef bint plan_rows(Pool *f, Way *way) noexcept nogil
