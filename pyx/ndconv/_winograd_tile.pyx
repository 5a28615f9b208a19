# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Tiles of the winograd method to their points, with channels in the lanes.

Channels that are next to each other in memory are read where they are. Others are gathered first, a few channels of the rows
that some rows of tiles see at a time (10 rows of 58 pixels: 37 KiB), turned in registers. Nothing outside an array is read:
what a tile has there is zero, without a padded copy. Of a stride of 2 each cell, every second row and column, has tiles of its
own; gathered rows serve both of their cells.
"""
from libc.string cimport memset

from ndconv._c cimport ND_NOWHERE, nd_job, nd_kernel_set, nd_problem, nd_source
from ndconv._outside cimport copy_cells
from ndconv._pack cimport ceil_div, whole_lines
from ndconv._winograd_plan cimport Block, Plane, Tiling, View, columns_of_cell, rows_of_cell, view_of

cdef extern from *:
    void __builtin_prefetch(const void *address, int write, int locality) nogil

# Where tiles of one plane come from and go to.
cdef struct Source:
    const char *data
    Plane plane                  # of one cell's rows, and all columns
    ptrdiff_t channel            # elements between channels
    ptrdiff_t rows, cols         # extents of a tile
    ptrdiff_t point, tile        # elements between its points, and between tiles
    bint gradient

cdef void ask_for(const char *first, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t bytes) noexcept nogil:
    """So many bytes of each row will be needed in L2."""
    cdef ptrdiff_t i, j
    for i in range(rows):
        for j in range(bytes // 64 + 1):
            __builtin_prefetch(first + i * step + j * 64, 0, 2)

cdef ptrdiff_t gathered_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    cdef ptrdiff_t lines = 1 if t.common else t.rows
    return whole_lines((lines * t.mh + t.v.points_h) * (t.columns * t.mw + t.v.points_w) * t.cells_w * 2 * k.vl * k.size)

cdef inline ptrdiff_t vectors_of(const nd_kernel_set *k, ptrdiff_t channels) noexcept nogil:
    """Gathered pixels have room for whole vectors, and nobody reads what becomes of channels that are none."""
    return ceil_div(channels, k.vl) * k.vl

cdef inline void set_clip(ptrdiff_t *clip, ptrdiff_t start, ptrdiff_t extent, ptrdiff_t tile) noexcept nogil:
    """The part of a tile's axis that lies in the array."""
    clip[0] = min(max(-start, 0), tile)
    clip[1] = max(min(extent - start, tile), clip[0])

cdef void transform_rows(const nd_job *job, const Tiling *t, const Block *b, bint gradient, ptrdiff_t first, ptrdiff_t last,
                         ptrdiff_t c0, ptrdiff_t c1, char *v, char *edge) noexcept nogil:
    """Points of rows first to last of a block's tiles, channels c0 to c1 of x, or of a gradient of its results."""
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t q, r, count, d, i, cell, extent = p.od if gradient else p.id, size = job.k.size
    cdef char *to
    cdef View view
    cdef Source s
    s.gradient = gradient
    s.channel = job.y.c if gradient else job.x.c
    if gradient:
        s.rows, s.cols, s.point, s.tile = t.mh, t.mw, t.m_point, t.m_row
    else:
        s.rows, s.cols, s.point, s.tile = t.v.points_h, t.v.points_w, t.v_point, t.icp
    for i in range((b.depth if gradient else b.depth + (p.kd - 1) * p.dd) * t.cells_h):
        q, cell = i // t.cells_h, i % t.cells_h
        d = b.plane + q if gradient else (b.plane + q) * p.sd - p.pd    # a stride of the depth has one tap
        r = first
        while r < last:
            count = min(last - r, t.th - (b.line + r) % t.th)      # of the same image
            to = v + size * (i * t.cells_w * b.rows + r) * b.columns * s.tile
            if p.bordered and not gradient and nd_source(&p.outside[0], d, p.id) != ND_NOWHERE:
                view = view_of(p, t, &job.x, &job.y, b.g, (b.line + r) // t.th)
                transform_bordered(job, t, b, &s, &view, d, cell, (b.line + r) % t.th, count, c0, c1, to, edge)
            elif 0 <= d < extent:
                view = view_of(p, t, &job.x, &job.y, b.g, (b.line + r) // t.th)
                s.plane = rows_of_cell(&view.y if gradient else &view.x, cell, t.cells_h)
                s.data = job.y.data if gradient else job.x.data
                s.data += size * d * (job.y.d if gradient else job.x.d)
                transform_lines(job.k, t, b, &s, (b.line + r) % t.th, count, c0, c1, to, edge)
            else:
                zero_lines(t, b, &s, count, size * c0, (c1 - c0) * size, size, to)
            r += count

cdef void zero_lines(const Tiling *t, const Block *b, const Source *s, ptrdiff_t count, ptrdiff_t start, ptrdiff_t bytes,
                     ptrdiff_t size, char *to) noexcept nogil:
    """Points of rows of tiles that lie outside the depth."""
    cdef ptrdiff_t i, cell
    for cell in range(t.cells_w):
        for i in range(t.points * count * b.columns):
            memset(to + size * (i % t.points * s.point + i // t.points * s.tile) + start, 0, bytes)
        to += size * b.rows * b.columns * s.tile

cdef void transform_bordered(const nd_job *job, const Tiling *t, const Block *b, Source *s, const View *view, ptrdiff_t d,
                             ptrdiff_t cell, ptrdiff_t line, ptrdiff_t count, ptrdiff_t c0, ptrdiff_t c1, char *to,
                             char *edge) noexcept nogil:
    """The same of neighbouring rows of a plane of x, where what is outside is not zero. With channels next to each other, tiles
    that lie in x are read where they are."""
    cdef ptrdiff_t size = job.k.size, i, j, h, left, right
    cdef Plane rows = rows_of_cell(&view.x, cell, t.cells_h), p
    cdef Block part = b[0]
    cdef char *at
    for j in range(t.cells_w):
        at = to + size * j * b.rows * b.columns * s.tile
        if s.channel != 1:
            transform_gathered(job, t, b, s, view, d, cell, j, line, count, c0, c1, at, edge)
            continue
        p = columns_of_cell(&rows, j, t.cells_w)
        for i in range(count):
            h = (line + i) * t.mh - p.ph
            left = right = b.columns
            if 0 <= d < job.p.id and h >= 0 and h + s.rows <= p.h:
                left = min(ceil_div(max(p.pw - b.first * t.mw, 0), t.mw), b.columns)
                right = max(min((p.w + p.pw - s.cols) // t.mw + 1 - b.first if p.w + p.pw >= s.cols else 0, b.columns), left)
            part.first, part.columns = b.first, left
            transform_gathered(job, t, &part, s, view, d, cell, j, line + i, 1, c0, c1, at, edge)
            part.first, part.columns = b.first + left, right - left
            transform_tiles(job.k, t, &part, s, &p, line + i, 1, job.x.data + size * (p.at + d * job.x.d + c0), p.row, p.col,
                            c1 - c0, at + size * (left * s.tile + c0))
            part.first, part.columns = b.first + right, b.columns - right
            transform_gathered(job, t, &part, s, view, d, cell, j, line + i, 1, c0, c1, at + size * right * s.tile, edge)
            at += size * b.columns * s.tile

cdef void transform_gathered(const nd_job *job, const Tiling *t, const Block *b, const Source *s, const View *view, ptrdiff_t d,
                             ptrdiff_t cell_h, ptrdiff_t cell_w, ptrdiff_t line, ptrdiff_t count, ptrdiff_t c0, ptrdiff_t c1,
                             char *to, char *edge) noexcept nogil:
    """The same, with all that the tiles see gathered, whether in x or outside."""
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t size = job.k.size, step = 2 * job.k.vl, width = (b.columns - 1) * t.mw + s.cols, c = c0, i
    # of the first row and column, in x as a whole
    cdef ptrdiff_t h = view.at_h - p.ph + (cell_h + line * t.mh * t.cells_h) * t.phases_h
    cdef ptrdiff_t w = view.at_w - p.pw + (cell_w + b.first * t.mw * t.cells_w) * t.phases_w
    cdef Plane gathered
    cdef Block part = b[0]
    gathered.h = gathered.w = <ptrdiff_t>1 << 60
    gathered.ph = gathered.pw = part.first = 0
    while c < c1 and b.columns > 0:
        for i in range((count - 1) * t.mh + s.rows):
            copy_cells(p, job.k, job.x.data + size * (view.image * job.x.n + (b.g * p.icg + c) * job.x.c), &job.x, d,
                       h + i * t.cells_h * t.phases_h, w, t.cells_w * t.phases_w, width, min(step, c1 - c),
                       edge + size * i * width * step, step, 1)
        transform_tiles(job.k, t, &part, s, &gathered, 0, count, edge, width * step, step, vectors_of(job.k, min(step, c1 - c)),
                        to + size * c)
        c += step

cdef void transform_lines(const nd_kernel_set *k, const Tiling *t, const Block *b, const Source *s, ptrdiff_t line,
                          ptrdiff_t count, ptrdiff_t c0, ptrdiff_t c1, char *to, char *edge) noexcept nogil:
    """The same of neighbouring rows of a plane."""
    cdef const Plane *p = &s.plane
    cdef ptrdiff_t size = k.size, step = 2 * k.vl, cells = t.cells_w, cell, h, w, low, high, width, top, bottom, part, c, i, start
    cdef ptrdiff_t next_cell = b.rows * b.columns * s.tile
    cdef Plane q
    if s.channel == 1:
        for cell in range(cells):
            q = columns_of_cell(p, cell, cells)
            transform_tiles(k, t, b, s, &q, line, count, s.data + size * (q.at + c0), q.row, q.col, c1 - c0,
                            to + size * (cell * next_cell + c0))
        return
    h, w = line * t.mh - p.ph, b.first * t.mw * cells - p.pw
    width = ((b.columns - 1) * t.mw + s.cols) * cells
    low, high = max(w, 0), min(w + width, p.w)
    for part in range(ceil_div(c1 - c0, step)):
        c = c0 + part * step
        top, bottom = max(h, 0), min(h + (count - 1) * t.mh + s.rows, p.h)
        if p.col == 1 and p.row == width == high - low and top < bottom:      # rows that follow each other are one
            ask_for(s.data + size * (p.at + top * p.row + (c + step) * s.channel), size * s.channel,
                    max(min(step, c1 - c - step), 0), size * (bottom - top) * width)
            k.move(edge + size * (top - h) * width * step, step, s.data + size * (p.at + top * p.row + c * s.channel),
                   (bottom - top) * width, min(step, c1 - c), 1, s.channel)
            bottom = top
        for i in range(top, bottom):
            if low < high and p.col == 1:
                ask_for(s.data + size * (p.at + i * p.row + low + (c + step) * s.channel), size * s.channel,
                        max(min(step, c1 - c - step), 0), size * (high - low))
            if low < high:
                k.move(edge + size * ((i - h) * width + low - w) * step, step,
                       s.data + size * (p.at + i * p.row + low * p.col + c * s.channel), high - low, min(step, c1 - c), p.col,
                       s.channel)
        for cell in range(cells):
            q = columns_of_cell(p, cell, cells)
            start = q.pw * cells + cell - p.pw       # the column of the array that is the cell's first
            transform_tiles(k, t, b, s, &q, line, count, edge + size * (start - h * width - w) * step, width * step, cells * step,
                            vectors_of(k, min(step, c1 - c)), to + size * (cell * next_cell + c))

cdef void transform_tiles(const nd_kernel_set *k, const Tiling *t, const Block *b, const Source *s, const Plane *p,
                          ptrdiff_t line, ptrdiff_t count, const char *src, ptrdiff_t row, ptrdiff_t col, ptrdiff_t channels,
                          char *to) noexcept nogil:
    """Tile by tile, from rows and columns of channels whose [0, 0] is at src."""
    cdef ptrdiff_t i, j, h, w
    cdef ptrdiff_t clip[4]
    for i in range(count):
        h = (line + i) * t.mh - p.ph
        set_clip(clip, h, p.h, s.rows)
        for j in range(b.columns):
            w = (b.first + j) * t.mw - p.pw
            set_clip(clip + 2, w, p.w, s.cols)
            if s.gradient:
                k.winograd_gradient(&t.v, to, s.point, src + k.size * (h * row + w * col), row, col, clip, channels)
            else:
                k.winograd_input(&t.v, to, s.point, src + k.size * (h * row + w * col), row, col, clip, channels)
            to += k.size * s.tile
