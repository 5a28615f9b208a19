"""Pooling by the p-norm and by weights."""
import math

import numpy as np

from ndconv._planes import scale_by_power, scatter
from ndconv._runtime import check_threads
from ndconv.pool import _array, _check_like_result, _geometry


def lp_pool(x, size, *, p=2, stride=None, padding=0, dilation=1, ceil_mode=False, layout=None, out=None, threads=None):
    """The p-norm of every window.

    ``y[n, c, i] = (sum over t < size of |x[n, c, i*stride + t*dilation - padding]|**p) ** (1/p)``, or the greatest |x| where p
    is inf; padding counts as zero. As in PyTorch and ONNX nothing is divided by the number of cells, but |x| makes every p
    possible with negative values. The sum of the powers has to be a number of the dtype.

    p : a positive number or inf. The other arguments are those of `max_pool`.

    >>> lp_pool(np.array([[[3.0, -4.0, 1.0, 0.0]]]), 2)
    array([[[5., 1.]]])
    """
    x, dtype = _array(x, "x")
    geometry = _geometry(x.shape, size, stride, padding, dilation, ceil_mode, layout)
    _check_p(p)
    if threads is not None:
        threads = check_threads(threads, "threads")
    return geometry.forward(x, dtype, "lp", out, None, threads, p)[0]


def lp_pool_backward(dy, x, y, size, *, p=2, stride=None, padding=0, dilation=1, ceil_mode=False, layout=None, threads=None):
    """Gradient of `lp_pool` with respect to its input.

    ``dx = sign(x) * |x|**(p - 1) * (sum over the windows of dy * y**(1 - p))``; 0 where x is 0. With p inf each dy goes, with
    the sign of x, to the first cell of its window that has the greatest |x| (which takes a copy of x).

    dy, y : arrays of the forward result's shape, y that result; x : the forward input. The other arguments are those of
    `lp_pool`, with the values of the forward call.

    >>> x = np.array([[[3.0, -4.0, 1.0, 0.0]]])
    >>> lp_pool_backward(np.array([[[10.0, 2.0]]]), x, lp_pool(x, 2), 2)
    array([[[ 6., -8.,  2.,  0.]]])
    """
    x, dtype = _array(x, "x")
    geometry = _geometry(x.shape, size, stride, padding, dilation, ceil_mode, layout, True, 1)
    _check_p(p)
    dy, y = (_like_result(a, dtype, geometry, name) for a, name in ((dy, "dy"), (y, "y")))
    if threads is not None:
        threads = check_threads(threads, "threads")
    axes = geometry.rank, geometry.batched, geometry.channels_last
    if p == math.inf:
        _, indices = geometry.forward(np.abs(x), dtype, "max", None, "int64", threads)
        dx = geometry.gradient(dtype, x)
        scatter(dy, indices, dtype, *axes, dx, threads)
        scale_by_power(dx, x, 0, dtype, *axes, threads)
        return dx
    share = np.array(dy, dtype, order="K")
    scale_by_power(share, y, 1 - p, dtype, *axes, threads)
    dx = geometry.average_backward(share, dtype, threads)
    scale_by_power(dx, x, p - 1, dtype, *axes, threads)
    return dx


def _like_result(a, dtype, geometry, name):
    a, own = _array(a, name)
    if own != dtype:
        raise TypeError(f"{name} must be {dtype} as x is; got {own}")
    _check_like_result(a, geometry, name)
    return a


def _check_p(p):
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)):
        raise TypeError(f"p must be a positive number or inf, not {p!r}")
    if not p > 0:
        raise ValueError(f"p must be a positive number or inf; got {p!r}")
