# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Transposed convolutions with strides and very few channels a group, in memory that keeps pixels together.

Each remainder of the strides, a phase, is a forward problem with a part of the taps whose results are a stride apart
(src/ndconv/stages.py). Phase after phase over the whole array, each line of y would come from memory and go back for every phase;
here

    for some planes         (tasks)
        for phases: the blocks of these planes    (_depthwise_forward.pyx)

so that y is in L2 until it is complete. Small planes are turned to lanes of channels (_depthwise_planes.pyx), where neighbours of
a phase are as good as others, instead of stored pixel by pixel. Bytes moved: x once, y once.
"""
from libc.string cimport memset

from ndconv._arrays cimport every
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights
from ndconv._depthwise_block cimport Run
from ndconv._depthwise_forward cimport forward_body, forward_run, prepare, prepare_vectors, sizes, vectors_bytes
from ndconv._depthwise_planes cimport (Cut, Turn, convolve_turned, cut_of, first_channel, load_planes, store_planes,
                                       turns_planes)
from ndconv._pack cimport bias_at, ceil_div, taps_of, whole_lines
from ndconv._phase_axis cimport Axis, Phase, axis_of, phase_of
from ndconv._runtime cimport parallel_for

cdef enum:
    PLANES_BYTES = 262144    # of y in a task, in L2
    TASKS = 16

# A phase of all axes as a forward problem, and its weights and results within those of the whole.
cdef struct Part:
    nd_problem p
    Phase d, h, w
    ptrdiff_t d_step, h_step, w_step     # of taps

cdef ptrdiff_t part_count(const nd_problem *p) noexcept nogil:
    return min(p.sd, p.od) * min(p.sh, p.oh) * min(p.sw, p.ow)

cdef Part part_at(const nd_problem *p, ptrdiff_t i) noexcept nogil:
    cdef Part f
    cdef ptrdiff_t columns = min(p.sw, p.ow), rows = min(p.sh, p.oh)
    cdef Axis d = axis_of(p.sd, p.dd, p.pd, p.kd, p.id, p.od), h = axis_of(p.sh, p.dh, p.ph, p.kh, p.ih, p.oh)
    cdef Axis w = axis_of(p.sw, p.dw, p.pw, p.kw, p.iw, p.ow)
    f.p = p[0]
    f.d, f.h, f.w = phase_of(&d, i // columns // rows), phase_of(&h, i // columns % rows), phase_of(&w, i % columns)
    f.d_step, f.h_step, f.w_step = d.step, h.step, w.step
    f.p.od, f.p.oh, f.p.ow = f.d.positions, f.h.positions, f.w.positions
    f.p.kd, f.p.kh, f.p.kw = f.d.count, f.h.count, f.w.count
    f.p.sd = f.p.sh = f.p.sw = 1
    f.p.dd, f.p.dh, f.p.dw = d.reach, h.reach, w.reach
    # the last tap comes first, since x is read forwards
    f.p.pd, f.p.ph, f.p.pw = before(&d, &f.d), before(&h, &f.h), before(&w, &f.w)
    return f

cdef inline ptrdiff_t before(const Axis *a, const Phase *f) noexcept nogil:
    return (f.count - 1) * a.reach - f.offset

cdef inline ptrdiff_t last(const Phase *f, ptrdiff_t step) noexcept nogil:
    return f.first + (f.count - 1) * step

cdef Cut turned_cut(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return cut_of(p, k, p.ih * p.iw + p.oh * p.ow)

cdef bint turns_phases(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether planes can be turned; then they are."""
    cdef ptrdiff_t i
    cdef Part part
    if (p.lanes_oc or p.icg != 1 or p.ocg != 1 or p.g < k.vl or p.bordered or p.id != 1 or p.od != 1 or p.kd != 1 or p.pd != 0
            or p.sd != 1 or not turned_cut(p, k).fits):
        return False
    for i in range(part_count(p)):
        part = part_at(p, i)
        if part.p.kh * part.p.kw == 0:
            return False
    return True

cdef void phases_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    """Those of other problems prepare 0 bytes: few planes, phases without taps or better by lanes of channels."""
    cdef nd_sizes size
    cdef Part part
    cdef ptrdiff_t i
    memset(to, 0, sizeof(nd_sizes))
    if turns_phases(p, k):
        to.worker = turned_cut(p, k).bytes
        for i in range(part_count(p)):
            part = part_at(p, i)
            to.prepared += part_bytes(&part, k, True)
        return
    if p.lanes_oc or p.n * p.g < TASKS or p.oh * p.ow * k.size > PLANES_BYTES or p.bordered:
        return
    for i in range(part_count(p)):
        part = part_at(p, i)
        if part.p.kd * part.p.kh * part.p.kw == 0 or turns_planes(&part.p, k):
            memset(to, 0, sizeof(nd_sizes))
            return
        to.prepared += part_bytes(&part, k, False)
        sizes(&part.p, k, &size)
        to.worker = max(to.worker, whole_lines(size.worker))

cdef size_t part_bytes(const Part *part, const nd_kernel_set *k, bint turned) noexcept nogil:
    """Of its weights."""
    cdef nd_sizes size
    if turned:
        return whole_lines(vectors_bytes(&part.p, k) + 64)
    sizes(&part.p, k, &size)
    return whole_lines(size.prepared)

cdef void phases_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to_, char *workspace,
                         int threads) noexcept nogil:
    cdef char *to = <char *>to_
    cdef bint turned = turns_phases(p, k)
    cdef nd_weights taps
    cdef Part part
    cdef ptrdiff_t i
    for i in range(part_count(p)):
        part = part_at(p, i)
        taps = w[0]
        taps.data += k.size * (last(&part.d, part.d_step) * w.d + last(&part.h, part.h_step) * w.h
                               + last(&part.w, part.w_step) * w.w)
        taps.d, taps.h, taps.w = -part.d_step * w.d, -part.h_step * w.h, -part.w_step * w.w
        if turned:
            prepare_vectors(&part.p, k, &taps, to)
        else:
            prepare(&part.p, k, &taps, to, workspace, threads)
        to += part_bytes(&part, k, turned)

cdef struct Phases:
    const nd_job *job
    size_t worker            # bytes of one
    ptrdiff_t planes         # of a task

cdef void phases_forward(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef nd_sizes size
    cdef Phases f
    cdef Turn turn
    if turns_phases(p, job.k):
        turn.job, turn.finite, turn.cut = job, True, turned_cut(p, job.k)    # there is no padding, only taps that meet no cell
        parallel_for(p.n * turn.cut.groups, 1, job.threads, turned_body, &turn)
        return
    phases_sizes(p, job.k, &size)
    f.job, f.worker = job, size.worker
    f.planes = max(min(PLANES_BYTES // (p.od * p.oh * p.ow * job.k.size), p.n * p.g // TASKS), 1)
    parallel_for(ceil_div(p.n * p.g, f.planes), 1, job.threads, phases_body, &f)

cdef void phases_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Phases *f = <const Phases *>context
    cdef const nd_problem *p = f.job.p
    cdef nd_job job = f.job[0]
    cdef ptrdiff_t i, j
    cdef ptrdiff_t[3] first, step
    cdef Part part
    cdef Run run
    job.p, job.workspace = &part.p, f.job.workspace + worker * f.worker
    step[0], step[1], step[2] = p.sd, p.sh, p.sw
    for i in range(begin, end):
        job.w = f.job.w
        for j in range(part_count(p)):
            part = part_at(p, j)
            first[0], first[1], first[2] = part.d.r, part.h.r, part.w.r
            job.y, job.residual = every(&f.job.y, first, step, job.k.size), every(&f.job.residual, first, step, job.k.size)
            run = forward_run(&job)
            forward_body(&run, 0, i * f.planes * run.b.units, min((i + 1) * f.planes, p.n * p.g) * run.b.units)
            job.w = <const char *>job.w + part_bytes(&part, job.k, False)

cdef void turned_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Turn *f = <const Turn *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef ptrdiff_t size = k.size, i, j, first, channels
    cdef char *x = job.workspace + worker * f.cut.bytes
    cdef char *y
    cdef const char *w
    cdef Part part
    for i in range(begin, end):
        first = first_channel(p, k, &f.cut, i % f.cut.groups)
        channels = first_channel(p, k, &f.cut, i % f.cut.groups + 1) - first
        y, w = x + size * p.ih * p.iw * channels, <const char *>job.w
        load_planes(f, i // f.cut.groups, first, channels, x)
        for j in range(part_count(p)):
            part = part_at(p, j)
            convolve_turned(&part.p, k, True, channels, x, w + size * first * taps_of(&part.p), bias_at(job, first),
                            y + size * (part.h.r * p.ow + part.w.r) * channels, p.sw * channels, p.sh * p.ow * channels)
            w += part_bytes(&part, k, True)
        store_planes(f, i // f.cut.groups, first, channels, y)
