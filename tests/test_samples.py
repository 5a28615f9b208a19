"""Kernels of their own for every image of a batch: the images' convolutions, each by itself."""
import numpy as np
import pytest
from cases import ANY_RANK, GEOMETRY, GROUPED, TILED, Conv, draw, to_layout
from checks import assert_l2, bits
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import convs, drawn

import ndconv as nd
from ndconv import reference
from ndconv.problem import DTYPES

CASES = (GEOMETRY[0], GEOMETRY[1], GEOMETRY[10], GROUPED[0], GROUPED[3], ANY_RANK[0], ANY_RANK[6], TILED[0])
FUNCTIONS = {1: nd.conv1d, 2: nd.conv2d, 3: nd.conv3d}


def arrays(case, dtype):
    shapes = dict(x=case.x_shape(), w=(case.n, *case.w_shape), b=(case.n, case.oc), dy=case.y_shape())
    return tuple(draw(f"{case.name} {key}", shape, dtype) for key, shape in shapes.items())


def images(function, *arrays):
    """function of every image, with a batch axis of one."""
    return np.concatenate([function(*(a[i:i + 1] for a in arrays)) for i in range(len(arrays[0]))])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_images_with_their_own_kernels(case, method, isa):
    known = case.normalised
    for dtype in DTYPES:
        x, w, b, dy = arrays(case, dtype)
        y = images(lambda x, w, b: reference.conv(x, w[0], b[0], **known), x, w, b)
        dx = images(lambda dy, x, w: reference.conv_input_grad(dy, w[0], x.shape, **known), dy, x, w)
        dw = images(lambda dy, x, w: reference.conv_weight_grad(dy, x, w[0].shape, **known)[None], dy, x, w)
        for layout in case.layouts:
            options = case.options | dict(layout=layout, method=method)
            x_in, dy_in = to_layout(x, layout), to_layout(dy, layout)
            back = (lambda a: np.moveaxis(a, -1, 1)) if layout.endswith("C") else (lambda a: a)
            assert_l2(back(nd.conv(x_in, w, b, **options)), y, method, f"y {dtype} {layout}")
            g = nd.conv_backward(dy_in, x_in, w, **options)
            assert_l2(back(g.x), dx, method, f"dx {dtype} {layout}")
            assert_l2(g.w, dw, method, f"dw {dtype} {layout}")
            np.testing.assert_allclose(g.b, dy.reshape(case.n, case.oc, -1).sum(2, dtype=float), atol=1e-5, rtol=1e-6)


@settings(drawn, max_examples=40)
@given(case=convs(), last=st.booleans())
def test_any_shape(case, last):
    x, w, b, dy = arrays(case, "float64")
    layout, axis = case.layouts[last], -1 if last else 1
    options = case.options | dict(layout=layout)
    y = nd.conv(to_layout(x, layout), w, b, **options)
    dx, dw, db = nd.conv_backward(to_layout(dy, layout), to_layout(x, layout), w, **options)
    y, dx, known = np.moveaxis(y, axis, 1), np.moveaxis(dx, axis, 1), case.normalised
    for i in range(case.n):
        one = slice(i, i + 1)
        for got, want in ((y[one], reference.conv(x[one], w[i], b[i], **known)),
                          (dx[one], reference.conv_input_grad(dy[one], w[i], x[one].shape, **known)),
                          (dw[i], reference.conv_weight_grad(dy[one], x[one], w[i].shape, **known)),
                          (db[i], reference.conv_bias_grad(dy[one]))):
            np.testing.assert_allclose(got, want, 1e-9, 1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_by_the_name_of_the_function(case, dtype):
    """The rank stated by conv2d, a bias for all, and arrays that no view can take for one image."""
    x, w, b, _ = arrays(case, dtype)
    function = FUNCTIONS[case.rank]
    want = function(x, w, np.broadcast_to(b[0], b.shape), method="direct", **case.options)
    assert bits(function(x, w, b[0], method="direct", **case.options)) == bits(want)
    apart = np.full((2 * case.n, *x.shape[1:]), np.nan, dtype)
    apart[::2] = x
    np.testing.assert_allclose(function(apart[::2], w, b[0], method="direct", **case.options), want, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(function(x[:0], w[:0], **case.options), want[:0])


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_everything_else_that_conv_takes(layout, dtype):
    case = Conv("rest", 3, 4, 6, (7, 8), (3, 3), 1, 1)
    x, w, b, residual = arrays(case, dtype)
    x, residual = to_layout(x, layout), to_layout(residual, layout)
    options = dict(padding=2, padding_mode="reflect", stride=2, activation="relu", layout=layout, method="direct")
    rest = residual[..., :5, :5] if layout == "NCHW" else residual[:, :5, :5]
    want = images(lambda x, w, b, r: nd.conv(x, w[0], b[0], residual=r, **options), x, w, b, rest)
    got = nd.conv(x, w, b, residual=rest, **options)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    out = np.full(want.shape, np.nan, dtype)
    assert nd.conv(x, w, b, residual=rest, out=out, **options) is out
    assert bits(out) == bits(got)
    turned = np.full(want.shape[::-1], np.nan, dtype).T
    nd.conv(x, w, b, residual=rest, out=turned, **options)
    np.testing.assert_allclose(turned, want, rtol=1e-5, atol=1e-5)


X, W = np.ones((2, 3, 5, 5)), np.ones((2, 4, 3, 2, 2))


@pytest.mark.parametrize("call, error, words", (
    (lambda **o: nd.conv2d(X[:1], W, **o), ValueError, "w must have kernels for each of the 1 images"),
    (lambda **o: nd.conv2d(X[0], W, **o), ValueError, "x must have a batch axis"),
    (lambda **o: nd.conv2d(X, W, np.ones((4, 2)), **o), ValueError, r"bias must have shape \(4,\) or \(2, 4\)"),
    (lambda **o: nd.conv2d(X, W[:, :, :2], **o), ValueError, "channels"),
    (lambda **o: nd.conv2d(X, W.astype(np.float32), **o), TypeError, "w must be float64"),
    (lambda **o: nd.conv2d(X, W, residual=np.ones((2, 4, 4, 3)), **o), ValueError, "residual must have the shape"),
    (lambda **o: nd.conv2d(X, W[0, 0], **o), ValueError, "w must have 4 axes"),
))
def test_errors_before_anything_is_written(call, error, words):
    out = np.full((2, 4, 4, 4), 7.0)
    with pytest.raises(error, match=words):
        call(out=out)
    assert (out == 7).all()
    with pytest.raises(ValueError, match="dy must have the shape"):
        nd.conv_backward(np.ones((2, 4, 4, 3)), X, W, layout="NCHW")
