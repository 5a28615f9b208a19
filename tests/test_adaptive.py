"""Adaptive and global pooling, pyramids, upsampling and unpooling against the float64 definitions, and their gradients by the
adjoint identity or by differences."""
import itertools

import numpy as np
import pytest
from cases import LAYOUTS, draw, to_layout
from checks import assert_elementwise, bits
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import drawn

import ndconv as nd
from ndconv import reference

KINDS = ("max", "min", "avg", "lp")
POWERS = (0.5, 1, 2, 3.5, np.inf)
SHAPES = (((2, 3, 7), (3,)), ((1, 2, 40), (7,)), ((2, 3, 6, 9), (3, 3)), ((1, 5, 7, 5), (3, 8)), ((2, 17, 9, 4), 2),
          ((1, 4, 13, 37), (5, 9)), ((1, 2, 5, 4, 6), (2, 3, 4)), ((1, 33, 6, 6), 1), ((1, 3, 2, 3, 4), 1),
          ((0, 3, 4, 4), 2), ((2, 0, 4, 4), 2))
IDS = [f"{'x'.join(map(str, shape))}-{size}" for shape, size in SHAPES]


def back(a, layout):
    return np.moveaxis(a, -1, 1) if layout.endswith("C") else a


def dot(a, b):
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))


def assert_adjoint(y, dy, x, dx):
    """<dy, f(x)> = <f'(dy), x>, to what both sums may round."""
    scale = dot(np.abs(y), np.abs(dy)) + dot(np.abs(x), np.abs(dx))
    assert abs(dot(y, dy) - dot(x, dx)) <= 20 * np.finfo(dx.dtype).eps * scale


def assert_slope(f, x, dx, dy):
    """dx is the slope of sum(dy * f(x)) in float64: one random direction, by central differences."""
    direction = draw("direction", x.shape, "float64")
    step = 1e-6
    slope = (dot(f(x + step * direction), dy) - dot(f(x - step * direction), dy)) / (2 * step)
    assert abs(slope - dot(dx, direction)) <= 1e-6 * dot(np.abs(dx), np.abs(direction)) + 1e-9


@pytest.mark.parametrize(("shape", "size"), SHAPES, ids=IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_adaptive_pool(shape, size, kind, dtype, isa):
    x = draw("adaptive", shape, dtype)
    for p in POWERS if kind == "lp" else (2,):
        want, cells = reference.adaptive_pool(x, size, kind, p=p), np.prod(shape[2:])
        for layout in LAYOUTS[len(shape) - 2]:
            y = back(nd.adaptive_pool(to_layout(x, layout), size, kind, p=p, layout=layout), layout)
            assert y.dtype == dtype
            if kind in ("max", "min"):
                np.testing.assert_array_equal(y, want)
            else:
                absolute = reference.adaptive_pool(np.abs(x), size, kind, p=p)
                assert_elementwise(y, want, absolute, (cells + 8) * max(1, 1 / p, p if p < 9 else 1), f"{kind} {p} {layout}")


@pytest.mark.parametrize(("shape", "size"), SHAPES, ids=IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_adaptive_pool_backward(shape, size, kind, isa):
    x = draw("adaptive", shape, "float64")
    y = reference.adaptive_pool(x, size, kind)
    dy = draw("dy", y.shape, "float64")
    for layout, p in itertools.product(LAYOUTS[len(shape) - 2], (2, 3, 1.5, np.inf) if kind == "lp" else (2,)):
        dx = back(nd.adaptive_pool_backward(to_layout(dy, layout), to_layout(x, layout), size, kind, p=p, layout=layout), layout)
        assert dx.shape == x.shape
        assert_slope(lambda x, p=p: reference.adaptive_pool(x, size, kind, p=p), x, dx, dy)


@pytest.mark.parametrize("kind", ("max", "min"))
def test_ties_and_nan_of_bins(kind, dtype, isa):
    """The first of equals gets dy, the first NaN before all."""
    x = np.array(draw("ties", (2, 3, 7, 11), dtype, integers=True))
    x[0, 1, 3, 4], x[1, 2, 6, 10] = np.nan, np.nan
    sign = -1 if kind == "min" else 1
    for size in ((3, 4), (7, 11), 1, (1, 11)):
        want = reference.adaptive_pool(x, size, kind)
        dy = draw("dy", want.shape, dtype, integers=True)
        expected = np.zeros(x.shape)
        for n, c, *at in np.ndindex(*want.shape):
            bins = tuple(slice(o * i // s, -(-(o + 1) * i // s)) for o, i, s in zip(at, x.shape[2:], want.shape[2:], strict=True))
            window = x[(n, c, *bins)]
            first = np.unravel_index(np.argmax(sign * window), window.shape)
            expected[(n, c, *(b.start + f for b, f in zip(bins, first, strict=True)))] += dy[(n, c, *at)]
        for layout in ("NCHW", "NHWC"):
            moved = to_layout(x, layout)
            np.testing.assert_array_equal(back(nd.adaptive_pool(moved, size, kind, layout=layout), layout), want)
            dx = nd.adaptive_pool_backward(to_layout(dy, layout), moved, size, kind, layout=layout)
            np.testing.assert_array_equal(back(dx, layout), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_pyramid(kind, dtype):
    x, levels = draw("pyramid", (2, 5, 9, 7), dtype), (1, 2, (3, 4))
    parts = [nd.adaptive_pool(x, level, kind).reshape(2, 5, -1) for level in levels]
    dy = draw("dy", (2, 5, 1 + 4 + 12), dtype)
    gradients = [nd.adaptive_pool_backward(part.reshape(2, 5, *shape), x, level, kind)
                 for part, shape, level in zip(np.split(dy, (1, 5), 2), ((1, 1), (2, 2), (3, 4)), levels, strict=True)]
    for layout in ("NCHW", "NHWC"):
        moved = to_layout(x, layout)
        y = nd.spatial_pyramid_pool(moved, levels, kind, layout=layout)
        np.testing.assert_allclose(back(y, layout), np.concatenate(parts, 2), rtol=0, atol=20 * np.finfo(dtype).eps)
        bins = to_layout(dy, "NCW" if layout == "NCHW" else "NWC")
        dx = nd.spatial_pyramid_pool_backward(bins, moved, levels, kind, layout=layout)
        np.testing.assert_allclose(back(dx, layout), sum(gradients), rtol=1e-4, atol=20 * np.finfo(dtype).eps)


def test_adaptive_as_pytorch(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch, a second opinion, is not installed")
    f = torch.nn.functional
    for shape, size in (s for s in SHAPES if 0 not in s[0]):
        x, rank = draw("torch", shape, dtype), len(shape) - 2
        for kind in ("max", "avg"):
            theirs = getattr(f, f"adaptive_{kind}_pool{rank}d")(torch.from_numpy(x.copy()), size)
            np.testing.assert_allclose(nd.adaptive_pool(x, size, kind), theirs.numpy(), rtol=0, atol=20 * np.finfo(dtype).eps)


RESIZED = (((2, 3, 5), dict(scale=2)), ((1, 3, 5), dict(size=13)), ((1, 2, 9), dict(scale=0.5)), ((1, 2, 4), dict(size=1)),
           ((2, 3, 4, 5), dict(scale=2)), ((1, 17, 6, 5), dict(size=(9, 4))), ((1, 3, 7, 40), dict(scale=(1.7, 2.3))),
           ((1, 3, 1, 1), dict(size=(3, 2))), ((1, 2, 3, 4, 5), dict(scale=2)), ((1, 3, 4, 5, 3), dict(size=(3, 7, 5))),
           ((0, 3, 4, 4), dict(scale=2)))
MODES = (dict(), dict(mode="linear"), dict(mode="linear", align_corners=True))


@pytest.mark.parametrize("mode", MODES, ids=lambda m: "-".join(map(str, m.values())) or "nearest")
@pytest.mark.parametrize(("shape", "to"), RESIZED, ids=[f"{'x'.join(map(str, s))}-{next(iter(t.values()))}" for s, t in RESIZED])
def test_upsample(shape, to, mode, dtype, isa):
    x, scale = draw("upsample", shape, dtype), to.get("scale")
    size = to.get("size") or tuple(np.floor(np.array(shape[2:]) * scale).astype(int))
    want, absolute = (reference.upsample(a, size, scale=scale, **mode) for a in (x, np.abs(x)))
    dy = draw("dy", want.shape, dtype)
    for layout in LAYOUTS[len(shape) - 2]:
        y = back(nd.upsample(to_layout(x, layout), layout=layout, **to, **mode), layout)
        assert y.dtype == dtype
        assert_elementwise(y, want, absolute, 8, layout)
        dx = nd.upsample_backward(to_layout(dy, layout), to_layout(x, layout).shape, layout=layout, **to, **mode)
        assert_adjoint(y, dy, x, back(dx, layout))


@pytest.mark.parametrize("mode", MODES, ids=lambda m: "-".join(map(str, m.values())) or "nearest")
def test_upsample_as_pytorch(mode):
    torch = pytest.importorskip("torch", reason="PyTorch, a second opinion, is not installed")
    for shape, to in (r for r in RESIZED if 0 not in r[0]):
        if not mode and to.get("scale") == (1.7, 2.3):
            continue  # PyTorch rounds 1/scale to float32, and takes cell 29 where 69/2.3 is 30
        x = draw("torch", shape, "float64")
        name = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape) - 2] if mode else "nearest"
        options = dict(align_corners=mode.get("align_corners", False)) if mode else {}
        options["scale_factor" if "scale" in to else "size"] = next(iter(to.values()))
        theirs = torch.nn.functional.interpolate(torch.from_numpy(x.copy()), mode=name, **options).numpy()
        np.testing.assert_allclose(nd.upsample(x, **to, **mode), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_upsampling_keeps_nan_local(layout, dtype, isa):
    """A cell of weight 0 is not read."""
    x = np.ones((1, 2, 3, 5), dtype)
    x[0, 0, 1, 2] = np.nan
    for mode in MODES:
        y = back(nd.upsample(to_layout(x, layout), size=(5, 9), layout=layout, **mode), layout)
        want = reference.upsample(np.isnan(x), (5, 9), **mode) > 0
        np.testing.assert_array_equal(np.isnan(y), want)


@settings(drawn, max_examples=100)
@given(st.data())
def test_any_bins(data):
    """Adaptive averages and upsampling of any shape, and the adjoint identity for both."""
    rank = data.draw(st.integers(1, 3))
    extents = data.draw(st.tuples(*[st.integers(1, 9)] * rank))
    size = data.draw(st.tuples(*[st.integers(1, 12)] * rank))
    layout = data.draw(st.sampled_from(LAYOUTS[rank]))
    x = draw("any", (2, data.draw(st.integers(1, 5)), *extents), "float64")
    moved = to_layout(x, layout)
    y = back(nd.adaptive_pool(moved, size, "avg", layout=layout), layout)
    np.testing.assert_allclose(y, reference.adaptive_pool(x, size, "avg"), rtol=0, atol=1e-14)
    dy = draw("any dy", y.shape, "float64")
    assert_adjoint(y, dy, x, back(nd.adaptive_pool_backward(to_layout(dy, layout), moved, size, "avg", layout=layout), layout))
    options = dict(size=size, layout=layout, **data.draw(st.sampled_from(MODES)))
    y = back(nd.upsample(moved, **options), layout)
    assert_adjoint(y, dy, x, back(nd.upsample_backward(to_layout(dy, layout), moved.shape, **options), layout))


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_unpooling_puts_back_what_pooling_kept(layout, dtype, isa):
    x = to_layout(draw("unpool", (2, 5, 8, 9), dtype), layout)
    y, indices = nd.max_pool(x, 2, return_indices=True, layout=layout)
    kept = nd.max_unpool(y, indices, x.shape, layout=layout)
    np.testing.assert_array_equal(kept, nd.max_pool_backward(y, indices, x.shape, 2, layout=layout))
    assert bits(nd.max_unpool_backward(x, indices, layout=layout)) == bits(y)
    assert_adjoint(kept, x, y, nd.max_unpool_backward(x, indices, layout=layout))
    ys, short = nd.max_pool(x, 3, stride=1, return_indices=True, index_dtype=np.int32, layout=layout)
    again = nd.max_unpool(ys, short, x.shape, layout=layout)
    np.testing.assert_array_equal(again[again != 0], x[again != 0])


@pytest.mark.parametrize("make", (np.asfortranarray, lambda a: np.repeat(a, 2, -1)[..., ::2],
                                  lambda a: a[..., ::-1].copy()[..., ::-1]), ids=("fortran", "every other", "backwards"))
def test_any_memory(make, dtype, isa):
    x = draw("memory", (2, 3, 6, 7), dtype)
    dy = draw("dy", (2, 3, 4, 3), dtype)
    for kind in KINDS:
        np.testing.assert_allclose(nd.adaptive_pool(make(x), (4, 3), kind), nd.adaptive_pool(x, (4, 3), kind), rtol=1e-6)
        np.testing.assert_allclose(nd.adaptive_pool_backward(make(dy), make(x), (4, 3), kind),
                                   nd.adaptive_pool_backward(dy, x, (4, 3), kind), rtol=1e-5)
    np.testing.assert_allclose(nd.upsample(make(x), scale=2, mode="linear"), nd.upsample(x, scale=2, mode="linear"), rtol=1e-6)


def test_threads_do_not_change_bits(dtype):
    x = draw("threads", (2, 40, 37, 61), dtype)
    dy = draw("dy", (2, 40, 11, 19), dtype)
    for layout in ("NCHW", "NHWC"):
        moved, grad = to_layout(x, layout), to_layout(dy, layout)
        results = [[bits(a) for kind in KINDS for a in (
            nd.adaptive_pool(moved, (11, 19), kind, layout=layout, threads=threads),
            nd.adaptive_pool_backward(grad, moved, (11, 19), kind, layout=layout, threads=threads),
            nd.upsample(moved, scale=2, mode="linear", layout=layout, threads=threads))] for threads in (1, 2, 3)]
        assert results[0] == results[1] == results[2]
