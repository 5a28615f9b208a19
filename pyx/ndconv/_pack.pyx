# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Operands in the order in which register tiles read them.

Weights are prepared once into panels, one a register tile wide:

    lanes hold pixels   panel t of a group is [k][mr]: the tile's output channels beside each other, broadcast
    lanes hold oc       panel t of a group is [k][nr]: a vector row of output channels, zeros after the last

k runs over blocks of `icb` input channels, in a block over kernel taps, and innermost over the block's channels.
With icb = icg that is plain (tap, channel) order.
"""
from libc.string cimport memset

from ndconv._c cimport ND_TURNED, nd_array, nd_job, nd_kernel_set, nd_problem, nd_tiles, nd_walk, nd_weights
from ndconv._outside cimport copy_cells
from ndconv._runtime cimport parallel_for

cdef void gemm_rows(const nd_kernel_set *k, const nd_walk *walk, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t cols, const char *a,
                    ptrdiff_t a_tile, const char *b, char *y, ptrdiff_t y_row, ptrdiff_t y_col, int start,
                    const char *bias) noexcept nogil:
    """`rows` rows of y, dealt out to `count` register tiles as split() does: the higher ones first. A's tiles are a_tile elements
    apart, or where that is 0 one after the other."""
    cdef nd_tiles tiles
    cdef ptrdiff_t m, more
    if count == 0:
        return
    more = rows % count
    tiles.b = tiles.bias = 0
    for m in range(rows // count + 1, max(rows // count, 1) - 1, -1):
        tiles.count = more if m > rows // count else count - more
        tiles.a, tiles.y = a_tile if a_tile else m * walk.a_row, m * y_row
        k.gemm_tiles(walk, &tiles, m, cols, a, b, y, y_row, y_col, start, bias)
        a += k.size * tiles.count * tiles.a
        y += k.size * tiles.count * tiles.y

cdef void gemm_columns(const nd_kernel_set *k, const nd_walk *walk, ptrdiff_t m, ptrdiff_t vectors, const char *a, const char *b,
                       char *y, ptrdiff_t y_row, int start, const char *bias) noexcept nogil:
    """m rows of y of so many vectors, dealt out to register tiles as split() does: the wider ones first."""
    cdef nd_tiles tiles
    cdef ptrdiff_t count = ceil_div(vectors * k.vl, k.tile_columns(m)), wider = vectors % count, step
    tiles.a = tiles.bias = 0
    for step in range(vectors // count + 1, vectors // count - 1, -1):
        tiles.count = wider if step > vectors // count else count - wider
        tiles.b = tiles.y = step * k.vl
        if tiles.count > 0:
            k.gemm_tiles(walk, &tiles, m, tiles.b, a, b, y, y_row, 1, start, bias)
            b += k.size * tiles.count * tiles.b
            y += k.size * tiles.count * tiles.y

cdef bint use_lanes_oc(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether vectors hold output channels or pixels.

    Memory decides, with two exceptions. Very few output channels leave vectors empty, so they hold pixels. And narrow
    images are better off with output channels in any memory: rows of 7 to 56 pixels waste 22 to 3 % of vectors that hold
    pixels, while the channels are whole vectors; storing them across memory costs about one cycle a result, which long
    sums pay for: of seven products (half a cycle) a pixel of the row, and of 200 at least. Strides, which lanes of pixels have to
    take apart, make that three products and 64."""
    cdef bint oc, strided = p.sw > 1 and p.kw > 1
    if p.lanes_oc:
        oc = p.ocg >= 4
    else:
        oc = (p.ow <= 8 * k.vl and p.ocg >= k.vl
              and p.icg * taps_of(p) >= (max(3 * p.ow, 64) if strided else max(7 * p.ow, 200)))
    return oc ^ (p.blocking == ND_TURNED)

cdef bint is_plain(const nd_problem *p) noexcept nogil:
    """Whether each result sees the one pixel at its own place."""
    return (taps_of(p) == 1 and p.sd == p.sh == p.sw == 1 and p.pd == p.ph == p.pw == 0 and p.id == p.od and p.ih == p.oh
            and p.iw == p.ow and not p.bordered)

cdef nd_problem flattened(const nd_problem *p) noexcept nogil:
    """A plain problem with the pixels of an image as one row."""
    cdef nd_problem flat = p[0]
    flat.iw = flat.ow = pixels_of(p)
    flat.id = flat.ih = flat.od = flat.oh = 1
    return flat

cdef bint is_run(nd_array *a, ptrdiff_t d, ptrdiff_t h, ptrdiff_t w, bint joined) noexcept nogil:
    """Whether the pixels of an image, or of all images when they are joined, follow each other at one distance: a.w."""
    if joined and d * h * w == 1:
        a.w = a.n
        return True
    return (h == 1 or a.h == w * a.w) and (d == 1 or a.d == h * w * a.w) and (not joined or a.n == d * h * w * a.w)

cdef ptrdiff_t panel_count(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Panels a group."""
    return ceil_div(p.ocg, k.nr if use_lanes_oc(p, k) else k.mr)

cdef size_t panels_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef ptrdiff_t width = k.nr if use_lanes_oc(p, k) else k.mr
    return p.g * panel_count(p, k) * width * p.icg * taps_of(p) * k.size

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    char *to
    ptrdiff_t icb

cdef void add_bias_grad(const nd_job *job, ptrdiff_t part, ptrdiff_t channel, ptrdiff_t channels, const char *dy,
                        ptrdiff_t pixels, ptrdiff_t row) noexcept nogil:
    """Adds some pixels of dy as [pixel][channel], `row` elements apart, to a part of the bias gradient, if it is wanted."""
    if job.db != NULL:
        add_columns(job.k, job.db + part * job.p.g * job.p.ocg + channel, dy, pixels, channels, row)

cdef void add_columns(const nd_kernel_set *k, double *sums, const char *rows, ptrdiff_t n, ptrdiff_t columns,
                      ptrdiff_t row) noexcept nogil:
    """sums[j] += rows[i*row + j] over i < n."""
    cdef ptrdiff_t j
    for j in range(0, columns, 16):
        k.sum_columns(sums + j, rows + k.size * j, n, min(columns - j, <ptrdiff_t>16), row)

cdef ptrdiff_t tap_step(const nd_problem *p, const nd_weights *w) noexcept nogil:
    """The distance of neighbouring taps, 1 or -1, where the taps of a channel lie beside each other, or else 0."""
    cdef ptrdiff_t step = w.w if p.kw > 1 else w.h if p.kh > 1 else w.d
    cdef bint dense = (p.kh == 1 or w.h == step * p.kw) and (p.kd == 1 or w.d == step * p.kw * p.kh)
    return step if dense and taps_of(p) > 1 and (step == 1 or step == -1) else 0

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef const nd_weights *w = f.w
    cdef ptrdiff_t size = f.k.size, panels = panel_count(p, f.k), i, first, rows, c0, cb, taps = taps_of(p)
    cdef bint lanes_oc = use_lanes_oc(p, f.k)
    cdef ptrdiff_t width = f.k.nr if lanes_oc else f.k.mr
    cdef char *to
    cdef const char *src
    for i in range(begin, end):
        if lanes_oc:
            first = i % panels * width
            rows = min(width, p.ocg - first)
        else:
            first = split(p.ocg, panels, i % panels)
            rows = split(p.ocg, panels, i % panels + 1) - first
        to = f.to + i * p.icg * taps * width * size
        c0 = 0
        while c0 < p.icg:
            cb = min(f.icb, p.icg - c0)
            src = w.data + size * (i // panels * w.g + first * w.o + c0 * w.c)
            prepare_block(p, f.k, w, src, cb, rows, width, to)
            to += taps * cb * width * size
            c0 += cb

cdef void prepare_block(const nd_problem *p, const nd_kernel_set *k, const nd_weights *weights, const char *w,
                        ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t width, char *to) noexcept nogil:
    """A panel's [tap][channel][width] of some channels, from w on. Taps that lie beside each other are turned channel by channel,
    so that a line of the weights is met once for all its taps: a third to a half of the time of tap by tap."""
    cdef ptrdiff_t tap, c, taps = taps_of(p), step = tap_step(p, weights), row = channels * width
    if step == 0:
        for tap in range(taps):
            k.pack(to + k.size * tap * row, width,
                   w + k.size * (tap // (p.kw * p.kh) * weights.d + tap // p.kw % p.kh * weights.h + tap % p.kw * weights.w),
                   channels, rows, weights.c, weights.o)
        return
    if rows < width:
        memset(to, 0, taps * row * k.size)
    if step < 0:
        # from the last tap to the first
        w -= k.size * (taps - 1)
        to += k.size * (taps - 1) * row
    for c in range(channels):
        k.move(to + k.size * c * width, step * row, w + k.size * c * weights.c, taps, rows, 1, weights.o)

cdef void prepare_panels(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, ptrdiff_t icb,
                         int threads) noexcept nogil:
    cdef Prepare f
    cdef ptrdiff_t panels = p.g * panel_count(p, k), work = p.icg * taps_of(p) * k.mr
    f.p, f.k, f.w, f.to, f.icb = p, k, w, <char *>to, icb
    parallel_for(panels, ceil_div(16384, work), threads, prepare_body, &f)

cdef Pixel pixel_at(const nd_problem *p, ptrdiff_t index) noexcept nogil:
    cdef Pixel at
    at.w = index % p.ow
    index //= p.ow
    at.h = index % p.oh
    index //= p.oh
    at.d = index % p.od
    at.n = index // p.od
    return at

cdef void copy_clipped(const nd_kernel_set *k, char *to, const char *row, ptrdiff_t x_w, ptrdiff_t extent, ptrdiff_t column,
                       ptrdiff_t step, ptrdiff_t count) noexcept nogil:
    """to[i] = element column + i*step of a row of `extent` elements x_w apart, zero outside it."""
    # elements low <= i < high are within the row, the others in its padding; a division costs as much as 16 elements
    cdef ptrdiff_t low, high
    if step == 1:
        low, high = min(max(-column, 0), count), min(extent - column, count)
    else:
        low = 0 if column >= 0 else min(ceil_div(-column, step), count)
        high = 0 if column >= extent else min((extent - 1 - column) // step + 1, count)
    if high <= low:
        memset(to, 0, count * k.size)
        return
    if low > 0:
        memset(to, 0, low * k.size)
    k.copy(to + low * k.size, row + k.size * (column + low * step) * x_w, high - low, step * x_w)
    if high < count:
        memset(to + high * k.size, 0, (count - high) * k.size)

cdef void pad_rows(const nd_problem *p, const nd_kernel_set *k, const char *plane, ptrdiff_t x_h, ptrdiff_t row, ptrdiff_t step,
                   ptrdiff_t column, ptrdiff_t rows, ptrdiff_t width, char *to) noexcept nogil:
    """to[r][i] = element [row + r*step, column + i] of a plane of contiguous rows x_h apart, zero outside it; i < width."""
    cdef ptrdiff_t line = width * k.size, low, high, first, last
    low = min(ceil_div(-row, step), rows) if row < 0 else 0
    high = max(min(ceil_div(p.ih - row, step), rows), low) if row < p.ih else low
    first = min(max(-column, 0), width)
    last = max(min(p.iw - column, width), first)
    memset(to, 0, low * line)
    memset(to + high * line, 0, (rows - high) * line)
    k.pad(to + low * line, width, plane + k.size * ((row + low * step) * x_h + column), high - low, step * x_h, first, last)

cdef void gather_row(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t tap,
                     Pixel at, ptrdiff_t count, char *to) noexcept nogil:
    """to[i] = the element of x that kernel position `tap` sees at output pixel `at` + i, zero in the padding:
    one row of the im2col matrix. Whole stretches of an output row are copied at a time, and rows that are neighbours in x
    together."""
    cdef ptrdiff_t size = k.size, run, column, depth, row, rows
    cdef bint whole = p.sw == 1 and x.w == 1 and not p.bordered
    cdef ptrdiff_t left = tap % p.kw * p.dw - p.pw
    cdef ptrdiff_t top = tap // p.kw % p.kh * p.dh - p.ph
    cdef ptrdiff_t front = tap // (p.kw * p.kh) * p.dd - p.pd
    while count > 0:
        depth, row, column = at.d * p.sd + front, at.h * p.sh + top, at.w * p.sw + left
        rows = min(p.oh - at.h, count // p.ow) if whole and at.w == 0 and 0 <= depth < p.id else 0
        if rows > 1:
            pad_rows(p, k, x.data + size * (at.n * x.n + channel * x.c + depth * x.d), x.h, row, p.sh, column, rows,
                     p.ow, to)
            to += rows * p.ow * size
            count -= rows * p.ow
            at.h += rows - 1
            next_row(p, &at)
            continue
        run = min(p.ow - at.w, count)
        if p.bordered:
            copy_cells(p, k, x.data + size * (at.n * x.n + channel * x.c), x, depth, row, column, p.sw, run, 1, to, 1, 1)
        elif 0 <= depth < p.id and 0 <= row < p.ih:
            copy_clipped(k, to, x.data + size * (at.n * x.n + channel * x.c + depth * x.d + row * x.h), x.w, p.iw, column,
                         p.sw, run)
        else:
            memset(to, 0, run * size)
        to += run * size
        count -= run
        next_row(p, &at)

cdef void gather_block(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t channels,
                       Pixel at, ptrdiff_t run, ptrdiff_t tap, char *to, ptrdiff_t to_pixel, ptrdiff_t to_channel) noexcept nogil:
    """What kernel position `tap` sees at `run` pixels of an output row, in `channels` channels: pixels to_pixel apart,
    channels to_channel apart (one of the two is 1), zero in the padding."""
    cdef ptrdiff_t size = k.size, low = run, high = run, i
    cdef ptrdiff_t d = at.d * p.sd + tap // (p.kw * p.kh) * p.dd - p.pd
    cdef ptrdiff_t h = at.h * p.sh + tap // p.kw % p.kh * p.dh - p.ph
    cdef ptrdiff_t w = at.w * p.sw + tap % p.kw * p.dw - p.pw
    cdef const char *src
    if p.bordered:
        copy_cells(p, k, x.data + size * (at.n * x.n + channel * x.c), x, d, h, w, p.sw, run, channels, to, to_pixel, to_channel)
        return
    if 0 <= d < p.id and 0 <= h < p.ih and w < p.iw:
        # pixels low <= i < high see the array
        low = min(ceil_div(max(-w, 0), p.sw), run)
        high = max(min((p.iw - 1 - w) // p.sw + 1, run), low)
        src = x.data + size * (at.n * x.n + channel * x.c + d * x.d + h * x.h + (w + low * p.sw) * x.w)
        if to_pixel == 1:
            k.move(to + size * low, to_channel, src, channels, high - low, x.c, p.sw * x.w)
        else:
            k.move(to + size * low * to_pixel, to_pixel, src, high - low, channels, p.sw * x.w, x.c)
    if to_pixel == 1 and high - low < run:
        for i in range(channels):
            memset(to + size * i * to_channel, 0, low * size)
            memset(to + size * (i * to_channel + high), 0, (run - high) * size)
    elif to_pixel != 1:
        for i in range(low):
            memset(to + size * i * to_pixel, 0, channels * size)
        for i in range(high, run):
            memset(to + size * i * to_pixel, 0, channels * size)

cdef void scatter_row(const nd_problem *p, const nd_kernel_set *k, const nd_array *y, ptrdiff_t channel, Pixel at,
                      ptrdiff_t count, const char *row, ptrdiff_t step) noexcept nogil:
    """y[channel, pixel `at` + i] = row[i*step]: a row of results, wherever y has its pixels."""
    cdef ptrdiff_t size = k.size, run
    while count > 0:
        run = min(p.ow - at.w, count)
        k.scatter(y.data + size * (at.n * y.n + channel * y.c + at.d * y.d + at.h * y.h + at.w * y.w), y.w,
                  row, step, run)
        row += run * step * size
        count -= run
        next_row(p, &at)

cdef void store_turned(const nd_kernel_set *k, char *to, const nd_array *y, const char *row, ptrdiff_t step, ptrdiff_t channels,
                       ptrdiff_t pixels) noexcept nogil:
    """A row of results [pixel][channel], pixels `step` apart, to the pixels of y from `to` on."""
    cdef ptrdiff_t c
    if y.w == 1:
        k.move(to, y.c, row, channels, pixels, 1, step)
    else:
        for c in range(channels):
            k.scatter(to + k.size * c * y.c, y.w, row + k.size * c, step, pixels)

cdef void finish_stored(const nd_job *job, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t count) noexcept nogil:
    """Stretches of output rows, several rows as one where they follow each other; along pixels, or along channels if those
    are next to each other."""
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef const nd_array *y = &job.y
    cdef const nd_array *r = &job.residual
    cdef bint residual = r.data != NULL
    cdef bint joined = y.h == p.ow * y.w and (not residual or r.h == p.ow * r.w)
    cdef ptrdiff_t run, i, size = k.size
    cdef char *to
    cdef const char *src = NULL
    while count > 0:
        run = min((p.oh - at.h) * p.ow - at.w if joined else p.ow - at.w, count)
        to = y.data + size * (at.n * y.n + channel * y.c + at.d * y.d + at.h * y.h + at.w * y.w)
        if residual:
            src = r.data + size * (at.n * r.n + channel * r.c + at.d * r.d + at.h * r.h + at.w * r.w)
        if y.c == 1 and y.w == channels and (not residual or (r.c == 1 and r.w == channels)):
            k.finish(to, 1, src, 1, run * channels, job.activation, job.low, job.high)
        elif y.c == 1:
            for i in range(run):
                k.finish(to + size * i * y.w, 1, src + size * i * r.w if residual else NULL, r.c, channels, job.activation,
                         job.low, job.high)
        else:
            for i in range(channels):
                k.finish(to + size * i * y.c, y.w, src + size * i * r.c if residual else NULL, r.w, run, job.activation,
                         job.low, job.high)
        count -= run
        at.h += (at.w + run - 1) // p.ow
        next_row(p, &at)
