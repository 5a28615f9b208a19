"""Arguments: checks and normal forms that every convolution shares."""
import numpy as np

from ndconv.dtypes import module_of, name_of
from ndconv.plan import cached_plan, cached_problem, check_dtype
from ndconv.problem import check_int

KERNEL_AXES = {1: "W", 2: "HW", 3: "DHW"}


def check_out(out, shape, dtype):
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must be {dtype}; got {out.dtype}")
    if out.shape != tuple(shape):
        raise ValueError(f"out must have shape {tuple(shape)}; got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")


def common_dtype(first, second, names=("x", "w"), accumulate=None):
    """The name of the dtype of what arrays of two dtypes give, or a TypeError."""
    other = module_of(first, second)
    if other is not None:
        return other.result_dtype(first, second, names, accumulate)
    dtype = check_dtype(first, names[0])
    if check_dtype(second, names[1]) != dtype:
        raise TypeError(f"{names[1]} must be {dtype} as {names[0]} is; got {second}")
    return dtype


def check_shape(shape, name):
    if not hasattr(shape, "__len__") or isinstance(shape, str):
        raise TypeError(f"{name} must be a tuple of ints, not {shape!r}")
    sizes = tuple(check_int(s, name) for s in shape)
    if any(s < 0 for s in sizes):
        raise ValueError(f"{name} must not have negative extents; got {sizes}")
    return sizes


def check_bias(bias, oc, dtype):
    bias = np.asarray(bias)
    if name_of(bias.dtype) != dtype:
        raise TypeError(f"bias must be {dtype} as x is; got {bias.dtype}")
    if bias.shape != (oc,):
        raise ValueError(f"bias must have shape ({oc},), one value per output channel; got {bias.shape}")
    if bias.dtype.isnative and bias.flags.c_contiguous and bias.flags.aligned:
        return bias
    return np.require(bias, np.dtype(dtype), ["C", "A"])


def check_residual(residual, shape, dtype):
    if residual is None:
        return
    if residual.shape != shape:
        raise ValueError(f"residual must have the shape of the result, {shape}; got {residual.shape}")
    if name_of(residual.dtype) != dtype:
        raise TypeError(f"residual must be {dtype} as x is; got {residual.dtype}")


def check_gradient(dy, problem, batched, last):
    if dy.shape != result_shape(problem, batched, last):
        raise ValueError(f"dy must have the shape of the forward result, {result_shape(problem, batched, last)}; got {dy.shape}")


def check_same(a, name, dtype, other):
    """TypeError unless `a` has the dtype of another argument."""
    if check_dtype(a.dtype, name) != dtype:
        raise TypeError(f"{name} must be {dtype} as {other} is; got {a.dtype}")


def check_wrt(wrt):
    if not isinstance(wrt, (str, tuple, list, set, frozenset)) or not set(wrt) <= set("xwb"):
        raise ValueError(f"wrt takes any of 'x', 'w' and 'b'; got {wrt!r}")


def result_shape(problem, batched, last):
    """The shape of y in the layout."""
    spatial, oc = problem.y[3 - problem.rank:], (problem.oc,)
    return (problem.n,) * batched + (spatial + oc if last else oc + spatial)


def memory_lanes(x, layout, batched):
    """Whether x keeps channels together in memory (NHWC) whatever its axes are called; None when the layout decides."""
    last = layout is not None and layout[-1:] == "C"
    first = 1 if batched else 0
    c, w = (x.ndim - 1, x.ndim - 2) if last else (first, x.ndim - 1)
    if w < 0 or c >= x.ndim:
        return None
    together, along = x.strides[c] == x.itemsize, x.strides[w] == x.itemsize
    return None if together == along else together


def plan_of(op, x, x_shape, w_shape, w_dtype, *options, accumulate=None):
    """The cached plan of a function call. It knows by the strides of x whether memory keeps channels together."""
    stride, padding, dilation, groups, flip, layout, method, accuracy, workspace_limit, threads, activation = options
    lanes = memory_lanes(x, layout, x.ndim == len(w_shape)) if layout is None or isinstance(layout, str) else None
    key = (op, x_shape, w_shape, x.dtype, w_dtype, stride, padding, dilation, groups, flip, layout, lanes, method, accuracy,
           workspace_limit, threads, activation, accumulate)
    return cached(cached_plan, *key)


def forward_problem(x_shape, w_shape, dtype, padding, geometry):
    """(Problem, batched, channels_last) of a forward convolution; `geometry` has every argument of it but the padding."""
    return cached(cached_problem, "forward", x_shape, w_shape, dtype, geometry["stride"], padding, geometry["dilation"],
                  geometry["groups"], geometry["flip"], geometry["layout"], None)


def result_array(a, shape, layout, batched, out, *inputs, dtype=None):
    """The checked `out` if no input overlaps it, else a new array whose memory keeps channels together if that of `a` does."""
    dtype = dtype or a.dtype
    check_out(out, shape, dtype)
    if out is not None and out.flags.aligned and not any(np.may_share_memory(out, b) for b in inputs if b is not None):
        return out
    if (layout is None or layout[-1] != "C") and memory_lanes(a, layout, batched):
        return np.moveaxis(np.empty((*shape[:batched], *shape[batched + 1:], shape[batched]), dtype), -1, batched)
    return np.empty(shape, dtype)


def deliver(y, out):
    """y, or `out` with the values of y in it."""
    if out is None or y is out:
        return y
    out[...] = y
    return out


def cached(function, *key):
    """The function's cached result. Lists and arrays in the key are as good as tuples; what else is wrong with it is said by
    the function itself."""
    try:
        return function(*key)
    except TypeError:
        key = tuple(map(as_tuple, key))
    try:
        return function(*key)
    except TypeError:
        return function.__wrapped__(*key)


def as_tuple(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(as_tuple, value)) if isinstance(value, (list, tuple)) else value


def kernel_first(w, weight_layout, channels="IO"):
    """(*kernel, ic/groups, oc) as a view (oc, ic/groups, *kernel); a transposed convolution calls the two the other way round."""
    rank = w.ndim - 2
    names = {rank: axes + channels for rank, axes in KERNEL_AXES.items()}
    plain = {rank: channels[::-1] + axes for rank, axes in KERNEL_AXES.items()}
    if rank not in names or weight_layout not in (names[rank], plain[rank]):
        raise ValueError(f"weight_layout must be {names.get(rank, names[2])!r} or {plain.get(rank, plain[2])!r} for w of shape "
                         f"{w.shape}; got {weight_layout!r}")
    return w if weight_layout == plain[rank] else np.moveaxis(w, (-1, -2), (0, 1))
