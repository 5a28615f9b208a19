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
DIRECT = dict(lines=30.9, pieces=1.08, strided=1.58, runs=3.58, stored=0.116, steps=0.6, calls=1.11, packed=0.398,
              gathered=8.07, across=1.03, rows=43.5, prepared=0.392, stages=2.27e+03)
DIRECT_BACK = dict(lines=8.97, pieces=0.00213, runs=4.32, stored=0.297, steps=0.85, calls=0.000952, packed=0.883,
                   gathered=2.73, across=0.77, rows=105, prepared=0.226, stages=1.11e+03)
PHASES = dict(stored=0.754, steps=0.44, calls=0.632, stages=1.44e+04)
PHASE_ROWS = dict(steps=0.77, calls=25.8, stored=0.52, packed=0.0707, gathered=0.836, lines=2.72, prepared=3.42,
                  stages=6.42e+03)
GEMM = dict(clipped=0.555, planes=127, turned=1.29, strided=2.64, runs=4.48, apart=5.63, stored=0.0383, steps=0.551,
            calls=3.22, packed=1.2, gathered=0.329, lines=16.1, across=0.00518, prepared=0.601, stages=2.74e+03)
GEMM_BACK = dict(clipped=0.621, planes=549, turned=1e-06, strided=1e-06, runs=4.1, apart=4.24, stored=0.151, steps=0.69,
                 calls=8.7, packed=0.912, gathered=0.562, lines=4.35, across=1e-06, prepared=0.892, stages=1.3e+03)
DIRECT_GRAD = dict(steps=0.578, calls=3.93, packed=0.147, strided=0.0489, weights=0.352, stages=4.7e+03)
GEMM_GRAD = dict(steps=0.946, packed=0.476, lines=10.5, strided=0.769, weights=0.591, stages=1.4e+04)
WINOGRAD = dict(dilated=4.88, parts=0.138, strided=0.867, calls=0.546, cells=0.086, steps=0.152, vectors=4.33, partial=6.44,
                turned=1.36, weights=0.271, prepared=0.503, fresh=0.307, sums=3.58, chunks=0.394, apart=1.29, stages=2.63e+04)
WINOGRAD_CELLS = dict(steps=0.423, cells=17.7, weights=0.107, fresh=0.396, prepared=0.683, stages=6.74e+03)
DEPTHWISE = dict(pixels=1.12, lines=12.1, halved=1.11, strided=3.64, rows=2.15, steps=0.781, elements=0.146, gathered=1.38,
                 planes=203, sums=1e-06, stages=1.34e+03)
DEPTHWISE_BACK = dict(pixels=0.89, lines=16.1, rows=0.851, steps=0.994, elements=0.32, gathered=1.46, planes=75.4, sums=1e-06,
                      stages=2.78e+03)
DEPTHWISE_GRAD = dict(pixels=0.601, lines=24.3, halved=0.575, strided=1.28, rows=1.63, steps=0.615, elements=0.0939,
                      gathered=1.41, planes=7.93, sums=10.3, stages=5.96e+03)
FFT = dict(transforms=0.167, products=0.595, traffic=0.118, spectra=0.711, across=3.16, elements=3.54, weights=3.46,
           stages=4.34e+04)
FFT_BACK = dict(transforms=0.693, products=0.791, traffic=0.554, spectra=0.866, across=3.23, elements=2.3, weights=3.46,
                stages=3.38e+04)
FFT_SINGLE = dict(groups=0.334, transforms=0.94, products=0.484, traffic=0.302, spectra=0.972, across=1.84, elements=3.91,
                  weights=3.46, stages=3.23e+04)
FFT_GRAD = dict(transforms=0.768, products=0.803, traffic=0.0822, spectra=0.48, across=0.165, elements=2.07, weights=1.49,
                stages=2.61e+04)

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
