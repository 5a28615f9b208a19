"""The fused epilogue: y = activation(conv + bias + residual), in every method, layout and memory order."""
import numpy as np
import pytest
from cases import ANY_RANK, DEEP, EMPTY, GEOMETRY, GROUPED, PARALLEL, SPECTRAL, TILED, to_layout
from checks import EXACT_METHODS, attempt, bits, case_for, compute, data

import ndconv as nd
from ndconv import reference
from ndconv.activation import ACTIVATIONS

CASES = (*GEOMETRY[:5], GEOMETRY[6], GEOMETRY[8], *GROUPED[:4], GROUPED[6], *ANY_RANK[:2], *ANY_RANK[5:7], *EMPTY,
         DEEP[1], DEEP[2], DEEP[5], *SPECTRAL[:2], SPECTRAL[6], SPECTRAL[9], TILED[0], TILED[4], TILED[11],
         PARALLEL[0], PARALLEL[1], PARALLEL[3])
EACH = (None, *(name for name in ACTIVATIONS if name != "clip"), ("leaky_relu", 0.25), ("clip", -1, 1.5))


def shrunk(case, dtype):
    """x, w, b and a residual whose sums are exact and of the order of 1, where activations bend."""
    x, w, b, dy = data(case, dtype, True)
    return x, w / np.array(256, dtype), b / np.array(8, dtype), dy / np.array(16, dtype)


def assert_activated(got, before, activation, method, what):
    """`got` is the activation of `before`, which an exact method computes without rounding."""
    want = reference.activate(before, activation)
    assert got.shape == want.shape
    if method not in EXACT_METHODS:
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * (np.abs(before).max(initial=0) + 1), err_msg=what)
    elif activation in (None, "relu") or activation[0] == "clip":
        np.testing.assert_array_equal(got, want.astype(got.dtype), what, strict=False)
    else:  # 4 ulp, and as much for the definition
        np.testing.assert_allclose(got, want, rtol=8 * np.finfo(got.dtype).eps, atol=0, err_msg=what)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_activation_of_the_sum(case, method, isa):
    for dtype in ("float32", "float64"):
        x, w, b, residual = shrunk(case, dtype)
        plain = reference.conv(x, w, None, **case.normalised)
        for i, (activation, layout) in enumerate((a, layout) for a in EACH for layout in case.layouts):
            for bias, rest in ((b, residual), ((b, None), (None, residual), (None, None))[i % 3]):
                before = plain + (0 if bias is None else bias.reshape(-1, *[1] * case.rank)) + (0 if rest is None else rest)
                got = attempt(case, (x, w, bias, None), layout=layout, method=method, activation=activation, threads=1 + i % 3,
                              residual=None if rest is None else to_layout(rest, layout))
                if got is None:
                    return
                assert_activated(got, before, activation, method, f"{dtype} {layout} {activation}")


@pytest.mark.parametrize("activation", EACH, ids=str)
def test_not_finite(activation, method, dtype):
    """NaN stays NaN in its own windows, infinities give the limits, in the sums and in the residual."""
    case = case_for(method)
    x, w, b, residual = (a.copy() for a in shrunk(case, dtype))
    w[...] = np.abs(w) + 1
    for n, bad in enumerate((np.nan, np.inf, -np.inf)):
        x[0, 0, 5, 4 + 7 * n] = residual[1, 1, 2, 3 + n] = bad
    with np.errstate(invalid="ignore"):
        before = reference.conv(x, w, b, **case.normalised) + residual
    for layout in case.layouts:
        got = compute(case, (x, w, b, None), layout=layout, method=method, activation=activation,
                      residual=to_layout(residual, layout))
        want = reference.activate(before, activation)
        assert np.isnan(want).any() and np.isfinite(want).any()
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want[np.isfinite(want)]).max(), err_msg=layout)


@pytest.mark.parametrize("activation", ("sigmoid", "tanh", "silu"))
def test_whole_range(activation, dtype, isa):
    """Every magnitude from the smallest number to the largest: at most 4 ulp, without a warning, never out of bounds."""
    info = np.finfo(dtype)
    every = np.ldexp(np.linspace(1, 1.99, 3, dtype=dtype)[:, None], np.arange(info.minexp - info.nmant, info.maxexp)).ravel()
    x = np.concatenate([every.astype(dtype), np.linspace(0, 120, 4001, dtype=dtype), [info.max, np.inf]]).astype(dtype)
    x = np.concatenate([-x, x]).reshape(1, 1, -1)
    one = np.ones((1, 1, 1), dtype)
    got, wide = nd.conv(x, one, activation=activation, method="direct"), np.maximum(x.astype(np.longdouble), -1e4)
    small = np.exp(-np.abs(wide))
    sigmoid = np.where(wide < 0, small, 1) / (1 + small)
    want = dict(sigmoid=sigmoid, silu=wide * sigmoid, tanh=np.tanh(wide))[activation]
    assert (np.isfinite(got) | (got == np.inf)).all() and (activation == "silu" or (np.abs(got) <= 1).all())
    ulp = np.spacing(np.minimum(np.abs(want), info.max / 4).astype(dtype))
    infinite = np.isinf(want)
    assert (got[infinite] == want[infinite]).all()
    error = np.abs(got[~infinite] - want[~infinite])
    assert (error <= (4 if np.finfo(np.longdouble).eps < info.eps else 8) * ulp[~infinite]).all()


@pytest.mark.parametrize("case", (GEOMETRY[2], GROUPED[3], ANY_RANK[0], ANY_RANK[5], SPECTRAL[0]), ids=lambda c: c.name)
def test_residual_of_any_strides(case, method, dtype):
    x, w, b, residual = shrunk(case, dtype)
    n, c, *size = residual.shape
    views = {
        "backwards": np.ascontiguousarray(residual[..., ::-1])[..., ::-1],
        "Fortran": np.asfortranarray(residual),
        "wide rows": np.concatenate([residual, residual], -1)[..., :size[-1]],
        "channels last": np.moveaxis(to_layout(residual, "C"), -1, 1),
        "one number": np.broadcast_to(residual[:1, :1, :1].ravel()[:1].reshape((1,) * residual.ndim), residual.shape),
        "a vector": np.broadcast_to(residual[0, :, ...].reshape(c, -1)[:, :1].reshape(1, c, *[1] * len(size)), residual.shape),
        "other byte order": residual.astype(residual.dtype.newbyteorder()),
    }
    for name, view in views.items():
        for memory in (x, np.moveaxis(to_layout(x, "C"), -1, 1)):
            got = attempt(case, (memory, w, b, None), method=method, activation="relu", residual=view)
            if got is not None:
                same = compute(case, (memory, w, b, None), method=method, activation="relu", residual=np.array(view, dtype))
                assert bits(got) == bits(same), name


@pytest.mark.parametrize("case", (GEOMETRY[2], SPECTRAL[0], EMPTY[1]), ids=lambda c: c.name)
def test_plan_takes_both(case, method, dtype):
    x, w, b, residual = shrunk(case, dtype)
    if method not in nd.methods(x.shape, w.shape, dtype=dtype, **case.options):
        return
    plan = nd.plan_conv(x.shape, w, b, dtype=dtype, method=method, activation=["clip", -1, 1], **case.options)
    for rest in (None, residual):
        want = nd.conv(x, w, b, method=method, activation=("clip", -1, 1), residual=rest, **case.options)
        out = np.full_like(want, np.nan)
        assert bits(plan(x, residual=rest)) == bits(want)
        assert plan(x, out, rest) is out and bits(out) == bits(want)


def test_out_may_be_the_residual(method, dtype):
    """In whole, in part, and with x in the same memory too; other arguments stay as they are."""
    case = case_for(method)
    x, w, b, residual = shrunk(case, dtype)
    want = compute(case, (x, w, b, None), method=method, activation="relu", residual=residual)
    out = residual.copy()
    assert nd.conv(x, w, b, method=method, activation="relu", residual=out, out=out, **case.options) is out
    assert bits(out) == bits(want)
    room = np.zeros((3, *residual.shape[1:]), dtype)
    room[:2] = residual
    nd.conv(x, w, b, method=method, activation="relu", residual=room[:2], out=room[1:], **case.options)
    assert bits(room[1:]) == bits(want) and bits(room[0]) == bits(residual[0])
    kept = residual.copy()
    nd.conv(x, w, b, method=method, activation="relu", residual=kept, **case.options)
    assert bits(kept) == bits(residual)


def test_unbatched(dtype):
    x, w, b, residual = shrunk(GEOMETRY[0], dtype)
    one = nd.conv(x[0], w, b, activation="silu", residual=residual[0])
    assert one.ndim == 3 and bits(one) == bits(nd.conv(x, w, b, activation="silu", residual=residual)[0])


def test_plans_of_different_activations_are_not_the_same():
    """Neither are those whose keys only look equal."""
    x, w = np.full((1, 1, 1), -3.0), np.ones((1, 1, 1))
    results = [nd.conv(x, w, activation=a).item() for a in (None, "relu", "leaky_relu", ("leaky_relu", 0.5), ["leaky_relu", 1],
                                                            ("clip", -1, 0), ("clip", -2, 0), ("clip", -np.inf, np.inf))]
    assert results == [-3, 0, -0.03, -1.5, -3, -1, -2, -3]


@pytest.mark.parametrize("mode", ("reflect", "wrap", ("edge", "constant")), ids=str)
def test_with_other_padding(mode, method, dtype):
    case = case_for(method)
    x, w, b, residual = shrunk(case, dtype)
    options = case.options | dict(padding_mode=mode, padding_value=3, method=method)
    got = nd.conv(x, w, b, residual=residual, activation="silu", **options)
    before = nd.conv(x, w, b, **options).astype(np.float64) + residual
    assert_activated(got, before, "silu", method, mode)
    for shape in (residual[:1], residual[0, 0, 0]):
        with pytest.raises(ValueError, match="residual must have the shape"):
            nd.conv(x, w, b, residual=shape, **options)
