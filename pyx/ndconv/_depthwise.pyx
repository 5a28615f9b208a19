# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""depthwise: convolution with very few input channels a group, at the speed of memory or of the multiply-adds.

    for blocks of output rows of an image, depth and group             (tasks; _depthwise_block.pyx)
        x read in place, in NHWC memory for the rectangles of the block whose border is padded in a slab
            for each output channel of the group: kernel over the rows of the rectangle    (kernels/depthwise.h)
        residual and activation

Bytes moved: x once, y once. The kernels need some 7 cycles a vector of results of a 3x3 kernel, so x and y come from L2 or
beyond at about the rate of a copy.
"""
from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_method, nd_problem, nd_sizes, nd_weights
from ndconv._depthwise_block cimport (Block, Blocking, Run, blocking, can_be_lined, has_lanes_c, set_block, set_worker, start_run,
                                      walk_block)
from ndconv._depthwise_grad cimport weight_grad, weight_grad_bytes
from ndconv._frame cimport fold, fold_rows, has_places
from ndconv._method cimport new_method
from ndconv._pack cimport Pixel, finish_pixels, taps_of
from ndconv._runtime cimport parallel_for


cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef Blocking b = blocking(p, k)
    to.prepared, to.prepare_worker, to.shared = p.g * p.ocg * p.icg * taps_of(p) * k.size, 0, 0
    to.worker = b.slab + b.out + b.offsets

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to_, char *workspace,
                  int threads) noexcept nogil:
    """[kd][kh][kw][oc] for lanes of channels, [oc][c][kd][kw][kh] for lanes of pixels."""
    cdef ptrdiff_t size = k.size, i, j
    cdef char *to = <char *>to_
    cdef const char *src
    if has_lanes_c(p, k):
        for i in range(taps_of(p)):
            src = w.data + size * (i // (p.kh * p.kw) * w.d + i // p.kw % p.kh * w.h + i % p.kw * w.w)
            k.move(to, p.ocg, src, p.g, p.ocg, w.g, w.o)
            to += size * p.g * p.ocg
        return
    for i in range(p.g * p.ocg):
        for j in range(p.icg * p.kd):
            src = w.data + size * (i // p.ocg * w.g + i % p.ocg * w.o + j // p.kd * w.c + j % p.kd * w.d)
            k.move(to, p.kh, src, p.kw, p.kh, w.w, w.h)
            to += size * p.kw * p.kh

cdef void forward(const nd_job *job) noexcept nogil:
    cdef Run f = start_run(job)
    f.rectangle = convolve_rectangle
    f.lined = can_be_lined(&f)
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
        k.depthwise_pixels(&t.s, x, w + size * t.oc, bias_at(f, t.oc), to if stores else t.out)
        if not stores:
            for i in range(t.s.rows * n):
                k.scatter(to + size * (i // n * row + i % n * y.w), y.c, t.out + size * i * t.channels, 1, t.channels)
        return
    t.s.y_row = row
    if not stores:
        t.s.y_row = n
    for o in range(t.oc, t.oc + t.channels):
        k.depthwise_rows(&t.s, x, w + size * o * p.icg * taps_of(p), bias_at(f, o), to if stores else t.out)
        if not stores:
            for i in range(t.s.rows):
                k.scatter(to + size * i * row, y.w, t.out + size * i * n, 1, n)
        to += size * y.c

cdef inline const void *bias_at(const Run *f, ptrdiff_t oc) noexcept nogil:
    return f.job.bias if f.job.bias == NULL else <const char *>f.job.bias + f.job.k.size * oc

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

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward
table.weight_grad_bytes = weight_grad_bytes
table.weight_grad = weight_grad
table.folds = True

METHOD = new_method("depthwise", "rows in registers, for few channels a group", True,
                    "element-wise: |error| <= gamma(K+2) (|x| conv |w| + |b|)", lambda problem: None, &table)
