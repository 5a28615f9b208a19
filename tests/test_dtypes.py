"""Half precision and complex numbers: conv, its transpose and gradients against the float64 definition, on slabs of any size."""
import sys

import numpy as np
import pytest
from cases import ANY_RANK, GEOMETRY, GROUPED, POOLING, Conv, draw, to_layout
from checks import bits, gamma, run_python
from hypothesis import given, settings
from test_properties import convs, drawn

import ndconv as nd
from ndconv import _runtime, reference, slabs

HALVES = ["float16"]
try:
    import ml_dtypes  # noqa: F401  it makes bfloat16 known to NumPy
    HALVES.append("bfloat16")
except ImportError:
    pass  # an optional package
COMPLEX = ("complex64", "complex128")
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "complex64": 2.0**-24, "complex128": 2.0**-53}
LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "complex64": 2.0**-149, "complex128": 2.0**-1074}
CASES = (*GEOMETRY[1::2], *GROUPED[:3], *ANY_RANK[:4])
ROWS = Conv("rows", 3, 5, 6, (37, 11), (3, 3), (2, 1), 1)


@pytest.fixture(params=(None, 1500), ids=("whole", "slabs"))
def slab_bytes(request, monkeypatch):
    """Slabs as they are, and so small that a few rows fill one."""
    if request.param:
        monkeypatch.setattr(slabs, "SLAB_BYTES", request.param)
    nd.clear_caches()
    slabs._sizes.cache_clear()
    yield
    nd.clear_caches()
    slabs._sizes.cache_clear()


def numbers(case, dtype, real=""):
    """x, w, b, dy of a case; those named in `real` without imaginary parts."""
    if not dtype.startswith("complex"):
        return case.arrays(np.dtype(dtype))
    part = {"complex64": np.float32, "complex128": np.float64}[dtype]
    parts = zip("xwby", case.arrays(part), (a[::-1] for a in case.arrays(part)))
    return tuple(a if name in real else (a - 1j * b).astype(dtype) for name, a, b in parts)


def define(function, *arrays):
    """A bilinear function of real arrays, of real or complex ones; a third one is added to the result's channels."""
    if not any(a is not None and a.dtype.kind == "c" for a in arrays):
        return function(*arrays)
    x, w, *bias = arrays
    b_re, b_im = ([b.real], [b.imag]) if bias and (b := bias[0]) is not None else ([], [])
    return (function(x.real, w.real, *b_re) - function(x.imag, w.imag)
            + 1j * (function(x.real, w.imag, *b_im) + function(x.imag, w.real)))


def check(got, want, absolute, terms, dtype, what):
    """The bound of a float32 or real evaluation, four times of a complex one, and one rounding to the dtype."""
    assert got.dtype == dtype and got.shape == want.shape, what
    half = dtype in HALVES
    inner = gamma(terms + 2, np.float32 if half or dtype == "complex64" else np.float64) * absolute * (1 if half else 4)
    bound = inner * 1.01 + UNITS[dtype] * np.abs(want) * 1.01 + (terms + 2) * LEAST[dtype]
    error = np.abs(got.astype(want.dtype) - want)
    assert (error <= bound).all(), f"{what}: {(error / bound).max()} of the bound"


@pytest.mark.parametrize("dtype", (*HALVES, *COMPLEX))
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_within_the_bound(case, dtype, slab_bytes):
    x, w, b, dy = numbers(case, dtype)
    geometry, terms = case.normalised, case.terms
    for layout in case.layouts:
        check_all(case, layout, dtype, geometry, terms, x, w, b, dy)


def check_all(case, layout, dtype, geometry, terms, x, w, b, dy):
    options = case.options | dict(layout=layout, accuracy="strict", threads=2)
    first = layout.endswith("C")

    def back(a):
        return np.moveaxis(a, -1, 1) if first else a

    def bound(function, *arrays):
        """The function of sums of the parts' absolute values."""
        return function(*(np.abs(a.real).astype(float) + np.abs(a.imag).astype(float) if a.dtype.kind == "c"
                          else np.abs(a.astype(float)) for a in arrays))

    conv = lambda x, w, *b: reference.conv(x, w, *b, **geometry)
    got = nd.conv(to_layout(x, layout), w, b, **options)
    check(back(got), define(conv, x, w, b), bound(conv, x, w, b), terms["y"], dtype, f"y {layout}")
    by_x = lambda dy, w: reference.conv_input_grad(dy, w, x.shape, **geometry)
    conj = [a.conj() if a.dtype.kind == "c" else a for a in (x, w)]
    g = nd.conv_backward(to_layout(dy, layout), to_layout(x, layout), w, **options)
    check(back(g.x), define(by_x, dy, conj[1]), bound(by_x, dy, w), terms["x"], dtype, f"dx {layout}")
    by_w = lambda dy, x: reference.conv_weight_grad(dy, x, w.shape, **geometry)
    check(g.w, define(by_w, dy, conj[0]), bound(by_w, dy, x), terms["w"] + 40, dtype, f"dw {layout}")
    want = dy.astype(complex if dy.dtype.kind == "c" else float).sum((0, *range(2, dy.ndim)))
    check(g.b, want, np.abs(dy.astype(want.dtype)).sum((0, *range(2, dy.ndim))), terms["w"], dtype, f"db {layout}")


@pytest.mark.parametrize("dtype", (*HALVES, *COMPLEX))
@pytest.mark.parametrize("dimensions", (1, 2))
def test_transposed(dtype, dimensions, slab_bytes):
    case = Conv("transposed", 2, 4, 6, (11, 13)[:dimensions], (3, 4)[:dimensions], 2, 1)
    x, w, b, _ = numbers(case, dtype)
    w = w.swapaxes(0, 1)[:4]  # (ic, oc, *k)
    geometry = dict(stride=2, pads=[(1, 1)] * dimensions)
    options = dict(stride=2, padding=1, accuracy="strict")
    conv = lambda x, w, *b: reference.conv_transpose(x, w, *b, **geometry)
    bound = reference.conv_transpose(*(np.abs(a.astype(np.complex128)) * 2 for a in (x, w, b)), **geometry)
    y = nd.conv_transpose(x, w, b, **options)
    check(y, define(conv, x, w, b), bound, 4 * 12, dtype, "y")
    g = nd.conv_transpose_backward(y, x, w, **options)
    conj = [a.conj() if a.dtype.kind == "c" else a for a in (x, w)]
    by_x = lambda dy, w: reference.conv(dy, w, **geometry)
    by_w = lambda dy, x: reference.conv_weight_grad(x, dy, w.shape, **geometry)
    for got, function, operand, terms in ((g.x, by_x, conj[1], 72), (g.w, by_w, conj[0], 600)):
        absolute = function(*(np.abs(a.astype(np.complex128)) * 2 for a in (y, operand)))
        check(got, define(function, y, operand), absolute, terms, dtype, "gradient")


@pytest.mark.parametrize("dtype", HALVES)
@settings(drawn, max_examples=50)
@given(case=convs())
def test_half_drawn(dtype, case):
    """The float32 result, rounded, whatever the shape."""
    x, w, b, dy = numbers(case, dtype)
    wide = [a.astype(np.float32) for a in (x, w, b, dy)]
    for layout in case.layouts:
        options = case.options | dict(layout=layout, method="gemm")
        got = nd.conv(to_layout(x, layout), w, b, **options)
        assert got.dtype == dtype
        assert bits(got) == bits(nd.conv(to_layout(wide[0], layout), wide[1], wide[2], **options).astype(dtype))


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("real", ("x", "w", "xb", "xw"))
def test_real_beside_complex(dtype, real, slab_bytes):
    """A real operand gives the same as its complex form, and its gradient is the real part."""
    x, w, b, dy = numbers(ROWS, dtype, real.replace("b", ""))
    whole = [a.astype(dtype) for a in (x, w)]
    options = ROWS.options | dict(accuracy="strict")
    if real == "xw":
        assert nd.conv(x, w, **options).dtype == x.dtype  # no complex number in it
        x = whole[0]
    got, want = nd.conv(x, w, None if "b" in real else b, **options), nd.conv(*whole, None if "b" in real else b, **options)
    close = dict(rtol=0, atol=1e-3 if dtype == "complex64" else 1e-12)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, **close)
    g, h = nd.conv_backward(dy, x, w, **options), nd.conv_backward(dy, *whole, **options)
    for part, of_whole, a in ((g.x, h.x, x), (g.w, h.w, w)):
        assert part.dtype == a.dtype
        np.testing.assert_allclose(part, of_whole if a.dtype.kind == "c" else of_whole.real, **close)


@pytest.mark.parametrize("name", ("x", "w"))
def test_complex_gradients_are_conjugate_wirtinger(name):
    """Of a real loss L = sum |y|^2 / 2, whose gradient by y is y: dL = Re(conj(gradient) * d) for a small change d."""
    x, w, _, _ = numbers(ROWS, "complex128")
    y = nd.conv(x, w, **ROWS.options)
    gradient = getattr(nd.conv_backward(y, x, w, **ROWS.options), name)
    step = np.exp(1j * np.arange(gradient.size)).reshape(gradient.shape) * 1e-5

    def loss(sign):
        x2, w2 = (x + sign * step, w) if name == "x" else (x, w + sign * step)
        return (np.abs(nd.conv(x2, w2, **ROWS.options))**2).sum() / 2

    assert (loss(1) - loss(-1)) / 2 == pytest.approx((gradient.conj() * step).sum().real, rel=1e-6)


@pytest.mark.parametrize("dtype", (*HALVES, *COMPLEX))
@pytest.mark.parametrize("mode", ("edge", "wrap", ("reflect", "zeros")))
def test_padding_modes(dtype, mode):
    x, w, b, _ = numbers(ROWS, dtype)
    modes = (mode, mode) if isinstance(mode, str) else mode
    padded = x
    for axis, name in enumerate(modes, 2):
        width = [(1, 1) if a == axis else (0, 0) for a in range(4)]
        padded = np.pad(padded, width, mode="constant" if name == "zeros" else name)
    options = ROWS.options | dict(method="gemm")
    got = nd.conv(x, w, b, **options | dict(padding_mode=mode))
    want = nd.conv(padded, w, b, **options | dict(padding=0))
    scale = 1e-2 if dtype in HALVES[:1] else 1e-1 if dtype in HALVES else 1e-5
    np.testing.assert_allclose(got.astype(want.dtype if dtype in COMPLEX else float), want.astype(got.dtype if dtype in COMPLEX
                                                                                                  else float), atol=scale)


@pytest.mark.parametrize("dtype", (*HALVES, *COMPLEX))
def test_residual_activation_and_out(dtype, slab_bytes):
    x, w, b, dy = numbers(ROWS, dtype)
    plain = nd.conv(x, w, b, method="gemm", **ROWS.options)
    activation = None if dtype in COMPLEX else "relu"
    got = nd.conv(x, w, b, residual=dy, activation=activation, method="gemm", **ROWS.options)
    wide = np.complex128 if dtype in COMPLEX else float
    want = plain.astype(wide) + dy.astype(wide)
    want = want if dtype in COMPLEX else np.maximum(want, 0)
    rough, fine = (0.02, 0.1) if dtype in HALVES else (1e-4, 1e-4)
    np.testing.assert_allclose(got.astype(wide), want, rough, fine)
    out = np.full_like(plain, 7)
    assert nd.conv(x, w, b, method="gemm", out=out, **ROWS.options) is out
    assert bits(out) == bits(plain)
    same = Conv("same", 1, 4, 4, (9, 9), (3, 3), padding=1)
    x, w, _, _ = numbers(same, dtype)
    want = nd.conv(x, w, method="gemm", padding=1)
    assert bits(nd.conv(x, w, method="gemm", padding=1, out=x)) == bits(want)
    back = np.moveaxis(np.ones((1, 9, 9, 4), dtype), -1, 1)
    assert nd.conv(back, w, padding=1).strides[1] == np.dtype(dtype).itemsize  # memory follows the input's


@pytest.mark.parametrize("dtype", (*HALVES, *COMPLEX))
def test_not_finite_reaches_its_windows_only(dtype):
    case = Conv("local", 1, 4, 5, (20, 20), (3, 3), padding=1)
    x, w, _, _ = numbers(case, dtype)
    clean = nd.conv(x, w, padding=1)
    x = x.copy()
    x[0, 1, 9, 4] = np.nan
    got = nd.conv(x, w, padding=1)
    hit = np.zeros(got.shape, bool)
    hit[0, :, 8:11, 3:6] = True
    parts = [got.real, got.imag] if dtype in COMPLEX else [got.astype(float)]
    for part in parts:
        assert np.isnan(part[hit]).all() and np.isfinite(part[~hit]).all()
    assert bits(got[~hit]) == bits(clean[~hit])


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("case", POOLING[::3], ids=lambda c: c.name)
def test_pooling(dtype, case, monkeypatch):
    """That of float32, rounded; the same in parts of one image or channel."""
    x = draw(case.name, case.x_shape(), np.float32).astype(dtype)
    for layout in case.layouts:
        a = to_layout(x, layout)
        options = case.options | dict(layout=layout)
        for pool in (nd.max_pool, nd.min_pool, nd.avg_pool):
            want = pool(a.astype(np.float32), case.window, **options).astype(dtype)
            assert bits(pool(a, case.window, **options)) == bits(want)
            with monkeypatch.context() as patch:
                patch.setattr("ndconv.half.SLAB_BYTES", 1)
                out = np.empty_like(want)
                assert pool(a, case.window, out=out, **options) is out
                assert bits(out) == bits(want)
        y, indices = nd.max_pool(a, case.window, return_indices=True, index_dtype=np.int32, **options)
        wide, places = nd.max_pool(a.astype(np.float32), case.window, return_indices=True, index_dtype=np.int32, **options)
        assert bits(y) == bits(wide.astype(dtype)) and bits(indices) == bits(places)
    one = x[0]
    np.testing.assert_array_equal(nd.max_pool(one, (case.window,) * case.rank if isinstance(case.window, int) else case.window,
                                              **case.options).astype(float),
                                  nd.max_pool(x, case.window, **case.options)[0].astype(float))


def test_half_beyond_its_end_is_infinite():
    x, w = np.full((1, 1, 4), 60000, np.float16), np.array([[[1.0, -1.0, 1.0]], [[1.0, 0.5, 0.0]]], np.float16)
    np.testing.assert_array_equal(nd.conv(x, w)[0], np.array([[60000, 60000], [np.inf, np.inf]], np.float16))


def test_rounding_to_even():
    """Results half way between two float16 go to the even one: what one rounding of the exact sum gives."""
    x = np.array([[[2048.0, 1.0, 2050.0, 1.0, 2.0**-24, 2.0**-25 * 3]]], np.float16)
    y = nd.conv(x, np.ones((1, 1, 2), np.float16))
    assert y[0, 0, :2].tolist() == [2048.0, 2052.0]
    assert nd.conv(x[..., 4:5], np.full((1, 1, 1), 0.5, np.float16)).item() == 0


V, T = ValueError, TypeError
X, W = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3))
ERRORS = [
    (lambda: nd.conv(X.astype(np.float16), W.astype(np.float32)), T, "x is float16, so w must be too; got float32"),
    (lambda: nd.conv(X.astype(np.complex64), W), T, "w must be complex64 or float32 beside x of complex64; got float64"),
    (lambda: nd.conv(X.astype(np.complex64), W.astype(np.complex128)), T, "w must be complex64 or float32"),
    (lambda: nd.conv(X.astype(np.float16), W.astype(np.complex64)), T, "so w must be too; got complex64"),
    (lambda: nd.conv(X + 0j, W, activation="relu"), T, "activation='relu' is of real numbers"),
    (lambda: nd.conv(X + 0j, W, np.ones(3)), T, "bias must be complex128"),
    (lambda: nd.conv(X + 0j, W, residual=np.ones((1, 3, 3, 3))), T, "residual must be complex128"),
    (lambda: nd.conv(X + 0j, W, out=np.ones((1, 3, 3, 3))), T, "out must be complex128"),
    (lambda: nd.conv(X.astype(np.float16), W.astype(np.float16), out=np.ones((3, 3, 3), np.float16)), V, "out must have shape"),
    (lambda: nd.conv(X.astype(np.float16), W.astype(np.float16), accumulate=np.float64), T, "accumulate must be float32"),
    (lambda: nd.conv(X, W, accumulate=np.float64), T, "accumulate is for integers"),
    (lambda: nd.conv(X + 0j, W, nan_policy="omit"), T, "x must be float32 or float64, not complex128"),
    (lambda: nd.conv(X + 0j, W, accumulate=np.int32), T, "accumulate is for integers"),
    (lambda: nd.conv(X + 0j, W, method="fft", accuracy="strict"), nd.MethodNotApplicable, "fft"),
    (lambda: nd.conv_input_grad(np.ones((1, 3, 3, 4), np.float16), W.astype(np.float16), X.shape), V, "dy must have shape"),
    (lambda: nd.conv_weight_grad(np.ones((1, 3, 3, 3), np.float16), X, W.shape), T, "dy is float16, so x must be too"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=range(len(ERRORS)))
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("dtype, part", (("float16", "float32"), ("complex64", "float32"), ("complex128", "float64")))
def test_explain_tells_the_real_problem(dtype, part):
    shapes = (2, 64, 56, 56), (64, 64, 3, 3)
    explanation = nd.explain(*shapes, dtype=dtype, padding=1)
    assert explanation.problem.dtype == part
    assert any(row.chosen for row in explanation.rows)
    assert "gemm" in nd.methods(*shapes, dtype=dtype, padding=1)
    for op in ("input_grad", "weight_grad", "transpose"):
        assert nd.explain(*shapes, dtype=dtype, padding=1, op=op).problem.op == op
    assert nd.methods((0, 2, 5, 5), W.shape, dtype=dtype)


@pytest.mark.parametrize("dtype", (*HALVES, *COMPLEX))
@pytest.mark.parametrize("place", ("start", "end"))
@pytest.mark.skipif(sys.platform == "win32", reason="guarded.py protects pages with mprotect")
def test_nothing_beyond_the_arrays(dtype, place):
    """A process that dies of an access outside x, w, bias, residual or out prints nothing."""
    done = run_python(f"""
import numpy as np, ndconv as nd
try:
    import ml_dtypes
except ImportError:
    pass
from guarded import Room
for width in range(1, 40):
    for layout in ("NCHW", "NHWC"):
        shape = (1, 3, 4, width) if layout == "NCHW" else (1, 4, width, 3)
        x, w, b = np.ones(shape, "{dtype}"), np.ones((2, 3, 3, 3), "{dtype}"), np.ones(2, "{dtype}")
        y = nd.conv(x, w, b, padding=1, layout=layout)
        want = nd.conv(x, w, b, padding=1, layout=layout, residual=y)
        g, h, v, r, out = (Room(4).put(a, {place!r}) for a in (x, w, b, y, y))
        assert (nd.conv(g, h, v, padding=1, layout=layout, residual=r, out=out) == want).all()
        nd.conv_backward(r, g, h, padding=1, layout=layout)
print("alive")
""")
    assert done.returncode == 0 and done.stdout == "alive\n", done.stderr


def test_memory_is_bounded():
    """Converted slabs, not the whole of a tensor."""
    case = Conv("large", 1, 4, 4, (2000, 1500), (3, 3), padding=1)
    problem = nd.plan.make_problem("forward", case.x_shape(), case.w_shape, "float16", 1, 1, 1, 1, False, None)[0]
    parts = list(slabs.slabs_of(problem, 4, 4))
    sizes = {slabs._bytes(problem, 1, [1, *(s.stop - s.start for s in slab.results)], 4, 4) for slab in parts}
    assert len(parts) > 1 and max(sizes) <= slabs.SLAB_BYTES


@pytest.mark.parametrize(("dtype", "options"), [("float16", {}), ("complex64", {}), ("int8", dict(accumulate=np.int32)),
                                                ("int32", dict(accumulate=np.int64)), ("int16", dict(accumulate=np.float32))])
def test_plans_of_slabs_explain_themselves(dtype, options):
    x, w = np.ones((2, 3, 9, 11), dtype), np.ones((4, 3, 3, 3), dtype)
    plan = nd.plan_conv(x.shape, w, padding=1, dtype=dtype, **options)
    nd.clear_caches()
    plan(x)
    assert 0 < plan.workspace_bytes and _runtime.scratch_bytes() <= plan.workspace_bytes + 8192
    rows = plan.explain().rows
    assert sum(row.chosen for row in rows) == 1 and all(row.reason for row in rows)
    empty = nd.plan_conv((0, 3, 9, 11), w, dtype=dtype, **options)
    assert empty.workspace_bytes >= 0 and empty.explain().rows
