"""The rows of the benchmarks as pytest parameters: what `ndconv bench` times, and the larger problems of the tests.

Each benchmark has the parameters case, kernel, stride, layout, dtype and method, so that any of them can group a table:
--benchmark-group-by=param:kernel.
"""
import functools

import numpy as np
import pytest
from cases import DEEP, PARALLEL, Conv, Pool, pairs, per_axis, to_layout

import ndconv as nd
from ndconv import select
from ndconv.bench_cases import KERNELS, LAYERS, POOLS, photographs
from ndconv.plan import make_problem
from ndconv.problem import DTYPES

# Seconds a benchmark at the most, beyond three rounds; the medians of a quiet machine are then good to a few per cent.
TIMING = pytest.mark.benchmark(min_rounds=3, max_time=0.2, warmup=True, warmup_iterations=2, disable_gc=True)

CONVOLUTIONS = {case.name: case for case in (
    *(Conv(c.name, c.n, c.ic, c.oc, c.size, (c.k,) * c.rank, c.stride, c.padding, c.dilation, c.groups)
      for c in (*photographs(KERNELS), *LAYERS)),
    *PARALLEL, *DEEP)}
POOLINGS = {c.name: Pool(c.name, c.n, c.ic, c.size, c.k, c.stride, c.padding) for c in POOLS}


def cross(value, rank):
    return "x".join(map(str, per_axis(value, rank)))


def convolutions(op):
    """The parameters of every convolution, or of one of its gradients, with every method that can do it."""
    rows = []
    for case in CONVOLUTIONS.values():
        for layout in case.layouts:
            for dtype in DTYPES:
                problem, _, _ = make_problem(op, case.x_shape(layout), case.w_shape, dtype, case.stride,
                                             pairs(case.padding, case.rank), case.dilation, case.groups, case.flip, layout)
                rows += [(case.name, cross(case.kernel, case.rank), cross(case.stride, case.rank), layout, dtype, row.method)
                         for row in select.explain_problem(problem, threads=nd.get_num_threads()).rows if row.applicable]
    return pytest.mark.parametrize("case, kernel, stride, layout, dtype, method", rows)


def pools(methods):
    """The parameters of every pooling layer with each of methods."""
    rows = [(case.name, cross(case.window, case.rank), cross(case.stride, case.rank), layout, dtype, method)
            for case in POOLINGS.values() for layout in case.layouts for dtype in DTYPES for method in methods]
    return pytest.mark.parametrize("case, kernel, stride, layout, dtype, method", rows)


@functools.lru_cache(maxsize=2)
def convolution_arrays(name, layout, dtype):
    """x, w, dy of a case in a layout."""
    x, w, _, dy = CONVOLUTIONS[name].arrays(dtype)
    return to_layout(x, layout), w, to_layout(dy, layout)


def pool_array(name, layout, dtype):
    shape = POOLINGS[name].x_shape()
    return to_layout(np.random.default_rng(0).standard_normal(shape).astype(dtype), layout)
