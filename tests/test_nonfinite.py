"""NaN, infinity, denormals and values near overflow: they reach what their window reaches, and nothing else."""
import numpy as np
import pytest
from cases import ANY_RANK, GEOMETRY, GROUPED, SPECTRAL, TILED
from checks import EXACT_METHODS, attempt, bits, case_for, compute, data

import ndconv as nd
from ndconv import reference

CASES = (*GEOMETRY[:11], *GEOMETRY[14:17], GROUPED[0], GROUPED[3], GROUPED[4], ANY_RANK[1], ANY_RANK[5], *SPECTRAL[:7],
         *SPECTRAL[8:10], TILED[0], TILED[1], *TILED[4:7], TILED[8], *TILED[10:12])
BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def defined(case, arrays, of):
    x, w, b, dy = (np.asarray(a, np.float64) for a in arrays)
    with np.errstate(invalid="ignore"):
        if of == "y":
            return reference.conv(x, w, b, **case.normalised)
        if of == "x":
            return reference.conv_input_grad(dy, w, x.shape, **case.normalised)
        return reference.conv_weight_grad(dy, x, w.shape, **case.normalised)


def assert_local(got, want, clean, method, what):
    """Non-finite exactly where the definition is, of the same kind and sign; elsewhere the result without the bad cell."""
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), f"{what}: NaN elsewhere")
    for sign in (np.inf, -np.inf):
        np.testing.assert_array_equal(got == sign, want == sign, f"{what}: {sign} elsewhere")
    untouched = np.isfinite(want)
    if method in EXACT_METHODS:
        assert bits(got[untouched]) == bits(clean[untouched]), f"{what}: untouched cells changed"
    else:
        np.testing.assert_allclose(got[untouched], clean[untouched], rtol=0, atol=1e-5 * np.abs(clean).max(), err_msg=what)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("bad", BAD)
def test_one_bad_cell(case, bad, method, isa):
    """In x for y and dw, and in dy for dx: at both ends and inside, so that vector bodies and their tails meet it."""
    x, w, b, dy = (a.copy() for a in data(case, "float32", False))
    for of, holder in (("y", x), ("x", dy), ("w", x)):
        clean = attempt(case, (x, w, b, dy), of, method=method)
        if clean is None:
            continue
        for place in (0, holder.size // 2 + 1, holder.size - 1):
            before = holder.flat[place]
            holder.flat[place] = BAD[bad]
            want = defined(case, (x, w, b, dy), of)
            for layout in case.layouts:
                unharmed = clean if layout == case.layouts[0] else None
                got = compute(case, (x, w, b, dy), of, layout, method=method)
                if unharmed is None:
                    holder.flat[place] = before
                    unharmed = compute(case, (x, w, b, dy), of, layout, method=method)
                    holder.flat[place] = BAD[bad]
                assert_local(got, want, unharmed, method, f"{of} {layout} cell {place}")
            holder.flat[place] = before


@pytest.mark.parametrize("layout", (0, 1), ids=("first", "last"))
def test_bad_cell_in_every_lane(layout, dtype, isa, method):
    """Each position of a row once, as each may be handled by another lane, or by the tail."""
    case = case_for(method)
    x, w, b, dy = (a.copy() for a in data(case, dtype, False))
    layout = case.layouts[layout]
    for column in range(case.size[1]):
        before = x[1, 4, 7, column]
        x[1, 4, 7, column] = np.nan
        y = compute(case, (x, w, b, dy), layout=layout, method=method)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(defined(case, (x, w, b, dy), "y")))
        x[1, 4, 7, column] = before


def test_bad_weight_stays_in_its_channel(method, dtype):
    case = case_for(method)
    x, w, b, _ = (a.copy() for a in data(case, dtype, False))
    w[3, -1, 1, 1] = np.nan
    for layout in case.layouts:
        y = np.moveaxis(compute(case, (x, w, b, None), layout=layout, method=method), 1, 0)
        assert np.isnan(y[3]).all() and np.isfinite(np.delete(y, 3, 0)).all()
    b[5] = np.inf
    y = compute(case, (x, w, b, None), method=method)
    assert np.isinf(y[:, 5]).all() and np.isfinite(np.delete(y, (3, 5), 1)).all()


@pytest.mark.parametrize("scale", (1.0, -1.0))
def test_sums_near_overflow_stay_finite(method, dtype, scale, isa):
    """Intermediate values of a transform may overflow where the result does not."""
    case = case_for(method)
    x, w, b, dy = (a.copy() for a in data(case, dtype, False))
    big = np.finfo(dtype).max / 2
    x[0, 0, :4, :4], w[:, 0] = big * scale, 2.0**-9
    want = reference.conv(x.astype(np.longdouble), w, b, **case.normalised)
    y = compute(case, (x, w, b, dy), method=method)
    assert np.isfinite(want).all() and np.isfinite(y).all()
    far = np.abs(want) < big / 2**30
    assert far.any(), "cells that the great values do not reach"
    np.testing.assert_allclose(y, want, rtol=1e-3, atol=float(np.abs(want).max()) * 1e-5)


@pytest.mark.parametrize("method", EXACT_METHODS)
def test_denormals_are_numbers(method, dtype, isa):
    """Neither inputs nor results are flushed to zero, on any thread."""
    tiny = float(np.finfo(dtype).smallest_subnormal)
    x = np.full((2, 16, 40, 40), 3 * tiny, dtype)
    for threads in (1, 2, 3):
        y = nd.conv(x, np.ones((8, 16, 3, 3), dtype), padding=1, method=method, threads=threads)
        assert (y[:, :, 1:-1, 1:-1] == 3 * 9 * 16 * tiny).all()
    pooled = nd.avg_pool(x, 3)
    assert (pooled == 3 * tiny).all() and (nd.max_pool(x, 2) == 3 * tiny).all()


def test_all_infinite(method, dtype):
    """inf - inf is NaN, inf + inf is not."""
    case = case_for(method)
    options = dict(groups=case.groups, method=method)
    y = nd.conv(np.full(case.x_shape(), np.inf, dtype), np.ones(case.w_shape, dtype), **options)
    assert (y == np.inf).all()
    w = np.ones(case.w_shape, dtype)
    w[0, 0, 0, 0] = -1
    y = nd.conv(np.full(case.x_shape(), np.inf, dtype), w, **options)
    assert np.isnan(y[:, 0]).all() and (y[:, 1:] == np.inf).all()
