# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Windows that move by one row and one column at a time over images: filters of any size.

Rows are combined by running ends: blocks of kh rows of x, in each the combination of its last rows, from every row on; a window
is the last rows of one block and the first of the next, three combinations an element whatever kh is (van Herk 1992; Gil and
Werman 1993). Columns are combined in the row that this gives, while it is in L1, by doubling (kernels/pool.h, pool_window); the
last step of the greatest, of two or three parts that may overlap, writes y.

  for a tile of columns and a band of rows       (tasks)
      for each block of kh output rows: its rows from the last to the first -> ends
          for each row of it: the next row of x -> the beginning; both combined -> a padded row; columns; y

Where a block's windows would leave x there is a row of padding instead. Bytes moved: x twice, the second time from L2; ends of
128 KiB, in L2; y once. Per element three operations of rows and log2(kw) + 1 of columns.
"""
from libc.string cimport memcpy

from ndconv._c cimport ND_SUM, nd_kernel_set, nd_problem
from ndconv._window cimport Pool, Way, empty_value, least, log_steps, most_of, pads_to, row_cells, up

cdef enum:
    ENDS_BYTES = 1 << 17
    COLUMNS = 1024         # of a tile at most: its rows stay in L1
    LEAST = 64             # columns, and rows of a window, that are worth it
    PARTS = 16             # tasks
    CALLS = 300            # element operations that the calls of a row cost

cdef struct Tile:
    char *ends             # [kh][line]
    char *begin            # two rows of beginnings, of which each is made from the other
    char *blank            # a row of padding
    char *row              # the padded row whose columns are combined
    char *spare

cdef size_t tile_bytes(const Pool *f, Tile *t, char *base) noexcept nogil:
    cdef size_t line = f.k.size * pads_to(f.phase)
    t.ends = base
    t.begin = t.ends + f.p.kh * line
    t.blank = t.begin + 2 * line
    t.row = t.blank + line
    t.spare = t.row + line
    return t.spare + line - base

cdef bint plan_slide(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef Tile t
    cdef ptrdiff_t most = COLUMNS
    if (p.sh != 1 or p.sw != 1 or p.dh != 1 or p.kd != 1 or p.sd != 1 or p.pd != 0 or p.od != p.id or p.kh < 4 or p.ow < LEAST
            or f.x.w != 1 or f.backward or f.power or f.at_size or p.kh > p.ih or p.kw > p.iw):
        return False
    most = least(most, ENDS_BYTES // f.k.size // p.kh)
    if most < 2 * p.kw * p.dw:
        return False
    f.block_w = up(p.ow, up(p.ow, most))
    f.block_h = p.oh
    while up(p.ow, f.block_w) * up(p.oh, f.block_h) * p.od * p.icg * p.n < PARTS and f.block_h > 4 * p.kh:
        f.block_h = (f.block_h + 1) // 2
    f.phase = f.block_w + (p.kw - 1) * p.dw
    f.slice = tile_bytes(f, &t, NULL)
    way.body, way.tasks = slide_body, p.n * p.icg * p.od * up(p.oh, f.block_h) * up(p.ow, f.block_w)
    way.work = <double>way.tasks * (f.block_h + p.kh) * ((3 + log_steps(p.kw)) * f.phase + CALLS)
    return True

cdef void slide_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t wide = up(p.ow, f.block_w), high = up(p.oh, f.block_h), task, rest, h, w
    cdef Tile t
    tile_bytes(f, &t, f.scratch + worker * f.slice)
    empty_value(f, t.blank, f.phase)
    for task in range(begin, end):
        w = task % wide * f.block_w
        rest = task // wide
        h = rest % high * f.block_h
        rest //= high
        slide_tile(f, &t, rest // p.od // p.icg, rest // p.od % p.icg, rest % p.od, h, least(h + f.block_h, p.oh), w,
                   least(w + f.block_w, p.ow))

cdef struct Steps:
    ptrdiff_t part         # columns whose greatest (least) is found first, for all columns;
    ptrdiff_t taps[4]      # where such parts begin that make up a window,
    ptrdiff_t count        # the last of which ends with it

cdef Steps steps_of(ptrdiff_t k, ptrdiff_t d) noexcept nogil:
    cdef Steps s
    cdef ptrdiff_t i
    s.part = 1 if k <= 3 else 3 if k <= 9 else 4
    while s.part > 3 and 2 * s.part < k:
        s.part *= 2
    s.count = up(k, s.part)
    for i in range(s.count):
        s.taps[i] = least(i * s.part, k - s.part) * d
    return s

cdef void slide_tile(const Pool *f, Tile *t, ptrdiff_t n, ptrdiff_t c, ptrdiff_t d, ptrdiff_t h, ptrdiff_t h1, ptrdiff_t w,
                     ptrdiff_t w1) noexcept nogil:
    """Output rows h to h1 and columns w to w1 of a plane."""
    cdef const nd_problem *p = &f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, line = size * pads_to(f.phase), j, rows
    # columns of x that the tile reads, and how many of padding are before them
    cdef ptrdiff_t first = most_of(0, w - p.pw), left = most_of(0, p.pw - w), columns = w1 - w + (p.kw - 1) * p.dw
    cdef ptrdiff_t inside = most_of(0, least(p.iw, w - p.pw + columns) - first)
    cdef const char *x = f.x.data + size * (n * f.x.n + c * f.x.c + d * f.x.d + first)
    cdef char *y = f.y.data + size * (n * f.y.n + c * f.y.c + d * f.y.d + h * f.y.h + w * f.y.w)
    cdef const char *before
    cdef char *after
    cdef char *to
    cdef const void *two[2]
    cdef Steps steps = steps_of(p.kw, p.dw)
    while h < h1:
        rows = least(p.kh, h1 - h)
        memcpy(t.ends + (p.kh - 1) * line, row_at(f, t, x, h - p.ph + p.kh - 1), inside * size)
        for j in range(p.kh - 2, -1, -1):
            two[0], two[1] = t.ends + (j + 1) * line, row_at(f, t, x, h - p.ph + j)
            k.pool_combine(t.ends + j * line, two, 2, inside, f.op, 0, 0)
        before = NULL
        for j in range(rows):
            to = t.row + size * left
            if j == 0:
                memcpy(to, t.ends, inside * size)
            elif j == 1:
                before = row_at(f, t, x, h - p.ph + p.kh)
                two[0], two[1] = t.ends + line, before
                k.pool_combine(to, two, 2, inside, f.op, 0, 0)
            else:
                after = t.begin + (j & 1) * line
                k.pool_slide(to, after, before, row_at(f, t, x, h - p.ph + p.kh - 1 + j), t.ends + j * line, inside, f.op)
                before = after
            empty_value(f, t.row, left)
            empty_value(f, to + size * inside, columns - left - inside)
            if f.op == ND_SUM:
                to = <char *>k.pool_window(t.row, t.spare, columns, p.kw, p.dw, f.op)
                k.pool_store(y, f.y.w, to, 1, w1 - w, <const char *>f.cells + size * w, 1, row_cells(f, d, h + j))
            elif f.y.w == 1:
                k.pool_window(t.row, NULL, columns, steps.part, p.dw, f.op)
                k.pool_taps(y, t.row, steps.taps, steps.count, w1 - w, f.op, NULL)
            else:
                to = <char *>k.pool_window(t.row, NULL, columns, p.kw, p.dw, f.op)
                k.scatter(y, f.y.w, to, 1, w1 - w)
            y += size * f.y.h
        h += rows

cdef inline const char *row_at(const Pool *f, const Tile *t, const char *x, ptrdiff_t row) noexcept nogil:
    return x + f.k.size * row * f.x.h if 0 <= row < f.p.ih else t.blank
