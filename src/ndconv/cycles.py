"""What one of each of the things that methods do takes, in cycles, and seconds of so many of them.

ndconv/cost.py counts; a name of a count is a name of a table here. The cycles were fitted by benchmarks/fit_costs.py to measured
times of 3440 random layers and gradients of ranks 1 to 3 and of 252 of networks, for the right order of methods rather than for
right times (two threads of a Zen 4, with AVX2 and AVX-512); one factor makes the fastest of a layer right in the median. Where
memory or threads differ, ndconv/machine.py says by how much.
"""
from operator import mul

from ndconv.machine import PLAIN

CYCLE = 1 / 3e9            # seconds

# Cycles of one of each, two threads sharing them; 1e-06 of what such problems never do.
DIRECT = dict(lines=10.9, pieces=0.758, strided=1.42, runs=4.08, stored=0.0803, steps=0.623, calls=0.953, packed=0.308,
              gathered=6.73, across=1.32, rows=31.8, prepared=0.245, stages=2830)
DIRECT_BACK = dict(lines=4.09, pieces=0.0016, runs=3.64, stored=0.194, steps=0.728, calls=0.000714, packed=0.6, gathered=2.36,
                   across=0.605, rows=82.5, prepared=0.124, stages=590)
PHASES = dict(stored=1.57, steps=0.349, calls=0.506, prepared=0.105, stages=20400)
PHASE_ROWS = dict(steps=0.555, calls=41.1, stored=0.251, packed=0.0842, gathered=0.468, lines=2.72, prepared=1.27,
                  stages=3020)
GEMM = dict(clipped=0.298, planes=40.1, turned=0.736, strided=1.72, runs=4.94, apart=5.1, stored=0.0192, steps=0.499,
            calls=1.77, packed=1.12, gathered=0.225, lines=33.5, across=0.00388, prepared=0.564, stages=3040)
GEMM_BACK = dict(clipped=0.466, planes=788, turned=0.75e-06, strided=0.75e-06, runs=3.28, apart=2.42, stored=0.0413, steps=0.534,
                 calls=8.77, packed=0.983, gathered=0.317, lines=1.33, across=0.75e-06, prepared=0.326, stages=2550)
GEMM_COLUMNS = dict(steps=0.247, prepared=0.368, packed=0.132, stored=1.95, elements=0.031, turned=0.15, pixels=8.76,
                    stages=4890)
DIRECT_GRAD = dict(steps=0.513, calls=5.99, packed=0.0885, strided=0.0375, weights=0.194, stages=2940)
GEMM_GRAD = dict(steps=0.689, packed=0.52, lines=9.75, strided=0.622, weights=0.197, stages=5370)
WINOGRAD = dict(dilated=5.26, parts=0.199, strided=0.93, calls=0.604, cells=0.0772, steps=0.297, vectors=4.94, partial=5,
                turned=0.945, weights=0.122, prepared=0.518, fresh=0.186, sums=1.54, chunks=0.194, apart=1.27, stages=20800)
WINOGRAD_CELLS = dict(steps=0.341, cells=15.4, weights=0.0725, fresh=0.407, prepared=0.313, stages=6030)
DEPTHWISE = dict(pixels=0.968, lines=4.72, halved=0.444, strided=2.29, rows=1.08, steps=0.758, elements=0.119, gathered=1.36,
                 planes=137, sums=0.75e-06, stages=653)
DEPTHWISE_BACK = dict(pixels=0.705, lines=10.3, rows=0.728, steps=0.907, elements=0.115, gathered=0.945, planes=34, sums=0.75e-06,
                      stages=1710)
DEPTHWISE_GRAD = dict(pixels=0.537, lines=29.9, halved=0.291, strided=0.535, rows=0.938, steps=0.686, elements=0.0639,
                      gathered=1.18, planes=5.52, sums=8.32, stages=5750)
FFT = dict(transforms=0.136, products=0.701, traffic=0.084, spectra=0.718, across=3.6, elements=3.01, weights=2.59,
           stages=38100)
FFT_BACK = dict(transforms=0.765, products=0.877, traffic=0.366, spectra=0.559, across=2.45, elements=1.75, weights=2.59,
                stages=26700)
FFT_SINGLE = dict(groups=0.479, transforms=0.907, products=0.603, traffic=0.215, spectra=0.788, across=0.479, elements=2.63,
                  weights=2.59, stages=32900)
FFT_GRAD = dict(transforms=0.463, products=0.75, traffic=0.109, spectra=0.36, across=0.0975, elements=2.27, weights=1.24,
                stages=12800)

# Not of the fit, since it takes the weights to tell; brought to the scale of DEPTHWISE on Gaussians of 3 to 31 taps.
SEPARABLE = dict(taps=0.825, results=1.39, rows=87.8, stages=9750)

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
