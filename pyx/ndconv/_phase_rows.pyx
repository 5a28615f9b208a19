# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Transposed convolution with strides to few channels: all phases of the strides (see _phases.pyx) from one copy of x, with
pixels in vectors.

    for tasks, which are blocks of rows and of columns of q, of one image
        store zeros, where there are phases that no tap falls on
        for groups, or where their channels are neighbours in memory, several at a time
            copy the rows of x that the block reads to a slab [channel][depth][row][column], zeros around them   (256 KiB, L2)
            for panels of channels, phases of depth and row
                for some rows of q                                                  (their results: 32 KiB, L1)
                    for phases of a row: register tiles over taps x channels to a row of results      (kernels/gemm.h)
                    interleave the phases' results to rows of y

Neighbours of a phase read neighbours of x, so that tiles have few rows and many vectors: 3 channels by 4 vectors (AVX2) or 8
(AVX-512) keep the FMA units as busy as 6 by 2 or 14 by 2. As in direct, tiles run across row ends and what is computed between
rows is dropped, where ending each row with a partial vector would waste more; and the sums of few channels are lists of places.

Bytes moved: x once to the slab and from L2 once a phase; y once. Every multiply-add is one that the definition has, but for those
between rows and those that see the zeros around x. Expected: the rate of the register tile with long sums, that of turning x and
y with short ones (NHWC memory: 3x3 taps on 3 channels spend a third of the time there). Reached on two threads, GFLOP/s of 230:
3x3 at stride 2 on 56x56, 64 to 8 and 12 channels 105 to 120 with AVX2, 110 to 130 with AVX-512; 7x7 at stride 4 on 224x224, 64
to 3 channels 85.
"""
from libc.string cimport memset

from ndconv._c cimport ND_BIAS_ROW, ND_LIST, ND_ZERO, nd_array, nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_walk, nd_weights
from ndconv._pack cimport Pixel, ceil_div, evened, finish_pixels, gemm_columns, pad_rows, split, taps_of, whole_lines
from ndconv._phase_axis cimport Axis, Phase, axis_of, leaves_zeros, phase_of
from ndconv._runtime cimport parallel_for

cdef enum:
    MOST = 16                # phases of an axis
    SLAB_BYTES = 262144      # of a task's rows of x, in L2
    MOST_BYTES = 4194304     # of the least slab there can be
    ROWS_BYTES = 32768       # of results that wait to be interleaved, in L1
    JOINED_BYTES = 65536     # of a row of results of groups that are done together
    SHORT = 16               # channels below which sums are lists of places
    STRIP = 96               # columns that a strip has at least
    LEAST = 8                # sums that keep the FMA units busy
    TASKS = 12               # that a problem is cut into when it is large enough

cdef struct Blocking:
    Axis axis[3]
    Phase phase[3][MOST]
    ptrdiff_t rows, blocks, columns, strips, parts       # of a task, tasks of an image's rows, columns and groups
    ptrdiff_t groups, lines                              # that are done together, lines of a phase: their channels
    ptrdiff_t depths, pitch, plane, channel              # of the slab: depths, elements of a row, a depth and a channel
    ptrdiff_t panels, height, steps                      # of channels of a group, channels of one; entries of a tap in the lists
    bint by_row                                          # tiles end with the row
    ptrdiff_t together, width, line                      # rows whose results wait, elements of one, and of a line of them
    ptrdiff_t phases, tables, slab, results              # bytes from tables on

# The taps of all phases: those of phase i are start[i] <= j < start[i + 1]. Step j of their sums, or if sums are lists step
# j*channels + c, reads column a[j] of the phase's part of a panel and element b[j] of the slab, from its first q on.
cdef struct Taps:
    ptrdiff_t *start
    ptrdiff_t *tap           # of the kernel
    ptrdiff_t *a
    ptrdiff_t *b

cdef struct Forward:
    const nd_job *job
    Blocking b
    Taps taps
    bint zeroed              # phases without taps are stored as zeros beforehand

cdef struct Task:
    ptrdiff_t n, g, groups, qd, row, rows, column, columns       # a block of q
    ptrdiff_t results                                    # columns of y
    char *slab
    char *lines

cdef void set_slab(const nd_problem *p, const nd_kernel_set *k, Blocking *b) noexcept nogil:
    b.pitch = b.columns + b.axis[2].high - b.axis[2].low
    b.plane = (b.rows + b.axis[1].high - b.axis[1].low) * b.pitch
    # an odd number of cache lines: channels do not fall on the same sets of the cache
    b.channel = (ceil_div(b.depths * b.plane * k.size, 128) * 128 + 64) // k.size
    b.slab = whole_lines((b.groups * p.icg * b.channel + k.nr) * k.size)

cdef inline ptrdiff_t sums_of(const nd_problem *p, const nd_kernel_set *k, ptrdiff_t length) noexcept nogil:
    """Sums of the tiles along so many columns; a tile of few waits for the one before."""
    cdef ptrdiff_t m = ceil_div(p.ocg, ceil_div(p.ocg, k.mr)), tiles = ceil_div(length, k.tile_columns(m))
    return max(ceil_div(length, k.vl) * m, tiles * LEAST)

cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Blocking b
    cdef ptrdiff_t axis, r, images, high, most = 0
    b.axis[0] = axis_of(p.sd, p.dd, p.pd, p.kd, p.id, p.od)
    b.axis[1] = axis_of(p.sh, p.dh, p.ph, p.kh, p.ih, p.oh)
    b.axis[2] = axis_of(p.sw, p.dw, p.pw, p.kw, p.iw, p.ow)
    b.phases = 1
    for axis in range(3):
        b.phases *= b.axis[axis].phases
        for r in range(min(b.axis[axis].phases, MOST)):
            b.phase[axis][r] = phase_of(&b.axis[axis], r)
    b.depths = b.axis[0].high - b.axis[0].low + 1
    high = b.axis[1].high - b.axis[1].low
    b.panels = ceil_div(p.ocg, k.mr)
    # lists are for whole panels only
    b.height = k.mr if p.icg < SHORT else ceil_div(p.ocg, b.panels)
    images = p.n * b.axis[0].most
    # groups of channels that are neighbours in memory belong to one task: their zeros are stored together
    b.parts = min(p.g, ceil_div(TASKS, images)) if not p.lanes_oc else 1
    images *= b.parts
    b.groups = 1
    if p.lanes_oc and b.panels == 1:
        b.groups = max(min(JOINED_BYTES // (p.ocg * p.ow * k.size), p.g), <ptrdiff_t>1)
    b.lines = b.groups * p.ocg if b.panels == 1 else k.mr
    most = b.axis[1].most
    b.rows = max(ceil_div(most, ceil_div(TASKS, images)), min(ceil_div(most, 2), max(2 * high, 6 * k.nr // b.axis[2].most)))
    b.columns = b.axis[2].most
    set_slab(p, k, &b)
    while b.slab > SLAB_BYTES and (b.rows > 1 or b.columns > STRIP):
        if b.rows > 1:
            b.rows = (b.rows + 1) // 2
        else:
            b.columns = (b.columns + 1) // 2
        set_slab(p, k, &b)
    b.blocks = evened(ceil_div(most, b.rows), images, most)
    b.rows = ceil_div(most, b.blocks)
    b.strips = max(ceil_div(b.axis[2].most, b.columns), min(ceil_div(TASKS, images * b.blocks), b.axis[2].most // STRIP))
    if b.strips > 1:
        b.columns = ceil_div(ceil_div(b.axis[2].most, b.strips), k.nr) * k.nr
        b.strips = ceil_div(b.axis[2].most, b.columns)
    set_slab(p, k, &b)
    b.by_row = b.rows * sums_of(p, k, b.columns) <= sums_of(p, k, (b.rows - 1) * b.pitch + b.columns)
    b.width = ceil_div(b.columns, k.vl) * k.vl if b.by_row else b.pitch
    b.together = max(min(ROWS_BYTES // (b.axis[2].phases * b.lines * b.width * k.size), b.rows), 1)
    b.line = (ceil_div((b.together * b.width + k.vl) * k.size, 128) * 128 + 64) // k.size
    b.results = b.axis[2].phases * b.lines * b.line * k.size
    b.steps = p.icg if p.icg < SHORT else 1
    b.tables = whole_lines((b.phases + 1 + (2 + b.steps) * taps_of(p)) * <ptrdiff_t>sizeof(ptrdiff_t))
    return b

cdef void phase_rows_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    """Left to forward problems, with 0 bytes prepared: very many phases, and slabs without bounds."""
    cdef Blocking b
    memset(to, 0, sizeof(nd_sizes))
    if max(p.sd, p.sh, p.sw) > MOST:
        return
    b = blocking(p, k)
    if b.slab > MOST_BYTES:
        return
    to.prepared = p.g * b.panels * panel_bytes(p, k, &b)
    to.shared = to.prepare_worker = b.tables
    to.worker = b.slab + b.results

cdef Taps list_taps(const nd_problem *p, const Blocking *b, char *tables) noexcept nogil:
    cdef Taps t
    cdef const Phase *d
    cdef const Phase *h
    cdef const Phase *w
    cdef ptrdiff_t phase, i, j, l, c, place, n = 0
    t.start = <ptrdiff_t *>tables
    t.tap = t.start + b.phases + 1
    t.a = t.tap + taps_of(p)
    t.b = t.a + taps_of(p)
    for phase in range(b.phases):
        t.start[phase] = n
        w = &b.phase[2][phase % b.axis[2].phases]
        h = &b.phase[1][phase // b.axis[2].phases % b.axis[1].phases]
        d = &b.phase[0][phase // b.axis[2].phases // b.axis[1].phases]
        for i in range(d.count):
            for j in range(h.count):
                for l in range(w.count):
                    t.tap[n] = ((d.first + i * b.axis[0].step) * p.kh + h.first + j * b.axis[1].step) * p.kw + w.first \
                        + l * b.axis[2].step
                    t.a[n] = (n - t.start[phase]) * p.icg * b.height
                    place = (d.offset - i * b.axis[0].reach - b.axis[0].low) * b.plane \
                        + (h.offset - j * b.axis[1].reach - b.axis[1].low) * b.pitch \
                        + w.offset - l * b.axis[2].reach - b.axis[2].low
                    for c in range(b.steps):
                        t.b[n * b.steps + c] = place + c * b.channel
                    n += 1
    t.start[b.phases] = n
    return t

cdef inline ptrdiff_t panel_bytes(const nd_problem *p, const nd_kernel_set *k, const Blocking *b) noexcept nogil:
    return taps_of(p) * p.icg * b.height * k.size

# ------------------------------------------------------------------------------------------------ weights

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    const Blocking *b
    Taps taps
    char *to

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Panels of all groups as [phase][tap][channel of x][height]."""
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef const nd_weights *w = f.w
    cdef ptrdiff_t i, j, tap, first, count, panels = f.b.panels, step = k.size * p.icg * f.b.height
    cdef char *to
    for i in range(begin, end):
        first = split(p.ocg, panels, i % panels)
        count = split(p.ocg, panels, i % panels + 1) - first
        to = f.to + i * panel_bytes(p, k, f.b)
        for j in range(f.taps.start[f.b.phases]):
            tap = f.taps.tap[j]
            k.move(to + j * step, f.b.height,
                   w.data + k.size * (i // panels * w.g + first * w.o + tap // (p.kw * p.kh) * w.d + tap // p.kw % p.kh * w.h
                                      + tap % p.kw * w.w), p.icg, count, w.c, w.o)

cdef void phase_rows_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                             int threads) noexcept nogil:
    cdef Prepare f
    cdef Blocking b = blocking(p, k)
    f.p, f.k, f.w, f.b, f.to = p, k, w, &b, <char *>to
    f.taps = list_taps(p, &b, workspace)
    parallel_for(p.g * b.panels, ceil_div(65536, panel_bytes(p, k, &b)), threads, prepare_body, &f)

# ------------------------------------------------------------------------------------------------ forward

cdef void phase_rows_forward(const nd_job *job) noexcept nogil:
    cdef Forward f
    cdef const nd_problem *p = job.p
    f.job, f.b = job, blocking(p, job.k)
    f.taps = list_taps(p, &f.b, job.workspace)
    f.zeroed = leaves_zeros(job) and lacks_taps(&f.b) and (
        job.y.w == 1 or job.y.c == 1 and job.y.w == p.g * p.ocg and f.b.parts == 1)
    parallel_for(p.n * f.b.axis[0].most * f.b.blocks * f.b.strips * f.b.parts, 1, job.threads, forward_body, &f)

cdef bint lacks_taps(const Blocking *b) noexcept nogil:
    """Whether there are rows of y that no tap falls on."""
    cdef ptrdiff_t axis, r
    for axis in range(2):
        for r in range(b.axis[axis].phases):
            if b.phase[axis][r].count == 0:
                return True
    return False

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef Task t
    cdef ptrdiff_t i, at, part, high
    t.slab = f.job.workspace + b.tables + worker * (b.slab + b.results)
    t.lines = t.slab + b.slab
    for i in range(begin, end):
        part, at = i % b.parts, i // b.parts
        t.column, at = at % b.strips * b.columns, at // b.strips
        t.row = split(b.axis[1].most, b.blocks, at % b.blocks)
        t.rows, at = split(b.axis[1].most, b.blocks, at % b.blocks + 1) - t.row, at // b.blocks
        t.qd, t.n = at % b.axis[0].most, at // b.axis[0].most
        t.columns = min(b.columns, b.axis[2].most - t.column)
        t.results = min(p.ow - t.column * p.sw, t.columns * p.sw)
        if f.zeroed:
            store_zeros(f, &t, split(p.g, b.parts, part), split(p.g, b.parts, part + 1))
        t.g, high = split(p.g, b.parts, part), split(p.g, b.parts, part + 1)
        while t.g < high:
            t.groups = min(b.groups, high - t.g)
            fill_slab(f, &t)
            multiply(f, &t)
            t.g += t.groups

cdef void store_zeros(const Forward *f, const Task *t, ptrdiff_t low, ptrdiff_t high) noexcept nogil:
    """Zeros for all results of a task."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = f.job.k.size, depth, row, c, rows = min(p.oh - t.row * p.sh, t.rows * p.sh), pieces = rows
    cdef ptrdiff_t planes = 1 if y.w != 1 else (high - low) * p.ocg, bytes = size * t.results * y.w
    cdef char *to
    if t.results == p.ow and y.h == p.ow * y.w:
        bytes, pieces = bytes * rows, 1
    for depth in range(t.qd * p.sd, min((t.qd + 1) * p.sd, p.od)):
        for c in range(planes):
            to = y.data + size * (t.n * y.n + (low * p.ocg + c) * y.c + depth * y.d + t.row * p.sh * y.h + t.column * p.sw * y.w)
            for row in range(pieces):
                memset(to + size * row * y.h, 0, bytes)

cdef void fill_slab(const Forward *f, const Task *t) noexcept nogil:
    """The rows of x that a task reads."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Blocking *b = &f.b
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t size = k.size, c, d, r, depth, row = t.row + b.axis[1].low, column = t.column + b.axis[2].low
    cdef ptrdiff_t rows = t.rows + b.axis[1].high - b.axis[1].low, pitch = t.columns + b.axis[2].high - b.axis[2].low
    cdef ptrdiff_t low, high, top, bottom, channels = t.groups * p.icg
    cdef const char *src = x.data + size * (t.n * x.n + t.g * p.icg * x.c)
    cdef char *to
    # rows and columns of the slab that lie in x
    top = min(max(-row, 0), rows)
    bottom = max(min(p.ih - row, rows), top)
    low = min(max(-column, 0), pitch)
    high = max(min(p.iw - column, pitch), low)
    if (x.w != 1 or pitch != b.pitch) and (top > 0 or bottom < rows or low > 0 or high < pitch):
        memset(t.slab, 0, size * channels * b.channel)
    for d in range(b.depths):
        depth, to = t.qd + b.axis[0].low + d, t.slab + size * d * b.plane
        if not 0 <= depth < p.id:
            for c in range(channels):
                memset(to + size * c * b.channel, 0, size * b.plane)
        elif x.w == 1 and pitch == b.pitch:
            for c in range(channels):
                pad_rows(p, k, src + size * (c * x.c + depth * x.d), x.h, row, 1, column, rows, pitch, to + size * c * b.channel)
        else:
            for r in range(top, bottom):
                k.move(to + size * (r * b.pitch + low), b.channel,
                       src + size * (depth * x.d + (row + r) * x.h + (column + low) * x.w), channels, high - low, x.c, x.w)

cdef void multiply(const Forward *f, const Task *t) noexcept nogil:
    """All results of a task in one group."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Blocking *b = &f.b
    cdef ptrdiff_t v, phase, m, o, row, rows, count, g
    cdef const Phase *d
    cdef const Phase *h
    cdef const char *panel = <const char *>f.job.w + t.g * b.panels * panel_bytes(p, k, b)
    for v in range(b.panels):
        o = split(p.ocg, b.panels, v)
        m, o = split(p.ocg, b.panels, v + 1) - o, t.g * p.ocg + o
        for phase in range(b.axis[0].phases * b.axis[1].phases):
            d, h = &b.phase[0][phase // b.axis[1].phases], &b.phase[1][phase % b.axis[1].phases]
            if t.qd >= d.positions or f.zeroed and d.count * h.count == 0:
                continue
            rows, row = min(t.rows, h.positions - t.row), 0
            while row < rows:
                count = min(b.together, rows - row)
                for g in range(t.groups):
                    multiply_rows(f, t, phase * b.axis[2].phases, row, count, g, o + g * p.ocg, m,
                                  panel + g * panel_bytes(p, k, b))
                store_rows(f, t, p.sd * t.qd + d.r, h.r, row, count, o, t.groups * m)
                row += count
        panel += panel_bytes(p, k, b)

cdef void multiply_rows(const Forward *f, const Task *t, ptrdiff_t phase, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t g, ptrdiff_t o,
                        ptrdiff_t m, const char *panel) noexcept nogil:
    """Lines [phase of a row][group][channel] of some rows of results, for the task's group g; their first phase is `phase`."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Blocking *b = &f.b
    cdef const ptrdiff_t *at = f.taps.start + phase
    cdef ptrdiff_t i, r, size = k.size, stretches = rows if b.by_row else 1
    cdef ptrdiff_t vectors = ceil_div(t.columns if b.by_row else (rows - 1) * b.pitch + t.columns, k.vl)
    cdef const char *bias = <const char *>f.job.bias + size * o
    cdef int start = ND_BIAS_ROW if f.job.bias != NULL else ND_ZERO
    cdef nd_walk walk
    walk.a_row, walk.a_k, walk.b_k = 1, b.height, b.channel
    walk.len = p.icg
    for i in range(b.axis[2].phases):
        walk.runs, walk.b_off = at[i + 1] - at[i], f.taps.b + at[i] * b.steps
        walk.a_off = f.taps.a + at[i]
        if b.steps > 1:
            walk.len, walk.runs = walk.runs * b.steps, ND_LIST
        for r in range(stretches):
            gemm_columns(k, &walk, m, vectors, panel + size * at[i] * p.icg * b.height,
                         t.slab + size * (g * p.icg * b.channel + (row + r) * b.pitch),
                         t.lines + size * ((i * t.groups + g) * m * b.line + r * b.width), b.line, start, bias)

cdef void store_rows(const Forward *f, const Task *t, ptrdiff_t depth, ptrdiff_t phase, ptrdiff_t first, ptrdiff_t rows,
                     ptrdiff_t o, ptrdiff_t m) noexcept nogil:
    """The lines of some rows of results of m channels to y, whose row is `phase` behind the first of each."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = f.job.k.size, r
    cdef Pixel at
    at.n, at.d, at.w = t.n, depth, t.column * p.sw
    for r in range(rows):
        at.h = (t.row + first + r) * p.sh + phase
        store_row(f, t.results, m, t.lines + size * r * f.b.width,
                  y.data + size * (at.n * y.n + o * y.c + at.d * y.d + at.h * y.h + at.w * y.w))
        finish_pixels(f.job, o, m, at, t.results)

cdef void store_row(const Forward *f, ptrdiff_t columns, ptrdiff_t m, const char *lines, char *to) noexcept nogil:
    """Column s*q + i of m channels from element q of lines i*m and following."""
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, line = f.b.line, s = f.job.p.sw, whole = columns // s, rest = columns % s, i, c
    if y.c == 1 and y.w == m:
        k.move(to, s * m, lines, whole, s * m, 1, line)
        k.move(to + size * whole * s * m, 0, lines + size * whole, 1, rest * m, 1, line)
    elif y.c == 1:
        for i in range(min(s, columns)):
            k.move(to + size * i * y.w, s * y.w, lines + size * i * m * line, whole + (i < rest), m, 1, line)
    elif y.w == 1 and s > 1:
        for c in range(m):
            if s == 2:
                k.join_complex(to, 1, lines, lines + size * m * line, whole)
            else:
                k.move(to, s, lines, whole, s, 1, m * line)
            k.move(to + size * whole * s, 0, lines + size * whole, 1, rest, 1, m * line)
            to += size * y.c
            lines += size * line
    else:
        for i in range(min(s, columns)):
            for c in range(m):
                k.scatter(to + size * (c * y.c + i * y.w), s * y.w, lines + size * (i * m + c) * line, 1, whole + (i < rest))
