"""Selection: which method computes which problem, and why.

`METHODS` is the registry; the order is that of the tables. Costs are what `tune` has measured (ndconv/choices.py), for problems
that it was asked for, and else the estimates of ndconv/cost.py; those rank methods, they do not promise times. What was measured
comes before what was not: a method that tune left out was estimated to be far slower.

A measured time has a label: the name of a method, or name:blocking where `tune` cut its work into other blocks than its rule does
(BLOCKINGS in pyx/ndconv/_method.pyx).
"""
import math
from dataclasses import dataclass, replace

from ndconv import _depthwise, _direct, _fft, _gemm, _separable, _winograd
from ndconv._plan import Core, weight_grad_bytes
from ndconv._runtime import get_isa
from ndconv.choices import choices
from ndconv.cost import seconds, separable_seconds, slowness_for, slowness_of, takes_fine
from ndconv.stages import thinned

METHODS = {module.METHOD.name: module.METHOD for module in (_direct, _gemm, _depthwise, _winograd, _fft)}
# Whether this one can is a matter of the weights; a problem alone does not say.
SEPARABLE = _separable.METHOD
NAMES = (*METHODS, SEPARABLE.name)
USUAL = "usual"     # the blocking by a method's rule


def split_label(label):
    """(Method, blocking), of a label that labels_of gave."""
    name, _, blocking = label.partition(":")
    return METHODS[name], blocking or USUAL


def labels_of(method):
    """The labels of one method of the registry, its rule first."""
    return [method.name, *(f"{method.name}:{blocking}" for blocking in method.blockings)]


ACCURACIES = ("fast", "strict")
WORKSPACE_LIMIT = 256 * 2**20


class MethodNotApplicable(ValueError):
    """The method that was asked for cannot do this problem; the message says why.

    >>> import numpy as np, ndconv
    >>> ndconv.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), method="fft", accuracy="strict")
    Traceback (most recent call last):
    ...
    ndconv.select.MethodNotApplicable: method 'fft' is not applicable: accuracy='strict' asks for an element-wise error bound...
    """


@dataclass(frozen=True, slots=True)
class Candidate:
    """One line of an explanation. cost is in seconds, measured or estimated, workspace in bytes; reason says why it was
    passed over or taken; blocking is another than the usual one where that was measured or is estimated to be faster."""

    method: str
    applicable: bool
    cost: float
    workspace: int
    reason: str
    chosen: bool = False
    measured: bool = False
    blocking: str = USUAL


@dataclass(frozen=True, slots=True)
class Explanation:
    """What runs and why each other method was passed over. `rows` holds one Candidate a method; str() is a table."""

    problem: object
    rows: tuple

    def __str__(self):
        lines = [str(self.problem)]
        for row in self.rows:
            cost = f"{row.cost * 1e3:9.3f} ms" if row.applicable else " " * 12
            space = f"{row.workspace / 2**20:8.2f} MiB" if row.applicable else " " * 12
            lines.append(f"{'>' if row.chosen else ' '} {row.method:10s} {cost} {space}  {row.reason}")
        return "\n".join(lines)


def workspace_of(problem, method, threads, blocking=USUAL):
    """Bytes of memory that a call takes beyond its arrays and one copy of the weights."""
    if problem.op == "weight_grad":
        return weight_grad_bytes(problem, method, threads)
    core = Core(problem, method, True, False, threads, None, blocking)
    itemsize = 4 if problem.dtype == "float32" else 8
    weights = problem.oc * (problem.ic // problem.g) * problem.taps * itemsize
    return core.forward_bytes(threads) + max(core.prepared_bytes() - weights, 0)


def _obstacle(problem, method, accuracy, workspace_limit, workspace):
    if accuracy == "strict" and not method.exact:
        return f"accuracy='strict' asks for an element-wise error bound; {method.name} has {method.error}"
    if workspace > workspace_limit:
        return f"workspace of {workspace} bytes is over workspace_limit={workspace_limit}"
    return None


def label_by_rule(method, problem, free=True):
    """The label of a method that was not measured; a method that was asked for has the same blocks for any batch."""
    return "winograd:fine" if free and method.name == "winograd" and takes_fine(problem) else method.name


def ranking(problem, threads, prepared, free=True):
    """([(not measured, cost, Method, blocking)] of the registry's methods that support the problem, the best first, {name: why
    not} of the others). A method is there once for each blocking that was measured. free: no method was asked for."""
    measured = choices.find(problem, get_isa(), threads, prepared)
    problem, _, _ = thinned(problem)
    able, unable, machine = [], {}, slowness_of(problem)
    for method in METHODS.values():
        reason = method.supports(problem)
        if reason is not None:
            unable[method.name] = reason
            continue
        known = measured.keys() & labels_of(method) if measured else ()
        labels = known or [label_by_rule(method, problem, free)]
        slow = slowness_for(method.name, problem, machine)
        able += [(not known, measured[label] if known else seconds(label, problem, prepared, slow), *split_label(label))
                 for label in labels]
    return sorted(able, key=lambda entry: entry[:2]), unable


def explain_problem(problem, method="auto", accuracy="fast", workspace_limit=None, threads=1, prepared=True, rank=None):
    """An Explanation of the choice for `problem`; no candidate is chosen when none is applicable.

    prepared : whether weights are prepared once for many calls, as a plan does, or in every call
    rank : the numerical rank of the weights as ndconv._separable.rank_of gives it, None if they are not known
    """
    limit = WORKSPACE_LIMIT if workspace_limit is None else workspace_limit
    able, unable = ranking(problem, threads, prepared, method == "auto")
    rows = {name: Candidate(name, False, math.inf, 0, reason) for name, reason in unable.items()}
    for estimated, cost, candidate, blocking in able:
        if candidate.name not in rows or not rows[candidate.name].applicable:
            workspace = workspace_of(problem, candidate, threads, blocking)
            reason = _obstacle(problem, candidate, accuracy, limit, workspace)
            rows[candidate.name] = (Candidate(candidate.name, False, math.inf, 0, reason) if reason else
                                    Candidate(candidate.name, True, cost, workspace, "", False, not estimated, blocking))
    reason = separable_obstacle(problem, accuracy, limit, threads) or _rank_obstacle(problem, rank)
    rows[SEPARABLE.name] = (
        Candidate(SEPARABLE.name, False, math.inf, 0, reason) if reason else
        Candidate(SEPARABLE.name, True, separable_seconds(problem, rank), workspace_of(problem, SEPARABLE, threads), ""))
    rows = [rows[name] for name in NAMES]
    possible = [row for row in rows if row.applicable and method in ("auto", row.method)]
    best = min(possible, key=_place, default=None)
    return Explanation(problem, tuple(judged(row, best, method) for row in rows))


def _place(row):
    """What is measured comes first; the cost of `separable`, which is never measured, is compared with it."""
    return not row.measured and row.method != SEPARABLE.name, row.cost


def judged(row, best, method):
    """A row with its reason, beside the best one."""
    if not row.applicable:
        return row
    times = f"{row.cost / max(best.cost, 1e-9):.1f} times" if best else ""
    cut = "" if row.blocking == USUAL else f", in {row.blocking} blocks"
    if row is best:
        reason = ("forced by method=" if method != "auto" else f"tuned: the least measured time{cut}" if row.measured else
                  f"the least estimated cost{cut}")
    elif method != "auto":
        reason = f"passed over: method={method!r} was asked for"
    elif row.measured:
        reason = f"tuned: measured to take {times} as long as {best.method}{cut}"
    elif best.measured:
        reason = "passed over: not measured, since it was estimated to take far longer than others"
    else:
        reason = f"passed over: {times} the estimated cost of {best.method}"
    return replace(row, reason=reason, chosen=row is best)


def separable_obstacle(problem, accuracy, limit, threads):
    """Why `separable` is out whatever the weights are, or None."""
    return SEPARABLE.supports(thinned(problem).problem) or _obstacle(problem, SEPARABLE, accuracy, limit,
                                                    workspace_of(problem, SEPARABLE, threads))


def _rank_obstacle(problem, rank):
    most = _separable.most_rank(problem)
    if rank is None:
        return f"depends on the weights: kernels of rank up to {most}"
    if rank < 0:
        return "the weights are not finite"
    return f"a kernel has rank {rank}; up to {most} is worth it" if rank > most else None


def useful_rank(problem, accuracy, workspace_limit, threads, least):
    """The highest rank of kernels at which `separable` costs less than `least` seconds; 0 if none is worth looking for."""
    limit = WORKSPACE_LIMIT if workspace_limit is None else workspace_limit
    if separable_obstacle(problem, accuracy, limit, threads):
        return 0
    return max((rank for rank in range(_separable.most_rank(problem) + 1) if separable_seconds(problem, rank) < least), default=0)


def check_rank(problem, w):
    """The rank of weights that are forced on `separable`, or MethodNotApplicable."""
    rank = _separable.rank_of(w, max(w.shape[2:]))
    reason = _rank_obstacle(problem, rank)
    if reason:
        raise MethodNotApplicable(f"method 'separable' is not applicable: {reason}")
    return rank


def choose(problem, method, accuracy, workspace_limit, threads, prepared):
    """(the Method for `problem`, its blocking, its cost); MethodNotApplicable when the one asked for, or every one, is out."""
    limit = WORKSPACE_LIMIT if workspace_limit is None else workspace_limit
    if method == SEPARABLE.name:
        reason = separable_obstacle(problem, accuracy, limit, threads)
        if reason:
            raise MethodNotApplicable(f"method 'separable' is not applicable: {reason}")
        return SEPARABLE, USUAL, 0.0
    for _, cost, candidate, blocking in ranking(problem, threads, prepared, method == "auto")[0]:
        if method in ("auto", candidate.name) and not _obstacle(problem, candidate, accuracy, limit,
                                                                workspace_of(problem, candidate, threads, blocking)):
            return candidate, blocking, cost
    rows = explain_problem(problem, method, accuracy, workspace_limit, threads, prepared).rows
    if method == "auto":
        reasons = "; ".join(f"{row.method}: {row.reason}" for row in rows)
        raise MethodNotApplicable(f"no method is applicable: {reasons}")
    reason = next(row.reason for row in rows if row.method == method)
    raise MethodNotApplicable(f"method {method!r} is not applicable: {reason}")
