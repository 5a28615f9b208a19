"""The measurements behind `ndconv bench`: peak rates, then every method and peer on every case, checked before it is timed."""
import datetime
import functools
import importlib.metadata
import math
import os
import platform

import numpy as np

import ndconv as nd
from ndconv import reference, select
from ndconv._runtime import measure_peak
from ndconv.bench_cases import GREY, PHOTOGRAPHS
from ndconv.files import cpu_name
from ndconv.machine import measure_copy
from ndconv.plan import make_problem
from ndconv.sample import sample_image
from ndconv.timing import time_runs

# Relative L2 error that a result may have against `direct`: ten times the worst that a method promises, so that only a
# wrong result is over it. Peers may round more: ncnn's Winograd is at 1e-5.
METHOD_ERROR = {"float32": 2e-5, "float64": 1e-12}
PEER_ERROR = 1e-4
FAR = 10    # times as long as the fastest: timed in one pass only
REST = 0.2  # seconds that threads of other libraries may go on waiting for work without sleeping


def copy_rate(case, itemsize, threads):
    """GB/s of a copy between arrays that are together as large as x and y, so in the level of memory that holds them; of
    cases that memory bounds, None for others. Sizes are rounded to powers of two."""
    if not case.is_bound_by_memory:
        return None
    return measure_copy(threads, 1 << round(math.log2(max(case.moved(itemsize) // 2, 4096)))) / 1e9


def make_arrays(case, dtype):
    """x, w and dy of a case: the photograph where the section says so, normal numbers elsewhere."""
    rng = np.random.default_rng(0)
    if case.section in PHOTOGRAPHS:
        planes = sample_image().transpose(2, 0, 1) / 255
        x = (planes.mean(0, keepdims=True) if case.section == GREY else planes)[None]
    else:
        x = rng.standard_normal(case.x_shape)
    arrays = {"x": x, "w": rng.standard_normal(case.w_shape) / math.sqrt(math.prod(case.w_shape[1:]))}
    if not case.is_pool and case.op != "forward":
        arrays["dy"] = rng.standard_normal(case.y_shape)
    return {name: np.ascontiguousarray(a, dtype) for name, a in arrays.items()}


def our_runs(case, arrays, threads):
    """({method: callable}, the name of the one that "auto" takes); pooling has no methods to choose from."""
    x = arrays["x"]
    if case.is_pool:
        geometry = {"stride": case.stride, "padding": case.padding, "threads": threads}
        if case.op == "avg_pool":
            run = functools.partial(nd.avg_pool, x, case.k, **geometry)
        elif case.op == "max_pool":
            run = functools.partial(nd.max_pool, x, case.k, **geometry)
        else:
            def run():
                return nd.max_pool(x, case.k, return_indices=True, **geometry)[1]
        return {"pool": run}, "pool"
    problem, _, _ = make_problem(case.op, case.x_shape, case.w_shape, x.dtype.name, case.stride, case.padding, case.dilation,
                                 case.groups, False, None)
    rows = select.explain_problem(problem, threads=threads, prepared=case.op == "forward").rows
    runs = {row.method: _run_of(case, arrays, method=row.method, threads=threads, **case.geometry)
            for row in rows if row.applicable}
    return runs, next(row.method for row in rows if row.chosen)


def _run_of(case, arrays, **options):
    x, w = arrays["x"], arrays["w"]
    if case.op == "forward":
        return functools.partial(nd.plan_conv(x.shape, w, **options), x)
    if case.op == "input_grad":
        return functools.partial(nd.conv_input_grad, arrays["dy"], w, x.shape, **options)
    return functools.partial(nd.conv_weight_grad, arrays["dy"], x, w.shape, **options)


def expected(case, arrays, runs):
    """What every result has to be: the first method's, which is `direct`, or the definition of pooling."""
    if not case.is_pool:
        return next(iter(runs.values()))()
    pads = [(case.padding, case.padding)] * 2
    if case.op == "avg_pool":
        return reference.avg_pool(arrays["x"], case.k, stride=case.stride, pads=pads)
    return reference.max_pool(arrays["x"], case.k, stride=case.stride, pads=pads)[case.op == "max_pool_indices"]


def relative_error(got, want):
    """Relative L2 error; infinite where the shapes differ or something is not finite."""
    if np.shape(got) != want.shape:
        return math.inf
    error = np.linalg.norm(np.subtract(got, want, dtype=np.float64)) / max(np.linalg.norm(want), 1e-300)
    return error if np.isfinite(error) else math.inf


def measure_case(case, dtype, threads, seconds, peers=()):
    """One row of the report: a dict of plain values. `wrong` names what failed the check and was not timed."""
    arrays = make_arrays(case, dtype)
    runs, auto = our_runs(case, arrays, threads)
    want = expected(case, arrays, runs)
    wrong = {}
    for name, run in list(runs.items()):
        error = relative_error(run(), want)
        if error > METHOD_ERROR[dtype]:
            wrong[name] = f"relative error {error:.1e}"
            del runs[name]
    ours = list(runs)
    for name, peer in peers:
        try:
            run = peer.prepare(case, arrays, threads)
            error = 0 if run is None else relative_error(run(), want)
        except Exception as problem:  # whatever a foreign library raises, the others are still worth timing
            wrong[name] = f"{type(problem).__name__}: {problem}"
            continue
        if error > PEER_ERROR:
            wrong[name] = f"relative error {error:.1e}"
        elif run is not None:
            runs[name] = run
    times = time_runs(runs, seconds, FAR, REST if len(runs) > len(ours) else 0)
    fastest = min((times[name].median for name in ours), default=math.nan)
    return {
        "section": case.section, "name": case.name, "op": case.op, "kernel": case.k, "x_shape": case.x_shape,
        "w_shape": None if case.is_pool else case.w_shape, **case.geometry,
        "flops": None if case.is_pool else case.flops, "bytes": case.moved(np.dtype(dtype).itemsize),
        "copy_gbs": copy_rate(case, np.dtype(dtype).itemsize, threads),
        "ms": {name: times[name].median * 1e3 for name in ours}, "auto": auto,
        "regret": times[auto].median / fastest - 1 if auto in times else None,
        "peers_ms": {name: times[name].median * 1e3 for name in runs if name not in ours},
        "ms_min": {name: timing.least * 1e3 for name, timing in times.items()},
        "spread": {name: timing.spread for name, timing in times.items()}, "wrong": wrong,
    }


def regret_text(regret):
    """How much longer `auto` took than the fastest method."""
    if regret is None:
        return "?"
    return "0" if regret == 0 else f"+{regret:.0%}"


def peer_ratio(row):
    """The fastest peer's time over that of `auto`; None where either is missing."""
    if not row["peers_ms"] or row["auto"] not in row["ms"]:
        return None
    return min(row["peers_ms"].values()) / row["ms"][row["auto"]]


def describe_machine(dtype, threads, peers=()):
    """The head of a report: what was measured on and with, and the rates that the rows are compared with."""
    return {
        "ndconv": nd.__version__, "isa": nd.get_isa(), "threads": threads, "dtype": dtype,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "machine": {"cpu": cpu_name(), "cpus": os.cpu_count(), "system": platform.platform()},
        "versions": {"python": platform.python_version(), "numpy": np.__version__,
                     **{name: _version(peer.modules[-1]) for name, peer in peers}},
        "peak_gflops": measure_peak(dtype, threads, seconds=0.5) / 1e9, "copy_gbs": measure_copy(threads) / 1e9,
    }


def _version(module):
    """The version of the distribution that holds a module."""
    names = importlib.metadata.packages_distributions().get(module)
    return importlib.metadata.version(names[0]) if names else "unknown"
