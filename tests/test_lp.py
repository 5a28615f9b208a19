"""Least values, p-norms and weighted means of windows against the float64 definitions, and their gradients."""
import numpy as np
import pytest
from cases import POOLING, draw, to_layout
from checks import assert_elementwise
from hypothesis import given, settings
from hypothesis import strategies as st
from test_adaptive import POWERS, assert_adjoint, assert_slope, back
from test_properties import drawn

import ndconv as nd
from ndconv import reference
from ndconv.problem import DTYPES

SMALL = [case for case in POOLING if case.n and case.c and not case.name.startswith(("width", "channels"))]


@pytest.mark.parametrize("case", POOLING, ids=lambda c: c.name)
@pytest.mark.parametrize("integers", (True, False), ids=("ties", "normal"))
def test_min_pool(case, integers, isa):
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype, integers)
        values, indices = reference.max_pool(-x, case.window, **case.normalised)
        for layout in case.layouts:
            options = case.options | dict(layout=layout)
            alone = nd.min_pool(to_layout(x, layout), case.window, **options)
            got, at = nd.min_pool(to_layout(x, layout), case.window, return_indices=True, **options)
            np.testing.assert_array_equal(back(alone, layout), -values)
            np.testing.assert_array_equal(back(got, layout), -values)
            np.testing.assert_array_equal(back(at, layout), indices)


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_nan_wins_over_the_least(layout, dtype, isa):
    x = np.array(draw("nan", (1, 5, 9, 40), dtype, integers=True))
    x[0, np.arange(5), np.arange(5), 7 * np.arange(5)] = np.nan
    values, indices = reference.max_pool(-x, 3, stride=2)
    y, at = nd.min_pool(to_layout(x, layout), 3, stride=2, layout=layout, return_indices=True)
    np.testing.assert_array_equal(back(y, layout), -values)
    np.testing.assert_array_equal(back(at, layout), indices)
    np.testing.assert_array_equal(back(nd.min_pool(to_layout(x, layout), 3, stride=2, layout=layout), layout), -values)


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("p", POWERS)
def test_lp_pool(case, p, isa):
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype)
        want = reference.lp_pool(x, case.window, p=p, **case.normalised)
        for layout in case.layouts:
            y = nd.lp_pool(to_layout(x, layout), case.window, p=p, layout=layout, **case.options)
            assert y.dtype == dtype
            taps = np.prod(case.window) ** (case.rank if isinstance(case.window, int) else 1)
            assert_elementwise(back(y, layout), want, want, (taps + 8) * max(1, 1 / p), f"{dtype} {layout} {p}")


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("p", (1.5, 2, 3, np.inf))
def test_lp_pool_backward(case, p, isa):
    x = draw(case.name, case.x_shape(), "float64")
    y = reference.lp_pool(x, case.window, p=p, **case.normalised)
    dy = draw(case.name + " dy", y.shape, "float64")
    for layout in case.layouts:
        moved = (to_layout(a, layout) for a in (dy, x, y))
        dx = nd.lp_pool_backward(*moved, case.window, p=p, layout=layout, **case.options)
        assert_slope(lambda x: reference.lp_pool(x, case.window, p=p, **case.normalised), x, back(dx, layout), dy)


def test_zeros_have_no_slope(dtype):
    x = np.zeros((1, 1, 4), dtype)
    for p in POWERS:
        y = nd.lp_pool(x, 2, p=p)
        assert not y.any() and not nd.lp_pool_backward(np.ones_like(y), x, y, 2, p=p).any()


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("include", (True, False), ids=("padded", "real"))
def test_weighted_pool(case, include, isa):
    window = (case.window,) * case.rank if isinstance(case.window, int) else case.window
    weights = np.abs(draw("weights", window, "float64")) + 0.1
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype)
        options = dict(stride=case.stride, dilation=case.dilation, ceil_mode=case.ceil_mode, count_include_pad=include)
        want, absolute = (reference.weighted_pool(a, weights, pads=case.normalised["pads"], **options) for a in (x, np.abs(x)))
        dy = draw(case.name + " dy", want.shape, dtype)
        for layout in case.layouts:
            moved = to_layout(x, layout)
            y = nd.weighted_pool(moved, weights, padding=case.padding, layout=layout, **options)
            assert y.dtype == dtype
            scale = np.nanmax(absolute)
            assert np.nanmax(np.abs(back(y, layout) - want)) <= (weights.size + 8) * np.finfo(dtype).eps * scale
            if np.isnan(want).any():
                continue
            dx = nd.weighted_pool_backward(to_layout(dy, layout), moved.shape, weights, padding=case.padding, layout=layout,
                                           **options)
            assert_adjoint(want, dy, x, back(dx, layout))


@settings(drawn, max_examples=100)
@given(st.data())
def test_any_windows(data):
    """Averages with equal weights are averages, the 1-norm of ones counts cells: any geometry."""
    rank = data.draw(st.integers(1, 3))
    extents = data.draw(st.tuples(*[st.integers(1, 8)] * rank))
    window = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    options = dict(stride=data.draw(st.integers(1, 3)), dilation=data.draw(st.integers(1, 2)), ceil_mode=data.draw(st.booleans()))
    pads = [(k, k) for k in window]
    x = draw("any", (1, 3, *extents), "float64")
    total = reference.avg_pool(np.abs(x), window, pads=pads, divisor=1, **options)
    np.testing.assert_allclose(nd.lp_pool(x, window, p=1, padding=pads, **options), total, rtol=1e-13, atol=1e-300)
    mean = reference.avg_pool(x, window, pads=pads, **options)
    np.testing.assert_allclose(nd.weighted_pool(x, np.full(window, 0.5), padding=pads, **options), mean, rtol=0, atol=1e-13)


def test_lp_as_pytorch(dtype):
    """On positive numbers; with negative ones PyTorch takes x**p, which is NaN for odd or fractional p."""
    torch = pytest.importorskip("torch", reason="PyTorch, a second opinion, is not installed")
    x = np.abs(draw("torch", (2, 3, 9, 11), dtype)) + np.float32(0.1)
    xt = torch.from_numpy(x.copy()).requires_grad_()
    for p in (1, 2, 3.5):
        theirs = torch.nn.functional.lp_pool2d(xt, p, 3, 2)
        y = nd.lp_pool(x, 3, p=p, stride=2)
        np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=30 * np.finfo(dtype).eps)
        xt.grad = None
        dy = draw("dy", y.shape, dtype)
        theirs.backward(torch.from_numpy(dy.copy()))
        dx = nd.lp_pool_backward(dy, x, y, 3, p=p, stride=2)
        np.testing.assert_allclose(dx, xt.grad.numpy(), rtol=0, atol=200 * np.finfo(dtype).eps)
