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
DIRECT = dict(lines=21, pieces=1.05, strided=1.98, runs=4.06, stored=0.117, steps=0.686, calls=1.23, packed=0.341,
              gathered=7.33, across=1.57, rows=49.6, prepared=0.354, stages=3270)
DIRECT_BACK = dict(lines=6.54, pieces=0.00213, runs=4.77, stored=0.296, steps=0.986, calls=0.000952, packed=0.952,
                   gathered=2.12, across=0.778, rows=130, prepared=0.158, stages=804)
PHASES = dict(stored=1.07, steps=0.549, calls=0.63, stages=6360)
PHASE_ROWS = dict(steps=0.947, calls=33.3, stored=0.325, packed=0.113, gathered=0.777, lines=4.5, prepared=3.48,
                  stages=4220)
GEMM = dict(clipped=0.413, planes=54.7, turned=1.07, strided=2.34, runs=4.89, apart=6.35, stored=0.0282, steps=0.589,
            calls=2.5, packed=1.27, gathered=0.304, lines=27.6, across=0.00518, prepared=0.708, stages=3750)
GEMM_BACK = dict(clipped=0.621, planes=795, turned=1e-06, strided=1e-06, runs=4.31, apart=3.17, stored=0.0706, steps=0.721,
                 calls=11.8, packed=1.21, gathered=0.467, lines=2.09, across=1e-06, prepared=0.681, stages=2810)
DIRECT_GRAD = dict(steps=0.557, calls=6.45, packed=0.118, strided=0.0477, weights=0.337, stages=3660)
GEMM_GRAD = dict(steps=0.784, packed=0.568, lines=12.3, strided=0.785, weights=0.27, stages=7730)
WINOGRAD = dict(dilated=10, parts=0.134, strided=1.25, calls=0.735, cells=0.101, steps=0.226, vectors=4.73, partial=6.34,
                turned=1.42, weights=0.189, prepared=0.718, fresh=0.284, sums=2.54, chunks=0.31, apart=1.49, stages=26100)
WINOGRAD_CELLS = dict(steps=0.61, cells=17.7, weights=0.102, fresh=0.496, prepared=0.528, stages=7590)
DEPTHWISE = dict(pixels=1.37, lines=7.3, halved=0.698, strided=3.35, rows=1.55, steps=0.882, elements=0.128, gathered=2.09,
                 planes=297, sums=1e-06, stages=928)
DEPTHWISE_BACK = dict(pixels=0.922, lines=17.6, rows=0.822, steps=1.32, elements=0.242, gathered=1.23, planes=46.8, sums=1e-06,
                      stages=2380)
DEPTHWISE_GRAD = dict(pixels=0.618, lines=36.2, halved=0.372, strided=0.761, rows=1.11, steps=0.768, elements=0.0966,
                      gathered=1.48, planes=7.41, sums=10.9, stages=8300)
FFT = dict(transforms=0.19, products=0.662, traffic=0.0949, spectra=0.823, across=4.56, elements=3.67, weights=3.46,
           stages=47800)
FFT_BACK = dict(transforms=0.982, products=0.902, traffic=0.554, spectra=0.986, across=4.37, elements=2.38, weights=3.46,
                stages=35700)
FFT_SINGLE = dict(groups=0.711, transforms=1.33, products=0.716, traffic=0.288, spectra=1.26, across=1.12, elements=3.25,
                  weights=3.46, stages=41300)
FFT_GRAD = dict(transforms=0.713, products=0.825, traffic=0.0936, spectra=0.48, across=0.143, elements=2.05, weights=1.34,
                stages=23100)

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
