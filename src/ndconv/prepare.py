"""Convolutions made ready, and which method they take: the public functions."""
import math

import numpy as np

from ndconv import border, select
from ndconv._runtime import get_num_threads
from ndconv.arguments import (
    check_bias,
    check_residual,
    check_shape,
    deliver,
    forward_problem,
    kernel_first,
    result_array,
    result_shape,
)
from ndconv.dtypes import module_of
from ndconv.plan import build_plan, check_dtype, check_options, make_problem
from ndconv.problem import OPS


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
        w = kernel_first(w, weight_layout)
    kind = check_dtype(w.dtype if dtype is None else dtype, "x")
    if check_dtype(w.dtype, "w") != kind:
        raise TypeError(f"w must be {kind} as dtype says; got {w.dtype}")
    options = check_options(method, accuracy, workspace_limit, threads)
    if padding_mode != "zeros":
        geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
        return BorderPlan(check_shape(x_shape, "x_shape"), w, bias, kind, padding, padding_mode, padding_value, geometry,
                          options | dict(activation=activation))
    problem, batched, last = make_problem("forward", check_shape(x_shape, "x_shape"), w.shape, kind, stride, padding, dilation,
                                          groups, flip, layout)
    plan = build_plan(problem, batched, last, options, True, activation).for_weights(w, True)
    plan.prepare(w, None if bias is None else check_bias(bias, w.shape[0], kind).copy())
    return plan


class BorderPlan:
    """A convolution with other padding than zeros made ready: a Plan for each box of ndconv.border. Call it as a Plan.

    problem : what it computes (ndconv.problem.Problem, which does not know of modes)
    method : of the box whose windows lie inside the array; slabs along the border may have others
    workspace_bytes : memory that a call takes beyond its arrays and the weights of each box
    """

    def __init__(self, x_shape, w, bias, dtype, padding, mode, value, geometry, options):
        self.problem, batched, last = forward_problem(x_shape, w.shape, dtype, padding, geometry)
        self._boxes = border.boxes_of(self.problem, border.check_modes(mode, self.problem.rank, value))
        self._first, self._value, self._geometry = batched + (not last), value, (geometry["layout"], batched)
        self.in_shape, self.out_shape = x_shape, result_shape(self.problem, batched, last)
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
        check_residual(rest, self.out_shape, self.problem.dtype)
        y = result_array(x, self.out_shape, *self._geometry, out, x, rest)
        plans = iter(self._plans)
        border.convolve_boxes(lambda part, padding, to, added: next(plans)(part, to, added), self._boxes, x, y, rest,
                              self._first, self._value)
        return deliver(y, out)

    def __repr__(self):
        return f"<ndconv plan: {self.problem} by {self.method}>"


def explain(x_shape, w_shape, *, op="forward", dtype=np.float32, stride=1, padding=0, padding_mode="zeros", padding_value=0.0,
            dilation=1, groups=1, flip=False, layout=None, method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """Which method `conv` or, as `op` says, a gradient takes for these shapes, and why each other one is passed over. A plan,
    which prepares its weights once, may take another: see Plan.explain. With another padding_mode than zeros it is the method of
    the windows inside the array, and of half and complex dtypes that of the first slab's real problem (docs/architecture.md).

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
    """[the Problem of these arguments], or with other padding than zeros that of each box, the inner one first; the real
    problems of half and complex dtypes."""
    if op not in OPS:
        raise ValueError(f"op must be one of {', '.join(OPS)}; got {op!r}")
    x_shape, w_shape = check_shape(x_shape, "x_shape"), check_shape(w_shape, "w_shape")
    module = module_of(dtype)
    dtype = check_dtype(dtype, "dtype") if module is None else module.explained_dtype(dtype)
    problem, batched, last = make_problem(op, x_shape, w_shape, dtype, padding=padding, **geometry)
    problems = [problem]
    if mode != "zeros":
        boxes, first = border.boxes_of(problem, border.check_modes(mode, problem.rank, value)), batched + (not last)
        problems = [make_problem(op, box.shape(x_shape, first), w_shape, dtype, padding=box.padding, **geometry)[0]
                    for box in boxes]
    return problems if module is None else [part for whole in problems for part in module.problems_of(whole)]
