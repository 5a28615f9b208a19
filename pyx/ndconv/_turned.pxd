# Small planes by lanes of channels.
from ndconv._c cimport nd_array, nd_kernel_set
from ndconv._window cimport Pool, Way

# Sets the buffers and the tasks; False for planes that are too large, or channels too few
cdef bint plan_turned(Pool *f, Way *way) noexcept nogil
# An array of an image of h x w pixels of c channels each
cdef nd_array as_pixels(char *data, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w) noexcept nogil
# Planes of an array of rows to [pixel][channel], or back
cdef void turn(const nd_kernel_set *k, ptrdiff_t size, const nd_array *a, ptrdiff_t n, ptrdiff_t c, ptrdiff_t channels,
               char *pixels, ptrdiff_t depth, ptrdiff_t h, ptrdiff_t w, bint back) noexcept nogil
