"""Convolutions made ready, and which method they take: the public functions."""
import numpy as np

from ndconv import border, select
from ndconv._runtime import get_num_threads
from ndconv.arguments import check_bias, check_shape, kernel_first
from ndconv.dtypes import module_of
from ndconv.plan import build_plan, check_dtype, check_options, make_problem
from ndconv.problem import OPS


def plan_conv(x_shape, w, bias=None, *, dtype=None, stride=1, padding=0, padding_mode="zeros", padding_value=0.0, dilation=1,
              groups=1, flip=False, layout=None, weight_layout=None, activation=None, accumulate=None, method="auto",
              accuracy="fast", workspace_limit=None, threads=None):
    """A convolution made ready once: the method chosen, the weights prepared. Call the Plan with arrays of `x_shape`, and with
    ``out=`` and ``residual=`` where wanted.

    dtype : of x; default that of w. The other arguments are those of `conv`. The plan keeps its own copy of the weights;
    changing w or bias later does not change it. Of integers (with accumulate=), half precision and complex numbers a plan keeps
    the weights as its slabs take them (ndconv/slabs.py); it is called likewise, and explain() tells of the first slab.

    >>> plan = plan_conv((1, 1, 3, 3), np.arange(4.0).reshape(1, 1, 2, 2))
    >>> plan(np.arange(9.0).reshape(1, 1, 3, 3))[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    w = np.asarray(w)
    if weight_layout is not None:
        w = kernel_first(w, weight_layout)
    options, dtype = check_options(method, accuracy, workspace_limit, threads), w.dtype if dtype is None else dtype
    other = module_of(dtype, w.dtype)
    if other is not None:
        geometry = stride, padding, dilation, groups, flip, layout, padding_mode, padding_value
        plan = other.make_plan("forward", check_shape(x_shape, "x_shape"), w.shape, np.dtype(dtype), w.dtype, geometry, None,
                               tuple(options.values()), activation, accumulate)
        plan.prepare(w, None if bias is None else check_bias(bias, w.shape[0], plan.dtype))
        return plan
    kind = check_dtype(dtype, "x")
    if check_dtype(w.dtype, "w") != kind:
        raise TypeError(f"w must be {kind} as dtype says; got {w.dtype}")
    if accumulate is not None:
        raise TypeError(f"accumulate is for integers; x and w are {kind}")
    problem, batched, last = make_problem("forward", check_shape(x_shape, "x_shape"), w.shape, kind, stride, padding, dilation,
                                          groups, flip, layout, None, padding_mode, padding_value)
    plan = build_plan(problem, batched, last, options, True, activation).for_weights(w, True)
    plan.prepare(w, None if bias is None else check_bias(bias, w.shape[0], kind).copy())
    return plan


def explain(x_shape, w_shape, *, op="forward", dtype=np.float32, stride=1, padding=0, padding_mode="zeros", padding_value=0.0,
            dilation=1, groups=1, flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """Which method `conv` or, as `op` says, a gradient takes for these shapes, and why each other one is passed over. A plan,
    which prepares its weights once, may take another: see Plan.explain. Of half and complex dtypes it is the method of the first
    slab's real problem (docs/architecture.md).

    op : "forward", "input_grad", "weight_grad", or "transpose" for `conv_transpose`; x_shape and w_shape are those of the forward
    convolution, so that of a transposed one x_shape is its result's. The other arguments are those of `conv`.

    Returns an Explanation: print it, or read its rows (method, applicable, cost in seconds, workspace in bytes, reason,
    chosen, measured).

    >>> [row.method for row in explain((1, 64, 56, 56), (64, 64, 3, 3), padding=1).rows if row.applicable]
    ['direct', 'gemm', 'depthwise', 'winograd', 'fft']
    """
    return _explanations(x_shape, w_shape, op, dtype, padding, padding_mode, padding_value,
                         dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout),
                         check_options(method, accuracy, workspace_limit, threads))[0]


def methods(x_shape, w_shape, *, op="forward", dtype=np.float32, stride=1, padding=0, padding_mode="zeros", padding_value=0.0,
            dilation=1, groups=1, flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """Names of the methods that can do a convolution of these shapes, in the order of the registry. Arguments: `explain`'s.

    >>> methods((1, 3, 32, 32), (8, 3, 5, 5), accuracy="strict")
    ['direct', 'gemm', 'depthwise']
    """
    explanations = _explanations(x_shape, w_shape, op, dtype, padding, padding_mode, padding_value,
                                 dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout),
                                 check_options(method, accuracy, workspace_limit, threads))
    return [rows[0].method for rows in zip(*(e.rows for e in explanations)) if all(row.applicable for row in rows)]


def _explanations(x_shape, w_shape, op, dtype, padding, mode, value, geometry, options):
    options["threads"] = options["threads"] or get_num_threads()
    return [select.explain_problem(problem, **options, prepared=False)
            for problem in problems_of(x_shape, w_shape, op, dtype, padding, mode, value, geometry)]


def problems_of(x_shape, w_shape, op, dtype, padding, mode, value, geometry):
    """[the Problem of these arguments], or the real problems of half and complex dtypes."""
    if op not in OPS:
        raise ValueError(f"op must be one of {', '.join(OPS)}; got {op!r}")
    x_shape, w_shape = check_shape(x_shape, "x_shape"), check_shape(w_shape, "w_shape")
    module = module_of(dtype)
    dtype = check_dtype(dtype, "dtype") if module is None else module.explained_dtype(dtype)
    if op == "transpose":
        border.check_transposed(mode, len(w_shape) - 2)
    problem, _, _ = make_problem(op, x_shape, w_shape, dtype, padding=padding, mode=mode, value=value, **geometry)
    if op == "input_grad" and problem.bordered:
        problem, _ = (border.gradient_problem if module is None else border.framed)(problem)
    return [problem] if module is None else module.problems_of(problem)
