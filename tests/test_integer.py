"""Integers with a stated accumulator: exact against the definition, to the ends of their ranges, and never wrapped."""
import itertools
import zlib

import numpy as np
import pytest
from cases import ANY_RANK, EMPTY, GEOMETRY, GROUPED, Conv, to_layout
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import convs, drawn

import ndconv as nd
from ndconv import reference, slabs
from ndconv.integer import ACCUMULATORS, INTEGER_METHODS, OPERANDS

CASES = (*GEOMETRY[::2], *GROUPED[:4], *ANY_RANK[:4], *EMPTY[:3])
PAIRS = (("uint8", "int8"), ("int8", "uint8"), ("int16", "int8"), ("uint16", "int8"), ("int32", "int32"))
PLAIN = Conv("plain", 2, 5, 6, (9, 20), (3, 3), padding=1)


def numbers(case, x_dtype, w_dtype, most=2**31):
    """x, w and bias over all of their ranges, the ends often, as far as `most`."""
    rng = np.random.default_rng(zlib.crc32(f"{case} {x_dtype} {w_dtype}".encode()))

    def draw(shape, dtype):
        info = np.iinfo(dtype)
        low, high = max(info.min, -most), min(info.max, most)
        values = rng.integers(low, high, shape, endpoint=True)
        ends = rng.integers(0, 3, shape)
        return np.where(ends == 0, low, np.where(ends == 1, high, values)).astype(dtype)

    return draw(case.x_shape(), x_dtype), draw(case.w_shape, w_dtype), draw((case.oc,), "int32") // 2**16


def wide_conv(x, w, b, case):
    """The definition in Python's integers where float64 would round."""
    x, w, b = (a.astype(np.float64) for a in (x, w, b))
    low, high = x % 2**16, x // 2**16  # each half exact
    parts = [reference.conv(part, w, **case.normalised) for part in (low, high)]
    return parts[0].astype(np.int64) + parts[1].astype(np.int64) * 2**16 + b.astype(np.int64).reshape(-1, *[1] * case.rank)


def back(y, layout):
    return np.moveaxis(y, -1, 1) if layout.endswith("C") else y


@pytest.mark.parametrize("dtypes", PAIRS, ids="-".join)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_exact(case, dtypes, isa):
    x, w, b = numbers(case, *dtypes, most=2**24)
    want = wide_conv(x, w, b, case)
    for layout, method in itertools.product(case.layouts, INTEGER_METHODS):
        options = case.options | dict(layout=layout, method=method, threads=2)
        got = nd.conv(to_layout(x, layout), w, b.astype(np.int64), accumulate=np.int64, **options)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(back(got, layout), want, f"{layout} {method}")
        if np.abs(want).max(initial=0) < 2**31 and "int32" not in dtypes:
            got = nd.conv(to_layout(x, layout), w, b, accumulate=np.int32, **options)
            assert got.dtype == np.int32
            np.testing.assert_array_equal(back(got, layout), want, f"int32 {layout} {method}")


@pytest.mark.parametrize("isa", nd.isas())
@settings(drawn, max_examples=60)
@given(case=convs(), x_dtype=st.sampled_from(OPERANDS), w_dtype=st.sampled_from(OPERANDS), last=st.booleans(),
       accumulate=st.sampled_from(ACCUMULATORS), threads=st.integers(1, 3), slab=st.sampled_from((None, 300)))
def test_any_conv(isa, case, x_dtype, w_dtype, last, accumulate, threads, slab):
    """Numbers so small that every accumulator is exact."""
    x, w, b = numbers(case, x_dtype, w_dtype, most=200)
    # all sums of 32 bits and weights would not fit in 32 bits
    w = w * 0 if x_dtype == accumulate == "int32" else np.clip(w, -5 if w_dtype[0] == "i" else 0, 5)
    layout, before, bytes_before = case.layouts[last], nd.get_isa(), slabs.SLAB_BYTES
    try:
        nd.set_isa(isa)
        slabs.SLAB_BYTES = slab or bytes_before
        slabs._sizes.cache_clear()
        got = nd.conv(to_layout(x, layout), w, b.astype(accumulate), accumulate=accumulate, layout=layout, threads=threads,
                      accuracy="strict", **case.options)
    finally:
        slabs.SLAB_BYTES = bytes_before
        slabs._sizes.cache_clear()
        nd.set_isa(before)
    assert got.dtype == accumulate
    np.testing.assert_array_equal(back(got, layout), reference.conv(x, w, b, **case.normalised))


@pytest.mark.parametrize("x, w", [((255, 255), (127, 127)), ((255, 255), (-128, -128)), ((-128, -128), (-128, -128)),
                                  ((255, 0), (-128, 127)), ((-128, 127), (127, -128))], ids=str)
@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_no_product_saturates(x, w, layout, isa):
    """Sums of two products beyond int16, where an instruction for 8 bits would stop, and long sums of nothing else."""
    channels = 2 * 144
    x = np.tile(np.array(x), channels // 2).reshape(1, channels, 1, 1) * np.ones((1, 1, 6, 40), int)
    w = np.tile(np.array(w), channels // 2).reshape(1, channels, 1, 1) * np.ones((40, 1, 3, 3), int)
    got = nd.conv(to_layout(x.astype(np.uint8 if x.max() > 127 else np.int8), layout), w.astype(np.int8), accumulate=np.int32,
                  layout=layout)
    np.testing.assert_array_equal(back(got, layout), reference.conv(x, w))


@pytest.mark.parametrize("x_dtype", ("int16", "uint16"))
def test_sums_up_to_the_end(x_dtype, isa):
    """The largest sums that fit are exact, and one more is an error that names an accumulator, before anything is written."""
    most = int(np.iinfo(x_dtype).max)
    x, weight = np.full((1, 1, 4), most, x_dtype), 2**30 // (most + 1)
    w = np.array([[[weight, weight]]], np.int32)
    room = 2**31 - 1 - 2 * weight * most
    assert nd.conv(x, w, np.array([room], np.int32), accumulate=np.int32).tolist() == [[[2**31 - 1] * 3]]
    out = np.full((1, 1, 3), 7, np.int32)
    with pytest.raises(OverflowError, match="accumulate=int32 is too narrow: .* to 2147483648; accumulate=np.int64 holds them"):
        nd.conv(x, w, np.array([room + 1], np.int32), accumulate=np.int32, out=out)
    assert (out == 7).all()
    x, w = np.full((1, 1, 2), -2**31, np.int32), np.array([[[-2**31]]], np.int32)
    assert nd.conv(x, w, accumulate=np.int64).tolist() == [[[2**62] * 2]]
    with pytest.raises(OverflowError, match="to 9223372036854775808; accumulate=np.float64, which rounds"):
        nd.conv(x, np.repeat(w, 2, axis=2), accumulate=np.int64)


def test_least_times_least():
    """-32768 * -32768 twice is 2**31, which int32 has not: the one case in which the instruction for pairs wraps."""
    x, w = np.full((1, 2, 3), -32768, np.int16), np.full((1, 2, 1), -32768, np.int16)
    with pytest.raises(OverflowError, match="from .* to 2147483648; accumulate=np.int64 holds them"):
        nd.conv(x, w, accumulate=np.int32)
    assert nd.conv(x, w, accumulate=np.int64).tolist() == [[[2**31] * 3]]
    assert nd.conv(x[:, :1], w[:, :1], accumulate=np.int32).tolist() == [[[2**30] * 3]]
    assert nd.conv(x, w // 2, accumulate=np.int32).tolist() == [[[2**30] * 3]]


def test_long_sums_of_bytes_are_checked_by_their_dtypes():
    x, w = np.full((1, 66000, 1), 255, np.uint8), np.full((1, 66000, 1), -128, np.int8)
    with pytest.raises(OverflowError, match="int64"):
        nd.conv(x, w, accumulate=np.int32)
    assert nd.conv(x, w, accumulate=np.int64).item() == -66000 * 255 * 128
    assert nd.conv(x, np.full_like(w, -1), accumulate=np.int32).item() == -66000 * 255


@pytest.mark.parametrize("accumulate", ("float32", "float64"))
def test_float_accumulators_are_convolutions_of_floats(accumulate):
    x, w, b = numbers(PLAIN, "int16", "int8")
    floats = [a.astype(accumulate) for a in (x, w, b)]
    options = PLAIN.options | dict(method="gemm")
    got = nd.conv(x, w, floats[2], accumulate=accumulate, activation="relu", **options)
    assert got.dtype == accumulate
    np.testing.assert_array_equal(got, nd.conv(*floats, activation="relu", **options))


@pytest.mark.parametrize("mode", ("edge", "reflect", "wrap"))
def test_padding_modes(mode):
    x, w, b = numbers(PLAIN, "uint8", "int8")
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], mode=mode)
    np.testing.assert_array_equal(nd.conv(x, w, b, padding=1, padding_mode=mode, accumulate=np.int32),
                                  reference.conv(padded, w, b))


def test_any_memory_and_threads():
    """Strides, byte order, broadcast and unaligned arrays; `out` in any memory, or overlapping x."""
    x, w, b = numbers(PLAIN, "int16", "int8")
    want = nd.conv(x, w, b, padding=1, accumulate=np.int32)
    odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.int16).reshape(x.shape)
    odd[...] = x
    wide = np.repeat(x, 2, axis=3)[..., ::2]
    for a in (x[..., ::-1][..., ::-1], wide, x.astype(">i2"), odd, np.asfortranarray(x)):
        for threads in (1, 2, 3):
            np.testing.assert_array_equal(nd.conv(a, w, b, padding=1, accumulate=np.int32, threads=threads), want)
    out = np.zeros((*want.shape, 2), np.int32)[..., 0]
    assert nd.conv(x, w, b, padding=1, accumulate=np.int32, out=out) is out
    np.testing.assert_array_equal(out, want)
    x, w = numbers(Conv("x", 1, 4, 4, (8, 8), (3, 3)), "int32", "int8")[0], np.zeros((4, 4, 3, 3), np.int8)
    w[:, 0, 1, 2] = 1  # all of them the first channel one to the left
    want = np.broadcast_to(np.pad(x[:, :1, :, 1:], [(0, 0)] * 3 + [(0, 1)]), x.shape).copy()
    np.testing.assert_array_equal(nd.conv(x, w, padding=1, accumulate=np.int32, out=x), want)


T = TypeError
X, W = np.ones((1, 2, 5, 5), np.uint8), np.ones((3, 2, 3, 3), np.int8)
ERRORS = [
    (lambda: nd.conv(X, W), T, "x is uint8: .* accumulate=np.int32"),
    (lambda: nd.conv(X, W.astype(np.float32), accumulate=np.int32), T, "x is uint8 and w float32; both must be integers"),
    (lambda: nd.conv(X, W, accumulate=np.int16), T, "accumulate must be one of int32, int64, float32, float64; got int16"),
    (lambda: nd.conv(X, W, accumulate="no such"), T, "accumulate must be one of"),
    (lambda: nd.conv(X.astype(np.int64), W, accumulate=np.int64), T, "x must be float32 or float64, not int64"),
    (lambda: nd.conv(X, W, np.ones(3, np.int64), accumulate=np.int32), T, "bias must be int32"),
    (lambda: nd.conv(X, W, accumulate=np.int32, activation="relu"), T, "activation='relu' is of floats"),
    (lambda: nd.conv(X, W, accumulate=np.int32, residual=np.ones((1, 3, 3, 3), np.int32)), T, "residual is of floats"),
    (lambda: nd.conv(X, W, accumulate=np.int32, method="fft"), nd.MethodNotApplicable, "integers are convolved by direct"),
    (lambda: nd.conv(X, W, accumulate=np.int32, method="gemm", workspace_limit=0), nd.MethodNotApplicable, "workspace_limit=0"),
    (lambda: nd.conv(X, W, accumulate=np.int32, out=np.zeros((1, 3, 3, 3))), T, "out must be int32"),
    (lambda: nd.conv_transpose(X, W[:2]), T, "x is uint8"),
    (lambda: nd.conv_input_grad(np.ones((1, 3, 3, 3), np.int8), W, X.shape), T, "dy is int8 .* no gradients"),
    (lambda: nd.conv_weight_grad(np.ones((1, 3, 3, 3), np.int8), X, W.shape), T, "dy is int8 .* no gradients"),
    (lambda: nd.conv_backward(np.ones((1, 3, 3, 3), np.int8), X, W), T, "dy is int8 .* no gradients"),
    (lambda: nd.explain(X.shape, W.shape, dtype=np.int8), T, "dtype int8: integers are convolved by direct or gemm"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=range(len(ERRORS)))
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_constant_outside_that_eight_bits_do_not_hold():
    x, w = np.arange(-3, 4, dtype=np.int16)[None, None], np.ones((1, 1, 3), np.int8)
    y = nd.conv(x, w, padding=1, padding_mode="constant", padding_value=1000, accumulate=np.int32)
    assert y.ravel().tolist() == [995, -6, -3, 0, 3, 6, 1005]
