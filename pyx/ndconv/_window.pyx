# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Large windows, any memory, and gradients of averages: a padded block of the input combined axis by axis.

A block is a padded copy [depth][row][column][channel] that stays in the second-level cache. Windows along an axis are
windows of its elements one `unit` apart, whatever the axis, so one kernel does all three (kernels/pool.h, pool_window).
The gradient of an average is the same sum of windows with the axes mirrored, over an input that holds dy's shares
`stride` apart and zeros between them.
"""
from libc.math cimport INFINITY

from ndconv._c cimport ND_LEAST, ND_SUM, nd_kernel_set, nd_problem

cdef enum:
    BLOCK_BYTES = 1 << 18      # of a block: a quarter of a usual second-level cache; sums use two
    CHANNEL_BYTES = 128        # of one pixel's channels in a block
    WIDE = 128                 # outputs that a row of a block keeps at least
    PLANE = 1440               # element operations that the calls of a plane cost
    PICKED = 30                # and a result among others
    PARTS = 16                 # tasks that a problem is cut into at least, where that costs little

cdef ptrdiff_t counted(const Pool *f, ptrdiff_t o, ptrdiff_t s, ptrdiff_t pad, ptrdiff_t k, ptrdiff_t d, ptrdiff_t extent,
                       ptrdiff_t end) noexcept nogil:
    """Cells that a window counts along one axis: the real ones, or all up to the end of the padding."""
    cdef ptrdiff_t start = o * s - pad, first
    return clip(start, 0, extent, k, d, &first) if f.real else clip(start, start, end, k, d, &first)

cdef double row_cells(const Pool *f, ptrdiff_t od, ptrdiff_t oh) noexcept nogil:
    """What the windows of a row count along depth and height."""
    cdef const nd_problem *q = &f.q
    if f.divisor:
        return 1
    return (<double>counted(f, od, q.sd, q.pd, q.kd, q.dd, q.id, f.end_d)
            * counted(f, oh, q.sh, q.ph, q.kh, q.dh, q.ih, f.end_h))

cdef void set_cells(const Pool *f, void *cells) noexcept nogil:
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t o
    for o in range(q.ow):
        f.k.pool_fill(<char *>cells + o * f.k.size, 1,
                      f.divisor if f.divisor else counted(f, o, q.sw, q.pw, q.kw, q.dw, q.iw, f.end_w))

cdef void empty_value(const Pool *f, void *to, ptrdiff_t n) noexcept nogil:
    """What a window is combined from: nothing."""
    f.k.pool_fill(to, n, 0 if f.op == ND_SUM or f.power else INFINITY if f.op == ND_LEAST else -INFINITY)


cdef double log_steps(ptrdiff_t k) noexcept nogil:
    cdef double steps = 0
    if k <= 3:
        return k - 1
    while k > 1:
        k //= 2
        steps += 1.5
    return steps

cdef double span(ptrdiff_t o, ptrdiff_t s, ptrdiff_t k, ptrdiff_t d) noexcept nogil:
    """Input positions that o windows reach over."""
    return <double>(o - 1) * s + <double>(k - 1) * d + 1

cdef double block_elements(const Pool *f) noexcept nogil:
    cdef const nd_problem *p = &f.p
    return (span(f.block_d, p.sd, p.kd, p.dd) * span(f.block_h, p.sh, p.kh, p.dh) * span(f.block_w, p.sw, p.kw, p.dw)
            * f.block_c)

cdef double blocks_work(const Pool *f) noexcept nogil:
    """Element operations of all blocks: a copy, and the steps along each axis; where pixels of a row are neighbours also the
    calls of a plane, and results that are picked one by one."""
    cdef const nd_problem *p = &f.p
    cdef double apart = p.od * p.oh * p.ow * PICKED if p.sw > 1 and p.ow > 1 else 0
    cdef double planes = (PLANE + apart) * p.n * p.icg if f.block_c == 1 and not f.backward else 0
    return planes + blocks_tasks(f) * block_elements(f) * (1 + log_steps(p.kd) + log_steps(p.kh) + log_steps(p.kw) / p.sh)

cdef ptrdiff_t blocks_tasks(const Pool *f) noexcept nogil:
    cdef const nd_problem *p = &f.p
    return p.n * up(p.icg, f.block_c) * up(p.od, f.block_d) * up(p.oh, f.block_h) * up(p.ow, f.block_w)

cdef int choose_blocks(Pool *f) noexcept nogil:
    """Sets the blocks; 0 if even the smallest has more elements than memory."""
    cdef const nd_problem *p = &f.p
    f.block_c = least(p.icg, CHANNEL_BYTES // f.k.size) if f.x.c == 1 and f.x.w != 1 else 1
    f.block_d, f.block_h, f.block_w = p.od, p.oh, p.ow
    # a column of blocks keeps high blocks, whose rows in common with the next are few
    while not f.backward and f.block_w > WIDE and p.oh * p.sh > 4 * p.kh * p.dh and (
            span(4 * p.kh, p.sh, p.kh, p.dh) * span(f.block_w, p.sw, p.kw, p.dw) * f.block_c * f.k.size > BLOCK_BYTES):
        f.block_w = (f.block_w + 1) // 2
    while block_elements(f) * f.k.size > BLOCK_BYTES and f.block_d > 1:
        f.block_d = (f.block_d + 1) // 2
    while block_elements(f) * f.k.size > BLOCK_BYTES and f.block_h > 1:
        f.block_h = (f.block_h + 1) // 2
    while blocks_tasks(f) < PARTS and f.block_d > 1:
        f.block_d = (f.block_d + 1) // 2
    while blocks_tasks(f) < PARTS and f.block_h > 1 and f.block_h * p.sh > 2 * p.kh * p.dh + 8:
        f.block_h = (f.block_h + 1) // 2
    if block_elements(f) * f.k.size > <double>(1 << 46):
        return 0
    f.phase = <ptrdiff_t>span(f.block_w, p.sw, p.kw, p.dw)
    f.slice = 2 * f.k.size * pads_to(<ptrdiff_t>block_elements(f))
    return 1


cdef struct Block:
    ptrdiff_t n, c, cb, d, nd, h, nh, w, nw  # image, channels, depths, rows and columns of outputs
    ptrdiff_t deep, high, wide, line         # depths, rows, columns and elements a row of the padded copy
    ptrdiff_t pw                             # columns of padding before it

cdef void fill_row(const Pool *f, char *to, const char *row, const Block *b, double cells) noexcept nogil:
    """One padded row of a block: columns from -b.pw on of the source row, or padding alone where row is NULL."""
    cdef const nd_problem *p = &f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t gap = f.gap_w, size = k.size, cb = b.cb, o, first, last
    if row == NULL:
        empty_value(f, to, b.line)
        return
    first = up(-b.pw, gap)
    last = most_of(first, least((p.iw - 1) // gap + 1, up(b.wide - b.pw, gap)))
    if gap > 1 or last == first:
        empty_value(f, to, b.line)
    else:
        empty_value(f, to, (first + b.pw) * cb)
        empty_value(f, to + size * (last + b.pw) * cb, (b.wide - last - b.pw) * cb)
    if last == first:
        return
    to += size * (first * gap + b.pw) * cb
    row += size * first * f.x.w
    if not f.backward:  # so gap is 1
        if f.x.w == cb and (f.x.c == 1 or cb == 1):
            k.copy(to, row, (last - first) * cb, 1)
        else:
            k.move(to, cb, row, last - first, cb, f.x.w, f.x.c)
    elif cb == 1:
        k.pool_store(to, gap, row, f.x.w, last - first, <char *>f.cells + size * first, 1, cells)
    else:
        for o in range(last - first):
            k.pool_store(to + size * o * gap * cb, 1, row + size * o * f.x.w, f.x.c, cb,
                         <char *>f.cells + size * (first + o), 0, cells)

cdef const char *source_row(const Pool *f, const char *image, ptrdiff_t d, ptrdiff_t h, double *cells) noexcept nogil:
    """The row of x at depth d and height h of p's input, NULL for padding; cells receives its divisor in backward."""
    cdef const nd_problem *p = &f.p
    cells[0] = 0
    if d < 0 or d >= p.id or h < 0 or h >= p.ih or d % f.gap_d or h % f.gap_h:
        return NULL
    d //= f.gap_d
    h //= f.gap_h
    if f.backward:
        cells[0] = row_cells(f, d, h)
    return image + f.k.size * (d * f.x.d + h * f.x.h)

cdef void store_row(const Pool *f, char *y, const char *row, const Block *b, double cells) noexcept nogil:
    """One row of results, over what its windows count: the columns' `counts` times `cells`, none where that is negative."""
    cdef const nd_problem *p = &f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, cb = b.cb, o
    cdef const char *counts = <const char *>f.cells + size * b.w
    if cells >= 0:
        if cb == 1:
            k.pool_store(y, f.y.w, row, p.sw, b.nw, counts, 1, cells)
            return
        for o in range(b.nw):
            k.pool_store(y + size * o * f.y.w, f.y.c, row + size * o * p.sw * cb, 1, cb, counts + size * o, 0, cells)
    elif cb == 1:
        k.scatter(y, f.y.w, row, p.sw, b.nw)
    elif f.y.c == 1:
        k.move(y, f.y.w, row, b.nw, cb, p.sw * cb, 1)
    else:
        for o in range(b.nw):
            k.scatter(y + size * o * f.y.w, f.y.c, row + size * o * p.sw * cb, 1, cb)


cdef Block block_at(const Pool *f, ptrdiff_t task) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef Block b
    cdef ptrdiff_t parts_c = up(p.icg, f.block_c), parts_d = up(p.od, f.block_d), parts_h = up(p.oh, f.block_h)
    cdef ptrdiff_t parts_w = up(p.ow, f.block_w)
    b.w = task % parts_w * f.block_w
    task //= parts_w
    b.h = task % parts_h * f.block_h
    b.d = task // parts_h % parts_d * f.block_d
    b.c = task // parts_h // parts_d % parts_c * f.block_c
    b.n = task // parts_h // parts_d // parts_c
    b.cb, b.nd, b.nh = least(f.block_c, p.icg - b.c), least(f.block_d, p.od - b.d), least(f.block_h, p.oh - b.h)
    b.deep = (b.nd - 1) * p.sd + (p.kd - 1) * p.dd + 1
    b.high = (b.nh - 1) * p.sh + (p.kh - 1) * p.dh + 1
    b.nw = least(f.block_w, p.ow - b.w)
    b.wide, b.pw = (b.nw - 1) * p.sw + (p.kw - 1) * p.dw + 1, p.pw - b.w * p.sw
    b.line = b.wide * b.cb
    return b

cdef void fill_planes(const Pool *f, const Block *b, const char *image, char *to) noexcept nogil:
    """A block whose rows have their columns, or columns and channels, at one distance: padding, then a copy a plane."""
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t d = b.d * p.sd - p.pd, h = b.h * p.sh - p.ph, z, size = f.k.size
    cdef ptrdiff_t top = most_of(0, -h), bottom = least(b.high, p.ih - h)
    cdef ptrdiff_t left = most_of(0, -b.pw), right = least(p.iw, b.wide - b.pw)
    if b.wide > right - left or b.high > bottom - top or d < 0 or d + b.deep > p.id:
        empty_value(f, to, b.deep * b.high * b.line)
    if right <= left:
        return
    for z in range(most_of(0, -d), least(b.deep, p.id - d)):
        f.k.move(to + size * ((z * b.high + top) * b.line + (left + b.pw) * b.cb), b.line,
                 image + size * ((d + z) * f.x.d + (h + top) * f.x.h + left * f.x.w), bottom - top, (right - left) * b.cb,
                 f.x.h, f.x.w if b.cb == 1 else 1)

cdef void fill_block(const Pool *f, const Block *b, char *to) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef const char *image = f.x.data + f.k.size * (b.n * f.x.n + b.c * f.x.c)
    cdef const char *row
    cdef ptrdiff_t z, r
    cdef double cells
    if not f.backward and (f.x.w == b.cb if f.x.c == 1 else b.cb == 1):
        fill_planes(f, b, image, to)
        return
    for z in range(b.deep):
        for r in range(b.high):
            row = source_row(f, image, b.d * p.sd - p.pd + z, b.h * p.sh - p.ph + r, &cells)
            fill_row(f, to + f.k.size * (z * b.high + r) * b.line, row, b, cells)

cdef void store_block(const Pool *f, const Block *t, char *b, char *spare) noexcept nogil:
    """The results of a block; rows that have their windows along the row still to combine have a spare block."""
    cdef const nd_problem *p = &f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, z, r, at
    cdef bint divide = f.divide and not f.backward, root = f.power != 0 and f.power != 1
    cdef char *row
    cdef char *y
    for z in range(t.nd - 1, -1, -1):
        y = f.y.data + size * (t.n * f.y.n + t.c * f.y.c + (t.d + z) * f.y.d + t.h * f.y.h + t.w * f.y.w)
        if spare == NULL and not divide and not root and (
                (t.cb == 1 and f.y.w == 1) or (f.y.w == t.cb and f.y.c == 1 and p.sw == 1)):
            k.move(y, f.y.h, b + size * z * t.high * t.line, t.nh, t.nw * t.cb, t.line, p.sw)
            continue
        for r in range(t.nh - 1, -1, -1):  # what a row writes beyond its end is no longer needed
            at = size * (z * p.sd * t.high + r * p.sh) * t.line
            row = b + at
            if spare != NULL:
                row = <char *>k.pool_window(row, spare + at, t.line, p.kw, p.dw * t.cb, f.op)
            if root:
                k.pool_power(row, row, ((t.nw - 1) * p.sw + 1) * t.cb, 1 / f.power)
            store_row(f, y + size * r * f.y.h, row, t, row_cells(f, t.d + z, t.h + r) if divide else -1)

cdef void blocks_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t task, n
    cdef char *first = f.scratch + worker * f.slice
    cdef char *b
    cdef char *spare
    cdef Block t
    cdef bint flat = p.sh == 1 and p.sd == 1
    for task in range(begin, end):
        t = block_at(f, task)
        b, spare = first, first + f.slice // 2
        fill_block(f, &t, b)
        n = t.deep * t.high * t.line
        if f.power:
            f.k.pool_power(b, b, n, f.power)
        combine_axis(f, &b, &spare, n, p.kd, p.dd * t.high * t.line)
        n -= (p.kd - 1) * p.dd * t.high * t.line
        combine_axis(f, &b, &spare, n, p.kh, p.dh * t.line)
        n -= (p.kh - 1) * p.dh * t.line
        if flat:
            combine_axis(f, &b, &spare, n, p.kw, p.dw * t.cb)
        store_block(f, &t, b, NULL if flat else spare)

cdef void combine_axis(const Pool *f, char **b, char **spare, ptrdiff_t n, ptrdiff_t taps, ptrdiff_t unit) noexcept nogil:
    cdef char *r = <char *>f.k.pool_window(b[0], spare[0], n, taps, unit, f.op)
    if r != b[0]:
        spare[0] = b[0]
        b[0] = r
