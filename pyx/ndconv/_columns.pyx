# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""im2col and col2im: windows of an array as columns of a matrix, row (c, tap), column (pixel), and the sum of what columns hold
back to where they came from.

    for image, channel                                   one task, some channels where they are neighbours in memory
        for output rows, kd, kh, kw: copy or add a stretch of a row of x, clipped to the array

Nothing is computed, so the speed is that of memory: each element of the matrix is written (im2col) or read (col2im) once.
Every row of x belongs to one task and is added to in the order of output rows and taps, so bits do not depend on threads.
"""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_of, axes_of, open_input, stride_at
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._pack cimport Pixel, ceil_div, copy_clipped, next_row, taps_of
from ndconv._geometry cimport forward_geometry
from ndconv._runtime cimport current_kernels, default_threads, parallel_for

cdef enum:
    SMALL = 50000     # elements that one thread moves before another is worth waking
    CHANNELS = 16     # of a task, where channels share cache lines

cdef void gather_columns(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t channels,
                         Pixel at, ptrdiff_t run, char *to, ptrdiff_t to_row) noexcept nogil:
    """to[(c*taps + tap)*to_row + i] = what kernel position `tap` sees in channel `channel` + c at pixel `at` + i of an output
    row, i < run; zero in the padding."""
    cdef ptrdiff_t size = k.size, c, kd, kh, kw, d, h, w = at.w * p.sw - p.pw
    cdef const char *row
    for c in range(channel, channel + channels):
        for kd in range(p.kd):
            d = at.d * p.sd + kd * p.dd - p.pd
            for kh in range(p.kh):
                h = at.h * p.sh + kh * p.dh - p.ph
                if not (0 <= d < p.id and 0 <= h < p.ih):
                    for kw in range(p.kw):
                        memset(to, 0, size * run)
                        to += size * to_row
                    continue
                row = x.data + size * (at.n * x.n + c * x.c + d * x.d + h * x.h)
                for kw in range(p.kw):
                    copy_clipped(k, to, row, x.w, p.iw, w + kw * p.dw, p.sw, run)
                    to += size * to_row

cdef void add_columns(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t channels,
                      Pixel at, ptrdiff_t run, const char *src, ptrdiff_t row) noexcept nogil:
    """The adjoint of gather_columns: each element of the columns is added to the one of x that it was a copy of."""
    cdef ptrdiff_t size = k.size, c, kd, kh, kw, d, h, w, low, high
    cdef char *to
    for c in range(channel, channel + channels):
        for kd in range(p.kd):
            d = at.d * p.sd + kd * p.dd - p.pd
            for kh in range(p.kh):
                h = at.h * p.sh + kh * p.dh - p.ph
                if not (0 <= d < p.id and 0 <= h < p.ih):
                    src += size * row * p.kw
                    continue
                to = x.data + size * (at.n * x.n + c * x.c + d * x.d + h * x.h)
                for kw in range(p.kw):
                    w = at.w * p.sw + kw * p.dw - p.pw
                    if p.sw == 1:
                        low, high = max(-w, 0), min(p.iw - w, run)
                    else:
                        low, high = ceil_div(max(-w, 0), p.sw), min(ceil_div(p.iw - w, p.sw), run) if w < p.iw else 0
                    if low < high:
                        k.add(to + size * (w + low * p.sw) * x.w, p.sw * x.w, src + size * low, high - low)
                    src += size * row

cdef struct Move:
    nd_problem p
    const nd_kernel_set *k
    nd_array x
    char *columns
    ptrdiff_t image, row         # distances in the matrix
    ptrdiff_t channels, blocks   # of a task, tasks of an image
    bint back

cdef void move_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Move *m = <Move *>context
    cdef ptrdiff_t i, line, first, count
    cdef Pixel at
    cdef char *to
    for i in range(begin, end):
        first = i % m.blocks * m.channels
        count = min(m.channels, m.p.icg - first)
        memset(&at, 0, sizeof(Pixel))
        at.n = i // m.blocks
        to = m.columns + m.k.size * (at.n * m.image + first * taps_of(&m.p) * m.row)
        for line in range(m.p.od * m.p.oh):
            if m.back:
                add_columns(&m.p, m.k, &m.x, first, count, at, m.p.ow, to, m.row)
            else:
                gather_columns(&m.p, m.k, &m.x, first, count, at, m.p.ow, to, m.row)
            to += m.k.size * m.p.ow
            next_row(&m.p, &at)


def move_columns(problem, x, columns, bint batched, bint channels_last, threads, bint back):
    """The windows of x to `columns` (n, ic*taps, pixels), whose last axis is contiguous; or `back`: what the columns hold added
    to x. The one that is written to is a native array of the problem's dtype."""
    cdef Py_buffer xb, cb
    cdef Axes axes = axes_of(problem.rank, batched, channels_last)
    cdef Move m
    m.p, m.back = forward_geometry(problem), back
    m.k = current_kernels().set[m.p.dtype]
    cdef int count = 1 if columns.size < SMALL else threads or default_threads()
    if columns.size == 0:
        return
    memset(&xb, 0, sizeof(Py_buffer))
    memset(&cb, 0, sizeof(Py_buffer))
    try:
        if back:
            PyObject_GetBuffer(x, &xb, PyBUF_STRIDES | PyBUF_WRITABLE)
            columns = open_input(columns, "columns", problem.dtype, &cb)
        else:
            x = open_input(x, "x", problem.dtype, &xb)
            PyObject_GetBuffer(columns, &cb, PyBUF_STRIDES | PyBUF_WRITABLE)
        m.x = array_of(&xb, &axes)
        m.columns, m.image, m.row = <char *>cb.buf, stride_at(&cb, 0), stride_at(&cb, 1)
        m.channels = CHANNELS if m.x.c == 1 else 1
        m.blocks = ceil_div(m.p.icg, m.channels)
        with nogil:
            parallel_for(m.p.n * m.blocks, 1, count, move_body, &m)
    finally:
        PyBuffer_Release(&xb)
        PyBuffer_Release(&cb)
