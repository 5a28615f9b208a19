"""Cost model: estimated seconds of each method, pure functions of a problem.

A cost is a count of what a method does, times what one of each takes: steps of the register tile, calls of it, elements
packed, stored across memory, and so on. The counts follow from the loops in pyx/ndconv; the cycles were fitted by
benchmarks/fit_costs.py to measured times of 1460 random layers and gradients of ranks 1 to 3, for the right order of methods
rather than for right times (two threads of a 3 GHz x86-64 with AVX2). auto's regret there: geometric mean 1.04, 95th percentile
1.28; docs/selection.md has that of layers that were left out. Only ratios between methods matter to the choice, and they carry
over to CPUs with wider vectors; where memory or threads differ, ndconv/machine.py says by how much. `prepared` says that weights
are prepared once for many calls, as a plan does; a function call prepares them itself.
"""
import math

from ndconv import _fft
from ndconv._runtime import get_isa
from ndconv.machine import PLAIN, TILES, slowness
from ndconv.stages import alike

SECONDS = 1 / 3e9          # a cycle

# Cycles of one of each, two threads sharing them.
DIRECT = dict(runs=1.71, stored=0.437, steps=0.649, calls=2.26, packed=1.3, gathered=2.76, across=0.877, rows=220,
              prepared=2.66, stages=3780)
DIRECT_BACK = dict(runs=9.02, stored=0.43, steps=1.59, calls=17.8, packed=0.527, gathered=2.52, across=3.9, rows=239,
                   prepared=3.36, stages=6170)
PHASES = dict(stored=1.34, steps=1.66, calls=6.37, stages=8120)
GEMM = dict(turned=0.0165, strided=0.381, runs=15.9, apart=24.9, stored=0.00365, steps=0.521, calls=53.4, packed=0.803,
            gathered=0.424, lines=30.9, across=0.645, prepared=1.36, stages=1830)
GEMM_BACK = dict(turned=0.015, strided=0.045, runs=7.79, apart=4.98, stored=0.725, steps=1.25, calls=54.1, packed=0.916,
                 gathered=1.93, lines=15.4, across=0.277, prepared=5.51, stages=3890)
DIRECT_GRAD = dict(steps=0.952, calls=16.3, packed=0.391, strided=0.0394, weights=0.728, stages=8040)
GEMM_GRAD = dict(steps=1.11, packed=0.505, lines=29.3, strided=0.434, weights=1.58, stages=34200)
WINOGRAD = dict(steps=0.0607, vectors=12.2, turned=0.0276, weights=0.286, prepared=0.741, fresh=0.75, sums=3.4, chunks=1.32,
                apart=10.4, stages=31900)
DEPTHWISE = dict(rows=2.53, steps=0.579, elements=0.78, gathered=16.9, planes=173, sums=2.09, stages=3010)
DEPTHWISE_BACK = dict(rows=1.55, steps=1.3, elements=0.859, gathered=2.95, planes=133, sums=2.09, stages=2150)
DEPTHWISE_GRAD = dict(rows=3.63, steps=1.1, elements=0.517, gathered=0.745, planes=85.9, sums=27.6, stages=14300)
FFT = dict(forward=0.464, input_grad=1.57, weight_grad=1, elements=3.81, stages=36100)

# Not of the fit, since it takes the weights to tell; brought to the scale of DEPTHWISE on Gaussians of 3 to 31 taps.
SEPARABLE = dict(taps=1.04, results=1.92, rows=96, stages=13000)

# What memory bounds; all else but "stages", which are regions of work for all threads, is bound by multiply-adds.
MOVED = frozenset(("stored", "packed", "gathered", "across", "prepared", "elements", "turned", "apart", "weights", "fresh",
                   "strided", "lines", "chunks", "sums", "results"))

LEAST_ROWS = 4             # fewer rows than this wait for the multiply-adds before them
FEW_PIXELS = 32            # of an image that gemm joins to the next
SHORT = 16                 # channels below which direct walks over all taps
LONG = 31                  # taps of an axis beyond which nobody asks how many lie in padding

# The rules of set_block, take_fresh_weights and layout in pyx/ndconv/_winograd_plan.pyx and _winograd_grad.pyx.
FEW_BLOCKS = 168           # tiles that are not cut into blocks
FEW_PANELS = 4             # panels of weights that do not keep threads busy
FEW_TILES = 64             # tiles whose sums of a weight gradient are taken in chunks


def _up(a, b):
    return -(-a // b)


def _lanes(problem):
    return TILES[get_isa()][0] // (4 if problem.dtype == "float32" else 8)


def _panel(problem):
    """Lanes of a register tile."""
    return TILES[get_isa()][2] * _lanes(problem)


def _geometries(problem):
    """[(input channels of a group, output channels, input, output, kernel, stride, how many)] of the forward problems."""
    ic, oc = problem.ic // problem.g, problem.oc // problem.g
    if problem.op == "forward":
        return [(ic, oc, problem.x, problem.y, problem.k, problem.stride, 1)]
    return [(oc, ic, stage.x, stage.y, stage.k, stage.stride, times) for stage, times in alike(problem)]


def _vectors_hold_oc(problem, ic, oc, y, k):
    """The rule of use_lanes_oc in pyx/ndconv/_pack.pyx."""
    if problem.lanes_oc:
        return oc >= 4
    return y[2] <= 8 * _lanes(problem) and oc >= _lanes(problem) and ic * math.prod(k) >= max(7 * y[2], 200)


def _tiles(along, across, problem):
    """(tiles, rows a step costs) of `along` rows by `across` vectors' lanes."""
    count = _up(along, TILES[get_isa()][1])
    return count * _up(across, _panel(problem)), max(along / max(count, 1), LEAST_ROWS)


def _tiles_of_pixels(oc, x, y, stride, problem):
    """`_tiles` of a row of pixels: tiles run across row ends where that wastes less than parts of vectors at the ends."""
    lanes, pitch = _lanes(problem), max(_up(x[2], stride[2]), y[2])
    count = _up(oc, TILES[get_isa()][1])
    vectors = min(_up(y[2], lanes), (_up((y[1] - 1) * pitch + y[2], lanes) + 1) / y[1])
    return count * vectors / TILES[get_isa()][2], max(oc / max(count, 1), LEAST_ROWS)


def _live(problem, y, k):
    """The share of a kernel's taps that see the array and not its padding."""
    share = 1.0
    for o, i, t, s, d, p in zip(y, problem.x, k, problem.stride, problem.dilation, problem.before, strict=True):
        if 1 < t <= LONG and o:
            seen = 0
            for first in range(-p, t * d - p, d):   # where a tap's first product lies
                seen += max(min(-((first - i) // s), o) - max(-(first // s), 0), 0)
            share *= seen / (o * t)
    return share


def _zeroed(problem):
    """Results that no tap reaches, or that are written apart from their neighbours."""
    return problem.n * problem.ic * math.prod(problem.x) if problem.reversed and max(problem.stride) > 1 else 0


def total(cycles, counts, slow=PLAIN):
    """Seconds of `counts` of what takes `cycles` each on the reference, on a machine with these factors of slowness."""
    if slow == PLAIN:
        return SECONDS * sum([cycles[name] * count for name, count in counts.items()])
    adds, copies, region = slow
    factor = {name: copies if name in MOVED else 1 if name == "stages" else adds for name in counts}
    return (SECONDS * sum(factor[name] * cycles[name] * count for name, count in counts.items())
            + region * counts["stages"])


def slowness_of(problem):
    """Of the machine, for arrays as large as x and y."""
    itemsize = 4 if problem.dtype == "float32" else 8
    return slowness(itemsize * problem.n * (problem.ic * math.prod(problem.x) + problem.oc * math.prod(problem.y)))


def seconds(method, problem, prepared, slow=None):
    """Estimated seconds of a method for a problem; `slow` is slowness_of(problem), for callers that have it."""
    return total(*COUNTS[method](problem, prepared), slow or slowness_of(problem))


def direct_counts(problem, prepared):
    """Seconds of `direct`: register tiles on rows of pixels; what memory does not offer as it is needed is copied."""
    if problem.op == "weight_grad":
        return _direct_grad_counts(problem)
    if _phases_together(problem):
        return _phases_counts(problem)
    counts = dict.fromkeys(DIRECT, 0)
    for ic, oc, x, y, k, stride, times in _geometries(problem):
        planes = problem.n * problem.g * times
        rows, wide = y[0] * y[1], _vectors_hold_oc(problem, ic, oc, y, k)
        tiles, height = _tiles(y[2], oc, problem) if wide else _tiles_of_pixels(oc, x, y, stride, problem)
        if wide and ic >= SHORT and problem.op == "forward":
            height *= _live(problem, y, k)
        elif not wide and oc < LEAST_ROWS:
            height = oc  # tiles of few rows are wider
        inputs, outputs = planes * ic * math.prod(x), planes * oc * math.prod(y)
        counts["calls"] += planes * rows * tiles
        counts["steps"] += planes * rows * tiles * height * ic * math.prod(k)
        counts["runs"] += planes * rows * tiles * math.prod(k)
        counts["rows"] += planes * rows
        counts["stored"] += outputs
        counts["prepared"] += 0 if prepared else times * problem.g * oc * ic * math.prod(k)
        counts["stages"] += times
        if problem.lanes_oc and not wide and max(problem.ic, problem.oc) > 1:
            counts["gathered"] += inputs + outputs
        else:
            counts["packed"] += inputs
            counts["across"] += outputs if wide and not problem.lanes_oc else 0
    counts["stored"] += _zeroed(problem)
    return DIRECT_BACK if problem.reversed else DIRECT, counts


def _phases_together(problem):
    """The rule of transpose_sizes in pyx/ndconv/_phases.pyx."""
    strided = problem.reversed and max(problem.stride) > 1
    return strided and problem.ic // problem.g >= _lanes(problem) and problem.oc // problem.g >= 4


def _phases_counts(problem):
    counts = dict.fromkeys(PHASES, 0)
    for ic, oc, _, y, k, _, times in _geometries(problem):
        planes = problem.n * problem.g * times
        tiles, height = _tiles(y[2], oc, problem)
        counts["calls"] += planes * y[0] * y[1] * tiles
        counts["steps"] += planes * y[0] * y[1] * tiles * height * ic * math.prod(k)
    counts["stored"] = problem.n * problem.ic * math.prod(problem.x)
    counts["stages"] = 1
    return PHASES, counts


def gemm_counts(problem, prepared):
    """Seconds of `gemm`: the im2col matrix is packed once, an element a tap; tiles run over the pixels of an image."""
    if problem.op == "weight_grad":
        return _gemm_grad_counts(problem)
    counts = dict.fromkeys(GEMM, 0)
    for ic, oc, _, y, k, stride, times in _geometries(problem):
        planes = problem.n * problem.g * times
        pixels, length, wide = math.prod(y), ic * math.prod(k), _vectors_hold_oc(problem, ic, oc, y, k)
        joined = max(problem.n, 1) if pixels <= FEW_PIXELS else 1
        tiles, height = _tiles(joined * pixels, oc, problem) if wide else _tiles(oc, joined * pixels, problem)
        tiles /= joined
        counts["calls"] += planes * tiles * _up(length, 384)
        counts["steps"] += planes * tiles * height * length
        counts["prepared"] += 0 if prepared else times * problem.g * oc * length
        counts["stored"] += planes * oc * pixels
        counts["stages"] += times
        apart = problem.reversed and max(problem.stride) > 1
        counts["across"] += planes * oc * pixels if wide and not problem.lanes_oc else 0
        counts["apart"] += planes * oc * pixels if apart or problem.lanes_oc and not wide else 0
        if math.prod(k) > 1 or stride != (1, 1, 1) or not problem.lanes_oc:
            counts["packed"] += planes * length * pixels
            if not problem.lanes_oc:
                counts["lines"] += planes * length * y[0] * y[1]
                counts["turned" if wide else "strided"] += planes * length * pixels if wide or stride[2] > 1 else 0
            else:
                counts["runs"] += planes * math.prod(k) * pixels
                counts["gathered"] += 0 if wide else planes * length * pixels
    counts["stored"] += _zeroed(problem)
    return GEMM_BACK if problem.reversed else GEMM, counts


def _grad_counts(problem, length, tiles, height):
    """What both weight gradients do: tiles over the pixels of all images, dy packed into panels of output channels."""
    oc, images = problem.oc // problem.g, problem.n * problem.g
    pixels, panel = math.prod(problem.y), _panel(problem)
    return dict(steps=images * tiles * height * pixels, packed=images * _up(oc, panel) * panel * pixels,
                strided=images * length * pixels if problem.stride[2] > 1 else 0, weights=problem.oc * length, stages=1)


def _direct_grad_counts(problem):
    ic, oc, taps = problem.ic // problem.g, problem.oc // problem.g, problem.taps
    tiles, height = _tiles(ic, oc, problem)
    counts = _grad_counts(problem, ic * taps, taps * tiles, height)
    counts["calls"] = problem.n * problem.g * taps * tiles * problem.y[0] * problem.y[1]
    return DIRECT_GRAD, counts


def _gemm_grad_counts(problem):
    length = problem.ic // problem.g * problem.taps
    counts = _grad_counts(problem, length, *_tiles(length, problem.oc // problem.g, problem))
    counts["lines"] = problem.n * problem.g * length * problem.y[0] * problem.y[1]
    return GEMM_GRAD, counts


def fft_counts(problem, prepared):
    """Seconds of `fft`: the estimate that its tiles are chosen by, and every element loaded and stored once."""
    elements = problem.n * (problem.ic * math.prod(problem.x) + problem.oc * math.prod(problem.y))
    op = "input_grad" if problem.reversed else problem.op
    return FFT, {op: _fft.estimate(problem, prepared), "elements": elements, "stages": 1}


def winograd_counts(problem, prepared):
    """Seconds of `winograd`: tiles transformed both ways, a product at each of their points, weights read once a block."""
    counts = dict.fromkeys(WINOGRAD, 0)
    panel, grad = _panel(problem), problem.op == "weight_grad"
    own = (problem.ic // problem.g, problem.oc // problem.g, problem.x, problem.y, problem.k, problem.stride, 1)
    for ic, oc, _, y, k, stride, times in (own,) if grad else _geometries(problem):
        points, products, tiles = _winograd_tiles(y, k, stride, problem.dilation, grad)
        tiles *= problem.n * times
        few, fresh = tiles <= FEW_TILES, k[0] == 1 and tiles < FEW_BLOCKS and _up(oc, panel) >= FEW_PANELS and not prepared
        tiles *= problem.g
        columns, weights = _up(oc, panel), products * times * problem.g * _up(oc, panel) * panel * k[0] * ic
        counts["steps"] += tiles * products * columns * k[0] * ic
        counts["vectors"] += tiles * points * (stride[1] * stride[2] * _up(ic, _lanes(problem)) + _up(oc, _lanes(problem)))
        turned = 0 if problem.lanes_oc else problem.n * (problem.ic + problem.oc) * math.prod(y)
        counts["turned"] += turned
        counts["apart"] += turned if k[2] > 1 and problem.dilation[2] > 1 else 0     # one element at a time
        if grad:
            counts["chunks" if few else "sums"] += weights
        else:
            counts["fresh" if fresh else "weights"] += weights
            counts["prepared"] += 0 if prepared or fresh else weights
        counts["stages"] += times
    return WINOGRAD, counts


def _winograd_tiles(y, k, stride, dilation, grad):
    """(points of a tile, products there, tiles of an image) as choose_tiling in pyx/ndconv/_winograd_plan.pyx has them."""
    if stride[1] == 2:  # two cells an axis, one without the point at infinity if its taps are fewer
        return ((k[1] + 1) // 2 + 3) ** 2, ((k[1] + 1) // 2 * 2 + 6 - k[1] % 2) ** 2, y[0] * _up(y[1], 4) * _up(y[2], 4)
    # a dilation makes as many images, each of its own tiles
    h, w = ((d if t == 3 else 1, _up(o, d) if t == 3 else o) for o, t, d in zip(y[1:], k[1:], dilation[1:], strict=True))
    count = y[0] * math.prod(d * _up(o, 4 if t == 3 else 1) for (d, o), t in zip((h, w), k[1:], strict=True))
    points, small = 6 ** k[1:].count(3), y[0] * h[0] * w[0] * _up(h[1], 2) * _up(w[1], 2)
    return (16, 16, small) if k[1:] == (3, 3) and not grad and 16 * small <= points * count else (points, points, count)


def separable_seconds(problem, rank):
    """Seconds of `separable` for kernels of that rank: vectors of sums, taps of the passes, and calls a row."""
    kd, kh, kw = problem.k
    x, y = (problem.x, problem.y) if problem.op == "forward" else (problem.y, problem.x)
    results = problem.n * problem.oc * math.prod(y)
    vectors, rows = results / _lanes(problem), problem.n * problem.oc * y[0] * y[1] * _up(y[2], 1024)
    taps = rank * (0.75 * kw * problem.stride[2] + 0.5 * kh + (0.5 * kd if kd > 1 else 0))
    return total(SEPARABLE, dict(taps=vectors * taps, results=results, rows=rows * (1 + rank), stages=1), slowness_of(problem))


def depthwise_counts(problem, prepared):
    """Seconds of `depthwise`: a multiply-add a tap for each vector of results, every element loaded and stored once."""
    counts, lanes = dict.fromkeys(DEPTHWISE, 0), _lanes(problem)
    grad = problem.op == "weight_grad"
    forward = [(problem.ic // problem.g, problem.oc // problem.g, problem.x, problem.y, problem.k, problem.stride, 1)]
    for ic, oc, x, y, k, _, times in forward if grad else _geometries(problem):
        images, wide = problem.n * problem.g * y[0] * times, problem.lanes_oc and ic == 1 and problem.g * oc >= lanes
        rows = images * oc * y[1]
        # the rows of many channels do not stay in L1
        counts["steps"] += rows * (y[2] / lanes if wide else _up(y[2], lanes)) * ic * math.prod(k) * (1 if ic <= 8 else 2)
        seen = math.prod(min(i, o * t) for i, o, t in zip(x, y, k, strict=True)) if wide else math.prod(x)
        counts["elements"] += rows * y[2] + times * problem.n * problem.g * ic * seen
        counts["rows"] += 0 if wide else rows * ic * math.prod(k[:2])
        apart = problem.lanes_oc and max(problem.ic, problem.oc) > 1   # the pixels of a channel
        counts["gathered"] += rows * y[2] if apart and not (wide and oc == 1) else 0
        counts["planes"] += images * oc / (lanes if wide else 1)
        counts["sums"] += images * oc * ic * math.prod(k) if grad and not wide else 0
        counts["stages"] += times
    counts["elements"] += _zeroed(problem)
    return DEPTHWISE_GRAD if grad else DEPTHWISE_BACK if problem.reversed else DEPTHWISE, counts


COUNTS = {"direct": direct_counts, "gemm": gemm_counts, "depthwise": depthwise_counts, "winograd": winograd_counts,
          "fft": fft_counts}
