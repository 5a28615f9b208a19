# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Tiles of the fft method: loaded from arrays, transformed, and stored to arrays, a vector of lanes at a time.

A tile is [depth][row][column][lane], the columns as pairs, even ones real and odd ones imaginary parts (kernels/fft_rows.h).
Each lane has a window of its own: another tile of the same channel, or the same tile of another channel. Nothing outside an
array is read: what a window has there is zero. Where a problem is bordered, rows outside are loaded from those that they repeat,
and columns are copied within the tile, for all lanes at once. No padded copy of an array exists.
"""
from libc.string cimport memcpy, memset

from ndconv._c cimport ND_FILL, ND_NOWHERE, nd_array, nd_kernel_set, nd_problem, nd_source, nd_weights
from ndconv._fft_plan cimport FILTER_GROUPS, FILTER_TILES, TILES, Side, Tables, Tiling
from ndconv._outside cimport put
from ndconv._pack cimport ceil_div

cdef enum:
    CELLS = 64      # outside x, that are looked up at a time

cdef struct Cell:
    ptrdiff_t to, source    # bytes from the beginning of a row: of the tile, and of the tile or of x
    bint tile, constant     # whether it comes from the tile, and whether it is the constant

cdef bint holds_tiles(const Tiling *t) noexcept nogil:
    return t.lanes == TILES or t.lanes >= FILTER_TILES

cdef inline ptrdiff_t clamp(ptrdiff_t i, ptrdiff_t most) noexcept nogil:
    return 0 if i < 0 else min(i, most)

cdef inline ptrdiff_t remainder(ptrdiff_t i, ptrdiff_t n) noexcept nogil:
    """Of a division that rounds down. (Divisions by 1, most of those here, would take longer than all else.)"""
    return 0 if n == 1 else (i % n + n) % n

cdef void set_axis(Window *w, int lane, int axis, ptrdiff_t origin, ptrdiff_t extent, ptrdiff_t size) noexcept nogil:
    """The part that begins at `origin` of an axis of `extent` elements."""
    w.data[lane] += origin * w.step[axis] * size
    w.low[axis][lane] = clamp(-origin, w.count[axis])
    w.high[axis][lane] = max(clamp(extent - origin, w.count[axis]), w.low[axis][lane])

cdef inline ptrdiff_t take(ptrdiff_t *i, ptrdiff_t n) noexcept nogil:
    """The last digit of i, which is taken off, in base n."""
    if n == 1:
        return 0
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
    cdef ptrdiff_t every = s.phases * s.split, first = take(&tile, s.phases) + split - s.before, rest = remainder(first, every)
    cdef ptrdiff_t origin = tile * s.q * s.stride
    w.data[lane] += rest * step * size
    w.position[axis][lane], w.every[axis] = first + origin * every, every
    if every > 1:
        set_axis(w, lane, axis, origin + (first - rest) // every, ceil_div(max(s.x - rest, 0), every), size)
    else:
        set_axis(w, lane, axis, origin + first, s.x, size)

cdef ptrdiff_t set_output(Window *w, const Tiling *t, int lane, int axis, ptrdiff_t tile, ptrdiff_t step,
                          ptrdiff_t size) noexcept nogil:
    """A tile's outputs along an axis; returns the first."""
    cdef const Side *s = &t.side[axis]
    cdef ptrdiff_t phase = take(&tile, s.phases), first = tile * s.q
    w.data[lane] += phase * step * size
    set_axis(w, lane, axis, first, ceil_div(max(s.y - phase, 0), s.phases) if s.phases > 1 else s.y, size)
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
    cdef bint whole = True, alike
    cdef char *to
    for axis in range(3):
        whole = whole and w.spread[axis] == 1 and w.count[axis] == t.side[axis].t
    if not whole:
        memset(z, 0, t.z)
    for d in range(w.count[0]):
        for h in range(w.count[1]):
            to = row_of_tile(w, t, d, h, z)
            for lane in range(<int>k.vl):
                row[lane] = w.data[lane] + k.size * (d * w.step[0] + h * w.step[1])
                low[lane], high[lane] = w.low[2][lane], w.high[2][lane]
                if not (w.low[0][lane] <= d < w.high[0][lane] and w.low[1][lane] <= h < w.high[1][lane]):
                    row[lane] = repeated_row(w, k, lane, d, h)
                    if row[lane] == NULL:
                        row[lane], low[lane], high[lane] = w.data[lane], 0, 0
            k.fft_load(to, k.vl * w.spread[2], w.count[2], row, w.step[2], low, high)
    if w.bordered != NULL:
        alike = are_alike(w, k)
        for lane in range(1 if alike else <int>k.vl):
            load_outside(w, k, t, lane, <int>k.vl if alike else 1, z)

cdef inline ptrdiff_t source_of(const Window *w, int axis, int lane, ptrdiff_t i) noexcept nogil:
    """The cell of a bordered x that element i of a window shows along an axis."""
    cdef const nd_problem *p = w.bordered
    cdef ptrdiff_t extent = p.id if axis == 0 else p.ih if axis == 1 else p.iw
    return nd_source(&p.outside[axis], w.position[axis][lane] + i * w.every[axis], extent)

cdef inline const char *repeated_row(const Window *w, const nd_kernel_set *k, int lane, ptrdiff_t d, ptrdiff_t h) noexcept nogil:
    """Where a row outside x has its elements, or NULL: a constant, or zeros."""
    cdef ptrdiff_t depth, row
    if w.bordered == NULL:
        return NULL
    depth, row = source_of(w, 0, lane, d), source_of(w, 1, lane, h)
    return w.data[lane] + row_step(w, k, lane, depth, row) if depth >= 0 and row >= 0 else NULL

cdef inline ptrdiff_t row_step(const Window *w, const nd_kernel_set *k, int lane, ptrdiff_t depth, ptrdiff_t row) noexcept nogil:
    """Bytes from a window's first row to a row of x."""
    return k.size * ((depth - w.position[0][lane]) * w.x.d + (row - w.position[1][lane]) * w.x.h)

cdef bint are_alike(const Window *w, const nd_kernel_set *k) noexcept nogil:
    """Whether all lanes see the same positions."""
    cdef int lane, axis
    for lane in range(1, <int>k.vl):
        for axis in range(3):
            if w.position[axis][lane] != w.position[axis][0]:
                return False
    return True

cdef void load_outside(const Window *w, const nd_kernel_set *k, const Tiling *t, int lane, int lanes, char *z) noexcept nogil:
    """The columns outside x of some windows that see the same positions, and constants. What is copied where is looked up once
    for all rows; the sources of all lanes together are in the tile, but at the other end of a periodic axis that has several."""
    cdef Cell cells[CELLS]
    cdef ptrdiff_t low = w.low[2][lane], high = w.high[2][lane], j = 0, column, at, size = k.size
    cdef int count = 0
    if w.bordered.fill != 0:
        fill_rows(w, k, t, lane, lanes, z)
    while j < w.count[2]:
        if j == low < high:
            j = high
            continue
        column = source_of(w, 2, lane, j)
        if column != ND_NOWHERE:
            at = column - w.position[2][lane]    # steps of the array from the row's first element
            cells[count].to = size * (j * k.vl + lane)
            cells[count].tile = lanes > 1 and w.every[2] == 1 and low <= at < high
            cells[count].source = size * at * (k.vl if cells[count].tile else w.x.w)
            cells[count].constant = column == ND_FILL
            count += 1
        j += 1
        if count == CELLS:
            load_cells(w, k, t, lane, lanes, cells, count, z)
            count = 0
    load_cells(w, k, t, lane, lanes, cells, count, z)

cdef inline char *row_of_tile(const Window *w, const Tiling *t, ptrdiff_t d, ptrdiff_t h, char *z) noexcept nogil:
    return z + t.point * (d * w.spread[0] * t.plane + h * w.spread[1] * t.pitch)

cdef void load_cells(const Window *w, const nd_kernel_set *k, const Tiling *t, int lane, int lanes, const Cell *cells, int count,
                     char *z) noexcept nogil:
    """In all rows that show some of x."""
    cdef ptrdiff_t d, h, depth, row, step, size = k.size
    cdef int i, l
    cdef char *to
    for d in range(w.count[0] if count else 0):
        depth = source_of(w, 0, lane, d)
        for h in range(w.count[1] if depth >= 0 else 0):
            row = source_of(w, 1, lane, h)
            if row < 0:
                continue
            to, step = row_of_tile(w, t, d, h, z), row_step(w, k, lane, depth, row)
            for i in range(count):
                if cells[i].constant:
                    for l in range(lanes):
                        put(k, to + cells[i].to + size * l, w.bordered.fill)
                elif cells[i].tile:
                    copy_point(to + cells[i].to, to + cells[i].source, size * lanes)
                else:
                    for l in range(lanes):
                        memcpy(to + cells[i].to + size * l, w.data[lane + l] + step + cells[i].source, 4 if size == 4 else 8)

cdef inline void copy_point(char *to, const char *src, ptrdiff_t bytes) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(0, bytes, 16):    # of two lanes at least
        memcpy(to + i, src + i, 16)

cdef void fill_rows(const Window *w, const nd_kernel_set *k, const Tiling *t, int lane, int lanes, char *z) noexcept nogil:
    """Rows and depths that are constant, but for columns of zeros."""
    cdef ptrdiff_t d, h, j, depth, row, first = 0, last = w.count[2]
    cdef char *to
    while first < last and source_of(w, 2, lane, first) == ND_NOWHERE:
        first += 1
    while first < last and source_of(w, 2, lane, last - 1) == ND_NOWHERE:
        last -= 1
    for d in range(w.count[0]):
        depth = source_of(w, 0, lane, d)
        for h in range(w.count[1] if depth != ND_NOWHERE else 0):
            row = source_of(w, 1, lane, h)
            to = row_of_tile(w, t, d, h, z)
            if row == ND_NOWHERE or ND_FILL not in (depth, row):
                continue
            if lanes > 1:
                k.pool_fill(to + k.size * first * k.vl, (last - first) * k.vl, w.bordered.fill)
            else:
                for j in range(first, last):
                    put(k, to + k.size * (j * k.vl + lane), w.bordered.fill)

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
