# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Prepared weights of the fft method: the tiling, its tables, the kernels' spectra as its products read them, and the weights as
they are, for the tiles that are computed again."""
from ndconv._c cimport nd_kernel_set, nd_problem, nd_weights
from ndconv._fft_plan cimport (CHANNELS, FILTER_GROUPS, FILTER_PARTS, FILTER_TILES, FORWARD, Tiling, build_tables,
                               choose_tiling, open_tables, scale_of, spectra_bytes, tables_bytes)
from ndconv._fft_tile cimport Window, aim_parts, aim_taps, holds_tiles, load_tile, transform
from ndconv._pack cimport ceil_div, taps_of, whole_lines
from ndconv._runtime cimport parallel_for

cdef ptrdiff_t prepared_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    return (whole_lines(sizeof(Tiling)) + tables_bytes(t, k) + whole_lines(spectra_bytes(p, k, t))
            + p.g * p.ocg * p.icg * taps_of(p) * k.size)

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
        tasks = p.g * f.vectors * t.ic
    elif t.lanes == FILTER_GROUPS:
        f.vectors = ceil_div(p.g, k.vl)
        tasks = f.vectors * p.ocg
    else:
        f.vectors = ceil_div(p.g * p.ocg * t.parts, k.vl)
        tasks = f.vectors * t.ic
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
    """Spectra of one vector of kernels: lanes are output channels of a group, groups, both in turn, or parts of them."""
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
            c = i % t.ic
            first = i // t.ic % f.vectors * k.vl
            g, left = i // t.ic // f.vectors, p.ocg - first
            to = f.to.spectra + (g * t.freqs * t.ic + c) * t.ocv * t.point + first // k.vl * t.point
            step = t.ic * t.ocv * 2 * k.vl
        elif t.lanes == FILTER_GROUPS:
            o = i % p.ocg
            first = i // p.ocg * k.vl
            left = p.g - first
            to, step = f.to.spectra + i * t.spectrum, 2 * k.vl
        else:
            c = i % t.ic
            first = i // t.ic * k.vl
            left = p.g * p.ocg - first
            to, step = z + t.z, 2 * k.vl
        if t.lanes == FILTER_PARTS:
            aim_parts(&w, p, k, t, f.w, first)
        else:
            for lane in range(min(left, k.vl)):
                kernel = first + lane
                if t.lanes == CHANNELS:
                    o = kernel
                elif t.lanes == FILTER_GROUPS:
                    g = kernel
                else:
                    g, o = kernel // p.ocg, kernel % p.ocg
                w.data[lane] = f.w.data + k.size * (g * f.w.g + o * f.w.o)
            aim_taps(&w, k, t, f.w, c, <int>min(left, k.vl))
        load_tile(&w, k, t, z)
        transform(k, t, &f.to.tables, z, False)
        k.fft_split(to, step, z, f.to.tables.pairs, f.to.tables.turns, t.pairs, scale_of(t), -scale_of(t))
        if holds_tiles(t):
            for lane in range(w.lanes):
                deal_out(f, first + lane, c, to + k.size * lane)

cdef void deal_out(Prepare *f, ptrdiff_t kernel, ptrdiff_t c, const char *src) noexcept nogil:
    """One lane's spectrum as plain complex numbers: [g][o][frequency], [g][frequency][o][c] for products, or for parts
    (of which `kernel` counts all) [g][o][frequency][part]."""
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef const Tiling *t = f.to.t
    cdef ptrdiff_t step = p.ocg * t.ic, start = kernel // p.ocg * t.freqs * step + kernel % p.ocg * t.ic + c
    if t.lanes >= FILTER_TILES:
        step, start = t.parts, kernel // t.parts * t.freqs * t.parts + kernel % t.parts
    k.scatter(f.to.spectra + 2 * k.size * start, 2 * step, src, 2 * k.vl, t.freqs)
    k.scatter(f.to.spectra + 2 * k.size * start + k.size, 2 * step, src + k.size * k.vl, 2 * k.vl, t.freqs)
