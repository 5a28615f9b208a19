# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Windows that differ from place to place: adaptive pooling, upsampling and the gradients of both.

Along each axis a table says which neighbouring cells a position takes, and in a sum with which weights; a window is the box
of its axes' cells. Where a row's elements are neighbours in memory (NCHW) the rows of a window are combined to one row,
then its columns to positions:

  for task: image, channel, depth, some rows     rows whose window and weights are the row's before are copied from there
    for row: combine the rows of its window -> line; combine the columns of the line, a position at a time

Where channels are (NHWC) the cells of a window are combined, a vector of channels at once. Rows of other memory, and those of
which powers are taken, pass through a slot a row. Bytes moved: x once from memory, y once; bound by the columns in NCHW, two
loads a tap and element.
"""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport INFINITY
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_like, array_of, axes_of, open_input
from ndconv._c cimport ND_F32, ND_F64, ND_GREATEST, ND_LEAST, ND_SUM, nd_array, nd_kernel_set
from ndconv._pack cimport whole_lines
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take
from ndconv._window cimport GRAIN, least, most_of, pads_to, up

import numpy as np

cdef double SMALL = 3e5    # element operations that stay on the calling thread

cdef enum:
    CHANNELS = 256         # of a task where channels are neighbours

cdef struct Table:
    const ptrdiff_t *first
    const ptrdiff_t *count
    const double *weights  # [position][width], or NULL where cells are not weighted
    ptrdiff_t width, n     # the greatest count, positions

cdef struct Bins:
    const nd_kernel_set *k
    nd_array x, y, at
    ptrdiff_t at_size      # bytes of an index, 0 for none
    int op
    double power           # of absolute values, or 0
    Table d, h, w
    ptrdiff_t n, c, ih, iw
    ptrdiff_t block        # rows, or channels, of a task
    bint channels          # whether they are neighbours in x
    bint slots             # whether cells pass through slots
    char *scratch
    size_t slice

cdef struct Buffers:
    char *out
    char *places
    char *line             # a window's rows combined, and the positions
    char *line_places
    char *slot
    const void **cells     # of a window: rows or cells, their positions and weights
    ptrdiff_t *bases
    double *weights
    ptrdiff_t *taps

cdef size_t buffers(const Bins *f, Buffers *r, char *base) noexcept nogil:
    """Bytes of a worker's buffers, and where they lie."""
    cdef size_t cells = f.d.width * f.h.width * (f.w.width if f.channels else 1), size = f.k.size
    cdef size_t out = size * pads_to(f.block if f.channels else f.w.n), line = size * pads_to(f.block if f.channels else f.iw)
    r.out = base
    r.places = r.out + out
    r.line = r.places + out
    r.line_places = r.line + line
    r.slot = r.line_places + line
    r.cells = <const void **>(r.slot + (line * cells if f.slots else 0))
    r.bases = <ptrdiff_t *>(r.cells + cells)
    r.weights = <double *>(r.bases + cells)
    r.taps = <ptrdiff_t *>(r.weights + cells)
    return whole_lines(<char *>(r.taps + f.w.width) - base)

cdef inline double weight(const Table *t, ptrdiff_t o, ptrdiff_t i) noexcept nogil:
    return 1 if t.weights == NULL else t.weights[o * t.width + i]

cdef ptrdiff_t window(const Bins *f, const Buffers *r, const char *image, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t ow,
                      ptrdiff_t n) noexcept nogil:
    """Lists the rows of a window, or if ow is not -1 its cells of n channels."""
    cdef ptrdiff_t i, j, l, d, h, place, count = 0, last = 1 if ow < 0 else f.w.count[ow], first = 0 if ow < 0 else f.w.first[ow]
    cdef const char *cell
    cdef char *slot
    for i in range(f.d.count[od]):
        for j in range(f.h.count[oh]):
            d, h = f.d.first[od] + i, f.h.first[oh] + j
            for l in range(last):
                cell = image + f.k.size * (d * f.x.d + h * f.x.h + (first + l) * f.x.w)
                if f.slots:
                    slot = r.slot + f.k.size * count * pads_to(f.block if f.channels else f.iw)
                    f.k.copy(slot, cell, n, f.x.c if f.channels else f.x.w)
                    if f.power:
                        f.k.pool_power(slot, slot, n, f.power)
                    cell = slot
                r.cells[count] = cell
                r.bases[count] = (d * f.ih + h) * f.iw + first + l
                r.weights[count] = weight(&f.d, od, i) * weight(&f.h, oh, j) * (1 if ow < 0 else weight(&f.w, ow, l))
                count += 1
    return count

cdef void combine(const Bins *f, const Buffers *r, char *to, ptrdiff_t count, ptrdiff_t n) noexcept nogil:
    if count == 0:
        f.k.pool_fill(to, n, 0)
    elif f.d.weights != NULL:
        f.k.pool_weigh(to, r.cells, r.weights, count, n)
    else:
        f.k.pool_combine(to, r.cells, count, n, f.op, 0, 0)


cdef bint repeats(const Table *t, ptrdiff_t o) noexcept nogil:
    """Whether a position takes what the one before took."""
    cdef ptrdiff_t i
    if t.first[o] != t.first[o - 1] or t.count[o] != t.count[o - 1]:
        return False
    for i in range(t.count[o]):
        if weight(t, o, i) != weight(t, o - 1, i):
            return False
    return True

cdef void columns(const Bins *f, const Buffers *r, const char *line, char *out) noexcept nogil:
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t o, t, size = k.size
    if f.w.weights != NULL:
        k.pool_bins(out, line, f.w.n, f.w.first, f.w.count, f.w.weights, f.w.width)
        return
    for o in range(f.w.n):
        if f.at_size:
            for t in range(f.w.count[o]):
                r.taps[t] = f.w.first[o] + t
            k.pool_taps_index(out + size * o, r.places + size * o, line, r.line_places, r.taps, f.w.count[o], 1, f.op)
        else:
            k.pool_fill(out + size * o, 1, k.pool_sum(line + size * f.w.first[o], f.w.count[o], 1) if f.op == ND_SUM
                        else k.pool_top(line + size * f.w.first[o], f.w.count[o], 1, f.op, NULL))

cdef void rows_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Bins *f = <const Bins *>context
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t task, n, c, od, oh, start, count, parts = up(f.h.n, f.block), size = k.size
    cdef const char *image
    cdef const char *line
    cdef char *y
    cdef char *out
    cdef Buffers r
    buffers(f, &r, f.scratch + worker * f.slice)
    for task in range(begin, end):
        start = task % parts * f.block
        od = task // parts % f.d.n
        c = task // parts // f.d.n % f.c
        n = task // parts // f.d.n // f.c
        image = f.x.data + size * (n * f.x.n + c * f.x.c)
        for oh in range(start, least(f.h.n, start + f.block)):
            y = f.y.data + size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h)
            if oh > start and f.y.w == 1 and f.at_size == 0 and repeats(&f.h, oh):
                k.copy(y, y - size * f.y.h, f.w.n, 1)
                continue
            count = window(f, &r, image, od, oh, -1, f.iw)
            out = y if f.y.w == 1 else r.out
            line = r.line
            if f.at_size:
                k.pool_combine_index(r.line, r.line_places, r.cells, r.bases, count, f.iw, 1, f.op)
            elif count == 1 and r.weights[0] == 1:
                line = <const char *>r.cells[0]
            else:
                combine(f, &r, r.line, count, f.iw)
            columns(f, &r, line, out)
            if f.power != 0 and f.power != 1:
                k.pool_power(out, out, f.w.n, 1 / f.power)
            if out != y:
                k.scatter(y, f.y.w, out, 1, f.w.n)
            if f.at_size:
                k.pool_store_index(f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h), f.at_size,
                                   f.at.w, r.places, f.w.n)

cdef void channels_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Bins *f = <const Bins *>context
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t task, n, c, cb, od, oh, ow, count, parts = up(f.c, f.block), size = k.size
    cdef char *y
    cdef char *out
    cdef Buffers r
    buffers(f, &r, f.scratch + worker * f.slice)
    for task in range(begin, end):
        c = task % parts * f.block
        oh = task // parts % f.h.n
        od = task // parts // f.h.n % f.d.n
        n = task // parts // f.h.n // f.d.n
        cb = least(f.block, f.c - c)
        for ow in range(f.w.n):
            y = f.y.data + size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h + ow * f.y.w)
            out = y if f.y.c == 1 else r.out
            count = window(f, &r, f.x.data + size * (n * f.x.n + c * f.x.c), od, oh, ow, cb)
            if f.at_size:
                k.pool_combine_index(out, r.places, r.cells, r.bases, count, cb, 0, f.op)
                k.pool_store_index(f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h
                                                            + ow * f.at.w), f.at_size, f.at.c, r.places, cb)
            else:
                combine(f, &r, out, count, cb)
            if f.power != 0 and f.power != 1:
                k.pool_power(out, out, cb, 1 / f.power)
            if out != y:
                k.scatter(y, f.y.c, out, 1, cb)


cdef int set_table(Table *to, tuple table) except -1:
    """A table (first, count, weights or None) as C sees it; its arrays are the caller's to keep."""
    cdef const ptrdiff_t[::1] first = table[0], count = table[1]
    cdef const double[:, ::1] weights
    to.n, to.width = first.shape[0], max(1, int(max(table[1])))
    to.first, to.count, to.weights = &first[0], &count[0], NULL
    if table[2] is not None:
        weights = table[2]
        to.weights, to.width = &weights[0, 0], weights.shape[1]
    return 0


def resample(x, str dtype, int rank, bint batched, bint channels_last, tuple tables, str kind, index_dtype=None, threads=None,
             double p=2):
    """(values, indices or None) of the windows that three tables (first cells, counts, weights or None) give: their "max" or
    "min", their "sum" where the tables have weights, or their "lp". Every axis has a position, and x a cell in each plane."""
    cdef Py_buffer xb, yb, ab
    cdef Bins f
    cdef Buffers scrap
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef Py_ssize_t lead = 1 if batched else 0
    cdef ptrdiff_t tasks, channels
    cdef double work
    cdef int count
    memset(&f, 0, sizeof(Bins))
    for table, to in zip(tables, range(3)):
        set_table(&f.d if to == 0 else &f.h if to == 1 else &f.w, table)
    extents = tuple(len(table[0]) for table in tables[3 - rank:])
    memset(&yb, 0, sizeof(Py_buffer))
    memset(&ab, 0, sizeof(Py_buffer))
    x = open_input(x, "x", dtype, &xb)
    indices = None
    try:
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.x = array_of(&xb, &axes)
        channels = xb.shape[axes.c]
        f.n, f.c, f.iw, f.ih = xb.shape[0] if batched else 1, channels, xb.shape[axes.w], xb.shape[axes.h] if rank > 1 else 1
        shape = x.shape[:lead] + ((*extents, channels) if channels_last else (channels, *extents))
        y = array_like(shape, dtype, &f.x, batched, channels_last, np.empty)
        PyObject_GetBuffer(y, &yb, PyBUF_STRIDES | PyBUF_WRITABLE)
        f.y = array_of(&yb, &axes)
        if index_dtype is not None:
            indices = array_like(shape, index_dtype, &f.x, batched, channels_last, np.empty)
            PyObject_GetBuffer(indices, &ab, PyBUF_STRIDES | PyBUF_WRITABLE)
            f.at, f.at_size = array_of(&ab, &axes), ab.itemsize
        f.op = ND_GREATEST if kind == "max" or p == INFINITY else ND_LEAST if kind == "min" else ND_SUM
        f.power = 0 if kind != "lp" else 1 if p == INFINITY else p
        f.channels = f.x.c == 1 and f.x.w != 1
        f.slots = f.power != 0 or not (f.channels or f.x.w == 1)
        work = <double>y.size * f.d.width * f.h.width * f.w.width + x.size
        f.block = least(f.c, CHANNELS) if f.channels else most_of(1, least(f.h.n, GRAIN // (f.w.n + f.iw)))
        tasks = f.n * f.d.n * (f.h.n * up(f.c, f.block) if f.channels else f.c * up(f.h.n, f.block))
        if y.size == 0:
            return y, indices
        count = 1 if work < SMALL else threads or default_threads()
        f.slice = buffers(&f, &scrap, NULL)
        f.scratch = <char *>scratch_take(f.slice * count)
        if f.scratch == NULL:
            raise MemoryError(f"no memory for {f.slice * count} bytes of workspace")
        with nogil:
            parallel_for(tasks, <ptrdiff_t>(GRAIN / (work / tasks + 1)) + 1, count,
                         channels_body if f.channels else rows_body, &f)
            scratch_give(f.scratch)
    finally:
        PyBuffer_Release(&xb)
        PyBuffer_Release(&yb)
        PyBuffer_Release(&ab)
    return y, indices
