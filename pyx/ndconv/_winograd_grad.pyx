# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients by minimal filtering: the 3 taps of dw along an axis are the results of F(3, 4), whose 4 taps are a tile of
dy, so that the points are those of the forward pass:

    dw = A^T [ sum over tiles of (B^T x B) . (G dy G^T) ] A

    for blocks of tiles                                          (V and D of a block: 4 MiB and more)
        for rows of tiles: V = B^T x B, D = G dy G^T             [point][tile][channel]
        for point, taps of the depth, panel of oc: S[ic][oc] += sum over tiles of V[tile][ic] D[tile][oc]
    for ic, panel of oc: dw = A^T S A

Each step is dealt out to the threads; a sum runs over tiles and blocks in their order. Every tile is transformed once: at c
channels the products are c/8 multiply-adds a vector of V or D. What is not finite is summed by its definition.
"""
from ndconv._c cimport ND_ADD, ND_ZERO, nd_array, nd_job, nd_kernel_set, nd_problem, nd_walk
from ndconv._pack cimport ceil_div, split
from ndconv._runtime cimport parallel_for
from ndconv._winograd_plan cimport Block, Tiling, block_at, choose_tiling, odd_lines, set_sizes
from ndconv._winograd_tile cimport gathered_bytes, transform_rows

cdef enum:
    BLOCK_BYTES = 4194304    # of V and D of a block, or twice the sums: those are read and written once a block
    MOST_BYTES = 33554432
    CHANNELS = 16            # input channels of a task that writes dw

cdef struct WeightGrad:
    const nd_job *job
    Tiling t
    Block b
    ptrdiff_t s_row, s_point, s_tap      # elements of S between input channels, points and depths
    int start
    char *v
    char *d
    char *s
    char *workers

cdef WeightGrad layout(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef WeightGrad f
    cdef Tiling *t = &f.t
    cdef ptrdiff_t tiles, most
    t[0] = choose_tiling(p, k, True)
    f.s_row = t.panels * k.nr
    f.s_tap = odd_lines(p.icg * f.s_row, k)
    f.s_point = p.kd * f.s_tap
    most = min(max(2 * t.points * f.s_point * k.size, <ptrdiff_t>BLOCK_BYTES), <ptrdiff_t>MOST_BYTES)
    t.common, t.slice, t.depth = True, t.panels, p.od
    tiles = max(most // (t.points * p.od * (t.icp + f.s_row) * k.size), 1)
    t.parts = ceil_div(t.tw, tiles)
    t.rows = ceil_div(t.lines, ceil_div(t.lines, max(tiles // t.tw, 1)))
    set_sizes(t, p, k)
    t.v.taps = 4
    return f

cdef inline ptrdiff_t worker_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    return gathered_bytes(k, t) + CHANNELS * p.kh * p.kw * k.nr * k.size

cdef size_t winograd_weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef WeightGrad f = layout(p, k)
    return f.t.v_bytes + f.t.m_bytes + f.t.points * f.s_point * k.size + threads * worker_bytes(p, k, &f.t)

cdef void winograd_weight_grad(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef WeightGrad f = layout(p, job.k)
    cdef ptrdiff_t g, i, step = 2 * job.k.vl
    f.job = job
    f.v = job.workspace
    f.d = f.v + f.t.v_bytes
    f.s = f.d + f.t.m_bytes
    f.workers = f.s + f.t.points * f.s_point * job.k.size
    for g in range(p.g):
        for i in range(f.t.blocks):
            f.b = block_at(p, &f.t, g * f.t.blocks + i)
            f.start = ND_ZERO if i == 0 else ND_ADD
            parallel_for(f.b.rows * (ceil_div(p.icg, step) + ceil_div(p.ocg, step)), 1, job.threads, transform_body, &f)
            parallel_for(f.t.points * p.kd * f.t.panels, 1, job.threads, multiply_body, &f)
        parallel_for(p.kd * f.t.panels * ceil_div(p.icg, CHANNELS), 1, job.threads, store_body, &f)

cdef void transform_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Some channels of x or of dy along a row of tiles."""
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_problem *p = f.job.p
    cdef char *edge = f.workers + worker * worker_bytes(p, f.job.k, &f.t)
    cdef ptrdiff_t i, c, r, step = 2 * f.job.k.vl, inputs = ceil_div(p.icg, step), parts = inputs + ceil_div(p.ocg, step)
    for i in range(begin, end):
        r, c = i // parts, i % parts
        if c < inputs:
            transform_rows(f.job, &f.t, &f.b, False, r, r + 1, c * step, min((c + 1) * step, p.icg), f.v, edge)
        else:
            c -= inputs
            transform_rows(f.job, &f.t, &f.b, True, r, r + 1, c * step, min((c + 1) * step, p.ocg), f.d, edge)

cdef void multiply_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t size = k.size, i, j, panel, tap, point, row, cols, zero_off = 0, tiles = f.b.rows * f.b.columns
    cdef ptrdiff_t parts = ceil_div(p.icg, k.mr)
    cdef const char *v
    cdef const char *d
    cdef char *s
    cdef nd_walk walk
    walk.runs, walk.len, walk.a_off, walk.b_off = 1, f.b.depth * tiles, &zero_off, &zero_off
    walk.a_row, walk.a_k, walk.b_k = 1, t.icp, t.m_row
    for i in range(begin, end):
        panel, tap, point = i % t.panels, i // t.panels % p.kd, i // t.panels // p.kd
        cols = ceil_div(min(p.ocg - panel * k.nr, k.nr), k.vl) * k.vl
        v = f.v + size * (point * t.v_point + tap * p.dd * tiles * t.icp)
        d = f.d + size * (point * t.m_point + panel * k.nr)
        s = f.s + size * (point * f.s_point + tap * f.s_tap + panel * k.nr)
        for j in range(parts):
            row = split(p.icg, parts, j)
            k.gemm(&walk, split(p.icg, parts, j + 1) - row, cols, v + size * row, d, s + size * row * f.s_row, f.s_row, 1,
                   f.start, NULL)

cdef void store_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """dw of some input channels and a panel of output channels."""
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t size = k.size, i, c, c0, c1, panel, tap, cols, taps = p.kh * p.kw, j, parts = ceil_div(p.icg, CHANNELS)
    cdef char *results = f.workers + worker * worker_bytes(p, k, t) + gathered_bytes(k, t)
    cdef char *to
    cdef const char *s
    for i in range(begin, end):
        c0, panel, tap = i % parts * CHANNELS, i // parts % t.panels, i // parts // t.panels
        c1, cols = min(c0 + CHANNELS, p.icg), min(p.ocg - panel * k.nr, k.nr)
        for c in range(c0, c1):
            to = results + size * (c - c0) * taps * k.nr
            s = f.s + size * (tap * f.s_tap + c * f.s_row + panel * k.nr)
            if k.winograd_output(&t.v, to, p.kw * k.nr, k.nr, s, f.s_point, p.kh, p.kw, cols, NULL):
                sum_taps(f, tap, c, panel * k.nr, cols, to)
        to = f.job.dw.data + size * (f.b.g * f.job.dw.g + panel * k.nr * f.job.dw.o + c0 * f.job.dw.c + tap * f.job.dw.d)
        if f.job.dw.w == 1 and f.job.dw.h == p.kw and f.job.dw.c == taps:
            k.move(to, f.job.dw.o, results, cols, (c1 - c0) * taps, 1, k.nr)
        else:
            for j in range((c1 - c0) * taps):
                k.scatter(to + size * (j // taps * f.job.dw.c + j % taps // p.kw * f.job.dw.h + j % p.kw * f.job.dw.w),
                          f.job.dw.o, results + size * j * k.nr, 1, cols)

cdef void sum_taps(WeightGrad *f, ptrdiff_t depth, ptrdiff_t c, ptrdiff_t o, ptrdiff_t cols, char *to) noexcept nogil:
    """By their definition."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef nd_array x = f.job.x, dy = f.job.y
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t i, j
    x.data += k.size * (f.b.g * p.icg + c) * x.c
    dy.data += k.size * (f.b.g * p.ocg + o) * dy.c
    at[0] = depth
    for j in range(cols):
        for i in range(p.kh * p.kw):
            at[1], at[2] = i // p.kw, i % p.kw
            k.grad_point(p, &x, &dy, at, to + k.size * (i * k.nr + j))
        dy.data += k.size * dy.c
