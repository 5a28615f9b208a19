"""Plan: a problem with its method chosen, its weights prepared and its workspace sized."""
from functools import lru_cache

import numpy as np

from ndconv import _runtime, dtypes, select
from ndconv._plan import Core
from ndconv._separable import most_rank, rank_of
from ndconv.activation import resolve_activation
from ndconv.border import gradient_problem, resolve_modes
from ndconv.problem import (
    DTYPES,
    LIMIT,
    RANKS,
    Problem,
    as_three,
    channels_axis,
    check_int,
    check_size,
    output_extents,
    per_axis,
    resolve_padding,
)
from ndconv.stages import alike, stages_of

CACHED_PLANS = 256
_NAMES = {np.dtype(name): name for name in DTYPES}


class Plan(Core):
    """A convolution made ready for one shape: call it with arrays of that shape, as plan(x, out=None, residual=None).

    problem : what it computes (ndconv.problem.Problem)
    method : name of the method that computes it
    blocking : how that cuts its work: "usual", or what `tune` has measured to be faster
    separable : the plan to run instead if the weights have a rank of at most `most_rank`; None if that is not worth a look
    rank : of the weights, None if nobody looked
    workspace_bytes : memory that a call takes beyond its arrays and one copy of the weights
    """

    separable = rank = None
    most_rank = 0

    def for_weights(self, w, look_on=False):
        """This plan, or the one by `separable` where these weights are; MethodNotApplicable if it was forced and they are not.

        look_on : find the rank also if it is too high to matter, for `explain`
        """
        if self.separable is None:
            return self
        if self.separable is self:
            self.rank = select.check_rank(self.problem, w)
            return self
        rank = rank_of(w, most_rank(self.problem) if look_on else self.most_rank)
        plan = self.separable if 0 < rank <= self.most_rank else self
        plan.rank = rank
        return plan

    @property
    def workspace_bytes(self):
        """Bytes of memory that a call takes beyond its arrays and one copy of the weights."""
        threads = self._options.get("threads") or _runtime.get_num_threads()
        method = select.METHODS.get(self.method, select.SEPARABLE)
        return select.workspace_of(self.problem, method, threads, self.blocking)

    def explain(self):
        """What runs and why each other method was passed over (an Explanation; print it)."""
        options = {**self._options, "threads": self._options.get("threads") or _runtime.get_num_threads()}
        return select.explain_problem(self.problem, **options, rank=self.rank)

    def __repr__(self):
        return f"<ndconv plan: {self.problem} by {self.method}>"


def check_dtype(dtype, name):
    """The name of a dtype that the kernels compute in."""
    if isinstance(dtype, np.dtype) and dtype in _NAMES:
        return _NAMES[dtype]
    try:
        text = np.dtype(dtype).newbyteorder("=").name
    except TypeError:
        raise TypeError(f"{name} must be float32 or float64, not {dtype!r}") from None
    if text not in DTYPES:
        raise TypeError(f"{name} must be float32 or float64, not {text}; convert it with {name}.astype(np.float32)")
    return text


def check_options(method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """The keyword arguments that steer the choice, checked, as a dict."""
    if not isinstance(method, str):
        raise TypeError(f"method must be a string, not {method!r}")
    if method != "auto" and method not in select.NAMES:
        raise ValueError(f"method must be 'auto' or one of {', '.join(select.NAMES)}; got {method!r}")
    if accuracy not in select.ACCURACIES:
        raise ValueError(f"accuracy must be 'fast' or 'strict'; got {accuracy!r}")
    if workspace_limit is not None and check_int(workspace_limit, "workspace_limit") < 0:
        raise ValueError(f"workspace_limit must be a number of bytes, at least 0; got {workspace_limit}")
    if threads is not None:
        threads = _runtime.check_threads(threads, "threads")
    return dict(method=method, accuracy=accuracy, workspace_limit=workspace_limit, threads=threads)


def make_problem(op, x_shape, w_shape, dtype, stride, padding, dilation, groups, flip, layout, lanes_oc=None, mode="zeros",
                 value=0.0):
    """(Problem, batched, channels_last) of arguments as users give them; x_shape and w_shape are those of the forward
    convolution. lanes_oc None means: as the layout says; mode and value say what lies outside x."""
    rank = len(w_shape) - 2
    if rank not in RANKS:
        raise ValueError(f"w must have 3 to 5 axes, (oc, ic/groups, *kernel); got shape {tuple(w_shape)}")
    if len(x_shape) not in (rank + 1, rank + 2):
        raise ValueError(f"x must have {rank + 2} axes, or {rank + 1} without a batch, for w of shape {tuple(w_shape)}; "
                         f"got shape {tuple(x_shape)}")
    batched = len(x_shape) == rank + 2
    last = channels_axis(layout, rank) == -1
    n, rest = (x_shape[0], x_shape[1:]) if batched else (1, x_shape)
    ic, x = (rest[-1], rest[:-1]) if last else (rest[0], rest[1:])
    oc, icg, k = w_shape[0], w_shape[1], tuple(w_shape[2:])
    groups = check_int(groups, "groups")
    if groups < 1:
        raise ValueError(f"groups must be at least 1; got {groups}")
    if ic != icg * groups:
        raise ValueError(f"x has {ic} channels but w {tuple(w_shape)} with groups={groups} takes {icg * groups}")
    if oc % groups:
        raise ValueError(f"groups={groups} must divide the {oc} output channels of w {tuple(w_shape)}")
    if 0 in k:
        raise ValueError(f"w must have at least one tap on every spatial axis; got shape {tuple(w_shape)}")
    if not isinstance(flip, (bool, np.bool_)):
        raise TypeError(f"flip must be True or False, not {flip!r}")
    stride, dilation = per_axis(stride, rank, "stride", 1), per_axis(dilation, rank, "dilation", 1)
    before, after = resolve_padding(padding, x, k, stride, dilation)
    if any(d * (taps - 1) + abs(lo) + abs(hi) + size >= LIMIT
           for d, taps, lo, hi, size in zip(dilation, k, before, after, x)):
        raise OverflowError(f"dilation {dilation} and padding {before}, {after} reach further than an index can count")
    y = output_extents(x, k, stride, dilation, before, after)
    modes, fill = (("zeros",) * rank, 0.0) if mode == "zeros" else resolve_modes(mode, value, x, before, after)
    itemsize = np.dtype(dtype).itemsize
    check_size(x_shape, itemsize, "x")
    check_size(w_shape, itemsize, "w")
    check_size((n, oc) + y, itemsize, "the result")
    problem = Problem(op, dtype, rank, n, groups, ic, oc, as_three(x, 1), as_three(k, 1), as_three(y, 1),
                      as_three(stride, 1), as_three(dilation, 1), as_three(before, 0), as_three(after, 0), bool(flip),
                      last if lanes_oc is None else bool(lanes_oc), as_three(modes, "zeros"), fill)
    return problem, batched, last


def plan_by(problem, batched, channels_last, options, method, blocking=select.USUAL, activation=None, frame=None):
    """A Plan by that Method and blocking, which has no weights yet; a Frame is folded into its result."""
    plan = Plan(problem, method, batched, channels_last, options["threads"], activation, blocking, frame)
    plan.problem, plan.method, plan.blocking, plan._options = problem, method.name, blocking, options
    return plan


def build_plan(problem, batched, channels_last, options, prepared, activation=None):
    """A Plan that has no weights yet; `prepared` says whether it will get them once or in every call."""
    frame = None
    if problem.reversed and problem.bordered:
        problem, frame = gradient_problem(problem, batched, channels_last)
    threads = options["threads"] or _runtime.get_num_threads()
    choice = options["accuracy"], options["workspace_limit"], threads, prepared
    own, activation = (problem, batched, channels_last, options), resolve_activation(activation)
    method, blocking, cost = select.choose(problem, options["method"], *choice)
    plan = plan_by(*own, method, blocking, activation, frame)
    if plan.method == select.SEPARABLE.name:
        plan.separable = plan
    elif options["method"] == "auto":
        plan.most_rank = select.useful_rank(problem, *choice[:3], cost)
        plan.separable = plan_by(*own, select.SEPARABLE, activation=activation, frame=frame) if plan.most_rank else None
    return plan


@lru_cache(maxsize=CACHED_PLANS, typed=True)
def cached_plan(op, x_shape, w_shape, x_dtype, w_dtype, stride, padding, dilation, groups, flip, layout, lanes_oc,
                method, accuracy, workspace_limit, threads, activation=None, accumulate=None, mode="zeros", value=0.0):
    """The plan of a function call; equal arguments get the plan of the first."""
    name = "dy" if op == "input_grad" else "x"
    other = dtypes.module_of(x_dtype, w_dtype)
    if other is not None:
        geometry = stride, padding, dilation, groups, flip, layout, mode, value
        steer = method, accuracy, workspace_limit, threads
        return other.make_plan(op, x_shape, w_shape, x_dtype, w_dtype, geometry, lanes_oc, steer, activation, accumulate)
    dtype = check_dtype(x_dtype, name)
    if check_dtype(w_dtype, "w") != dtype:
        raise TypeError(f"w must be {dtype} as {name} is; got {np.dtype(w_dtype)}")
    if accumulate is not None:
        raise TypeError(f"accumulate is for integers; {name} and w are {dtype}")
    options = check_options(method, accuracy, workspace_limit, threads)
    problem, batched, last = make_problem(op, x_shape, w_shape, dtype, stride, padding, dilation, groups, flip, layout, lanes_oc,
                                          mode, value)
    return build_plan(problem, batched, last, options, False, activation)


cached_problem = lru_cache(maxsize=CACHED_PLANS, typed=True)(make_problem)
cached_choice = lru_cache(maxsize=CACHED_PLANS)(select.choose)


def clear_plans():
    """Forget every plan, problem and choice: they hold for one instruction set, and for what `tune` has measured."""
    for cache in (cached_plan, cached_problem, cached_choice, stages_of, alike):
        cache.cache_clear()
