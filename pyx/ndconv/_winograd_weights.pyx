# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weights of the winograd method: gathered to [ic][tap][nr], then transformed to points, a panel of output channels and some
input channels at a time.

    prepared    U [g][point][panel][kd][cell][ic][nr], then the weights [g][panel][kd][ic][tap][nr], for tiles that are computed
                again
"""
from libc.string cimport memcpy, memset

from ndconv._c cimport nd_kernel_set, nd_problem, nd_weights
from ndconv._pack cimport ceil_div, whole_lines
from ndconv._runtime cimport parallel_for
from ndconv._winograd_plan cimport Tiling

cdef extern from *:
    void __builtin_prefetch(const void *address) nogil

cdef enum:
    AHEAD = 8                # channels of weights that are asked for before they are read, where each is far from the other
    LINE = 64

cdef ptrdiff_t plain_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, ptrdiff_t g, ptrdiff_t panel,
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

cdef ptrdiff_t cell_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of the weights of a cell, a panel and WEIGHTS channels."""
    return 0 if t.cells * t.cells_y == 1 else whole_lines(WEIGHTS * t.v.taps * t.v.taps * k.nr * k.size)

cdef ptrdiff_t tap_of_cell(const Tiling *t, ptrdiff_t taps, ptrdiff_t cell, ptrdiff_t i) noexcept nogil:
    """Which of a kernel's taps is tap i of a cell: one outside of 0 to taps - 1 if the cell has one tap less, and that is its
    last one."""
    return cell + 2 * i if t.cells_y == 1 else 2 * (t.v.taps - 1 - i) + cell - taps % 2

cdef void transform_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, char *to, ptrdiff_t point,
                            ptrdiff_t rows, const char *plain, ptrdiff_t channels, char *cell) noexcept nogil:
    """Gathered weights to points; those of the cells, of x or of y, are `rows` channels apart."""
    cdef ptrdiff_t taps = t.v.taps, bytes = k.nr * k.size, h, w, c, i, r, s
    if t.cells * t.cells_y == 1:
        k.winograd_weights(&t.v, to, point, plain, channels, k.nr)
        return
    for h in range(2):
        for w in range(2):
            for i in range(channels * taps * taps):
                c = i // (taps * taps)
                r, s = tap_of_cell(t, p.kh, h, i // taps % taps), tap_of_cell(t, p.kw, w, i % taps)
                if 0 <= r < p.kh and 0 <= s < p.kw:
                    memcpy(cell + i * bytes, plain + ((c * p.kh + r) * p.kw + s) * bytes, bytes)
                else:
                    memset(cell + i * bytes, 0, bytes)
            k.winograd_weights(&t.v, to, point, cell, channels, k.nr)
            to += rows * bytes

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    const Tiling *t
    char *to
    char *cells              # of the workers

cdef void prepare_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_weights *w, void *to,
                          char *workspace, int threads) noexcept nogil:
    cdef Prepare f
    f.p, f.k, f.w, f.t, f.to, f.cells = p, k, w, t, <char *>to, workspace
    parallel_for(p.g * t.panels * p.kd * ceil_div(p.icg, WEIGHTS), 1, threads, prepare_body, &f)

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
        plain = f.to + k.size * plain_weights(p, k, f.t, g, v, d, c0)
        gather(p, k, f.w, g, v, d, c0, count, plain)
        to = f.to + k.size * (g * f.t.points * f.t.u_point + ((v * p.kd + d) * f.t.cells * f.t.cells_y * p.icg + c0) * k.nr)
        transform_weights(p, k, f.t, to, f.t.u_point, p.icg, plain, count, f.cells + worker * cell_bytes(k, f.t))
