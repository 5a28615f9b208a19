# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Forward convolutions with very few input channels a group.

    for blocks of output rows of an image, depth and group             (tasks; _depthwise_block.pyx)
        x read in place, or from a slab for the rectangles of the block that cannot
            for each output channel of the group: kernel over the rows of the rectangle    (kernels/depthwise*.h)
        residual and activation

Bytes moved: x once, y once. The kernels need some 7 cycles a vector of results of a 3x3 kernel, so x and y come from L2 or
beyond at about the rate of a copy.
"""
from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights
from ndconv._depthwise_block cimport (Block, Blocking, Run, blocking, can_be_lined, has_lanes_c, reads_in_place, set_block,
                                      set_worker, start_run, walk_block)
from ndconv._depthwise_planes cimport turn_planes, turned_bytes, turns_planes
from ndconv._frame cimport fold, fold_rows, has_places
from ndconv._pack cimport Pixel, bias_at, ceil_div, finish_pixels, taps_of
from ndconv._runtime cimport parallel_for


cdef enum:
    BLOCKS = 12    # of a problem that is large enough

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef Blocking b = blocking(p, k)
    to.prepared, to.prepare_worker, to.shared = p.g * p.ocg * p.icg * taps_of(p) * k.size, 0, 0
    if b.lanes_c or turns_planes(p, k):
        to.prepared = vectors_bytes(p, k) + 64
    to.worker = turned_bytes(p, k) if turns_planes(p, k) else b.slab + b.out + b.offsets

cdef size_t vectors_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return ceil_div(p.g * p.ocg, k.vl) * k.vl * taps_of(p) * k.size

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to_, char *workspace,
                  int threads) noexcept nogil:
    """[oc][c][kd][kw][kh] for lanes of pixels."""
    cdef ptrdiff_t size = k.size, i, j
    cdef char *to = <char *>to_
    cdef const char *src
    if has_lanes_c(p, k) or turns_planes(p, k):
        prepare_vectors(p, k, w, to)
        return
    for i in range(p.g * p.ocg):
        for j in range(p.icg * p.kd):
            src = w.data + size * (i // p.ocg * w.g + i % p.ocg * w.o + j // p.kd * w.c + j % p.kd * w.d)
            k.move(to, p.kh, src, p.kw, p.kh, w.w, w.h)
            to += size * p.kw * p.kh

cdef void prepare_vectors(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, char *to) noexcept nogil:
    """[vector of channels][kd][kh][kw][vl] for lanes of channels, the last vector those that end with the last channel; then 0
    where all are finite, else NaN."""
    cdef ptrdiff_t size = k.size, channels = p.g * p.ocg, v, first, tap, l, at
    cdef char *end = to + vectors_bytes(p, k)
    cdef char *out = to
    for v in range(ceil_div(channels, k.vl)):
        first = min(v * k.vl, channels - k.vl)
        for tap in range(taps_of(p)):
            at = tap // (p.kh * p.kw) * w.d + tap // p.kw % p.kh * w.h + tap % p.kw * w.w
            if p.ocg == 1:
                k.copy(out, w.data + size * (first * w.g + at), k.vl, w.g)
            else:
                for l in range(k.vl):
                    k.copy(out + size * l, w.data + size * ((first + l) // p.ocg * w.g + (first + l) % p.ocg * w.o + at), 1, 1)
            out += size * k.vl
    (<double *>end)[0] = 0 * k.sum(to, (end - to) // size, 1)

cdef bint are_finite(const nd_job *job) noexcept nogil:
    """Whether all weights of prepare_vectors are."""
    return (<const double *>(<const char *>job.w + vectors_bytes(job.p, job.k)))[0] == 0

cdef Run forward_run(const nd_job *job) noexcept nogil:
    cdef Run f = start_run(job)
    f.rectangle = convolve_rectangle
    f.lined = can_be_lined(&f)
    # what is in the padding is zero, but not so times weights that are not finite
    f.clips = f.b.lanes_c and not job.p.bordered and reads_in_place(&f) and are_finite(job)
    if f.clips and job.y.c == 1:
        widen(&f)
    return f

cdef void widen(Run *f) noexcept nogil:
    """Blocks without slabs take all channels, since these are what memory has one after the other, and an even number of rows,
    which kernels/depthwise_near.h takes by two; of channels a part where there are few rows."""
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef ptrdiff_t rows = ceil_div(p.oh, b.every), blocks
    if b.rows > 1:
        b.rows = max(ceil_div(rows, ceil_div(BLOCKS, p.n * p.od * b.column_blocks)), 4)
        b.rows += b.rows % 2
        b.row_blocks = ceil_div(rows, b.rows)
        b.rows = ceil_div(rows, b.row_blocks)
        b.rows += b.rows % 2
    b.units = p.od * b.every * b.row_blocks * b.column_blocks
    b.groups = min(b.groups, max(BLOCKS // (p.n * b.units), 1))

cdef void forward(const nd_job *job) noexcept nogil:
    cdef Run f
    if turns_planes(job.p, job.k):
        turn_planes(job, are_finite(job))
        return
    f = forward_run(job)
    f.folds = job.frame != NULL and can_fold(&f)
    parallel_for(job.p.n * f.b.groups * f.b.units, 1, job.threads, forward_body, &f)
    if job.frame != NULL and (not f.folds or has_places(job.frame, 0)):
        fold(job, f.folds)

cdef bint can_fold(const Run *f) noexcept nogil:
    """Whether blocks have whole rows, and with each row outside the one that it repeats."""
    cdef ptrdiff_t h, rows = f.b.rows
    if f.b.column_blocks > 1 or f.b.every > 1:
        return False
    for h in range(f.job.p.oh):
        if h // rows != f.job.frame.cells[1][h] // rows:
            return False
    return True

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Run *f = <const Run *>context
    cdef const nd_job *job = f.job
    cdef const Blocking *b = &f.b
    cdef ptrdiff_t i, j, n
    cdef Block t
    set_worker(f, &t, job.workspace + worker * (b.slab + b.out + b.offsets))
    for i in range(begin, end):
        j = i // b.units if b.units > 1 else i
        n = j // b.groups if job.p.n > 1 else 0
        set_block(f, &t, n, j - n * b.groups, i - j * b.units)
        if t.r0 < t.r1:
            walk_block(f, &t)
            finish_block(f, &t)
            if f.folds:
                fold_block(f, &t)

cdef void convolve_rectangle(const Run *f, Block *t, const char *x) noexcept nogil:
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef ptrdiff_t size = k.size, row = f.b.every * y.h, i, o, n = t.s.n
    cdef bint stores = y.c == 1 if f.b.lanes_c else y.w == 1
    cdef const char *w = <const char *>f.job.w
    cdef char *to = y.data + size * (t.n * y.n + t.oc * y.c + t.od * y.d + (t.phase + t.top * f.b.every) * y.h + t.left * y.w)
    if f.b.lanes_c:
        t.s.y_row, t.s.y_pixel = row, y.w
        if not stores:
            t.s.y_row, t.s.y_pixel = n * t.channels, t.channels
        w += size * (t.oc * taps_of(p) + t.depth * p.kh * p.kw * k.vl)
        k.depthwise_pixels(&t.s, x, w, bias_at(f.job, t.oc), to if stores else t.out)
        if not stores:
            for i in range(t.s.rows * n):
                k.scatter(to + size * (i // n * row + i % n * y.w), y.c, t.out + size * i * t.channels, 1, t.channels)
        return
    t.s.y_row = row
    if not stores:
        t.s.y_row = n
    for o in range(t.oc, t.oc + t.channels):
        k.depthwise_rows(&t.s, x, w + size * o * p.icg * taps_of(p), bias_at(f.job, o), to if stores else t.out)
        if not stores:
            for i in range(t.s.rows):
                k.scatter(to + size * i * row, y.w, t.out + size * i * n, 1, n)
        to += size * y.c

cdef void finish_block(const Run *f, const Block *t) noexcept nogil:
    cdef ptrdiff_t r
    cdef bint whole = f.b.every == 1 and f.b.column_blocks == 1
    cdef Pixel at
    for r in range(t.r0, t.r0 + 1 if whole else t.r1):
        at.n, at.d, at.h, at.w = t.n, t.od, t.phase + r * f.b.every, t.c0
        finish_pixels(f.job, t.oc, t.channels, at, (t.c1 - t.c0) * (t.r1 - t.r0 if whole else 1))

cdef void fold_block(const Run *f, const Block *t) noexcept nogil:
    cdef const nd_array *y = &f.job.y
    cdef char *to = y.data + f.job.k.size * (t.n * y.n + t.oc * y.c + t.od * y.d)
    cdef ptrdiff_t i
    if y.c == 1:
        fold_rows(f.job.frame, f.job.k, y, to, t.channels, t.r0, t.r1)
    else:
        for i in range(t.channels):
            fold_rows(f.job.frame, f.job.k, y, to + f.job.k.size * i * y.c, 1, t.r0, t.r1)
