# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The gradient of an array and the frame around it, with the frame folded in (ndconv/border.py).

    for images, for blocks of channels
        for axes: columns, rows, depth
            for places outside x along the axis, in order: add what is there to the cell that it repeats

Rows and depths are added as they lie in memory, columns of NCHW memory one by one, each all the way down: a padding of 1 around
56 x 56 pixels moves 7 % of the gradient while it is in L2 or L3, 1 to 3 % of the time of a 3x3 layer. Columns are added of all
rows and depths; after an axis only x's own positions of it are left. A method whose tasks have whole rows folds columns and rows
itself, while they are in L1 (folds in include/method.h).
"""
from ndconv._c cimport nd_array, nd_frame, nd_job, nd_kernel_set
from ndconv._pack cimport ceil_div
from ndconv._runtime cimport parallel_for

import numpy as np

cdef enum:
    CHANNELS = 16      # that a task has at least: a cache line of float32
    TASKS = 8          # that there are at least, if channels allow it
    SMALL = 4000       # additions that one thread does alone: one may wait for a cache line

ctypedef fused real:
    float
    double

cdef bint has_places(const nd_frame *f, int axis) noexcept nogil:
    """Whether anything is outside x along an axis."""
    return f.stop[axis] - f.start[axis] < f.wide[axis]

cdef inline void add_row(const nd_frame *f, const nd_kernel_set *k, const nd_array *a, char *to, const char *src,
                         ptrdiff_t channels) noexcept nogil:
    """x's own columns of a row of pixels of so many channels, which are next to each other if there is more than one."""
    cdef ptrdiff_t i, n = f.stop[2] - f.start[2], first = k.size * f.start[2] * a.w
    if a.w == channels:
        k.add(to + first, 1, src + first, n * channels)
        return
    for i in range(n):
        k.add(to + first + k.size * i * a.w, 1, src + first + k.size * i * a.w, channels)

cdef inline void add_cells(real *to, const real *src, ptrdiff_t step, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(count):
        to[i * step] += src[i * step]

cdef inline void add_column(const nd_kernel_set *k, const nd_array *a, char *to, const char *src, ptrdiff_t rows,
                            ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t h
    if channels == 1 and k.size == 4:
        add_cells(<float *>to, <const float *>src, a.h, rows)
    elif channels == 1:
        add_cells(<double *>to, <const double *>src, a.h, rows)
    else:
        for h in range(rows):
            k.add(to + k.size * h * a.h, 1, src + k.size * h * a.h, channels)

cdef inline ptrdiff_t next_place(const nd_frame *f, int axis, ptrdiff_t i) noexcept nogil:
    """The first place outside x from i on."""
    return f.stop[axis] if f.start[axis] <= i < f.stop[axis] else i

cdef void fold_rows(const nd_frame *f, const nd_kernel_set *k, const nd_array *a, char *data, ptrdiff_t channels,
                    ptrdiff_t r0, ptrdiff_t r1) noexcept nogil:
    """Columns and rows of one image, depth and some channels, next to each other if there is more than one; rows r0 to r1 of the
    wider array."""
    cdef ptrdiff_t size = k.size, i = next_place(f, 2, 0)
    cdef char *at = data + size * r0 * a.h
    while i < f.wide[2]:
        add_column(k, a, at + size * f.cells[2][i] * a.w, at + size * i * a.w, r1 - r0, channels)
        i = next_place(f, 2, i + 1)
    i = next_place(f, 1, r0)
    while i < r1:
        add_row(f, k, a, data + size * f.cells[1][i] * a.h, data + size * i * a.h, channels)
        i = next_place(f, 1, i + 1)

cdef void fold_depths(const nd_frame *f, const nd_kernel_set *k, const nd_array *a, char *data, ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t size = k.size, h, i = next_place(f, 0, 0)
    cdef char *at
    while i < f.wide[0]:
        for h in range(f.start[1], f.stop[1]):
            at = data + size * h * a.h
            add_row(f, k, a, at + size * f.cells[0][i] * a.d, at + size * i * a.d, channels)
        i = next_place(f, 0, i + 1)

cdef struct Fold:
    const nd_job *job
    bint depths              # whether these alone are left
    ptrdiff_t c, block, blocks

cdef void fold(const nd_job *job, bint depths) noexcept nogil:
    """y[..., cells[i], ...] += y[..., i, ...] along each axis, or depths alone, for each i outside x."""
    cdef Fold f
    cdef const nd_frame *frame = job.frame
    cdef ptrdiff_t n = job.p.n, places = frame.wide[0] * frame.wide[1] * frame.wide[2]
    f.job, f.depths, f.c = job, depths, job.p.g * job.p.ocg
    f.block = max(ceil_div(ceil_div(f.c, ceil_div(TASKS, max(n, 1))), <ptrdiff_t>CHANNELS) * CHANNELS, <ptrdiff_t>CHANNELS)
    f.blocks = ceil_div(f.c, f.block)
    places -= (frame.stop[0] - frame.start[0]) * (frame.stop[1] - frame.start[1]) * (frame.stop[2] - frame.start[2])
    parallel_for(n * f.blocks, 1, 1 if places * n * f.c < SMALL else job.threads, fold_body, &f)

cdef void fold_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Fold *f = <Fold *>context
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t i, c, first, last, size = f.job.k.size
    cdef char *image
    for i in range(begin, end):
        image = y.data + size * (i // f.blocks) * y.n
        first = i % f.blocks * f.block
        last = min(first + f.block, f.c)
        if y.c == 1:
            fold_channels(f, image + size * first, last - first)
        else:
            for c in range(first, last):
                fold_channels(f, image + size * c * y.c, 1)

cdef inline void fold_channels(const Fold *f, char *data, ptrdiff_t channels) noexcept nogil:
    cdef const nd_job *job = f.job
    cdef ptrdiff_t d
    for d in range(0 if f.depths else job.frame.wide[0]):
        fold_rows(job.frame, job.k, &job.y, data + job.k.size * d * job.y.d, channels, 0, job.frame.wide[1])
    fold_depths(job.frame, job.k, &job.y, data, channels)


cdef class Frame:
    """The places around x, as positions of a wider array, and the cells that they repeat.

    axes : (start, cells) of each spatial axis, where x begins and which position each one repeats
    wide, shape : the shapes of the wider array and of x
    middle : where x lies in it
    """

    def __cinit__(self, problem, bint batched, bint channels_last, tuple axes):
        cdef nd_frame *f = &self.c
        cdef const ptrdiff_t[::1] cells
        cdef int axis, skip = 3 - problem.rank
        self.owners = [table for _, table in axes]
        for axis in range(3):
            cells = self.owners[axis]
            f.wide[axis], f.cells[axis] = cells.shape[0], &cells[0] if cells.shape[0] else NULL
            f.start[axis] = axes[axis][0]
            f.stop[axis] = f.start[axis] + <ptrdiff_t>problem.x[axis]
        lead, channels = (problem.n,) * batched, (problem.ic,)
        first, last = (lead, channels) if channels_last else (lead + channels, ())
        self.axes = axes[skip:]
        self.wide = first + tuple(len(table) for table in self.owners[skip:]) + last
        self.shape = first + tuple(problem.x[skip:]) + last
        self.middle = (slice(None),) * len(first) + tuple(slice(f.start[axis], f.stop[axis]) for axis in range(skip, 3))
