# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Pooling's loops over whole planes: global pooling, the gradient of the greatest by its indices, and gradients of means."""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_of, axes_of, open_input
from ndconv._c cimport ND_ADD_AT, ND_F32, ND_F64, ND_GREATEST, ND_LEAST, ND_PUT, ND_SUM, ND_TAKE, nd_array, nd_kernel_set
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

import numpy as np

cdef enum:
    CHANNELS = 16      # that a task takes: a cache line of float32
    PIXELS = 128       # of pixels whose channels are neighbours, where dy goes to where its index says
    SMALL = 300_000    # elements that stay on the calling thread
    ROUTED = 16        # elements whose time one takes that goes where its index says

cdef struct Planes:
    const nd_kernel_set *k
    nd_array x, at
    ptrdiff_t n, c, d, h, w      # extents of x
    int op                       # enum nd_pool_op
    double *values               # [n][c], of the greatest
    char *means                  # [n][c] in the dtype
    ptrdiff_t *places            # [n][c] or NULL
    ptrdiff_t at_size, cells     # bytes of an index, and what it has to be below
    nd_array dx
    double power                 # that scale_by_power raises x to
    int how                      # enum nd_at
    bint pixels                  # whether channels are neighbours in all arrays
    ptrdiff_t kd, kh, kw         # windows that share no cell
    ptrdiff_t id, ih, iw         # extents of dx
    double divisor
    ptrdiff_t sh, ph, pw         # windows that overlap: rows from one to the next, and what is before the first
    char *scratch                # [workers][slice]
    size_t slice
    int32_t *bad                 # [workers]: whether an index is out of range

cdef ptrdiff_t blocks(const Planes *f) noexcept nogil:
    return (f.c + channels_of(f) - 1) // channels_of(f)

cdef ptrdiff_t channels_of(const Planes *f) noexcept nogil:
    """Channels of a task."""
    return PIXELS if f.pixels else CHANNELS

cdef void set_extents(Planes *f, const Py_buffer *b, const Axes *a) noexcept nogil:
    f.n, f.c, f.w = b.shape[a.n] if a.n >= 0 else 1, b.shape[a.c], b.shape[a.w]
    f.h = b.shape[a.h] if a.h >= 0 else 1
    f.d = b.shape[a.d] if a.d >= 0 else 1

cdef inline ptrdiff_t row_offset(const Planes *f, const nd_array *a, ptrdiff_t n, ptrdiff_t c, ptrdiff_t row) noexcept nogil:
    return n * a.n + c * a.c + row // f.h * a.d + row % f.h * a.h


cdef bint is_one_row(const Planes *f, const nd_array *a) noexcept nogil:
    """Whether the cells of a plane follow each other at one distance."""
    return (f.h == 1 or a.h == f.w * a.w) and (f.d == 1 or a.d == f.h * f.w * a.w)


cdef void top_of(const Planes *f, ptrdiff_t n, ptrdiff_t c) noexcept nogil:
    """The greatest or least of a plane, the first NaN before all."""
    cdef ptrdiff_t row, at = 0, place = -1
    cdef double top, value = 0
    for row in range(f.d * f.h):
        top = f.k.pool_top(f.x.data + f.k.size * row_offset(f, &f.x, n, c, row), f.w, f.x.w, f.op,
                           &at if f.places != NULL else NULL)
        if place < 0 or (top < value if f.op == ND_LEAST else top > value) or (top != top and value == value):
            value, place = top, row * f.w + at
    f.values[n * f.c + c] = value
    if f.places != NULL:
        f.places[n * f.c + c] = place

cdef void global_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Planes *f = <const Planes *>context
    cdef ptrdiff_t task, n, c, c0, count
    for task in range(begin, end):
        n, c0 = task // blocks(f), task % blocks(f) * channels_of(f)
        count = min(channels_of(f), f.c - c0)
        if f.op == ND_SUM:
            means_of(f, n, c0, count)
            continue
        for c in range(c0, c0 + count):
            top_of(f, n, c)

cdef void means_of(const Planes *f, ptrdiff_t n, ptrdiff_t c0, ptrdiff_t count) noexcept nogil:
    """The means of `count` planes from channel c0 on."""
    cdef char *to = f.means + f.k.size * (n * f.c + c0)
    cdef double sums[CHANNELS]
    cdef ptrdiff_t row, c
    if f.d * f.h == 1 and f.x.w == 1:
        f.k.pool_means(to, f.x.data + f.k.size * row_offset(f, &f.x, n, c0, 0), count, f.x.c, f.w)
        return
    memset(sums, 0, sizeof(sums))
    for row in range(f.d * f.h):
        if f.x.c == 1:
            f.k.sum_columns(sums, f.x.data + f.k.size * row_offset(f, &f.x, n, c0, row), f.w, count, f.x.w)
        else:
            for c in range(count):
                sums[c] += f.k.pool_sum(f.x.data + f.k.size * row_offset(f, &f.x, n, c0 + c, row), f.w, f.x.w)
    for c in range(count):
        f.k.pool_fill(to + f.k.size * c, 1, sums[c] / f.cells)


def global_values(x, str dtype, int rank, bint batched, bint channels_last, str kind, bint index, threads):
    """([n, c] means in the dtype, or greatest or least values in float64; [n, c] indices or None) of whole planes."""
    cdef Py_buffer b
    cdef Planes f
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef double[::1] values
    cdef ptrdiff_t[::1] places
    cdef ptrdiff_t size
    cdef int count
    x = open_input(x, "x", dtype, &b)
    try:
        memset(&f, 0, sizeof(Planes))
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.x = array_of(&b, &axes)
        f.op = ND_GREATEST if kind == "max" else ND_LEAST if kind == "min" else ND_SUM
        set_extents(&f, &b, &axes)
        f.cells = f.w * f.h * f.d
        if is_one_row(&f, &f.x):
            f.w, f.h, f.d = f.w * f.h * f.d, 1, 1
        size = max(f.n * f.c, 1)
        if f.op == ND_SUM:
            result = np.empty(size, dtype)
            f.means = <char *><size_t>result.ctypes.data
        else:
            values = result = np.zeros(size)
            f.values = &values[0]
        indices = None
        if index:
            places = indices = np.zeros(max(f.n * f.c, 1), np.intp)
            f.places = &places[0]
        count = 1 if x.size < SMALL else threads or default_threads()
        if x.size:
            with nogil:
                parallel_for(f.n * blocks(&f), 1, count, global_body, &f)
    finally:
        PyBuffer_Release(&b)
    shape = f.n, f.c
    return result[:f.n * f.c].reshape(shape), None if indices is None else indices[:f.n * f.c].reshape(shape)


cdef void scatter_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Planes *f = <const Planes *>context
    cdef ptrdiff_t task, n, c, c0, count, row
    for task in range(begin, end):
        n, c0 = task // blocks(f), task % blocks(f) * channels_of(f)
        count = min(channels_of(f), f.c - c0)
        if f.how != ND_TAKE:
            clear_planes(f, f.dx.data + f.k.size * (n * f.dx.n + c0 * f.dx.c), count)
        for row in range(f.d * f.h):
            if f.pixels:
                f.bad[worker] |= scatter_pixels(f, n, c0, count, row)
                continue
            for c in range(c0, c0 + count):
                f.bad[worker] |= f.k.pool_scatter(f.dx.data + f.k.size * (n * f.dx.n + c * f.dx.c), f.cells, f.dx.w, 1,
                                                  f.x.data + f.k.size * row_offset(f, &f.x, n, c, row), f.x.w,
                                                  f.at.data + f.at_size * row_offset(f, &f.at, n, c, row), f.at_size,
                                                  f.at.w, f.w, f.how)

cdef int scatter_pixels(const Planes *f, ptrdiff_t n, ptrdiff_t c, ptrdiff_t count, ptrdiff_t row) noexcept nogil:
    """A row of pixels of neighbouring channels, all at once where these are all channels."""
    cdef char *dx = f.dx.data + f.k.size * (n * f.dx.n + c)
    cdef char *dy = f.x.data + f.k.size * row_offset(f, &f.x, n, c, row)
    cdef const char *at = f.at.data + f.at_size * row_offset(f, &f.at, n, c, row)
    cdef ptrdiff_t w
    cdef int bad = 0
    if f.x.w == count and f.at.w == count:
        return f.k.pool_scatter(dx, f.cells, f.dx.w, count, dy, 1, at, f.at_size, 1, f.w * count, f.how)
    for w in range(f.w):
        bad |= f.k.pool_scatter(dx, f.cells, f.dx.w, count, dy + f.k.size * w * f.x.w, 1, at + f.at_size * w * f.at.w, f.at_size, 1,
                                count, f.how)
    return bad

cdef void clear_planes(const Planes *f, char *dx, ptrdiff_t count) noexcept nogil:
    """Zeros for some channels of an image, which are rows of channels or planes."""
    cdef ptrdiff_t i
    if f.dx.w == count and f.dx.c == 1:
        memset(dx, 0, f.k.size * f.cells * count)
    elif f.dx.w == 1:
        for i in range(count):
            memset(dx + f.k.size * i * f.dx.c, 0, f.k.size * f.cells)
    else:
        for i in range(f.cells):
            memset(dx + f.k.size * i * f.dx.w, 0, f.k.size * count)


def scatter(dy, indices, str dtype, int rank, bint batched, bint channels_last, dx, threads, str how="add"):
    """Writes dx, contiguous memory: to zeros each dy is added where its index says, or put there. Or takes it from there into
    dy, which is then a contiguous array. False if an index is out of range (-1 apart)."""
    cdef Py_buffer yb, ab, xb
    cdef Planes f
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef int count = 1 if ROUTED * dy.size + dx.size < SMALL else threads or default_threads()
    cdef dict ways = {"add": ND_ADD_AT, "put": ND_PUT, "take": ND_TAKE}
    cdef int32_t[::1] bad = np.zeros(count, np.int32)
    memset(&ab, 0, sizeof(Py_buffer))
    memset(&xb, 0, sizeof(Py_buffer))
    dy = open_input(dy, "dy", dtype, &yb)
    try:
        memset(&f, 0, sizeof(Planes))
        PyObject_GetBuffer(indices, &ab, PyBUF_STRIDES)
        PyObject_GetBuffer(dx, &xb, PyBUF_STRIDES | PyBUF_WRITABLE)
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.x, f.at, f.dx = array_of(&yb, &axes), array_of(&ab, &axes), array_of(&xb, &axes)
        f.at_size, f.bad, f.how = ab.itemsize, &bad[0], ways[how]
        set_extents(&f, &xb, &axes)
        f.cells = f.d * f.h * f.w
        set_extents(&f, &yb, &axes)
        f.pixels = f.c > 1 and f.x.c == 1 and f.at.c == 1 and f.dx.c == 1
        if f.x.c != 1 and is_one_row(&f, &f.x) and is_one_row(&f, &f.at):
            f.w, f.h, f.d = f.w * f.h * f.d, 1, 1
        if dx.size:
            with nogil:
                parallel_for(f.n * blocks(&f), 1, count, scatter_body, &f)
        return not any_of(&f, count)
    finally:
        PyBuffer_Release(&yb)
        PyBuffer_Release(&ab)
        PyBuffer_Release(&xb)

cdef bint any_of(const Planes *f, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if f.bad[i]:
            return True
    return False


cdef enum:
    ROWS = 64              # of a window that spread takes

cdef void spread_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Planes *f = <const Planes *>context
    cdef ptrdiff_t task, n, c, d, h, r, size = f.k.size, rows = f.kd * f.kh, covered = f.w * f.kw, rest = f.iw - covered
    cdef ptrdiff_t bases[ROWS]
    cdef void *cells[ROWS]
    cdef char *plane
    cdef const char *dy
    cdef const char *at = NULL
    for task in range(begin, end):
        n, c = task // f.c, task % f.c
        plane = f.dx.data + size * (n * f.dx.n + c * f.dx.c)
        for d in range(f.d):
            for r in range(rows):
                bases[r] = ((d * f.kd + r // f.kh) * f.ih + r % f.kh) * f.iw
                cells[r] = plane + size * bases[r]
            dy = f.x.data + size * (n * f.x.n + c * f.x.c + d * f.x.d)
            if f.at_size:
                at = f.at.data + f.at_size * (n * f.at.n + c * f.at.c + d * f.at.d)
            f.bad[worker] |= f.k.pool_spread(cells, bases, rows, f.kw, f.h, f.kh * f.iw, dy, f.x.h, f.w, f.divisor, at, f.at.h,
                                             f.at_size)
        for d in range(f.id):  # cells behind the last windows: of rows, whole rows and planes
            h = f.h * f.kh if d < f.d * f.kd else 0
            if rest:
                for r in range(h):
                    memset(plane + size * ((d * f.ih + r) * f.iw + covered), 0, size * rest)
            if h < f.ih:
                memset(plane + size * (d * f.ih + h) * f.iw, 0, size * (f.ih - h) * f.iw)


cdef int open_gradient(Planes *f, const Py_buffer *yb, Py_buffer *xb, const Axes *axes, str dtype, dx, tuple window) except -1:
    """dy, whose buffer is open, and dx, which it leads to, with the extents of both."""
    memset(f, 0, sizeof(Planes))
    PyObject_GetBuffer(dx, xb, PyBUF_STRIDES | PyBUF_WRITABLE)
    f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
    f.x, f.dx = array_of(yb, axes), array_of(xb, axes)
    set_extents(f, xb, axes)
    f.id, f.ih, f.iw = f.d, f.h, f.w
    set_extents(f, yb, axes)
    f.kd, f.kh, f.kw = window
    return 0


def spread(dy, indices, str dtype, int rank, bint batched, bint channels_last, tuple window, double divisor, dx, threads):
    """Writes the gradient of windows that share no cell and fill x from its first cell on: of the mean, dy / divisor, or where
    `indices` are given each dy to its cell. False, and dx undefined, where memory is not in rows, an index is not in its window,
    or `scatter` is faster: indices of other windows than vectors of two columns."""
    cdef Py_buffer yb, ab, xb
    cdef Planes f
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef int count = 1 if dx.size < SMALL else threads or default_threads()
    cdef int32_t[::1] bad = np.zeros(count, np.int32)
    memset(&ab, 0, sizeof(Py_buffer))
    memset(&xb, 0, sizeof(Py_buffer))
    dy = open_input(dy, "dy", dtype, &yb)
    try:
        open_gradient(&f, &yb, &xb, &axes, dtype, dx, window)
        f.bad, f.divisor = &bad[0], divisor
        if indices is not None:
            PyObject_GetBuffer(indices, &ab, PyBUF_STRIDES)
            f.at, f.at_size = array_of(&ab, &axes), ab.itemsize
        if (f.kd * f.kh > ROWS or f.x.w != 1 or f.dx.w != 1 or not is_plane(&f) or (f.at_size and f.at.w != 1)
                or (f.at_size and (f.kw != 2 or f.w < f.k.vl)) or (f.k.size == 4 and <double>f.id * f.ih * f.iw > 2e9)):
            return False
        if dx.size:
            with nogil:
                parallel_for(f.n * f.c, 1, count, spread_body, &f)
        return not any_of(&f, count)
    finally:
        PyBuffer_Release(&yb)
        PyBuffer_Release(&ab)
        PyBuffer_Release(&xb)

cdef inline ptrdiff_t lead_of(const Planes *f) noexcept nogil:
    """Elements of nothing before a row of sums: what windows reach back, at 64 bytes."""
    return ((f.kw + 1) // 2 + 63) & ~<ptrdiff_t>63

cdef void halves_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of sums S[o] of dy: cells at 2*i of the padded row have the windows i - (kw - 1)//2 to i, those at 2*i + 1 one less
    where kw is odd."""
    cdef const Planes *f = <const Planes *>context
    cdef ptrdiff_t size = f.k.size, task, d, h, o, count
    cdef ptrdiff_t first = f.pw // 2, odd = f.pw % 2, more = (f.kw + 1) // 2, less = f.kw // 2
    cdef char *sums = f.scratch + worker * f.slice + size * lead_of(f)
    cdef char *at = sums + size * (first + odd - more + 1)      # the cells at 2*i
    cdef char *beside = sums + size * (first - less + 1)        # and those after them
    cdef char *plane
    cdef char *dx
    cdef const char *dy
    cdef const void *rows[ROWS]
    memset(f.scratch + worker * f.slice, 0, f.slice)
    for task in range(begin, end):
        plane = f.dx.data + size * (task // f.c * f.dx.n + task % f.c * f.dx.c)
        for d in range(f.d):
            dy = f.x.data + size * (task // f.c * f.x.n + task % f.c * f.x.c + d * f.x.d)
            for h in range(f.ih):
                dx = plane + size * (d * f.dx.d + h * f.dx.h)
                count = 0
                o = (h + f.ph - f.kh) // f.sh + 1 if h + f.ph >= f.kh else 0
                for o in range(o, min(f.h, (h + f.ph) // f.sh + 1)):
                    rows[count] = dy + size * o * f.x.h
                    count += 1
                if count == 0:
                    memset(dx, 0, size * f.iw)
                    continue
                f.k.pool_combine(sums, rows, count, f.w, ND_SUM, f.divisor, 0)
                if odd:
                    f.k.pool_halves(dx, f.iw, beside, less, at, more)
                else:
                    f.k.pool_halves(dx, f.iw, at, more, beside, less)


def halve(dy, str dtype, int rank, bint batched, bint channels_last, tuple window, ptrdiff_t step, tuple before, double divisor,
          dx, threads):
    """Writes the gradient of the mean of windows that move by two columns and by `step` rows, and all divide by `divisor`.
    False, and dx undefined, where memory is not in rows."""
    cdef Py_buffer yb, xb
    cdef Planes f
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef int count = 1 if dx.size < SMALL else threads or default_threads()
    memset(&xb, 0, sizeof(Py_buffer))
    dy = open_input(dy, "dy", dtype, &yb)
    try:
        open_gradient(&f, &yb, &xb, &axes, dtype, dx, window)
        f.divisor, f.sh = divisor, step
        _, f.ph, f.pw = before
        if f.x.w != 1 or f.dx.w != 1 or f.kh > ROWS:
            return False
        f.slice = f.k.size * ((lead_of(&f) + max(f.w, (f.iw + f.pw) // 2 + f.kw) + 191) & ~<ptrdiff_t>63)
        if dx.size:
            f.scratch = <char *>scratch_take(f.slice * count)
            if f.scratch == NULL:
                raise MemoryError(f"no memory for {f.slice * count} bytes of workspace")
            with nogil:
                parallel_for(f.n * f.c, 1, count, halves_body, &f)
                scratch_give(f.scratch)
        return True
    finally:
        PyBuffer_Release(&yb)
        PyBuffer_Release(&xb)


cdef bint is_plane(const Planes *f) noexcept nogil:
    """Whether the rows of a plane of dx follow each other without a gap."""
    return (f.ih == 1 or f.dx.h == f.iw) and (f.id == 1 or f.dx.d == f.ih * f.iw)


cdef void scale_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Planes *f = <const Planes *>context
    cdef ptrdiff_t task, n, c, i, size = f.k.size
    cdef bint channels = f.dx.w != 1  # rows of channels, not of pixels
    cdef ptrdiff_t rows = f.w if channels else f.c
    for task in range(begin, end):
        n, c = task // f.h // f.d, task % (f.h * f.d)
        for i in range(rows):
            if channels:
                f.k.pool_scale(f.dx.data + size * (row_offset(f, &f.dx, n, 0, c) + i * f.dx.w), f.dx.c,
                               f.dx.data + size * (row_offset(f, &f.dx, n, 0, c) + i * f.dx.w), f.dx.c,
                               f.x.data + size * (row_offset(f, &f.x, n, 0, c) + i * f.x.w), f.x.c, f.c, f.power)
            else:
                f.k.pool_scale(f.dx.data + size * row_offset(f, &f.dx, n, i, c), 1,
                               f.dx.data + size * row_offset(f, &f.dx, n, i, c), 1,
                               f.x.data + size * row_offset(f, &f.x, n, i, c), f.x.w, f.w, f.power)


def scale_by_power(a, b, double q, str dtype, int rank, bint batched, bint channels_last, threads):
    """a *= sign(b) * |b|**q in place, 0 where b is 0 and NaN where it is NaN; a is contiguous, b of its shape."""
    cdef Py_buffer ab, bb
    cdef Planes f
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef int count = 1 if a.size < SMALL else threads or default_threads()
    memset(&ab, 0, sizeof(Py_buffer))
    b = open_input(b, "x", dtype, &bb)
    try:
        memset(&f, 0, sizeof(Planes))
        PyObject_GetBuffer(a, &ab, PyBUF_STRIDES | PyBUF_WRITABLE)
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.x, f.dx, f.power = array_of(&bb, &axes), array_of(&ab, &axes), q
        set_extents(&f, &ab, &axes)
        if a.size:
            with nogil:
                parallel_for(f.n * f.d * f.h, 1, count, scale_body, &f)
    finally:
        PyBuffer_Release(&ab)
        PyBuffer_Release(&bb)
