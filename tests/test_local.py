"""Kernels that differ from place to place (local_conv) or take turns (tiled_conv), against the float64 definitions."""
import functools

import numpy as np
import pytest
from cases import ANY_RANK, EMPTY, GEOMETRY, GROUPED, TILED, Conv, draw, to_layout
from checks import assert_elementwise, assert_l2, bits, compute, layouts_and_threads
from hypothesis import given
from hypothesis import strategies as st
from test_properties import convs, drawn

import ndconv as nd
from ndconv import reference
from ndconv import reference_local as known
from ndconv.problem import DTYPES

PLAIN = [case for case in (*GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY) if not case.flip]
# blocks: more windows than a task holds at a time; tiles of images; output channels beyond the streams; rows cut into stretches
LARGE = (Conv("local-blocks", 40, 3400, 2, (8,), (1,)), Conv("local-batch", 13, 5, 19, (5, 9), (3, 3), 1, 1),
         Conv("local-deep", 2, 70, 33, (3, 11), (3, 3), 1, 1), Conv("local-row", 2, 3, 9, (1500,), (5,), 1, 2),
         Conv("local-points", 3, 130, 21, (1, 2), (1, 1)))
FEW = (GEOMETRY[0], GEOMETRY[10], GROUPED[1], ANY_RANK[1], ANY_RANK[6], LARGE[1])


def geometry(case):
    """Keyword arguments of ndconv, and of reference."""
    ours, defined = dict(case.options), dict(case.normalised)
    return (ours.pop("flip"), ours)[1], (defined.pop("flip"), defined)[1]


@functools.lru_cache(maxsize=256)
def arrays(case, dtype, tiles=None):
    """x, w, b, dy with kernels for every place, or for `tiles` places in turn; nobody may write to them."""
    places = case.out if tiles is None else tiles
    shapes = dict(x=case.x_shape(), w=(case.oc, *places, *case.w_shape[1:]), b=(case.oc, *places), dy=case.y_shape())
    made = tuple(draw(f"{case.name} {tiles} {key}", shape, dtype) for key, shape in shapes.items())
    for a in made:
        a.setflags(write=False)
    return made


@functools.lru_cache(maxsize=256)
def defined(case, dtype):
    """(value, sum of absolute products) of y and of the gradients by x and w of a local convolution."""
    options = geometry(case)[1]

    def define(x, w, b, dy):
        return (known.local_conv(x, w, b, **options), known.local_conv_input_grad(dy, w, x.shape, **options),
                known.local_conv_weight_grad(dy, x, w.shape, **options))

    return tuple(zip(define(*arrays(case, dtype)), define(*map(np.abs, arrays(case, dtype)))))


def moved(a, layout):
    return np.moveaxis(a, -1, 1) if layout.endswith("C") else a


@pytest.mark.parametrize("case", (*PLAIN, *LARGE), ids=lambda c: c.name)
def test_local_within_the_elementwise_bound(case, isa):
    terms = case.terms | dict(w=case.n)
    for dtype in DTYPES:
        x, w, b, dy = arrays(case, dtype)
        want = defined(case, dtype)
        for layout in case.layouts:
            options = geometry(case)[0] | dict(layout=layout, threads=2)
            x_in, dy_in = to_layout(x, layout), to_layout(dy, layout)
            y = nd.local_conv(x_in, w, b, **options)
            assert y.dtype == dtype
            assert_elementwise(moved(y, layout), *want[0], terms["y"], f"y {dtype} {layout}")
            g = nd.local_conv_backward(dy_in, x_in, w, bias_shape=b.shape, **options)
            assert_elementwise(moved(g.x, layout), *want[1], terms["x"], f"dx {dtype} {layout}")
            assert_elementwise(g.w, *want[2], terms["w"], f"dw {dtype} {layout}")
            np.testing.assert_allclose(g.b, dy.sum(0, dtype=np.float64), rtol=0, atol=16 * case.n * np.finfo(dtype).eps)


@pytest.mark.parametrize("case", (GEOMETRY[4], GROUPED[4], ANY_RANK[4], *LARGE), ids=lambda c: c.name)
def test_same_bits_for_threads_and_batches(case, dtype, isa):
    x, w, b, dy = arrays(case, dtype)
    for layout in case.layouts:
        options = geometry(case)[0] | dict(layout=layout)
        results = []
        for threads, images in ((1, slice(None)), (3, slice(None)), (2, slice(0, 1))):
            x_in, dy_in = to_layout(x[images], layout), to_layout(dy[images], layout)
            y = nd.local_conv(x_in, w, b, threads=threads, **options)
            g = nd.local_conv_backward(dy_in, x_in, w, threads=threads, **options)
            results.append((bits(y[0]), bits(g.x[0])) + ((bits(y), bits(g.x), bits(g.w), bits(g.b)) if threads != 2 else ()))
        assert results[0] == results[1]
        assert results[0][:2] == results[2]


@pytest.mark.parametrize("case", FEW, ids=lambda c: c.name)
def test_equal_kernels_are_a_convolution(case, dtype):
    x, w, b, _ = case.arrays(dtype)
    same = np.broadcast_to(w.reshape(case.oc, *(1,) * case.rank, *w.shape[1:]), (case.oc, *case.out, *w.shape[1:]))
    options = geometry(case)[0]
    want, absolute = (reference.conv(*map(f, (x, w, b)), **case.normalised) for f in (np.array, np.abs))
    for method in ("direct", "gemm"):
        assert_elementwise(compute(case, (x, w, b, None), method=method), want, absolute, case.terms["y"], method)
    assert_elementwise(nd.local_conv(x, same, b, **options), want, absolute, case.terms["y"], "local")


@pytest.mark.parametrize("case", FEW, ids=lambda c: c.name)
def test_weights_in_any_memory(case, dtype, isa):
    """Backwards, every second element, transposed, broadcast and of foreign byte order: as their contiguous copy."""
    x, w, b, dy = arrays(case, dtype)
    options = geometry(case)[0]
    want = nd.local_conv(x, w, b, **options), nd.local_conv_backward(dy, x, w, **options).x
    wide = np.full((*w.shape[:-1], 2 * w.shape[-1]), np.nan, dtype)
    wide[..., ::2] = w
    back = np.ascontiguousarray(w[::-1, ..., ::-1])[::-1, ..., ::-1]
    for other in (wide[..., ::2], back, np.ascontiguousarray(w.T).T, w.astype(w.dtype.newbyteorder())):
        assert bits(nd.local_conv(x, other, b, **options)) == bits(want[0])
        assert bits(nd.local_conv_backward(dy, x, other, **options).x) == bits(want[1])


@pytest.mark.parametrize("bad", (np.nan, np.inf))
@pytest.mark.parametrize("case", FEW, ids=lambda c: c.name)
def test_a_bad_cell_stays_in_its_windows(case, bad, isa):
    """In x, and in w, whose vectors are read beyond one kernel."""
    x, w, b, dy = (np.array(a) for a in arrays(case, "float32"))
    ours, defined = geometry(case)
    for holder in (x, w):
        for place in (0, holder.size // 2 + 1, holder.size - 1):
            before, holder.flat[place] = holder.flat[place], bad
            with np.errstate(invalid="ignore"):
                want = known.local_conv(x, w, b, **defined), known.local_conv_input_grad(dy, w, x.shape, **defined)
            got = nd.local_conv(x, w, b, **ours), nd.local_conv_backward(dy, x, w, wrt="x", **ours).x
            for g, y in zip(got, want):
                np.testing.assert_array_equal(np.isfinite(g), np.isfinite(y))
            holder.flat[place] = before


def assert_differences(function, backward, x, w, b, dy):
    """Gradients by central differences, exact since the function is linear in each array."""
    for got, varied in zip(backward(), (x, w, b)):
        differences = np.empty(varied.shape)
        for at in np.ndindex(*varied.shape):
            middle = varied[at]
            varied[at] = middle + 0.125
            above = np.vdot(function(), dy)
            varied[at] = middle - 0.125
            differences[at] = (above - np.vdot(function(), dy)) / 0.25
            varied[at] = middle
        np.testing.assert_allclose(got, differences, rtol=1e-9, atol=1e-9)


SMALL = (Conv("differences", 2, 2, 2, (4, 3), (2, 2), (2, 1), 1), Conv("differences-1d", 2, 4, 2, (6,), (2,), 1, 1, 2, groups=2),
         Conv("differences-3d", 1, 1, 2, (2, 2, 3), (2, 1, 2), 1, 0))


@pytest.mark.parametrize("case", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("tiles", (None, 2, 3))
def test_central_differences(case, tiles):
    tiles = None if tiles is None else (tiles,) * case.rank
    x, w, b, dy = (np.array(a) for a in arrays(case, "float64", tiles))
    options = geometry(case)[0]
    forward, backward = (nd.local_conv, nd.local_conv_backward) if tiles is None else (nd.tiled_conv, nd.tiled_conv_backward)
    assert_differences(lambda: forward(x, w, b, **options),
                       lambda: backward(dy, x, w, bias_shape=b.shape, **options), x, w, b, dy)
    shared = b[(slice(None), *(0,) * case.rank)].copy()
    assert_differences(lambda: forward(x, w, shared, **options), lambda: backward(dy, x, w, **options), x, w, shared, dy)


@drawn
@given(case=convs(), dtype=st.sampled_from(DTYPES), last=st.booleans(), threads=st.integers(1, 3), tiles=st.integers(1, 4))
def test_any_local_or_tiled_conv(case, dtype, last, threads, tiles):
    """Integers are exact: the very numbers of the definition."""
    ours, defined = geometry(case)
    layout, rng = case.layouts[last], np.random.default_rng(7)
    t = tuple(rng.integers(1, tiles + 1, case.rank).tolist())
    x, dy = (rng.integers(-8, 9, shape).astype(dtype) for shape in (case.x_shape(), case.y_shape()))
    options = ours | dict(layout=layout, threads=threads)
    for places, forward, backward, method in ((case.out, nd.local_conv, nd.local_conv_backward, {}),
                                              (t, nd.tiled_conv, nd.tiled_conv_backward, {}),
                                              (t, nd.tiled_conv, nd.tiled_conv_backward, dict(method="gemm"))):
        exact = np.array if method or forward is nd.local_conv else np.rint  # by choice it may be a transform
        w = rng.integers(-8, 9, (case.oc, *places, *case.w_shape[1:])).astype(dtype)
        b = rng.integers(-8, 9, (case.oc, *places)).astype(dtype)
        whole = known.untile(w, case.out)
        y = forward(to_layout(x, layout), w, b, **options, **method)
        np.testing.assert_array_equal(exact(moved(y, layout)), known.local_conv(x, whole, known.untile(b, case.out), **defined))
        g = backward(to_layout(dy, layout), to_layout(x, layout), w, bias_shape=b.shape, **options, **method)
        np.testing.assert_array_equal(exact(moved(g.x, layout)), known.local_conv_input_grad(dy, whole, x.shape, **defined))
        dw = known.local_conv_weight_grad(dy, x, whole.shape, **defined)
        np.testing.assert_array_equal(exact(g.w), known.tile(dw, places))
        np.testing.assert_array_equal(g.b, known.tile(dy.sum(0), places))


@pytest.mark.parametrize("case", (*FEW, TILED[0]), ids=lambda c: c.name)
def test_one_tile_is_a_convolution(case, method, dtype):
    """Bit for bit, by every method and by the choice."""
    x, w, b, dy = case.arrays(dtype)
    options = geometry(case)[0]
    one = w.reshape(case.oc, *(1,) * case.rank, *w.shape[1:])
    for name in (method, "auto"):
        assert bits(nd.tiled_conv(x, one, b, method=name, **options)) == bits(nd.conv(x, w, b, method=name, **options))
    g, want = nd.tiled_conv_backward(dy, x, one, **options), nd.conv_backward(dy, x, w, **options)
    assert [bits(a) for a in g] == [bits(a) for a in want]


@pytest.mark.parametrize("case", (GEOMETRY[0], GROUPED[0], TILED[0]), ids=lambda c: c.name)
def test_tiles_by_every_method(case, method, isa):
    for dtype in DTYPES:
        x, w, b, dy = arrays(case, dtype, (2, 3))
        ours, defined = geometry(case)
        want = known.local_conv(x, known.untile(w, case.out), known.untile(b, case.out), **defined)
        for layout, threads in layouts_and_threads(case):
            y = nd.tiled_conv(to_layout(x, layout), w, b, method=method, layout=layout, threads=threads, **ours)
            assert_l2(moved(y, layout), want, method, f"{dtype} {layout}")


@pytest.mark.parametrize("tiled", (False, True), ids=("local", "tiled"))
def test_out_and_one_image(tiled, dtype):
    case = Conv("out", 1, 3, 3, (6, 7), (3, 3), 1, 1)
    x, w, b, dy = arrays(case, dtype, (2, 2) if tiled else None)
    function, backward = (nd.tiled_conv, nd.tiled_conv_backward) if tiled else (nd.local_conv, nd.local_conv_backward)
    want = function(x, w, b, padding=1)
    assert bits(function(x[0], w, b, padding=1)) == bits(want[0])
    one, all_ = backward(dy[0], x[0], w, padding=1), backward(dy, x, w, padding=1)
    assert bits(one.x) == bits(all_.x[0]) and bits(one.w) == bits(all_.w) and bits(one.b) == bits(all_.b)
    room = np.full((*want.shape[:-1], 2 * want.shape[-1]), np.nan, dtype)
    odd = np.zeros(want.nbytes + 1, np.uint8)[1:].view(dtype).reshape(want.shape)
    shared = np.array(x)
    for out, source in ((np.full_like(want, np.nan), x), (room[..., ::2], x), (odd, x), (shared, shared)):
        assert function(source, w, b, padding=1, out=out) is out
        np.testing.assert_array_equal(out, want)
    assert np.isnan(room[..., 1::2]).all()
    for part in (("x",), ("w", "b"), ()):
        some = backward(dy, x, w, wrt=part, padding=1)
        assert [field for field in "xwb" if getattr(some, field) is not None] == sorted(part, key="xwb".index)


@pytest.mark.parametrize("tiled", (False, True), ids=("local", "tiled"))
@pytest.mark.parametrize("case", (GEOMETRY[0], GROUPED[1], ANY_RANK[1]), ids=lambda c: c.name)
def test_flip_residual_and_activation(case, tiled, dtype):
    """Integers are exact: the very numbers of what is done in steps, and of the definition with rotated kernels."""
    tiles = (2,) * case.rank if tiled else None
    x, w, b, dy = (np.rint(4 * a) for a in arrays(case, dtype, tiles))
    ours, options = geometry(case)[0], dict(method="gemm") if tiled else {}
    rotated = np.ascontiguousarray(np.flip(w, tuple(range(-case.rank, 0))))
    function, backward = (nd.tiled_conv, nd.tiled_conv_backward) if tiled else (nd.local_conv, nd.local_conv_backward)
    for layout in case.layouts:
        x_in, dy_in = to_layout(x, layout), to_layout(dy, layout)
        plain = function(x_in, rotated, b, layout=layout, **ours, **options)
        shared = np.array(dy_in)
        for residual, out in ((dy_in, None), (shared, shared)):
            y = function(x_in, w, b, flip=True, layout=layout, residual=residual, activation=("clip", -3, 50), out=out, **ours,
                         **options)
            np.testing.assert_array_equal(y, np.clip(plain + dy_in, -3, 50))
        got = backward(dy_in, x_in, w, flip=True, layout=layout, **ours, **options)
        want = backward(dy_in, x_in, rotated, layout=layout, **ours, **options)
        np.testing.assert_array_equal(got.x, want.x)
        np.testing.assert_array_equal(np.flip(got.w, tuple(range(-case.rank, 0))), want.w)


X, W, DY = np.ones((2, 4, 6)), np.ones((3, 4, 4, 3)), np.ones((2, 3, 4))


@pytest.mark.parametrize("call, error, words", (
    (lambda **o: nd.local_conv(X, W[:, :3], **o), ValueError, r"w must have a kernel for each of the \(4,\) positions"),
    (lambda **o: nd.local_conv(X, W[0], **o), ValueError, "w must have 4, 6 or 8 axes"),
    (lambda **o: nd.local_conv(X, W[:, :, :3], **o), ValueError, "channels"),
    (lambda **o: nd.local_conv(X, W, np.ones(4), **o), ValueError, r"bias must have shape \(3,\).*\(3, 4\)"),
    (lambda **o: nd.local_conv(X, W, np.ones(3, np.float32), **o), TypeError, "bias must be float64"),
    (lambda **o: nd.local_conv(X, W.astype(np.float32), **o), TypeError, "w must be float64"),
    (lambda **o: nd.local_conv(X.astype(int), W, **o), TypeError, "x must be float32 or float64"),
    (lambda **o: nd.local_conv(X, W, threads=0, **o), ValueError, "threads"),
    (lambda **o: nd.local_conv(X, W, activation="gelu", **o), ValueError, "activation must be one of"),
    (lambda **o: nd.local_conv(X, W, residual=X, **o), ValueError, "residual must have the shape"),
    (lambda **o: nd.tiled_conv(X, W[:, :2], residual=X, **o), ValueError, "residual must have the shape"),
    (lambda **o: nd.tiled_conv(X, W[:, :2], activation="clip", **o), ValueError, "takes its bounds"),
    (lambda **o: nd.local_conv(X, W, padding=2**63, **o), OverflowError, "padding"),
    (lambda **o: nd.tiled_conv(X, W[:, :0], **o), ValueError, "at least one kernel"),
    (lambda **o: nd.tiled_conv(X, W[:, :2], np.ones((3, 4)), **o), ValueError, r"bias must have shape \(3,\).*\(3, 2\)"),
    (lambda **o: nd.tiled_conv(X, W[:, :2], method="best", **o), ValueError, "method"),
    (lambda out: nd.tiled_conv(X, W[:, :2, :, :2], method="winograd"), nd.MethodNotApplicable, "winograd"),
))
def test_errors_before_anything_is_written(call, error, words):
    out = np.full((2, 3, 4), 7.0)
    with pytest.raises(error, match=words):
        call(out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("backward", (nd.local_conv_backward, nd.tiled_conv_backward))
def test_errors_of_gradients(backward):
    for arguments, options, error, words in (
            ((DY[:, :, :3], X, W), {}, ValueError, "dy must have the shape"), ((DY, X, W), dict(wrt="y"), ValueError, "wrt"),
            ((DY, X, W), dict(bias_shape=(4,)), ValueError, "bias_shape"), ((DY, X.astype("f4"), W), {}, TypeError, "x must be")):
        with pytest.raises(error, match=words):
            backward(*arguments, **options)
