"""Convolution as a matrix: im2col, col2im, the sparse matrix and the linear operator."""
import sys

import numpy as np
import pytest
from cases import ANY_RANK, EMPTY, GEOMETRY, GROUPED, draw, to_layout
from checks import bits, compute
from hypothesis import given
from hypothesis import strategies as st
from test_properties import convs, drawn

import ndconv as nd
from ndconv import reference, reference_local
from ndconv.problem import DTYPES

CASES = [case for case in (*GEOMETRY, *ANY_RANK, *EMPTY) if case.groups == 1]
MATRICES = [case for case in (*GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY) if np.prod(case.x_shape()) * np.prod(case.y_shape()) < 1e6]


def window(case):
    ours, defined = case.options, case.normalised
    for name in ("groups", "flip"):
        del ours[name], defined[name]
    return ours, defined


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_im2col_and_back(case, isa):
    ours, defined = window(case)
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype, integers=True)
        want = reference_local.im2col(x, case.kernel, **defined)
        columns = draw("columns", want.shape, dtype, integers=True)
        for layout in case.layouts:
            for threads in (1, 3):
                got = nd.im2col(to_layout(x, layout), case.kernel, layout=layout, threads=threads, **ours)
                assert got.dtype == dtype
                np.testing.assert_array_equal(got, want)
                back = nd.col2im(columns, case.x_shape(layout), case.kernel, layout=layout, threads=threads, **ours)
                # the adjoint, and sums of integers are exact
                assert back.shape == case.x_shape(layout) and back.dtype == dtype
                assert np.vdot(back.astype(float), to_layout(x, layout)) == np.vdot(columns.astype(float), want)


@pytest.mark.parametrize("case", [case for case in CASES if case.n and case.ic and not case.flip][:6], ids=lambda c: c.name)
def test_convolution_is_a_matrix_product(case):
    x, w, b, dy = case.arrays("float64")
    columns = nd.im2col(x, case.kernel, **window(case)[0])
    np.testing.assert_allclose((w.reshape(case.oc, -1) @ columns).reshape(case.y_shape()), compute(case, (x, w, None, dy)),
                               rtol=0, atol=1e-10)
    dx = nd.col2im(w.reshape(case.oc, -1).T @ dy.reshape(case.n, case.oc, -1), x.shape, case.kernel, **window(case)[0])
    np.testing.assert_allclose(dx, compute(case, (x, w, b, dy), "x"), rtol=0, atol=1e-10)


@drawn
@given(case=convs(), dtype=st.sampled_from(DTYPES), last=st.booleans())
def test_any_columns(case, dtype, last):
    ours, defined = window(case)
    layout, x = case.layouts[last], draw("any", case.x_shape(), dtype, integers=True)
    want = reference_local.im2col(x, case.kernel, **defined)
    got = nd.im2col(to_layout(x, layout), case.kernel, layout=layout, **ours)
    np.testing.assert_array_equal(got, want)
    ones = nd.col2im(np.ones(want.shape, dtype), case.x_shape(layout), case.kernel, layout=layout, **ours)
    assert np.vdot(ones.astype(float), to_layout(x, layout)) == want.sum()


def test_im2col_out_and_one_image(dtype):
    x = draw("out", (2, 3, 5, 6), dtype)
    want = nd.im2col(x, 2)
    assert bits(nd.im2col(x[0], (2, 2))) == bits(want[0]) == bits(nd.im2col(x[0], 2, layout="NCHW"))
    assert bits(nd.col2im(want[0], (3, 5, 6), (2, 2))) == bits(nd.col2im(want, x.shape, 2)[0])
    for out in (np.empty_like(want), np.empty(want.shape[::-1], dtype).T):
        assert nd.im2col(x, 2, out=out) is out
        np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(nd.im2col(x[::-1, :, ::2, ::-1], 2), nd.im2col(x[::-1, :, ::2, ::-1].copy(), 2))


def test_columns_as_pytorch(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch, a second opinion, is not installed")
    x = draw("torch", (2, 3, 9, 11), dtype)
    options = dict(dilation=(2, 1), padding=(1, 2), stride=(1, 3))
    theirs = torch.nn.functional.unfold(torch.from_numpy(x.copy()), (3, 2), **options)
    np.testing.assert_array_equal(nd.im2col(x, (3, 2), **options), theirs.numpy())
    back = torch.nn.functional.fold(theirs, (9, 11), (3, 2), **options).numpy()
    np.testing.assert_allclose(nd.col2im(theirs.numpy(), x.shape, (3, 2), **options), back, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("call, error, words", (
    (lambda: nd.im2col(np.ones((1, 1, 4)), 5), ValueError, "larger than the padded input"),
    (lambda: nd.im2col(np.ones((1, 1, 4), int), 2), TypeError, "x must be float32 or float64"),
    (lambda: nd.im2col(np.ones((1, 1, 4)), 2.0), TypeError, "kernel must be an integer"),
    (lambda: nd.im2col(np.ones((1, 1, 4)), 2, out=np.ones((1, 2, 4))), ValueError, "out must have shape"),
    (lambda: nd.col2im(np.ones((1, 2, 4)), (1, 1, 4), 2), ValueError, r"columns must have shape \(1, 2, 3\)"),
    (lambda: nd.col2im(np.ones((1, 2, 3)), (1, 1, -4), 2), ValueError, "x_shape"),
))
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("case", MATRICES, ids=lambda c: c.name)
def test_matrix_and_operator(case, dtype):
    """y = C x and the transposed convolution is the transpose, both for the matrix and for the operator."""
    pytest.importorskip("scipy", reason="SciPy holds the matrix and is not installed")
    x, w, _, dy = case.arrays(dtype, integers=True)
    for layout in case.layouts:
        options = case.options | dict(layout=layout)
        y, dx = (reference.conv(x, w, **case.normalised), reference.conv_input_grad(dy, w, x.shape, **case.normalised))
        matrix = nd.conv_matrix(w, case.x_shape(layout), **options)
        operator = nd.conv_operator(w, case.x_shape(layout), method="gemm", **options)
        assert matrix.shape == operator.shape == (dy.size, x.size) and matrix.dtype == operator.dtype == dtype
        assert matrix.has_sorted_indices and matrix.has_canonical_format
        for a in (matrix, operator):
            np.testing.assert_array_equal(a @ to_layout(x, layout).ravel(), to_layout(y, layout).ravel())
            np.testing.assert_array_equal(a.T @ to_layout(dy, layout).ravel(), to_layout(dx, layout).ravel())


@pytest.mark.parametrize("mode", ("edge", "reflect", "symmetric", "wrap", ("wrap", "zeros")))
def test_matrix_with_boundaries(mode):
    pytest.importorskip("scipy", reason="SciPy holds the matrix and is not installed")
    x, w = draw("x", (2, 5, 7), "float64", True), draw("w", (3, 2, 3, 4), "float64", True)
    options = dict(padding=((3, 1), (9, 8)), stride=(1, 2), padding_mode=mode)
    y = nd.conv(x, w, method="direct", **options)
    np.testing.assert_array_equal(nd.conv_matrix(w, x.shape, **options) @ x.ravel(), y.ravel())
    operator = nd.conv_operator(w, x.shape, method="direct", **options)
    np.testing.assert_array_equal(operator @ x.ravel(), y.ravel())
    np.testing.assert_array_equal(operator.T @ y.ravel(), nd.conv_matrix(w, x.shape, **options).T @ y.ravel())


def test_solving_with_the_operator():
    """Least squares give the array back that was convolved."""
    linalg = pytest.importorskip("scipy.sparse.linalg", reason="SciPy has the solver and is not installed")
    x, w = draw("x", (1, 8, 9), "float64"), draw("w", (2, 1, 3, 3), "float64")
    operator = nd.conv_operator(w, x.shape, padding="full")
    np.testing.assert_allclose(linalg.lsqr(operator, operator @ x.ravel(), atol=1e-14, btol=1e-14)[0], x.ravel(), atol=1e-9)


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    for function in (nd.conv_matrix, nd.conv_operator):
        with pytest.raises(ImportError, match=r"needs SciPy.*ndconv\[sparse\]"):
            function(np.ones((1, 1, 2)), (1, 4))
