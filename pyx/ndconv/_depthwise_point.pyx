# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Kernels of one tap that move by more than a cell, one input channel a group, and their transpose.

    for planes, or in NHWC memory for rows         (tasks)
        each s-th cell of each s-th row times its weight                  (kernels/depthwise_point.h)

    transposed: for depths of y, by planes, or in NHWC memory by rows
        a row of x to each s-th cell of each s-th row, and what no tap reaches in one go

Of x only the pixels that count are read in NHWC memory, in NCHW the lines that they are on. Bytes moved: those, and y once.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_point, nd_problem, nd_sizes, nd_weights
from ndconv._depthwise_block cimport has_lanes_c
from ndconv._pack cimport Pixel, bias_at, ceil_div, finish_pixels, split, taps_of, whole_lines
from ndconv._runtime cimport parallel_for

cdef enum:
    TASKS = 12          # at least, where there is enough to do
    SMALL = 4096        # results of a task at least

cdef struct Point:
    const nd_job *job
    bint lanes_c        # whether channels are neighbours, not pixels
    ptrdiff_t parts     # of the rows of a plane; depth by depth if there are several

cdef bint is_strided_point(const nd_problem *p) noexcept nogil:
    """Whether a problem, or what it is the transpose of, has one tap, which sees only x, and moves by more than a cell."""
    return taps_of(p) == 1 and max(p.sd, p.sh, p.sw) > 1 and p.icg == 1 and p.pd == p.ph == p.pw == 0 and not p.bordered

cdef bint is_point(const nd_job *job) noexcept nogil:
    """Whether `point` can do a forward problem, arrays being what they are and weights as `prepare` leaves them."""
    cdef const nd_problem *p = job.p
    return (is_strided_point(p) and (p.od - 1) * p.sd < p.id and (p.oh - 1) * p.sh < p.ih and (p.ow - 1) * p.sw < p.iw
            and job.frame == NULL and (are_pixels(job) if has_lanes_c(p, job.k) else are_rows(job)))

cdef bint are_rows(const nd_job *job) noexcept nogil:
    return job.x.w == 1 and job.y.w == 1

cdef bint are_pixels(const nd_job *job) noexcept nogil:
    return job.x.c == 1 and job.y.c == 1 and job.p.ocg == 1 and job.p.g >= job.k.vl

cdef Point start_point(const nd_job *job, bint lanes_c, ptrdiff_t results) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef Point f
    f.job, f.lanes_c = job, lanes_c
    f.parts = 1
    if p.n * p.g * p.ocg < TASKS:
        f.parts = max(min(ceil_div(TASKS, p.n * p.g * p.ocg), results // SMALL, p.oh), 1)
    return f

cdef void point(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef Point f = start_point(job, has_lanes_c(p, job.k), p.od * p.oh * p.ow)
    if f.lanes_c:
        parallel_for(p.n * p.od * p.oh, ceil_div(SMALL, p.ow * p.g), job.threads, point_lines, &f)
    else:
        parallel_for(p.n * p.g * p.ocg * f.parts, ceil_div(SMALL, p.od * p.oh * p.ow), job.threads, point_planes, &f)

cdef void point_lines(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Rows of all channels of y, of any image and depth."""
    cdef const Point *f = <const Point *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef ptrdiff_t size = job.k.size, i = begin
    cdef nd_point s
    cdef Pixel at
    memset(&s, 0, sizeof(nd_point))
    s.n, s.step, s.x_row, s.y_row, s.y_pixel, s.channels = p.ow, p.sw * job.x.w, p.sh * job.x.h, job.y.h, job.y.w, p.g
    while i < end:
        at.n, at.d, at.h, at.w = i // p.oh // p.od, i // p.oh % p.od, i % p.oh, 0
        s.rows = min(p.oh - at.h, end - i)
        job.k.point_pixels(&s, job.x.data + size * (at.n * job.x.n + at.d * p.sd * job.x.d + at.h * p.sh * job.x.h), job.w,
                           job.bias, job.y.data + size * (at.n * job.y.n + at.d * job.y.d + at.h * job.y.h))
        finish_pixels(job, 0, p.g, at, s.rows * p.ow)
        i += s.rows

cdef void point_planes(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Parts of the rows of planes of y."""
    cdef const Point *f = <const Point *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef const nd_array *x = &job.x
    cdef const nd_array *y = &job.y
    cdef ptrdiff_t size = job.k.size, i, oc
    cdef nd_point s
    cdef Pixel at
    memset(&s, 0, sizeof(nd_point))
    s.depths, s.n, s.step, s.x_row, s.y_row = p.od, p.ow, p.sw, p.sh * x.h, y.h
    s.x_depth, s.y_depth, s.ahead = p.sd * x.d, y.d, p.sd * x.d if p.od > 1 else x.c
    for i in range(begin, end):
        oc, at.n, at.w = i // f.parts % (p.g * p.ocg), i // f.parts // (p.g * p.ocg), 0
        at.h = split(p.oh, f.parts, i % f.parts)
        s.rows = split(p.oh, f.parts, i % f.parts + 1) - at.h
        job.k.point_rows(&s, x.data + size * (at.n * x.n + oc // p.ocg * x.c + at.h * p.sh * x.h),
                         <const char *>job.w + size * oc, bias_at(job, oc),
                         y.data + size * (at.n * y.n + oc * y.c + at.h * y.h))
        for at.d in range(p.od):
            finish_pixels(job, oc, 1, at, s.rows * p.ow)

# ------------------------------------------------------------------------------------------------ transposed

cdef void spread_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    """Those of other problems prepare 0 bytes."""
    memset(to, 0, sizeof(nd_sizes))
    if is_strided_point(p) and p.ocg == 1:
        to.prepared = p.g * k.size
        to.worker = whole_lines((p.iw + p.ow) * k.size)

cdef void spread_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                         int threads) noexcept nogil:
    k.copy(to, w.data, p.g, w.g)

cdef void spread(const nd_job *job) noexcept nogil:
    cdef const nd_problem *p = job.p
    cdef Point f = start_point(job, are_pixels(job) and not are_rows(job), p.od * p.oh * p.ow)
    if f.lanes_c:
        parallel_for(p.n * p.od * p.oh, ceil_div(SMALL, p.ow * p.g), job.threads, spread_lines, &f)
    else:
        parallel_for(p.n * p.g * f.parts, ceil_div(SMALL, p.od * p.oh * p.ow), job.threads, spread_planes, &f)

cdef inline ptrdiff_t seen(ptrdiff_t extent, ptrdiff_t step, ptrdiff_t out) noexcept nogil:
    """Cells of x that have a place in y."""
    return min(extent, ceil_div(out, step))

cdef nd_point transposed_rows(const nd_problem *p, ptrdiff_t depth, ptrdiff_t first, ptrdiff_t lines) noexcept nogil:
    """`lines` rows of a depth of y from row `first` on, which is a multiple of the stride if there are more than one."""
    cdef nd_point s
    memset(&s, 0, sizeof(nd_point))
    s.n, s.wide, s.step, s.lines, s.row_step = seen(p.iw, p.sw, p.ow), p.ow, p.sw, lines, p.sh
    if depth % p.sd == 0 and depth // p.sd < p.id and first % p.sh == 0:
        s.rows = max(seen(p.ih, p.sh, p.oh) - first // p.sh, 0)
    return s

cdef void spread_lines(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Point *f = <const Point *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef const nd_array *x = &job.x
    cdef ptrdiff_t size = job.k.size, i
    cdef nd_point s
    cdef Pixel at
    for i in range(begin, end):
        at.n, at.d, at.h, at.w = i // p.oh // p.od, i // p.oh % p.od, i % p.oh, 0
        s = transposed_rows(p, at.d, at.h, 1)
        s.x_pixel, s.y_pixel, s.channels = x.w, job.y.w, p.g
        job.k.spread_pixels(&s, x.data + size * (at.n * x.n + at.d // p.sd * x.d + at.h // p.sh * x.h), job.w, job.bias,
                            job.y.data + size * (at.n * job.y.n + at.d * job.y.d + at.h * job.y.h))
        finish_pixels(job, 0, p.g, at, p.ow)

cdef void spread_planes(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Parts of the rows of planes of y; rows whose cells are apart go through the workspace, one by one."""
    cdef const Point *f = <const Point *>context
    cdef const nd_job *job = f.job
    cdef const nd_problem *p = job.p
    cdef const nd_kernel_set *k = job.k
    cdef const nd_array *x = &job.x
    cdef const nd_array *y = &job.y
    cdef ptrdiff_t size = k.size, i, c, first, last, lines
    cdef bint whole = are_rows(job)
    cdef char *row = job.workspace + worker * whole_lines((p.iw + p.ow) * size)
    cdef const char *src
    cdef char *to
    cdef nd_point s
    cdef Pixel at
    at.w = 0
    for i in range(begin, end):
        c, at.n = i // f.parts % p.g, i // f.parts // p.g
        for at.d in range(p.od):
            first, last = part_at(f, i % f.parts), part_at(f, i % f.parts + 1)
            while first < last:
                at.h, lines = first, last - first if whole else 1
                s = transposed_rows(p, at.d, first, lines)
                s.x_row, s.y_row = x.h, y.h
                src = x.data + size * (at.n * x.n + c * x.c + at.d // p.sd * x.d + first // p.sh * x.h)
                to = y.data + size * (at.n * y.n + c * y.c + at.d * y.d + first * y.h)
                if not whole and s.rows > 0:
                    k.copy(row, src, s.n, x.w)
                k.spread_rows(&s, src if whole else row, <const char *>job.w + size * c, bias_at(job, c),
                              to if whole else row + size * p.iw)
                if not whole:
                    k.scatter(to, y.w, row + size * p.iw, 1, p.ow)
                finish_pixels(job, c, 1, at, lines * p.ow)
                first += lines

cdef inline ptrdiff_t part_at(const Point *f, ptrdiff_t part) noexcept nogil:
    """The row where a part begins: a multiple of the stride."""
    return min(split(ceil_div(f.job.p.oh, f.job.p.sh), f.parts, part) * f.job.p.sh, f.job.p.oh)
