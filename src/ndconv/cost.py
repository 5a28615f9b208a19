"""Cost model: estimated seconds of each method, pure functions of a problem.

A cost is a count of what a method does, times what one of each takes (ndconv/cycles.py): steps of the register tile, calls of
it, elements packed, stored across memory, and so on. The counts follow from the loops in pyx/ndconv. `prepared` says that weights
are prepared once for many calls, as a plan does; a function call prepares them itself. docs/selection.md has the regret of auto.
"""
import math
from functools import partial

from ndconv import _column_sums, _depthwise, _direct, _fft, _gemm, _phases, _separable, _winograd
from ndconv.counting import (
    LEAST_ROWS,
    geometries,
    live_share,
    thinned,
    tile_of,
    tiles_of_pixels,
    tiles_of_rows,
    up,
    vectors_hold_oc,
    vectors_of_rows,
    zeroed,
)
from ndconv.cycles import (
    DEPTHWISE,
    DEPTHWISE_BACK,
    DEPTHWISE_GRAD,
    DIRECT,
    DIRECT_BACK,
    DIRECT_GRAD,
    FFT,
    FFT_BACK,
    FFT_GRAD,
    FFT_SINGLE,
    GEMM,
    GEMM_BACK,
    GEMM_COLUMNS,
    GEMM_GRAD,
    PHASE_ROWS,
    PHASES,
    SEPARABLE,
    WINOGRAD,
    WINOGRAD_CELLS,
    total,
)
from ndconv.machine import slowness

# What is moved by vectors: of float64 so many times as much, since the way to memory is not all of the time.
VECTORS_MOVED = frozenset(("stored", "packed", "prepared", "elements", "weights", "fresh", "turned", "sums", "chunks"))
WIDE = 1.5

ROW = 20                   # elements that a row copied by itself costs more
SUMS = 8                   # fewer sums than this of a tile wait, too
FEW_PIXELS = 32            # of an image that gemm joins to the next
SHORT = 16                 # channels below which direct walks over all taps
ZEROS = 0.25               # the share of storing a result where it is a zero among others
IN_RUNS = 0.35             # the share of packing an element where a row of pixels is packed at once
TURNED = 2.7               # elements moved that one costs which is turned to lanes of channels

# The rules of set_block, take_fresh_weights and layout in pyx/ndconv/_winograd_plan.pyx and _winograd_grad.pyx.
FEW_BLOCKS = 168           # tiles that are not cut into blocks
FEW_PANELS = 4             # panels of weights that do not keep threads busy
HANDFUL, LARGE_WEIGHTS = 4, 25165824   # tiles, and bytes of points of weights, for which tiles of 2x2 are taken
FEW_TILES = 64             # tiles whose sums of a weight gradient are taken in chunks

# Methods that may take narrower kernels, to fill them with channels; those of depthwise are the instruction set's.
FILLED = {"direct": _direct, "gemm": _gemm, "winograd": _winograd, "fft": _fft}

# Those of takes_phases in pyx/ndconv/_depthwise_block.pyx: taps of a kernel of one row, rows of taps.
LONG_ROW, TALL = 8, 6

# Those of takes_taps in pyx/ndconv/_tap_grad.pyx: input channels, these and taps, pixels of a plane or of all images, columns
# that a kernel reaches over, and how full of output channels vectors are.
TAP_CHANNELS, TAP_SUMS, TAP_PIXELS, TAP_ALL_PIXELS, TAP_REACH, FULL = 4, 160, 512, 2048, 1024, 0.75


def slowness_of(problem, isa=None):
    """Of the machine, for arrays as large as x and y."""
    itemsize = 4 if problem.dtype == "float32" else 8
    return slowness(itemsize * problem.n * (problem.ic * math.prod(problem.x) + problem.oc * math.prod(problem.y)), isa)


def slowness_for(method, problem, slow):
    """slowness_of(problem), given as `slow`, or that of the narrower kernels which a method takes where few lanes would be
    filled: nd_filled_kernels in pyx/runtime/isa.c."""
    module = FILLED.get(method)
    if module and tile_of(problem, module).lanes < tile_of(problem, _depthwise).lanes:
        return slowness_of(problem, "avx2")
    return slow


def seconds(method, problem, prepared, slow=None):
    """Estimated seconds of a method for a problem, on this machine or one of that slowness."""
    return total(*counts_of(method, problem, prepared), slow or slowness_for(method, problem, slowness_of(problem)))


def counts_of(method, problem, prepared):
    """(cycles of one of each, how many of each) of a method for a problem."""
    table, counts = COUNTS[method](problem, prepared)
    if problem.dtype == "float64":
        counts = {name: WIDE * count if name in VECTORS_MOVED else count for name, count in counts.items()}
    return table, counts


def direct_counts(problem, prepared):
    """Seconds of `direct`: register tiles on rows of pixels; what memory does not offer as it is needed is copied."""
    if problem.op == "weight_grad":
        return _direct_grad_counts(problem)
    tile, table = tile_of(problem, _direct), DIRECT_BACK if problem.reversed else DIRECT
    if problem.reversed and max(problem.stride) > 1:
        counts_of_phases = _phase_rows_counts if _phases.holds_pixels(problem) else _phases_counts
        return counts_of_phases(problem, tile, prepared)
    counts = dict.fromkeys(table, 0)
    for ic, oc, x, y, k, stride, times in geometries(problem):
        planes, apart = problem.n * problem.g * times, stride
        x, stride = thinned(problem, x, y, k, stride)
        rows, wide = y[0] * y[1], vectors_hold_oc(problem, tile, ic, oc, y, k, stride)
        reach = (k[2] - 1) * problem.dilation[2]
        tiles, height = tiles_of_rows(y[2], oc, tile) if wide else tiles_of_pixels(oc, x, y, stride, reach, tile)
        alone, joined = vectors_of_rows(x, y, stride, reach, tile)
        live = live_share(problem, problem.y, k) if wide else live_share(problem, problem.y, k, 2) if alone <= joined else 0
        if live and ic >= SHORT:
            height *= live
        elif not wide and oc < LEAST_ROWS:
            height = oc  # tiles of few rows are wider
        # whole rows of those that are seen
        inputs, outputs = planes * ic * x[2] * math.prod(map(min, x[:2], (y[0] * k[0], y[1] * k[1]))), planes * oc * math.prod(y)
        counts["calls"] += planes * rows * tiles
        counts["steps"] += planes * rows * tiles * height * ic * math.prod(k)
        # the channels of neighbouring taps follow each other: one run
        counts["runs"] += planes * rows * tiles * math.prod(k[:2] if wide and problem.dilation[2] == 1 else k)
        counts["rows"] += planes * rows
        counts["stored"] += outputs
        counts["pieces"] += 0 if wide else planes * oc * rows    # rows of a channel's results
        counts["prepared"] += 0 if prepared else times * problem.g * oc * ic * math.prod(k)
        counts["stages"] += times
        if problem.lanes_oc and not wide and max(problem.ic, problem.oc) > 1:
            counts["gathered"] += inputs + outputs
        elif live < 1 or not problem.lanes_oc:    # not read where it is
            counts["packed"] += inputs
            # rows with nothing around them are copied as one
            row = x[2] if problem.taps > 1 or stride[2] > 1 else x[1] * x[2]
            counts["lines"] += 0 if problem.lanes_oc else inputs / max(row, 1)
        counts["across"] += outputs if wide and not problem.lanes_oc else 0
        if apart[2] > 2 and not wide:
            counts["strided"] += inputs * min(1, y[2] * k[2] / max(x[2], 1))     # taken apart one at a time
        if apart != stride and not wide:
            counts["strided"] += ROW * planes * ic * rows
    return table, counts


def _phases_counts(problem, tile, prepared):
    counts, reached, results = dict.fromkeys(PHASES, 0), 0, problem.n * problem.ic * math.prod(problem.x)
    for ic, oc, _, y, k, _, times in geometries(problem):
        planes = problem.n * problem.g * times
        tiles, height = tiles_of_rows(y[2], oc, tile)
        counts["calls"] += planes * y[0] * y[1] * tiles
        counts["steps"] += planes * y[0] * y[1] * tiles * height * ic * math.prod(k)
        reached += planes * oc * math.prod(y)
    # results that no tap reaches are zeros, stored a plane at a time if they are half of all and more
    counts["stored"] = reached + ZEROS * (results - reached) if 2 * reached <= results else results
    counts["prepared"] = 0 if prepared else problem.oc * problem.ic // problem.g * problem.taps
    counts["stages"] = 1
    return PHASES, counts


def _phase_rows_counts(problem, tile, prepared):
    """Of few channels (_phase_rows.pyx): tiles of few rows along the pixels of a phase, across row ends or not."""
    counts = dict.fromkeys(PHASE_ROWS, 0)
    for ic, oc, _, y, k, _, times in geometries(problem):
        planes, reach = problem.n * problem.g * times * y[0], (problem.k[2] - 1) * problem.dilation[2] // problem.stride[2]
        alone = y[1] * max(up(y[2], tile.lanes) * oc, SUMS)
        sums = min(alone, max(up(y[1] * (y[2] + reach), tile.lanes) * oc, SUMS))
        counts["steps"] += planes * sums * tile.lanes / tile.panel * ic * math.prod(k)
        counts["calls"] += planes * up(sums, tile.rows * tile.panel // tile.lanes)
    depths, rows, _ = map(up, problem.x, problem.stride)
    counts["stored"] = problem.n * problem.ic * math.prod(problem.x)
    counts["packed"] = problem.n * depths * problem.oc * problem.y[1] * problem.y[2]
    counts["lines"] = problem.n * depths * rows * (problem.oc + problem.ic * problem.stride[1])    # of x, and of y
    counts["gathered"] = counts["stored"] + counts["packed"] if problem.lanes_oc and problem.g > 1 else 0    # pieces of pixels
    counts["prepared"] = 0 if prepared else problem.oc * problem.ic // problem.g * problem.taps
    counts["stages"] = 1
    return PHASE_ROWS, counts


def gemm_counts(problem, prepared):
    """Seconds of `gemm`: the im2col matrix is packed once, an element a tap; tiles run over the pixels of an image."""
    if problem.op == "weight_grad":
        return _gemm_grad_counts(problem)
    if _column_sums.holds_columns(problem, _gemm.METHOD):
        return _gemm_columns_counts(problem, prepared)
    counts, tile = dict.fromkeys(GEMM, 0), tile_of(problem, _gemm)
    for ic, oc, x, y, k, stride, times in geometries(problem):
        planes = problem.n * problem.g * times
        rows, taps = y[0] * y[1], k[0] * k[1] * k[2]
        pixels, length, plain = rows * y[2], ic * taps, taps == 1 and x == y
        wide = vectors_hold_oc(problem, tile, ic, oc, y, k, stride, plain)
        joined = max(problem.n, 1) if pixels <= FEW_PIXELS else 1
        tiles, height = tiles_of_rows(joined * pixels, oc, tile) if wide else tiles_of_rows(oc, joined * pixels, tile)
        tiles *= planes / joined
        outputs, copied = planes * oc * pixels, planes * length * pixels
        counts["planes"] += planes
        counts["calls"] += tiles * up(length, 384)
        counts["steps"] += tiles * height * length
        counts["prepared"] += 0 if prepared else times * problem.g * oc * length
        counts["stored"] += outputs
        counts["stages"] += times
        counts["lines"] += planes * oc if joined > 1 else 0     # an image's results of a channel
        apart = problem.reversed and max(problem.stride) > 1
        counts["across"] += outputs if wide and not problem.lanes_oc else 0
        counts["apart"] += outputs if apart or problem.lanes_oc and not wide else 0
        if taps > 1 or stride != (1, 1, 1) or not problem.lanes_oc:
            counts["packed"] += copied * (IN_RUNS if plain else 1)
            if not problem.lanes_oc:
                counts["clipped" if stride[2] > 1 else "lines"] += planes * length * rows
                counts["strided"] += copied * stride[2] if not wide and stride[2] > 1 else 0
                # of few taps, columns that none of them sees are turned too
                counts["turned"] += copied * stride[2] if wide and k[2] < stride[2] else 0
            else:
                counts["runs"] += planes * taps * pixels
                counts["gathered"] += 0 if wide else copied
    counts["stored"] += zeroed(problem)
    return GEMM_BACK if problem.reversed else GEMM, counts


def _gemm_columns_counts(problem, prepared):
    """Of a gradient's strides by columns (_column_sums.pyx): one product for all taps, and sums of its results."""
    tile, pixels = tile_of(problem, _gemm), math.prod(problem.y)
    length, row = problem.oc // problem.g, problem.ic // problem.g * problem.taps
    joined = problem.n if pixels <= FEW_PIXELS else 1
    tiles, height = tiles_of_rows(joined * pixels, row, tile)
    tiles *= problem.n * problem.g / max(joined, 1)
    results = problem.n * problem.ic * math.prod(problem.x)
    turned = 0 if problem.lanes_oc else 1
    return GEMM_COLUMNS, dict(
        steps=tiles * height * length, prepared=0 if prepared else problem.oc * row,
        packed=turned * problem.n * problem.oc * pixels, stored=problem.n * problem.g * pixels * row, elements=results,
        turned=turned * results, pixels=results / max(problem.ic // problem.g, 1), stages=1)


def _grad_counts(problem, oc, length, tile, tiles, height):
    """What both weight gradients do: tiles over the pixels of all images, dy packed into panels of output channels."""
    images, pixels = problem.n * problem.g, math.prod(problem.y)
    return dict(steps=images * tiles * height * pixels, packed=images * up(oc, tile.panel) * tile.panel * pixels,
                strided=images * length * pixels if problem.stride[2] > 1 else 0, weights=problem.oc * length, stages=1)


def _direct_grad_counts(problem):
    ic, oc, taps = problem.ic // problem.g, problem.oc // problem.g, problem.taps
    tile = tile_of(problem, _direct)
    if _takes_taps(problem, tile):  # a product of vectors a tap, x copied, dy turned unless it is as it should be
        turned, pixels, images = 0 if problem.lanes_oc else oc, math.prod(problem.y), problem.n * problem.g
        return DIRECT_GRAD, dict(steps=images * pixels * ic * taps * up(oc, tile.lanes) * tile.lanes / tile.panel, calls=0,
                                 packed=problem.n * problem.ic * math.prod(problem.x) + images * turned * pixels, strided=0,
                                 weights=problem.oc * ic * taps, stages=1)
    if taps == 1 and max(problem.stride) == 1:   # whichever is_mirrored in pyx/ndconv/_weight_grad.pyx finds faster
        ic, oc = min((ic, oc), (oc, ic), key=lambda sides: math.prod(tiles_of_rows(*sides, tile)))
    tiles, height = tiles_of_rows(ic, oc, tile)
    counts = _grad_counts(problem, oc, ic * taps, tile, taps * tiles, height * live_share(problem, problem.y, problem.k))
    counts["calls"] = problem.n * problem.g * taps * tiles * problem.y[0] * problem.y[1]
    return DIRECT_GRAD, counts


def _takes_taps(problem, tile):
    """The rule of takes_taps in pyx/ndconv/_tap_grad.pyx."""
    ic, oc = problem.ic // problem.g, problem.oc // problem.g
    return (ic <= TAP_CHANNELS and 1 < ic * problem.taps <= TAP_SUMS
            and oc >= FULL * up(oc, tile.lanes) * tile.lanes and (problem.k[2] - 1) * problem.dilation[2] <= TAP_REACH
            and (problem.y[1] * problem.y[2] >= TAP_PIXELS or problem.n * math.prod(problem.y) >= TAP_ALL_PIXELS))


def _gemm_grad_counts(problem):
    length, oc = problem.ic // problem.g * problem.taps, problem.oc // problem.g
    tile = tile_of(problem, _gemm)
    counts = _grad_counts(problem, oc, length, tile, *tiles_of_rows(length, oc, tile))
    counts["lines"] = problem.n * problem.g * length * problem.y[0] * problem.y[1]
    return GEMM_GRAD, counts


def fft_counts(problem, prepared):
    """Seconds of `fft`: the estimates that its tiles are chosen by, and every element loaded and stored once."""
    elements = problem.n * (problem.ic * math.prod(problem.x) + problem.oc * math.prod(problem.y))
    grad = problem.op == "weight_grad"
    weights = problem.oc * (problem.ic // problem.g) * problem.taps if grad else 0
    transforms, products, traffic, spectra = _fft.estimate(problem, prepared)
    # lanes of tiles, whose pixels are as far apart as there are channels; lanes of groups, whose pixels are neighbours
    lanes = tile_of(problem, _fft).lanes
    few = problem.lanes_oc and min(problem.ic, problem.oc) // problem.g < lanes
    single = (problem.oc if problem.reversed else problem.ic) == problem.g
    table = FFT_GRAD if grad else FFT_SINGLE if single else FFT_BACK if problem.reversed else FFT
    counts = dict(transforms=transforms, products=products, traffic=traffic, spectra=spectra, elements=elements, weights=weights,
                  across=elements if few else 0, stages=1)
    if single and not grad and problem.lanes_oc and problem.g >= lanes:
        counts |= dict(groups=transforms, transforms=0, across=0)
    return table, counts


def winograd_counts(problem, prepared, fine=False):
    """Seconds of `winograd`: tiles transformed both ways, a product at each of their points, weights read once a block."""
    if problem.reversed and problem.stride[1] == 2:
        return WINOGRAD_CELLS, _cells_counts(problem, prepared)
    counts, grad = dict.fromkeys(WINOGRAD, 0), problem.op == "weight_grad"
    lanes, rows, panel = tile_of(problem, _winograd)
    own = (problem.ic // problem.g, problem.oc // problem.g, problem.x, problem.y, problem.k, problem.stride, 1)
    for ic, oc, _, y, k, stride, times in (own,) if grad else geometries(problem):
        points, products, tiles = _winograd_tiles(y, k, stride, problem, grad, fine)
        tiles *= problem.n * times
        few, own_block = tiles <= FEW_TILES, k[0] == 1 and tiles * problem.g < FEW_BLOCKS
        fresh = own_block and up(oc, panel) >= FEW_PANELS and not prepared
        tiles *= problem.g
        columns, weights = up(oc, panel), products * times * problem.g * up(oc, panel) * panel * k[0] * ic
        steps = tiles * products * columns * k[0] * ic
        if k[0] > 1 or max(problem.dilation) > 1:   # volumes and dilated kernels have blocks of fewer tiles
            phase = math.prod(up(o, 4 * d) for o, d in zip(y[1:], problem.dilation[1:], strict=True))
            counts["parts"] += steps * max(LEAST_ROWS / max(phase, 1), 1)
        else:
            counts["steps"] += steps
        counts["calls"] += tiles / rows * products * columns
        vectors = tiles * points * (stride[1] * stride[2] * up(ic, lanes) + up(oc, lanes))
        counts["vectors" if max(problem.dilation) == 1 else "dilated"] += vectors    # of pixels that are neighbours, or not
        counts["cells"] += tiles * points * 4 * up(ic, lanes) if stride[1] == 2 else 0     # every second row and column
        counts["partial"] += tiles * points * stride[1] * stride[2] * (ic % lanes > 0)   # channels one at a time
        turned = 0 if problem.lanes_oc else problem.n * (problem.ic + problem.oc) * math.prod(y)
        counts["turned"] += turned
        counts["strided"] += turned if stride[1] == 2 else 0
        counts["apart"] += turned if k[2] > 1 and problem.dilation[2] > 1 and not _in_rows(problem) else 0   # one by one
        if grad:
            counts["chunks" if few else "sums"] += weights
        else:
            counts["fresh" if fresh else "weights"] += weights
            counts["prepared"] += 0 if prepared or fresh else weights
        counts["stages"] += times
    return WINOGRAD, counts


def _cells_counts(problem, prepared):
    """Of a transposed problem with strides of 2, whose results are pairs on both axes (problem_of_cells in
    pyx/ndconv/_winograd_plan.pyx): four cells of results, each as many as the tiles of x."""
    lanes, _, panel = tile_of(problem, _winograd)
    ic, oc, k = problem.oc // problem.g, problem.ic // problem.g, problem.k
    pairs = tuple((size + 1 + (taps + before) % 2) // 2
                  for size, taps, before in zip(problem.x, k, problem.before, strict=True))
    points, products, tiles = _winograd_tiles((problem.x[0], *pairs[1:]), k, problem.stride, problem, False)
    tiles *= problem.n
    weights = products * problem.g * up(oc, panel) * panel * ic
    fresh = tiles * problem.g < max(FEW_BLOCKS, ic) // 4 and up(oc, panel) >= FEW_PANELS and not prepared
    vectors = tiles * problem.g * up(oc, lanes)
    return dict(steps=vectors * lanes / panel * products * ic, cells=4 * vectors * points, weights=0 if fresh else weights,
                fresh=weights if fresh else 0, prepared=0 if prepared or fresh else weights, stages=1)


def _in_rows(problem):
    """The rule of problem_in_rows in pyx/ndconv/_winograd_rows.pyx."""
    return problem.rank == 1 and not any(v[2] % problem.dilation[2] for v in (problem.x, problem.y, problem.before))


def takes_fine(problem):
    """Whether `winograd` is faster by tiles of 2x2: a handful of larger ones would share weights that no cache holds, of whose
    points these have fewer than half. Since it depends on the batch it is a matter of the choice, and not the method's rule."""
    if problem.op == "weight_grad" or problem.k[1:] != (3, 3) or problem.stride[1:] != (1, 1):
        return False
    depth, *plane = problem.x if problem.reversed else problem.y
    tiles = problem.n * depth * math.prod(d * up(up(o, d), 4) for o, d in zip(plane, problem.dilation[1:], strict=True))
    size = 36 * (4 if problem.dtype == "float32" else 8) * problem.ic * problem.oc // problem.g * problem.k[0]
    return tiles <= HANDFUL and size > LARGE_WEIGHTS


def _winograd_tiles(y, k, stride, problem, grad, fine=False):
    """(points of a tile, products there, tiles of an image) as choose_tiling in pyx/ndconv/_winograd_plan.pyx has them."""
    if stride[1] == 2:  # two cells an axis, one without the point at infinity if its taps are fewer
        return ((k[1] + 1) // 2 + 3) ** 2, ((k[1] + 1) // 2 * 2 + 6 - k[1] % 2) ** 2, y[0] * up(y[1], 4) * up(y[2], 4)
    # a dilation makes as many images, each of its own tiles
    h, w = ((d if t == 3 else 1, up(o, d) if t == 3 else o) for o, t, d in zip(y[1:], k[1:], problem.dilation[1:], strict=True))
    count = y[0] * math.prod(d * up(o, 4 if t == 3 else 1) for (d, o), t in zip((h, w), k[1:], strict=True))
    points, small = 6 ** k[1:].count(3), y[0] * h[0] * w[0] * up(h[1], 2) * up(w[1], 2)
    large = y[0] * h[0] * w[0] * up(h[1], 6) * up(w[1], 6)
    if grad or k[1:] != (3, 3):
        return points, points, count
    if 16 * small <= points * count or fine:
        return 16, 16, small
    return (64, 64, large) if problem.dtype == "float64" and k[0] == 1 and 640 * large <= 324 * count else (points, points, count)


def separable_seconds(problem, rank):
    """Seconds of `separable` for kernels of that rank: vectors of sums, taps of the passes, and calls a row."""
    kd, kh, kw = problem.k
    x, y = (problem.x, problem.y) if problem.op == "forward" else (problem.y, problem.x)
    results = problem.n * problem.oc * math.prod(y)
    vectors, rows = results / tile_of(problem, _separable).lanes, problem.n * problem.oc * y[0] * y[1] * up(y[2], 1024)
    taps = rank * (0.75 * kw * problem.stride[2] + 0.5 * kh + (0.5 * kd if kd > 1 else 0))
    return total(SEPARABLE, dict(taps=vectors * taps, results=results, rows=rows * (1 + rank), stages=1), slowness_of(problem))


def depthwise_counts(problem, prepared):
    """Seconds of `depthwise`: a multiply-add a tap for each vector of results, every element loaded and stored once."""
    grad, lanes = problem.op == "weight_grad", tile_of(problem, _depthwise).lanes
    table = DEPTHWISE_GRAD if grad else DEPTHWISE_BACK if problem.reversed else DEPTHWISE
    counts = dict.fromkeys(table, 0)
    forward = [(problem.ic // problem.g, problem.oc // problem.g, problem.x, problem.y, problem.k, problem.stride, 1)]
    if _is_strided_point(problem) and not grad:
        return table, counts | _point_counts(problem)
    spread, turns = problem.reversed and max(problem.stride) > 1, not grad and _depthwise.turns(problem)
    for ic, oc, x, y, k, stride, times in forward if grad else geometries(problem):
        images, wide = problem.n * problem.g * y[0] * times, problem.lanes_oc and ic == 1 and problem.g * oc >= lanes
        rows = images * oc * y[1]
        steps = rows * (y[2] / lanes if wide else up(y[2], lanes)) * ic * math.prod(k)
        if not grad and (wide or turns):    # lanes of channels leave out taps in the padding
            steps, wide = rows * y[2] / lanes * math.prod(k) * live_share(problem, problem.y, problem.k), True
        if turns:    # phases share what they see
            counts["elements"] += TURNED * images * (math.prod(x) / (math.prod(problem.stride) if spread else 1) + math.prod(y))
        counts["pixels" if wide else "steps"] += steps     # by lanes of channels, by lanes of pixels
        if stride[2] == 2 and problem.dilation[2] == 1 and not _takes_phases(y, k, stride, lanes):
            counts["halved"] += steps
        elif stride[2] > 1 and not wide:    # rows taken apart; those of dilated kernels for each row of results
            counts["strided"] += images * ic * (y[1] * k[1] if problem.dilation[1] > 1 else x[1]) * x[2]
        seen = math.prod(min(i, o * t) for i, o, t in zip(x, y, k, strict=True)) if wide else math.prod(x)
        counts["elements"] += rows * y[2] + times * problem.n * problem.g * ic * seen
        counts["rows"] += 0 if wide else rows * ic * math.prod(k[:2])
        apart = problem.lanes_oc and max(problem.ic, problem.oc) > 1   # the pixels of a channel
        apart = apart and not (wide and oc == 1)
        counts["gathered"] += rows * y[2] if apart else 0
        counts["lines"] += rows + times * problem.n * problem.g * ic * x[0] * x[1] if apart else 0    # one by one
        counts["planes"] += images * oc / (lanes if wide else 1)
        counts["sums"] += images * oc * ic * math.prod(k) if grad and not wide else 0
        counts["stages"] += times
    counts["elements"] += 0 if spread and turns else zeroed(problem)
    return table, counts


def _takes_phases(y, k, stride, lanes):
    """The rule of takes_phases in pyx/ndconv/_depthwise_block.pyx."""
    return k[1] == 1 and k[2] >= LONG_ROW or k[1] >= TALL and stride[1] == 2 and y[2] > lanes


def _is_strided_point(problem):
    """The rule of is_strided_point in pyx/ndconv/_depthwise_point.pyx."""
    few = problem.ic == problem.g and (problem.op == "forward" or problem.oc == problem.g)
    return (few and problem.taps == 1 and max(problem.stride) > 1 and not any(problem.before) and not any(problem.after)
            and not problem.bordered)


def _point_counts(problem):
    """Of one tap that moves by more than a cell: what is written, and what is read, in lines of pixels or of channels."""
    read = math.prod(problem.y[:2]) * (problem.y[2] if problem.lanes_oc else problem.y[2] * problem.stride[2])
    written = problem.x if problem.reversed else problem.y
    return dict(elements=problem.n * problem.oc * (read + math.prod(written)), planes=problem.n * problem.oc / 4, stages=1)


COUNTS = {"direct": direct_counts, "gemm": gemm_counts, "depthwise": depthwise_counts, "winograd": winograd_counts,
          "winograd:fine": partial(winograd_counts, fine=True), "fft": fft_counts}
