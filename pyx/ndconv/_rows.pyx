# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Windows where the elements of a row are neighbours in memory (NCHW): the rows of a window are combined to one padded
row, then its columns. Rows of windows that lie wholly in x follow each other without a look at the geometry. Small windows
with indices are walked down straight in memory (kernels/pool_walk.h)."""
from libc.stdint cimport INT32_MAX, INT64_MAX, int32_t, int64_t

from ndconv._c cimport (ND_PLACES, ND_ROWS, ND_SUM, ND_TAPS, nd_kernel_set, nd_pool_lines, nd_pool_places, nd_pool_rows,
                        nd_pool_walk, nd_problem)
from ndconv._pack cimport whole_lines
from ndconv._window cimport (GRAIN, TABLE, Pool, Way, clip, empty_value, least, most_of, pads_to, row_cells, up)

cdef enum:
    ROW = 320              # element operations that a row of windows costs besides
    SETS = 2048            # rows a multiple of so many bytes apart share sets of L1, and are walked down
    HIGH = 5               # only for windows of so many rows
    LINED_ROWS = 128       # rows of x that are walked down without indices, k - 1 of them twice
    LINED_TASKS = 16       # that a problem is cut into, where each has several windows' rows
    LINES = 1000           # that a call of pool_lines costs besides
    SPLIT = 18             # of an element that is put into its phase
    SPLIT_QUICKLY = 10     # of three or four, in vectors
    ALONE = 16             # of one that is added alone
    COMPARED = 60          # of one that is compared alone: branches
    PLACES = 3             # of an element and its position
    WALKED = 1 << 13       # bytes of rows of x that windows are walked down at a time: with their results they stay in L1

cdef double SLICE = 1 << 26    # bytes of a worker's buffers
cdef double LINED = 0.3        # an operation on registers over one on rows in L1
cdef double TWO = 0.4          # windows of 2x2 that lie side by side over others


cdef void no_place(const Pool *f, void *to, ptrdiff_t n) noexcept nogil:
    """Positions of nothing."""
    cdef ptrdiff_t i
    for i in range(n):
        if f.k.size == 4:
            (<int32_t *>to)[i] = INT32_MAX
        else:
            (<int64_t *>to)[i] = INT64_MAX

cdef struct Rows:
    char *buffer           # a padded row of combined rows, in phases, and its positions
    char *places
    char *row              # the same before it is split
    char *row_places
    char *out
    char *out_places
    char *shares           # one over what each window of a row counts
    char *copies           # of rows of x, for walked windows
    const void **cells     # rows of a window, and their positions
    ptrdiff_t *bases
    ptrdiff_t *taps        # where in the buffer the columns of a window begin

cdef size_t rows_bytes(const Pool *f, Rows *r, char *base) noexcept nogil:
    """Bytes of a worker's buffers, and where they lie."""
    cdef const nd_problem *p = &f.p
    cdef size_t line = f.k.size * pads_to(f.phase * f.split), wide = f.k.size * pads_to(most_of(p.iw, p.ow))
    r.buffer = base
    r.places = r.buffer + line
    r.row = r.places + line
    r.row_places = r.row + wide
    r.out = r.row_places + wide
    r.out_places = r.out + wide
    r.shares = r.out_places + wide
    r.copies = r.shares + wide
    r.cells = <const void **>(r.copies + (f.k.size * walked_rows(f) * walked_pitch(f) if f.walked else 0))
    r.bases = <ptrdiff_t *>(r.cells + p.kd * p.kh)
    r.taps = r.bases + p.kd * p.kh
    return whole_lines(<char *>(r.taps + p.kw) - base)

cdef bint is_walked(const Pool *f) noexcept nogil:
    """Whether windows with indices are small, move by one column, or two among integers, and have a row and a column in x
    each: pool_walk takes them."""
    cdef const nd_problem *p = &f.p
    return (f.at_size != 0 and p.ih > 0 and p.iw > 0 and p.id == 1 and p.od == 1 and p.kd == 1 and p.pd == 0 and p.dh == 1
            and p.dw == 1 and p.kh <= ND_TAPS and p.kw <= ND_TAPS and p.sh <= ND_TAPS
            and p.sw <= (2 if f.k.pool_combine_index == NULL else 1)
            and p.ph < p.kh and p.pw < p.kw and (p.oh - 1) * p.sh - p.ph < p.ih and (p.ow - 1) * p.sw - p.pw < p.iw
            and f.y.w == 1 and f.at.w == 1 and p.iw * f.k.size * (p.kh + 3 * p.sh) <= 4 * WALKED)

cdef ptrdiff_t walked_rows(const Pool *f) noexcept nogil:
    """Rows of x at a time."""
    return least(ND_ROWS, most_of(WALKED // (f.p.iw * f.k.size), f.p.kh + 3 * f.p.sh))

cdef ptrdiff_t walked_pitch(const Pool *f) noexcept nogil:
    return pads_to(f.p.iw + f.p.kw + 2 * f.k.vl)

cdef void walk_lines(const Pool *f, const Rows *r, ptrdiff_t n, ptrdiff_t c, ptrdiff_t od, ptrdiff_t oh,
                     ptrdiff_t last) noexcept nogil:
    """Rows of windows oh to last with their indices."""
    cdef const nd_problem *p = &f.p
    cdef nd_pool_walk s
    s.kh, s.kw, s.sh, s.sw, s.top, s.left = p.kh, p.kw, p.sh, p.sw if p.ow > 1 else 1, oh * p.sh - p.ph, -p.pw
    s.ih, s.iw, s.row, s.lines, s.ow = p.ih, p.iw, f.x.h if p.ih > 1 else p.iw, last - oh, p.ow
    s.rows, s.pitch, s.y_row, s.at_row, s.at_size, s.fw, s.op = (walked_rows(f), walked_pitch(f), f.y.h, f.at.h, f.at_size, f.fw,
                                                                 f.op)
    f.k.pool_walk(&s, f.x.data + f.k.size * (n * f.x.n + c * f.x.c), r.copies,
                  f.y.data + f.k.size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h),
                  f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h))

cdef bint is_lined(const Pool *f) noexcept nogil:
    """Whether windows without indices are small and move by one: pool_lines takes them, but for windows of few rows that share
    sets of L1, which are better read along."""
    cdef const nd_problem *p = &f.p
    cdef nd_pool_lines s
    s.k, s.op = p.kh, f.op
    return (f.at_size == 0 and p.id == 1 and p.od == 1 and p.kd == 1 and p.pd == 0 and p.dh == 1 and p.dw == 1 and p.kh == p.kw
            and (p.kh >= HIGH or p.ih == 1 or f.x.h * f.k.size % SETS != 0)
            and (p.sh == 1 or p.oh == 1) and (p.sw == 1 or p.ow == 1) and f.y.w == 1 and f.k.pool_lines(&s, NULL, NULL))

cdef ptrdiff_t lined_rows(const Pool *f) noexcept nogil:
    """Rows of windows of a task: what they read stays in L1, or in L2 where there are enough of them."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t rows = most_of(WALKED // most_of(p.iw * f.k.size, 1), LINED_ROWS) - p.kh + 1
    while p.n * p.icg * up(p.oh, rows) < LINED_TASKS and rows > 4 * p.kh:
        rows = (rows + 1) // 2
    return least(p.oh, rows)

cdef ptrdiff_t count_alike(const Pool *f, ptrdiff_t oh) noexcept nogil:
    """How many rows of windows from oh on, at least 1, count equal numbers of rows."""
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t first = oh * q.sh - q.ph, room = (q.ih if f.real else f.end_h) - q.kh - first
    if not f.divide or f.divisor:
        return q.oh
    return room // q.sh + 1 if room >= 0 and (first >= 0 or not f.real) else 1

cdef void value_lines(const Pool *f, const Rows *r, double *counted, ptrdiff_t n, ptrdiff_t c, ptrdiff_t oh,
                      ptrdiff_t last) noexcept nogil:
    """Rows of small windows oh to last of a plane."""
    cdef const nd_problem *p = &f.p
    cdef nd_pool_lines s
    s.k, s.left, s.ih, s.iw, s.row, s.ow, s.y_row = p.kh, -p.pw, p.ih, p.iw, f.x.h if p.ih > 1 else p.iw, p.ow, f.y.h
    s.op, s.shares, s.before, s.after = f.op, r.shares, 0, 0
    if f.x.n >= 0 and f.x.c >= 0 and s.row >= p.iw:
        s.before, s.after = n * f.x.n + c * f.x.c, (p.n - 1 - n) * f.x.n + (p.icg - 1 - c) * f.x.c
    while oh < last:
        s.top, s.lines = oh * p.sh - p.ph, least(count_alike(f, oh), last - oh)
        if f.divide and row_cells(f, 0, oh) != counted[0]:
            counted[0] = row_cells(f, 0, oh)
            f.k.pool_shares(r.shares, f.cells, p.ow, counted[0])
        f.k.pool_lines(&s, f.x.data + f.k.size * (n * f.x.n + c * f.x.c),
                       f.y.data + f.k.size * (n * f.y.n + c * f.y.c + oh * f.y.h))
        oh += s.lines

cdef ptrdiff_t window_rows(const Pool *f, const void **cells, ptrdiff_t *bases, const char *plane, ptrdiff_t od, ptrdiff_t oh,
                           ptrdiff_t column) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t d, h, i, j, count = 0
    cdef ptrdiff_t nd = clip(od * p.sd - p.pd, 0, p.id, p.kd, p.dd, &d)
    cdef ptrdiff_t nh = clip(oh * p.sh - p.ph, 0, p.ih, p.kh, p.dh, &h)
    d = od * p.sd - p.pd + d * p.dd
    h = oh * p.sh - p.ph + h * p.dh
    for i in range(nd):
        for j in range(nh):
            cells[count] = plane + f.k.size * ((d + i * p.dd) * f.x.d + (h + j * p.dh) * f.x.h + column * f.x.w)
            bases[count] = ((d + i * p.dd) * f.fh + h + j * p.dh) * f.fw + column
            count += 1
    return count

cdef void index_row(const Pool *f, const Rows *r, ptrdiff_t count, ptrdiff_t column, ptrdiff_t n, char *y,
                    char *indices) noexcept nogil:
    """A row of windows with its indices."""
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t at = column + f.p.pw
    cdef bint split = f.split > 1
    cdef char *to = r.row if split else r.buffer + k.size * at
    cdef char *places = r.row_places if split else r.places + k.size * at
    if count:
        k.pool_combine_index(to, places, r.cells, r.bases, count, n, 1, f.op)
        if split:
            k.pool_split(r.buffer, f.phase, f.split, at, to, n)
            k.pool_split(r.places, f.phase, f.split, at, places, n)
    k.pool_taps_index(y, r.out_places, r.buffer, r.places, r.taps, f.p.kw, f.p.ow, f.op)
    k.pool_store_index(indices, f.at_size, f.at.w, r.out_places, f.p.ow)

cdef void value_rows(const Pool *f, const Rows *r, nd_pool_rows *s, ptrdiff_t lines, char *y) noexcept nogil:
    """`lines` rows of windows, the cells of the first listed."""
    cdef const nd_kernel_set *k = f.k
    if s.count and s.split <= 2:
        k.pool_rows(s, r.cells, lines, r.buffer, y)
        return
    if s.count:
        k.pool_combine(r.row, r.cells, s.count, s.n, f.op, 0, s.row_step)
        k.pool_split(r.buffer, f.phase, f.split, s.at, r.row, s.n)
    k.pool_taps(y, r.buffer, r.taps, f.p.kw, f.p.ow, f.op, s.shares)

cdef bint small_windows(const Pool *f) noexcept nogil:
    """Whether windows with their indices are taken straight from memory, a vector of windows at once."""
    cdef const nd_problem *p = &f.p
    return (p.kd * p.kh * p.kw <= ND_PLACES and p.sw <= 2 and f.y.w == 1 and f.at.w == 1
            and inner_end(p) - up(p.pw, p.sw) >= f.k.vl)

cdef ptrdiff_t inner_end(const nd_problem *p) noexcept nogil:
    cdef ptrdiff_t last = p.iw - 1 - (p.kw - 1) * p.dw + p.pw
    return least(p.ow, last // p.sw + 1) if last >= 0 else 0

cdef void index_rows(const Pool *f, const Rows *r, ptrdiff_t count, ptrdiff_t lines, char *y, char *at) noexcept nogil:
    """`lines` rows of small windows with their indices, the rows of the first listed from their first element on."""
    cdef const nd_problem *p = &f.p
    cdef nd_pool_places s
    s.count, s.columns, s.stride, s.dilation, s.pad, s.n, s.ow = count, p.kw, p.sw, p.dw, p.pw, p.iw, p.ow
    s.first, s.last = up(p.pw, p.sw), inner_end(p)
    s.row_step, s.y_step, s.at_step, s.place_step = p.sh * f.x.h, f.y.h, f.at.h, p.sh * f.fw
    s.at_size, s.op = f.at_size, f.op
    f.k.pool_rows_index(&s, r.cells, r.bases, lines, y, at)

cdef ptrdiff_t whole_windows(const Pool *f, ptrdiff_t oh) noexcept nogil:
    """How many rows of windows from oh on, at least 1, have the same rows of x further down."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t room = p.ih - 1 - (p.kh - 1) * p.dh - (oh * p.sh - p.ph)
    if oh * p.sh < p.ph or room < 0 or f.split > 2 or f.y.w != 1 or (f.at_size and not small_windows(f)):
        return 1
    return room // p.sh + 1

cdef void rows_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, parts = up(p.oh, f.block_h), task, n, c, od, oh, last, lines, t
    cdef ptrdiff_t column = most_of(0, -p.pw), all = f.phase * f.split
    cdef char *y
    cdef char *out
    cdef char *at
    cdef Rows r
    cdef nd_pool_rows s
    cdef double counted = -1
    cdef bint small = f.at_size != 0 and small_windows(f)
    rows_bytes(f, &r, f.scratch + worker * f.slice)
    for t in range(p.kw):
        r.taps[t] = t * p.dw % f.split * f.phase + t * p.dw // f.split
    s.n = least(p.iw, (p.ow - 1) * p.sw + (p.kw - 1) * p.dw + 1 - p.pw) - column
    s.at, s.split, s.phase, s.taps, s.columns, s.ow = column + p.pw, f.split, f.phase, r.taps, p.kw, p.ow
    s.row_step, s.y_step, s.op = p.sh * f.x.h, f.y.h, f.op
    s.shares = r.shares if f.divide else NULL
    clear(f, &r, all)
    for task in range(begin, end):
        od = task // parts % p.od
        c = task // parts // p.od % p.icg
        n = task // parts // p.od // p.icg
        oh = task % parts * f.block_h
        last = least(oh + f.block_h, p.oh)
        if f.walked:
            walk_lines(f, &r, n, c, od, oh, last)
            continue
        if f.lined:
            value_lines(f, &r, &counted, n, c, oh, last)
            continue
        while oh < last:
            lines = least(whole_windows(f, oh), last - oh)
            s.count = 0
            if s.n > 0:
                s.count = window_rows(f, r.cells, r.bases, f.x.data + size * (n * f.x.n + c * f.x.c), od, oh,
                                      0 if small else column)
            if s.count == 0:
                clear(f, &r, all)
                lines = 1
            if f.divide and row_cells(f, od, oh) != counted:
                counted = row_cells(f, od, oh)
                k.pool_shares(r.shares, f.cells, p.ow, counted)
            y = f.y.data + size * (n * f.y.n + c * f.y.c + od * f.y.d + oh * f.y.h)
            out = y if f.y.w == 1 else r.out
            at = f.at.data + f.at_size * (n * f.at.n + c * f.at.c + od * f.at.d + oh * f.at.h)
            if f.at_size and small and s.count:
                index_rows(f, &r, s.count, lines, out, at)
            elif f.at_size:
                index_row(f, &r, s.count, column, s.n, out, at)
            else:
                value_rows(f, &r, &s, lines, out)
            if out != y:
                k.scatter(y, f.y.w, out, 1, p.ow)
            oh += lines

cdef void clear(const Pool *f, const Rows *r, ptrdiff_t n) noexcept nogil:
    empty_value(f, r.buffer, n)
    if f.at_size:
        no_place(f, r.places, n)


cdef bint plan_rows(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef Rows r
    cdef ptrdiff_t half = most_of(f.k.vl // 2, 1), one = 1, n
    cdef double reach = <double>(p.ow - 1) * p.sw + <double>(p.kw - 1) * p.dw + 1
    if <double>p.kd * p.kh * p.kw > TABLE or reach * f.k.size > SLICE:
        return False
    f.split = p.sw if p.ow > 1 else 1
    f.phase = pads_to(<ptrdiff_t>reach // f.split + 1)
    f.block_h = least(p.oh, 1 + GRAIN // most_of(p.ow * p.kd * p.kh * f.split, 1))
    f.walked, f.lined = is_walked(f), is_lined(f)
    if f.lined:
        f.block_h = lined_rows(f)
    f.slice = rows_bytes(f, &r, NULL)
    way.body, way.tasks = rows_body, p.n * p.icg * p.od * up(p.oh, f.block_h)
    if f.lined:  # half vectors: what the narrow rows of bytes leave empty, `blocks` has in calls
        way.work = <double>way.tasks * (LINES + f.block_h * up(p.ow, half) * half * LINED * (p.kh + p.kw))
        return True
    # rows of less than a vector, or two that are taken apart, are combined one element at a time
    n = least(p.iw, <ptrdiff_t>reach)
    if n < f.k.vl * (2 if f.split == 2 and f.at_size == 0 else 1) and not f.walked:
        one = ALONE if f.op == ND_SUM else COMPARED
    way.work = <double>p.n * p.icg * p.od * p.oh * (
        ROW + (PLACES if f.at_size and not f.walked else 1) * (
            <double>p.kd * p.kh * n * one + p.kw * p.ow
            + (0 if f.split <= 2 else SPLIT_QUICKLY * n if f.split <= 4 else SPLIT * n)))
    if p.sw == 2 and p.kw == 2 and p.kh == 2 and p.pw == 0 and p.kd == 1 and f.at_size == 0 and p.ow >= f.k.vl:
        way.work *= TWO
    return True
