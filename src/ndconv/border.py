"""Border: what lies outside an array that is padded with anything but zeros.

Every position outside repeats a cell of the array, or is a constant, axis by axis. Methods look up where in the tables made
here (`outside_of`; pyx/ndconv/_outside.pyx) when they copy rows that leave the array, so no padded copy of it exists, and the
time is that of zeros but for the few cells that are looked up. An axis that is padded with zeros has no table. Where axes
differ, a constant replaces the other modes where both apply, and zeros come after all else.

A gradient with respect to the input is that of zeros, plus what the frame around the array would get: the frame is cut into
two strips an axis, each the input of a small problem of its own, with the outputs and taps that see it; its gradient is
added to the cells that it repeats.
"""
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from ndconv._frame import add_folded
from ndconv.dtypes import name_of
from ndconv.problem import DTYPES, as_three

MODES = ("zeros", "constant", "edge", "reflect", "symmetric", "wrap")
CACHED_TABLES = 64


def check_modes(mode, rank, value):
    """padding_mode as a tuple of one mode per axis; a constant of zero is zeros."""
    if not isinstance(mode, (str, tuple, list)):
        raise TypeError(f"padding_mode must be a string or one per spatial axis, not {mode!r}")
    modes = (mode,) * rank if isinstance(mode, str) else tuple(mode)
    if len(modes) != rank or not all(m in MODES for m in modes):
        raise ValueError(f"padding_mode must be one of {', '.join(MODES)}, or {rank} of them, one per spatial axis; got {mode!r}")
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"padding_value must be a number, not {value!r}")
    return tuple("zeros" if m == "constant" and value == 0 else m for m in modes)


def resolve_modes(mode, value, x, before, after):
    """(modes, constant) as a Problem has them: "zeros" where nothing is padded. One entry an axis everywhere."""
    modes = check_modes(mode, len(x), value)
    modes = tuple("zeros" if lo <= 0 and hi <= 0 else m for m, lo, hi in zip(modes, before, after))
    for m, size in zip(modes, x):
        if size == 0 and m not in ("zeros", "constant"):
            raise ValueError(f"padding_mode={m!r} has nothing to repeat on an axis without elements")
    return modes, float(value) if "constant" in modes else 0.0


def index_map(mode, size, first, count):
    """Where positions first <= i < first + count of an axis padded without end come from, -1 for the constant.

    >>> index_map("reflect", 3, -3, 9).tolist(), index_map("symmetric", 3, -3, 9).tolist()
    ([1, 2, 1, 0, 1, 2, 1, 0, 1], [2, 1, 0, 0, 1, 2, 2, 1, 0])
    """
    i = np.arange(first, first + count)
    if mode == "constant":
        return np.where((i >= 0) & (i < size), i, -1)
    if mode == "edge" or size == 1:
        return np.clip(i, 0, size - 1)
    if mode == "wrap":
        return i % size
    period = 2 * size if mode == "symmetric" else 2 * size - 2
    i %= period
    return np.where(i < size, i, period - i - (mode == "symmetric"))


@lru_cache(maxsize=CACHED_TABLES)
def outside_of(problem):
    """For each axis where positions -before <= i < x + after come from (see `index_map`), or None for zeros."""
    return tuple(None if mode == "zeros" else np.ascontiguousarray(index_map(mode, x, -before, before + x + after), np.intp)
                 for mode, x, before, after in zip(problem.modes, problem.x, problem.before, problem.after))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of one axis of a convolution's input, or all of it: the input of a convolution of fewer outputs and taps.

    rows, taps : slices of the outputs and taps that see it
    size, padding : its extent, and the padding with which those outputs and taps see it as they do
    runs : (place, cell, length) of places that show neighbouring cells of x
    """

    rows: slice
    taps: slice
    size: int
    padding: tuple
    runs: tuple


@dataclass(frozen=True, slots=True)
class Strip:
    """A part of the frame around x, beyond one end of one axis, as the input of a convolution of its own.

    That axis comes first of the spatial ones, so that rows are long: the others follow in the order `axes` of dy and x,
    `w_axes` of w. outputs and weights index what of dy and w sees the strip; shape, w_shape, stride, dilation and padding are
    the convolution's; runs (place, cell, length), an array an axis, say which cells of x it repeats.
    """

    outputs: tuple
    weights: tuple
    axes: tuple
    w_axes: tuple
    shape: tuple
    w_shape: tuple
    stride: tuple
    dilation: tuple
    padding: tuple
    runs: tuple

    def add(self, dx, gradient, first):
        """Adds the gradient by the strip to the cells of dx, whose spatial axes begin at `first`, that it repeats."""
        rank, lead = len(self.stride), (slice(None),) * first
        if name_of(dx.dtype) in DTYPES:
            add_folded(dx.transpose(self.axes), gradient, name_of(dx.dtype), rank, dx.ndim == rank + 2,
                       first + rank < dx.ndim, self.runs)
            return
        for box in product(*self.runs[3 - rank:]):
            cells = (*lead, *(slice(cell, cell + length) for _, cell, length in box))
            dx.transpose(self.axes)[cells] += gradient[(*lead, *(slice(place, place + length) for place, _, length in box))]


@lru_cache(maxsize=CACHED_TABLES)
def strips_of(problem, batched, last):
    """The strips of the frame that repeat cells of x. A strip of an axis holds only x's own positions of the axes before it, so
    each place is in one strip."""
    axes = [_parts(*axis) for axis in list(zip(problem.modes, problem.x, problem.k, problem.y, problem.stride, problem.dilation,
                                               problem.before))[3 - problem.rank:]]
    return tuple(_strip(problem, batched, last, axis, [*(inner for inner, _, _ in axes[:axis]), side,
                                                       *(padded for _, padded, _ in axes[axis + 1:])])
                 for axis, (_, _, sides) in enumerate(axes) for side in sides)


def _strip(problem, batched, last, axis, parts):
    rank, first = problem.rank, batched + (not last)
    order = (axis, *(other for other in range(rank) if other != axis))
    sizes, ends = tuple(parts[i].size for i in order), problem.k[3 - rank:]
    shape = (problem.n,) * batched + ((*sizes, problem.ic) if last else (problem.ic, *sizes))
    taps = tuple(slice(k - part.taps.stop, k - part.taps.start) if problem.flip else part.taps for k, part in zip(ends, parts))
    runs = [np.array(parts[i].runs, np.intp).reshape(-1, 3) for i in order]
    return Strip((slice(None),) * first + tuple(part.rows for part in parts), (..., *taps),
                 (*range(first), *(first + i for i in order), *range(first + rank, rank + 1 + batched)),
                 (0, 1, *(2 + i for i in order)), shape,
                 (problem.oc, problem.ic // problem.g, *(parts[i].taps.stop - parts[i].taps.start for i in order)),
                 tuple(problem.stride[3 - rank + i] for i in order), tuple(problem.dilation[3 - rank + i] for i in order),
                 tuple(parts[i].padding for i in order), as_three(runs, np.array([[0, 0, 1]], np.intp)))


def _parts(mode, x, k, y, stride, dilation, before):
    """(x itself, x with what repeats its cells on both sides, those sides) along an axis."""
    end = (y - 1) * stride + dilation * (k - 1) + 1 - before     # of the positions that windows see

    def part(low, high):
        """Positions low <= i < high, or None if no window sees them."""
        rows = slice(max(-(-(low + before - dilation * (k - 1)) // stride), 0), min((high - 1 + before) // stride + 1, y))
        taps = slice(max(-(-(low + before - (y - 1) * stride) // dilation), 0), min((high - 1 + before) // dilation + 1, k))
        if low >= high or rows.start >= rows.stop or taps.start >= taps.stop:
            return None
        lead = before + low - rows.start * stride - taps.start * dilation
        last = (rows.stop - rows.start - 1) * stride + (taps.stop - taps.start - 1) * dilation + 1 - (high - low) - lead
        return Part(rows, taps, high - low, (lead, last), _runs(index_map(mode, x, low, high - low).tolist()))

    inner = Part(slice(0, y), slice(0, k), x, (before, end - x), ((0, 0, x),))
    if mode in ("zeros", "constant"):
        return inner, inner, ()
    sides = part(min(-before, 0), 0), part(x, end)
    return inner, part(min(-before, 0), max(end, x)), tuple(side for side in sides if side is not None)


def _runs(cells):
    """(place, cell, length) of each stretch of neighbouring cells."""
    starts = [i for i, cell in enumerate(cells) if i == 0 or cell != cells[i - 1] + 1]
    return tuple((i, cells[i], stop - i) for i, stop in zip(starts, [*starts[1:], len(cells)]))
