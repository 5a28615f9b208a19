# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Tiles of the fft method: loaded from arrays, transformed, and stored to arrays, a vector of lanes at a time.

A tile is [depth][row][column][lane], the columns as pairs, even ones real and odd ones imaginary parts (kernels/fft_rows.h).
Each lane has a window of its own: another tile of the same channel, or the same tile of another channel. Nothing outside an
array is read: what a window has there is zero. No padded copy of an array exists.
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_kernel_set, nd_problem, nd_weights
from ndconv._fft_plan cimport FILTER_GROUPS, FILTER_TILES, TILES, Side, Tables, Tiling
from ndconv._outside cimport copy_cells
from ndconv._pack cimport ceil_div

cdef bint holds_tiles(const Tiling *t) noexcept nogil:
    return t.lanes == TILES or t.lanes >= FILTER_TILES

cdef inline ptrdiff_t clamp(ptrdiff_t i, ptrdiff_t most) noexcept nogil:
    return 0 if i < 0 else min(i, most)

cdef inline ptrdiff_t remainder(ptrdiff_t i, ptrdiff_t n) noexcept nogil:
    """Of a division that rounds down."""
    return (i % n + n) % n

cdef void set_axis(Window *w, int lane, int axis, ptrdiff_t origin, ptrdiff_t extent, ptrdiff_t size) noexcept nogil:
    """The part that begins at `origin` of an axis of `extent` elements."""
    w.data[lane] += origin * w.step[axis] * size
    w.low[axis][lane] = clamp(-origin, w.count[axis])
    w.high[axis][lane] = max(clamp(extent - origin, w.count[axis]), w.low[axis][lane])

cdef inline ptrdiff_t take(ptrdiff_t *i, ptrdiff_t n) noexcept nogil:
    """The last digit of i, which is taken off, in base n."""
    cdef ptrdiff_t digit = i[0] % n
    i[0] //= n
    return digit

cdef void set_steps(Window *w, const Tiling *t, const nd_array *a, bint is_input) noexcept nogil:
    cdef int axis
    w.step[0], w.step[1], w.step[2] = a.d, a.h, a.w
    for axis in range(3):
        w.step[axis] *= t.side[axis].phases * t.side[axis].split if is_input else t.side[axis].phases
        w.count[axis] = t.side[axis].t if is_input else t.side[axis].q
        w.spread[axis] = 1 if is_input else t.side[axis].stride

cdef void set_input(Window *w, const Tiling *t, int lane, int axis, ptrdiff_t tile, ptrdiff_t split, ptrdiff_t step,
                    ptrdiff_t size) noexcept nogil:
    """A tile's inputs along an axis: every phases-th or split-th element; step is that of the array."""
    cdef const Side *s = &t.side[axis]
    cdef ptrdiff_t every = s.phases * s.split, first = tile % s.phases + split - s.before, rest = remainder(first, every)
    w.data[lane] += rest * step * size
    w.position[axis][lane], w.every[axis] = first + tile // s.phases * s.q * s.stride * every, every
    set_axis(w, lane, axis, tile // s.phases * s.q * s.stride + (first - rest) // every, ceil_div(max(s.x - rest, 0), every),
             size)

cdef ptrdiff_t set_output(Window *w, const Tiling *t, int lane, int axis, ptrdiff_t tile, ptrdiff_t step,
                          ptrdiff_t size) noexcept nogil:
    """A tile's outputs along an axis; returns the first."""
    cdef const Side *s = &t.side[axis]
    cdef ptrdiff_t phase = tile % s.phases, first = tile // s.phases * s.q
    w.data[lane] += phase * step * size
    set_axis(w, lane, axis, first, ceil_div(max(s.y - phase, 0), s.phases), size)
    return phase + first * s.phases

cdef void aim_input(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *x, ptrdiff_t unit,
                    ptrdiff_t group, ptrdiff_t channel) noexcept nogil:
    """The inputs of a unit's tiles; `channel` is one of t.ic, lanes that hold channels hold this one and the next."""
    cdef ptrdiff_t i, c
    cdef int lane, axis
    cdef bint tiles = holds_tiles(t), groups = t.lanes == FILTER_GROUPS
    set_steps(w, t, x, True)
    w.bordered, w.x = p if p.bordered else NULL, x
    w.lanes = <int>min(p.n * t.tiles - unit * k.vl if tiles else p.g - group if groups else t.ic - channel, k.vl)
    for lane in range(w.lanes):
        i = unit * k.vl + lane if tiles else unit
        c = channel if tiles or groups else channel + lane
        w.data[lane] = x.data + k.size * (i // t.tiles * x.n
                                          + ((group + lane if groups else group) * p.icg + take(&c, p.icg)) * x.c)
        i %= t.tiles
        for axis in range(2, -1, -1):
            set_input(w, t, lane, axis, take(&i, t.side[axis].tiles), take(&c, t.side[axis].split),
                      x.w if axis == 2 else x.h if axis == 1 else x.d, k.size)
    fill_lanes(w, k)

cdef void aim_output(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *y, ptrdiff_t unit,
                     ptrdiff_t channel, ptrdiff_t step, ptrdiff_t left) noexcept nogil:
    """The outputs of a unit's tiles; lanes that hold channels are `left` channels `step` apart."""
    cdef ptrdiff_t i
    cdef int lane
    cdef bint tiles = holds_tiles(t)
    set_steps(w, t, y, False)
    w.bordered = NULL
    w.lanes = <int>min(p.n * t.tiles - unit * k.vl if tiles else left, k.vl)
    for lane in range(w.lanes):
        i = unit * k.vl + lane if tiles else unit
        w.first[lane].n = i // t.tiles
        w.data[lane] = y.data + k.size * (i // t.tiles * y.n + (channel if tiles else channel + lane * step) * y.c)
        i %= t.tiles
        w.first[lane].w = set_output(w, t, lane, 2, take(&i, t.side[2].tiles), y.w, k.size)
        w.first[lane].h = set_output(w, t, lane, 1, take(&i, t.side[1].tiles), y.h, k.size)
        w.first[lane].d = set_output(w, t, lane, 0, i, y.d, k.size)
    fill_lanes(w, k)

cdef void aim_line(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *a, bint is_input,
                   ptrdiff_t line, ptrdiff_t first, ptrdiff_t channel) noexcept nogil:
    """Tiles from `first` on of a line along t.axis (FILTER_PARTS). The inputs go on behind the last tile."""
    cdef ptrdiff_t step[3]
    cdef ptrdiff_t tile[3]
    cdef ptrdiff_t at[3]
    cdef int lane, axis
    step[0], step[1], step[2] = a.d, a.h, a.w
    set_steps(w, t, a, is_input)
    w.bordered, w.x = p if is_input and p.bordered else NULL, a
    w.lanes = <int>(k.vl if is_input else min(t.side[t.axis].tiles - first, k.vl))
    for axis in range(2, -1, -1):
        tile[axis] = first if axis == t.axis else take(&line, t.side[axis].tiles)
    for lane in range(w.lanes):
        w.data[lane] = a.data + k.size * (line * a.n + channel * a.c)
        for axis in range(3):
            if is_input:
                set_input(w, t, lane, axis, tile[axis], 0, step[axis], k.size)
            else:
                at[axis] = set_output(w, t, lane, axis, tile[axis], step[axis], k.size)
        w.first[lane].n, w.first[lane].d, w.first[lane].h, w.first[lane].w = line, at[0], at[1], at[2]
        tile[t.axis] += 1
    fill_lanes(w, k)

cdef void aim_taps(Window *w, const nd_kernel_set *k, const Tiling *t, const nd_weights *a, ptrdiff_t channel,
                   int lanes) noexcept nogil:
    """All taps of the kernels at w.data, which the caller has set for `lanes` lanes and the first input channel, that see one
    of t.ic channels."""
    cdef ptrdiff_t icg = t.ic // (t.side[0].split * t.side[1].split * t.side[2].split), first
    cdef ptrdiff_t step[3]
    cdef int lane, axis
    cdef const Side *s
    step[0], step[1], step[2] = a.d, a.h, a.w
    w.bordered = NULL
    w.lanes = lanes
    for lane in range(lanes):
        w.data[lane] += k.size * (channel % icg) * a.c
    channel //= icg
    for axis in range(2, -1, -1):
        s = &t.side[axis]
        first = take(&channel, s.split)
        w.step[axis], w.count[axis], w.spread[axis] = step[axis] * s.split, s.k, s.dilation
        for lane in range(lanes):
            w.data[lane] += k.size * first * step[axis]
            w.low[axis][lane], w.high[axis][lane] = 0, ceil_div(max(s.taps - first, 0), s.split)
    fill_lanes(w, k)

cdef void aim_parts(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_weights *a,
                    ptrdiff_t first) noexcept nogil:
    """Parts of kernels (FILTER_PARTS), from `first` of [g][o][part] on."""
    cdef const Side *s = &t.side[t.axis]
    cdef ptrdiff_t step = a.d if t.axis == 0 else a.h if t.axis == 1 else a.w
    cdef ptrdiff_t kernel, part
    cdef int lane
    for lane in range(<int>min(p.g * p.ocg * t.parts - first, k.vl)):
        kernel, part = (first + lane) // t.parts, (first + lane) % t.parts
        w.data[lane] = a.data + k.size * (kernel // p.ocg * a.g + kernel % p.ocg * a.o + part * s.k * step)
    aim_taps(w, k, t, a, 0, <int>min(p.g * p.ocg * t.parts - first, k.vl))
    for lane in range(w.lanes):
        w.high[t.axis][lane] = min(s.k, s.taps - (first + lane) % t.parts * s.k)
    fill_lanes(w, k)

cdef void fill_lanes(Window *w, const nd_kernel_set *k) noexcept nogil:
    """Lanes that are left over repeat the first: what they compute is never stored."""
    cdef int lane, axis
    for lane in range(w.lanes, <int>k.vl):
        w.data[lane] = w.data[0]
        for axis in range(3):
            w.low[axis][lane], w.high[axis][lane] = w.low[axis][0], w.high[axis][0]
            w.position[axis][lane] = w.position[axis][0]

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
    if w.bordered != NULL:
        load_outside(w, k, t, z)

cdef void load_outside(const Window *w, const nd_kernel_set *k, const Tiling *t, char *z) noexcept nogil:
    """The rows of windows that leave x once more, with what is outside."""
    cdef const nd_array *x = w.x
    cdef ptrdiff_t d, h
    cdef int lane
    cdef bint cut
    cdef const char *first
    for lane in range(<int>k.vl):
        cut = w.low[2][lane] > 0 or w.high[2][lane] < w.count[2]
        first = w.data[lane] - k.size * (w.position[0][lane] * x.d + w.position[1][lane] * x.h + w.position[2][lane] * x.w)
        for d in range(w.count[0]):
            for h in range(w.count[1]):
                if cut or not (w.low[0][lane] <= d < w.high[0][lane] and w.low[1][lane] <= h < w.high[1][lane]):
                    copy_cells(w.bordered, k, first, x, w.position[0][lane] + d * w.every[0], w.position[1][lane] + h * w.every[1],
                               w.position[2][lane], w.every[2], w.count[2], 1,
                               z + t.point * (d * w.spread[0] * t.plane + h * w.spread[1] * t.pitch) + k.size * lane,
                               k.vl * w.spread[2], 1)

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
