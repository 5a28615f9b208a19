# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The gradient by the input of a convolution with a kernel of its own for every output position, for few images,

    D[n, p, k] = sum over o of dY[n, o, p] * W[o, p, k],   dx[n, c, i] = sum of D[n, p, (c, tap)] over what sees i

W has k contiguous: it is the vector operand of the register tile, dY the broadcast one, images are the tile's rows. The outputs
are cut along their longest axis into parts, each with the slab of dx that it reaches for itself; slabs are added in their order.

    for a block of images
        for a group, a part of the outputs                     (one task)
            for stretches of output rows, pixels whose windows fit L2
                for up to 32 output channels at a time: for pixels: for vectors of k: tile of images, added to D
                turn D to columns, add them to the slab    (_columns.pyx)
        add the slabs to dx

W is read once a block of images, in 32 streams that run on from pixel to pixel: with few images the speed is that of memory.
From two tiles of images on the kernels of 32 channels are copied beside each other first, since their distance in memory
is often a multiple of 4096 bytes, which few ways of L1 share; a copy costs an eighth of the work on 16 images. Tasks and the
order of each sum depend on the problem alone, not on threads nor on the rest of the batch.

Reached with AVX2 on two cores: one image, 60 % of reading w; 2 to 4 images, 35 to 45 %: a tile has 32 steps between loading and
storing its sums, and D is turned and added.
"""
from libc.string cimport memset

from ndconv._c cimport ND_ADD, ND_ZERO, nd_array, nd_problem, nd_walk
from ndconv._columns cimport add_columns
from ndconv._local cimport Box, Cut, Local, Pass, cut, cut_of, kernel_at, pack_gradient, pack_kernels, scratch_of
from ndconv._pack cimport Pixel, ceil_div, split, taps_of
from ndconv._runtime cimport parallel_for, scratch_give

cdef enum:
    STREAMS = 32             # output channels that are added at a time, at most
    RUN = 8                  # pixels of a stretch
    CHANNELS = 16            # of dx that a task adds slabs to: they may share cache lines
    SLABS_BYTES = 67108864   # of all slabs of a block of images, unless one image has more

cdef struct Grad:
    Local *f
    Cut cut
    ptrdiff_t block
    char *slabs

cdef Grad grad_of(Local *f) noexcept nogil:
    """Parts and slabs; fewer images a block where their slabs are large."""
    cdef const nd_problem *p = &f.p
    cdef Grad g
    g.f, g.cut = f, cut_of(p)
    f.images = min(f.images, max(SLABS_BYTES // max(f.k.size * p.g * g.cut.parts * g.cut.slab, 1), 1))
    f.blocks = ceil_div(p.n, f.images)
    g.slabs = f.workspace + f.threads * scratch_of(f)
    return g

cdef size_t slab_bytes(Local *f) noexcept nogil:
    cdef Grad g = grad_of(f)
    return f.k.size * f.images * f.p.g * g.cut.parts * g.cut.slab

cdef inline nd_array slab_of(const Grad *g, ptrdiff_t group, ptrdiff_t part, const Box *x) noexcept nogil:
    """A slab, at the places of x: [image of the block, channel of the group, d, h, w]."""
    cdef nd_array s
    s.w, s.h, s.d = 1, x.iw, x.ih * x.iw
    s.c, s.n = x.id * s.d, g.cut.slab
    s.data = g.slabs + g.f.k.size * ((group * g.cut.parts + part) * g.f.images * g.cut.slab - x.d * s.d - x.h * s.h - x.w)
    return s

cdef void add_blocks(Local *f) noexcept nogil:
    cdef Grad g = grad_of(f)
    cdef ptrdiff_t images, block
    for block in range(f.blocks):
        g.block = block
        images = split(f.p.n, f.blocks, g.block + 1) - split(f.p.n, f.blocks, g.block)
        parallel_for(f.p.g * g.cut.parts, 1, f.threads, part_body, &g)
        parallel_for(images * f.p.g * ceil_div(f.p.icg, CHANNELS), 1, f.threads, collect_body, &g)

cdef void part_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Grad *g = <Grad *>context
    cdef Local *f = g.f
    cdef char *windows = f.workspace + worker * scratch_of(f)
    cdef ptrdiff_t i, images, d, h
    cdef nd_array slab
    cdef Pixel at, first, last
    cdef Box x
    at.n = split(f.p.n, f.blocks, g.block)
    images = split(f.p.n, f.blocks, g.block + 1) - at.n
    for i in range(begin, end):
        cut(&f.p, &g.cut, i % g.cut.parts, &first, &last, &x)
        slab = slab_of(g, i // g.cut.parts, i % g.cut.parts, &x)
        memset(g.slabs + f.k.size * i * f.images * g.cut.slab, 0, f.k.size * images * g.cut.slab)
        for d in range(first.d, last.d):
            for h in range(first.h, last.h):
                at.d, at.h, at.w = d, h, first.w
                while at.w < last.w:
                    add_stretch(f, i // g.cut.parts, at, min(f.run, last.w - at.w), images, &slab, windows)
                    at.w += f.run

cdef void add_stretch(const Local *f, ptrdiff_t group, Pixel at, ptrdiff_t run, ptrdiff_t images, const nd_array *slab,
                      char *windows) noexcept nogil:
    """What a stretch of an output row gives to the slab."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, near = 0, o, i, image, c, count, chunks = ceil_div(p.ocg, STREAMS), chunk
    cdef char *columns = windows + f.windows
    cdef const char *from_window
    cdef char *gradient = columns + f.columns + f.packed
    cdef Pixel to = at
    cdef ptrdiff_t pixel = pack_gradient(f, group * p.ocg, p.ocg, at, run, images, True, gradient)
    while near < run:
        for chunk in range(chunks):
            o = split(p.ocg, chunks, chunk)
            for i in range(near, min(near + f.near, run)):
                add_kernels(f, group, o, split(p.ocg, chunks, chunk + 1) - o, at, i, images, gradient + size * i * pixel, windows)
        near += f.near
    for image in range(images):
        to.n, c = image, 0
        while c < p.icg:
            count = min(f.channels, p.icg - c)
            from_window = windows + size * (image * f.row + c * taps_of(p))
            if f.side_by_side and p.sw == 1:
                memset(columns, 0, f.columns)
                f.k.move(columns + size * (p.kw - 1), f.width, from_window, count * taps_of(p), run, 1, f.pixel)
                fold_columns(f, slab, c, count, to, run, columns)
            else:
                f.k.move(columns, run, from_window, count * taps_of(p), run, 1, f.pixel)
                add_columns(p, f.k, slab, c, count, to, run, columns, run)
            c += count

cdef void fold_columns(const Local *f, const nd_array *slab, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t run,
                       char *columns) noexcept nogil:
    """add_columns of a row of taps at a time: what they give to a row of x is first added up, in place."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, c, kd, kh, d, h, w = at.w - p.pw
    cdef ptrdiff_t low = max(-w, 0), high = min(p.iw - w, run + p.kw - 1)
    cdef const char *row = columns + size * low
    f.k.fold(columns, f.width, columns, f.width, channels * p.kd * p.kh, p.kw, run)
    for c in range(channel, channel + channels):
        for kd in range(p.kd):
            for kh in range(p.kh):
                d, h = at.d * p.sd + kd * p.dd - p.pd, at.h * p.sh + kh * p.dh - p.ph
                if low < high and 0 <= d < p.id and 0 <= h < p.ih:
                    f.k.add(slab.data + size * (at.n * slab.n + c * slab.c + d * slab.d + h * slab.h + w + low), 1, row,
                            high - low)
                row += size * f.width

cdef void add_kernels(const Local *f, ptrdiff_t group, ptrdiff_t o, ptrdiff_t channels, Pixel at, ptrdiff_t i, ptrdiff_t images,
                      const char *gradient, char *windows) noexcept nogil:
    """The windows of pixel i of a stretch at `at` += the kernels of some channels from o on times dy, for all images."""
    cdef ptrdiff_t size = f.k.size, whole = ceil_div(f.length, f.k.vl) * f.k.vl, wide = min(images, f.k.mr)
    cdef ptrdiff_t n = 0, m, j, columns, zero = 0
    cdef int start = ND_ADD if o > 0 else ND_ZERO
    cdef char *packed = windows + f.windows + f.columns
    cdef char *to = windows + size * i * f.pixel
    cdef const char *w
    cdef nd_walk walk
    at.w += i
    w = kernel_at(f, group * f.p.ocg + o, at)
    walk.runs, walk.len, walk.a_off, walk.b_off = 1, channels, &zero, &zero
    walk.a_row, walk.a_k, walk.b_k = 1, wide, f.w.o
    # vectors are read whole: not beyond the end of w
    if not f.w.flat or images > f.k.mr or w + size * (max(f.w.o * (channels - 1), 0) + whole) > f.w.end:
        pack_kernels(f, w, channels, packed)
        w, walk.b_k = packed, f.row
    while n < images:
        m = min(wide, images - n)
        columns = f.k.tile_columns(m)
        j = 0
        while j < whole:
            f.k.gemm(&walk, m, min(columns, whole - j), gradient + size * (n * f.p.ocg + o * wide), w + size * j,
                     to + size * (n * f.row + j), f.row, 1, start, NULL)
            j += columns
        n += m

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Slabs added to dx, a channel of an image after the other."""
    cdef Grad *g = <Grad *>context
    cdef const Local *f = g.f
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t i, c, part, group, image, chunks = ceil_div(p.icg, CHANNELS), d, h, size = f.k.size
    cdef nd_array slab
    cdef Pixel first, end_of
    cdef Box x
    for i in range(begin, end):
        group, image = i // chunks % p.g, i // chunks // p.g
        for part in range(g.cut.parts):
            cut(p, &g.cut, part, &first, &end_of, &x)
            slab = slab_of(g, group, part, &x)
            for d in range(x.d, x.d + x.id):
                for h in range(x.h, x.h + x.ih):
                    for c in range(i % chunks * CHANNELS, min(i % chunks * CHANNELS + CHANNELS, p.icg)):
                        f.k.add(f.x.data + size * ((split(p.n, f.blocks, g.block) + image) * f.x.n + (group * p.icg + c) * f.x.c
                                                   + d * f.x.d + h * f.x.h + x.w * f.x.w), f.x.w,
                                slab.data + size * (image * slab.n + c * slab.c + d * slab.d + h * slab.h + x.w), x.iw)


def input_grad(problem, dx, w, dy, bint batched, bint channels_last, threads):
    """Adds to dx."""
    cdef Pass a = Pass(problem, dx, dy, w, None, batched, channels_last, threads)
    cdef Local *f = &a.f
    f.run = min(f.run, <ptrdiff_t>RUN)
    a.take_scratch(f.threads * scratch_of(f) + slab_bytes(f))
    with nogil:
        add_blocks(f)
        scratch_give(f.workspace)
