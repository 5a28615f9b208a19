# Cells of a padded array, wherever they come from.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem

cdef void copy_cells(const nd_problem *p, const nd_kernel_set *k, const char *x, const nd_array *a, ptrdiff_t d, ptrdiff_t h,
                     ptrdiff_t w, ptrdiff_t step, ptrdiff_t count, ptrdiff_t channels, char *to, ptrdiff_t to_pixel,
                     ptrdiff_t to_channel) noexcept nogil

cdef inline void put(const nd_kernel_set *k, char *to, double value) noexcept nogil:
    """One element."""
    if k.size == 4:
        (<float *>to)[0] = <float>value
    else:
        (<double *>to)[0] = value
