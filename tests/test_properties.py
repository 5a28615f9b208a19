"""Shapes drawn at random, and laws that hold without knowing any right answer.

Hypothesis draws the same examples at every run and prints the failing one as the line that makes it again.
"""
import numpy as np
import pytest
from cases import Conv, Pool, draw, to_layout
from checks import EXACT_METHODS, assert_elementwise, attempt, case_for, compute, data, expected
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import ndconv as nd
from ndconv import reference
from ndconv.problem import DTYPES
from ndconv.select import METHODS

NEAR = dict(rtol=0, atol=1e-8)
# The same examples in every run, whatever the machine's speed; print_blob gives the line that reruns one.
drawn = settings(derandomize=True, deadline=None, max_examples=150, print_blob=True, suppress_health_check=list(HealthCheck))


@st.composite
def convs(draw):
    """Any convolution whose kernel fits, with empty batches and channels, crops and paddings beyond the kernel."""
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 4))
    most = {1: 40, 2: 14, 3: 7}[rank]
    size, kernel, stride, dilation, padding = [], [], [], [], []
    for _ in range(rank):
        k, s, d = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
        before, after = draw(st.integers(-2, 5)), draw(st.integers(-2, 5))
        least = max(1, d * (k - 1) + 1 - before - after)
        size.append(draw(st.integers(least, least + most)))
        kernel.append(k)
        stride.append(s)
        dilation.append(d)
        padding.append((before, after))
    return Conv("drawn", draw(st.integers(0, 3)), groups * draw(st.integers(0, 6)), groups * draw(st.integers(0, 9)), tuple(size),
                tuple(kernel), tuple(stride), tuple(padding), tuple(dilation), groups, draw(st.booleans()))


@st.composite
def pools(draw):
    """Any pooling whose padding is at most half the window, as others demand too."""
    rank = draw(st.integers(1, 3))
    most = {1: 40, 2: 14, 3: 7}[rank]
    size, window, stride, padding = [], [], [], []
    for _ in range(rank):
        k = draw(st.integers(1, 5))
        size.append(draw(st.integers(k, k + most)))
        window.append(k)
        stride.append(draw(st.integers(1, 4)))
        padding.append((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))))
    n, c, ceil_mode = draw(st.integers(0, 3)), draw(st.integers(0, 9)), draw(st.booleans())
    return Pool("drawn", n, c, tuple(size), tuple(window), tuple(stride), tuple(padding), 1, ceil_mode)


@pytest.mark.parametrize("isa", nd.isas())
@drawn
@given(case=convs(), dtype=st.sampled_from(DTYPES), last=st.booleans(), method=st.sampled_from(tuple(METHODS)),
       of=st.sampled_from(("y", "x", "w", "b")), threads=st.integers(1, 3))
def test_any_conv(isa, case, dtype, last, method, of, threads):
    before = nd.get_isa()
    nd.set_isa(isa)
    try:
        got = attempt(case, case.arrays(dtype, integers=True), of, case.layouts[last], method=method, threads=threads)
    finally:
        nd.set_isa(before)
    if got is None:
        assert method not in EXACT_METHODS
        return
    x, w, b, dy = case.arrays(dtype, integers=True)
    want = {"y": lambda: reference.conv(x, w, b, **case.normalised),
            "x": lambda: reference.conv_input_grad(dy, w, x.shape, **case.normalised),
            "w": lambda: reference.conv_weight_grad(dy, x, w.shape, **case.normalised),
            "b": lambda: reference.conv_bias_grad(dy)}[of]()
    assert got.shape == want.shape
    assert (np.abs(got - want) <= (0 if method in EXACT_METHODS else 0.25)).all()


@settings(drawn, max_examples=15)
@given(case=convs(), method=st.sampled_from(tuple(METHODS)))
def test_any_conv_is_pytorchs(case, method):
    """conv and its gradients, and the transposed convolution of dy, where PyTorch has them."""
    torch = pytest.importorskip("torch", reason="PyTorch, a second opinion, is not installed")
    assume(case.n and case.ic and case.oc and not case.flip and all(a == b >= 0 for a, b in case.padding))
    x, w, b, dy = arrays = case.arrays("float64")
    geometry = dict(stride=case.stride, padding=tuple(a for a, _ in case.padding), dilation=case.dilation, groups=case.groups)
    torch.set_num_threads(1)
    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, w, b)]
    theirs = getattr(torch.nn.functional, f"conv{case.rank}d")(*tensors, **geometry)
    theirs.backward(torch.from_numpy(dy.copy()))
    for of, want in zip("yxwb", (theirs.detach(), *(t.grad for t in tensors))):
        got = attempt(case, arrays, of, method=method)
        if got is not None:
            np.testing.assert_allclose(got, want.numpy(), **NEAR)
    longer = tuple(size - small for size, small in zip(case.size, nd.conv_transpose(dy, w, **geometry).shape[2:]))
    if all(0 <= extra < max(s, d) for extra, s, d in zip(longer, case.stride, case.dilation)):
        theirs = getattr(torch.nn.functional, f"conv_transpose{case.rank}d")(*map(torch.from_numpy, (dy.copy(), w.copy())),
                                                                            output_padding=longer, **geometry)
        np.testing.assert_allclose(nd.conv_transpose(dy, w, output_padding=longer, **geometry), theirs.numpy(), **NEAR)


@pytest.mark.parametrize("isa", nd.isas())
@drawn
@given(case=pools(), dtype=st.sampled_from(DTYPES), last=st.booleans(), counting=st.sampled_from(
    ({}, dict(count_include_pad=False), dict(divisor=3))))
def test_any_pool(isa, case, dtype, last, counting):
    before = nd.get_isa()
    nd.set_isa(isa)
    try:
        layout = case.layouts[last]
        x = draw(case.name, case.x_shape(), dtype, integers=True)
        moved = to_layout(x, layout)
        options = case.options | dict(layout=layout)
        values, indices = reference.max_pool(x, case.window, **case.normalised)
        y, at = nd.max_pool(moved, case.window, return_indices=True, **options)
        np.testing.assert_array_equal(y, to_layout(values, layout))
        np.testing.assert_array_equal(at, to_layout(indices, layout))
        dx = nd.max_pool_backward(y, at, moved.shape, case.window, **options)
        np.testing.assert_array_equal(dx, to_layout(reference.max_pool_backward(values, indices, x.shape), layout))
        mean = nd.avg_pool(moved, case.window, **options, **counting)
        want, absolute = (reference.avg_pool(a, case.window, **case.normalised, **counting) for a in (x, np.abs(x)))
        terms = int(np.prod(case.window))
        assert_elementwise(mean, to_layout(want, layout), to_layout(absolute, layout), terms, "avg")
        dx = nd.avg_pool_backward(y, moved.shape, case.window, **options, **counting)
        want, absolute = (reference.avg_pool_backward(a, x.shape, case.window, **case.normalised, **counting)
                          for a in (values, np.abs(values)))
        assert_elementwise(dx, to_layout(want, layout), to_layout(absolute, layout), terms, "avg backward")
    finally:
        nd.set_isa(before)


LAWS = (Conv("laws", 2, 6, 8, (17, 19), (5, 4), 1, 2), Conv("laws-3x3", 2, 6, 8, (17, 19), (3, 3), 1, 2),
        Conv("laws-depthwise", 2, 8, 8, (17, 19), (3, 3), 1, 2, groups=8))


def test_linear_in_x_and_in_w(method):
    case = case_for(method, LAWS)
    x, w, _, dy = data(case, "float64", False)
    other_x, other_w = draw("x'", x.shape, "float64"), draw("w'", w.shape, "float64")

    def y(x, w):
        return compute(case, (x, w, None, dy), method=method)

    np.testing.assert_allclose(y(3 * x - other_x, w), 3 * y(x, w) - y(other_x, w), **NEAR)
    np.testing.assert_allclose(y(x, 2 * w + other_w), 2 * y(x, w) + y(x, other_w), **NEAR)


def test_an_impulse_shows_the_kernel(method):
    """At every corner and in the middle."""
    case = case_for(method, LAWS[:2])
    _, w, _, dy = data(case, "float64", False)
    kh, kw = case.kernel
    for row, column in ((0, 0), (0, 18), (16, 0), (16, 18), (8, 9)):
        x = np.zeros(case.x_shape())
        x[1, 4, row, column] = 1
        y = compute(case, (x, w, None, dy), method=method)
        room = np.zeros((8, 17 + 20, 19 + 20))
        room[:, 13 + row - kh:13 + row, 13 + column - kw:13 + column] = w[:, 4, ::-1, ::-1]
        np.testing.assert_allclose(y[1], room[:, 10:10 + y.shape[2], 10:10 + y.shape[3]], **NEAR)
        assert np.abs(y[0]).max() < 1e-12


def test_groups_are_convolutions_side_by_side(method):
    x, w = draw("x", (2, 12, 15, 16), "float64"), draw("w", (8, 3, *case_for(method, LAWS[:2]).kernel), "float64")
    parts = [nd.conv(x[:, 3 * g:3 * g + 3], w[2 * g:2 * g + 2], method=method) for g in range(4)]
    np.testing.assert_allclose(nd.conv(x, w, groups=4, method=method), np.concatenate(parts, 1), **NEAR)


@pytest.mark.parametrize("method", EXACT_METHODS)
def test_dilation_is_a_kernel_with_holes(method):
    x, w = draw("x", (1, 3, 16, 17), "float64"), draw("w", (4, 3, 3, 2), "float64")
    holes = np.zeros((4, 3, 7, 5))
    holes[:, :, ::3, ::4] = w
    np.testing.assert_allclose(nd.conv(x, w, dilation=(3, 4), method=method), nd.conv(x, holes, method=method), **NEAR)


@pytest.mark.parametrize("method", EXACT_METHODS)
def test_stride_keeps_every_so_many_positions(method):
    x, w = draw("x", (1, 3, 16, 17), "float64"), draw("w", (4, 3, 3, 2), "float64")
    np.testing.assert_allclose(nd.conv(x, w, stride=(3, 2), method=method), nd.conv(x, w, method=method)[:, :, ::3, ::2], **NEAR)


def test_padding_is_an_array_with_a_margin(method):
    case = case_for(method, LAWS)
    x, w, b, dy = data(case, "float64", False)
    margin, options = np.pad(x, ((0, 0), (0, 0), (3, 1), (0, 4))), dict(groups=case.groups, method=method)
    np.testing.assert_allclose(nd.conv(x, w, padding=((3, 1), (0, 4)), **options), nd.conv(margin, w, **options), **NEAR)


def test_pointwise_is_a_matrix_product(method):
    x, w = draw("x", (2, 40, 6, 7), "float64"), draw("w", (30, 40, 1, 1), "float64")
    if method in nd.methods(x.shape, w.shape):
        np.testing.assert_allclose(nd.conv(x, w, method=method), np.einsum("oc,nchw->nohw", w[:, :, 0, 0], x), **NEAR)


def test_max_of_the_negative_is_the_least():
    x = draw("x", (2, 3, 12, 13), "float64")
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    np.testing.assert_array_equal(-nd.max_pool(-x, 3, stride=1), windows.min((4, 5)))


def test_expected_agrees_with_itself():
    """The cached definitions used throughout are those of reference.py."""
    x, w, b, _ = data(LAWS[0], "float64", True)
    np.testing.assert_array_equal(expected(LAWS[0], "float64", True, "y")[0], reference.conv(x, w, b, **LAWS[0].normalised))
