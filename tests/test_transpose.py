"""conv_transpose, its gradients and plans: against the float64 definition, against zeros put in by hand, and its own adjoint."""
import math

import numpy as np
import pytest
from cases import ANY_RANK, EMPTY, GEOMETRY, GROUPED, PARALLEL, SPECTRAL, THINNED, TILED, draw, pairs, per_axis, to_layout
from checks import EXACT_METHODS, assert_elementwise, assert_l2, assert_near_integers, bits, layouts_and_threads
from hypothesis import given
from hypothesis import strategies as st
from test_properties import convs, drawn

import ndconv as nd
from ndconv import reference
from ndconv.problem import DTYPES
from ndconv.select import METHODS

CASES = tuple(case for case in (*GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY, *SPECTRAL[:2], *SPECTRAL[5:7], *TILED, *THINNED,
                                PARALLEL[3]) if 0 not in case.out)


def longer(case):
    """The output_padding that leads back to all of the convolution's input."""
    axes = zip(case.size, case.kernel, per_axis(case.stride, case.rank), per_axis(case.dilation, case.rank),
               pairs(case.padding, case.rank), strict=True)
    return tuple((i + sum(pad) - d * (k - 1) - 1) % s for i, k, s, d, pad in axes)


def arrays(case, dtype, integers):
    """x, w, b and dy of the transposed convolution that leads from the case's output to its input."""
    dy, w, _, x = case.arrays(dtype, integers)
    return x, w, draw(f"{case.name} bias", (case.ic,), dtype, integers), dy


def transpose(case, x, w, b, layout, **options):
    y = nd.conv_transpose(to_layout(x, layout), w, b, output_padding=longer(case), layout=layout, **case.options, **options)
    return np.moveaxis(y, -1, 1) if layout.endswith("C") else y


def defined(case, x, w, b):
    return reference.conv_transpose(x, w, b, output_padding=longer(case), **case.normalised)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_equals_the_definition(case, method, isa):
    for dtype in DTYPES:
        x, w, b, _ = arrays(case, dtype, True)
        want = defined(case, x, w, b)
        for layout, threads in layouts_and_threads(case):
            try:
                y = transpose(case, x, w, b, layout, method=method, threads=threads)
            except nd.MethodNotApplicable:
                assert method not in EXACT_METHODS
                return
            assert y.dtype == dtype and y.shape == case.x_shape()
            assert_near_integers(y, want, method, f"{dtype} {layout} threads={threads}")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_within_the_bound(case, dtype):
    x, w, b, _ = arrays(case, dtype, False)
    want, absolute = defined(case, x, w, b), defined(case, *map(np.abs, (x, w, b)))
    for method in METHODS:
        for layout in case.layouts:
            try:
                y = transpose(case, x, w, b, layout, method=method)
            except nd.MethodNotApplicable:
                continue
            if method in EXACT_METHODS:
                assert_elementwise(y, want, absolute, case.terms["x"] + 1, f"{method} {layout}")
            else:
                assert_l2(y, want, method, f"{method} {layout}")


@drawn
@given(case=convs(), dtype=st.sampled_from(DTYPES), last=st.booleans(), method=st.sampled_from(EXACT_METHODS),
       activation=st.sampled_from((None, "relu", ("clip", -40, 40))), threads=st.integers(1, 3))
def test_any(case, dtype, last, method, activation, threads):
    """With everything at once, and both gradients; small integers, so that nothing is rounded."""
    if 0 in case.out:
        return
    x, w, b, dy = arrays(case, dtype, True)
    layout = case.layouts[last]
    same = dict(method=method, threads=threads)
    residual = draw("residual", case.x_shape(), dtype, True)
    y = transpose(case, x, w, b, layout, activation=activation, residual=to_layout(residual, layout), **same)
    np.testing.assert_array_equal(y, reference.activate(defined(case, x, w, b) + residual, activation), strict=False)
    gradients = nd.conv_transpose_backward(to_layout(dy, layout), to_layout(x, layout), w, layout=layout,
                                           output_padding=longer(case), **case.options, **same)
    dx = np.moveaxis(gradients.x, -1, 1) if last else gradients.x
    np.testing.assert_array_equal(dx, reference.conv(dy, w, **case.normalised), strict=False)
    np.testing.assert_array_equal(gradients.w, reference.conv_weight_grad(x, dy, w.shape, **case.normalised), strict=False)
    np.testing.assert_array_equal(gradients.b, reference.conv_bias_grad(dy), strict=False)


@pytest.mark.parametrize("case", [case for case in CASES if case.groups == 1 and not case.flip], ids=lambda c: c.name)
def test_is_a_convolution_of_an_array_with_zeros_put_in(case):
    """Zeros between the elements, a margin as wide as the kernel, and the kernel rotated: nothing of the phases is used."""
    x, w, b, _ = arrays(case, "float64", True)
    stride, dilation = per_axis(case.stride, case.rank), per_axis(case.dilation, case.rank)
    apart = np.zeros((*x.shape[:2], *((i - 1) * s + 1 for i, s in zip(x.shape[2:], stride, strict=True))))
    apart[(..., *(slice(None, None, s) for s in stride))] = x
    rotated = np.flip(w, tuple(range(2, w.ndim))).swapaxes(0, 1)
    margin = [(d * (k - 1) - before, d * (k - 1) - after + extra) for (before, after), k, d, extra in
              zip(pairs(case.padding, case.rank), case.kernel, dilation, longer(case), strict=True)]
    want = reference.conv(apart, rotated, b, pads=margin, dilation=dilation)
    np.testing.assert_array_equal(transpose(case, x, w, b, case.layouts[0], method="direct"), want)


@pytest.mark.parametrize("case", CASES[::3], ids=lambda c: c.name)
def test_gradients_are_adjoint(case, method, dtype):
    """y is linear in x and in w: <y, dy> = <x, dx> = <w, dw>."""
    x, w, _, dy = arrays(case, dtype, False)
    same = dict(method=method, output_padding=longer(case), **case.options)
    try:
        y, gradients = nd.conv_transpose(x, w, **same), nd.conv_transpose_backward(dy, x, w, **same)
    except nd.MethodNotApplicable:
        return
    sums = [np.vdot(a.astype(np.float64), b) for a, b in ((y, dy), (gradients.x, x), (gradients.w, w))]
    size = (defined(case, np.abs(x), np.abs(w), None) * np.abs(dy)).sum()
    assert max(sums) - min(sums) <= 1e3 * np.finfo(dtype).eps * size


def test_gradients_by_differences():
    x, w, b, dy = arrays(GEOMETRY[3], "float64", False)
    case, x, w, b = GEOMETRY[3], x[:, :, :2, :3].copy(), w.copy(), b.copy()
    same = dict(stride=case.stride, dilation=case.dilation, padding=case.padding)
    dy = dy[(..., *(slice(n) for n in nd.conv_transpose(x, w, b, **same).shape[2:]))]
    gradients = nd.conv_transpose_backward(dy, x, w, **same)
    for got, varied in zip(gradients, (x, w, b), strict=True):
        for at in list(np.ndindex(*varied.shape))[::5]:
            middle, step, scores = varied[at], 2.0**-3, []
            for varied[at] in (middle + step, middle - step):
                scores.append(np.vdot(nd.conv_transpose(x, w, b, **same), dy))
            varied[at] = middle
            np.testing.assert_allclose(got[at], (scores[0] - scores[1]) / (2 * step), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("options", "extent"), [
    (dict(), 12), (dict(stride=2), 21), (dict(stride=2, padding=1), 19), (dict(stride=2, padding=1, output_padding=1), 20),
    (dict(stride=3, output_padding=2), 32), (dict(dilation=3, output_padding=2), 18), (dict(stride=2, padding=((1, 0),)), 20),
    (dict(padding=-2), 16), (dict(stride=2, padding="same"), 20), (dict(stride=5, padding="same"), 50),
    (dict(stride=2, padding="same_lower"), 20), (dict(padding="same"), 10), (dict(stride=2, padding="valid"), 21),
    (dict(stride=2, padding=1, output_shape=20), 20), (dict(stride=2, padding="same", output_shape=17), 17),
    (dict(stride=2, padding="same_upper", output_shape=[25]), 25), (dict(padding=6), 0)], ids=str)
def test_extent_of_the_result(options, extent):
    """(i - 1)*stride - before - after + dilation*(k - 1) + output_padding + 1, as PyTorch and ONNX have it."""
    x, w = np.ones((1, 1, 10)), np.ones((1, 1, 3))
    y = nd.conv_transpose(x, w, **options)
    assert y.shape == (1, 1, extent)
    assert nd.plan_conv_transpose(x.shape, w, **options)(x).shape == y.shape
    assert nd.conv_transpose_backward(y, x, w, **options).x.shape == x.shape


def test_same_crops_an_odd_remainder_where_its_name_says():
    """As ONNX: 4 - 2 - 1 extra element; upper crops it at the end, lower before."""
    x, w = np.array([[[1.0, 0, 0]]]), np.array([[[1.0, 2, 3, 4, 5]]])
    whole = nd.conv_transpose(x, w, stride=2, method="direct")[0, 0]
    assert whole.tolist() == [1, 2, 3, 4, 5, 0, 0, 0, 0]
    for name, first in (("same", 1), ("same_upper", 1), ("same_lower", 2)):
        assert nd.conv_transpose(x, w, stride=2, padding=name, method="direct")[0, 0].tolist() == whole[first:first + 6].tolist()


def test_places_that_no_tap_reaches_hold_the_bias(method, dtype):
    """A stride beyond the kernel leaves gaps; bias, residual and activation are there too."""
    x, w = np.ones((1, 2, 3, 3), dtype), np.ones((2, 4, 1, 2), dtype)
    bias = np.array([-3, -1, 0, 2], dtype)
    residual = draw("residual", (1, 4, 9, 11), dtype, True)
    y = nd.conv_transpose(x, w, bias, stride=(4, 4), padding=((0, 0), (-1, 0)), method=method, residual=residual,
                          activation=("leaky_relu", 0.5))
    before = np.zeros((1, 4, 9, 11)) + bias.reshape(4, 1, 1) + residual
    before[..., ::4, 1::4] += 2
    before[..., ::4, 2::4] += 2
    np.testing.assert_allclose(y, np.where(before < 0, before / 2, before), rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", (GEOMETRY[2], GROUPED[1], ANY_RANK[1], ANY_RANK[6]), ids=lambda c: c.name)
def test_plan_is_the_call(case, method, dtype):
    x, w, b, dy = arrays(case, dtype, False)
    if 0 in x.shape:
        return
    for layout in case.layouts:
        same = dict(output_padding=longer(case), layout=layout, method=method, activation="tanh", **case.options)
        moved = to_layout(x, layout)
        try:
            plan = nd.plan_conv_transpose(moved.shape, w, b, **same)
        except nd.MethodNotApplicable:
            continue
        residual = to_layout(dy, layout)
        y = nd.conv_transpose(moved, w, b, residual=residual, **same)
        out = np.full_like(y, np.nan)
        assert plan(moved, out, residual) is out and bits(out) == bits(y)
        assert plan.method == method and plan.problem.op == "transpose" and "transpose" in str(plan.explain())


def test_weight_layout(dtype):
    """Keras's order: spatial axes, output channels, input channels."""
    x, w, b, _ = arrays(GROUPED[0], dtype, True)
    want = nd.conv_transpose(x, w, b, **GROUPED[0].options)
    keras = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(nd.conv_transpose(x, keras, b, weight_layout="HWOI", **GROUPED[0].options), want)
    np.testing.assert_array_equal(nd.conv_transpose(x, w, b, weight_layout="IOHW", **GROUPED[0].options), want)
    plan = nd.plan_conv_transpose(x.shape, keras, b, weight_layout="HWOI", **GROUPED[0].options)
    np.testing.assert_array_equal(plan(x), want)


def test_unbatched(method, dtype):
    x, w, b, dy = arrays(SPECTRAL[0], dtype, True)
    same = dict(padding=2, method=method)
    assert bits(nd.conv_transpose(x[0], w, b, **same)) == bits(nd.conv_transpose(x[:1], w, b, **same)[0])
    one, batch = nd.conv_transpose_backward(dy[0], x[0], w, **same), nd.conv_transpose_backward(dy[:1], x[:1], w, **same)
    assert bits(one.x) == bits(batch.x[0]) and bits(one.w) == bits(batch.w) and bits(one.b) == bits(batch.b)


def test_backward_gathers_what_is_wanted():
    x, w, _, dy = arrays(SPECTRAL[0], "float32", False)
    whole = nd.conv_transpose_backward(dy, x, w, padding=2)
    for wrt in (("x",), ("b", "w"), "w", ()):
        some = nd.conv_transpose_backward(dy, x, w, wrt=wrt, padding=2)
        for field in "xwb":
            part = getattr(some, field)
            assert part is None if field not in wrt else bits(part) == bits(getattr(whole, field))


@pytest.mark.parametrize("case", (GEOMETRY[2], GEOMETRY[4], ANY_RANK[6]), ids=lambda c: c.name)
def test_one_nan_stays_in_its_window(case, method):
    x, w, b, _ = arrays(case, "float32", True)
    x.flat[x.size // 2] = np.nan
    got = transpose(case, x, w, b, case.layouts[0], method=method)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(defined(case, x, w, b)))
    assert 0 < np.isnan(got).sum() <= math.prod(case.kernel) * case.ic


X, W = np.ones((1, 4, 5, 6), np.float32), np.ones((4, 2, 3, 3), np.float32)
V, T, OVERFLOW = ValueError, TypeError, OverflowError
WRONG = [
    (dict(stride=0), V, r"stride.*0"), (dict(stride=1.5), T, r"stride"), (dict(dilation=0), V, r"dilation"),
    (dict(groups=3), V, r"groups.*4 input channels.*3"), (dict(groups=0), V, r"groups.*0"), (dict(groups=1.0), T, r"groups"),
    (dict(output_padding=1), V, r"output_padding.*stride 1.*dilation 1.*1"), (dict(output_padding=-1), V, r"output_padding.*-1"),
    (dict(stride=2, output_padding=(0, 2)), V, r"output_padding.*stride 2"), (dict(output_padding=0.5), T, r"output_padding"),
    (dict(output_shape=9), V, r"output_shape.*from 7 to 7 on spatial axis 0.*9"),
    (dict(stride=2, output_shape=(11, 20)), V, r"output_shape.*from 13 to 14 on spatial axis 1.*20"),
    (dict(output_shape=(1, 2, 3)), V, r"output_shape.*2 ints"), (dict(output_shape="big"), T, r"output_shape.*big"),
    (dict(stride=2, output_shape=(11, 13), output_padding=1), V, r"output_padding.*output_shape"),
    (dict(stride=2, padding="same", output_padding=1), V, r"output_padding.*'same'"),
    (dict(padding="full"), V, r"padding.*valid.*same.*full"), (dict(padding=4), V, r"padding 4 crops.*-1"),
    (dict(padding_mode="reflect"), V, r"padding_mode must be 'zeros'.*conv_input_grad"),
    (dict(padding_mode=("zeros", "edge")), V, r"padding_mode must be 'zeros'"),
    (dict(padding_mode="mirror"), V, r"padding_mode must"),
    (dict(padding=(1, 2, 3)), V, r"padding.*2 entries"), (dict(padding=2**62), OVERFLOW, r"padding"),
    (dict(dilation=2**61), OVERFLOW, r"dilation|result"), (dict(stride=2**61), OVERFLOW, r"index"), (dict(flip=1), T, r"flip"),
    (dict(layout="NHWC"), V, r"x has 6 channels.*takes 4"), (dict(layout="NHCW"), V, r"layout"),
    (dict(method="magic"), V, r"method.*magic"), (dict(threads=0), V, r"threads"), (dict(accuracy="exact"), V, r"accuracy"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG, ids=lambda v: str(v) if isinstance(v, dict) else "")
def test_wrong_arguments(wrong, error, message):
    for call in (lambda: nd.conv_transpose(X, W, **wrong), lambda: nd.plan_conv_transpose(X.shape, W, **wrong),
                 lambda: nd.conv_transpose_backward(np.ones((1, 2, 7, 8), np.float32), X, W, **wrong)):
        with pytest.raises(error, match=message) as caught:
            call()
        assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nd.conv_transpose(X, W[:3]), V, r"x has 4 channels.*takes 3"),
    (lambda: nd.conv_transpose(X, W[0, 0]), V, r"w must have 3 to 5 axes"),
    (lambda: nd.conv_transpose(X[0, 0], W), V, r"x must have 4 axes"),
    (lambda: nd.conv_transpose(X[:, :, :0], W), V, r"x and w must have at least one"),
    (lambda: nd.conv_transpose(X, W.astype(float)), T, r"w must be float32 as x is; got float64"),
    (lambda: nd.conv_transpose(X.astype(int), W), T, r"x must be float32 or float64, not int64"),
    (lambda: nd.conv_transpose(X, W, np.ones(3, np.float32)), V, r"bias must have shape \(2,\)"),
    (lambda: nd.conv_transpose(X, W, out=X), V, r"out must have shape \(1, 2, 7, 8\)"),
    (lambda: nd.conv_transpose(X, W, residual=X), V, r"residual.*\(1, 2, 7, 8\)"),
    (lambda: nd.conv_transpose(X, W, activation="clip"), V, r"'clip'"),
    (lambda: nd.conv_transpose(X, W, weight_layout="HWIO"), V, r"weight_layout must be 'HWOI' or 'IOHW'"),
    (lambda: nd.conv_transpose(X, W, strides=2), T, r"strides"),
    (lambda: nd.conv_transpose_backward(X, X, W), V, r"dy must have the shape of the forward result, \(1, 2, 7, 8\)"),
    (lambda: nd.conv_transpose_backward(X.astype(float), X, W), T, r"x must be float64 as dy is; got float32"),
    (lambda: nd.conv_transpose_backward(X, X, W, wrt="y"), V, r"wrt.*'y'"),
    (lambda: nd.conv_transpose_backward(X, X, W, strides=2), T, r"strides"),
])
def test_wrong_arrays(call, error, message):
    with pytest.raises(error, match=message):
        call()
