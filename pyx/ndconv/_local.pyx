# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Convolution with a kernel of its own for every output position: forward with few images, and weight gradient.

Forward, y[n, o, p] = b[o, p] + sum over k of X[n, p, k] * W[o, p, k], k = (channel, tap): W has k contiguous, so X is gathered
the same way and every result is a dot product. A task is a stretch of an output row, a block of images and a part of the
output channels:

    gather the windows of the stretch to [pixel][image][k]     (rows of x with their padding, L1; then vectors of a row of taps)
    for pixels whose windows fit L2
        for 16 output channels at a time                      (16 streams of weights, contiguous from pixel to pixel)
            for pixels: dot products of images with channels     (kernels/local.h)

(with four images and more all output channels at a time, so that windows stay in L1).

Weight gradient, dW[o, p, k] = sum over n of dY[n, o, p] * X[n, p, k]: the register tile of the shared case with images as the
summed index, dY broadcast from where it is, windows as rows of vectors:

    for a stretch: for a block of images: gather; for tiles of output channels: for pixels: for vectors of k: tile

A window costs 0.5 to 1 cycle an element to gather, twice that with dilation, and is used for all output channels. W is 4 or 8
bytes for n multiply-adds, read (or written) once: with few images the bound is memory, from about 16 on the FMA peak. Blocks of
images are the problem's, and every sum has one order, so bits depend neither on threads nor on the rest of the batch.

Reached with AVX2 on two cores (30 GB/s, 184 GFLOP/s in float32): one image, 80 to 97 % of reading w; 2 to 4 images, 60 %. Weight
gradients: 60 to 100 % of writing dw (15 GB/s) to 8 images, 25 to 45 % of the FMA peak with 16 and 32, of which gathering takes a
fifth. A new dw of over 32 MiB is bound by the first touch of its pages, 30 % of the speed of writing.
"""
from cpython.buffer cimport PyBuffer_Release
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_of, axes_of, open_input, stride_at
from ndconv._c cimport ND_ADD, ND_ZERO, nd_array, nd_dots, nd_kernel_set, nd_problem, nd_walk
from ndconv._columns cimport gather_columns
from ndconv._pack cimport Pixel, ceil_div, split, taps_of
from ndconv._plan cimport forward_geometry
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

cdef enum:
    LINE = 64                # bytes of a cache line
    STREAMS = 16             # output channels whose weights are read side by side
    PARTS = 12               # that the outputs are cut into for a gradient by the input
    NEAR_BYTES = 262144      # of windows in L2
    WINDOWS_BYTES = 8388608  # of windows of a task
    COLUMNS_BYTES = 16384    # of columns, or rows of x, in L1
    RUN = 32                 # pixels of a stretch
    TASKS = 12
    SMALL = 100000           # multiply-adds that one thread does alone

cdef extern from *:
    void __builtin_prefetch(const void *address) nogil

cdef inline ptrdiff_t odd_lines(ptrdiff_t n, const nd_kernel_set *k) noexcept nogil:
    """n elements rounded up to an odd number of cache lines: what lies so far apart falls into different sets."""
    return (ceil_div(n * k.size, LINE) | 1) * LINE // k.size

cdef void set_blocks(Local *f) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, lines = p.od * p.oh, pixel, taps = taps_of(p)
    f.length = p.icg * taps
    f.row = ceil_div(f.length, f.k.vl) * f.k.vl
    if f.row * size % 512 == 0:
        f.row += LINE // size   # else rows would share few sets of the caches
    # stretches do not depend on the batch, since sums of dx are taken by stretches
    f.run = min(p.ow, <ptrdiff_t>RUN, max(ceil_div(lines * p.ow * p.g, TASKS), 8))
    f.strips = ceil_div(p.ow, f.run)
    f.run = ceil_div(p.ow, f.strips)
    f.images = max(min(p.n, WINDOWS_BYTES // ((f.row + p.ocg) * size * f.run)), 1)
    f.blocks = ceil_div(p.n, f.images)
    f.images = ceil_div(p.n, f.blocks)
    f.pixel = odd_lines(f.images * f.row + f.k.vl, f.k)
    pixel = f.pixel * size
    f.near = max(NEAR_BYTES // pixel, 1)
    f.splits = min(ceil_div(TASKS, lines * f.strips * p.g * f.blocks), ceil_div(p.ocg, STREAMS))
    f.side_by_side = (p.kw == 1 or p.dw == 1) and p.sw <= 4
    # rows of x with all that the stretch sees, or columns with room to add them up shifted
    f.width = max((f.run - 1) * p.sw + p.kw, f.run + 2 * (p.kw - 1) + f.k.vl) if f.side_by_side else max(f.run, f.k.vl)
    f.width = max(f.width, f.k.vl)
    f.channels = max(min(p.icg, COLUMNS_BYTES // (taps * f.width * size)), 1)
    f.windows = ceil_div(max(f.run, f.k.vl) * pixel, 64) * 64
    f.columns = ceil_div((f.channels * taps * f.width + f.k.vl) * size, 64) * 64
    f.packed = ceil_div(2 * STREAMS * f.row * size, 64) * 64
    f.results = ceil_div(f.run * odd_lines((f.images + f.k.mr) * (p.ocg + f.k.mr), f.k) * size, 64) * 64

cdef ptrdiff_t scratch_of(const Local *f) noexcept nogil:
    return f.windows + f.columns + f.packed + f.results

cdef char *kernel_at(const Local *f, ptrdiff_t o, Pixel at) noexcept nogil:
    """The weights of output channel o at a position."""
    return f.w.data + f.k.size * (o * f.w.o + at.d * f.w.yd + at.h * f.w.yh + at.w * f.w.yw)

cdef void pack_kernels(const Local *f, const char *src, ptrdiff_t count, char *to) noexcept nogil:
    """The kernels of `count` output channels to contiguous rows."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, o, c, kd, kh
    cdef char *row
    for o in range(count):
        if f.w.flat:
            for c in range(ceil_div(size * f.length, LINE)):
                __builtin_prefetch(src + size * (o + 2) * f.w.o + LINE * c)
            f.k.copy(to + size * o * f.row, src + size * o * f.w.o, f.length, 1)
            continue
        row = to + size * o * f.row
        for c in range(p.icg):
            for kd in range(p.kd):
                for kh in range(p.kh):
                    f.k.copy(row, src + size * (o * f.w.o + c * f.w.c + kd * f.w.d + kh * f.w.h), p.kw, f.w.w)
                    row += size * p.kw

cdef void gather_windows(const Local *f, ptrdiff_t g, Pixel at, ptrdiff_t run, ptrdiff_t images, char *to,
                         char *columns) noexcept nogil:
    """The windows of `images` images from at.n on at `run` pixels as [pixel][image][row]."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, wide = max(run, f.k.vl), image, c, count, taps = taps_of(p)
    for image in range(images):
        c = 0
        while c < p.icg:
            count = min(f.channels, p.icg - c)
            if f.side_by_side:
                pad_rows(f, g * p.icg + c, count, at, run, columns)
                f.k.windows(to + size * (image * f.row + c * taps), f.pixel, columns, count, f.width, p.kd * p.kh,
                            count * f.width, p.kw, run, p.sw)
            else:
                gather_columns(p, f.k, &f.x, g * p.icg + c, count, at, run, columns, wide)
                # whole vectors of pixels; what those after the last hold is never read
                f.k.move(to + size * (image * f.row + c * taps), f.pixel, columns, wide, count * taps, 1, wide)
            c += count
        at.n += 1

cdef void pad_rows(const Local *f, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t run, char *to) noexcept nogil:
    """What `run` pixels from `at` on see of x, with zeros in the padding, as [kd][kh][channel][width]."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, kd, kh, d, h, c, w = at.w * p.sw - p.pw, columns = (run - 1) * p.sw + p.kw
    cdef ptrdiff_t low = min(max(-w, 0), columns), high = max(min(p.iw - w, columns), low)
    cdef const char *row
    for kd in range(p.kd):
        for kh in range(p.kh):
            d, h = at.d * p.sd + kd * p.dd - p.pd, at.h * p.sh + kh * p.dh - p.ph
            if low == high or not (0 <= d < p.id and 0 <= h < p.ih):
                memset(to, 0, size * channels * f.width)
                to += size * channels * f.width
                continue
            row = f.x.data + size * (at.n * f.x.n + channel * f.x.c + d * f.x.d + h * f.x.h)
            if f.x.w == 1:
                f.k.pad(to, f.width, row + size * w, channels, f.x.c, low, high)
            else:
                f.k.move(to + size * low, f.width, row + size * (w + low) * f.x.w, channels, high - low, f.x.c, f.x.w)
                for c in range(channels):
                    memset(to + size * c * f.width, 0, size * low)
                    memset(to + size * (c * f.width + high), 0, size * (columns - high))
            to += size * channels * f.width

cdef Stretch stretch_of(const nd_problem *p, ptrdiff_t unit, ptrdiff_t splits, ptrdiff_t strips, ptrdiff_t blocks,
                        ptrdiff_t task) noexcept nogil:
    cdef Stretch s
    cdef ptrdiff_t units = ceil_div(p.ocg, unit), part = task % splits, strip
    s.first = min(split(units, splits, part) * unit, p.ocg)
    s.last = min(split(units, splits, part + 1) * unit, p.ocg)
    task //= splits
    strip = task % strips
    s.at.w = split(p.ow, strips, strip)
    s.run = split(p.ow, strips, strip + 1) - s.at.w
    task //= strips
    s.at.h = task % p.oh
    task //= p.oh
    s.at.d = task % p.od
    task //= p.od
    s.g, s.block = task % p.g, task // p.g
    s.at.n = split(p.n, blocks, s.block)
    return s

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Local *f = <const Local *>context
    cdef char *windows = f.workspace + worker * scratch_of(f)
    cdef ptrdiff_t i, near, images
    cdef Stretch s
    for i in range(begin, end):
        s = stretch_of(&f.p, STREAMS, f.splits, f.strips, f.blocks, i)
        images = split(f.p.n, f.blocks, s.block + 1) - s.at.n
        gather_windows(f, s.g, s.at, s.run, images, windows, windows + f.windows)
        near = 0
        while near < s.run:
            multiply_near(f, &s, near, min(near + f.near, s.run), images, windows)
            near += f.near
        store_results(f, &s, images, windows + f.windows + f.columns + f.packed)

cdef void multiply_near(const Local *f, const Stretch *s, ptrdiff_t first, ptrdiff_t last, ptrdiff_t images,
                        char *windows) noexcept nogil:
    """Results of the pixels first <= i < last of a stretch, as [pixel][image][channel]: y would have them far apart."""
    cdef ptrdiff_t size = f.k.size, o = s.first, channel, i, w_row = f.w.o if f.w.flat else f.row
    # with several images the work lies in L1 between one row of weights and the next: windows are read once for all channels
    cdef ptrdiff_t channels = STREAMS if images < 4 or not f.w.flat else s.last - s.first
    cdef ptrdiff_t row = s.last - s.first, pixel = odd_lines(images * row, f.k)
    cdef char *packed = windows + f.windows + f.columns
    cdef char *results = packed + f.packed
    cdef const char *w
    cdef const char *bias = NULL
    cdef nd_dots dots
    cdef Pixel at
    dots.m, dots.k, dots.a_row, dots.b_row, dots.y_row, dots.bias_col = images, f.length, f.row, w_row, row, f.bias.c
    while o < s.last:
        dots.n = min(channels, s.last - o)
        channel = s.g * f.p.ocg + o
        for i in range(first, last):
            at = s.at
            at.w += i
            w = kernel_at(f, channel, at)
            if not f.w.flat:
                pack_kernels(f, w, dots.n, packed)
                w = packed
            if f.bias.data != NULL:
                bias = f.bias.data + size * (channel * f.bias.c + at.d * f.bias.d + at.h * f.bias.h + at.w * f.bias.w)
            f.k.dots(&dots, windows + size * i * f.pixel, w, results + size * (i * pixel + o - s.first), bias)
        o += channels

cdef void store_results(const Local *f, const Stretch *s, ptrdiff_t images, const char *results) noexcept nogil:
    """Results of a stretch to y, along whichever of channels and pixels y has side by side."""
    cdef ptrdiff_t size = f.k.size, row = s.last - s.first, pixel = odd_lines(images * row, f.k), image, c
    cdef const nd_array *y = &f.y
    cdef char *to = y.data + size * (s.at.n * y.n + (s.g * f.p.ocg + s.first) * y.c + s.at.d * y.d + s.at.h * y.h + s.at.w * y.w)
    for image in range(images):
        if y.c == 1:
            f.k.move(to, y.w, results, s.run, row, pixel, 1)
        elif y.w == 1:
            f.k.move(to, y.c, results, row, s.run, 1, pixel)
        else:
            for c in range(row):
                f.k.scatter(to + size * c * y.c, y.w, results + size * c, pixel, s.run)
        results += size * row
        to += size * y.n

cdef ptrdiff_t pack_gradient(const Local *f, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t run, ptrdiff_t images,
                             bint images_are_rows, char *to) noexcept nogil:
    """dy of a stretch as tiles read it: [pixel][tile][k][row of the tile], where rows are images and k channels or the other way
    round. Returns the distance of pixels; tiles have as many rows as the register tile, or all if those are fewer."""
    cdef ptrdiff_t rows = images if images_are_rows else channels, count = channels if images_are_rows else images
    cdef ptrdiff_t size = f.k.size, wide = min(rows, f.k.mr), image, c, r, k
    cdef ptrdiff_t pixel = odd_lines(ceil_div(rows, wide) * wide * count, f.k)
    cdef const char *src
    for image in range(images):
        src = f.y.data + size * ((at.n + image) * f.y.n + channel * f.y.c + at.d * f.y.d + at.h * f.y.h + at.w * f.y.w)
        for c in range(channels):
            r, k = (image, c) if images_are_rows else (c, image)
            f.k.scatter(to + size * ((r // wide * count + k) * wide + r % wide), pixel, src + size * c * f.y.c, f.y.w, run)
    return pixel

cdef void weight_grad_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Local *f = <const Local *>context
    cdef char *windows = f.workspace + worker * scratch_of(f)
    cdef ptrdiff_t i, block, near, images, pixel
    cdef Stretch s
    for i in range(begin, end):
        s = stretch_of(&f.p, STREAMS, f.splits, f.strips, f.blocks, i)
        for block in range(f.blocks):
            s.block, s.at.n = block, split(f.p.n, f.blocks, block)
            images = split(f.p.n, f.blocks, block + 1) - s.at.n
            gather_windows(f, s.g, s.at, s.run, images, windows, windows + f.windows)
            pixel = pack_gradient(f, s.g * f.p.ocg + s.first, s.last - s.first, s.at, s.run, images, False,
                                  windows + f.windows + f.columns + f.packed)
            near = 0
            while near < s.run:
                outer_near(f, &s, near, min(near + f.near, s.run), images, pixel, windows)
                near += f.near

cdef void outer_near(const Local *f, const Stretch *s, ptrdiff_t first, ptrdiff_t last, ptrdiff_t images, ptrdiff_t pixel,
                     const char *windows) noexcept nogil:
    """Weight gradients of the pixels first <= i < last of a stretch, a block of images added to those before."""
    cdef ptrdiff_t size = f.k.size, o = s.first, wide = min(f.k.mr, s.last - s.first), i, m, j, columns, zero = 0
    cdef int start = ND_ADD if s.block > 0 else ND_ZERO
    cdef const char *gradient = windows + f.windows + f.columns + f.packed
    cdef const char *row
    cdef char *dw
    cdef nd_walk walk
    cdef Pixel at
    walk.runs, walk.len, walk.a_off, walk.b_off = 1, images, &zero, &zero
    walk.a_row, walk.a_k, walk.b_k = 1, wide, f.row
    while o < s.last:
        m = min(wide, s.last - o)
        columns = f.k.tile_columns(m)
        for i in range(first, last):
            at = s.at
            at.w += i
            dw, row = kernel_at(f, s.g * f.p.ocg + o, at), windows + size * i * f.pixel
            j = 0
            while j < f.length:
                f.k.gemm(&walk, m, min(columns, f.length - j), gradient + size * (i * pixel + (o - s.first) * images),
                         row + size * j, dw + size * j, f.w.o, 1, start, NULL)
                j += columns
        o += m

cdef void cut(const nd_problem *p, const Cut *c, ptrdiff_t part, Pixel *first, Pixel *end, Box *x) noexcept nogil:
    """The outputs of a part, first <= position < end on each axis, and the box of x that they see."""
    first.d = first.h = first.w = 0
    end.d, end.h, end.w = p.od, p.oh, p.ow
    x.d = x.h = x.w = 0
    x.id, x.ih, x.iw = p.id, p.ih, p.iw
    if c.axis == 0:
        first.d, end.d = split(p.od, c.parts, part), split(p.od, c.parts, part + 1)
        x.d = min(max(first.d * p.sd - p.pd, 0), p.id)
        x.id = max(min((end.d - 1) * p.sd + (p.kd - 1) * p.dd - p.pd + 1, p.id) - x.d, 0)
    elif c.axis == 1:
        first.h, end.h = split(p.oh, c.parts, part), split(p.oh, c.parts, part + 1)
        x.h = min(max(first.h * p.sh - p.ph, 0), p.ih)
        x.ih = max(min((end.h - 1) * p.sh + (p.kh - 1) * p.dh - p.ph + 1, p.ih) - x.h, 0)
    else:
        first.w, end.w = split(p.ow, c.parts, part), split(p.ow, c.parts, part + 1)
        x.w = min(max(first.w * p.sw - p.pw, 0), p.iw)
        x.iw = max(min((end.w - 1) * p.sw + (p.kw - 1) * p.dw - p.pw + 1, p.iw) - x.w, 0)

cdef Cut cut_of(const nd_problem *p) noexcept nogil:
    """Parts of the outputs along their longest axis."""
    cdef Cut c
    cdef Pixel first, end
    cdef Box x
    cdef ptrdiff_t part
    c.slab = 0
    c.axis = 2 if p.ow > max(p.od, p.oh) else 1 if p.oh >= p.od else 0
    c.parts = min(<ptrdiff_t>PARTS, max(p.od, p.oh, p.ow))
    for part in range(c.parts):
        cut(p, &c, part, &first, &end, &x)
        c.slab = max(c.slab, p.icg * x.id * x.ih * x.iw)
    return c

cdef Unshared kernels_of(const Py_buffer *b, const nd_problem *p, int rank) noexcept nogil:
    cdef Unshared w
    cdef int i, last = b.ndim - 1
    cdef const char *end = <const char *>b.buf + b.itemsize
    w.data = <char *>b.buf
    w.o, w.c = stride_at(b, 0), stride_at(b, 1 + rank)
    w.yw, w.yh, w.yd = stride_at(b, rank), stride_at(b, rank - 1 if rank > 1 else -1), stride_at(b, rank - 2 if rank > 2 else -1)
    w.w, w.h, w.d = stride_at(b, last), stride_at(b, last - 1 if rank > 1 else -1), stride_at(b, last - 2 if rank > 2 else -1)
    w.flat = ((p.kw == 1 or w.w == 1) and (p.kh == 1 or w.h == p.kw) and (p.kd == 1 or w.d == p.kh * p.kw)
              and (p.icg == 1 or w.c == taps_of(p)))
    for i in range(b.ndim):
        end += max((b.shape[i] - 1) * b.strides[i], 0)
    w.end = end
    return w

cdef class Pass:
    """Checked arrays of one pass, open until it is gone. x and y may be dx and dy, w may be dw; those that are written to are
    aligned, so none of them is copied. bias has an axis for channels and one for each axis of positions, or is None."""

    def __cinit__(self, problem, x, y, w, bias, bint batched, bint channels_last, threads):
        cdef Axes axes = axes_of(problem.rank, batched, channels_last), bias_axes = axes_of(problem.rank, False, False)
        cdef double products
        cdef Local *f = &self.f
        memset(&self.buffers, 0, sizeof(self.buffers))
        memset(f, 0, sizeof(Local))
        f.p = forward_geometry(problem)
        f.k = current_kernels().set[f.p.dtype]
        set_blocks(f)
        products = <double>f.p.n * f.p.g * f.p.ocg * f.p.od * f.p.oh * f.p.ow * f.length
        f.threads = 1 if products < SMALL else threads or default_threads()
        self.arrays = [open_input(a, name, problem.dtype, &self.buffers[i])
                       for i, (a, name) in enumerate(((x, "x"), (y, "y"), (w, "w")))]
        f.x, f.y = array_of(&self.buffers[0], &axes), array_of(&self.buffers[1], &axes)
        f.w = kernels_of(&self.buffers[2], &f.p, problem.rank)
        if bias is not None:
            self.arrays.append(open_input(bias, "bias", problem.dtype, &self.buffers[3]))
            f.bias = array_of(&self.buffers[3], &bias_axes)

    def __dealloc__(self):
        cdef int i
        for i in range(4):
            PyBuffer_Release(&self.buffers[i])

    cdef int take_scratch(self, size_t size) except -1:
        self.f.workspace = <char *>scratch_take(size)
        if self.f.workspace == NULL:
            raise MemoryError(f"no memory for {size} bytes of workspace")
        return 0


def forward(problem, x, w, bias, y, bint batched, bint channels_last, threads):
    """Writes y."""
    cdef Pass a = Pass(problem, x, y, w, bias, batched, channels_last, threads)
    cdef Local *f = &a.f
    a.take_scratch(f.threads * scratch_of(f))
    with nogil:
        parallel_for(f.blocks * f.p.g * f.p.od * f.p.oh * f.strips * f.splits, 1, f.threads, forward_body, f)
        scratch_give(f.workspace)


def weight_grad(problem, x, dw, dy, bint batched, bint channels_last, threads):
    """Writes dw, whose kernels are contiguous."""
    cdef Pass a = Pass(problem, x, dy, dw, None, batched, channels_last, threads)
    cdef Local *f = &a.f
    a.take_scratch(f.threads * scratch_of(f))
    with nogil:
        parallel_for(f.p.g * f.p.od * f.p.oh * f.strips * f.splits, 1, f.threads, weight_grad_body, f)
        scratch_give(f.workspace)
