# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Users' arrays as the kernels see them: buffers opened and checked, axes named, overlaps found."""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

from libc.string cimport memset

from ndconv._c cimport nd_array
from ndconv._runtime cimport parallel_for

import numpy as np

cdef enum:
    PIECE = 262144       # bytes that one task sets to zero

cdef object _ndarray = np.ndarray
cdef object _float32 = np.dtype("float32")
cdef object _float64 = np.dtype("float64")

cdef object dtype_of(str name):
    """The native dtype of that name: comparing objects is faster than names."""
    return _float32 if name == "float32" else _float64 if name == "float64" else np.dtype(name)

cdef Axes axes_of(int rank, bint batched, bint channels_last) noexcept:
    cdef int first = 1 if batched else 0
    cdef int spatial = first if channels_last else first + 1
    cdef Axes a
    a.n = 0 if batched else -1
    a.c = first + rank if channels_last else first
    a.w = spatial + rank - 1
    a.h = spatial + rank - 2 if rank > 1 else -1
    a.d = spatial if rank > 2 else -1
    return a

cdef nd_array array_of(const Py_buffer *b, const Axes *a) noexcept nogil:
    cdef nd_array r
    r.data = <char *>b.buf
    r.n, r.c = stride_at(b, a.n), stride_at(b, a.c)
    r.d, r.h, r.w = stride_at(b, a.d), stride_at(b, a.h), stride_at(b, a.w)
    return r

cdef bint is_aligned(const Py_buffer *b) noexcept nogil:
    """Every element at a multiple of its size, as the kernels read."""
    cdef int i
    if <size_t>b.buf % <size_t>b.itemsize:
        return False
    for i in range(b.ndim):
        if b.strides[i] % b.itemsize:
            return False
    return True

cdef object open_input(object a, str name, str dtype, Py_buffer *b):
    """The array behind `a`, its buffer open in b; foreign byte order and odd addresses are copied."""
    cdef object native = dtype_of(dtype)
    if type(a) is not _ndarray:
        a = np.asarray(a)
    if a.dtype is native or a.dtype == native:
        PyObject_GetBuffer(a, b, PyBUF_STRIDES)
        if is_aligned(b):
            return a
        PyBuffer_Release(b)
    elif a.dtype.newbyteorder("=") != native:
        raise TypeError(f"{name} must be {dtype}, as the problem is; got {a.dtype}")
    a = np.array(a, dtype=dtype, copy=True)
    PyObject_GetBuffer(a, b, PyBUF_STRIDES)
    return a

cdef bint has_shape(const Py_buffer *b, tuple shape):
    if b.ndim != len(shape):
        return False
    cdef int i
    for i in range(b.ndim):
        if b.shape[i] != <ptrdiff_t>shape[i]:
            return False
    return True

cdef void byte_range(const Py_buffer *b, char **low, char **high) noexcept nogil:
    cdef int i
    cdef ptrdiff_t reach
    low[0] = <char *>b.buf
    high[0] = <char *>b.buf + b.itemsize
    for i in range(b.ndim):
        reach = (b.shape[i] - 1) * b.strides[i]
        if reach > 0:
            high[0] += reach
        else:
            low[0] += reach

cdef bint may_overlap(const Py_buffer *a, const Py_buffer *b) noexcept nogil:
    cdef char *alow
    cdef char *ahigh
    cdef char *blow
    cdef char *bhigh
    byte_range(a, &alow, &ahigh)
    byte_range(b, &blow, &bhigh)
    return alow < bhigh and blow < ahigh


cdef int open_output(object out, tuple shape, str dtype, Py_buffer *b) except -1:
    if not isinstance(out, _ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if out.dtype is not dtype_of(dtype) and out.dtype != dtype_of(dtype):
        raise TypeError(f"out must be {dtype}; got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}; got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")
    if not out.flags.aligned:
        raise ValueError("out is not aligned to its dtype; pass an array made by np.empty")
    PyObject_GetBuffer(out, b, PyBUF_STRIDES | PyBUF_WRITABLE)
    return 0


cdef object array_like(tuple shape, dtype, const nd_array *x, bint batched, bint channels_last, make):
    cdef Py_ssize_t lead = 1 if batched else 0, last = len(shape) - 1
    if (x.c == 1) == (x.w == 1) or (x.c == 1) == channels_last:
        return make(shape, dtype)
    if channels_last:
        return np.moveaxis(make(shape[:lead] + shape[last:] + shape[lead:last], dtype), lead, -1)
    return np.moveaxis(make(shape[:lead] + shape[lead + 1:] + shape[lead:lead + 1], dtype), -1, lead)


def new_like(tuple shape, dtype, like, int rank, bint batched, bint channels_last):
    """A new array of shape and dtype in memory of the order of `like`'s, an array of as many axes."""
    cdef Py_buffer b
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef nd_array a
    PyObject_GetBuffer(like, &b, PyBUF_STRIDES)
    a = array_of(&b, &axes)
    PyBuffer_Release(&b)
    return array_like(shape, dtype, &a, batched, channels_last, np.empty)

cdef bint is_dense(const Py_buffer *b) noexcept nogil:
    """Whether the elements fill all of the memory from the first to the last."""
    cdef ptrdiff_t span = b.itemsize
    cdef int i
    for i in range(b.ndim):
        if b.strides[i] < 0:
            return False
        span += (b.shape[i] - 1) * b.strides[i]
    return span == b.len

cdef struct Zeros:
    char *data
    ptrdiff_t bytes

cdef void zero_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Pieces of memory; a new result is touched first here, by each thread its part."""
    cdef Zeros *z = <Zeros *>context
    memset(z.data + begin * PIECE, 0, min(end * PIECE, z.bytes) - begin * PIECE)

cdef void set_zeros(const Py_buffer *b, int threads) noexcept nogil:
    """Sets a dense array to zero."""
    cdef Zeros zeros
    zeros.data, zeros.bytes = <char *>b.buf, b.len
    parallel_for((b.len + PIECE - 1) // PIECE, 1, threads, zero_body, &zeros)
