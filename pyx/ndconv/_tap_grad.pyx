# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients by taps, dW[oc, tap] = sum over pixels dY[oc][pixel] X[pixel + tap], lanes of output channels.

    for a part of the blocks of rows of all images, group                           (one task)
        for its blocks
            copy the padded input rows to a slab, strides taken apart               (L2; ndconv/_direct_slab.pyx)
            for two vectors of oc
                turn dY to [pixel][oc], unless it is NHWC                           (L2)
                for a few taps: register tile over all pixels                       (kernels/tap_sums.h)
    add the parts in their order, turn them to [oc][tap], and write dW wherever its strides say

The elements that taps see are broadcast from the slab: with few input channels the im2col matrix would be packed for a few
products an element. Turning dY costs half a cycle an element, which as many products as there are taps and channels pay for.
Parts depend on the problem alone, so bits do not depend on threads.
"""
from libc.string cimport memset

from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_tap_sums, nd_weights
from ndconv._direct_plan cimport Blocking, set_slab
from ndconv._direct_slab cimport Forward, Task, fill_slab
from ndconv._pack cimport add_bias_grad, ceil_div, evened, pixels_of, split, taps_of, whole_lines
from ndconv._runtime cimport parallel_for

cdef enum:
    SLAB_BYTES = 131072      # of padded input rows, in L2
    TURNED_BYTES = 131072    # of the rows of dY of a block, beside it
    REACH = 1024             # columns that a kernel reaches over
    FEW = 4                  # input channels
    MOST = 160               # of these and taps: their sums are loaded and stored once a block
    PIXELS = 512             # of a plane of results at least, or of all images ALL_PIXELS: the sums go back to memory a block
    ALL_PIXELS = 2048
    STREAMS = 16             # channels of dY that are read at a time: as many as the CPU prefetches
    TASKS = 12

cdef struct Plan:
    Blocking b
    ptrdiff_t k                    # input channels and taps
    ptrdiff_t pixel                # output channels of a group, whole vectors
    ptrdiff_t units, parts         # blocks of all images, parts that they are dealt to
    ptrdiff_t offsets, sums, slab, turned  # bytes: of the taps' places, of all parts' sums; a worker's

cdef bint takes_taps(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether input channels are so few that packing would take longer, pixels so many that the sums are worth their way to
    memory, and vectors nearly full of output channels. Planes of 13 to 16 pixels in 16 to 64 images: 1.4 to 3 times as fast."""
    return (p.icg <= FEW and 1 < p.icg * taps_of(p) <= MOST
            and 4 * p.ocg >= 3 * ceil_div(p.ocg, k.vl) * k.vl and (p.kw - 1) * p.dw <= REACH
            and (p.oh * p.ow >= PIXELS or p.n * pixels_of(p) >= ALL_PIXELS))

cdef Plan plan_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Plan f
    cdef Blocking *b = &f.b
    memset(&f, 0, sizeof(Plan))
    b.taps, b.icb = taps_of(p), p.icg
    f.k, f.pixel = p.icg * b.taps, ceil_div(p.ocg, k.vl) * k.vl
    b.columns = ceil_div(p.ow, ceil_div(p.ow * k.nr * k.size, TURNED_BYTES))
    b.strips = ceil_div(p.ow, b.columns)
    b.rows = min(max(TURNED_BYTES // (b.columns * k.nr * k.size), <ptrdiff_t>1), p.oh)
    b.rows = min(b.rows, ceil_div(p.oh, ceil_div(TASKS, p.n * p.od * p.g)))
    set_slab(p, k, b)
    while b.slab > SLAB_BYTES and b.rows > 1:
        b.rows = (b.rows + 1) // 2
        set_slab(p, k, b)
    b.blocks = ceil_div(p.oh, b.rows)
    b.rows = ceil_div(p.oh, b.blocks)
    set_slab(p, k, b)
    f.units = p.n * p.od * b.blocks * b.strips
    f.parts = evened(min(ceil_div(TASKS, p.g), f.units), p.g, f.units)
    f.offsets = whole_lines(f.k * <ptrdiff_t>sizeof(ptrdiff_t))
    f.sums = f.parts * p.g * f.k * f.pixel * k.size
    f.slab = b.slab
    f.turned = b.rows * b.columns * min(f.pixel, k.nr) * k.size
    return f

cdef size_t tap_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef Plan f = plan_of(p, k)
    return f.offsets + f.sums + threads * (f.slab + f.turned)

cdef ptrdiff_t tap_bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return plan_of(p, k).parts

cdef struct Grad:
    Forward forward          # what the slab is filled by
    Plan plan
    char *sums               # [part][group][tap][oc]

cdef void tap_grad(const nd_job *job) noexcept nogil:
    cdef Grad f
    cdef const nd_problem *p = job.p
    f.plan = plan_of(p, job.k)
    f.forward.job, f.forward.b = job, f.plan.b
    f.sums = job.workspace + f.plan.offsets
    set_places(p, &f.plan.b, <ptrdiff_t *>job.workspace)
    parallel_for(f.plan.parts * p.g, 1, job.threads, sum_body, &f)
    parallel_for(p.g * p.icg * p.kd * p.kh, ceil_div(16384, f.plan.parts * p.kw * p.ocg), job.threads, collect_body, &f)

cdef void set_places(const nd_problem *p, const Blocking *b, ptrdiff_t *at) noexcept nogil:
    """Where a tap's elements begin in the slab: [channel][kd][phase row][phase column][row][column]."""
    cdef ptrdiff_t c, tap, d, h, w, row, phase, plane = b.slab_rows * b.slab_columns
    for c in range(p.icg):
        for tap in range(b.taps):
            d, h, w = tap // (p.kw * p.kh), tap // p.kw % p.kh * p.dh, tap % p.kw * p.dw
            # a block of one row has just the rows of its taps
            row, phase = h // (p.dh if b.rows == 1 else b.fh), 0 if b.rows == 1 else h % b.fh
            at[c * b.taps + tap] = (c * b.channel + ((d * b.fh + phase) * b.fw + w % b.fw) * plane + row * b.slab_columns
                                    + w // b.fw)

cdef void sum_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Grad *f = <Grad *>context
    cdef const Plan *plan = &f.plan
    cdef const Blocking *b = &plan.b
    cdef const nd_job *job = f.forward.job
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t i, unit, part, v, bytes = plan.k * plan.pixel * job.k.size
    cdef Task t
    cdef nd_tap_sums s
    cdef char *sums
    cdef const char *dy
    t.slab = f.sums + plan.sums + worker * (plan.slab + plan.turned)
    s.at, s.taps, s.x_row = <ptrdiff_t *>job.workspace, plan.k, b.slab_columns
    s.sums_tap = plan.pixel
    for i in range(begin, end):
        sums = f.sums + i * bytes
        t.g, part = i % p.g, i // p.g
        memset(sums, 0, bytes)
        for unit in range(split(plan.units, plan.parts, part), split(plan.units, plan.parts, part + 1)):
            t.ow = unit % b.strips * b.columns
            t.oh = split(p.oh, b.blocks, unit // b.strips % b.blocks)
            s.rows = split(p.oh, b.blocks, unit // b.strips % b.blocks + 1) - t.oh
            t.od, t.n = unit // b.strips // b.blocks % p.od, unit // b.strips // b.blocks // p.od
            s.n = min(b.columns, p.ow - t.ow)
            fill_slab(&f.forward, &t, 0, p.icg)
            for v in range(ceil_div(plan.pixel, job.k.nr)):
                s.channels = min(job.k.nr, plan.pixel - v * job.k.nr)
                dy = rows_of(job, &t, v * job.k.nr, &s, t.slab + plan.slab)
                job.k.tap_sums(&s, t.slab, dy, sums + v * job.k.nr * job.k.size)
                add_bias_grad(job, part, t.g * p.ocg + v * job.k.nr, min(s.channels, p.ocg - v * job.k.nr), dy, s.rows * s.n,
                              s.dy_pixel)

cdef const char *rows_of(const nd_job *job, const Task *t, ptrdiff_t first, nd_tap_sums *s, char *to) noexcept nogil:
    """dY of a block as [pixel][oc], channels from `first` on: where they are if that is how they are, or else in `to`."""
    cdef ptrdiff_t r, o = 0, rows = s.rows, n = s.n, size = job.k.size, left = min(s.channels, job.p.ocg - first)
    cdef const char *dy = job.y.data + size * (t.n * job.y.n + (t.g * job.p.ocg + first) * job.y.c + t.od * job.y.d
                                               + t.oh * job.y.h + t.ow * job.y.w)
    cdef bint follow = job.y.h == n * job.y.w or rows == 1
    if follow and job.y.c == 1 and left == s.channels:
        s.dy_pixel = job.y.w
        return dy
    s.dy_pixel = s.channels
    if left < s.channels:
        memset(to, 0, rows * n * s.channels * size)
    if follow:
        rows, n = 1, rows * n
    while o < left:
        for r in range(rows):
            job.k.move(to + size * (r * n * s.channels + o), s.channels, dy + size * (r * job.y.h + o * job.y.c), n,
                       min(left - o, <ptrdiff_t>STREAMS), job.y.w, job.y.c)
        o += STREAMS
    return to

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """dW of some rows of taps."""
    cdef Grad *f = <Grad *>context
    cdef const nd_job *job = f.forward.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef const nd_weights *dw = &job.dw
    cdef ptrdiff_t i, row, part, w, size = k.size, bytes = p.kw * f.plan.pixel * size, rows = p.kd * p.kh
    cdef char *sums
    for i in range(begin, end):
        row = i % (p.icg * rows)
        sums = f.sums + i * bytes
        for part in range(1, f.plan.parts):
            k.add(sums, 1, sums + part * p.g * p.icg * rows * bytes, p.kw * f.plan.pixel)
        for w in range(p.kw):
            k.scatter(dw.data + size * (i // (p.icg * rows) * dw.g + row // rows * dw.c + row % rows // p.kh * dw.d
                                        + row % p.kh * dw.h + w * dw.w), dw.o, sums + w * f.plan.pixel * size, 1, p.ocg)
