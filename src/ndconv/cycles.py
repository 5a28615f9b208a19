"""What one of each of the things that methods do takes, in cycles, and seconds of so many of them.

ndconv/cost.py counts; a name of a count is a name of a table here. The cycles were fitted by benchmarks/fit_costs.py to measured
times of 6043 random layers and gradients of ranks 1 to 3, for the right order of methods rather than for right times (two threads
of a 3 GHz x86-64 with AVX2). Only ratios between methods matter to the choice, and they carry over to CPUs with wider vectors;
where memory or threads differ, ndconv/machine.py says by how much.
"""
from operator import mul

from ndconv.machine import PLAIN

CYCLE = 1 / 3e9            # seconds

# Cycles of one of each, two threads sharing them.
DIRECT = dict(pieces=2.64, strided=1.85, runs=1.15, stored=0.13, steps=0.521, calls=0.773, packed=0.284, gathered=1.11,
              across=2.04, rows=162, prepared=0.828, stages=4968)
DIRECT_BACK = dict(pieces=0.00213, runs=1.66, stored=0.369, steps=0.773, calls=0.000952, packed=0.459, gathered=1.83,
                   across=0.849, rows=116, prepared=1.33, stages=2870)
PHASES = dict(stored=0.745, steps=0.614, calls=0.629, stages=14490)
PHASE_ROWS = dict(steps=0.805, calls=23.4, stored=0.338, packed=0.062, gathered=1.03, lines=11.9, prepared=2.34, stages=5463)
GEMM = dict(clipped=6.26, planes=658, turned=0.8, strided=0.653, runs=6.13, apart=2.29, stored=0.0987, steps=0.346,
            calls=6.89, packed=1.03, gathered=0.433, lines=5.58, across=0.00518, prepared=1.28, stages=7038)
GEMM_BACK = dict(clipped=0.621, planes=380, turned=1.02e-14, strided=3.06e-14, runs=1.84, apart=4.04, stored=0.288, steps=0.513,
                 calls=11.2, packed=0.464, gathered=0.731, lines=7.73, across=1.87e-13, prepared=1.66, stages=4133)
DIRECT_GRAD = dict(steps=0.524, calls=5.92, packed=0.35, strided=0.193, weights=0.8, stages=9108)
GEMM_GRAD = dict(steps=0.724, packed=0.296, lines=13.3, strided=0.731, weights=1.08, stages=23874)
WINOGRAD = dict(calls=0.414, cells=0.069, steps=0.359, vectors=5.13, partial=3.59, turned=0.268, weights=0.0973, prepared=0.593,
                fresh=0.304, sums=1.74, chunks=0.531, apart=6.0, stages=13110)
WINOGRAD_CELLS = dict(steps=0.84, cells=10.2, weights=0.095, fresh=0.27, prepared=0.36, stages=6000)
DEPTHWISE = dict(halved=0.544, strided=1.93, rows=1.79, steps=0.569, elements=0.115, gathered=4.73, planes=111, sums=1.43e-12,
                 stages=5002)
DEPTHWISE_BACK = dict(rows=2.35, steps=0.821, elements=0.325, gathered=1.57, planes=75.9, sums=1.43e-12, stages=2394)
DEPTHWISE_GRAD = dict(halved=0.422, strided=1.17, rows=2.0, steps=0.462, elements=0.121, gathered=1.54, planes=21.7, sums=4.5,
                      stages=13869)
FFT = dict(transforms=0.336, products=0.336, traffic=0.336, spectra=0.336, across=0.925, elements=2.15, weights=3.46,
           stages=19596)
FFT_BACK = dict(transforms=0.57, products=0.57, traffic=0.57, spectra=0.57, across=0.925, elements=2.15, weights=3.46,
                stages=19596)
FFT_GRAD = dict(transforms=0.48, products=0.48, traffic=0.48, spectra=0.48, across=0.925, elements=2.15, weights=3.46,
                stages=19596)

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
