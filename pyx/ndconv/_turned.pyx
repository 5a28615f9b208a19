# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Planes (NCHW) by lanes of channels: windows of a row that are few or move by several pixels leave lanes empty, channels do not.

    for image, vector of channels, plane of y, some of its rows              (tasks)
        for row of windows: kernels/pool_turn.h, to [window][channel] and positions likewise
        y and indices turned back

Bytes moved: x once for every window's row that it is in; a row of a vector of channels between registers and L1; y once more,
in L2, at half a cycle an element.
"""
from ndconv._c cimport nd_array, nd_kernel_set, nd_pool_turn, nd_problem
from ndconv._pack cimport whole_lines
from ndconv._rows cimport no_place, window_rows
from ndconv._window cimport TABLE, Pool, Way, empty_value, least, most_of, pads_to, row_cells, up

cdef enum:
    BYTES = 65536          # of y and indices of a task, in L2
    ROW = 262144           # of a row of a vector of channels
    TASKS = 8              # that a problem is cut into, where it has the rows
    CALL = 300             # element operations that a row of windows costs besides

# vectors of operations on: a row of a block, a column of it that is turned, a column of a window, a window that is turned back
cdef double[4] VALUES = [1, 1.5, 0.6, 4]
cdef double[4] PLACES = [3, 2, 3, 9]

cdef struct Turned:
    char *columns          # [column][channel], and their positions
    char *places
    char *y                # [window][channel]
    char *at               # in integers as wide as the dtype
    char *wide             # the same as wide as the indices
    char *shares           # one over what each window of a row counts
    const void **cells     # rows of a window, and their positions
    ptrdiff_t *bases
    ptrdiff_t *taps        # where the columns of a window begin

cdef ptrdiff_t reach_of(const nd_problem *p) noexcept nogil:
    """Columns from the first window's first to the last one's last."""
    return (p.ow - 1) * p.sw + (p.kw - 1) * p.dw + 1

cdef size_t turned_bytes(const Pool *f, Turned *t, char *base) noexcept nogil:
    """Bytes of a worker's buffers, and where they lie."""
    cdef const nd_problem *p = &f.p
    cdef size_t lane = f.k.size * f.k.vl, windows = f.block_h * p.ow
    cdef size_t row = whole_lines(lane * reach_of(p))
    t.columns = base
    t.places = t.columns + row
    t.y = t.places + (row if f.at_size else 0)
    t.at = t.y + whole_lines(lane * windows)
    t.wide = t.at + (whole_lines(lane * windows) if f.at_size else 0)
    t.shares = t.wide + whole_lines(f.at_size * f.k.vl * windows)
    t.cells = <const void **>(t.shares + f.k.size * pads_to(p.ow))
    t.bases = <ptrdiff_t *>(t.cells + p.kd * p.kh)
    t.taps = t.bases + p.kd * p.kh
    return whole_lines(<char *>(t.taps + p.kw) - base)

cdef void clear(const Pool *f, const Turned *t) noexcept nogil:
    empty_value(f, t.columns, reach_of(&f.p) * f.k.vl)
    if f.at_size:
        no_place(f, t.places, reach_of(&f.p) * f.k.vl)

cdef void turned_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t size = f.k.size, vl = f.k.vl, parts = up(p.icg, vl), blocks = up(p.oh, f.block_h), task, n, c, od, oh, row, lines
    cdef ptrdiff_t column = most_of(0, -p.pw), t
    cdef double counted = -1
    cdef nd_pool_turn s
    cdef Turned b
    turned_bytes(f, &b, f.scratch + worker * f.slice)
    for t in range(p.kw):
        b.taps[t] = t * p.dw * vl
    s.plane, s.n, s.at, s.stride, s.op = f.x.c, least(p.iw, reach_of(p) - p.pw) - column, column + p.pw, p.sw, f.op
    s.taps, s.columns, s.ow, s.shares = b.taps, p.kw, p.ow, b.shares if f.divide else NULL
    clear(f, &b)
    for task in range(begin, end):
        oh = task % blocks * f.block_h
        od = task // blocks % p.od
        c = task // blocks // p.od % parts * vl
        n = task // blocks // p.od // parts
        lines, s.lanes = least(f.block_h, p.oh - oh), least(vl, p.icg - c)
        for row in range(lines):
            s.count = 0
            if s.n > 0:
                s.count = window_rows(f, b.cells, b.bases, f.x.data + size * (n * f.x.n + c * f.x.c), od, oh + row, column)
            if s.count == 0:
                clear(f, &b)
            if f.divide and row_cells(f, od, oh + row) != counted:
                counted = row_cells(f, od, oh + row)
                f.k.pool_shares(b.shares, f.cells, p.ow, counted)
            f.k.pool_turn(&s, b.cells, b.bases if f.at_size else NULL, b.columns, b.places, b.y + size * vl * row * p.ow,
                          b.at + size * vl * row * p.ow)
        put(f.k, size, &f.y, n, c, od, oh, s.lanes, b.y, lines, p.ow, vl)
        if f.at_size:
            f.k.pool_store_index(b.wide, f.at_size, 1, b.at, lines * p.ow * vl)
            put(f.at_k, f.at_size, &f.at, n, c, od, oh, s.lanes, b.wide, lines, p.ow, vl)

cdef void put(const nd_kernel_set *k, ptrdiff_t size, const nd_array *a, ptrdiff_t n, ptrdiff_t c, ptrdiff_t d, ptrdiff_t h,
              ptrdiff_t lanes, char *pixels, ptrdiff_t rows, ptrdiff_t w, ptrdiff_t vl) noexcept nogil:
    """Rows of `lanes` planes of an array, from rows h on, of w pixels [pixel][vl]."""
    cdef nd_array some = a[0]
    some.data += size * (d * a.d + h * a.h)
    turn(k, size, &some, n, c, lanes, pixels, vl, 1, rows, w, True)

cdef void turn(const nd_kernel_set *k, ptrdiff_t size, const nd_array *a, ptrdiff_t n, ptrdiff_t c, ptrdiff_t channels,
               char *pixels, ptrdiff_t pitch, ptrdiff_t depth, ptrdiff_t h, ptrdiff_t w, bint back) noexcept nogil:
    """Planes of an array to pixels of `channels` elements, `pitch` apart, or back."""
    cdef ptrdiff_t row, rows = depth * h
    cdef char *plane
    if (h == 1 or a.h == w) and (depth == 1 or a.d == h * w):    # the rows of a plane follow each other
        rows, w = 1, depth * h * w
    for row in range(rows):
        plane = a.data + size * (n * a.n + c * a.c + row // h * a.d + row % h * a.h)
        if back:
            k.move(plane, a.c, pixels + size * row * w * pitch, channels, w, 1, pitch)
        else:
            k.move(pixels + size * row * w * pitch, pitch, plane, w, channels, 1, a.c)

cdef bint plan_turned(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t vl = f.k.vl, line = p.ow * vl * (f.k.size + f.at_size)
    cdef double rows = <double>p.n * up(p.icg, vl) * p.od * p.oh
    cdef const double *ops = &PLACES[0] if f.at_size else &VALUES[0]
    cdef Turned t
    if (f.k.pool_turn == NULL or f.x.w != 1 or f.y.w != 1 or (f.at_size and f.at.w != 1) or <double>p.kd * p.kh * p.kw > TABLE
            or ((<double>p.ow - 1) * p.sw + (<double>p.kw - 1) * p.dw + 1) * vl * f.k.size > ROW):
        return False
    f.block_h = most_of(1, least(p.oh, BYTES // line))
    while f.block_h > 1 and p.n * up(p.icg, vl) * p.od * up(p.oh, f.block_h) < TASKS:
        f.block_h = up(f.block_h, 2)
    f.slice = turned_bytes(f, &t, NULL)
    way.body, way.tasks = turned_body, p.n * up(p.icg, vl) * p.od * up(p.oh, f.block_h)
    way.work = rows * (CALL + vl * (up(least(p.iw, reach_of(p)), vl) * vl * (p.kd * p.kh * ops[0] + ops[1])
                                    + p.ow * (p.kw * ops[2] + ops[3])))
    return True
