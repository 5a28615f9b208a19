"""What the counts of methods have in common: register tiles, the forward problems of a gradient, taps that count.

The rules follow the loops in pyx/ndconv, which are named where they are mirrored; ndconv/cost.py counts with them.
"""
import math
from typing import NamedTuple

from ndconv.stages import alike

LEAST_ROWS = 4             # fewer rows than this wait for the multiply-adds before them
HIGHEST = 10               # rows of tiles of one vector
LONG = 31                  # taps of an axis beyond which nobody asks how many lie in padding


def up(a, b):
    return -(-a // b)


class Tile(NamedTuple):
    """The register tile: lanes of a vector, rows, lanes of a row."""

    lanes: int
    rows: int
    panel: int


def tile_of(problem, module):
    """That of the kernels which the method of a module takes for the problem."""
    return Tile._make(module.METHOD.tile(problem))


def geometries(problem):
    """[(input channels of a group, output channels, input, output, kernel, stride, how many)] of the forward problems."""
    ic, oc = problem.ic // problem.g, problem.oc // problem.g
    if problem.op == "forward":
        return [(ic, oc, problem.x, problem.y, problem.k, problem.stride, 1)]
    return [(oc, ic, stage.x, stage.y, stage.k, stage.stride, times) for stage, times in alike(problem)]


def vectors_hold_oc(problem, tile, ic, oc, y, k, stride, joined=False):
    """The rule of use_lanes_oc in pyx/ndconv/_pack.pyx."""
    if problem.lanes_oc:
        return oc >= 4
    row = math.prod(y) if joined else y[2]
    least = max(3 * row, 64) if stride[2] > 1 and k[2] > 1 else max(7 * row, 200)
    return row <= 8 * tile.lanes and oc >= tile.lanes and ic * math.prod(k) >= least


def tiles_of_rows(along, across, tile):
    """(tiles, rows a step costs) of `along` rows by `across` vectors' lanes; tiles of one vector are higher."""
    if across <= tile.lanes:
        count = up(along, max(tile.rows, HIGHEST))
        return count, max(along / max(count, 1) * tile.lanes / tile.panel, LEAST_ROWS)
    count = up(along, tile.rows)
    return count * up(across, tile.panel), max(along / max(count, 1), LEAST_ROWS)


def tiles_of_pixels(oc, x, y, stride, reach, tile):
    """`tiles_of_rows` of a row of pixels: tiles run across row ends where that wastes less than parts of vectors at the ends."""
    count = up(oc, tile.rows)
    vectors = min(vectors_of_rows(x, y, stride, reach, tile))
    return count * vectors * tile.lanes / tile.panel, max(oc / max(count, 1), LEAST_ROWS)


def vectors_of_rows(x, y, stride, reach, tile):
    """Vectors of a row of results whose kernel reaches so far: where tiles end with it, and where they run across its end."""
    pitch = max(up(x[2], stride[2]), y[2] + reach // stride[2])
    return up(y[2], tile.lanes), (up((y[1] - 1) * pitch + y[2], tile.lanes) + 1) / max(y[1], 1)


def thinned(problem, x, y, k, stride):
    """The input and strides that are left by the rule of thinned in pyx/ndconv/_direct_plan.pyx."""
    if max(stride) == 1 or 1 not in k:
        return x, stride
    seen = [(o, 1) if t == 1 and s > 1 and p == 0 and (o - 1) * s < i else (i, s)
            for i, o, t, s, p in zip(x, y, k, stride, problem.before, strict=True)]
    return tuple(zip(*seen, strict=True))


def live_share(problem, y, k, axes=3):
    """The share of a kernel's taps that see the array and not its padding, along the first axes; of a gradient, that see a
    result."""
    share = 1.0
    for o, i, t, s, d, p in list(zip(y, problem.x, k, problem.stride, problem.dilation, problem.before, strict=True))[:axes]:
        if 1 < t <= LONG and o:
            seen = 0
            for first in range(-p, t * d - p, d):   # where a tap's first product lies
                seen += max(min(-((first - i) // s), o) - max(-(first // s), 0), 0)
            share *= seen / ((i if problem.reversed else o) * t)
    return share


def zeroed(problem):
    """Results that no tap reaches, or that are written apart from their neighbours."""
    return problem.n * problem.ic * math.prod(problem.x) if problem.reversed and max(problem.stride) > 1 else 0
