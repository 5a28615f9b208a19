# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Transposed convolution and the gradient by the input of a strided one, by columns: one product of matrices for all taps.

    for blocks of images                                 (columns up to 2 MiB)
        columns [pixel of x][tap][channel of y] = x [pixel][channel] times weights [channel][tap][channel of y]   (_gemm.pyx)
        for rows of y: each pixel is the sum of those columns' pieces that a tap carries to it

Phases (_phases.pyx) are products of their own, of as many columns as y has channels and as many rows as a row of a phase has
pixels: few of either, as with 16 channels or 4x4 pixels, leave register tiles half empty. Here the columns of all taps stand
side by side and so do the pixels of all images, and weights are read in the order of memory, which is most of the time where
pixels are few. What it costs is a way of the columns to L2 or L3 and back.

Bytes moved: x, weights and y once, columns twice. Expected: the rate of the product where it has 14 rows of pixels and more.
Reached on two threads of AVX-512, beside the faster of the phases by direct and by one product each: 0.3 to 0.6 of the time with
8 to 32 channels of y, 256 and more of x and up to 16x16 pixels, 0.75 to 1 up to 1 MiB of columns an image; above 2 MiB these win.

A result sums what reaches it in the order of taps, bias first, whatever the block: no zero is inserted, and none is added.
"""
from libc.string cimport memset

from ndconv._c cimport ND_SUM, ND_TURNED, nd_array, nd_job, nd_kernel_set, nd_problem, nd_weights
from ndconv._geometry cimport whole_geometry
from ndconv._method cimport Method
from ndconv._pack cimport Pixel, bias_at, ceil_div, finish_pixels, prepare_block, store_turned, taps_of, whole_lines
from ndconv._phase_axis cimport Axis, Live, Phase, axis_of, live_taps, phase_of
from ndconv._runtime cimport parallel_for

cdef enum:
    BLOCK_BYTES = 2097152    # of the columns of a block of images
    MOST_BYTES = 8388608     # of those of one image
    CHANNELS = 8             # of x, whose weights are turned at a time

cdef inline ptrdiff_t row_of(const nd_problem *p) noexcept nogil:
    """Columns of a pixel of x in one group."""
    return taps_of(p) * p.ocg

cdef inline ptrdiff_t image_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return p.id * p.ih * p.iw * p.g * row_of(p) * k.size

cdef bint takes_columns(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """Not by the number of images: an image's bits do not depend on what else is in the batch."""
    return (p.blocking != ND_TURNED and k.pool_combine != NULL and p.ocg >= k.vl
            and 0 < image_bytes(p, k) <= MOST_BYTES)

def holds_columns(problem, Method method):
    """Whether the strides of a gradient are done by columns with the kernels of a method."""
    cdef nd_problem p
    if not problem.reversed or max(problem.stride) == 1:
        return False
    p = whole_geometry(problem)
    return takes_columns(&p, method.kernels(problem))

cdef inline ptrdiff_t images_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return max(min(BLOCK_BYTES // image_bytes(p, k), p.n), <ptrdiff_t>1)

cdef ptrdiff_t columns_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return whole_lines(images_of(p, k) * image_bytes(p, k))

cdef nd_problem product_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """The product of a block of images: a 1x1 convolution with taps x channels of results, next to each other in memory."""
    cdef nd_problem q = p[0]
    q.n = images_of(p, k)
    q.ocg = row_of(p)
    q.od, q.oh, q.ow = p.id, p.ih, p.iw
    q.kd = q.kh = q.kw = q.sd = q.sh = q.sw = q.dd = q.dh = q.dw = 1
    q.pd = q.ph = q.pw = q.bordered = 0
    q.lanes_oc = True
    return q

cdef nd_array columns_of(const nd_problem *p, char *data) noexcept nogil:
    cdef nd_array a
    a.data, a.c, a.w = data, 1, p.g * row_of(p)
    a.h = p.iw * a.w
    a.d = p.ih * a.h
    a.n = p.id * a.d
    return a

# ------------------------------------------------------------------------------------------------ weights

cdef struct Prepare:
    const nd_problem *p
    const nd_kernel_set *k
    const nd_weights *w
    char *to
    char *workspace

cdef ptrdiff_t turned_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    return whole_lines(CHANNELS * row_of(p) * k.size)

cdef void prepare_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """Some channels of x: their weights as rows [tap][channel of y], then cut into panels [channel of x][nr]."""
    cdef Prepare *f = <Prepare *>context
    cdef const nd_problem *p = f.p
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, row = row_of(p), panels = ceil_div(row, k.nr), blocks = ceil_div(p.icg, CHANNELS)
    cdef ptrdiff_t i, c, v, g, first, count
    cdef char *rows = f.workspace + worker * turned_bytes(p, k)
    for i in range(begin, end):
        g, first = i // blocks, i % blocks * CHANNELS
        count = min(p.icg - first, <ptrdiff_t>CHANNELS)
        for c in range(count):
            prepare_block(p, k, f.w, f.w.data + size * (g * f.w.g + (first + c) * f.w.c), 1, p.ocg, p.ocg, rows + size * c * row)
        for v in range(panels):
            k.pack(f.to + size * ((g * panels + v) * p.icg + first) * k.nr, k.nr, rows + size * v * k.nr, count,
                   min(k.nr, row - v * k.nr), row, 1)

cdef void prepare_columns(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, char *to, char *workspace,
                          int threads) noexcept nogil:
    cdef Prepare f
    f.p, f.k, f.w, f.to, f.workspace = p, k, w, to, workspace
    parallel_for(p.g * ceil_div(p.icg, CHANNELS), ceil_div(16384, CHANNELS * row_of(p)), threads, prepare_body, &f)

# ------------------------------------------------------------------------------------------------ sums

cdef struct Sums:
    const nd_job *job
    const nd_array *columns
    Axis axis[3]
    ptrdiff_t first              # image of the block
    char *scratch

cdef ptrdiff_t sums_worker_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    """A list of places and one of addresses, and a row of results that memory has elsewhere."""
    return (whole_lines((2 * taps_of(p) + 1) * <ptrdiff_t>sizeof(void *))
            + (0 if p.lanes_oc else whole_lines(p.ow * p.ocg * k.size)))

cdef void sum_columns(const nd_job *job, const nd_array *columns, ptrdiff_t first, ptrdiff_t images,
                      char *scratch) noexcept nogil:
    """The results of some images from `first` on, whose columns these are."""
    cdef Sums f
    cdef const nd_problem *p = job.p
    f.job, f.columns, f.first, f.scratch = job, columns, first, scratch
    f.axis[0] = axis_of(p.sd, p.dd, p.pd, p.kd, p.id, p.od)
    f.axis[1] = axis_of(p.sh, p.dh, p.ph, p.kh, p.ih, p.oh)
    f.axis[2] = axis_of(p.sw, p.dw, p.pw, p.kw, p.iw, p.ow)
    parallel_for(images * p.g * p.od * p.oh, ceil_div(4096, p.ow * p.ocg), job.threads, sums_body, &f)

cdef void sums_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Sums *f = <Sums *>context
    cdef const nd_problem *p = f.job.p
    cdef ptrdiff_t i
    for i in range(begin, end):
        sum_row(f, i // (p.od * p.oh) // p.g, i // (p.od * p.oh) % p.g, i // p.oh % p.od, i % p.oh,
                f.scratch + worker * sums_worker_bytes(p, f.job.k))

cdef void sum_row(const Sums *f, ptrdiff_t image, ptrdiff_t g, ptrdiff_t depth, ptrdiff_t row, char *scratch) noexcept nogil:
    """A row of y of one group."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *y = &f.job.y
    cdef const Axis *a = f.axis
    cdef ptrdiff_t size = k.size, n = f.first + image, step = y.w, places, count, i, l, q, r, at
    cdef Phase d = phase_of(&a[0], depth % a[0].s), h = phase_of(&a[1], row % a[1].s), w
    cdef Live live
    cdef Pixel first
    cdef const void *bias = bias_at(f.job, g * p.ocg)
    cdef ptrdiff_t *place = <ptrdiff_t *>scratch
    cdef const void **rows = <const void **>(place + taps_of(p))
    cdef const char *columns = f.columns.data + size * (image * f.columns.n + g * row_of(p))
    cdef char *result = y.data + size * (n * y.n + g * p.ocg * y.c + depth * y.d + row * y.h)
    cdef char *to = result
    if y.c != 1:
        to, step = scratch + whole_lines((2 * taps_of(p) + 1) * <ptrdiff_t>sizeof(void *)), p.ocg
    places = list_places(f, &d, &h, depth // a[0].s, row // a[1].s, place)
    for r in range(a[2].phases):
        w = phase_of(&a[2], r)
        for q in range(w.positions):
            count = 0
            if bias != NULL:
                rows[0], count = bias, 1
            live = live_taps(&w, &a[2], q, q)
            for i in range(places):
                for l in range(live.low, live.high):
                    at = place[i] + (q + w.offset - l * a[2].reach) * f.columns.w + (w.first + l * a[2].step) * p.ocg
                    rows[count] = columns + size * at
                    count += 1
            if count > 0:
                k.pool_combine(to + size * (q * a[2].s + r) * step, rows, count, p.ocg, ND_SUM, 0, 0)
            else:
                memset(to + size * (q * a[2].s + r) * step, 0, size * p.ocg)
    if y.c != 1:
        store_turned(k, result, y, to, p.ocg, p.ocg, p.ow)
    first.n, first.d, first.h, first.w = n, depth, row, 0
    finish_pixels(f.job, g * p.ocg, p.ocg, first, p.ow)

cdef ptrdiff_t list_places(const Sums *f, const Phase *d, const Phase *h, ptrdiff_t qd, ptrdiff_t qh,
                           ptrdiff_t *place) noexcept nogil:
    """Where the columns of each row of taps begin that a row of y sees; returns their number."""
    cdef const nd_problem *p = f.job.p
    cdef const Axis *a = f.axis
    cdef Live depths = live_taps(d, &a[0], qd, qd), rows = live_taps(h, &a[1], qh, qh)
    cdef ptrdiff_t i, j, n = 0
    for i in range(depths.low, depths.high):
        for j in range(rows.low, rows.high):
            place[n] = ((qd + d.offset - i * a[0].reach) * f.columns.d + (qh + h.offset - j * a[1].reach) * f.columns.h
                        + ((d.first + i * a[0].step) * p.kh + h.first + j * a[1].step) * p.kw * p.ocg)
            n += 1
    return n
