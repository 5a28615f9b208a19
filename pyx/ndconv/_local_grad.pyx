# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Gradients of a convolution whose kernels differ from position to position. By the input,

    D[p, k, n] = sum over o of W[o, p, k] * dY[p, o, n],   dx[n, c, i] = sum of D[p, (c, tap), n] over what sees i

W is broadcast and lanes are those of the forward pass (_local.pyx). The outputs are cut along an axis into parts, each with a
slab of its own: the frame of the part's outputs.

    for a block of images
        for a group, some of its input channels, a part of the outputs                   (one task)
            for stretches of kernels of an output row, blocks of lanes: dY to [pixel][channel][lane]
                for up to 32 output channels: for pixels: for elements of k: sums of lanes, added to the slab  (kernels/local.h)
        for some channels and a row of dx: rows of slabs added, moved to dx

Of few images the sums of a pixel are a register tile whose vectors are elements of k, put to the slab one by one: the same bits.
Kernels are read where they are: 32 lines of W, each used by the next tiles too. The order of each sum depends on the problem
alone, not on threads nor on the rest of the batch.

By the weights, dW[o, p, k] = sum over n of dY[p, o, n] * X[p, k, n]: the register tile with lanes as the summed index, dY
broadcast, windows transposed to rows of k:

    for a stretch of kernels, some output channels                                       (one task)
        for output rows that use them, blocks of lanes: dY to [kernel][channel][lane]
            for kernels: windows to [lane][k] (L2); for tiles of output channels: for vectors of k: tile        (kernels/gemm.h)

A window costs a third of a cycle an element to transpose and serves all output channels.
"""
from libc.string cimport memset

from ndconv._c cimport ND_ADD, ND_ZERO, nd_lanes, nd_tiles, nd_walk
from ndconv._local cimport (
    Frame,
    Lanes,
    Local,
    Pass,
    Run,
    at_once,
    fill_frame,
    flat_kernels,
    frame_of,
    kernel_at,
    lanes_at,
    open_frame,
    run_of,
    set_block,
    set_images,
    table_at,
    wide_of,
    window_at,
)
from ndconv._pack cimport Pixel, ceil_div, split, whole_lines
from ndconv._runtime cimport parallel_for, scratch_give

cdef enum:
    STREAMS = 32             # output channels whose sums are added to the slab at a time
    FEW = 4                  # lanes are so many times as many as few images, of the weight gradient, which transposes windows
    PARTS = 12               # that the outputs are cut into
    TASKS = 12
    CUT = 8                  # input channels that a task has at least: it gathers dY
    CHANNELS = 16            # of dx that a task writes where they are neighbours
    SLABS_BYTES = 67108864   # of all slabs of a block of images, unless a vector of images has more
    NEAR_BYTES = 524288      # of windows in L2

# Parts of the outputs along an axis (0, 1, 2 for d, h, w) and of the input channels; the slab of the longest part.
cdef struct Grad:
    Local *f
    int axis
    ptrdiff_t parts, cuts
    Frame slab
    ptrdiff_t packed, gradient, inside, sums     # bytes of a worker's scratch

cdef Grad grad_of(Local *f) noexcept nogil:
    cdef Grad g
    cdef Pixel outputs
    cdef ptrdiff_t size = f.k.size, wide
    g.f = f
    outputs.d, outputs.h, outputs.w = f.p.od, f.p.oh, f.p.ow
    g.axis = 2 if f.own and f.p.ow > max(f.p.od, f.p.oh) else 1 if f.p.oh >= f.p.od else 0
    if g.axis == 0:
        g.parts = min(<ptrdiff_t>PARTS, f.p.od)
        outputs.d = ceil_div(f.p.od, g.parts)
    elif g.axis == 1:
        g.parts = min(<ptrdiff_t>PARTS, f.p.oh)
        outputs.h = ceil_div(f.p.oh, g.parts)
    else:
        g.parts = min(<ptrdiff_t>PARTS, f.p.ow)
        outputs.w = ceil_div(f.p.ow, g.parts)
    g.cuts = min(ceil_div(TASKS, g.parts * f.p.g), max(f.p.icg // CUT, 1))
    if f.few and f.length // g.cuts < 2 * f.k.vl:
        g.cuts = 1
    g.slab = frame_of(f, f.p.icg, outputs, 1)
    set_images(f, SLABS_BYTES // max(g.slab.size // g.slab.column * g.slab.each * f.p.g * g.parts * size, 1))
    g.slab = frame_of(f, f.p.icg, outputs, f.images)
    wide = wide_of(f, f.images)
    g.packed = 0 if f.w.flat else whole_lines(min(<ptrdiff_t>STREAMS, f.p.ocg) * f.row * size)
    g.gradient = whole_lines(f.k.vl * f.p.ocg * wide * size)
    g.inside = 0 if f.own else whole_lines(f.k.vl * wide * size)
    g.sums = whole_lines((CHANNELS if f.x.c == 1 else 1)
                         * (f.p.iw if f.own else g.slab.period) * g.slab.column * size)
    if f.few:
        g.sums = max(g.sums, whole_lines(f.images * f.row * size))
    return g

cdef size_t scratch_of(const Grad *g) noexcept nogil:
    return g.packed + g.gradient + g.inside + g.sums

cdef char *slab_of(const Grad *g, ptrdiff_t index) noexcept nogil:
    return g.slab.data + index * whole_lines(g.f.k.size * g.slab.size)

cdef void part_of(const Grad *g, ptrdiff_t part, Pixel *first, Pixel *end) noexcept nogil:
    """The outputs of a part, first <= position < end on each axis; on the last one kernels in turn."""
    cdef const Local *f = g.f
    first.n = first.d = first.h = first.w = 0
    end.d, end.h, end.w = f.p.od, f.p.oh, min(f.p.ow, f.tw)
    if g.axis == 0:
        first.d, end.d = split(f.p.od, g.parts, part), split(f.p.od, g.parts, part + 1)
    elif g.axis == 1:
        first.h, end.h = split(f.p.oh, g.parts, part), split(f.p.oh, g.parts, part + 1)
    else:
        first.w, end.w = split(f.p.ow, g.parts, part), split(f.p.ow, g.parts, part + 1)

cdef void gather_gradient(const Local *f, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t lane, ptrdiff_t run,
                          char *to, char *inside) noexcept nogil:
    """dY of `run` kernels as [kernel][channel][lane], zero where there is none; and which lanes hold some, unless NULL."""
    cdef ptrdiff_t size = f.k.size, pixel = channels * f.wide, last = min(lane + f.wide, f.lanes), i, c, l
    cdef const char *src = f.y.data + size * channel * f.y.c
    cdef Lanes s
    memset(to, 0, size * run * pixel)
    if inside != NULL:
        memset(inside, 0, size * run * f.wide)
    if f.own and f.y.c != 1:
        s = lanes_at(f, lane, last, at)
        for c in range(channels):
            f.k.move(to + size * c * f.wide, pixel, src + size * (c * f.y.c + s.to), run, s.count, f.y.w, f.y.n)
        return
    for i in range(run):
        l = lane
        while l < last:
            s = lanes_at(f, l, last, at)
            f.k.move(to + size * (i * pixel + l - lane), f.wide, src + size * s.to, channels, s.count, f.y.c, s.step)
            if inside != NULL:
                memset(inside + size * (i * f.wide + l - lane), 255, size * s.count)
            l = s.after
        at.w += 1

cdef void part_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Grad *g = <const Grad *>context
    cdef const Local *f = g.f
    cdef ptrdiff_t task, i, c, channels, row, lane
    cdef char *scratch = f.workspace + worker * scratch_of(g)
    cdef Pixel at, first, last
    at.n = 0
    for task in range(begin, end):
        i, c = task // g.cuts, task % g.cuts
        channels = split(f.p.icg, g.cuts, c + 1)
        c = split(f.p.icg, g.cuts, c)
        channels -= c
        part_of(g, i % g.parts, &first, &last)
        for row in range(g.slab.planes * g.slab.rows):
            memset(slab_of(g, i) + f.k.size * (row * g.slab.h + c * g.slab.c), 0, f.k.size * channels * g.slab.c)
        for at.d in range(first.d, last.d):
            for at.h in range(first.h, last.h):
                at.w = first.w
                while at.w < last.w:
                    lane = 0
                    while lane < f.lanes:
                        # as many kernels as are transposed in registers, whatever the batch: it is the order of sums
                        add_stretch(g, i, c, channels, at, &first, lane, min(f.k.vl, last.w - at.w), scratch)
                        lane += f.wide
                    at.w += f.k.vl

cdef void add_stretch(const Grad *g, ptrdiff_t index, ptrdiff_t c, ptrdiff_t channels, Pixel at, const Pixel *first,
                      ptrdiff_t lane, ptrdiff_t run, char *packed) noexcept nogil:
    """What lanes of a stretch give to channels of a slab, whose first output is `first`."""
    cdef const Local *f = g.f
    cdef ptrdiff_t size = f.k.size, step = 1 if f.few else at_once(f, run), chunks = ceil_div(f.p.ocg, STREAMS), chunk, o, i
    cdef ptrdiff_t group = index // g.parts, term = c * (f.length // f.p.icg)
    # pixels before the stretch, with which it is a vector: whole ones are transposed in registers
    cdef ptrdiff_t back = min(f.k.vl - run, at.w) if f.own and f.y.c != 1 else 0
    cdef char *gradient = packed + g.packed
    cdef char *inside = NULL if f.own else gradient + g.gradient
    cdef char *sums = gradient + g.gradient + g.inside
    cdef const char *w
    cdef Frame slab = g.slab
    cdef Pixel pixel, to
    cdef nd_lanes s
    pixel = at
    pixel.w -= back
    gather_gradient(f, group * f.p.ocg, f.p.ocg, pixel, lane, run + back, gradient, inside)
    gradient += size * back * f.p.ocg * f.wide
    slab.data = slab_of(g, index)
    s.count, s.m, s.k = step, min(f.wide, f.lanes - lane), channels * (f.length // f.p.icg)
    s.b_row, s.y_row = f.w.o if f.w.flat else f.row, f.wide
    s.a, s.b, s.y = f.p.sw * slab.column, f.w.yw if f.own and f.w.flat else 0, f.p.ocg * f.wide
    s.bias = s.bias_col = 0
    for chunk in range(chunks):
        o = split(f.p.ocg, chunks, chunk)
        s.n = split(f.p.ocg, chunks, chunk + 1) - o
        pixel, i = at, 0
        while i < run:
            w = flat_kernels(f, group * f.p.ocg + o, s.n, pixel, packed)
            to.n, to.d, to.h, to.w = 0, pixel.d - first.d, pixel.h - first.h, pixel.w - first.w
            s.at = table_at(f, pixel) + term
            if f.few:
                add_few(f, &s, window_at(f, &slab, 0, to, 0), w + size * term, gradient + size * (i * s.y + o * f.wide), sums)
            else:
                f.k.lanes_grad(&s, window_at(f, &slab, 0, to, lane), w + size * term,
                               gradient + size * (i * s.y + o * f.wide), NULL if f.own else inside + size * i * f.wide)
            i += step
            pixel.w += step

cdef void add_few(const Local *f, const nd_lanes *s, char *slab, const char *w, const char *gradient, char *sums) noexcept nogil:
    """The same of few images: register tiles whose vectors are elements of kernels, put to the slab one by one."""
    cdef ptrdiff_t size = f.k.size, wide = f.k.tile_columns(f.count), k = s.k // f.k.vl * f.k.vl, zero = 0
    cdef nd_tiles tiles
    cdef nd_walk walk
    walk.runs, walk.len, walk.a_off, walk.b_off = 1, s.n, &zero, &zero
    walk.a_row, walk.a_k, walk.b_k = 1, s.y_row, s.b_row
    tiles.count, tiles.a, tiles.b, tiles.y, tiles.bias = k // wide, 0, wide, wide, 0
    f.k.gemm_tiles(&walk, &tiles, f.count, wide, gradient, w, sums, f.row, 1, ND_ZERO, NULL)
    if k % wide:
        f.k.gemm(&walk, f.count, k % wide, gradient, w + size * (k - k % wide), sums + size * (k - k % wide), f.row, 1, ND_ZERO,
                 NULL)
    if k < s.k:   # the vector that ends with the last element: nothing is read after it
        f.k.gemm(&walk, f.count, f.k.vl, gradient, w + size * (s.k - f.k.vl), sums + size * (s.k - f.k.vl), f.row, 1, ND_ZERO,
                 NULL)
    f.k.lanes_put(slab, s.at, sums, f.row, f.count, s.k)

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of dx from the slabs that reach them, of some channels."""
    cdef const Grad *g = <const Grad *>context
    cdef const Local *f = g.f
    cdef ptrdiff_t i, c, d, h, size = f.k.size, group, most = CHANNELS if f.x.c == 1 else 1, chunks = ceil_div(f.p.icg, most)
    cdef char *sums = f.workspace + worker * scratch_of(g) + g.packed + g.gradient + g.inside
    cdef char *to
    for i in range(begin, end):
        h, d, c = i % f.p.ih, i // f.p.ih % f.p.id, i // f.p.ih // f.p.id
        group, c = c // chunks, c % chunks * most
        to = f.x.data + size * (split(f.p.n, f.blocks, f.block) * f.x.n + (group * f.p.icg + c) * f.x.c + d * f.x.d
                                + h * f.x.h)
        if add_slabs(g, group, c, min(most, f.p.icg - c), d, h, sums):
            if f.own:
                store_images(g, min(most, f.p.icg - c), to, sums)
            else:
                store_pixels(g, min(most, f.p.icg - c), to, sums)

cdef bint add_slabs(const Grad *g, ptrdiff_t group, ptrdiff_t channel, ptrdiff_t channels, ptrdiff_t d, ptrdiff_t h,
                    char *sums) noexcept nogil:
    """A row of some channels as [channel][column][lane], if any slab reaches it: columns of x, or those of a period."""
    cdef const Local *f = g.f
    cdef ptrdiff_t size = f.k.size * g.slab.column, part, c, w, low, high, plane, row, columns
    cdef const char *slab
    cdef bint any = False
    cdef Pixel first, end
    columns = f.p.iw if f.own else g.slab.period
    for part in range(g.parts):
        part_of(g, part, &first, &end)
        plane, row = d + f.p.pd - first.d * f.p.sd, h + f.p.ph - first.h * f.p.sh
        if not (0 <= plane < g.slab.planes and 0 <= row < g.slab.rows):
            continue
        if not any:
            memset(sums, 0, size * channels * columns)
        any = True
        # column i of the slab is column w + i of the sums
        w = first.w * f.p.sw - f.p.pw if f.own else 0
        low, high = max(-w, 0), min(columns - w, g.slab.period)
        slab = slab_of(g, group * g.parts + part) + f.k.size * (plane * g.slab.d + row * g.slab.h + channel * g.slab.c)
        for c in range(channels if low < high else 0):
            f.k.add(sums + size * (c * columns + w + low), 1, slab + size * (c * g.slab.period + low),
                    (high - low) * g.slab.column)
    return any

cdef void store_images(const Grad *g, ptrdiff_t channels, char *to, const char *sums) noexcept nogil:
    """A row of dx whose lanes are images."""
    cdef const Local *f = g.f
    cdef ptrdiff_t size = f.k.size, w
    if f.x.c == 1:
        for w in range(f.p.iw):
            f.k.move(to + size * w * f.x.w, f.x.n, sums + size * w * g.slab.column, f.count, channels, 1,
                     f.p.iw * g.slab.column)
    else:
        f.k.move(to, f.x.n, sums, f.count, f.p.iw, 1, g.slab.column)

cdef void store_pixels(const Grad *g, ptrdiff_t channels, char *to, const char *sums) noexcept nogil:
    """A row of dx whose lanes are every period-th pixel of each image."""
    cdef const Local *f = g.f
    cdef const Frame *slab = &g.slab
    cdef ptrdiff_t size = f.k.size, n, c, i
    cdef Run r
    for i in range(slab.period):
        r = run_of(f, slab, i)
        for c in range(channels if r.low < r.high else 0):
            for n in range(f.count):
                f.k.scatter(to + size * (n * f.x.n + c * f.x.c + (r.column + r.low * slab.period) * f.x.w), slab.period * f.x.w,
                            sums + size * (c * slab.c + i * slab.column + n * slab.each + r.low), 1, r.high - r.low)

cdef void add_blocks(Grad *g) noexcept nogil:
    cdef Local *f = g.f
    cdef ptrdiff_t block, channels = ceil_div(f.p.icg, CHANNELS if f.x.c == 1 else 1)
    for block in range(f.blocks):
        set_block(f, block, &g.slab)
        parallel_for(f.p.g * g.parts * g.cuts, 1, f.threads, part_body, g)
        parallel_for(f.p.g * channels * f.p.id * f.p.ih, 1, f.threads, collect_body, g)

# The weight gradient: stretches of kernels of a row, parts of the output channels.
cdef struct Weights:
    Local *f
    ptrdiff_t run, strips, splits
    ptrdiff_t near, pixels                  # lanes and kernels of a row whose windows stay in L2
    ptrdiff_t windows, gradient, offsets    # bytes of a worker's scratch

cdef Weights weights_of(Local *f) noexcept nogil:
    cdef Weights q
    cdef ptrdiff_t size = f.k.size, lanes = wide_of(f, f.images), kernels = min(f.tw, f.p.ow), most
    q.f = f
    q.run = f.run if f.own else 1
    q.strips = ceil_div(kernels, q.run)
    q.splits = min(ceil_div(TASKS, min(f.td, f.p.od) * min(f.th, f.p.oh) * q.strips * f.p.g), ceil_div(f.p.ocg, 24))
    most = max(NEAR_BYTES // max(f.row * size, 1) // f.k.vl, 1) * f.k.vl
    q.near = ceil_div(ceil_div(lanes, ceil_div(lanes, most)), f.k.vl) * f.k.vl
    q.pixels = max(min(NEAR_BYTES // max(q.near * f.row * size, 1), q.run), 1)
    q.windows = whole_lines(q.pixels * q.near * f.row * size)
    q.gradient = whole_lines(q.run * f.p.ocg * q.near * size)
    q.offsets = whole_lines(2 * q.near * sizeof(ptrdiff_t))
    return q

cdef void weight_grad_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Weights *q = <const Weights *>context
    cdef const Local *f = q.f
    cdef char *windows = f.workspace + worker * (q.windows + q.gradient + q.offsets)
    cdef ptrdiff_t task, i, first, last, channel, strip, run, lane, j, count, td = min(f.td, f.p.od), th = min(f.th, f.p.oh)
    cdef ptrdiff_t kernels = min(f.tw, f.p.ow)
    cdef bint add
    cdef Pixel start, at
    start.n = 0
    for task in range(begin, end):
        i = task // q.splits
        first, last = split(f.p.ocg, q.splits, task % q.splits), split(f.p.ocg, q.splits, task % q.splits + 1)
        i, strip = i // q.strips, i % q.strips
        start.w = split(kernels, q.strips, strip)
        run = split(kernels, q.strips, strip + 1) - start.w
        i, start.h = i // th, i % th
        start.d, channel = i % td, i // td * f.p.ocg + first
        add, at = f.block > 0, start
        while at.d < f.p.od:
            at.h = start.h
            while at.h < f.p.oh:
                lane = 0
                while lane < f.lanes:
                    at.w = start.w
                    gather_gradient(f, channel, last - first, at, lane, run, windows + q.windows, NULL)
                    j = 0
                    while j < run:
                        count = min(q.pixels, run - j)
                        outer(q, channel, last - first, at, lane, count, add,
                              windows + q.windows + f.k.size * j * (last - first) * f.wide, windows,
                              <ptrdiff_t *>(windows + q.windows + q.gradient))
                        at.w += count
                        j += count
                    add = True
                    lane += f.wide
                at.h += f.th
            at.d += f.td

cdef void outer(const Weights *q, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t lane, ptrdiff_t run, bint add,
                const char *gradient, char *windows, ptrdiff_t *offsets) noexcept nogil:
    """Weight gradients of `run` kernels (+)= lanes of dY times their windows: neighbours, or images with as many each, at a
    time."""
    cdef const Local *f = q.f
    cdef ptrdiff_t size = f.k.size, last = min(lane + f.wide, f.lanes), l = lane, i
    cdef char *dw = kernel_at(f, channel, at)
    cdef Lanes s
    cdef nd_walk walk
    for i in range(run):
        f.k.lanes_turn(windows + size * i * f.wide * f.row, f.row,
                       window_at(f, &f.frame, channel // f.p.ocg * f.p.icg, at, lane), table_at(f, at),
                       (min(last, f.count) if f.own else last) - lane, f.length)
        at.w += 1
    at.w -= run
    walk.runs = walk.len = 0
    walk.a_off, walk.b_off = offsets, offsets + f.wide
    walk.a_row, walk.a_k, walk.b_k = f.wide, 1, f.row
    while l < last:
        s = lanes_at(f, l, last, at)
        if walk.runs > 0 and walk.len != s.count:
            multiply(f, &walk, channels, run, add, gradient, windows, dw)
            walk.runs, add = 0, True
        if s.count > 0:
            offsets[walk.runs], offsets[f.wide + walk.runs] = l - lane, (l - lane) * f.row
            walk.runs += 1
            walk.len = s.count
        l = s.after
    if walk.runs > 0:
        multiply(f, &walk, channels, run, add, gradient, windows, dw)

cdef void multiply(const Local *f, const nd_walk *walk, ptrdiff_t channels, ptrdiff_t run, bint add, const char *gradient,
                   const char *windows, char *dw) noexcept nogil:
    """A tile of output channels of all pixels before the next: few lines of dw that run on."""
    cdef ptrdiff_t size = f.k.size, parts = ceil_div(channels, f.k.mr), part, o, i, m, whole
    cdef int start = ND_ADD if add else ND_ZERO
    cdef const char *a
    cdef const char *b
    cdef char *y
    cdef nd_tiles tiles
    tiles.a = tiles.bias = 0
    for part in range(parts):
        o = split(channels, parts, part)
        m = split(channels, parts, part + 1) - o
        a, b, y = gradient + size * o * f.wide, windows, dw + size * o * f.w.o
        tiles.b = tiles.y = f.k.tile_columns(m)
        tiles.count = f.length // tiles.b
        whole = tiles.count * tiles.b
        for i in range(run):
            f.k.gemm_tiles(walk, &tiles, m, tiles.b, a, b, y, f.w.o, 1, start, NULL)
            if whole < f.length:
                f.k.gemm(walk, m, f.length - whole, a, b + size * whole, y + size * whole, f.w.o, 1, start, NULL)
            a += size * channels * f.wide
            b += size * f.wide * f.row
            y += size * f.w.yw

cdef void weight_blocks(Weights *q) noexcept nogil:
    cdef Local *f = q.f
    cdef ptrdiff_t block
    for block in range(f.blocks):
        set_block(f, block, &f.frame)
        f.wide = min(q.near, f.lanes)
        fill_frame(f)
        parallel_for(f.p.g * min(f.td, f.p.od) * min(f.th, f.p.oh) * q.strips * q.splits, 1, f.threads, weight_grad_body, q)


def input_grad(problem, dx, w, dy, bint batched, bint channels_last, threads):
    """Writes what windows see of dx, whose pixels or channels are contiguous."""
    cdef Pass a = Pass(problem, dx, dy, w, None, batched, channels_last, threads)
    cdef Grad g = grad_of(&a.f)
    cdef size_t scratch = a.f.threads * scratch_of(&g)
    a.take_scratch(scratch + a.f.p.g * g.parts * whole_lines(a.f.k.size * g.slab.size))
    g.slab.data = a.f.workspace + scratch
    with nogil:
        add_blocks(&g)
        scratch_give(a.f.workspace)


def weight_grad(problem, x, dw, dy, bint batched, bint channels_last, threads):
    """Writes what is used of dw, whose kernels are contiguous."""
    cdef Pass a = Pass(problem, x, dy, dw, None, batched, channels_last, threads, FEW)
    cdef Local *f = &a.f
    cdef Weights q = weights_of(f)
    cdef size_t scratch = f.threads * (q.windows + q.gradient + q.offsets), size
    size = open_frame(f)
    a.take_scratch(scratch + size)
    f.frame.data = f.workspace + scratch
    with nogil:
        weight_blocks(&q)
        scratch_give(f.workspace)
