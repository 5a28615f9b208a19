"""The definitions themselves, against witnesses that share no code with them."""
import numpy as np
import pytest
from cases import ANY_RANK, EMPTY, GEOMETRY, GROUPED, POOLING, SPECTRAL, draw, pairs, per_axis
from checks import data

from ndconv import reference

WITNESSED = [case for case in (*GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY, *SPECTRAL) if case.terms["y"] < 2000]


def sum_by_hand(case, x, w, b):
    """The formula read out loud: one Python loop per index."""
    n, ocg, icg = case.n, case.oc // case.groups, case.ic // case.groups
    stride, dilation = per_axis(case.stride, case.rank), per_axis(case.dilation, case.rank)
    y = np.zeros(case.y_shape())
    for at in np.ndindex(*y.shape):
        image, o, *place = at
        y[at] = b[o]
        for c, *tap in np.ndindex(icg, *case.kernel):
            weight = w[(o, c, *(k - 1 - t for k, t in zip(case.kernel, tap, strict=True)))] if case.flip else w[(o, c, *tap)]
            cell = [p * s + t * d - before for p, s, t, d, (before, _) in
                    zip(place, stride, tap, dilation, pairs(case.padding, case.rank), strict=True)]
            if all(0 <= at < extent for at, extent in zip(cell, case.size, strict=True)):
                y[at] += weight * x[(image, o // ocg * icg + c, *cell)]
    assert y.shape[0] == n
    return y


@pytest.mark.parametrize("case", [c for c in (*GEOMETRY, *GROUPED, *ANY_RANK) if c.flops < 60_000], ids=lambda c: c.name)
def test_conv_is_its_formula(case):
    x, w, b, _ = data(case, "float64", integers=True)
    np.testing.assert_array_equal(reference.conv(x, w, b, **case.normalised), sum_by_hand(case, x, w, b))


@pytest.mark.parametrize("case", WITNESSED, ids=lambda c: c.name)
def test_gradients_are_the_adjoints(case):
    """Integers make the three sums equal to the last bit, so this pins the gradients to conv completely."""
    x, w, b, dy = data(case, "float64", integers=True)
    y = reference.conv(x, w, **case.normalised)
    dx = reference.conv_input_grad(dy, w, x.shape, **case.normalised)
    dw = reference.conv_weight_grad(dy, x, w.shape, **case.normalised)
    assert dx.shape == x.shape and dw.shape == w.shape
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum()
    assert (reference.conv_bias_grad(dy) * b).sum() == (dy * b.reshape(-1, *[1] * case.rank)).sum()


@pytest.mark.parametrize("case", [c for c in SPECTRAL if c.groups == 1], ids=lambda c: c.name)
def test_conv_is_scipys(case):
    signal = pytest.importorskip("scipy.signal", reason="SciPy, an independent witness, is not installed")
    x, w, _, _ = data(case, "float64", integers=True)
    pads = pairs(case.padding, case.rank)
    padded = np.pad(x, [(0, 0), (0, 0), *(tuple(max(0, p) for p in pair) for pair in pads)])
    padded = padded[(..., *(slice(max(0, -before), min(0, after) or None) for before, after in pads))]
    compute = signal.convolve if case.flip else signal.correlate
    stride, dilation = per_axis(case.stride, case.rank), per_axis(case.dilation, case.rank)
    spread = np.zeros((*w.shape[:2], *(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True))))
    spread[(..., *(slice(None, None, d) for d in dilation))] = w
    y = [[sum(compute(image[c], spread[o, c], "valid", "direct") for c in range(case.ic)) for o in range(case.oc)]
         for image in padded]
    y = np.array(y)[(..., *(slice(None, None, s) for s in stride))]
    np.testing.assert_array_equal(reference.conv(x, w, **case.normalised), y)


@pytest.mark.parametrize("case", [c for c in POOLING if c.n and c.c], ids=lambda c: c.name)
def test_pooling_is_its_formula(case):
    x = draw(case.name, case.x_shape(), "float64", integers=True)
    values, indices = reference.max_pool(x, case.window, **case.normalised)
    averages = reference.avg_pool(x, case.window, count_include_pad=False, **case.normalised)
    size, dilation = per_axis(case.window, case.rank), per_axis(case.dilation, case.rank)
    stride = size if case.stride is None else per_axis(case.stride, case.rank)
    for place in np.ndindex(*values.shape[2:]):
        cells = [[cell for t in range(k) if 0 <= (cell := p * s + t * d - before) < extent] for p, s, k, d, (before, _), extent in
                 zip(place, stride, size, dilation, pairs(case.padding, case.rank), case.size, strict=True)]
        for plane in np.ndindex(case.n, case.c):
            window = x[plane][np.ix_(*cells)]
            if window.size == 0:
                assert values[(*plane, *place)] == -np.inf and indices[(*plane, *place)] == -1
                assert np.isnan(averages[(*plane, *place)])
                continue
            first = np.unravel_index(window.argmax(), window.shape)
            cell = [axis[i] for axis, i in zip(cells, first, strict=True)]
            assert values[(*plane, *place)] == window.max()
            assert indices[(*plane, *place)] == np.ravel_multi_index(cell, case.size)
            assert averages[(*plane, *place)] == pytest.approx(window.mean(), rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("case", POOLING, ids=lambda c: c.name)
def test_pooling_gradients_are_the_adjoints(case):
    x = draw(case.name, case.x_shape(), "float64", integers=True)
    values, indices = reference.max_pool(x, case.window, **case.normalised)
    dy = draw(case.name + " dy", values.shape, "float64", integers=True)
    dx = reference.max_pool_backward(dy, indices, x.shape)
    some = indices >= 0    # windows with a cell
    assert (dx * x).sum() == (dy[some] * values[some]).sum()
    for counting in (dict(count_include_pad=True), dict(count_include_pad=False), dict(divisor=4)):
        options = case.normalised | counting
        dx = reference.avg_pool_backward(dy, x.shape, case.window, **options)
        y = reference.avg_pool(x, case.window, **options)
        assert (dx * x).sum() == pytest.approx((dy[some] * y[some]).sum(), rel=1e-11, abs=1e-9)


def test_nan_is_the_greatest_and_the_first_wins():
    x = [[[1.0, np.nan, 5.0, np.nan, 5.0, 5.0, -np.inf, -np.inf]]]
    values, indices = reference.max_pool(x, 4)
    assert np.isnan(values[0, 0, 0]) and indices[0, 0, 0] == 1
    assert values[0, 0, 1] == 5.0 and indices[0, 0, 1] == 4
    values, indices = reference.max_pool(x, 2)
    assert values[0, 0, 3] == -np.inf and indices[0, 0, 3] == 6
