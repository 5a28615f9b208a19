# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The gradient by the input of a convolution with a kernel of its own for every output position, for many images,

    D[p, k, n] = sum over o of W[o, p, k] * dY[p, o, n],   dx[n, c, i] = sum of D[p, (c, tap), n] over what sees i

Images are the lanes, as forward, and W is broadcast. The outputs are cut along their longest axis into parts, each with the slab
of dx that it reaches for itself, whose lanes are images too; slabs are added in their order.

    for a block of images
        for a group, a part of the outputs                     (one task)
            for stretches of output rows: dY to [pixel][channel][image]; for pixels
                for 32 output channels at a time: copy their kernels
                    for tiles of k (6), of images (16): tile, added to D        (kernels/gemm.h)
            D of the stretch, in L2, to the slab: rows of pixels and images together, after the taps of a row were added up
        for a channel, or some that are neighbours in memory, and a row of dx: slabs added, transposed to dx

Kernels are copied beside each other since their distance in memory is often a multiple of 4096 bytes, which few ways of L1 share;
those of the next pixel are asked for between tiles. Tasks and the order of each sum depend on the problem alone, and are those of
_local_grad.pyx.

Reached with AVX2 on two cores, of the bound: 8 images 20 to 26 %, 16 images 25 to 29 %, 32 images 22 to 48 %.
"""
from libc.string cimport memset

from ndconv._c cimport ND_ADD, ND_ZERO, nd_array, nd_problem, nd_walk
from ndconv._local cimport Box, Cut, Local, Pass, cut, cut_of, kernel_at, lanes_of, pack_kernels, whole_lines
from ndconv._pack cimport Pixel, ceil_div, split
from ndconv._runtime cimport parallel_for, scratch_give

cdef enum:
    STREAMS = 32             # output channels that are added at a time
    RUN = 8                  # pixels whose dY is moved at a time
    CHANNELS = 16            # of dx that a task writes where they are neighbours
    NEAR_BYTES = 262144      # of D in L2
    SLABS_BYTES = 67108864   # of all slabs of a block of images, unless few images have more
    LINE = 64                # bytes of a cache line

cdef extern from *:
    void __builtin_prefetch(const void *address) nogil

cdef struct Grad:
    Local *f
    Cut cut
    ptrdiff_t block
    ptrdiff_t lanes          # of the block
    ptrdiff_t channels       # of dx that a task writes
    ptrdiff_t gradient, sums, kernels, scratch   # bytes of dY, D, copied kernels, and of all that a worker has
    char *slabs

cdef Grad grad_of(Local *f) noexcept nogil:
    """Parts and slabs; fewer images a block where their slabs or sums are large."""
    cdef const nd_problem *p = &f.p
    cdef Grad g
    cdef ptrdiff_t size = f.k.size, lanes
    g.f, g.cut = f, cut_of(p)
    f.images = min(NEAR_BYTES // (f.length * size * RUN), SLABS_BYTES // max(size * p.g * g.cut.parts * g.cut.slab, 1))
    f.images = min(p.n, max(f.images // f.k.nr, 2) * f.k.nr)
    f.blocks = ceil_div(p.n, f.images)
    f.images = ceil_div(p.n, f.blocks)
    lanes = lanes_of(f.k, f.images)
    g.channels = CHANNELS if f.x.c == 1 else 1
    f.run = min(f.run, <ptrdiff_t>RUN)
    g.gradient = whole_lines(f.run * p.ocg * lanes * size)
    g.sums = whole_lines(f.run * f.length * lanes * size)
    g.kernels = whole_lines(min(<ptrdiff_t>STREAMS, p.ocg) * f.row * size)
    g.scratch = max(g.gradient + g.sums + g.kernels + whole_lines((f.run + p.kw) * lanes * size),
                    whole_lines(g.channels * p.iw * lanes * size))
    return g

cdef inline size_t workspace_of(const Grad *g) noexcept nogil:
    cdef const Local *f = g.f
    return f.threads * g.scratch + f.k.size * f.p.g * g.cut.parts * g.cut.slab * lanes_of(f.k, f.images)

cdef inline nd_array slab_of(const Grad *g, ptrdiff_t group, ptrdiff_t part, const Box *x) noexcept nogil:
    """A slab, at the places of x: [channel of the group, d, h, w, lane]."""
    cdef nd_array s
    s.w, s.h, s.d = g.lanes, x.iw * g.lanes, x.ih * x.iw * g.lanes
    s.c, s.n = x.id * s.d, 1
    s.data = g.slabs + g.f.k.size * ((group * g.cut.parts + part) * g.cut.slab * g.lanes - x.d * s.d - x.h * s.h - x.w * s.w)
    return s

cdef void add_blocks(Grad *g) noexcept nogil:
    cdef const Local *f = g.f
    cdef ptrdiff_t images, block
    for block in range(f.blocks):
        g.block = block
        images = split(f.p.n, f.blocks, block + 1) - split(f.p.n, f.blocks, block)
        g.lanes = lanes_of(f.k, images)
        parallel_for(f.p.g * g.cut.parts, 1, f.threads, part_body, g)
        parallel_for(f.p.g * ceil_div(f.p.icg, g.channels) * f.p.id * f.p.ih, 1, f.threads, collect_body, g)

cdef void part_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Grad *g = <const Grad *>context
    cdef const Local *f = g.f
    cdef ptrdiff_t i, d, h
    cdef nd_array slab
    cdef Pixel at, first, last
    cdef Box x
    at.n = split(f.p.n, f.blocks, g.block)
    for i in range(begin, end):
        cut(&f.p, &g.cut, i % g.cut.parts, &first, &last, &x)
        slab = slab_of(g, i // g.cut.parts, i % g.cut.parts, &x)
        memset(g.slabs + f.k.size * i * g.cut.slab * g.lanes, 0, f.k.size * g.cut.slab * g.lanes)
        for d in range(first.d, last.d):
            for h in range(first.h, last.h):
                at.d, at.h, at.w = d, h, first.w
                while at.w < last.w:
                    add_stretch(g, i // g.cut.parts, at, min(f.run, last.w - at.w), &slab, f.workspace + worker * g.scratch)
                    at.w += f.run

cdef void add_stretch(const Grad *g, ptrdiff_t group, Pixel at, ptrdiff_t run, const nd_array *slab,
                      char *gradient) noexcept nogil:
    """What a stretch of an output row gives to the slab."""
    cdef const Local *f = g.f
    cdef ptrdiff_t i, o, channels = f.p.ocg, chunks = ceil_div(channels, STREAMS), chunk
    cdef char *sums = gradient + g.gradient
    cdef char *kernels = sums + g.sums
    cdef Pixel here
    gather_gradient(g, group, at, run, gradient)
    for i in range(run):
        here = at
        here.w += i
        for chunk in range(chunks):
            o = split(channels, chunks, chunk)
            add_kernels(g, kernel_at(f, group * channels + o, here), split(channels, chunks, chunk + 1) - o, o > 0, i + 1 < run,
                        gradient + f.k.size * (i * channels + o) * g.lanes, sums + f.k.size * i * g.lanes, run * g.lanes, kernels)
    add_windows(g, slab, at, run, sums)

cdef void gather_gradient(const Grad *g, ptrdiff_t group, Pixel at, ptrdiff_t run, char *to) noexcept nogil:
    """dY of a stretch as [pixel][channel][lane]."""
    cdef const Local *f = g.f
    cdef const nd_array *y = &f.y
    cdef ptrdiff_t size = f.k.size, channels = f.p.ocg, pixel = channels * g.lanes, i
    cdef ptrdiff_t images = split(f.p.n, f.blocks, g.block + 1) - at.n
    cdef const char *src = y.data + size * (at.n * y.n + group * channels * y.c + at.d * y.d + at.h * y.h + at.w * y.w)
    if g.lanes > images:
        memset(to, 0, size * run * pixel)
    if y.c == 1:
        for i in range(run):
            f.k.move(to + size * i * pixel, g.lanes, src + size * i * y.w, channels, images, 1, y.n)
    else:
        for i in range(channels):
            f.k.move(to + size * i * g.lanes, pixel, src + size * i * y.c, run, images, y.w, y.n)

cdef void add_kernels(const Grad *g, const char *w, ptrdiff_t channels, bint add, bint more, const char *gradient,
                      char *sums, ptrdiff_t row, char *kernels) noexcept nogil:
    """D of a pixel, whose elements of k are `row` apart, from the kernels w of some channels; more pixels follow."""
    cdef const Local *f = g.f
    cdef ptrdiff_t size = f.k.size, lanes = g.lanes, k = 0, n, m, o, columns, asked = 0, zero = 0
    cdef nd_walk walk
    pack_kernels(f, w, channels, kernels)
    walk.runs, walk.len, walk.a_off, walk.b_off = 1, channels, &zero, &zero
    walk.a_row, walk.a_k, walk.b_k = 1, f.row, lanes
    while k < f.length:
        m = min(f.k.mr, f.length - k)
        columns = f.k.tile_columns(m)
        n = 0
        while n < lanes:
            f.k.gemm(&walk, m, min(columns, lanes - n), kernels + size * k, gradient + size * n, sums + size * (k * row + n),
                     row, 1, ND_ADD if add else ND_ZERO, NULL)
            n += columns
        k += m
        if more and f.w.flat and size * k >= asked:
            for o in range(channels):
                __builtin_prefetch(w + size * (f.w.yw + o * f.w.o) + asked)
            asked += LINE

cdef void add_windows(const Grad *g, const nd_array *slab, Pixel at, ptrdiff_t run, char *sums) noexcept nogil:
    """D of a stretch to the places that its windows see. Taps of a row that are neighbours are added up first."""
    cdef const Local *f = g.f
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, c, kd, kh, d, h
    cdef char *row = sums + g.sums + g.kernels
    for c in range(p.icg):
        for kd in range(p.kd):
            for kh in range(p.kh):
                d, h = at.d * p.sd + kd * p.dd - p.pd, at.h * p.sh + kh * p.dh - p.ph
                if 0 <= d < p.id and 0 <= h < p.ih:
                    add_taps(g, slab.data + size * (c * slab.c + d * slab.d + h * slab.h), at.w * p.sw - p.pw, run, sums, row)
                sums += size * p.kw * run * g.lanes

cdef void add_taps(const Grad *g, char *to, ptrdiff_t w, ptrdiff_t run, const char *sums, char *row) noexcept nogil:
    """D of a row of taps, [tap][pixel][lane], to a row of the slab, where the first pixel's window begins at w."""
    cdef const Local *f = g.f
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t lanes = g.lanes, size = f.k.size * lanes, kw, i, low, high
    if f.side_by_side and p.sw == 1:
        memset(row, 0, size * (run + p.kw - 1))
        for kw in range(p.kw):
            f.k.add(row + size * kw, 1, sums + size * kw * run, run * lanes)
        low, high = max(-w, 0), min(p.iw - w, run + p.kw - 1)
        if low < high:
            f.k.add(to + size * (w + low), 1, row + size * low, (high - low) * lanes)
        return
    for kw in range(p.kw):
        for i in range(run):
            if 0 <= w + kw * p.dw + i * p.sw < p.iw:
                f.k.add(to + size * (w + kw * p.dw + i * p.sw), 1, sums + size * (kw * run + i), lanes)

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of dx from the slabs that reach them."""
    cdef const Grad *g = <const Grad *>context
    cdef const Local *f = g.f
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t i, c, count, w, row, chunks = ceil_div(p.icg, g.channels), size = f.k.size, line = size * p.iw * g.lanes
    cdef ptrdiff_t images = split(p.n, f.blocks, g.block + 1) - split(p.n, f.blocks, g.block)
    cdef char *sums = f.workspace + worker * g.scratch
    cdef char *to
    for i in range(begin, end):
        row = i % (p.id * p.ih)
        c = i // (p.id * p.ih) % chunks * g.channels
        count = min(g.channels, p.icg - c)
        add_slabs(g, i // (p.id * p.ih) // chunks, c, count, row // p.ih, row % p.ih, sums)
        to = f.x.data + size * (split(p.n, f.blocks, g.block) * f.x.n + (i // (p.id * p.ih) // chunks * p.icg + c) * f.x.c
                                + row // p.ih * f.x.d + row % p.ih * f.x.h)
        if f.x.c == 1:
            for w in range(p.iw):
                f.k.move(to + size * w * f.x.w, f.x.n, sums + size * w * g.lanes, images, count, 1, p.iw * g.lanes)
        else:
            f.k.move(to, f.x.n, sums, images, p.iw, 1, g.lanes)

cdef void add_slabs(const Grad *g, ptrdiff_t group, ptrdiff_t channel, ptrdiff_t channels, ptrdiff_t d, ptrdiff_t h,
                    char *sums) noexcept nogil:
    """A row of some channels as [channel][w][lane]."""
    cdef const nd_problem *p = &g.f.p
    cdef ptrdiff_t size = g.f.k.size, part, c
    cdef nd_array slab
    cdef Pixel first, end
    cdef Box x
    memset(sums, 0, size * channels * p.iw * g.lanes)
    for part in range(g.cut.parts):
        cut(p, &g.cut, part, &first, &end, &x)
        if x.d <= d < x.d + x.id and x.h <= h < x.h + x.ih:
            slab = slab_of(g, group, part, &x)
            for c in range(channels):
                g.f.k.add(sums + size * (c * p.iw + x.w) * g.lanes, 1,
                          slab.data + size * ((channel + c) * slab.c + d * slab.d + h * slab.h + x.w * slab.w), x.iw * g.lanes)


def input_grad(problem, dx, w, dy, bint batched, bint channels_last, threads):
    """Writes dx, whose pixels or channels are contiguous."""
    cdef Pass a = Pass(problem, dx, dy, w, None, batched, channels_last, threads)
    cdef Grad g = grad_of(&a.f)
    a.take_scratch(workspace_of(&g))
    g.slabs = a.f.workspace + a.f.threads * g.scratch
    with nogil:
        add_blocks(&g)
        scratch_give(a.f.workspace)
