# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Transposed convolution and the gradient by the input of a strided one, all phases of the strides in one pass.

    y[n, o, i*s + t*d - p] += x[n, c, i] * w[o, c, t]

The results j = s*q + r of one remainder r of each axis, a phase, see the taps t with (r + p - t*d) % s == 0, and such a tap reads
x at q + (r + p - t*d)/s: a stride-1 convolution with a part of the kernel (src/ndconv/stages.py). Here the phases share one
copy of x and one of the weights, and a row of y is put together from its phases before it is stored:

    for blocks of images and rows                        (copies up to 4 MiB)
        copy x to [depth][row][column][channel], zeros around it; NHWC memory that needs no zeros is read where it is
        for tasks, which are blocks of rows and of output channels
            for v in panels of nr output channels
                for phases of depth and row
                    for phases of a row, rows, tiles of pixels:
                        register tile over taps x channels, to every s-th pixel       (kernels/gemm.h; weights: L2)
                    NCHW memory: turn the block of whole rows to [channel][pixel] and store it

Vectors hold output channels, whatever memory holds: a phase's pixels are never next to each other in y, but its channels can
be. A pixel of the copy and its channels are the broadcast operand. Weights are [panel][tap][channel][nr].

Bytes moved: x once to the copy and then from L2 or L3 for every panel, weights once a task, y once. Expected: the rate of
the register tile; the copy costs half a cycle an element of x, turning as much an element of y. Reached with 64 channels and
more: 140 to 168 GFLOP/s of 200 on two threads of AVX2, where the tile itself reaches about 160; NCHW within 5 % of NHWC.
Where one task has all rows that a panel of weights is for, as with many channels and 4x4 to 16x16 pixels, weights that are not
prepared are turned by that task, into its L2: 0.7 to 0.9 of the time of turning all of them first, which is a way to memory and
back. Where half of the phases and more have no tap, as with strides longer than the kernel, y is filled with zeros and these are
passed over: 0.25 to 0.8 of the time. Where many products would see the zeros around x (dilated kernels, 5x5 on 7x7), each tile
lists the taps that see x: 0.65 to 0.9. Few channels are the matter of _phase_rows.pyx.
"""
from libc.string cimport memset

from ndconv._c cimport (ND_BIAS_COLUMN, ND_ZERO, nd_array, nd_ask, nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_walk,
                        nd_weights)
from ndconv._pack cimport Pixel, ceil_div, finish_pixels, gemm_rows, split, store_turned, taps_of, whole_lines
from ndconv._phase_axis cimport Axis, Live, Phase, axis_of, leaves_zeros, live_taps, phase_of
from ndconv._phase_rows cimport phase_rows_forward, phase_rows_prepare, phase_rows_sizes
from ndconv._runtime cimport parallel_for

cdef enum:
    COPY_BYTES = 4194304     # of x that are copied at a time
    ROWS_BYTES = 32768       # of results that are turned at a time
    TASKS = 12               # that a block is cut into when it is large enough

cdef struct Plan:
    Axis axis[3]
    ptrdiff_t extent[3]          # of the copy of a whole image
    ptrdiff_t panels, parts, rows
    ptrdiff_t images, lines      # that are copied at a time: images of a group, rows of q
    bint clipped                 # many products see the zeros around x: tiles leave them out
    bint turned                  # y keeps pixels together: rows go through scratch
    size_t copy, scratch, offsets

cdef struct Block:
    const nd_job *job
    Plan b
    bint in_place                # x is read where it is, not from a copy
    nd_array step                # distances of what is read
    ptrdiff_t image, images, line, lines
    char *worker                 # scratch of the workers
    ptrdiff_t panel              # bytes of a panel of weights that a task turns itself, 0 if they are prepared
    bint zeroed                  # y is zero before its phases that have taps are stored

cdef Plan plan_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Plan b
    cdef ptrdiff_t axis, line_bytes, blocks, blocks_wanted
    b.axis[0] = axis_of(p.sd, p.dd, p.pd, p.kd, p.id, p.od)
    b.axis[1] = axis_of(p.sh, p.dh, p.ph, p.kh, p.ih, p.oh)
    b.axis[2] = axis_of(p.sw, p.dw, p.pw, p.kw, p.iw, p.ow)
    b.clipped = False
    for axis in range(3):
        b.extent[axis] = b.axis[axis].most + b.axis[axis].high - b.axis[axis].low
        b.clipped |= 4 * b.extent[axis] > 5 * b.axis[axis].x
    b.turned = not p.lanes_oc
    b.panels = ceil_div(p.ocg, k.nr)
    line_bytes = b.extent[0] * b.extent[2] * p.icg * k.size
    b.images = max(min(COPY_BYTES // (line_bytes * b.extent[1]), p.n * p.g), 1)
    b.lines = max(min(COPY_BYTES // line_bytes - (b.extent[1] - b.axis[1].most), b.axis[1].most), 1)
    b.lines = ceil_div(b.axis[1].most, ceil_div(b.axis[1].most, b.lines))
    b.copy = b.images * line_bytes * min(b.lines + b.extent[1] - b.axis[1].most, b.extent[1])
    # tasks: output channels where the weights are more than x, else rows; what is missing of 8 is cut the other way
    blocks = b.images * b.axis[0].most
    if p.ocg * taps_of(p) > b.extent[0] * b.extent[1] * b.extent[2] * b.images:
        b.parts = b.panels if b.panels <= 2 * TASKS else TASKS
        blocks_wanted = 1 if b.parts >= 8 else ceil_div(TASKS, blocks * b.parts)
    else:
        b.parts = 1
        blocks_wanted = ceil_div(TASKS, blocks)
    b.rows = ceil_div(b.lines, min(blocks_wanted, b.lines))
    if b.turned:
        b.rows = max(min(b.rows, ROWS_BYTES // (p.ow * k.nr * k.size)), 1)
    b.parts = max(b.parts, min(b.panels, ceil_div(TASKS, blocks * ceil_div(b.lines, b.rows))))
    b.scratch = whole_lines(b.rows * p.ow * k.nr * k.size) if b.turned else 0
    b.offsets = whole_lines(2 * taps_of(p) * <ptrdiff_t>sizeof(ptrdiff_t))
    return b

cdef inline bint takes_pixels(ptrdiff_t icg, ptrdiff_t ocg) noexcept nogil:
    """Whether vectors hold pixels (_phase_rows.pyx): of few channels of x, whose sums are short, and of few of y. These leave
    vectors of 16 lanes empty; with 8 lanes 8 to 15 of them are as fast either way, and rows of 24000 pixels 2.5 times as fast."""
    return ocg < 16 or icg < 4

def holds_pixels(problem):
    """Whether all phases of a gradient's strides are done with pixels in vectors."""
    return problem.reversed and max(problem.stride) > 1 and takes_pixels(problem.oc // problem.g, problem.ic // problem.g)

cdef void transpose_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    """Left to forward problems, with 0 bytes prepared: few channels, which leave vectors empty, and copies without bounds."""
    cdef Plan b
    memset(to, 0, sizeof(nd_sizes))
    if takes_pixels(p.icg, p.ocg):
        phase_rows_sizes(p, k, to)
        return
    b = plan_of(p, k)
    if b.copy > 8 * COPY_BYTES:
        return
    to.prepared = p.g * b.panels * taps_of(p) * p.icg * k.nr * k.size
    to.shared = whole_lines(b.copy)
    to.worker = b.scratch + b.offsets
    if p.n * b.axis[0].most == 1 and b.rows == b.axis[1].most:
        # a task has all that a panel of weights is needed for: it turns them itself, into L2
        to.fresh = to.worker + panel_bytes(p, k)

cdef inline ptrdiff_t panel_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return taps_of(p) * p.icg * k.nr * k.size

# ------------------------------------------------------------------------------------------------ weights

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    char *to

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Prepare *f = <Prepare *>context
    cdef ptrdiff_t i
    for i in range(begin, end):
        prepare_panel(f.p, f.k, f.w, i, f.to + i * panel_bytes(f.p, f.k))

cdef void prepare_panel(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, ptrdiff_t i, char *to) noexcept nogil:
    """Panel i of all groups as [tap][channel][nr]. Taps that follow each other in memory are turned together, a channel at a
    time."""
    cdef ptrdiff_t c, tap, size = k.size, taps = taps_of(p), panels = ceil_div(p.ocg, k.nr)
    cdef ptrdiff_t first = i % panels * k.nr, cols = min(k.nr, p.ocg - first)
    cdef const char *src = w.data + size * (i // panels * w.g + first * w.o)
    if w.w == 1 and (p.kh == 1 or w.h == p.kw) and (p.kd == 1 or w.d == p.kh * p.kw):
        if cols < k.nr:
            memset(to, 0, panel_bytes(p, k))
        for c in range(p.icg):
            # each channel's weights are short runs a stride apart, which hardware does not see coming
            nd_ask(src + size * min(c + 2, p.icg - 1) * w.c, size * cols * taps)
            k.move(to + size * c * k.nr, p.icg * k.nr, src + size * c * w.c, taps, cols, 1, w.o)
        return
    for tap in range(taps):
        k.pack(to + size * tap * p.icg * k.nr, k.nr,
               src + size * (tap // (p.kw * p.kh) * w.d + tap // p.kw % p.kh * w.h + tap % p.kw * w.w), p.icg, cols, w.c, w.o)

cdef void transpose_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                            int threads) noexcept nogil:
    cdef Prepare f
    if takes_pixels(p.icg, p.ocg):
        phase_rows_prepare(p, k, w, to, workspace, threads)
        return
    f.p, f.k, f.w, f.to = p, k, w, <char *>to
    parallel_for(p.g * ceil_div(p.ocg, k.nr), ceil_div(16384, p.icg * taps_of(p) * k.nr), threads, prepare_body, &f)

# ------------------------------------------------------------------------------------------------ copies of x

cdef bint readable_in_place(const nd_job *job, const Plan *b) noexcept nogil:
    cdef ptrdiff_t axis
    cdef bint inside = job.x.c == 1
    for axis in range(3):
        inside = inside and b.axis[axis].low >= 0 and b.axis[axis].most + b.axis[axis].high <= b.axis[axis].x
    return inside

cdef void copy_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of the copy: [image][depth][row], each [column][channel]."""
    cdef Block *f = <Block *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef const Axis *a = f.b.axis
    cdef ptrdiff_t i, image, d, h, low, high, size = k.size, columns = f.b.extent[2]
    cdef ptrdiff_t rows = f.lines + f.b.extent[1] - a[1].most
    cdef const char *src
    cdef char *to
    low = min(-a[2].low, columns)
    high = max(min(p.iw - a[2].low, columns), low)
    for i in range(begin, end):
        image = f.image + i // (rows * f.b.extent[0])
        d, h = i // rows % f.b.extent[0] + a[0].low, f.line + i % rows + a[1].low
        to = <char *>f.job.workspace + size * i * columns * p.icg
        if not (0 <= d < p.id and 0 <= h < p.ih):
            memset(to, 0, columns * p.icg * size)
            continue
        memset(to, 0, low * p.icg * size)
        memset(to + high * p.icg * size, 0, (columns - high) * p.icg * size)
        src = x.data + size * (image // p.g * x.n + image % p.g * p.icg * x.c + d * x.d + h * x.h + (low + a[2].low) * x.w)
        k.move(to + low * p.icg * size, p.icg, src, high - low, p.icg, x.w, x.c)

# ------------------------------------------------------------------------------------------------ forward

cdef void transpose_forward(const nd_job *job) noexcept nogil:
    cdef Block f
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t rows, halo
    if takes_pixels(p.icg, p.ocg):
        phase_rows_forward(job)
        return
    f.job, f.b = job, plan_of(job.p, job.k)
    f.worker = job.workspace + whole_lines(f.b.copy)
    f.panel = panel_bytes(p, job.k) if job.w == NULL else 0
    f.in_place = readable_in_place(job, &f.b)
    halo = f.b.extent[1] - f.b.axis[1].most
    f.zeroed = is_mostly_zero(job, &f.b)
    if f.zeroed:
        rows = p.n * p.od * p.oh * (p.g * p.ocg if f.b.turned else 1)
        parallel_for(rows, ceil_div(65536, p.ow * job.y.w), job.threads, zero_body, &f)
    f.image = 0
    while f.image < p.n * p.g:
        f.images = min(f.b.images, p.n * p.g - f.image)
        f.line = 0
        while f.line < f.b.axis[1].most:
            f.lines = min(f.b.lines, f.b.axis[1].most - f.line)
            rows = f.lines + halo
            if f.in_place:
                f.step = job.x
            else:
                f.step.w = p.icg
                f.step.h = f.b.extent[2] * p.icg
                f.step.d = rows * f.step.h
                f.step.n = f.b.extent[0] * f.step.d
                parallel_for(f.images * f.b.extent[0] * rows, ceil_div(16384, f.step.h), job.threads, copy_body, &f)
            parallel_for(f.images * f.b.axis[0].most * ceil_div(f.lines, f.b.rows) * f.b.parts, 1, job.threads, rows_body, &f)
            f.line += f.b.lines
        f.image += f.b.images

cdef bint is_mostly_zero(const nd_job *job, const Plan *b) noexcept nogil:
    """Whether no tap falls on half of the phases and more, or, where rows are stored whole, of their rows; and y has planes of its
    channels, or pixels, in one piece."""
    cdef ptrdiff_t axis, r, all = 1, seen = 1, count
    cdef Phase f
    for axis in range(2 if b.turned else 3):
        count = 0
        for r in range(b.axis[axis].phases):
            f = phase_of(&b.axis[axis], r)
            count += f.count > 0
        all, seen = all * b.axis[axis].phases, seen * count
    return leaves_zeros(job) and 2 * seen <= all and (
        job.y.w == 1 if b.turned else job.y.c == 1 and job.y.w == job.p.g * job.p.ocg)

cdef void zero_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of y, of a channel or of all; those that follow each other in a plane at once."""
    cdef Block *f = <Block *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t i = begin, rows, plane, planes = p.g * p.ocg if f.b.turned else 1
    while i < end:
        plane, rows = i // p.oh, min(p.oh - i % p.oh, end - i) if y.h == p.ow * y.w else 1
        memset(y.data + f.job.k.size * (plane // (planes * p.od) * y.n + plane // p.od % planes * y.c + plane % p.od * y.d
                                        + i % p.oh * y.h), 0, f.job.k.size * rows * p.ow * y.w)
        i += rows

cdef void rows_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Block *f = <Block *>context
    cdef ptrdiff_t i, part, blocks = ceil_div(f.lines, f.b.rows), first, count, depth
    for i in range(begin, end):
        part, first = i % f.b.parts, i // f.b.parts % blocks * f.b.rows
        depth = i // f.b.parts // blocks
        count = min(f.b.rows, f.lines - first)
        compute_rows(f, depth // f.b.axis[0].most, depth % f.b.axis[0].most, first, count, part,
                     f.worker + worker * (f.b.scratch + f.b.offsets + f.panel))

cdef void compute_rows(Block *f, ptrdiff_t image, ptrdiff_t qd, ptrdiff_t first, ptrdiff_t count, ptrdiff_t part,
                       char *scratch) noexcept nogil:
    """All results of q rows first <= q < first + count of the block, and of the panels of a part."""
    cdef const Axis *a = f.b.axis
    cdef ptrdiff_t v, rd, rh, g = (f.image + image) % f.job.p.g, bytes = panel_bytes(f.job.p, f.job.k)
    cdef Phase d, h
    cdef const char *panel
    cdef char *turned = scratch + f.b.scratch + f.b.offsets
    for v in range(split(f.b.panels, f.b.parts, part), split(f.b.panels, f.b.parts, part + 1)):
        panel = turned
        if f.panel > 0:
            prepare_panel(f.job.p, f.job.k, &f.job.fresh, g * f.b.panels + v, turned)
        else:
            panel = <const char *>f.job.w + (g * f.b.panels + v) * bytes
        for rd in range(a[0].phases):
            d = phase_of(&a[0], rd)
            for rh in range(a[1].phases):
                h = phase_of(&a[1], rh)
                if qd < d.positions and f.line + first < h.positions and not (f.zeroed and d.count * h.count == 0):
                    compute_phase(f, image, qd, first, min(count, h.positions - f.line - first), v, &d, &h, panel,
                                  scratch)

cdef void compute_phase(Block *f, ptrdiff_t image, ptrdiff_t qd, ptrdiff_t first, ptrdiff_t count, ptrdiff_t v, const Phase *d,
                        const Phase *h, const char *panel, char *scratch) noexcept nogil:
    """Whole rows of y of one phase of depth and row, for one panel of output channels."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef const Axis *a = f.b.axis
    cdef ptrdiff_t size = k.size, n = (f.image + image) // p.g, g = (f.image + image) % p.g, channel = g * p.ocg + v * k.nr
    cdef ptrdiff_t cols = min(k.nr, p.ocg - v * k.nr), q, row, rw, y_row, y_w, y_c, tiles, blocks, i, start, end
    cdef nd_walk walk
    cdef Live[3] live
    cdef Phase w
    cdef Pixel at
    cdef char *to
    cdef char *rows = scratch + f.b.offsets
    cdef char *result = y.data + size * (n * y.n + channel * y.c + (a[0].s * qd + d.r) * y.d)
    walk.a_off, walk.b_off = <ptrdiff_t *>scratch, <ptrdiff_t *>scratch + taps_of(p)
    walk.len, walk.a_k, walk.b_k = p.icg, 1, k.nr
    walk.a_row = f.step.w
    at.n, at.d, at.w = n, a[0].s * qd + d.r, 0
    if f.b.turned:
        to, y_row, y_w, y_c = rows, p.ow * k.nr, k.nr, 1
    else:
        row = a[1].s * (f.line + first) + h.r
        to, y_row, y_w, y_c = result + size * row * y.h, a[1].s * y.h, y.w, y.c
    live[0] = live_taps(d, &a[0], qd, qd)
    for rw in range(a[2].phases):
        w = phase_of(&a[2], rw)
        if f.zeroed and w.count == 0 and not f.b.turned:
            continue
        tiles = ceil_div(w.positions, k.tile_rows(cols))
        blocks = tiles if f.b.clipped else 1
        if not f.b.clipped:
            walk.runs = list_taps(f, d, h, &w, NULL, <ptrdiff_t *>scratch)
        for q in range(count):
            for i in range(blocks):
                start, end = split(w.positions, blocks, i), split(w.positions, blocks, i + 1)
                if f.b.clipped:
                    live[1] = live_taps(h, &a[1], f.line + first + q, f.line + first + q)
                    live[2] = live_taps(&w, &a[2], start, end - 1)
                    walk.runs = list_taps(f, d, h, &w, live, <ptrdiff_t *>scratch)
                gemm_rows(k, &walk, end - start, tiles // blocks, cols,
                          source(f, image, qd, first + q) + size * start * walk.a_row, 0, panel,
                          to + size * (q * y_row + (a[2].s * start + w.r) * y_w), a[2].s * y_w, y_c,
                          ND_BIAS_COLUMN if f.job.bias != NULL else ND_ZERO, <const char *>f.job.bias + size * channel)
    for q in range(count):
        row = a[1].s * (f.line + first + q) + h.r
        at.h = row
        if f.b.turned:
            store_turned(k, result + size * row * y.h, y, rows + size * q * y_row, k.nr, cols, p.ow)
        finish_pixels(f.job, channel, cols, at, p.ow)

cdef ptrdiff_t list_taps(const Block *f, const Phase *d, const Phase *h, const Phase *w, const Live *live,
                         ptrdiff_t *a_off) noexcept nogil:
    """Where each tap of a phase, or those that are live on each axis, reads the copy, from the q of a row on, and where its
    weights are; returns their number."""
    cdef const nd_problem *p = f.job.p
    cdef const Axis *a = f.b.axis
    cdef ptrdiff_t *b_off = a_off + taps_of(p)
    cdef ptrdiff_t i, j, l, n = 0
    cdef Live[3] all = [Live(0, d.count), Live(0, h.count), Live(0, w.count)]
    if live == NULL:
        live = all
    for i in range(live[0].low, live[0].high):
        for j in range(live[1].low, live[1].high):
            for l in range(live[2].low, live[2].high):
                a_off[n] = ((d.offset - i * a[0].reach - a[0].low) * f.step.d + (h.offset - j * a[1].reach - a[1].low) * f.step.h
                            + (w.offset - l * a[2].reach - a[2].low) * f.step.w)
                b_off[n] = (((d.first + i * a[0].step) * p.kh + h.first + j * a[1].step) * p.kw + w.first + l * a[2].step) \
                    * p.icg * f.job.k.nr
                n += 1
    return n

cdef inline const char *source(const Block *f, ptrdiff_t image, ptrdiff_t qd, ptrdiff_t q) noexcept nogil:
    """The first element that is read for a row: that of the lowest read of each axis."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef const Axis *a = f.b.axis
    if not f.in_place:
        return f.job.workspace + f.job.k.size * (image * f.step.n + qd * f.step.d + q * f.step.h)
    image += f.image
    return x.data + f.job.k.size * (image // p.g * x.n + image % p.g * p.icg * x.c + (qd + a[0].low) * x.d
                                    + (f.line + q + a[1].low) * x.h + a[2].low * x.w)
