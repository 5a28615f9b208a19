# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The gradient of an array and the frame around it, with the frame folded in (ndconv/border.py).

    for images, for blocks of channels
        for axes: depth, rows, columns
            for places outside x along the axis, in order: add what is there to the cell that it repeats

Rows and depths are added as they lie in memory, columns of NCHW memory one by one, each all the way down: a padding of 1 around
56 x 56 pixels moves 7 % of the gradient while it is in L2 or L3, 1 to 3 % of the time of a 3x3 layer. Depths and rows are added
with all columns; along an axis only x's own positions of the axes before it are left.
"""
from cpython.buffer cimport PyBuffer_Release

from ndconv._arrays cimport Axes, array_of, axes_of, open_output
from ndconv._c cimport ND_F32, ND_F64, nd_array, nd_kernel_set
from ndconv._pack cimport ceil_div
from ndconv._runtime cimport current_kernels, default_threads, parallel_for

import numpy as np

cdef enum:
    CHANNELS = 16      # that a task has at least: a cache line of float32
    TASKS = 8          # that there are at least, if channels allow it
    SMALL = 4000       # additions that one thread does alone: one may wait for a cache line

ctypedef fused real:
    float
    double

cdef struct Fold:
    const nd_kernel_set *k
    nd_array a
    ptrdiff_t c, block, blocks
    ptrdiff_t wide[3]                # extents
    ptrdiff_t start[3]               # x's own positions,
    ptrdiff_t stop[3]
    const ptrdiff_t *cells[3]        # and which of them each one repeats

cdef inline void add_row(const Fold *f, char *to, const char *src, ptrdiff_t channels) noexcept nogil:
    """A row of pixels of so many channels, which are next to each other if there is more than one."""
    cdef ptrdiff_t i, size = f.k.size
    if f.a.w == channels:
        f.k.add(to, 1, src, f.wide[2] * channels)
        return
    for i in range(f.wide[2]):
        f.k.add(to + size * i * f.a.w, 1, src + size * i * f.a.w, channels)

cdef inline void add_cells(real *to, const real *src, ptrdiff_t step, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(count):
        to[i * step] += src[i * step]

cdef inline void add_column(const Fold *f, char *to, const char *src, ptrdiff_t channels) noexcept nogil:
    """x's own rows of a column."""
    cdef ptrdiff_t h, size = f.k.size, rows = f.stop[1] - f.start[1]
    if channels == 1 and size == 4:
        add_cells(<float *>to, <const float *>src, f.a.h, rows)
    elif channels == 1:
        add_cells(<double *>to, <const double *>src, f.a.h, rows)
    else:
        for h in range(rows):
            f.k.add(to + size * h * f.a.h, 1, src + size * h * f.a.h, channels)

cdef inline ptrdiff_t next_place(const Fold *f, int axis, ptrdiff_t i) noexcept nogil:
    """The first place outside x from i on."""
    return f.stop[axis] if f.start[axis] <= i < f.stop[axis] else i

cdef void fold_plane(const Fold *f, char *data, ptrdiff_t channels) noexcept nogil:
    """One image's plane of some channels."""
    cdef ptrdiff_t size = f.k.size, d, h, i
    cdef char *at
    i = next_place(f, 0, 0)
    while i < f.wide[0]:
        for h in range(f.wide[1]):
            at = data + size * h * f.a.h
            add_row(f, at + size * f.cells[0][i] * f.a.d, at + size * i * f.a.d, channels)
        i = next_place(f, 0, i + 1)
    for d in range(f.start[0], f.stop[0]):
        at = data + size * d * f.a.d
        i = next_place(f, 1, 0)
        while i < f.wide[1]:
            add_row(f, at + size * f.cells[1][i] * f.a.h, at + size * i * f.a.h, channels)
            i = next_place(f, 1, i + 1)
        at += size * f.start[1] * f.a.h
        i = next_place(f, 2, 0)
        while i < f.wide[2]:
            add_column(f, at + size * f.cells[2][i] * f.a.w, at + size * i * f.a.w, channels)
            i = next_place(f, 2, i + 1)

cdef void fold_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Fold *f = <Fold *>context
    cdef ptrdiff_t i, c, first, last
    cdef char *image
    for i in range(begin, end):
        image = f.a.data + f.k.size * (i // f.blocks) * f.a.n
        first = i % f.blocks * f.block
        last = min(first + f.block, f.c)
        if f.a.c == 1 and last > first + 1:
            fold_plane(f, image + f.k.size * first, last - first)
        else:
            for c in range(first, last):
                fold_plane(f, image + f.k.size * c * f.a.c, 1)


cdef class Frame:
    """The places around x, as positions of a wider array, and the cells that they repeat.

    axes : (start, cells) of the spatial axes, where x begins and which position each one repeats
    size : of x along them
    """
    cdef Fold common
    cdef Axes order
    cdef list tables

    def __cinit__(self, int rank, bint batched, bint channels_last, tuple axes, tuple size):
        cdef Fold *f = &self.common
        cdef const ptrdiff_t[::1] cells
        cdef int axis
        self.order = axes_of(rank, batched, channels_last)
        self.tables = [np.zeros(1, np.intp)] * (3 - rank) + [table for _, table in axes]
        for axis in range(3):
            cells = self.tables[axis]
            f.wide[axis], f.cells[axis] = cells.shape[0], &cells[0] if cells.shape[0] else NULL
            f.start[axis] = axes[axis - 3 + rank][0] if axis >= 3 - rank else 0
            f.stop[axis] = f.start[axis] + (size[axis - 3 + rank] if axis >= 3 - rank else 1)

    def fold(self, padded, threads):
        """padded[..., cells[i], ...] += padded[..., i, ...] along each axis, for each i outside x."""
        cdef Py_buffer b
        cdef Fold f = self.common
        cdef ptrdiff_t n, work
        cdef int count
        cdef str dtype = padded.dtype.name
        open_output(padded, padded.shape, dtype, &b)
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.a = array_of(&b, &self.order)
        n, f.c = b.shape[self.order.n] if self.order.n >= 0 else 1, b.shape[self.order.c]
        f.block = max(ceil_div(ceil_div(f.c, ceil_div(TASKS, max(n, 1))), <ptrdiff_t>CHANNELS) * CHANNELS, <ptrdiff_t>CHANNELS)
        f.blocks = ceil_div(f.c, f.block)
        work = padded.size - n * f.c * (f.stop[0] - f.start[0]) * (f.stop[1] - f.start[1]) * (f.stop[2] - f.start[2])
        count = 1 if work < SMALL else threads or default_threads()
        if padded.size:
            with nogil:
                parallel_for(n * f.blocks, 1, count, fold_body, &f)
        PyBuffer_Release(&b)
