# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What lies outside an array that is padded with anything but zeros.

Every method copies the rows of x that leave the array, to a slab, a panel or a tile, and finds zeros outside. Where a problem
is `bordered` it copies them by `copy_cells` instead, which looks up where each position outside comes from (nd_outside in
include/problem.h; the tables are made by ndconv/border.py). A few cells a row are looked up, the rest is moved as ever, so any
padding costs about what zeros do.
"""
from libc.string cimport memcpy

from ndconv._c cimport ND_FILL, ND_NOWHERE, nd_array, nd_kernel_set, nd_problem, nd_source
from ndconv._pack cimport ceil_div

cdef inline void move(const nd_kernel_set *k, const char *x, ptrdiff_t x_pixel, ptrdiff_t x_channel, ptrdiff_t count,
                      ptrdiff_t channels, char *to, ptrdiff_t to_pixel, ptrdiff_t to_channel) noexcept nogil:
    if count == channels == 1:
        memcpy(to, x, 4 if k.size == 4 else 8)
    elif channels == 1 and to_pixel == 1:
        k.copy(to, x, count, x_pixel)
    elif channels == 1:
        k.scatter(to, to_pixel, x, x_pixel, count)
    elif x_channel == to_channel == 1 and (count == 1 or x_pixel == to_pixel == channels):
        k.copy(to, x, count * channels, 1)
    elif to_pixel == 1:
        k.move(to, to_channel, x, channels, count, x_channel, x_pixel)
    else:
        k.move(to, to_pixel, x, count, channels, x_pixel, x_channel)

cdef inline void fill(const nd_kernel_set *k, double value, ptrdiff_t count, ptrdiff_t channels, char *to, ptrdiff_t to_pixel,
                      ptrdiff_t to_channel) noexcept nogil:
    cdef ptrdiff_t i
    if count == channels == 1:
        put(k, to, value)
    elif to_pixel == 1 and (channels == 1 or to_channel != 1):
        for i in range(channels):
            k.pool_fill(to + k.size * i * to_channel, count, value)
    elif to_pixel == channels:
        k.pool_fill(to, count * channels, value)
    else:
        for i in range(count * channels):
            put(k, to + k.size * (i // channels * to_pixel + i % channels * to_channel), value)

cdef void copy_cells(const nd_problem *p, const nd_kernel_set *k, const char *x, const nd_array *a, ptrdiff_t d, ptrdiff_t h,
                     ptrdiff_t w, ptrdiff_t step, ptrdiff_t count, ptrdiff_t channels, char *to, ptrdiff_t to_pixel,
                     ptrdiff_t to_channel) noexcept nogil:
    """to[i*to_pixel + c*to_channel] = what depth d, row h and column w + i*step of channel c < channels show, i < count; x is
    an image's first channel of an array with the strides of a. to_pixel or to_channel is 1, unless there is one channel."""
    cdef ptrdiff_t depth = nd_source(&p.outside[0], d, p.id), row = nd_source(&p.outside[1], h, p.ih), low, high, i = 0, column
    cdef ptrdiff_t size = k.size
    cdef bint nowhere = ND_NOWHERE in (depth, row)
    # columns low <= i < high lie in the array; a division costs as much as 16 elements
    if step == 1:
        low = min(max(-w, 0), count)
        high = max(min(p.iw - w, count), low)
    else:
        low = min(ceil_div(-w, step), count) if w < 0 else 0
        high = count if w + (count - 1) * step < p.iw else max(min((p.iw - 1 - w) // step + 1, count), low) if w < p.iw else low
    if depth < 0 or row < 0:
        fill(k, 0 if nowhere else p.fill, count, channels, to, to_pixel, to_channel)
        if nowhere:
            return
    else:
        x += size * (depth * a.d + row * a.h)
        if low < high:
            move(k, x + size * (w + low * step) * a.w, step * a.w, a.c, high - low, channels, to + size * low * to_pixel,
                 to_pixel, to_channel)
    while i < count:
        if i == low and low < high:
            i = high
            continue
        column = nd_source(&p.outside[2], w + i * step, p.iw)
        if column == ND_NOWHERE:
            fill(k, 0, 1, channels, to + size * i * to_pixel, to_pixel, to_channel)
        elif column == ND_FILL:
            fill(k, p.fill, 1, channels, to + size * i * to_pixel, to_pixel, to_channel)
        elif depth >= 0 and row >= 0:
            move(k, x + size * column * a.w, 1, a.c, 1, channels, to + size * i * to_pixel, to_pixel, to_channel)
        i += 1
