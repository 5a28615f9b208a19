"""Which method wins at which kernel size, from measurement: the table of docs/selection.md.

    python benchmarks/crossover.py             Markdown, half a minute; medians, plans with prepared weights
"""
import functools
import math

import numpy as np

import ndconv as nd
from ndconv.plan import make_problem
from ndconv.select import METHODS
from ndconv.timing import runs_of, time_runs

# name: rank, channels in and out, extent, groups, kernel sizes
SUBJECTS = {
    "signal of 100 000, 1 channel": (1, 1, 1, 100_000, 1, (3, 9, 17, 33, 65, 129, 257)),
    "signal of 4 000, 64 channels": (1, 64, 64, 4_000, 1, (1, 3, 5, 9, 17, 33, 65)),
    "image of 512², 1 channel": (2, 1, 1, 512, 1, (3, 5, 7, 9, 11, 15, 31)),
    "image of 56², 64 channels": (2, 64, 64, 56, 1, (1, 3, 5, 7, 9, 11, 15)),
    "image of 56², 96 channels, depthwise": (2, 96, 96, 56, 96, (3, 5, 7, 9, 11, 15, 31)),
}
SECONDS, FAR = 0.05, 5


def times_of(rank, ic, oc, size, groups, k):
    """{method: milliseconds}; `separable` with kernels of rank 1, where it applies."""
    x_shape, w_shape = (1, ic) + (size,) * rank, (oc, ic // groups) + (k,) * rank
    problem, _, _ = make_problem("forward", x_shape, w_shape, "float32", 1, k // 2, 1, groups, False, None)
    threads = nd.get_num_threads()
    runs = runs_of(problem, [name for name in nd.methods(x_shape, w_shape, padding=k // 2, groups=groups) if name in METHODS],
                   True, threads)
    if rank == 2 and ic == groups and k > 1:
        bell = np.exp(-np.linspace(-2, 2, k, dtype=np.float32) ** 2)
        w = np.broadcast_to(np.outer(bell, bell), w_shape).astype(np.float32)
        plan = nd.plan_conv(x_shape, w, padding=k // 2, groups=groups, method="separable")
        runs["separable"] = functools.partial(plan, np.ones(x_shape, np.float32))
    return {name: timing.median * 1e3 for name, timing in time_runs(runs, SECONDS, FAR).items()}


def main():
    names = [*METHODS, "separable"]
    print(f"| milliseconds | kernel | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for subject, (*geometry, kernels) in SUBJECTS.items():
        for k in kernels:
            times = times_of(*geometry, k)
            least = min(ms for name, ms in times.items() if name != "separable")
            cells = [_cell(times.get(name, math.nan), least) for name in names]
            print(f"| {subject} | {k} | {' | '.join(cells)} |", flush=True)
            subject = ""


def _cell(ms, least):
    if math.isnan(ms):
        return ""
    text = f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 10 else f"{ms:.0f}"
    return f"**{text}**" if ms <= least else text


if __name__ == "__main__":
    main()
