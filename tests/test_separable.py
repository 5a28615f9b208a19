"""separable: kernels of low rank, which only the weights show, against the float64 definition."""
import itertools

import numpy as np
import pytest
from cases import Conv, draw, pairs, to_layout
from checks import assert_near_integers, bits

import ndconv as nd
from ndconv import filters, reference
from ndconv._separable import most_rank, rank_of
from ndconv.plan import make_problem

CASES = (
    Conv("3x3", 2, 3, 3, (7, 9), (3, 3), 1, 1, groups=3),
    Conv("image", 1, 1, 1, (40, 67), (7, 5), 1, (3, 2)),
    Conv("strips", 1, 1, 1, (9, 4500), (9, 3), 1, (4, 1)),
    Conv("tall", 1, 1, 1, (700, 5), (11, 11), 1, (5, 7)),
    Conv("short-rows", 1, 2, 2, (9, 3), (3, 3), 1, 1, groups=2),
    Conv("multiplier", 1, 3, 6, (12, 20), (4, 6), 1, ((1, 3), (4, 0)), groups=3),
    Conv("stride", 1, 2, 2, (23, 41), (5, 4), (2, 3), 2, groups=2),
    Conv("dilation", 1, 2, 2, (30, 41), (3, 4), 1, 4, (5, 3), groups=2),
    Conv("stride-dilation", 1, 2, 2, (31, 44), (3, 5), (3, 2), 3, (2, 2), groups=2),
    Conv("stride-beyond-kernel", 1, 1, 1, (40, 33), (3, 3), (7, 5), 1),
    Conv("crop-flip", 1, 2, 2, (20, 21), (3, 5), 1, ((-2, 3), (1, -4)), groups=2, flip=True),
    Conv("large-kernel", 1, 1, 1, (40, 45), (31, 29), 1, 15),
    Conv("3d", 1, 2, 2, (6, 9, 20), (3, 4, 5), 1, ((2, 1), (2, 2), (0, 3)), groups=2),
    Conv("3d-stride-dilation", 1, 1, 1, (13, 12, 21), (2, 3, 3), (2, 1, 2), 2, (3, 2, 1)),
    Conv("3d-flat", 1, 1, 1, (8, 1, 21), (5, 1, 4), 1, (2, 0, 2)),
)


def weights(case, dtype, rank=1, integers=False):
    """Sums of `rank` products of 1-D kernels; small integers stay exact."""
    total = np.zeros(case.w_shape)
    for q in range(rank):
        factors = [draw(f"{case.name}{q}{axis}", (case.oc, taps), "float64", False) for axis, taps in enumerate(case.kernel)]
        product = np.ones(case.w_shape)
        for axis, factor in enumerate(factors, 2):
            factor = np.sign(factor) * 2.0 ** np.clip(np.rint(2 * factor), -2, 2) if integers else factor
            product = product * factor.reshape(case.oc, *(-1 if a == axis else 1 for a in range(1, 2 + case.rank)))
        total += product
    return total.astype(dtype)


def problem_of(case, dtype="float32", op="forward"):
    return make_problem(op, case.x_shape(), case.w_shape, dtype, case.stride, case.padding, case.dilation, case.groups, case.flip,
                        None)[0]


def ranks(case):
    return range(1, min(most_rank(problem_of(case)), 3) + 1)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_rank_one_is_exact_on_powers_of_two(case, isa):
    for dtype in ("float32", "float64"):
        x, _, b, _ = case.arrays(dtype, integers=True)
        w = weights(case, dtype, integers=True)
        want = reference.conv(x, w, b, **case.normalised)
        for layout, threads in itertools.product(case.layouts, (1, 2, 3)):
            y = nd.conv(to_layout(x, layout), w, b, layout=layout, method="separable", threads=threads, **case.options)
            y = np.moveaxis(y, -1, 1) if layout.endswith("C") else y
            np.testing.assert_array_equal(y, want, f"{dtype} {layout} threads={threads}")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_error(case, dtype, isa):
    """Relative L2 error: a few roundings more than a direct sum's."""
    x, _, b, _ = case.arrays(dtype)
    for rank in ranks(case):
        w = weights(case, dtype, rank)
        want = reference.conv(x, w, b, **case.normalised)
        y = nd.conv(x, w, b, method="separable", **case.options)
        error = np.linalg.norm(y - want) / np.linalg.norm(want)
        assert error <= 8 * np.finfo(dtype).eps, f"rank {rank}: {error}"


@pytest.mark.parametrize("case", [c for c in CASES if c.stride == 1 and c.groups == c.oc], ids=lambda c: c.name)
def test_input_gradient(case, dtype):
    x, _, _, dy = case.arrays(dtype, integers=True)
    w = weights(case, dtype, integers=True)
    dx = nd.conv_input_grad(dy, w, x.shape, method="separable", **case.options)
    np.testing.assert_array_equal(dx, reference.conv_input_grad(dy, w, x.shape, **case.normalised))


@pytest.mark.parametrize("case", (CASES[1], CASES[5], CASES[6], CASES[12]), ids=lambda c: c.name)
def test_what_is_not_finite_stays_in_its_windows(case, isa):
    """Of the same kind as by the definition, also where the terms of a sum cancel."""
    x, _, b, _ = case.arrays("float32")
    for rank, bad in itertools.product(ranks(case), (np.nan, np.inf, -np.inf)):
        w = weights(case, "float32", rank)
        clean = nd.conv(x, w, b, method="separable", **case.options)
        x.flat[x.size // 2] = bad
        want = reference.conv(x, w, b, **case.normalised)
        got = nd.conv(x, w, b, method="separable", **case.options)
        np.testing.assert_array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)])
        np.testing.assert_array_equal(got[np.isfinite(want)], clean[np.isfinite(want)])
        x.flat[x.size // 2] = 1


def test_products_beyond_the_largest_number():
    """A pass overflows where the sum does not."""
    x = np.full((1, 1, 5, 6), np.finfo("f4").max / 3, "f4")
    w = np.outer([1, -1, 1], [1, 1, 1]).astype("f4")[None, None]
    y = nd.conv(x, w, method="separable")
    want = nd.conv(x.astype(float), w.astype(float))
    np.testing.assert_allclose(y, want, rtol=1e-6)


def test_bits_do_not_depend_on_threads_or_company():
    case = CASES[2]
    x = np.concatenate([draw(f"image{i}", case.x_shape(), "float32") for i in range(3)])
    w = weights(case, "float32")
    one = nd.conv(x, w, method="separable", threads=1, **case.options)
    assert bits(one) == bits(nd.conv(x, w, method="separable", threads=3, **case.options))
    assert bits(one[1]) == bits(nd.conv(x[1], w, method="separable", **case.options))


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_rank(rank, dtype):
    rng = np.random.default_rng(rank)
    w = np.einsum("oqa,oqb->oab", *rng.standard_normal((2, 4, rank, 9)))[:, None].astype(dtype)
    assert rank_of(w, 8) == rank == np.linalg.matrix_rank(w[0, 0], rtol=1e-5)
    w[2, 0, 4, 4] += 0.5
    assert rank_of(w, 8) == rank + 1 and rank_of(w, rank) == rank + 1
    w[1, 0, 0, 0] = np.nan
    assert rank_of(w, 8) == -1


def test_ranks_of_filters():
    known = {"box": 1, "gaussian": 1, "sobel": 1, "prewitt": 1, "scharr": 1, "identity": 1, "laplacian": 2, "sharpen": 2}
    assert {name: rank_of(filters.KERNELS[name]()[None, None], 3) for name in known} == known
    assert rank_of(np.zeros((1, 1, 3, 3)), 1) == 1, "zeros are a product"


def test_small_elements_keep_their_digits():
    """The tails of a Gaussian, 1e-30 of its middle, come out to a few roundings each."""
    g = filters.gaussian(2, 33)
    impulse = np.zeros((1, 1, 65, 65), "f4")
    impulse[0, 0, 32, 32] = 1
    y = nd.conv(impulse, g[None, None], method="separable")[0, 0]
    np.testing.assert_allclose(y, g[::-1, ::-1], rtol=8 * 2**-24)


@pytest.mark.parametrize("arguments", [
    (np.eye(5), "rank 5; up to 2"), (np.full((3, 3), np.nan), "not finite"), (np.ones((1, 7)), "nothing to separate"),
], ids=("full-rank", "nan", "row"))
def test_forced_on_other_kernels(arguments):
    kernel, message = arguments
    x, out = np.ones((1, 1, 20, 20)), np.zeros((1, 1, 20, 20))
    for call in (lambda: nd.conv(x, kernel[None, None], padding="same", method="separable", out=out),
                 lambda: nd.plan_conv(x.shape, kernel[None, None], padding="same", method="separable")):
        with pytest.raises(nd.MethodNotApplicable, match=f"separable.*{message}"):
            call()
    assert not out.any()


def test_forced_on_what_it_cannot():
    x, w = np.ones((1, 2, 9, 9)), np.ones((1, 2, 3, 3))
    with pytest.raises(nd.MethodNotApplicable, match="one input channel a group"):
        nd.conv(x, w, method="separable")
    with pytest.raises(nd.MethodNotApplicable, match="accuracy='strict'"):
        nd.conv(x[:, :1], w[:, :1], method="separable", accuracy="strict")
    with pytest.raises(nd.MethodNotApplicable, match="with respect to the weights"):
        nd.conv_weight_grad(np.ones((1, 1, 7, 7)), x[:, :1], (1, 1, 3, 3), method="separable")
    with pytest.raises(nd.MethodNotApplicable, match="several kernels"):
        nd.conv_input_grad(np.ones((1, 1, 4, 4)), w[:, :1], (1, 1, 9, 9), method="separable", stride=2)


def test_auto_looks_at_the_weights():
    """The same shapes with and without a low rank; a plan explains what it saw."""
    x = draw("auto", (1, 1, 300, 300), "float32")
    low = filters.gaussian(2, 15)[None, None]
    full = draw("auto", (1, 1, 15, 15), "float32")
    assert nd.plan_conv(x.shape, low).method == "separable"
    assert nd.plan_conv(x.shape, full).method != "separable"
    for w in (low, full, low):
        want = reference.conv(x, w)
        y = nd.conv(x, w)
        assert np.linalg.norm(y - want) <= 1e-6 * np.linalg.norm(want)
        by = nd.conv(x, w, method=nd.plan_conv(x.shape, w).method)
        assert w is full or bits(y) == bits(by)
    assert nd.plan_conv(x.shape, low, accuracy="strict").method != "separable"
    row, = (row for row in nd.plan_conv(x.shape, low).explain().rows if row.chosen)
    assert row.method == "separable"
    *_, row = nd.plan_conv(x.shape, full).explain().rows
    assert row.method == "separable" and "rank" in row.reason
    *_, row = nd.explain(x.shape, low.shape).rows
    assert row.method == "separable" and "depends on the weights" in row.reason and not row.applicable


def test_every_boundary_and_the_epilogue():
    x, w = draw("edge", (1, 1, 20, 30), "float64", True), np.outer([1.0, 2, 1], [1.0, 0, -1])[None, None]
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        want = reference.conv(np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], mode), w)
        got = nd.conv(x, w, padding=1, padding_mode=mode, method="separable")
        np.testing.assert_array_equal(got, want)
        got = nd.conv(x, w, padding=1, padding_mode=mode, method="separable", activation="relu", residual=x)
        assert_near_integers(got, np.maximum(want + x, 0), "separable")


def test_workspace_is_what_was_stated():
    for case in CASES:
        assert pairs(case.padding, case.rank)
        plan = nd.plan_conv(case.x_shape(), weights(case, "float32"), method="separable", **case.options)
        assert 0 < plan.workspace_bytes < 2**22
        with pytest.raises(nd.MethodNotApplicable, match="workspace_limit"):
            nd.plan_conv(case.x_shape(), weights(case, "float32"), method="separable", workspace_limit=100, **case.options)


@pytest.mark.parametrize("dilation", (1, 2))
def test_channels_with_one_kernel_are_one_row(dilation, dtype):
    """A colour image whose channels share a kernel is what its channels are one by one, also beside a NaN."""
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((2, 20, 37, 3)).astype(dtype), np.tile(filters.gaussian(1.0, 5, dtype=dtype), (3, 1, 1, 1))
    x[0, 4, 9, 1] = np.nan
    residual = rng.standard_normal(x.shape).astype(dtype)
    options = dict(padding=((3, 1), (0, 4)), dilation=dilation, method="separable", activation="relu")
    if dilation == 2:
        options["padding"] = 4
    for b in (None, np.full(3, 0.5, dtype), np.array([0.5, 1.0, 2.0], dtype)):
        got = nd.conv(x, w, b, groups=3, layout="NHWC", residual=residual, **options)
        for c in range(3):
            bias, added = None if b is None else b[c:c + 1], residual[..., c][:, None]
            want = nd.conv(x[..., c][:, None], w[:1], bias, residual=added, **options)
            np.testing.assert_allclose(got[..., c], want[:, 0], rtol=1e-6 if dtype == "float32" else 1e-14, atol=1e-6)
    w[1] = w[1, 0].T[::-1] * 2
    got = nd.conv(x, w, groups=3, layout="NHWC", **options)
    np.testing.assert_array_equal(got[..., 1], nd.conv(x[..., 1][:, None], w[1:2], **options)[:, 0])
