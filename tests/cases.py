"""The problem grids that tests and benchmarks share: plain data, no test tool.

The first half holds small problems chosen to hit a boundary; the second half, real layers to time.
"""
import math
import zlib
from dataclasses import dataclass

import numpy as np

from ndconv.problem import RANKS as LAYOUTS


def per_axis(value, rank):
    return (value,) * rank if isinstance(value, int) else tuple(value)


def pairs(padding, rank):
    """An int, one int per axis or one (before, after) pair per axis, as pairs."""
    return tuple((p, p) if isinstance(p, int) else tuple(p) for p in per_axis(padding, rank))


def shape_in(layout, n, c, size):
    return (n, *size, c) if layout.endswith("C") else (n, c, *size)


def to_layout(a, layout):
    """A channels-first array in the memory order of layout."""
    return np.ascontiguousarray(np.moveaxis(a, 1, -1)) if layout.endswith("C") else np.ascontiguousarray(a)


def draw(name, shape, dtype, integers=False):
    """The same values at every run: normal, or integers so small that float32 sums of 60,000 products are exact.

    The first is positive so that a lone value is never zero.
    """
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape}".encode()))
    a = rng.integers(-16, 17, shape) if integers else rng.standard_normal(shape)
    if a.size:
        a.flat[0] = abs(a.flat[0]) + 1
    return a.astype(dtype)


class Spatial:
    """What has spatial extents, `size`."""

    @property
    def rank(self):
        return len(self.size)

    @property
    def layouts(self):
        return LAYOUTS[self.rank]


@dataclass(frozen=True)
class Conv(Spatial):
    name: str
    n: int
    ic: int
    oc: int
    size: tuple
    kernel: tuple
    stride: int | tuple = 1
    padding: int | tuple = 0
    dilation: int | tuple = 1
    groups: int = 1
    flip: bool = False

    @property
    def options(self):
        """The keyword arguments of ndconv's functions."""
        return dict(stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups, flip=self.flip)

    @property
    def normalised(self):
        """The keyword arguments of ndconv.reference's functions."""
        return dict(stride=self.stride, pads=pairs(self.padding, self.rank), dilation=self.dilation, groups=self.groups,
                    flip=self.flip)

    @property
    def w_shape(self):
        return (self.oc, self.ic // self.groups, *self.kernel)

    @property
    def out(self):
        axes = zip(self.size, self.kernel, per_axis(self.stride, self.rank), per_axis(self.dilation, self.rank),
                   pairs(self.padding, self.rank), strict=True)
        return tuple((i + sum(pad) - d * (k - 1) - 1) // s + 1 for i, k, s, d, pad in axes)

    def x_shape(self, layout=""):
        return shape_in(layout, self.n, self.ic, self.size)

    def y_shape(self, layout=""):
        return shape_in(layout, self.n, self.oc, self.out)

    @property
    def terms(self):
        """Products added up in one output, in one cell of dx (at most) and in one weight of dw."""
        taps = math.prod(self.kernel)
        return dict(y=self.ic // self.groups * taps, x=self.oc // self.groups * taps, w=self.n * math.prod(self.out))

    @property
    def flops(self):
        return 2 * math.prod(self.y_shape()) * self.terms["y"]

    def arrays(self, dtype, integers=False):
        """x, w, b, dy, channels-first."""
        shapes = dict(x=self.x_shape(), w=self.w_shape, b=(self.oc,), dy=self.y_shape())
        return tuple(draw(f"{self.name} {key}", shape, dtype, integers) for key, shape in shapes.items())


@dataclass(frozen=True)
class Pool(Spatial):
    name: str
    n: int
    c: int
    size: tuple
    window: int | tuple
    stride: int | tuple | None = None
    padding: int | tuple = 0
    dilation: int | tuple = 1
    ceil_mode: bool = False

    @property
    def options(self):
        return dict(stride=self.stride, padding=self.padding, dilation=self.dilation, ceil_mode=self.ceil_mode)

    @property
    def normalised(self):
        return dict(stride=self.stride, pads=pairs(self.padding, self.rank), dilation=self.dilation, ceil_mode=self.ceil_mode)

    def x_shape(self, layout=""):
        return shape_in(layout, self.n, self.c, self.size)


# Around every register tile that a kernel has or may get (output channels by lanes), with nothing and one at the bottom.
TILES = (4, 6, 8, 12, 14, 16, 32)
EDGES = tuple(sorted({0, 1, 2, 3} | {tile + step for tile in TILES for step in (-1, 0, 1)}))

TILE_EDGES = (
    *(Conv(f"oc{e}", 1, 3, e, (4, 9), (3, 3), padding=1) for e in EDGES),
    *(Conv(f"ic{e}", 1, e, 5, (5, 7), (2, 3)) for e in EDGES),
    *(Conv(f"width{e}", 1, 2, 7, (3, e), (1, 3), padding=(0, 1)) for e in EDGES if e),
    *(Conv(f"height{e}", 1, 3, 4, (e, 3), (3, 1), padding=(1, 0)) for e in EDGES if e),
    *(Conv(f"pointwise{e}", 2, 5, e, (3, e), (1, 1)) for e in EDGES if e),
    *(Conv(f"square{e}", 1, e, e, (2, e), (3, 3), padding=1) for e in EDGES if e),
    *(Conv(f"strided{e}", 1, 3, 6, (4, e), (3, 3), 2, padding=1) for e in EDGES if e),
)

GEOMETRY = (
    Conv("plain", 2, 3, 5, (8, 9), (3, 3)),
    Conv("flip", 2, 3, 5, (8, 9), (3, 2), padding=1, flip=True),
    Conv("stride2", 1, 4, 6, (11, 12), (3, 3), 2, 1),
    Conv("stride-differs", 2, 3, 4, (13, 17), (3, 4), (3, 2), (1, 2)),
    Conv("stride-beyond-kernel", 1, 3, 4, (14, 23), (2, 1), (4, 5)),
    Conv("stride4-11x11", 1, 3, 9, (31, 35), (11, 11), 4, 2),
    Conv("pointwise-stride2", 1, 8, 8, (9, 10), (1, 1), 2),
    Conv("pointwise-padded", 1, 5, 3, (4, 5), (1, 1), 1, 2),
    Conv("dilation2", 1, 4, 6, (12, 13), (3, 3), 1, 2, 2),
    Conv("dilation-differs", 1, 3, 5, (14, 15), (2, 4), 1, (0, 3), (5, 3)),
    Conv("dilation-stride", 2, 3, 4, (17, 18), (3, 3), (2, 3), 3, (2, 3)),
    Conv("dilation-wider-than-image", 1, 2, 3, (5, 6), (3, 3), 1, 7, 7),
    Conv("asymmetric", 1, 3, 4, (7, 8), (3, 4), 1, ((0, 2), (3, 1))),
    Conv("asymmetric-stride", 1, 3, 4, (9, 10), (3, 3), 2, ((2, 0), (0, 1))),
    Conv("crop", 1, 3, 5, (10, 12), (3, 3), 1, ((-1, -2), (-3, -1))),
    Conv("crop-and-pad", 2, 3, 4, (9, 11), (3, 3), (1, 2), ((-2, 3), (4, -3))),
    Conv("crop-flip-dilation", 1, 2, 3, (13, 12), (3, 2), 1, ((-1, 2), (2, -1)), (2, 3), flip=True),
    Conv("padding-beyond-kernel", 1, 2, 3, (3, 4), (3, 3), 1, (6, 5)),
    Conv("all-padding", 1, 2, 3, (2, 2), (2, 2), 3, ((4, 0), (0, 5))),
    Conv("kernel-is-image", 3, 4, 5, (5, 6), (5, 6)),
    Conv("one-cell", 1, 1, 1, (1, 1), (1, 1)),
    Conv("even-kernel", 1, 3, 4, (9, 9), (4, 6), 1, (2, 3)),
)

GROUPED = (
    Conv("groups2", 2, 6, 4, (7, 8), (3, 3), 1, 1, groups=2),
    Conv("groups3-stride", 1, 9, 12, (9, 8), (3, 2), 2, 1, groups=3),
    Conv("groups4-stride", 2, 16, 24, (13, 14), (3, 3), 2, 1, groups=4),
    Conv("groups2-pointwise-stride", 1, 24, 32, (9, 12), (1, 1), (2, 4), groups=2),
    Conv("groups4-17-each", 1, 68, 20, (4, 5), (3, 3), 1, 1, groups=4),
    Conv("depthwise", 2, 17, 17, (9, 10), (3, 3), 1, 1, groups=17),
    Conv("depthwise-stride2", 1, 33, 33, (11, 9), (3, 3), 2, 1, groups=33),
    Conv("depthwise-point", 2, 17, 17, (13, 21), (1, 1), (2, 3), groups=17),
    Conv("depthwise-9x5-stride2", 2, 9, 9, (19, 17), (9, 5), 2, (4, 2), groups=9),
    Conv("depthwise-9x9", 1, 18, 18, (21, 23), (9, 9), 1, 4, groups=18),
    Conv("depthwise-small-planes", 2, 40, 40, (7, 8), (5, 5), 1, 2, groups=40),
    Conv("depthwise-small-planes-3x3", 2, 35, 35, (7, 9), (3, 3), 2, 1, groups=35),
    Conv("depthwise-small-planes-stride-3", 1, 24, 24, (19, 22), (3, 4), 3, 1, groups=24),
    Conv("depthwise-5x5-dilation", 1, 8, 8, (13, 12), (5, 5), 1, 4, 2, groups=8),
    Conv("depthwise-wide", 1, 3, 3, (5, 70), (3, 3), 1, 1, groups=3),
    Conv("multiplier2", 1, 7, 14, (8, 9), (3, 3), 1, 1, groups=7),
    Conv("multiplier3-stride", 2, 5, 15, (9, 8), (2, 3), (2, 1), ((1, 0), (0, 1)), groups=5),
    Conv("depthwise-flip-crop", 1, 4, 4, (9, 9), (3, 3), 1, ((-1, 1), (1, -1)), groups=4, flip=True),
    Conv("depthwise-1d", 2, 19, 19, (33,), (5,), 1, 2, groups=19),
    Conv("depthwise-1d-point", 1, 20, 20, (41,), (1,), 4, groups=20),
    Conv("depthwise-3d", 1, 6, 6, (4, 5, 6), (3, 3, 3), 1, 1, groups=6),
)

ANY_RANK = (
    Conv("1d", 2, 3, 4, (17,), (3,)),
    Conv("1d-stride-dilation", 1, 4, 7, (40,), (5,), 3, ((4, 2),), 2),
    Conv("1d-crop-flip", 1, 3, 5, (21,), (4,), 1, ((-2, -3),), flip=True),
    Conv("1d-causal", 1, 5, 6, (30,), (3,), 1, ((8, 0),), 4, groups=1),
    Conv("1d-grouped", 2, 6, 8, (19,), (3,), 2, 1, groups=2),
    Conv("3d", 1, 3, 4, (5, 6, 7), (3, 3, 3), 1, 1),
    Conv("3d-stride", 2, 2, 5, (7, 6, 9), (3, 2, 3), (2, 1, 3), (1, 0, 2)),
    Conv("3d-dilation", 1, 3, 3, (9, 8, 9), (2, 3, 2), 1, ((0, 1), (2, 3), (1, 0)), (3, 2, 4)),
    Conv("3d-grouped-crop", 1, 4, 6, (6, 7, 8), (2, 2, 2), 1, ((-1, 0), (1, -1), (0, 2)), groups=2),
    Conv("3d-pointwise", 1, 6, 5, (3, 4, 5), (1, 1, 1)),
)

EMPTY = (
    Conv("no-image", 0, 3, 4, (5, 6), (3, 3), 1, 1),
    Conv("no-input-channel", 2, 0, 4, (5, 6), (3, 3), 1, 1),
    Conv("no-output-channel", 2, 3, 0, (5, 6), (3, 3), 1, 1),
    Conv("no-row", 2, 3, 4, (0, 6), (3, 3), 1, ((2, 2), (1, 1))),
    Conv("no-column", 2, 3, 4, (6, 0), (1, 1), 1, ((0, 0), (1, 2))),
    Conv("no-cell-1d", 1, 2, 3, (0,), (1,), 1, 1),
    Conv("no-channel-at-all", 1, 0, 0, (4,), (1,)),
)

# Reductions and extents past the cache blocks, where a loop over blocks takes its second and its last, partial step.
DEEP = (
    Conv("deep-pointwise", 1, 700, 9, (3, 7), (1, 1)),
    Conv("deep-3x3", 1, 130, 37, (8, 9), (3, 3), 1, 1),
    Conv("many-outputs", 1, 9, 530, (3, 5), (1, 3), 1, (0, 1)),
    Conv("many-pixels", 1, 3, 5, (67, 131), (3, 3), 1, 1),
    Conv("long-row", 1, 2, 3, (5000,), (3,), 1, 1),
    Conv("batch", 9, 6, 8, (9, 7), (3, 3), 1, 1),
    Conv("batch-of-few-channels", 8, 2, 17, (13, 21), (3, 3), 1, 1),
    Conv("batch-of-few-channels-stride", 16, 3, 32, (26, 27), (5, 5), 2, 2),
    Conv("few-channels-stride4", 2, 3, 40, (43, 150), (7, 7), 4, 3),
    Conv("few-channels-stride-dilation", 1, 2, 19, (65, 70), (5, 4), (2, 3), 4, 2),
    Conv("planes-of-pages", 1, 2, 33, (32, 32), (3, 3), 1, 1),
    Conv("batch-of-points", 35, 12, 20, (1, 1), (1, 1)),
    Conv("batch-of-specks", 21, 5, 9, (2, 3), (3, 3), 1, 1),
    Conv("dilated-channels", 1, 35, 9, (9, 40), (3, 3), 1, 7, 7),
    Conv("one-output-channel", 2, 19, 1, (7, 75), (3, 3), 1, 1),
    Conv("two-output-channels-dilated", 1, 21, 2, (6, 90), (3, 3), 1, 8, 8),
)

SPECTRAL = (
    Conv("spectral-5x5", 2, 9, 7, (20, 23), (5, 5), 1, 2),
    Conv("spectral-7x7-groups", 1, 6, 10, (19, 33), (7, 7), 1, 3, groups=2),
    Conv("spectral-15x11", 1, 3, 4, (40, 37), (15, 11), 1, (7, 5)),
    Conv("spectral-31x31", 1, 2, 2, (45, 50), (31, 31), 1, 15),
    Conv("spectral-flip", 1, 3, 2, (24, 24), (9, 9), 1, ((0, 8), (8, 0)), flip=True),
    Conv("spectral-crop", 1, 3, 2, (29, 31), (8, 6), 1, ((-3, 2), (1, -4))),
    Conv("spectral-1d", 2, 3, 4, (1009,), (129,), 1, 64),
    Conv("spectral-long-kernel", 1, 1, 2, (300,), (257,), 1, ((256, 256),)),
    Conv("spectral-3d", 1, 3, 2, (12, 13, 14), (5, 6, 7), 1, ((2, 2), (3, 2), (3, 3))),
    Conv("spectral-depthwise", 1, 5, 5, (30, 28), (13, 13), 1, 6, groups=5),
    Conv("spectral-image", 1, 1, 1, (64, 97), (21, 21), 1, 10),
    Conv("spectral-stride", 2, 5, 9, (41, 38), (9, 7), (2, 3), (4, 2)),
    Conv("spectral-stride-crop", 1, 3, 10, (40, 43), (6, 9), 2, ((-3, 4), (1, -2))),
    Conv("spectral-dilation", 2, 5, 9, (41, 38), (7, 6), 1, (6, 0), (2, 3)),
    Conv("spectral-dilation-crop", 1, 4, 4, (40, 43), (5, 5), 1, ((-3, 9), (2, -4)), (3, 2), groups=4),
    Conv("spectral-stride-dilation", 1, 2, 3, (50, 47), (7, 5), (2, 1), 6, (1, 4)),
    Conv("spectral-3d-stride", 1, 3, 9, (9, 14, 13), (5, 4, 5), 2, 1),
    Conv("spectral-1d-dilation", 1, 9, 9, (300,), (17,), 1, ((64, 0),), 4),
    Conv("spectral-parts", 2, 1, 2, (9001,), (701,), 1, 350),
    Conv("spectral-parts-crop", 1, 2, 2, (3000,), (1501,), 1, ((-7, 1200),), groups=2, flip=True),
    Conv("spectral-parts-stride", 1, 1, 1, (4000,), (900,), 3, ((500, 20),), 2),
    Conv("spectral-parts-2d", 1, 1, 1, (210, 21), (160, 5), 1, (79, 2)),
)

# Blocks of tiles: first, middle and last ones, tiles cut by an edge, one or several rows of tiles, one block or many.
TILED = (
    Conv("tiled-3x3", 2, 9, 7, (20, 23), (3, 3), 1, 1),
    Conv("tiled-wide", 1, 5, 19, (6, 203), (3, 3), 1, ((1, 0), (0, 1))),
    Conv("tiled-tall", 1, 17, 6, (121, 5), (3, 3), 1, 2),
    Conv("tiled-crop-flip", 2, 7, 9, (19, 22), (3, 3), 1, ((-1, 2), (2, -2)), flip=True),
    Conv("tiled-dilation", 2, 6, 10, (21, 20), (3, 3), 1, (2, 3), (2, 3)),
    Conv("tiled-groups", 1, 12, 15, (18, 17), (3, 3), 1, 1, groups=3),
    Conv("tiled-deep", 1, 270, 5, (9, 10), (3, 3), 1, 1),
    Conv("tiled-row", 1, 6, 20, (31, 30), (1, 3), 1, (0, 1)),
    Conv("tiled-column", 1, 6, 20, (31, 30), (3, 1), 1, (1, 0)),
    Conv("tiled-1d", 2, 12, 10, (501,), (3,), 1, 1),
    Conv("tiled-1d-dilation", 1, 5, 7, (130,), (3,), 1, ((8, 0),), 4),
    Conv("tiled-1d-rows", 2, 9, 20, (120,), (3,), 1, 3, 3),
    Conv("tiled-1d-rows-crop", 1, 8, 24, (60,), (3,), 1, ((-2, 4),), 2, groups=2),
    Conv("tiled-3d", 1, 5, 9, (7, 13, 12), (3, 3, 3), 1, 1),
    Conv("tiled-3d-plane", 1, 5, 9, (6, 9, 10), (1, 3, 3), 1, (0, 1, 1)),
    Conv("tiled-3d-plane-stride", 1, 12, 17, (8, 7, 11), (1, 3, 3), (3, 1, 1)),
    Conv("tiled-3d-plane-stride2", 1, 10, 8, (8, 5, 9), (1, 3, 3), (1, 2, 2), ((0, 1), (1, 0), (2, 0)), groups=2),
    Conv("tiled-batch", 17, 3, 5, (7, 9), (3, 3), 1, 1),
    Conv("tiled-3x3-stride2", 2, 9, 7, (20, 39), (3, 3), 2, 1),
    Conv("tiled-4x4-stride2", 1, 67, 17, (21, 18), (4, 4), 2, ((-1, 2), (1, -3)), flip=True),
    Conv("tiled-5x5-stride2", 1, 12, 15, (27, 90), (5, 5), 2, 2, groups=3),
    Conv("tiled-3d-stride2", 1, 5, 9, (4, 13, 12), (3, 3, 3), (1, 2, 2), 1),
)

# Stride and dilation with a common divisor: only every so many elements of x, from the first or not, meet a tap.
THINNED = (
    Conv("thinned-3x3", 2, 5, 20, (19, 22), (3, 3), 2, 2, 2),
    Conv("thinned-first-is-one", 1, 7, 6, (16, 17), (3, 3), 2, ((1, 2), (3, 0)), 2),
    Conv("thinned-crop-flip", 1, 3, 5, (30, 33), (4, 3), (4, 6), ((-1, 3), (-3, 2)), (2, 3), flip=True),
    Conv("thinned-one-axis", 2, 4, 9, (14, 23), (3, 4), (1, 3), ((2, 2), (1, 4)), (2, 6)),
    Conv("thinned-row", 1, 4, 9, (14, 23), (1, 3), 2, ((0, 0), (2, 2)), 2),
    Conv("thinned-depthwise", 2, 18, 18, (20, 25), (5, 5), 2, 4, 2, groups=18),
    Conv("thinned-groups", 1, 6, 12, (27, 29), (5, 5), 4, 3, 2, groups=3),
    Conv("thinned-large", 1, 3, 20, (61, 70), (9, 9), 2, 8, 2),
    Conv("thinned-1d", 2, 6, 7, (97,), (7,), 4, ((5, 1),), 4),
    Conv("thinned-3d", 1, 5, 9, (9, 13, 12), (3, 3, 3), 2, ((1, 2), (2, 2), (0, 3)), 2),
    Conv("thinned-3d-depth", 1, 4, 6, (9, 10, 11), (3, 4, 4), (3, 2, 2), (3, 1, 2), (3, 1, 1)),
)

# Strides of input gradients that gemm does by columns: a block of a few images and a last one, kernels shorter than strides.
COLUMNS = (
    Conv("columns-blocks", 3, 32, 4, (54, 56), (5, 5), 2, 2),
    Conv("columns-images", 5, 19, 40, (10, 11), (3, 4), 3, ((1, 2), (0, 1))),
    Conv("columns-zeros", 2, 24, 9, (9, 8), (1, 2), (3, 4)),
    Conv("columns-flip-crop", 1, 17, 33, (12, 13), (4, 3), (2, 3), ((-1, 2), (2, -2)), (1, 2), flip=True),
    Conv("columns-3d-groups", 2, 36, 10, (5, 6, 7), (2, 3, 3), (2, 1, 2), 1, (1, 2, 1), groups=2),
)

# Of these, the first that a method can do stands for all where any will do.
TYPICAL = (SPECTRAL[0], TILED[0], GROUPED[3])

# Large enough that a thread pool shares them out.
PARALLEL = (
    Conv("parallel-3x3", 2, 24, 40, (40, 44), (3, 3), 1, 1),
    Conv("parallel-pointwise", 1, 96, 130, (24, 31), (1, 1)),
    Conv("parallel-depthwise", 2, 48, 48, (44, 47), (3, 3), 1, 1, groups=48),
    Conv("parallel-strided", 1, 16, 48, (61, 63), (3, 3), 2, 1),
    Conv("parallel-7x7", 1, 8, 12, (60, 66), (7, 7), 1, 3),
    Conv("parallel-1d", 2, 16, 24, (1500,), (9,), 1, 4),
)

SMALL = TILE_EDGES + GEOMETRY + GROUPED + ANY_RANK + EMPTY + DEEP + SPECTRAL + TILED + THINNED + COLUMNS

POOLING = (
    Pool("2x2", 2, 3, (8, 10), 2),
    Pool("3x3-stride2", 1, 5, (11, 14), 3, 2, 1),
    Pool("3x3-stride1", 2, 4, (7, 9), 3, 1, 1),
    Pool("5x5-stride1-many-rows", 1, 2, (150, 70), 5, 1, 2),
    Pool("7x7-stride1", 2, 3, (9, 40), 7, 1, 3),
    Pool("oblong", 1, 3, (9, 17), (1, 4), (1, 3), (0, 2)),
    Pool("tall", 1, 3, (17, 9), (5, 1), (2, 1), (2, 0)),
    Pool("asymmetric", 1, 3, (9, 10), (3, 4), 2, ((0, 1), (2, 1))),
    Pool("dilation", 1, 4, (14, 13), 3, 2, 1, (2, 3)),
    Pool("ceil", 2, 3, (10, 12), 3, 2, 0, 1, True),
    Pool("ceil-padded", 1, 3, (10, 11), (3, 2), 3, 1, 1, True),
    Pool("ceil-dropped-window", 1, 2, (6, 5), 2, 3, 1, 1, True),
    Pool("stride-beyond-window", 1, 3, (13, 17), 2, 5),
    Pool("window-is-image", 2, 5, (6, 7), (6, 7)),
    Pool("13x13", 1, 3, (20, 20), 13, 1, 6),
    Pool("one-cell", 3, 2, (4, 5), 1, 1),
    Pool("no-image", 0, 3, (6, 6), 2),
    Pool("no-channel", 2, 0, (6, 6), 2),
    Pool("1d", 2, 3, (21,), 3, 2, 1),
    Pool("1d-long", 1, 2, (700,), 33, 3, 16),
    Pool("3d", 1, 3, (6, 7, 8), (2, 3, 2), (2, 1, 2), (0, 1, 1)),
    Pool("3d-ceil-dilation", 1, 2, (9, 8, 9), 2, 3, ((0, 1), (1, 0), (1, 1)), (1, 2, 1), True),
    *(Pool(f"width{e}", 1, 2, (4, e), 2, 2, (0, 1)) for e in EDGES if e),
    *(Pool(f"channels{e}", 1, e, (5, 5), 3, 2, 1) for e in EDGES if e),
    Pool("many-channels", 2, 70, (13, 11), 3, 2, 1),
    Pool("many-channels-oblong", 1, 33, (21, 20), (4, 3), (3, 2), (2, 1)),
    Pool("many-channels-dilation", 1, 20, (9, 12), (2, 3), 1, (1, 2), (3, 2)),
    Pool("many-channels-side-by-side", 1, 36, (15, 9), 3),
    Pool("many-channels-wide-windows", 2, 20, (10, 14), 7, 3, 3),
    Pool("many-channels-volume", 1, 20, (5, 6, 7), 3, 2, 1),
    Pool("plane-behind-a-plane", 1, 2, (1, 9, 40), (1, 5, 5), 1, ((0, 1), (2, 2), (2, 2))),
    Pool("row-in-padding", 1, 3, (6, 15), (1, 6), (5, 2), ((1, 0), (3, 5))),
)


def square(name, n, ic, side, oc, k, stride=1, padding=0, dilation=1, groups=1):
    return Conv(name, n, ic, oc, (side, side), (k, k), stride, padding, dilation, groups)


RESNET50 = (
    square("rn50.stem7x7s2", 1, 3, 224, 64, 7, 2, 3),
    square("rn50.c2.1x1a", 1, 64, 56, 64, 1),
    square("rn50.c2.3x3", 1, 64, 56, 64, 3, 1, 1),
    square("rn50.c2.1x1b", 1, 64, 56, 256, 1),
    square("rn50.c3.3x3s2", 1, 128, 56, 128, 3, 2, 1),
    square("rn50.c3.3x3", 1, 128, 28, 128, 3, 1, 1),
    square("rn50.c3.1x1", 1, 128, 28, 512, 1),
    square("rn50.c3.ds1x1s2", 1, 256, 56, 512, 1, 2),
    square("rn50.c4.3x3", 1, 256, 14, 256, 3, 1, 1),
    square("rn50.c4.1x1", 1, 1024, 14, 256, 1),
    square("rn50.c5.3x3", 1, 512, 7, 512, 3, 1, 1),
    square("rn50.c5.1x1", 1, 512, 7, 2048, 1),
)
VGG16 = (
    square("vgg.1_1", 1, 3, 224, 64, 3, 1, 1),
    square("vgg.1_2", 1, 64, 224, 64, 3, 1, 1),
    square("vgg.2_2", 1, 128, 112, 128, 3, 1, 1),
    square("vgg.3_2", 1, 256, 56, 256, 3, 1, 1),
    square("vgg.4_2", 1, 512, 28, 512, 3, 1, 1),
    square("vgg.5_2", 1, 512, 14, 512, 3, 1, 1),
)
BATCHES = (
    square("b16.c2.3x3", 16, 64, 56, 64, 3, 1, 1),
    square("b16.c4.3x3", 16, 256, 14, 256, 3, 1, 1),
    square("b16.c4.1x1", 16, 1024, 14, 256, 1),
    square("b32.cifar3x3", 32, 32, 32, 32, 3, 1, 1),
    square("b128.mnist5x5", 128, 1, 28, 16, 5, 1, 2),
)
DEPTHWISE = (
    square("dw.3x3.112", 1, 32, 112, 32, 3, 1, 1, groups=32),
    square("dw.3x3s2.112", 1, 96, 112, 96, 3, 2, 1, groups=96),
    square("dw.3x3.14", 1, 576, 14, 576, 3, 1, 1, groups=576),
    square("dw.5x5.28", 1, 240, 28, 240, 5, 1, 2, groups=240),
    square("dw.7x7.56", 1, 96, 56, 96, 7, 1, 3, groups=96),
    square("dw.31x31.28", 1, 256, 28, 256, 31, 1, 15, groups=256),
)
LARGE_KERNELS = (
    square("k5.64.56", 1, 64, 56, 64, 5, 1, 2),
    square("k7.64.56", 1, 64, 56, 64, 7, 1, 3),
    square("k11.64.56", 1, 64, 56, 64, 11, 1, 5),
    square("k15.32.64", 1, 32, 64, 32, 15, 1, 7),
    square("k31.16.128", 1, 16, 128, 16, 31, 1, 15),
    square("alex.11x11s4", 1, 3, 227, 96, 11, 4),
    square("dil2.3x3.256", 1, 256, 33, 256, 3, 1, 2, 2),
    square("dil12.3x3.256", 1, 256, 33, 256, 3, 1, 12, 12),
    square("grp32.3x3", 1, 256, 28, 256, 3, 1, 1, groups=32),
)
IMAGES = tuple(square(f"img1k.{k}", 1, 1, 1024, 1, k, 1, k // 2) for k in (3, 7, 15, 31, 63))
SIGNALS = (
    Conv("audio.k3", 1, 64, 64, (16000,), (3,), 1, 1),
    Conv("audio.k3d64", 1, 64, 64, (16000,), (3,), 1, 64, 64),
    Conv("mel.k3", 1, 80, 512, (3000,), (3,), 1, 1),
    Conv("signal.k129", 1, 1, 1, (480000,), (129,), 1, 64),
)
VOLUMES = (
    Conv("vol.32", 1, 32, 32, (32, 32, 32), (3, 3, 3), 1, 1),
    Conv("vol.16", 1, 16, 16, (64, 64, 64), (3, 3, 3), 1, 1),
    Conv("vol.stem", 1, 3, 64, (32, 32, 32), (3, 3, 3), 1, 1),
)
LAYERS = dict(resnet50=RESNET50, vgg16=VGG16, batches=BATCHES, depthwise=DEPTHWISE, large_kernels=LARGE_KERNELS,
              images=IMAGES, signals=SIGNALS, volumes=VOLUMES)

POOL_LAYERS = (
    Pool("rn50.3x3s2", 1, 64, (112, 112), 3, 2, 1),
    Pool("vgg.2x2s2", 1, 64, (224, 224), 2, 2),
    Pool("b16.2x2s2", 16, 64, (56, 56), 2, 2),
    Pool("inc.3x3s1", 1, 192, (28, 28), 3, 1, 1),
    Pool("spp.13x13s1", 1, 512, (20, 20), 13, 1, 6),
)
