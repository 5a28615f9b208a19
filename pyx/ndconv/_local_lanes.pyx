# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Convolution with a kernel of its own for every output position, of many images, forward.

    y[n, o, p] = b[o, p] + sum over k of W[o, p, k] * X[p, k, n],  k = (channel, tap)

Nothing but images shares a weight, so images are the lanes: W is the operand of the register tile that is broadcast, from
where it is, and x is gathered with images next to each other. A task is a stretch of an output row, a block of images and a part
of the output channels:

    gather what the stretch sees of x to [channel][kd][kh][column][image]       (blocks of x transposed; L2)
    for output channels of a tile (6: as many streams of weights, contiguous from pixel to pixel)
        for pixels: for images of a tile (16)
            tile: for channels, kd, kh: for kw                                  (kernels/gemm.h)
    results, [pixel][channel][image], to y                                      (transposed)

An element of x is gathered kd*kh times and used for kw*oc products an image. A tile of 6 x 16 loads two vectors of x, from L2,
and broadcasts six weights for 12 multiply-adds; with 8 images it has six sums, which wait for each other: two thirds of the FMA
peak. W is 4 or 8 bytes for n multiply-adds, read once: with 8 images the bound is memory, from about 16 on the FMA peak.

Every sum goes through k in its order, whatever block or lane an image is in, as those of _local.pyx do: bits depend neither on
threads nor on the rest of the batch.

Reached with AVX2 on two cores (30 GB/s, 184 GFLOP/s in float32), of the bound: 8 images 40 %, 16 images 40 to 48 %, 32 images
40 to 70 %. A weight takes 1.4 cycles beyond the multiply-adds of one vector of images, also where w is in L2.
"""
from libc.string cimport memset

from ndconv._c cimport ND_BIAS_ROW, ND_ZERO, nd_array, nd_problem, nd_walk
from ndconv._local cimport Local, Pass, Stretch, kernel_at, lanes_of, stretch_of, whole_lines
from ndconv._pack cimport Pixel, ceil_div, split, taps_of
from ndconv._runtime cimport parallel_for, scratch_give

cdef enum:
    SLAB_BYTES = 393216      # of what a stretch sees of x, in L2
    RUN = 32                 # pixels of a stretch, and the fewest unless the row is shorter
    LEAST_RUN = 8
    TASKS = 12
    LINE = 64                # bytes of a cache line

cdef extern from *:
    void __builtin_prefetch(const void *address) nogil

cdef struct Lanes:
    Local *f
    ptrdiff_t rows              # of x that a window sees: channels * kd * kh
    ptrdiff_t images, blocks    # images of the largest block, blocks
    ptrdiff_t run, strips       # pixels of the longest stretch of an output row, stretches of a row
    ptrdiff_t splits            # parts that output channels are dealt to
    ptrdiff_t row               # columns between rows of a slab
    ptrdiff_t slab, results, offsets    # bytes of a worker's scratch

cdef inline ptrdiff_t columns_of(const nd_problem *p, ptrdiff_t run) noexcept nogil:
    """Columns of x that `run` pixels see."""
    return (run - 1) * p.sw + (p.kw - 1) * p.dw + 1

cdef Lanes lanes_plan(Local *f) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, lines = p.od * p.oh, lanes
    cdef Lanes q
    q.f, q.rows = f, p.icg * p.kd * p.kh
    q.images = SLAB_BYTES // (max(q.rows, 1) * columns_of(p, min(p.ow, <ptrdiff_t>LEAST_RUN)) * size)
    q.images = min(p.n, max(q.images // f.k.nr, 2) * f.k.nr)
    q.blocks = ceil_div(p.n, q.images)
    q.images = ceil_div(p.n, q.blocks)
    lanes = lanes_of(f.k, q.images)
    q.run = min(p.ow, <ptrdiff_t>RUN, max(ceil_div(lines * p.ow * p.g * q.blocks, TASKS), LEAST_RUN))
    while q.run > LEAST_RUN and q.rows * columns_of(p, q.run) * lanes * size > SLAB_BYTES:
        q.run -= 1
    q.strips = ceil_div(p.ow, q.run)
    q.run = ceil_div(p.ow, q.strips)
    q.splits = min(ceil_div(TASKS, lines * q.strips * p.g * q.blocks), ceil_div(p.ocg, f.k.mr))
    # an odd number, or rows would share few sets of L1
    q.row = columns_of(p, q.run) | 1
    q.slab = whole_lines(q.rows * q.row * lanes * size)
    q.results = whole_lines(q.run * p.ocg * lanes * size)
    q.offsets = whole_lines(2 * q.rows * sizeof(ptrdiff_t))
    return q

cdef ptrdiff_t scratch_of(const Lanes *q) noexcept nogil:
    return q.slab + q.results + q.offsets

cdef void gather_lanes(const Lanes *q, ptrdiff_t g, Pixel at, ptrdiff_t run, ptrdiff_t images, char *to) noexcept nogil:
    """What `run` pixels from `at` on see of `images` images, as [channel][kd][kh][width][lane], zero in the padding."""
    cdef const Local *f = q.f
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, lanes = lanes_of(f.k, images), row = q.row * lanes, w = at.w * p.sw - p.pw, kd, kh, d, h, c, i
    cdef ptrdiff_t columns = columns_of(p, run), low = min(max(-w, 0), columns), high = max(min(p.iw - w, columns), low)
    cdef const char *x
    cdef char *line
    if lanes > images:
        memset(to, 0, size * q.rows * row)
    for kd in range(p.kd):
        for kh in range(p.kh):
            d, h = at.d * p.sd + kd * p.dd - p.pd, at.h * p.sh + kh * p.dh - p.ph
            line = to + size * (kd * p.kh + kh) * row
            if low == high or not (0 <= d < p.id and 0 <= h < p.ih):
                for c in range(p.icg):
                    memset(line + size * c * p.kd * p.kh * row, 0, size * columns * lanes)
                continue
            x = f.x.data + size * (at.n * f.x.n + g * p.icg * f.x.c + d * f.x.d + h * f.x.h + (w + low) * f.x.w)
            for c in range(p.icg):
                memset(line + size * c * p.kd * p.kh * row, 0, size * low * lanes)
                memset(line + size * (c * p.kd * p.kh * row + high * lanes), 0, size * (columns - high) * lanes)
                if f.x.c != 1:
                    f.k.move(line + size * (c * p.kd * p.kh * row + low * lanes), lanes, x + size * c * f.x.c, high - low, images,
                             f.x.w, f.x.n)
            if f.x.c == 1:
                for i in range(high - low):
                    f.k.move(line + size * (low + i) * lanes, p.kd * p.kh * row, x + size * i * f.x.w, p.icg, images, 1, f.x.n)

cdef nd_walk walk_of(const Lanes *q, ptrdiff_t lanes, char *offsets) noexcept nogil:
    """Weights, in any memory, with gathered columns of x."""
    cdef const Local *f = q.f
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t *w_at = <ptrdiff_t *>offsets
    cdef ptrdiff_t *x_at = w_at + q.rows
    cdef ptrdiff_t r, i
    cdef nd_walk walk
    walk.a_off, walk.b_off, walk.a_row = w_at, x_at, f.w.o
    if taps_of(p) == 1:
        w_at[0] = x_at[0] = 0
        walk.runs, walk.len, walk.a_k, walk.b_k = 1, p.icg, f.w.c, q.row * lanes
        return walk
    for r in range(q.rows):
        i = r // p.kh
        w_at[r] = i // p.kd * f.w.c + i % p.kd * f.w.d + r % p.kh * f.w.h
        x_at[r] = r * q.row * lanes
    walk.runs, walk.len, walk.a_k, walk.b_k = q.rows, p.kw, f.w.w, p.dw * lanes
    return walk

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Lanes *q = <const Lanes *>context
    cdef const Local *f = q.f
    cdef char *slab = f.workspace + worker * scratch_of(q)
    cdef char *results = slab + q.slab
    cdef ptrdiff_t i, images, o, part, parts
    cdef nd_walk walk
    cdef Stretch s
    for i in range(begin, end):
        s = stretch_of(&f.p, f.k.mr, q.splits, q.strips, q.blocks, i)
        images = split(f.p.n, q.blocks, s.block + 1) - s.at.n
        walk = walk_of(q, lanes_of(f.k, images), results + q.results)
        gather_lanes(q, s.g, s.at, s.run, images, slab)
        parts = ceil_div(s.last - s.first, f.k.mr)
        for part in range(parts):
            o = split(s.last - s.first, parts, part)
            multiply(q, &s, &walk, o, split(s.last - s.first, parts, part + 1) - o, lanes_of(f.k, images), slab, results)
        store_results(q, &s, images, results)

cdef void multiply(const Lanes *q, const Stretch *s, const nd_walk *walk, ptrdiff_t o, ptrdiff_t m, ptrdiff_t lanes,
                   const char *slab, char *results) noexcept nogil:
    """Results of m output channels, o after the first of the stretch, as [pixel][channel][lane]."""
    cdef const Local *f = q.f
    cdef ptrdiff_t size = f.k.size, i, j, channel = s.g * f.p.ocg + s.first + o, columns = f.k.tile_columns(m)
    cdef int start = ND_ZERO if f.bias.data == NULL else ND_BIAS_ROW
    cdef const char *w
    cdef const char *bias
    cdef double biases[32]
    cdef Pixel at = s.at
    for i in range(s.run):
        w = kernel_at(f, channel, at)
        if start == ND_BIAS_ROW:
            bias = f.bias.data + size * (channel * f.bias.c + at.d * f.bias.d + at.h * f.bias.h + at.w * f.bias.w)
            f.k.copy(biases, bias, m, f.bias.c)
        if i + 1 < s.run:
            for j in range(m):
                ask(f, w + size * (f.w.yw + j * f.w.o))
        j = 0
        while j < lanes:
            f.k.gemm(walk, m, min(columns, lanes - j), w, slab + size * (i * f.p.sw * lanes + j),
                     results + size * ((i * (s.last - s.first) + o) * lanes + j), lanes, 1, start, biases)
            j += columns
        at.w += 1

cdef inline void ask(const Local *f, const char *kernel) noexcept nogil:
    """For the weights of a kernel that come soon, if they follow each other."""
    cdef ptrdiff_t i = 0
    while f.w.flat and i < f.k.size * f.length:
        __builtin_prefetch(kernel + i)
        i += LINE

cdef void store_results(const Lanes *q, const Stretch *s, ptrdiff_t images, const char *results) noexcept nogil:
    """Results of a stretch to y, along whichever of channels and pixels y has side by side."""
    cdef const Local *f = q.f
    cdef ptrdiff_t size = f.k.size, channels = s.last - s.first, lanes = lanes_of(f.k, images), pixel = channels * lanes, i, c
    cdef const nd_array *y = &f.y
    cdef char *to = y.data + size * (s.at.n * y.n + (s.g * f.p.ocg + s.first) * y.c + s.at.d * y.d + s.at.h * y.h + s.at.w * y.w)
    if y.c == 1:
        for i in range(s.run):
            f.k.move(to + size * i * y.w, y.n, results + size * i * pixel, images, channels, 1, lanes)
        return
    for c in range(channels):
        if y.w == 1:
            f.k.move(to + size * c * y.c, y.n, results + size * c * lanes, images, s.run, 1, pixel)
            continue
        for i in range(images):
            f.k.scatter(to + size * (c * y.c + i * y.n), y.w, results + size * (c * lanes + i), pixel, s.run)

def forward(problem, x, w, bias, y, bint batched, bint channels_last, threads):
    """Writes y."""
    cdef Pass a = Pass(problem, x, y, w, bias, batched, channels_last, threads)
    cdef Local *f = &a.f
    cdef Lanes q = lanes_plan(f)
    a.take_scratch(f.threads * scratch_of(&q))
    with nogil:
        parallel_for(q.blocks * f.p.g * f.p.od * f.p.oh * q.strips * q.splits, 1, f.threads, forward_body, &q)
        scratch_give(f.workspace)
