"""What one of each of the things that methods do takes, in cycles, and seconds of so many of them.

ndconv/cost.py counts; a name of a count is a name of a table here. The cycles were fitted by benchmarks/fit_costs.py to measured
times of 3440 random layers and gradients of ranks 1 to 3 and of 252 of networks, for the right order of methods rather than for
right times (two threads of a Zen 4, with AVX2 and AVX-512). Only ratios between methods matter to the choice; where memory or
threads differ, ndconv/machine.py says by how much.
"""
from operator import mul

from ndconv.machine import PLAIN

CYCLE = 1 / 3e9            # seconds

# Cycles of one of each, two threads sharing them; 1e-06 of what such problems never do.
DIRECT = dict(lines=14.6, pieces=1.01, strided=1.9, runs=5.44, stored=0.107, steps=0.831, calls=1.27, packed=0.411,
              gathered=8.97, across=1.76, rows=42.4, prepared=0.327, stages=3770)
DIRECT_BACK = dict(lines=5.45, pieces=0.00213, runs=4.85, stored=0.259, steps=0.971, calls=0.000952, packed=0.8, gathered=3.15,
                   across=0.807, rows=110, prepared=0.166, stages=787)
PHASES = dict(stored=0.992, steps=0.571, calls=0.629, stages=5370)
PHASE_ROWS = dict(steps=0.783, calls=38.3, stored=0.263, packed=0.127, gathered=0.573, lines=3.47, prepared=3.36,
                  stages=3830)
GEMM = dict(clipped=0.397, planes=53.5, turned=0.981, strided=2.29, runs=6.59, apart=6.8, stored=0.0256, steps=0.665,
            calls=2.36, packed=1.5, gathered=0.3, lines=44.7, across=0.00518, prepared=0.752, stages=4050)
GEMM_BACK = dict(clipped=0.621, planes=1050, turned=1e-06, strided=1e-06, runs=4.37, apart=3.22, stored=0.055, steps=0.712,
                 calls=11.7, packed=1.31, gathered=0.422, lines=1.77, across=1e-06, prepared=0.435, stages=3400)
DIRECT_GRAD = dict(steps=0.684, calls=7.98, packed=0.118, strided=0.05, weights=0.259, stages=3920)
GEMM_GRAD = dict(steps=0.919, packed=0.694, lines=13, strided=0.829, weights=0.262, stages=7160)
WINOGRAD = dict(dilated=7.01, parts=0.265, strided=1.24, calls=0.805, cells=0.103, steps=0.396, vectors=6.59, partial=6.66,
                turned=1.26, weights=0.163, prepared=0.691, fresh=0.248, sums=2.06, chunks=0.258, apart=1.7, stages=27800)
WINOGRAD_CELLS = dict(steps=0.455, cells=20.5, weights=0.0967, fresh=0.543, prepared=0.417, stages=8040)
DEPTHWISE = dict(pixels=1.29, lines=6.3, halved=0.592, strided=3.05, rows=1.44, steps=1.01, elements=0.159, gathered=1.81,
                 planes=183, sums=1e-06, stages=871)
DEPTHWISE_BACK = dict(pixels=0.94, lines=13.7, rows=0.97, steps=1.21, elements=0.154, gathered=1.26, planes=45.3, sums=1e-06,
                      stages=2280)
DEPTHWISE_GRAD = dict(pixels=0.716, lines=39.9, halved=0.388, strided=0.714, rows=1.25, steps=0.915, elements=0.0852,
                      gathered=1.57, planes=7.36, sums=11.1, stages=7670)
FFT = dict(transforms=0.181, products=0.934, traffic=0.112, spectra=0.958, across=4.8, elements=4.01, weights=3.46,
           stages=50800)
FFT_BACK = dict(transforms=1.02, products=1.17, traffic=0.488, spectra=0.746, across=3.27, elements=2.34, weights=3.46,
                stages=35600)
FFT_SINGLE = dict(groups=0.639, transforms=1.21, products=0.804, traffic=0.287, spectra=1.05, across=0.639, elements=3.51,
                  weights=3.46, stages=43900)
FFT_GRAD = dict(transforms=0.617, products=1, traffic=0.145, spectra=0.48, across=0.13, elements=3.03, weights=1.66,
                stages=17100)

# Not of the fit, since it takes the weights to tell; brought to the scale of DEPTHWISE on Gaussians of 3 to 31 taps.
SEPARABLE = dict(taps=1.1, results=1.85, rows=117, stages=13000)

# What memory bounds; and what no rate of the machine does: regions of work for all threads, and transforms, which wait for L1
# and for shuffles. All else is bound by multiply-adds.
MOVED = frozenset(("stored", "packed", "gathered", "across", "prepared", "elements", "turned", "apart", "weights", "fresh",
                   "pieces", "clipped", "strided", "halved", "lines", "chunks", "sums", "results", "traffic", "spectra"))
STEADY = frozenset(("stages", "transforms", "groups", "products"))

_rates: dict[tuple, tuple] = {}     # {(id of a table of cycles, slowness): (the table, {name: seconds})}


def factor_of(name, slow):
    """How many times as long as on the reference a count of that name takes."""
    adds, copies, _ = slow
    return copies if name in MOVED else 1 if name in STEADY else adds


def _rates_of(cycles, slow):
    """Seconds of one of each, found once for a table and a machine."""
    if (id(cycles), slow) not in _rates:
        _rates[id(cycles), slow] = cycles, {name: CYCLE * factor_of(name, slow) * value for name, value in cycles.items()}
    return _rates[id(cycles), slow][1]


def total(cycles, counts, slow=PLAIN):
    """Seconds of `counts` of what takes `cycles` each on the reference, on a machine with these factors of slowness."""
    rates = _rates_of(cycles, slow)
    return sum(map(mul, map(rates.__getitem__, counts), counts.values())) + slow[2] * counts["stages"]
