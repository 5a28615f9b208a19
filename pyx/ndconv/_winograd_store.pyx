# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Results of the winograd method: from M to y, a row of tiles and a panel of output channels at a time, with what a plan does to
results. A tile whose result is not finite is computed again by its definition.

Channels that are next to each other in y are written where they belong. Others are turned, by way of [row][column][nr], and so
are the four cells of y that a transposed problem with strides of 2 has: neighbouring columns of y belong to two of them.
"""
from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_problem, nd_weights
from ndconv._pack cimport Pixel, ceil_div, finish_pixels, whole_lines
from ndconv._winograd_plan cimport Block, Tiling, View, before_results, view_of
from ndconv._winograd_tile cimport ask_for
from ndconv._winograd_weights cimport plain_weights, tap_of_cell

cdef ptrdiff_t out_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Of results of a row of tiles, a panel of channels; of cells of y, of those with neighbouring columns."""
    return whole_lines(t.mh * t.columns * t.mw * k.nr * k.size * (2 if t.cells_y > 1 else 1))

cdef void store_rows(Forward *f, const Block *b, ptrdiff_t first, ptrdiff_t last, ptrdiff_t v0, ptrdiff_t v1, const char *m,
                     char *edge) noexcept nogil:
    """Results of rows first to last of a block's tiles, panels v0 to v1; M begins with the first of these."""
    cdef const nd_problem *p = f.job.p
    cdef const Tiling *t = &f.t
    cdef ptrdiff_t panel, o, r, low = v0 * f.job.k.nr, high = min(v1 * f.job.k.nr, p.ocg)
    cdef const char *from_panel
    cdef View view
    for o in range(b.depth):
        for r in range(first, last):
            view = view_of(p, t, &f.job.x, &f.job.y, b.g, (b.line + r) // t.th)
            view.y.at += (b.plane + o) * f.job.y.d
            for panel in range(v0, v1):
                from_panel = m + f.job.k.size * ((o * b.rows + r) * b.columns * t.m_row + (panel - v0) * t.width)
                if t.cells_y > 1:
                    store_cells(f, b, &view, (b.line + r) % t.th, b.plane + o, panel, from_panel, edge)
                else:
                    store_line(f, b, &view, (b.line + r) % t.th, b.plane + o, panel, from_panel, edge)
            if t.cells_y > 1:
                finish_cells(f, b, &view, (b.line + r) % t.th, b.plane + o, low, high)
            else:
                finish_line(f, b, &view, (b.line + r) % t.th, b.plane + o, low, high)

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
            compute_tile(f, b, view, line, b.first + j, plane, panel, 0, to + size * j * t.mw * col, row, col,
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

# The part of y that the cells of a row of tiles are: rows 2i + cell - before of y for i from `first` on, and columns from
# `left` on, of which the first `skip` of a row of results lie before y.
cdef struct Pairs:
    ptrdiff_t first, rows, before, left, skip, columns

cdef Pairs pairs_of(const Forward *f, const Block *b, const View *view, ptrdiff_t line) noexcept nogil:
    cdef const nd_problem *p = f.whole.p
    cdef Pairs s
    s.first, s.before = line * f.t.mh, before_results(p.kh, p.ph)
    s.rows = min(f.t.mh, view.y.h - s.first)
    s.left = 2 * b.first * f.t.mw - before_results(p.kw, p.pw)
    s.skip = max(-s.left, 0)
    s.left += s.skip
    s.columns = min(2 * b.columns * f.t.mw - s.skip, p.ow - s.left)
    return s

cdef void finish_cells(Forward *f, const Block *b, const View *view, ptrdiff_t line, ptrdiff_t plane, ptrdiff_t c0,
                       ptrdiff_t c1) noexcept nogil:
    """Residual and activation on channels c0 to c1 of the cells of a row of tiles."""
    cdef Pairs s = pairs_of(f, b, view, line)
    cdef ptrdiff_t row
    cdef Pixel at
    at.n, at.d = view.image, plane
    for row in range(max(2 * s.first - s.before, 0), min(2 * (s.first + s.rows) - s.before, f.whole.p.oh)):
        at.h, at.w = row, s.left
        finish_pixels(f.whole, b.g * f.job.p.ocg + c0, c1 - c0, at, s.columns)

cdef void store_cells(Forward *f, const Block *b, const View *view, ptrdiff_t line, ptrdiff_t plane, ptrdiff_t panel,
                      const char *m, char *edge) noexcept nogil:
    """The cells of one row of tiles and one panel, by way of [row][column][nr]: cells with neighbouring columns take turns."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, channels = min(p.ocg - panel * k.nr, k.nr), columns = b.columns * t.mw
    cdef ptrdiff_t cell, i, j, row, width = min(columns, view.y.w - b.first * t.mw)
    cdef const char *bias = <const char *>f.job.bias
    cdef const char *src
    cdef char *to
    cdef Pairs s = pairs_of(f, b, view, line)
    if bias != NULL:
        bias += size * (b.g * p.ocg + panel * k.nr)
    for cell in range(4):
        for j in range(b.columns):
            to = edge + size * (2 * j * t.mw + cell % 2) * k.nr
            if k.winograd_output(&t.v, to, 2 * columns * k.nr, 2 * k.nr, m + size * (j * t.m_row + cell * k.nr), t.m_point,
                                 s.rows, min(t.mw, width - j * t.mw), channels, bias):
                compute_tile(f, b, view, line, b.first + j, plane, panel, cell, to, 2 * columns * k.nr, 2 * k.nr,
                             edge + out_bytes(k, t))
        if cell % 2 == 0:
            continue
        for i in range(s.rows):
            row = 2 * (s.first + i) + cell // 2 - s.before
            if not 0 <= row < f.whole.p.oh:
                continue
            src = edge + size * (2 * i * columns + s.skip) * k.nr
            to = y.data + size * (view.y.at + panel * k.nr * y.c + row * y.h + s.left * y.w)
            if y.c == 1:
                k.move(to, y.w, src, s.columns, channels, k.nr, 1)
            elif y.w == 1:
                k.move(to, y.c, src, channels, s.columns, 1, k.nr)
            else:
                for j in range(channels):
                    k.scatter(to + size * j * y.c, y.w, src + size * j, k.nr, s.columns)

cdef void compute_tile(Forward *f, const Block *b, const View *view, ptrdiff_t line, ptrdiff_t column, ptrdiff_t plane,
                       ptrdiff_t panel, ptrdiff_t cell, char *to, ptrdiff_t row, ptrdiff_t col, char *w) noexcept nogil:
    """The results of a tile, of a cell of y if it has some, by their definition; w has room for a kernel."""
    cdef nd_problem p = f.job.p[0]
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = &f.t
    cdef nd_array x = f.job.x
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t i, j, c, o, size = k.size
    x.data += size * (view.image * x.n + b.g * p.icg * x.c)
    at[0] = plane
    if t.cells_y > 1:       # what has one tap less sees less
        p.kh -= f.whole.p.kh % 2 == 1 and cell < 2
        p.kw -= f.whole.p.kw % 2 == 1 and cell % 2 == 0
    for c in range(min(p.ocg - panel * k.nr, k.nr)):
        o = b.g * p.ocg + panel * k.nr + c
        copy_kernel(f, &p, b.g, panel, c, cell, w)
        for i in range(min(t.mh, view.y.h - line * t.mh)):
            at[1] = view.at_h + (line * t.mh + i) * t.phases_h
            for j in range(min(t.mw, view.y.w - column * t.mw)):
                at[2] = view.at_w + (column * t.mw + j) * t.phases_w
                k.conv_points(&p, &x, w, at, 1, to + size * (i * row + j * col + c), 1,
                              NULL if f.job.bias == NULL else <const char *>f.job.bias + size * o)

cdef void copy_kernel(Forward *f, const nd_problem *p, ptrdiff_t g, ptrdiff_t panel, ptrdiff_t o, ptrdiff_t cell,
                      char *to) noexcept nogil:
    """The weights [ic][kd][kh][kw] of output channel o of a panel; those of a cell of y are every second tap, the last first."""
    cdef const nd_problem *whole = f.whole.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_weights *w = &f.job.fresh
    cdef ptrdiff_t i, d, c, r, tap, size = k.size, left = 0, step = 1
    if f.t.cells_y > 1:
        left, step = tap_of_cell(&f.t, whole.kw, cell % 2, 0), -2
    for i in range(p.kd * p.icg):
        d, c = i % p.kd, i // p.kd
        for r in range(p.kh):
            tap = tap_of_cell(&f.t, whole.kh, cell // 2, r) if f.t.cells_y > 1 else r
            if f.job.w != NULL:
                k.copy(to, <const char *>f.job.w + size * (plain_weights(whole, k, &f.t, g, panel, d, c)
                                                           + (tap * whole.kw + left) * k.nr + o), p.kw, step * k.nr)
            else:
                k.copy(to, w.data + size * (g * w.g + (panel * k.nr + o) * w.o + c * w.c + d * w.d + tap * w.h + left * w.w),
                       p.kw, step * w.w)
            to += size * p.kw
