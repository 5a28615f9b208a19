# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""gemm: im2col fused into the packing of a blocked matrix multiplication (Goto and van de Geijn 2008; Van Zee and van
de Geijn, BLIS, 2015). The im2col matrix never exists as a whole: a task packs one block of it at a time.

Forward, Y[oc, pixel] = W[oc, k] X[k, pixel], k = (tap, channel). A task is a block of pixels of one image and group
(and of output channels, when there are few pixels). Lanes hold pixels (NCHW memory):

    for kb in blocks of k                       (weights of the task: L2)
        for vb in blocks of vectors of pixels   (one, or as many as 24 KiB hold when sums are short)
            pack X[kb, vb] to [v][kc][nr]       (48 KiB at most, L1 and L2)
            for t in tiles of output channels   (weights stream from L2: mr elements a step)
                for v in vb: register tile over kc steps    (kernels/gemm.h)

Lanes hold oc (NHWC memory; narrow images in any):

    for kb in blocks of k
        pack X[pixels of the task, kb] to [pixel][kc]   (up to 256 KiB, L2; 1x1 stride 1: read where it is, if L1 can hold it)
        for v in vector panels of weights               (48 KiB, L1 and L2)
            for t in tiles of pixels: register tile over kc steps

Images of a few pixels each are one long image: the pixels of a tile may belong to several.

Packing costs about half a cycle an element, and 2*oc operations on the element pay for it: 12 % of the time at 64 output
channels, 3 % at 256. With few input channels the blocks are small and the calls cost more; direct is the method there.
Expected 75 to 90 % of the FMA peak. Each output's sum runs over k in the same order whatever the blocking of pixels.
"""
from libc.string cimport memset

from ndconv._c cimport (ND_ADD, ND_BIAS_COLUMN, ND_BIAS_ROW, ND_NONE, ND_ZERO, nd_array, nd_job, nd_kernel_set,
                        nd_method, nd_problem, nd_sizes, nd_tiles, nd_walk, nd_weights)
from ndconv._column_sums cimport (columns_bytes, columns_of, prepare_columns, product_of, sum_columns, sums_worker_bytes,
                                  takes_columns, turned_bytes)
from ndconv._method cimport new_method
from ndconv._outside cimport copy_cells
from ndconv._pack cimport (Pixel, block_bytes, ceil_div, copy_clipped, evened, finish_pixels, flattened, gather_block,
                           gemm_rows, is_plain, is_run, lines_kept, next_row, panel_count, panels_bytes, pixel_at, pixels_of,
                           prepare_panels, scatter_row, split, taps_of, use_lanes_oc, whole_lines)
from ndconv._runtime cimport parallel_for
from ndconv._weight_grad cimport gemm_bias_parts, gemm_weight_grad, gemm_weight_grad_bytes

cdef enum:
    FEW = 24                 # products of a short sum
    STRETCH = 512            # pixels of a channel that a task then writes at least
    SHORT_BYTES = 24576      # of the vector panels that are packed together: rows of y are then written in long runs
    PANEL_BYTES = 49152      # of the vector operand: longer sums than L1 holds, since they go back to memory less often
    BLOCK_BYTES = 262144     # of the pixels of a task for one block of k
    COMMON_BYTES = 8388608   # of packed pixels shared by all tasks
    TURNED_PIXELS = 64       # of a stretch of a row that is turned at a time
    TASKS = 12               # that a problem is cut into when it is large enough
    FEW_PIXELS = 32          # of an image that is joined to the next

cdef struct Blocking:
    bint lanes_oc
    ptrdiff_t k, kc, kblocks           # length of the sum, of its blocks, their number
    ptrdiff_t icb                      # k runs over blocks of icb channels, in a block over taps, then over its channels
    ptrdiff_t images                   # n, or 1 when all images are joined to one
    ptrdiff_t pixels, pc, pblocks      # pixels of an image, of its largest task, tasks of an image
    ptrdiff_t height, taller           # lanes of pixels: output channels of a panel; the first `taller` panels have one more
    ptrdiff_t panels, splits           # weight panels a group, parts they are dealt to
    ptrdiff_t vb, packs                # lanes of pixels: panels that meet the weights together, and that are packed together
    ptrdiff_t packed, y                # bytes of a worker's scratch: packed pixels, results that y cannot take as they come
    ptrdiff_t common                   # bytes of packed pixels that all tasks share, if any
    ptrdiff_t turned                   # bytes of input columns turned to [column][channel], for lanes of oc on NCHW memory

cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Blocking b
    cdef ptrdiff_t step, steps, tasks, limit, columns
    b.lanes_oc = use_lanes_oc(p, k)
    b.k = p.icg * taps_of(p)
    limit = max(PANEL_BYTES // (k.nr * k.size), 32)
    # lanes that hold pixels: all taps of a few channels, so that a cache line of x is read once for all its taps
    b.icb = p.icg if b.lanes_oc else ceil_div(p.icg, ceil_div(b.k, limit))
    b.kc = b.icb * taps_of(p)
    if b.kc > limit:
        b.kc = ceil_div(b.k, ceil_div(b.k, limit))
    b.kblocks = ceil_div(b.k, b.kc)
    b.images, b.pixels = p.n, pixels_of(p)
    if b.pixels <= FEW_PIXELS:
        b.images, b.pixels = min(p.n, 1), p.n * b.pixels
    b.panels = panel_count(p, k)
    b.height, b.taller = p.ocg // b.panels, p.ocg % b.panels
    # pixels: as many as the block holds, but enough tasks; whole vector panels or tiles
    step = k.mr if b.lanes_oc else k.nr
    b.pc = max(block_bytes(p, BLOCK_BYTES) // (b.kc * k.size), step)
    if b.lanes_oc and b.pixels < 2 * TASKS * step and b.panels >= TASKS:
        # too few pixels to cut: the weights are streamed once, and tasks are output channels
        tasks = ceil_div(b.pixels, b.pc)
    else:
        tasks = ceil_div(TASKS, b.images * p.g)
        if not p.lanes_oc and b.k <= FEW:
            # short sums: most of the time goes to y, where threads that write beside each other take lines from each other. By
            # output channels 16 to 384 channels of 28 x 28 take 0.4 of the time
            tasks = max(min(tasks, b.pixels // STRETCH), <ptrdiff_t>1)
        tasks = max(tasks, ceil_div(b.pixels, b.pc))
    b.pc = min(max(ceil_div(b.pixels, tasks), 4 * step), max(b.pixels, 1))
    steps = ceil_div(b.pixels, step)
    b.pblocks = evened(ceil_div(b.pixels, b.pc), b.images * p.g, steps)
    b.pc = ceil_div(steps, max(b.pblocks, 1)) * step
    # few pixels: deal the output channels out too
    b.splits = min(ceil_div(TASKS, b.images * p.g * b.pblocks), max(b.panels * (k.nr if b.lanes_oc else k.mr) // 32, 1))
    b.vb = min(max(SHORT_BYTES // max(b.kc * k.nr * k.size, 1), 1), ceil_div(b.pc, k.nr))
    b.packs = ceil_div(b.pc, k.nr) if is_plain(p) else b.vb
    b.packed = whole_lines((b.pc if b.lanes_oc else b.packs * k.nr) * b.kc * k.size)
    b.y = b.pc * ceil_div(b.panels, b.splits) * (k.nr if b.lanes_oc else k.mr) * k.size
    # parts that see the same pixels do not each pack them
    b.common = 0
    if (b.lanes_oc or is_plain(p)) and b.splits > 1 and b.images * p.g * b.pblocks * b.pc * b.k * <double>k.size <= COMMON_BYTES:
        b.common = whole_lines(b.images * p.g * b.pblocks * b.pc * b.k * k.size)
    b.turned = 0
    if b.lanes_oc and not p.lanes_oc and (p.kw > 1 or p.sw > 1):
        columns = (min(p.ow, <ptrdiff_t>TURNED_PIXELS) - 1) * p.sw + (p.kw - 1) * p.dw + 1
        b.turned = columns * p.icg * k.size
    return b

cdef nd_problem in_rows(const nd_problem *p) noexcept nogil:
    """What vectors hold is decided by the rows there are: all pixels of an image are one row of a plain 1x1."""
    return flattened(p) if is_plain(p) else p[0]

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef nd_problem rows = in_rows(p)
    cdef Blocking b = blocking(&rows, k)
    to.prepared, to.prepare_worker, to.shared, to.worker = panels_bytes(&rows, k), 0, b.common, scratch_of(&b)

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef nd_problem rows = in_rows(p)
    cdef Blocking b = blocking(&rows, k)
    prepare_panels(&rows, k, w, to, b.icb, threads)

cdef inline ptrdiff_t scratch_of(const Blocking *b) noexcept nogil:
    return whole_lines(b.packed + b.y + b.turned)

cdef struct Forward:
    const nd_job *job
    nd_problem p            # with the spatial axes of a plain 1x1 collapsed to one
    nd_array x, y
    Blocking b
    bint one_row            # a plain 1x1 with the pixels of an image in one run, in x and in y
    bint in_place           # lanes hold oc: the pixels of x are read where they are
    bint in_tiles           # lanes hold oc: neighbouring pixels of x are packed as [tile][k][mr], others as [pixel][k]
    bint whole              # y's pixels are y.w apart in one run: tiles are stored straight to it

cdef void forward(const nd_job *job) noexcept nogil:
    cdef Forward f
    cdef nd_problem *p = &f.p
    cdef nd_problem rows = in_rows(job.p)
    f.job, f.p, f.x, f.y = job, job.p[0], job.x, job.y
    f.b = blocking(&rows, job.k)
    cdef bint joined = f.b.images < p.n
    f.whole = is_run(&f.y, p.od, p.oh, p.ow, joined)
    f.one_row = f.in_place = f.in_tiles = False
    if is_plain(p) and f.whole and is_run(&f.x, p.id, p.ih, p.iw, joined):
        f.p = rows
        p.iw = p.ow = f.b.pixels
        f.one_row = True
        f.in_tiles = f.x.w == 1 and f.x.c != 1
        f.in_place = not f.in_tiles and job.k.mr <= lines_kept(f.x.w * job.k.size)
    if f.b.common > 0 and not (f.b.lanes_oc and f.in_place):
        parallel_for(f.b.images * p.g * f.b.pblocks * f.b.kblocks, 1, job.threads, pack_body, &f)
    parallel_for(f.b.images * p.g * f.b.pblocks * f.b.splits, 1, job.threads, forward_body, &f)

cdef inline char *common_block(const Forward *f, ptrdiff_t image, ptrdiff_t first, ptrdiff_t count, ptrdiff_t k0) noexcept nogil:
    """Packed pixels of a block of an image and group, from k0 on."""
    cdef ptrdiff_t step = f.job.k.mr if f.b.lanes_oc else f.job.k.nr, room = ceil_div(count, step) * step
    return f.job.workspace + f.job.k.size * ((image * f.b.pblocks * f.b.pc + first) * f.b.k + room * k0)

cdef void pack_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef char *turned = f.job.workspace + f.b.common + worker * scratch_of(&f.b) + f.b.packed + f.b.y
    cdef char *to
    cdef ptrdiff_t i, image, first, count, k0, kc
    for i in range(begin, end):
        k0 = i % f.b.kblocks * f.b.kc
        image, count = i // f.b.kblocks // f.b.pblocks, i // f.b.kblocks % f.b.pblocks
        first, count = first_pixel(f, count), first_pixel(f, count + 1) - first_pixel(f, count)
        kc = min(f.b.kc, f.b.k - k0)
        to = common_block(f, image, first, count, k0)
        if f.b.lanes_oc:
            pack_pixels(f, image // f.p.g, image % f.p.g, first, count, k0, kc, to, turned)
        else:
            pack_panels(f, image // f.p.g, image % f.p.g, first, count, k0, kc, to)

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef char *scratch = f.job.workspace + f.b.common + worker * scratch_of(&f.b)
    cdef ptrdiff_t i, image, first, count, part
    for i in range(begin, end):
        part = i % f.b.splits
        image = i // f.b.splits // f.b.pblocks
        count = i // f.b.splits % f.b.pblocks
        first, count = first_pixel(f, count), first_pixel(f, count + 1) - first_pixel(f, count)
        if f.b.lanes_oc:
            multiply_lanes_oc(f, image // f.p.g, image % f.p.g, first, count, part, scratch)
        else:
            multiply_lanes_pixels(f, image // f.p.g, image % f.p.g, first, count, part, scratch)
        finish_block(f, image // f.p.g, image % f.p.g, first, count, part)

cdef inline void finish_block(Forward *f, ptrdiff_t n, ptrdiff_t g, ptrdiff_t first, ptrdiff_t count,
                              ptrdiff_t part) noexcept nogil:
    cdef ptrdiff_t low = first_channel(f, part), high = first_channel(f, part + 1)
    finish_pixels(f.job, g * f.p.ocg + low, high - low, pixel_at(f.job.p, n * f.b.pixels + first), count)

cdef inline ptrdiff_t first_pixel(const Forward *f, ptrdiff_t block) noexcept nogil:
    """The first of an image's pixels that belongs to a block: whole tiles are dealt out."""
    cdef ptrdiff_t step = f.job.k.mr if f.b.lanes_oc else f.job.k.nr
    return min(split(ceil_div(f.b.pixels, step), f.b.pblocks, block) * step, f.b.pixels)

cdef inline ptrdiff_t first_channel(const Forward *f, ptrdiff_t part) noexcept nogil:
    """The first of a group's output channels that belongs to a part."""
    cdef ptrdiff_t panel = split(f.b.panels, f.b.splits, part)
    return min(panel * f.job.k.nr, f.p.ocg) if f.b.lanes_oc else f.b.height * panel + min(panel, f.b.taller)

cdef inline int start_of(const Forward *f, ptrdiff_t kb, int bias) noexcept nogil:
    return ND_ADD if kb > 0 else bias if f.job.bias != NULL else ND_ZERO

cdef void multiply_lanes_pixels(Forward *f, ptrdiff_t n, ptrdiff_t g, ptrdiff_t first, ptrdiff_t count, ptrdiff_t part,
                                char *scratch) noexcept nogil:
    cdef const nd_kernel_set *k = f.job.k
    cdef Blocking *b = &f.b
    cdef ptrdiff_t size = k.size, kb, k0, kc, v0, v1, base, t, o, m, low, high, y_row, y_col, last, zero_off = 0
    cdef char *packed = scratch
    cdef char *results = scratch + b.packed
    cdef const char *a
    cdef char *y
    cdef nd_walk walk
    cdef nd_tiles tiles
    low, high = split(b.panels, b.splits, part), split(b.panels, b.splits, part + 1)
    walk.runs, walk.a_off, walk.b_off = 1, &zero_off, &zero_off
    walk.a_row, walk.a_k, walk.b_k = 1, k.mr, k.nr
    tiles.a = tiles.bias = 0
    if f.whole:
        y, y_row, y_col = f.y.data + size * (n * f.y.n + first * f.y.w), f.y.c, f.y.w
    else:
        y, y_row, y_col = results - size * (g * f.p.ocg + split(f.p.ocg, b.panels, low)) * b.pc, b.pc, 1
    for kb in range(b.kblocks):
        k0 = kb * b.kc
        kc = walk.len = min(b.kc, b.k - k0)
        v0 = 0
        while v0 * k.nr < count:
            v1 = min(v0 + b.vb, ceil_div(count, k.nr))
            if b.common > 0:
                packed = common_block(f, n * f.p.g + g, first, count, k0)
            elif v0 % b.packs == 0:
                pack_panels(f, n, g, first + v0 * k.nr, min(b.packs * k.nr, count - v0 * k.nr), k0, kc, packed)
            base = 0 if b.packs > b.vb else v0
            o = g * f.p.ocg + b.height * low + min(low, b.taller)
            a = <const char *>f.job.w + size * ((g * b.panels + low) * b.k + k0) * k.mr
            tiles.count, tiles.b, tiles.y = min(v1, count // k.nr) - v0, kc * k.nr, k.nr * y_col
            last = count - (v0 + tiles.count) * k.nr if v0 + tiles.count < v1 else 0
            for t in range(low, high):
                m = b.height + (t < b.taller)
                k.gemm_tiles(&walk, &tiles, m, k.nr, a, packed + size * (v0 - base) * tiles.b,
                             y + size * (o * y_row + v0 * tiles.y), y_row, y_col,
                             start_of(f, kb, ND_BIAS_ROW), <const char *>f.job.bias + size * o)
                if last:
                    k.gemm(&walk, m, last, a, packed + size * (v0 - base + tiles.count) * tiles.b,
                           y + size * (o * y_row + (v0 + tiles.count) * tiles.y), y_row, y_col, start_of(f, kb, ND_BIAS_ROW),
                           <const char *>f.job.bias + size * o)
                o += m
                a += size * b.k * k.mr
            v0 = v1
    if not f.whole:
        for o in range(g * f.p.ocg + split(f.p.ocg, b.panels, low), g * f.p.ocg + split(f.p.ocg, b.panels, high)):
            scatter_row(&f.p, k, &f.y, o, pixel_at(&f.p, n * b.pixels + first), count, y + size * o * b.pc, 1)

cdef void pack_panels(Forward *f, ptrdiff_t n, ptrdiff_t g, ptrdiff_t first, ptrdiff_t count, ptrdiff_t k0, ptrdiff_t kc,
                      char *to) noexcept nogil:
    """Rows k0 <= k < k0 + kc of the im2col matrix as panels [v][kc][nr] of `count` pixels from `first` on."""
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t i = 0
    if f.one_row and f.x.w == 1:
        k.pack_rows(to, k.nr, f.x.data + k.size * (n * f.x.n + (g * f.p.icg + k0) * f.x.c + first), kc, count, f.x.c)
        return
    while i < count:
        pack_panel(f, g, pixel_at(&f.p, n * f.b.pixels + first + i), min(k.nr, count - i), k0, kc, to + k.size * i * kc)
        i += k.nr

cdef void pack_panel(Forward *f, ptrdiff_t g, Pixel at, ptrdiff_t count, ptrdiff_t k0, ptrdiff_t kc, char *to) noexcept nogil:
    """Rows k0 <= k < k0 + kc of the im2col matrix as a panel [kc][nr] of `count` pixels from `at` on, a stretch of an output
    row at a time; a row of taps at a time where all of it lies in the array."""
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t run, tap, c0, cb, c, at_k, channels, taps = taps_of(p)
    # pixels first <= w < last of a row see no padding on either side; they are runs of their own
    cdef ptrdiff_t first = ceil_div(max(p.pw, 0), p.sw), last = max((p.iw + p.pw - (p.kw - 1) * p.dw - 1) // p.sw + 1, first)
    while count > 0:
        run = min((first if at.w < first else last if at.w < last else p.ow) - at.w, min(p.ow - at.w, count))
        at_k = k0
        while at_k < k0 + kc:
            c0 = at_k // (f.b.icb * taps) * f.b.icb
            cb = min(f.b.icb, p.icg - c0)
            tap, c = (at_k - c0 * taps) // cb, (at_k - c0 * taps) % cb
            channels = min(cb - c, k0 + kc - at_k)
            if c == 0 and tap % p.kw == 0 and at_k + p.kw * cb <= k0 + kc and pack_taps(f, g, at, run, tap, c0, cb,
                                                                                        to + k.size * (at_k - k0) * k.nr):
                channels = p.kw * cb
            else:
                gather_block(p, k, &f.x, g * p.icg + c0 + c, channels, at, run, tap, to + k.size * (at_k - k0) * k.nr, 1, k.nr)
            at_k += channels
        to += run * k.size
        count -= run
        at.w += run
        if at.w == p.ow:
            next_row(p, &at)

cdef bint pack_taps(Forward *f, ptrdiff_t g, Pixel at, ptrdiff_t run, ptrdiff_t tap, ptrdiff_t c, ptrdiff_t channels,
                    char *to) noexcept nogil:
    """A row of taps from `tap` on as [tap][channel][nr], if no pixel of the run sees padding there."""
    cdef const nd_problem *p = &f.p
    cdef const nd_array *x = &f.x
    cdef ptrdiff_t d = at.d * p.sd + tap // (p.kw * p.kh) * p.dd - p.pd, h = at.h * p.sh + tap // p.kw % p.kh * p.dh - p.ph
    cdef ptrdiff_t w = at.w * p.sw - p.pw
    if not (0 <= d < p.id and 0 <= h < p.ih and w >= 0 and w + (p.kw - 1) * p.dw + (run - 1) * p.sw < p.iw):
        return False
    f.job.k.pack_taps(to, f.job.k.nr, x.data + f.job.k.size * (at.n * x.n + (g * p.icg + c) * x.c + d * x.d + h * x.h + w * x.w),
                      p.kw, p.dw * x.w, channels, x.c, run, p.sw * x.w)
    return True

cdef void multiply_lanes_oc(Forward *f, ptrdiff_t n, ptrdiff_t g, ptrdiff_t first, ptrdiff_t count, ptrdiff_t part,
                            char *scratch) noexcept nogil:
    cdef const nd_kernel_set *k = f.job.k
    cdef Blocking *b = &f.b
    cdef ptrdiff_t size = k.size, kb, k0, kc, v, o, cols, low, high, y_row, y_col, zero_off = 0
    cdef char *results = scratch + b.packed
    cdef const char *a = scratch
    cdef const char *w
    cdef char *y
    cdef nd_walk walk
    low, high = split(b.panels, b.splits, part), split(b.panels, b.splits, part + 1)
    walk.runs, walk.a_off, walk.b_off, walk.b_k = 1, &zero_off, &zero_off, k.nr
    if f.whole:
        y, y_row, y_col = f.y.data + size * (n * f.y.n + first * f.y.w), f.y.w, f.y.c
    else:
        y_row, y_col = (high - low) * k.nr, 1
        y = results - size * (g * f.p.ocg + low * k.nr)
    for kb in range(b.kblocks):
        k0 = kb * b.kc
        kc = walk.len = min(b.kc, b.k - k0)
        if f.in_place:
            a = f.x.data + size * (n * f.x.n + (g * f.p.icg + k0) * f.x.c + first * f.x.w)
            walk.a_row, walk.a_k = f.x.w, f.x.c
        else:
            if b.common > 0:
                a = common_block(f, n * f.p.g + g, first, count, k0)
            else:
                pack_pixels(f, n, g, first, count, k0, kc, scratch, scratch + b.packed + b.y)
            walk.a_row = 1 if f.in_tiles else kc
            walk.a_k = k.mr if f.in_tiles else 1
        for v in range(low, high):
            cols = min(k.nr, f.p.ocg - v * k.nr)
            o = g * f.p.ocg + v * k.nr
            w = <const char *>f.job.w + size * ((g * b.panels + v) * b.k + k0) * k.nr
            gemm_rows(k, &walk, count, ceil_div(count, k.mr if f.in_tiles else k.tile_rows(cols)), cols, a,
                      kc * k.mr if f.in_tiles else 0, w, y + size * o * y_col, y_row, y_col, start_of(f, kb, ND_BIAS_COLUMN),
                      <const char *>f.job.bias + size * o)
    if not f.whole:
        for o in range(g * f.p.ocg + low * k.nr, g * f.p.ocg + min(high * k.nr, f.p.ocg)):
            scatter_row(&f.p, k, &f.y, o, pixel_at(&f.p, n * b.pixels + first), count, y + size * o, y_row)

cdef void pack_pixels(Forward *f, ptrdiff_t n, ptrdiff_t g, ptrdiff_t first, ptrdiff_t count, ptrdiff_t k0, ptrdiff_t kc,
                      char *to, char *turned) noexcept nogil:
    if not f.in_tiles:
        gather_pixels(f, n, g, first, count, k0, kc, to, turned)
        return
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t t, i, tiles = ceil_div(count, k.mr)
    for t in range(tiles):
        i = split(count, tiles, t)
        k.pack(to + k.size * t * kc * k.mr, k.mr,
               f.x.data + k.size * (n * f.x.n + (g * f.p.icg + k0) * f.x.c + (first + i) * f.x.w), kc,
               split(count, tiles, t + 1) - i, f.x.c, f.x.w)

cdef void gather_pixels(Forward *f, ptrdiff_t n, ptrdiff_t g, ptrdiff_t first, ptrdiff_t count, ptrdiff_t k0, ptrdiff_t kc,
                        char *to, char *turned) noexcept nogil:
    """Columns k0 <= k < k0 + kc of the im2col matrix as rows [pixel][kc], one stretch of an output row at a time."""
    cdef const nd_problem *p = &f.p
    cdef Pixel at = pixel_at(p, n * f.b.pixels + first)
    cdef ptrdiff_t run
    while count > 0:
        run = min(p.ow - at.w, count)
        if p.dw == 1 and f.x.c == 1 and f.x.w == p.icg:
            gather_kernel_rows(f, g, at, run, k0, kc, to)
        elif f.b.turned > 0:
            run = min(run, <ptrdiff_t>TURNED_PIXELS)
            gather_turned(f, g, at, run, k0, kc, to, turned)
        else:
            gather_taps(f, g, at, run, k0, kc, to)
        to += run * kc * f.job.k.size
        first += run
        count -= run
        at = pixel_at(p, n * f.b.pixels + first)

cdef void gather_taps(Forward *f, ptrdiff_t g, Pixel at, ptrdiff_t run, ptrdiff_t k0, ptrdiff_t kc, char *to) noexcept nogil:
    """Tap by tap: a block of `run` pixels by the channels of k0 <= k < k0 + kc."""
    cdef ptrdiff_t icg = f.p.icg, tap = k0 // icg, c = k0 % icg, at_k = k0, channels
    while at_k < k0 + kc:
        channels = min(icg - c, k0 + kc - at_k)
        gather_block(&f.p, f.job.k, &f.x, g * icg + c, channels, at, run, tap, to, kc, 1)
        to += channels * f.job.k.size
        at_k += channels
        tap, c = tap + 1, 0

cdef void gather_turned(Forward *f, ptrdiff_t g, Pixel at, ptrdiff_t run, ptrdiff_t k0, ptrdiff_t kc, char *to,
                        char *turned) noexcept nogil:
    """Kernel row by kernel row, from memory that keeps pixels together: the input columns that the run sees are turned to
    [column][channel] once, with zeros in the padding, and from there each pixel copies what its taps see."""
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_problem *p = &f.p
    cdef const nd_array *x = &f.x
    cdef ptrdiff_t size = k.size, icg = p.icg, row = p.kw * icg, at_k = k0, length, part, d, h, left, tap, c, columns, low, high
    left = at.w * p.sw - p.pw
    columns = (run - 1) * p.sw + (p.kw - 1) * p.dw + 1
    low = min(max(-left, 0), columns)
    high = max(min(p.iw - left, columns), low)
    while at_k < k0 + kc:
        length = min(row - at_k % row, k0 + kc - at_k)
        d = at.d * p.sd + at_k // row // p.kh * p.dd - p.pd
        h = at.h * p.sh + at_k // row % p.kh * p.dh - p.ph
        if p.bordered:
            copy_cells(p, k, x.data + size * (at.n * x.n + g * icg * x.c), x, d, h, left, 1, columns, icg, turned, icg, 1)
        elif 0 <= d < p.id and 0 <= h < p.ih:
            memset(turned, 0, low * icg * size)
            memset(turned + high * icg * size, 0, (columns - high) * icg * size)
            k.move(turned + low * icg * size, icg, x.data + size * (at.n * x.n + g * icg * x.c + d * x.d + h * x.h
                                                                    + (left + low) * x.w), high - low, icg, x.w, x.c)
        else:
            memset(turned, 0, columns * icg * size)
        while length > 0:
            tap, c = at_k % row // icg, at_k % icg
            part = length if p.dw == 1 else min(icg - c, length)
            k.move(to + size * (at_k - k0), kc, turned + size * (tap * p.dw * icg + c), run, part, p.sw * icg, 1)
            at_k += part
            length -= part

cdef bint is_inside(const nd_problem *p, Pixel at) noexcept nogil:
    """Whether all of a pixel's window lies in x."""
    cdef ptrdiff_t d = at.d * p.sd - p.pd, h = at.h * p.sh - p.ph, w = at.w * p.sw - p.pw
    return (d >= 0 and d + (p.kd - 1) * p.dd < p.id and h >= 0 and h + (p.kh - 1) * p.dh < p.ih
            and w >= 0 and w + (p.kw - 1) * p.dw < p.iw)

cdef void gather_kernel_rows(Forward *f, ptrdiff_t g, Pixel at, ptrdiff_t run, ptrdiff_t k0, ptrdiff_t kc,
                             char *to) noexcept nogil:
    """Pixel by pixel: the channels of neighbouring taps follow each other in x and are copied as one."""
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_problem *p = &f.p
    cdef const nd_array *x = &f.x
    cdef ptrdiff_t size = k.size, row = p.kw * p.icg, end = k0 + kc, at_k, i, length, d, h
    cdef Pixel pixel = at
    for i in range(run):
        at_k = k0
        pixel.w = at.w + i
        if p.bordered and not is_inside(p, pixel):
            gather_taps(f, g, pixel, 1, k0, kc, to)
            to += kc * size
            continue
        while at_k < end:
            length = min(row - at_k % row, end - at_k)
            d = at.d * p.sd + at_k // row // p.kh * p.dd - p.pd
            h = at.h * p.sh + at_k // row % p.kh * p.dh - p.ph
            if 0 <= d < p.id and 0 <= h < p.ih:
                copy_clipped(k, to, x.data + size * (at.n * x.n + d * x.d + h * x.h), 1, p.iw * p.icg,
                             ((at.w + i) * p.sw - p.pw) * p.icg + at_k % row, 1, length)
            else:
                memset(to, 0, length * size)
            to += length * size
            at_k += length

# ------------------------------------------------------------------------------------------------ transposed, by columns

cdef void transpose_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef nd_problem q
    cdef nd_sizes last
    memset(to, 0, sizeof(nd_sizes))
    if not takes_columns(p, k):
        return
    q = product_of(p, k)
    sizes(&q, k, to)
    q.n = p.n % q.n
    if q.n > 0:
        sizes(&q, k, &last)
        to.shared, to.worker = max(to.shared, last.shared), max(to.worker, last.worker)
    to.shared += columns_bytes(p, k)
    to.worker = max(to.worker, sums_worker_bytes(p, k))
    to.prepare_worker = turned_bytes(p, k)

cdef void transpose_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                            int threads) noexcept nogil:
    prepare_columns(p, k, w, <char *>to, workspace, threads)

cdef void transpose(const nd_job *job) noexcept nogil:
    cdef nd_problem q = product_of(job.p, job.k)
    cdef nd_job product = job[0]
    cdef ptrdiff_t first = 0, images = q.n
    product.p, product.bias, product.residual.data, product.activation = &q, NULL, NULL, ND_NONE
    product.y = columns_of(job.p, job.workspace)
    product.workspace += columns_bytes(job.p, job.k)
    while first < job.p.n:
        q.n = min(images, job.p.n - first)
        product.x.data = job.x.data + job.k.size * first * job.x.n
        forward(&product)
        sum_columns(job, &product.y, first, q.n, product.workspace)
        first += images

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.transpose_sizes = transpose_sizes
table.transpose_prepare = transpose_prepare
table.transpose = transpose
table.weight_grad_bytes = gemm_weight_grad_bytes
table.weight_grad = gemm_weight_grad
table.bias_parts = gemm_bias_parts

METHOD = new_method("gemm", "im2col fused into the packing of a blocked matrix multiplication", True,
                    "element-wise: |error| <= gamma(K+2) (|x| conv |w| + |b|)", lambda problem: None, &table,
                    ("small", "large", "turned"), lambda problem: problem.results)
