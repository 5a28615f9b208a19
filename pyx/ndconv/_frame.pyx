# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The gradient of an array and the frame around it, with the frame folded in (ndconv/border.py).

    for images, for blocks of channels
        for axes: depth, rows, columns
            for places outside x along the axis, in order: add what is there to the cell that it repeats

Rows and depths are added as they lie in memory, columns of NCHW memory one by one: a padding of 1 around 56 x 56 pixels moves
7 % of the gradient while it is in L2 or L3, 1 to 3 % of the time of a 3x3 layer. Depths and rows are added with all columns;
along an axis only x's own positions of the axes before it are left.
"""
from cpython.buffer cimport PyBuffer_Release
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_of, axes_of, open_output
from ndconv._c cimport ND_F32, ND_F64, nd_array, nd_kernel_set
from ndconv._pack cimport ceil_div
from ndconv._runtime cimport current_kernels, default_threads, parallel_for

cdef enum:
    CHANNELS = 16      # that a task has at least: a cache line of float32
    SMALL = 4000       # additions that one thread does alone: one may wait for a cache line

cdef struct Fold:
    const nd_kernel_set *k
    nd_array a
    ptrdiff_t n, c, block, blocks
    ptrdiff_t wide[3]                # extents
    ptrdiff_t start[3]               # x's own positions,
    ptrdiff_t stop[3]
    const ptrdiff_t *cells[3]        # and which of them each one repeats

cdef inline void add_row(const Fold *f, char *to, const char *src, ptrdiff_t count, ptrdiff_t channels) noexcept nogil:
    """Neighbouring pixels of so many channels, which are next to each other if there is more than one."""
    cdef ptrdiff_t i, size = f.k.size
    if channels == 1 and f.a.w == 1:
        f.k.add(to, 1, src, count)
        return
    for i in range(count):
        f.k.add(to + size * i * f.a.w, 1, src + size * i * f.a.w, channels)

cdef inline void add_cell(const Fold *f, char *to, const char *src, ptrdiff_t channels) noexcept nogil:
    if channels > 1:
        f.k.add(to, 1, src, channels)
    elif f.k.size == 4:
        (<float *>to)[0] += (<const float *>src)[0]
    else:
        (<double *>to)[0] += (<const double *>src)[0]

cdef void fold_plane(const Fold *f, char *data, ptrdiff_t channels) noexcept nogil:
    """One image's plane of some channels."""
    cdef ptrdiff_t size = f.k.size, d, h, i
    cdef char *at
    for i in range(f.wide[0]):
        if f.cells[0][i] != i:
            for h in range(f.wide[1]):
                at = data + size * h * f.a.h
                add_row(f, at + size * f.cells[0][i] * f.a.d, at + size * i * f.a.d, f.wide[2], channels)
    for d in range(f.start[0], f.stop[0]):
        at = data + size * d * f.a.d
        for i in range(f.wide[1]):
            if f.cells[1][i] != i:
                add_row(f, at + size * f.cells[1][i] * f.a.h, at + size * i * f.a.h, f.wide[2], channels)
        for h in range(f.start[1], f.stop[1]):
            at = data + size * (d * f.a.d + h * f.a.h)
            for i in range(f.start[2]):
                add_cell(f, at + size * f.cells[2][i] * f.a.w, at + size * i * f.a.w, channels)
            for i in range(f.stop[2], f.wide[2]):
                add_cell(f, at + size * f.cells[2][i] * f.a.w, at + size * i * f.a.w, channels)

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


def fold_frame(padded, str dtype, int rank, bint batched, bint channels_last, tuple axes, tuple middle, threads):
    """padded[..., cells[i], ...] += padded[..., i, ...] along each axis, for each i outside x; `axes` are (start, cells) of the
    spatial axes, `middle` the slices of x."""
    cdef Py_buffer b
    cdef Axes order = axes_of(rank, batched, channels_last)
    cdef Fold f
    cdef ptrdiff_t i, work
    cdef ptrdiff_t alone = 0
    cdef const ptrdiff_t[::1] cells
    cdef int count
    memset(&b, 0, sizeof(Py_buffer))
    for i in range(3 - rank):
        f.wide[i], f.start[i], f.stop[i], f.cells[i] = 1, 0, 1, &alone
    for i in range(rank):
        cells = axes[i][1]
        f.wide[3 - rank + i], f.cells[3 - rank + i] = cells.shape[0], &cells[0] if cells.shape[0] else &alone
        f.start[3 - rank + i], f.stop[3 - rank + i] = middle[i].start, middle[i].stop
    try:
        open_output(padded, padded.shape, dtype, &b)
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.a = array_of(&b, &order)
        f.n, f.c = b.shape[order.n] if order.n >= 0 else 1, b.shape[order.c]
        f.block = max(ceil_div(ceil_div(f.c, 4), <ptrdiff_t>CHANNELS) * CHANNELS, <ptrdiff_t>CHANNELS)
        f.blocks = ceil_div(f.c, f.block)
        work = padded.size - f.n * f.c * (f.stop[0] - f.start[0]) * (f.stop[1] - f.start[1]) * (f.stop[2] - f.start[2])
        count = 1 if work < SMALL else threads or default_threads()
        if padded.size:
            with nogil:
                parallel_for(f.n * f.blocks, 1, count, fold_body, &f)
    finally:
        PyBuffer_Release(&b)
