# Planes by lanes of channels.
from ndconv._c cimport nd_array, nd_kernel_set
from ndconv._window cimport Pool, Way

# Sets the buffers and the tasks; False for rows that are too long
cdef bint plan_turned(Pool *f, Way *way) noexcept nogil
# Planes of an array of rows to pixels of `channels` elements, `pitch` apart, or back
cdef void turn(const nd_kernel_set *k, ptrdiff_t size, const nd_array *a, ptrdiff_t n, ptrdiff_t c, ptrdiff_t channels,
               char *pixels, ptrdiff_t pitch, ptrdiff_t depth, ptrdiff_t h, ptrdiff_t w, bint back) noexcept nogil
