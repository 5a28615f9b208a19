# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients of the depthwise method: for each tap a vector of sums of dy times x, one pass over both.

    for a part of the blocks of all images, group or block of channels     (tasks)
        x read in place, in NHWC memory for the rectangles of each block whose border is padded in a slab
            for each output channel: kernel over rows and taps    (kernels/depthwise_grad.h), a vector of sums a tap
        the lanes of each vector added up: the part's sums
    add the parts in their order, and write dW wherever its strides say

The number of parts depends on the problem alone, so bits do not depend on threads: groups are dealt out, and where they are
few each has several parts. Bytes moved: x and dy once for every 9 taps or so; they stay in L1 between the passes.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_problem, nd_weights
from ndconv._depthwise_block cimport Block, Blocking, Run, blocking, set_block, set_worker, start_run, walk_block
from ndconv._pack cimport ceil_div, split, taps_of
from ndconv._runtime cimport parallel_for

cdef enum:
    TASKS = 12

# Layout of the parts' sums: [part][oc][c][taps], with lanes of channels [part][taps][oc].

cdef ptrdiff_t parts_of(const nd_problem *p, const Blocking *b) noexcept nogil:
    return min(ceil_div(TASKS, b.groups), p.n * b.units)

cdef ptrdiff_t weights_of(const nd_problem *p) noexcept nogil:
    return p.g * p.ocg * p.icg * taps_of(p)

cdef ptrdiff_t lane_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Of a group's vectors of sums."""
    return ceil_div(p.ocg * p.icg * taps_of(p) * k.vl * k.size, 64) * 64

cdef size_t weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef Blocking b = blocking(p, k)
    return ceil_div(parts_of(p, &b) * weights_of(p) * k.size, 64) * 64 + threads * (b.slab + b.out + b.offsets + lane_bytes(p, k))

cdef struct Grad:
    Run run                # first, so that a Run's address is its Grad's
    ptrdiff_t parts

cdef struct Sums:
    Block block            # likewise
    char *lanes            # vectors of sums of the group's output channels, over all blocks of the part
    char *part             # the part's sums

cdef void weight_grad(const nd_job *job) noexcept nogil:
    cdef Grad f
    f.run = start_run(job)
    f.run.rectangle = add_rectangle
    f.parts = parts_of(job.p, &f.run.b)
    parallel_for(f.parts * f.run.b.groups, 1, job.threads, sum_body, &f)
    parallel_for(f.run.b.groups, ceil_div(4096, f.parts * weights_of(job.p) // f.run.b.groups + 1), job.threads, collect_body, &f)

cdef void sum_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Grad *f = <const Grad *>context
    cdef const nd_job *job = f.run.job
    cdef const nd_problem *p = job.p
    cdef const Blocking *b = &f.run.b
    cdef ptrdiff_t size = job.k.size, sums = weights_of(p) * size, shared = ceil_div(f.parts * sums, 64) * 64, i, j, tap
    cdef Sums t
    t.lanes = job.workspace + shared + worker * (b.slab + b.out + b.offsets + lane_bytes(p, job.k))
    set_worker(&f.run, &t.block, t.lanes + lane_bytes(p, job.k))
    for i in range(begin, end):
        t.part = job.workspace + i // b.groups * sums
        set_block(&f.run, &t.block, 0, i % b.groups, 0)
        if b.lanes_c:
            for tap in range(taps_of(p)):
                memset(t.part + size * (tap * p.g * p.ocg + t.block.oc), 0, size * t.block.channels)
        else:
            memset(t.lanes, 0, lane_bytes(p, job.k))
        for j in range(split(p.n * b.units, f.parts, i // b.groups), split(p.n * b.units, f.parts, i // b.groups + 1)):
            set_block(&f.run, &t.block, j // b.units, i % b.groups, j % b.units)
            if t.block.r0 < t.block.r1:
                walk_block(&f.run, &t.block)
        if not b.lanes_c:
            add_lanes(job, &t, i % b.groups)

cdef void add_lanes(const nd_job *job, const Sums *t, ptrdiff_t group) noexcept nogil:
    """The part's sums of a group: what the lanes of each vector add up to."""
    cdef const nd_kernel_set *k = job.k
    cdef ptrdiff_t weights = job.p.ocg * job.p.icg * taps_of(job.p), i
    cdef double value
    for i in range(weights):
        value = k.sum(t.lanes + k.size * i * k.vl, k.vl, 1)
        if k.size == 4:
            (<float *>t.part)[group * weights + i] = <float>value
        else:
            (<double *>t.part)[group * weights + i] = value

cdef void add_rectangle(const Run *f, Block *t, const char *x) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *dy = &f.job.y
    cdef const Sums *sums = <const Sums *>t
    cdef ptrdiff_t size = k.size, row = f.b.every * dy.h, i
    cdef char *lanes = sums.lanes
    cdef const char *src = dy.data + size * (t.n * dy.n + t.oc * dy.c + t.od * dy.d + (t.phase + t.top * f.b.every) * dy.h
                                             + t.left * dy.w)
    if f.b.lanes_c:
        t.s.y_row, t.s.y_pixel = row, dy.w
        if dy.c != 1:
            t.s.y_row, t.s.y_pixel = t.s.n * t.channels, t.channels
            for i in range(t.s.rows):
                k.move(t.out + size * i * t.s.y_row, t.channels, src + size * i * row, t.s.n, t.channels, dy.w, dy.c)
        k.depthwise_grad_pixels(&t.s, x, src if dy.c == 1 else t.out, sums.part + size * t.oc)
        return
    for i in range(t.channels):
        t.s.y_row = row
        if dy.w != 1:
            t.s.y_row = t.s.n
            k.move(t.out, t.s.n, src, t.s.rows, t.s.n, row, dy.w)
        k.depthwise_grad_rows(&t.s, x, src if dy.w == 1 else t.out, lanes)
        lanes += p.icg * taps_of(p) * k.vl * size
        src += size * dy.c

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Adds the parts of groups in their order, and writes them to where the caller wants them."""
    cdef const Grad *f = <const Grad *>context
    cdef const nd_job *job = f.run.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef nd_weights dw = job.dw
    cdef ptrdiff_t size = k.size, oc = p.g * p.ocg, taps = taps_of(p), i, j, part, at, count
    cdef bint lanes_c = f.run.b.lanes_c
    cdef char *to
    cdef Block t
    for i in range(begin, end):
        set_block(&f.run, &t, 0, i, 0)
        # rows of kw taps, or a tap of all channels
        count = t.channels if lanes_c else p.kw
        for j in range(taps if lanes_c else p.ocg * p.icg * p.kd * p.kh):
            at = j * oc + t.oc if lanes_c else t.oc * p.icg * taps + j * p.kw
            for part in range(1, f.parts):
                k.add(job.workspace + size * at, 1, job.workspace + size * (part * weights_of(p) + at), count)
            if lanes_c:
                to = dw.data + size * (t.oc * dw.o + j // (p.kh * p.kw) * dw.d + j // p.kw % p.kh * dw.h + j % p.kw * dw.w)
            else:
                to = dw.data + size * ((t.oc + j // (p.icg * p.kd * p.kh)) * dw.o + j // (p.kd * p.kh) % p.icg * dw.c
                                       + j // p.kh % p.kd * dw.d + j % p.kh * dw.h)
            k.scatter(to, dw.o if lanes_c else dw.w, job.workspace + size * at, 1, count)
