# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""winograd: minimal filtering F(4, 3) along each axis of three taps (kernels/winograd.h), fused.

    y = A^T [ sum over ic of (G w G^T) . (B^T x B) ] A

    for blocks of tiles                                      (24 to 48 tiles; V and M of a worker: about L2)
        V = B^T x B for the tiles and all ic                 [point][tile][ic]
        for slices of 64 oc
            for 36 points, panels of oc:
                M[tile][oc] = sum over ic of V[tile][ic] U[ic][oc]     (register tiles; U streams from L3)
            y = A^T M A + bias for the tiles and the slice

A kernel of one tap along an axis leaves that axis alone: 6 points, which is also the form of 1-D convolutions. Taps along the
depth are summed in the product: V holds the input planes that a block's output planes see. A dilated problem is dh*dw problems
on every dh-th row and dw-th column, each with tiles of its own; of one dimension it is an image, if it can be
(_winograd_rows.pyx). Where there are too few tiles for blocks that use a weight often enough (14 x 14 and 7 x 7 images), all
tiles are one block, whose three steps are dealt out to the threads one after the other, so that each thread reads its share of
the weights once.

Lanes hold channels in V, M and U for any memory order of x and y: channels that are not next to each other are turned on the
way (_winograd_tile.pyx), half a cycle an element. Sums are taken over 256 channels at a time: a panel of U stays in L1, and
short sums err less. A tile whose result is not finite is computed again by its definition.

A call with weights that nobody prepared would write their points, four times as many elements, and read them once. Where tiles
are few, so that this is most of the time, a slice of output channels takes its weights as they are: the points of 64 of their
input channels stay in L2 for the products. Sums are in the order of the prepared form.

Multiplications are a quarter of a direct sum's (2.25 times fewer for F(2, 3) on images that tiles of 4 do not fill, 5 times for
F(6, 3) in float64). Products
alone reach 93 % of the FMA peak at 256 channels. Reached as a whole by two AVX2 cores of 91.8 GFLOP/s each, of the peak,
products counted: 50 to 63 % at 64 and 128 channels on large images, where x and y come from memory, 74 % at 256 channels and 56
x 56, 79 % at 512 and 28 x 28, 75 % on 14 x 14 images, 43 % on 7 x 7, whose 38 MB of weights come from the last level of the
cache. Weights that are not prepared cost 150 cycles for 8 kernels, and as many as 40 to be gathered.

Strides of 2 (3x3, 4x4 and 5x5 kernels): x is four cells, its even and odd rows and columns, which see the kernel's even and odd
taps at stride 1. All are summed at the points, like the depths of a 3-D kernel, on the tiles of F(4, 3) or F(4, 2); a cell
with one tap less leaves out the point at infinity. Multiplications: 81, 100 and 121 a tile for 144, 256 and 400. A
transposed problem with such strides is the other way round: one x, whose tiles serve four cells of y, each with every second
tap, at as many multiplications (problem_of_cells in _winograd_plan.pyx). M has a panel for each cell.

Lavin and Gray 2016; fused blocks: Jia, Zlateski, Durand and Li, PPoPP 2018.
"""
from libc.string cimport memset

from ndconv._c cimport (ND_ADD, ND_CONTINUE, ND_ZERO, nd_job, nd_kernel_set, nd_method, nd_problem, nd_sizes, nd_walk,
                        nd_weights)
from ndconv._method cimport new_method
from ndconv._pack cimport ceil_div, split, taps_of, whole_lines
from ndconv._runtime cimport parallel_for
from ndconv._winograd_grad cimport winograd_weight_grad, winograd_weight_grad_bytes
from ndconv._winograd_plan cimport (DEPTHS, FRESH, RUNS, Block, Tiling, block_at, choose_tiling, problem_of_cells,
                                    take_fresh_weights)
from ndconv._winograd_rows cimport job_in_rows, problem_in_rows, weights_in_rows
from ndconv._winograd_store cimport Forward, out_bytes, store_rows
from ndconv._winograd_tile cimport gathered_bytes, transform_rows
from ndconv._winograd_weights cimport WEIGHTS, cell_bytes, gather, plain_weights, prepare_weights, transform_weights

# ---------------------------------------------------------------------------------------- forward

# Weights of panels v0 to v1 and input channels c0 to c1: where their first point is, elements between points, channels between
# the depths of a panel; elements from there to the weights that are read next; what the sums start from.
cdef struct Part:
    ptrdiff_t v0, v1, c0, c1
    const char *u
    ptrdiff_t point, rows, next
    int start

cdef inline ptrdiff_t edge_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of gathered input, of gathered weights, or of results and one kernel."""
    cdef ptrdiff_t weights = whole_lines(WEIGHTS * p.kh * p.kw * k.nr * k.size) + cell_bytes(k, t) if t.fresh else 0
    return max(max(gathered_bytes(k, t), weights), out_bytes(k, t) + whole_lines(p.icg * taps_of(p) * k.size))

cdef inline ptrdiff_t worker_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of edges; V and M unless they are shared; M, sums for it and weights if those are fresh."""
    if t.fresh:
        return edge_bytes(p, k, t) + 2 * t.m_bytes + t.points * t.u_point * k.size
    return edge_bytes(p, k, t) + (0 if t.common else t.v_bytes + t.m_bytes)

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef nd_problem q = problem_in_rows(p)
    set_bytes(&q, &q, k, choose_tiling(&q, k, False, 1), to)

cdef void transpose_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef nd_problem q = problem_of_cells(p)
    set_bytes(p, &q, k, choose_tiling(&q, k, False, 4), to)

cdef void set_bytes(const nd_problem *whole, const nd_problem *p, const nd_kernel_set *k, Tiling t, nd_sizes *to) noexcept nogil:
    to.prepared, to.prepare_worker = k.size * plain_weights(whole, k, &t, p.g, 0, 0, 0), cell_bytes(k, &t)
    to.shared = t.v_bytes + t.m_bytes if t.common else 0
    to.worker, to.fresh = worker_bytes(whole, k, &t), 0
    take_fresh_weights(&t, p, k)
    if t.fresh:
        to.fresh = worker_bytes(whole, k, &t)

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef nd_problem q = problem_in_rows(p)
    cdef nd_weights v = weights_in_rows(w, p)
    cdef Tiling t = choose_tiling(&q, k, False, 1)
    prepare_weights(&q, k, &t, &v, to, workspace, threads)

cdef void transpose_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                            int threads) noexcept nogil:
    cdef nd_problem q = problem_of_cells(p)
    cdef Tiling t = choose_tiling(&q, k, False, 4)
    prepare_weights(p, k, &t, w, to, workspace, threads)

cdef void forward(const nd_job *given) noexcept nogil:
    cdef nd_problem q = problem_in_rows(given.p)
    cdef nd_job job = job_in_rows(given, &q)
    cdef Forward f
    f.job, f.whole, f.t = &job, &job, choose_tiling(&q, job.k, False, 1)
    run(&f)

cdef void transpose(const nd_job *given) noexcept nogil:
    cdef nd_problem q = problem_of_cells(given.p)
    cdef nd_job job = given[0]
    cdef Forward f
    job.p = &q
    f.job, f.whole, f.t = &job, given, choose_tiling(&q, job.k, False, 4)
    run(&f)

cdef void run(Forward *f) noexcept nogil:
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t i
    f.workers = job.workspace
    if not f.t.common:
        parallel_for(f.t.blocks * p.g, 1, job.threads, block_body, f)
        return
    if job.w == NULL:
        take_fresh_weights(&f.t, p, job.k)
    f.v = job.workspace
    f.m = f.v + f.t.v_bytes
    f.workers = f.m + (0 if f.t.fresh else f.t.m_bytes)
    for i in range(f.t.blocks * p.g):
        f.b = block_at(p, &f.t, i)
        parallel_for(f.b.rows * ceil_div(p.icg, 2 * job.k.vl), 1, job.threads, input_body, f)
        if f.t.fresh:
            parallel_for(f.t.slices, 1, job.threads, slice_body, f)
        else:
            parallel_for(f.t.points * f.t.panels, 1, job.threads, multiply_body, f)
            parallel_for(f.b.rows * f.t.panels, 1, job.threads, output_body, f)

cdef void block_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const Tiling *t = &f.t
    cdef char *edge = edge_of(f, worker)
    cdef char *v = edge + edge_bytes(f.whole.p, f.job.k, t)
    cdef char *m = v + t.v_bytes
    cdef ptrdiff_t i, s, point
    cdef Block b
    cdef Part part
    for i in range(begin, end):
        b = block_at(f.job.p, t, i)
        transform_rows(f.job, t, &b, False, 0, b.rows, 0, f.job.p.icg, v, edge)
        for s in range(t.slices):
            part = prepared_part(f, &b, split(t.panels, t.slices, s), split(t.panels, t.slices, s + 1))
            for point in range(t.points):
                multiply(f, &b, &part, point, v, m)
            store_rows(f, &b, 0, b.rows, part.v0, part.v1, m, edge)

cdef void input_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef ptrdiff_t i, step = 2 * f.job.k.vl, parts = ceil_div(f.job.p.icg, step), c
    for i in range(begin, end):
        c = i % parts * step
        transform_rows(f.job, &f.t, &f.b, False, i // parts, i // parts + 1, c, min(c + step, f.job.p.icg), f.v,
                       edge_of(f, worker))

cdef void multiply_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef ptrdiff_t i, panel
    cdef Part part
    for i in range(begin, end):
        panel = i % f.t.panels
        part = prepared_part(f, &f.b, panel, panel + 1)
        multiply(f, &f.b, &part, i // f.t.panels, f.v, f.m + f.job.k.size * panel * f.t.width)

cdef void output_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef ptrdiff_t i, row, panel
    for i in range(begin, end):
        row, panel = i // f.t.panels, i % f.t.panels
        store_rows(f, &f.b, row, row + 1, panel, panel + 1, f.m + f.job.k.size * panel * f.t.width, edge_of(f, worker))

cdef void slice_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Slices of output channels with fresh weights: the points of a part of these stay in L2 for the products that need them."""
    cdef Forward *f = <Forward *>context
    cdef const Tiling *t = &f.t
    cdef char *edge = edge_of(f, worker)
    cdef char *m = edge + edge_bytes(f.whole.p, f.job.k, t)
    cdef char *sums = m + t.m_bytes          # of the channels from a multiple of t.steps on
    cdef char *u = sums + t.m_bytes
    cdef char *to
    cdef ptrdiff_t i, c, point
    cdef Part part
    part.u, part.point, part.rows = u, t.u_point, min(f.job.p.icg, <ptrdiff_t>FRESH)
    part.next = part.point
    for i in range(begin, end):
        part.v0, part.v1 = split(t.panels, t.slices, i), split(t.panels, t.slices, i + 1)
        for c in range(ceil_div(f.job.p.icg, FRESH)):
            part.c0, part.c1 = c * FRESH, min((c + 1) * FRESH, f.job.p.icg)
            to = m if part.c0 < t.steps else sums
            part.start = ND_ZERO if part.c0 % t.steps == 0 else ND_CONTINUE
            transform_part(f, &part, u, edge)
            for point in range(t.points):
                multiply(f, &f.b, &part, point, f.v, to)
            if to == sums and (part.c1 % t.steps == 0 or part.c1 == f.job.p.icg):
                f.job.k.add(m, 1, sums, t.m_bytes // f.job.k.size)
        store_rows(f, &f.b, 0, f.b.rows, part.v0, part.v1, m, edge)

# ------------------------------------------------------------------------------------------- steps

cdef inline char *edge_of(Forward *f, int worker) noexcept nogil:
    return f.workers + worker * worker_bytes(f.whole.p, f.job.k, &f.t)

cdef inline Part prepared_part(Forward *f, const Block *b, ptrdiff_t v0, ptrdiff_t v1) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef Part part
    part.v0, part.v1, part.c0, part.c1, part.start = v0, v1, 0, p.icg, ND_ZERO
    part.point, part.rows = f.t.u_point, p.icg
    part.next = f.t.runs * p.icg * f.t.width if f.t.common else part.point
    part.u = <const char *>f.job.w + f.job.k.size * (b.g * f.t.points * f.t.u_point + v0 * f.t.runs * p.icg * f.t.width)
    return part

cdef void transform_part(Forward *f, const Part *part, char *u, char *edge) noexcept nogil:
    """Fresh weights to points."""
    cdef const nd_problem *p = f.whole.p
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t panel, d, c, count
    cdef char *to
    cdef char *cell = edge + whole_lines(WEIGHTS * p.kh * p.kw * k.nr * k.size)
    for panel in range(part.v0, part.v1):
        for d in range(p.kd):
            c = part.c0
            while c < part.c1:
                count = min(part.c1 - c, <ptrdiff_t>WEIGHTS)
                gather(p, k, &f.job.fresh, f.b.g, panel, d, c, count, edge)
                to = u + k.size * (((panel - part.v0) * p.kd + d) * f.t.cells * f.t.cells_y * part.rows + c - part.c0) * k.nr
                transform_weights(p, k, &f.t, to, part.point, part.rows, edge, count, cell)
                c += count

cdef void multiply(Forward *f, const Block *b, const Part *part, ptrdiff_t point, char *v, char *m) noexcept nogil:
    """M (+)= sum over depth, cells and the part's channels of V U at one point; M begins with the part's first panel."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t size = k.size, c = part.c0, panel, o, run, cell, cols, tiles = b.rows * b.columns
    cdef bint last_row = point // t.v.points_w == t.v.points_h - 1, last_column = point % t.v.points_w == t.v.points_w - 1
    cdef const char *b_panel
    cdef const char *ahead
    cdef ptrdiff_t a_off[RUNS]
    cdef ptrdiff_t b_off[RUNS]
    cdef const char *u = part.u + size * point * part.point
    cdef nd_walk walk
    v += size * point * t.v_point
    m += size * point * t.m_point
    walk.runs, walk.a_off, walk.b_off = 0, a_off, b_off
    walk.a_row, walk.a_k, walk.b_k = t.icp, 1, k.nr
    for run in range(t.runs):
        cell = run % t.cells
        # odd taps of an odd kernel are one less than even ones: nothing at infinity
        if (last_row and cell // t.cells_w == 1 and p.kh % 2) or (last_column and cell % t.cells_w == 1 and p.kw % 2):
            continue
        a_off[walk.runs], b_off[walk.runs] = (run // t.cells * p.dd * t.cells + cell) * tiles * t.icp, run * part.rows * k.nr
        walk.runs += 1
    while c < part.c1:
        walk.len = min(part.c1 - c, t.steps)
        for panel in range((part.v1 - part.v0) * t.cells_y):       # or its cells of y
            # whole vectors: what is beyond the channels is never read
            cols = ceil_div(min(p.ocg - (part.v0 + panel // t.cells_y) * k.nr, k.nr), k.vl)
            b_panel = u + size * (panel * t.runs * part.rows + c - part.c0) * k.nr
            if panel + 1 < (part.v1 - part.v0) * t.cells_y:
                ahead = b_panel + size * t.runs * part.rows * k.nr
            else:
                ahead = u + size * (part.next if c + walk.len == part.c1 else (c + walk.len - part.c0) * k.nr)
            if t.cells_y > 1 and ((last_row and panel % 4 < 2 and f.whole.p.kh % 2 == 1)
                                  or (last_column and panel % 2 == 0 and f.whole.p.kw % 2 == 1)):      # one tap less
                for o in range(b.depth * tiles):
                    memset(m + size * (o * t.m_row + panel * k.nr), 0, size * k.nr)
                continue
            for o in range(b.depth):
                k.winograd_multiply(&walk, tiles, cols, v + size * (o * t.cells * tiles * t.icp + c), b_panel,
                                    m + size * (o * tiles * t.m_row + panel * k.nr), t.m_row,
                                    ND_ADD if c > part.c0 else part.start, ahead)
        c += walk.len


def obstacle(problem):
    """Why not, or None."""
    kd, kh, kw = problem.k
    sd, sh, sw = problem.stride
    if (sh, sw) == (2, 2) and problem.op != "weight_grad":
        if kh != kw or kh not in (3, 4, 5) or problem.dilation[1:] != (1, 1):
            return "at stride 2 kernels of 3x3, 4x4 and 5x5 taps without dilation only"
    elif kh not in (1, 3) or kw not in (1, 3) or (kh, kw) == (1, 1):
        return "kernels of 3x3, 1x3 and 3x1 taps only"
    elif (sh, sw) != (1, 1):
        return "stride 1, and but for weight gradients 2, only"
    if sd > 1 and (kd > 1 or problem.reversed):
        return "stride 1 along the depth only"
    if kd > 1 and sh > 1 and problem.reversed:
        return "at stride 2 one tap along the depth only"
    if kd > DEPTHS:
        return f"at most {DEPTHS} taps along the depth"
    return None


cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.transpose_sizes = transpose_sizes
table.transpose_prepare = transpose_prepare
table.transpose = transpose
table.weight_grad_bytes = winograd_weight_grad_bytes
table.weight_grad = winograd_weight_grad

METHOD = new_method("winograd", "minimal filtering F(4, 3), tile by tile", False,
                    "relative L2 error <= 2e-6 (float32), 1e-14 (float64)", obstacle, &table,
                    ("small", "large", "fine"), lambda problem: problem.results)
