# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients of few input channels, dW[oc, tap] = sum over pixels dY[oc][pixel] X[pixel + tap], lanes of pixels.

    for a part of the blocks of rows of all images, group, some output channels     (one task)
        for its blocks
            copy the padded input rows to a slab, strides taken apart               (L2; ndconv/_direct_slab.pyx)
            for a few channels of dY, read where they are, for a few taps           (kernels/tap_sums.h)
                register tile: a vector of sums each, over the rows of the block
        add up the lanes: the part's sums
    add the parts in their order, and write dW wherever its strides say

With few input channels the register tile of the other forms would need dY, or the im2col matrix, packed for a few products an
element. Here neither is: x is copied once for each of a few groups of output channels, and an element of dY goes from L1 to six
taps at a time. Parts and groups depend on the problem alone, so bits do not depend on threads.
"""
from libc.string cimport memset

from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_tap_sums, nd_weights
from ndconv._direct_plan cimport Blocking, set_slab
from ndconv._direct_slab cimport Forward, Task, fill_slab
from ndconv._pack cimport ceil_div, evened, split, taps_of
from ndconv._runtime cimport parallel_for

cdef enum:
    SLAB_BYTES = 131072      # of padded input rows, in L2
    ROWS_BYTES = 16384       # of the channels of dY that a tile reads, in L1
    LANES_BYTES = 196608     # of the vectors of sums of a task, in L2 beside the slab
    CHANNELS = 4             # of dY that a tile reads
    STRIP = 1024             # columns of a row that is not cut across; those of a longer one are twice as many at most
    FEW = 4                  # input channels
    MOST = 160               # of these and taps: a group of output channels then has its sums in L2
    STEPS = 32               # vectors of a plane of results
    TASKS = 12

cdef struct Plan:
    Blocking b
    ptrdiff_t k                    # input channels and taps
    ptrdiff_t oparts, channels     # tasks over output channels, channels of the largest
    ptrdiff_t units, parts         # blocks of all images, parts that they are dealt to
    ptrdiff_t offsets, sums, slab, lanes   # bytes: of the taps' places, of all parts' sums; a worker's

cdef bint takes_taps(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether input channels are so few that packing would take longer, and planes of results so large and rows so full that the
    sums are worth their way to memory. Ends of rows are masked, which the smaller tiles of 16 registers feel more: with 4 channels
    on 27 columns AVX2 took 1.4 times as long as with packing, AVX-512 0.7 of it."""
    cdef ptrdiff_t vectors = ceil_div(p.ow, k.vl), least = 75 if k.mr > 8 else 90     # percent of the lanes
    return (not p.lanes_oc and p.icg <= FEW and 1 < p.icg * taps_of(p) <= MOST and p.sw <= 2
            and 100 * p.ow >= least * vectors * k.vl and p.oh * vectors >= STEPS and (p.kw - 1) * p.dw <= STRIP)

cdef Plan plan_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Plan f
    cdef Blocking *b = &f.b
    memset(&f, 0, sizeof(Plan))
    b.taps, b.icb = taps_of(p), p.icg
    f.k = p.icg * b.taps
    b.strips = max(p.ow // STRIP, <ptrdiff_t>1)
    b.columns = ceil_div(ceil_div(p.ow, b.strips), k.nr) * k.nr if b.strips > 1 else p.ow
    b.strips = ceil_div(p.ow, b.columns)
    b.rows = min(max(ROWS_BYTES // (CHANNELS * b.columns * k.size), <ptrdiff_t>1), p.oh)
    set_slab(p, k, b)
    while b.slab > SLAB_BYTES and b.rows > 1:
        b.rows = (b.rows + 1) // 2
        set_slab(p, k, b)
    b.blocks = ceil_div(p.oh, b.rows)
    b.rows = ceil_div(p.oh, b.blocks)
    set_slab(p, k, b)
    f.oparts = ceil_div(p.ocg, max(LANES_BYTES // (f.k * k.vl * k.size) // CHANNELS, <ptrdiff_t>1) * CHANNELS)
    f.channels = ceil_div(p.ocg, f.oparts)
    f.units = p.n * p.od * b.blocks * b.strips
    f.parts = evened(min(ceil_div(TASKS, p.g * f.oparts), f.units), p.g * f.oparts, f.units)
    f.sums = ceil_div(f.parts * p.g * p.ocg * f.k * k.size, 64) * 64
    f.slab = b.slab
    f.offsets = ceil_div(f.k * <ptrdiff_t>sizeof(ptrdiff_t), 64) * 64
    f.lanes = f.channels * f.k * k.vl * k.size
    return f

cdef size_t tap_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef Plan f = plan_of(p, k)
    return f.offsets + f.sums + threads * (f.slab + f.lanes)

cdef struct Grad:
    Forward forward          # what the slab is filled by
    Plan plan
    char *sums

cdef void tap_grad(const nd_job *job) noexcept nogil:
    cdef Grad f
    cdef const nd_problem *p = job.p
    f.plan = plan_of(p, job.k)
    f.forward.job, f.forward.b = job, f.plan.b
    f.sums = job.workspace + f.plan.offsets
    set_places(p, &f.plan.b, <ptrdiff_t *>job.workspace)
    parallel_for(f.plan.parts * p.g * f.plan.oparts, 1, job.threads, sum_body, &f)
    parallel_for(p.g * p.ocg, ceil_div(16384, f.plan.parts * f.plan.k), job.threads, collect_body, &f)

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
    cdef const nd_kernel_set *k = job.k
    cdef ptrdiff_t i, unit, part, o, size = k.size
    cdef Task t
    cdef nd_tap_sums s
    cdef char *lanes
    t.slab = f.sums + plan.sums + worker * (plan.slab + plan.lanes)
    lanes = t.slab + plan.slab
    s.at, s.taps, s.x_row, s.dy_row, s.dy_channel = <ptrdiff_t *>job.workspace, plan.k, b.slab_columns, job.y.h, job.y.c
    for i in range(begin, end):
        o, t.g, part = split(p.ocg, plan.oparts, i % plan.oparts), i // plan.oparts % p.g, i // plan.oparts // p.g
        s.channels = split(p.ocg, plan.oparts, i % plan.oparts + 1) - o
        memset(lanes, 0, s.channels * s.taps * k.vl * size)
        for unit in range(split(plan.units, plan.parts, part), split(plan.units, plan.parts, part + 1)):
            t.ow = unit % b.strips * b.columns
            t.oh = split(p.oh, b.blocks, unit // b.strips % b.blocks)
            s.rows = split(p.oh, b.blocks, unit // b.strips % b.blocks + 1) - t.oh
            t.od, t.n = unit // b.strips // b.blocks % p.od, unit // b.strips // b.blocks // p.od
            s.n = min(b.columns, p.ow - t.ow)
            fill_slab(&f.forward, &t, 0, p.icg)
            k.tap_sums(&s, t.slab, job.y.data + size * (t.n * job.y.n + (t.g * p.ocg + o) * job.y.c + t.od * job.y.d
                                                        + t.oh * job.y.h + t.ow), lanes)
        k.add_lanes(f.sums + size * (((part * p.g + t.g) * p.ocg + o) * s.taps), lanes, s.channels * s.taps)

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """dW of some output channels."""
    cdef Grad *f = <Grad *>context
    cdef const nd_job *job = f.forward.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef const nd_weights *dw = &job.dw
    cdef ptrdiff_t i, j, part, row = k.size * f.plan.k, rows = p.kd * p.kh
    cdef char *sums
    cdef char *to
    for i in range(begin, end):
        sums = f.sums + i * row
        for part in range(1, f.plan.parts):
            k.add(sums, 1, sums + part * p.g * p.ocg * row, f.plan.k)
        to = dw.data + k.size * (i // p.ocg * dw.g + i % p.ocg * dw.o)
        for j in range(p.icg * rows):
            k.scatter(to + k.size * (j // rows * dw.c + j % rows // p.kh * dw.d + j % p.kh * dw.h), dw.w,
                      sums + k.size * j * p.kw, 1, p.kw)
