"""Integers, with what they are summed in stated: conv(x, w, accumulate=np.int32).

Operands are int8, uint8, int16, uint16 or int32 in any pair; the result has the accumulator's dtype and is exact in integers:
nothing wraps. The least and the greatest sum that x of its dtype can give with the weights at hand (positive weights times the
greatest x, negative ones times the least, and the bias) must fit, or OverflowError names an accumulator that holds them. Where
the dtypes alone say that all sums fit, as for 8 bits in int32 up to 65,000 products, weights are not looked at.

int32 sums of operands that fit in int16 take pairs of input channels as elements of 32 bits (kernels/pair.h): the register tile
and the methods `direct` and `gemm` are those of float32 with half as many channels, and their multiply-add is two products and
their sum: vpdpwssd where the CPU has VNNI, else vpmaddwd and an addition. That is at most twice the operations of float32 a
cycle; 1.1 to 1.8 times were reached on AVX2, since additions take turns with products on two of four ports. Sums of four uint8
times int8 are not taken: on AVX2 they saturate, and int8 images have no such instruction. One input channel a group fills half a
pair. All other sums are of int64, whose products take 32 bits. x is converted a slab at a time (ndconv/slabs.py), and results of
int32 pairs and of int64 are written where they belong.

float32 and float64 accumulators are convolutions of floats: sums beyond 2**24 or 2**53 are rounded, as those of floats are.
"""
import math
from dataclasses import replace

import numpy as np

from ndconv._convert import pair
from ndconv._plan import Core
from ndconv._runtime import get_num_threads
from ndconv.dtypes import name_of
from ndconv.plan import make_problem
from ndconv.select import METHODS, Explanation, MethodNotApplicable, explain_problem, judged, workspace_of
from ndconv.slabs import SlabPlan, solve

OPERANDS = ("int8", "uint8", "int16", "uint16", "int32")
PAIRED = ("int8", "uint8", "int16")
ACCUMULATORS = ("int32", "int64", "float32", "float64")
INTEGER_METHODS = ("direct", "gemm")
ONLY = f"integers are convolved by {' or '.join(INTEGER_METHODS)}"


class IntegerPlan(SlabPlan):
    result_parts = 0

    def __init__(self, op, x_shape, w_shape, geometry, lanes, options, dtype, source_dtype, w_dtype):
        self.paired = dtype == "int32" and source_dtype in PAIRED and w_dtype in PAIRED
        self.part = "int32" if self.paired else "int64"
        self.result_parts = int(dtype != self.part)
        self._plans, self._parts, self._geometry, self._options = {}, {}, geometry, options
        super().__init__(op, x_shape, w_shape, geometry, lanes, options, None, dtype, source_dtype)
        least, most = limits(source_dtype)
        if not (least <= self.problem.fill <= most and self.problem.fill == int(self.problem.fill)):
            raise ValueError(f"padding_value must be a number that {source_dtype} x can hold; got {self.problem.fill}")

    def run_with(self, x, w, bias, residual, out):
        if residual is not None:
            raise TypeError(f"residual is of floats; add it to the {self.dtype} result")
        return super().run_with(x, w, bias, None, out)

    def plan_for(self, slab):
        shape = list(slab.input(np.broadcast_to(False, self.in_shape), self.batched, self.last).shape)
        problem, key = self.problem, (*shape, slab.padding)
        if key not in self._plans:
            icg, groups = problem.ic // problem.g, problem.g
            if self.paired:
                icg = (icg + 1) // 2
            shape[-1 if self.last else int(self.batched)] = groups * icg
            stride, _, dilation, _, flip, layout, *_ = self._geometry
            part = make_problem("forward", tuple(shape), (problem.oc, icg, *problem.k[3 - problem.rank:]), self.part, stride,
                                slab.padding, dilation, groups, flip, layout, problem.lanes_oc)[0]
            method = METHODS[method_for(part, *self._options)]
            self._parts[key] = part, method
            self._plans[key] = Core(part, method, self.batched, self.last, self.threads)
        return self._plans[key]

    def explain_part(self, plan):
        return explanation(self._part_of(plan)[0], *self._options)

    def part_bytes(self, plan):
        return workspace_of(*self._part_of(plan), self.threads or get_num_threads())

    def _part_of(self, plan):
        """(problem, Method) of a slab's Core."""
        return next(self._parts[key] for key, core in self._plans.items() if core is plan)

    def weights(self, w, bias):
        self.check_sums(w, bias)
        if not self.paired:
            return w.astype(np.int64), None if bias is None else bias.astype(np.int64)
        icg = w.shape[1]
        pairs = np.empty((w.shape[0], (icg + 1) // 2, *w.shape[2:]), np.int32)
        to_pairs(pairs.swapaxes(0, 1), w.swapaxes(0, 1), self.threads)
        return pairs, bias

    def check_sums(self, w, bias):
        """OverflowError unless every sum, and every part of it, fits in the accumulator."""
        x_least, x_most = limits(self.source_dtype)
        w_least, w_most = limits(name_of(w.dtype))
        biases = [0] if bias is None else [int(bias.min(initial=0)), int(bias.max(initial=0))]
        reach = w.size // max(w.shape[0], 1) * max(-x_least, x_most) * max(-w_least, w_most)
        least, most = limits(self.dtype)
        if -reach + min(biases) >= least and reach + max(biases) <= most:
            return
        axes = tuple(range(1, w.ndim))
        up, down = (function(w, 0).sum(axes, dtype=np.int64).astype(object) for function in (np.maximum, np.minimum))
        offset = np.zeros(w.shape[0], object) if bias is None else bias.astype(object)
        high = (up * x_most + down * x_least + np.maximum(offset, 0)).max(initial=0)
        low = (up * x_least + down * x_most + np.minimum(offset, 0)).min(initial=0)
        if low < least or high > most:
            wider = "np.int64" if self.dtype == "int32" and -2**63 <= low and high < 2**63 else "np.float64, which rounds,"
            raise OverflowError(f"accumulate={self.dtype} is too narrow: {self.source_dtype} x and these weights have sums from "
                                f"{low} to {high}; accumulate={wider} holds them")

    def solve(self, plan, weights, x, residual, y, space):
        w, bias = weights
        if self.paired:
            axis = -1 if self.last else int(self.batched)
            groups, icg = self.problem.g, w.shape[1]
            shape = list(x.shape)
            shape[axis] = groups * icg
            part = space.like(x, "int32", tuple(shape))
            to_pairs(by_channel(part, axis, groups), by_channel(x, axis, groups), self.threads)
        else:
            part = space.like(x, "int64")
            part[...] = x
        direct = self.dtype == self.part
        result = y if direct else space.like(y, "int64")
        plan.run_with(part, w, bias, None, result)
        if not direct:
            np.copyto(y, result, casting="unsafe")


class FloatPlan(SlabPlan):
    """Integers as floats."""

    result_parts = 0

    def __init__(self, op, x_shape, w_shape, geometry, lanes, options, activation, dtype, source_dtype):
        self.part = dtype
        super().__init__(op, x_shape, w_shape, geometry, lanes, options, activation, dtype, source_dtype)

    def weights(self, w, bias):
        return w.astype(self.part), bias

    def solve(self, plan, weights, x, residual, y, space):
        part = space.like(x, self.part)
        part[...] = x
        solve(plan, part, *weights, residual, y)


def limits(dtype):
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def by_channel(a, axis, groups):
    """A view [channel of a group, group, ...] of an array whose channels are on `axis`."""
    a = np.moveaxis(a, axis, 0)
    return a.reshape(groups, len(a) // groups, *a.shape[1:]).swapaxes(0, 1)


def to_pairs(to, channels, threads):
    """The channels of the first axis in twos, an odd last one with zero."""
    whole = len(channels) // 2
    if whole:
        pair(to[:whole], channels[:2 * whole:2], channels[1::2], threads)
    if len(channels) % 2:
        pair(to[whole:], channels[-1:], None, threads)


def method_for(problem, method, accuracy, workspace_limit, threads):
    """The name of the method for a problem of integers: by the costs of the same problem of floats."""
    if method not in ("auto", *INTEGER_METHODS):
        raise MethodNotApplicable(f"method {method!r} is not applicable: {ONLY}")
    rows = explanation(problem, method, accuracy, workspace_limit, threads).rows
    chosen = next((row.method for row in rows if row.chosen), None)
    if chosen is None:
        reasons = "; ".join(f"{row.method}: {row.reason}" for row in rows if row.method in INTEGER_METHODS)
        raise MethodNotApplicable(f"no method is applicable: {reasons}")
    return chosen


def explanation(problem, method, accuracy, workspace_limit, threads):
    """An Explanation of the choice for a problem of integers; costs are those of the same problem of floats."""
    twin = replace(problem, dtype="float32" if problem.dtype == "int32" else "float64")
    unable = dict(applicable=False, cost=math.inf, workspace=0, reason=ONLY, chosen=False)
    rows = [row if row.method in INTEGER_METHODS else replace(row, **unable)
            for row in explain_problem(twin, method, "strict", workspace_limit, threads or get_num_threads(), False).rows]
    able = [row for row in rows if row.applicable and method in ("auto", row.method)]
    best = min(able, key=lambda row: row.cost, default=None)
    return Explanation(problem, tuple(judged(row, best, method) for row in rows))


def result_dtype(first, second, names=("x", "w"), accumulate=None):
    """The name of the accumulator's dtype."""
    kinds = [name_of(dtype) for dtype in (first, second)]
    if names[0] == "dy":
        raise TypeError(f"{names[0]} is {kinds[0]} and {names[1]} {kinds[1]}: convolutions of integers have no gradients; "
                        f"convert both with astype(np.float32)")
    if not all(kind in OPERANDS for kind in kinds):
        raise TypeError(f"{names[0]} is {kinds[0]} and {names[1]} {kinds[1]}; both must be integers, or neither: convert one "
                        f"with astype")
    if accumulate is None:
        raise TypeError(f"{names[0]} is {kinds[0]}: convolutions of integers state what they are summed in, as "
                        f"accumulate=np.int32, and so the dtype of the result; or convert both with astype(np.float32)")
    try:
        kind = name_of(accumulate)
    except TypeError:
        kind = repr(accumulate)
    if kind not in ACCUMULATORS:
        raise TypeError(f"accumulate must be one of {', '.join(ACCUMULATORS)}; got {kind}")
    return kind


def explained_dtype(dtype):
    raise TypeError(f"dtype {name_of(dtype)}: integers are convolved by {' or '.join(INTEGER_METHODS)}; explain and methods tell "
                    f"of floats")


def make_plan(op, x_shape, w_shape, x_dtype, w_dtype, geometry, lanes, options, activation, accumulate):
    dtype = result_dtype(x_dtype, w_dtype, ("dy" if op == "input_grad" else "x", "w"), accumulate)
    if op != "forward":
        raise TypeError(f"x is {name_of(x_dtype)}: transposed convolutions take floats; convert both with astype(np.float32)")
    if dtype.startswith("float"):
        return FloatPlan(op, x_shape, w_shape, geometry, lanes, options, activation, dtype, name_of(x_dtype))
    if activation is not None:
        raise TypeError(f"activation={activation!r} is of floats; take accumulate=np.float32, or apply it to the {dtype} result")
    return IntegerPlan(op, x_shape, w_shape, geometry, lanes, options, dtype, name_of(x_dtype), name_of(w_dtype))
