"""Tuning: measure what selection would otherwise estimate, when asked to."""
import numpy as np

from ndconv import select
from ndconv._runtime import get_isa, get_num_threads
from ndconv.choices import choices
from ndconv.plan import check_options
from ndconv.prepare import problems_of
from ndconv.timing import runs_of, time_runs

HOPELESS = 10    # times the least estimate: not measured
FAR = 3          # times as long as the fastest: measured in one pass only
CLOSE = 1.25     # times as long as the fastest: its other blockings are measured too
SECONDS = 0.1


def tune(x_shape, w_shape=None, *, op="forward", dtype=np.float32, stride=1, padding=0, padding_mode="zeros", padding_value=0.0,
         dilation=1, groups=1, flip=False, layout=None, accuracy="fast", workspace_limit=None, threads=None, seconds=SECONDS):
    """Measure the methods for a problem, or for many, and ways to cut their work into blocks; take the fastest from now on.

    A forward or transposed convolution is measured twice: as a call, which prepares its weights, and as a plan, which has
    them ready. Methods run in turn on arrays of random numbers, and medians count; those that are close to the fastest run
    again in blocks of half and twice the bytes, of other tiles, and with vectors along the other axis (not those of weight
    gradients, whose blocks fix the order of summation). Results are kept in `ndconv.choices`, for this problem, number of
    threads and instruction set; save them with ``ndconv.choices.save(path)``. Selection prefers them to its estimates
    wherever they apply, and explain() says so. A method estimated to take 10 times as long as another is left out.

    x_shape, w_shape : shapes of the forward convolution; or x_shape is a list of dicts, each the arguments of one problem
    op, threads and geometry : as for `explain`
    accuracy, workspace_limit : what is measured lies within them
    seconds : about how long each method is timed, at least three runs unless it is far slower than another

    Returns an Explanation with the measured costs, or a list of them.

    >>> explanation = tune((1, 8, 12, 12), (8, 8, 3, 3), padding=1, seconds=0.001)
    >>> any(row.measured and row.chosen for row in explanation.rows)
    True
    >>> ndconv.choices.clear()
    """
    if isinstance(x_shape, (list, tuple)) and any(isinstance(entry, dict) for entry in x_shape):
        if w_shape is not None:
            raise TypeError("w_shape must not be given beside a list of problems, which have their own")
        return [tune(**problem) for problem in x_shape]
    if w_shape is None:
        raise TypeError("w_shape must be given, or a list of dicts as the only argument")
    if not 0 <= seconds <= 60:
        raise ValueError(f"seconds must be from 0 to 60 for each method; got {seconds!r}")
    options = check_options("auto", accuracy, workspace_limit, threads)
    options["threads"] = threads or get_num_threads()
    problems = problems_of(x_shape, w_shape, op, dtype, padding, padding_mode, padding_value,
                           dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout))
    measured = {}
    for problem in problems:
        for prepared in (False, True) if op in ("forward", "transpose") else (False,):
            measured |= _measure(problem, options, prepared, seconds)
    choices.add(measured)
    return select.explain_problem(problems[0], **options, prepared=False)


def _measure(problem, options, prepared, seconds):
    """An entry for `Choices.add`, none where no method can."""
    rows = [row for row in select.explain_problem(problem, **options, prepared=prepared).rows if row.method in select.METHODS]
    labels = [select.label_by_rule(select.METHODS[row.method], problem) for row in rows if row.applicable]
    estimates = {label: select.seconds(label, problem, prepared) for label in labels}
    near = [label for label, cost in estimates.items() if cost <= HOPELESS * min(estimates.values())]
    if not near:
        return {}
    threads = options["threads"]
    times = _medians(problem, near, prepared, threads, seconds)
    close = [label for label in near if times[label] <= CLOSE * min(times.values())]
    labels = [other for label in close for other in select.labels_of(select.split_label(label)[0])]
    if problem.op != "weight_grad" and len(labels) > len(close):
        times |= _medians(problem, labels, prepared, threads, seconds)
    return {(problem, get_isa(), threads, prepared): times}


def _medians(problem, labels, prepared, threads, seconds):
    """{label: seconds}, all in turn."""
    times = time_runs(runs_of(problem, labels, prepared, threads), seconds, FAR)
    return {label: timing.median for label, timing in times.items()}
