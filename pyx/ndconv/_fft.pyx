# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""fft: convolution as a product of spectra, tile by tile (overlap-save).

    y = inverse(transform(x) * conj(transform(w))): a correlation; the kernel's spectrum is prepared, conjugated and scaled

Tiles, their sizes and what the lanes of a vector hold are chosen in _fft_plan.pyx; transforms are in kernels/fft.h. With
several input channels the product at each frequency is a matrix product over channels (Zlateski et al., arXiv 1809.07851):

    for blocks of tiles                                                  (spectra of a block: 4 MiB)
        for tile, vector of input channels:   load, transform  -> V[g][frequency][tile][ic]
        for g, frequency:                     Y[tile][oc] = sum over ic of V[tile][ic] * U[ic][oc]
        for tile, vector of output channels:  inverse, store   <- Y[g][frequency][tile][oc]

Lanes that hold tiles swap the roles: V[g][frequency][ic][tile], U[oc][ic], Y[oc][tile]. With one input channel a group the
product is one number a frequency, and a task takes a tile all the way: load, transform, multiply, inverse, store. Where even one
tile would be large, the kernel is cut into parts (_fft_parts.pyx).

A dilation d is none on every d-th element: one of d such sets of inputs and outputs an axis is a tile of its own. A stride s
keeps every s-th result of a tile, or, where that is cheaper, the s sets of inputs are channels of a convolution without one:
their spectra meet in the product, and nothing is transformed back that is not kept. A tile that holds anything not finite is
computed again by its definition, so that a NaN reaches its own windows only. Lanes never meet: an image's results do not depend
on what else is in the batch, and none on threads.
"""
from ndconv._c cimport nd_job, nd_kernel_set, nd_method, nd_problem, nd_product, nd_sizes
from ndconv._fft_finish cimport finish
from ndconv._fft_grad cimport fft_weight_grad, fft_weight_grad_bytes
from ndconv._fft_parts cimport convolve_parts, parts_bytes, parts_worker_bytes
from ndconv._fft_plan cimport (CHANNELS, FILTER_GROUPS, FILTER_PARTS, FORWARD, WEIGHT_GRAD, Tiling, choose_tiling)
from ndconv._fft_prepare cimport Prepared, open_prepared, prepare, prepared_bytes
from ndconv._fft_tile cimport Window, aim_input, aim_output, load_tile, transform
from ndconv._method cimport Method, new_method
from ndconv._pack cimport ceil_div, split, taps_of, whole_lines
from ndconv._geometry cimport forward_geometry, stage_geometry
from ndconv._runtime cimport parallel_for

import math

from ndconv.stages import alike

cdef enum:
    STEPS = 128      # channels of a product's part: 16 KiB of the vector operand, and short sums err less

# ---------------------------------------------------------------------------------------- forward

cdef struct Forward:
    const nd_job *job
    Prepared w
    ptrdiff_t v_freq, y_freq      # points from frequency to frequency of V and Y
    ptrdiff_t first, count        # units of this block
    char *v
    char *y
    char *z                       # tiles of the workers

cdef void set_forward(const nd_problem *p, const Tiling *t, Forward *f) noexcept nogil:
    # an odd number of points, so that frequencies do not all fall on the same cache sets
    f.v_freq, f.y_freq = t.block * t.icv | 1, t.block * t.ocv | 1

cdef ptrdiff_t block_bytes(const nd_problem *p, const Tiling *t, ptrdiff_t freq) noexcept nogil:
    return whole_lines(p.g * t.freqs * freq * t.point)

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef Tiling t = choose_tiling(p, k, FORWARD)
    cdef Forward f
    to.prepared, to.prepare_worker = prepared_bytes(p, k, &t), t.z + whole_lines(t.spectrum)
    to.shared, to.worker = 0, t.z
    if t.lanes == FILTER_PARTS:
        to.shared, to.worker = parts_bytes(p, &t), parts_worker_bytes(k, &t)
    elif t.lanes >= FILTER_GROUPS:
        to.worker = filter_worker_bytes(p, &t)
    else:
        set_forward(p, &t, &f)
        to.shared = block_bytes(p, &t, f.v_freq) + block_bytes(p, &t, f.y_freq)

cdef void forward(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef const Tiling *t
    cdef Forward f
    cdef ptrdiff_t chunk
    f.job = job
    open_prepared(p, job.k, <const char *>job.w, &f.w)
    t = f.w.t
    if t.lanes == FILTER_PARTS:
        convolve_parts(job, &f.w)
        return
    if t.lanes >= FILTER_GROUPS:
        f.z = job.workspace
        parallel_for(t.units * (ceil_div(p.g, job.k.vl) if t.lanes == FILTER_GROUPS else p.g), 1, job.threads, filter_body, &f)
        return
    set_forward(p, t, &f)
    f.v = job.workspace
    f.y = f.v + block_bytes(p, t, f.v_freq)
    f.z = f.y + block_bytes(p, t, f.y_freq)
    f.first = 0
    chunk = ceil_div(65536, t.z)
    while f.first < t.units:
        f.count = min(t.block, t.units - f.first)
        parallel_for(f.count * p.g * t.icv, chunk, job.threads, transform_body, &f)
        parallel_for(p.g * t.freqs, ceil_div(4096, f.count * t.icv * p.ocg), job.threads, multiply_body, &f)
        parallel_for(f.count * p.g * t.ocv, chunk, job.threads, inverse_body, &f)
        f.first += f.count

cdef void transform_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *z = f.z + worker * t.z
    cdef ptrdiff_t i, unit, g, v, c
    cdef Window w
    for i in range(begin, end):
        v, g, unit = i % t.icv, i // t.icv % p.g, i // t.icv // p.g
        c = v * k.vl if t.lanes == CHANNELS else v
        aim_input(&w, p, k, t, &f.job.x, f.first + unit, g, c)
        load_tile(&w, k, t, z)
        transform(k, t, &f.w.tables, z, False)
        k.fft_split(f.v + t.point * (g * t.freqs * f.v_freq + (unit * t.icv + v if t.lanes == CHANNELS else v * t.block + unit)),
                    f.v_freq * 2 * k.vl, z, f.w.tables.pairs, f.w.tables.turns, t.pairs, 1, 1)

cdef void multiply_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Y = sum over ic of V * U at frequencies i."""
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef ptrdiff_t i, first, m, tiles, columns, point = 2 * k.vl, rows = k.mr // 2, most = k.nr // k.vl
    cdef const char *a
    cdef const char *b
    cdef char *c
    cdef nd_product s
    if t.lanes == CHANNELS:
        s.run, s.a_run, s.a_k, s.a_im, s.a_row = k.vl, point, 1, k.vl, t.icv * point
        s.b_k = s.c_row = t.ocv * point
        m, columns = f.count, t.ocv
    else:
        s.run, s.a_run, s.a_k, s.a_im, s.a_row = STEPS, 0, 2, 1, 2 * t.ic
        s.b_k = s.c_row = t.block * point
        m, columns = p.ocg, f.count
    tiles = ceil_div(m, rows)
    for i in range(begin, end):
        c = f.y + i * f.y_freq * t.point
        if t.lanes == CHANNELS:
            a, b = f.v + i * f.v_freq * t.point, f.w.spectra + i * t.ic * t.ocv * t.point
        else:
            a, b = f.w.spectra + i * p.ocg * t.ic * 2 * k.size, f.v + i * f.v_freq * t.point
        first = 0
        while first < t.ic:
            s.k, s.add = min(t.ic - first, <ptrdiff_t>STEPS), first > 0
            multiply_tiles(k, &s, m, tiles, columns, most, t.point, a, b, c)
            a += k.size * STEPS * (2 if t.lanes == CHANNELS else s.a_k)
            b += k.size * STEPS * s.b_k
            first += STEPS

cdef inline void multiply_tiles(const nd_kernel_set *k, const nd_product *s, ptrdiff_t m, ptrdiff_t tiles, ptrdiff_t columns,
                                ptrdiff_t most, ptrdiff_t point, const char *a, const char *b, char *c) noexcept nogil:
    """All register tiles of m rows and so many vectors. The panel of B, STEPS rows of a tile's vectors, stays in L1."""
    cdef ptrdiff_t v = 0, j, row
    while v < columns:
        for j in range(tiles):
            row = split(m, tiles, j)
            k.fft_multiply(s, split(m, tiles, j + 1) - row, min(most, columns - v), a + k.size * row * s.a_row, b + v * point,
                           c + k.size * row * s.c_row + v * point)
        v += most

cdef void inverse_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *z = f.z + worker * t.z
    cdef ptrdiff_t i, unit, g, v, o, at
    cdef Window w
    for i in range(begin, end):
        v, g, unit = i % t.ocv, i // t.ocv % p.g, i // t.ocv // p.g
        at, o = (unit * t.ocv + v, v * k.vl) if t.lanes == CHANNELS else (v * t.block + unit, v)
        k.fft_join(z, f.y + t.point * (g * t.freqs * f.y_freq + at), f.y_freq * 2 * k.vl, f.w.tables.pairs, f.w.tables.turns,
                   t.pairs)
        aim_output(&w, p, k, t, &f.job.y, f.first + unit, g * p.ocg + o, 1, p.ocg - o)
        finish(f.job, &f.w, &w, z, g, o)

cdef ptrdiff_t filter_worker_bytes(const nd_problem *p, const Tiling *t) noexcept nogil:
    return t.z if p.ocg == 1 else 2 * t.z

cdef void filter_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """One input channel a group: whole tiles, from x to y."""
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *z = f.z + worker * filter_worker_bytes(p, t)
    cdef char *to = z if p.ocg == 1 else z + t.z
    cdef bint groups = t.lanes == FILTER_GROUPS
    cdef ptrdiff_t i, unit, part, g, o, kernel = t.spectrum if groups else t.freqs * 2 * k.size
    cdef Window w
    for i in range(begin, end):
        unit, part = i % t.units, i // t.units
        g = part * k.vl if groups else part
        aim_input(&w, p, k, t, &f.job.x, unit, g, 0)
        load_tile(&w, k, t, z)
        transform(k, t, &f.w.tables, z, False)
        for o in range(p.ocg):
            k.fft_filter(to, z, f.w.spectra + (part * p.ocg + o) * kernel, groups, f.w.tables.pairs, f.w.tables.turns, t.pairs)
            aim_output(&w, p, k, t, &f.job.y, unit, g * p.ocg + o, p.ocg, p.g - g)
            finish(f.job, &f.w, &w, to, g, o)

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.weight_grad_bytes = fft_weight_grad_bytes
table.weight_grad = fft_weight_grad

cdef bint holds_channels(problem):
    """Whether vectors hold channels, and not tiles or groups."""
    cdef ptrdiff_t summed = (problem.oc if problem.reversed else problem.ic) // problem.g
    return summed > 1 or problem.op == "weight_grad" and problem.results > 1

METHOD = new_method("fft", "products of spectra, tile by tile", False,
                    "relative L2 error <= 5e-7 (float32), 1e-15 log2(tile) (float64)", lambda problem: None, &table,
                    (), lambda problem: problem.results if holds_channels(problem) else 0)


def estimate(problem, prepared):
    """Cycles that one thread is expected to take, the estimates that tiles are chosen by: (of transforms, of products, of spectra
    on their way, of the kernels' spectra unless they are prepared once for many calls). All phases of a stride are taken for the
    one with the most taps: transforms of the same pixels cost nearly the same."""
    cdef nd_problem p = forward_geometry(problem)
    cdef const nd_kernel_set *k = (<Method>METHOD).kernels(problem)
    cdef Tiling t
    if problem.op == "weight_grad":
        t = choose_tiling(&p, k, WEIGHT_GRAD)
        return t.transforms, t.products, t.traffic, 0
    stages = alike(problem)
    if not stages or 0 in (problem.ic, problem.oc, *problem.y):
        return 0, 0, 0, 0
    p = stage_geometry(problem, max(stages, key=lambda entry: math.prod(entry[0].k))[0])
    t = choose_tiling(&p, k, FORWARD)
    times = sum(times for _, times in stages)
    return times * p.n * t.transforms, times * p.n * t.products, times * p.n * t.traffic, 0 if prepared else times * t.prepare
