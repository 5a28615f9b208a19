"""Pooling: values, indices and gradients against the float64 definitions, for every instruction set, layout and dtype."""
import numpy as np
import pytest
from cases import EDGES, POOLING, Pool, draw, to_layout
from checks import assert_elementwise, bits

import ndconv as nd
from ndconv import reference
from ndconv.pool import IMAGE_DTYPES
from ndconv.problem import DTYPES

COUNTING = (dict(), dict(count_include_pad=False), dict(divisor=7))
FULL = [case for case in POOLING if case.n and case.c]


def back(a, layout):
    return np.moveaxis(a, -1, 1) if layout.endswith("C") else a


def window_cells(case):
    return case.window**case.rank if isinstance(case.window, int) else int(np.prod(case.window))


@pytest.mark.parametrize("case", POOLING, ids=lambda c: c.name)
@pytest.mark.parametrize("integers", (True, False), ids=("ties", "normal"))
def test_max_pool(case, integers, isa):
    """Equal values and equal indices; small integers are full of ties."""
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype, integers)
        values, indices = reference.max_pool(x, case.window, **case.normalised)
        for layout in case.layouts:
            options = case.options | dict(layout=layout)
            alone = nd.max_pool(to_layout(x, layout), case.window, **options)
            got, at = nd.max_pool(to_layout(x, layout), case.window, return_indices=True, **options)
            assert got.dtype == dtype and at.dtype == np.int64
            np.testing.assert_array_equal(back(alone, layout), values)
            np.testing.assert_array_equal(back(got, layout), values)
            np.testing.assert_array_equal(back(at, layout), indices)


def draw_integers(case, dtype):
    """Values of the whole range, with ties and the extremes."""
    info = np.iinfo(dtype)
    x = np.random.default_rng(case.window if isinstance(case.window, int) else 3).integers(
        info.min, info.max, case.x_shape(), dtype, endpoint=True)
    x.flat[::3] = info.min
    x.flat[::7] = info.max
    return x


@pytest.mark.parametrize("image", IMAGE_DTYPES)
@pytest.mark.parametrize("case", FULL, ids=lambda c: c.name)
def test_pools_of_integers(case, image, isa):
    """The greatest and the least in the dtype itself; means, and places, as of the same numbers in floats."""
    x = draw_integers(case, image)
    info, wide = np.iinfo(image), x.astype(IMAGE_DTYPES[image])
    for layout in case.layouts:
        options = case.options | dict(layout=layout)
        own, floats = to_layout(x, layout), to_layout(wide, layout)
        for pool in (nd.max_pool, nd.min_pool):
            want, places = pool(floats, case.window, return_indices=True, **options)
            want = np.clip(want, info.min, info.max).astype(image)
            y, at = pool(own, case.window, return_indices=True, **options)
            assert y.dtype == image
            np.testing.assert_array_equal(y, want)
            np.testing.assert_array_equal(at, places)
            out = np.empty_like(want)
            assert pool(own, case.window, out=out, threads=1, **options) is out
            np.testing.assert_array_equal(out, want)
        mean = nd.avg_pool(own, case.window, **options)
        assert mean.dtype == wide.dtype
        np.testing.assert_array_equal(mean, nd.avg_pool(floats, case.window, **options))


@pytest.mark.parametrize("kind", ("max", "min", "avg"))
@pytest.mark.parametrize("shape, size", [((1, 1, 90, 200), 31), ((2, 3, 70, 69), (7, 5)), ((1, 2, 40, 1100), (4, 1)),
                                         ((1, 1, 33, 130), (33, 9)), ((1, 1, 2, 50, 70), (1, 5, 4))], ids=str)
def test_filters(shape, size, kind, dtype, isa):
    """Windows that move by one and reach far: each tile's edge, bands of rows, dilated columns, padding on all sides."""
    x = draw("filters", shape, dtype, integers=True)
    rank = x.ndim - 2
    size = (size,) * rank if isinstance(size, int) else size
    for dilation in (1, (*(1,) * (rank - 1), 2)):
        spans = [(k - 1) * d + 1 for k, d in zip(size, np.broadcast_to(dilation, rank), strict=True)]
        pads = [(s // 2, s - 1 - s // 2) for s in spans]
        options = dict(stride=1, padding=tuple(pads), dilation=dilation)
        if kind == "avg":
            plain = reference.avg_pool(x, size, stride=1, pads=pads, dilation=dilation)
            y = nd.avg_pool(x, size, **options)
            assert_elementwise(y, plain, reference.avg_pool(np.abs(x), size, stride=1, pads=pads, dilation=dilation),
                               int(np.prod(size)), str(dilation))
        elif kind == "max":
            np.testing.assert_array_equal(nd.max_pool(x, size, **options),
                                          reference.max_pool(x, size, stride=1, pads=pads, dilation=dilation)[0])
        else:
            np.testing.assert_array_equal(nd.min_pool(x, size, **options),
                                          -reference.max_pool(-x, size, stride=1, pads=pads, dilation=dilation)[0])


@pytest.mark.parametrize("case", POOLING, ids=lambda c: c.name)
def test_avg_pool(case, isa):
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype)
        for counting in COUNTING:
            want = reference.avg_pool(x, case.window, **case.normalised, **counting)
            absolute = reference.avg_pool(np.abs(x), case.window, **case.normalised, **counting)
            for layout in case.layouts:
                y = nd.avg_pool(to_layout(x, layout), case.window, layout=layout, **case.options, **counting)
                assert y.dtype == dtype
                assert_elementwise(back(y, layout), want, absolute, window_cells(case), f"{dtype} {layout} {counting}")


@pytest.mark.parametrize("case", POOLING, ids=lambda c: c.name)
def test_max_pool_backward(case, isa):
    """Each dy goes to one cell, so a cell adds up at most as many as there are windows around it."""
    for dtype in DTYPES:
        x = draw(case.name, case.x_shape(), dtype)
        values, indices = reference.max_pool(x, case.window, **case.normalised)
        dy = draw(case.name + " dy", values.shape, dtype)
        want = reference.max_pool_backward(dy, indices, x.shape)
        absolute = reference.max_pool_backward(np.abs(dy), indices, x.shape)
        for layout in case.layouts:
            moved = to_layout(dy, layout), to_layout(indices, layout), to_layout(x, layout).shape
            dx = nd.max_pool_backward(*moved, case.window, layout=layout, **case.options)
            assert dx.dtype == dtype
            assert_elementwise(back(dx, layout), want, absolute, window_cells(case), f"{dtype} {layout}")


@pytest.mark.parametrize("case", POOLING, ids=lambda c: c.name)
def test_avg_pool_backward(case, isa):
    for dtype in DTYPES:
        shape = reference.max_pool(np.zeros(case.x_shape()), case.window, **case.normalised)[0].shape
        dy = draw(case.name + " dy", shape, dtype)
        for counting in COUNTING:
            options = dict(case.normalised, **counting)
            want = reference.avg_pool_backward(dy, case.x_shape(), case.window, **options)
            absolute = reference.avg_pool_backward(np.abs(dy), case.x_shape(), case.window, **options)
            for layout in case.layouts:
                dx = nd.avg_pool_backward(to_layout(dy, layout), case.x_shape(layout), case.window, layout=layout,
                                          **case.options, **counting)
                assert_elementwise(back(dx, layout), want, absolute, window_cells(case), f"{dtype} {layout} {counting}")


@pytest.mark.parametrize("shape", [
    (2, 3, 7), (1, 17, 5, 6), (3, 8, 9, 33), (2, 5, 3, 4, 5), (1, 1, 1, 1), (0, 3, 4, 4), (2, 0, 4, 4)], ids=str)
def test_global_pool(shape, dtype, isa):
    x = draw("global", shape, dtype)
    for layout in {3: ("NCW", "NWC"), 4: ("NCHW", "NHWC"), 5: ("NCDHW", "NDHWC")}[x.ndim]:
        moved = to_layout(x, layout)
        top = nd.global_pool(moved, "max", layout=layout)
        np.testing.assert_array_equal(back(top, layout), reference.global_pool(x, "max"))
        mean = nd.global_pool(moved, "avg", layout=layout)
        cells = int(np.prod(shape[2:]))
        want, absolute = (reference.global_pool(a, "avg") for a in (x, np.abs(x)))
        assert_elementwise(back(mean, layout), want, absolute, cells, layout)
        dy = draw("dy", (*shape[:2], *[1] * (x.ndim - 2)), dtype)
        dx = nd.global_pool_backward(to_layout(dy, layout), moved, "max", layout=layout)
        np.testing.assert_array_equal(back(dx, layout), reference.global_pool_backward(dy, x, "max"))
        dx = nd.global_pool_backward(to_layout(dy, layout), moved, "avg", layout=layout)
        want = reference.global_pool_backward(dy, x, "avg")
        assert_elementwise(back(dx, layout), want, np.abs(want), 1, layout)


@pytest.mark.parametrize("width", [e for e in EDGES if e], ids=lambda e: f"w{e}")
def test_nan_from_any_position(width, dtype, isa):
    """In every lane of a vector body and of its tail, in either layout, for values and for indices."""
    for layout in ("NCHW", "NHWC"):
        clean = draw("nan", (1, 3, 2, width), dtype, integers=True)
        for channels in (1, 3):
            for place in range(2 * width):
                x = np.array(clean[:, :channels])
                x[0, channels - 1].flat[place] = np.nan
                want, at = reference.max_pool(x, (2, 1))
                y, indices = nd.max_pool(to_layout(x, layout), (2, 1), return_indices=True, layout=layout)
                np.testing.assert_array_equal(back(y, layout), want)
                np.testing.assert_array_equal(back(indices, layout), at)
                np.testing.assert_array_equal(back(nd.max_pool(to_layout(x, layout), (2, 1), layout=layout), layout), want)


@pytest.mark.parametrize("channels", [e for e in EDGES if e], ids=lambda e: f"c{e}")
def test_nan_in_any_channel(channels, dtype, isa):
    x = np.array(draw("nan", (1, channels, 5, 6), dtype, integers=True))
    for c in range(channels):
        x[0, c].flat[c % 30] = np.nan
    want, at = reference.max_pool(x, 3, stride=1, pads=[(1, 1), (1, 1)])
    for layout in ("NCHW", "NHWC"):
        y, indices = nd.max_pool(to_layout(x, layout), 3, stride=1, padding=1, return_indices=True, layout=layout)
        np.testing.assert_array_equal(back(y, layout), want)
        np.testing.assert_array_equal(back(indices, layout), at)
        averages = back(nd.avg_pool(to_layout(x, layout), 3, stride=1, padding=1, layout=layout), layout)
        np.testing.assert_array_equal(np.isnan(averages), np.isnan(want))
        top = back(nd.global_pool(to_layout(x, layout), "max", layout=layout), layout)
        assert np.isnan(top).all() and np.isnan(nd.global_pool(to_layout(x, layout), "avg", layout=layout)).all()


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_windows_of_minus_infinity(layout, dtype, isa):
    """-inf with the index of a real cell: the first of the window."""
    x = np.full((2, 5, 6, 19), -np.inf, dtype)
    want, at = reference.max_pool(x, 3, stride=2, pads=[(1, 1), (1, 1)])
    assert (at >= 0).all()
    y, indices = nd.max_pool(to_layout(x, layout), 3, stride=2, padding=1, return_indices=True, layout=layout)
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(back(indices, layout), at)
    assert (nd.max_pool(to_layout(x, layout), 3, stride=2, padding=1, layout=layout) == -np.inf).all()


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_infinities(layout, dtype, isa):
    """+inf wins; sums of one sign of infinity keep it, of both are NaN."""
    x = np.array(draw("inf", (1, 3, 6, 20), dtype))
    x[0, 0, 1, 3], x[0, 1, 2, 8], x[0, 1, 2, 9], x[0, 2, 5, 19] = np.inf, np.inf, -np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        mean = reference.avg_pool(x, 2)
    np.testing.assert_array_equal(back(nd.max_pool(to_layout(x, layout), 2, layout=layout), layout), reference.max_pool(x, 2)[0])
    y = back(nd.avg_pool(to_layout(x, layout), 2, layout=layout), layout)
    for kind in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(kind(y), kind(mean))


@pytest.mark.parametrize("index_dtype", (np.int64, np.int32, "int32"))
def test_index_dtype(index_dtype, dtype):
    x = draw("index", (1, 2, 6, 8), dtype)
    _, at = nd.max_pool(x, 2, return_indices=True)
    y, short = nd.max_pool(x, 2, return_indices=True, index_dtype=index_dtype)
    assert short.dtype == np.dtype(index_dtype)
    np.testing.assert_array_equal(short, at)
    np.testing.assert_array_equal(nd.max_pool_backward(y, short, x.shape, 2), nd.max_pool_backward(y, at, x.shape, 2))


def test_indices_are_flat_within_each_plane(dtype):
    x = np.zeros((2, 3, 4, 5), dtype)
    x[1, 2, 3, 4] = 1
    y, at = nd.max_pool(x, (4, 5), return_indices=True)
    assert y[1, 2, 0, 0] == 1 and at[1, 2, 0, 0] == 3 * 5 + 4 and at[0, 0, 0, 0] == 0


def test_unbatched(dtype):
    case = Pool("unbatched", 1, 3, (7, 8), (2, 3), 2, 1)
    x = draw(case.name, case.x_shape(), dtype)
    y, at = nd.max_pool(x, case.window, return_indices=True, **case.options)
    one, where = nd.max_pool(x[0], case.window, return_indices=True, **case.options)
    assert bits(one) == bits(y[0]) and bits(where) == bits(at[0]) and one.ndim == 3
    assert bits(nd.avg_pool(x[0], case.window, **case.options)) == bits(nd.avg_pool(x, case.window, **case.options)[0])
    assert bits(nd.max_pool_backward(one, where, x[0].shape, case.window, **case.options)) == bits(
        nd.max_pool_backward(y, at, x.shape, case.window, **case.options)[0])
    assert bits(nd.avg_pool_backward(one, x[0].shape, case.window, **case.options)) == bits(
        nd.avg_pool_backward(y, x.shape, case.window, **case.options)[0])


@pytest.mark.parametrize("name", ("valid", "same", "same_lower", "same_upper"))
@pytest.mark.parametrize("pool", (nd.max_pool, nd.avg_pool), ids=("max", "avg"))
def test_named_padding(name, pool, dtype):
    """The names mean what they mean for conv."""
    x = draw(name, (1, 2, 9, 10), dtype, integers=True)
    pads = {"valid": ((0, 0), (0, 0)), "same_lower": ((1, 1), (2, 1))}.get(name, ((1, 1), (1, 2)))
    y = pool(x, (3, 4), stride=1, padding=name)
    np.testing.assert_array_equal(y, pool(x, (3, 4), stride=1, padding=pads))
    assert name == "valid" or y.shape == x.shape


@pytest.mark.parametrize("case", [c for c in FULL if isinstance(c.padding, int)], ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_as_pytorch(case, dtype):
    """A second opinion on every convention the two share."""
    torch = pytest.importorskip("torch", reason="PyTorch, a second opinion, is not installed")
    f = torch.nn.functional
    x = draw(case.name, case.x_shape(), dtype)
    xt = torch.from_numpy(x.copy()).requires_grad_()
    geometry = (case.window, case.stride, case.padding)
    theirs, at = getattr(f, f"max_pool{case.rank}d")(xt, *geometry, case.dilation, case.ceil_mode, True)
    y, indices = nd.max_pool(x, case.window, return_indices=True, **case.options)
    np.testing.assert_array_equal(y, theirs.detach().numpy())
    np.testing.assert_array_equal(indices, at.numpy())
    dy = draw(case.name + " dy", y.shape, dtype)
    theirs.backward(torch.from_numpy(dy.copy()))
    tolerance = dict(rtol=0, atol=100 * np.finfo(dtype).eps)
    dx = nd.max_pool_backward(dy, indices, x.shape, case.window, **case.options)
    np.testing.assert_allclose(dx, xt.grad.numpy(), **tolerance)
    if case.dilation != 1:
        return  # PyTorch has no dilation there
    for include in (True, False):
        options = case.options | dict(count_include_pad=include)
        xt.grad = None
        theirs = getattr(f, f"avg_pool{case.rank}d")(xt, *geometry, case.ceil_mode, include)
        np.testing.assert_allclose(nd.avg_pool(x, case.window, **options), theirs.detach().numpy(), **tolerance)
        theirs.backward(torch.from_numpy(dy.copy()))
        np.testing.assert_allclose(nd.avg_pool_backward(dy, x.shape, case.window, **options), xt.grad.numpy(), **tolerance)


def test_as_ndimage(dtype):
    """Filters of SciPy whose border says "nothing there" are pooling with stride 1."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy, a second opinion, is not installed")
    x = draw("ndimage", (1, 1, 21, 34), dtype)
    for size in (3, 5, 13):
        most = ndimage.maximum_filter(x[0, 0], size, mode="constant", cval=-np.inf)
        np.testing.assert_array_equal(nd.max_pool(x, size, stride=1, padding="same")[0, 0], most)
        mean = ndimage.uniform_filter(x[0, 0].astype(np.float64), size, mode="constant")
        y = nd.avg_pool(x, size, stride=1, padding="same")[0, 0]
        np.testing.assert_allclose(y, mean, rtol=0, atol=100 * np.finfo(dtype).eps)


def test_average_is_a_convolution(dtype):
    x = draw("average", (2, 5, 11, 12), dtype, integers=True)
    ones = np.ones((5, 1, 3, 4), dtype)
    want = nd.conv(x, ones, stride=2, padding=1, groups=5)
    np.testing.assert_array_equal(nd.avg_pool(x, (3, 4), stride=2, padding=1, divisor=1), want)


@pytest.mark.parametrize("layout, shape", [("NCHW", (2, 40, 13, 12)), ("NHWC", (2, 13, 12, 40)), ("NDHWC", (2, 5, 6, 7, 36))])
def test_max_pool_backward_of_other_indices(layout, shape, dtype, isa):
    """Indices that are not of max_pool, in any cell of the plane or -1, have their dy where they say; others are refused."""
    rng = np.random.default_rng(7)
    y, indices = nd.max_pool(draw(f"{layout} x", shape, dtype), 3, stride=2, padding=1, layout=layout, return_indices=True)
    dy = draw(f"{layout} dy", y.shape, dtype)
    cells = int(np.prod(shape[2:] if layout == "NCHW" else shape[1:-1]))
    for place in (*rng.integers(0, cells, 20), -1, cells):
        moved = indices.copy()
        moved.flat[rng.integers(moved.size)] = place
        if place == cells:
            with pytest.raises(ValueError, match=f"indices must lie in planes of {cells} cells"):
                nd.max_pool_backward(dy, moved, shape, 3, stride=2, padding=1, layout=layout)
            continue
        dx = nd.max_pool_backward(dy, moved, shape, 3, stride=2, padding=1, layout=layout)
        first = (back(dy, layout), back(moved, layout))
        want = reference.max_pool_backward(*first, back(dx, layout).shape)
        absolute = reference.max_pool_backward(np.abs(first[0]), first[1], want.shape)
        assert_elementwise(back(dx, layout), want, absolute, 30, f"{layout} {place}")
