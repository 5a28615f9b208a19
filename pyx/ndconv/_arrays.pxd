# Users' arrays as the kernels see them.
from ndconv._c cimport nd_array

# Which axis of a user's array is n, c, d, h, w; -1 for one that it lacks.
cdef struct Axes:
    int n, c, d, h, w

cdef inline ptrdiff_t stride_at(const Py_buffer *b, int axis) noexcept nogil:
    return b.strides[axis] // b.itemsize if axis >= 0 else 0

cdef inline nd_array every(const nd_array *a, const ptrdiff_t *first, const ptrdiff_t *step, ptrdiff_t size) noexcept nogil:
    """Elements first + step*i of an array along its axes."""
    cdef nd_array r = a[0]
    if a.data != NULL:
        r.data = a.data + size * (first[0] * a.d + first[1] * a.h + first[2] * a.w)
    r.d, r.h, r.w = a.d * step[0], a.h * step[1], a.w * step[2]
    return r

cdef Axes axes_of(int rank, bint batched, bint channels_last) noexcept
cdef nd_array array_of(const Py_buffer *b, const Axes *a) noexcept nogil
cdef object open_input(object a, str name, str dtype, Py_buffer *b)
cdef bint has_shape(const Py_buffer *b, tuple shape)
cdef bint may_overlap(const Py_buffer *a, const Py_buffer *b) noexcept nogil
# `out` as the user gave it, checked, its buffer open in b
cdef int open_output(object out, tuple shape, str dtype, Py_buffer *b) except -1
cdef object dtype_of(str name)
# A new array whose memory keeps channels together if that of x does
cdef object array_like(tuple shape, dtype, const nd_array *x, bint batched, bint channels_last, make)
cdef bint is_dense(const Py_buffer *b) noexcept nogil
# A dense array, on several threads
cdef void set_zeros(const Py_buffer *b, int threads) noexcept nogil
