"""The float64 definitions of every operation: what the kernels are tested against.

Plain NumPy, one loop over the kernel's taps, no thought of speed. Nothing here shares code with the kernels.

Geometry comes already normalised: ``stride``, ``dilation`` and ``size`` are an int or one int per axis, ``pads`` is one
``(before, after)`` pair per axis (negative crops; None is no padding). Arrays are batched. A ``layout`` that ends in C
(``"NWC"``, ``"NHWC"``, ``"NDHWC"``) is channels-last, everything else channels-first. Weights are ``(oc, ic/groups, *k)``.
"""
import functools
import itertools
import math

import numpy as np

__all__ = ["abs_conv", "activate", "avg_pool", "avg_pool_backward", "avg_pool_omitting", "conv", "conv_bias_grad",
           "conv_input_grad", "conv_omitting", "conv_transpose", "conv_weight_grad", "global_pool", "global_pool_backward",
           "max_pool", "max_pool_backward"]


def conv(x, w, bias=None, *, stride=1, pads=None, dilation=1, groups=1, flip=False, layout=None, activation=None,
         residual=None):
    """activation(y + residual), y[n, o, p] = bias[o] + sum over c, t of w[o, c, t] * x[n, c, p*stride + t*dilation - before].

    x is (n, ic, *i), w (oc, ic/groups, *k), the result (n, oc, *o) in float64; c runs over the group of o.

    >>> conv(np.ones((1, 1, 4)), np.ones((1, 1, 3)), pads=[(1, 1)])
    array([[[2., 3., 3., 2.]]])
    """
    x, w = _channels_first(x, layout), _weights(w, groups, flip)
    pads, padded, out = _geometry(x.shape[2:], w.shape[3:], stride, pads, dilation)
    xp = _split_channels(_pad(x, pads), groups)
    y = np.zeros((x.shape[0], groups, w.shape[1], math.prod(out)))
    for tap, cells in _taps(w.shape[3:], out, stride, dilation):
        y += w[(..., *tap)] @ _flat(xp[(..., *cells)], out)
    y = y.reshape(x.shape[0], groups * w.shape[1], *out)
    if bias is not None:
        y += np.asarray(bias, np.float64).reshape(-1, *[1] * len(out))
    y = _layout(y, layout)
    return activate(y if residual is None else y + residual, activation)


def activate(y, activation):
    """The activation of that name, or (name, numbers...), of every element; NaN stays NaN and infinities give the limits.

    >>> activate([-2.0, 0.5], "leaky_relu"), activate([-2.0, 9.0], ("clip", -1, 6))
    (array([-0.02,  0.5 ]), array([-1.,  6.]))
    """
    y = np.asarray(y, np.float64)
    name, *numbers = (activation,) if activation is None or isinstance(activation, str) else activation
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if name == "leaky_relu":
            return np.where(y < 0, y * (numbers[0] if numbers else 0.01), y)
        if name == "silu":
            return np.where(y == -np.inf, -0.0, y / (1 + np.exp(-y)))
        return {None: lambda y: y, "relu": lambda y: np.where(y < 0, 0, y), "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
                "tanh": np.tanh, "clip": lambda y: np.clip(y, *numbers)}[name](y)



def conv_omitting(x, w, bias=None, *, stride=1, pads=None, dilation=1, groups=1, flip=False, layout=None, activation=None,
                  residual=None):
    """conv where NaN in x is missing: (sum of w*x over the other taps) * (sum of w) / (sum of w over them), plus bias; padding
    is zeros that are not missing. NaN where every tap is.

    >>> conv_omitting([[[1.0, np.nan, 4.0, np.nan, np.nan]]], [[[1.0, 2.0]]])
    array([[[ 3., 12., 12., nan]]])
    """
    x = _channels_first(x, layout)
    x = np.pad(x, ((0, 0), (0, 0), *(pads or [])) if pads else 0)
    geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip)
    w = np.asarray(w, np.float64)
    whole = w.sum(tuple(range(1, w.ndim))).reshape(-1, *[1] * (w.ndim - 2))
    left = conv(~np.isnan(x), w, **geometry)
    full = conv(np.isnan(x), np.ones(w.shape), **geometry) == 0
    none = conv(~np.isnan(x), np.ones(w.shape), **geometry) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(full, 1, np.where(none, np.nan, whole / left))
    y = conv(np.where(np.isnan(x), 0, x), w, **geometry) * scale
    if bias is not None:
        y += np.asarray(bias, np.float64).reshape(-1, *[1] * (w.ndim - 2))
    y = _layout(y, layout)
    return activate(y if residual is None else y + residual, activation)


def abs_conv(x, w, bias=None, **geometry):
    """conv of the absolute values: what the element-wise error bound of conv is proportional to.

    >>> abs_conv([[[-1.0, 2.0]]], [[[3.0, -1.0]]])
    array([[[5.]]])
    """
    return conv(np.abs(x), np.abs(w), None if bias is None else np.abs(bias), **geometry)


def conv_input_grad(dy, w, x_shape, *, stride=1, pads=None, dilation=1, groups=1, flip=False, layout=None):
    """The gradient by x of sum(dy * conv(x, w)): an array of shape x_shape.

    >>> conv_input_grad(np.ones((1, 1, 2)), [[[1.0, 2.0, 3.0]]], (1, 1, 4))
    array([[[1., 3., 5., 3.]]])
    """
    dy, w = _channels_first(dy, layout), _weights(w, groups, flip)
    n, ic, *extent = _channels_first(np.broadcast_to(0.0, x_shape), layout).shape
    pads, padded, out = _geometry(extent, w.shape[3:], stride, pads, dilation)
    dy = _flat(_split_channels(dy, groups), out)
    dxp = np.zeros((n, groups, w.shape[2], *padded))
    for tap, cells in _taps(w.shape[3:], out, stride, dilation):
        dxp[(..., *cells)] += (w[(..., *tap)].swapaxes(1, 2) @ dy).reshape(n, groups, w.shape[2], *out)
    dxp = dxp.reshape(n, ic, *padded)
    return _layout(_pad(dxp, [(-before, -after) for before, after in pads]), layout)


def conv_transpose(x, w, bias=None, *, stride=1, pads=None, output_padding=0, dilation=1, groups=1, flip=False, layout=None,
                   activation=None, residual=None):
    """activation(y + residual), y[n, o, j] = bias[o] + sum over c, i, t with i*stride + t*dilation - before == j of
    x[n, c, i] * w[c, o, t], of extents (i - 1)*stride - before - after + dilation*(k - 1) + output_padding + 1.

    x is (n, ic, *i), w (ic, oc/groups, *k), the result (n, oc, *y) in float64.

    >>> conv_transpose([[[1.0, 2.0]]], [[[1.0, 10.0, 100.0]]], stride=2)
    array([[[  1.,  10., 102.,  20., 200.]]])
    """
    w = np.asarray(w, np.float64)
    n, _, *size = _channels_first(x, layout).shape
    rank, channels = len(size), w.shape[1] * groups
    pads = [(before, after - extra) for (before, after), extra in zip(pads or [(0, 0)] * rank, _per_axis(output_padding, rank),
                                                                      strict=True)]
    extents = [(i - 1) * s - before - after + d * (k - 1) + 1
               for i, s, d, k, (before, after) in zip(size, _per_axis(stride, rank), _per_axis(dilation, rank), w.shape[2:], pads,
                                                      strict=True)]
    last = layout is not None and layout.endswith("C")
    y = conv_input_grad(x, w, (n, *extents, channels) if last else (n, channels, *extents), stride=stride, pads=pads,
                        dilation=dilation, groups=groups, flip=flip, layout=layout)
    if bias is not None:
        y = y + np.asarray(bias, np.float64).reshape(-1, *[1] * (0 if last else rank))
    return activate(y if residual is None else y + residual, activation)


def conv_weight_grad(dy, x, w_shape, *, stride=1, pads=None, dilation=1, groups=1, flip=False, layout=None):
    """The gradient by w of sum(dy * conv(x, w)): an array of shape w_shape.

    >>> conv_weight_grad(np.ones((1, 1, 2)), [[[1.0, 2.0, 3.0, 4.0]]], (1, 1, 3))
    array([[[3., 5., 7.]]])
    """
    x, dy = _channels_first(x, layout), _channels_first(dy, layout)
    oc, icg, *kernel = w_shape
    pads, padded, out = _geometry(x.shape[2:], kernel, stride, pads, dilation)
    xp, dy = _split_channels(_pad(x, pads), groups), _flat(_split_channels(dy, groups), out)
    dw = np.zeros((groups, oc // groups, icg, *kernel))
    for tap, cells in _taps(kernel, out, stride, dilation):
        dw[(..., *tap)] = (dy @ _flat(xp[(..., *cells)], out).swapaxes(2, 3)).sum(0)
    return (_flip(dw) if flip else dw).reshape(w_shape)


def conv_bias_grad(dy, *, layout=None):
    """The gradient by bias of sum(dy * conv(x, w, bias)): dy summed over everything but its channels.

    >>> conv_bias_grad(np.ones((2, 3, 5)))
    array([10., 10., 10.])
    """
    dy = _channels_first(dy, layout)
    return dy.sum((0, *range(2, dy.ndim)))


def max_pool(x, size, *, stride=None, pads=None, dilation=1, ceil_mode=False, layout=None):
    """The greatest real cell of every window, and its flat index within its plane.

    NaN is greater than everything and the first cell in row-major order wins a tie. Padding is no cell: a window
    without any real cell gives -inf and index -1. Returns (values, indices).

    >>> max_pool([[[1.0, 3.0, 3.0, 2.0]]], 2)
    (array([[[3., 3.]]]), array([[[1, 2]]]))
    """
    x = _channels_first(x, layout)
    best, index = np.array(-np.inf), np.array(-1)
    for cells, real, _ in _windows(x.shape[2:], size, stride, pads, dilation, ceil_mode):
        value = x[(..., *cells)]
        here = np.ravel_multi_index(np.broadcast_arrays(*cells), x.shape[2:], mode="clip")
        wins = real & ((index < 0) | (value > best) | (np.isnan(value) & ~np.isnan(best)))
        best, index = np.where(wins, value, best), np.where(wins, here, index)
    return _layout(best, layout), _layout(index, layout)


def max_pool_backward(dy, indices, x_shape, *, layout=None):
    """The gradient by x of sum(dy * max_pool(x)): each dy added to the cell that its index names.

    >>> max_pool_backward([[[1.0, 2.0]]], [[[1, 1]]], (1, 1, 3))
    array([[[0., 3., 0.]]])
    """
    dy, indices = _channels_first(dy, layout), _channels_first(indices, layout, int)
    n, c, *extent = _channels_first(np.broadcast_to(0.0, x_shape), layout).shape
    dx = np.zeros((n, c, math.prod(extent)))
    for plane in np.ndindex(n, c):
        chosen = indices[plane] >= 0
        np.add.at(dx[plane], indices[plane][chosen], dy[plane][chosen])
    return _layout(dx.reshape(n, c, *extent), layout)


def avg_pool(x, size, *, stride=None, pads=None, dilation=1, ceil_mode=False, count_include_pad=True, divisor=None,
             layout=None):
    """The sum of every window's real cells over its divisor (see _divisors).

    >>> avg_pool([[[1.0, 2.0, 3.0, 4.0]]], 2)
    array([[[1.5, 3.5]]])
    """
    x = _channels_first(x, layout)
    geometry = (x.shape[2:], size, stride, pads, dilation, ceil_mode)
    total = 0.0
    for cells, real, _ in _windows(*geometry):
        total = total + np.where(real, x[(..., *cells)], 0.0)
    with np.errstate(invalid="ignore"):  # windows without a cell
        return _layout(total / _divisors(geometry, count_include_pad, divisor), layout)


def avg_pool_omitting(x, size, *, stride=None, pads=None, dilation=1, ceil_mode=False, count_include_pad=True, divisor=None,
                      layout=None):
    """avg_pool where NaN is missing: the mean of the other cells, or their sum for all of the window over the divisor.

    >>> avg_pool_omitting([[[1.0, np.nan, 3.0, 4.0]]], 2)
    array([[[1. , 3.5]]])
    """
    x = _channels_first(x, layout)
    geometry = (x.shape[2:], size, stride, pads, dilation, ceil_mode)
    total = gone = 0.0
    for cells, real, _ in _windows(*geometry):
        missing = np.isnan(x[(..., *cells)])
        total = total + np.where(real & ~missing, x[(..., *cells)], 0.0)
        gone = gone + (real & missing)
    counted = _divisors(geometry, count_include_pad, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / (counted - gone)
    return _layout(mean if divisor is None else np.where(gone == 0, total, mean * counted) / divisor, layout)


def avg_pool_backward(dy, x_shape, size, *, stride=None, pads=None, dilation=1, ceil_mode=False, count_include_pad=True,
                      divisor=None, layout=None):
    """The gradient by x of sum(dy * avg_pool(x)): each dy over its divisor, given to its window's real cells.

    >>> avg_pool_backward([[[1.0, 3.0]]], (1, 1, 5), 2)
    array([[[0.5, 0.5, 1.5, 1.5, 0. ]]])
    """
    dy = _channels_first(dy, layout)
    dx = np.zeros(_channels_first(np.broadcast_to(0.0, x_shape), layout).shape)
    geometry = (dx.shape[2:], size, stride, pads, dilation, ceil_mode)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = dy / _divisors(geometry, count_include_pad, divisor)
    for cells, real, _ in _windows(*geometry):
        np.add.at(dx, (..., *cells), np.where(real, share, 0.0))
    return _layout(dx, layout)


def lp_pool(x, size, *, p=2, stride=None, pads=None, dilation=1, ceil_mode=False, layout=None):
    """(sum of |x|**p)**(1/p) over every window's real cells, or the greatest |x| where p is inf; 0 without any.

    >>> lp_pool([[[3.0, -4.0]]], 2)
    array([[[5.]]])
    """
    x = np.abs(_channels_first(x, layout))
    total = np.array(0.0)
    for cells, real, _ in _windows(x.shape[2:], size, stride, pads, dilation, ceil_mode):
        value = np.where(real, x[(..., *cells)], 0.0)
        total = np.maximum(total, value) if p == math.inf else total + value**p
    return _layout(total if p == math.inf else total ** (1 / p), layout)


def weighted_pool(x, weights, *, stride=None, pads=None, dilation=1, ceil_mode=False, count_include_pad=True, layout=None):
    """The sum of weight times cell over every window's real cells, over the weights that count.

    >>> weighted_pool([[[1.0, 5.0]]], [1.0, 3.0])
    array([[[4.]]])
    """
    x, weights = _channels_first(x, layout), np.asarray(weights, np.float64)
    total, counted = 0.0, 0.0
    windows = _windows(x.shape[2:], weights.shape, stride, pads, dilation, ceil_mode)
    for (cells, real, within), weight in zip(windows, weights.flat, strict=True):
        total = total + weight * np.where(real, x[(..., *cells)], 0.0)
        counted = counted + weight * (within if count_include_pad else real)
    with np.errstate(invalid="ignore"):  # windows without a cell
        return _layout(total / counted, layout)


def adaptive_pool(x, output_size, kind, *, p=2, layout=None):
    """The "max", "min", "avg" or "lp" of bins from floor(o*I/O) to ceil((o + 1)*I/O) - 1 along every axis.

    >>> adaptive_pool([[[1.0, 2.0, 4.0]]], 2, "avg")
    array([[[1.5, 3. ]]])
    """
    x = _channels_first(x, layout)
    size = _per_axis(output_size, x.ndim - 2)
    y = np.empty((*x.shape[:2], *size))
    combine = {"max": np.max, "min": np.min, "avg": np.mean}.get(kind)
    if kind == "lp":
        def combine(cells, axis):
            return np.max(np.abs(cells), axis) if p == math.inf else np.sum(np.abs(cells)**p, axis) ** (1 / p)
    for at in np.ndindex(*size):
        bins = [slice(o * i // n, -(-(o + 1) * i // n)) for o, i, n in zip(at, x.shape[2:], size, strict=True)]
        y[(..., *at)] = combine(x[(..., *bins)], tuple(range(2, x.ndim)))
    return _layout(y, layout)


def global_pool(x, kind, *, p=2, layout=None):
    """The "max", "min", "avg" or "lp" of every whole plane; the spatial axes stay with extent 1.

    >>> global_pool([[[1.0, 2.0, 6.0]]], "avg")
    array([[[3.]]])
    """
    return adaptive_pool(x, 1, kind, p=p, layout=layout)


def global_pool_backward(dy, x, kind, *, layout=None):
    """The gradient by x of sum(dy * global_pool(x, kind)) for the kinds "max" and "avg".

    >>> global_pool_backward([[[3.0]]], [[[1.0, 2.0, 6.0]]], "max")
    array([[[0., 0., 3.]]])
    """
    extent = _channels_first(x, layout).shape[2:]
    if kind == "max":
        return max_pool_backward(dy, max_pool(x, extent, layout=layout)[1], np.shape(x), layout=layout)
    return avg_pool_backward(dy, np.shape(x), extent, layout=layout)


def upsample(x, size, *, scale=None, mode="nearest", align_corners=False, layout=None):
    """x at `size` positions an axis, one axis after another: the nearest cell, or between the cells on either side.

    >>> upsample([[[1.0, 3.0]]], 4, mode="linear")
    array([[[1. , 1.5, 2.5, 3. ]]])
    """
    x = _channels_first(x, layout)
    rank = x.ndim - 2
    for axis, (n, s) in enumerate(zip(_per_axis(size, rank), _per_axis(scale, rank), strict=True), 2):
        i, o = x.shape[axis], np.arange(n)
        step = i / n if s is None else 1 / s
        if mode == "nearest":
            at = np.minimum(np.floor(o * i / n if s is None else o / s), i - 1)
        elif align_corners:
            at = o * (i - 1) / max(n - 1, 1)
        else:
            at = np.clip((o + 0.5) * step - 0.5, 0, i - 1)
        low = np.floor(at).astype(int)
        far = (at - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        x = (1 - far) * np.take(x, low, axis) + far * np.take(x, np.minimum(low + 1, i - 1), axis)
    return _layout(x, layout)


def _channels_first(a, layout, dtype=np.float64):
    a = np.asarray(a, dtype)
    return np.moveaxis(a, -1, 1) if layout is not None and layout.endswith("C") else a


def _layout(a, layout):
    """The inverse of _channels_first, in contiguous memory."""
    return np.ascontiguousarray(np.moveaxis(a, 1, -1) if layout is not None and layout.endswith("C") else a)


def _per_axis(value, rank):
    return (value,) * rank if np.ndim(value) == 0 else tuple(value)


def _flip(w):
    return w[(slice(None), slice(None), slice(None), *[slice(None, None, -1)] * (w.ndim - 3))]


def _weights(w, groups, flip):
    """w as (groups, oc/groups, ic/groups, *k) in float64, rotated by 180 degrees when flip."""
    w = np.asarray(w, np.float64)
    w = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return _flip(w) if flip else w


def _split_channels(a, groups):
    return a.reshape(a.shape[0], groups, a.shape[1] // groups, *a.shape[2:])


def _flat(a, out):
    """(n, groups, channels, *out) as matrices (n, groups, channels, positions)."""
    return a.reshape(*a.shape[:3], math.prod(out))


def _geometry(extent, kernel, stride, pads, dilation):
    """(pads, padded extents, output extents)."""
    rank = len(extent)
    pads = [(0, 0)] * rank if pads is None else pads
    padded = [i + before + after for i, (before, after) in zip(extent, pads, strict=True)]
    out = [(p - d * (k - 1) - 1) // s + 1
           for p, k, s, d in zip(padded, kernel, _per_axis(stride, rank), _per_axis(dilation, rank), strict=True)]
    return pads, padded, out


def _pad(a, pads):
    """Zeros put around the spatial axes of a, or cells taken away where an amount is negative; its own adjoint with -pads."""
    padded = np.zeros((*a.shape[:2], *(i + sum(pair) for i, pair in zip(a.shape[2:], pads, strict=True))))
    source, target = [...], [...]
    for i, (before, after) in zip(a.shape[2:], pads, strict=True):
        start = max(0, -before)
        stop = max(start, min(i, i + after))
        source.append(slice(start, stop))
        target.append(slice(start + before, stop + before))
    if all(cells.start < cells.stop for cells in source[1:]):
        padded[tuple(target)] = a[tuple(source)]
    return padded


def _taps(kernel, out, stride, dilation):
    """For each tap of the kernel, the slices of the padded array that it meets, one cell per output."""
    rank = len(kernel)
    stride, dilation = _per_axis(stride, rank), _per_axis(dilation, rank)
    for tap in np.ndindex(*kernel):
        yield tap, [slice(t * d, t * d + s * (o - 1) + 1, s) if o > 0 else slice(0)
                    for t, o, s, d in zip(tap, out, stride, dilation, strict=True)]


def _windows(extent, size, stride, pads, dilation, ceil_mode):
    """For each tap of a pooling window: (indices of its cell, whether it is a real cell, whether it is before the padding's end).

    Each is over the output positions; the indices are an open grid, clipped into x where there is no real cell.
    """
    rank = len(extent)
    size, dilation = _per_axis(size, rank), _per_axis(dilation, rank)
    stride = size if stride is None else _per_axis(stride, rank)
    axes = []
    for i, k, s, d, (before, after) in zip(extent, size, stride, dilation, pads or [(0, 0)] * rank, strict=True):
        room = i + before + after - d * (k - 1) - 1
        out = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (out - 1) * s >= i + before:
            out -= 1  # that window would start in the padding after the array
        at = np.arange(k)[:, None] * d + np.arange(max(out, 0)) * s - before
        real = (at >= max(0, -before)) & (at < min(i, i + after))
        axes.append(list(zip(at.clip(0, max(i - 1, 0)), real, at < i + after, strict=True)))
    for taps in itertools.product(*axes):
        cells, real, within = (_open_grid(parts) for parts in zip(*taps, strict=True))
        yield cells, functools.reduce(np.logical_and, real), functools.reduce(np.logical_and, within)


def _open_grid(parts):
    """One vector per axis, each along its own axis (np.ix_ would turn the boolean ones into indices)."""
    return [part.reshape([-1 if axis == own else 1 for axis in range(len(parts))]) for own, part in enumerate(parts)]


def _divisors(geometry, count_include_pad, divisor):
    """How many cells each window counts: ``divisor``, or its real cells, or with the padding all before the padding's end."""
    if divisor is not None:
        return divisor
    return sum(1 * (within if count_include_pad else real) for _, real, within in _windows(*geometry))
