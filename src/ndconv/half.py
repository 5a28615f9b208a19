"""float16 and bfloat16: half precision in memory, float32 in between, rounded once.

Inputs are widened a slab at a time (ndconv/slabs.py), any method computes the slab in float32 with bias, residual and
activation, and each result is rounded to the nearest number of its dtype, ties to even. A result is therefore the float32
result, rounded: half a unit in the last place (2**-12 relative of float16, 2**-9 of bfloat16) beside the error of the method,
and infinite where float16 ends, beyond 65504. Weights are widened once a call. A weight gradient is summed in float32 over all
slabs and rounded at its end. Pooling does the same with whole images or channels. bfloat16 is that of the package ml_dtypes.
"""
import numpy as np

from ndconv._convert import narrow, widen
from ndconv.arguments import deliver, result_array
from ndconv.dtypes import name_of
from ndconv.gradient import conv_weight_grad
from ndconv.slabs import SLAB_BYTES, SlabPlan, native, slabs_of, solve, workspace_for
from ndconv.slabs import problems_of as problems_on_slabs


class HalfPlan(SlabPlan):
    part = "float32"

    def weights(self, w, bias):
        return widened(w, self.threads), None if bias is None else widened(bias, self.threads)

    def solve(self, plan, weights, x, residual, y, space):
        result = space.like(y, "float32")
        rest = None if residual is None else widened(residual, self.threads, space.like(residual, "float32"))
        solve(plan, widened(x, self.threads, space.like(x, "float32")), *weights, rest, result)
        narrow(y, result, self.threads)


def widened(a, threads, to=None):
    """The array as float32, in `to` or a new one."""
    to = np.empty(a.shape, np.float32) if to is None else to
    widen(to, a, threads)
    return to


def rounded(a, dtype, threads=None):
    """A float32 array in half precision."""
    to = np.empty(a.shape, dtype)
    narrow(to, a, threads)
    return to


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
    space = workspace_for(problem, "float32", 1, 1)
    for slab in slabs_of(problem, 4, 4):
        space.clear()
        parts = [native(slab.result(dy, batched, last)), native(slab.input(x, batched, last))]
        parts = [widened(a, options["threads"], space.like(a, "float32")) for a in parts]
        total += conv_weight_grad(*parts, w_shape, padding=slab.padding, **options)
    return rounded(total, problem.dtype, options["threads"])


def pooled(pool, x, geometry, out, index_dtype, threads):
    """What pool(part) gives for parts of x in float32, some images or channels of one at a time, each value rounded once: values,
    or (values, indices) with an index_dtype."""
    layout = "C" if geometry.channels_last else None
    y = result_array(x, geometry.out_shape, layout, geometry.batched, out, x, dtype=name_of(x.dtype))
    indices = None if index_dtype is None else np.empty_like(y, dtype=index_dtype)
    axis = x.ndim - 1 if geometry.channels_last and not geometry.batched else 0
    step = max(SLAB_BYTES * max(x.shape[axis], 1) // max(4 * (x.size + y.size), 1), 1)
    for low in range(0, y.shape[axis], step):
        part = (slice(None),) * axis + (slice(low, low + step),)
        wide = native(x[part])
        values = pool(widened(wide, threads, np.empty_like(wide, dtype=np.float32)))
        if indices is not None:
            values, indices[part] = values
        narrow(y[part], values, threads)
    y = deliver(y, out)
    return y if indices is None else (y, indices)


explained_dtype = name_of


def problems_of(problem):
    return problems_on_slabs(problem, "float32", 1, 1)


def bias_grad(dy, axes):
    return rounded(dy.sum(axes, dtype=np.float64).astype(np.float32), dy.dtype)
