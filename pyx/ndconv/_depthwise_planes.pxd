# Depthwise convolutions of small planes by lanes of channels, from memory that keeps pixels together.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem

# How planes, x's with its padding and y's, are dealt out.
cdef struct Cut:
    ptrdiff_t groups         # of channels, each a task of an image
    ptrdiff_t most           # channels of one: whole vectors, what is left to the last
    ptrdiff_t bytes          # of a worker
    bint fits                # those into L2

cdef struct Turn:
    const nd_job *job
    Cut cut
    bint finite              # the weights: what is in the padding counts nothing

cdef bint turns_planes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef ptrdiff_t turned_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef void turn_planes(const nd_job *job, bint finite) noexcept nogil

cdef Cut cut_of(const nd_problem *p, const nd_kernel_set *k, ptrdiff_t cells) noexcept nogil
cdef ptrdiff_t first_channel(const nd_problem *p, const nd_kernel_set *k, const Cut *c, ptrdiff_t group) noexcept nogil
cdef void load_planes(const Turn *f, ptrdiff_t n, ptrdiff_t first, ptrdiff_t channels, char *to) noexcept nogil
cdef void convolve_turned(const nd_problem *p, const nd_kernel_set *k, bint finite, ptrdiff_t channels, const char *x,
                          const char *w, const void *bias, char *y, ptrdiff_t y_pixel, ptrdiff_t y_row) noexcept nogil
cdef void store_planes(const Turn *f, ptrdiff_t n, ptrdiff_t first, ptrdiff_t channels, const char *src) noexcept nogil
