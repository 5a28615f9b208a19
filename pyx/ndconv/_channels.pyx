# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Windows where channels are neighbours in memory (NHWC), a vector of channels at once: the windows that lie inside their row
of x one after the other, so that they share the columns of cells they have in common (kernels/pool_values.h); others, and those
with indices, one by one from a list of their cells."""
from ndconv._c cimport nd_kernel_set, nd_pool_pixels, nd_problem
from ndconv._pack cimport whole_lines
from ndconv._rows cimport inner_end, no_place, window_rows
from ndconv._window cimport TABLE, Pool, Way, cells_at, clip, empty_value, least, most_of, pads_to, row_cells, up

cdef enum:
    CHANNELS = 256        # of a task

cdef struct Cells:
    char *out
    char *places
    const void **cells     # of a window, and their positions
    ptrdiff_t *bases

cdef size_t channels_bytes(const Pool *f, Cells *r, char *base) noexcept nogil:
    cdef size_t wide = f.k.size * pads_to(f.block_c), cells = f.p.kd * f.p.kh * f.p.kw
    r.out = base
    r.places = r.out + wide
    r.cells = <const void **>(r.places + wide)
    r.bases = <ptrdiff_t *>(r.cells + cells)
    return whole_lines(<char *>(r.bases + cells) - base)

cdef void channels_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, parts = up(p.icg, f.block_c), task, n, c, od, oh
    cdef Cells r
    channels_bytes(f, &r, f.scratch + worker * f.slice)
    for task in range(begin, end):
        c = task % parts * f.block_c
        oh = task // parts % p.oh
        od = task // parts // p.oh % p.od
        n = task // parts // p.oh // p.od
        channels_row(f, &r, n, c, od, oh, least(f.block_c, p.icg - c))

cdef void channels_row(const Pool *f, const Cells *r, ptrdiff_t n, ptrdiff_t c, ptrdiff_t od, ptrdiff_t oh,
                       ptrdiff_t cb) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, ow, count
    cdef const char *image = f.x.data + size * (n * f.x.n + c * f.x.c)
    cdef char *line = f.y.data + size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h)
    cdef char *places = f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h)
    cdef char *y
    cdef char *out
    cdef double cells = row_cells(f, od, oh) if f.divide else 0
    cdef double divisor = 0
    cdef ptrdiff_t first = up(most_of(p.pw, 0), p.sw), last = most_of(inner_end(p), first) if joins(f, cb) else first
    if last > first:
        count = window_rows(f, r.cells, r.bases, image, od, oh, first * p.sw - p.pw)
        if count:
            join_windows(f, r, count, first, last, line, cb, cells)
        else:
            last = first
    for ow in range(p.ow):
        if first <= ow < last:
            continue
        y = line + size * ow * f.y.w
        out = y if f.y.c == 1 else r.out
        count = window_cells(f, r, image, od, oh, ow)
        if f.divide:
            divisor = cells * cells_at(f, ow)
        if count == 0:
            empty_value(f, out, cb)
            no_place(f, r.places, cb)
            if f.divide:
                k.pool_store(out, 1, out, 1, cb, <char *>f.cells + size * ow, 0, cells)
        elif f.at_size:
            k.pool_combine_index(out, r.places, r.cells, r.bases, count, cb, 0, f.op)
        else:
            k.pool_combine(out, r.cells, count, cb, f.op, divisor, 0)
        if out != y:
            k.scatter(y, f.y.c, out, 1, cb)
        if f.at_size:
            k.pool_store_index(places + f.at_size * ow * f.at.w, f.at_size, f.at.c, r.places, cb)

cdef bint joins(const Pool *f, ptrdiff_t cb) noexcept nogil:
    """Whether pool_pixels takes the windows that lie inside their row of x."""
    cdef nd_pool_pixels s
    s.kw, s.sw, s.op = f.p.kw, f.p.sw, f.op
    return f.at_size == 0 and f.y.c == 1 and cb >= f.k.vl and f.p.dw == 1 and f.k.pool_pixels(&s, NULL, NULL)

cdef void join_windows(const Pool *f, const Cells *r, ptrdiff_t count, ptrdiff_t first, ptrdiff_t last, char *line, ptrdiff_t cb,
                       double cells) noexcept nogil:
    """Windows first to last, whose rows are listed, of cb channels."""
    cdef nd_pool_pixels s
    s.count, s.kw, s.sw, s.windows, s.pixel, s.y_pixel, s.channels = count, f.p.kw, f.p.sw, last - first, f.x.w, f.y.w, cb
    s.op, s.share = f.op, 1 / (cells * cells_at(f, first)) if f.divide else 1
    f.k.pool_pixels(&s, r.cells, line + f.k.size * first * f.y.w)

cdef ptrdiff_t window_cells(const Pool *f, const Cells *r, const char *image, ptrdiff_t od, ptrdiff_t oh,
                            ptrdiff_t ow) noexcept nogil:
    """Lists the cells of a window that are not padding, and their positions."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t d, h, w, i, j, l, count = 0, place
    cdef ptrdiff_t nd = clip(od * p.sd - p.pd, 0, p.id, p.kd, p.dd, &d)
    cdef ptrdiff_t nh = clip(oh * p.sh - p.ph, 0, p.ih, p.kh, p.dh, &h)
    cdef ptrdiff_t nw = clip(ow * p.sw - p.pw, 0, p.iw, p.kw, p.dw, &w)
    cdef const char *row
    d = od * p.sd - p.pd + d * p.dd
    h = oh * p.sh - p.ph + h * p.dh
    w = ow * p.sw - p.pw + w * p.dw
    for i in range(nd):
        for j in range(nh):
            row = image + f.k.size * ((d + i * p.dd) * f.x.d + (h + j * p.dh) * f.x.h + w * f.x.w)
            place = ((d + i * p.dd) * f.fh + h + j * p.dh) * f.fw + w
            for l in range(nw):
                r.cells[count] = row + f.k.size * l * p.dw * f.x.w
                r.bases[count] = place + l * p.dw
                count += 1
    return count


cdef bint plan_channels(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef Cells r
    if <double>p.kd * p.kh * p.kw > TABLE:
        return False
    f.block_c = least(p.icg, CHANNELS)
    f.slice = channels_bytes(f, &r, NULL)
    way.body, way.tasks = channels_body, p.n * p.od * p.oh * up(p.icg, f.block_c)
    way.work = <double>p.n * p.od * p.oh * p.ow * most_of(p.icg, f.k.vl) * (
        p.kd * p.kh * least(p.kw, p.sw) + p.kw if joins(f, f.block_c) else p.kd * p.kh * p.kw)
    return True
