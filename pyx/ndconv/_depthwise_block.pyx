# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Blocks of output rows of convolutions with very few input channels a group, and where they read x.

A block is some output rows and columns of one image, depth and group (lanes hold pixels: NCHW memory) or some output
channels (lanes hold channels: NHWC memory). Either reads x in place, at its borders by masks (kernels/depthwise.h) or by leaving
taps out (kernels/depthwise_pixels.h). Where not zeros are outside, only 3x3 kernels of lanes of pixels do so, with a table of the
rows, and of lanes of channels those pixels whose taps lie in x:

    rows above, below            from a padded slab        +------------------+
    columns left, right          from a padded slab        |       slab       |
    everything between           read in place             +---+----------+---+
                                                           |   | in place |   |
                                                           +---+----------+---+
                                                           |       slab       |
                                                           +------------------+

A slab is also where they find what they cannot read in place. Of lanes of channels that is x of several output channels a group,
or beside weights that are not finite, since those times zero are NaN. Of lanes of pixels: other strides than 1 and 2 along x,
taken apart into phases; elements that are not neighbours; depths outside x; and rows a multiple of 4 KiB apart, since those
compete for the same lines of L1. It is up to 16 KiB, so it stays in L1. Rows of taps that are dilated by dh meet output rows dh
apart, so a block takes every dh-th output row.
"""
from libc.string cimport memcpy, memset

from ndconv._c cimport ND_CONSTANT, ND_FILL, ND_NOWHERE, nd_array, nd_job, nd_kernel_set, nd_problem, nd_source
from ndconv._outside cimport copy_cells, put
from ndconv._pack cimport PAGE, ceil_div, copy_clipped, split, taps_of, whole_lines

cdef enum:
    SLAB_BYTES = 16384       # of padded rows, in L1
    PIXELS_BYTES = 131072    # the same with lanes of channels, in L2
    MOST_BYTES = 1048576     # where many channels make even few rows larger
    CHANNELS = 64            # of a block, lanes of channels with a slab
    COLUMNS = 2048           # of a block, lanes of pixels
    BLOCKS = 12              # that a problem is cut into when it is large enough
    LEAST_PIXELS = 16        # between the borders that are worth reading in place
    ROWS = 4                 # output rows that kernels of pixels take at once
    LONG_ROW = 8             # taps of a kernel of one row
    TALL = 6                 # rows of taps

cdef bint has_lanes_c(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether vectors hold output channels: where memory keeps them together and there is a whole vector of them."""
    return p.lanes_oc and p.icg == 1 and p.g * p.ocg >= k.vl

cdef inline ptrdiff_t reach_of(const nd_problem *p, ptrdiff_t columns) noexcept nogil:
    """Input columns that so many output columns need."""
    return (columns - 1) * p.sw + (p.kw - 1) * p.dw + 1

cdef inline ptrdiff_t phase_of(const nd_problem *p, const nd_kernel_set *k, ptrdiff_t columns) noexcept nogil:
    """Elements of a phase of a slab row: whole vectors, and one more for rows that are less than one."""
    return ceil_div(ceil_div(reach_of(p, columns), p.sw), k.vl) * k.vl + k.vl

cdef void set_slab(const nd_problem *p, const nd_kernel_set *k, Blocking *b) noexcept nogil:
    cdef ptrdiff_t line = reach_of(p, b.columns) * b.channels if b.lanes_c else p.sw * phase_of(p, k, b.columns)
    b.slab = whole_lines(b.planes * ((b.rows - 1) * b.sh + p.kh) * line * k.size)
    b.out = whole_lines(b.rows * b.columns * b.channels * k.size)

cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Blocking b
    cdef ptrdiff_t limit, rows
    b.lanes_c = has_lanes_c(p, k)
    b.planes = p.icg * p.kd
    b.every = p.dh if p.sh == 1 else 1
    b.sh = p.sh if p.dh == 1 else 1
    if b.lanes_c:
        # whole vectors, what is left to the last task
        b.groups = ceil_div(p.g * p.ocg, CHANNELS)
        b.channels = ceil_div(p.g * p.ocg // k.vl, b.groups) * k.vl + p.g * p.ocg % k.vl
        limit, b.columns = PIXELS_BYTES, min(p.ow, 256)
    else:
        b.groups, b.channels = p.g, 1
        limit, b.columns = SLAB_BYTES, min(p.ow, COLUMNS)
    # output rows that are `every` apart; dilated and strided ones share no rows of taps, so they go one by one
    rows = ceil_div(p.oh, b.every) if p.sh == 1 or p.dh == 1 else 1
    b.rows = min(rows, max(ceil_div(rows, ceil_div(BLOCKS, p.n * p.od * b.groups * ceil_div(p.ow, b.columns))), 4))
    set_slab(p, k, &b)
    while b.slab > limit and b.rows > 8 or b.slab > MOST_BYTES and b.rows > 1:
        b.rows = (b.rows + 1) // 2
        set_slab(p, k, &b)
    while b.slab > MOST_BYTES and b.columns > 64:
        b.columns = (b.columns + 1) // 2
        set_slab(p, k, &b)
    b.row_blocks = ceil_div(ceil_div(p.oh, b.every), b.rows)
    b.rows = ceil_div(ceil_div(p.oh, b.every), b.row_blocks)
    b.column_blocks = ceil_div(p.ow, b.columns)
    b.columns = ceil_div(p.ow, b.column_blocks)
    b.units = p.od * b.every * b.row_blocks * b.column_blocks
    set_slab(p, k, &b)
    b.offsets = whole_lines((b.planes + p.kw) * <ptrdiff_t>sizeof(ptrdiff_t))
    return b

cdef Run start_run(const nd_job *job) noexcept nogil:
    cdef Run f
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t last = p.iw - 1 - (p.kw - 1) * p.dw + p.pw
    f.job, f.b, f.lined, f.folds, f.clips = job, blocking(job.p, job.k), False, False, False
    f.left = min(ceil_div(p.pw, p.sw), p.ow) if p.pw > 0 else 0
    f.right = max(min(last // p.sw + 1, p.ow), f.left) if last >= 0 else f.left
    return f

cdef bint can_be_lined(const Run *f) noexcept nogil:
    """Whether 3x3 kernels read x in place although not zeros are outside."""
    cdef const nd_problem *p = f.job.p
    return (p.bordered and not f.b.lanes_c and f.job.x.w == 1 and f.job.y.w == 1 and f.b.planes == 1 and p.kh == p.kw == 3
            and p.sh == p.sw == p.dh == p.dw == p.pw == 1 and p.ow == p.iw > f.job.k.vl and f.b.column_blocks == 1
            and lines_bytes(f) + p.iw * f.job.k.size <= f.b.slab)

cdef inline ptrdiff_t lines_bytes(const Run *f) noexcept nogil:
    return (f.b.rows + 2) * <ptrdiff_t>sizeof(ptrdiff_t)

cdef void set_worker(const Run *f, Block *t, char *workspace) noexcept nogil:
    """A worker's memory, b.slab + b.out + b.offsets bytes, and what all blocks have in common."""
    cdef const nd_problem *p = f.job.p
    t.slab = workspace
    t.out = t.slab + f.b.slab
    t.plane = <ptrdiff_t *>(t.out + f.b.out)
    t.column = t.plane + f.b.planes
    t.s.planes, t.s.kh, t.s.kw, t.s.plane, t.s.column = f.b.planes, p.kh, p.kw, t.plane, t.column
    t.s.stride, t.s.spread, t.s.w_vector = p.sw, p.dw, taps_of(p) * f.job.k.vl
    t.s.lines, t.lined = NULL, False

cdef void set_block(const Run *f, Block *t, ptrdiff_t n, ptrdiff_t group, ptrdiff_t unit) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const Blocking *b = &f.b
    cdef ptrdiff_t channels = p.g * p.ocg, vl = f.job.k.vl
    t.n, t.group, t.od, t.phase, t.r0, t.c0 = n, group, 0, 0, 0, 0
    if b.units > 1:  # divisions are slow, small planes are many
        unit, t.c0 = unit // b.column_blocks, unit % b.column_blocks * b.columns
        unit, t.r0 = unit // b.row_blocks, unit % b.row_blocks * b.rows
        t.od, t.phase = unit // b.every, unit % b.every
    t.r1 = min(t.r0 + b.rows, ceil_div(p.oh - t.phase, b.every) if t.phase < p.oh else 0)
    t.c1 = min(t.c0 + b.columns, p.ow)
    if b.lanes_c:
        t.oc = split(channels // vl, b.groups, group) * vl
        t.channels = (channels if group == b.groups - 1 else split(channels // vl, b.groups, group + 1) * vl) - t.oc
    else:
        t.oc, t.channels = group * p.ocg, p.ocg

cdef void walk_block(const Run *f, Block *t) noexcept nogil:
    """Calls f.rectangle for a block, or with lanes of channels for its rectangles: rows with taps above or below x, columns with
    taps left or right of it, the rest."""
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t first = t.od * p.sd - p.pd, reach = (p.kh - 1) * p.dh, top, bottom, left, right
    cdef bint in_place = first >= 0 and first + (p.kd - 1) * p.dd < p.id and reads_in_place(f)
    if f.lined:
        in_place = set_lines(f, t)
    left, right = min(max(f.left, t.c0), t.c1), max(min(f.right, t.c1), t.c0)
    if f.clips:
        place(f, t, t.r0, t.r1, t.c0, t.c1, True)
        return
    if not f.b.lanes_c or not in_place or right - left < LEAST_PIXELS:
        place(f, t, t.r0, t.r1, t.c0, t.c1, in_place and not f.b.lanes_c)
        return
    top, bottom = t.r0, t.r1
    while top < bottom and (t.phase + top * f.b.every) * p.sh < p.ph:
        top += 1
    while bottom > top and (t.phase + (bottom - 1) * f.b.every) * p.sh - p.ph + reach >= p.ih:
        bottom -= 1
    place(f, t, t.r0, top, t.c0, t.c1, False)
    place(f, t, top, bottom, t.c0, left, False)
    place(f, t, top, bottom, left, right, True)
    place(f, t, top, bottom, right, t.c1, False)
    place(f, t, bottom, t.r1, t.c0, t.c1, False)

cdef bint takes_phases(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Whether x is taken apart into phases for a stride of 2 along it: kernels of one long row and tall ones then load a vector
    for each multiply-add and less, in 0.3 to 0.8 of the time."""
    return p.sw == 2 and (p.kh == 1 and p.kw >= LONG_ROW or p.sh == 2 and p.dh == 1 and p.kh >= TALL and p.ow > k.vl)

cdef bint reads_in_place(const Run *f) noexcept nogil:
    """Whether x is read where it is, but for borders of lanes of channels."""
    cdef const nd_problem *p = f.job.p
    if f.b.lanes_c:
        return f.job.x.c == 1 and p.ocg == 1
    # lanes of pixels are masked at the borders of x, so zeros are outside
    return not p.bordered and p.sw <= 2 and not takes_phases(p, f.job.k) and f.job.x.w == 1 \
        and (p.sw == 2 or p.kh <= ROWS or p.dh * f.job.x.h * f.job.k.size % PAGE != 0)

cdef bint set_lines(const Run *f, Block *t) noexcept nogil:
    """Where the input rows of a block begin, and a row of the constant, both in the slab, which has no other use then; 0 if zeros
    would be where the constant is."""
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t top = t.r0 - p.ph, depth = t.od * p.sd - p.pd, r, row, plane = nd_source(&p.outside[0], depth, p.id)
    cdef ptrdiff_t *lines = <ptrdiff_t *>t.slab
    cdef bint nowhere = plane == ND_NOWHERE
    t.s.lines, t.s.constants = lines, t.slab + lines_bytes(f)
    if t.lined:
        return True
    for r in range(t.r1 - t.r0 + 2):
        row = nd_source(&p.outside[1], top + r, p.ih)
        nowhere = nowhere or row == ND_NOWHERE
        lines[r] = (plane - depth) * f.job.x.d + (row - top) * f.job.x.h if plane >= 0 and row >= 0 else ND_CONSTANT
    t.s.left, t.s.right = nd_source(&p.outside[2], -1, p.iw), nd_source(&p.outside[2], p.iw, p.iw)
    if p.fill != 0 and (nowhere or ND_NOWHERE in (t.s.left, t.s.right)):
        t.s.lines = NULL
        return False
    t.s.left = t.s.left if t.s.left >= 0 else ND_CONSTANT
    t.s.right = t.s.right if t.s.right >= 0 else ND_CONSTANT
    f.job.k.pool_fill(t.slab + lines_bytes(f), p.iw, p.fill)
    t.lined = f.b.units == 1    # for all images and groups
    return True

cdef void place(const Run *f, Block *t, ptrdiff_t r0, ptrdiff_t r1, ptrdiff_t c0, ptrdiff_t c1, bint in_place) noexcept nogil:
    """Where the rows and columns of a rectangle read x, and its turn."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = f.job.k.size, i
    cdef ptrdiff_t top = (t.phase + r0 * f.b.every) * p.sh - p.ph, left = c0 * p.sw - p.pw, depth = t.od * p.sd - p.pd
    cdef const char *src = t.slab
    if r0 >= r1 or c0 >= c1:
        return
    t.top, t.left, t.s.rows, t.s.n, t.s.channels, t.s.sh = r0, c0, r1 - r0, c1 - c0, t.channels, f.b.sh
    t.s.low, t.s.high, t.depth, t.s.planes = 0, (t.s.rows - 1) * f.b.sh + p.kh, 0, f.b.planes
    if in_place:
        t.s.row, t.s.first, t.s.width, t.s.pixel = p.dh * x.h, left, p.iw, x.w
        rows_inside(p, top, t.s.high, &t.s.low, &t.s.high)
        if f.clips:
            depths_inside(p, depth, &t.depth, &t.s.planes)
        for i in range(t.s.planes):
            t.plane[i] = i // p.kd * x.c + (t.depth + i % p.kd) * p.dd * x.d
        src = x.data + size * (t.n * x.n + (t.oc if f.b.lanes_c else t.group * p.icg) * x.c + depth * x.d + top * x.h)
        if f.lined and not 0 <= depth < p.id:
            t.s.low = t.s.high = 0    # of this depth
    else:
        t.phase_size = phase_of(p, f.job.k, t.s.n)
        t.line = reach_of(p, t.s.n) * t.channels if f.b.lanes_c else p.sw * t.phase_size
        fill_slab(f, t)
        t.s.row, t.s.first, t.s.pixel = t.line, 0, t.channels
        t.s.width = reach_of(p, t.s.n) if f.b.lanes_c else t.line
        for i in range(f.b.planes):
            t.plane[i] = i * ((t.s.rows - 1) * f.b.sh + p.kh) * t.line
    if not f.b.lanes_c:
        t.s.stride = p.sw if in_place else 1
        for i in range(p.kw):
            t.column[i] = i * p.dw if in_place else i * p.dw % p.sw * t.phase_size + i * p.dw // p.sw
    t.s.step = f.b.sh * t.s.row
    f.rectangle(f, t, src)

cdef void depths_inside(const nd_problem *p, ptrdiff_t depth, ptrdiff_t *first, ptrdiff_t *count) noexcept nogil:
    """Which taps, dd apart from `depth` on, lie in x: first <= i < first + count."""
    first[0] = min(ceil_div(-depth, p.dd), p.kd) if depth < 0 else 0
    count[0] = max(min(ceil_div(p.id - depth, p.dd), p.kd) - first[0], 0) if depth < p.id else 0

cdef void rows_inside(const nd_problem *p, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t *low, ptrdiff_t *high) noexcept nogil:
    """Which of `rows` rows, dh apart from row `top` of x on, lie in x: low <= r < high."""
    low[0] = min(ceil_div(-top, p.dh), rows) if top < 0 else 0
    high[0] = max(min(ceil_div(p.ih - top, p.dh), rows), low[0]) if top < p.ih else low[0]

cdef void fill_slab(const Run *f, Block *t) noexcept nogil:
    """The input rows that the rectangle needs, with zeros where they leave x."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef const Blocking *b = &f.b
    cdef ptrdiff_t size = f.job.k.size, i, depth, low, high, columns = reach_of(p, t.s.n)
    cdef ptrdiff_t top = (t.phase + t.top * b.every) * p.sh - p.ph, rows = (t.s.rows - 1) * b.sh + p.kh, line = t.line * size
    cdef ptrdiff_t left = t.left * p.sw - p.pw
    cdef const char *src
    cdef char *to = t.slab
    rows_inside(p, top, rows, &low, &high)
    for i in range(b.planes):
        depth = t.od * p.sd - p.pd + i % p.kd * p.dd
        if p.bordered:
            if b.lanes_c:
                copy_rows(f, t, to, i // p.kd, depth, top, rows, left, columns)
            else:
                repeat_plane(f, t, to, i // p.kd, depth, top, rows, left, columns)
            to += rows * line
            continue
        if not 0 <= depth < p.id:
            memset(to, 0, rows * line)
            to += rows * line
            continue
        memset(to, 0, low * line)
        memset(to + high * line, 0, (rows - high) * line)
        src = x.data + size * (t.n * x.n + depth * x.d + (top + low * p.dh) * x.h)
        if b.lanes_c:
            fill_pixels(f, t, to + low * line, src, high - low, left, columns)
        else:
            src += size * (t.group * p.icg + i // p.kd) * x.c
            fill_rows(f, t, to + low * line, src, high - low, left, columns)
        to += rows * line

cdef void copy_rows(const Run *f, const Block *t, char *to, ptrdiff_t channel, ptrdiff_t depth, ptrdiff_t top, ptrdiff_t rows,
                    ptrdiff_t left, ptrdiff_t columns) noexcept nogil:
    """fill_rows and fill_pixels where what is outside x is not zero."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = k.size, r, i, h
    cdef const char *src = x.data + size * t.n * x.n
    for r in range(rows):
        h = top + r * p.dh
        if not f.b.lanes_c:
            for i in range(p.sw):
                copy_cells(p, k, src + size * (t.group * p.icg + channel) * x.c, x, depth, h, left + i, p.sw,
                           ceil_div(max(columns - i, 0), p.sw), 1, to + i * t.phase_size * size, 1, 1)
        elif p.ocg == 1:
            copy_cells(p, k, src + size * t.oc * x.c, x, depth, h, left, 1, columns, t.channels, to, t.channels, 1)
        else:
            for i in range(t.channels):
                copy_cells(p, k, src + size * ((t.oc + i) // p.ocg) * x.c, x, depth, h, left, 1, columns, 1, to + size * i,
                           t.channels, 1)
        to += t.line * size

cdef void repeat_plane(const Run *f, const Block *t, char *to, ptrdiff_t channel, ptrdiff_t depth, ptrdiff_t top, ptrdiff_t rows,
                       ptrdiff_t left, ptrdiff_t columns) noexcept nogil:
    """copy_rows of lanes of pixels: the rows of x as beside zeros, then columns outside all the way down, then rows outside, most
    of which repeat rows of the slab."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = f.job.k.size, line = t.line * size, plane = nd_source(&p.outside[0], depth, p.id)
    cdef ptrdiff_t low, high, r, i, source
    cdef const char *src
    cdef char *at
    rows_inside(p, top, rows, &low, &high)
    if plane < 0:
        low = high = 0
    src = x.data + size * (t.n * x.n + (t.group * p.icg + channel) * x.c + plane * x.d + (top + low * p.dh) * x.h)
    fill_rows(f, t, to + low * line, src, high - low, left, columns)
    i = 0
    while i < columns and low < high:
        if left + i >= 0 and left + i < p.iw:
            i = p.iw - left
            continue
        source = nd_source(&p.outside[2], left + i, p.iw)
        at = to + low * line + size * (i % p.sw * t.phase_size + i // p.sw)
        if source >= 0 and size == 4:
            repeat(<float *>at, <const float *>src + source * x.w, t.line, p.dh * x.h, high - low)
        elif source >= 0:
            repeat(<double *>at, <const double *>src + source * x.w, t.line, p.dh * x.h, high - low)
        elif source == ND_FILL:
            for r in range(high - low):
                put(f.job.k, at + r * line, p.fill)
        i += 1
    for r in range(rows):
        if low <= r < high:
            continue
        source = nd_source(&p.outside[1], top + r * p.dh, p.ih) - top
        if plane >= 0 and source % p.dh == 0 and low <= source // p.dh < high:
            memcpy(to + r * line, to + source // p.dh * line, line)
        else:
            copy_rows(f, t, to + r * line, channel, depth, top + r * p.dh, 1, left, columns)

ctypedef fused real:
    float
    double

cdef inline void repeat(real *to, const real *src, ptrdiff_t to_step, ptrdiff_t step, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(count):
        to[i * to_step] = src[i * step]

cdef void fill_rows(const Run *f, const Block *t, char *to, const char *src, ptrdiff_t rows, ptrdiff_t left,
                    ptrdiff_t columns) noexcept nogil:
    """Rows of x from column `left` on, taken apart into the phases of the stride."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = k.size, r, i, low, high
    low = min(max(-left, 0), columns)
    high = max(min(p.iw - left, columns), low)
    if p.sw == 1 and x.w == 1:
        k.pad(to, t.line, src + size * left, rows, p.dh * x.h, low, high)
        return
    if p.sw == 2 and x.w == 1:
        k.pad_pairs(to, t.line, t.phase_size, t.phase_size, src + size * left, rows, p.dh * x.h, low, high)
        return
    for r in range(rows):
        for i in range(p.sw):
            copy_clipped(k, to + i * t.phase_size * size, src, x.w, min(p.iw, left + columns), left + i, p.sw, t.phase_size)
        to += t.line * size
        src += p.dh * x.h * size

cdef void fill_pixels(const Run *f, const Block *t, char *to, const char *src, ptrdiff_t rows, ptrdiff_t left,
                      ptrdiff_t columns) noexcept nogil:
    """Rows of x from column `left` on as [column][channel]: for each output channel of the block, the one of its group."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = k.size, r, i, o, low, high
    low = min(max(-left, 0), columns)
    high = max(min(p.iw - left, columns), low)
    for r in range(rows):
        memset(to, 0, low * t.channels * size)
        memset(to + high * t.channels * size, 0, (columns - high) * t.channels * size)
        if p.ocg == 1:
            k.move(to + low * t.channels * size, t.channels,
                   src + size * ((left + low) * x.w + t.oc * x.c), high - low, t.channels, x.w, x.c)
        else:
            for o in range(t.channels):
                k.scatter(to + size * (low * t.channels + o), t.channels,
                          src + size * ((left + low) * x.w + (t.oc + o) // p.ocg * x.c), x.w, high - low)
        to += t.line * size
        src += p.dh * x.h * size
