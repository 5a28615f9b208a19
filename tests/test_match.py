"""match_template against its definition, window by window, in float64."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import drawn

import ndconv as nd
from ndconv.match import DTYPES, MODES, SCORES

FLOATS = ("float32", "float64")


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) if dtype in FLOATS else rng.integers(0, 200, shape)).astype(dtype)


def define(image, template, mode="valid", score="zncc"):
    x, t = (np.moveaxis(a, 2, 0) if a.ndim == 3 else a[None] for a in (image.astype(np.float64), template.astype(np.float64)))
    if mode == "same":
        outside = [np.median(plane) if score == "zncc" else 0 for plane in x]
        x = np.stack([np.pad(plane, [(k // 2, (k - 1) // 2) for k in t.shape[1:]], constant_values=value)
                      for plane, value in zip(x, outside)])
    rank = t.ndim - 1
    taps = tuple(range(-rank, 0))
    windows = np.lib.stride_tricks.sliding_window_view(x, t.shape[1:], tuple(range(1, x.ndim)))
    t = t.reshape(t.shape[:1] + (1,) * rank + t.shape[1:])
    axes = (0, *taps)
    if score == "sqdiff":
        return ((windows - t) ** 2).sum(axes)
    if score == "zncc":
        windows, t = (a - a.mean(taps, keepdims=True) for a in (windows, t))
    size = np.sqrt((windows**2).sum(axes) * (t**2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 1e-12, (windows * t).sum(axes) / size, 0)


def close(got, want, dtype):
    """Relative to the greatest score, as differences of squares are."""
    return abs(got - want).max() <= (2e-5 if dtype == "float32" else 1e-12) * max(abs(want).max(), 1)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("mode", MODES)
def test_every_dtype(mode, score, isa):
    for a in DTYPES:
        for b in DTYPES:
            image, template = draw((33, 41), a), draw((6, 9), b, 1)
            got = nd.match_template(image, template, mode, score=score)
            assert got.dtype == ("float64" if "float64" in (a, b) else "float32")
            assert close(got, define(image, template, mode, score), got.dtype)


@settings(drawn, max_examples=60)
@given(st.data())
def test_any_shape(data):
    rank, mode = data.draw(st.integers(1, 2)), data.draw(st.sampled_from(MODES))
    size = [data.draw(st.integers(1, 40)) for _ in range(rank)]
    taps = [data.draw(st.integers(1, most if mode == "valid" else 30)) for most in size]
    channels = [data.draw(st.integers(1, 4))] if rank == 2 and data.draw(st.booleans()) else []
    dtype, score = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(SCORES))
    image, template = draw(size + channels, dtype, 2), draw(taps + channels, dtype, 3)
    got = nd.match_template(image, template, mode, score=score)
    want = define(image, template, mode, score)
    assert got.shape == want.shape
    assert close(got, want, "float64" if dtype == "float64" else "float32")


def test_a_large_image_in_strips_and_bands():
    image = draw((300, 1500), "float64", 4)
    for taps in ((60, 200), (3, 700), (150, 2)):
        template = image[100:100 + taps[0], 700:700 + taps[1]]
        got = nd.match_template(image, template)
        assert close(got[90:110, 690:710], define(image[90:109 + taps[0], 690:709 + taps[1]], template), "float64")
        assert np.unravel_index(got.argmax(), got.shape) == (100, 700) and got.max() == pytest.approx(1)
        assert (got == nd.match_template(image, template, threads=1)).all()


def test_colours():
    """Each channel has a brightness of its own, and constant windows are constant in all of them."""
    image = draw((40, 50, 3), "uint8", 13)
    template = image[10:19, 20:31]
    scores = nd.match_template(image, template, "same")
    assert scores.shape == (40, 50) and np.unravel_index(scores.argmax(), scores.shape) == (14, 25)
    brighter = (image * 0.25 + (0, 100, 1000)).astype("float64")
    np.testing.assert_allclose(nd.match_template(brighter, template.astype("float64")), define(image, template), atol=1e-10)
    for score in SCORES:
        grey = nd.match_template(image[..., 1], template[..., 1], score=score)
        np.testing.assert_allclose(nd.match_template(image[..., 1:2], template[..., 1:2], score=score), grey, rtol=1e-6)
    image[:20, :20] = (3, 200, 40)
    assert (nd.match_template(image, template)[:12, :10] == 0).all()


def test_a_large_brightness_takes_no_digits():
    noise, rng = draw((60, 70), "float64", 5), np.random.default_rng(6)
    template = noise[20:31, 30:43]
    want = define(noise, template)
    assert abs(nd.match_template(noise + 1e6, template + 1e6) - want).max() < 1e-8
    # float32 keeps sixteenths there
    sixteenths = (np.rint(noise * 16) / 16 + 1e6).astype(np.float32)
    exact = define(sixteenths.astype(np.float64) - 1e6, sixteenths[20:31, 30:43].astype(np.float64) - 1e6)
    assert abs(nd.match_template(sixteenths, sixteenths[20:31, 30:43]) - exact).max() < 1e-5
    # nor does a bright corner far from the window
    bright = noise.copy()
    bright[:10, :10] += 1e9 * rng.random((10, 10))
    assert abs(nd.match_template(bright, template, method="direct")[10:, 10:] - want[10:, 10:]).max() < 1e-7


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_windows_have_the_score_zero(dtype):
    image, template = draw((30, 40), dtype, 7), draw((5, 6), dtype, 8)
    for value in (0, 7, 131) if dtype.startswith("u") else (0.1, 1e6 / 3):
        image[10:22, 10:25] = value
        scores = nd.match_template(image, template)
        assert (scores[10:18, 10:20] == 0).all() and np.count_nonzero(scores == 0) == 8 * 10
        assert (nd.match_template(image, np.full((5, 6), value, dtype)) == 0).all()
        assert (nd.match_template(np.full_like(image, value), template) == 0).all()


def test_what_is_not_finite_reaches_its_own_windows_only():
    for value in (np.nan, np.inf, -np.inf):
        image, template = draw((40, 50), "float32", 9), draw((7, 4), "float32", 10)
        clean = nd.match_template(image, template)
        image[20, 30] = value
        for score in SCORES:
            scores = nd.match_template(image, template, score=score)
            touched = np.zeros(scores.shape, bool)
            touched[14:21, 27:31] = True
            assert (np.isfinite(scores) != touched).all()
        assert abs(nd.match_template(image, template) - clean)[~touched].max() < 1e-5


def test_memory_and_out():
    image, template = draw((30, 20), "uint8", 11), draw((5, 4), "uint8", 12)
    want = nd.match_template(image, template)
    out = np.zeros(want.shape[::-1], np.float32).T
    assert nd.match_template(np.asfortranarray(image), template[::-1][::-1], out=out) is out
    assert (out == want).all()
    assert (nd.match_template(image.astype(">u2"), template) == want).all()
    whole = image.astype(np.float32)
    assert nd.match_template(whole, template, "same", out=whole) is whole
    assert (whole == nd.match_template(image, template, "same")).all()


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(image=np.zeros((3, 3), int)), TypeError, "image must be uint8, uint16, float32 or float64, not int64"),
    (dict(template=np.zeros((2, 2), bool)), TypeError, "template must be uint8"),
    (dict(template=np.zeros((0, 2))), ValueError, r"template must have shape \(h, w\), \(h, w, channels\) or \(n,\) and not be"),
    (dict(image=np.zeros((3, 3, 3, 1))), ValueError, "image must have shape"),
    (dict(image=np.zeros((3, 3, 3)), template=np.zeros((2, 2, 1))), ValueError, "the same number of channels"),
    (dict(template=np.zeros(3)), ValueError, "the same number of axes"),
    (dict(template=np.zeros((7, 2))), ValueError, r"template must fit into the image; got shapes \(7, 2\) and \(6, 6\)"),
    (dict(template=np.full((2, 2), np.nan)), ValueError, "template must be finite"),
    (dict(mode="full"), ValueError, "mode must be one of valid, same; got 'full'"),
    (dict(score="ssim"), ValueError, "score must be one of zncc, ncc, sqdiff; got 'ssim'"),
    (dict(method="fastest"), ValueError, "method must be 'auto' or one of"),
    (dict(method="winograd"), nd.MethodNotApplicable, "winograd"),
    (dict(out=np.zeros((6, 6))), ValueError, "out must have shape"),
    (dict(out=np.zeros((5, 4), np.float32)), TypeError, "out must be float64"),
    (dict(threads=0), ValueError, "threads must be between"),
])
def test_wrong_arguments(options, error, message):
    arguments = dict(image=np.zeros((6, 6)), template=np.ones((2, 3))) | options
    with pytest.raises(error, match=message):
        nd.match_template(**arguments)
