"""Gradients of a convolution: the public functions."""
from collections import namedtuple

import numpy as np

from ndconv import border
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
    forward_problem,
    memory_lanes,
    plan_of,
    result_array,
)
from ndconv.dtypes import as_real, module_of
from ndconv.plan import cached_choice, cached_problem, check_options
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
    if padding_mode != "zeros":
        geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
        options = check_options(method, accuracy, workspace_limit, threads)
        return _input_grad_bordered(dy, w, x_shape, padding, padding_mode, padding_value, geometry, options, out)
    plan = plan_of("input_grad", dy, check_shape(x_shape, "x_shape"), w.shape, w.dtype, stride, padding, dilation, groups,
                   flip, layout, method, accuracy, workspace_limit, threads, None)
    if plan.separable is not None:
        plan = plan.for_weights(w)
    return plan.run_with(dy, w, None, None, out)


def _input_grad_bordered(dy, w, x_shape, padding, mode, value, geometry, options, out):
    """conv_input_grad with other padding than zeros."""
    dtype = common_dtype(dy.dtype, w.dtype, ("dy", "w"))
    problem, batched, last = forward_problem(check_shape(x_shape, "x_shape"), w.shape, dtype, padding, geometry)
    boxes = border.boxes_of(problem, border.check_modes(mode, problem.rank, value))
    check_gradient(dy, problem, batched, last)

    def run(part, shape, padding, to):
        return conv_input_grad(part, w, shape, padding=padding, out=to, **geometry, **options)

    dx = result_array(dy, tuple(x_shape), geometry["layout"], batched, out, dy, w, dtype=dtype)
    border.gather_input_grad(run, boxes, dy, dx, batched + (not last))
    return deliver(dx, out)


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
    problem, batched, last = _gradient_problem(dy, x, w_shape, padding=padding, **geometry)
    if padding_mode != "zeros":
        return _weight_grad_bordered(dy, x, problem, batched + (not last), padding_mode, padding_value, geometry, options, out)
    check_out(out, w_shape, problem.dtype)
    other = module_of(dy.dtype, x.dtype)
    if other is not None:
        return deliver(other.weight_grad(problem, dy, x, batched, last, w_shape, geometry | options), out)
    result = np.empty(w_shape, problem.dtype)
    if result.size == 0 or 0 in (problem.n, *problem.x):
        result[...] = 0
    else:
        options["threads"] = threads or get_num_threads()
        chosen, _ = cached_choice(problem, **options, prepared=False)
        view = result[(..., *(slice(None, None, -1),) * problem.rank)] if flip else result
        run_weight_grad(problem, chosen, dy, x, batched, last, threads, view)
    if out is None:
        return result
    out[...] = result
    return out


def _weight_grad_bordered(dy, x, problem, first, mode, value, geometry, options, out):
    """conv_weight_grad with other padding than zeros; `problem` is checked against dy and x."""
    boxes = border.boxes_of(problem, border.check_modes(mode, problem.rank, value))
    w_shape = (problem.oc, problem.ic // problem.g) + problem.k[3 - problem.rank:]
    check_out(out, w_shape, problem.dtype)

    def run(part, inputs, padding):
        return conv_weight_grad(part, inputs, w_shape, padding=padding, **geometry, **options)

    return deliver(border.sum_weight_grad(run, boxes, dy, x, first, value), out)


def _gradient_problem(dy, x, w_shape, *, stride=1, padding=0, dilation=1, groups=1, flip=False, layout=None):
    """(Problem, batched, channels_last) of a weight gradient, dy and x checked against it."""
    dtype = common_dtype(dy.dtype, x.dtype, ("dy", "x"))
    lanes = memory_lanes(dy, layout, dy.ndim == len(w_shape)) if layout is None or isinstance(layout, str) else None
    problem, batched, last = cached(cached_problem, "weight_grad", x.shape, w_shape, dtype, stride, padding, dilation, groups,
                                     flip, layout, lanes)
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
    is summed in float32 and rounded once.
    With kernels of their own for every image, w (n, oc, ic/groups, *kernel) and layout stated, dw and db (n, oc) are those of
    every image too.

    >>> g = conv_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), wrt=("w", "b"))
    >>> g.x is None, g.w[0, 0, 0, 0].item(), g.b.tolist()
    (True, 4.0, [4.0])
    """
    check_wrt(wrt)
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    geometry = {name: options[name] for name in ("stride", "padding", "dilation", "groups", "flip", "layout") if name in options}
    common_dtype(dy.dtype, w.dtype, ("dy", "w"))
    db = None
    if is_per_sample(options.get("layout"), w.ndim, dy.ndim):
        of_images = samples_bias_grad(bias_grad, dy, x, w.shape, geometry, options.get("threads"))
        db = of_images if "b" in wrt else None
    else:
        problem, batched, last = _gradient_problem(dy, x, w.shape, **geometry)
        check_options(**{name: value for name, value in options.items() if name not in geometry})
        if "b" in wrt:
            db = bias_grad(dy, problem.rank, batched, last, options.get("threads"))
    dx = as_real(conv_input_grad(dy, w, x.shape, **options), x) if "x" in wrt else None
    dw = as_real(conv_weight_grad(dy, x, w.shape, **options), w) if "w" in wrt else None
    return Gradients(dx, dw, db)
