"""conv forward: every method, dtype, instruction set, layout and number of threads against the float64 definition."""
import numpy as np
import pytest
from cases import ANY_RANK, PARALLEL, SMALL, TILED, Conv, to_layout
from checks import (
    EXACT_METHODS,
    assert_elementwise,
    assert_l2,
    attempt,
    bits,
    case_for,
    compute,
    data,
    expected,
    layouts_and_threads,
)

import ndconv as nd
from ndconv.problem import DTYPES
from ndconv.select import METHODS

INEXACT = [(method, case) for method in METHODS if method not in EXACT_METHODS for case in SMALL
           if method in nd.methods(case.x_shape(), case.w_shape, **case.options)]
INEXACT_IDS = [f"{method}-{case.name}" for method, case in INEXACT]


@pytest.mark.parametrize("case", SMALL + PARALLEL, ids=lambda c: c.name)
@pytest.mark.parametrize("method", EXACT_METHODS)
def test_equal_on_integers(case, method, isa):
    """No tolerance: sums of small integers are exact in any order."""
    for dtype in DTYPES:
        want, _ = expected(case, dtype, True, "y")
        for layout, threads in layouts_and_threads(case):
            y = compute(case, data(case, dtype, True), layout=layout, threads=threads, method=method)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, want, f"{dtype} {layout} threads={threads}", strict=False)


@pytest.mark.parametrize("case", SMALL + PARALLEL, ids=lambda c: c.name)
@pytest.mark.parametrize("method", EXACT_METHODS)
def test_within_the_elementwise_bound(case, method, isa):
    for dtype in DTYPES:
        want, absolute = expected(case, dtype, False, "y")
        for layout in case.layouts:
            y = compute(case, data(case, dtype, False), layout=layout, method=method)
            assert_elementwise(y, want, absolute, case.terms["y"], f"{dtype} {layout}")


@pytest.mark.parametrize(("method", "case"), INEXACT, ids=INEXACT_IDS)
def test_rounds_to_the_integers(case, method, isa):
    """A method with a norm-wise bound is so near to integer results that rounding gives them."""
    for dtype in DTYPES:
        want, _ = expected(case, dtype, True, "y")
        for layout, threads in layouts_and_threads(case):
            y = compute(case, data(case, dtype, True), layout=layout, threads=threads, method=method)
            assert y.shape == want.shape and (np.abs(y - want) < 0.25).all(), f"{dtype} {layout} threads={threads}"


@pytest.mark.parametrize(("method", "case"), INEXACT, ids=INEXACT_IDS)
def test_within_the_l2_bound(case, method, isa):
    for dtype in DTYPES:
        want, _ = expected(case, dtype, False, "y")
        for layout in case.layouts:
            y = compute(case, data(case, dtype, False), layout=layout, method=method)
            assert_l2(y, want, method, f"{dtype} {layout}")


def test_every_method_has_cases(method):
    """Were a method to decline everything, the tests above would pass without it."""
    assert method in EXACT_METHODS or sum(name == method for name, _ in INEXACT) >= 20


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
def test_methods_are_those_that_do_it(case, method):
    able = method in nd.methods(case.x_shape(), case.w_shape, **case.options)
    assert (attempt(case, data(case, "float32", True), method=method) is not None) == able


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
def test_auto_is_the_method_it_names(case):
    x, w, b, _ = data(case, "float32", False)
    plan = nd.plan_conv(x.shape, w, b, **case.options)
    assert bits(plan(x)) == bits(compute(case, (x, w, b, None), method=plan.method))
    chosen, = (row.method for row in nd.explain(x.shape, w.shape, **case.options).rows if row.chosen)
    assert bits(compute(case, (x, w, b, None))) == bits(compute(case, (x, w, b, None), method=chosen))


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
def test_strict_keeps_the_elementwise_bound(case):
    y = compute(case, data(case, "float32", False), accuracy="strict")
    assert_elementwise(y, *expected(case, "float32", False, "y"), case.terms["y"], case.name)


@pytest.mark.parametrize("case", [case for case in SMALL if case.terms["y"] and np.prod(case.y_shape())], ids=lambda c: c.name)
def test_the_bounds_are_not_vacuous(case):
    """A tolerance as large as the results would pass anything; nor may most results be zero."""
    for dtype in DTYPES:
        want, absolute = expected(case, dtype, False, "y")
        assert 2 * (case.terms["y"] + 2) * np.finfo(dtype).eps * absolute.max() < np.abs(want).max()
        whole, _ = expected(case, dtype, True, "y")
        assert np.abs(whole).max() >= 1


@pytest.mark.parametrize("case", [case for case in ANY_RANK if case.groups == 1], ids=lambda c: c.name)
def test_functions_with_the_rank_stated(case):
    x, w, b, _ = data(case, "float32", True)
    same = {1: nd.conv1d, 2: nd.conv2d, 3: nd.conv3d}.pop(case.rank)
    assert bits(same(x, w, b, **case.options)) == bits(nd.conv(x, w, b, **case.options))
    for rank, other in ((1, nd.conv1d), (2, nd.conv2d), (3, nd.conv3d)):
        if rank != case.rank:
            with pytest.raises(ValueError, match=f"conv{rank}d|x must|{rank}"):
                other(x, w, b)


@pytest.mark.parametrize("case", ANY_RANK, ids=lambda c: c.name)
def test_unbatched(case, method, dtype):
    x, w, b, _ = data(case, dtype, True)
    for layout in case.layouts:
        batch = attempt(case, (x, w, b, None), layout=layout, method=method)
        if batch is None:
            continue
        one = nd.conv(to_layout(x, layout)[0], w, b, layout=layout, method=method, **case.options)
        assert one.ndim == case.rank + 1
        assert bits(one) == bits(to_layout(batch, layout)[0])


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_weight_layout(rank, dtype):
    """Keras's order: spatial axes, then input channels, then output channels."""
    case = {1: ANY_RANK[0], 2: Conv("hwio", 1, 4, 6, (7, 8), (3, 2), groups=2), 3: ANY_RANK[5]}[rank]
    x, w, b, _ = data(case, dtype, True)
    keras, oi = {1: ("WIO", "OIW"), 2: ("HWIO", "OIHW"), 3: ("DHWIO", "OIDHW")}[rank]
    moved = np.ascontiguousarray(w.transpose(*range(2, w.ndim), 1, 0))
    want = nd.conv(x, w, b, **case.options)
    np.testing.assert_array_equal(nd.conv(x, moved, b, weight_layout=keras, **case.options), want)
    np.testing.assert_array_equal(nd.conv(x, w, b, weight_layout=oi, **case.options), want)
    np.testing.assert_array_equal(nd.plan_conv(x.shape, moved, b, weight_layout=keras, **case.options)(x), want)


def test_flip_rotates_the_kernel(method, dtype):
    case = case_for(method)
    x, w, b, _ = data(case, dtype, True)
    options = case.options | dict(method=method)
    flipped = nd.conv(x, w, b, **options | dict(flip=True))
    np.testing.assert_allclose(flipped, nd.conv(x, w[:, :, ::-1, ::-1], b, **options), rtol=0, atol=0.25)


def test_without_bias(method, dtype):
    case = case_for(method)
    x, w, b, _ = data(case, dtype, True)
    options = case.options | dict(method=method)
    zero = nd.conv(x, w, np.zeros_like(b), **options)
    assert bits(nd.conv(x, w, **options) + dtype_zero(dtype)) == bits(zero + dtype_zero(dtype))


def dtype_zero(dtype):
    """Added to a result it makes -0.0 into 0.0, which a bias of zero does too."""
    return np.zeros((), dtype)


@pytest.mark.parametrize("case", (PARALLEL[0], TILED[0], ANY_RANK[5]), ids=lambda c: c.name)
def test_plan_is_the_call(case, method, dtype, isa):
    x, w, b, _ = data(case, dtype, False)
    for layout in case.layouts:
        moved = to_layout(x, layout)
        plan = nd.plan_conv(moved.shape, w, b, dtype=dtype, layout=layout, method=method, **case.options)
        assert plan.method == method
        y = nd.conv(moved, w, b, layout=layout, method=method, **case.options)
        first, out = plan(moved), np.full_like(y, np.nan)
        assert plan(moved, out=out) is out
        assert bits(first) == bits(out) == bits(y)


def test_plan_keeps_its_weights(method):
    """The weights are prepared once: what happens to the array afterwards does not matter."""
    case = case_for(method)
    x, w, b, _ = (a.copy() for a in data(case, "float32", True))
    plan = nd.plan_conv(x.shape, w, b, method=method, **case.options)
    before = plan(x)
    w[...], b[...] = np.nan, np.nan
    assert bits(plan(x)) == bits(before)
