# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Tiles and blocks of the winograd method."""
from ndconv._c cimport ND_FINE, nd_array, nd_kernel_set, nd_problem
from ndconv._pack cimport block_bytes, ceil_div

cdef enum:
    LINE = 64
    CACHE_BYTES = 655360         # of V and M of a block: what L2 has left
    LEAST = 28                   # tiles of a block: as often is a weight used when it has come from the last level of the cache
    MOST = 48
    FEW = 168                    # tiles that are not cut into blocks
    PASS = 2                     # what a pass over the weights costs beside the products of a tile
    THREADS = 4                  # that as many blocks fall to each of them
    DEPTH = 4                    # output planes of a block
    SLICES = 4                   # panels: fewer of fresh weights would not keep threads busy

cdef ptrdiff_t odd_lines(ptrdiff_t count, const nd_kernel_set *k) noexcept nogil:
    """`count` elements in an odd number of cache lines, so that points do not all fall on the same cache sets."""
    return (ceil_div(count * k.size, LINE) | 1) * LINE // k.size

cdef void set_block(Tiling *t, const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Blocks that L2 holds, as many as cost least in passes over the weights, in pixels that two blocks see and in threads that
    wait; a single one where there would be few."""
    cdef ptrdiff_t tiles, columns, parts, rows, blocks, few
    cdef double cost, least = -1, pixel = 10.0 / (t.points * t.cells_y * p.ocg)     # to gather one, beside the products of a tile
    t.slice = min(t.panels, max(64 // t.width, 1))
    t.depth = 1 if p.kd == 1 else min(p.od, <ptrdiff_t>DEPTH)
    t.planes = t.depth + (p.kd - 1) * p.dd
    tiles = CACHE_BYTES // (t.points * k.size * (t.icp * t.planes * t.cells + t.slice * t.width * t.depth))
    tiles = block_bytes(p, min(max(tiles, <ptrdiff_t>LEAST), <ptrdiff_t>MOST))
    # M of four cells leaves L2 sooner, which costs less only than to read more weights again
    few = FEW if t.cells_y == 1 else max(FEW, p.icg) // t.cells_y
    t.common = t.depth == 1 and t.lines * t.tw * p.od * p.g < few
    if t.common:
        t.rows, t.parts, t.depth, t.slice = t.lines, 1, p.od, t.panels
        return
    for columns in range(1, min(tiles, t.tw) + 1):
        parts = ceil_div(t.tw, columns)
        for rows in range(1, min(tiles // columns, t.lines) + 1):
            blocks = ceil_div(t.lines, rows) * parts * ceil_div(p.od, t.depth)
            cost = t.lines * t.tw * p.od * steps_of(rows * columns, k.mr) / (rows * columns) \
                + blocks * (PASS + t.planes * pixel * (rows * t.mh + 2) * (columns * t.mw + LINE // k.size))
            cost *= <double>ceil_div(blocks, THREADS) * THREADS / blocks
            if least < 0 or cost < least:
                least, t.parts, t.rows = cost, parts, rows

cdef inline double steps_of(ptrdiff_t tiles, ptrdiff_t rows) noexcept nogil:
    """What products of so many tiles cost, if those of a register tile of `rows` cost as many: a lower one costs more."""
    return (2.0 * tiles + ceil_div(tiles, rows) * rows) / 3

cdef nd_problem problem_of_cells(const nd_problem *p) noexcept nogil:
    """A transposed problem with strides of 2 as one with strides of 1, whose result i on an axis stands for four, or for two an
    axis. All of them are sums of the same pixels of x, with taps of their own (tap_of_cell in _winograd_weights.pyx):

        y[2i + r - before] = sum over t of x[i + t - pad] w[tap t of cell r],    r = 0, 1,    before = before_results(...)"""
    cdef nd_problem q = p[0]
    q.sh = q.sw = 1
    q.kh, q.kw = ceil_div(p.kh, 2), ceil_div(p.kw, 2)
    q.ph, q.pw = q.kh - 1 - ((p.ph + p.kh % 2) >> 1), q.kw - 1 - ((p.pw + p.kw % 2) >> 1)
    q.oh, q.ow = (p.oh + 1 + before_results(p.kh, p.ph)) // 2, (p.ow + 1 + before_results(p.kw, p.pw)) // 2
    q.pd = -p.pd
    return q

cdef ptrdiff_t before_results(ptrdiff_t taps, ptrdiff_t pad) noexcept nogil:
    """Of the two results of the first pair on an axis, how many lie before y."""
    return (taps + pad) & 1

cdef Tiling choose_tiling(const nd_problem *p, const nd_kernel_set *k, bint gradient, ptrdiff_t cells_y) noexcept nogil:
    cdef Tiling t
    cdef ptrdiff_t h, w
    # of a stride of 2 each phase takes every second tap; the taps of all are counted as those of the first
    t.cells_h, t.cells_w, t.v.taps = p.sh, p.sw, max(ceil_div(p.kh, p.sh), ceil_div(p.kw, p.sw))
    t.v.points_h, t.v.points_w = t.v.taps + 3 if p.kh > 1 else 1, t.v.taps + 3 if p.kw > 1 else 1
    t.cells, t.cells_y, t.width = t.cells_h * t.cells_w, cells_y, cells_y * k.nr
    t.runs, t.steps = p.kd * t.cells, STEPS // t.cells
    t.phases_h, t.phases_w = p.dh if p.kh > 1 else 1, p.dw if p.kw > 1 else 1
    h, w = ceil_div(p.oh, t.phases_h), ceil_div(p.ow, t.phases_w)
    # F(2, 3) where F(4, 3) takes no fewer multiplications: small images, which tiles of 4 do not fill; and where it is asked
    # for: a handful of tiles in all share weights that no cache holds, of whose points it has fewer than half
    if p.kh == p.kw == 3 and t.cells == 1 and not gradient \
            and (16 * ceil_div(h, 2) * ceil_div(w, 2) <= 36 * ceil_div(h, 4) * ceil_div(w, 4)
                 or t.cells_y == 1 and p.blocking == ND_FINE):
        t.v.points_h = t.v.points_w = 4
    # F(6, 3) where it takes a tenth fewer; its sums are short, so that it keeps the bound on the error
    elif k.size == 8 and p.kd == 1 and p.kh == p.kw == 3 and t.cells == 1 and not gradient \
            and 640 * ceil_div(h, 6) * ceil_div(w, 6) <= 324 * ceil_div(h, 4) * ceil_div(w, 4):
        t.v.points_h = t.v.points_w = 8
        t.steps = FRESH
    t.points = t.v.points_h * t.v.points_w
    t.mh, t.mw = t.v.points_h - ceil_div(p.kh, p.sh) + 1, t.v.points_w - ceil_div(p.kw, p.sw) + 1
    t.th, t.tw = ceil_div(h, t.mh), ceil_div(w, t.mw)
    t.lines = p.n * t.phases_h * t.phases_w * t.th
    t.icp, t.panels = ceil_div(p.icg, k.vl) * k.vl, ceil_div(p.ocg, k.nr)
    t.fresh = False
    set_block(&t, p, k)
    set_sizes(&t, p, k)
    return t

cdef void take_fresh_weights(Tiling *t, const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Where all tiles are one block, a slice can transform its weights itself: they are needed once."""
    t.fresh = t.common and t.panels >= SLICES
    if t.fresh:
        t.slice = 2 if t.panels >= 4 * SLICES else 1
        set_sizes(t, p, k)

cdef void set_sizes(Tiling *t, const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """What follows from the block."""
    t.columns = ceil_div(t.tw, t.parts)
    t.planes = t.depth + (p.kd - 1) * p.dd
    t.slices = ceil_div(t.panels, t.slice)
    t.tiles = t.rows * t.columns
    t.blocks = ceil_div(t.lines, t.rows) * t.parts * ceil_div(p.od, t.depth)
    t.u_point = odd_lines((t.slice * min(p.icg, <ptrdiff_t>FRESH) if t.fresh else t.panels * p.icg) * t.runs * t.width, k)
    t.v_point = odd_lines(t.planes * t.cells * t.tiles * t.icp, k)
    t.m_row = t.slice * t.width
    t.m_point = odd_lines(t.depth * t.tiles * t.m_row, k)
    t.v_bytes, t.m_bytes = t.points * t.v_point * k.size, t.points * t.m_point * k.size

cdef Block block_at(const nd_problem *p, const Tiling *t, ptrdiff_t index) noexcept nogil:
    """Block `index` of all groups."""
    cdef Block b
    cdef ptrdiff_t depths = ceil_div(p.od, t.depth)
    b.first = index % t.parts * t.columns
    index //= t.parts
    b.plane = index % depths * t.depth
    index //= depths
    b.line = index % ceil_div(t.lines, t.rows) * t.rows
    b.g = index // ceil_div(t.lines, t.rows)
    b.rows, b.columns = min(t.rows, t.lines - b.line), max(min(t.columns, t.tw - b.first), 0)
    b.depth = min(t.depth, p.od - b.plane)
    return b

cdef inline void set_phase(ptrdiff_t phase, ptrdiff_t phases, ptrdiff_t i, ptrdiff_t o, ptrdiff_t pad, ptrdiff_t *extent_in,
                           ptrdiff_t *extent_out, ptrdiff_t *before, ptrdiff_t *start) noexcept nogil:
    """Outputs phase, phase + phases, ... see inputs start, start + phases, ...: their extents, and the padding before."""
    cdef ptrdiff_t left = phase - pad
    start[0] = (left % phases + phases) % phases
    before[0] = (start[0] - left) // phases
    extent_in[0] = ceil_div(max(i - start[0], 0), phases)
    extent_out[0] = ceil_div(max(o - phase, 0), phases)

cdef Plane rows_of_cell(const Plane *p, ptrdiff_t cell, ptrdiff_t cells) noexcept nogil:
    """Every `cells`-th row, from the first that an output's tap `cell` sees."""
    cdef Plane c = p[0]
    cdef ptrdiff_t start, none
    set_phase(cell, cells, p.h, 0, p.ph, &c.h, &none, &c.ph, &start)
    c.at, c.row = p.at + start * p.row, cells * p.row
    return c

cdef Plane columns_of_cell(const Plane *p, ptrdiff_t cell, ptrdiff_t cells) noexcept nogil:
    cdef Plane c = p[0]
    cdef ptrdiff_t start, none
    set_phase(cell, cells, p.w, 0, p.pw, &c.w, &none, &c.pw, &start)
    c.at, c.col = p.at + start * p.col, cells * p.col
    return c

cdef View view_of(const nd_problem *p, const Tiling *t, const nd_array *x, const nd_array *y, ptrdiff_t g,
                  ptrdiff_t image) noexcept nogil:
    """Phase image % phases of image image // phases."""
    cdef View v
    cdef ptrdiff_t start_h, start_w
    v.at_w = image % t.phases_w
    image //= t.phases_w
    v.at_h = image % t.phases_h
    image //= t.phases_h
    v.image = image
    set_phase(v.at_h, t.phases_h, p.ih, p.oh, p.ph, &v.x.h, &v.y.h, &v.x.ph, &start_h)
    set_phase(v.at_w, t.phases_w, p.iw, p.ow, p.pw, &v.x.w, &v.y.w, &v.x.pw, &start_w)
    v.y.ph = v.y.pw = 0
    v.x.at = image * x.n + g * p.icg * x.c + start_h * x.h + start_w * x.w
    v.y.at = image * y.n + g * p.ocg * y.c + v.at_h * y.h + v.at_w * y.w
    v.x.row, v.x.col, v.y.row, v.y.col = t.phases_h * x.h, t.phases_w * x.w, t.phases_h * y.h, t.phases_w * y.w
    return v
