"""Border: what lies outside an array that is padded with anything but zeros.

Every position outside repeats a cell of the array, or is a constant, axis by axis. Methods look up where in the tables made
here (`outside_of`; pyx/ndconv/_outside.pyx) when they copy rows that leave the array, so no padded copy of it exists, and the
time is that of zeros but for the few cells that are looked up. An axis that is padded with zeros has no table. Where axes
differ, a constant replaces the other modes where both apply, and zeros come after all else.

A gradient with respect to the input is that of a wider input, the array with the frame that repeats its cells, whose frame is
then folded in (pyx/ndconv/_frame.pyx): what a place of it has got is added to the cell that it repeats. The result is the
middle of the wider array, so no second array exists. Where an axis is periodic, with as many results as x has elements, so is its
gradient: a convolution of dy with the rotated kernel under the same mode, which needs no frame.
"""
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ndconv._frame import Frame

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
    """For each axis None, or where positions low <= i of the input come from, as (low, `index_map`). The input of a gradient is
    dy, whose axes have as many positions as those of x and are padded for the rotated kernel."""
    before, after = problem.before, problem.after
    if problem.reversed:
        before, after = (tuple(d * (k - 1) - pad for d, k, pad in zip(problem.dilation, problem.k, side))
                         for side in (before, after))
    return tuple(None if mode == "zeros" else (-lo, np.ascontiguousarray(index_map(mode, x, -lo, lo + x + hi), np.intp))
                 for mode, x, lo, hi in zip(problem.modes, problem.x, before, after))


def gradient_problem(problem, batched=True, last=False):
    """(what a gradient with respect to a bordered x computes, the Frame to be folded in or None)."""
    if all(s == 1 and (m in ("zeros", "constant") or (m == "wrap" and y == x))
           for s, m, x, y in zip(problem.stride, problem.modes, problem.x, problem.y)):
        return replace(problem, modes=tuple("wrap" if m == "wrap" else "zeros" for m in problem.modes), fill=0.0), None
    return framed(problem, batched, last)


def framed(problem, batched=True, last=False):
    """The same, with a frame also where the gradient is periodic."""
    axes = tuple(_framed_axis(*axis) for axis in zip(problem.modes, problem.x, problem.k, problem.y, problem.stride,
                                                     problem.dilation, problem.before))
    x = tuple(len(cells) for _, cells in axes)
    before = tuple(before - start for before, (start, _) in zip(problem.before, axes))
    after = tuple(sum(old) - wide - lead for *old, wide, lead in zip(problem.x, problem.before, problem.after, x, before))
    wide = replace(problem, x=x, before=before, after=after, modes=("zeros",) * 3, fill=0.0)
    return wide, None if x == problem.x else Frame(problem, batched, last, axes)


def _framed_axis(mode, x, k, y, stride, dilation, before):
    """(where x begins, which position each one repeats)"""
    if mode in ("zeros", "constant"):
        return 0, np.arange(x)
    end = (y - 1) * stride + dilation * (k - 1) + 1 - before     # of the positions that windows see
    start = max(before, 0)
    return start, np.ascontiguousarray(index_map(mode, x, -start, start + max(end, x)) + start, np.intp)
