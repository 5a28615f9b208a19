"""The weighted mean of windows: a convolution of every channel with the same kernel, over the weights that count."""
import numpy as np

from ndconv.arguments import as_tuple, check_shape
from ndconv.conv import conv
from ndconv.gradient import conv_input_grad
from ndconv.pool import _array, _check_like_result, _geometry
from ndconv.problem import RANKS, per_axis, resolve_padding


def weighted_pool(x, weights, *, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None,
                  out=None, threads=None):
    """The weighted mean of every window.

    ``y[n, c, i] = (sum over t of weights[t] * x[n, c, i*stride + t*dilation - padding]) / (sum over t of weights[t])`` where
    padding counts as zero.

    weights : array of one to three axes, the window's; they must not sum to 0. For example ``np.exp(-d**2)`` of the cells'
    distances d from the centre. stride : None is the window's size. count_include_pad : True adds up in the denominator the
    weights of the window's cells up to the end of the padding, False those of cells of x. The other arguments are those of
    `max_pool`. The result is within the error bound of the convolution that computes it (docs/numerics.md).

    >>> weighted_pool(np.array([[[1.0, 5.0, 3.0]]]), [1.0, 3.0], stride=1)
    array([[[4. , 3.5]]])
    """
    x, dtype = _array(x, "x")
    windows = stride, padding, dilation, ceil_mode, count_include_pad, layout
    _, w, options, total = _problem(x.shape, dtype, weights, windows, "x")
    y = conv(x, w, threads=threads, out=out, **options)
    with np.errstate(divide="ignore", invalid="ignore"):  # windows without a cell give NaN, as in avg_pool
        return y if total is None else np.divide(y, total, out=y)


def weighted_pool_backward(dy, x_shape, weights, *, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True,
                           layout=None, threads=None):
    """Gradient of `weighted_pool` with respect to its input: each dy times its weights over what it was divided by.

    dy : array of the forward result's shape; x_shape : shape of the forward input. The other arguments are those of
    `weighted_pool`, with the values of the forward call.

    >>> weighted_pool_backward(np.array([[[4.0, 8.0]]]), (1, 1, 3), [1.0, 3.0], stride=1)
    array([[[1., 5., 6.]]])
    """
    dy, dtype = _array(dy, "dy")
    x_shape = check_shape(x_shape, "x_shape")
    windows = stride, padding, dilation, ceil_mode, count_include_pad, layout
    geometry, w, options, total = _problem(x_shape, dtype, weights, windows, "x_shape")
    _check_like_result(dy, geometry, "dy")
    with np.errstate(divide="ignore", invalid="ignore"):  # windows without a cell, which lead nowhere
        share = dy if total is None else dy / total
    return conv_input_grad(share, w, x_shape, threads=threads, **options)


def _problem(x_shape, dtype, weights, windows, name):
    """(the Pooling, the convolution's weights and options, what its result is divided by or None)."""
    stride, padding, dilation, ceil_mode, count_include_pad, layout = windows
    weights = np.asarray(weights)
    if weights.dtype.kind not in "fiu" or weights.ndim not in RANKS or not weights.size:
        raise ValueError(f"weights must be an array of real numbers with 1 to 3 axes, the window's; got {weights.dtype} of shape "
                         f"{weights.shape}")
    geometry = _geometry(x_shape, weights.shape, stride, padding, dilation, ceil_mode, layout, count_include_pad, name=name)
    rank, last = geometry.rank, geometry.channels_last
    extents, positions = (shape[-rank - 1:-1] if last else shape[-rank:] for shape in (geometry.in_shape, geometry.out_shape))
    c, k = x_shape[-1 if last else -rank - 1], weights.shape
    stride = k if stride is None else per_axis(as_tuple(stride), rank, "stride", 1)
    dilation = per_axis(as_tuple(dilation), rank, "dilation", 1)
    before, after = resolve_padding(as_tuple(padding), extents, k, stride, dilation)
    reach = [(o - 1) * s + (t - 1) * d + 1 for o, s, t, d in zip(positions, stride, k, dilation, strict=True)]
    pads = [(lo, r - i - lo) for lo, r, i in zip(before, reach, extents, strict=True)]
    counted = [(lo, hi) if count_include_pad else (0, 0) for lo, hi in zip(before, after, strict=True)]
    options = dict(stride=stride, padding=pads, dilation=dilation, groups=c,
                   layout={1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}[rank][last])
    if all(lo <= low and hi <= high for (lo, hi), (low, high) in zip(pads, counted, strict=True)):
        total, sums = weights.sum(dtype=np.float64), None
        if not total:
            raise ValueError("weights must not sum to 0")
        weights = weights / total
    else:
        ones = np.ones((1, 1, *(i + lo + hi for i, (lo, hi) in zip(extents, counted, strict=True))))
        rest = [(lo - low, hi - high) for (lo, hi), (low, high) in zip(pads, counted, strict=True)]
        sums = conv(ones, weights[None, None].astype(np.float64), stride=stride, padding=rest, dilation=dilation)[0, 0]
        sums = (sums[..., None] if last else sums).astype(dtype)
    w = np.broadcast_to(weights.astype(dtype), (c, 1, *k))
    return geometry, w, options, sums
