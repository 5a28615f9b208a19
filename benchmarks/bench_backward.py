"""Both gradients of a convolution, by every method.

    pytest benchmarks/bench_backward.py -k "weight_grad and resnet50 and float32" --benchmark-group-by=param:kernel
"""
import functools

import grid

import ndconv as nd
from ndconv.bench import METHOD_ERROR

pytestmark = grid.TIMING


def gradient(op, case, layout, dtype, **options):
    """A callable without arguments that computes one gradient of a case."""
    x, w, dy = grid.convolution_arrays(case, layout, dtype)
    options |= dict(layout=layout, **grid.CONVOLUTIONS[case].options)
    if op == "input_grad":
        return functools.partial(nd.conv_input_grad, dy, w, x.shape, **options)
    return functools.partial(nd.conv_weight_grad, dy, x, w.shape, **options)


@functools.lru_cache(maxsize=1)
def expected(op, case, layout, dtype):
    return gradient(op, case, layout, dtype, accuracy="strict")()


@grid.convolutions("input_grad")
def test_input_grad(measure, case, kernel, stride, layout, dtype, method):
    measure(gradient("input_grad", case, layout, dtype, method=method), expected("input_grad", case, layout, dtype),
            METHOD_ERROR[dtype], flop=grid.CONVOLUTIONS[case].flops)


@grid.convolutions("weight_grad")
def test_weight_grad(measure, case, kernel, stride, layout, dtype, method):
    measure(gradient("weight_grad", case, layout, dtype, method=method), expected("weight_grad", case, layout, dtype),
            METHOD_ERROR[dtype], flop=grid.CONVOLUTIONS[case].flops)
