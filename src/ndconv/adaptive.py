"""Pooling to a number of positions, whatever the extents: whole planes, bins and pyramids of bins."""
import functools
import math

import numpy as np

from ndconv._arrays import new_like
from ndconv._bins import resample
from ndconv._planes import global_values, scale_by_power, scatter
from ndconv._runtime import check_threads
from ndconv.arguments import as_tuple
from ndconv.bands import adaptive_bands, as_three_tables, mean_bands, transposed
from ndconv.lp import _check_p
from ndconv.pool import _array, _axes, _extents, _geometry
from ndconv.problem import LIMIT, per_axis

KINDS = ("max", "avg", "min", "lp")


def global_pool(x, kind, *, p=2, layout=None, threads=None):
    """The greatest or least value, the mean or the p-norm of every whole plane; the spatial axes stay, with extent 1.

    x : array, shape (n, c, *spatial), or (c, *spatial) where `layout` says so; kind : "max", "avg", "min" or "lp"; p : as for
    `lp_pool`

    >>> global_pool(np.array([[[1.0, 2.0, 6.0]]]), "avg")
    array([[[3.]]])
    """
    x, dtype, axes, extents, threads = _arguments(x, kind, p, None, layout, threads)
    return _pool(x, dtype, axes, (1,) * len(extents), kind, p, threads)


def global_pool_backward(dy, x, kind, *, p=2, layout=None, threads=None):
    """Gradient of `global_pool` with respect to its input.

    dy : array of the forward result's shape; x : the forward input. "max" and "min" give dy to the first such cell of each
    plane, "avg" an equal share to every cell, "lp" what `lp_pool_backward` says.

    >>> x = np.array([[[1.0, 6.0, 2.0]]])
    >>> global_pool_backward(np.array([[[3.0]]]), x, "max"), global_pool_backward(np.array([[[3.0]]]), x, "avg")
    (array([[[0., 3., 0.]]]), array([[[1., 1., 1.]]]))
    """
    x, dtype, axes, extents, threads = _arguments(x, kind, p, None, layout, threads)
    return _pool_backward(dy, x, dtype, axes, (1,) * len(extents), kind, p, threads)


def adaptive_pool(x, output_size, kind, *, p=2, layout=None, threads=None):
    """Pooling to `output_size` positions, whatever the extents of x.

    Along an axis of I cells and O positions, position o takes the cells from floor(o*I/O) to ceil((o + 1)*I/O) - 1 (PyTorch's
    rule: windows may share a cell and differ by one in size).

    x : array, shape (n, c, *spatial), or (c, *spatial); float32 or float64; at least one cell in each plane
    output_size : int or one int per spatial axis, at least 1
    kind : "max", "min" (NaN wins), "avg" or "lp", with p as for `lp_pool`
    layout, threads : as for `max_pool`
    Returns an array of shape (n, c, *output_size) in the layout of x. Raises ValueError and TypeError for bad arguments.

    >>> adaptive_pool(np.array([[[1.0, 2.0, 3.0, 4.0, 9.0]]]), 3, "avg")
    array([[[1.5, 3. , 6.5]]])
    """
    x, dtype, axes, extents, threads = _arguments(x, kind, p, output_size, layout, threads)
    return _pool(x, dtype, axes, per_axis(output_size, len(extents), "output_size", 1), kind, p, threads)


def adaptive_pool_backward(dy, x, output_size, kind, *, p=2, layout=None, threads=None):
    """Gradient of `adaptive_pool` with respect to its input.

    dy : array of the forward result's shape; x : the forward input; the others are the forward arguments. "max" and "min" give
    dy to the first such cell of each window, "avg" an equal share to its cells, "lp" what `lp_pool_backward` says.

    >>> adaptive_pool_backward(np.array([[[2.0, 3.0, 4.0]]]), np.zeros((1, 1, 5)), 3, "avg")
    array([[[1., 2., 1., 3., 2.]]])
    """
    x, dtype, axes, extents, threads = _arguments(x, kind, p, output_size, layout, threads)
    return _pool_backward(dy, x, dtype, axes, per_axis(output_size, len(extents), "output_size", 1), kind, p, threads)


def spatial_pyramid_pool(x, levels, kind, *, p=2, layout=None, threads=None):
    """`adaptive_pool` to each of several sizes, side by side: a fixed number of values, whatever the extents of x.

    levels : a sequence of output sizes, ints or one int per spatial axis. The other arguments are those of `adaptive_pool`.
    Returns an array of shape (n, c, bins), or (n, bins, c) where channels are last: the positions of the first level in
    row-major order, then those of the next. Source: He et al. 2014, Spatial Pyramid Pooling in Deep Convolutional Networks.

    >>> spatial_pyramid_pool(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), (1, 2), "max")
    array([[[4., 1., 2., 3., 4.]]])
    """
    x, dtype, axes, extents, threads = _arguments(x, kind, p, _finest(levels), layout, threads)
    rank, batched, last = axes
    lead = x.shape[:1] if batched else ()
    parts = [_pool(x, dtype, axes, per_axis(level, rank, "levels", 1), kind, p, threads) for level in levels]
    flat = [y.reshape(*lead, -1, x.shape[-1]) if last else y.reshape(*lead, x.shape[-rank - 1], -1) for y in parts]
    return np.concatenate(flat, -2 if last else -1)


def spatial_pyramid_pool_backward(dy, x, levels, kind, *, p=2, layout=None, threads=None):
    """Gradient of `spatial_pyramid_pool` with respect to its input: the sum of its levels' gradients.

    dy : array of the forward result's shape; x : the forward input; the others are the forward arguments.

    >>> x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    >>> spatial_pyramid_pool_backward(np.array([[[4.0, 1.0, 2.0]]]), x, (1, 2), "max")
    array([[[0., 1., 0., 6.]]])
    """
    x, dtype, axes, extents, threads = _arguments(x, kind, p, _finest(levels), layout, threads)
    rank, batched, last = axes
    sizes = [per_axis(level, rank, "levels", 1) for level in levels]
    ends = np.cumsum([math.prod(size) for size in sizes])
    c, lead = x.shape[-1 if last else -rank - 1], x.shape[:1] if batched else ()
    dy, _ = _array(dy, "dy")
    check_shape(dy, (*lead, int(ends[-1]), c) if last else (*lead, c, int(ends[-1])))
    dx = None
    for size, end in zip(sizes, ends, strict=True):
        part = slice(end - math.prod(size), end)
        level = dy[..., part, :].reshape(*lead, *size, c) if last else dy[..., part].reshape(*lead, c, *size)
        one = _pool_backward(level, x, dtype, axes, size, kind, p, threads)
        dx = one if dx is None else np.add(dx, one, out=dx)
    return dx


def _finest(levels):
    """The first of the levels, which says how many axes are spatial."""
    if not isinstance(levels, (tuple, list)) or not levels:
        raise TypeError(f"levels must be a sequence of output sizes, such as (1, 2, 4); got {levels!r}")
    return next((level for level in levels if isinstance(level, (tuple, list))), levels[0])


def _arguments(x, kind, p, output_size, layout, threads):
    """(x, dtype, (rank, batched, channels_last), extents, threads), checked."""
    x, dtype = _array(x, "x")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind must be {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}; got {kind!r}")
    _check_p(p)
    axes = _axes(x.shape, as_tuple(output_size), layout, "x", "output_size")
    extents = _extents(x.shape, axes[0], axes[2])
    if 0 in extents:
        raise ValueError(f"x must have at least one cell in each plane; got shape {x.shape}")
    return x, dtype, axes, extents, None if threads is None else check_threads(threads, "threads")


def check_shape(dy, shape):
    if dy.shape != tuple(shape):
        raise ValueError(f"dy must have the shape of the forward result, {tuple(shape)}; got {dy.shape}")


def _out_shape(x, axes, size):
    rank, batched, last = axes
    lead = x.shape[:1] if batched else ()
    return (*lead, *size, x.shape[-1]) if last else (*lead, x.shape[-rank - 1], *size)


@functools.lru_cache(maxsize=256)
def _tables(extents, size):
    return as_three_tables([adaptive_bands(*axis) for axis in zip(extents, size, strict=True)])


@functools.lru_cache(maxsize=256)
def _mean_tables(extents, size):
    return as_three_tables([mean_bands(adaptive_bands(*axis)) for axis in zip(extents, size, strict=True)])


@functools.lru_cache(maxsize=256)
def _gradient_tables(extents, size, mean):
    bands = [adaptive_bands(*axis) for axis in zip(extents, size, strict=True)]
    return as_three_tables([transposed(mean_bands(band) if mean else band, i) for band, i in zip(bands, extents, strict=True)])


def _windows(x, axes, extents, size):
    """The Pooling whose windows are the bins, or None where bins differ."""
    if any(i % o for i, o in zip(extents, size, strict=True)):
        return None
    window = tuple(i // o for i, o in zip(extents, size, strict=True))
    names = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}[axes[0]]
    return _geometry(x.shape, window, None, 0, 1, False, names[axes[2]])


def _pool(x, dtype, axes, size, kind, p, threads):
    rank, batched, last = axes
    extents = _extents(x.shape, rank, last)
    channels = x.strides[-1 if last else -rank - 1] == x.itemsize
    whole = set(size) == {1}
    if whole and kind != "lp" and (kind == "avg" or not channels):
        values, _ = global_values(x, dtype, *axes, kind, False, threads)
        return values.astype(dtype, copy=False).reshape(_out_shape(x, axes, size))
    windows = _windows(x, axes, extents, size)
    if windows is not None and not (whole and kind == "lp"):
        return windows.forward(x, dtype, kind, None, None, threads, p)[0]
    if kind == "avg":
        return resample(x, dtype, *axes, _mean_tables(extents, size), "sum", None, threads)[0]
    return resample(x, dtype, *axes, _tables(extents, size), kind, None, threads, p)[0]


def _pool_backward(dy, x, dtype, axes, size, kind, p, threads):
    dy, dy_dtype = _array(dy, "dy")
    if dy_dtype != dtype:
        raise TypeError(f"dy must be {dtype} as x is; got {dy_dtype}")
    check_shape(dy, _out_shape(x, axes, size))
    rank, batched, last = axes
    extents = _extents(x.shape, rank, last)
    if kind == "avg" and set(size) == {1}:
        return np.divide(dy, np.asarray(math.prod(extents), dtype), out=new_like(x.shape, dtype, x, *axes))
    if kind == "avg":
        return resample(dy, dtype, *axes, _gradient_tables(extents, size, True), "sum", None, threads)[0]
    if kind == "lp" and p != math.inf:
        y = _pool(x, dtype, axes, size, kind, p, threads)
        share = np.array(dy, dtype, order="K")
        scale_by_power(share, y, 1 - p, dtype, *axes, threads)
        dx = resample(share, dtype, *axes, _gradient_tables(extents, size, False), "sum", None, threads)[0]
        scale_by_power(dx, x, p - 1, dtype, *axes, threads)
        return dx
    indices = _places(np.abs(x) if kind == "lp" else x, dtype, axes, extents, size, "min" if kind == "min" else "max", threads)
    dx = new_like(x.shape, dtype, x, *axes)
    scatter(dy, indices, dtype, *axes, dx, threads)
    if kind == "lp":
        scale_by_power(dx, x, 0, dtype, *axes, threads)
    return dx


def _places(x, dtype, axes, extents, size, kind, threads):
    """Where in its plane the first greatest or least cell of each bin is."""
    if set(size) == {1}:
        _, places = global_values(x, dtype, *axes, kind, True, threads)
        return places.astype(np.int64, copy=False).reshape(_out_shape(x, axes, size))
    windows = _windows(x, axes, extents, size)
    if windows is not None:
        return windows.forward(x, dtype, kind, None, "int64", threads)[1]
    if math.prod(extents) >= min(LIMIT, 2**31 - 1):
        raise OverflowError(f"x has planes of {math.prod(extents)} cells; the places of bins are counted up to {2**31 - 2}")
    return resample(x, dtype, *axes, _tables(extents, size), kind, "int64", threads)[1]
