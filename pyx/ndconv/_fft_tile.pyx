# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Tiles of the fft method: loaded from arrays, transformed, and stored to arrays, a vector of lanes at a time.

A tile is [depth][row][column][lane], the columns as pairs, even ones real and odd ones imaginary parts (kernels/fft_rows.h).
Each lane has a window of its own: another tile of the same channel, or the same tile of another channel. Nothing outside an
array is read: what a window has there is zero. No padded copy of an array exists.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_kernel_set, nd_problem, nd_weights
from ndconv._fft_plan cimport FILTER_TILES, TILES, Side, Tables, Tiling

cdef bint holds_tiles(const Tiling *t) noexcept nogil:
    return t.lanes == TILES or t.lanes == FILTER_TILES

cdef inline ptrdiff_t clamp(ptrdiff_t i, ptrdiff_t most) noexcept nogil:
    return 0 if i < 0 else min(i, most)

cdef void set_axis(Window *w, int lane, int axis, ptrdiff_t origin, ptrdiff_t extent, ptrdiff_t size) noexcept nogil:
    """The part that begins at `origin` of an axis of `extent` elements."""
    w.data[lane] += origin * w.step[axis] * size
    w.low[axis][lane] = clamp(-origin, w.count[axis])
    w.high[axis][lane] = max(clamp(extent - origin, w.count[axis]), w.low[axis][lane])

cdef void aim(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *a, bint is_input,
              ptrdiff_t unit, ptrdiff_t channel, ptrdiff_t step, ptrdiff_t left) noexcept nogil:
    cdef ptrdiff_t i, tile
    cdef const Side *s
    cdef int lane, axis
    w.step[0], w.step[1], w.step[2] = a.d, a.h, a.w
    w.lanes = <int>min(p.n * t.tiles - unit * k.vl if holds_tiles(t) else left, k.vl)
    for axis in range(3):
        w.count[axis] = t.side[axis].t if is_input else t.side[axis].q
        w.spread[axis] = 1 if is_input else t.side[axis].stride
    for lane in range(w.lanes):
        i = unit * k.vl + lane if holds_tiles(t) else unit
        w.data[lane] = a.data + k.size * (i // t.tiles * a.n + (channel if holds_tiles(t) else channel + lane * step) * a.c)
        tile = i % t.tiles
        for axis in range(2, -1, -1):
            s = &t.side[axis]
            if is_input:
                set_axis(w, lane, axis, tile % s.tiles * s.q * s.stride - s.before, s.x, k.size)
            else:
                set_axis(w, lane, axis, tile % s.tiles * s.q, s.y, k.size)
            tile //= s.tiles
    fill_lanes(w, k)

cdef void aim_input(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *x, ptrdiff_t unit,
                    ptrdiff_t channel, ptrdiff_t step, ptrdiff_t left) noexcept nogil:
    """The inputs of a unit's tiles; lanes that hold channels are `left` channels `step` apart."""
    aim(w, p, k, t, x, True, unit, channel, step, left)

cdef void aim_output(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *y, ptrdiff_t unit,
                     ptrdiff_t channel, ptrdiff_t step, ptrdiff_t left) noexcept nogil:
    """The outputs of a unit's tiles, likewise."""
    aim(w, p, k, t, y, False, unit, channel, step, left)

cdef void aim_taps(Window *w, const nd_kernel_set *k, const Tiling *t, const nd_weights *a, int lanes) noexcept nogil:
    """All taps of the kernels at w.data, which the caller has set for `lanes` lanes."""
    cdef int lane, axis
    w.step[0], w.step[1], w.step[2] = a.d, a.h, a.w
    w.lanes = lanes
    for axis in range(3):
        w.count[axis], w.spread[axis] = t.side[axis].k, t.side[axis].dilation
        for lane in range(lanes):
            w.low[axis][lane], w.high[axis][lane] = 0, t.side[axis].k
    fill_lanes(w, k)

cdef void fill_lanes(Window *w, const nd_kernel_set *k) noexcept nogil:
    """Lanes that are left over repeat the first: what they compute is never stored."""
    cdef int lane, axis
    for lane in range(w.lanes, <int>k.vl):
        w.data[lane] = w.data[0]
        for axis in range(3):
            w.low[axis][lane], w.high[axis][lane] = w.low[axis][0], w.high[axis][0]

cdef void load_tile(const Window *w, const nd_kernel_set *k, const Tiling *t, char *z) noexcept nogil:
    """Element i of a window goes to i*spread of the tile, on each axis; the rest of the tile is zero."""
    cdef const void *row[MOST_LANES]
    cdef ptrdiff_t low[MOST_LANES]
    cdef ptrdiff_t high[MOST_LANES]
    cdef ptrdiff_t d, h
    cdef int lane, axis
    cdef bint whole = True
    for axis in range(3):
        whole = whole and w.spread[axis] == 1 and w.count[axis] == t.side[axis].t
    if not whole:
        memset(z, 0, t.z)
    for d in range(w.count[0]):
        for h in range(w.count[1]):
            for lane in range(<int>k.vl):
                row[lane] = w.data[lane] + k.size * (d * w.step[0] + h * w.step[1])
                low[lane] = high[lane] = 0
                if w.low[0][lane] <= d < w.high[0][lane] and w.low[1][lane] <= h < w.high[1][lane]:
                    low[lane], high[lane] = w.low[2][lane], w.high[2][lane]
            k.fft_load(z + t.point * (d * w.spread[0] * t.plane + h * w.spread[1] * t.pitch), k.vl * w.spread[2], w.count[2],
                       row, w.step[2], low, high)

cdef unsigned store_tile(const Window *w, const nd_kernel_set *k, const Tiling *t, const void *bias,
                         const char *z) noexcept nogil:
    """Element i of a window, plus its lane's bias, comes from i*spread of the tile. Returns a bit for every lane that has
    something in the tile that is not finite."""
    cdef void *row[MOST_LANES]
    cdef ptrdiff_t end[MOST_LANES]
    cdef ptrdiff_t d, h
    cdef int lane
    cdef unsigned flags = 0
    for d in range(w.count[0]):
        for h in range(w.count[1]):
            for lane in range(w.lanes):
                row[lane] = w.data[lane] + k.size * (d * w.step[0] + h * w.step[1])
                end[lane] = w.high[2][lane] if d < w.high[0][lane] and h < w.high[1][lane] else 0
            flags |= k.fft_store(row, w.step[2], end, w.count[2], w.lanes,
                                 z + t.point * (d * w.spread[0] * t.plane + h * w.spread[1] * t.pitch), k.vl * w.spread[2],
                                 bias)
    return flags

cdef void transform(const nd_kernel_set *k, const Tiling *t, const Tables *tables, char *z, bint inverse) noexcept nogil:
    """All axes of a tile in place."""
    cdef ptrdiff_t point = 2 * k.vl, d = t.side[0].n, h = t.side[1].n, w = t.side[2].n, pass_, axis
    for pass_ in range(3):
        axis = pass_ if inverse else 2 - pass_
        if axis == 0:
            k.fft(&tables.axis[0], z, t.plane * point, h, t.pitch * point, w, inverse)
        elif axis == 1:
            k.fft(&tables.axis[1], z, t.pitch * point, d, t.plane * point, w, inverse)
        else:
            k.fft(&tables.axis[2], z, point, d * h, t.pitch * point, 1, inverse)
