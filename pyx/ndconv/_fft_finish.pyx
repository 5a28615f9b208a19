# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The end of a tile of the fft method: transformed back, stored, computed again where it is not finite, activated."""
from libc.string cimport memset

from ndconv._c cimport ND_NONE, nd_array, nd_job, nd_kernel_set, nd_problem
from ndconv._fft_plan cimport FILTER_GROUPS, Tiling
from ndconv._fft_prepare cimport Prepared
from ndconv._fft_tile cimport Window, holds_tiles, store_tile, transform
from ndconv._pack cimport Pixel, finish_pixels, taps_of

cdef void finish(const nd_job *job, const Prepared *prepared, const Window *w, char *z, ptrdiff_t g, ptrdiff_t o) noexcept nogil:
    """Transforms a product back and stores it to w; g and o are those of the first lane."""
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef const Tiling *t = prepared.t
    cdef bint tiles = holds_tiles(t), groups = t.lanes == FILTER_GROUPS
    cdef ptrdiff_t channel = g * p.ocg + o, step = 0 if tiles else p.ocg if groups else 1     # from lane to lane
    cdef char bias[64]
    cdef unsigned flags
    cdef int lane
    transform(k, t, &prepared.tables, z, True)
    memset(bias, 0, 64)
    if job.bias != NULL:
        k.copy(bias, <const char *>job.bias + k.size * channel, w.lanes, step)
    flags = store_tile(w, k, t, bias, z)
    for lane in range(w.lanes):
        if flags >> lane & 1:
            compute_tile(job, prepared, w, lane, channel + lane * step)
    if job.activation == ND_NONE and job.residual.data == NULL:
        return
    if tiles or groups:
        for lane in range(w.lanes):
            finish_tile(job, t, w, lane, channel + lane * step, 1)
    else:
        finish_tile(job, t, w, 0, channel, w.lanes)

cdef void finish_tile(const nd_job *job, const Tiling *t, const Window *w, int lane, ptrdiff_t channel,
                      ptrdiff_t channels) noexcept nogil:
    """Residual and activation on the outputs of a tile, an array of its own."""
    cdef nd_job part = job[0]
    cdef nd_array *r = &part.residual
    cdef Pixel at
    cdef ptrdiff_t d, h
    part.y.data = w.data[lane]
    part.y.d, part.y.h, part.y.w = w.step[0], w.step[1], w.step[2]
    if r.data != NULL:
        at = w.first[lane]
        r.data += job.k.size * (at.n * r.n + channel * r.c + at.d * r.d + at.h * r.h + at.w * r.w)
        r.d, r.h, r.w = r.d * t.side[0].phases, r.h * t.side[1].phases, r.w * t.side[2].phases
    at.n = at.w = 0
    for d in range(w.high[0][lane]):
        for h in range(w.high[1][lane]):
            at.d, at.h = d, h
            finish_pixels(&part, 0, channels, at, w.high[2][lane])

cdef void compute_tile(const nd_job *job, const Prepared *prepared, const Window *w, int lane, ptrdiff_t channel) noexcept nogil:
    """The outputs of a tile by their definition."""
    cdef const nd_problem *p = job.p
    cdef const Tiling *t = prepared.t
    cdef nd_array x = job.x
    cdef Pixel first = w.first[lane]
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t d, h, i, size = job.k.size
    cdef const char *bias = NULL
    if job.bias != NULL:
        bias = <const char *>job.bias + size * channel
    x.data += size * (first.n * x.n + channel // p.ocg * p.icg * x.c)
    for d in range(w.high[0][lane]):
        for h in range(w.high[1][lane]):
            for i in range(w.high[2][lane]):
                at[0], at[1] = first.d + d * t.side[0].phases, first.h + h * t.side[1].phases
                at[2] = first.w + i * t.side[2].phases
                job.k.conv_points(p, &x, prepared.raw + size * channel * p.icg * taps_of(p), at, 1,
                                  w.data[lane] + size * (d * w.step[0] + h * w.step[1] + i * w.step[2]), 1, bias)
