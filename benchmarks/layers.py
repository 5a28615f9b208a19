"""Random problems from the space of real layers, filters and signals: what selection is judged and fitted on.

Ranks 1 to 3, kernels 1 to 63, strides 1 to 4, dilation, groups, depthwise, one-channel images, batches of 1 to 64, both dtypes
and layouts; forward through a plan or a call, and both gradients. The same seed gives the same problems.
"""
import math
import random
from dataclasses import asdict, dataclass

from ndconv import bench_cases
from ndconv.plan import make_problem
from ndconv.problem import DTYPES, RANKS

USES = ("plan", "call", "input_grad", "weight_grad")
SIZES = {1: (64, 500, 4000, 48000, 480000), 2: (7, 13, 14, 28, 53, 56, 112, 224, 640), 3: (8, 16, 32, 48)}
OPERATIONS, BYTES = (1e4, 2e9), 2e8


@dataclass(frozen=True)
class Layer:
    """One problem: `use` says how it is asked for; spatial axes are alike."""

    use: str
    rank: int
    n: int
    ic: int
    oc: int
    g: int
    size: int
    k: int
    stride: int
    dilation: int
    dtype: str
    layout: str

    @property
    def padding(self):
        return ((self.k - 1) * self.dilation + 1) // 2

    @property
    def x_shape(self):
        space = (self.size,) * self.rank
        return (self.n, *space, self.ic) if self.layout.endswith("C") else (self.n, self.ic, *space)

    @property
    def w_shape(self):
        return (self.oc, self.ic // self.g, *(self.k,) * self.rank)

    @property
    def options(self):
        return dict(stride=self.stride, dilation=self.dilation, padding=self.padding, groups=self.g, layout=self.layout)

    @property
    def problem(self):
        op = "forward" if self.use in ("plan", "call") else self.use
        return make_problem(op, self.x_shape, self.w_shape, self.dtype, self.stride, self.padding, self.dilation, self.g, False,
                            self.layout)[0]

    def __str__(self):
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


def layers(seed, count):
    """`count` layers of OPERATIONS operations and at most BYTES bytes."""
    pick = random.Random(seed).choice
    found = []
    while len(found) < count:
        rank = pick((1, 2, 2, 2, 2, 3))
        k = pick((1, 1, 3, 3, 3, 3, 5, 7, 9, 11, 15, 31, 63) if rank < 3 else (1, 3, 3, 5, 7))
        ic, oc, g = pick((3, 8, 16, 32, 64, 67, 128, 256, 512)), pick((8, 16, 32, 64, 128, 131, 256, 512, 1000)), 1
        size, kind = pick(SIZES[rank]), pick(("dense", "dense", "dense", "dense", "depthwise", "grouped", "image", "first"))
        if kind == "depthwise":
            g = ic = oc = pick((16, 32, 96, 240, 576))
        elif kind == "grouped":
            g = pick((2, 4, 32))
            ic, oc = g * pick((2, 4, 8, 16)), g * pick((4, 8, 16))
        elif kind == "image":
            ic, oc = pick((1, 3)), pick((1, 1, 8))
        elif kind == "first":
            rank, ic, oc, k, size = 2, 3, pick((32, 64, 96)), pick((3, 3, 5, 7, 7, 11)), pick((32, 112, 224, 227))
        layer = Layer(pick(USES), rank, pick((1, 1, 1, 4, 16, 64)), ic, oc, g, size, k, pick((1, 1, 1, 2, 2, 4)),
                      pick((1, 1, 1, 1, 2, 4)), pick((*DTYPES, DTYPES[0])), pick(RANKS[rank]))
        reach = (k - 1) * layer.dilation + 1
        if reach > 2 * layer.size:
            continue
        operations = layer.problem.flops
        numbers = math.prod(layer.x_shape) + math.prod(layer.w_shape) + operations // (2 * ic // g * k**rank)
        if OPERATIONS[0] < operations < OPERATIONS[1] and 8 * numbers < BYTES:
            found.append(layer)
    return found


def networks():
    """The square layers of bench_cases that are padded as a Layer is, in both layouts, with both gradients."""
    found = []
    for case in bench_cases.LAYERS:
        alike = [Layer(use, case.rank, case.n, case.ic, case.oc, case.groups, case.size[0], case.k, case.stride, case.dilation,
                       "float32", layout)
                 for layout in RANKS[case.rank] for use in ("plan", "input_grad", "weight_grad")]
        if len(set(case.size)) == 1 and alike[0].padding == case.padding:
            found += alike
    return found
