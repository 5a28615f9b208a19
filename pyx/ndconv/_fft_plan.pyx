# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""How the fft method cuts a problem into tiles, and the tables of their transforms.

A tile of t numbers along an axis yields q outputs with (q-1)*stride + reach <= t, reach = (k-1)*dilation + 1: the circular
correlation of the window with the kernel is right wherever nothing wraps around (overlap-save). A single tile may be smaller
by the padding before the axis: what wraps around into zeros does no harm.

Tile sizes are 2^a 3^b 5^c, even along w. Of all combinations of a few sizes an axis the one with the least estimated cost is
taken, in cycles of one thread: transforms (log2 of the points, loads and stores), products, and the traffic of spectra that no
cache holds. It is a function of the problem and the vector length alone.
"""
from libc.math cimport cos, log2, sin
from libc.string cimport memset

from ndconv._pack cimport ceil_div, taps_of
from ndconv._runtime cimport parallel_for

cdef enum:
    SIDES = 20                    # sizes considered along an axis
    BLOCK_BYTES = 4194304         # of the spectra between the steps of a blocked product: both threads' L2 and some L3
    CACHED_BYTES = 16777216       # of spectra in the last level of the cache
    FIT_BYTES = 201326592         # of kernel spectra and workspace; more only if nothing else does
    CACHE_BYTES = 524288          # of a tile: half of L2

cdef ptrdiff_t smooth(ptrdiff_t least, bint even) noexcept nogil:
    """The smallest 2^a 3^b 5^c, even if asked for, that is at least `least`."""
    cdef ptrdiff_t best = 2, five = 1, three, size
    while best < least:
        best *= 2
    while five < best:
        three = five
        while three < best:
            size = 2 * three if even else three
            while size < least:
                size *= 2
            best = min(best, size)
            three *= 3
        five *= 5
    return best if even or least > 1 else 1

cdef int sides_of(Side axis, bint even, ptrdiff_t most, Side *sides) noexcept nogil:
    """The tile sizes to consider along an axis, largest first; returns their number."""
    cdef ptrdiff_t tiles = 1, q, need, span, t, last = 0, reach = (axis.k - 1) * axis.dilation + 1
    cdef int count = 0
    most = max(most, 2 * reach)
    if (axis.y - 1) * axis.stride + reach > 2 * most:
        tiles = ceil_div(axis.y, (most - reach) // axis.stride + 1)
    while count < SIDES:
        q = ceil_div(axis.y, tiles)
        need = span = (q - 1) * axis.stride + reach
        if tiles == 1:
            need = max(max(reach, (q - 1) * axis.stride + 1),
                       max(span - max(axis.before, 0), min(span, axis.before + axis.x)))
        t = smooth(need, even)
        if t != last and (t <= most or q == 1):
            if tiles > 1:
                # as many outputs as the size allows, then dealt out evenly
                q = ceil_div(axis.y, ceil_div(axis.y, (t - reach) // axis.stride + 1))
            sides[count] = axis
            sides[count].t, sides[count].n = t, t // 2 if even else t
            sides[count].q, sides[count].tiles = q, ceil_div(axis.y, q)
            sides[count].log2n = log2(<double>sides[count].n)
            count += 1
            last = t
        if q == 1 or (count > 0 and (t <= 8 or 4 * q * axis.stride < reach)):
            break
        tiles = max(tiles + 1 + tiles // 6, ceil_div(axis.y, q - 1))
    return count

cdef void set_points(Tiling *t, const nd_kernel_set *k) noexcept nogil:
    """Sizes that follow from the sides."""
    cdef ptrdiff_t d = t.side[0].n, h = t.side[1].n, w = t.side[2].n, fixed
    # points that are their own negatives: frequency 0 and, if the size is even, the middle one of each axis
    fixed = (2 - d % 2) * (2 - h % 2) * (2 - w % 2)
    t.pairs = (d * h * w + fixed) // 2
    t.freqs = 2 * t.pairs
    t.point = 2 * k.vl * k.size
    # rows of whole cache sets would all fall on the same ones
    t.pitch = w + 1 if w % 4 == 0 and h * w * t.point > 16384 else w
    t.plane = h * t.pitch
    t.z = whole_lines(d * t.plane * t.point)
    t.spectrum = t.freqs * t.point
    t.tiles = t.side[0].tiles * t.side[1].tiles * t.side[2].tiles

cdef void set_lanes(Tiling *t, const nd_problem *p, const nd_kernel_set *k, int lanes) noexcept nogil:
    cdef ptrdiff_t images = p.n * t.tiles
    t.lanes = lanes
    if lanes == CHANNELS:
        t.icv, t.ocv, t.units = ceil_div(p.icg, k.vl), ceil_div(p.ocg, k.vl), images
    elif lanes == FILTER_GROUPS:
        t.icv, t.ocv, t.units = 1, p.ocg, images
    else:
        t.icv, t.ocv, t.units = p.icg, p.ocg, ceil_div(images, k.vl)

cdef void set_block(Tiling *t, const nd_problem *p) noexcept nogil:
    cdef ptrdiff_t one = p.g * t.freqs * (t.icv + t.ocv) * t.point
    cdef ptrdiff_t block = min(max(BLOCK_BYTES // max(one, 1), 1), max(t.units, 1))
    t.block = ceil_div(max(t.units, 1), ceil_div(max(t.units, 1), block))

cdef ptrdiff_t spectra_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Bytes of the kernel's spectra."""
    if t.lanes == CHANNELS:
        return p.g * t.freqs * p.icg * t.ocv * t.point
    if t.lanes == FILTER_GROUPS:
        return ceil_div(p.g, k.vl) * p.ocg * t.freqs * t.point
    return p.g * p.ocg * p.icg * t.freqs * 2 * k.size

cdef double transform_cycles(const Tiling *t) noexcept nogil:
    """Of one tile, all lanes, with its loads and stores. Passes that leave L1 or L2 cost up to twice as much."""
    cdef double points = t.side[0].n * t.side[1].n * <double>t.side[2].n
    cdef double logs = t.side[0].log2n + t.side[1].log2n + t.side[2].log2n
    cdef double cold = 1.0 if t.z <= 32768 else 1.25 if t.z <= CACHE_BYTES else 1.6 if t.z <= 2 * CACHE_BYTES else 2.0
    return points * (1.3 * logs * cold + 7)

cdef void set_cost(Tiling *t, const nd_problem *p, const nd_kernel_set *k, Operation op) noexcept nogil:
    cdef double one = transform_cycles(t), units = t.units, parts, weights, product, traffic, spectra, rate
    spectra = spectra_bytes(p, k, t)
    rate = 12 if spectra < CACHED_BYTES else 2.5     # bytes a cycle, of caches or of memory that the threads share
    if t.lanes >= FILTER_GROUPS:
        parts = units * (ceil_div(p.g, k.vl) if t.lanes == FILTER_GROUPS else p.g)
        t.cycles = parts * ((1 + t.ocv) * one + t.ocv * t.freqs * 5.0)
        weights = p.g * p.ocg / <double>k.vl * one
        # one task for all lanes of a tile: few of them leave threads idle
        t.cycles *= 1 + 1.0 / max(parts, 1.0)
        traffic, t.block = 0, 1
    else:
        product = t.freqs * units * p.g * p.icg * <double>p.ocg * 2.4 / (k.vl if t.lanes == CHANNELS else 1)
        if t.lanes == CHANNELS:
            product = t.freqs * units * p.g * p.icg * <double>t.ocv * 2.4
        t.cycles = p.g * units * (t.icv + t.ocv) * one + product
        set_block(t, p)
        traffic = ceil_div(t.units, t.block) * spectra + 4.0 * p.g * t.freqs * units * (t.icv + t.ocv) * t.point
        weights = p.g * p.icg * <double>ceil_div(p.ocg, k.vl) * one
    if op == WEIGHT_GRAD:
        # the sums are read and written once a block
        t.cycles += weights + (traffic + ceil_div(t.units, t.block) * spectra) / rate
    else:
        t.cycles += 0.25 * weights + traffic / rate
    # spectra that are made for one call are written to fresh memory
    t.prepare = weights + spectra / (2 if spectra < CACHED_BYTES else 0.4)
    if spectra > FIT_BYTES or t.z > FIT_BYTES:
        t.cycles += 100 * max(spectra, t.z)

cdef Side side_of(ptrdiff_t x, ptrdiff_t y, ptrdiff_t k, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t before) noexcept nogil:
    cdef Side s
    memset(&s, 0, sizeof(Side))
    s.x, s.y, s.k, s.stride, s.dilation, s.before = x, y, k, stride, dilation, before
    return s

cdef Tiling choose_tiling(const nd_problem *problem, const nd_kernel_set *k, Operation op) noexcept nogil:
    cdef Side side[3][SIDES]
    cdef int count[3]
    cdef int first, last, lanes
    cdef ptrdiff_t most, i, j, l, axes
    cdef Tiling best, t
    cdef nd_problem one = problem[0]
    cdef const nd_problem *p = &one
    if op == FORWARD:
        one.n = 1  # an image gets the same bits whatever else is in its batch
    axes = (p.od > 1 or p.kd > 1) + (p.oh > 1 or p.kh > 1) + (p.ow > 1 or p.kw > 1)
    most = 1 << 19 if axes <= 1 else 512 if axes == 2 else 64
    count[0] = sides_of(side_of(p.id, p.od, p.kd, p.sd, p.dd, p.pd), False, most, side[0])
    count[1] = sides_of(side_of(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph), False, most, side[1])
    count[2] = sides_of(side_of(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw), True, most, side[2])
    first, last = CHANNELS, TILES
    if p.icg == 1 and (op == FORWARD or p.ocg == 1):
        first, last = FILTER_GROUPS, FILTER_TILES
    elif op == WEIGHT_GRAD:
        last = CHANNELS
    best.cycles = -1
    for i in range(count[0]):
        for j in range(count[1]):
            for l in range(count[2]):
                t.side[0], t.side[1], t.side[2] = side[0][i], side[1][j], side[2][l]
                set_points(&t, k)
                for lanes in range(first, last + 1):
                    set_lanes(&t, p, k, lanes)
                    set_cost(&t, p, k, op)
                    if best.cycles < 0 or t.cycles < best.cycles:
                        best = t
    set_lanes(&best, problem, k, best.lanes)
    set_block(&best, problem)
    return best

cdef double scale_of(const Tiling *t) noexcept nogil:
    """What a product of two spectra, transformed back, is to be multiplied by (kernels/fft_spectrum.h leaves factors 2)."""
    return 1 / (8.0 * t.side[0].n * t.side[1].n * t.side[2].n)

# ------------------------------------------------------------------------------------------ tables

cdef ptrdiff_t set_radices(nd_axis *axis) noexcept nogil:
    """Fills axis.radix from axis.n; returns the number of complex factors."""
    cdef ptrdiff_t left = axis.n, twos = 0, factors = 0, block = axis.n
    cdef int passes = 0, r
    while left % 2 == 0:
        left //= 2
        twos += 1
    while twos > 0:
        r = 3 if twos == 3 or twos > 4 else min(twos, 2)
        axis.radix[passes] = 1 << r
        passes += 1
        twos -= r
    while left > 1:
        r = 5 if left % 5 == 0 else 3
        axis.radix[passes] = r
        passes += 1
        left //= r
    for r in range(passes):
        block //= axis.radix[r]
        factors += (axis.radix[r] - 1) * block
    return factors

cdef void build_order(const nd_axis *axis, int32_t *frequency, int32_t *place) noexcept nogil:
    """The frequency that the passes leave at each place, and the place of each: every pass puts the residues by its radix into
    its blocks. Digits are added from the smallest blocks up, so that no place is ever divided."""
    cdef ptrdiff_t block = 1, weight = axis.n, i, q
    cdef int last = 0
    while weight > 1:
        weight //= axis.radix[last]
        last += 1
    frequency[0], weight = 0, axis.n
    while block < axis.n:
        last -= 1
        weight //= axis.radix[last]
        for q in range(1, axis.radix[last]):
            for i in range(block):
                frequency[q * block + i] = frequency[i] + <int32_t>(q * weight)
        block *= axis.radix[last]
    for i in range(axis.n):
        place[frequency[i]] = <int32_t>i

cdef void turn(ptrdiff_t i, ptrdiff_t n, double *re, double *im) noexcept nogil:
    """exp(-2 pi i / n), 0 <= i < n, by the sine and cosine of an angle of at most pi/4."""
    cdef ptrdiff_t eighth = 8 * i // n
    cdef ptrdiff_t j = (8 * i - (eighth + 1) // 2 * 2 * n)   # eighths of a step past the nearest quarter turn
    cdef double c = cos(0.78539816339744830962 * j / n), s = sin(0.78539816339744830962 * j / n)
    cdef ptrdiff_t quarter = (eighth + 1) // 2 % 4
    re[0] = c if quarter == 0 else -s if quarter == 1 else -c if quarter == 2 else s
    im[0] = -s if quarter == 0 else -c if quarter == 1 else s if quarter == 2 else c

cdef inline void put(const nd_kernel_set *k, char *to, ptrdiff_t i, double re, double im) noexcept nogil:
    if k.size == 4:
        (<float *>to)[2 * i], (<float *>to)[2 * i + 1] = <float>re, <float>im
    else:
        (<double *>to)[2 * i], (<double *>to)[2 * i + 1] = re, im

# The roots exp(-2 pi i j / n) of unity as products of two: low[j % 2^shift] * high[j / 2^shift], complex doubles. Two sines
# a root took longer than the transforms.
cdef struct Roots:
    int shift
    double *low
    double *high

cdef int shift_of(ptrdiff_t n) noexcept nogil:
    cdef int shift = 4
    while (n >> shift) >> shift:
        shift += 1
    return shift

cdef ptrdiff_t roots_bytes(ptrdiff_t n) noexcept nogil:
    return whole_lines(16 * ((<ptrdiff_t>1 << shift_of(n)) + (n >> shift_of(n)) + 1))

cdef void build_roots(Roots *r, ptrdiff_t n, char *at) noexcept nogil:
    cdef ptrdiff_t i
    r.shift = shift_of(n)
    r.low = <double *>at
    r.high = r.low + (2 << r.shift)
    for i in range(min(<ptrdiff_t>1 << r.shift, n)):
        turn(i, n, &r.low[2 * i], &r.low[2 * i + 1])
    for i in range((n - 1 >> r.shift) + 1):
        turn(i << r.shift, n, &r.high[2 * i], &r.high[2 * i + 1])

cdef inline void put_root(const nd_kernel_set *k, const Roots *r, ptrdiff_t j, char *to, ptrdiff_t i) noexcept nogil:
    cdef const double *a = r.low + 2 * (j & ((<ptrdiff_t>1 << r.shift) - 1))
    cdef const double *b = r.high + 2 * (j >> r.shift)
    put(k, to, i, a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0])

cdef ptrdiff_t tables_bytes(const Tiling *t, const nd_kernel_set *k) noexcept nogil:
    cdef nd_axis axis
    cdef ptrdiff_t size = whole_lines(t.pairs * 2 * <ptrdiff_t>sizeof(int32_t)) + whole_lines(t.pairs * 2 * k.size)
    cdef int a
    for a in range(3):
        axis.n = t.side[a].n
        size += whole_lines(set_radices(&axis) * 2 * k.size) + desk_bytes(t, a)
    return size

cdef ptrdiff_t desk_bytes(const Tiling *t, int axis) noexcept nogil:
    """What it takes to build an axis' part of the tables: its order both ways, and its roots (those of t along w)."""
    return whole_lines(2 * t.side[axis].n * <ptrdiff_t>sizeof(int32_t)) + roots_bytes(t.side[axis].t)

cdef void open_tables(const Tiling *t, const nd_kernel_set *k, const char *at, Tables *tables) noexcept nogil:
    cdef int a
    for a in range(3):
        tables.axis[a].n = t.side[a].n
        tables.axis[a].factors = at
        at += whole_lines(set_radices(&tables.axis[a]) * 2 * k.size)
    tables.pairs = <const int32_t *>at
    tables.turns = at + whole_lines(t.pairs * 2 * <ptrdiff_t>sizeof(int32_t))

cdef struct Build:
    const Tiling *t
    const nd_kernel_set *k
    Tables tables
    int32_t *frequency[3]
    int32_t *place[3]
    Roots roots[3]

cdef void build_tables(const Tiling *t, const nd_kernel_set *k, char *to, int threads) noexcept nogil:
    cdef Build b
    cdef char *desk = to + tables_bytes(t, k)
    cdef int a
    b.t, b.k = t, k
    open_tables(t, k, to, &b.tables)
    for a in range(3):
        desk -= desk_bytes(t, a)
        b.frequency[a] = <int32_t *>desk
        b.place[a] = b.frequency[a] + t.side[a].n
        build_order(&b.tables.axis[a], b.frequency[a], b.place[a])
        build_roots(&b.roots[a], t.side[a].t, desk + whole_lines(2 * t.side[a].n * <ptrdiff_t>sizeof(int32_t)))
    parallel_for(4, 1 if t.pairs > 8192 else 4, threads, build_body, &b)

cdef void build_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Build *b = <Build *>context
    cdef ptrdiff_t i
    for i in range(begin, end):
        if i < 3:
            build_factors(b, <int>i)
        else:
            build_pairs(b)

cdef void build_factors(Build *b, int a) noexcept nogil:
    cdef const nd_axis *axis = &b.tables.axis[a]
    cdef char *to = <char *>axis.factors
    cdef ptrdiff_t block = axis.n, m, j, q, r, i = 0, step = b.t.side[a].t // axis.n
    cdef int level = 0
    while block > 1:
        r = axis.radix[level]
        m = block // r
        for j in range(m):
            for q in range(1, r):
                put_root(b.k, &b.roots[a], j * q * step, to, i)
                i += 1
        step *= r
        block = m
        level += 1

cdef void build_pairs(Build *b) noexcept nogil:
    """The points f and -f of each pair, and exp(-pi i f / M) at the column frequency of the first."""
    cdef const Tiling *t = b.t
    cdef int32_t *pairs = <int32_t *>b.tables.pairs
    cdef char *turns = <char *>b.tables.turns
    cdef ptrdiff_t i = 0, d, h, w, f, row, other_row, this, other
    for d in range(t.side[0].n):
        for h in range(t.side[1].n):
            row = d * t.plane + h * t.pitch
            other_row = opposite(b, 0, d) * t.plane + opposite(b, 1, h) * t.pitch
            if row > other_row:
                continue
            for w in range(t.side[2].n):
                this, other = row + w, other_row + opposite(b, 2, w)
                if this > other:
                    continue
                put_root(b.k, &b.roots[2], b.frequency[2][w], turns, i)
                pairs[2 * i], pairs[2 * i + 1] = <int32_t>this, <int32_t>other
                i += 1

cdef inline ptrdiff_t opposite(const Build *b, int axis, ptrdiff_t place) noexcept nogil:
    """The place of the frequency -f where f is at `place`."""
    cdef ptrdiff_t f = b.frequency[axis][place]
    return b.place[axis][b.t.side[axis].n - f if f else 0]
