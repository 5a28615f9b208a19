"""Pooling and its gradients; the parameter method is the kind.

    pytest benchmarks/bench_pooling.py -k "float32" --benchmark-group-by=param:method,param:layout
"""
import functools

import grid
import numpy as np

import ndconv as nd
from ndconv import reference
from ndconv.bench import METHOD_ERROR

pytestmark = grid.TIMING

KINDS = ("max_pool", "max_pool_indices", "avg_pool")


@grid.pools(KINDS)
def test_forward(measure, case, kernel, stride, layout, dtype, method):
    pool, x = grid.POOLINGS[case], grid.pool_array(case, layout, dtype)
    options = dict(layout=layout, **pool.options)
    if method == "avg_pool":
        run = functools.partial(nd.avg_pool, x, pool.window, **options)
    elif method == "max_pool":
        run = functools.partial(nd.max_pool, x, pool.window, **options)
    else:
        def run():
            return nd.max_pool(x, pool.window, return_indices=True, **options)[1]
    y, indices = forward(case, layout, dtype, method == "avg_pool")
    want = indices if method == "max_pool_indices" else y
    measure(run, want, METHOD_ERROR[dtype], byte=x.nbytes + want.size * (8 if method == "max_pool_indices" else x.itemsize))


@grid.pools(("max_pool_backward", "avg_pool_backward"))
def test_backward(measure, case, kernel, stride, layout, dtype, method):
    pool, x = grid.POOLINGS[case], grid.pool_array(case, layout, dtype)
    y, indices = forward(case, layout, dtype, method == "avg_pool_backward")
    dy = np.ones_like(y, dtype)
    options = dict(layout=layout, **pool.options)
    if method == "max_pool_backward":
        run = functools.partial(nd.max_pool_backward, dy, indices, x.shape, pool.window, **options)
        want = reference.max_pool_backward(dy, indices, x.shape, layout=layout)
    else:
        run = functools.partial(nd.avg_pool_backward, dy, x.shape, pool.window, **options)
        want = reference.avg_pool_backward(dy, x.shape, pool.window, layout=layout, **pool.normalised)
    measure(run, want, METHOD_ERROR[dtype], byte=x.nbytes + dy.nbytes)


@functools.lru_cache(maxsize=2)
def forward(case, layout, dtype, average):
    """(values, indices) by definition; no indices of an average."""
    pool, x = grid.POOLINGS[case], grid.pool_array(case, layout, dtype)
    if average:
        return reference.avg_pool(x, pool.window, layout=layout, **pool.normalised), None
    return reference.max_pool(x, pool.window, layout=layout, **pool.normalised)
