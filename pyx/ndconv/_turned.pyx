# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Small planes (NCHW) by lanes of channels: rows of less than a vector of windows leave lanes empty, channels do not.

    for image, some channels                                (tasks)
        x turned to [pixel][channel]
        windows of channels (_channels.pyx), y and indices in the same order
        y and indices turned back

Bytes moved: x and y once more, between L1 and L2, at half a cycle an element. Measured on Zen 4, AVX-512: 3x3 by steps of 2 on
planes of 7 to 28 0.17 to 0.5 of the time of `blocks`, with indices 0.1 to 0.5 of that of `rows`.
"""
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._channels cimport plan_channels
from ndconv._pack cimport whole_lines
from ndconv._window cimport Pool, Way, least, most_of, up

cdef enum:
    BYTES = 262144         # of x and y of a task, in L2
    CHANNELS = 64          # of a task at most
    TASKS = 8              # that a problem is cut into, where it has the channels
    TURN = 5               # element operations of an element that is turned

cdef struct Turned:
    char *x                # [pixel][channel]
    char *y
    char *at
    char *scratch          # of the channels' loops

cdef ptrdiff_t cells_of(const nd_problem *p) noexcept nogil:
    return p.id * p.ih * p.iw

cdef ptrdiff_t windows_of(const nd_problem *p) noexcept nogil:
    return p.od * p.oh * p.ow

cdef nd_array as_pixels(char *data, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w) noexcept nogil:
    cdef nd_array a
    a.data, a.n, a.c, a.w, a.h, a.d = data, 0, 1, c, w * c, h * w * c
    return a

cdef size_t turned_bytes(const Pool *f, Turned *t, char *base) noexcept nogil:
    cdef ptrdiff_t lane = f.k.size * f.block_c
    t.x = base
    t.y = t.x + whole_lines(cells_of(&f.p) * lane)
    t.at = t.y + whole_lines(windows_of(&f.p) * lane)
    t.scratch = t.at + whole_lines(windows_of(&f.p) * f.at_size * f.block_c)
    return t.scratch - base

cdef Pool some_channels(const Pool *f, const Turned *t, ptrdiff_t channels) noexcept nogil:
    """The pooling of a task, of an image that is turned."""
    cdef Pool some = f[0]
    cdef nd_problem *p = &some.p
    p.n, p.icg = 1, channels
    some.x = as_pixels(t.x, channels, p.ih, p.iw)
    some.y = as_pixels(t.y, channels, p.oh, p.ow)
    some.at = as_pixels(t.at, channels, p.oh, p.ow)
    some.scratch = t.scratch
    return some

cdef void turned_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Pool *f = <const Pool *>context
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t parts = up(p.icg, f.block_c), task, n, c, channels
    cdef Turned t
    cdef Pool some
    cdef Way way
    turned_bytes(f, &t, f.scratch + worker * f.slice)
    for task in range(begin, end):
        n, c = task // parts, task % parts * f.block_c
        channels = least(f.block_c, p.icg - c)
        some = some_channels(f, &t, channels)
        plan_channels(&some, &way)
        turn(f.k, f.k.size, &f.x, n, c, channels, t.x, p.id, p.ih, p.iw, False)
        way.body(&some, 0, 0, way.tasks)
        turn(f.k, f.k.size, &f.y, n, c, channels, t.y, p.od, p.oh, p.ow, True)
        if f.at_size:
            turn(f.at_k, f.at_size, &f.at, n, c, channels, t.at, p.od, p.oh, p.ow, True)

cdef void turn(const nd_kernel_set *k, ptrdiff_t size, const nd_array *a, ptrdiff_t n, ptrdiff_t c, ptrdiff_t channels,
               char *pixels, ptrdiff_t depth, ptrdiff_t h, ptrdiff_t w, bint back) noexcept nogil:
    """Planes of an array to [pixel][channel], or back."""
    cdef ptrdiff_t row, rows = depth * h
    cdef char *plane
    if (h == 1 or a.h == w) and (depth == 1 or a.d == h * w):    # the rows of a plane follow each other
        rows, w = 1, depth * h * w
    for row in range(rows):
        plane = a.data + size * (n * a.n + c * a.c + row // h * a.d + row % h * a.h)
        if back:
            k.move(plane, a.c, pixels + size * row * w * channels, channels, w, 1, channels)
        else:
            k.move(pixels + size * row * w * channels, channels, plane, w, channels, 1, a.c)

cdef bint plan_turned(Pool *f, Way *way) noexcept nogil:
    cdef const nd_problem *p = &f.p
    cdef ptrdiff_t vl = f.k.vl
    cdef double cells = <double>cells_of(p) + windows_of(p) * (1 + f.at_size / <double>f.k.size)
    cdef Pool some
    cdef Turned t
    if f.k.pool_combine_index == NULL or f.x.w != 1 or f.y.w != 1 or p.icg < vl or cells * vl * f.k.size > BYTES:
        return False
    f.block_c = vl
    while (2 * f.block_c <= CHANNELS and 2 * f.block_c * cells * f.k.size <= BYTES
           and p.n * up(p.icg, 2 * f.block_c) >= TASKS):
        f.block_c *= 2
    f.slice = turned_bytes(f, &t, NULL)
    some = some_channels(f, &t, f.block_c)
    if not plan_channels(&some, way):
        return False
    f.slice += some.slice
    way.body, way.tasks, way.work = turned_body, p.n * up(p.icg, f.block_c), way.work * p.n * up(p.icg, f.block_c)
    way.work += TURN * cells * p.n * p.icg
    return True
