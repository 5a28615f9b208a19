"""The float64 definitions of what is not one shared kernel: windows as columns, kernels that differ from place to place.

Geometry is that of ndconv.reference, which these belong to; weights are ``(oc, *positions, ic/groups, *k)``.
"""
import math

import numpy as np

from ndconv.reference import _channels_first, _geometry, _layout, _pad, _split_channels, _taps

__all__ = ["im2col", "local_conv", "local_conv_input_grad", "local_conv_weight_grad", "tile", "untile"]


def local_conv(x, w, bias=None, *, stride=1, pads=None, dilation=1, groups=1, layout=None):
    """y[n, o, p] = bias[o, p] + sum over c, t of w[o, p, c, t] * x[n, c, p*stride + t*dilation - before].

    x is (n, ic, *i), w (oc, *o, ic/groups, *k), bias (oc,) or (oc, *o), the result (n, oc, *o) in float64.

    >>> local_conv([[[1.0, 2.0, 3.0]]], [[[[1.0, 1.0]], [[10.0, 1.0]]]])
    array([[[ 3., 23.]]])
    """
    xp, w, out = _local_operands(x, w, pads, groups, layout)
    y = np.zeros((len(xp), *w.shape[:2], *out))
    for tap, cells in _taps(w.shape[3 + len(out):], out, stride, dilation):
        y += np.einsum("ngc...,go...c->ngo...", xp[(..., *cells)], w[(..., *tap)])
    y = y.reshape(len(xp), w.shape[0] * w.shape[1], *out)
    if bias is not None:
        y += np.reshape(bias, (*np.shape(bias), *[1] * (len(out) + 1 - np.ndim(bias))))
    return _layout(y, layout)


def local_conv_input_grad(dy, w, x_shape, *, stride=1, pads=None, dilation=1, groups=1, layout=None):
    """The gradient by x of sum(dy * local_conv(x, w)): an array of shape x_shape.

    >>> local_conv_input_grad([[[1.0, 2.0]]], [[[[1.0, 1.0]], [[10.0, 1.0]]]], (1, 1, 3))
    array([[[ 1., 21.,  2.]]])
    """
    dxp, w, out = _local_operands(np.zeros(x_shape), w, pads, groups, layout)
    dy = _split_channels(_channels_first(dy, layout), groups)
    for tap, cells in _taps(w.shape[3 + len(out):], out, stride, dilation):
        dxp[(..., *cells)] += np.einsum("ngo...,go...c->ngc...", dy, w[(..., *tap)])
    dxp = dxp.reshape(len(dxp), dxp.shape[1] * dxp.shape[2], *dxp.shape[3:])
    return _layout(_pad(dxp, [(-before, -after) for before, after in pads or [(0, 0)] * len(out)]), layout)


def local_conv_weight_grad(dy, x, w_shape, *, stride=1, pads=None, dilation=1, groups=1, layout=None):
    """The gradient by w of sum(dy * local_conv(x, w)): an array of shape w_shape.

    >>> local_conv_weight_grad([[[1.0, 2.0]]], [[[1.0, 2.0, 3.0]]], (1, 2, 1, 2))
    array([[[[1., 2.]],
    <BLANKLINE>
            [[4., 6.]]]])
    """
    xp, dw, out = _local_operands(x, np.zeros(w_shape), pads, groups, layout)
    dy = _split_channels(_channels_first(dy, layout), groups)
    for tap, cells in _taps(dw.shape[3 + len(out):], out, stride, dilation):
        dw[(..., *tap)] = np.einsum("ngo...,ngc...->go...c", dy, xp[(..., *cells)])
    return dw.reshape(w_shape)


def _local_operands(x, w, pads, groups, layout):
    """x padded as (n, groups, ic/groups, *padded), w as (groups, oc/groups, *o, ic/groups, *k), and *o."""
    x, w = _channels_first(x, layout), np.asarray(w, np.float64)
    rank = x.ndim - 2
    w = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return _split_channels(_pad(x, pads or [(0, 0)] * rank), groups), w, w.shape[2:2 + rank]


def untile(w, out):
    """The kernels (oc, *o, ...) of a local convolution that uses those of w, (oc, *t, ...), in turn.

    >>> untile([[10.0, 20.0]], (5,))
    array([[10., 20., 10., 20., 10.]])
    """
    w = np.asarray(w)
    for axis, size in enumerate(out, 1):
        w = np.take(w, np.arange(size) % w.shape[axis], axis)
    return w


def tile(w, t):
    """The adjoint of untile: kernels of positions that share one, added up.

    >>> tile([[1.0, 2.0, 4.0, 8.0, 16.0]], (2,))
    array([[21., 10.]])
    """
    w = np.asarray(w)
    for axis, size in enumerate(t, 1):
        w = np.stack([np.take(w, np.arange(r, w.shape[axis], size), axis).sum(axis) for r in range(size)], axis)
    return w


def im2col(x, kernel, *, stride=1, pads=None, dilation=1, layout=None):
    """columns[n, (c, t), p] = x[n, c, p*stride + t*dilation - before].

    >>> im2col([[[1.0, 2.0, 3.0]]], (2,))
    array([[[1., 2.],
            [2., 3.]]])
    """
    x = _channels_first(x, layout)
    pads, _, out = _geometry(x.shape[2:], kernel, stride, pads, dilation)
    xp = _pad(x, pads)
    windows = np.stack([xp[(..., *cells)] for _, cells in _taps(kernel, out, stride, dilation)], 2)
    return windows.reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(out))
