# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients in the frequency domain: dw[t] = sum over images and outputs i of dy[i] x[i*stride + t*dilation - padding].

    dW = inverse(sum over tiles of transform(x) * conj(transform(dy)))

A tile holds the inputs of q outputs, as in the forward pass, and their dy at multiples of the stride; the lags 0 to reach-1
of their correlation are right, and those at multiples of the dilation are kept. Spectra are summed over tiles before the
one inverse. With lanes of channels,

    for blocks of tiles
        for tile, vector of channels:   V[g][frequency][tile][ic] and D[g][frequency][tile][oc], conjugated and scaled
        for g, frequency:               S[ic][oc] += sum over tiles of V[tile][ic] * D[tile][oc]
    for g, ic, vector of oc:            inverse, store the taps   <- S[g][frequency][ic][oc]

and with one input and one output channel a group a task transforms its share of the tiles and adds them up point by point;
lanes of groups store theirs, lanes of tiles are added in their order. Shares depend on the problem alone, so bits do not
depend on threads. A kernel's gradient that is not finite is computed again by its definition, tap by tap.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_problem, nd_product, nd_weights
from ndconv._fft_plan cimport (CHANNELS, FILTER_GROUPS, WEIGHT_GRAD, Tables, Tiling, build_tables, choose_tiling, open_tables,
                               scale_of, spectra_bytes, tables_bytes)
from ndconv._fft_tile cimport (Window, aim_input, aim_output, aim_taps, holds_tiles, load_tile, store_tile, transform)
from ndconv._pack cimport ceil_div, split, whole_lines
from ndconv._runtime cimport parallel_for

cdef enum:
    SHARES = 8      # of the tiles of a filter, at most

cdef struct Grad:
    const nd_job *job
    Tiling t
    Tables tables
    ptrdiff_t v_freq, d_freq      # points from frequency to frequency of V and D
    ptrdiff_t filters, shares     # vectors of filters (or filters), shares of the tiles of each
    ptrdiff_t worker              # bytes of a worker's scratch
    ptrdiff_t first, count        # units of this block
    char *sums
    char *v
    char *d
    char *z

cdef void set_sizes(const nd_problem *p, const nd_kernel_set *k, Grad *f) noexcept nogil:
    cdef Tiling *t = &f.t
    t[0] = choose_tiling(p, k, WEIGHT_GRAD)
    f.v_freq, f.d_freq = t.block * t.icv | 1, t.block * t.ocv | 1
    f.filters = ceil_div(p.g, k.vl) if t.lanes == FILTER_GROUPS else p.g
    f.shares = max(min(min(t.units, ceil_div(SHARES, f.filters)), SHARES), 1)
    f.worker = t.z if t.lanes == CHANNELS else t.z + 2 * whole_lines(t.spectrum)

cdef ptrdiff_t sums_bytes(const nd_problem *p, const nd_kernel_set *k, const Grad *f) noexcept nogil:
    if f.t.lanes == CHANNELS:
        return whole_lines(spectra_bytes(p, k, &f.t))
    return f.filters * f.shares * whole_lines(f.t.spectrum)

cdef ptrdiff_t block_bytes(const nd_problem *p, const Grad *f, ptrdiff_t freq) noexcept nogil:
    return whole_lines(p.g * f.t.freqs * freq * f.t.point) if f.t.lanes == CHANNELS else 0

cdef size_t fft_weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef Grad f
    set_sizes(p, k, &f)
    return (tables_bytes(&f.t, k) + sums_bytes(p, k, &f) + block_bytes(p, &f, f.v_freq) + block_bytes(p, &f, f.d_freq)
            + threads * f.worker)

cdef void fft_weight_grad(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef Grad f
    cdef Tiling *t = &f.t
    cdef ptrdiff_t chunk
    f.job = job
    set_sizes(p, job.k, &f)
    open_tables(t, job.k, job.workspace, &f.tables)
    build_tables(t, job.k, job.workspace, job.threads)
    f.sums = job.workspace + tables_bytes(t, job.k)
    f.v = f.sums + sums_bytes(p, job.k, &f)
    f.d = f.v + block_bytes(p, &f, f.v_freq)
    f.z = f.d + block_bytes(p, &f, f.d_freq)
    if t.lanes != CHANNELS:
        parallel_for(f.filters * f.shares, 1, job.threads, filter_body, &f)
        parallel_for(f.filters, 1, job.threads, filter_inverse_body, &f)
        return
    f.first = 0
    chunk = ceil_div(65536, t.z)
    while f.first < t.units:
        f.count = min(t.block, t.units - f.first)
        parallel_for(f.count * p.g * (t.icv + t.ocv), chunk, job.threads, transform_body, &f)
        parallel_for(p.g * t.freqs, ceil_div(4096, f.count * t.ic * t.ocv), job.threads, multiply_body, &f)
        f.first += f.count
    parallel_for(p.g * t.ic * t.ocv, chunk, job.threads, inverse_body, &f)

cdef void transform_input(Grad *f, char *z, ptrdiff_t unit, ptrdiff_t group, ptrdiff_t channel, char *to,
                          ptrdiff_t step) noexcept nogil:
    cdef const nd_kernel_set *k = f.job.k
    cdef Window w
    aim_input(&w, f.job.p, k, &f.t, &f.job.x, unit, group, channel)
    load_tile(&w, k, &f.t, z)
    transform(k, &f.t, &f.tables, z, False)
    k.fft_split(to, step, z, f.tables.pairs, f.tables.turns, f.t.pairs, 1, 1)

cdef void transform_gradient(Grad *f, char *z, ptrdiff_t unit, ptrdiff_t channel, ptrdiff_t left, char *to,
                             ptrdiff_t step) noexcept nogil:
    """dy at multiples of the stride; its spectrum conjugated, and scaled for the whole."""
    cdef const nd_kernel_set *k = f.job.k
    cdef Window w
    aim_output(&w, f.job.p, k, &f.t, &f.job.y, unit, channel, 1, left)
    load_tile(&w, k, &f.t, z)
    transform(k, &f.t, &f.tables, z, False)
    k.fft_split(to, step, z, f.tables.pairs, f.tables.turns, f.t.pairs, scale_of(&f.t), -scale_of(&f.t))

# ------------------------------------------------------------------------------------ channels

cdef void transform_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Grad *f = <Grad *>context
    cdef const nd_problem *p = f.job.p
    cdef Tiling *t = &f.t
    cdef char *z = f.z + worker * f.worker
    cdef ptrdiff_t i, v, g, unit, vl = f.job.k.vl
    for i in range(begin, end):
        v, g, unit = i % (t.icv + t.ocv), i // (t.icv + t.ocv) % p.g, i // (t.icv + t.ocv) // p.g
        if v < t.icv:
            transform_input(f, z, f.first + unit, g, v * vl,
                            f.v + t.point * (g * t.freqs * f.v_freq + unit * t.icv + v), f.v_freq * 2 * vl)
        else:
            v -= t.icv
            transform_gradient(f, z, f.first + unit, g * p.ocg + v * vl, p.ocg - v * vl,
                               f.d + t.point * (g * t.freqs * f.d_freq + unit * t.ocv + v), f.d_freq * 2 * vl)

cdef void multiply_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """S[ic][oc] += sum over the block's tiles, at frequencies i. Rows of a register tile are neighbouring lanes of V."""
    cdef Grad *f = <Grad *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Tiling *t = &f.t
    cdef ptrdiff_t i, c, m, v, row, point = 2 * k.vl, most = k.nr // k.vl
    cdef const char *a
    cdef const char *b
    cdef char *to
    cdef nd_product s
    s.k = s.run = f.count
    s.add = f.first > 0
    s.a_run, s.a_k, s.a_im, s.a_row = 0, t.icv * point, k.vl, 1
    s.b_k = s.c_row = t.ocv * point
    for i in range(begin, end):
        v = 0
        while v < t.ocv:
            c = 0
            while c < t.ic:
                m = min(min(k.mr // 2, t.ic - c), k.vl - c % k.vl)
                a = f.v + t.point * (i * f.v_freq + c // k.vl) + k.size * (c % k.vl)
                b = f.d + t.point * (i * f.d_freq + v)
                to = f.sums + t.point * ((i * t.ic + c) * t.ocv + v)
                k.fft_multiply(&s, m, min(most, t.ocv - v), a, b, to)
                c += m
            v += most

cdef void inverse_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Grad *f = <Grad *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Tiling *t = &f.t
    cdef char *z = f.z + worker * f.worker
    cdef ptrdiff_t i, v, c, g, lane
    cdef nd_weights *dw = <nd_weights *>&f.job.dw
    cdef Window w
    for i in range(begin, end):
        v, c, g = i % t.ocv, i // t.ocv % t.ic, i // t.ocv // t.ic
        k.fft_join(z, f.sums + t.point * ((g * t.freqs * t.ic + c) * t.ocv + v), t.ic * t.ocv * 2 * k.vl, f.tables.pairs,
                   f.tables.turns, t.pairs)
        for lane in range(min(k.vl, p.ocg - v * k.vl)):
            w.data[lane] = dw.data + k.size * (g * dw.g + (v * k.vl + lane) * dw.o)
        aim_taps(&w, k, t, dw, c, <int>min(k.vl, p.ocg - v * k.vl))
        store_taps(f, &w, z, g, v * k.vl, c)

cdef void store_taps(Grad *f, const Window *w, char *z, ptrdiff_t g, ptrdiff_t o, ptrdiff_t c) noexcept nogil:
    """Transforms sums back and stores them; lanes are output channels from o on, or (filters) groups from g on."""
    cdef const nd_kernel_set *k = f.job.k
    cdef char zero[64]
    cdef unsigned flags
    cdef int lane
    memset(zero, 0, 64)
    transform(k, &f.t, &f.tables, z, True)
    flags = store_tile(w, k, &f.t, zero, z)
    for lane in range(w.lanes):
        if flags >> lane & 1 and f.t.lanes == CHANNELS:
            compute_taps(f, w, lane, g, o + lane, c)
        elif flags >> lane & 1:
            compute_taps(f, w, lane, g + lane, 0, 0)

cdef void compute_taps(Grad *f, const Window *w, int lane, ptrdiff_t g, ptrdiff_t o, ptrdiff_t c) noexcept nogil:
    """One kernel's gradient by its definition; c is one of t.ic."""
    cdef const nd_problem *p = f.job.p
    cdef nd_array x = f.job.x, dy = f.job.y
    cdef ptrdiff_t tap[3]
    cdef ptrdiff_t split[3]
    cdef ptrdiff_t d, h, i, size = f.job.k.size
    x.data += size * (g * p.icg + c % p.icg) * x.c
    dy.data += size * (g * p.ocg + o) * dy.c
    c //= p.icg
    for i in range(2, -1, -1):
        split[i] = c % f.t.side[i].split
        c //= f.t.side[i].split
    for d in range(w.high[0][lane]):
        for h in range(w.high[1][lane]):
            for i in range(w.high[2][lane]):
                tap[0], tap[1] = split[0] + d * f.t.side[0].split, split[1] + h * f.t.side[1].split
                tap[2] = split[2] + i * f.t.side[2].split
                f.job.k.grad_point(p, &x, &dy, tap, w.data[lane] + size * (d * w.step[0] + h * w.step[1] + i * w.step[2]))

# ------------------------------------------------------------------------------------- filters

cdef void filter_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """The sum of one share of a filter's tiles."""
    cdef Grad *f = <Grad *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Tiling *t = &f.t
    cdef char *z = f.z + worker * f.worker
    cdef char *x = z + t.z
    cdef char *dy = x + whole_lines(t.spectrum)
    cdef char *sums
    cdef ptrdiff_t i, unit, channel, left
    for i in range(begin, end):
        sums = f.sums + i * whole_lines(t.spectrum)
        channel = i // f.shares * (k.vl if t.lanes == FILTER_GROUPS else 1)
        left = p.g - channel
        memset(sums, 0, t.spectrum)
        for unit in range(split(t.units, f.shares, i % f.shares), split(t.units, f.shares, i % f.shares + 1)):
            transform_input(f, z, unit, channel, 0, x, 2 * k.vl)
            transform_gradient(f, z, unit, channel, left, dy, 2 * k.vl)
            clear_spare_lanes(f, unit, dy)
            k.fft_accumulate(sums, x, dy, t.freqs)

cdef void clear_spare_lanes(Grad *f, ptrdiff_t unit, char *spectrum) noexcept nogil:
    """Lanes of tiles beyond the last repeat another tile; they must not be added."""
    cdef const nd_kernel_set *k = f.job.k
    cdef ptrdiff_t i, used
    if not holds_tiles(&f.t):
        return
    used = f.job.p.n * f.t.tiles - unit * k.vl
    if used < k.vl:
        for i in range(2 * f.t.freqs):
            memset(spectrum + k.size * (i * k.vl + used), 0, k.size * (k.vl - used))

cdef void filter_inverse_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Grad *f = <Grad *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef Tiling *t = &f.t
    cdef char *z = f.z + worker * f.worker
    cdef char *sums
    cdef ptrdiff_t i, share, lane, g, lanes
    cdef nd_weights *dw = <nd_weights *>&f.job.dw
    cdef Window w
    for i in range(begin, end):
        sums = f.sums + i * f.shares * whole_lines(t.spectrum)
        for share in range(1, f.shares):
            k.add(sums, 1, sums + share * whole_lines(t.spectrum), t.freqs * 2 * k.vl)
        g, lanes = i, 1
        if t.lanes == FILTER_GROUPS:
            g, lanes = i * k.vl, min(k.vl, p.g - i * k.vl)
        else:
            for share in range(2 * t.freqs):
                add_lanes(k, sums + share * k.vl * k.size)
        k.fft_join(z, sums, 2 * k.vl, f.tables.pairs, f.tables.turns, t.pairs)
        for lane in range(lanes):
            w.data[lane] = dw.data + k.size * (g + lane) * dw.g
        aim_taps(&w, k, t, dw, 0, <int>lanes)
        store_taps(f, &w, z, g, 0, 0)

cdef void add_lanes(const nd_kernel_set *k, char *vector) noexcept nogil:
    """Lane 0 of a vector of tiles becomes the sum of all."""
    cdef double total = k.sum(vector, k.vl, 1)
    if k.size == 4:
        (<float *>vector)[0] = <float>total
    else:
        (<double *>vector)[0] = total
