"""Tiled convolution: a few kernels used in turn along every axis.

Many kernels, or kernels of little work, are taken in turn in one pass, as `local_conv` takes its own (_local.pyx). Else, and with
`method=`, each is a convolution: output positions that share a kernel, i = t*q + r for a remainder r, are one of stride t*stride
that begins at r*stride, written to every t-th element of the result, and the gradients are those convolutions' own. So each
method, layout and plan of `conv` serves here too.
"""
import math
from itertools import product

import numpy as np

from ndconv._plan import run_bias_grad
from ndconv.arguments import (
    check_gradient,
    check_same,
    check_wrt,
    deliver,
    forward_problem,
    plan_of,
    result_array,
    result_shape,
)
from ndconv.conv import conv
from ndconv.gradient import Gradients, conv_weight_grad
from ndconv.local import checked_residual, is_each, positions, run_forward, run_gradients, shared_bias, split_kernels
from ndconv.plan import check_dtype, check_options

# One pass with kernels in turn is as fast as a convolution for each, or faster, with so many kernels, or fewer multiply-adds of
# each.
MANY = 8
EASY = dict(y=2**24, x=3 * 2**23, w=0)


def tiled_conv(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, flip=False, layout=None, activation=None,
               residual=None, method="auto", accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Convolution with a few kernels used in turn along every axis ("tiled").

    ``y[n, o, i] = bias[o] + sum over c, k of x[n, c, i*stride + k*dilation - padding] * w[o, i % t, c, k]``, with one index per
    spatial axis. With t = 1 on every axis it is `conv`, bit for bit; with t as large as the result it is `local_conv`.

    Parameters
    ----------
    x : array, shape (n, ic, *spatial), or (ic, *spatial) for one image; float32 or float64
    w : array, shape (oc, *t, ic/groups, *kernel), dtype of x
    bias : array, shape (oc,), or (oc, *t) to be used in turn like the kernels; dtype of x, optional
    stride, padding, dilation, groups, flip, layout, activation, residual, method, accuracy, workspace_limit, threads, out :
        as in `conv`; padding is with zeros

    Returns
    -------
    array, shape (n, oc, *positions) in the layout of x

    Raises
    ------
    ValueError for values, TypeError for kinds, MethodNotApplicable for a method that cannot do one of the convolutions of stride
    t*stride, OverflowError for sizes that no index can count, MemoryError.

    References
    ----------
    Goodfellow, Bengio and Courville 2016, Deep Learning, section 9.5; Gregor and LeCun 2010; Le et al. 2010.

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    >>> w = np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    >>> tiled_conv(x, w)[0, 0]
    array([ 1., 20.,  3., 40.])
    """
    x, w = np.asarray(x), np.asarray(w)
    tiles = _Tiles(x, "x", x.shape, w.shape, stride, padding, dilation, groups, flip, layout)
    check_same(w, "w", tiles.dtype, "x")
    options = check_options(method, accuracy, workspace_limit, threads)
    residual = checked_residual(residual, activation, tiles.shape, tiles.dtype)
    if bias is not None:
        bias = np.asarray(bias)
        check_same(bias, "bias", tiles.dtype, "x")
        bias = np.broadcast_to(shared_bias(bias, w.shape[0], tiles.t, "bias"), (w.shape[0], *tiles.t))
    if tiles.alone:
        return conv(x, w[tiles.alone], None if bias is None else bias[tiles.alone], padding=padding, out=out, stride=stride,
                    activation=activation, residual=residual, **tiles.geometry, **options)
    y = result_array(x.astype(tiles.dtype, copy=False), tiles.shape, layout, tiles.batched, out, x, w, bias, residual)
    if tiles.in_turn("y", options):
        y = run_forward(tiles.problem, x, w, bias, y, tiles.batched, tiles.last, layout, flip, activation, residual,
                        options["threads"])
        return deliver(y, out)
    for tile, here, spec in tiles.parts():
        conv(x, w[tile], None if bias is None else bias[tile], activation=activation,
             residual=None if residual is None else residual[here], out=y[here], **spec, **options)
    return deliver(y, out)


def tiled_conv_backward(dy, x, w, *, wrt=("x", "w", "b"), bias_shape=None, stride=1, padding=0, dilation=1, groups=1, flip=False,
                        layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """Gradients of `tiled_conv` with respect to input, weights and bias, as Gradients(x, w, b).

    Of the positions i that use a kernel: ``dw[o, r, c, k] = sum over n and i with i % t == r of
    dy[n, o, i] * x[n, c, i*stride + k*dilation - padding]``; dx is the sum of what the convolutions of all kernels give.

    wrt names those wanted; the others are None. bias_shape : (oc,), the default, or (oc, *t). The other arguments are those of
    `tiled_conv`, with the values of the forward call.

    >>> g = tiled_conv_backward(np.ones((1, 1, 3)), np.array([[[1.0, 2.0, 4.0]]]), np.array([1.0, 10.0]).reshape(1, 2, 1, 1))
    >>> g.x[0, 0].tolist(), g.w.ravel().tolist(), g.b.tolist()
    ([1.0, 10.0, 1.0], [5.0, 2.0], [3.0])
    """
    check_wrt(wrt)
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    tiles = _Tiles(dy, "dy", x.shape, w.shape, stride, padding, dilation, groups, flip, layout)
    check_same(x, "x", tiles.dtype, "dy")
    check_same(w, "w", tiles.dtype, "dy")
    check_gradient(dy, tiles.problem, tiles.batched, tiles.last)
    options = check_options(method, accuracy, workspace_limit, threads)
    each = is_each(bias_shape, w.shape[0], tiles.t)
    dx, dw = run_gradients(tiles.problem, dy, x, w, [key for key in wrt if key in "xw" and tiles.in_turn(key, options)],
                           tiles.batched, tiles.last, layout, flip, options["threads"])
    if "x" in wrt and dx is None:
        dx = _input_grad(tiles, dy, x.shape, w, options)
    if "w" in wrt and dw is None:
        dw = _weight_grad(tiles, dy, x, w.shape, options)
    axes, db = (tiles.problem.rank, tiles.batched, tiles.last, options["threads"]), None
    if "b" in wrt:
        db = np.zeros((w.shape[0], *tiles.t), tiles.dtype) if each else run_bias_grad(dy, *axes)
    if db is not None and each:
        for tile, here, _ in tiles.parts():
            db[tile] = run_bias_grad(dy[here], *axes)
    return Gradients(dx, dw, db)


def _weight_grad(tiles, dy, x, w_shape, options):
    dw = np.zeros(w_shape, tiles.dtype)
    for tile, here, spec in tiles.parts():
        conv_weight_grad(dy[here], x, dw[tile].shape, out=dw[tile], **spec, **options)
    return dw


def _input_grad(tiles, dy, x_shape, w, options):
    """The sum over tiles of their input gradients, each added to those before as the residual of its own: two arrays in turn."""
    dx = other = None
    for tile, here, spec in tiles.parts():
        part = dy[here]
        plan = plan_of("input_grad", part, x_shape, w[tile].shape, w.dtype, spec["stride"], spec["padding"], spec["dilation"],
                       spec["groups"], spec["flip"], spec["layout"], *options.values(), None)
        dx, other = plan.for_weights(w[tile]).run_with(part, w[tile], None, dx, other), dx
    return dx


class _Tiles:
    """The convolutions of a tiled one: geometry of the whole, and the part of the result that each kernel computes.

    a : the array that decides dtype and memory order, x or dy, called `name`
    """

    def __init__(self, a, name, x_shape, w_shape, stride, padding, dilation, groups, flip, layout):
        rank, oc, self.t, kernel = split_kernels(w_shape)
        if 0 in self.t:
            raise ValueError(f"w must have at least one kernel on every spatial axis; got shape {w_shape}")
        self.geometry = dict(dilation=dilation, groups=groups, flip=flip, layout=layout)
        self.dtype = check_dtype(a.dtype, name)
        self.problem, self.batched, self.last = forward_problem(
            x_shape, (oc, *kernel), self.dtype, padding, dict(self.geometry, stride=stride))
        self.shape = result_shape(self.problem, self.batched, self.last)
        self.alone = (slice(None), *(0,) * rank) if set(self.t) == {1} else None

    def in_turn(self, key, options):
        """Whether y or the gradient by x or w is faster in one pass, with kernels in turn, than kernel by kernel."""
        p = self.problem
        kernels = math.prod(min(t, size) for t, size in zip(self.t, positions(p)))
        products = p.n * p.oc * math.prod(p.y) * (p.ic // p.g) * math.prod(p.k) // max(kernels, 1)
        easy = kernels >= MANY or (products < EASY[key] and (key != "x" or p.rank > 1))
        return options["method"] == "auto" and options["workspace_limit"] is None and not self.alone and easy

    def parts(self):
        """For each kernel that is used: its index in w, that of its part of the result, and the arguments of its convolution."""
        p, rank = self.problem, self.problem.rank
        axes = list(zip(*(v[3 - rank:] for v in (p.x, p.k, p.y, p.stride, p.dilation, p.before)), self.t))
        first = (slice(None),) * (self.batched + (not self.last))
        for tile in product(*(range(min(t, size)) for t, size in zip(self.t, p.y[3 - rank:]))):
            padding = []
            for r, (x, k, y_size, s, d, before, t) in zip(tile, axes):
                before -= r * s
                reach = (-(-(y_size - r) // t) - 1) * s * t + d * (k - 1) + 1
                padding.append((before, reach - x - before))
            here = (*first, *(slice(r, None, t) for r, t in zip(tile, self.t)))
            stride = tuple(s * t for s, t in zip(p.stride[3 - rank:], self.t))
            yield (slice(None), *tile), here, dict(self.geometry, stride=stride, padding=tuple(padding))
