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
DIRECT = dict(lines=30.2, pieces=1.17, strided=1.52, runs=3.49, stored=0.119, steps=0.582, calls=1.04, packed=0.378,
              gathered=7.87, across=1.11, rows=44, prepared=0.387, stages=2.41e+03)
DIRECT_BACK = dict(lines=8.37, pieces=0.00213, runs=4.19, stored=0.305, steps=0.832, calls=0.000952, packed=0.886,
                   gathered=2.64, across=0.788, rows=105, prepared=0.26, stages=1.22e+03)
PHASES = dict(stored=0.764, steps=0.434, calls=0.631, stages=1.43e+04)
PHASE_ROWS = dict(steps=0.752, calls=25, stored=0.512, packed=0.0697, gathered=0.835, lines=3.17, prepared=3.41,
                  stages=6.32e+03)
GEMM = dict(clipped=0.641, planes=132, turned=1.23, strided=2.57, runs=4.39, apart=5.41, stored=0.042, steps=0.529, calls=3.44,
            packed=1.16, gathered=0.341, lines=15.9, across=0.00518, prepared=0.612, stages=2.88e+03)
GEMM_BACK = dict(clipped=0.621, planes=527, turned=1e-06, strided=1e-06, runs=3.9, apart=4.19, stored=0.155, steps=0.672,
                 calls=9.04, packed=0.881, gathered=0.582, lines=4.54, across=1e-06, prepared=0.944, stages=1.43e+03)
DIRECT_GRAD = dict(steps=0.562, calls=3.9, packed=0.147, strided=0.0546, weights=0.376, stages=4.96e+03)
GEMM_GRAD = dict(steps=0.93, packed=0.447, lines=10.3, strided=0.756, weights=0.65, stages=1.48e+04)
WINOGRAD = dict(dilated=5.25, parts=0.168, strided=0.792, calls=0.515, cells=0.0821, steps=0.139, vectors=4.24, partial=6.15,
                turned=1.28, weights=0.266, prepared=0.533, fresh=0.32, sums=4.63, chunks=0.436, apart=1.33, stages=2.54e+04)
WINOGRAD_CELLS = dict(steps=0.437, cells=17.3, weights=0.106, fresh=0.366, prepared=0.632, stages=6.65e+03)
DEPTHWISE = dict(pixels=1.11, lines=11.6, halved=1.06, strided=3.54, rows=2.12, steps=0.757, elements=0.139, gathered=1.41,
                 planes=204, sums=1e-06, stages=1.49e+03)
DEPTHWISE_BACK = dict(pixels=0.906, lines=14.7, rows=0.898, steps=0.968, elements=0.318, gathered=1.42, planes=76.2,
                      sums=1e-06, stages=2.8e+03)
DEPTHWISE_GRAD = dict(pixels=0.587, lines=23.4, halved=0.573, strided=1.25, rows=1.61, steps=0.598, elements=0.0945,
                      gathered=1.4, planes=8.74, sums=9.96, stages=6.33e+03)
FFT = dict(transforms=0.182, products=0.516, traffic=0.118, spectra=0.702, across=3.06, elements=3.45, weights=3.46,
           stages=4.29e+04)
FFT_BACK = dict(transforms=0.661, products=0.72, traffic=0.563, spectra=0.857, across=2.99, elements=2.32, weights=3.46,
                stages=3.15e+04)
FFT_SINGLE = dict(groups=0.325, transforms=0.906, products=0.457, traffic=0.306, spectra=0.823, across=1.52, elements=3.92,
                  weights=3.46, stages=3.31e+04)
FFT_GRAD = dict(transforms=0.754, products=0.806, traffic=0.0923, spectra=0.48, across=0.192, elements=1.98, weights=1.47,
                stages=2.56e+04)

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
