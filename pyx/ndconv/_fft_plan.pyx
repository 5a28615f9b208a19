# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""How the fft method cuts a problem into tiles, and the tables of their transforms.

A tile of t numbers along an axis yields q outputs with (q-1)*stride + reach <= t, reach = (k-1)*dilation + 1: the circular
correlation of the window with the kernel is right wherever nothing wraps around (overlap-save). A single tile may be smaller
by the padding before the axis: what wraps around into zeros does no harm.

Tile sizes are 2^a 3^b 5^c, even along w. Of all combinations of a few sizes an axis the one with the least estimated cost is
taken, in cycles of one thread: transforms (log2 of the points, loads and stores), products, and the traffic of spectra that no
cache holds. It is a function of the problem and the vector length alone.

Dilations and strides are taken apart (Side.phases, Side.split in _fft_plan.pxd) where that is cheaper than zeros between taps and
results that nobody wants. Measured against these, two threads of AVX2: 7x7 with 64 channels on 56x56, dilation 2: 1.6 times,
dilation 4: 2.9 times as fast; 15x15 on 1024x1024, dilation 8: 2.5; 11x11 with stride 4, 3 to 96 channels on 227x227: 4.4;
31x31 with stride 2 on 1024x1024: 1.2. Their weight gradients gain 2 to 8 times.
"""
from libc.math cimport cos, log2, sin
from libc.stdint cimport PTRDIFF_MAX
from libc.string cimport memset

from ndconv._pack cimport ceil_div, whole_lines
from ndconv._runtime cimport parallel_for

cdef enum:
    SIDES = 20                    # sizes considered along an axis
    BLOCK_BYTES = 4194304         # of the spectra between the steps of a blocked product: both threads' L2 and some L3
    CACHED_BYTES = 16777216       # of spectra in the last level of the cache
    FIT_BYTES = 234881024         # of kernel spectra and workspace on THREADS threads; more only if nothing else does
    THREADS = 4
    PART_TILES = 64               # of a block whose kernel is in parts,
    PART_BYTES = 67108864         # and of their spectra
    MOST_PARTS = 1024             # of a kernel
    CACHE_BYTES = 524288          # of a tile: half of L2
    ENDS = 3                      # products that take as long as a sum's beginning and end

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
    cdef ptrdiff_t y = ceil_div(axis.y, axis.phases)
    cdef int count = 0
    most = max(most, 2 * reach)
    if (y - 1) * axis.stride + reach > 2 * most:
        tiles = ceil_div(y, (most - reach) // axis.stride + 1)
    while count < SIDES:
        q = ceil_div(y, tiles)
        need = span = (q - 1) * axis.stride + reach
        if tiles == 1 and axis.wraps and axis.split == 1 and (axis.phases == 1 or axis.before >= 0):
            need = max(max(reach, (q - 1) * axis.stride + 1),
                       max(span - max(axis.before, 0) // axis.phases,
                           min(span, ceil_div(axis.before, axis.phases) + ceil_div(axis.x, axis.phases))))
        t = smooth(need, even)
        if t != last and (t <= most or q == 1):
            if tiles > 1:
                # as many outputs as the size allows, then dealt out evenly
                q = ceil_div(y, ceil_div(y, (t - reach) // axis.stride + 1))
            sides[count] = sized(axis, t, q, even)
            count += 1
            last = t
        if q == 1 or (count > 0 and (t <= 8 or 4 * q * axis.stride < reach)):
            break
        tiles = max(tiles + 1 + tiles // 6, ceil_div(y, q - 1))
    return count

cdef int without_waste(Side *sides, int count) noexcept nogil:
    """Leaves out the sizes that have no fewer points in all than a smaller one; returns how many are left: of 20 about 6."""
    cdef ptrdiff_t least = PTRDIFF_MAX
    cdef int i, left = count
    for i in range(count - 1, -1, -1):
        if sides[i].n * sides[i].tiles < least:
            least = sides[i].n * sides[i].tiles
            left -= 1
            sides[left] = sides[i]
    for i in range(left, count):
        sides[i - left] = sides[i]
    return count - left

cdef Side sized(Side s, ptrdiff_t t, ptrdiff_t q, bint even) noexcept nogil:
    """The side with tiles of t numbers and q outputs."""
    s.t, s.n, s.q = t, t // 2 if even else t, q
    s.tiles = s.phases * ceil_div(ceil_div(s.y, s.phases), q)
    s.log2n = log2(<double>s.n)
    return s

cdef int part_sides(Side axis, bint even, Side *sides) noexcept nogil:
    """The same for a kernel in parts: a tile has as many outputs as keep pace with the taps of a part."""
    cdef ptrdiff_t step = axis.stride * axis.dilation, t = 32, hop
    cdef int count = 0
    # (a tile moves on by its outputs' strides, a part by its taps' dilations: both by `hop`)
    while count < SIDES and t // 2 < (axis.taps - 1) * axis.dilation + 1:
        hop = t // 2 // step * step
        if hop and ceil_div(axis.taps, hop // axis.dilation) <= MOST_PARTS:
            sides[count] = sized(axis, t, hop // axis.stride, even)
            sides[count].k = hop // axis.dilation
            count += 1
        t *= 2
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
    cdef const Side *s
    t.lanes, t.parts = lanes, 1
    if lanes == CHANNELS:
        t.icv, t.ocv, t.units = ceil_div(t.ic, k.vl), ceil_div(p.ocg, k.vl), images
    elif lanes == FILTER_GROUPS:
        t.icv, t.ocv, t.units = 1, p.ocg, images
    elif lanes == FILTER_PARTS:
        s = &t.side[t.axis]
        t.parts = ceil_div(s.taps, s.k)
        t.icv, t.ocv, t.units = 1, p.ocg, images // s.tiles
    else:
        t.icv, t.ocv, t.units = t.ic, p.ocg, ceil_div(images, k.vl)

cdef void set_block(Tiling *t, const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef ptrdiff_t one = p.g * t.freqs * (t.icv + t.ocv) * t.point
    cdef ptrdiff_t block = min(max(BLOCK_BYTES // max(one, 1), 1), max(t.units, 1))
    if t.lanes == FILTER_PARTS:
        block = max(PART_BYTES // (t.ocv + 1) // t.spectrum, <ptrdiff_t>1)
        t.block = min(ceil_div(min(t.side[t.axis].tiles, <ptrdiff_t>PART_TILES), k.vl), block)
        t.ring = ceil_div(t.block * k.vl + t.parts - 1, k.vl)
    elif t.lanes >= FILTER_GROUPS:
        t.block = 1
    else:
        t.block = ceil_div(max(t.units, 1), ceil_div(max(t.units, 1), block))

cdef ptrdiff_t spectra_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Bytes of the kernel's spectra."""
    if t.lanes == CHANNELS:
        return p.g * t.freqs * t.ic * t.ocv * t.point
    if t.lanes == FILTER_GROUPS:
        return ceil_div(p.g, k.vl) * p.ocg * t.freqs * t.point
    return p.g * p.ocg * t.ic * t.parts * t.freqs * 2 * k.size

cdef double transform_cycles(const nd_problem *p, const Tiling *t) noexcept nogil:
    """Of one tile, all lanes, with its loads and stores. Passes that leave L1 or L2 cost up to twice as much."""
    cdef double points = t.side[0].n * t.side[1].n * <double>t.side[2].n
    cdef double logs = t.side[0].log2n + t.side[1].log2n + t.side[2].log2n
    # a vector of every so many-th pixel is put together one by one
    cdef double ends = 7.0 if t.side[2].phases * t.side[2].split == 1 or p.lanes_oc else 12.0
    cdef double cold = 1.0 if t.z <= 32768 else 1.25 if t.z <= CACHE_BYTES else 1.6 if t.z <= 2 * CACHE_BYTES else 2.0
    return points * (1.3 * logs * cold + ends)

cdef inline double product_cycles(const nd_kernel_set *k) noexcept nogil:
    """Of a vector of complex products and sums, four multiply-adds. Those of 512 bits take two cycles each on CPUs that do
    them by halves; for other CPUs that is no loss, but a tile a little too large."""
    return 2.4 if k.vl * k.size <= 32 else 4.2

cdef void set_cost(Tiling *t, const nd_problem *p, const nd_kernel_set *k, Operation op) noexcept nogil:
    cdef double one = transform_cycles(p, t), units = t.units, parts, weights, traffic, spectra, rate, vectors, room
    set_block(t, p, k)
    spectra = spectra_bytes(p, k, t)
    rate = 12 if spectra < CACHED_BYTES else 2.5     # bytes a cycle, of caches or of memory that the threads share
    room = spectra + THREADS * t.z
    if t.lanes == FILTER_PARTS:
        vectors = ceil_div(t.side[t.axis].tiles, k.vl)
        parts = ceil_div(t.side[t.axis].tiles + t.parts - 1, k.vl)
        units *= p.g * (1 + 1 / vectors)
        t.transforms = units * (parts + t.ocv * vectors) * one
        t.products = units * t.ocv * t.freqs * (vectors * (2.2 * t.parts + 8) + 4 * parts)
        units = t.units
        # each block of tiles reads the kernel's spectra and what it has of the input's
        traffic = units * p.g * (ceil_div(<ptrdiff_t>vectors, t.block) * (t.ocv * spectra + t.ring * <double>t.spectrum)
                                 + 2 * vectors * t.spectrum)
        weights = p.g * p.ocg * t.parts / <double>k.vl * one
        room += (t.ring + t.ocv * t.block) * <double>t.spectrum
        rate = 12 if spectra + t.ring * <double>t.spectrum < CACHED_BYTES else 2.5
    elif t.lanes >= FILTER_GROUPS:
        parts = units * (ceil_div(p.g, k.vl) if t.lanes == FILTER_GROUPS else p.g)
        # one task for all lanes of a tile: few of them leave threads idle
        parts *= 1 + 1.0 / max(parts, 1.0)
        t.transforms, t.products = parts * (1 + t.ocv) * one, parts * t.ocv * t.freqs * 5.0
        weights = p.g * p.ocg / <double>k.vl * one
        traffic = 0
    else:
        t.transforms = p.g * units * (t.icv + t.ocv) * one
        t.products = t.freqs * units * p.g * (t.ic + ENDS) * <double>t.ocv * product_cycles(k)
        traffic = ceil_div(t.units, t.block) * spectra + 4.0 * p.g * t.freqs * units * (t.icv + t.ocv) * t.point
        weights = p.g * t.ic * <double>ceil_div(p.ocg, k.vl) * one
    if op == WEIGHT_GRAD:
        # the sums are read and written once a block
        t.transforms += weights
        t.traffic = (traffic + ceil_div(t.units, t.block) * spectra) / rate
    else:
        t.transforms += 0.25 * weights
        t.traffic = traffic / rate
    # spectra that are made for one call are written to fresh memory
    t.prepare = weights + spectra / (2 if spectra < CACHED_BYTES else 0.4)
    if room > FIT_BYTES:
        t.traffic += 100 * room
    t.cycles = t.transforms + t.products + t.traffic

cdef Side side_of(ptrdiff_t x, ptrdiff_t y, ptrdiff_t k, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t before, bint by_phases,
                  bint by_splits, bint wraps) noexcept nogil:
    cdef Side s
    memset(&s, 0, sizeof(Side))
    s.wraps = wraps
    s.x, s.y, s.taps, s.before = x, y, k, before
    s.phases = dilation if by_phases and stride == 1 and k > 1 else 1
    s.split = stride if by_splits and dilation == 1 and k > 1 else 1
    s.k, s.stride, s.dilation = ceil_div(k, s.split), stride // s.split, dilation // s.phases
    return s

cdef void sides_of_all(const nd_problem *p, bint by_phases, bint by_splits, Side[3][SIDES] side, int *count) noexcept nogil:
    """The sizes to consider along each axis; of volumes not those that hardly ever win, since there are combinations of three."""
    cdef ptrdiff_t axes = (p.od > 1 or p.kd > 1) + (p.oh > 1 or p.kh > 1) + (p.ow > 1 or p.kw > 1)
    cdef ptrdiff_t most = 1 << 19 if axes <= 1 else 512 if axes == 2 else 64
    cdef bint wraps = not p.bordered
    cdef int a
    count[0] = sides_of(side_of(p.id, p.od, p.kd, p.sd, p.dd, p.pd, by_phases, by_splits, wraps), False, most, side[0])
    count[1] = sides_of(side_of(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph, by_phases, by_splits, wraps), False, most, side[1])
    count[2] = sides_of(side_of(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw, by_phases, by_splits, wraps), True, most, side[2])
    for a in range(3 if axes > 1 else 0):
        count[a] = without_waste(side[a], count[a])

cdef inline double least_cycles(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    """Fewer than the transforms of all tiles take, whatever the lanes hold: most combinations need no closer look."""
    cdef double points = t.side[0].n * t.side[1].n * <double>t.side[2].n
    cdef double tiles = p.n * t.side[0].tiles * t.side[1].tiles * <double>t.side[2].tiles
    if t.side[t.axis].k < t.side[t.axis].taps and t.side[t.axis].split == 1:
        return 0   # a kernel in parts
    return tiles * p.g * (t.ic + p.ocg) / k.vl * points * (1.3 * (t.side[0].log2n + t.side[1].log2n + t.side[2].log2n) + 7)

cdef void choose_sides(const nd_problem *p, const nd_kernel_set *k, Operation op, int first, int last, Side[3][SIDES] side,
                       const int *count, Tiling *best) noexcept nogil:
    """The cheapest combination of sides and lanes, if it is cheaper than `best`."""
    cdef ptrdiff_t i, j, l
    cdef int lanes
    cdef Tiling t = best[0]
    for i in range(count[0]):
        t.side[0] = side[0][i]
        for j in range(count[1]):
            t.side[1] = side[1][j]
            for l in range(count[2]):
                t.side[2] = side[2][l]
                t.ic = p.icg * t.side[0].split * t.side[1].split * t.side[2].split
                if 0 <= best.cycles <= least_cycles(p, k, &t):
                    continue
                set_points(&t, k)
                for lanes in range(first, last + 1):
                    set_lanes(&t, p, k, lanes)
                    set_cost(&t, p, k, op)
                    if best.cycles < 0 or t.cycles < best.cycles:
                        best[0] = t

cdef Tiling choose_tiling(const nd_problem *problem, const nd_kernel_set *k, Operation op) noexcept nogil:
    cdef Side side[3][SIDES]
    cdef int count[3]
    cdef int single, first, last
    cdef Tiling best
    cdef nd_problem one = problem[0]
    cdef const nd_problem *p = &one
    if op == FORWARD:
        one.n = 1  # an image gets the same bits whatever else is in its batch
    single = p.icg == 1 and (op == FORWARD or p.ocg == 1)
    first, last = FILTER_GROUPS if single else CHANNELS, FILTER_TILES if single else CHANNELS if op == WEIGHT_GRAD else TILES
    memset(&best, 0, sizeof(Tiling))
    best.cycles = -1
    sides_of_all(p, True, False, side, count)
    choose_sides(p, k, op, first, last, side, count, &best)
    if max(max(p.dd, p.dh), p.dw) > 1:
        sides_of_all(p, False, False, side, count)
        choose_sides(p, k, op, first, last, side, count, &best)
    if max(max(p.sd, p.sh), p.sw) > 1:
        sides_of_all(p, True, True, side, count)
        choose_sides(p, k, op, CHANNELS, CHANNELS if op == WEIGHT_GRAD else TILES, side, count, &best)
    if single and op == FORWARD:
        best.axis = 0 if p.kd > 1 else 1 if p.kh > 1 else 2
        sides_of_all(p, False, False, side, count)
        count[best.axis] = part_sides(side[best.axis][0], best.axis == 2, side[best.axis])
        choose_sides(p, k, op, FILTER_PARTS, FILTER_PARTS, side, count, &best)
    set_lanes(&best, problem, k, best.lanes)
    set_block(&best, problem, k)
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
