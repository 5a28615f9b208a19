# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients by register tiles, dW[k, oc] = sum over pixels X[k, pixel] dY[pixel, oc], k = (tap, channel).

The tile of the forward pass with pixels as the summed index: dY is the vector operand, packed to [pixel][nr]; X is the
broadcast one, a few rows k at a time:

    gemm      rows of the im2col matrix, gathered for each chunk of pixels: full tiles whatever the channels. From NCHW memory
              as rows of pixels, from NHWC memory, a tile of channels as [pixel][mr]
    direct    read where they are: neighbouring rows are channels, x.c apart, neighbouring pixels sw*x.w apart; for each
              tap the pixels whose window leaves the array are left out, so nothing is padded. Where what is outside is not
              zero, rows outside are those that they repeat, and columns outside are runs of one pixel each, from the cells
              that they repeat or from the constant. Of 1x1 kernels X and dY may change places, where the panels are then
              full or the tiles high: 100 output channels of 64 take 0.83 of the time, 512 of 16 take 0.74

    pack dY, unless that takes more than 8 MiB                    (all threads)
    for a part of the pixels, group, block of k, block of oc      (one task)
        for chunks of whole output rows, or stretches of one      (rows of X in L2)
            for panels of oc                                      (dY panel in L1 and L2)
                pack dY, if it was not
                for tiles of k: register tile over the chunk, added to the part's sums, [oc panel][k][nr]
    add the parts in their order, and write dW wherever its strides say

The chunks and the number of parts depend on the problem alone, so bits do not depend on threads. A small dW has up to 16
parts; a large one has a single part and is dealt out itself: by rows of k, which of direct are some channels at all taps, and by
output channels.
"""
from ndconv._c cimport (ND_ADD, ND_FILL, ND_NOWHERE, ND_ZERO, nd_array, nd_job, nd_kernel_set, nd_problem, nd_source, nd_walk,
                        nd_weights)
from ndconv._outside cimport put
from ndconv._pack cimport (Pixel, add_bias_grad, ceil_div, evened, flattened, gather_block, gather_row, gemm_rows, is_plain,
                           is_run, lines_kept, next_row, pixel_at, pixels_of, split, taps_of, whole_lines)
from ndconv._runtime cimport parallel_for
from ndconv._tap_grad cimport takes_taps, tap_bias_parts, tap_grad, tap_grad_bytes

cdef enum:
    PIXELS = 384             # of a chunk: longer sums go to memory less often, and a panel of dY is near
    BLOCK_BYTES = 262144     # of X in L2
    COMMON_BYTES = 8388608   # of packed dY that all tasks share
    SUMS_BYTES = 262144      # of dW below which each part has its own
    PARTS = 16
    TASKS = 12
    ROWS = 64                # about, of a panel of sums that are collected at a time
    GATHERED = 32            # pixels that are gathered into all tiles of k at a time
    CONSTANT_BYTES = 64      # room for the constant outside x
    LEAST = 8                # sums that keep the FMA units busy

# What rows cost whose pixels, a large power of two apart, L1 cannot keep from one tile to the next: 512 channels of NHWC memory.
cdef double ALIKE = 1.3

cdef struct Chunks:
    ptrdiff_t k                          # rows of dW,
    ptrdiff_t units, taps                # dealt out as units of so many: channels, if read in place
    ptrdiff_t strips, width              # stretches of an output row, pixels of a stretch
    ptrdiff_t lines, chunks              # stretches of all images, chunks of them
    ptrdiff_t pixels                     # of the longest chunk
    ptrdiff_t parts                      # partial sums
    ptrdiff_t rows, kparts               # units of the largest task, tasks over them
    ptrdiff_t panels, oparts             # oc panels a group, tasks over them
    ptrdiff_t x, dy, sums, common        # bytes: gathered X or offsets, packed dY (a worker's); all sums, packed dY of all

cdef Chunks chunking(const nd_problem *p, const nd_kernel_set *k, bint gathered) noexcept nogil:
    cdef Chunks c
    cdef ptrdiff_t tasks, least, runs
    cdef double packed
    c.k = p.icg * taps_of(p)
    c.units, c.taps = c.k if gathered else p.icg, 1 if gathered else taps_of(p)
    c.strips = ceil_div(p.ow, PIXELS)
    c.width = ceil_div(p.ow, c.strips)
    c.strips = ceil_div(p.ow, c.width)
    c.lines = p.n * p.od * p.oh * c.strips
    c.chunks = ceil_div(c.lines, max(PIXELS // p.ow, 1))
    c.pixels = ceil_div(c.lines, c.chunks) * c.width
    c.panels = ceil_div(p.ocg, k.nr)
    c.parts = min(<ptrdiff_t>PARTS, c.chunks) if p.g * c.k * c.panels * k.nr * k.size <= SUMS_BYTES else 1
    tasks = ceil_div(TASKS, c.parts * p.g)
    least = ceil_div(8 * k.mr, c.taps * k.mr) * k.mr
    c.rows = max(BLOCK_BYTES // (c.pixels * k.size), k.mr)
    packed = p.g * c.panels * k.nr * k.size * <double>(p.n * pixels_of(p))
    if not gathered:
        # by output channels, so that each is packed once. Of 1x1 kernels, which use X just once a panel, by as much of X as L2
        # holds, if dY can be packed beforehand: 16 images of 1024 channels and 14x14 take 0.7 of the time; strides and 3x3 lose
        if c.taps > 1 or p.sw > 1 or c.rows > c.units or packed > COMMON_BYTES:
            c.rows = c.units
        c.oparts = min(c.panels, ceil_div(tasks, ceil_div(c.units, max(c.rows, 1))))
        tasks = ceil_div(tasks, c.oparts)
    c.rows = min(c.rows, max(ceil_div(c.units, tasks), least))
    c.kparts = ceil_div(c.units, ceil_div(c.rows, k.mr) * k.mr)
    if gathered:    # half as many tasks, since those of one block of k gather it each
        c.oparts = min(c.panels, ceil_div(tasks, 2 * c.kparts))
    if c.kparts > 1:
        c.kparts = evened(c.kparts, c.parts * p.g * c.oparts, ceil_div(c.units, k.mr))
    c.rows = ceil_div(ceil_div(c.units, k.mr), max(c.kparts, 1)) * k.mr
    # read in place: two offsets for every run; before them the constant
    runs = c.pixels if p.bordered else ceil_div(c.lines, c.chunks)
    c.x = c.rows * c.pixels * k.size if gathered else CONSTANT_BYTES + 2 * runs * <ptrdiff_t>sizeof(ptrdiff_t)
    c.x = whole_lines(c.x)
    c.sums = whole_lines(c.parts * p.g * c.k * c.panels * k.nr * k.size)
    # a panel that one task needs is packed by that task, into L1
    c.common = 0
    if c.kparts > 1 and packed <= COMMON_BYTES:
        c.common = p.g * c.panels * k.nr * k.size * p.n * pixels_of(p)
    c.dy = whole_lines(c.pixels * k.nr * k.size) if c.common == 0 else 0
    return c

cdef size_t gemm_weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    return bytes_of(p, k, threads, True)

cdef size_t direct_weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef nd_problem mirror
    if is_mirrored(p, k):
        mirror = mirrored(p)
        return bytes_of(&mirror, k, threads, False)
    return tap_grad_bytes(p, k, threads) if takes_taps(p, k) else bytes_of(p, k, threads, False)

cdef size_t bytes_of(const nd_problem *p, const nd_kernel_set *k, int threads, bint gathered) noexcept nogil:
    """Whatever the strides of the arrays of a plain problem, which say whether its rows are one."""
    cdef Chunks c = chunking(p, k, gathered)
    cdef size_t bytes = c.sums + c.common + threads * (c.x + c.dy)
    cdef nd_problem flat
    if is_plain(p):
        flat = flattened(p)
        c = chunking(&flat, k, gathered)
        bytes = max(bytes, c.sums + c.common + threads * (c.x + c.dy))
    return bytes

cdef ptrdiff_t gemm_bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return chunks_of(p, k, True)

cdef ptrdiff_t direct_bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    if is_mirrored(p, k):
        return 0
    return tap_bias_parts(p, k) if takes_taps(p, k) else chunks_of(p, k, False)

cdef ptrdiff_t chunks_of(const nd_problem *p, const nd_kernel_set *k, bint gathered) noexcept nogil:
    """Chunks of pixels, each a part of the bias gradient, whatever the strides of the arrays."""
    cdef ptrdiff_t chunks = chunking(p, k, gathered).chunks
    cdef nd_problem flat
    if is_plain(p):
        flat = flattened(p)
        chunks = max(chunks, chunking(&flat, k, gathered).chunks)
    return chunks

cdef double products(const nd_problem *p, const nd_kernel_set *k, ptrdiff_t rows, ptrdiff_t lanes) noexcept nogil:
    """Multiply-adds of vectors for a pixel of so many rows, read in place, and lanes, with what packing takes as long as."""
    cdef ptrdiff_t rest = lanes % k.nr
    cdef double sums = lanes // k.nr * tile_products(k, rows, k.nr) + (tile_products(k, rows, rest) if rest > 0 else 0)
    if p.lanes_oc and lines_kept(p.g * rows * k.size) <= k.mr:
        sums *= ALIKE
    return sums + 8.0 * lanes / k.vl

cdef inline ptrdiff_t tile_products(const nd_kernel_set *k, ptrdiff_t rows, ptrdiff_t lanes) noexcept nogil:
    """Of one panel; a tile of few sums waits for the products before."""
    return max(rows * ceil_div(lanes, k.vl), ceil_div(rows, k.tile_rows(lanes)) * LEAST)

cdef bint is_mirrored(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether X is the vector operand of direct, and dY the broadcast one."""
    return is_plain(p) and products(p, k, p.ocg, p.icg) < products(p, k, p.icg, p.ocg)

cdef nd_problem mirrored(const nd_problem *p) noexcept nogil:
    """The problem whose dW is that of a plain one transposed."""
    cdef nd_problem mirror = p[0]
    mirror.icg, mirror.ocg = p.ocg, p.icg
    return mirror

cdef struct WeightGrad:
    const nd_job *job
    Chunks c
    bint gathered

cdef struct Block:
    ptrdiff_t g, k0, rows, v0, v1   # group, units of rows of dW, oc panels
    ptrdiff_t chunk, line, lines    # chunk, its stretches
    ptrdiff_t w, width              # their first column and columns
    char *x
    char *dy
    char *sums
    int start

cdef void gemm_weight_grad(const nd_job *job) noexcept nogil:
    run(job, True)

cdef void direct_weight_grad(const nd_job *job) noexcept nogil:
    cdef nd_job other = job[0]
    cdef nd_problem mirror
    if is_mirrored(job.p, job.k):
        mirror = mirrored(job.p)
        other.p, other.x, other.y = &mirror, job.y, job.x
        other.dw.o, other.dw.c = job.dw.c, job.dw.o
        run(&other, False)
    elif takes_taps(job.p, job.k):
        tap_grad(job)
    else:
        run(job, False)

cdef void run(const nd_job *job, bint gathered) noexcept nogil:
    cdef WeightGrad f
    cdef nd_job flat_job = job[0]
    cdef nd_problem flat
    if (is_plain(job.p) and is_run(&flat_job.x, job.p.id, job.p.ih, job.p.iw, False)
            and is_run(&flat_job.y, job.p.od, job.p.oh, job.p.ow, False)):
        flat = flattened(job.p)
        flat_job.p = &flat
    f.job, f.c, f.gathered = &flat_job, chunking(flat_job.p, job.k, gathered), gathered
    if f.c.common > 0:
        parallel_for(job.p.g * f.c.panels * f.c.chunks, 1, job.threads, pack_body, &f)
    parallel_for(f.c.parts * job.p.g * f.c.kparts * f.c.oparts, 1, job.threads, sum_body, &f)
    parallel_for(job.p.g * f.c.panels * ceil_div(flat_job.p.icg, collected(&f)), ceil_div(16384, f.c.parts * ROWS * job.k.nr),
                 job.threads, collect_body, &f)

cdef inline ptrdiff_t first_row(const WeightGrad *f, ptrdiff_t part) noexcept nogil:
    """The first unit that belongs to a part: whole tiles are dealt out."""
    return min(split(ceil_div(f.c.units, f.job.k.mr), f.c.kparts, part) * f.job.k.mr, f.c.units)

cdef inline void set_chunk(const WeightGrad *f, Block *b, ptrdiff_t chunk) noexcept nogil:
    b.chunk, b.line = chunk, split(f.c.lines, f.c.chunks, chunk)
    b.lines = split(f.c.lines, f.c.chunks, chunk + 1) - b.line
    b.w = b.line % f.c.strips * f.c.width
    b.width = min(f.c.width, f.job.p.ow - b.w)

cdef inline char *common_panel(const WeightGrad *f, const Block *b, ptrdiff_t panel) noexcept nogil:
    """Packed dY of the chunk, from [group][panel][pixel][nr]."""
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t pixel = b.line // f.c.strips * p.ow + b.w
    return f.job.workspace + f.c.sums + f.job.k.size * (
        ((b.g * f.c.panels + panel) * p.n * pixels_of(p) + pixel) * f.job.k.nr)

cdef void pack_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef WeightGrad *f = <WeightGrad *>context
    cdef Block b
    cdef ptrdiff_t i, panel
    for i in range(begin, end):
        set_chunk(f, &b, i % f.c.chunks)
        b.g, panel, b.k0 = i // f.c.chunks // f.c.panels, i // f.c.chunks % f.c.panels, 0
        pack_gradient(f, &b, panel, common_panel(f, &b, panel))

cdef inline const char *packed_gradient(WeightGrad *f, Block *b, ptrdiff_t panel) noexcept nogil:
    """dY of the chunk's pixels and one panel of output channels as [pixel][nr]."""
    if f.c.common > 0:
        return common_panel(f, b, panel)
    pack_gradient(f, b, panel, b.dy)
    return b.dy

cdef void sum_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_kernel_set *k = f.job.k
    cdef Chunks *c = &f.c
    cdef Block b
    cdef ptrdiff_t i, j, part, chunk
    b.x = f.job.workspace + c.sums + c.common + worker * (c.x + c.dy)
    b.dy = b.x + c.x
    for i in range(begin, end):
        b.v0, b.v1 = split(c.panels, c.oparts, i % c.oparts), split(c.panels, c.oparts, i % c.oparts + 1)
        j = i // c.oparts
        b.k0 = first_row(f, j % c.kparts)
        b.rows = first_row(f, j % c.kparts + 1) - b.k0
        j = j // c.kparts
        b.g, part = j % f.job.p.g, j // f.job.p.g
        b.sums = f.job.workspace + k.size * (part * f.job.p.g + b.g) * c.panels * c.k * k.nr
        b.start = ND_ZERO
        for chunk in range(split(c.chunks, c.parts, part), split(c.chunks, c.parts, part + 1)):
            set_chunk(f, &b, chunk)
            if f.gathered:
                add_gathered(f, &b)
            else:
                add_in_place(f, &b)
            b.start = ND_ADD

cdef void pack_gradient(WeightGrad *f, Block *b, ptrdiff_t panel, char *to) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *dy = &f.job.y
    cdef ptrdiff_t i = 0, run, channel = b.g * p.ocg + panel * k.nr, channels = min(k.nr, p.ocg - panel * k.nr)
    cdef const char *packed = to
    cdef bint joined = b.width == p.ow and dy.h == p.ow * dy.w    # the rows of a plane are one
    cdef Pixel at
    while i < b.lines:
        at = pixel_at(p, (b.line + i) // f.c.strips * p.ow + b.w)
        run = min(p.oh - at.h, b.lines - i) if joined else 1
        k.pack(to, k.nr, dy.data + k.size * (at.n * dy.n + channel * dy.c + at.d * dy.d + at.h * dy.h + at.w * dy.w),
               run * b.width, channels, dy.w, dy.c)
        to += k.size * run * b.width * k.nr
        i += run
    if b.k0 == 0:
        add_bias_grad(f.job, b.chunk, channel, channels, packed, b.lines * b.width, k.nr)

cdef inline ptrdiff_t lanes_of(const WeightGrad *f, ptrdiff_t panel) noexcept nogil:
    """Lanes of the vectors that a panel of output channels fills."""
    cdef ptrdiff_t vl = f.job.k.vl
    return ceil_div(min(f.job.k.nr, f.job.p.ocg - panel * f.job.k.nr), vl) * vl

cdef void add_gathered(WeightGrad *f, Block *b) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t size = k.size, i, v, tiles = ceil_div(b.rows, k.mr), lanes, zero_off = 0
    cdef bint in_tiles = f.job.x.c == 1 and p.icg >= k.mr
    cdef const char *dy
    cdef Pixel at = pixel_at(p, b.line // f.c.strips * p.ow + b.w)
    cdef nd_walk walk
    walk.runs, walk.len, walk.a_off, walk.b_off, walk.b_k = 1, b.lines * b.width, &zero_off, &zero_off, k.nr
    walk.a_row, walk.a_k = walk.len, 1
    if in_tiles:
        walk.a_row, walk.a_k = 1, k.mr
        gather_tiles(f, b, tiles)
    else:
        for i in range(b.rows):
            gather_row(p, k, &f.job.x, b.g * p.icg + (b.k0 + i) % p.icg, (b.k0 + i) // p.icg, at, walk.len,
                       b.x + size * i * walk.len)
    for v in range(b.v0, b.v1):
        dy = packed_gradient(f, b, v)
        lanes = lanes_of(f, v)
        if not in_tiles:
            tiles = ceil_div(b.rows, k.tile_rows(lanes))
        gemm_rows(k, &walk, b.rows, tiles, lanes, b.x, walk.len * k.mr if in_tiles else 0, dy,
                  b.sums + size * (v * f.c.k + b.k0) * k.nr, k.nr, 1, b.start, NULL)

cdef void gather_tiles(WeightGrad *f, Block *b, ptrdiff_t tiles) noexcept nogil:
    """The block's k as tiles of [pixel][mr]. A few pixels at a time: their lines stay in L1 until every tile has its channels."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t i, j, t, run, row, c, rows, low, high, pixels = b.lines * b.width
    cdef Pixel at
    for i in range(b.lines):
        at = pixel_at(p, (b.line + i) // f.c.strips * p.ow + b.w)
        j = 0
        while j < b.width:
            run = min(b.width - j, <ptrdiff_t>GATHERED)
            for t in range(tiles):
                row = low = split(b.rows, tiles, t)
                high = split(b.rows, tiles, t + 1)
                while row < high:
                    c = (b.k0 + row) % p.icg
                    rows = min(p.icg - c, high - row)
                    gather_block(p, k, &f.job.x, b.g * p.icg + c, rows, at, run, (b.k0 + row) // p.icg,
                                 b.x + k.size * ((t * pixels + i * b.width + j) * k.mr + row - low), k.mr, 1)
                    row += rows
            at.w += run
            j += run

cdef void add_in_place(WeightGrad *f, Block *b) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t v, tap
    cdef const char *dy
    cdef const char *x = f.job.x.data + k.size * (b.g * p.icg + b.k0) * f.job.x.c
    cdef nd_walk walk
    walk.a_off = <ptrdiff_t *>(b.x + CONSTANT_BYTES)
    walk.b_off = walk.a_off + (b.lines * b.width if p.bordered else b.lines)
    walk.b_k = k.nr
    if p.bordered:
        put(k, b.x, p.fill)
    for v in range(b.v0, b.v1):
        dy = packed_gradient(f, b, v)
        for tap in range(f.c.taps):
            walk.a_row, walk.a_k = f.job.x.c, p.sw * f.job.x.w
            set_runs(f, b, &walk, tap)
            add_tap(f, b, &walk, v, tap, x, dy, b.start)
            if p.bordered:
                set_cells(f, b, &walk, tap, False)
                if walk.runs > 0:
                    add_tap(f, b, &walk, v, tap, x, dy, ND_ADD)
            if p.fill != 0:
                walk.a_row = 0
                set_cells(f, b, &walk, tap, True)
                if walk.runs > 0:
                    add_tap(f, b, &walk, v, tap, b.x, dy, ND_ADD)

cdef inline void add_tap(WeightGrad *f, Block *b, const nd_walk *walk, ptrdiff_t panel, ptrdiff_t tap, const char *x,
                         const char *dy, int start) noexcept nogil:
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t lanes = lanes_of(f, panel)
    gemm_rows(k, walk, b.rows, ceil_div(b.rows, k.tile_rows(lanes)), lanes, x, 0, dy,
              b.sums + k.size * (panel * f.c.k + tap * f.job.p.icg + b.k0) * k.nr, k.nr, 1, start, NULL)

cdef inline void columns_inside(const WeightGrad *f, const Block *b, ptrdiff_t tap, ptrdiff_t *low,
                                ptrdiff_t *high) noexcept nogil:
    """The columns low <= i < high of a stretch that see x's columns at this tap."""
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t left = tap % p.kw * p.dw - p.pw
    low[0] = max(b.w, 0 if left >= 0 else min(ceil_div(-left, p.sw), p.ow))
    high[0] = max(min(b.w + b.width, 0 if left >= p.iw else min((p.iw - 1 - left) // p.sw + 1, p.ow)), low[0])

cdef inline void row_of(const nd_problem *p, ptrdiff_t tap, const Pixel *at, ptrdiff_t *d, ptrdiff_t *h) noexcept nogil:
    """The depth and row of x that an output row sees at this tap."""
    d[0] = nd_source(&p.outside[0], at.d * p.sd + tap // (p.kw * p.kh) * p.dd - p.pd, p.id)
    h[0] = nd_source(&p.outside[1], at.h * p.sh + tap // p.kw % p.kh * p.dh - p.ph, p.ih)

cdef void set_runs(WeightGrad *f, Block *b, nd_walk *walk, ptrdiff_t tap) noexcept nogil:
    """One run for each stretch of the chunk whose window has this tap in a row of x, over the pixels whose columns x has."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t *a_off = <ptrdiff_t *>walk.a_off
    cdef ptrdiff_t *b_off = <ptrdiff_t *>walk.b_off
    cdef ptrdiff_t i, d, h, low, high
    cdef Pixel at = pixel_at(p, b.line // f.c.strips * p.ow)
    columns_inside(f, b, tap, &low, &high)
    walk.runs, walk.len = 0, high - low
    for i in range(b.lines):    # of as many output rows, or a single stretch of one
        row_of(p, tap, &at, &d, &h)
        if d >= 0 and h >= 0:
            a_off[walk.runs] = at.n * x.n + d * x.d + h * x.h + (low * p.sw + tap % p.kw * p.dw - p.pw) * x.w
            b_off[walk.runs] = (i * b.width + low - b.w) * f.job.k.nr
            walk.runs += 1
        next_row(p, &at)

cdef void set_cells(WeightGrad *f, Block *b, nd_walk *walk, ptrdiff_t tap, bint constants) noexcept nogil:
    """One run for each pixel that sees a cell of x although its column lies outside; or the constant."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t *a_off = <ptrdiff_t *>walk.a_off
    cdef ptrdiff_t *b_off = <ptrdiff_t *>walk.b_off
    cdef ptrdiff_t i, j, d, h, w, low, high
    cdef Pixel at = pixel_at(p, b.line // f.c.strips * p.ow)
    columns_inside(f, b, tap, &low, &high)
    walk.runs, walk.len = 0, 1
    if not constants and low == b.w and high == low + b.width:
        return
    for i in range(b.lines):
        row_of(p, tap, &at, &d, &h)
        j = b.w + b.width if ND_NOWHERE in (d, h) or (not constants and ND_FILL in (d, h)) else b.w
        while j < b.w + b.width:
            if j == low < high and d >= 0 and h >= 0:
                j = high
                continue
            w = nd_source(&p.outside[2], j * p.sw + tap % p.kw * p.dw - p.pw, p.iw)
            if w != ND_NOWHERE and constants == (ND_FILL in (d, h, w)):
                a_off[walk.runs] = 0 if constants else at.n * x.n + d * x.d + h * x.h + w * x.w
                b_off[walk.runs] = (i * b.width + j - b.w) * f.job.k.nr
                walk.runs += 1
            j += 1
        next_row(p, &at)

cdef inline ptrdiff_t collected(const WeightGrad *f) noexcept nogil:
    """Channels of dW, at all taps, that are collected at a time."""
    return max(ROWS // taps_of(f.job.p), <ptrdiff_t>1)

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Adds the partial sums in their order and writes some channels of a panel of dW to where the caller wants them. Taps that
    are next to each other there are turned in registers, channel by channel: written tap by tap, each line was sought once a
    tap (384 channels to 384, 3x3 on 7x7: twice the time in all)."""
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_problem *p = f.job.p
    cdef nd_weights dw = f.job.dw
    cdef ptrdiff_t taps = taps_of(p), i, part, panel, o, channels, tap, c0, c, count, step = collected(f)
    cdef ptrdiff_t blocks = ceil_div(p.icg, step), row = k.size * k.nr, next_part = row * p.g * f.c.panels * f.c.k
    cdef char *sums
    cdef char *to
    cdef char *at
    for i in range(begin, end):
        panel, c0 = i // blocks, i % blocks * step
        count = min(p.icg - c0, step)
        sums = f.job.workspace + row * (panel * f.c.k + c0)
        for part in range(1, f.c.parts):
            for tap in range(taps):
                k.add(sums + row * tap * p.icg, 1, sums + row * tap * p.icg + part * next_part, count * k.nr)
        o = panel % f.c.panels * k.nr
        channels = min(k.nr, p.ocg - o)
        to = dw.data + k.size * (panel // f.c.panels * dw.g + o * dw.o + c0 * dw.c)
        if taps > 1 and dw.w == 1 and (p.kh == 1 or dw.h == p.kw) and (p.kd == 1 or dw.d == p.kh * p.kw):
            for c in range(count):
                k.move(to + k.size * c * dw.c, dw.o, sums + row * c, channels, taps, 1, k.nr * p.icg)
            continue
        for tap in range(taps):
            at = to + k.size * (tap // (p.kw * p.kh) * dw.d + tap // p.kw % p.kh * dw.h + tap % p.kw * dw.w)
            if dw.c == 1:
                k.move(at, dw.o, sums + row * tap * p.icg, channels, count, 1, k.nr)
                continue
            for c in range(count):
                k.scatter(at + k.size * c * dw.c, dw.o, sums + row * (tap * p.icg + c), 1, channels)
