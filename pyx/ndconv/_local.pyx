# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Convolution with a kernel of its own for every output position, or with a few in turn along each axis, forward:

    y[n, o, p] = b[o, p] + sum over k of W[o, p, k] * X[p, k, n],  k = (channel, tap)

What shares a weight are images and, where kernels take turns, every tw-th pixel of a row: these are lanes, W is broadcast from
where it is, and x lies in a frame whose elements are rows of lanes, so that windows are read where they are, by one table of
offsets for all pixels (or for those of one kernel):

    for a block of images
        x to the frame, [d][h][channel][column % period][image, column // period]    (one pass over x)
        for stretches of kernels of an output row, blocks of lanes, parts of the output channels    (one task)
            for output channels whose kernels fit L2: for pixels: sums of lanes       (kernels/local.h)
            results, [pixel][channel][lane], to y                                     (transposed)

The period is the width of the frame where every pixel has its own kernel, so that images alone are lanes, else the tw * sw
columns from one pixel of a kernel to its next one: the taps of neighbouring lanes are neighbours then, whatever stride and
dilation. Of the lanes of an image the last few, kw*dw / period, hold no results.

W is 4 or 8 bytes for n multiply-adds, read once a block: up to 8 images (float32) the bound is memory, from 16 on the FMA peak.
With fewer images than lanes the others idle, which memory hides, but not for one or two of a vector of eight: then windows are
turned to [pixel][image][k], and results are dot products of contiguous rows (kernels/dots.h). Every sum goes through k in its
order: bits depend neither on threads nor on the rest of the batch.
"""
from cpython.buffer cimport PyBuffer_Release
from libc.string cimport memset

from ndconv._arrays cimport Axes, array_of, axes_of, open_input, stride_at
from ndconv._c cimport nd_dots, nd_lanes
from ndconv._pack cimport ceil_div, split, taps_of, whole_lines
from ndconv._geometry cimport forward_geometry
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

cdef enum:
    LINE = 64                # bytes of a cache line
    KERNELS_BYTES = 262144   # of the kernels of a pixel, in L2
    FRAME_BYTES = 67108864   # of the frame, unless a vector of images has more
    WIDE = 8                 # vectors of lanes of a task, where kernels take turns
    MOST = 32                # and where they do not
    RUN = 32                 # kernels of a stretch
    TASKS = 12
    STREAMS = 16             # output channels whose weights are read side by side, of few images
    FEW = 8                  # lanes are so many times as many as few images
    SMALL = 100000           # multiply-adds that one thread does alone

cdef struct Forward:
    Local *f
    ptrdiff_t splits                  # parts that output channels are dealt to
    ptrdiff_t channels                # whose kernels are read side by side
    ptrdiff_t windows, packed, results    # bytes of a worker's scratch

cdef Frame frame_of(const Local *f, ptrdiff_t channels, Pixel outputs, ptrdiff_t images) noexcept nogil:
    """The frame of some outputs along each axis, of so many images."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t width = (outputs.w - 1) * p.sw + (p.kw - 1) * p.dw + 1, after
    cdef Frame frame
    frame.data = NULL
    frame.channels = channels
    frame.period = width if f.own else f.tw * p.sw
    frame.each = ceil_div(width, frame.period)
    frame.planes = (outputs.d - 1) * p.sd + (p.kd - 1) * p.dd + 1
    frame.rows = (outputs.h - 1) * p.sh + (p.kh - 1) * p.dh + 1
    # lanes that windows see after the last vector
    after = 0 if f.own else ((f.tw - 1) * p.sw + (p.kw - 1) * p.dw) // frame.period
    frame.column = images if f.few else whole_vectors(f, images * frame.each) + whole_vectors(f, after)
    frame.c = frame.period * frame.column
    frame.h = channels * frame.c
    frame.d = frame.rows * frame.h
    frame.size = frame.planes * frame.d
    return frame

cdef void set_sizes(Local *f, ptrdiff_t few) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, kernels
    cdef Pixel outputs
    f.own = f.tw >= p.ow
    kernels = min(f.tw, p.ow)
    f.length = p.icg * taps_of(p)
    f.few = f.own and few * p.n <= f.k.vl <= f.length
    f.row = whole_vectors(f, f.length)
    if f.row * size % 512 == 0:
        f.row += LINE // size   # else rows would share few sets of the caches
    f.run = min(kernels, <ptrdiff_t>RUN, max(ceil_div(p.od * p.oh * kernels * p.g, TASKS), 8))
    f.strips = ceil_div(kernels, f.run)
    f.run = ceil_div(kernels, f.strips)
    f.offsets = whole_lines((1 if f.own else f.tw) * f.length * sizeof(ptrdiff_t))
    outputs.d, outputs.h, outputs.w = p.od, p.oh, p.ow
    f.frame = frame_of(f, p.g * p.icg, outputs, 1)
    # one image has a vector of lanes at least
    set_images(f, FRAME_BYTES // max(f.frame.size // f.frame.column * f.frame.each * size, 1))

cdef void set_images(Local *f, ptrdiff_t limit) noexcept nogil:
    """Blocks of at most `limit` images, which are a vector of lanes at least."""
    f.images = max(min(limit // f.k.vl * f.k.vl, f.p.n), min(f.p.n, f.k.vl), 1)
    f.blocks = ceil_div(f.p.n, f.images)
    f.images = ceil_div(f.p.n, f.blocks)

cdef ptrdiff_t wide_of(const Local *f, ptrdiff_t images) noexcept nogil:
    """Lanes of a task."""
    return min(whole_vectors(f, images * f.frame.each), (MOST if f.own else WIDE) * f.k.vl)

cdef size_t open_frame(Local *f) noexcept nogil:
    """The frame of a block of images: its bytes."""
    cdef Pixel outputs
    outputs.d, outputs.h, outputs.w = f.p.od, f.p.oh, f.p.ow
    f.frame = frame_of(f, f.p.g * f.p.icg, outputs, f.images)
    return whole_lines(f.k.size * (f.frame.size + f.k.vl))

cdef void set_block(Local *f, ptrdiff_t block, const Frame *frame) noexcept nogil:
    """A block of images, and the offsets of windows in `frame`."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t i = 0, j, c, kd, kh, kw, column
    f.block = block
    f.count = split(p.n, f.blocks, block + 1) - split(p.n, f.blocks, block)
    f.lanes = f.count if f.few else whole_vectors(f, f.count * frame.each)
    f.wide = wide_of(f, f.count)
    for j in range(1 if f.own else f.tw):
        for c in range(p.icg):
            for kd in range(p.kd):
                for kh in range(p.kh):
                    for kw in range(p.kw):
                        column = j * p.sw + kw * p.dw
                        f.at[i] = (c * frame.c + kd * p.dd * frame.d + kh * p.dh * frame.h
                                   + column % frame.period * frame.column + column // frame.period)
                        i += 1

cdef void fill_frame(Local *f) noexcept nogil:
    parallel_for(f.frame.planes * f.frame.rows, 1, f.threads, frame_body, f)

cdef void frame_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of x of all channels to the frame."""
    cdef const Local *f = <const Local *>context
    cdef const nd_problem *p = &f.p
    cdef const Frame *frame = &f.frame
    cdef ptrdiff_t i, d, h, size = f.k.size
    cdef const char *row
    cdef char *to
    for i in range(begin, end):
        d, h = i // frame.rows - p.pd, i % frame.rows - p.ph
        to = frame.data + size * i * frame.h
        memset(to, 0, size * frame.h)
        if 0 <= d < p.id and 0 <= h < p.ih:
            row = f.x.data + size * (split(p.n, f.blocks, f.block) * f.x.n + d * f.x.d + h * f.x.h)
            if f.own:
                frame_images(f, row, to)
            else:
                frame_pixels(f, row, to)

cdef void frame_images(const Local *f, const char *row, char *to) noexcept nogil:
    """A row whose lanes are images."""
    cdef const Frame *frame = &f.frame
    cdef ptrdiff_t size = f.k.size, c, w, low = max(f.p.pw, 0), high = min(f.p.iw + f.p.pw, frame.period)
    row += size * (low - f.p.pw) * f.x.w
    to += size * low * frame.column
    if low < high and f.x.c == 1:
        for w in range(high - low):
            f.k.move(to + size * w * frame.column, frame.c, row + size * w * f.x.w, frame.channels, f.count, 1, f.x.n)
    elif low < high:
        for c in range(frame.channels):
            f.k.move(to + size * c * frame.c, frame.column, row + size * c * f.x.c, high - low, f.count, f.x.w, f.x.n)

cdef void frame_pixels(const Local *f, const char *row, char *to) noexcept nogil:
    """A row whose lanes are every period-th pixel of each image."""
    cdef const Frame *frame = &f.frame
    cdef ptrdiff_t size = f.k.size, n, c, i
    cdef Run r
    for i in range(frame.period):
        r = run_of(f, frame, i)
        for n in range(f.count if r.low < r.high else 0):
            for c in range(frame.channels):
                f.k.copy(to + size * (c * frame.c + i * frame.column + n * frame.each + r.low),
                         row + size * (n * f.x.n + c * f.x.c + (r.column + r.low * frame.period) * f.x.w), r.high - r.low,
                         frame.period * f.x.w)

cdef Run run_of(const Local *f, const Frame *frame, ptrdiff_t phase) noexcept nogil:
    """The pixels of x that are lanes of an image in column `phase` of the frame's period."""
    cdef Run r
    r.column = phase - f.p.pw
    r.low = ceil_div(max(-r.column, 0), frame.period)
    r.high = min(ceil_div(max(f.p.iw - r.column, 0), frame.period), frame.each)
    return r

cdef Lanes lanes_at(const Local *f, ptrdiff_t lane, ptrdiff_t last, Pixel at) noexcept nogil:
    """The lanes from `lane` on, before `last`, of the kernel of a pixel, which is the first that uses it."""
    cdef Lanes s
    cdef ptrdiff_t first = 0, n = lane
    if f.own:
        s.count, s.step, s.after = min(last, f.count) - lane, f.y.n, last
    else:
        n, first = lane // f.frame.each, lane % f.frame.each
        s.after = min(lane - first + f.frame.each, last)
        s.count = min(s.after - lane, ceil_div(f.p.ow - at.w, f.tw) - first)
        s.step = f.tw * f.y.w
    s.count = max(s.count, 0) if n < f.count else 0
    s.to = (split(f.p.n, f.blocks, f.block) + n) * f.y.n + at.d * f.y.d + at.h * f.y.h + (at.w + first * f.tw) * f.y.w
    return s

cdef char *kernel_at(const Local *f, ptrdiff_t o, Pixel at) noexcept nogil:
    """The weights of output channel o at a position."""
    return f.w.data + f.k.size * (o * f.w.o + at.d % f.td * f.w.yd + at.h % f.th * f.w.yh + at.w % f.tw * f.w.yw)

cdef char *bias_at(const Local *f, ptrdiff_t o, Pixel at) noexcept nogil:
    if f.bias.data == NULL:
        return NULL
    return f.bias.data + f.k.size * (o * f.bias.c + at.d % f.td * f.bias.d + at.h % f.th * f.bias.h + at.w % f.tw * f.bias.w)

cdef ptrdiff_t at_once(const Local *f, ptrdiff_t run) noexcept nogil:
    """Of `run` kernels, those that one table of offsets and one call serve."""
    return run if f.own and f.w.flat else 1

cdef char *window_at(const Local *f, const Frame *frame, ptrdiff_t channel, Pixel at, ptrdiff_t lane) noexcept nogil:
    """Where the windows of a kernel begin in a frame whose first output is 0."""
    return frame.data + f.k.size * (at.d * f.p.sd * frame.d + at.h * f.p.sh * frame.h + channel * frame.c
                                    + (at.w * f.p.sw * frame.column if f.own else 0) + lane)

cdef ptrdiff_t *table_at(const Local *f, Pixel at) noexcept nogil:
    return f.at if f.own else f.at + at.w * f.length

cdef char *flat_kernels(const Local *f, ptrdiff_t o, ptrdiff_t count, Pixel at, char *packed) noexcept nogil:
    """The kernels of `count` output channels from o on as contiguous rows: where they are, or else `packed`."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, i, c, kd, kh
    cdef char *src = kernel_at(f, o, at)
    cdef char *row
    if f.w.flat:
        return src
    for i in range(count):
        row = packed + size * i * f.row
        for c in range(p.icg):
            for kd in range(p.kd):
                for kh in range(p.kh):
                    f.k.copy(row, src + size * (i * f.w.o + c * f.w.c + kd * f.w.d + kh * f.w.h), p.kw, f.w.w)
                    row += size * p.kw
    return packed

cdef Forward forward_of(Local *f) noexcept nogil:
    cdef Forward q
    cdef ptrdiff_t size = f.k.size, wide = wide_of(f, f.images), blocks = ceil_div(f.images * f.frame.each, wide)
    q.f = f
    q.windows = whole_lines(f.run * f.images * f.row * size) if f.few else 0
    q.channels = STREAMS if f.few else max(KERNELS_BYTES // max(f.row * size, 1) // 12, 1) * 12
    q.channels = min(q.channels, f.p.ocg)
    q.splits = min(ceil_div(TASKS, f.p.od * f.p.oh * f.strips * f.p.g * blocks), ceil_div(f.p.ocg, 6))
    q.packed = 0 if f.w.flat else whole_lines(q.channels * f.row * size)
    q.results = whole_lines(f.run * f.p.ocg * wide * size)
    return q

cdef size_t scratch_of(const Forward *q) noexcept nogil:
    return q.windows + q.packed + q.results

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Forward *q = <const Forward *>context
    cdef const Local *f = q.f
    cdef char *packed = f.workspace + worker * scratch_of(q)
    cdef char *results = packed + q.packed + q.windows
    cdef ptrdiff_t i, task, part, chunk, chunks, first, last, strip, lane, run, o
    cdef Pixel at
    at.n = 0
    for task in range(begin, end):
        i, part = task // q.splits, task % q.splits
        first, last = split(f.p.ocg, q.splits, part), split(f.p.ocg, q.splits, part + 1)
        i, strip = i // f.strips, i % f.strips
        at.w = split(min(f.tw, f.p.ow), f.strips, strip)
        run = split(min(f.tw, f.p.ow), f.strips, strip + 1) - at.w
        i, at.h = i // f.p.oh, i % f.p.oh
        i, at.d = i // f.p.od, i % f.p.od
        lane, i = i // f.p.g * f.wide, i % f.p.g * f.p.ocg
        chunks = ceil_div(last - first, q.channels)
        for chunk in range(chunks):
            o = split(last - first, chunks, chunk)
            if f.few:
                multiply_few(q, at, run, i + first + o, split(last - first, chunks, chunk + 1) - o, last - first, packed,
                             o == 0, results + f.k.size * o)
            else:
                multiply(q, at, lane, run, i + first + o, split(last - first, chunks, chunk + 1) - o, last - first, packed,
                         results + f.k.size * o * f.wide)
        store_results(f, at, lane, run, i + first, last - first, results)

cdef void multiply(const Forward *q, Pixel at, ptrdiff_t lane, ptrdiff_t run, ptrdiff_t o, ptrdiff_t count, ptrdiff_t channels,
                   char *packed, char *results) noexcept nogil:
    """Results of `count` output channels from o on at `run` kernels, as [kernel][channel][lane]."""
    cdef const Local *f = q.f
    cdef ptrdiff_t size = f.k.size, step = at_once(f, run), last = at.w + run
    cdef nd_lanes s
    s.count, s.m, s.n, s.k = step, min(f.wide, f.lanes - lane), count, f.length
    s.b_row, s.y_row, s.bias_col = f.w.o if f.w.flat else f.row, f.wide, f.bias.c
    s.a, s.b, s.y, s.bias = f.p.sw * f.frame.column, f.w.yw if f.own and f.w.flat else 0, channels * f.wide, f.bias.w
    while at.w < last:
        s.at = table_at(f, at)
        f.k.lanes(&s, window_at(f, &f.frame, o // f.p.ocg * f.p.icg, at, lane), flat_kernels(f, o, count, at, packed), results,
                  bias_at(f, o, at))
        results += size * step * s.y
        at.w += step

cdef void multiply_few(const Forward *q, Pixel at, ptrdiff_t run, ptrdiff_t o, ptrdiff_t count, ptrdiff_t channels,
                       char *packed, bint turn, char *results) noexcept nogil:
    """The same of few images, as [kernel][image][channel]; windows are turned first if nobody has done so."""
    cdef const Local *f = q.f
    cdef ptrdiff_t size = f.k.size, i
    cdef char *windows = packed + q.packed
    cdef nd_dots s
    s.m, s.n, s.k, s.a_row, s.b_row = f.count, count, f.length, f.row, f.w.o if f.w.flat else f.row
    s.y_row, s.bias_col = channels, f.bias.c
    for i in range(run):
        if turn:
            f.k.lanes_turn(windows, f.row, window_at(f, &f.frame, o // f.p.ocg * f.p.icg, at, 0), f.at, f.count, f.length)
        f.k.dots(&s, windows, flat_kernels(f, o, count, at, packed), results, bias_at(f, o, at))
        windows += size * f.count * f.row
        results += size * f.count * channels
        at.w += 1

cdef void store_results(const Local *f, Pixel at, ptrdiff_t lane, ptrdiff_t run, ptrdiff_t channel, ptrdiff_t channels,
                        const char *results) noexcept nogil:
    """Results, [kernel][channel][lane] or, of few images, [kernel][image][channel], to y, along
    whichever of channels and pixels y has side by side."""
    cdef ptrdiff_t size = f.k.size, last = min(lane + f.wide, f.lanes), i, c, l
    cdef ptrdiff_t row = 1 if f.few else f.wide, step = channels if f.few else 1
    cdef ptrdiff_t pixel = channels * (f.count if f.few else f.wide)
    cdef char *to = f.y.data + size * channel * f.y.c
    cdef Lanes s
    if f.own and f.y.c != 1 and f.y.w == 1:
        s = lanes_at(f, lane, last, at)
        for c in range(channels):
            f.k.move(to + size * (c * f.y.c + s.to), f.y.n, results + size * c * row, s.count, run, step, pixel)
        return
    for i in range(run):
        l = lane
        while l < last:
            s = lanes_at(f, l, last, at)
            if f.y.c == 1:
                f.k.move(to + size * s.to, s.step, results + size * (l - lane) * step, s.count, channels, step, row)
            else:
                for c in range(channels):
                    f.k.scatter(to + size * (c * f.y.c + s.to), s.step, results + size * (c * row + (l - lane) * step), step,
                                s.count)
            l = s.after
        results += size * pixel
        at.w += 1

cdef void run_blocks(Forward *q) noexcept nogil:
    cdef Local *f = q.f
    cdef ptrdiff_t block
    for block in range(f.blocks):
        set_block(f, block, &f.frame)
        fill_frame(f)
        parallel_for(ceil_div(f.lanes, f.wide) * f.p.g * f.p.od * f.p.oh * f.strips * q.splits, 1, f.threads, forward_body, q)

cdef Unshared kernels_of(const Py_buffer *b, const nd_problem *p, int rank) noexcept nogil:
    cdef Unshared w
    cdef int last = b.ndim - 1
    w.data = <char *>b.buf
    w.o, w.c = stride_at(b, 0), stride_at(b, 1 + rank)
    w.yw, w.yh, w.yd = stride_at(b, rank), stride_at(b, rank - 1 if rank > 1 else -1), stride_at(b, rank - 2 if rank > 2 else -1)
    w.w, w.h, w.d = stride_at(b, last), stride_at(b, last - 1 if rank > 1 else -1), stride_at(b, last - 2 if rank > 2 else -1)
    w.flat = ((p.kw == 1 or w.w == 1) and (p.kh == 1 or w.h == p.kw) and (p.kd == 1 or w.d == p.kh * p.kw)
              and (p.icg == 1 or w.c == taps_of(p)))
    return w

cdef class Pass:
    """Checked arrays of one pass, open until it is gone. x and y may be dx and dy, w may be dw; those that are written to are
    aligned, so none of them is copied. bias has an axis for channels and one for each axis of kernels, or is None. Images are few
    if lanes are `few` times as many."""

    def __cinit__(self, problem, x, y, w, bias, bint batched, bint channels_last, threads, ptrdiff_t few=FEW):
        cdef Axes axes = axes_of(problem.rank, batched, channels_last), bias_axes = axes_of(problem.rank, False, False)
        cdef double products
        cdef Local *f = &self.f
        cdef int rank = problem.rank
        memset(&self.buffers, 0, sizeof(self.buffers))
        memset(f, 0, sizeof(Local))
        f.p = forward_geometry(problem)
        f.k = current_kernels().set[f.p.dtype]
        f.tw, f.th, f.td = w.shape[rank], w.shape[rank - 1] if rank > 1 else 1, w.shape[rank - 2] if rank > 2 else 1
        set_sizes(f, few)
        products = <double>f.p.n * f.p.g * f.p.ocg * f.p.od * f.p.oh * f.p.ow * f.length
        f.threads = 1 if products < SMALL else threads or default_threads()
        self.arrays = [open_input(a, name, problem.dtype, &self.buffers[i])
                       for i, (a, name) in enumerate(((x, "x"), (y, "y"), (w, "w")))]
        f.x, f.y = array_of(&self.buffers[0], &axes), array_of(&self.buffers[1], &axes)
        f.w = kernels_of(&self.buffers[2], &f.p, rank)
        if bias is not None:
            self.arrays.append(open_input(bias, "bias", problem.dtype, &self.buffers[3]))
            f.bias = array_of(&self.buffers[3], &bias_axes)

    def __dealloc__(self):
        cdef int i
        for i in range(4):
            PyBuffer_Release(&self.buffers[i])

    cdef int take_scratch(self, size_t size) except -1:
        """So many bytes, and the offsets of windows."""
        self.f.workspace = <char *>scratch_take(size + self.f.offsets)
        if self.f.workspace == NULL:
            raise MemoryError(f"no memory for {size} bytes of workspace")
        self.f.at = <ptrdiff_t *>(self.f.workspace + size)
        return 0


def forward(problem, x, w, bias, y, bint batched, bint channels_last, threads):
    """Writes y."""
    cdef Pass a = Pass(problem, x, y, w, bias, batched, channels_last, threads)
    cdef Local *f = &a.f
    cdef Forward q = forward_of(f)
    cdef size_t scratch = f.threads * scratch_of(&q), size
    size = open_frame(f)
    a.take_scratch(scratch + size)
    f.frame.data = f.workspace + scratch
    with nogil:
        run_blocks(&q)
        scratch_give(f.workspace)
