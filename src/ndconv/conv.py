"""Convolution: the public functions."""
import numpy as np

from ndconv import missing
from ndconv.arguments import check_bias, kernel_first, plan_of
from ndconv.plan import check_options
from ndconv.problem import RANKS
from ndconv.samples import conv_samples, is_per_sample

_ndarray = np.ndarray


def conv(x, w, bias=None, *, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1, groups=1, flip=False,
         layout=None, weight_layout=None, activation=None, residual=None, nan_policy="propagate", mask=None, accumulate=None,
         method="auto", accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Convolution of images, signals or volumes with a bank of kernels.

    ``y[n, o, i] = bias[o] + sum over c, t of x[n, c, i*stride + t*dilation - padding] * w[o, c, t]`` for positions i and
    taps t with one index per spatial axis; x counts as zero outside its extents unless padding_mode says otherwise. With groups,
    output channel o sees the input channels of its own group only. The result is ``activation(y + residual)``, done while y is
    in cache.

    Parameters
    ----------
    x : array, shape (n, ic, *spatial), or (ic, *spatial) for one image; float32 or float64, or one of the dtypes below
        One to three spatial axes. Any strides are read in place; when channels are the axis next to each other in memory the
        result's are too.
    w : array, shape (oc, ic/groups, *kernel), dtype of x
        Or (n, oc, ic/groups, *kernel): every image has kernels of its own. Since the rank is then not that of w, layout has to
        state it, or the function's name (conv2d).
    bias : array, shape (oc,), dtype of the result, optional; (n, oc) with kernels of their own
    stride, dilation : int or one int per spatial axis, at least 1
    padding : int, one int or (before, after) pair per axis, or a name
        "valid" (none), "same" or "same_upper" (ceil(x / stride) positions, odd remainder after), "same_lower" (before),
        "full" (every overlap), "causal" (all before). Negative numbers crop.
    padding_mode : "zeros", "constant" (padding_value), "edge", "reflect", "symmetric" or "wrap", as numpy.pad has them, or one
        per axis. Any amount of padding; no padded copy of x is made. A constant is padded after the other modes, zeros last.
    padding_value : number
    groups : int dividing ic and oc
    flip : bool
        False is cross-correlation, as in neural networks; True rotates the kernel (the mathematical convolution).
    layout : "NCW"/"NCHW"/"NCDHW" (default) or "NWC"/"NHWC"/"NDHWC"
    weight_layout : None for (oc, ic/groups, *kernel), or "WIO"/"HWIO"/"DHWIO" for (*kernel, ic/groups, oc)
    activation : None, "relu", "leaky_relu" (slope 0.01) or ("leaky_relu", slope), "sigmoid", "tanh", "silu",
        or ("clip", low, high). Errors are at most 4 ulp of the exact function of what the method computes; NaN stays NaN.
    residual : array of the result's shape and dtype, any strides, added before the activation
    nan_policy : "propagate", or "omit": a NaN in x is missing, and results are renormalised over the taps that see data:
        ``(sum of w*x over them) * (sum of w) / (sum of w over them)``, then bias, residual and activation. NaN where none does,
        or where their weights, or all, sum to zero. Padding counts as data: zeros are zeros; a padding_value of NaN is missing.
    mask : boolean array that broadcasts to x's shape, True where x is missing, whatever it holds there; None for no mask
    accumulate : dtype of the sums and the result of integers, np.int32, np.int64, np.float32 or np.float64; else None
    method : "auto", one of ndconv.methods(...), or "separable" for kernels of low rank
        A method that cannot do the problem raises MethodNotApplicable; there is no silent fallback.
    accuracy : "fast", or "strict" to allow only methods with the element-wise bound of a direct evaluation
    workspace_limit : int, bytes of memory beyond the arrays; default 256 MiB
    threads : int; default ndconv.get_num_threads(). Results do not depend on it.
    out : array of the result's shape and dtype to write to; it may overlap an input, or be the residual

    Returns
    -------
    array, shape (n, oc, *positions) in the layout of x

    Other dtypes
    ------------
    int8, uint8, int16, uint16 and int32, in any pair, with accumulate=: int32 or int64 are exact, OverflowError says where the
    dtype of x and the weights allow a sum that does not fit, so nothing wraps; there are no activation, residual and gradients.
    float32 and float64 are convolutions of the converted arrays. The result has the accumulator's dtype.
    float16 and bfloat16 (of the package ml_dtypes) are summed in float32 and rounded once, without a float32 copy of a whole
    array. complex64 and complex128 take three real convolutions, or two where x or w is real; they have no activation. Their
    gradients are those of PyTorch, dy times the conjugate of the other operand, and have a real part only for a real operand.

    Raises
    ------
    ValueError for values, TypeError for kinds, OverflowError for sizes that no index can count, MemoryError.

    References
    ----------
    Goto and van de Geijn 2008 (blocked multiplication), Georganas et al. 2018 (direct convolution).

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> conv(x, w)[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    if type(x) is not _ndarray:
        x = np.asarray(x)
    if type(w) is not _ndarray:
        w = np.asarray(w)
    if weight_layout is not None:
        w = kernel_first(w, weight_layout)
    if layout is not None and is_per_sample(layout, w.ndim, x.ndim):
        return conv_samples(conv, x, w, bias, residual, mask, out, layout, groups, dict(
            stride=stride, padding=padding, padding_mode=padding_mode, padding_value=padding_value, dilation=dilation, flip=flip,
            activation=activation, nan_policy=nan_policy, accumulate=accumulate,
            **check_options(method, accuracy, workspace_limit, threads)))
    if mask is not None or nan_policy != "propagate":
        return missing.conv_omitting(conv, x, w, bias, residual, mask, nan_policy, activation, out, dict(
            stride=stride, padding=padding, padding_mode=padding_mode, padding_value=padding_value, dilation=dilation,
            groups=groups, flip=flip, layout=layout, method=method, accuracy=accuracy, workspace_limit=workspace_limit,
            threads=threads))
    plan = plan_of("forward", x, x.shape, w.shape, w.dtype, stride, padding, dilation, groups, flip, layout, method, accuracy,
                   workspace_limit, threads, activation, accumulate=accumulate, mode=padding_mode, value=padding_value)
    if plan.separable is not None:
        plan = plan.for_weights(w)
    if bias is not None:
        bias = check_bias(bias, w.shape[0], plan.dtype)
    return plan.run_with(x, w, bias, residual, out)


def _conv_of_rank(rank):
    name = f"conv{rank}d"

    def function(x, w, bias=None, **options):
        if np.ndim(w) == rank + 3 and np.ndim(x) <= rank + 2:
            options["layout"] = options.get("layout") or RANKS[rank][0]
        elif np.ndim(w) != rank + 2:
            raise ValueError(f"w must have {rank + 2} axes, (oc, ic/groups, *kernel), for {name}; got shape {np.shape(w)}")
        return conv(x, w, bias, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""`conv` with {rank} spatial {'axis' if rank == 1 else 'axes'}; see there for every argument.

    >>> {name}(np.ones((1, 2{', 4' * rank})), np.ones((3, 2{', 3' * rank}))).shape
    {(1, 3) + (2,) * rank}
    """
    return function


conv1d, conv2d, conv3d = map(_conv_of_rank, (1, 2, 3))
