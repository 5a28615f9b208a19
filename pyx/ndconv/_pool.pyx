# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Pooling: which loops compute it, their tasks, and the arrays.

Six methods to walk the windows, by memory and window:

  rows      elements of a row neighbours in memory (NCHW): the rows of a window combined, then the columns
  channels  channels neighbours in memory (NHWC), a vector of channels at once: _channels.pyx
  turned    planes whose windows are few a row or move by several columns, to neighbouring channels: _turned.pyx
  slides    rows where windows move by one row and one column and reach far: _slide.pyx
  blocks    other large windows and powers, of any memory: _window.pyx
  points    everything else: one window at a time

Tasks depend on the problem alone, so results do not depend on the number of threads.
"""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport INFINITY
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_like, array_of, axes_of, may_overlap, open_input, open_output
from ndconv._c cimport (ND_F32, ND_F64, ND_GREATEST, ND_I16, ND_I32, ND_LEAST, ND_SUM, ND_U8, nd_array, nd_kernel_set,
                        nd_problem)
from ndconv._channels cimport plan_channels
from ndconv._pool_grad cimport plan_pool_grad
from ndconv._rows cimport plan_rows
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take
from ndconv._slide cimport plan_slide
from ndconv._turned cimport plan_turned
from ndconv._window cimport (GRAIN, Pool, Way, blocks_body, blocks_tasks, blocks_work, cells_at, choose_blocks, clip,
                             empty_value, least, most_of, pads_to, row_cells, set_cells, up)

import numpy as np

cdef object _empty = np.empty

# Work below this many element operations stays on the calling thread.
cdef double SMALL = 1.2e5

# What each asks for.
NEEDS = {
    "rows": "it takes windows of arrays whose pixels of a row are next to each other in memory (NCHW)",
    "channels": "it takes windows of at most 65536 cells of arrays whose channels are next to each other in memory (NHWC)",
    "turned": "it takes rows of a few thousand floats that are next to each other in memory (NCHW)",
    "slides": "it takes windows of at least 4 rows that move by one row and one column over images at least 64 positions wide, "
              "without indices, with pixels of a row next to each other in memory (NCHW)",
    "blocks": "it has no indices, and its smallest block must fit memory",
    "points": "it takes maxima, minima and means",
}
METHODS = tuple(NEEDS)

cdef enum:
    ANY = -1
    ROWS_METHOD = 0
    CHANNELS_METHOD = 1
    TURNED_METHOD = 2
    SLIDES_METHOD = 3
    BLOCKS_METHOD = 4
    POINTS_METHOD = 5

# An operation of each over one of rows: blocks go through L2 at every step; points are called one by one.
cdef double[6] WORK = [1, 1, 1, 1, 1.1, 8]

cdef const nd_kernel_set *kernels_of(str dtype):
    return current_kernels().set[ND_F32 if dtype == "float32" else ND_F64 if dtype == "float64" else ND_U8 if dtype == "uint8"
                                 else ND_I16 if dtype == "int16" else ND_I32]


# ---- points

cdef void points_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t task, n, c, od, oh, ow
    for task in range(begin, end):
        oh = task % p.oh
        od = task // p.oh % p.od
        c = task // p.oh // p.od % p.icg
        n = task // p.oh // p.od // p.icg
        for ow in range(p.ow):
            point(f, n, c, od, oh, ow)

cdef void point(const Pool *f, ptrdiff_t n, ptrdiff_t c, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t ow) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t d, h, w, at = -1
    cdef ptrdiff_t taps[3]
    cdef ptrdiff_t steps[3]
    cdef double value
    cdef char *place
    taps[0] = clip(od * p.sd - p.pd, 0, p.id, p.kd, p.dd, &d)
    taps[1] = clip(oh * p.sh - p.ph, 0, p.ih, p.kh, p.dh, &h)
    taps[2] = clip(ow * p.sw - p.pw, 0, p.iw, p.kw, p.dw, &w)
    steps[0], steps[1], steps[2] = p.dd * f.x.d, p.dh * f.x.h, p.dw * f.x.w
    d = od * p.sd - p.pd + d * p.dd
    h = oh * p.sh - p.ph + h * p.dh
    w = ow * p.sw - p.pw + w * p.dw
    value = f.k.pool_point(f.x.data + f.k.size * (n * f.x.n + c * f.x.c + d * f.x.d + h * f.x.h + w * f.x.w), taps, steps,
                           f.op, &at)
    if f.divide:
        value /= row_cells(f, od, oh) * cells_at(f, ow)
    f.k.pool_fill(f.y.data + f.k.size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h + ow * f.y.w), 1, value)
    if f.at_size == 0:
        return
    if at >= 0:
        at = (((d + at // taps[2] // taps[1] * p.dd) * f.fh + h + at // taps[2] % taps[1] * p.dh) * f.fw
              + w + at % taps[2] * p.dw)
    place = f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h + ow * f.at.w)
    if f.at_size == 4:
        (<int32_t *>place)[0] = <int32_t>at
    else:
        (<int64_t *>place)[0] = at


# ---- the choice

cdef void plan_points(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    f.slice = 0
    way.body, way.tasks = points_body, p.n * p.icg * p.od * p.oh
    way.work = <double>way.tasks * p.ow * p.kd * p.kh * p.kw * f.k.vl

cdef bint plan_blocks(Pool *f, Way *way) noexcept nogil:
    if not choose_blocks(f):
        return False
    way.body, way.tasks, way.work = blocks_body, blocks_tasks(f), blocks_work(f)
    return True

cdef bint plan_method(int method, Pool *f, Way *way) noexcept nogil:
    """Sets the tasks of one of METHODS; False where it cannot. Positions have to fit integers as wide as the dtype."""
    cdef bint plain = f.power == 0 and not f.backward
    if method <= TURNED_METHOD and f.at_size and f.k.size < 8 and <double>f.p.id * f.fh * f.fw >= INT32_MAX:
        return False
    if method == ROWS_METHOD:
        return plain and f.x.w == 1 and plan_rows(f, way) and (f.walked or f.at_size == 0 or f.k.pool_combine_index != NULL)
    if method == CHANNELS_METHOD:
        return plain and f.x.c == 1 and (f.at_size == 0 or f.k.pool_combine_index != NULL) and plan_channels(f, way)
    if method == TURNED_METHOD:
        return plain and plan_turned(f, way)
    if method == SLIDES_METHOD:
        return plan_slide(f, way)
    if method == BLOCKS_METHOD:
        return f.at_size == 0 and plan_blocks(f, way)
    if plain:
        plan_points(f, way)
    return plain

cdef Way choose(Pool *f, int asked) noexcept nogil:
    """The method of least work, or the one asked for; without a body where that cannot."""
    cdef Pool best = f[0], trial
    cdef Way way, other
    cdef int method
    way.body, way.tasks, way.work = NULL, 0, 0
    for method in range(POINTS_METHOD + 1):
        trial = f[0]
        if asked in (ANY, method) and plan_method(method, &trial, &other):
            other.work *= WORK[method]
            if way.body == NULL or other.work < way.work:
                best, way = trial, other
    f[0] = best
    return way

def refuse(method):
    from ndconv.select import MethodNotApplicable   # which takes Pooling's module, by way of others
    raise MethodNotApplicable(f"method {method!r} is not applicable: {NEEDS[method]}")

cdef int run(Pool *f, const Way *way, threads) except -1:
    """All tasks of the way chosen, with scratch memory."""
    cdef size_t cells = f.k.size * pads_to(f.q.ow)
    cdef int count = 1 if way.work < SMALL else threads or default_threads()
    cdef ptrdiff_t grain
    cdef char *block
    if way.body == NULL:
        raise MemoryError("no memory for windows that reach that far")
    if way.tasks == 0:
        return 0
    grain = <ptrdiff_t>(GRAIN / (way.work / way.tasks + 1)) + 1
    block = <char *>scratch_take(cells + f.slice * count + 64)
    if block == NULL:
        raise MemoryError(f"no memory for {cells + f.slice * count} bytes of workspace")
    f.scratch = block + cells
    f.cells = block
    with nogil:
        if f.divide:
            set_cells(f, block)
        parallel_for(way.tasks, grain, count, way.body, f)
        scratch_give(block)
    return 0


cdef class Pooling:
    """Windows of one geometry on inputs of one shape.

    x, k, y : extents of the input, the window and the output, three each; stride, dilation, before, after likewise
    counting : (whether windows count real cells only, the divisor or 0)
    """
    cdef nd_problem q
    cdef ptrdiff_t fh, fw, end_d, end_h, end_w, divisor
    cdef bint real, cropped
    cdef Axes axes
    cdef readonly tuple in_shape, out_shape, given
    cdef readonly int rank
    cdef readonly bint batched, channels_last

    def __init__(self, rank, batched, channels_last, in_shape, out_shape, n, c, x, k, y, stride, dilation, before, after,
                 counting):
        cdef nd_problem *q = &self.q
        self.given = n, c, x, k, y, stride, dilation, before, after
        self.rank, self.batched, self.channels_last = rank, batched, channels_last
        self.in_shape, self.out_shape = in_shape, out_shape
        self.axes = axes_of(rank, batched, channels_last)
        self.real, self.divisor = counting
        q.n, q.g, q.icg, q.ocg = n, 1, c, c
        q.id, q.ih, q.iw = (max(0, min(size, size + late)) for size, late in zip(x, after))
        q.od, q.oh, q.ow = y
        q.kd, q.kh, q.kw = k
        q.sd, q.sh, q.sw = stride
        q.dd, q.dh, q.dw = dilation
        q.pd, q.ph, q.pw = before
        self.fh, self.fw = x[1], x[2]
        self.end_d, self.end_h, self.end_w = (size + late for size, late in zip(x, after))
        self.cropped = any(late < 0 for late in after)

    cdef Pool geometry(self, str dtype):
        cdef Pool f
        memset(&f, 0, sizeof(Pool))
        f.p = f.q = self.q
        f.k = kernels_of(dtype)
        f.fh, f.fw = self.fh, self.fw
        f.end_d, f.end_h, f.end_w = self.end_d, self.end_h, self.end_w
        f.real, f.divisor = self.real, self.divisor
        f.gap_d = f.gap_h = f.gap_w = 1
        return f

    cdef object like(self, tuple shape, dtype, const nd_array *x, make=_empty):
        """A new array whose memory keeps channels together if that of x does."""
        return array_like(shape, dtype, x, self.batched, self.channels_last, make)

    def costs(self, str dtype, str kind, ptrdiff_t index_size=0):
        """[(operations of vectors, bytes of a worker)] of each of METHODS for arrays with memory in the order of the layout, None
        where a method cannot."""
        cdef Pool f = self.geometry(dtype), trial
        cdef Way way
        f.x.c = f.y.c = f.at.c = 1 if self.channels_last else <ptrdiff_t>f.p.id * f.p.ih * f.p.iw
        f.x.w = f.y.w = f.at.w = f.p.icg if self.channels_last else 1
        f.x.h = f.p.iw * f.x.w
        f.at_size = index_size
        self.set_kind(&f, kind, 2)
        found = []
        for method in range(len(METHODS)):
            trial = f
            found.append((WORK[method] * way.work / f.k.vl, trial.slice) if plan_method(method, &trial, &way) else None)
        return found

    def walks(self, x, str dtype):
        """Whether windows of x, of integers, are so small that their indices are found among integers."""
        cdef Pool f = self.geometry(dtype)
        cdef Way way
        f.x.w = x.strides[self.axes.w] // x.itemsize
        f.y.w, f.at.w, f.at_size = 1, 1, 8
        return plan_method(ROWS_METHOD, &f, &way)

    cdef int set_kind(self, Pool *f, str kind, double p) except -1:
        f.op = ND_GREATEST if kind == "max" or p == INFINITY else ND_LEAST if kind == "min" else ND_SUM
        f.divide, f.power = kind == "avg", 0 if kind != "lp" else 1 if p == INFINITY else p
        return 0

    def forward(self, x, str dtype, str kind, out=None, index_dtype=None, threads=None, double p=2, int method=ANY,
                bint forced=False):
        """(values, indices or None) of every window: kind "max", "min", "avg", or "lp" with its p. method : its place in METHODS;
        forced : whether another one may take over where that one cannot."""
        cdef Py_buffer xb, yb, ab
        cdef Pool f = self.geometry(dtype)
        cdef bint overlap = False
        cdef Way way
        indices = None
        x = open_input(x, "x", dtype, &xb)
        memset(&yb, 0, sizeof(Py_buffer))
        memset(&ab, 0, sizeof(Py_buffer))
        try:
            f.x = array_of(&xb, &self.axes)
            y = out
            if out is not None:
                open_output(out, self.out_shape, dtype, &yb)
                overlap = may_overlap(&xb, &yb)
                if overlap:
                    PyBuffer_Release(&yb)
            if out is None or overlap:
                y = self.like(self.out_shape, dtype, &f.x)
                PyObject_GetBuffer(y, &yb, PyBUF_STRIDES | PyBUF_WRITABLE)
            f.y = array_of(&yb, &self.axes)
            self.set_kind(&f, kind, p)
            if index_dtype is not None:
                indices = self.like(self.out_shape, index_dtype, &f.x)
                PyObject_GetBuffer(indices, &ab, PyBUF_STRIDES | PyBUF_WRITABLE)
                f.at = array_of(&ab, &self.axes)
                f.at_size, f.at_k = ab.itemsize, kernels_of("float32" if ab.itemsize == 4 else "float64")
            if y.size:
                way = choose(&f, method)
                if way.body == NULL and not forced:
                    way = choose(&f, ANY)
                if way.body == NULL and forced:
                    refuse(METHODS[method])
                run(&f, &way, threads)
        finally:
            PyBuffer_Release(&xb)
            PyBuffer_Release(&yb)
            PyBuffer_Release(&ab)
        if overlap:
            np.copyto(out, y)
            y = out
        return y, indices

    def average_backward(self, dy, str dtype, threads=None):
        """The gradient of the average by its input: windows, mirrored, of dy's shares with zeros between them, or where they
        move one by one of dy itself."""
        cdef Py_buffer yb, xb
        cdef Pool f = self.geometry(dtype)
        cdef nd_problem *p = &f.p
        cdef nd_problem *q = &f.q
        cdef Way way
        dy = open_input(dy, "dy", dtype, &yb)
        memset(&xb, 0, sizeof(Py_buffer))
        try:
            f.x = array_of(&yb, &self.axes)
            dx = self.like(self.in_shape, dtype, &f.x, np.zeros if self.cropped or dy.size == 0 else _empty)
            PyObject_GetBuffer(dx, &xb, PyBUF_STRIDES | PyBUF_WRITABLE)
            f.y = array_of(&xb, &self.axes)
            f.divide = f.backward = True
            p.od, p.oh, p.ow = q.id, q.ih, q.iw
            p.id, p.ih, p.iw = (q.od - 1) * q.sd + 1, (q.oh - 1) * q.sh + 1, (q.ow - 1) * q.sw + 1
            p.pd, p.ph, p.pw = (q.kd - 1) * q.dd - q.pd, (q.kh - 1) * q.dh - q.ph, (q.kw - 1) * q.dw - q.pw
            p.sd = p.sh = p.sw = 1
            f.gap_d, f.gap_h, f.gap_w = q.sd, q.sh, q.sw
            if dy.size and p.od * p.oh * p.ow:
                if self.is_mean_of_dy():
                    f.backward, f.divisor, f.q = False, self.share, f.p
                way = choose(&f, ANY)
                run(&f, &way, threads)
        finally:
            PyBuffer_Release(&yb)
            PyBuffer_Release(&xb)
        return dx

    def gradient_by_channels(self, dy, indices, str dtype, threads=None):
        """The gradient of the average, or of maxima with their indices, by lanes of channels (_pool_grad.pyx); None where these
        windows or this memory are not taken, or an index is none of its window's."""
        cdef Py_buffer yb, xb, ab
        cdef Pool f = self.geometry(dtype)
        cdef int[::1] lost
        cdef Way way
        if self.cropped or dy.size == 0 or self.q.pd < 0 or self.q.ph < 0 or self.q.pw < 0:
            return None
        dy = open_input(dy, "dy", dtype, &yb)
        memset(&xb, 0, sizeof(Py_buffer))
        memset(&ab, 0, sizeof(Py_buffer))
        try:
            f.x = array_of(&yb, &self.axes)
            if self.is_by_vectors(&f, indices is not None):
                return None
            dx = self.like(self.in_shape, dtype, &f.x)
            PyObject_GetBuffer(dx, &xb, PyBUF_STRIDES | PyBUF_WRITABLE)
            f.y = array_of(&xb, &self.axes)
            f.divide = True
            if indices is not None:
                PyObject_GetBuffer(indices, &ab, PyBUF_STRIDES)
                f.at, f.at_size, f.divide = array_of(&ab, &self.axes), ab.itemsize, False
            lost = np.zeros(threads or default_threads(), np.intc)
            f.lost = &lost[0]
            if dx.size == 0 or not plan_pool_grad(&f, &way):
                return None
            run(&f, &way, threads)
            return None if np.asarray(lost).any() else dx
        finally:
            PyBuffer_Release(&yb)
            PyBuffer_Release(&xb)
            PyBuffer_Release(&ab)

    cdef bint is_by_vectors(self, const Pool *f, bint maxima):
        """Whether other loops are faster: those for windows that move one by one, and where channels are not neighbours of
        maxima and of rows that vectors of windows fill."""
        cdef const nd_problem *q = &self.q
        if not maxima and self.is_mean_of_dy() and q.od * q.oh * q.ow > 1:
            return True
        return f.x.c != 1 and (maxima or q.ow > (f.k.vl // 2 if self.tiles else 3 * f.k.vl // 2 if self.halves else 3 * f.k.vl))

    cdef bint is_mean_of_dy(self) noexcept:
        """Whether windows move one by one and divide by the same number, so that their gradient is a mean of windows of dy."""
        cdef const nd_problem *q = &self.q
        return ((self.divisor != 0 or not self.real) and (q.od == 1 or q.sd == 1) and (q.oh == 1 or q.sh == 1)
                and (q.ow == 1 or q.sw == 1))

    @property
    def tiles(self):
        """Whether windows lie in x side by side, from its first cell on."""
        cdef const nd_problem *q = &self.q
        return (not self.cropped and q.pd == 0 and q.ph == 0 and q.pw == 0 and (q.kd == 1 or q.dd == 1)
                and (q.kh == 1 or q.dh == 1) and (q.kw == 1 or q.dw == 1) and (q.od == 1 or q.sd == q.kd)
                and (q.oh == 1 or q.sh == q.kh) and (q.ow == 1 or q.sw == q.kw)
                and q.od * q.kd <= q.id and q.oh * q.kh <= q.ih and q.ow * q.kw <= q.iw)

    @property
    def halves(self):
        """Whether windows move by two columns, have padding before x and none between cells, and divide by the same number."""
        cdef const nd_problem *q = &self.q
        return (not self.cropped and q.sw == 2 and q.dw == 1 and q.dh == 1 and q.kd == 1 and q.sd == 1 and q.pd == 0
                and q.od == q.id and q.ph >= 0 and q.pw >= 0
                and (self.divisor != 0 or (not self.real and (q.oh - 1) * q.sh - q.ph + q.kh <= self.end_h
                                           and (q.ow - 1) * q.sw - q.pw + q.kw <= self.end_w)))

    @property
    def steps(self):
        """(rows from one window to the next, padding before x)."""
        return self.q.sh, (self.q.pd, self.q.ph, self.q.pw)

    @property
    def window(self):
        return self.q.kd, self.q.kh, self.q.kw

    @property
    def share(self):
        """What the mean of a window that lies in x divides by."""
        return self.divisor or self.q.kd * self.q.kh * self.q.kw

    def gradient(self, str dtype, like):
        """An array for a gradient by the input, in memory of the order of `like`'s, an array of the result's shape."""
        cdef Py_buffer b
        cdef nd_array a
        PyObject_GetBuffer(like, &b, PyBUF_STRIDES)
        a = array_of(&b, &self.axes)
        PyBuffer_Release(&b)
        return self.like(self.in_shape, dtype, &a)
