# Windows of an array as columns of a matrix, a stretch of an output row at a time.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._pack cimport Pixel

cdef void gather_columns(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t channels,
                         Pixel at, ptrdiff_t run, char *to, ptrdiff_t to_row) noexcept nogil
cdef void add_columns(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t channels,
                      Pixel at, ptrdiff_t run, const char *src, ptrdiff_t row) noexcept nogil
