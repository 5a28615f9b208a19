"""convolve and correlate: against the definition everywhere, and against SciPy, whose functions they take after."""
import itertools

import numpy as np
import pytest
from checks import EXACT_METHODS, assert_near_integers
from hypothesis import assume, given
from hypothesis import strategies as st
from test_properties import drawn

import ndconv as nd
from ndconv.signal import BOUNDARIES, OUTPUTS

FUNCTIONS = (nd.convolve, nd.correlate)
SHAPES = (((9,), (4,)), ((4,), (9,)), ((5,), (5,)), ((1,), (3,)), ((40,), (17,)),
          ((7, 8), (3, 4)), ((3, 4), (7, 8)), ((6, 9), (6, 3)), ((3, 9), (5, 2)), ((20, 31), (9, 11)),
          ((5, 6, 7), (2, 3, 4)), ((4, 3, 2), (4, 5, 3)))
BROADCAST = (((4, 20), (1, 6), -1), ((1, 20), (3, 6), (1,)), ((4, 20), (4, 6), (1,)), ((20, 3), (6, 1), 0),
             ((2, 1, 3, 20), (1, 4, 3, 6), 3), ((2, 9, 8, 3), (2, 3, 2, 1), (1, 2)), ((3, 6), (3, 20), 1))


def draw(shapes, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.integers(-8, 9, shape).astype(dtype) for shape in shapes]


def define(function, a, b, mode):
    """Every product a[i] b[j] added to its place of the full result, which is then cut."""
    b = np.flip(b) if function is nd.correlate else b
    full = np.zeros([m + n - 1 for m, n in zip(a.shape, b.shape)])
    for at in np.ndindex(*b.shape):
        full[tuple(slice(i, i + n) for i, n in zip(at, a.shape))] += a * b[at]
    size = {"full": full.shape, "same": a.shape, "valid": [abs(m - n) + 1 for m, n in zip(a.shape, b.shape)]}[mode]
    return full[tuple(slice((whole - part) // 2, (whole - part) // 2 + part) for whole, part in zip(full.shape, size))]


def comparable(a, b):
    return all(np.greater_equal(a, b)) or all(np.less_equal(a, b))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mode", OUTPUTS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_definition(function, mode, shapes, method, dtype):
    a, b = draw(shapes, dtype=dtype)
    if mode == "valid" and not comparable(*shapes):
        with pytest.raises(ValueError, match="at least as large"):
            function(a, b, mode, method)
        return
    want = define(function, a, b, mode)
    out = np.zeros(want.shape, dtype)
    try:
        got = function(a, b, mode, method)
    except nd.MethodNotApplicable:
        assert method not in EXACT_METHODS or method == "depthwise"
        return
    assert got.dtype == dtype
    assert_near_integers(got, want, method, mode)
    assert function(a, b, mode, method, out=out) is out
    assert (out == got).all()


@drawn
@given(function=st.sampled_from(FUNCTIONS), mode=st.sampled_from(OUTPUTS), axes=st.integers(1, 3), data=st.data())
def test_any_shapes(function, mode, axes, data):
    shapes = [tuple(data.draw(st.lists(st.integers(1, {1: 60, 2: 14, 3: 7}[axes]), min_size=axes, max_size=axes))) for _ in "ab"]
    assume(mode != "valid" or comparable(*shapes))
    a, b = draw(shapes, 2)
    np.testing.assert_array_equal(function(a, b, mode, accuracy="strict"), define(function, a, b, mode))


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("mode", OUTPUTS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_scipy(name, mode, shapes):
    signal = pytest.importorskip("scipy.signal", reason="SciPy, whose results these are, is not installed")
    a, b = draw(shapes, 1)
    if mode != "valid" or comparable(*shapes):
        got = getattr(nd, name)(a, b, mode, accuracy="strict")
        np.testing.assert_array_equal(got, getattr(signal, name)(a, b, mode, "direct"))


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("mode", OUTPUTS)
def test_scipys_boundaries(name, mode, boundary):
    """correlate2d centres even kernels elsewhere than correlate does; that one is followed."""
    signal = pytest.importorskip("scipy.signal", reason="SciPy, whose results these are, is not installed")
    for shapes in SHAPES:
        if len(shapes[0]) == 2 and comparable(*shapes) and (name == "convolve" or mode != "same"):
            a, b = draw(shapes, 2)
            want = getattr(signal, name + "2d")(a, b, mode, boundary, 3)
            got = getattr(nd, name)(a, b, mode, boundary=boundary, fillvalue=3)
            np.testing.assert_array_equal(got, want, str(shapes))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_integers_are_exact_and_do_not_wrap(function):
    rng = np.random.default_rng(7)
    for first, second in ((bool, int), (np.uint8, np.uint8), (np.int16, np.uint32), (np.int64, np.int8)):
        for shapes in (((9,), (4,)), ((3, 2), (7, 5)), ((4, 3, 5), (2, 3, 2))):
            a, b = (rng.integers(0, 2 if dtype is bool else 120, shape).astype(dtype)
                    for shape, dtype in zip(shapes, (first, second)))
            for mode in OUTPUTS:
                got = function(a, b, mode)
                assert got.dtype == np.int64
                np.testing.assert_array_equal(got, function(a.astype(float), b.astype(float), mode, method="direct"))
    assert function([2**31 - 1], [2**31 - 1]).tolist() == [(2**31 - 1) ** 2]
    got = function(np.full(3, 100, np.int8), [1, 1], "same", fillvalue=1000)
    assert sorted(got) == [200, 200, 1100]
    with pytest.raises(ValueError, match="fillvalue must be an integer"):
        function([1, 2], [1, 1], fillvalue=0.5)
    # beside floats, and with data missing, they are floats
    assert function(np.arange(4, dtype=np.uint8), np.ones(2, np.float32)).dtype == np.float32
    assert function([1, 5, 3], [1, 1], "valid", mask=np.array([False, True, False])).tolist() == [2, 6]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_boundaries_are_those_of_padding(boundary):
    a, b = draw(((7, 8), (5, 4)), 3)
    want = define(nd.convolve, np.pad(a, 9, BOUNDARIES[boundary]) if boundary not in ("fill", "constant", "zeros")
                  else np.pad(a, 9, constant_values=0 if boundary == "zeros" else 2), b, "same")[9:-9, 9:-9]
    np.testing.assert_array_equal(nd.convolve(a, b, "same", boundary=boundary, fillvalue=2), want)
    mixed = nd.convolve(a, b, "same", boundary=(boundary, "zeros"), fillvalue=2)
    np.testing.assert_array_equal(mixed[:, 2:-2], want[:, 2:-2])


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("first", "second", "axes"), BROADCAST)
def test_other_axes_are_taken_element_by_element(function, first, second, axes):
    a, b = draw((first, second), 4)
    axes = [i % a.ndim for i in ((axes,) if isinstance(axes, int) else axes)]
    others = [i for i in range(a.ndim) if i not in axes]
    lead = np.broadcast_shapes(*([s[i] for i in others] for s in (first, second)))
    x, y = (np.broadcast_to(v.transpose(others + axes), (*lead, *[v.shape[i] for i in axes])) for v in (a, b))
    for mode in OUTPUTS:
        want = np.stack([define(function, x[i], y[i], mode) for i in np.ndindex(*lead)])
        want = want.reshape(*lead, *want.shape[1:]).transpose(np.argsort(others + axes))
        np.testing.assert_array_equal(function(a, b, mode, axes=axes), want)
        out = np.zeros(want.shape[::-1]).T
        assert function(a, b, mode, axes=tuple(axes), out=out) is out
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(("size", "taps", "limits"), [((1_000_000,), (200_001,), (20, 40)), ((3_000,), (50_000,), (20, 20)),
                                                      ((700, 500), (500, 401), (60, 100))], ids=str)
def test_kernels_in_parts(size, taps, limits, dtype):
    """Kernels longer than a good tile, in a workspace of so many times the kernel, with AVX2 and with others: whole
    tiles of them would not fit. Wider vectors hold more tiles; narrow ones take larger tiles."""
    limit = limits[nd.get_isa() != "avx2"]
    rng = np.random.default_rng(len(size))
    x, w = rng.standard_normal(size).astype(dtype), rng.standard_normal(taps).astype(dtype)
    shape = [m + n - 1 for m, n in zip(size, taps)]
    whole = np.fft.irfftn(np.fft.rfftn(x, shape, axes=range(x.ndim)) * np.fft.rfftn(w, shape, axes=range(x.ndim)), shape,
                          axes=range(x.ndim))
    y = nd.convolve(x, w, method="fft", workspace_limit=limit * w.nbytes)
    assert np.linalg.norm(y - whole) <= {"float32": 5e-7, "float64": 12e-15}[dtype] * np.linalg.norm(whole)
    if x.ndim == 1:
        x[1000] = np.nan
        y = nd.convolve(x[:3000], w[:2000], method="fft")
        assert (np.isnan(y) == ((np.arange(y.size) >= 1000) & (np.arange(y.size) < 3000))).all()


def test_mixed_precision_is_float64():
    a, b = draw(((9,), (4,)))
    for x, y in itertools.product((a, a.astype("float32")), (b, b.astype("float32"))):
        assert nd.convolve(x, y).dtype == np.result_type(x, y)


def test_out_may_be_an_input():
    a, b = draw(((30,), (5,)))
    want = nd.convolve(a, b, "same", boundary="wrap")
    assert nd.convolve(a, b, "same", boundary="wrap", out=a) is a
    assert (a == want).all()


A, B = np.ones((4, 5)), np.ones((2, 2))


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((A, B, "middle"), ValueError, "mode must be one of full, same, valid"),
    ((A, B[0]), ValueError, "same number of axes"),
    ((A, B.astype(np.clongdouble)), TypeError, "in2 must be float32 or float64, not"),
    ((A.astype(object), B), TypeError, "in1 must be float32 or float64, not object"),
    ((A.astype(int) << 40, B.astype(int)), OverflowError, "in1 has integers from 0 to 1099511627776"),
    ((A, B[:0]), ValueError, "must not be empty"),
    ((A, B, "full", "fastest"), ValueError, "method must be 'auto' or one of"),
    ((np.ones((2,) * 4), np.ones((2,) * 4)), ValueError, "one to three axes"),
])
def test_errors(arguments, error, message):
    out = np.zeros((5, 6))
    with pytest.raises(error, match=message):
        nd.convolve(*arguments, out=out)
    assert not out.any()


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(boundary="mirror"), ValueError, "boundary must be one of fill"),
    (dict(boundary=("wrap",)), ValueError, "2 of them"),
    (dict(fillvalue=1j), TypeError, "fillvalue must be a number"),
    (dict(boundary=2), TypeError, "boundary must be a string"),
    (dict(axes=2), ValueError, "axes=2 is not an axis"),
    (dict(axes="x"), TypeError, "axes must be an integer"),
    (dict(axes=0), ValueError, "equal extents"),
    (dict(out=np.zeros((4, 5))), ValueError, "out must have shape"),
    (dict(out=np.zeros((5, 6), np.float32)), TypeError, "out must be float64"),
])
def test_errors_of_options(options, error, message):
    with pytest.raises(error, match=message):
        nd.correlate(A, B, **options)
