"""Convolution and its gradients: the public functions."""
import math
from collections import namedtuple

import numpy as np

from ndconv import border, select
from ndconv._plan import run_bias_grad, run_weight_grad
from ndconv._runtime import get_num_threads
from ndconv.plan import build_plan, cached_choice, cached_plan, cached_problem, check_dtype, check_options, make_problem
from ndconv.problem import check_int

Gradients = namedtuple("Gradients", "x w b")
Gradients.__doc__ = "Gradients of a convolution with respect to its input, weights and bias; None for what was left out."

_ndarray = np.ndarray
KERNEL_AXES = {1: "W", 2: "HW", 3: "DHW"}


def conv(x, w, bias=None, *, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1, groups=1, flip=False,
         layout=None, weight_layout=None, activation=None, residual=None, method="auto", accuracy="fast", workspace_limit=None,
         threads=None, out=None):
    """Convolution of images, signals or volumes with a bank of kernels.

    ``y[n, o, i] = bias[o] + sum over c, t of x[n, c, i*stride + t*dilation - padding] * w[o, c, t]`` for positions i and
    taps t with one index per spatial axis; x counts as zero outside its extents unless padding_mode says otherwise. With groups,
    output channel o sees the input channels of its own group only. The result is ``activation(y + residual)``, done while y is
    in cache.

    Parameters
    ----------
    x : array, shape (n, ic, *spatial), or (ic, *spatial) for one image; float32 or float64
        One to three spatial axes. Any strides are read in place; when channels are the axis next to each other in memory the
        result's are too.
    w : array, shape (oc, ic/groups, *kernel), dtype of x
    bias : array, shape (oc,), dtype of x, optional
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
    method : "auto", one of ndconv.methods(...), or "separable" for kernels of low rank
        A method that cannot do the problem raises MethodNotApplicable; there is no silent fallback.
    accuracy : "fast", or "strict" to allow only methods with the element-wise bound of a direct evaluation
    workspace_limit : int, bytes of memory beyond the arrays; default 256 MiB
    threads : int; default ndconv.get_num_threads(). Results do not depend on it.
    out : array of the result's shape and dtype to write to; it may overlap an input, or be the residual

    Returns
    -------
    array, shape (n, oc, *positions) in the layout of x

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
        w = _kernel_first(w, weight_layout)
    if padding_mode != "zeros":
        geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
        options = check_options(method, accuracy, workspace_limit, threads)
        options |= dict(activation=activation)
        return _conv_bordered(x, w, bias, residual, padding, padding_mode, padding_value, geometry, options, out)
    plan = _plan_of("forward", x, x.shape, w.shape, w.dtype, stride, padding, dilation, groups, flip, layout, method, accuracy,
                    workspace_limit, threads, activation)
    if plan.separable is not None:
        plan = plan.for_weights(w)
    if bias is not None:
        bias = _check_bias(bias, w.shape[0], plan.dtype)
    return plan.run_with(x, w, bias, residual, out)


def _conv_bordered(x, w, bias, residual, padding, mode, value, geometry, options, out):
    """conv with other padding than zeros: the boxes of ndconv.border, each by conv itself."""
    problem, batched, last = _bordered_problem(x.shape, w.shape, check_dtype(x.dtype, "x"), padding, geometry)
    boxes = border.boxes_of(problem, border.check_modes(mode, problem.rank, value))
    shape = _result_shape(problem, batched, last)
    rest = None if residual is None else np.asarray(residual)
    _check_residual(rest, shape, problem.dtype)

    def run(part, padding, to, added):
        conv(part, w, bias, padding=padding, residual=added, out=to, **geometry, **options)

    y = _new_like(x, shape, geometry["layout"], batched, out, x, w, bias, rest)
    border.convolve_boxes(run, boxes, x, y, rest, batched + (not last), value)
    return _result(y, out)


def _input_grad_bordered(dy, w, x_shape, padding, mode, value, geometry, options, out):
    """conv_input_grad with other padding than zeros."""
    problem, batched, last = _bordered_problem(_check_shape(x_shape, "x_shape"), w.shape, check_dtype(dy.dtype, "dy"), padding,
                                               geometry)
    boxes = border.boxes_of(problem, border.check_modes(mode, problem.rank, value))
    _check_gradient(dy, problem, batched, last)

    def run(part, shape, padding, to):
        return conv_input_grad(part, w, shape, padding=padding, out=to, **geometry, **options)

    dx = _new_like(dy, tuple(x_shape), geometry["layout"], batched, out, dy, w)
    border.gather_input_grad(run, boxes, dy, dx, batched + (not last))
    return _result(dx, out)


def _weight_grad_bordered(dy, x, problem, first, mode, value, geometry, options, out):
    """conv_weight_grad with other padding than zeros; `problem` is checked against dy and x."""
    boxes = border.boxes_of(problem, border.check_modes(mode, problem.rank, value))
    w_shape = (problem.oc, problem.ic // problem.g) + problem.k[3 - problem.rank:]
    check_out(out, w_shape, problem.dtype)

    def run(part, inputs, padding):
        return conv_weight_grad(part, inputs, w_shape, padding=padding, **geometry, **options)

    return _result(border.sum_weight_grad(run, boxes, dy, x, first, value), out)


def _bordered_problem(x_shape, w_shape, dtype, padding, geometry):
    return _cached(cached_problem, "forward", x_shape, w_shape, dtype, geometry["stride"], padding, geometry["dilation"],
                   geometry["groups"], geometry["flip"], geometry["layout"], None)


def _check_residual(residual, shape, dtype):
    if residual is None:
        return
    if residual.shape != shape:
        raise ValueError(f"residual must have the shape of the result, {shape}; got {residual.shape}")
    if check_dtype(residual.dtype, "residual") != dtype:
        raise TypeError(f"residual must be {dtype} as x is; got {residual.dtype}")


def _new_like(a, shape, layout, batched, out, *inputs):
    """The checked `out` if no input overlaps it, else a new array whose memory keeps channels together if that of `a` does."""
    check_out(out, shape, a.dtype)
    if out is not None and not any(np.may_share_memory(out, b) for b in inputs if b is not None):
        return out
    if (layout is None or layout[-1] != "C") and _memory_lanes(a, layout, batched):
        return np.moveaxis(np.empty((*shape[:batched], *shape[batched + 1:], shape[batched]), a.dtype), -1, batched)
    return np.empty(shape, a.dtype)


def _result(y, out):
    if out is None or y is out:
        return y
    out[...] = y
    return out


def _conv_of_rank(rank):
    name = f"conv{rank}d"

    def function(x, w, bias=None, **options):
        if np.ndim(w) != rank + 2:
            raise ValueError(f"w must have {rank + 2} axes, (oc, ic/groups, *kernel), for {name}; got shape {np.shape(w)}")
        return conv(x, w, bias, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""`conv` with {rank} spatial {'axis' if rank == 1 else 'axes'}; see there for every argument.

    >>> {name}(np.ones((1, 2{', 4' * rank})), np.ones((3, 2{', 3' * rank}))).shape
    {(1, 3) + (2,) * rank}
    """
    return function


conv1d, conv2d, conv3d = map(_conv_of_rank, (1, 2, 3))


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
    if padding_mode != "zeros":
        geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
        options = check_options(method, accuracy, workspace_limit, threads)
        return _input_grad_bordered(dy, w, x_shape, padding, padding_mode, padding_value, geometry, options, out)
    plan = _plan_of("input_grad", dy, _check_shape(x_shape, "x_shape"), w.shape, w.dtype, stride, padding, dilation, groups,
                    flip, layout, method, accuracy, workspace_limit, threads, None)
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
    options = check_options(method, accuracy, workspace_limit, threads)
    geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
    problem, batched, last = _gradient_problem(dy, x, _check_shape(w_shape, "w_shape"), padding=padding, **geometry)
    if padding_mode != "zeros":
        return _weight_grad_bordered(dy, x, problem, batched + (not last), padding_mode, padding_value, geometry, options, out)
    check_out(out, w_shape, problem.dtype)
    result = np.empty(w_shape, problem.dtype)
    if result.size == 0 or 0 in (problem.n, *problem.x):
        result[...] = 0
    else:
        options["threads"] = threads or get_num_threads()
        chosen = cached_choice(problem, **options, prepared=False)
        view = result[(..., *(slice(None, None, -1),) * problem.rank)] if flip else result
        run_weight_grad(problem, chosen, dy, x, batched, last, threads, view)
    if out is None:
        return result
    out[...] = result
    return out


def _gradient_problem(dy, x, w_shape, *, stride=1, padding=0, dilation=1, groups=1, flip=False, layout=None):
    """(Problem, batched, channels_last) of a weight gradient, dy and x checked against it."""
    dtype = check_dtype(dy.dtype, "dy")
    if check_dtype(x.dtype, "x") != dtype:
        raise TypeError(f"x must be {dtype} as dy is; got {x.dtype}")
    lanes = _memory_lanes(dy, layout, dy.ndim == len(w_shape)) if layout is None or isinstance(layout, str) else None
    problem, batched, last = _cached(cached_problem, "weight_grad", x.shape, w_shape, dtype, stride, padding, dilation, groups,
                                     flip, layout, lanes)
    _check_gradient(dy, problem, batched, last)
    return problem, batched, last


def _check_gradient(dy, problem, batched, last):
    if dy.shape != _result_shape(problem, batched, last):
        raise ValueError(f"dy must have the shape of the forward result, {_result_shape(problem, batched, last)}; got {dy.shape}")


def _result_shape(problem, batched, last):
    """Of y, in the layout."""
    spatial, oc = problem.y[3 - problem.rank:], (problem.oc,)
    return (problem.n,) * batched + (spatial + oc if last else oc + spatial)


def conv_backward(dy, x, w, *, wrt=("x", "w", "b"), **options):
    """Gradients of a convolution with respect to input, weights and bias, as Gradients(x, w, b).

    wrt names those wanted; the others are None. The other arguments are those of `conv`, with the values of the forward
    call.

    >>> g = conv_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), wrt=("w", "b"))
    >>> g.x is None, g.w[0, 0, 0, 0].item(), g.b.tolist()
    (True, 4.0, [4.0])
    """
    if not isinstance(wrt, (str, tuple, list, set, frozenset)) or not set(wrt) <= set("xwb"):
        raise ValueError(f"wrt takes any of 'x', 'w' and 'b'; got {wrt!r}")
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    geometry = {name: options[name] for name in ("stride", "padding", "dilation", "groups", "flip", "layout") if name in options}
    problem, batched, last = _gradient_problem(dy, x, w.shape, **geometry)
    if check_dtype(w.dtype, "w") != problem.dtype:
        raise TypeError(f"w must be {problem.dtype} as dy is; got {w.dtype}")
    check_options(**{name: value for name, value in options.items() if name not in geometry})
    dx = conv_input_grad(dy, w, x.shape, **options) if "x" in wrt else None
    dw = conv_weight_grad(dy, x, w.shape, **options) if "w" in wrt else None
    db = run_bias_grad(dy, problem.rank, batched, last, options.get("threads")) if "b" in wrt else None
    return Gradients(dx, dw, db)


def plan_conv(x_shape, w, bias=None, *, dtype=None, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1,
              groups=1, flip=False, layout=None, weight_layout=None, activation=None, method="auto", accuracy="fast",
              workspace_limit=None, threads=None):
    """A convolution made ready once: the method chosen, the weights prepared. Call the Plan with arrays of `x_shape`, and with
    ``out=`` and ``residual=`` where wanted.

    dtype : of x; default that of w. The other arguments are those of `conv`. The plan keeps its own copy of the weights;
    changing w or bias later does not change it. With another padding_mode than zeros it is a BorderPlan, which is called alike.

    >>> plan = plan_conv((1, 1, 3, 3), np.arange(4.0).reshape(1, 1, 2, 2))
    >>> plan(np.arange(9.0).reshape(1, 1, 3, 3))[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    w = np.asarray(w)
    if weight_layout is not None:
        w = _kernel_first(w, weight_layout)
    kind = check_dtype(w.dtype if dtype is None else dtype, "x")
    if check_dtype(w.dtype, "w") != kind:
        raise TypeError(f"w must be {kind} as dtype says; got {w.dtype}")
    options = check_options(method, accuracy, workspace_limit, threads)
    if padding_mode != "zeros":
        geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
        return BorderPlan(_check_shape(x_shape, "x_shape"), w, bias, kind, padding, padding_mode, padding_value, geometry,
                          options | dict(activation=activation))
    problem, batched, last = make_problem("forward", _check_shape(x_shape, "x_shape"), w.shape, kind, stride, padding, dilation,
                                          groups, flip, layout)
    plan = build_plan(problem, batched, last, options, True, activation).for_weights(w, True)
    plan.prepare(w, None if bias is None else _check_bias(bias, w.shape[0], kind).copy())
    return plan


class BorderPlan:
    """A convolution with other padding than zeros made ready: a Plan for each box of ndconv.border. Call it as a Plan.

    problem : what it computes (ndconv.problem.Problem, which does not know of modes)
    method : of the box whose windows lie inside the array; slabs along the border may have others
    workspace_bytes : memory that a call takes beyond its arrays and the weights of each box
    """

    def __init__(self, x_shape, w, bias, dtype, padding, mode, value, geometry, options):
        self.problem, batched, last = _bordered_problem(x_shape, w.shape, dtype, padding, geometry)
        self._boxes = border.boxes_of(self.problem, border.check_modes(mode, self.problem.rank, value))
        self._first, self._value, self._geometry = batched + (not last), value, (geometry["layout"], batched)
        self.in_shape, self.out_shape = x_shape, _result_shape(self.problem, batched, last)
        shapes = [box.shape(x_shape, self._first) for box in self._boxes]
        self._plans = [plan_conv(shape, w, bias, dtype=dtype, padding=box.padding, **geometry, **options)
                       for box, shape in zip(self._boxes, shapes)]
        self.method = self._plans[0].method
        self.workspace_bytes = max(plan.workspace_bytes + np.dtype(dtype).itemsize * (shape != x_shape and math.prod(shape))
                                   for plan, shape in zip(self._plans, shapes))

    def explain(self):
        """What runs inside the border and why each other method was passed over (an Explanation; print it)."""
        return self._plans[0].explain()

    def __call__(self, x, out=None, residual=None):
        """The result for `x`; into `out` if given. A residual of its shape is added before the activation."""
        x, rest = np.asarray(x), None if residual is None else np.asarray(residual)
        if x.shape != self.in_shape:
            raise ValueError(f"x must have shape {self.in_shape}; got {x.shape}")
        if check_dtype(x.dtype, "x") != self.problem.dtype:
            raise TypeError(f"x must be {self.problem.dtype}; got {x.dtype}")
        _check_residual(rest, self.out_shape, self.problem.dtype)
        y = _new_like(x, self.out_shape, *self._geometry, out, x, rest)
        plans = iter(self._plans)
        border.convolve_boxes(lambda part, padding, to, added: next(plans)(part, to, added), self._boxes, x, y, rest,
                              self._first, self._value)
        return _result(y, out)

    def __repr__(self):
        return f"<ndconv plan: {self.problem} by {self.method}>"


def explain(x_shape, w_shape, *, dtype=np.float32, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1,
            groups=1, flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """Which method `conv` takes for these shapes, and why each other one is passed over. A plan, which prepares its weights once,
    may take another: see Plan.explain. With another padding_mode than zeros it is the method of the windows inside the array.

    Returns an Explanation: print it, or read its rows (method, applicable, cost in seconds, workspace in bytes, reason,
    chosen).

    >>> [row.method for row in explain((1, 64, 56, 56), (64, 64, 3, 3), padding=1).rows if row.applicable]
    ['direct', 'gemm', 'depthwise', 'winograd', 'fft']
    """
    return _explanations(x_shape, w_shape, dtype, padding, padding_mode, padding_value,
                         dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout),
                         check_options(method, accuracy, workspace_limit, threads))[0]


def _explanations(x_shape, w_shape, dtype, padding, mode, value, geometry, options):
    """The Explanation of a convolution, or with other padding than zeros that of each box."""
    options["threads"] = options["threads"] or get_num_threads()
    x_shape, w_shape, dtype = _check_shape(x_shape, "x_shape"), _check_shape(w_shape, "w_shape"), check_dtype(dtype, "dtype")
    problem, batched, last = make_problem("forward", x_shape, w_shape, dtype, padding=padding, **geometry)
    problems = [problem]
    if mode != "zeros":
        boxes, first = border.boxes_of(problem, border.check_modes(mode, problem.rank, value)), batched + (not last)
        problems = [make_problem("forward", box.shape(x_shape, first), w_shape, dtype, padding=box.padding, **geometry)[0]
                    for box in boxes]
    return [select.explain_problem(part, **options, prepared=False) for part in problems]


def methods(x_shape, w_shape, *, dtype=np.float32, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1,
            groups=1, flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """Names of the methods that can do a convolution of these shapes, in the order of the registry. Arguments: `explain`'s.

    >>> methods((1, 3, 32, 32), (8, 3, 5, 5), accuracy="strict")
    ['direct', 'gemm', 'depthwise']
    """
    explanations = _explanations(x_shape, w_shape, dtype, padding, padding_mode, padding_value,
                                 dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout),
                                 check_options(method, accuracy, workspace_limit, threads))
    return [rows[0].method for rows in zip(*(e.rows for e in explanations)) if all(row.applicable for row in rows)]


def _memory_lanes(x, layout, batched):
    """Whether x keeps channels together in memory (NHWC) whatever its axes are called; None when the layout decides."""
    last = layout is not None and layout[-1:] == "C"
    first = 1 if batched else 0
    c, w = (x.ndim - 1, x.ndim - 2) if last else (first, x.ndim - 1)
    if w < 0 or c >= x.ndim:
        return None
    together, along = x.strides[c] == x.itemsize, x.strides[w] == x.itemsize
    return None if together == along else together


def _plan_of(op, x, x_shape, w_shape, w_dtype, *options):
    stride, padding, dilation, groups, flip, layout, method, accuracy, workspace_limit, threads, activation = options
    lanes = _memory_lanes(x, layout, x.ndim == len(w_shape)) if layout is None or isinstance(layout, str) else None
    key = (op, x_shape, w_shape, x.dtype, w_dtype, stride, padding, dilation, groups, flip, layout, lanes, method, accuracy,
           workspace_limit, threads, activation)
    return _cached(cached_plan, *key)


def _cached(function, *key):
    """The function's cached result. Lists and arrays in the key are as good as tuples; what else is wrong with it is said by
    the function itself."""
    try:
        return function(*key)
    except TypeError:
        key = tuple(map(_as_tuple, key))
    try:
        return function(*key)
    except TypeError:
        return function.__wrapped__(*key)


def _as_tuple(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(_as_tuple, value)) if isinstance(value, (list, tuple)) else value


def _check_shape(shape, name):
    if not hasattr(shape, "__len__") or isinstance(shape, str):
        raise TypeError(f"{name} must be a tuple of ints, not {shape!r}")
    sizes = tuple(check_int(s, name) for s in shape)
    if any(s < 0 for s in sizes):
        raise ValueError(f"{name} must not have negative extents; got {sizes}")
    return sizes


def _check_bias(bias, oc, dtype):
    bias = np.asarray(bias)
    if check_dtype(bias.dtype, "bias") != dtype:
        raise TypeError(f"bias must be {dtype} as x is; got {bias.dtype}")
    if bias.shape != (oc,):
        raise ValueError(f"bias must have shape ({oc},), one value per output channel; got {bias.shape}")
    if bias.dtype.isnative and bias.flags.c_contiguous and bias.flags.aligned:
        return bias
    return np.require(bias, dtype, ["C", "A"])


def check_out(out, shape, dtype):
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must be {dtype}; got {out.dtype}")
    if out.shape != tuple(shape):
        raise ValueError(f"out must have shape {tuple(shape)}; got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")


def _kernel_first(w, weight_layout, channels="IO"):
    """(*kernel, ic/groups, oc) as a view (oc, ic/groups, *kernel); a transposed convolution calls the two the other way round."""
    rank = w.ndim - 2
    names = {rank: axes + channels for rank, axes in KERNEL_AXES.items()}
    plain = {rank: channels[::-1] + axes for rank, axes in KERNEL_AXES.items()}
    if rank not in names or weight_layout not in (names[rank], plain[rank]):
        raise ValueError(f"weight_layout must be {names.get(rank, names[2])!r} or {plain.get(rank, plain[2])!r} for w of shape "
                         f"{w.shape}; got {weight_layout!r}")
    return w if weight_layout == plain[rank] else np.moveaxis(w, (-1, -2), (0, 1))
