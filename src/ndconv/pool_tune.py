"""Which method a pooling takes, and tuning of it: the public functions."""
import math

import numpy as np

from ndconv import pool
from ndconv._pool import METHODS, NEEDS
from ndconv._runtime import check_threads, get_isa, get_num_threads
from ndconv.arguments import check_shape
from ndconv.choices import choices
from ndconv.cycles import CYCLE
from ndconv.pool_choice import check_method, op_of, problem_of
from ndconv.select import Candidate, Explanation
from ndconv.timing import time_runs

KINDS = ("max", "min", "avg")
FAR = 3      # times as long as the fastest: measured in one pass only


def explain_pool(x_shape, size, *, kind="max", dtype=np.float32, stride=None, padding=0, dilation=1, ceil_mode=False,
                 return_indices=False, layout=None, method="auto", threads=None):
    """Which method `max_pool`, `min_pool` or `avg_pool` takes for such an array, and why each other one is passed over.

    kind : "max", "min" or "avg"; dtype : of x, whose memory is in the order of `layout`. The other arguments are those of
    `max_pool`. Returns an Explanation, as `explain` does: its costs are estimates, or what `tune_pool` has measured. Of dtypes
    that are converted it is the method of the dtype they are converted to.

    >>> print(*(row.method for row in explain_pool((1, 64, 56, 56), 3, stride=2, padding=1).rows if row.applicable))
    rows turned blocks points
    """
    geometry, dtype, threads = _checked(x_shape, size, kind, dtype, stride, padding, dilation, ceil_mode, return_indices, layout,
                                        threads)
    return _explanation(geometry, kind, dtype, return_indices, check_method(method), threads)


def tune_pool(x_shape, size, *, kind="max", dtype=np.float32, stride=None, padding=0, dilation=1, ceil_mode=False,
              return_indices=False, layout=None, threads=None, seconds=0.1):
    """Measure the methods of a pooling; calls with equal arguments take the fastest from now on.

    Results are kept in `ndconv.choices` beside those of `tune`, for this problem, number of threads and instruction set. An
    array whose memory is in another order than its layout says may not allow the fastest; Pooling then takes its own choice.

    seconds : about how long each method is timed, at least three runs unless it is far slower than another. The other arguments
    are those of `explain_pool`, which shows the result.

    >>> explanation = tune_pool((1, 4, 20, 20), 3, stride=1, seconds=0.001)
    >>> any(row.measured and row.chosen for row in explanation.rows)
    True
    >>> ndconv.choices.clear()
    """
    if not 0 <= seconds <= 60:
        raise ValueError(f"seconds must be from 0 to 60 for each method; got {seconds!r}")
    geometry, dtype, threads = _checked(x_shape, size, kind, dtype, stride, padding, dilation, ceil_mode, return_indices, layout,
                                        threads)
    x = (100 * np.random.default_rng(0).standard_normal(geometry.in_shape)).astype(dtype)
    index = np.int64 if return_indices else None
    runs = {name: lambda place=place: geometry.forward(x, dtype, kind, None, index, threads, method=place, forced=True)
            for place, name in enumerate(METHODS) if geometry.costs(dtype, kind, 8 * return_indices)[place] is not None}
    times = time_runs(runs, seconds, FAR)
    choices.add({(problem_of(geometry, op_of(kind, return_indices), dtype), get_isa(), threads, False):
                 {name: timing.median for name, timing in times.items()}})
    return _explanation(geometry, kind, dtype, return_indices, "auto", threads)


def _checked(x_shape, size, kind, dtype, stride, padding, dilation, ceil_mode, indices, layout, threads):
    """(Pooling, the dtype that its kernels take, threads) of arguments as users give them."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    geometry = pool._geometry(check_shape(x_shape, "x_shape"), size, stride, padding, dilation, ceil_mode, layout, name="x_shape")
    if indices and kind == "avg":
        raise ValueError("return_indices is for kind 'max' and 'min': means have no indices")
    threads = get_num_threads() if threads is None else check_threads(threads, "threads")
    return geometry, pool.computed_dtype(dtype, kind, indices), threads


def _explanation(geometry, kind, dtype, indices, method, threads):
    problem = problem_of(geometry, op_of(kind, indices), dtype)
    measured = choices.find(problem, get_isa(), threads, False)
    costs = dict(zip(METHODS, geometry.costs(dtype, kind, 8 * indices), strict=True))
    seconds = {name: measured.get(name, CYCLE * cost[0]) for name, cost in costs.items() if cost}
    possible = [name for name in seconds if name == method or method == "auto" and (not measured or name in measured)]
    best = min(possible, key=seconds.get, default=None)
    rows = []
    for name, cost in costs.items():
        if cost is None:
            rows.append(Candidate(name, False, math.inf, 0, NEEDS[name]))
            continue
        what = "measured time" if measured else "estimated cost"
        reason = ("forced by method=" if method == name else f"the least {what}" if name == best else
                  f"passed over: method={method!r} was asked for" if method != "auto" else
                  f"passed over: {seconds[name] / seconds[best]:.1f} times the {what} of {best}")
        rows.append(Candidate(name, True, seconds[name], threads * cost[1], reason, name == best, name in measured))
    return Explanation(problem, tuple(rows))
