# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Depthwise convolutions of small planes, from memory that keeps pixels together (NCHW): by lanes of channels.

    for images, for some channels             (tasks)
        turn their planes to [pixel][channel]
        kernel over all pixels                (kernels/depthwise_pixels.h)
        turn the results back

Rows of 7 pixels leave half of a vector of 16 empty, and taps in the padding are lanes that count nothing; channels fill vectors
and leave such taps out: of 7x7 kernels on planes of 7x7 that is 28 of 49 taps. A plane costs no call of its own, and strides no
rows that are taken apart. To turn an element costs about half a cycle. Measured on Zen 4, one core, time of lanes of pixels over
this: 3x3 on 7x7 2.1 to 2.9 (stride 2 2.8 to 7.2, stride 3 7 to 17), on 14x14 1.3 to 1.6 (1.3 to 3.7, 3.2 to 16).
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_depthwise, nd_job, nd_kernel_set, nd_problem
from ndconv._depthwise_block cimport rows_inside, takes_phases
from ndconv._pack cimport Pixel, bias_at, ceil_div, finish_pixels, split, taps_of, whole_lines
from ndconv._runtime cimport parallel_for

cdef enum:
    CHANNELS = 64            # of a task at most,
    MOST_BYTES = 524288      # of their planes, in L2

cdef ptrdiff_t live_taps(ptrdiff_t x, ptrdiff_t y, ptrdiff_t k, ptrdiff_t s, ptrdiff_t d, ptrdiff_t before) noexcept nogil:
    """How many taps of an axis see a cell, over all results."""
    cdef ptrdiff_t t, first, count = 0
    for t in range(k):
        first = before - t * d    # result i sees cell i*s - first
        if first + x > 0:
            count += max(min(ceil_div(first + x, s), y) - ceil_div(max(first, 0), s), 0)
    return count

cdef bint turns_planes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether lanes of channels take less time with the turning than lanes of pixels."""
    if (p.lanes_oc or p.icg != 1 or p.ocg != 1 or p.g < k.vl or p.bordered or p.id != 1 or p.od != 1 or p.kd != 1 or p.pd != 0
            or p.ph < 0 or p.pw < 0 or (p.sh > 1 and p.dh > 1) or p.kh * p.kw == 1 or not forward_cut(p, k).fits):
        return False
    return by_channels(p, k) < by_pixels(p, k)

cdef double by_channels(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Nanoseconds of a plane (Zen 4): lines that are turned, multiply-adds of vectors."""
    cdef double taps = live_taps(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph) * live_taps(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw)
    return 15 + 2.2 * (p.ih * p.iw + p.oh * p.ow) * k.size / 64 + 0.45 * taps / k.vl

cdef double by_pixels(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """The same of lanes of pixels: vectors of results, their multiply-adds, what strides take apart, in registers or a slab."""
    cdef double vectors = ceil_div(p.ow, k.vl), lines = padded(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph)
    cdef double steps = live_taps(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph) * p.kw * vectors
    cdef double time = 77 + 50 * (min(p.dh, p.oh) - 1) + 1.2 * p.oh * vectors + 0.2 * steps
    if p.sw > 2:
        return time + 0.37 * steps + 16 * lines + 0.52 * plane_pixels(p)
    if takes_phases(p, k):
        return time + 13 * lines
    return time + 0.45 * steps if p.sw == 2 else time

cdef inline ptrdiff_t padded(ptrdiff_t x, ptrdiff_t y, ptrdiff_t k, ptrdiff_t s, ptrdiff_t d, ptrdiff_t before) noexcept nogil:
    return max((y - 1) * s + (k - 1) * d + 1, before + x)

cdef ptrdiff_t plane_pixels(const nd_problem *p) noexcept nogil:
    """Of a plane with its padding."""
    return padded(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph) * padded(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw)

cdef Cut cut_of(const nd_problem *p, const nd_kernel_set *k, ptrdiff_t cells) noexcept nogil:
    cdef Cut c
    cdef ptrdiff_t most = max(min(<ptrdiff_t>CHANNELS, MOST_BYTES // (max(cells, <ptrdiff_t>1) * k.size)), k.vl)
    c.groups = min(ceil_div(p.g, most), p.g // k.vl)
    c.most = ceil_div(p.g // k.vl, c.groups) * k.vl + p.g % k.vl
    c.bytes = whole_lines(cells * c.most * k.size)
    c.fits = c.bytes <= MOST_BYTES
    return c

cdef ptrdiff_t first_channel(const nd_problem *p, const nd_kernel_set *k, const Cut *c, ptrdiff_t group) noexcept nogil:
    return p.g if group == c.groups else split(p.g // k.vl, c.groups, group) * k.vl

cdef Cut forward_cut(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return cut_of(p, k, plane_pixels(p) + p.oh * p.ow)

cdef ptrdiff_t turned_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return forward_cut(p, k).bytes

cdef void turn_planes(const nd_job *job, bint finite) noexcept nogil:
    cdef Turn f
    f.job, f.finite, f.cut = job, finite, forward_cut(job.p, job.k)
    parallel_for(job.p.n * f.cut.groups, 1, job.threads, turn_body, &f)

cdef void turn_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Turn *f = <const Turn *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t size = job.k.size, i, first, channels
    cdef char *x = job.workspace + worker * f.cut.bytes
    cdef char *y = x + plane_pixels(p) * f.cut.most * size
    for i in range(begin, end):
        first = first_channel(p, job.k, &f.cut, i % f.cut.groups)
        channels = first_channel(p, job.k, &f.cut, i % f.cut.groups + 1) - first
        load_planes(f, i // f.cut.groups, first, channels, x)
        convolve_turned(p, job.k, f.finite, channels, x, <const char *>job.w + size * first * taps_of(p), bias_at(job, first),
                        y, channels, p.ow * channels)
        store_planes(f, i // f.cut.groups, first, channels, y)

cdef void convolve_turned(const nd_problem *p, const nd_kernel_set *k, bint finite, ptrdiff_t channels, const char *x,
                          const char *w, const void *bias, char *y, ptrdiff_t y_pixel, ptrdiff_t y_row) noexcept nogil:
    """Of [pixel][channel]; where not all weights are finite x has zeros around it."""
    cdef ptrdiff_t size = k.size, phase, plane = 0, top = p.ph, left = p.pw, columns = p.iw
    cdef nd_depthwise s
    memset(&s, 0, sizeof(nd_depthwise))
    if not finite:
        columns, top, left = padded(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw), 0, 0
    s.planes, s.plane, s.kh, s.kw, s.sh, s.stride, s.spread = 1, &plane, p.kh, p.kw, p.sh, p.sw, p.dw
    s.n, s.w_vector, s.first, s.width = p.ow, taps_of(p) * k.vl, -left, columns
    s.channels, s.pixel, s.y_pixel, s.row, s.y_row = channels, channels, y_pixel, p.dh * columns * channels, p.dh * y_row
    s.step = p.sh * s.row
    for phase in range(min(p.dh, p.oh)):    # rows of taps meet every dh-th row of results
        s.rows = ceil_div(p.oh - phase, p.dh)
        s.low, s.high = 0, (s.rows - 1) * p.sh + p.kh
        if finite:
            rows_inside(p, phase - top, s.high, &s.low, &s.high)
        k.depthwise_pixels(&s, x + size * (phase - top) * columns * channels, w, bias, y + size * phase * y_row)

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
    cdef char *to = y.data + k.size * (n * y.n + first * y.c)
    cdef Pixel at
    if y.w == 1 and y.h == p.ow:
        k.move(to, y.c, src, channels, p.oh * p.ow, 1, channels)
    else:
        store_rows(f, channels, src, to)
    at.n, at.d, at.h, at.w = n, 0, 0, 0
    finish_pixels(f.job, first, channels, at, p.oh * p.ow)

cdef void store_rows(const Turn *f, ptrdiff_t channels, const char *src, char *to) noexcept nogil:
    """Row by row."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, c, r
    for r in range(p.oh):
        if y.w == 1:
            k.move(to + size * r * y.h, y.c, src, channels, p.ow, 1, channels)
        else:
            for c in range(channels):
                k.scatter(to + size * (r * y.h + c * y.c), y.w, src + size * c, channels, p.ow)
        src += size * p.ow * channels
