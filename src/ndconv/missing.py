"""Missing data: windows renormalised over the cells that are there.

A convolution of data with gaps is ``y = (sum of w*x over the valid taps) * (sum of w) / (sum of w over the valid taps)``: what
the kernel would give if each gap held the weighted mean of the rest of its window. Two convolutions do it, one of x with zeros
in the gaps and one of the mask of valid cells, and a third one of ones counts the gaps, so that a window without any keeps the
bits of its sum. Numerators come from the method that was asked for; the other two, which decide what is scaled and what
is NaN, always from a method with the element-wise bound, so every method answers alike. Where gaps are the same in all channels
the mask has one channel and the kernels are summed over theirs.

Padding is no gap: it has the values that padding_mode gives it (zeros count as zeros, as astropy's boundary="fill" has it), and
repeats gaps where it repeats cells; padding_mode="constant" with padding_value=nan makes a gap of all that is outside.

Gradients, with s = (sum of w) / (sum of w over the valid taps) of each window and r = dy * s * (sum of w*x over the valid taps) /
(sum of w): dx is that of a plain convolution for dy * s, 0 in the gaps; dw[t] is that of one for dy * s and x with zeros in the
gaps, plus the sum over windows of r * (1 - s), plus that of r * s over the windows in which tap t meets a gap. Both are 0 for
windows without gaps. A window whose result is NaN depends on nothing, so its dy counts as 0.

Sources: astropy.convolution.convolve (nan_treatment="interpolate"); Knutsson and Westin, Normalized and differential
convolution, CVPR 1993.
"""
import numpy as np

from ndconv.activation import finished
from ndconv.plan import check_dtype

POLICIES = ("propagate", "omit")


def gaps_of(x, mask, nan_policy):
    """Which cells of x are missing, as a boolean array of its shape."""
    if nan_policy not in POLICIES:
        raise ValueError(f"nan_policy must be 'propagate' or 'omit'; got {nan_policy!r}")
    if mask is None:
        return np.isnan(x)
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"mask must be boolean, True where x is missing; got {mask.dtype}")
    try:
        mask = np.broadcast_to(mask, x.shape)
    except ValueError:
        raise ValueError(f"mask must have the shape of x, {x.shape}, or one that broadcasts to it; got {mask.shape}") from None
    return mask | np.isnan(x) if nan_policy == "omit" else mask


def conv_omitting(conv, x, w, bias, residual, mask, nan_policy, activation, out, options):
    """conv over the valid taps of every window. `options` has the geometry, and what steers the choice of a method."""
    for name, a in (("x", x), ("w", w)):
        check_dtype(a.dtype, name)
    gaps = gaps_of(x, mask, nan_policy)
    modes, outside, steer = _outside_of(w, options)
    if not outside and not gaps.any():
        return conv(x, w, bias, residual=residual, activation=activation, out=out, **options)
    y = conv(np.where(gaps, x.dtype.type(0), x), w, **steer)
    y *= _scale(conv, x, w, gaps, outside, modes, steer)
    return finished(conv, y, w.shape[0], w.ndim - 2, bias=bias, residual=residual, activation=activation,
                    layout=options["layout"], threads=options["threads"], out=out)


def backward_omitting(conv, conv_input_grad, conv_weight_grad, dy, x, w, wrt, gaps, options):
    """(dx, dw, dy where results are numbers) of conv_omitting; None for a gradient that wrt leaves out."""
    modes, outside, options = _outside_of(w, options)
    scale = _scale(conv, x, w, gaps, outside, modes, options)
    lost = np.isnan(scale)
    dy, scale = np.where(lost, dy.dtype.type(0), dy), np.where(lost, scale.dtype.type(0), scale)
    scaled, dx, dw = dy * scale, None, None
    if "x" in wrt:
        dx = conv_input_grad(scaled, w, x.shape, **options)
        dx[gaps] = 0
    if "w" in wrt:
        filled = np.where(gaps, x.dtype.type(0), x)
        dw = conv_weight_grad(scaled, filled, w.shape, **options)
        rank, axis = w.ndim - 2, _channels(x, w, options)
        whole = w.sum(tuple(range(1, w.ndim)), dtype=np.float64)
        whole = np.where(whole == 0, 1, whole).astype(x.dtype)    # of a kernel whose sum is 0 all results are lost
        rest = scaled * conv(filled, w, **options)
        rest /= whole if axis == -1 else whole.reshape(-1, *(1,) * rank)
        dw += np.moveaxis(rest * (1 - scale), axis, 0).reshape(len(w), -1).sum(1).reshape(-1, *(1,) * (rank + 1))
        dw += conv_weight_grad(rest * scale, gaps.astype(x.dtype), w.shape, **options | _padded_by(modes, outside))
    return dx, dw, dy


def _outside_of(w, options):
    """(padding_mode of every axis, whether all that is outside is missing, options for sums over what is not)."""
    value, modes = options["padding_value"], options["padding_mode"]
    modes = (modes,) * (w.ndim - 2) if isinstance(modes, str) else modes
    if not (isinstance(value, (float, np.floating)) and np.isnan(value) and "constant" in modes):
        return modes, False, options
    if "zeros" in modes:
        raise ValueError(f"padding_value=nan, missing data outside x, does not go with 'zeros' on another axis; got {modes}")
    return modes, True, options | dict(padding_value=0.0)


def _channels(x, w, options):
    """The axis of channels."""
    return -1 if options["layout"] is not None and options["layout"].endswith("C") else x.ndim - w.ndim + 1


def _padded_by(modes, value):
    """Padding of a convolution of zeros and ones: `value` for a cell that is padded by zeros or a constant."""
    return dict(padding_mode=tuple("constant" if mode in ("zeros", "constant") else mode for mode in modes),
                padding_value=float(value))


def _scale(conv, x, w, gaps, outside, modes, options):
    """What each result is to be multiplied with: 1 without gaps, NaN where nothing, or weights of no sum, are left."""
    rank, axis, groups = w.ndim - 2, _channels(x, w, options), options["groups"]
    alike = np.take(gaps, [0], axis) if x.shape[axis] else gaps
    if (gaps == alike).all():
        gaps, w, groups = alike, w.astype(np.float64).sum(1, keepdims=True), 1
    w = w.astype(np.float64)
    spatial = tuple(range(1, rank + 2))
    options = options | dict(groups=groups, method="auto", accuracy="strict")

    def total(cells, weights, beyond):
        """The sum over each window; `beyond` is what counts for a cell that is padded by zeros or a constant."""
        return conv(cells.astype(np.float64), weights, **options | _padded_by(modes, beyond))

    def per_channel(values):
        return values if axis == -1 else values.reshape(-1, *(1,) * rank)

    count = total(gaps, np.ones((groups, *w.shape[1:])), outside)
    count = np.repeat(count, w.shape[0] // groups, axis)
    left, whole = total(~gaps, w, not outside), per_channel(w.sum(spatial))
    if w.min(initial=0.0) < 0:
        # weights of both signs: a sum that is nothing but rounding is none
        size = np.abs(w)
        noise = np.finfo(x.dtype).eps * size[0].size
        lost = np.abs(left) <= noise * total(~gaps, size, not outside)
        lost |= np.abs(whole) <= noise * per_channel(size.sum(spatial))
    else:
        lost = left <= 0
    lost |= count == w[0].size
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(lost, np.nan, whole / left)
    return np.where(count == 0, 1.0, scale).astype(x.dtype)


def mean_omitting(avg_pool, x, size, mask, nan_policy, out, options):
    """avg_pool over the valid cells of every window."""
    gaps = gaps_of(x, mask, nan_policy)
    if not gaps.any():
        return avg_pool(x, size, out=out, **options)
    y = avg_pool(np.where(gaps, x.dtype.type(0), x), size, **options)
    y *= _mean_scale(avg_pool, gaps, size, options).astype(y.dtype)
    if out is None:
        return y
    out[...] = y
    return out


def _mean_scale(avg_pool, gaps, size, options):
    """What the mean of each window with zeros in its gaps is to be multiplied with: NaN where nothing is left."""
    gone = avg_pool(gaps.astype(np.float64), size, **options | dict(divisor=1))
    # cells of each window, as count_include_pad has it: those of x over their share
    ones = np.ones(gaps.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = np.rint(avg_pool(ones, size, **options | dict(divisor=1)) / avg_pool(ones, size, **options | dict(divisor=None)))
        return np.where(gone == 0, 1.0, np.where(cells == gone, np.nan, cells / (cells - gone)))


def mean_backward_omitting(avg_pool, avg_pool_backward, dy, x_shape, size, mask, options):
    """avg_pool_backward of mean_omitting; windows without anything left have no part in it."""
    gaps = gaps_of(np.broadcast_to(dy.dtype.type(0), x_shape), mask, "propagate")
    scale = _mean_scale(avg_pool, gaps, size, options).astype(dy.dtype)
    lost = np.isnan(scale)
    dx = avg_pool_backward(np.where(lost, 0, dy) * np.where(lost, 0, scale), x_shape, size, **options)
    dx[gaps] = 0
    return dx
