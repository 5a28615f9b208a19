"""How long things take: runs in turn, several times, and medians of them."""
import statistics
import time
from typing import NamedTuple

import numpy as np

from ndconv import select
from ndconv._plan import run_weight_grad
from ndconv.plan import check_options, plan_by

PASSES = 3


class Timing(NamedTuple):
    """Seconds of a run: the median, the least, and half the distance between the quartiles over the median."""

    median: float
    least: float
    spread: float


def time_runs(runs, seconds, far=None, rest=0):
    """{name: Timing}: about `seconds` for each, in three passes so that a slow spell hits all alike and each run finds the caches
    as the others left them. Of a run that once took more than `far` times as long as the fastest, there are no further passes.

    rest : seconds of sleep before each pass, for threads of other libraries that wait for work without sleeping
    """
    times = {name: [] for name in runs}
    for _ in range(PASSES):
        time.sleep(rest)
        for name, run in runs.items():
            own = times[name]
            if far and own and min(own) > far * min(min(other) for other in times.values() if other):
                continue
            if not own or own[-1] < seconds:
                run()  # caches and cores still belong to the one before
            stop = time.perf_counter() + seconds / PASSES
            while True:
                start = time.perf_counter()
                run()
                end = time.perf_counter()
                own.append(end - start)
                if end >= stop:
                    break
    return {name: _timing(own) for name, own in times.items()}


def _timing(times):
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (median,) * 3
    return Timing(median, min(times), max(high - low, 0) / (2 * median) if median else 0)


def runs_of(problem, labels, prepared, threads):
    """{label: a function without arguments that computes `problem` so}, on arrays of normal numbers; labels as ndconv/select.py
    has them."""
    rng = np.random.default_rng(0)

    def array(shape):
        return rng.standard_normal(shape, np.float32).astype(problem.dtype, copy=False)

    (x_shape, w_shape, y_shape), last = shapes_of(problem), problem.lanes_oc
    if problem.op == "weight_grad":
        x, dy, dw = array(x_shape), array(y_shape), np.empty(w_shape, problem.dtype)
        return {label: lambda chosen=select.METHODS[label]: run_weight_grad(problem, chosen, dy, x, True, last, threads, dw)
                for label in labels}
    x, w = array(y_shape if problem.reversed else x_shape), array(w_shape)
    options = check_options(threads=threads)
    plans = {label: plan_by(problem, True, last, options, *select.split_label(label)) for label in labels}
    if not prepared:
        return {label: lambda plan=plan: plan.run_with(x, w, None, None, None) for label, plan in plans.items()}
    for plan in plans.values():
        plan.prepare(w, None)
    return {label: lambda plan=plan: plan(x) for label, plan in plans.items()}


def shapes_of(problem):
    """The shapes of x, w and y, channels last where the memory of the result has them together."""
    first = 3 - problem.rank

    def shape(channels, spatial):
        return (problem.n, *spatial[first:], channels) if problem.lanes_oc else (problem.n, channels, *spatial[first:])

    return (shape(problem.ic, problem.x), (problem.oc, problem.ic // problem.g, *problem.k[first:]),
            shape(problem.oc, problem.y))
