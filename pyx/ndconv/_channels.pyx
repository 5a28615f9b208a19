# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Windows where channels are neighbours in memory (NHWC), vectors of channels at once: the windows that lie inside their row of x
one after the other, so that they share the columns of cells they have in common (kernels/pool_values.h, with indices
kernels/pool_index.h), those that reach beyond it one by one."""
from ndconv._c cimport nd_kernel_set, nd_pool_pixels, nd_problem
from ndconv._pack cimport whole_lines
from ndconv._rows cimport inner_end, no_place, window_rows
from ndconv._window cimport TABLE, Pool, Way, cells_at, clip, empty_value, least, most_of, row_cells, up

cdef enum:
    CHANNELS = 256        # of a task
    RUN = 16              # windows whose results or positions wait in L1

cdef struct Cells:
    char *out              # [window][channel], where those of y are not neighbours
    char *places
    const void **cells     # rows of a window, and their positions
    ptrdiff_t *bases

cdef size_t channels_bytes(const Pool *f, Cells *r, char *base) noexcept nogil:
    cdef size_t wide = whole_lines(f.k.size * RUN * f.block_c)
    r.out = base
    r.places = r.out + wide
    r.cells = <const void **>(r.places + wide)
    r.bases = <ptrdiff_t *>(r.cells + f.p.kd * f.p.kh)
    return whole_lines(<char *>(r.bases + f.p.kd * f.p.kh) - base)

cdef void channels_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t parts = up(p.icg, f.block_c), task, n, c, od, oh
    cdef Cells r
    channels_bytes(f, &r, f.scratch + worker * f.slice)
    for task in range(begin, end):
        c = task % parts * f.block_c
        oh = task // parts % p.oh
        od = task // parts // p.oh % p.od
        n = task // parts // p.oh // p.od
        channels_row(f, &r, n, c, od, oh, least(f.block_c, p.icg - c))

cdef void channels_row(const Pool *f, const Cells *r, ptrdiff_t n, ptrdiff_t c, ptrdiff_t od, ptrdiff_t oh,
                       ptrdiff_t channels) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t ow = 0, w, size = f.k.size
    cdef char *y = f.y.data + size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h)
    cdef char *at = f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h)
    cdef double cells = row_cells(f, od, oh) if f.divide else 0
    cdef bint direct = f.y.c == 1
    cdef nd_pool_pixels s
    s.count = window_rows(f, r.cells, r.bases, f.x.data + size * (n * f.x.n + c * f.x.c), od, oh, 0)
    s.sw, s.dw, s.pixel, s.y_pixel, s.channels, s.op = p.sw, p.dw, f.x.w, f.y.w if direct else channels, channels, f.op
    while ow < p.ow:
        s.kw = clip(ow * p.sw - p.pw, 0, p.iw, p.kw, p.dw, &w)
        s.first = ow * p.sw - p.pw + w * p.dw
        s.windows = inner_end(p) - ow if s.kw == p.kw and s.count else 1
        if f.at_size or not direct:
            s.windows = least(s.windows, RUN)
        s.share = 1 / (cells * cells_at(f, ow)) if f.divide else 1
        run_of_windows(f, r, &s, y + size * ow * f.y.w if direct else r.out, <const char *>f.cells + size * ow, cells)
        for w in range(0 if direct else s.windows):
            f.k.scatter(y + size * (ow + w) * f.y.w, f.y.c, r.out + size * w * channels, 1, channels)
        for w in range(s.windows if f.at_size else 0):
            f.k.pool_store_index(at + f.at_size * (ow + w) * f.at.w, f.at_size, f.at.c, r.places + size * w * channels, channels)
        ow += s.windows

cdef void run_of_windows(const Pool *f, const Cells *r, const nd_pool_pixels *s, char *y, const char *counts,
                         double cells) noexcept nogil:
    """Windows one after the other, or one that has no cell."""
    if s.count == 0 or s.kw == 0:
        empty_value(f, y, s.channels)
        no_place(f, r.places, s.channels if f.at_size else 0)
        if f.divide:
            f.k.pool_store(y, 1, y, 1, s.channels, counts, 0, cells)
    elif f.at_size:
        f.k.pool_pixels_index(s, r.cells, r.bases, y, r.places)
    else:
        f.k.pool_pixels(s, r.cells, y)


cdef bint plan_channels(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef Cells r
    cdef nd_pool_pixels s
    if <double>p.kd * p.kh * p.kw > TABLE:
        return False
    f.block_c = least(p.icg, CHANNELS)
    f.slice = channels_bytes(f, &r, NULL)
    s.kw, s.sw, s.dw, s.channels, s.op = p.kw, p.sw, p.dw, f.block_c, f.op
    way.body, way.tasks = channels_body, p.n * p.od * p.oh * up(p.icg, f.block_c)
    way.work = <double>p.n * p.od * p.oh * p.ow * most_of(p.icg, f.k.vl) * (
        p.kd * p.kh * least(p.kw, p.sw) + p.kw if f.at_size == 0 and f.k.pool_pixels(&s, NULL, NULL) else p.kd * p.kh * p.kw)
    return True
