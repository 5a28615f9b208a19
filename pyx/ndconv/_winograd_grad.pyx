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

S has four times as many elements as dw. Where the tiles are few (7 x 7 and 14 x 14 images), S of 64 ic and a panel goes to dw as
soon as its points are summed, out of L2, and S as a whole is never there.
"""
from ndconv._c cimport ND_ADD, ND_ZERO, nd_array, nd_job, nd_kernel_set, nd_problem, nd_walk, nd_weights
from ndconv._pack cimport ceil_div
from ndconv._runtime cimport parallel_for
from ndconv._winograd_plan cimport Block, Tiling, block_at, choose_tiling, odd_lines, set_sizes
from ndconv._winograd_rows cimport job_in_rows, problem_in_rows
from ndconv._winograd_tile cimport gathered_bytes, transform_rows

cdef enum:
    BLOCK_BYTES = 4194304    # of V and D of a block, or twice the sums: those are read and written once a block
    MOST_BYTES = 33554432
    CHANNELS = 16            # input channels of a task that writes dw
    CHUNK = 64               # input channels whose sums stay in L2
    FEW = 64                 # tiles: more of them are worth more than the passes over S
    WAY = 1024               # bytes of a row from which on rows fall on few cache sets

cdef struct WeightGrad:
    const nd_job *job
    Tiling t
    Block b
    bint few                             # S is a task's own
    ptrdiff_t s_row, s_point, s_tap      # elements of S between input channels, points and depths
    ptrdiff_t s_bytes
    int start
    char *v
    char *d
    char *s
    char *workers

cdef WeightGrad layout(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef WeightGrad f
    cdef Tiling *t = &f.t
    cdef ptrdiff_t tiles, most
    t[0] = choose_tiling(p, k, True, 1)
    t.icp = spread(t.icp, k)
    t.common, t.slice, t.depth = True, t.panels, p.od
    f.few = t.lines * t.tw * p.od <= FEW
    f.s_row = k.nr if f.few else t.panels * k.nr
    f.s_tap = odd_lines((min(p.icg, <ptrdiff_t>CHUNK) if f.few else p.icg) * f.s_row, k)
    f.s_point = f.s_tap if f.few else p.kd * f.s_tap
    f.s_bytes = t.points * f.s_point * k.size
    most = min(max(2 * f.s_bytes, <ptrdiff_t>BLOCK_BYTES), <ptrdiff_t>MOST_BYTES)
    tiles = t.lines * t.tw if f.few else max(most // (t.points * p.od * (t.icp + t.panels * k.nr) * k.size), 1)
    t.parts = ceil_div(t.tw, tiles)
    t.rows = ceil_div(t.lines, ceil_div(t.lines, max(tiles // t.tw, 1)))
    set_sizes(t, p, k)
    t.m_row = spread(t.m_row, k)
    t.m_point = odd_lines(t.depth * t.tiles * t.m_row, k)
    t.m_bytes = t.points * t.m_point * k.size
    t.v.taps = 4
    return f

cdef inline ptrdiff_t spread(ptrdiff_t row, const nd_kernel_set *k) noexcept nogil:
    """Elements between rows of so many, that columns of them stay in L1."""
    return odd_lines(row, k) if row * k.size >= WAY else row

cdef inline ptrdiff_t worker_bytes(const nd_problem *p, const nd_kernel_set *k, const WeightGrad *f) noexcept nogil:
    """Of gathered elements, of results, and of S if it is a task's own."""
    return gathered_bytes(k, &f.t) + CHANNELS * p.kh * p.kw * k.nr * k.size + (f.s_bytes if f.few else 0)

cdef size_t winograd_weight_grad_bytes(const nd_problem *given, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef nd_problem q = problem_in_rows(given)
    cdef const nd_problem *p = &q
    cdef WeightGrad f = layout(p, k)
    return f.t.v_bytes + f.t.m_bytes + (0 if f.few else f.s_bytes) + threads * worker_bytes(p, k, &f)

cdef void winograd_weight_grad(const nd_job *given) noexcept nogil:
    cdef nd_problem q = problem_in_rows(given.p)
    cdef nd_job rows = job_in_rows(given, &q)
    cdef const nd_problem *p = &q
    cdef const nd_job *job = &rows
    cdef WeightGrad f = layout(p, job.k)
    cdef ptrdiff_t g, i, step = 2 * job.k.vl
    f.job = job
    f.v = job.workspace
    f.d = f.v + f.t.v_bytes
    f.s = f.d + f.t.m_bytes
    f.workers = f.s + (0 if f.few else f.s_bytes)
    for g in range(p.g):
        for i in range(f.t.blocks):
            f.b = block_at(p, &f.t, g * f.t.blocks + i)
            f.start = ND_ZERO if i == 0 else ND_ADD
            parallel_for(f.b.rows * (ceil_div(p.icg, step) + ceil_div(p.ocg, step)), 1, job.threads, transform_body, &f)
            if not f.few:
                parallel_for(f.t.points * p.kd * f.t.panels, 1, job.threads, multiply_body, &f)
        if f.few:
            parallel_for(ceil_div(p.icg, CHUNK) * p.kd * f.t.panels, 1, job.threads, chunk_body, &f)
        else:
            parallel_for(p.kd * f.t.panels * ceil_div(p.icg, CHANNELS), 1, job.threads, store_body, &f)

cdef void transform_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Some channels of x or of dy along a row of tiles."""
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_problem *p = f.job.p
    cdef char *edge = f.workers + worker * worker_bytes(p, f.job.k, f)
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
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t i, panel, tap, point
    for i in range(begin, end):
        panel, tap, point = i % t.panels, i // t.panels % f.job.p.kd, i // t.panels // f.job.p.kd
        multiply(f, point, tap, panel, 0, f.job.p.icg, f.s + f.job.k.size * (tap * f.s_tap + panel * f.job.k.nr))

cdef void chunk_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Sums of some input channels and a panel of output channels at all points, and their dw."""
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_problem *p = f.job.p
    cdef char *results = f.workers + worker * worker_bytes(p, f.job.k, f) + gathered_bytes(f.job.k, &f.t)
    cdef char *s = results + CHANNELS * p.kh * p.kw * f.job.k.nr * f.job.k.size
    cdef ptrdiff_t i, c, c0, c1, panel, tap, point
    for i in range(begin, end):
        panel, tap, c0 = i % f.t.panels, i // f.t.panels % p.kd, i // f.t.panels // p.kd * CHUNK
        c1 = min(c0 + CHUNK, p.icg)
        for point in range(f.t.points):
            multiply(f, point, tap, panel, c0, c1, s)
        c = c0
        while c < c1:
            store(f, tap, panel, c, min(c + CHANNELS, c1), s + f.job.k.size * (c - c0) * f.s_row, results)
            c += CHANNELS

cdef void store_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef WeightGrad *f = <WeightGrad *>context
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t i, c, panel, tap, parts = ceil_div(p.icg, CHANNELS)
    for i in range(begin, end):
        c, panel, tap = i % parts * CHANNELS, i // parts % f.t.panels, i // parts // f.t.panels
        store(f, tap, panel, c, min(c + CHANNELS, p.icg),
              f.s + f.job.k.size * (tap * f.s_tap + c * f.s_row + panel * f.job.k.nr),
              f.workers + worker * worker_bytes(p, f.job.k, f) + gathered_bytes(f.job.k, &f.t))

cdef void multiply(WeightGrad *f, ptrdiff_t point, ptrdiff_t tap, ptrdiff_t panel, ptrdiff_t c0, ptrdiff_t c1,
                   char *s) noexcept nogil:
    """S (+)= sum over the block's tiles at one point; s is that of input channel c0 and the panel at the first point."""
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t size = k.size, zero_off = 0, tiles = f.b.rows * f.b.columns
    cdef ptrdiff_t vectors = ceil_div(min(f.job.p.ocg - panel * k.nr, k.nr), k.vl)
    cdef const char *v = f.v + size * (point * t.v_point + tap * f.job.p.dd * tiles * t.icp + c0)
    cdef const char *d = f.d + size * (point * t.m_point + panel * k.nr)
    cdef nd_walk walk
    walk.runs, walk.len, walk.a_off, walk.b_off = 1, f.b.depth * tiles, &zero_off, &zero_off
    walk.a_row, walk.a_k, walk.b_k = 1, t.icp, t.m_row
    k.winograd_multiply(&walk, c1 - c0, vectors, v, d, s + size * point * f.s_point, f.s_row, f.start, d)

cdef void store(WeightGrad *f, ptrdiff_t tap, ptrdiff_t panel, ptrdiff_t c0, ptrdiff_t c1, const char *s,
                char *results) noexcept nogil:
    """dw of input channels c0 to c1 and a panel of output channels; s is where their sums begin."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_weights *dw = &f.job.dw
    cdef ptrdiff_t size = k.size, c, j, cols = min(p.ocg - panel * k.nr, k.nr), taps = p.kh * p.kw
    cdef char *to
    for c in range(c0, c1):
        to = results + size * (c - c0) * taps * k.nr
        if k.winograd_output(&f.t.v, to, p.kw * k.nr, k.nr, s + size * (c - c0) * f.s_row, f.s_point, p.kh, p.kw, cols, NULL):
            sum_taps(f, tap, c, panel * k.nr, cols, to)
    to = dw.data + size * (f.b.g * dw.g + panel * k.nr * dw.o + c0 * dw.c + tap * dw.d)
    if dw.w == 1 and dw.h == p.kw and dw.c == taps:
        k.move(to, dw.o, results, cols, (c1 - c0) * taps, 1, k.nr)
        return
    for j in range((c1 - c0) * taps):
        k.scatter(to + size * (j // taps * dw.c + j % taps // p.kw * dw.h + j % p.kw * dw.w), dw.o, results + size * j * k.nr, 1,
                  cols)

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
