"""float16 and bfloat16: half precision in memory, float32 in between, rounded once.

Inputs are widened a slab at a time (ndconv/slabs.py), any method computes the slab in float32 with bias, residual and
activation, and each result is rounded to the nearest number of its dtype, ties to even. A result is therefore the float32
result, rounded: half a unit in the last place (2**-12 relative of float16, 2**-9 of bfloat16) beside the error of the method,
and infinite where float16 ends, beyond 65504. Weights are widened once a call. A weight gradient is summed in float32 over all
slabs and rounded at its end. bfloat16 is that of the package ml_dtypes.
"""
import numpy as np

from ndconv.dtypes import name_of
from ndconv.gradient import conv_weight_grad
from ndconv.slabs import SlabPlan, slabs_of, solve
from ndconv.slabs import problems_of as problems_on_slabs


class HalfPlan(SlabPlan):
    part = "float32"

    def begin(self, w, bias):
        w = widen(w)
        bias = None if bias is None else widen(bias)

        def run(plan, x, residual):
            return solve(plan, widen(x), w, bias, None if residual is None else widen(residual))

        return run


def widen(a):
    """A float32 copy in memory of the same order."""
    return a.astype(np.float32)


def result_dtype(first, second, names=("x", "w"), accumulate=None):
    """The name of the dtype that both have."""
    dtype = name_of(first)
    if name_of(second) != dtype:
        raise TypeError(f"{names[0]} is {dtype}, so {names[1]} must be too; got {name_of(second)}")
    if accumulate is not None and np.dtype(accumulate) != np.float32:
        raise TypeError(f"accumulate must be float32 for {dtype}, which is summed in float32; got {accumulate!r}")
    return dtype


def make_plan(op, x_shape, w_shape, x_dtype, w_dtype, geometry, lanes, options, activation, accumulate):
    dtype = result_dtype(x_dtype, w_dtype, ("dy" if op == "input_grad" else "x", "w"), accumulate)
    return HalfPlan(op, x_shape, w_shape, geometry, lanes, options, activation, dtype, dtype)


def weight_grad(problem, dy, x, batched, last, w_shape, options):
    """dw, summed over slabs in float32; `options` are those of conv_weight_grad without the padding."""
    total = np.zeros(w_shape, np.float32)
    for slab in slabs_of(problem, 4, 4):
        total += conv_weight_grad(widen(slab.result(dy, batched, last)), widen(slab.input(x, batched, last)), w_shape,
                                  padding=slab.padding, **options)
    return total.astype(dy.dtype)


def problems_of(problem):
    return problems_on_slabs(problem, "float32", 1, 1)


def bias_grad(dy, axes):
    return dy.sum(axes, dtype=np.float32).astype(dy.dtype)
