"""Gradients of a convolution: the public functions."""
from collections import namedtuple

import numpy as np

from ndconv import missing
from ndconv._plan import run_bias_grad, run_weight_grad
from ndconv._runtime import get_num_threads
from ndconv.arguments import (
    cached,
    check_gradient,
    check_out,
    check_shape,
    check_wrt,
    common_dtype,
    deliver,
    memory_lanes,
    plan_of,
)
from ndconv.conv import conv
from ndconv.dtypes import as_real, module_of
from ndconv.plan import cached_choice, cached_problem, check_dtype, check_options
from ndconv.samples import is_per_sample, samples_bias_grad, samples_input_grad, samples_weight_grad

Gradients = namedtuple("Gradients", "x w b")
Gradients.__doc__ = "Gradients of a convolution with respect to its input, weights and bias; None for what was left out."


def conv_input_grad(dy, w, x_shape, *, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1, groups=1,
                    flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Gradient of a convolution with respect to its input.

    ``dx[n, c, j] = sum over o, i, t with i*stride + t*dilation - padding == j of dy[n, o, i] * w[o, c, t]``.
    Strides above 1 are split into phases, so no zero is inserted or multiplied.

    dy : array of the forward result's shape; w : as in `conv`; x_shape : shape of the forward input, batch axis included
    where dy has one. The other arguments are those of `conv`, with the values of the forward call.

    >>> conv_input_grad(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), (1, 1, 3, 3))[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    dy, w = np.asarray(dy), np.asarray(w)
    if is_per_sample(layout, w.ndim, dy.ndim):
        options = dict(stride=stride, padding=padding, padding_mode=padding_mode, padding_value=padding_value, dilation=dilation,
                       flip=flip, **check_options(method, accuracy, workspace_limit, threads))
        return samples_input_grad(conv_input_grad, dy, w, check_shape(x_shape, "x_shape"), out, layout, groups, options)
    plan = plan_of("input_grad", dy, check_shape(x_shape, "x_shape"), w.shape, w.dtype, stride, padding, dilation, groups, flip,
                   layout, method, accuracy, workspace_limit, threads, None, mode=padding_mode, value=padding_value)
    if plan.separable is not None:
        plan = plan.for_weights(w)
    return plan.run_with(dy, w, None, None, out)


def conv_weight_grad(dy, x, w_shape, *, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1, groups=1,
                     flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Gradient of a convolution with respect to its weights.

    ``dw[o, c, t] = sum over n, i of dy[n, o, i] * x[n, c, i*stride + t*dilation - padding]``, shape (oc, ic/groups, *kernel).

    dy : array of the forward result's shape; x : the forward input; w_shape : shape of the weights. The other arguments are
    those of `conv`, with the values of the forward call. The order of summation is fixed by the shapes, never by threads.

    >>> conv_weight_grad(np.ones((1, 1, 2, 2)), np.arange(9.0).reshape(1, 1, 3, 3), (1, 1, 2, 2))[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    dy, x = np.asarray(dy), np.asarray(x)
    options, w_shape = check_options(method, accuracy, workspace_limit, threads), check_shape(w_shape, "w_shape")
    if is_per_sample(layout, len(w_shape), dy.ndim):
        options |= dict(stride=stride, padding=padding, padding_mode=padding_mode, padding_value=padding_value,
                        dilation=dilation, flip=flip)
        return samples_weight_grad(conv_weight_grad, dy, x, w_shape, out, layout, groups, options)
    geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
    problem, batched, last = _gradient_problem(dy, x, w_shape, padding=padding, padding_mode=padding_mode,
                                               padding_value=padding_value, **geometry)
    check_out(out, w_shape, problem.dtype)
    other = module_of(dy.dtype, x.dtype)
    if other is not None:
        return deliver(other.weight_grad(problem, dy, x, batched, last, w_shape, geometry | options), out)
    return deliver(_weight_grad(problem, dy, x, batched, last, w_shape, flip, options), out)


def _weight_grad(problem, dy, x, batched, last, w_shape, flip, options, db=None):
    """The weight gradient of float arrays, and in `db` that of the bias, if it is wanted: dy is then read once for both."""
    result = np.empty(w_shape, problem.dtype)
    if 0 in (result.size, problem.n) or (0 in problem.x and not problem.bordered):
        result[...] = 0
        if db is not None:
            db[...] = bias_grad(dy, problem.rank, batched, last, options["threads"])
        return result
    threads = options["threads"]
    chosen, _, _ = cached_choice(problem, **options | dict(threads=threads or get_num_threads()), prepared=False)
    view = result[(..., *(slice(None, None, -1),) * problem.rank)] if flip else result
    run_weight_grad(problem, chosen, dy, x, batched, last, threads, view, db)
    return result


def _gradient_problem(dy, x, w_shape, *, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1, groups=1,
                      flip=False, layout=None):
    """(Problem, batched, channels_last) of a weight gradient, dy and x checked against it."""
    dtype = common_dtype(dy.dtype, x.dtype, ("dy", "x"))
    lanes = memory_lanes(dy, layout, dy.ndim == len(w_shape)) if layout is None or isinstance(layout, str) else None
    problem, batched, last = cached(cached_problem, "weight_grad", x.shape, w_shape, dtype, stride, padding, dilation, groups,
                                    flip, layout, lanes, padding_mode, padding_value)
    check_gradient(dy, problem, batched, last)
    return problem, batched, last


def bias_grad(dy, rank, batched, last, threads):
    """dy summed over every axis but its channels."""
    other = module_of(dy.dtype)
    if other is None:
        return run_bias_grad(dy, rank, batched, last, threads)
    return other.bias_grad(dy, tuple(axis for axis in range(dy.ndim) if axis != (dy.ndim - 1 if last else int(batched))))


def conv_backward(dy, x, w, *, wrt=("x", "w", "b"), **options):
    """Gradients of a convolution with respect to input, weights and bias, as Gradients(x, w, b).

    wrt names those wanted; the others are None. The other arguments are those of `conv`, with the values of the forward
    call. Of complex numbers they are PyTorch's, conjugate Wirtinger derivatives: `conv_input_grad` takes conj(w) and
    `conv_weight_grad` conj(x) for w and x in their formulas, and a real x or w has the real part for its gradient. Half precision
    is summed in float32 and rounded once. With kernels of their own for every image, w (n, oc, ic/groups, *kernel) and layout
    stated, dw and db (n, oc) are those of every image too.

    nan_policy, mask : as in `conv`. dx is 0 where x is missing, and a window whose result is NaN has no part in any gradient,
    whatever its dy. Formulas are in ndconv/missing.py.

    >>> g = conv_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), wrt=("w", "b"))
    >>> g.x is None, g.w[0, 0, 0, 0].item(), g.b.tolist()
    (True, 4.0, [4.0])
    """
    check_wrt(wrt)
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    mask, nan_policy = options.pop("mask", None), options.pop("nan_policy", "propagate")
    if mask is not None or nan_policy != "propagate":
        gaps = missing.gaps_of(x, mask, nan_policy)
        if gaps.any() or options.get("padding_mode", "zeros") != "zeros":
            return _backward_omitting(dy, x, w, wrt, gaps, options)
    names = ("stride", "padding", "padding_mode", "padding_value", "dilation", "groups", "flip", "layout")
    geometry = {name: options[name] for name in names if name in options}
    common_dtype(dy.dtype, w.dtype, ("dy", "w"))
    dw = db = None
    if is_per_sample(options.get("layout"), w.ndim, dy.ndim):
        of_images = samples_bias_grad(bias_grad, dy, x, w.shape, geometry, options.get("threads"))
        db = of_images if "b" in wrt else None
    else:
        problem, batched, last = _gradient_problem(dy, x, w.shape, **geometry)
        steer = check_options(**{name: value for name, value in options.items() if name not in geometry})
        if "b" in wrt and "w" in wrt and module_of(dy.dtype, x.dtype) is None:
            db = np.empty(problem.oc, problem.dtype)
            dw = _weight_grad(problem, dy, x, batched, last, w.shape, options.get("flip", False), steer, db)
        elif "b" in wrt:
            db = bias_grad(dy, problem.rank, batched, last, steer["threads"])
    dx = as_real(conv_input_grad(dy, w, x.shape, **options), x) if "x" in wrt else None
    if "w" in wrt and dw is None:
        dw = as_real(conv_weight_grad(dy, x, w.shape, **options), w)
    return Gradients(dx, dw, db)


def _backward_omitting(dy, x, w, wrt, gaps, options):
    """conv_backward of data with gaps."""
    if is_per_sample(options.get("layout"), w.ndim, dy.ndim):
        images = [_backward_omitting(*arrays, wrt, of_image, options) for *arrays, of_image in zip(dy, x, w, gaps)]
        return Gradients(*(None if parts[0] is None else np.stack(parts) for parts in zip(*images)))
    names = dict(stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1, groups=1, flip=False, layout=None)
    geometry = {name: options.get(name, default) for name, default in names.items()}
    steer = check_options(**{name: value for name, value in options.items() if name not in names})
    problem, batched, last = _gradient_problem(dy, x, w.shape, **geometry)
    for name, a in (("x", x), ("w", w)):
        check_dtype(a.dtype, name)
    common_dtype(dy.dtype, w.dtype, ("dy", "w"))
    dx, dw, dy = missing.backward_omitting(conv, conv_input_grad, conv_weight_grad, dy, x, w, wrt, gaps, geometry | steer)
    return Gradients(dx, dw, bias_grad(dy, problem.rank, batched, last, steer["threads"]) if "b" in wrt else None)
