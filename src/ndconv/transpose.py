"""Transposed convolution, its gradients and its plans: the gradient of a convolution by its input, with a bias and an end of
its own. ndconv/stages.py takes strides apart into phases, so no zero is inserted or multiplied."""
from functools import lru_cache

import numpy as np

from ndconv.arguments import cached, check_bias, check_shape, check_wrt, common_dtype, kernel_first, plan_of
from ndconv.border import check_transposed
from ndconv.conv import conv
from ndconv.dtypes import as_real, conjugate
from ndconv.gradient import Gradients, bias_grad, conv_weight_grad
from ndconv.plan import CACHED_PLANS, build_plan, check_dtype, check_options, make_problem
from ndconv.problem import LIMIT, RANKS, channels_axis, check_int, per_axis, resolve_padding

SAME = ("same", "same_upper", "same_lower")
GEOMETRY = dict(stride=1, padding=0, output_padding=0, output_shape=None, dilation=1, groups=1, layout=None, flip=False)


def conv_transpose(x, w, bias=None, *, stride=1, padding=0, padding_mode="zeros", output_padding=0, output_shape=None, dilation=1,
                   groups=1, flip=False, layout=None, weight_layout=None, activation=None, residual=None, method="auto",
                   accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Transposed convolution of images, signals or volumes ("deconvolution", fractionally strided).

    ``y[n, o, j] = bias[o] + sum over c, i, t with i*stride + t*dilation - padding == j of x[n, c, i] * w[c, o, t]``: what
    `conv_input_grad` computes, of extent ``(i - 1)*stride - before - after + dilation*(k - 1) + output_padding + 1`` an axis.
    The result is ``activation(y + residual)``.

    Parameters
    ----------
    x : array, shape (n, ic, *spatial), or (ic, *spatial) for one image; float32 or float64
    w : array, shape (ic, oc/groups, *kernel), dtype of x: the order of PyTorch and ONNX
    bias : array, shape (oc,), dtype of x, optional
    stride, dilation : int or one int per spatial axis, at least 1
    padding : int, one int or (before, after) pair per axis, or a name
        How much of the result is cropped; negative numbers extend it. "valid" crops nothing. "same" or "same_upper" gives
        i*stride positions, an odd remainder cropped at the end; "same_lower" crops it before.
    padding_mode : "zeros"
        As in PyTorch, nothing else: padding crops the result, so there is no outside to fill. What leads back from the result of
        `conv` with another padding_mode is `conv_input_grad` with it.
    output_padding : int or one per axis, less than stride or dilation
        How much longer the result is at its end; those places are sums like all others, where a tap reaches them.
    output_shape : int or one per axis, instead of output_padding
        The extents of the result. With "same" whatever is too much is cropped on both sides.
    groups : int dividing ic
    flip : bool
        True is the transpose of `conv` with flip=True.
    weight_layout : None for (ic, oc/groups, *kernel), or "WOI"/"HWOI"/"DHWOI" for Keras's (*kernel, oc/groups, ic)
    layout, activation, residual, method, accuracy, workspace_limit, threads, out : as in `conv`

    Returns
    -------
    array, shape (n, oc, *positions) in the layout of x

    Raises
    ------
    ValueError for values, TypeError for kinds, OverflowError for sizes that no index can count, MemoryError.

    References
    ----------
    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, chapter 4.

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0]]])
    >>> w = np.array([[[1.0, 10.0, 100.0]]])
    >>> conv_transpose(x, w, stride=2)[0, 0]
    array([  1.,  10., 102.,  20., 200.])
    """
    x, w = np.asarray(x), np.asarray(w)
    if weight_layout is not None:
        w = kernel_first(w, weight_layout, "OI")
    if padding_mode != "zeros":
        check_transposed(padding_mode, w.ndim - 2)
    shape, crop = cached(_result_of, x.shape, w.shape, stride, padding, output_padding, output_shape, dilation, groups, layout)
    plan = plan_of("transpose", x, shape, w.shape, w.dtype, stride, crop, dilation, groups, flip, layout, method, accuracy,
                   workspace_limit, threads, activation)
    if bias is not None:
        bias = check_bias(bias, w.shape[1] * groups, plan.dtype)
    return plan.run_with(x, w, bias, residual, out)


def conv_transpose_backward(dy, x, w, *, wrt=("x", "w", "b"), **options):
    """Gradients of a transposed convolution with respect to input, weights and bias, as Gradients(x, w, b).

    wrt names those wanted; the others are None. dx is a convolution of dy with w, dw the gradient of that convolution by its
    weights. The other arguments are those of `conv_transpose`, with the values of the forward call.

    >>> g = conv_transpose_backward(np.ones((1, 1, 5)), np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0, 100.0]]]), stride=2)
    >>> g.x[0, 0].tolist(), g.w[0, 0].tolist(), g.b.tolist()
    ([111.0, 111.0], [3.0, 3.0, 3.0], [5.0])
    """
    check_wrt(wrt)
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    geometry = {name: options.pop(name, default) for name, default in GEOMETRY.items()}
    check_transposed(options.pop("padding_mode", "zeros"), w.ndim - 2)
    steer = check_options(**options)
    for name, a in (("x", x), ("w", w)):
        common_dtype(dy.dtype, a.dtype, ("dy", name))
    flip = geometry.pop("flip")
    shape, crop = cached(_result_of, x.shape, w.shape, *geometry.values())
    if dy.shape != shape:
        raise ValueError(f"dy must have the shape of the forward result, {shape}; got {dy.shape}")
    same = {name: geometry[name] for name in ("stride", "dilation", "groups", "layout")}
    same |= dict(padding=crop, flip=flip, **steer)
    rank = w.ndim - 2
    dx = as_real(conv(dy, conjugate(w), **same), x) if "x" in wrt else None
    dw = as_real(conjugate(conv_weight_grad(x, dy, w.shape, **same)), w) if "w" in wrt else None
    last = channels_axis(same["layout"], rank) == -1
    db = bias_grad(dy, rank, x.ndim == w.ndim, last, steer["threads"]) if "b" in wrt else None
    return Gradients(dx, dw, db)


def plan_conv_transpose(x_shape, w, bias=None, *, dtype=None, stride=1, padding=0, padding_mode="zeros", output_padding=0,
                        output_shape=None, dilation=1, groups=1, flip=False, layout=None, weight_layout=None, activation=None,
                        method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """A transposed convolution made ready once, as `plan_conv` does it; the arguments are those of `conv_transpose`.

    >>> plan = plan_conv_transpose((1, 1, 2), np.array([[[1.0, 10.0, 100.0]]]), stride=2, padding=1)
    >>> plan(np.array([[[1.0, 2.0]]]))[0, 0]
    array([ 10., 102.,  20.])
    """
    w = np.asarray(w)
    if weight_layout is not None:
        w = kernel_first(w, weight_layout, "OI")
    check_transposed(padding_mode, w.ndim - 2)
    kind = check_dtype(w.dtype if dtype is None else dtype, "x")
    if check_dtype(w.dtype, "w") != kind:
        raise TypeError(f"w must be {kind} as dtype says; got {w.dtype}")
    options = check_options(method, accuracy, workspace_limit, threads)
    shape, crop = cached(_result_of, check_shape(x_shape, "x_shape"), w.shape, stride, padding, output_padding, output_shape,
                          dilation, groups, layout)
    problem, batched, last = make_problem("transpose", shape, w.shape, kind, stride, crop, dilation, groups, flip, layout)
    plan = build_plan(problem, batched, last, options, True, activation)
    plan.prepare(w, None if bias is None else check_bias(bias, problem.ic, kind).copy())
    return plan


@lru_cache(maxsize=CACHED_PLANS, typed=True)
def _result_of(x_shape, w_shape, stride, padding, output_padding, output_shape, dilation, groups, layout):
    """(shape of the result, (before, after) pairs): the padding of the convolution that leads from the result back to x."""
    rank = len(w_shape) - 2
    if rank not in RANKS:
        raise ValueError(f"w must have 3 to 5 axes, (ic, oc/groups, *kernel); got shape {w_shape}")
    if len(x_shape) not in (rank + 1, rank + 2):
        raise ValueError(f"x must have {rank + 2} axes, or {rank + 1} without a batch, for w of shape {w_shape}; "
                         f"got shape {x_shape}")
    last = channels_axis(layout, rank) == -1
    lead, rest = x_shape[:-rank - 1], x_shape[-rank - 1:]
    ic, x = (rest[-1], rest[:-1]) if last else (rest[0], rest[1:])
    k = w_shape[2:]
    groups = check_int(groups, "groups")
    if groups < 1 or w_shape[0] % groups:
        raise ValueError(f"groups must divide the {w_shape[0]} input channels of w {w_shape}; got {groups}")
    if ic != w_shape[0]:
        raise ValueError(f"x has {ic} channels but w {w_shape}, (ic, oc/groups, *kernel), takes {w_shape[0]}")
    if 0 in x or 0 in k:
        raise ValueError(f"x and w must have at least one element on every spatial axis; got shapes {x_shape} and {w_shape}")
    stride, dilation = per_axis(stride, rank, "stride", 1), per_axis(dilation, rank, "dilation", 1)
    longer = per_axis(output_padding, rank, "output_padding", 0)
    for extra, s, d in zip(longer, stride, dilation):
        if extra >= max(s, d):
            raise ValueError(f"output_padding must be less than stride {s} or dilation {d}, since a longer result would only "
                             f"hold the bias; got {output_padding!r}")
    whole = tuple((i - 1) * s + d * (taps - 1) + 1 for i, s, d, taps in zip(x, stride, dilation, k))
    if max(whole) >= LIMIT:
        raise OverflowError(f"the result would have extents {whole}, more than an index can count")
    same = isinstance(padding, str) and padding in SAME
    if isinstance(padding, str) and not same and padding != "valid":
        raise ValueError(f"padding must be an int, pairs, or one of valid, {', '.join(SAME)}; got {padding!r}")
    if any(longer) and (same or output_shape is not None):
        other = f"padding={padding!r}" if same else "output_shape"
        raise ValueError(f"output_padding={output_padding!r} has no effect beside {other}, which says how long the result is")
    if output_shape is not None:
        y = per_axis(output_shape, rank, "output_shape", 0)
    if same:
        y = y if output_shape is not None else tuple(i * s for i, s in zip(x, stride))
        before, after = _crop_evenly(whole, y, padding == "same_lower")
    else:
        before, after = resolve_padding(padding, x, k, stride, dilation)
        least = tuple(size - lo - hi for size, lo, hi in zip(whole, before, after))
        if output_shape is None:
            y = tuple(size + extra for size, extra in zip(least, longer))
        for axis, (size, small, s, d) in enumerate(zip(y, least, stride, dilation)):
            if not small <= size < small + max(s, d):
                raise ValueError(f"output_shape must be from {small} to {small + max(s, d) - 1} on spatial axis {axis} with this "
                                 f"stride and padding; got {size}")
        if min(y) < 0:
            raise ValueError(f"padding {padding!r} crops more than the result has: its extents would be {y}")
        after = tuple(hi - size + small for hi, size, small in zip(after, y, least))
    oc = w_shape[1] * groups
    return lead + ((*y, oc) if last else (oc, *y)), tuple(zip(before, after))


def _crop_evenly(whole, y, large_before):
    """(before, after) that leave y of `whole`: half on each side, or all missing elements at the end."""
    total = [size - want for size, want in zip(whole, y)]
    before = tuple((t + large_before) // 2 if t > 0 else 0 for t in total)
    return before, tuple(t - b for t, b in zip(total, before))
