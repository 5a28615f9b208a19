# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""winograd: minimal filtering F(4, 3) along each axis of three taps (kernels/winograd.h), fused.

    y = A^T [ sum over ic of (G w G^T) . (B^T x B) ] A

    for blocks of tiles                                      (V and M of a worker: 0.6 MiB, L2)
        V = B^T x B for the tiles and all ic                 [point][tile][ic]
        for slices of 64 oc
            for 36 points, panels of oc:
                M[tile][oc] = sum over ic of V[tile][ic] U[ic][oc]     (register tiles; U streams from L3)
            y = A^T M A + bias for the tiles and the slice

A kernel of one tap along an axis leaves that axis alone: 6 points, which is also the form of 1-D convolutions. Taps along the
depth are summed in the product: V holds the input planes that a block's output planes see. A dilated problem is dh*dw problems
on every dh-th row and dw-th column, each with tiles of its own. Where there are too few tiles for blocks that use a weight
often enough (14 x 14 and 7 x 7 images), all tiles are one block, whose three steps are dealt out to the threads one after the
other, so that each thread reads its share of the weights once.

Lanes hold channels in V, M and U for any memory order of x and y: channels that are not next to each other are turned on the
way (_winograd_tile.pyx), half a cycle an element. Sums are taken over 256 channels at a time: a panel of U stays in L1, and
short sums err less. A tile whose result is not finite is computed again by its definition.

Multiplications are a quarter of a direct sum's (2.25 times fewer for F(2, 3) on images that tiles of 4 do not fill). Expected
60 to 75 % of the FMA peak on those: products run at 80 % at 64 channels, the transforms take 15 % of the time there and 5 %
at 256. Reached, two threads of a 200 GFLOP/s machine with AVX2: 55 % at 64 and 128 channels on large images, where x and y come
from memory, 69 % at 256, 70 % at 512; 50 % on 14 x 14 images, where the weights do.

Strides of 2 are not split into phases: F(4, 2) and F(4, 1) on the four phases save 1.8 times the multiplications at most, and
have four times the input transforms.

Lavin and Gray 2016; fused blocks: Jia, Zlateski, Durand and Li, PPoPP 2018.
"""
from libc.string cimport memset

from ndconv._c cimport (ND_ADD, ND_ZERO, nd_array, nd_job, nd_kernel_set, nd_method, nd_problem, nd_sizes, nd_walk, nd_weights)
from ndconv._method cimport new_method
from ndconv._pack cimport Pixel, ceil_div, finish_pixels, split, taps_of
from ndconv._runtime cimport parallel_for
from ndconv._winograd_grad cimport winograd_weight_grad, winograd_weight_grad_bytes
from ndconv._winograd_plan cimport DEPTHS, Block, Tiling, View, block_at, choose_tiling, view_of
from ndconv._winograd_tile cimport gathered_bytes, transform_rows

cdef enum:
    STEPS = 256              # channels of a part of a sum: 16 KiB of the vector operand, and short sums err less
    WEIGHTS = 32             # channels of weights that are gathered at a time

# ------------------------------------------------------------------------------- prepared weights
# U [g][point][panel][kd][ic][nr], then the weights [g][panel][kd][ic][tap][nr], for the tiles that are computed again

cdef inline ptrdiff_t plain_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, ptrdiff_t g, ptrdiff_t panel,
                                    ptrdiff_t d, ptrdiff_t c) noexcept nogil:
    """Where among the prepared elements the weights of a panel and depth begin, from an input channel on."""
    return p.g * t.points * t.u_point + (((g * t.panels + panel) * p.kd + d) * p.icg + c) * p.kh * p.kw * k.nr

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    Tiling t
    char *to

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef Prepare f
    f.p, f.k, f.w, f.t, f.to = p, k, w, choose_tiling(p, k, False), <char *>to
    parallel_for(p.g * f.t.panels * p.kd * ceil_div(p.icg, WEIGHTS), 1, threads, prepare_body, &f)

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """The points of a panel of output channels and some input channels."""
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef const nd_weights *w = f.w
    cdef ptrdiff_t parts = ceil_div(p.icg, WEIGHTS), taps = p.kh * p.kw, size = k.size, i, tap, c0, cb, v, d, g, cols
    cdef char *gathered
    cdef const char *src
    for i in range(begin, end):
        c0 = i % parts * WEIGHTS
        d, v, g = i // parts % p.kd, i // parts // p.kd % f.t.panels, i // parts // p.kd // f.t.panels
        cb, cols = min(p.icg - c0, <ptrdiff_t>WEIGHTS), min(p.ocg - v * k.nr, k.nr)
        gathered = f.to + size * plain_weights(p, k, &f.t, g, v, d, c0)
        src = w.data + size * (g * w.g + v * k.nr * w.o + c0 * w.c + d * w.d)
        if cols < k.nr:
            memset(gathered, 0, cb * taps * k.nr * size)
        if w.w == 1 and w.h == p.kw and w.c == taps:
            k.move(gathered, k.nr, src, cb * taps, cols, 1, w.o)
        else:
            for tap in range(taps):
                k.move(gathered + size * tap * k.nr, taps * k.nr, src + size * (tap // p.kw * w.h + tap % p.kw * w.w), cb, cols,
                       w.c, w.o)
        k.winograd_weights(&f.t.v, f.to + size * (g * f.t.points * f.t.u_point + ((v * p.kd + d) * p.icg + c0) * k.nr),
                           f.t.u_point, gathered, cb, k.nr)

# ---------------------------------------------------------------------------------------- forward

cdef struct Forward:
    const nd_job *job
    Tiling t
    Block b              # common: the block
    char *v
    char *m

cdef inline ptrdiff_t out_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of results of a row of tiles, a panel of channels."""
    return ceil_div(t.mh * t.columns * t.mw * k.nr * k.size, 64) * 64

cdef inline ptrdiff_t edge_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of gathered input, or of results and one kernel."""
    return max(gathered_bytes(k, t), out_bytes(k, t) + ceil_div(p.icg * taps_of(p) * k.size, 64) * 64)

cdef inline ptrdiff_t worker_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    return edge_bytes(p, k, t) + (0 if t.common else t.v_bytes + t.m_bytes)

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef Tiling t = choose_tiling(p, k, False)
    to.prepared, to.prepare_worker = k.size * plain_weights(p, k, &t, p.g, 0, 0, 0), 0
    to.shared = t.v_bytes + t.m_bytes if t.common else 0
    to.worker = worker_bytes(p, k, &t)

cdef void forward(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef Forward f
    cdef ptrdiff_t i
    f.job, f.t = job, choose_tiling(p, job.k, False)
    if not f.t.common:
        parallel_for(f.t.blocks * p.g, 1, job.threads, block_body, &f)
        return
    f.v = job.workspace
    f.m = f.v + f.t.v_bytes
    for i in range(f.t.blocks * p.g):
        f.b = block_at(p, &f.t, i)
        parallel_for(f.b.rows * ceil_div(p.icg, 2 * job.k.vl), 1, job.threads, input_body, &f)
        parallel_for(f.t.points * f.t.panels, 1, job.threads, multiply_body, &f)
        parallel_for(f.b.rows * f.t.panels, 1, job.threads, output_body, &f)

cdef void block_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const Tiling *t = &f.t
    cdef char *scratch = f.job.workspace + worker * worker_bytes(f.job.p, f.job.k, t)
    cdef char *v = scratch
    cdef char *m = v + t.v_bytes
    cdef char *edge = m + t.m_bytes
    cdef ptrdiff_t i, s, point, v0, v1
    cdef Block b
    for i in range(begin, end):
        b = block_at(f.job.p, t, i)
        transform_rows(f.job, t, &b, False, 0, b.rows, 0, f.job.p.icg, v, edge)
        for s in range(t.slices):
            v0, v1 = split(t.panels, t.slices, s), split(t.panels, t.slices, s + 1)
            for point in range(t.points):
                multiply(f, &b, point, v0, v1, v0, v, m)
            store_rows(f, &b, 0, b.rows, v0, v1, v0, m, edge)

cdef void input_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef char *edge = f.m + f.t.m_bytes + worker * worker_bytes(f.job.p, f.job.k, &f.t)
    cdef ptrdiff_t i, step = 2 * f.job.k.vl, parts = ceil_div(f.job.p.icg, step), c
    for i in range(begin, end):
        c = i % parts * step
        transform_rows(f.job, &f.t, &f.b, False, i // parts, i // parts + 1, c, min(c + step, f.job.p.icg), f.v, edge)

cdef void multiply_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef ptrdiff_t i
    for i in range(begin, end):
        multiply(f, &f.b, i // f.t.panels, i % f.t.panels, i % f.t.panels + 1, 0, f.v, f.m)

cdef void output_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef char *edge = f.m + f.t.m_bytes + worker * worker_bytes(f.job.p, f.job.k, &f.t)
    cdef ptrdiff_t i
    for i in range(begin, end):
        store_rows(f, &f.b, i // f.t.panels, i // f.t.panels + 1, i % f.t.panels, i % f.t.panels + 1, 0, f.m, edge)

# ------------------------------------------------------------------------------------------- steps

cdef void multiply(Forward *f, const Block *b, ptrdiff_t point, ptrdiff_t v0, ptrdiff_t v1, ptrdiff_t origin, char *v,
                   char *m) noexcept nogil:
    """M = sum over depth and channels of V U at one point, panels v0 to v1 of output channels; M begins with panel `origin`."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t size = k.size, part, c, panel, o, run, cols, tiles = b.rows * b.columns
    cdef const char *b_panel
    cdef ptrdiff_t a_off[DEPTHS]
    cdef ptrdiff_t b_off[DEPTHS]
    cdef const char *u = <const char *>f.job.w + size * (b.g * t.points + point) * t.u_point
    cdef nd_walk walk
    v += size * point * t.v_point
    m += size * point * t.m_point
    walk.runs, walk.a_off, walk.b_off = p.kd, a_off, b_off
    walk.a_row, walk.a_k, walk.b_k = t.icp, 1, k.nr
    for run in range(p.kd):
        a_off[run], b_off[run] = run * p.dd * tiles * t.icp, run * p.icg * k.nr
    for part in range(ceil_div(p.icg, STEPS)):
        c = part * STEPS
        walk.len = min(p.icg - c, <ptrdiff_t>STEPS)
        for panel in range(v0, v1):
            # whole vectors: what is beyond the channels is never read
            cols = ceil_div(min(p.ocg - panel * k.nr, k.nr), k.vl)
            b_panel = u + size * (panel * p.kd * p.icg + c) * k.nr
            for o in range(b.depth):
                k.winograd_multiply(&walk, tiles, cols, v + size * (o * tiles * t.icp + c), b_panel,
                                    m + size * (o * tiles * t.m_row + (panel - origin) * k.nr), t.m_row,
                                    ND_ADD if c > 0 else ND_ZERO, b_panel + size * p.kd * p.icg * k.nr)

cdef void store_rows(Forward *f, const Block *b, ptrdiff_t first, ptrdiff_t last, ptrdiff_t v0, ptrdiff_t v1, ptrdiff_t origin,
                     const char *m, char *edge) noexcept nogil:
    """Results of rows first to last of a block's tiles, panels v0 to v1."""
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
                           m + f.job.k.size * ((o * b.rows + r) * b.columns * t.m_row + (panel - origin) * f.job.k.nr), edge)
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
    for j in range(ceil_div(columns, t.mw)):
        if k.winograd_output(&t.v, to + size * j * t.mw * col, row, col, m + size * j * t.m_row, t.m_point, rows,
                             min(t.mw, columns - j * t.mw), channels, bias):
            compute_tile(f, b, view, line, b.first + j, plane, panel, to + size * j * t.mw * col, row, col,
                         edge + out_bytes(k, t))
    if out_place:
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
    cdef ptrdiff_t i, j, c, o, size = k.size, taps = p.kh * p.kw
    cdef const char *plain
    x.data += size * (view.image * x.n + b.g * p.icg * x.c)
    at[0] = plane
    for c in range(min(p.ocg - panel * k.nr, k.nr)):
        o = b.g * p.ocg + panel * k.nr + c
        for i in range(p.kd * p.icg):
            plain = <const char *>f.job.w + size * (plain_weights(p, k, t, b.g, panel, i % p.kd, i // p.kd) + c)
            k.copy(w + size * i * taps, plain, taps, k.nr)
        for i in range(min(t.mh, view.y.h - line * t.mh)):
            at[1] = view.at_h + (line * t.mh + i) * t.phases_h
            for j in range(min(t.mw, view.y.w - column * t.mw)):
                at[2] = view.at_w + (column * t.mw + j) * t.phases_w
                k.conv_points(p, &x, w, at, 1, to + size * (i * row + j * col + c), 1,
                              NULL if f.job.bias == NULL else <const char *>f.job.bias + size * o)


def obstacle(problem):
    """Why not, or None."""
    kd, kh, kw = problem.k
    sd, sh, sw = problem.stride
    if kh not in (1, 3) or kw not in (1, 3) or (kh, kw) == (1, 1):
        return "kernels of 3x3, 1x3 and 3x1 taps only"
    if (kh > 1 and sh > 1) or (kw > 1 and sw > 1) or (problem.op == "input_grad" and (sd, sh, sw) != (1, 1, 1)):
        return "stride 1 only"
    if sh > 1 or sw > 1 or (kd > 1 and sd > 1):
        return "stride 1 only"
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
                    "relative L2 error <= 2e-6 (float32), 1e-14 (float64)", obstacle, &table)
