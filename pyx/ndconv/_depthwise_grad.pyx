# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weight gradients of the depthwise method: for each tap a vector of sums of dy times x, one pass over both.

    for a part of the blocks of all images, group or block of channels     (tasks)
        NCHW memory: for each output channel: kernel over columns of pixels, rows and taps, a vector of sums a tap
            (kernels/depthwise_grad.h); over all images at once where a block is a whole plane
        the lanes of each vector added up: the part's sums
        NHWC memory: for each block of rows: kernel over channels, pixels of the rows and taps
        each block's dy summed to the bias gradient, if that is wanted, from L1 or L2
    add the parts in their order, and write dW wherever its strides say

x and dy are read in place. What cannot be (not zeros outside x, other strides than 1 and 2 along pixels, channels apart) goes
through the rectangles and slabs of _depthwise_block.pyx. The number of parts depends on the problem alone, so bits do not depend
on threads: groups are dealt out, and where they are few each has several parts. Bytes moved: x and dy once for every 9 taps or
so, from L1 or L2 after the first time; while a block is summed the next one is asked for.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_depthwise_grad, nd_job, nd_kernel_set, nd_problem, nd_weights
from ndconv._depthwise_block cimport (
    Block, Blocking, Run, blocking, reads_in_place, set_block, set_worker, start_run, walk_block)
from ndconv._pack cimport WAYS, add_columns, ceil_div, lines_kept, split, taps_of, whole_lines
from ndconv._runtime cimport parallel_for

cdef enum:
    TASKS = 12
    MOST_ROWS = 128          # of a block of lanes of pixels that is read in place
    ROWS_BYTES = 131072      # of x in a block of lanes of channels, in L2 with as many of dy
    COLLECTED = 64           # channels whose parts are added up at a time

# Layout of the parts' sums: [part][oc][c][taps], with lanes of channels [part][taps][oc].

cdef ptrdiff_t parts_of(const nd_problem *p, const Blocking *b) noexcept nogil:
    return min(ceil_div(TASKS, b.groups), p.n * b.units)

cdef ptrdiff_t weights_of(const nd_problem *p) noexcept nogil:
    return p.g * p.ocg * p.icg * taps_of(p)

cdef ptrdiff_t lane_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Of a group's vectors of sums."""
    return whole_lines(p.ocg * p.icg * taps_of(p) * k.vl * k.size)

cdef ptrdiff_t worker_bytes(const nd_problem *p, const nd_kernel_set *k, const Blocking *b) noexcept nogil:
    return b.slab + b.out + b.offsets + lane_bytes(p, k) + whole_lines(p.kh * <ptrdiff_t>sizeof(ptrdiff_t))

cdef ptrdiff_t most_parts(const nd_problem *p, const Blocking *b) noexcept nogil:
    """Whether blocks are enlarged or not."""
    return max(parts_of(p, b), min(TASKS, p.n * p.od * p.oh) if b.lanes_c else 0)

cdef size_t weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil:
    cdef Blocking b = blocking(p, k)
    return whole_lines(most_parts(p, &b) * weights_of(p) * k.size) + threads * worker_bytes(p, k, &b)

cdef ptrdiff_t bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Blocking b = blocking(p, k)
    return most_parts(p, &b)

cdef struct Grad:
    Run run                # first, so that a Run's address is its Grad's
    ptrdiff_t parts
    bint in_place          # whether blocks are read where they are, without rectangles
    bint dense             # whether dw is contiguous
    char *sums             # of the parts: the workspace, or dw itself

cdef struct Sums:
    Block block            # likewise
    char *lanes            # vectors of sums of the group's output channels, over all blocks of the part
    char *part             # the part's sums
    ptrdiff_t *column      # of taps across walks along pixels
    ptrdiff_t images       # that a block is taken of, one after the other

cdef void weight_grad(const nd_job *job) noexcept nogil:
    cdef Grad f
    cdef const nd_problem *p = job.p
    cdef nd_weights dw = job.dw
    f.run = start_run(job)
    f.run.rectangle = add_rectangle
    f.in_place = reads_here(&f.run)
    if f.in_place:
        enlarge(&f.run)
    f.parts = parts_of(p, &f.run.b)
    f.dense = (dw.w == 1 and (p.kh == 1 or dw.h == p.kw) and (p.kd == 1 or dw.d == p.kh * p.kw)
               and (p.icg == 1 or dw.c == taps_of(p)) and dw.o == p.icg * taps_of(p))
    f.sums = dw.data if f.dense and f.parts == 1 and not f.run.b.lanes_c else job.workspace
    parallel_for(f.parts * f.run.b.groups, 1, job.threads, sum_body, &f)
    if f.sums == job.workspace:
        parallel_for(ceil_div(p.g * p.ocg, COLLECTED), 4, job.threads, collect_body, &f)

cdef bint reads_here(const Run *f) noexcept nogil:
    """Whether blocks need neither slabs nor rectangles."""
    cdef const nd_problem *p = f.job.p
    if f.b.lanes_c:
        return reads_in_place(f) and not p.bordered and f.job.y.c == 1
    return reads_in_place(f) and f.job.y.w == 1 and p.od == p.kd == 1 and p.pd == 0

cdef void enlarge(Run *f) noexcept nogil:
    """Blocks as large as the caches want them: rows whose lines L1 holds while walks go down column by column, or rows of all
    channels, since these are what memory has one after the other."""
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef ptrdiff_t pitch = f.job.x.h * p.dh * f.job.k.size, rows = ceil_div(p.oh, b.every)
    if b.lanes_c:
        if p.n * p.od * p.oh >= 2 * TASKS:
            b.groups, b.channels = 1, p.g * p.ocg
        b.every, b.sh, b.columns, b.column_blocks = 1, p.sh, p.ow, 1
        b.rows = min(max(ROWS_BYTES // (p.iw * b.channels * f.job.k.size * p.sh), 1),
                     ceil_div(p.oh, ceil_div(TASKS, p.n * p.od * b.groups)))
    else:
        # 3 of the 8 lines of a set for rows of x, as many for dy
        b.rows = min(MOST_ROWS, max(3 * lines_kept(pitch) // WAYS, 2))
        b.rows = min(b.rows, max(ceil_div(rows, ceil_div(TASKS, p.n * b.groups * b.column_blocks)), 4), rows)
    b.row_blocks = ceil_div(ceil_div(p.oh, b.every), b.rows)
    b.rows = ceil_div(ceil_div(p.oh, b.every), b.row_blocks)
    b.units = p.od * b.every * b.row_blocks * b.column_blocks

cdef void sum_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Grad *f = <const Grad *>context
    cdef const nd_job *job = f.run.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef const Blocking *b = &f.run.b
    cdef Blocking plain = blocking(p, k)
    cdef ptrdiff_t size = k.size, sums = weights_of(p) * size, weights = p.ocg * p.icg * taps_of(p), i, j, end_of, tap
    cdef bint planes = f.in_place and not b.lanes_c and b.units == 1
    cdef Sums t
    t.lanes = job.workspace + whole_lines(f.parts * sums) + worker * worker_bytes(p, k, &plain)
    t.column = <ptrdiff_t *>(t.lanes + lane_bytes(p, k))
    set_worker(&f.run, &t.block, <char *>t.column + whole_lines(p.kh * <ptrdiff_t>sizeof(ptrdiff_t)))
    for i in range(begin, end):
        t.part = f.sums + i // b.groups * sums
        set_block(&f.run, &t.block, 0, i % b.groups, 0)
        if b.lanes_c:
            for tap in range(taps_of(p)):
                memset(t.part + size * (tap * p.g * p.ocg + t.block.oc), 0, size * t.block.channels)
        else:
            memset(t.lanes, 0, lane_bytes(p, k))
        j, end_of = split(p.n * b.units, f.parts, i // b.groups), split(p.n * b.units, f.parts, i // b.groups + 1)
        t.images = end_of - j if planes else 1
        while j < end_of:
            set_block(&f.run, &t.block, j // b.units, i % b.groups, j % b.units)
            if t.block.r0 < t.block.r1:
                if b.lanes_c and f.in_place:
                    add_rows(f, &t)
                else:
                    walk_block(&f.run, &t.block)
                if job.db != NULL:
                    add_bias(f, &t, job.db + i // b.groups * p.g * p.ocg + t.block.oc)
            j += t.images
        if not b.lanes_c:
            k.add_lanes(t.part + size * (i % b.groups * weights), t.lanes, weights)

cdef void add_bias(const Grad *f, const Sums *t, double *sums) noexcept nogil:
    """The block's results, which are near now, by channel."""
    cdef const Block *b = &t.block
    cdef const nd_array *dy = &f.run.job.y
    cdef const nd_kernel_set *k = f.run.job.k
    cdef ptrdiff_t every = f.run.b.every, rows = b.r1 - b.r0, n = b.c1 - b.c0, row = every * dy.h, m, r, c
    cdef const char *src = dy.data + k.size * (b.n * dy.n + b.oc * dy.c + b.od * dy.d + (b.phase + b.r0 * every) * dy.h
                                               + b.c0 * dy.w)
    if row == n * dy.w:
        n, rows = n * rows, 1
    for m in range(t.images):
        for r in range(rows):
            if dy.c == 1 and b.channels > 1:
                add_columns(k, sums, src + k.size * (m * dy.n + r * row), n, b.channels, dy.w)
                continue
            for c in range(b.channels):
                sums[c] += k.sum(src + k.size * (m * dy.n + r * row + c * dy.c), n, dy.w)

cdef void add_rows(const Grad *f, const Sums *t) noexcept nogil:
    """A block of rows of all pixels, lanes of channels: rows that miss the same taps together."""
    cdef const nd_job *job = f.run.job
    cdef const nd_problem *p = job.p
    cdef const nd_array *x = &job.x
    cdef const nd_array *dy = &job.y
    cdef const Block *b = &t.block
    cdef nd_depthwise_grad s
    cdef ptrdiff_t size = job.k.size, oc = p.g * p.ocg, d, depth, r, i, top, low, high, rows = b.r1 - b.r0
    s.steps, s.stride, s.spread, s.taps, s.low, s.high = p.ow, p.sw, p.dw, p.kw, p.pw, p.pw + p.iw
    s.x_step, s.x_tap, s.y_step, s.n = p.sw * x.w, p.dw * x.w, dy.w, b.channels
    s.x_row, s.y_row, s.sums_tap, s.sums_column = p.sh * x.h, dy.h, oc, p.kw * oc
    s.x_ahead, s.y_ahead = rows * p.sh * x.h, rows * dy.h
    if b.r1 == p.oh and p.od == 1:    # the next image
        s.x_ahead, s.y_ahead = x.n - b.r0 * p.sh * x.h, dy.n - b.r0 * dy.h
    for i in range(p.kh):
        t.column[i] = i * p.dh * x.h
    for d in range(p.kd):
        depth = b.od * p.sd - p.pd + d * p.dd
        if not 0 <= depth < p.id:
            continue
        r = b.r0
        while r < b.r1:
            top = r * p.sh - p.ph
            low = min(ceil_div(-top, p.dh), p.kh) if top < 0 else 0
            high = max(min(ceil_div(p.ih - top, p.dh), p.kh), low) if top < p.ih else low
            s.rows = 1
            if low == 0 and high == p.kh:
                s.rows = min(b.r1, (p.ih - 1 - (p.kh - 1) * p.dh + p.ph) // p.sh + 1) - r
            s.across, s.column = high - low, t.column + low
            if high > low:
                job.k.depthwise_grad_pixels(
                    &s, x.data + size * (b.n * x.n + b.oc * x.c + depth * x.d + top * x.h - p.pw * x.w),
                    dy.data + size * (b.n * dy.n + b.oc * dy.c + b.od * dy.d + r * dy.h),
                    t.part + size * ((d * p.kh + low) * p.kw * oc + b.oc))
            r += s.rows

cdef void add_rectangle(const Run *f, Block *t, const char *x) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *dy = &f.job.y
    cdef Sums *sums = <Sums *>t
    cdef nd_depthwise_grad s
    cdef ptrdiff_t size = k.size, row = f.b.every * dy.h, i, plane
    cdef char *lanes = sums.lanes
    cdef const char *src = dy.data + size * (t.n * dy.n + t.oc * dy.c + t.od * dy.d + (t.phase + t.top * f.b.every) * dy.h
                                             + t.left * dy.w)
    s.images, s.x_image, s.y_image, s.x_ahead, s.y_ahead = sums.images, f.job.x.n, dy.n, 0, 0
    if f.b.lanes_c:
        s.steps, s.stride, s.spread, s.taps = t.s.n, p.sw, p.dw, p.kw
        s.low, s.high = 0, (t.s.n - 1) * p.sw + (p.kw - 1) * p.dw + 1
        s.x_step, s.x_tap, s.y_step, s.y_row = p.sw * t.s.pixel, p.dw * t.s.pixel, dy.w, row
        x += size * t.s.first * t.s.pixel
        s.across, s.column, s.n, s.rows, s.x_row = p.kh, sums.column, t.channels, t.s.rows, t.s.step
        s.sums_tap, s.sums_column = p.g * p.ocg, p.kw * p.g * p.ocg
        for i in range(p.kh):
            sums.column[i] = i * t.s.row
        if dy.c != 1:
            s.y_row, s.y_step = t.s.n * t.channels, t.channels
            for i in range(t.s.rows):
                k.move(t.out + size * i * s.y_row, t.channels, src + size * i * row, t.s.n, t.channels, dy.w, dy.c)
        for plane in range(t.s.planes):
            k.depthwise_grad_pixels(&s, x + size * t.plane[plane], src if dy.c == 1 else t.out,
                                    sums.part + size * (plane * p.kh * p.kw * p.g * p.ocg + t.oc))
        return
    s.steps, s.stride, s.spread, s.taps, s.low, s.high = t.s.rows, t.s.sh, 1, p.kh, t.s.low, t.s.high
    s.x_step, s.x_tap, s.across, s.column = t.s.step, t.s.row, p.kw, t.column
    if f.b.rows > 1 and p.sh > 1 and p.dh > 1:    # in place: rows of taps and of results have none in common
        s.stride, s.spread, s.low = p.sh, p.dh, max(p.ph - t.top * p.sh, 0)
        s.high, s.x_step = max(p.ih + p.ph - t.top * p.sh, s.low), p.sh * f.job.x.h
    s.n, s.first, s.lane_stride, s.width = t.s.n, t.s.first, t.s.stride, t.s.width
    s.sums_tap, s.sums_column = p.kw * k.vl, k.vl
    if sums.images > 1:
        s.x_ahead, s.y_ahead = f.job.x.n, dy.n
    for i in range(t.channels):
        s.y_step = row
        if dy.w != 1:
            s.y_step = t.s.n
            k.move(t.out, t.s.n, src, t.s.rows, t.s.n, row, dy.w)
        for plane in range(t.s.planes):
            k.depthwise_grad_rows(&s, x + size * t.plane[plane], src if dy.w == 1 else t.out, lanes)
            lanes += p.kh * p.kw * k.vl * size
        src += size * dy.c

cdef void collect_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Adds the parts of channels in their order, and writes them to where the caller wants them."""
    cdef const Grad *f = <const Grad *>context
    cdef const nd_job *job = f.run.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef nd_weights dw = job.dw
    cdef ptrdiff_t size = k.size, oc = p.g * p.ocg, taps = p.icg * taps_of(p), i, j, part
    cdef ptrdiff_t first = begin * COLLECTED, count = min(end * COLLECTED, oc) - first
    cdef bint lanes_c = f.run.b.lanes_c
    # a row of sums is that of all channels of a tap, or of all taps of these channels
    cdef ptrdiff_t rows = taps if lanes_c else 1, length = count if lanes_c else count * taps
    cdef ptrdiff_t at = first if lanes_c else first * taps
    cdef char *sums = f.sums + size * at
    cdef char *to
    for j in range(rows):
        for part in range(1, f.parts):
            k.add(sums + size * j * oc, 1, sums + size * (part * weights_of(p) + j * oc), length)
    if f.dense:
        k.move(dw.data + size * first * dw.o, dw.o, sums, count, taps, 1 if lanes_c else taps, oc if lanes_c else 1)
        return
    for i in range(count):
        for j in range(taps // p.kw):
            to = dw.data + size * ((first + i) * dw.o + j // (p.kd * p.kh) * dw.c + j // p.kh % p.kd * dw.d + j % p.kh * dw.h)
            k.scatter(to, dw.w, sums + size * (j * p.kw * oc + i if lanes_c else i * taps + j * p.kw), oc if lanes_c else 1, p.kw)
