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
DIRECT = dict(lines=29.4, pieces=1.14, strided=2.11, runs=3.36, stored=0.106, steps=0.606, calls=1.12, packed=0.636,
              gathered=8.22, across=0.992, rows=46.1, prepared=0.388, stages=2110)
DIRECT_BACK = dict(lines=9.4, pieces=0.00213, runs=4.34, stored=0.294, steps=0.863, calls=0.000952, packed=0.931,
                   gathered=2.82, across=0.753, rows=109, prepared=0.2, stages=1030)
PHASES = dict(stored=0.751, steps=0.443, calls=0.633, stages=14500)
PHASE_ROWS = dict(steps=0.784, calls=26.3, stored=0.529, packed=0.0717, gathered=0.848, lines=2.44, prepared=3.37,
                  stages=6480)
GEMM = dict(clipped=0.475, planes=126, turned=1.24, strided=2.52, runs=4.4, apart=5.93, stored=0.0356, steps=0.543, calls=3.29,
            packed=1.39, gathered=0.318, lines=8.99, across=0.00518, prepared=0.62, stages=2430)
GEMM_BACK = dict(clipped=0.621, planes=551, turned=1e-06, strided=1e-06, runs=4.27, apart=4.34, stored=0.149, steps=0.696,
                 calls=8.56, packed=0.942, gathered=0.544, lines=4.07, across=1e-06, prepared=0.856, stages=1200)
DIRECT_GRAD = dict(steps=0.579, calls=3.96, packed=0.148, strided=0.0448, weights=0.33, stages=4530)
GEMM_GRAD = dict(steps=0.944, packed=0.496, lines=10.6, strided=0.772, weights=0.545, stages=13400)
WINOGRAD = dict(dilated=4.94, parts=0.137, strided=0.966, calls=0.582, cells=0.0909, steps=0.161, vectors=4.38, partial=6.48,
                turned=1.37, weights=0.27, prepared=0.501, fresh=0.303, sums=3.3, chunks=0.372, apart=1.29, stages=28400)
WINOGRAD_CELLS = dict(steps=0.412, cells=18, weights=0.108, fresh=0.424, prepared=0.73, stages=6820)
DEPTHWISE = dict(pixels=1.12, lines=12.9, halved=1.1, strided=3.91, rows=1.84, steps=0.808, elements=0.169, gathered=1.35,
                 planes=198, sums=1e-06, stages=1260)
DEPTHWISE_BACK = dict(pixels=0.895, lines=17.4, rows=0.799, steps=1.01, elements=0.324, gathered=1.51, planes=74.7, sums=1e-06,
                      stages=2780)
DEPTHWISE_GRAD = dict(pixels=0.604, lines=24.6, halved=0.569, strided=1.3, rows=1.64, steps=0.618, elements=0.0945,
                      gathered=1.42, planes=7.32, sums=10.4, stages=5700)
FFT = dict(transforms=0.156, products=0.611, traffic=0.117, spectra=0.709, across=3.24, elements=3.61, weights=3.46,
           stages=42400)
FFT_BACK = dict(transforms=0.733, products=0.833, traffic=0.538, spectra=0.868, across=3.39, elements=2.31, weights=3.46,
                stages=35900)
FFT_SINGLE = dict(groups=0.34, transforms=0.971, products=0.511, traffic=0.298, spectra=1.09, across=2.11, elements=3.9,
                  weights=3.46, stages=31100)
FFT_GRAD = dict(transforms=0.772, products=0.803, traffic=0.0743, spectra=0.48, across=0.145, elements=2.09, weights=1.5,
                stages=26400)

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
