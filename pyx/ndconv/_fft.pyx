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
product is one number a frequency, and a task takes a tile all the way: load, transform, multiply, inverse, store.

A stride keeps every stride-th result of a tile; a dilated kernel has zeros between its taps. A tile that holds anything not
finite is computed again by its definition, so that a NaN reaches its own windows only. Lanes never meet: an image's results
do not depend on what else is in the batch, and none on threads.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_method, nd_problem, nd_product, nd_sizes, nd_weights
from ndconv._fft_grad cimport fft_weight_grad, fft_weight_grad_bytes
from ndconv._fft_plan cimport (CHANNELS, FILTER_GROUPS, FILTER_TILES, FORWARD, TILES, WEIGHT_GRAD, Tables, Tiling, build_tables,
                               choose_tiling, open_tables, scale_of, spectra_bytes, tables_bytes, whole_lines)
from ndconv._fft_tile cimport (Window, aim_input, aim_output, aim_taps, holds_tiles, load_tile, store_tile, transform)
from ndconv._method cimport new_method
from ndconv._pack cimport Pixel, ceil_div, finish_pixels, split, taps_of
from ndconv._plan cimport forward_geometry, stage_geometry
from ndconv._runtime cimport current_kernels, parallel_for

from ndconv.stages import stages_of

cdef enum:
    STEPS = 128      # channels of a product's part: 16 KiB of the vector operand, and short sums err less

# ------------------------------------------------------------------------------- prepared weights
# [Tiling][tables][spectra][the weights as they are, for the tiles that are computed again]

cdef struct Prepared:
    const Tiling *t
    Tables tables
    char *spectra
    char *raw

cdef void open_prepared(const nd_problem *p, const nd_kernel_set *k, const char *at, Prepared *to) noexcept nogil:
    to.t = <const Tiling *>at
    at += whole_lines(sizeof(Tiling))
    open_tables(to.t, k, at, &to.tables)
    to.spectra = <char *>at + tables_bytes(to.t, k)
    to.raw = to.spectra + whole_lines(spectra_bytes(p, k, to.t))

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    Prepared to
    ptrdiff_t vectors        # of kernels that are transformed at once, a group or in all
    char *workspace

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef Prepare f
    cdef Tiling *t = <Tiling *>to
    cdef ptrdiff_t tasks
    t[0] = choose_tiling(p, k, FORWARD)
    f.p, f.k, f.w, f.workspace = p, k, w, workspace
    open_prepared(p, k, <const char *>to, &f.to)
    build_tables(t, k, <char *>to + whole_lines(sizeof(Tiling)), threads)
    if t.lanes == CHANNELS:
        f.vectors = ceil_div(p.ocg, k.vl)
        tasks = p.g * f.vectors * p.icg
    elif t.lanes == FILTER_GROUPS:
        f.vectors = ceil_div(p.g, k.vl)
        tasks = f.vectors * p.ocg
    else:
        f.vectors = ceil_div(p.g * p.ocg, k.vl)
        tasks = f.vectors * p.icg
    parallel_for(p.g * p.ocg, ceil_div(16384, p.icg * taps_of(p)), threads, copy_body, &f)
    parallel_for(tasks, ceil_div(1 << 18, t.z), threads, prepare_body, &f)

cdef void copy_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """The weights as [g][o][c][tap]."""
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef ptrdiff_t i, row, size = f.k.size, rows = p.icg * p.kd * p.kh
    for i in range(begin * rows, end * rows):
        row = i % rows
        f.k.copy(f.to.raw + size * i * p.kw,
                 f.w.data + size * (i // rows // p.ocg * f.w.g + i // rows % p.ocg * f.w.o + row // (p.kd * p.kh) * f.w.c
                                    + row // p.kh % p.kd * f.w.d + row % p.kh * f.w.h), p.kw, f.w.w)

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Spectra of one vector of kernels: lanes are output channels of a group, groups, or both in turn."""
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef const Tiling *t = f.to.t
    cdef char *z = f.workspace + worker * (t.z + whole_lines(t.spectrum))
    cdef ptrdiff_t i, first, left, g, o, c, lane, step, kernel
    cdef Window w
    cdef char *to
    for i in range(begin, end):
        g = o = c = 0
        if t.lanes == CHANNELS:
            c = i % p.icg
            first = i // p.icg % f.vectors * k.vl
            g, left = i // p.icg // f.vectors, p.ocg - first
            to = f.to.spectra + (g * t.freqs * p.icg + c) * t.ocv * t.point + first // k.vl * t.point
            step = p.icg * t.ocv * 2 * k.vl
        elif t.lanes == FILTER_GROUPS:
            o = i % p.ocg
            first = i // p.ocg * k.vl
            left = p.g - first
            to, step = f.to.spectra + i * t.spectrum, 2 * k.vl
        else:
            c = i % p.icg
            first = i // p.icg * k.vl
            left = p.g * p.ocg - first
            to, step = z + t.z, 2 * k.vl
        for lane in range(min(left, k.vl)):
            kernel = first + lane
            if t.lanes == CHANNELS:
                o = kernel
            elif t.lanes == FILTER_GROUPS:
                g = kernel
            else:
                g, o = kernel // p.ocg, kernel % p.ocg
            w.data[lane] = f.w.data + k.size * (g * f.w.g + o * f.w.o + c * f.w.c)
        aim_taps(&w, k, t, f.w, <int>min(left, k.vl))
        load_tile(&w, k, t, z)
        transform(k, t, &f.to.tables, z, False)
        k.fft_split(to, step, z, f.to.tables.pairs, f.to.tables.turns, t.pairs, scale_of(t), -scale_of(t))
        if holds_tiles(t):
            for lane in range(w.lanes):
                deal_out(f, first + lane, c, to + k.size * lane)

cdef void deal_out(Prepare *f, ptrdiff_t kernel, ptrdiff_t c, const char *src) noexcept nogil:
    """One lane's spectrum as plain complex numbers: [g][o][frequency], or [g][frequency][o][c] for products."""
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef const Tiling *t = f.to.t
    cdef ptrdiff_t step = 1 if t.lanes == FILTER_TILES else p.ocg * p.icg, start = kernel * t.freqs
    if t.lanes == TILES:
        start = kernel // p.ocg * t.freqs * step + kernel % p.ocg * p.icg + c
    k.scatter(f.to.spectra + 2 * k.size * start, 2 * step, src, 2 * k.vl, t.freqs)
    k.scatter(f.to.spectra + 2 * k.size * start + k.size, 2 * step, src + k.size * k.vl, 2 * k.vl, t.freqs)

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

cdef ptrdiff_t worker_bytes(const nd_problem *p, const Tiling *t) noexcept nogil:
    return 2 * t.z if t.lanes >= FILTER_GROUPS and p.ocg > 1 else t.z

cdef ptrdiff_t block_bytes(const nd_problem *p, const Tiling *t, ptrdiff_t freq) noexcept nogil:
    return 0 if t.lanes >= FILTER_GROUPS else whole_lines(p.g * t.freqs * freq * t.point)

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef Tiling t = choose_tiling(p, k, FORWARD)
    cdef Forward f
    set_forward(p, &t, &f)
    to.prepared = (whole_lines(sizeof(Tiling)) + tables_bytes(&t, k) + whole_lines(spectra_bytes(p, k, &t))
                   + p.g * p.ocg * p.icg * taps_of(p) * k.size)
    to.prepare_worker = t.z + whole_lines(t.spectrum)
    to.shared = block_bytes(p, &t, f.v_freq) + block_bytes(p, &t, f.y_freq)
    to.worker = worker_bytes(p, &t)

cdef void forward(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef const Tiling *t
    cdef Forward f
    cdef ptrdiff_t chunk
    f.job = job
    open_prepared(p, job.k, <const char *>job.w, &f.w)
    t = f.w.t
    set_forward(p, t, &f)
    f.v = job.workspace
    f.y = f.v + block_bytes(p, t, f.v_freq)
    f.z = f.y + block_bytes(p, t, f.y_freq)
    if t.lanes >= FILTER_GROUPS:
        parallel_for(t.units * (ceil_div(p.g, job.k.vl) if t.lanes == FILTER_GROUPS else p.g), 1, job.threads, filter_body, &f)
        return
    f.first = 0
    while f.first < t.units:
        f.count = min(t.block, t.units - f.first)
        chunk = ceil_div(65536, t.z)
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
        aim_input(&w, p, k, t, &f.job.x, f.first + unit, g * p.icg + c, 1, p.icg - c)
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
        s.run, s.a_run, s.a_k, s.a_im, s.a_row = STEPS, 0, 2, 1, 2 * p.icg
        s.b_k = s.c_row = t.block * point
        m, columns = p.ocg, f.count
    tiles = ceil_div(m, rows)
    for i in range(begin, end):
        c = f.y + i * f.y_freq * t.point
        if t.lanes == CHANNELS:
            a, b = f.v + i * f.v_freq * t.point, f.w.spectra + i * p.icg * t.ocv * t.point
        else:
            a, b = f.w.spectra + i * p.ocg * p.icg * 2 * k.size, f.v + i * f.v_freq * t.point
        first = 0
        while first < p.icg:
            s.k, s.add = min(p.icg - first, <ptrdiff_t>STEPS), first > 0
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
    cdef ptrdiff_t i, unit, g, v
    for i in range(begin, end):
        v, g, unit = i % t.ocv, i // t.ocv % p.g, i // t.ocv // p.g
        k.fft_join(z, f.y + t.point * (g * t.freqs * f.y_freq + (unit * t.ocv + v if t.lanes == CHANNELS else v * t.block + unit)),
                   f.y_freq * 2 * k.vl, f.w.tables.pairs, f.w.tables.turns, t.pairs)
        finish(f, z, f.first + unit, g, v * k.vl if t.lanes == CHANNELS else v)

cdef void filter_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """One input channel a group: whole tiles, from x to y."""
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *z = f.z + worker * worker_bytes(p, t)
    cdef char *to = z if p.ocg == 1 else z + t.z
    cdef bint groups = t.lanes == FILTER_GROUPS
    cdef ptrdiff_t i, unit, part, o, kernel = t.spectrum if groups else t.freqs * 2 * k.size
    cdef Window w
    for i in range(begin, end):
        unit, part = i % t.units, i // t.units
        aim_input(&w, p, k, t, &f.job.x, unit, part * k.vl if groups else part, 1, p.g - part * k.vl)
        load_tile(&w, k, t, z)
        transform(k, t, &f.w.tables, z, False)
        for o in range(p.ocg):
            k.fft_filter(to, z, f.w.spectra + (part * p.ocg + o) * kernel, groups, f.w.tables.pairs, f.w.tables.turns, t.pairs)
            finish(f, to, unit, part * k.vl if groups else part, o)

cdef void finish(Forward *f, char *z, ptrdiff_t unit, ptrdiff_t g, ptrdiff_t o) noexcept nogil:
    """Transforms a product back and stores it; g and o are those of the first lane."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef bint groups = t.lanes == FILTER_GROUPS
    cdef ptrdiff_t channel = g * p.ocg + o, step = p.ocg if groups else 1
    cdef char bias[64]
    cdef unsigned flags
    cdef int lane
    cdef Window w
    transform(k, t, &f.w.tables, z, True)
    aim_output(&w, p, k, t, &f.job.y, unit, channel, step, p.g - g if groups else p.ocg - o)
    memset(bias, 0, 64)
    if f.job.bias != NULL:
        if holds_tiles(t):
            k.copy(bias, <const char *>f.job.bias + k.size * channel, k.vl, 0)
        else:
            k.copy(bias, <const char *>f.job.bias + k.size * channel, w.lanes, step)
    flags = store_tile(&w, k, t, bias, z)
    for lane in range(w.lanes):
        if flags >> lane & 1:
            if holds_tiles(t):
                compute_tile(f, &w, lane, unit * k.vl + lane, g, o)
            elif groups:
                compute_tile(f, &w, lane, unit, g + lane, o)
            else:
                compute_tile(f, &w, lane, unit, g, o + lane)
    if not holds_tiles(t) and not groups:
        finish_tile(f, &w, 0, unit, channel, w.lanes)
    else:
        for lane in range(w.lanes):
            finish_tile(f, &w, lane, unit * k.vl + lane if holds_tiles(t) else unit,
                        channel + lane * step if groups else channel, 1)

cdef inline Pixel first_pixel(const Tiling *t, ptrdiff_t tile) noexcept nogil:
    cdef Pixel at
    at.n, tile = tile // t.tiles, tile % t.tiles
    at.w = tile % t.side[2].tiles * t.side[2].q
    at.h = tile // t.side[2].tiles % t.side[1].tiles * t.side[1].q
    at.d = tile // t.side[2].tiles // t.side[1].tiles * t.side[0].q
    return at

cdef void finish_tile(Forward *f, const Window *w, int lane, ptrdiff_t tile, ptrdiff_t channel,
                      ptrdiff_t channels) noexcept nogil:
    """Residual and activation on the outputs of a tile."""
    cdef Pixel first = first_pixel(f.w.t, tile), at = first
    cdef ptrdiff_t d, h
    for d in range(w.high[0][lane]):
        for h in range(w.high[1][lane]):
            at.d, at.h = first.d + d, first.h + h
            finish_pixels(f.job, channel, channels, at, w.high[2][lane])

cdef void compute_tile(Forward *f, const Window *w, int lane, ptrdiff_t tile, ptrdiff_t g, ptrdiff_t o) noexcept nogil:
    """The outputs of a tile by their definition."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef nd_array x = f.job.x
    cdef Pixel first = first_pixel(t, tile)
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t d, h, size = k.size
    cdef const char *bias = NULL
    if f.job.bias != NULL:
        bias = <const char *>f.job.bias + size * (g * p.ocg + o)
    x.data += size * (first.n * x.n + g * p.icg * x.c)
    at[2] = first.w
    for d in range(w.high[0][lane]):
        for h in range(w.high[1][lane]):
            at[0], at[1] = first.d + d, first.h + h
            k.conv_points(p, &x, f.w.raw + size * (g * p.ocg + o) * p.icg * taps_of(p), at, w.high[2][lane],
                          w.data[lane] + size * (d * w.step[0] + h * w.step[1]), w.step[2], bias)

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.weight_grad_bytes = fft_weight_grad_bytes
table.weight_grad = fft_weight_grad

METHOD = new_method("fft", "products of spectra, tile by tile", False,
                    "relative L2 error <= 5e-7 (float32), 1e-15 log2(tile) (float64)", lambda problem: None, &table)


def estimate(problem, prepared):
    """Cycles that one thread is expected to take, the estimate that tiles are chosen by; with those of the kernels' spectra
    unless they are prepared once for many calls."""
    cdef nd_problem p = forward_geometry(problem)
    cdef const nd_kernel_set *k = current_kernels().set[p.dtype]
    cdef Tiling t
    cdef double cycles = 0
    if problem.op == "weight_grad":
        return choose_tiling(&p, k, WEIGHT_GRAD).cycles
    for stage in stages_of(problem):
        p = stage_geometry(problem, stage)
        if taps_of(&p) * p.icg * p.ocg * p.od * p.oh * p.ow:
            t = choose_tiling(&p, k, FORWARD)
            cycles += p.n * t.cycles + (0 if prepared else t.prepare)
    return cycles
