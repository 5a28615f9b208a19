"""Larger images: upsampling, and the inverse of max pooling."""
import functools
import math

import numpy as np

from ndconv._arrays import new_like
from ndconv._bins import resample
from ndconv._planes import scatter
from ndconv._runtime import check_threads
from ndconv.arguments import as_tuple, check_shape
from ndconv.bands import as_three_tables, linear_bands, nearest_bands, transposed
from ndconv.pool import _array, _axes, _extents, _indices, _outside
from ndconv.problem import LIMIT, check_size, per_axis

MODES = ("nearest", "linear")


def upsample(x, *, scale=None, size=None, mode="nearest", align_corners=False, layout=None, threads=None):
    """x at more (or fewer) positions: copies of the nearest cells, or linear (bilinear, trilinear) interpolation.

    Along an axis of I cells and O positions, with s = 1/scale or I/O (PyTorch's rules):

    - "nearest": position o takes cell floor(o*s)
    - "linear": position o lies at max(s*(o + 1/2) - 1/2, 0), with align_corners at o*(I - 1)/(O - 1), and takes the cells on
      either side, weighted by nearness. A cell of weight 0 is not read: one NaN reaches the positions next to it only.

    x : array, shape (n, c, *spatial), or (c, *spatial); float32 or float64; at least one cell in each plane
    scale : positive number or one per spatial axis; O is floor(I * scale)
    size : int or one per spatial axis, the O themselves; either scale or size is given
    layout, threads : as for `max_pool`
    Returns an array of shape (n, c, *O) in the layout of x. Raises ValueError and TypeError for bad arguments.

    >>> upsample(np.array([[[1.0, 3.0]]]), scale=2)
    array([[[1., 1., 3., 3.]]])
    >>> upsample(np.array([[[1.0, 3.0]]]), scale=2, mode="linear")
    array([[[1. , 1.5, 2.5, 3. ]]])
    """
    x, dtype = _array(x, "x")
    axes, tables, _ = _problem(x.shape, scale, size, mode, align_corners, layout, "x")
    threads = None if threads is None else check_threads(threads, "threads")
    return resample(x, dtype, *axes, _tables(*tables, False), "sum", None, threads)[0]


def upsample_backward(dy, x_shape, *, scale=None, size=None, mode="nearest", align_corners=False, layout=None, threads=None):
    """Gradient of `upsample` with respect to its input: every cell adds up the dy that took it, with the weights they took.

    dy : array of the forward result's shape; x_shape : shape of the forward input. The other arguments are those of
    `upsample`, with the values of the forward call.

    >>> upsample_backward(np.array([[[1.0, 2.0, 3.0, 4.0]]]), (1, 1, 2), scale=2)
    array([[[3., 7.]]])
    """
    dy, dtype = _array(dy, "dy")
    axes, tables, out_shape = _problem(check_shape(x_shape, "x_shape"), scale, size, mode, align_corners, layout, "x_shape")
    if dy.shape != out_shape:
        raise ValueError(f"dy must have the shape of the forward result, {out_shape}; got {dy.shape}")
    threads = None if threads is None else check_threads(threads, "threads")
    return resample(dy, dtype, *axes, _tables(*tables, True), "sum", None, threads)[0]


def max_unpool(y, indices, x_shape, *, layout=None, threads=None):
    """Zeros of shape x_shape with every y at the cell that its index names: what max pooling kept, where it was.

    y, indices : arrays of one shape, indices as `max_pool` returns them: flat within each plane of x_shape (-1 is nowhere).
    Where several indices name a cell, the last in row-major order is kept. Raises ValueError for an index outside the plane.

    >>> max_unpool(np.array([[[3.0, 2.0]]]), np.array([[[1, 2]]]), (1, 1, 4))
    array([[[0., 3., 2., 0.]]])
    """
    y, dtype = _array(y, "y")
    indices, axes = _planes(y.shape, indices, x_shape, layout, "y")
    x = new_like(tuple(x_shape), dtype, y, *axes)
    threads = None if threads is None else check_threads(threads, "threads")
    if not scatter(y, indices, dtype, *axes, x, threads, "put"):
        raise _outside(indices, _extents(x.shape, axes[0], axes[2]))
    return x


def max_unpool_backward(dx, indices, *, layout=None, threads=None):
    """Gradient of `max_unpool` with respect to its first argument: dx at the cells that the indices name, 0 for -1.

    dx : array of shape x_shape of the forward call; indices : as there, with no cell named twice (as windows that do not overlap
    have them). Raises ValueError for an index outside the plane.

    >>> max_unpool_backward(np.array([[[5.0, 6.0, 7.0, 8.0]]]), np.array([[[1, 2]]]))
    array([[[6., 7.]]])
    """
    dx, dtype = _array(dx, "dx")
    dx = np.ascontiguousarray(dx)
    indices, axes = _planes(np.shape(indices), indices, dx.shape, layout, "indices")
    dy = np.empty(indices.shape, dtype)
    threads = None if threads is None else check_threads(threads, "threads")
    if not scatter(dy, indices, dtype, *axes, dx, threads, "take"):
        raise _outside(indices, _extents(dx.shape, axes[0], axes[2]))
    return dy


def _planes(shape, indices, x_shape, layout, name):
    """(indices as an array, (rank, batched, channels_last)) where x_shape has the images and channels of `shape`."""
    indices = _indices(indices)
    if indices.shape != tuple(shape):
        raise ValueError(f"indices must have the shape of y, {tuple(shape)}; got {indices.shape}")
    x_shape = check_shape(x_shape, "x_shape")
    axes = rank, batched, last = _axes(x_shape, None, layout, "x_shape")
    kept = (*range(batched), len(x_shape) - 1 if last else int(batched))
    if len(shape) != len(x_shape) or any(shape[axis] != x_shape[axis] for axis in kept):
        raise ValueError(f"{name} must have the images and channels of x_shape {x_shape}; got shape {tuple(shape)}")
    check_size(x_shape, 8, "x_shape")
    return indices, axes


def _problem(x_shape, scale, size, mode, align_corners, layout, name):
    """((rank, batched, channels_last), the arguments of _tables, the shape of the result), checked."""
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode must be 'nearest' or 'linear'; got {mode!r}")
    if not isinstance(align_corners, (bool, np.bool_)):
        raise TypeError(f"align_corners must be True or False, not {align_corners!r}")
    if align_corners and mode == "nearest":
        raise ValueError("align_corners is for mode='linear'; with 'nearest' it must be False")
    if (scale is None) == (size is None):
        raise ValueError(f"either scale or size must be given; got scale={scale!r}, size={size!r}")
    option, given = ("size", as_tuple(size)) if scale is None else ("scale", as_tuple(scale))
    axes = rank, batched, last = _axes(x_shape, given, layout, name, option)
    extents = _extents(x_shape, rank, last)
    if 0 in extents:
        raise ValueError(f"{name} must have at least one cell in each plane; got shape {tuple(x_shape)}")
    if scale is None:
        scales, size = (None,) * rank, per_axis(given, rank, "size", 1)
    else:
        scales = _scales(given, rank)
        size = tuple(math.floor(i * s) for i, s in zip(extents, scales, strict=True))
        if min(size) < 1:
            raise ValueError(f"scale must leave at least one position an axis; got {scale!r} for extents {tuple(extents)}")
        if max(size) >= LIMIT:
            raise OverflowError(f"scale is too large: {scale!r}")
    lead = x_shape[:1] if batched else ()
    out_shape = (*lead, *size, x_shape[-1]) if last else (*lead, x_shape[-rank - 1], *size)
    check_size(out_shape, 8, "the result")
    return axes, (tuple(extents), size, scales, mode, bool(align_corners)), out_shape


def _scales(scale, rank):
    scales = scale if isinstance(scale, tuple) else (scale,) * rank
    if len(scales) != rank:
        raise ValueError(f"scale must be a number or {rank} numbers, one per spatial axis; got {scale!r}")
    for s in scales:
        if isinstance(s, bool) or not isinstance(s, (int, float, np.number)):
            raise TypeError(f"scale must be a positive number or one per spatial axis, not {scale!r}")
        if not 0 < s < math.inf:
            raise ValueError(f"scale must be positive and finite; got {scale!r}")
    return tuple(map(float, scales))


@functools.lru_cache(maxsize=64)
def _tables(extents, size, scales, mode, align_corners, back):
    """The tables of the forward pass, or those of the gradient."""
    bands = [nearest_bands(*axis) if mode == "nearest" else linear_bands(*axis, align_corners)
             for axis in zip(extents, size, scales, strict=True)]
    return as_three_tables([transposed(band, i) for band, i in zip(bands, extents, strict=True)] if back else bands)
