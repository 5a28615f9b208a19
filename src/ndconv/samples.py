"""Kernels of their own for every image of a batch: w with a leading batch axis.

An image with its kernels is a group of the convolution of one image that has all channels. Where the axes (n, channels) of every
array are as one in memory (channels first) the batch is that one problem, with n times the groups; elsewhere the images are done
one after the other, with threads inside. No array is copied either way.
"""
import numpy as np

from ndconv.arguments import (
    check_gradient,
    check_out,
    check_residual,
    common_dtype,
    deliver,
    forward_problem,
    result_array,
    result_shape,
)
from ndconv.problem import channels_axis


def is_per_sample(layout, w_axes, x_axes):
    """Whether weights of so many axes have a batch axis: one more than the rank that the layout states, which is that of x, gives
    them."""
    return isinstance(layout, str) and w_axes == len(layout) + 1 and x_axes <= len(layout)


def conv_samples(conv, x, w, bias, residual, mask, out, layout, groups, options):
    """`conv` of every image with its own kernels."""
    dtype = common_dtype(x.dtype, w.dtype, accumulate=options["accumulate"])
    problem, last = _problem_of(dtype, x.shape, w.shape, layout, groups, options)
    n, oc = w.shape[:2]
    if bias is not None:
        bias = np.asarray(bias)
        if bias.shape not in ((oc,), (n, oc)):
            raise ValueError(f"bias must have shape {(oc,)} or {(n, oc)}, one value per output channel; got {bias.shape}")
        bias = np.ascontiguousarray(np.broadcast_to(bias, (n, oc)))
    shape = result_shape(problem, True, last)
    residual = None if residual is None else np.asarray(residual)
    check_residual(residual, shape, dtype)
    mask = None if mask is None else np.broadcast_to(mask, x.shape)

    def run(x, w, bias, residual, mask, groups, out):
        return conv(x, w, bias, residual=residual, mask=mask, groups=groups, out=out, layout=layout, **options)

    def new(*inputs):
        return result_array(x, shape, layout, True, out, *inputs, dtype=dtype)

    return _over_images(run, (x, w, bias, residual, mask), shape, out, last, groups, new)


def samples_input_grad(conv_input_grad, dy, w, x_shape, out, layout, groups, options):
    """`conv_input_grad` of every image with its own kernels."""
    dtype = common_dtype(dy.dtype, w.dtype, ("dy", "w"))
    problem, last = _problem_of(dtype, x_shape, w.shape, layout, groups, options)
    check_gradient(dy, problem, True, last)
    spatial = tuple(x_shape[1:-1] if last else x_shape[2:])

    def run(dy, w, groups, out):
        channels = w.shape[1] * groups
        shape = (*spatial, channels) if last else (channels, *spatial)
        return conv_input_grad(dy, w, shape, groups=groups, out=out, layout=layout, **options)

    def new(*inputs):
        return result_array(dy, tuple(x_shape), layout, True, out, *inputs, dtype=dtype)

    return _over_images(run, (dy, w), tuple(x_shape), out, last, groups, new)


def samples_weight_grad(conv_weight_grad, dy, x, w_shape, out, layout, groups, options):
    """`conv_weight_grad` of every image for its own kernels."""
    dtype = common_dtype(dy.dtype, x.dtype, ("dy", "x"))
    problem, last = _problem_of(dtype, x.shape, w_shape, layout, groups, options)
    check_gradient(dy, problem, True, last)

    def run(dy, x, groups, out):
        return conv_weight_grad(dy, x, (problem.oc // problem.g * groups, *w_shape[2:]), groups=groups, out=out, layout=layout,
                                **options)

    def new(*inputs):
        check_out(out, w_shape, dtype)
        return np.empty(w_shape, dtype)

    return _over_images(run, (dy, x), tuple(w_shape), out, last, groups, new)


def samples_bias_grad(bias_grad, dy, x, w_shape, geometry, threads):
    """The gradient by the bias of every image, (n, oc)."""
    options, dtype = dict(geometry), common_dtype(dy.dtype, x.dtype, ("dy", "x"))
    problem, last = _problem_of(dtype, x.shape, w_shape, options.pop("layout"), options.pop("groups", 1), options)
    check_gradient(dy, problem, True, last)
    db = np.empty(w_shape[:2], dtype)
    for i, image in enumerate(dy):
        db[i] = bias_grad(image, problem.rank, False, last, threads)
    return db


def _over_images(run, arrays, shape, out, last, groups, new):
    """run(*arrays, groups, out) without batch axes: once with the images as groups, or for each image to its part of new(...)."""
    given = (*arrays, out)
    merged = [a if a is None else _merged(a) for a in given]
    if not last and shape[0] and all((a is None) == (b is None) for a, b in zip(given, merged)):
        *views, to = merged
        y = run(*views, shape[0] * groups, to)
        return y.reshape(shape) if out is None else out
    y = new(*arrays)
    for i in range(shape[0]):
        run(*(a if a is None else a[i] for a in arrays), groups, y[i])
    return deliver(y, out)


def _merged(a):
    """A view (n * channels, ...) of (n, channels, ...), or None where memory has none."""
    n, channels = a.shape[:2]
    if channels > 1 and n > 1 and a.strides[0] != channels * a.strides[1]:
        return None
    return a.reshape(n * channels, *a.shape[2:])


def _problem_of(dtype, x_shape, w_shape, layout, groups, options):
    """(Problem, channels_last) of all images with kernels of the shape of one image's."""
    rank = len(w_shape) - 3
    last = channels_axis(layout, rank) == -1
    if len(x_shape) != rank + 2:
        raise ValueError(f"x must have a batch axis, {rank + 2} axes in all, for w of shape {tuple(w_shape)}, which has one; "
                         f"got shape {tuple(x_shape)}")
    if x_shape[0] != w_shape[0]:
        raise ValueError(f"w must have kernels for each of the {x_shape[0]} images of x; got shape {tuple(w_shape)}")
    geometry = dict(stride=options.get("stride", 1), dilation=options.get("dilation", 1), groups=groups,
                    flip=options.get("flip", False), layout=layout)
    problem, _, _ = forward_problem(tuple(x_shape), tuple(w_shape[1:]), dtype, options.get("padding", 0), geometry)
    return problem, last
