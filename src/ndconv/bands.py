"""Which cells of an axis a position takes: tables (first cell, count, weights or None), one entry or row a position.

Counts are at least 0, first cells and ends never decrease, and so the transpose of a table is a table again: the positions that
take a cell follow each other.
"""
import numpy as np


def adaptive_bands(cells, positions):
    """PyTorch's bins: position o takes the cells from floor(o*cells/positions) to ceil((o + 1)*cells/positions) - 1."""
    o = np.arange(positions, dtype=np.intp)
    first = o * cells // positions
    return first, -(-(o + 1) * cells // positions) - first, None


def mean_bands(bands):
    """The same cells, each of n of them weighing 1/n."""
    first, count, _ = bands
    inside = np.arange(max(1, count.max(initial=1))) < count[:, None]
    return first, count, inside / np.maximum(count, 1)[:, None]


def nearest_bands(cells, positions, scale):
    """Position o takes the cell floor(o / scale), or floor(o * cells / positions) without a scale."""
    o = np.arange(positions, dtype=np.intp)
    first = o * cells // positions if scale is None else np.floor(o / scale).astype(np.intp)
    return np.minimum(first, cells - 1), np.ones(positions, np.intp), np.ones((positions, 1))


def linear_bands(cells, positions, scale, align_corners):
    """Position o lies at s*(o + 1/2) - 1/2, s = 1/scale or cells/positions, at 0 at least; with align_corners at
    o*(cells - 1)/(positions - 1). It takes the cells on either side, weighted by nearness; a cell of weight 0 is not taken."""
    o = np.arange(positions, dtype=np.float64)
    if align_corners:
        at = o * (cells - 1) / max(positions - 1, 1)
    else:
        at = np.maximum((o + 0.5) * (cells / positions if scale is None else 1 / scale) - 0.5, 0)
    at = np.minimum(at, cells - 1)
    first = np.floor(at).astype(np.intp)
    far = at - first
    return first, np.where(far > 0, 2, 1).astype(np.intp), np.stack([1 - far, far], 1)


def transposed(bands, cells):
    """The table by which each of `cells` cells takes the positions that take it, with their weights (1 where there are none)."""
    first, count, weights = bands
    position = np.repeat(np.arange(len(first), dtype=np.intp), count)
    tap = np.arange(len(position)) - np.repeat(np.cumsum(count) - count, count)
    cell = first[position] + tap
    taken = np.bincount(cell, minlength=cells).astype(np.intp)
    start = np.zeros(cells, np.intp)
    start[cell[::-1]] = position[::-1]  # the first position of each cell is written last
    back = np.zeros((cells, max(1, taken.max(initial=1))))
    back[cell, position - start[cell]] = 1 if weights is None else weights[position, tap]
    return start, taken, back


def as_three_tables(tables):
    """Three tables, led by those of axes with one cell: weighted as the others are."""
    one = np.zeros(1, np.intp), np.ones(1, np.intp), None if tables[0][2] is None else np.ones((1, 1))
    return (one,) * (3 - len(tables)) + tuple(tables)
