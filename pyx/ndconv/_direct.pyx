# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""direct: register-blocked convolution without im2col. The register tile (kernels/gemm.h) walks over the kernel taps and
reads each operand where it is.

A task is a block of output rows of one image, depth and group; where rows are long or few, of a stretch of their columns, and
of some of the output channels (`_direct_plan.pyx` cuts them, `_direct_slab.pyx` copies what they read):

    for cb in blocks of input channels
        copy the padded input rows of cb to a slab, unless they can be read in place    (up to 256 KiB, L2)
        for ob in blocks of output channels                                             (weights up to 384 KiB, L2)
            for v in vector panels, for t in broadcast tiles
                register tile over taps x channels, without the taps at which all of the tile sees padding

Lanes hold pixels (NCHW memory). The slab is [channel][kd][phase row][phase column][row][column]: a stride is taken apart
into phases while copying, so that the pixels of a vector are always neighbours. Rows follow each other at one pitch, and a
tile runs across row ends as if the block were one long row; the few results between rows are dropped when storing (7 to 1 %
of the work for 14 to 112 columns and 3 taps). Where that waste is larger than ending each row with a partial vector, as with
large dilations, tiles end with the row. With few channels the tile's steps are a list of places in the slab, since a run a
tap would cost more than its steps. And panels come first: all tiles of some rows for one panel, then for the next, so that y is
written in long stretches, and what is between rows is dropped row by row, from L1.

Lanes hold oc (NHWC memory). Weights are the vector operand, pixels the broadcast one: neighbouring pixels of a row are
sw*x.w apart, the channels of a pixel x.c. Without padding nothing is copied at all. Weights of a call on few pixels are not
prepared before: a task is some panels with all pixels, and turns their blocks itself.

Kernels of one tap with strides and no padding see x as if it had only the rows and columns that count (`thinned`).

Bytes moved: the input once or twice, weights once a task, results once a channel block. Expected: the rate of the register
tile, 90 to 95 % of the FMA peak, less what short sums cost.
Sources: Georganas et al., Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures, SC 2018; Zhang et
al., High Performance Zero-Memory Overhead Direct Convolutions, ICML 2018.
"""
from ndconv._c cimport (ND_ADD, ND_BIAS_COLUMN, ND_BIAS_ROW, ND_LIST, ND_ZERO, nd_array, nd_job, nd_kernel_set,
                        nd_method, nd_problem, nd_sizes, nd_tiles, nd_walk, nd_weights)
from ndconv._direct_plan cimport SHORT, Blocking, blocking, take_fresh_weights, thinned
from ndconv._direct_slab cimport Forward, Task, fill_pixels, fill_slab
from ndconv._method cimport new_method
from ndconv._pack cimport (Pixel, ceil_div, finish_pixels, gemm_rows, lines_kept, panels_bytes, prepare_block, prepare_panels,
                           split)
from ndconv._phases cimport transpose_forward, transpose_prepare, transpose_sizes
from ndconv._runtime cimport parallel_for
from ndconv._weight_grad cimport direct_bias_parts, direct_weight_grad, direct_weight_grad_bytes

from ndconv._phases import holds_pixels

cdef enum:
    PANELS_BYTES = 32768     # of weights that meet a tile of pixels together: in L1, with the pixels

cdef Blocking blocking_of(const nd_problem *p, const nd_kernel_set *k, bint fresh) noexcept nogil:
    cdef nd_array x
    cdef nd_problem thin = thinned(p, &x)
    cdef Blocking b = blocking(&thin, k)
    if fresh:
        take_fresh_weights(&thin, k, &b)
    return b

cdef inline ptrdiff_t worker_bytes(const Blocking *b) noexcept nogil:
    return b.slab + b.offsets + b.fresh + b.tile

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef Blocking b = blocking_of(p, k, False), fresh = blocking_of(p, k, True)
    to.prepared, to.prepare_worker, to.shared = panels_bytes(p, k), 0, 0
    to.worker, to.fresh = worker_bytes(&b), worker_bytes(&fresh) if fresh.fresh > 0 else 0

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef Blocking b = blocking_of(p, k, False)
    prepare_panels(p, k, w, to, b.icb, threads)

cdef void forward(const nd_job *job) noexcept nogil:
    cdef Forward f
    cdef nd_job thin = job[0]
    cdef nd_problem p = thinned(job.p, &thin.x)
    thin.p = &p
    f.job, f.b = &thin, blocking_of(job.p, job.k, job.w == NULL)
    parallel_for((1 if f.b.fresh > 0 else p.n * p.od) * p.g * f.b.blocks * f.b.strips * f.b.splits, 1, job.threads, forward_body,
                 &f)

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef Task t
    cdef ptrdiff_t i, part, at
    t.slab = f.job.workspace + worker * worker_bytes(b)
    t.a_off = <ptrdiff_t *>(t.slab + b.slab)
    t.b_off = t.a_off + b.offsets // (4 * <ptrdiff_t>sizeof(ptrdiff_t))
    t.a_live = t.b_off + (t.b_off - t.a_off)
    t.b_live = t.a_live + (t.b_off - t.a_off)
    t.fresh = t.slab + b.slab + b.offsets
    t.tile = t.fresh + b.fresh
    for i in range(begin, end):
        part, at = i % b.splits, i // b.splits
        t.ow, at = at % b.strips * b.columns, at // b.strips
        t.oh, t.od = split(p.oh, b.blocks, at % b.blocks), at // b.blocks
        t.rows = split(p.oh, b.blocks, at % b.blocks + 1) - t.oh
        t.g, t.od = (t.od // p.od, t.od % p.od) if b.fresh == 0 else (t.od, <ptrdiff_t>0)
        t.n, t.g = t.g // p.g, t.g % p.g
        t.columns = min(b.columns, p.ow - t.ow)
        t.low, t.high = split(b.panels, b.splits, part), split(b.panels, b.splits, part + 1)
        if b.lanes_oc:
            convolve_lanes_oc(f, &t)
        else:
            convolve_lanes_pixels(f, &t)
        if b.fresh == 0:
            finish_rows(f, &t)
            continue
        for at in range(p.n * p.od):
            t.n, t.od = at // p.od, at % p.od
            finish_rows(f, &t)

cdef inline void finish_rows(Forward *f, const Task *t) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef ptrdiff_t low, high, row
    cdef Pixel at
    at.n, at.d, at.h, at.w = t.n, t.od, t.oh, t.ow
    if b.lanes_oc:
        low, high = t.low * f.job.k.nr, min(t.high * f.job.k.nr, p.ocg)
    else:
        low, high = b.height * t.low + min(t.low, b.taller), b.height * t.high + min(t.high, b.taller)
    if t.columns == p.ow:
        finish_pixels(f.job, t.g * p.ocg + low, high - low, at, t.rows * p.ow)
        return
    for row in range(t.rows):
        at.h = t.oh + row
        finish_pixels(f.job, t.g * p.ocg + low, high - low, at, t.columns)

cdef inline int start_of(const Forward *f, ptrdiff_t c0, int bias) noexcept nogil:
    return ND_ADD if c0 > 0 else bias if f.job.bias != NULL else ND_ZERO

cdef bint live_range(ptrdiff_t first, ptrdiff_t last, ptrdiff_t extent, ptrdiff_t dilation, ptrdiff_t *low,
                     ptrdiff_t *high) noexcept nogil:
    """Narrows low <= tap < high to those at which some of the places first..last, moved by tap*dilation, may lie in an array of
    `extent` elements; returns whether that leaves any out."""
    cdef ptrdiff_t taps = high[0]
    if first >= 0 and last + (taps - 1) * dilation < extent:
        return False
    if last < 0:
        low[0] = min(ceil_div(-last, dilation), taps)
    high[0] = max(min(ceil_div(extent - first, dilation), taps), low[0]) if first < extent else low[0]
    return low[0] > 0 or high[0] < taps

cdef void live_walk(const Forward *f, const Task *t, const nd_walk *whole, ptrdiff_t row, ptrdiff_t column, ptrdiff_t columns,
                    nd_walk *to) noexcept nogil:
    """The walk of a tile of one row without the taps at which all of it sees padding. Runs are taps or rows of taps."""
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t d = t.od * p.sd - p.pd, h = (t.oh + row) * p.sh - p.ph, w = (t.ow + column) * p.sw - p.pw, td, th, tw, run
    cdef ptrdiff_t d0 = 0, h0 = 0, w0 = 0, d1 = p.kd, h1 = p.kh, w1 = p.kw, width = p.kw, skip = 0
    cdef bint fewer = live_range(d, d, p.id, p.dd, &d0, &d1)
    fewer |= live_range(h, h, p.ih, p.dh, &h0, &h1)
    fewer |= live_range(w, w + (columns - 1) * p.sw, p.iw, p.dw, &w0, &w1)
    to[0] = whole[0]
    if not fewer or p.bordered:
        return
    if whole.runs < f.b.taps:
        # a run is a row of taps: those of its middle
        skip, to.len, width = w0 * (whole.len // p.kw), (w1 - w0) * (whole.len // p.kw), 1
        w0, w1 = 0, 1
    to.runs, to.a_off, to.b_off = 0, t.a_live, t.b_live
    for td in range(d0, d1):
        for th in range(h0, h1):
            for tw in range(w0, w1):
                run = (td * p.kh + th) * width + tw
                t.a_live[to.runs], t.b_live[to.runs] = whole.a_off[run] + skip * whole.a_k, whole.b_off[run] + skip * whole.b_k
                to.runs += 1

# ------------------------------------------------------------------------------------------ lanes hold pixels

cdef void convolve_lanes_pixels(Forward *f, Task *t) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Blocking *b = &f.b
    cdef ptrdiff_t c0 = 0, c, tap, td, th, tw, plane = b.slab_rows * b.slab_columns, row
    cdef nd_walk walk
    walk.runs, walk.a_off, walk.b_off = b.taps, t.a_off, t.b_off
    walk.a_row, walk.a_k, walk.b_k = 1, k.mr, b.channel
    for tap in range(b.taps):
        td, th, tw = tap // (p.kw * p.kh), tap // p.kw % p.kh, tap % p.kw
        row = th if b.rows == 1 else th * p.dh // b.fh
        t.b_off[tap] = ((td * b.fh + (0 if b.rows == 1 else th * p.dh % b.fh)) * b.fw
                        + (tw if b.copied else tw * p.dw % b.fw)) * plane \
            + row * b.slab_columns + (0 if b.copied else tw * p.dw // b.fw)
    while c0 < p.icg:
        walk.len = min(b.icb, p.icg - c0)
        fill_slab(f, t, c0, walk.len)
        for tap in range(b.taps):
            t.a_off[tap] = tap * walk.len * k.mr
        if b.icb < SHORT:
            for tap in range(b.taps):
                for c in range(walk.len):
                    t.b_live[tap * walk.len + c] = t.b_off[tap] + c * b.channel
            walk.runs, walk.len, walk.b_off = ND_LIST, b.taps * walk.len, t.b_live
        multiply_slab(f, t, &walk, c0)
        c0 += b.icb

# Positions of the slab's long row, dealt out evenly to tiles, as split() does: so many vectors each, one more to the first few.
cdef struct Columns:
    ptrdiff_t length, tiles, least, wider

cdef inline Columns columns_of(const Forward *f, const Task *t, ptrdiff_t rows) noexcept nogil:
    cdef Columns c
    cdef ptrdiff_t vectors
    c.length = t.columns if f.b.by_row else (rows - 1) * f.b.slab_columns + t.columns
    vectors = ceil_div(c.length, f.job.k.vl)
    c.tiles = ceil_div(vectors, f.b.wide // f.job.k.vl)
    c.least, c.wider = vectors // c.tiles, vectors % c.tiles
    return c

cdef inline bint rows_joined(const Forward *f) noexcept nogil:
    """Whether rows follow each other in the slab and in y alike, as one."""
    return f.b.columns == f.b.slab_columns == f.job.p.ow and f.job.y.h == f.job.p.ow * f.job.y.w

cdef void multiply_slab(Forward *f, Task *t, const nd_walk *walk, ptrdiff_t c0) noexcept nogil:
    """All tiles of a task for one block of channels."""
    cdef Blocking *b = &f.b
    cdef ptrdiff_t low = t.low, high, row
    cdef Columns columns
    if b.panels_first:
        for row in range(ceil_div(t.rows, b.together)):
            multiply_panels(f, t, walk, row * b.together, min(b.together, t.rows - row * b.together))
        return
    columns = columns_of(f, t, t.rows)
    while low < t.high:
        high = min(low + b.ob, t.high)
        for row in range(t.rows if b.by_row else 1):
            multiply_columns(f, t, walk, c0, low, high, row, &columns)
        low = high

cdef void multiply_panels(Forward *f, Task *t, const nd_walk *walk, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """Tiles over some rows, a panel of weights at a time, so that y is written in long stretches of few channels. Where a tile
    runs across row ends, the results wait beside y, and what is between rows is dropped."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Blocking *b = &f.b
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, panel, c, m, o = b.height * t.low + min(t.low, b.taller)
    cdef ptrdiff_t panel_bytes = size * p.icg * b.taps * k.mr
    cdef const char *a = <const char *>f.job.w + (t.g * b.panels + t.low) * panel_bytes
    cdef const char *x = t.slab + size * row * b.slab_columns
    cdef const char *bias
    cdef char *to = y.data + size * (t.n * y.n + t.od * y.d + (t.oh + row) * y.h + t.ow * y.w + (t.g * p.ocg + o) * y.c)
    cdef int start = start_of(f, 0, ND_BIAS_ROW)
    cdef bint wait = not b.by_row and not rows_joined(f)
    cdef Columns columns = columns_of(f, t, rows)
    for panel in range(t.low, t.high):
        m, bias = b.height + (panel < b.taller), <const char *>f.job.bias + size * (t.g * p.ocg + o)
        if wait:
            multiply_stretch(k, walk, &columns, m, a, x, t.tile, b.line, 1, start, bias)
            for c in range(m):
                store_rows(k, to + size * c * y.c, y.h, y.w, t.tile + size * c * b.line, rows, t.columns, b.slab_columns)
        else:
            multiply_stretch(k, walk, &columns, m, a, x, to, y.c, y.w, start, bias)
        o += m
        to += size * m * y.c
        a += panel_bytes

cdef void multiply_stretch(const nd_kernel_set *k, const nd_walk *walk, const Columns *columns, ptrdiff_t m, const char *a,
                           const char *x, char *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const char *bias) noexcept nogil:
    """The tiles of a panel; the last is as wide as the row lets it be."""
    cdef ptrdiff_t step, done = 0, i
    cdef ptrdiff_t[3] count = [columns.wider, columns.tiles - columns.wider - 1, 1]
    cdef nd_tiles tiles
    tiles.a = tiles.bias = 0
    for i in range(3):
        step, tiles.count = (columns.least + (i == 0)) * k.vl, count[i]
        if tiles.count > 0:
            tiles.b, tiles.y = step, step * y_col
            k.gemm_tiles(walk, &tiles, m, min(step, columns.length - done), a, x + k.size * done, y + k.size * done * y_col,
                         y_row, y_col, start, bias)
            done += tiles.count * step

cdef inline void store_rows(const nd_kernel_set *k, char *to, ptrdiff_t to_row, ptrdiff_t to_pixel, const char *results,
                            ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t pitch) noexcept nogil:
    """Rows of results, `pitch` apart, to y."""
    cdef ptrdiff_t r
    if to_pixel == 1:
        k.move(to, to_row, results, rows, columns, pitch, 1)
        return
    for r in range(rows):
        k.scatter(to + k.size * r * to_row, to_pixel, results + k.size * r * pitch, 1, columns)

cdef void multiply_columns(Forward *f, Task *t, const nd_walk *whole, ptrdiff_t c0, ptrdiff_t low, ptrdiff_t high,
                           ptrdiff_t row, const Columns *columns) noexcept nogil:
    """Tiles over positions of the slab's long row, from the beginning of a row on, for weight panels low to high."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Blocking *b = &f.b
    cdef ptrdiff_t size = k.size, first = row * b.slab_columns, panel_bytes = size * p.icg * b.taps * k.mr
    cdef ptrdiff_t v, i = 0, cols, panel, o, m, column = 0
    cdef nd_walk live = whole[0]
    cdef const nd_walk *walk = &live
    cdef nd_tiles tiles
    cdef int start = start_of(f, c0, ND_BIAS_ROW)
    cdef const nd_array *y = &f.job.y
    cdef const char *panels = <const char *>f.job.w + t.g * b.panels * panel_bytes + size * c0 * b.taps * k.mr
    cdef char *to = y.data + size * (t.n * y.n + t.od * y.d + t.ow * y.w + t.g * p.ocg * y.c)
    cdef const char *bias = <const char *>f.job.bias + size * t.g * p.ocg
    cdef bint joined = rows_joined(f)
    tiles.a, tiles.b = p.icg * b.taps * k.mr, 0
    for v in range(columns.tiles):
        cols = min((columns.least + (v < columns.wider)) * k.vl, columns.length - i)
        if b.by_row and b.icb >= SHORT:
            live_walk(f, t, whole, row, column, cols, &live)
        o = b.height * low + min(low, b.taller)
        panel = low
        while panel < high:
            m = b.height + (panel < b.taller)
            tiles.count = 1
            if joined or column + cols <= t.columns:
                # all panels of a height at once
                tiles.count = (min(high, b.taller) if panel < b.taller else high) - panel
                tiles.y, tiles.bias = m * y.c, m
                k.gemm_tiles(walk, &tiles, m, cols, panels + panel * panel_bytes, t.slab + size * (first + i),
                             to + size * (o * y.c + (t.oh + row) * y.h + column * y.w), y.c, y.w, start, bias + size * o)
            else:
                k.gemm(walk, m, cols, panels + panel * panel_bytes, t.slab + size * (first + i), t.tile, b.wide, 1,
                       ND_ZERO if start == ND_ADD else start, bias + size * o)
                store_across_rows(f, t, to + size * o * y.c, m, row, column, cols, start == ND_ADD)
            o += m * tiles.count
            panel += tiles.count
        i += cols
        column += cols
        while column >= b.slab_columns:
            column -= b.slab_columns
            row += 1

cdef void store_across_rows(Forward *f, Task *t, char *to, ptrdiff_t m, ptrdiff_t row, ptrdiff_t column, ptrdiff_t cols,
                            bint add) noexcept nogil:
    """The results in t.tile, m channels of `cols` positions from (row, column) on, without those between rows."""
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t i = 0, run, c
    cdef char *at
    while i < cols:
        run = min(t.columns - column, cols - i)
        if run > 0:
            at = to + k.size * ((t.oh + row) * y.h + column * y.w)
            if add:
                for c in range(m):
                    k.add(at + k.size * c * y.c, y.w, t.tile + k.size * (c * f.b.wide + i), run)
            else:
                store_rows(k, at, y.c, y.w, t.tile + k.size * i, m, run, f.b.wide)
        i += f.b.slab_columns - column
        row, column = row + 1, 0

# ---------------------------------------------------------------------------------------------- lanes hold oc

cdef bint in_place(const nd_problem *p, const Task *t) noexcept nogil:
    """Whether no tap of the block falls into the padding."""
    cdef ptrdiff_t d = t.od * p.sd - p.pd, h = t.oh * p.sh - p.ph, w = t.ow * p.sw - p.pw
    return (d >= 0 and d + (p.kd - 1) * p.dd < p.id and h >= 0 and h + (t.rows - 1) * p.sh + (p.kh - 1) * p.dh < p.ih
            and w >= 0 and w + (t.columns - 1) * p.sw + (p.kw - 1) * p.dw < p.iw)

cdef void convolve_lanes_oc(Forward *f, Task *t) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t c0 = 0, i
    while c0 < p.icg:
        if f.b.fresh == 0:
            multiply_channels(f, t, c0)
        else:
            turn_weights(f, t, c0)
            for i in range(p.n * p.od):
                t.n, t.od = i // p.od, i % p.od
                multiply_channels(f, t, c0)
        c0 += f.b.icb

cdef void turn_weights(const Forward *f, const Task *t, ptrdiff_t c0) noexcept nogil:
    """The blocks of a task's panels, from weights that were not prepared."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_weights *w = &f.job.fresh
    cdef ptrdiff_t panel, count = min(f.b.icb, p.icg - c0)
    for panel in range(t.low, t.high):
        prepare_block(p, k, w, w.data + k.size * (t.g * w.g + panel * k.nr * w.o + c0 * w.c), count,
                      min(k.nr, p.ocg - panel * k.nr), k.nr, t.fresh + k.size * (panel - t.low) * count * f.b.taps * k.nr)

cdef void multiply_channels(Forward *f, Task *t, ptrdiff_t c0) noexcept nogil:
    """All tiles of a task for one block of channels."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef Blocking *b = &f.b
    cdef ptrdiff_t low, high, tap, count = min(b.icb, p.icg - c0), depth, line, pixel, size = k.size
    cdef bint here = in_place(p, t) and k.mr <= lines_kept(p.sw * x.w * size)
    cdef const char *a
    cdef nd_walk walk
    walk.a_off, walk.b_off, walk.b_k = t.a_off, t.b_off, k.nr
    if b.fresh > 0:
        t.weights, t.panel = t.fresh, count * b.taps * k.nr
    else:
        t.panel = p.icg * b.taps * k.nr
        t.weights = <const char *>f.job.w + size * ((t.g * b.panels + t.low) * t.panel + c0 * b.taps * k.nr)
    if here:
        a = x.data + size * (t.n * x.n + (t.g * p.icg + c0) * x.c + (t.od * p.sd - p.pd) * x.d
                             + (t.oh * p.sh - p.ph) * x.h + (t.ow * p.sw - p.pw) * x.w)
        depth, line, pixel, walk.a_k = p.dd * x.d, x.h, x.w, x.c
    else:
        fill_pixels(f, t, c0, count)
        a, pixel, walk.a_k = t.slab, count, 1
        line = b.slab_columns * pixel
        depth = b.slab_rows * line
    walk.runs, walk.len, walk.a_row = b.taps, count, p.sw * pixel
    for tap in range(b.taps):
        t.b_off[tap] = tap * count * k.nr
        t.a_off[tap] = tap // (p.kw * p.kh) * depth + tap % p.kw * p.dw * pixel \
            + tap // p.kw % p.kh * line * (1 if b.rows == 1 and not here else p.dh)
    if p.dw == 1 and walk.a_k == 1 and pixel == count:
        # the channels of neighbouring taps follow each other: a run is a row of taps
        walk.runs, walk.len = p.kd * p.kh, p.kw * count
        for tap in range(walk.runs):
            t.a_off[tap], t.b_off[tap] = t.a_off[tap * p.kw], t.b_off[tap * p.kw]
    low = t.low
    while low < t.high:
        high = min(low + b.ob, t.high)
        multiply_rows(f, t, &walk, c0, low, high, a, line * p.sh)
        low = high

cdef void multiply_rows(Forward *f, Task *t, const nd_walk *whole, ptrdiff_t c0, ptrdiff_t low, ptrdiff_t high, const char *a,
                        ptrdiff_t row_step) noexcept nogil:
    """All tiles of a task for weight panels low to high: a tile is a few pixels of one row. A 1x1's panels that L1 holds together
    follow each other, so that y is written in long stretches: for 16 and 32 channels 1.4 to 1.55 times as fast with AVX2, 1.1
    times with AVX-512."""
    cdef ptrdiff_t row, step = 1
    cdef ptrdiff_t size = (high - low) * whole.len * f.job.k.nr * f.job.k.size
    if f.b.taps == 1 and high - low > 2 and f.job.y.c == 1 and size <= PANELS_BYTES:
        step = high - low
    while low < high:
        for row in range(t.rows):
            multiply_row(f, t, whole, c0, low, low + step, a + f.job.k.size * row * row_step, row)
        low += step

cdef void multiply_row(Forward *f, Task *t, const nd_walk *whole, ptrdiff_t c0, ptrdiff_t low, ptrdiff_t high, const char *a,
                       ptrdiff_t row) noexcept nogil:
    """The tiles of an output row, all panels of one before the next."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, i, w = 0, m, o = t.g * p.ocg + low * k.nr, cols = min(high * k.nr, p.ocg) - low * k.nr
    cdef ptrdiff_t count = ceil_div(t.columns, k.tile_rows(min(cols, k.nr))), full = cols // k.nr
    cdef int start = start_of(f, c0, ND_BIAS_COLUMN)
    cdef nd_walk walk = whole[0]
    cdef nd_tiles tiles
    cdef const char *panels = t.weights + size * (low - t.low) * t.panel
    cdef const char *bias = <const char *>f.job.bias + size * o
    cdef char *to = y.data + size * (t.n * y.n + t.od * y.d + (t.oh + row) * y.h + t.ow * y.w + o * y.c)
    if high - low == 1 and f.b.icb < SHORT:
        gemm_rows(k, &walk, t.columns, count, cols, a, 0, panels, to, y.w, y.c, start, bias)
        return
    tiles.count, tiles.a, tiles.b, tiles.y, tiles.bias = full, 0, t.panel, k.nr * y.c, k.nr
    for i in range(count):
        m = split(t.columns, count, i + 1) - w
        if f.b.icb >= SHORT:
            live_walk(f, t, whole, row, w, m, &walk)
        if full > 0:
            k.gemm_tiles(&walk, &tiles, m, k.nr, a, panels, to, y.w, y.c, start, bias)
        if cols > full * k.nr:
            k.gemm(&walk, m, cols - full * k.nr, a, panels + size * full * tiles.b, to + size * full * tiles.y, y.w, y.c, start,
                   bias + size * full * k.nr)
        a += size * m * walk.a_row
        to += size * m * y.w
        w += m

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.transpose_sizes = transpose_sizes
table.transpose_prepare = transpose_prepare
table.transpose = transpose_forward
table.weight_grad_bytes = direct_weight_grad_bytes
table.weight_grad = direct_weight_grad
table.bias_parts = direct_bias_parts

def lanes_of(problem):
    """Channels that are side by side in a vector, 0 for pixels."""
    channels = problem.op == "weight_grad" or problem.lanes_oc and not holds_pixels(problem)
    return problem.results if channels else 0

METHOD = new_method("direct", "register-blocked, operands read where they are", True,
                    "element-wise: |error| <= gamma(K+2) (|x| conv |w| + |b|)", lambda problem: None, &table,
                    ("small", "large", "turned"), lanes_of)
