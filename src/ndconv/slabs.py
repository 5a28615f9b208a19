"""Slabs: a convolution of arrays whose dtype no method computes in, a part of the result at a time.

    for each slab of the result                  (some images, or a box of positions of one image)
        inputs of the slab, converted            (the only copy there is; it stays in the last cache)
        a plain problem on them, by any method   (with the padding that this slab sees)
        its result, converted, to its place

A slab's converted inputs and results are SLAB_BYTES together, unless a single position along every axis takes more. Inputs
that two neighbouring slabs need are converted twice, so slabs are cut along the first axis as long as they keep LEAST
positions of it: with half as many bytes, layers of 64 channels and 224 columns take up to a third longer. Slabs are cut by the
problem alone: the bits do not depend on threads.
"""
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from ndconv._convert import Workspace
from ndconv._runtime import get_num_threads
from ndconv.arguments import check_out, check_residual, deliver, result_array, result_shape
from ndconv.border import framed, index_map
from ndconv.dtypes import name_of
from ndconv.plan import cached_plan, make_problem
from ndconv.problem import as_three
from ndconv.select import explain_problem

SLAB_BYTES = 16 * 2**20
LEAST = 16


@dataclass(frozen=True, slots=True)
class Slab:
    """Images, and for each spatial axis the results, the inputs that they take (a slice, or where each comes from if the axis is
    padded with other than zeros, see border.index_map), and the padding of that problem; the constant that lies outside."""

    images: slice
    results: tuple
    inputs: tuple
    padding: tuple
    fill: float

    def result(self, y, batched, last):
        return _part(y, self.images, self.results, batched, last)

    def input(self, x, batched, last):
        whole = tuple(part if isinstance(part, slice) else slice(None) for part in self.inputs)
        x = _part(x, self.images, whole, batched, last)
        for axis, part in enumerate(self.inputs, batched + (not last)):
            if not isinstance(part, slice):
                x = x.take(part, axis, mode="clip") if x.shape[axis] else np.zeros_like(x, shape=(
                    *x.shape[:axis], len(part), *x.shape[axis + 1:]))
                x[(slice(None),) * axis + (part < 0,)] = self.fill
        return x


def _part(a, images, box, batched, last):
    return a[(images,) * batched + (box if last else (slice(None), *box))]


def _inputs_of(problem, axis, low, high):
    """(inputs, (before, after)) of results low <= i < high of a spatial axis."""
    k, s, d, before = (part[axis] for part in (problem.k, problem.stride, problem.dilation, problem.before))
    reach = d * (k - 1) + 1
    if not problem.reversed:
        first, end, size = low * s - before, (high - 1) * s + reach - before, problem.x[axis]
        if problem.modes[axis] != "zeros":
            return index_map(problem.modes[axis], size, first, end - first), (0, 0)
        start, stop = min(max(first, 0), size), min(max(end, 0), size)
        return slice(start, stop), (start - first, end - stop)
    # every i that some tap leads to a result; one at least, which then adds nothing, so that there is a problem
    size = problem.y[axis]
    start = min(max(-(-(low + before - reach + 1) // s), 0), size - 1)
    stop = min(max((high - 1 + before) // s + 1, start + 1), size)
    left = before + low - start * s
    return slice(start, stop), (left, (stop - start - 1) * s + reach - (high - low) - left)


def _bytes(problem, images, extents, input_bytes, result_bytes):
    """Of the converted arrays of a slab whose results have these extents."""
    sources, channels = (problem.y, (problem.oc, problem.ic)) if problem.reversed else (problem.x, (problem.ic, problem.oc))
    needs = []
    for axis, count in enumerate(extents):
        reach = problem.dilation[axis] * (problem.k[axis] - 1)
        need = (count + reach) // problem.stride[axis] + 1 if problem.reversed else (count - 1) * problem.stride[axis] + reach + 1
        needs.append(need if problem.modes[axis] != "zeros" else min(need, sources[axis]))
    return images * (channels[0] * math.prod(needs) * input_bytes + channels[1] * math.prod(extents) * result_bytes)


@lru_cache(maxsize=64)
def _sizes(problem, input_bytes, result_bytes):
    """(images, extents) of the largest slabs."""
    images, extents = problem.n, list(problem.x if problem.reversed else problem.y)
    for least in (LEAST, 1):
        for axis in (None, 0, 1, 2):
            while _bytes(problem, images, extents, input_bytes, result_bytes) > SLAB_BYTES:
                if axis is None and images > 1:
                    images = -(-images // 2)
                elif axis is not None and extents[axis] > least:
                    extents[axis] = max(-(-extents[axis] // 2), least)
                else:
                    break
    return images, tuple(extents)


def slabs_of(problem, input_bytes, result_bytes):
    """The slabs of a problem, in order; the bytes are those that a slab holds for an element of an input and of a result."""
    whole = problem.x if problem.reversed else problem.y
    if 0 in (problem.n, *whole):
        return
    images, extents = _sizes(problem, input_bytes, result_bytes)
    axes = []
    for axis in range(3 - problem.rank, 3):
        cuts = [(low, min(low + extents[axis], whole[axis])) for low in range(0, whole[axis], extents[axis])]
        axes.append([(slice(low, high), *_inputs_of(problem, axis, low, high)) for low, high in cuts])
    for first in range(0, problem.n, images):
        for box in product(*axes):
            yield Slab(slice(first, min(first + images, problem.n)), tuple(part[0] for part in box),
                       tuple(part[1] for part in box), tuple(part[2] for part in box), problem.fill)


def _extent(part):
    return part.stop - part.start if isinstance(part, slice) else len(part)


class SlabPlan:
    """What `cached_plan` returns for dtypes that are converted: called as a Plan is.

    A subclass has ``part``, the dtype of the problems on slabs, ``input_parts`` and ``result_parts``, how many arrays of it a
    slab holds, ``weights(w, bias)``, what a call makes of those once, and ``solve(plan, weights, x, residual, y, space)``, which
    writes a slab's result to y with arrays of the Workspace.
    """

    separable = None
    input_parts = result_parts = 1
    _own = None, None     # weights and bias of a plan that has its own, and what slabs take of them
    _made = None

    def __init__(self, op, x_shape, w_shape, geometry, lanes, options, activation, dtype, source_dtype):
        stride, padding, dilation, groups, flip, layout, mode, value = geometry
        self.dtype, self.source_dtype = dtype, source_dtype
        self.problem, self.batched, self.last = make_problem(op, x_shape, w_shape, dtype, stride, padding, dilation, groups,
                                                             flip, layout, lanes, mode, value)
        self.source = "dy" if op == "input_grad" else "x"
        self.out_shape, self.in_shape = tuple(x_shape), result_shape(self.problem, self.batched, self.last)
        self.frame = None
        if op == "forward":
            self.in_shape, self.out_shape = self.out_shape, self.in_shape
        elif self.problem.bordered:
            self.problem, self.frame = framed(self.problem, self.batched, self.last)
            self.out_shape = self.frame.wide if self.frame else self.out_shape
        self.layout = layout
        self.threads = options[3]
        self._rest = (w_shape, self.part, self.part, stride, dilation, groups, flip, layout, self.problem.lanes_oc, options,
                      activation)

    def slabs(self):
        size = np.dtype(self.part).itemsize
        return slabs_of(self.problem, size * self.input_parts, size * self.result_parts)

    def plan_for(self, slab):
        """The plan of a slab's problem."""
        w_shape, x_dtype, w_dtype, stride, dilation, groups, flip, layout, lanes, options, activation = self._rest
        if self.problem.reversed:
            shape = slab.result(np.broadcast_to(False, self.out_shape), self.batched, self.last).shape
        else:
            shape = slab.input(np.broadcast_to(False, self.in_shape), self.batched, self.last).shape
        return cached_plan(self.problem.op, shape, w_shape, x_dtype, w_dtype, stride, slab.padding, dilation, groups, flip,
                           layout, lanes, *options, activation)

    def prepare(self, w, bias):
        """Takes copies of weights and bias for calls of the plan itself, converted once."""
        self._own = np.array(w, w.dtype.newbyteorder("="), order="C"), None if bias is None else bias.copy()
        self._made = self.weights(*self._own)

    def __call__(self, x, out=None, residual=None):
        """The result for `x`; into `out` if given. A residual of its shape is added before the activation."""
        x = np.asarray(x)
        if name_of(x.dtype) != self.source_dtype:
            raise TypeError(f"x must be {self.source_dtype}, as the problem is; got {x.dtype}")
        return self.run_with(x, *self._own, residual, out)

    def explain(self):
        """What runs on the first slab, as a problem of `part`, and why each other method was passed over (an Explanation)."""
        plan = next((self.plan_for(slab) for slab in self.slabs()), None)
        if plan is None:
            options = dict(zip(("method", "accuracy", "workspace_limit", "threads"), self._rest[9]))
            return explain_problem(replace(self.problem, dtype=self.part), **options | dict(threads=1), prepared=False)
        return self.explain_part(plan)

    def explain_part(self, plan):
        """The Explanation of a slab's plan."""
        options = {**plan._options, "threads": plan._options["threads"] or get_num_threads()}
        return explain_problem(plan.problem, **options, prepared=False, rank=plan.rank)

    @property
    def workspace_bytes(self):
        """Bytes of memory that a call takes beyond its arrays and one copy of the weights: the arrays of a slab, what its method
        takes, and where weights are wider in the slabs' dtype, or several, the difference."""
        plans = {self.plan_for(slab) for slab in self.slabs()}
        made = sum(part.nbytes for part in _arrays(self._made)) - sum(part.nbytes for part in _arrays(self._own))
        size = np.dtype(self.part).itemsize
        sizes = size * self.input_parts, size * self.result_parts
        space = _bytes(self.problem, *_sizes(self.problem, *sizes), *sizes) if plans else 0
        return space + max(map(self.part_bytes, plans), default=0) + max(made, 0)

    def part_bytes(self, plan):
        """Workspace of a slab's plan."""
        return plan.workspace_bytes

    def __repr__(self):
        return f"<ndconv plan: {self.source_dtype} in slabs, {self.problem}>"

    def run_with(self, x, w, bias, residual, out):
        """The result for `x` and weights `w`; into `out` if given."""
        x = np.asarray(x)
        if self.frame is not None:
            check_out(out, self.frame.shape, self.dtype)
            return deliver(self._folded(self._run(x, w, bias, None, None)), out)
        return self._run(x, w, bias, residual, out)

    def _folded(self, dx):
        """The middle of dx, whose frame is folded in (pyx/ndconv/_frame.pyx)."""
        first = len(self.frame.middle) - len(self.frame.axes)
        for axis, (_, cells) in enumerate(self.frame.axes, first):
            part = np.moveaxis(dx[self.frame.middle[:axis]], axis, 0)     # of x's own positions of the axes before this one
            for place in np.flatnonzero(cells != np.arange(len(cells))):
                part[cells[place]] += part[place]
        return dx[self.frame.middle]

    def _run(self, x, w, bias, residual, out):
        if x.shape != self.in_shape:
            raise ValueError(f"{self.source} must have shape {self.in_shape}; got {x.shape}")
        residual = None if residual is None else np.asarray(residual)
        check_residual(residual, self.out_shape, self.dtype)
        direct = out if out is None or out.flags.aligned else None
        y = result_array(x, self.out_shape, self.layout, self.batched, direct, x, w, bias, residual, dtype=self.dtype)
        check_out(out, self.out_shape, self.dtype)
        if 0 not in y.shape:
            plans = [(slab, self.plan_for(slab)) for slab in self.slabs()]
            weights = self._made if w is self._own[0] else self.weights(native(w), bias)
            space = workspace_for(self.problem, self.part, self.input_parts, self.result_parts, residual is not None)
            for slab, plan in plans:
                rest = None if residual is None else native(slab.result(residual, self.batched, self.last))
                space.clear()
                self.solve(plan, weights, native(slab.input(x, self.batched, self.last)), rest,
                           slab.result(y, self.batched, self.last), space)
        return deliver(y, out)


def problems_of(problem, part, input_parts, result_parts):
    """The problems that a problem is on slabs whose arrays have dtype `part`."""
    size, problems = np.dtype(part).itemsize, []
    for slab in slabs_of(problem, size * input_parts, size * result_parts):
        before, after = zip(*slab.padding)
        x, y = (as_three(list(map(_extent, box)), 1) for box in (slab.inputs, slab.results))
        x, y = (y, x) if problem.reversed else (x, y)
        problems.append(replace(problem, dtype=part, n=slab.images.stop - slab.images.start, x=x, y=y,
                                before=as_three(before, 0), after=as_three(after, 0), modes=("zeros",) * 3))
    return list(dict.fromkeys(problems)) or [replace(problem, dtype=part)]


def workspace_for(problem, part, input_parts, result_parts, residual=False):
    """A Workspace with room for the largest slab, and for a residual of it."""
    size = np.dtype(part).itemsize
    extents = _sizes(problem, size * input_parts, size * result_parts)
    return Workspace(_bytes(problem, *extents, size * input_parts, size * (result_parts + residual)))


def _arrays(parts):
    """The arrays among nested tuples."""
    if isinstance(parts, tuple):
        return [a for part in parts for a in _arrays(part)]
    return [] if parts is None else [parts]


def native(a):
    """The array as the kernels read it: in native byte order, aligned."""
    return a if a.dtype.isnative and a.flags.aligned else a.astype(a.dtype.newbyteorder("="))


def solve(plan, x, w, bias, residual, out):
    """The result of one slab's problem."""
    plan = plan if plan.separable is None else plan.for_weights(w)
    return plan.run_with(x, w, bias, residual, out)
