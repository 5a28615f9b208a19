# The places around an array that repeat its cells, of a gradient.
from ndconv._c cimport nd_array, nd_frame, nd_job, nd_kernel_set

cdef bint has_places(const nd_frame *f, int axis) noexcept nogil
cdef void fold_rows(const nd_frame *f, const nd_kernel_set *k, const nd_array *a, char *data, ptrdiff_t channels,
                    ptrdiff_t r0, ptrdiff_t r1) noexcept nogil
cdef void fold(const nd_job *job, bint depths) noexcept nogil

cdef class Frame:
    cdef nd_frame c
    cdef list owners         # of what c points to
    cdef readonly tuple axes, wide, shape, middle
