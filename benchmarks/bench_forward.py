"""Forward convolution through a plan: every method on layers and on a photograph.

    pytest benchmarks/bench_forward.py -k "vgg16 and float32 and NCHW" --benchmark-group-by=param:case
"""
import functools

import grid

import ndconv as nd
from ndconv.bench import METHOD_ERROR

pytestmark = grid.TIMING


@grid.convolutions("forward")
def test_forward(measure, case, kernel, stride, layout, dtype, method):
    x, w, _ = grid.convolution_arrays(case, layout, dtype)
    problem = grid.CONVOLUTIONS[case]
    plan = nd.plan_conv(x.shape, w, layout=layout, method=method, **problem.options)
    measure(functools.partial(plan, x), expected(case, layout, dtype), METHOD_ERROR[dtype], flop=problem.flops)


@functools.lru_cache(maxsize=1)
def expected(case, layout, dtype):
    x, w, _ = grid.convolution_arrays(case, layout, dtype)
    return nd.conv(x, w, layout=layout, accuracy="strict", **grid.CONVOLUTIONS[case].options)
