# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Depthwise convolutions of small planes with large kernels, from memory that keeps pixels together (NCHW): by lanes of channels.

    for images, for some channels             (tasks)
        turn their planes to [pixel][channel]
        kernel over all pixels                (kernels/depthwise_pixels.h)
        turn the results back

Rows of 7 pixels leave half of a vector of 16 empty, and taps in the padding are lanes that count nothing; channels fill vectors
and leave such taps out: of 7x7 kernels on planes of 7x7 that is 28 of 49 taps. To turn an element costs about half a cycle.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_depthwise, nd_job, nd_kernel_set, nd_problem
from ndconv._depthwise_block cimport rows_inside
from ndconv._pack cimport Pixel, bias_at, ceil_div, finish_pixels, split, taps_of
from ndconv._runtime cimport parallel_for

cdef enum:
    CHANNELS = 64            # of a task
    MOST_BYTES = 131072      # of its planes, in L2
    LEAST_TAPS = 20          # of kernels that are worth turning planes for

cdef ptrdiff_t live_taps(ptrdiff_t x, ptrdiff_t y, ptrdiff_t k, ptrdiff_t s, ptrdiff_t d, ptrdiff_t before) noexcept nogil:
    """How many taps of an axis see a cell, over all results."""
    cdef ptrdiff_t i, first, low, count = 0
    for i in range(y):
        first = i * s - before
        low = ceil_div(-first, d) if first < 0 else 0
        if first < x:
            count += max(min(ceil_div(x - first, d), k) - low, 0)
    return count

cdef bint turns_planes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether turning pays for what lanes of pixels waste."""
    cdef ptrdiff_t rows
    if (p.lanes_oc or p.icg != 1 or p.ocg != 1 or p.g < k.vl or p.bordered or p.id != 1 or p.od != 1 or p.kd != 1 or p.pd != 0
            or p.ph < 0 or p.pw < 0 or (p.sh > 1 and p.dh > 1) or p.kh * p.kw < LEAST_TAPS or p.ow > k.vl
            or turned_bytes(p, k) > 4 * MOST_BYTES):
        return False
    rows = live_taps(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph)
    return (rows * p.kw > 1.3 * rows * live_taps(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw) / k.vl
            + 0.6 * (p.ih * p.iw + p.oh * p.ow))

cdef inline ptrdiff_t padded(ptrdiff_t x, ptrdiff_t y, ptrdiff_t k, ptrdiff_t s, ptrdiff_t d, ptrdiff_t before) noexcept nogil:
    return max((y - 1) * s + (k - 1) * d + 1, before + x)

cdef ptrdiff_t plane_pixels(const nd_problem *p) noexcept nogil:
    """Of a plane with its padding."""
    return padded(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph) * padded(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw)

cdef ptrdiff_t groups_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return min(ceil_div(p.g, CHANNELS), p.g // k.vl)

cdef ptrdiff_t most_channels(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Of a task: whole vectors, what is left to the last."""
    return ceil_div(p.g // k.vl, groups_of(p, k)) * k.vl + p.g % k.vl

cdef ptrdiff_t turned_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Of a worker."""
    return ceil_div((plane_pixels(p) + p.oh * p.ow) * most_channels(p, k) * k.size, 64) * 64

cdef struct Turn:
    const nd_job *job
    bint finite          # the weights: what is in the padding counts nothing

cdef void turn_planes(const nd_job *job, bint finite) noexcept nogil:
    cdef Turn f
    f.job, f.finite = job, finite
    parallel_for(job.p.n * groups_of(job.p, job.k), 1, job.threads, turn_body, &f)

cdef void turn_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Turn *f = <const Turn *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef ptrdiff_t size = k.size, groups = groups_of(p, k), i, first, channels, phase, plane = 0, top = p.ph, left = p.pw
    cdef ptrdiff_t columns = p.iw
    cdef char *x = job.workspace + worker * turned_bytes(p, k)
    cdef char *y = x + plane_pixels(p) * most_channels(p, k) * size
    cdef nd_depthwise s
    cdef Pixel at
    memset(&s, 0, sizeof(nd_depthwise))
    s.planes, s.plane, s.kh, s.kw, s.sh, s.stride, s.spread = 1, &plane, p.kh, p.kw, p.sh, p.sw, p.dw
    s.n, s.w_vector = p.ow, taps_of(p) * k.vl
    if not f.finite:    # zeros around the planes
        columns, top, left = padded(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw), 0, 0
    s.first, s.width = -left, columns
    at.d = at.h = at.w = 0
    for i in range(begin, end):
        at.n, first = i // groups, split(p.g // k.vl, groups, i % groups) * k.vl
        channels = (p.g if i % groups == groups - 1 else split(p.g // k.vl, groups, i % groups + 1) * k.vl) - first
        load_planes(f, at.n, first, channels, x)
        s.channels = s.pixel = s.y_pixel = channels
        s.row, s.y_row = p.dh * columns * channels, p.dh * p.ow * channels
        s.step = p.sh * s.row
        for phase in range(min(p.dh, p.oh)):    # rows of taps meet every dh-th row of results
            s.rows = ceil_div(p.oh - phase, p.dh)
            s.low, s.high = 0, (s.rows - 1) * p.sh + p.kh
            if f.finite:
                rows_inside(p, phase - top, s.high, &s.low, &s.high)
            k.depthwise_pixels(&s, x + size * (phase - top) * columns * channels, <const char *>job.w + size * first * taps_of(p),
                               bias_at(job, first), y + size * phase * p.ow * channels)
        store_planes(f, at.n, first, channels, y)
        finish_pixels(job, first, channels, at, p.oh * p.ow)

cdef void load_planes(const Turn *f, ptrdiff_t n, ptrdiff_t first, ptrdiff_t channels, char *to) noexcept nogil:
    """Planes as [pixel][channel]."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = k.size, r, columns = p.iw
    cdef const char *src = x.data + size * (n * x.n + first * x.c)
    if f.finite and x.h == p.iw * x.w:
        k.move(to, channels, src, p.ih * p.iw, channels, x.w, x.c)
        return
    if not f.finite:
        columns = padded(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw)
        memset(to, 0, size * plane_pixels(p) * channels)
        to += size * (p.ph * columns + p.pw) * channels
    for r in range(p.ih):
        k.move(to + size * r * columns * channels, channels, src + size * r * x.h, p.iw, channels, x.w, x.c)

cdef void store_planes(const Turn *f, ptrdiff_t n, ptrdiff_t first, ptrdiff_t channels, const char *src) noexcept nogil:
    """[pixel][channel] to planes of y."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, c, r
    cdef char *to = y.data + size * (n * y.n + first * y.c)
    if y.w == 1 and y.h == p.ow:
        k.move(to, y.c, src, channels, p.oh * p.ow, 1, channels)
        return
    for r in range(p.oh):
        if y.w == 1:
            k.move(to + size * r * y.h, y.c, src, channels, p.ow, 1, channels)
        else:
            for c in range(channels):
                k.scatter(to + size * (r * y.h + c * y.c), y.w, src + size * c, channels, p.ow)
        src += size * p.ow * channels
