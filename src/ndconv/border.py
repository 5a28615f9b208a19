"""Border: what lies outside an array that is padded with anything but zeros.

Every position outside repeats a cell of the array, or is a constant, axis by axis. Methods look up where in the tables made
here (`outside_of`; pyx/ndconv/_outside.pyx) when they copy rows that leave the array, so no padded copy of it exists, and the
time is that of zeros but for the few cells that are looked up. An axis that is padded with zeros has no table. Where axes
differ, a constant replaces the other modes where both apply, and zeros come after all else.

A gradient with respect to the input is that of a wider input, the array with the frame that repeats its cells, whose frame is
then folded in (pyx/ndconv/_frame.pyx): what a place of it has got is added to the cell that it repeats. The result is the
middle of the wider array, so no second array exists. Where an axis is periodic, with as many results as x has elements, so is its
gradient: a convolution of dy with the rotated kernel under the same mode (`periodic`), which needs no frame.
"""
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ndconv._frame import Frame
from ndconv.problem import DTYPES, Problem

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


def check_transposed(mode, rank):
    """ValueError unless padding_mode is zeros: what a transposed convolution is padded with is cropped from its result."""
    if any(m != "zeros" for m in check_modes(mode, rank, 0)):
        raise ValueError(f"padding_mode must be 'zeros' for a transposed convolution, whose padding crops the result: nothing "
                         f"lies outside; got {mode!r}. The transpose of conv with padding_mode is conv_input_grad with it")


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


class Widened(NamedTuple):
    """A gradient with respect to x and the frame around it that repeats its cells.

    problem : the gradient problem, with padding of zeros
    padding, shape : its padding as conv_input_grad takes it, and its result's
    axes : (start, cells) of each spatial axis, where x begins and which position each one repeats
    middle : where x lies in the result
    frame : which is folded in
    """

    problem: Problem
    padding: tuple
    shape: tuple
    axes: tuple
    middle: tuple
    frame: Frame


@lru_cache(maxsize=CACHED_TABLES)
def widened(problem, batched=True, last=False):
    """The Widened problem of a bordered one."""
    axes = tuple(_widened_axis(*axis) for axis in zip(problem.modes, problem.x, problem.k, problem.y, problem.stride,
                                                      problem.dilation, problem.before))
    x = tuple(len(cells) for _, cells in axes)
    before = tuple(before - start for before, (start, _) in zip(problem.before, axes))
    after = tuple(sum(old) - wide - lead for *old, wide, lead in zip(problem.x, problem.before, problem.after, x, before))
    wide = replace(problem, op="input_grad", x=x, before=before, after=after, modes=("zeros",) * 3, fill=0.0)
    skip = 3 - problem.rank
    axes, size, first = axes[skip:], problem.x[skip:], (slice(None),) * (batched + (not last))
    channels = (problem.ic,)
    return Widened(wide, tuple(zip(before, after))[skip:],
                   (problem.n,) * batched + (x[skip:] + channels if last else channels + x[skip:]), axes,
                   first + tuple(slice(start, start + extent) for (start, _), extent in zip(axes, size)),
                   Frame(problem.rank, batched, last, axes, size))


@lru_cache(maxsize=CACHED_TABLES)
def periodic(problem):
    """The forward Problem, from dy to dx, of a gradient whose axes are periodic or padded with zeros; None if it is another."""
    if any(s > 1 or m not in ("zeros", "constant", "wrap") or (m == "wrap" and y != x)
           for s, m, x, y in zip(problem.stride, problem.modes, problem.x, problem.y)):
        return None
    before, after = (tuple(d * (k - 1) - pad for d, k, pad in zip(problem.dilation, problem.k, side))
                     for side in (problem.before, problem.after))
    return replace(problem, op="forward", ic=problem.oc, oc=problem.ic, x=problem.y, y=problem.x, before=before, after=after,
                   flip=not problem.flip, modes=tuple("wrap" if m == "wrap" else "zeros" for m in problem.modes), fill=0.0)


def _widened_axis(mode, x, k, y, stride, dilation, before):
    if mode in ("zeros", "constant"):
        return 0, np.arange(x)
    end = (y - 1) * stride + dilation * (k - 1) + 1 - before     # of the positions that windows see
    start = max(before, 0)
    return start, np.ascontiguousarray(index_map(mode, x, -start, start + max(end, x)) + start, np.intp)


def fold(padded, wide, threads):
    """Adds every place of the frame of a Widened gradient to the cell that it repeats; returns the middle."""
    if wide.problem.dtype in DTYPES:
        wide.frame.fold(padded, threads)
        return padded[wide.middle]
    first = len(wide.middle) - len(wide.axes)
    for axis, (_, cells) in enumerate(wide.axes, first):
        part = np.moveaxis(padded[wide.middle[:axis]], axis, 0)     # of x's own positions of the axes before this one
        for place in np.flatnonzero(cells != np.arange(len(cells))):
            part[cells[place]] += part[place]
    return padded[wide.middle]
