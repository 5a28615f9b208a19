# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""separable: a kernel that is a sum of few products of 1-D kernels, pass by pass.

    w[d, h, w] = sum over q < rank of a[q, d] * u[q, h] * v[q, w]

Whether a kernel is one depends on its values, so a plan or call looks at the weights (rank_of). The factors are crosses: of
what is left of w, the lines through its greatest element; a matrix of rank r is exhausted after r of them, a rank-1 one keeps
every element to a few roundings. Factors are accepted when what they leave is at most 4 roundings of w in the Frobenius norm,
so the error on white data is that of a direct sum. Only tensors of rank 1 are taken in three dimensions.

A task is a block of output rows of one plane, in a strip of columns whose ring fits L1:

    for each row r of the block
        for each input row that r is the first to need
            copy it into a line with its padding (kd > 1: one line a depth, summed with weights a[q])
            for q: ring[q][row] = sum over taps of v[q] * line, shifted                     along the row
        y[r] = bias + sum over q, taps of u[q] * ring[q][rows]                              across rows

Multiply-adds a result: rank * (kd + kh + kw) instead of kd * kh * kw, at one half to three quarters of a cycle a vector
(kernels/separable.h). In NHWC memory channels with one kernel (a blurred colour image) are one wide row, whose taps are as far
apart as pixels; others are gathered channel by channel. Bytes moved: x and y once, the ring stays in L1; (kh - 1) rows a block
and (kw - 1) columns a strip are done twice. Expected: memory speed to about 9 taps, then the multiply-adds' rate. Measured on
2048 x 2048 float32, two threads of AVX2: 1.7 ms with 3 x 3 taps (19 GB/s), 2.5 with 7 x 7, 3.9 with 15 x 15, 8.4 with 31 x 31
(a third of the peak: loads across cache lines along the row, and x from memory by strips). A row with a result that is not
finite is mended by the definition: where products of factors overflow or infinities of two terms meet, the sum itself may not.
Sources: Treitel and Shanks 1971 (sums of separable filters); Bebendorf 2000 (adaptive cross approximation).
"""
from libc.math cimport fabs, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcmp, memset

from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_method, nd_problem, nd_sizes, nd_weights
from ndconv._method cimport new_method
from ndconv._outside cimport copy_cells
from ndconv._pack cimport Pixel, ceil_div, copy_clipped, finish_pixels, taps_of, whole_lines
from ndconv._runtime cimport parallel_for

import numpy as np

cdef enum:
    MOST_RANK = 8
    HEIGHT = 4              # output rows that are summed at once, if neighbours share their input rows
    RING_BYTES = 24576      # of the ring of rows and the lines beside it: L1,
    SHARED_BYTES = 131072   # or L2 where rows are shared
    LEAST_COLUMNS = 256     # of a strip
    TASKS = 12              # that a problem is cut into when it is large enough

# ---------------------------------------------------------------------------------------- factors

cdef int factorise(double *e, ptrdiff_t kd, ptrdiff_t kh, ptrdiff_t kw, int most, double unit, double *factors) noexcept nogil:
    """Factors of the kernel e, which is destroyed, as [q][a: kd, u: kh, v: kw]. Returns the rank, at least 1 (all zeros), or
    most + 1 if it is higher, or -1 if the kernel is not finite. unit is the dtype's: factors are rounded to it."""
    cdef ptrdiff_t i, top, d, h, w, taps = kd * kh * kw, size = kd + kh + kw
    cdef double whole = 0, left = 0, pivot
    cdef double *f
    cdef int q
    for i in range(taps):
        if not isfinite(e[i]):
            return -1
    for q in range(most):
        f, top = factors + q * size, 0
        for i in range(1, taps):
            if fabs(e[i]) > fabs(e[top]):
                top = i
        pivot = e[top]
        if q == 0:
            whole = squares(e, taps, fabs(pivot))
            left = pivot
        d, h, w = top // (kh * kw), top // kw % kh, top % kw
        for i in range(kd):
            f[i] = rounded(e[(i * kh + h) * kw + w] / pivot, unit) if pivot != 0 else 0
        for i in range(kh):
            f[kd + i] = rounded(e[(d * kh + i) * kw + w], unit)
        for i in range(kw):
            f[kd + kh + i] = rounded(e[(d * kh + h) * kw + i] / pivot, unit) if pivot != 0 else 0
        for i in range(taps):
            e[i] -= f[i // (kh * kw)] * f[kd + i // kw % kh] * f[kd + kh + i % kw]
        if squares(e, taps, fabs(left)) <= 16 * unit * unit * whole:
            return q + 1
    return most + 1

cdef double squares(const double *e, ptrdiff_t n, double scale) noexcept nogil:
    """The sum of squares of e / scale."""
    cdef double sum = 0
    cdef ptrdiff_t i
    if scale > 0:
        for i in range(n):
            sum += e[i] / scale * (e[i] / scale)
    return sum

cdef inline double rounded(double value, double unit) noexcept nogil:
    return <float>value if unit > 1e-10 else value

cdef inline double unit_of(bint single) noexcept nogil:
    return 5.9604644775390625e-08 if single else 1.1102230246251565e-16

cdef int rank_limit(const nd_problem *p) noexcept nogil:
    """The highest rank at which the passes take fewer products than the taps."""
    if p.kd > 1 and p.kh > 1 and p.kw > 1:
        return 1
    return <int>max(min(taps_of(p) // (p.kd + p.kh + p.kw), <ptrdiff_t>MOST_RANK), 1)


def rank_of(w, int most):
    """The highest numerical rank among the kernels w[oc, ic/groups, *k]; most + 1 if it is above `most`, -1 if one is not finite.

    >>> rank_of(np.outer([1.0, 2.0, 1.0], [1.0, 0.0, -1.0])[None, None], 2), rank_of(np.eye(3)[None, None], 2)
    (1, 3)
    """
    cdef double[:, ::1] e
    cdef double unit = unit_of(w.dtype.itemsize == 4)
    cdef int rank = 1, found
    cdef ptrdiff_t i, kd, kh, kw
    kd, kh, kw = (1,) * (5 - w.ndim) + w.shape[2:]
    if kd > 1 and kh > 1 and kw > 1:
        most = 1
    e = np.array(w, np.float64, order="C").reshape(w.shape[0] * w.shape[1], kd * kh * kw)
    cdef double[::1] factors = np.empty(most * (kd + kh + kw))
    with nogil:
        for i in range(e.shape[0]):
            found = factorise(&e[i, 0], kd, kh, kw, most, unit, &factors[0])
            if found < 0 or found > most:
                rank = found
                break
            rank = max(rank, found)
    return rank


def factors_of(kernel, int most):
    """(u, v) in float64, [rank, kh] and [rank, kw], with kernel = sum over q of outer(u[q], v[q]); None if that takes more than
    `most` terms.

    >>> factors_of(np.outer([1.0, 2.0, 1.0], [1.0, 0.0, -1.0]), 1)
    (array([[1., 2., 1.]]), array([[ 1.,  0., -1.]]))
    """
    cdef double[:, ::1] e = np.array(kernel, np.float64, order="C")
    cdef ptrdiff_t kh = e.shape[0], kw = e.shape[1]
    cdef int rank
    if most < 1:
        return None
    factors = np.empty((most, 1 + kh + kw))
    cdef double[:, ::1] to = factors
    rank = factorise(&e[0, 0], 1, kh, kw, most, unit_of(kernel.dtype.itemsize == 4), &to[0, 0])
    if not 0 < rank <= most:
        return None
    return factors[:rank, 1:1 + kh], factors[:rank, 1 + kh:]

# ------------------------------------------------------------------------------- prepared weights
# [the rank of each kernel, and the highest of all][for each kernel all a, all u, all v][the weights as they are]

cdef inline ptrdiff_t factor_count(const nd_problem *p) noexcept nogil:
    """Numbers of a kernel's factors."""
    return rank_limit(p) * (p.kd + p.kh + p.kw)

cdef inline ptrdiff_t ranks_bytes(const nd_problem *p) noexcept nogil:
    return whole_lines((p.g * p.ocg + 1) * <ptrdiff_t>sizeof(int64_t))

cdef ptrdiff_t factors_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return whole_lines(p.g * p.ocg * factor_count(p) * k.size)

cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil:
    cdef ptrdiff_t kernel, i, tap, taps = taps_of(p), size = p.kd + p.kh + p.kw, count = p.g * p.ocg
    cdef int64_t *ranks = <int64_t *>to
    cdef char *factors = <char *>to + ranks_bytes(p)
    cdef char *raw = factors + factors_bytes(p, k)
    cdef double *e = <double *>workspace
    cdef double *found = e + taps
    cdef const double *f
    cdef const char *src
    cdef int q, limit = rank_limit(p)
    ranks[count] = 1
    for kernel in range(count):
        src = w.data + k.size * (kernel // p.ocg * w.g + kernel % p.ocg * w.o)
        for tap in range(taps):
            i = tap // (p.kw * p.kh) * w.d + tap // p.kw % p.kh * w.h + tap % p.kw * w.w
            e[tap] = get(k, src, i)
            put(k, raw, kernel * taps + tap, e[tap])
        # (a rotated kernel may exceed its rank by a rounding)
        ranks[kernel] = min(factorise(e, p.kd, p.kh, p.kw, limit, unit_of(k.size == 4), found), limit)
        ranks[count] = max(ranks[count], ranks[kernel])
        for q in range(<int>ranks[kernel]):
            f, i = found + q * size, kernel * factor_count(p)
            for tap in range(p.kd):
                put(k, factors, i + q * p.kd + tap, f[tap])
            for tap in range(p.kh):
                put(k, factors, i + limit * p.kd + q * p.kh + tap, f[p.kd + tap])
            for tap in range(p.kw):
                put(k, factors, i + limit * (p.kd + p.kh) + q * p.kw + tap, f[p.kd + p.kh + tap])

cdef inline double get(const nd_kernel_set *k, const char *at, ptrdiff_t i) noexcept nogil:
    return (<const float *>at)[i] if k.size == 4 else (<const double *>at)[i]

cdef inline void put(const nd_kernel_set *k, char *to, ptrdiff_t i, double value) noexcept nogil:
    if k.size == 4:
        (<float *>to)[i] = <float>value
    else:
        (<double *>to)[i] = value

# ---------------------------------------------------------------------------------------- forward

cdef struct Blocking:
    ptrdiff_t rank, height           # terms of the sum; output rows at once
    ptrdiff_t span                   # input rows that these reach over
    ptrdiff_t columns, strips        # of outputs
    ptrdiff_t rows, blocks
    ptrdiff_t pitch                  # elements from row to row of the ring
    ptrdiff_t line                   # elements of an input row with its padding
    ptrdiff_t pointers, bytes        # of the lists of rows, and of all that a worker has

cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k, ptrdiff_t rank) noexcept nogil:
    cdef Blocking b
    cdef ptrdiff_t ring
    b.rank, b.height = rank, HEIGHT if p.sh == 1 and p.dh == 1 else 1
    b.span = (p.kh - 1) * p.dh + b.height
    ring = SHARED_BYTES if b.height > 1 else RING_BYTES
    b.columns = max(ring // ((rank * b.span + 2) * k.size), <ptrdiff_t>LEAST_COLUMNS)
    b.strips = ceil_div(p.ow, b.columns)
    b.columns = ceil_div(ceil_div(p.ow, b.strips), k.vl) * k.vl
    b.strips = ceil_div(p.ow, b.columns)
    # rows enough for tasks that keep threads busy, unless the rows between blocks would be done twice too often
    b.blocks = min(ceil_div(TASKS, p.n * p.g * p.ocg * p.od * b.strips), max(p.oh * p.sh // (4 * b.span), 1))
    b.rows = ceil_div(p.oh, b.blocks)
    b.blocks = ceil_div(p.oh, b.rows)
    b.pitch = (whole_lines(b.columns * k.size) + 64) // k.size
    b.line = whole_lines(((b.columns - 1) * p.sw + (p.kw - 1) * p.dw + 1) * k.size) // k.size
    b.pointers = whole_lines(max(max(rank * (p.kh + b.height - 1), p.kw), p.kd) * <ptrdiff_t>sizeof(void *))
    # the ring, the lines of all depths, their sum, a line of passes before a stride, a row of results
    b.bytes = whole_lines((rank * b.span * b.pitch + (p.kd + 2) * b.line + b.height * b.pitch) * k.size) + b.pointers
    return b

cdef nd_problem as_one_plane(const nd_problem *p) noexcept nogil:
    """The problem whose rows are those of all channels next to each other: a colour image as a grey one, g times as wide."""
    cdef nd_problem wide = p[0]
    wide.g = 1
    wide.iw, wide.ow, wide.pw = p.iw * p.g, p.ow * p.g, p.pw * p.g
    wide.dw = p.dw * p.g if p.kw > 1 else 1
    return wide

cdef bint may_join(const nd_problem *p) noexcept nogil:
    return p.lanes_oc and p.g > 1 and p.ocg == 1 and p.sw == 1 and not p.bordered

cdef bint can_join(const nd_job *job, const char *raw) noexcept nogil:
    """Whether channels lie next to each other everywhere and have one kernel and one bias."""
    cdef const nd_problem *p = job.p
    cdef const nd_array *r = &job.residual
    cdef ptrdiff_t size = job.k.size
    if not may_join(p) or job.x.c != 1 or job.x.w != p.g or job.y.c != 1 or job.y.w != p.g:
        return False
    if r.data != NULL and (r.c != 1 or r.w != p.g):
        return False
    if job.bias != NULL and memcmp(job.bias, <const char *>job.bias + size, (p.g - 1) * size):
        return False
    return memcmp(raw, raw + taps_of(p) * size, (p.g - 1) * taps_of(p) * size) == 0

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    cdef nd_problem wide = as_one_plane(p) if may_join(p) else p[0]
    cdef int rank
    to.prepared = ranks_bytes(p) + factors_bytes(p, k) + p.g * p.ocg * taps_of(p) * k.size
    to.prepare_worker = (taps_of(p) + factor_count(p)) * sizeof(double)
    to.shared = to.worker = 0
    for rank in range(1, rank_limit(p) + 1):
        to.worker = max(to.worker, <size_t>max(blocking(p, k, rank).bytes, blocking(&wide, k, rank).bytes))

cdef struct Forward:
    const nd_job *job
    Blocking b
    const int64_t *ranks
    const char *factors
    const char *raw

cdef struct Task:
    ptrdiff_t n, g, o, od, row, rows, column, columns    # the block of outputs
    ptrdiff_t rank
    const char *a
    const char *u
    const char *v
    char *ring
    char *lines
    char *line
    char *wide
    char *result
    const void **pointers

cdef void forward(const nd_job *job) noexcept nogil:
    cdef Forward f
    cdef const nd_problem *p = job.p
    cdef nd_problem plane
    cdef nd_job wide
    f.job, f.ranks = job, <const int64_t *>job.w
    f.factors = <const char *>job.w + ranks_bytes(p)
    f.raw = f.factors + factors_bytes(p, job.k)
    f.b = blocking(p, job.k, f.ranks[p.g * p.ocg])
    if can_join(job, f.raw):
        plane, wide = as_one_plane(p), job[0]
        wide.p, f.job, p = &plane, &wide, &plane
        wide.x.w = wide.y.w = wide.residual.w = 1
        f.b = blocking(p, job.k, f.ranks[0])
    parallel_for(p.n * p.g * p.ocg * p.od * f.b.blocks * f.b.strips, 1, job.threads, forward_body, &f)

cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef Task t
    cdef ptrdiff_t i, part, size = f.job.k.size, limit = rank_limit(p)
    t.pointers = <const void **>(f.job.workspace + worker * b.bytes)
    t.ring = <char *>t.pointers + b.pointers
    t.lines = t.ring + size * b.rank * b.span * b.pitch
    t.line = t.lines + size * p.kd * b.line
    t.wide = t.line + size * b.line
    t.result = t.wide + size * b.line
    for i in range(begin, end):
        t.column = i % b.strips * b.columns
        part = i // b.strips
        t.row = part % b.blocks * b.rows
        part //= b.blocks
        t.od = part % p.od
        part //= p.od
        t.o = part % p.ocg
        part //= p.ocg
        t.g, t.n = part % p.g, part // p.g
        t.columns, t.rows = min(b.columns, p.ow - t.column), min(b.rows, p.oh - t.row)
        t.rank = f.ranks[t.g * p.ocg + t.o]
        t.a = f.factors + size * (t.g * p.ocg + t.o) * factor_count(p)
        t.u = t.a + size * limit * p.kd
        t.v = t.u + size * limit * p.kh
        convolve_block(f, &t)

cdef void convolve_block(Forward *f, Task *t) noexcept nogil:
    """The output rows of a task; the ring holds each input row from the first output row that needs it to the last."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef Blocking *b = &f.b
    cdef ptrdiff_t r = 0, j, height, tap, q, need, done = 0, top = t.row * p.sh - p.ph
    cdef char *to
    cdef void *at[HEIGHT]
    cdef int flags
    cdef double start = 0
    cdef Pixel pixel
    pixel.n, pixel.d, pixel.w = t.n, t.od, t.column
    if f.job.bias != NULL:
        start = get(k, <const char *>f.job.bias, t.g * p.ocg + t.o)
    to = y.data + k.size * (t.n * y.n + (t.g * p.ocg + t.o) * y.c + t.od * y.d + t.row * y.h + t.column * y.w)
    while r < t.rows:
        height = b.height if r + b.height <= t.rows else 1
        need = r * p.sh + (p.kh - 1) * p.dh + height
        done = max(done, r * p.sh)
        while done < need:
            if (done - r * p.sh) % p.dh == 0 or p.sh % p.dh:
                fill_row(f, t, top + done, t.ring + k.size * (done % b.span) * b.pitch)
            done += 1
        tap = 0
        for q in range(t.rank):
            for j in range(p.kh + height - 1):
                t.pointers[tap] = t.ring + k.size * (q * b.span + (r * p.sh + j * p.dh) % b.span) * b.pitch
                tap += 1
        for j in range(height):
            at[j] = to + k.size * j * y.h if y.w == 1 else t.result + k.size * j * b.pitch
        flags = k.sum_rows(at, height, t.pointers, t.u, t.rank, p.kh, t.columns, start)
        for j in range(height):
            pixel.h = t.row + r + j
            if flags >> j & 1:
                mend_row(f, t, pixel.h, <char *>at[j])
            if y.w != 1:
                k.scatter(to + k.size * j * y.h, y.w, at[j], 1, t.columns)
            finish_pixels(f.job, t.g * p.ocg + t.o, 1, pixel, t.columns)
        to += k.size * height * y.h
        r += height

cdef void fill_row(Forward *f, Task *t, ptrdiff_t row, char *to) noexcept nogil:
    """ring[q][row] for all q: the passes over depths and along the row of one padded input row."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef Blocking *b = &f.b
    cdef ptrdiff_t q, tap, depth, low = 0, high = 0, wide = (t.columns - 1) * p.sw + 1, count = wide + (p.kw - 1) * p.dw
    cdef char *line = t.lines
    cdef char *ring
    cdef void *passed
    if p.bordered:
        high = p.kd
    elif 0 <= row < p.ih:
        # taps low <= tap < high lie in the array
        depth = t.od * p.sd - p.pd
        low = 0 if depth >= 0 else min(ceil_div(-depth, p.dd), p.kd)
        high = 0 if depth >= p.id else min((p.id - 1 - depth) // p.dd + 1, p.kd)
    for tap in range(high if p.bordered else 0):
        copy_cells(p, k, x.data + k.size * (t.n * x.n + t.g * x.c), x, t.od * p.sd - p.pd + tap * p.dd, row,
                   t.column * p.sw - p.pw, 1, count, 1, t.lines + k.size * tap * b.line, 1, 1)
    for tap in range(low, 0 if p.bordered else high):
        copy_clipped(k, t.lines + k.size * (tap - low) * b.line,
                     x.data + k.size * (t.n * x.n + t.g * x.c + (depth + tap * p.dd) * x.d + row * x.h), x.w, p.iw,
                     t.column * p.sw - p.pw, 1, count)
    for q in range(t.rank):
        ring = to + k.size * q * b.span * b.pitch
        if high <= low:
            memset(ring, 0, t.columns * k.size)
            continue
        if p.kd > 1:
            for tap in range(low, high):
                t.pointers[tap - low] = t.lines + k.size * (tap - low) * b.line
            line = t.line
            passed = line
            k.sum_rows(&passed, 1, t.pointers, t.a + k.size * (q * p.kd + low), 1, high - low, count, 0)
        for tap in range(p.kw):
            t.pointers[tap] = line + k.size * tap * p.dw
        passed = ring if p.sw == 1 else t.wide
        k.sum_rows(&passed, 1, t.pointers, t.v + k.size * q * p.kw, 1, p.kw, wide, 0)
        if p.sw > 1:
            k.copy(ring, t.wide, t.columns, p.sw)

cdef void mend_row(Forward *f, const Task *t, ptrdiff_t row, char *results) noexcept nogil:
    """What is not finite, by its definition."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef nd_array x = f.job.x
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t i, kernel = t.g * p.ocg + t.o
    cdef const char *bias = NULL
    if f.job.bias != NULL:
        bias = <const char *>f.job.bias + k.size * kernel
    x.data += k.size * (t.n * x.n + t.g * x.c)
    at[0], at[1] = t.od, row
    for i in range(t.columns):
        if not isfinite(get(k, results, i)):
            at[2] = t.column + i
            k.conv_points(p, &x, f.raw + k.size * kernel * taps_of(p), at, 1, results + k.size * i, 1, bias)

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = forward


def most_rank(problem):
    """The highest rank of kernels that is taken for a problem of this shape."""
    kd, kh, kw = problem.k
    return 1 if min(problem.k) > 1 else max(min(kd * kh * kw // (kd + kh + kw), MOST_RANK), 1)


def obstacle(problem):
    """None if kernels of this shape can be separable, else the reason why not."""
    if problem.op == "weight_grad":
        return "a gradient with respect to the weights has no kernel"
    if problem.op == "transpose":
        return "it does no transposed convolutions"
    if problem.op == "input_grad" and problem.stride != (1, 1, 1):
        return "the gradient of a stride has several kernels"
    if problem.ic != problem.g or (problem.op == "input_grad" and problem.oc != problem.g):
        return "it takes one input channel a group"
    if sum(taps > 1 for taps in problem.k) < 2:
        return "a kernel along one axis has nothing to separate"
    return None


METHOD = new_method("separable", "passes along one axis each", False,
                    "relative L2 error as direct's; 4 roundings for the factors", obstacle, &table)
