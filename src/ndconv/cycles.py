"""What one of each of the things that methods do takes, in cycles, and seconds of so many of them.

ndconv/cost.py counts; a name of a count is a name of a table here. The cycles were fitted by benchmarks/fit_costs.py to measured
times of 3440 random layers and gradients of ranks 1 to 3 and of 252 of networks, for the right order of methods rather than for
right times (two threads of a Zen 4, with AVX2 and AVX-512). Only ratios between methods matter to the choice; where memory or
threads differ, ndconv/machine.py says by how much.
"""
from operator import mul

from ndconv.machine import PLAIN

CYCLE = 1 / 3e9            # seconds

# Cycles of one of each, two threads sharing them.
DIRECT = dict(lines=28.8, pieces=1.3, strided=1.44, runs=3.38, stored=0.121, steps=0.559, calls=0.971, packed=0.353,
              gathered=7.56, across=1.18, rows=44, prepared=0.417, stages=2.61e+03)
DIRECT_BACK = dict(lines=7.79, pieces=0.00213, runs=4.12, stored=0.312, steps=0.808, calls=0.000952, packed=0.84,
                   gathered=2.48, across=0.805, rows=106, prepared=0.311, stages=1.37e+03)
PHASES = dict(stored=0.778, steps=0.436, calls=0.63, stages=1.42e+04)
PHASE_ROWS = dict(steps=0.741, calls=23.8, stored=0.496, packed=0.0692, gathered=0.903, lines=4.12, prepared=3.32,
                  stages=6.16e+03)
GEMM = dict(clipped=0.763, planes=143, turned=1.12, strided=2.44, runs=4.32, apart=5.14, stored=0.0467, steps=0.512,
            calls=3.75, packed=1.09, gathered=0.355, lines=15.4, across=0.00518, prepared=0.635, stages=3.08e+03)
GEMM_BACK = dict(clipped=0.621, planes=448, turned=1e-06, strided=1e-06, runs=3.63, apart=4.15, stored=0.162, steps=0.656,
                 calls=9.6, packed=0.829, gathered=0.606, lines=4.86, across=1e-06, prepared=1.03, stages=1.63e+03)
DIRECT_GRAD = dict(steps=0.555, calls=3.92, packed=0.149, strided=0.062, weights=0.407, stages=5.3e+03)
GEMM_GRAD = dict(steps=0.931, packed=0.413, lines=10.2, strided=0.744, weights=0.726, stages=1.59e+04)
WINOGRAD = dict(dilated=5.01, parts=0.179, strided=0.721, calls=0.487, cells=0.0785, steps=0.137, vectors=4.13, partial=6.16,
                turned=1.21, weights=0.254, prepared=0.502, fresh=0.313, sums=4.5, chunks=0.508, apart=1.41, stages=2.46e+04)
WINOGRAD_CELLS = dict(steps=0.469, cells=17, weights=0.104, fresh=0.337, prepared=0.579, stages=6.55e+03)
DEPTHWISE = dict(pixels=1.4, lines=10.9, halved=0.96, strided=3.35, rows=2.1, steps=0.725, elements=0.132, gathered=1.48,
                 planes=202, sums=1e-06, stages=1.7e+03)
DEPTHWISE_BACK = dict(pixels=1.12, lines=13.5, rows=0.977, steps=0.929, elements=0.319, gathered=1.4, planes=77.3, sums=1e-06,
                      stages=2.78e+03)
DEPTHWISE_GRAD = dict(pixels=0.589, lines=21.8, halved=0.571, strided=1.23, rows=1.63, steps=0.592, elements=0.0972,
                      gathered=1.39, planes=9.9, sums=9.75, stages=6.94e+03)
FFT = dict(transforms=0.197, products=0.497, traffic=0.109, spectra=0.675, across=2.88, elements=3.31, weights=3.46,
           stages=4.14e+04)
FFT_BACK = dict(transforms=0.63, products=0.697, traffic=0.556, spectra=0.842, across=2.67, elements=2.25, weights=3.46,
                stages=2.92e+04)
FFT_SINGLE = dict(transforms=0.888, products=0.428, traffic=0.31, spectra=0.649, across=1.16, elements=3.76, weights=3.46,
                  stages=3.35e+04)
FFT_GRAD = dict(transforms=0.759, products=0.779, traffic=0.101, spectra=0.48, across=0.232, elements=1.93, weights=1.53,
                stages=2.53e+04)

# Not of the fit, since it takes the weights to tell; brought to the scale of DEPTHWISE on Gaussians of 3 to 31 taps.
SEPARABLE = dict(taps=0.9, results=1.5, rows=96, stages=13000)

# What memory bounds; and what no rate of the machine does: regions of work for all threads, and transforms, which wait for L1
# and for shuffles. All else is bound by multiply-adds.
MOVED = frozenset(("stored", "packed", "gathered", "across", "prepared", "elements", "turned", "apart", "weights", "fresh",
                   "pieces", "clipped", "strided", "halved", "lines", "chunks", "sums", "results", "traffic", "spectra"))
STEADY = frozenset(("stages", "transforms", "products"))

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
