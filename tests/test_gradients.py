"""The gradients of conv: every method against the float64 definition, against differences and against each other."""
import numpy as np
import pytest
from cases import ANY_RANK, EMPTY, GEOMETRY, GROUPED, PARALLEL, SMALL, SPECTRAL, TYPICAL, to_layout
from checks import (
    EXACT_METHODS,
    L2_BOUNDS,
    L2_DEFAULT,
    assert_elementwise,
    assert_l2,
    attempt,
    bits,
    case_for,
    compute,
    data,
    expected,
    gamma,
    layouts_and_threads,
)

import ndconv as nd
from ndconv.problem import DTYPES
from ndconv.select import METHODS

INEXACT_METHODS = [name for name in METHODS if name not in EXACT_METHODS]
DIFFERENCED = [case for case in (*GEOMETRY, *GROUPED, *ANY_RANK) if sum(map(np.prod, (case.x_shape(), case.w_shape))) < 450]


@pytest.mark.parametrize("case", SMALL + PARALLEL, ids=lambda c: c.name)
@pytest.mark.parametrize("of", ("x", "w"))
@pytest.mark.parametrize("method", EXACT_METHODS)
def test_equal_on_integers(case, method, of, isa):
    for dtype in DTYPES:
        want, _ = expected(case, dtype, True, of)
        for layout, threads in layouts_and_threads(case):
            got = compute(case, data(case, dtype, True), of, layout, threads=threads, method=method)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, want, f"{dtype} {layout} threads={threads}")


@pytest.mark.parametrize("case", SMALL + PARALLEL, ids=lambda c: c.name)
@pytest.mark.parametrize("of", ("x", "w"))
@pytest.mark.parametrize("method", EXACT_METHODS)
def test_within_the_elementwise_bound(case, method, of, isa):
    for dtype in DTYPES:
        want, absolute = expected(case, dtype, False, of)
        for layout in case.layouts:
            got = compute(case, data(case, dtype, False), of, layout, method=method)
            assert_elementwise(got, want, absolute, case.terms[of], f"{dtype} {layout}")


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("of", ("x", "w"))
@pytest.mark.parametrize("method", INEXACT_METHODS)
def test_within_the_l2_bound(case, method, of, isa):
    """Where the method declines a problem it does so for every dtype, layout and number of threads."""
    declined = set()
    for dtype in DTYPES:
        want, _ = expected(case, dtype, False, of)
        whole, _ = expected(case, dtype, True, of)
        for layout, threads in layouts_and_threads(case):
            got = attempt(case, data(case, dtype, False), of, layout, threads=threads, method=method)
            declined.add(got is None)
            if got is not None:
                assert_l2(got, want, method, f"{dtype} {layout} threads={threads}")
                rounded = compute(case, data(case, dtype, True), of, layout, threads=threads, method=method)
                assert (np.abs(rounded - whole) < 0.25).all(), f"{dtype} {layout} threads={threads}: integers"
    assert len(declined) == 1
    if case in TYPICAL and case == case_for(method):
        assert declined == {False}


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
def test_bias_gradient(case, dtype, isa):
    want, absolute = expected(case, dtype, False, "b")
    for layout, threads in layouts_and_threads(case):
        db = compute(case, data(case, dtype, False), "b", layout, threads=threads)
        assert_elementwise(db, want, absolute, case.terms["w"], layout)


@pytest.mark.parametrize("case", SMALL + PARALLEL, ids=lambda c: c.name)
def test_bias_gradient_beside_that_of_the_weights(case, method, isa):
    """Summed by the method or not, the bias gradient is as exact as alone, and leaves the weight gradient its bits."""
    want, absolute = expected(case, "float32", False, "b")
    x, w, _, dy = data(case, "float32", False)
    for layout, threads in layouts_and_threads(case):
        options = case.options | dict(layout=layout, threads=threads, method=method)
        of_layout = to_layout(dy, layout), to_layout(x, layout)
        try:
            both = nd.conv_backward(*of_layout, w, wrt=("w", "b"), **options)
        except nd.MethodNotApplicable:
            continue
        assert_elementwise(both.b, want, absolute, case.terms["w"], layout)
        assert bits(both.w) == bits(nd.conv_weight_grad(*of_layout, w.shape, **options)), layout


@pytest.mark.parametrize("case", (*GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY, *SPECTRAL), ids=lambda c: c.name)
def test_adjoint_identity(case, method, dtype):
    """conv is linear in x and in w: <conv(x, w), dy> = <x, dx> = <w, dw>, summed in float64."""
    arrays = x, w, _, dy = data(case, dtype, False)
    size = (expected(case, dtype, False, "y")[1] * np.abs(dy)).sum()
    if method in EXACT_METHODS:
        tolerance = 2 * gamma(max(case.terms.values()) + 2, dtype) * size
    else:
        tolerance = 4 * L2_BOUNDS.get(method, L2_DEFAULT)[dtype == "float64"] * size
    sums = {}
    for of, other in (("y", dy), ("x", x), ("w", w)):
        got = attempt(case, (x, w, None, dy), of, method=method)
        if got is not None:
            sums[of] = np.vdot(got.astype(np.float64), other.astype(np.float64))
    assert len(sums) == 3 or method in INEXACT_METHODS, arrays
    for one in sums.values():
        for other in sums.values():
            assert abs(one - other) <= tolerance, sums


@pytest.mark.parametrize("case", DIFFERENCED, ids=lambda c: c.name)
def test_central_differences(case, method):
    """d<conv(x, w, b), dy> by each x, w and b, in float64; nothing but conv itself is trusted."""
    arrays = [np.array(a) for a in data(case, "float64", False)]
    if attempt(case, arrays, method=method) is None:
        return

    def score():
        return np.vdot(compute(case, arrays, method=method), arrays[3])

    for of, varied in (("x", arrays[0]), ("w", arrays[1]), ("b", arrays[2])):
        got = attempt(case, arrays, of, method=method)
        if got is None:
            continue
        differences = np.empty(varied.shape)
        step = 2.0**-3  # exact: conv is linear in each of the three
        for at in np.ndindex(*varied.shape):
            middle = varied[at]
            varied[at] = middle + step
            above = score()
            varied[at] = middle - step
            differences[at] = (above - score()) / (2 * step)
            varied[at] = middle
        np.testing.assert_allclose(got, differences, rtol=1e-9, atol=1e-9)


def test_differences_cover_every_method(method):
    assert sum(attempt(case, data(case, "float64", False), method=method) is not None for case in DIFFERENCED) >= 5


@pytest.mark.parametrize("case", (GEOMETRY[0], GROUPED[0], ANY_RANK[0], SPECTRAL[0], EMPTY[0]), ids=lambda c: c.name)
def test_conv_backward_gathers_the_three(case, dtype):
    x, w, _, dy = data(case, dtype, False)
    for layout in case.layouts:
        options = case.options | dict(layout=layout)
        moved_dy, moved_x = to_layout(dy, layout), to_layout(x, layout)
        gradients = nd.conv_backward(moved_dy, moved_x, w, **options)
        assert gradients._fields == ("x", "w", "b")
        assert bits(gradients.x) == bits(nd.conv_input_grad(moved_dy, w, moved_x.shape, **options))
        assert bits(gradients.w) == bits(nd.conv_weight_grad(moved_dy, moved_x, w.shape, **options))
        for wrt in (("x",), ("w",), ("b",), ("w", "b"), ("b", "x"), ()):
            some = nd.conv_backward(moved_dy, moved_x, w, wrt=wrt, **options)
            for field in "xwb":
                part = getattr(some, field)
                assert part is None if field not in wrt else bits(part) == bits(getattr(gradients, field))


def test_unbatched_gradients(method, dtype):
    """A gradient for an input without a batch axis is one without a batch axis."""
    case = case_for(method)
    x, w, _, dy = data(case, dtype, True)
    for layout in case.layouts:
        options = case.options | dict(layout=layout, method=method)
        one_x, one_dy = to_layout(x, layout)[0], to_layout(dy, layout)[0]
        dx = nd.conv_input_grad(one_dy, w, one_x.shape, **options)
        assert bits(dx) == bits(nd.conv_input_grad(one_dy[None], w, (1, *one_x.shape), **options)[0])
        dw = nd.conv_weight_grad(one_dy, one_x, w.shape, **options)
        assert bits(dw) == bits(nd.conv_weight_grad(one_dy[None], one_x[None], w.shape, **options))
        both = nd.conv_backward(one_dy, one_x, w, **options)
        assert bits(both.x) == bits(dx) and bits(both.w) == bits(dw)


@pytest.mark.parametrize("of", ("x", "w"))
def test_out(of, method, dtype):
    case = case_for(method)
    arrays = data(case, dtype, False)
    want = compute(case, arrays, of, method=method)
    for out in (np.full_like(want, np.nan), np.full(want.shape[::-1], np.nan, dtype).T):
        assert compute(case, arrays, of, method=method, out=out) is not None
        np.testing.assert_array_equal(out, want)
