"""Missing data: renormalised convolution and means against their definition, the same from every method."""
import numpy as np
import pytest
from cases import Conv, Pool, draw, to_layout
from checks import EXACT_METHODS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_border import padded
from test_properties import convs, drawn

import ndconv as nd
from ndconv import reference

CASES = (
    Conv("3x3", 2, 3, 4, (7, 9), (3, 3), 1, 1),
    Conv("groups-stride-flip", 1, 4, 6, (9, 8), (3, 2), (2, 1), ((0, 1), (2, 0)), 1, 2, True),
    Conv("depthwise-dilation", 1, 5, 5, (12, 11), (3, 3), 1, 2, 2, groups=5),
    Conv("1d", 2, 3, 4, (40,), (5,), 2, 3),
    Conv("3d", 1, 2, 3, (4, 5, 6), (3, 2, 3)),
)


def with_gaps(case, dtype, alike=False, share=0.4):
    """x with a hole that some windows do not see beyond, w > 0, b and a residual-like y."""
    x, w, b, dy = case.arrays(dtype)
    gaps = np.random.default_rng(len(case.name)).random(x[:, :1].shape if alike else x.shape) < share
    gaps[(0, slice(None), *[slice(0, 4)] * case.rank)] = True
    return np.where(gaps, x.dtype.type(np.nan), x), np.abs(w) + w.dtype.type(0.1), b, dy


def agree(got, want, dtype, method=None):
    assert got.dtype == dtype and got.shape == want.shape
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), str(method))
    bound = (2e-4 if dtype == "float32" else 2e-12) * np.nanmax(np.abs(want))
    np.testing.assert_allclose(got, want, 0, bound, err_msg=str(method))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("alike", (False, True))
def test_every_method_is_the_definition(case, alike, method, dtype):
    x, w, b, dy = with_gaps(case, dtype, alike)
    for layout in case.layouts:
        given, residual = to_layout(x, layout), to_layout(dy, layout)
        options = case.options | dict(layout=layout)
        want = reference.conv_omitting(given, w, b, **case.normalised | dict(layout=layout, activation="relu", residual=residual))
        got = nd.conv(given, w, b, nan_policy="omit", method=method, activation="relu", residual=residual, **options)
        agree(got, want, dtype, method)
        out = np.zeros(want.shape, dtype)
        filled = np.where(np.isnan(given), given.dtype.type(7), given)
        assert nd.conv(filled, w, b, mask=np.isnan(given), method=method, activation="relu", residual=residual, out=out,
                       **options) is out
        np.testing.assert_array_equal(out, got)


@settings(drawn, max_examples=60)
@given(case=convs(), alike=st.booleans(), share=st.floats(0, 1), last=st.booleans())
def test_any_shape(case, alike, share, last):
    assume(case.n and case.ic and case.oc and min(min(pair) for pair in case.padding) >= 0)
    x, w, b, _ = with_gaps(case, "float64", alike, share)
    layout = case.layouts[last]
    want = reference.conv_omitting(x, w, b, **case.normalised)
    got = nd.conv(to_layout(x, layout), w, b, nan_policy="omit", **case.options | dict(layout=layout))
    np.testing.assert_allclose(np.moveaxis(got, -1, 1) if last else got, want, 1e-9, 1e-9)


@pytest.mark.parametrize("mode", ("edge", "reflect", "wrap", "constant", ("zeros", "wrap"), ("constant", "symmetric")))
def test_padding_repeats_gaps_and_else_is_data(mode):
    case = CASES[0]
    x, w, b, _ = with_gaps(case, "float64")
    modes = (mode,) * 2 if isinstance(mode, str) else mode
    want = reference.conv_omitting(padded(x, case.padding, modes), w, b)
    agree(nd.conv(x, w, b, padding=1, padding_mode=mode, padding_value=3, nan_policy="omit"), want, "float64")


def test_a_padding_value_of_nan_is_missing():
    case = CASES[0]
    x, w, b, _ = with_gaps(case, "float64")
    for data in (x, np.nan_to_num(x)):
        outside = np.pad(data, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
        got = nd.conv(data, w, b, padding=1, padding_mode="constant", padding_value=np.nan, nan_policy="omit")
        agree(got, reference.conv_omitting(outside, w, b), "float64")
    with pytest.raises(ValueError, match="does not go with 'zeros'"):
        nd.conv(x, w, b, padding=1, padding_mode=("constant", "zeros"), padding_value=np.nan, nan_policy="omit")


def test_windows_without_gaps_keep_their_bits(method):
    x, w, _, _ = CASES[0].arrays("float32")
    x[0, 1, 3, 4] = np.nan
    plain = nd.conv(x, w, padding=1, method=method)
    got = nd.conv(x, w, padding=1, method=method, nan_policy="omit")
    assert np.isnan(plain).sum() == 9 * 4 and not np.isnan(got).any()
    same = np.isfinite(plain)
    if method in EXACT_METHODS:
        np.testing.assert_array_equal(got[same], plain[same])
    else:
        np.testing.assert_allclose(got[same], plain[same], 0, 1e-4)


def test_derivatives_have_nothing_to_be_renormalised_to():
    x, w = draw("x", (1, 1, 6, 6), "float32"), np.array([[[[0.1, 0, -0.1], [0.2, 0, -0.2], [0.1, 0, -0.1]]]], "float32")
    x[0, 0, 2, 2] = np.nan
    y = nd.conv(x, w, nan_policy="omit")
    assert np.isnan(y[0, 0, :3, :3]).all() and np.isfinite(y[0, 0, 3, 3]) and np.isnan(y).sum() == 9
    one_sided = nd.conv(np.array([[[1.0, np.nan, 2.0]]]), np.array([[[1.0, 1.0, -1.0]]]), nan_policy="omit")
    assert np.isnan(one_sided).all(), "the weights that are left sum to zero"


def test_infinities_and_nan_under_a_mask():
    x = np.array([[[1.0, np.inf, 2.0, 3.0, np.nan, 5.0]]])
    y = nd.conv(x, np.ones((1, 1, 2)), mask=np.isinf(x))
    np.testing.assert_array_equal(y, [[[2.0, 4.0, 5.0, np.nan, np.nan]]])


@pytest.mark.parametrize("function", (nd.convolve, nd.correlate))
def test_convolve_and_correlate(function):
    a, b = draw("a", (4, 20, 21), "float64"), np.abs(draw("b", (4, 5, 4), "float64")) + 0.1
    a[1, 4:10, 3:12] = a[2, ::3, ::2] = np.nan
    kernel = b[:, None, ::-1, ::-1] if function is nd.convolve else b[:, None]
    for mode, pads in (("full", ((4, 4), (3, 3))), ("valid", None), ("same", ((2, 2), (2, 1)))):
        got = function(a, b, mode, axes=(1, 2), nan_policy="omit")
        agree(got, reference.conv_omitting(a[None], kernel, groups=4, pads=pads)[0], "float64")
        np.testing.assert_array_equal(function(np.nan_to_num(a, nan=1e9), b, mode, axes=(1, 2), mask=np.isnan(a)), got)
    small, large = np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert function(small, large, nan_policy="omit").shape == (7,)
    with pytest.raises(ValueError, match="in1, where data is missing, must be the larger"):
        function(small, large, "valid", nan_policy="omit")


@pytest.mark.parametrize("options", ({}, dict(count_include_pad=False), dict(divisor=3)), ids=str)
@pytest.mark.parametrize("case", (Pool("2x2", 2, 3, (7, 9), (2, 2), 2, 1), Pool("3x3-ceil", 1, 2, (8, 9), (3, 3), 2, 1, 1, True),
                                  Pool("1d", 2, 2, (30,), (4,), 1, 2, 2), Pool("3d", 1, 2, (5, 4, 6), (2, 3, 2), 1, 1)),
                         ids=lambda c: c.name)
def test_avg_pool(case, options, dtype):
    x = draw(case.name, case.x_shape(), dtype)
    x[np.random.default_rng(1).random(x.shape) < 0.5] = np.nan
    want = reference.avg_pool_omitting(x, case.window, **case.normalised | options)
    got = nd.avg_pool(x, case.window, nan_policy="omit", **case.options | options)
    agree(got, want, dtype)
    out = np.zeros_like(got)
    mask = np.isnan(x)
    assert nd.avg_pool(np.nan_to_num(x), case.window, mask=mask, out=out, **case.options | options) is out
    np.testing.assert_array_equal(out, got)


def test_avg_pool_is_nanmean():
    x = draw("x", (2, 3, 8, 6), "float64")
    x[x > 0.5] = np.nan
    x[0, 0, :4, :3] = np.nan
    blocks = x.reshape(2, 3, 2, 4, 2, 3)
    with np.errstate(invalid="ignore"):
        want = np.nansum(blocks, (3, 5)) / (~np.isnan(blocks)).sum((3, 5))
    agree(nd.avg_pool(x, (4, 3), nan_policy="omit"), want, "float64")
    grey = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(nd.avg_pool(grey, 2, mask=grey < 4), [[[[4.5, 6.5], [10.5, 12.5]]]])


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (dict(nan_policy="raise"), ValueError, "nan_policy must be 'propagate' or 'omit'"),
    (dict(mask=np.zeros((4, 4))), TypeError, "mask must be boolean, True where x is missing"),
    (dict(mask=np.zeros(3, bool)), ValueError, "mask must have the shape of x"),
])
def test_errors(arguments, error, message):
    out, x = np.zeros((1, 1, 4, 4)), np.ones((1, 1, 4, 4))
    for call in (lambda: nd.conv(x, np.ones((1, 1, 3, 3)), padding=1, out=out, **arguments),
                 lambda: nd.avg_pool(x, 3, stride=1, padding=1, out=out, **arguments),
                 lambda: nd.convolve(x, np.ones((1, 1, 3, 3)), axes=(2, 3), **arguments)):
        with pytest.raises(error, match=message):
            call()
    assert not out.any()


def differences(score, varied, step=1e-5):
    """The gradient of a score by every element of an array, which it reads."""
    got = np.empty(varied.shape)
    for at in np.ndindex(*varied.shape):
        middle = varied[at]
        sides = []
        for varied[at] in (middle + step, middle - step):
            sides.append(score())
        varied[at] = middle
        got[at] = (sides[0] - sides[1]) / (2 * step)
    return got


SMALL = (
    Conv("2d", 2, 2, 2, (5, 3), (3, 2), 1, 1),
    Conv("groups-stride-flip", 1, 2, 2, (5, 6), (2, 3), (2, 1), ((0, 1), (2, 0)), 1, 2, True),
    Conv("1d", 2, 2, 2, (11,), (3,), 2, 2, 2),
    Conv("3d", 1, 2, 2, (3, 3, 4), (2, 2, 2)),
)


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("alike", (False, True))
def test_gradients_are_central_differences(case, alike):
    x, w, b, dy = (np.array(a) for a in case.arrays("float64"))
    x[np.broadcast_to(np.random.default_rng(3).random(x[:, :1].shape if alike else x.shape) < 0.3, x.shape)] = np.nan
    x[:case.n - 1], w = np.nan, np.abs(w) + 0.1
    seen = np.isfinite(reference.conv_omitting(x, w, b, **case.normalised))
    assert seen.any() and (case.n == 1 or not seen.all())
    gaps, filled, dy[~seen] = np.isnan(x), np.nan_to_num(x, nan=9.0), 1e9    # windows without a result have no part

    def score():
        y = reference.conv_omitting(np.where(gaps, np.nan, filled), w, b, **case.normalised)
        return (y * dy)[seen].sum()

    want = [differences(score, varied) for varied in (filled, w, b)]
    for layout in case.layouts:
        options = case.options | dict(layout=layout)
        given, moved = to_layout(x, layout), to_layout(dy, layout)
        got = nd.conv_backward(moved, given, w, nan_policy="omit", **options)
        for gradient, definition in zip(got, (to_layout(want[0], layout), *want[1:])):
            np.testing.assert_allclose(gradient, definition, 1e-6, 1e-6, err_msg=layout)
        assert not got.x[np.isnan(given)].any()
        masked = nd.conv_backward(moved, np.nan_to_num(given, nan=7.0), w, mask=np.isnan(given), wrt="xw", **options)
        assert masked.b is None and (masked.x == got.x).all() and (masked.w == got.w).all()


@pytest.mark.parametrize("mode", ("edge", "reflect", "wrap", "constant", "outside"))
def test_gradients_under_any_padding(mode):
    case = SMALL[0]
    x, w, _, dy = (np.array(a) for a in with_gaps(case, "float64", False, 0.3))
    value = np.nan if mode == "outside" else 2.0
    options = dict(padding=1, padding_mode="constant" if mode == "outside" else mode, padding_value=value, nan_policy="omit")
    gaps, filled = np.isnan(x), np.nan_to_num(x, nan=9.0)

    def score():
        return np.nansum(nd.conv(np.where(gaps, np.nan, filled), w, **options) * dy)

    got = nd.conv_backward(dy, x, w, **options)
    np.testing.assert_allclose(got.x, differences(score, filled), 1e-6, 1e-6)
    np.testing.assert_allclose(got.w, differences(score, w), 1e-6, 1e-6)


def test_gradients_without_gaps_or_with_kernels_of_their_own():
    x, w, _, dy = CASES[0].arrays("float64")
    plain = nd.conv_backward(dy, x, w, padding=1)
    for a, b in zip(plain, nd.conv_backward(dy, x, w, padding=1, nan_policy="omit", mask=np.zeros(x.shape, bool))):
        np.testing.assert_array_equal(a, b)
    x, w = x.copy(), np.stack((np.abs(w), np.abs(w) + 1))
    x[:, :, 2:4] = np.nan
    got = nd.conv_backward(dy, x, w, padding=1, nan_policy="omit", layout="NCHW")
    for i in range(2):
        for a, b in zip(got, nd.conv_backward(dy[i], x[i], w[i], padding=1, nan_policy="omit")):
            np.testing.assert_array_equal(a[i], b)
    with pytest.raises(ValueError, match="mask must have the shape of x"):
        nd.conv_backward(dy, x, w[0], padding=1, mask=np.ones(5, bool))
    with pytest.raises(ValueError, match="dy must have the shape of the forward result"):
        nd.conv_backward(dy[:, 1:], x, w[0], padding=1, nan_policy="omit")


@pytest.mark.parametrize("options", ({}, dict(count_include_pad=False), dict(divisor=3)), ids=str)
def test_avg_pool_gradient(options):
    case = Pool("3x3-ceil", 1, 2, (6, 7), (3, 3), 2, 1, 1, True)
    x = np.array(draw(case.name, case.x_shape(), "float64"))
    mask = np.random.default_rng(1).random(x.shape) < 0.5
    mask[..., :3, :3] = True
    y = nd.avg_pool(x, case.window, mask=mask, **case.options | options)
    dy = np.where(np.isnan(y), 1e9, draw("dy", y.shape, "float64"))

    def score():
        return np.nansum(nd.avg_pool(x, case.window, mask=mask, **case.options | options) * dy)

    got = nd.avg_pool_backward(dy, x.shape, case.window, mask=mask, **case.options | options)
    np.testing.assert_allclose(got, differences(score, x), 1e-6, 1e-6)
