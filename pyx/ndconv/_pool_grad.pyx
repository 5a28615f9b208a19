# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Gradients of pooling by lanes of channels (kernels/pool_route.h): of NHWC memory, and of means also where pixels of a row are
neighbours (NCHW) and there are few windows in a row, turned for it as in _turned.pyx:

    for image, some channels, some rows of dx            (tasks)
        maxima: zeros, then each window's dy to the cells that its indices name
        means: for each row of dx the sum of its rows of windows, kept for rows with the same ones, shared among its pixels;
               where they are turned, dy of the windows that reach these rows before, and dx afterwards

Where windows count different numbers of cells, their dy is scaled as if they counted all: rows in a copy, columns in the sum.

Measured on Zen 4, 2 threads, over what other loops take: maxima of 2x2 to 4x4 windows 0.2 to 0.9 of routing dy one by one;
means of NHWC memory 0.1 to 0.7, turned 0.1 to 0.7.
"""
from libc.stdint cimport INT32_MAX
from libc.string cimport memset

from ndconv._c cimport ND_ROUTED, ND_SUM, nd_array, nd_pool_route, nd_problem
from ndconv._pack cimport whole_lines
from ndconv._turned cimport turn
from ndconv._window cimport Pool, Way, cells_at, least, most_of, row_cells, up

cdef enum:
    BYTES = 262144         # of dx and dy of a task, in L2
    CHANNELS = 64          # of a task that is turned, at most
    TASKS = 16             # that a problem is cut into, where it has the rows

cdef struct Part:          # of a task
    nd_array dy, dx, at    # of its image from its first channel on, pixels of neighbouring channels
    ptrdiff_t channels, d, h, end_d, end_h    # the depths and rows of dx
    char *scratch

cdef struct Windows:
    ptrdiff_t first, count

cdef Windows windows_at(ptrdiff_t low, ptrdiff_t high, ptrdiff_t s, ptrdiff_t pad, ptrdiff_t k, ptrdiff_t d,
                        ptrdiff_t count) noexcept nogil:
    """Windows along an axis that reach positions low <= i < high."""
    cdef Windows o
    o.first = up(low + pad - (k - 1) * d, s)
    o.count = most_of(least((high - 1 + pad) // s + 1 if high - 1 + pad >= 0 else 0, count) - o.first, 0)
    return o

cdef Windows depths_of(const Pool *f, const Part *t) noexcept nogil:
    return windows_at(t.d, t.end_d, f.q.sd, f.q.pd, f.q.kd, f.q.dd, f.q.od)

cdef Windows rows_of(const Pool *f, const Part *t) noexcept nogil:
    return windows_at(t.h, t.end_h, f.q.sh, f.q.ph, f.q.kh, f.q.dh, f.q.oh)

cdef nd_pool_route route_of(const Pool *f, const Part *t) noexcept nogil:
    """A row of windows and a row of dx."""
    cdef const nd_problem *q = &f.q
    cdef nd_pool_route s
    memset(&s, 0, sizeof(nd_pool_route))
    s.windows, s.kw, s.sw, s.dw, s.pad, s.iw = q.ow, q.kw, q.sw, q.dw, q.pw, q.iw
    s.pixel, s.dy_pixel, s.at_pixel, s.at_size, s.channels = t.dx.w, t.dy.w, t.at.w, f.at_size, t.channels
    return s


# ---- means

cdef ptrdiff_t most_rows(const nd_problem *q) noexcept nogil:
    """Rows of windows that reach a row of dx."""
    return up(q.kd, q.sd) * up(q.kh, q.sh)

cdef size_t means_bytes(const Pool *f) noexcept nogil:
    """The sum of rows, their copies, a pixel, and the addresses of rows."""
    cdef const nd_problem *q = &f.q
    return (f.k.size * f.block_c * (q.ow * (most_rows(q) + 1) + 1)) + sizeof(void *) * most_rows(q) + 64

cdef void share_rows(const Pool *f, const Part *t) noexcept nogil:
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t d, h
    cdef double share = 1. / (f.divisor if f.divisor else q.kd * q.kh * q.kw)
    cdef const char *sums = NULL
    cdef char *dx
    cdef Windows od, oh, last_d, last_h
    cdef nd_pool_route s = route_of(f, t)
    last_d.first = last_h.first = last_d.count = last_h.count = -1
    for d in range(t.d, t.end_d):
        od = windows_at(d, d + 1, q.sd, q.pd, q.kd, q.dd, q.od)
        for h in range(t.h, t.end_h):
            oh = windows_at(h, h + 1, q.sh, q.ph, q.kh, q.dh, q.oh)
            dx = t.dx.data + f.k.size * (d * t.dx.d + h * t.dx.h)
            if od.count * oh.count == 0:
                memset(dx, 0, f.k.size * q.iw * t.channels)
                continue
            if (od.first != last_d.first or od.count != last_d.count or oh.first != last_h.first or oh.count != last_h.count):
                sums = add_rows(f, t, od, oh)
                last_d, last_h = od, oh
            f.k.pool_share(&s, dx, sums, share)

cdef const char *add_rows(const Pool *f, const Part *t, Windows od, Windows oh) noexcept nogil:
    """The sum of rows of windows, each as if it counted all cells."""
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t line = q.ow * t.channels, size = f.k.size, i, count = 0
    cdef char *sums = t.scratch
    cdef char *copies = sums + size * line
    cdef const void **rows = <const void **>(sums + whole_lines(size * f.block_c * (q.ow * (most_rows(q) + 1) + 1)))
    cdef const char *row
    cdef double whole = 1 if f.divisor else q.kd * q.kh, cells
    for i in range(od.count * oh.count):
        row = t.dy.data + size * ((od.first + i // oh.count) * t.dy.d + (oh.first + i % oh.count) * t.dy.h)
        rows[count] = row
        cells = row_cells(f, od.first + i // oh.count, oh.first + i % oh.count)
        if cells != whole:
            f.k.pool_combine(copies + size * count * line, rows + count, 1, line, ND_SUM, cells / whole, 0)
            rows[count] = copies + size * count * line
        count += 1
    if count == 1 and not uneven(f, 0) and not uneven(f, q.ow - 1):
        return <const char *>rows[0]
    f.k.pool_combine(sums, rows, count, line, ND_SUM, 0, 0)
    rows[0] = copies
    for i in range(q.ow):
        if uneven(f, i):
            f.k.copy(copies, sums + size * i * t.channels, t.channels, 1)
            f.k.pool_combine(sums + size * i * t.channels, rows, 1, t.channels, ND_SUM, cells_at(f, i) / q.kw, 0)
    return sums

cdef bint uneven(const Pool *f, ptrdiff_t ow) noexcept nogil:
    """Whether a column of windows counts fewer cells than others: windows in the middle do only where the outer ones do."""
    return f.divisor == 0 and cells_at(f, ow) != f.q.kw


# ---- maxima

cdef size_t maxima_bytes(const Pool *f) noexcept nogil:
    return f.q.kd * f.q.kh * (sizeof(void *) + sizeof(ptrdiff_t)) + 64

cdef bint route_rows(const Pool *f, const Part *t) noexcept nogil:
    """Whether an index is none of its window's."""
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t size = f.k.size, d, h, i, od, oh, place
    cdef void **cells = <void **>t.scratch
    cdef ptrdiff_t *bases = <ptrdiff_t *>(cells + q.kd * q.kh)
    cdef bint lost = False
    cdef Windows depths = depths_of(f, t), rows = rows_of(f, t)
    cdef nd_pool_route s = route_of(f, t)
    for d in range(t.d, t.end_d):
        for h in range(t.h, t.end_h):
            clear_pixels(f, t, t.dx.data + size * (d * t.dx.d + h * t.dx.h))
    s.inside_low, s.inside_high = (t.d * q.ih + t.h) * q.iw, ((t.end_d - 1) * q.ih + t.end_h) * q.iw
    for od in range(depths.first, depths.first + depths.count):
        for oh in range(rows.first, rows.first + rows.count):
            s.rows = s.low = s.high = 0
            for i in range(q.kd * q.kh):
                d, h = od * q.sd - q.pd + i // q.kh * q.dd, oh * q.sh - q.ph + i % q.kh * q.dh
                if d < 0 or d >= q.id or h < 0 or h >= q.ih:
                    continue
                place = (d * q.ih + h) * q.iw
                if s.high == 0:
                    s.low = place
                s.high = place + q.iw
                if t.h <= h < t.end_h:
                    cells[s.rows] = t.dx.data + size * (d * t.dx.d + h * t.dx.h)
                    bases[s.rows] = place
                    s.rows += 1
            lost |= f.k.pool_route(&s, cells, bases, t.dy.data + size * (od * t.dy.d + oh * t.dy.h),
                                   t.at.data + f.at_size * (od * t.at.d + oh * t.at.h))
    return lost

cdef void clear_pixels(const Pool *f, const Part *t, char *row) noexcept nogil:
    cdef ptrdiff_t w
    if t.dx.w == t.channels:
        memset(row, 0, f.k.size * f.q.iw * t.channels)
        return
    for w in range(f.q.iw):
        memset(row + f.k.size * w * t.dx.w, 0, f.k.size * t.channels)


# ---- tasks

cdef bint is_turned(const Pool *f) noexcept nogil:
    return f.x.c != 1 or f.y.c != 1 or (f.at_size != 0 and f.at.c != 1)

cdef ptrdiff_t rows_reached(const Pool *f) noexcept nogil:
    """Rows of windows that reach rows of a task, at most."""
    cdef const nd_problem *q = &f.q
    return least(q.oh, (f.block_h + (q.kh - 1) * q.dh - 1) // q.sh + 1)

cdef size_t dx_bytes(const Pool *f) noexcept nogil:
    return whole_lines(f.k.size * f.block_c * f.block_d * f.block_h * f.q.iw)

cdef size_t turned_bytes(const Pool *f) noexcept nogil:
    if not is_turned(f):
        return 0
    return dx_bytes(f) + whole_lines(f.k.size * f.block_c * f.q.od * rows_reached(f) * f.q.ow)

cdef size_t task_bytes(const Pool *f) noexcept nogil:
    return turned_bytes(f) + whole_lines(maxima_bytes(f) if f.at_size else means_bytes(f))

cdef nd_array from_channel(const nd_array *a, ptrdiff_t size, ptrdiff_t n, ptrdiff_t c) noexcept nogil:
    cdef nd_array part = a[0]
    part.data += size * (n * a.n + c * a.c)
    return part

cdef nd_array at_rows(const nd_array *a, ptrdiff_t size, ptrdiff_t d, ptrdiff_t h) noexcept nogil:
    """The array from a depth and a row on, or with negative ones the array of which this is the part from there on."""
    cdef nd_array part = a[0]
    part.data += size * (d * a.d + h * a.h)
    return part

cdef void grad_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t high = up(q.ih, f.block_h), deep = up(q.id, f.block_d), parts = up(q.icg, f.block_c), size = f.k.size
    cdef ptrdiff_t task, n, c
    cdef Part t
    for task in range(begin, end):
        t.h = task % high * f.block_h
        t.d = task // high % deep * f.block_d
        c = task // high // deep % parts * f.block_c
        n = task // high // deep // parts
        t.end_h, t.end_d = least(t.h + f.block_h, q.ih), least(t.d + f.block_d, q.id)
        t.channels = least(f.block_c, q.icg - c)
        t.dy, t.dx = from_channel(&f.x, size, n, c), from_channel(&f.y, size, n, c)
        t.at = from_channel(&f.at, f.at_size, n, c)
        t.scratch = f.scratch + worker * f.slice
        if is_turned(f):
            share_turned(f, &t)
        elif f.at_size == 0:
            share_rows(f, &t)
        elif route_rows(f, &t):
            f.lost[worker] = 1

cdef nd_array as_pixels(char *data, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w) noexcept nogil:
    """An array of an image of h x w pixels of c channels each."""
    cdef nd_array a
    a.data, a.n, a.c, a.w, a.h, a.d = data, 0, 1, c, w * c, h * w * c
    return a

cdef void share_turned(const Pool *f, Part *t) noexcept nogil:
    cdef const nd_problem *q = &f.q
    cdef Windows depths = depths_of(f, t), rows = rows_of(f, t)
    cdef ptrdiff_t size = f.k.size
    cdef nd_array dx = at_rows(&t.dx, size, t.d, t.h), dy = at_rows(&t.dy, size, depths.first, rows.first)
    cdef nd_array x_pixels = as_pixels(t.scratch, t.channels, t.end_h - t.h, q.iw)
    cdef nd_array y_pixels = as_pixels(x_pixels.data + dx_bytes(f), t.channels, rows.count, q.ow)
    if depths.count * rows.count:
        turn(f.k, size, &dy, 0, 0, t.channels, y_pixels.data, t.channels, depths.count, rows.count, q.ow, False)
    t.scratch += turned_bytes(f)
    t.dx, t.dy = at_rows(&x_pixels, size, -t.d, -t.h), at_rows(&y_pixels, size, -depths.first, -rows.first)
    share_rows(f, t)
    turn(f.k, size, &dx, 0, 0, t.channels, x_pixels.data, t.channels, t.end_d - t.d, t.end_h - t.h, q.iw, True)


# ---- the choice

cdef bint takes_means(const Pool *f) noexcept nogil:
    cdef const nd_problem *q = &f.q
    if (q.kd > 1 and q.dd > 1) or (q.kh > 1 and q.dh > 1) or (q.kw > 1 and q.dw > 1) or q.icg < f.k.vl:
        return False
    if is_turned(f):
        return f.x.w == 1 and f.y.w == 1
    return f.x.w == q.icg and f.y.w == q.icg

cdef bint takes_maxima(const Pool *f) noexcept nogil:
    """Positions have to fit integers as wide as the dtype, and indices those."""
    cdef const nd_problem *q = &f.q
    return (not is_turned(f) and q.icg >= f.k.vl and q.kd * q.kh * q.kw <= ND_ROUTED and f.at_size >= f.k.size
            and <double>q.id * q.ih * q.iw < INT32_MAX)

cdef bint plan_pool_grad(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *q = &f.q
    cdef ptrdiff_t vl = f.k.vl, lowest = 2 * most_of((q.kh - 1) * q.dh + 1, q.sh)
    cdef bint apart = q.id == 1 or f.at_size == 0    # rows of a plane are those of several tasks
    if not (takes_maxima(f) if f.at_size else takes_means(f)):
        return False
    f.block_c, f.block_h = vl if is_turned(f) else q.icg, q.ih
    f.block_d = q.id if f.at_size else 1
    while apart and f.block_h > lowest and (tasks_of(f) < TASKS or task_bytes(f) > BYTES):
        f.block_h = (f.block_h + 1) // 2
    while f.at_size and f.block_c > 4 * vl and tasks_of(f) < TASKS:
        f.block_c = up(f.block_c, 2 * vl) * vl
    if is_turned(f) and turned_bytes(f) > BYTES:
        return False
    while is_turned(f) and 2 * f.block_c <= CHANNELS:
        f.block_c *= 2
        if turned_bytes(f) > BYTES or tasks_of(f) < TASKS:
            f.block_c //= 2
            break
    f.slice = task_bytes(f)
    way.body, way.tasks = grad_body, tasks_of(f)
    way.work = <double>q.n * q.icg * (<double>q.od * q.oh * q.ow * (q.kd * q.kh * q.kw if f.at_size else most_rows(q))
                                      + <double>q.id * q.ih * q.iw * up(q.kw, q.sw))
    return True

cdef ptrdiff_t tasks_of(const Pool *f) noexcept nogil:
    return f.q.n * up(f.q.icg, f.block_c) * up(f.q.id, f.block_d) * up(f.q.ih, f.block_h)
