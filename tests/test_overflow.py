"""Sizes that no memory holds and no index counts end in an exception, never in a crash.

Arrays of stride 0 make them cheap to ask for. What would be allocated has at least 2**47 bytes, more than any address space.
"""
import sys

import numpy as np
import pytest
from checks import output_of
from numpy.lib.stride_tricks import as_strided

import ndconv as nd

REFUSED = (OverflowError, ValueError, MemoryError)
HUGE = (2**31 - 1, 2**31, 2**32 + 3, 2**46, 2**62, 2**63 - 1, 2**63, 2**64 + 1, 2**100)
ONE = np.float32(1)


def wide(*shape, dtype=np.float32):
    """An array of that shape in one element's memory."""
    return as_strided(np.ones(1, dtype), shape, (0,) * len(shape), writeable=False)


X, W, DY = wide(1, 1, 2**10, 2**46), wide(1, 1, 3, 3), wide(1, 1, 2**10 - 2, 2**46 - 2)
SMALL, SMALL_DY = wide(1, 1, 8, 8), wide(1, 1, 6, 6)


def one_sided(name, value):
    """The value on every axis, and on one axis or side only."""
    sides = [((value, 0), (0, 0)), ((0, -value), (0, value))] if name == "padding" else []
    return [value, -value, (value, 1), (1, value), *sides]


@pytest.mark.parametrize("value", HUGE, ids=lambda v: f"2^{v.bit_length() - 1}")
@pytest.mark.parametrize("name", ("padding", "dilation", "stride", "groups", "threads"))
def test_huge_options(name, value):
    """Each is refused, except what is legal: a huge stride leaves one position, and explain needs no memory to judge geometry."""
    for option in one_sided(name, value):
        options = {name: option}
        legal = name == "stride"
        check_refused(legal, nd.conv, X, W, **options)
        check_refused(legal, lambda **options: nd.plan_conv(X.shape, W, **options)(X), **options)
        check_refused(legal, nd.conv_input_grad, SMALL_DY, W, SMALL.shape, **options)
        check_refused(legal, nd.conv_weight_grad, SMALL_DY, SMALL, W.shape, **options)
        check_refused(legal or name in ("padding", "dilation"), nd.explain, X.shape, W.shape, **options)
        if name != "groups":
            check_refused(legal, nd.max_pool, X, 3, **dict(stride=1) | options)
            check_refused(legal, nd.avg_pool, X, 3, **dict(stride=1) | options)
            check_refused(legal, nd.avg_pool_backward, DY, X.shape, 3, **dict(stride=1) | options)


def check_refused(legal, call, *args, **options):
    try:
        result = call(*args, **options)
    except (*REFUSED, TypeError) as error:
        assert str(error)
    else:
        assert legal, f"{options}: {result} came out"


@pytest.mark.parametrize("method", ("auto", *nd.select.METHODS))
@pytest.mark.parametrize(("x", "w"), [
    (wide(1, 1, 2**24, 2**24), wide(1, 1, 1, 1)),
    (wide(1, 1, 2**30, 2**30), wide(1, 1, 3, 3)),
    (wide(2**50, 1, 4, 4), wide(4, 1, 3, 3)),
    (wide(2**30, 4, 2**10, 2**10), wide(1, 4, 1, 1)),
    (wide(1, 1, 2**40, 1), wide(2**20, 1, 1, 1)),
    (wide(1, 1, 3, 3), wide(2**60, 1, 1, 1)),
    (wide(1, 1, 2**58), wide(1, 1, 1)),
    (wide(1, 1, 2**20, 2**20, 2**18), wide(1, 1, 2, 2, 2)),
], ids=lambda a: "x".join(f"{e:g}" for e in a.shape))
def test_results_beyond_memory(x, w, method):
    with pytest.raises(REFUSED):
        nd.conv(x, w, method=method)
    with pytest.raises(REFUSED):
        nd.plan_conv(x.shape, w, method=method)(x)


@pytest.mark.parametrize("method", ("auto", *nd.select.METHODS))
def test_gradients_beyond_memory(method):
    big = wide(1, 1, 2**24, 2**24)
    one = wide(1, 1, 1, 1)
    with pytest.raises(REFUSED):
        nd.conv_input_grad(big, one, big.shape, method=method)
    with pytest.raises(REFUSED):
        nd.conv_weight_grad(wide(1, 2**30, 1, 1), wide(1, 2**30, 1, 1), (2**30, 2**30, 1, 1), method=method)
    with pytest.raises(REFUSED):
        nd.conv_input_grad(wide(1, 1, 2, 2), one, (1, 1, 2**62, 2**62), method=method)


@pytest.mark.parametrize("call", [
    lambda x: nd.max_pool(x, 1), lambda x: nd.avg_pool(x, 1), lambda x: nd.max_pool(x, 1, return_indices=True),
    lambda x: nd.avg_pool_backward(x, x.shape, 1), lambda x: nd.max_pool_backward(x, wide(*x.shape, dtype=np.int64), x.shape, 1),
    lambda x: nd.global_pool_backward(wide(1, 1, 1, 1), x, "avg"),
], ids=("max", "avg", "indices", "avg backward", "max backward", "global backward"))
@pytest.mark.parametrize("shape", [(1, 1, 2**24, 2**24), (1, 1, 2**29, 2**29)], ids=str)
def test_pooling_beyond_memory(call, shape):
    with pytest.raises(REFUSED):
        call(wide(*shape))


@pytest.mark.parametrize("shape", [(2**62, 2**62, 3, 3), (2**64, 1, 3, 3), (1, 1, 2**63, 3), (2**31,) * 4], ids=str)
def test_shapes_given_in_words(shape):
    indices = wide(1, 1, 3, 3, dtype=np.int64)
    for call in (lambda: nd.plan_conv(shape, wide(1, shape[1] if shape[1] < 2**40 else 1, 3, 3)),
                 lambda: nd.methods(shape, W.shape), lambda: nd.explain(X.shape, shape),
                 lambda: nd.conv_input_grad(W, W, shape), lambda: nd.conv_weight_grad(W, X, shape),
                 lambda: nd.avg_pool_backward(W, shape, 3), lambda: nd.max_pool_backward(W, indices, shape, 3)):
        with pytest.raises(REFUSED):
            call()


@pytest.mark.parametrize("channels", (2**31, 2**33), ids=("2^31", "2^33"))
def test_extents_beyond_32_bits_in_words(channels):
    """What fits an index is judged, not refused, though no memory is there."""
    rows = nd.explain((1, channels, 1, 1), (1, channels, 1, 1)).rows
    assert all(row.cost > 0 for row in rows)


@pytest.mark.skipif(sys.platform == "win32", reason="memory is limited with setrlimit")
def test_a_stride_beyond_the_kernel_costs_no_more_than_the_kernel():
    """Of the 16 million positions between two windows only 4 have a tap; neither time nor memory may go to the others."""
    code = """
    import resource
    import numpy as np, ndconv as nd
    resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
    dy, w = np.ones((1, 1, 1, 1), "f4"), np.arange(1, 5, dtype="f4").reshape(1, 1, 2, 2)
    dx = nd.conv_input_grad(dy, w, (1, 1, 4096, 4096), stride=4096)
    print(dx[0, 0, :2, :2].tolist(), dx.sum())
    """
    assert output_of(code, OPENBLAS_NUM_THREADS="1") == "[[1.0, 2.0], [3.0, 4.0]] 10.0"


def test_offsets_beyond_32_bits():
    """Strides of more than 2**31 elements, in memory that is never touched in between."""
    span = 2**31 + 5
    roomy = np.zeros(2 * span + 100, np.int8)  # untouched pages cost nothing
    x = as_strided(roomy[:400].view(np.float32), (1, 2, 3, 3), (0, span // 4 * 4, 12, 4))
    x[...] = np.arange(18).reshape(1, 2, 3, 3)
    w = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    for method in nd.methods(x.shape, w.shape):
        np.testing.assert_allclose(nd.conv(x, w, method=method), nd.conv(x.copy(), w, method=method), rtol=1e-5)
    np.testing.assert_array_equal(nd.max_pool(x, 2), nd.max_pool(x.copy(), 2))
