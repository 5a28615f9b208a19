"""Border: what lies outside an array that is padded with anything but zeros, without a padded copy of it.

The outputs of a convolution are cut into boxes. Windows that lie wholly inside the array are one box, a plain problem on the
array in place. On each axis the windows before and after it meet padding; the inputs of such a slab, about as thick as the
kernel, are gathered through an index map into a small array, and the same problem is solved on that. A slab of an axis holds
only the inner positions of the axes before it and all positions of those after it, so a problem of rank r has at most 2r + 1
boxes. Every method therefore knows every mode, and the memory it takes is that of one slab. Gradients run the same way
backwards: what a slab says of its gathered inputs is added to where they came from.

Axes that are padded with zeros are not cut: methods pad with zeros by themselves, after all else. A constant replaces the
other modes where both apply.
"""
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MODES = ("zeros", "constant", "edge", "reflect", "symmetric", "wrap")


@dataclass(frozen=True, slots=True)
class Box:
    """A box of outputs, low <= i < high an axis, as a problem with padding of its own.

    index : for each spatial axis the inputs that it takes, -1 for the constant, or None for all of them in place
    """

    low: tuple
    high: tuple
    index: tuple
    padding: tuple

    def outputs(self, y, first):
        """The box of y, whose spatial axes begin at `first`."""
        return y[(slice(None),) * first + tuple(map(slice, self.low, self.high))]

    def inputs(self, x, first, value):
        """What the box sees of x."""
        for axis, index in enumerate(self.index, first):
            if index is None:
                continue
            x = np.take(x, index, axis, mode="clip")
            if index.min() < 0:
                x[(slice(None),) * axis + (index < 0,)] = value
        return x

    def shape(self, x_shape, first):
        """Of `inputs`."""
        spatial = [size if index is None else len(index) for index, size in zip(self.index, x_shape[first:])]
        return (*x_shape[:first], *spatial, *x_shape[first + len(spatial):])

    def scatter(self, dx, part, first):
        """Adds the gradient `part` by the box's inputs to dx; each sum in the order of the index."""
        *rest, (axis, index) = [pair for pair in enumerate(self.index, first) if pair[1] is not None]
        if rest:
            # undo the last axis alone, then the others
            whole = np.zeros((*part.shape[:axis], dx.shape[axis], *part.shape[axis + 1:]), dx.dtype)
            _add_along(whole, part, axis, index)
            Box(self.low, self.high, (*self.index[:axis - first], *(None,) * (len(self.index) - axis + first)), ()).scatter(
                dx, whole, first)
        else:
            _add_along(dx, part, axis, index)


def _add_along(to, part, axis, index):
    to, part = np.moveaxis(to, axis, 0), np.moveaxis(part, axis, 0)
    for source, row in zip(index.tolist(), part):
        if source >= 0:
            to[source] += row


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


@lru_cache(maxsize=64)
def boxes_of(problem, modes):
    """The boxes of a convolution (ndconv.problem.Problem) whose axes are padded by `modes`; the inner one, if any, first."""
    axes = []
    for axis, mode in zip(range(3 - problem.rank, 3), modes):
        axes.append(_cuts(mode, *(geometry[axis] for geometry in (
            problem.x, problem.k, problem.y, problem.stride, problem.dilation, problem.before, problem.after))))
    boxes = []
    for axis, (_, slabs, _) in enumerate(axes):
        for slab in slabs:
            boxes.append([inner for inner, _, _ in axes[:axis]] + [slab] + [whole for _, _, whole in axes[axis + 1:]])
    boxes.insert(0, [inner for inner, _, _ in axes])
    return tuple(Box(*zip(*box)) for box in boxes if None not in box)


def _cuts(mode, x, k, y, stride, dilation, before, after):
    """(the inner part or None, the slabs, everything) of one axis, each as (low, high, index, padding) of a box."""
    whole = (0, y, None, (before, after))
    if mode == "zeros" or (before <= 0 and after <= 0):
        return whole, (), whole
    if x == 0 and mode != "constant":
        raise ValueError(f"padding_mode={mode!r} has nothing to repeat on an axis without elements")
    reach = dilation * (k - 1) + 1

    def slab(low, high):
        first = low * stride - before
        return low, high, index_map(mode, x, first, (high - 1 - low) * stride + reach), (0, 0)

    low = min(max(-(-before // stride), 0), y)
    high = min(max((x - reach + before) // stride + 1, low), y)
    if low == high:
        return None, (slab(0, y),), slab(0, y)
    inner = (low, high, None, (before - low * stride, (high - 1) * stride + reach - before - x))
    return inner, tuple(slab(*ends) for ends in ((0, low), (high, y)) if ends[0] < ends[1]), slab(0, y)


def convolve_boxes(run, boxes, x, y, residual, first, value):
    """Fills y: run(inputs, padding, out, its part of the residual) solves one box."""
    for box in boxes:
        added = None if residual is None else box.outputs(residual, first)
        run(box.inputs(x, first, value), box.padding, box.outputs(y, first), added)


def gather_input_grad(run, boxes, dy, dx, first):
    """Fills dx: run(dy, shape of the inputs, padding, out) returns the gradient by the inputs of one box."""
    if any(index is not None for index in boxes[0].index):
        dx[...] = 0
    for box in boxes:
        part = box.outputs(dy, first)
        if all(index is None for index in box.index):
            run(part, dx.shape, box.padding, dx)
        else:
            box.scatter(dx, run(part, box.shape(dx.shape, first), box.padding, None), first)


def sum_weight_grad(run, boxes, dy, x, first, value):
    """The sum of run(dy, inputs, padding), the gradients of the boxes by the weights."""
    return sum(run(box.outputs(dy, first), box.inputs(x, first, value), box.padding) for box in boxes)
