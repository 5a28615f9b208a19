"""Convolution with a kernel of its own for every output position: locally connected layers."""
import numpy as np

from ndconv._local import forward
from ndconv._local_grad import input_grad, weight_grad
from ndconv._plan import run_bias_grad
from ndconv._runtime import check_threads
from ndconv.activation import finished, resolve_activation
from ndconv.arguments import (
    check_gradient,
    check_residual,
    check_same,
    check_wrt,
    deliver,
    forward_problem,
    result_array,
    result_shape,
)
from ndconv.conv import conv
from ndconv.gradient import Gradients
from ndconv.plan import check_dtype


def local_conv(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, flip=False, layout=None, activation=None,
               residual=None, threads=None, out=None):
    """Convolution whose kernel is not shared: every output position has its own ("locally connected").

    ``y[n, o, i] = bias[o, i] + sum over c, t of x[n, c, i*stride + t*dilation - padding] * w[o, i, c, t]`` for positions i and
    taps t with one index per spatial axis; x counts as zero outside its extents.

    Parameters
    ----------
    x : array, shape (n, ic, *spatial), or (ic, *spatial) for one image; float32 or float64
        One to three spatial axes, any strides.
    w : array, shape (oc, *positions, ic/groups, *kernel), dtype of x
        Fastest where the last axes, (ic/groups, *kernel), follow each other in memory. Each weight is read once for up to 256
        images (128 of float64), so with few images the time is that of reading w.
    bias : array, shape (oc,) or (oc, *positions), dtype of x, optional
    stride, padding, dilation, groups, flip, layout, threads, out : as in `conv`; padding is with zeros
    activation, residual : as in `conv`; they take a pass of their own over the result

    Returns
    -------
    array, shape (n, oc, *positions) in the layout of x. Every result has the element-wise error bound of a direct sum; an image
    has the same bits whatever else is in the batch and whatever the number of threads.

    Raises
    ------
    ValueError for values, TypeError for kinds, OverflowError for sizes that no index can count, MemoryError.

    References
    ----------
    Goodfellow, Bengio and Courville 2016, Deep Learning, section 9.5 (unshared convolution).

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0, 3.0]]])
    >>> w = np.array([[1.0, 1.0], [10.0, 1.0]]).reshape(1, 2, 1, 2)
    >>> local_conv(x, w)[0, 0]
    array([ 3., 23.])
    """
    x, w = np.asarray(x), np.asarray(w)
    problem, batched, last = _problem_of(x, "x", x.shape, w.shape, stride, padding, dilation, groups, layout)
    check_same(w, "w", problem.dtype, "x")
    shape = result_shape(problem, batched, last)
    residual = checked_residual(residual, activation, shape, problem.dtype)
    threads = None if threads is None else check_threads(threads, "threads")
    if bias is not None:
        bias = np.asarray(bias)
        check_same(bias, "bias", problem.dtype, "x")
        bias = np.broadcast_to(shared_bias(bias, problem.oc, positions(problem), "bias"), (problem.oc, *positions(problem)))
    y = result_array(x.astype(problem.dtype, copy=False), shape, layout, batched, out, x, w, bias, residual)
    y = run_forward(problem, x, w, bias, y, batched, last, layout, flip, activation, residual, threads)
    return deliver(y, out)


def local_conv_backward(dy, x, w, *, wrt=("x", "w", "b"), bias_shape=None, stride=1, padding=0, dilation=1, groups=1, flip=False,
                        layout=None, threads=None):
    """Gradients of `local_conv` with respect to input, weights and bias, as Gradients(x, w, b).

    ``dx[n, c, j] = sum over o, i, t with i*stride + t*dilation - padding == j of dy[n, o, i] * w[o, i, c, t]``,
    ``dw[o, i, c, t] = sum over n of dy[n, o, i] * x[n, c, i*stride + t*dilation - padding]``, and db is the sum of dy over what
    shares a bias.

    wrt names those wanted; the others are None. bias_shape : (oc,), the default, or (oc, *positions). The other arguments are
    those of `local_conv`, with the values of the forward call.

    >>> g = local_conv_backward(np.ones((1, 1, 2)), np.array([[[1.0, 2.0, 3.0]]]), np.arange(4.0).reshape(1, 2, 1, 2))
    >>> g.x[0, 0].tolist(), g.w.ravel().tolist(), g.b.tolist()
    ([0.0, 3.0, 3.0], [1.0, 2.0, 2.0, 3.0], [2.0])
    """
    check_wrt(wrt)
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    problem, batched, last = _problem_of(dy, "dy", x.shape, w.shape, stride, padding, dilation, groups, layout)
    check_same(x, "x", problem.dtype, "dy")
    check_same(w, "w", problem.dtype, "dy")
    check_gradient(dy, problem, batched, last)
    threads = None if threads is None else check_threads(threads, "threads")
    each = is_each(bias_shape, problem.oc, positions(problem))
    dx, dw = run_gradients(problem, dy, x, w, wrt, batched, last, layout, flip, threads)
    db = None
    if "b" in wrt and each:
        first = np.moveaxis(dy, -1, 1 if batched else 0) if last else dy
        db = first.sum(0, dtype=np.float64).astype(problem.dtype) if batched else np.array(first, problem.dtype)
    elif "b" in wrt:
        db = run_bias_grad(dy, problem.rank, batched, last, threads)
    return Gradients(dx, dw, db)


def run_forward(problem, x, w, bias, y, batched, last, layout, flip, activation, residual, threads):
    """The result, in y or in a new array, with kernels w in turn and a bias of as many places."""
    if y.size:
        forward(problem, x, _rotated(w, problem.rank, flip), bias, y, batched, last, threads)
    if residual is None and activation is None:
        return y
    return finished(conv, y, problem.oc, problem.rank, layout=layout, activation=activation, residual=residual, threads=threads)


def run_gradients(problem, dy, x, w, wrt, batched, last, layout, flip, threads):
    """dx and dw, or None, of kernels w in turn."""
    dx = dw = None
    if "x" in wrt:
        dx = result_array(dy.astype(problem.dtype, copy=False), x.shape, layout, batched, None)
        dx[...] = 0
        if dx.size and w.size and dy.size:
            input_grad(problem, dx, _rotated(w, problem.rank, flip), dy, batched, last, threads)
    if "w" in wrt:
        used = problem.n and all(t <= size for t, size in zip(w.shape[1:], positions(problem)))
        dw = np.empty(w.shape, problem.dtype) if used else np.zeros(w.shape, problem.dtype)
        if dw.size and dy.size:
            weight_grad(problem, x, dw, dy, batched, last, threads)
        dw = _rotated(dw, problem.rank, flip)
    return dx, dw


def checked_residual(residual, activation, shape, dtype):
    """The residual as an array, or None; an error if it or the activation is wrong."""
    resolve_activation(activation)
    if residual is not None:
        residual = np.asarray(residual)
        check_residual(residual, shape, dtype)
    return residual


def _rotated(w, rank, flip):
    """w, or a view of it with its kernels rotated."""
    return np.flip(w, tuple(range(-rank, 0))) if flip else w


def shared_bias(bias, oc, places, name):
    """A bias (oc,) or (oc, *places) with an axis of extent 1 for each place that shares it."""
    if bias.shape == (oc,):
        return bias.reshape(oc, *(1,) * len(places))
    if bias.shape != (oc, *places):
        raise ValueError(f"{name} must have shape {(oc,)}, one value per output channel, or {(oc, *places)}; got {bias.shape}")
    return bias


def is_each(bias_shape, oc, places):
    """Whether a bias of that shape differs from place to place; None means that it does not."""
    if bias_shape is None or tuple(bias_shape) == (oc,):
        return False
    if tuple(bias_shape) != (oc, *places):
        raise ValueError(f"bias_shape must be {(oc,)} or {(oc, *places)}; got {tuple(bias_shape)}")
    return True


def positions(problem):
    """Extents of the result."""
    return problem.y[3 - problem.rank:]


def split_kernels(w_shape):
    """(rank, oc, places, (ic/groups, *kernel)) of weights (oc, *places, ic/groups, *kernel)."""
    rank = len(w_shape) // 2 - 1
    if rank not in (1, 2, 3) or len(w_shape) % 2:
        raise ValueError(f"w must have 4, 6 or 8 axes, (oc, *positions, ic/groups, *kernel); got shape {w_shape}")
    return rank, w_shape[0], w_shape[1:1 + rank], w_shape[1 + rank:]


def _problem_of(a, name, x_shape, w_shape, stride, padding, dilation, groups, layout):
    """(Problem, batched, channels_last) of an array and the shapes of a forward call."""
    rank, oc, places, kernel = split_kernels(w_shape)
    geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=False, layout=layout)
    problem, batched, last = forward_problem(x_shape, (oc, *kernel), check_dtype(a.dtype, name), padding, geometry)
    if places != positions(problem):
        raise ValueError(f"w must have a kernel for each of the {positions(problem)} positions of the result, so the shape "
                         f"{(oc, *positions(problem), *kernel)}; got {w_shape}")
    return problem, batched, last
