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
with one tap less leaves out the point at infinity. Multiplications: 81, 100 and 121 a tile for 144, 256 and 400.

Lavin and Gray 2016; fused blocks: Jia, Zlateski, Durand and Li, PPoPP 2018.
"""
from libc.string cimport memcpy, memset

from ndconv._c cimport (ND_ADD, ND_CONTINUE, ND_ZERO, nd_array, nd_job, nd_kernel_set, nd_method, nd_problem, nd_sizes, nd_walk,
                        nd_weights)
from ndconv._method cimport new_method
from ndconv._pack cimport Pixel, ceil_div, finish_pixels, split, taps_of
from ndconv._runtime cimport parallel_for
from ndconv._winograd_grad cimport winograd_weight_grad, winograd_weight_grad_bytes
from ndconv._winograd_plan cimport DEPTHS, FRESH, RUNS, Block, Tiling, View, block_at, choose_tiling, take_fresh_weights, view_of
from ndconv._winograd_rows cimport job_in_rows, problem_in_rows, weights_in_rows
from ndconv._winograd_tile cimport ask_for, gathered_bytes, transform_rows

cdef extern from *:
    void __builtin_prefetch(const void *address) nogil

cdef enum:
    WEIGHTS = 32             # channels of weights that are gathered at a time
    AHEAD = 8                # channels of weights that are asked for before they are read, where each is far from the other
    LINE = 64

# ---------------------------------------------------------------------------------------- weights
# Prepared: U [g][point][panel][kd][cell][ic][nr], then the weights [g][panel][kd][ic][tap][nr], for tiles that are computed again

cdef inline ptrdiff_t plain_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, ptrdiff_t g, ptrdiff_t panel,
                                    ptrdiff_t d, ptrdiff_t c) noexcept nogil:
    """Where among the prepared elements the weights of a panel and depth begin, from an input channel on."""
    return p.g * t.points * t.u_point + (((g * t.panels + panel) * p.kd + d) * p.icg + c) * p.kh * p.kw * k.nr

cdef void gather(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, ptrdiff_t g, ptrdiff_t panel, ptrdiff_t d,
                 ptrdiff_t c0, ptrdiff_t channels, char *to) noexcept nogil:
    """The weights of a panel, a depth and some input channels: [ic][tap][nr]. Taps that are next to each other, forwards or
    backwards, are turned in registers."""
    cdef ptrdiff_t taps = p.kh * p.kw, size = k.size, tap, c, i, cols = min(p.ocg - panel * k.nr, k.nr)
    cdef const char *src = w.data + size * (g * w.g + panel * k.nr * w.o + c0 * w.c + d * w.d)
    if cols < k.nr:
        memset(to, 0, channels * taps * k.nr * size)
    if w.w == 1 and w.h == p.kw and w.c == taps:
        k.move(to, k.nr, src, channels * taps, cols, 1, w.o)
    elif w.w == 1 and w.h == p.kw:
        for c in range(channels):
            k.move(to + size * c * taps * k.nr, k.nr, src + size * c * w.c, taps, cols, 1, w.o)
    elif w.w == -1 and w.h == -p.kw:
        src -= size * (taps - 1)
        for c in range(channels):
            for i in range(ceil_div(taps * cols * size, LINE)):
                __builtin_prefetch(src + size * (c + AHEAD) * w.c + i * LINE)
            k.move(to + size * ((c + 1) * taps - 1) * k.nr, -k.nr, src + size * c * w.c, taps, cols, 1, w.o)
    else:
        for tap in range(taps):
            k.move(to + size * tap * k.nr, taps * k.nr, src + size * (tap // p.kw * w.h + tap % p.kw * w.w), channels, cols,
                   w.c, w.o)

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    Tiling t
    char *to
    char *cells              # of the workers

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef nd_problem q = problem_in_rows(p)
    cdef nd_weights v = weights_in_rows(w, p)
    cdef Prepare f
    f.p, f.k, f.w, f.t, f.to, f.cells = &q, k, &v, choose_tiling(&q, k, False), <char *>to, workspace
    parallel_for(p.g * f.t.panels * p.kd * ceil_div(p.icg, WEIGHTS), 1, threads, prepare_body, &f)

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """The points of a panel of output channels and some input channels."""
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t parts = ceil_div(p.icg, WEIGHTS), i, c0, count, v, d, g
    cdef char *plain
    cdef char *to
    for i in range(begin, end):
        c0 = i % parts * WEIGHTS
        d, v, g = i // parts % p.kd, i // parts // p.kd % f.t.panels, i // parts // p.kd // f.t.panels
        count = min(p.icg - c0, <ptrdiff_t>WEIGHTS)
        plain = f.to + k.size * plain_weights(p, k, &f.t, g, v, d, c0)
        gather(p, k, f.w, g, v, d, c0, count, plain)
        to = f.to + k.size * (g * f.t.points * f.t.u_point + ((v * p.kd + d) * f.t.cells * p.icg + c0) * k.nr)
        transform_weights(p, k, &f.t, to, f.t.u_point, p.icg, plain, count, f.cells + worker * cell_bytes(k, &f.t))

cdef inline ptrdiff_t cell_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of the weights of a cell, a panel and WEIGHTS channels."""
    return 0 if t.cells_h == 1 else ceil_div(WEIGHTS * t.v.taps * t.v.taps * k.nr * k.size, 64) * 64

cdef void transform_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, char *to, ptrdiff_t point,
                            ptrdiff_t rows, const char *plain, ptrdiff_t channels, char *cell) noexcept nogil:
    """Gathered weights to points; those of the cells, every second tap of each axis, are `rows` channels apart."""
    cdef ptrdiff_t taps = t.v.taps, bytes = k.nr * k.size, h, w, c, i, r, s
    if t.cells_h == 1:
        k.winograd_weights(&t.v, to, point, plain, channels, k.nr)
        return
    for h in range(2):
        for w in range(2):
            for i in range(channels * taps * taps):
                c, r, s = i // (taps * taps), h + 2 * (i // taps % taps), w + 2 * (i % taps)
                if r < p.kh and s < p.kw:
                    memcpy(cell + i * bytes, plain + ((c * p.kh + r) * p.kw + s) * bytes, bytes)
                else:
                    memset(cell + i * bytes, 0, bytes)
            k.winograd_weights(&t.v, to, point, cell, channels, k.nr)
            to += rows * bytes

# ---------------------------------------------------------------------------------------- forward

cdef struct Forward:
    const nd_job *job
    Tiling t
    Block b              # common: the block
    char *v
    char *m
    char *workers

# Weights of panels v0 to v1 and input channels c0 to c1: where their first point is, elements between points, channels between
# the depths of a panel; elements from there to the weights that are read next; what the sums start from.
cdef struct Part:
    ptrdiff_t v0, v1, c0, c1
    const char *u
    ptrdiff_t point, rows, next
    int start

cdef inline ptrdiff_t out_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of results of a row of tiles, a panel of channels."""
    return ceil_div(t.mh * t.columns * t.mw * k.nr * k.size, 64) * 64

cdef inline ptrdiff_t edge_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of gathered input, of gathered weights, or of results and one kernel."""
    cdef ptrdiff_t weights = ceil_div(WEIGHTS * p.kh * p.kw * k.nr * k.size, 64) * 64 + cell_bytes(k, t) if t.fresh else 0
    return max(max(gathered_bytes(k, t), weights), out_bytes(k, t) + ceil_div(p.icg * taps_of(p) * k.size, 64) * 64)

cdef inline ptrdiff_t worker_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of edges; V and M unless they are shared; M, sums for it and weights if those are fresh."""
    if t.fresh:
        return edge_bytes(p, k, t) + 2 * t.m_bytes + t.points * t.u_point * k.size
    return edge_bytes(p, k, t) + (0 if t.common else t.v_bytes + t.m_bytes)

cdef void sizes(const nd_problem *given, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef nd_problem q = problem_in_rows(given)
    cdef const nd_problem *p = &q
    cdef Tiling t = choose_tiling(p, k, False)
    to.prepared, to.prepare_worker = k.size * plain_weights(p, k, &t, p.g, 0, 0, 0), cell_bytes(k, &t)
    to.shared = t.v_bytes + t.m_bytes if t.common else 0
    to.worker, to.fresh = worker_bytes(p, k, &t), 0
    take_fresh_weights(&t, p, k)
    if t.fresh:
        to.fresh = worker_bytes(p, k, &t)

cdef void forward(const nd_job *given) noexcept nogil:
    cdef nd_problem q = problem_in_rows(given.p)
    cdef nd_job rows = job_in_rows(given, &q)
    cdef const nd_problem *p = &q
    cdef const nd_job *job = &rows
    cdef Forward f
    cdef ptrdiff_t i
    f.job, f.t, f.workers = job, choose_tiling(p, job.k, False), job.workspace
    if not f.t.common:
        parallel_for(f.t.blocks * p.g, 1, job.threads, block_body, &f)
        return
    if job.w == NULL:
        take_fresh_weights(&f.t, p, job.k)
    f.v = job.workspace
    f.m = f.v + f.t.v_bytes
    f.workers = f.m + (0 if f.t.fresh else f.t.m_bytes)
    for i in range(f.t.blocks * p.g):
        f.b = block_at(p, &f.t, i)
        parallel_for(f.b.rows * ceil_div(p.icg, 2 * job.k.vl), 1, job.threads, input_body, &f)
        if f.t.fresh:
            parallel_for(f.t.slices, 1, job.threads, slice_body, &f)
        else:
            parallel_for(f.t.points * f.t.panels, 1, job.threads, multiply_body, &f)
            parallel_for(f.b.rows * f.t.panels, 1, job.threads, output_body, &f)

cdef void block_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const Tiling *t = &f.t
    cdef char *edge = edge_of(f, worker)
    cdef char *v = edge + edge_bytes(f.job.p, f.job.k, t)
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
        multiply(f, &f.b, &part, i // f.t.panels, f.v, f.m + f.job.k.size * panel * f.job.k.nr)

cdef void output_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef ptrdiff_t i, row, panel
    for i in range(begin, end):
        row, panel = i // f.t.panels, i % f.t.panels
        store_rows(f, &f.b, row, row + 1, panel, panel + 1, f.m + f.job.k.size * panel * f.job.k.nr, edge_of(f, worker))

cdef void slice_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Slices of output channels with fresh weights: the points of a part of these stay in L2 for the products that need them."""
    cdef Forward *f = <Forward *>context
    cdef const Tiling *t = &f.t
    cdef char *edge = edge_of(f, worker)
    cdef char *m = edge + edge_bytes(f.job.p, f.job.k, t)
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
    return f.workers + worker * worker_bytes(f.job.p, f.job.k, &f.t)

cdef inline Part prepared_part(Forward *f, const Block *b, ptrdiff_t v0, ptrdiff_t v1) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef Part part
    part.v0, part.v1, part.c0, part.c1, part.start = v0, v1, 0, p.icg, ND_ZERO
    part.point, part.rows = f.t.u_point, p.icg
    part.next = f.t.runs * p.icg * f.job.k.nr if f.t.common else part.point
    part.u = <const char *>f.job.w + f.job.k.size * (b.g * f.t.points * f.t.u_point + v0 * f.t.runs * p.icg * f.job.k.nr)
    return part

cdef void transform_part(Forward *f, const Part *part, char *u, char *edge) noexcept nogil:
    """Fresh weights to points."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t panel, d, c, count
    cdef char *to
    cdef char *cell = edge + ceil_div(WEIGHTS * p.kh * p.kw * k.nr * k.size, 64) * 64
    for panel in range(part.v0, part.v1):
        for d in range(p.kd):
            c = part.c0
            while c < part.c1:
                count = min(part.c1 - c, <ptrdiff_t>WEIGHTS)
                gather(p, k, &f.job.fresh, f.b.g, panel, d, c, count, edge)
                to = u + k.size * (((panel - part.v0) * p.kd + d) * f.t.cells * part.rows + c - part.c0) * k.nr
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
        for panel in range(part.v1 - part.v0):
            # whole vectors: what is beyond the channels is never read
            cols = ceil_div(min(p.ocg - (part.v0 + panel) * k.nr, k.nr), k.vl)
            b_panel = u + size * (panel * t.runs * part.rows + c - part.c0) * k.nr
            if panel + 1 < part.v1 - part.v0:
                ahead = b_panel + size * t.runs * part.rows * k.nr
            else:
                ahead = u + size * (part.next if c + walk.len == part.c1 else (c + walk.len - part.c0) * k.nr)
            for o in range(b.depth):
                k.winograd_multiply(&walk, tiles, cols, v + size * (o * t.cells * tiles * t.icp + c), b_panel,
                                    m + size * (o * tiles * t.m_row + panel * k.nr), t.m_row,
                                    ND_ADD if c > part.c0 else part.start, ahead)
        c += walk.len

cdef void store_rows(Forward *f, const Block *b, ptrdiff_t first, ptrdiff_t last, ptrdiff_t v0, ptrdiff_t v1, const char *m,
                     char *edge) noexcept nogil:
    """Results of rows first to last of a block's tiles, panels v0 to v1; M begins with the first of these."""
    cdef const nd_problem *p = f.job.p
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t panel, o, r
    cdef View view
    for o in range(b.depth):
        for r in range(first, last):
            view = view_of(p, t, &f.job.x, &f.job.y, b.g, (b.line + r) // t.th)
            view.y.at += (b.plane + o) * f.job.y.d
            for panel in range(v0, v1):
                store_line(f, b, &view, (b.line + r) % t.th, b.plane + o, panel,
                           m + f.job.k.size * ((o * b.rows + r) * b.columns * t.m_row + (panel - v0) * f.job.k.nr), edge)
            finish_line(f, b, &view, (b.line + r) % t.th, b.plane + o, v0 * f.job.k.nr, min(v1 * f.job.k.nr, p.ocg))

cdef void finish_line(Forward *f, const Block *b, const View *view, ptrdiff_t line, ptrdiff_t plane, ptrdiff_t c0,
                      ptrdiff_t c1) noexcept nogil:
    """Residual and activation on channels c0 to c1 of a row of tiles."""
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t i, j, first = b.first * t.mw, count = min(b.columns * t.mw, view.y.w - first)
    cdef ptrdiff_t run = count if t.phases_w == 1 else 1       # neighbours in y
    cdef Pixel at
    at.n, at.d = view.image, plane
    for i in range(min(t.mh, view.y.h - line * t.mh)):
        at.h = view.at_h + (line * t.mh + i) * t.phases_h
        for j in range(count // max(run, 1)):
            at.w = view.at_w + (first + j * run) * t.phases_w
            finish_pixels(f.job, b.g * f.job.p.ocg + c0, c1 - c0, at, run)

cdef void store_line(Forward *f, const Block *b, const View *view, ptrdiff_t line, ptrdiff_t plane, ptrdiff_t panel,
                     const char *m, char *edge) noexcept nogil:
    """One row of tiles and one panel: to y, or by way of [row][column][nr] to y."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, channels = min(p.ocg - panel * k.nr, k.nr), h = line * t.mh, w = b.first * t.mw
    cdef ptrdiff_t rows = min(t.mh, view.y.h - h), columns = min(b.columns * t.mw, view.y.w - w), row, col, i, j
    cdef const char *bias = <const char *>f.job.bias
    cdef char *results = y.data + size * (view.y.at + panel * k.nr * y.c + h * view.y.row + w * view.y.col)
    cdef bint out_place = y.c == 1
    cdef char *to = results if out_place else edge
    if bias != NULL:
        bias += size * (b.g * p.ocg + panel * k.nr)
    row, col = view.y.row, view.y.col
    if not out_place:
        row, col = b.columns * t.mw * k.nr, k.nr
    if rows <= 0:
        return
    if not out_place and view.y.col == 1:
        for i in range(rows):
            ask_for(results + size * i * view.y.row, size * y.c, channels, size * columns)
    for j in range(ceil_div(columns, t.mw)):
        if k.winograd_output(&t.v, to + size * j * t.mw * col, row, col, m + size * j * t.m_row, t.m_point, rows,
                             min(t.mw, columns - j * t.mw), channels, bias):
            compute_tile(f, b, view, line, b.first + j, plane, panel, to + size * j * t.mw * col, row, col,
                         edge + out_bytes(k, t))
    if out_place:
        return
    if view.y.col == 1 and view.y.row == columns == b.columns * t.mw:      # rows that follow each other are one
        k.move(results, y.c, edge, channels, rows * columns, 1, col)
        return
    for i in range(rows):
        if view.y.col == 1:
            k.move(results + size * i * view.y.row, y.c, edge + size * i * row, channels, columns, 1, col)
        else:
            for j in range(channels):
                k.scatter(results + size * (i * view.y.row + j * y.c), view.y.col, edge + size * (i * row + j), col, columns)

cdef void compute_tile(Forward *f, const Block *b, const View *view, ptrdiff_t line, ptrdiff_t column, ptrdiff_t plane,
                       ptrdiff_t panel, char *to, ptrdiff_t row, ptrdiff_t col, char *w) noexcept nogil:
    """The results of a tile by their definition; w has room for a kernel."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef nd_array x = f.job.x
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t i, j, c, o, size = k.size
    x.data += size * (view.image * x.n + b.g * p.icg * x.c)
    at[0] = plane
    for c in range(min(p.ocg - panel * k.nr, k.nr)):
        o = b.g * p.ocg + panel * k.nr + c
        copy_kernel(f, b.g, panel, c, w)
        for i in range(min(t.mh, view.y.h - line * t.mh)):
            at[1] = view.at_h + (line * t.mh + i) * t.phases_h
            for j in range(min(t.mw, view.y.w - column * t.mw)):
                at[2] = view.at_w + (column * t.mw + j) * t.phases_w
                k.conv_points(p, &x, w, at, 1, to + size * (i * row + j * col + c), 1,
                              NULL if f.job.bias == NULL else <const char *>f.job.bias + size * o)

cdef void copy_kernel(Forward *f, ptrdiff_t g, ptrdiff_t panel, ptrdiff_t o, char *to) noexcept nogil:
    """The weights [ic][kd][kh][kw] of output channel o of a panel."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_weights *w = &f.job.fresh
    cdef ptrdiff_t i, d, c, r, taps = p.kh * p.kw, size = k.size
    for i in range(p.kd * p.icg):
        d, c = i % p.kd, i // p.kd
        if f.job.w != NULL:
            k.copy(to, <const char *>f.job.w + size * (plain_weights(p, k, &f.t, g, panel, d, c) + o), taps, k.nr)
            to += size * taps
            continue
        for r in range(p.kh):
            k.copy(to, w.data + size * (g * w.g + (panel * k.nr + o) * w.o + c * w.c + d * w.d + r * w.h), p.kw, w.w)
            to += size * p.kw


def obstacle(problem):
    """Why not, or None."""
    kd, kh, kw = problem.k
    sd, sh, sw = problem.stride
    if (sh, sw) == (2, 2) and problem.op == "forward":
        if kh != kw or kh not in (3, 4, 5) or problem.dilation[1:] != (1, 1):
            return "at stride 2 kernels of 3x3, 4x4 and 5x5 taps without dilation only"
    elif kh not in (1, 3) or kw not in (1, 3) or (kh, kw) == (1, 1):
        return "kernels of 3x3, 1x3 and 3x1 taps only"
    elif (sh, sw) != (1, 1):
        return "stride 1, and 2 forwards, only"
    if sd > 1 and (kd > 1 or problem.op == "input_grad"):
        return "stride 1 along the depth only"
    if kd > DEPTHS:
        return f"at most {DEPTHS} taps along the depth"
    return None


cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.weight_grad_bytes = winograd_weight_grad_bytes
table.weight_grad = winograd_weight_grad

METHOD = new_method("winograd", "minimal filtering F(4, 3), tile by tile", False,
                    "relative L2 error <= 2e-6 (float32), 1e-14 (float64)", obstacle, &table,
                    ("small", "large"), lambda problem: problem.results)
