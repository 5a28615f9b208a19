# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Arrays converted to the dtype that kernels compute in and back: half precision, complex numbers, pairs of integers.

    for rows of the arrays, RUN elements of a row at a time, shared by the threads
        a kernel (kernels/half.h, complex.h, pair.h) on neighbouring elements, or on any steps

The axes are walked in the order of one array's memory, and those that follow each other in all arrays are one. Each element is
read and written once: the speed of the cache level that holds the arrays.
"""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

from ndconv._c cimport ND_F32, ND_F64, ND_I8, ND_I16, ND_U8, nd_kernel_set
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

import numpy as np

cdef enum:
    ARRAYS = 4          # of a conversion at most
    AXES = 6
    RUN = 16384         # elements of a row that are one task
    TASK = 32768        # elements that are worth handing out

cdef enum What:
    WIDEN, WIDEN_BRAIN, NARROW, NARROW_BRAIN, SPLIT, SPLIT_SUM, JOIN, PAIR, PAIR_ALONE

cdef struct Rows:
    const nd_kernel_set *k
    What what
    int arrays, axes                    # the last axis is the row
    ptrdiff_t extent[AXES]
    ptrdiff_t step[ARRAYS][AXES]        # bytes
    ptrdiff_t size[ARRAYS]              # bytes of an element
    char *data[ARRAYS]
    ptrdiff_t runs                      # parts of a row

cdef void convert_row(const Rows *f, char **p, ptrdiff_t n) noexcept nogil:
    cdef const nd_kernel_set *k = f.k
    cdef int last = f.axes - 1
    cdef ptrdiff_t to = f.step[0][last] // f.size[0], src = f.step[1][last] // f.size[1]
    if f.what == WIDEN or f.what == WIDEN_BRAIN:
        k.widen_half(p[0], to, p[1], src, n, f.what == WIDEN_BRAIN)
    elif f.what == NARROW or f.what == NARROW_BRAIN:
        k.narrow_half(p[0], to, p[1], src, n, f.what == NARROW_BRAIN)
    elif f.what == SPLIT:
        k.split_complex(p[0], p[1], NULL, p[2], f.step[2][last] // f.size[2], n)
    elif f.what == SPLIT_SUM:
        k.split_complex(p[0], p[1], p[2], p[3], f.step[3][last] // f.size[3], n)
    elif f.what == JOIN:
        k.join_complex(p[0], to, p[1], p[2], n)
    elif f.what == PAIR:
        k.pair(p[0], to, p[1], p[2], src, n)
    else:
        k.pair(p[0], to, p[1], NULL, src, n)

cdef void convert_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Rows *f = <const Rows *>context
    cdef int last = f.axes - 1, i, a
    cdef ptrdiff_t task, row, first, at
    cdef char *p[ARRAYS]
    for task in range(begin, end):
        row, first = task // f.runs, task % f.runs * RUN
        for i in range(f.arrays):
            p[i] = f.data[i] + first * f.step[i][last]
        for a in range(last - 1, -1, -1):
            at = row % f.extent[a]
            row //= f.extent[a]
            for i in range(f.arrays):
                p[i] += at * f.step[i][a]
        convert_row(f, p, min(f.extent[last] - first, <ptrdiff_t>RUN))

cdef void add_axis(Rows *f, const Py_buffer *b, int axis) noexcept nogil:
    """Takes an axis as the next, or as one with that before where all arrays go on at its end."""
    cdef int i, at = f.axes - 1
    cdef bint follows = at >= 0
    if b[0].shape[axis] == 1:
        return
    for i in range(f.arrays):
        follows = follows and f.step[i][at] == b[i].strides[axis] * b[0].shape[axis]
    if not follows:
        at = f.axes
        f.axes += 1
        f.extent[at] = 1
    f.extent[at] *= b[0].shape[axis]
    for i in range(f.arrays):
        f.step[i][at] = b[i].strides[axis]

cdef int convert(What what, int set_of, tuple arrays, int written, threads, int dense=0) except -1:
    """Runs a conversion: arrays of one shape, first those that are written. The axes are walked as those of array `dense` lie."""
    cdef Py_buffer b[ARRAYS]
    cdef Rows f
    cdef int i, opened = 0, axis, count = threads or default_threads()
    cdef ptrdiff_t rows = 1, total = 1
    cdef list order
    f.k, f.what, f.arrays, f.axes = current_kernels().set[set_of], what, len(arrays), 0
    try:
        for i in range(f.arrays):
            PyObject_GetBuffer(arrays[i], &b[i], PyBUF_STRIDES | PyBUF_WRITABLE if i < written else PyBUF_STRIDES)
            opened += 1
            f.data[i], f.size[i] = <char *>b[i].buf, b[i].itemsize
        for axis in range(b[0].ndim):
            total *= b[0].shape[axis]
        if total:
            order = sorted(range(b[0].ndim), key=lambda axis: -abs((<object>arrays[dense]).strides[axis]))
            for axis in order:
                add_axis(&f, b, axis)
            if f.axes == 0:
                f.axes, f.extent[0] = 1, 1
                for i in range(f.arrays):
                    f.step[i][0] = f.size[i]
            f.runs = (f.extent[f.axes - 1] + RUN - 1) // RUN
            rows = f.runs * (total // f.extent[f.axes - 1])
            with nogil:
                parallel_for(rows, max(TASK * rows // total, 1), count, convert_body, &f)
    finally:
        for i in range(opened):
            PyBuffer_Release(&b[i])
    return 0


def widen(to, src, threads=None):
    """to = src, of float16 or bfloat16, as float32."""
    convert(WIDEN_BRAIN if src.dtype.name == "bfloat16" else WIDEN, ND_F32, (to, src.view(np.uint16)), 1, threads)


def narrow(to, src, threads=None):
    """to, of float16 or bfloat16, = src, of float32, to the nearest, ties to even."""
    convert(NARROW_BRAIN if to.dtype.name == "bfloat16" else NARROW, ND_F32, (to.view(np.uint16), src), 1, threads)


def split(re, im, total, src, threads=None):
    """re and im, dense arrays, = the parts of the complex array src, and their sum unless `total` is None."""
    arrays = (re, im, src) if total is None else (re, im, total, src)
    convert(SPLIT if total is None else SPLIT_SUM, ND_F32 if re.itemsize == 4 else ND_F64, arrays, len(arrays) - 1, threads)


def join(to, re, im, threads=None):
    """to, a complex array, = re + im*i, which are dense."""
    convert(JOIN, ND_F32 if re.itemsize == 4 else ND_F64, (to, re, im), 1, threads, 1)


def pair(to, first, second, threads=None):
    """to, of int32, = pairs of int16 of integers of at most 16 bits, the first in the low half; second None: zeros."""
    cdef int source = {"int8": ND_I8, "uint8": ND_U8, "int16": ND_I16}[first.dtype.name]
    convert(PAIR_ALONE if second is None else PAIR, source, (to, first) if second is None else (to, first, second), 1, threads)


cdef class Workspace:
    """Arrays cut from one block of scratch memory, over and over; none of them may be kept."""
    cdef char *block
    cdef object whole
    cdef size_t used

    def __cinit__(self, size_t size):
        size += 64 * 8
        self.block = <char *>scratch_take(size)
        if self.block == NULL:
            raise MemoryError(f"no memory for {size} bytes of workspace")
        self.whole = np.asarray(<unsigned char[:size]><unsigned char *>self.block)
        self.used = 0

    def __dealloc__(self):
        if self.block != NULL:
            scratch_give(self.block)

    def clear(self):
        self.used = 0

    def array(self, tuple shape, str dtype):
        """A new dense array."""
        kind = np.dtype(dtype)
        cdef size_t size = kind.itemsize
        for extent in shape:
            size *= extent
        part = self.whole[self.used:self.used + size]
        self.used += (size + 63) & ~<size_t>63
        return part.view(kind).reshape(shape)

    def like(self, a, str dtype, tuple shape=None):
        """A new dense array in the order of a's memory, of its shape or another."""
        shape = a.shape if shape is None else shape
        order = sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))
        back = sorted(range(a.ndim), key=order.__getitem__)
        return self.array(tuple(shape[axis] for axis in order), dtype).transpose(back)
