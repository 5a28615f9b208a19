"""Padding with other than zeros: every mode and method against the definition on an array that numpy.pad padded."""
import itertools
import math
import tracemalloc

import numpy as np
import pytest
from cases import Conv, pairs, to_layout
from checks import EXACT_METHODS, assert_elementwise, assert_near_integers, compute, data
from hypothesis import given
from hypothesis import strategies as st
from test_properties import convs, drawn

import ndconv as nd
from ndconv import _runtime, reference
from ndconv.border import MODES, index_map

PADDED = ("constant", "edge", "reflect", "symmetric", "wrap")
VALUE = 3

CASES = (
    Conv("3x3", 2, 3, 4, (7, 9), (3, 3), 1, 1),
    Conv("even-asymmetric", 1, 2, 3, (6, 5), (4, 2), 1, ((0, 3), (2, 0))),
    Conv("stride-dilation", 1, 3, 2, (11, 12), (3, 2), (2, 3), (4, 3), (2, 1)),
    Conv("wider-than-the-array", 1, 2, 2, (3, 4), (3, 3), 1, ((7, 9), (4, 13))),
    Conv("kernel-larger", 1, 1, 2, (4, 3), (7, 9), 1, (3, 4)),
    Conv("crop", 1, 2, 2, (9, 8), (3, 3), 1, ((-2, 3), (2, -1))),
    Conv("one-cell", 1, 2, 2, (1, 1), (3, 3), 1, 2),
    Conv("groups-flip", 2, 4, 6, (8, 7), (3, 5), 1, (1, 2), groups=2, flip=True),
    Conv("depthwise", 1, 5, 5, (9, 10), (5, 5), 1, 2, groups=5),
    Conv("1d", 2, 3, 4, (23,), (5,), 2, ((3, 4),)),
    Conv("3d", 1, 2, 3, (4, 5, 6), (3, 2, 3), 1, ((1, 2), (0, 1), (2, 1))),
)
# modes of the axes, and one mode for all
MIXED = [modes for modes in itertools.product(MODES, MODES) if len(set(modes)) > 1]


def padded(x, padding, modes):
    """x as numpy.pad pads it: one axis at a time, constants after the other modes and zeros last; then crops."""
    before, after = np.transpose(pairs(padding, x.ndim - 2))
    for axis in sorted(range(x.ndim - 2), key=lambda a: ("constant", "zeros").index(modes[a]) if modes[a][0] in "cz" else -1):
        width = [(0, 0)] * x.ndim
        width[axis + 2] = max(before[axis], 0), max(after[axis], 0)
        constant = {"zeros": 0, "constant": VALUE}.get(modes[axis])
        x = np.pad(x, width, modes[axis]) if constant is None else np.pad(x, width, constant_values=constant)
    crops = [slice(max(-lo, 0), size - max(-hi, 0)) for lo, hi, size in zip(before, after, x.shape[2:])]
    return x[(..., *crops)]


def define(of, case, modes, arrays):
    """y, or the gradient by x or w, by the definition. The gradient by x is the linear map's transpose, column by column."""
    x, w, b, dy = (a.astype(np.float64) for a in arrays)
    geometry = case.normalised | dict(pads=None)
    if of == "y":
        return reference.conv(padded(x, case.padding, modes), w, b, **geometry)
    if of == "w":
        return reference.conv_weight_grad(dy, padded(x, case.padding, modes), w.shape, **geometry)
    cells = np.arange(x.size, dtype=np.float64).reshape(x.shape) + VALUE + 1
    source = padded(cells, case.padding, modes)      # the cell that each padded cell comes from; constants are below them
    dxp = reference.conv_input_grad(dy, w, source.shape, **geometry)
    inside = source > VALUE
    dx = np.zeros(x.size)
    np.add.at(dx, (source[inside] - VALUE - 1).astype(int), dxp[inside])
    return dx.reshape(x.shape)


def options(modes):
    return dict(padding_mode=modes if len(set(modes)) > 1 else modes[0], padding_value=VALUE)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("mode", PADDED)
@pytest.mark.parametrize("of", ("y", "x", "w"))
def test_every_mode(case, mode, of, method):
    modes = (mode,) * case.rank
    for dtype in ("float32", "float64"):
        arrays = data(case, dtype, True)
        want = define(of, case, modes, arrays)
        for layout in case.layouts:
            try:
                got = compute(case, arrays, of, layout, method=method, **options(modes))
            except nd.MethodNotApplicable:
                continue
            assert got.dtype == dtype
            assert_near_integers(got, want, method, f"{dtype} {layout}")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("mode", PADDED)
def test_plans_have_every_mode(case, mode):
    x, w, b, _ = arrays = data(case, "float64", True)
    want = define("y", case, (mode,) * case.rank, arrays)
    for layout in case.layouts:
        given = to_layout(x, layout)
        plan = nd.plan_conv(given.shape, w, b, layout=layout, **case.options, **options((mode,)))
        y = to_layout(want, layout)
        assert_near_integers(plan(given), y, None, layout)
        out, residual = np.full(y.shape, np.nan), np.arange(y.size, dtype=float).reshape(y.shape) - 9
        assert plan(given, out=out, residual=residual) is out
        assert_near_integers(out, y + residual, None, layout)


def test_a_plan_keeps_its_weights_and_checks_its_arrays():
    x, w, b, _ = data(CASES[0], "float64", True)
    w = w.copy()
    geometry = dict(padding=1, padding_mode="reflect")
    assert nd.methods(x.shape, w.shape, accuracy="strict", **geometry) == ["direct", "gemm", "depthwise"]
    plan = nd.plan_conv(x.shape, w, b, activation="relu", **geometry)
    want = plan(x)
    w[...] = np.nan
    np.testing.assert_array_equal(plan(x), want)
    assert want.min() == 0 and plan.workspace_bytes > 0 and plan.method in str(plan.explain())
    for wrong in (dict(x=x[1:]), dict(x=x.astype("float32")), dict(x=x, residual=want[1:]),
                  dict(x=x, residual=want.astype("float32")), dict(x=x, out=want[1:])):
        with pytest.raises((ValueError, TypeError), match="x must|residual must|out must"):
            plan(**wrong)


def test_explanations_say_the_modes():
    shapes = (1, 1, 40, 40), (1, 1, 3, 3)
    assert "zeros/wrap" in str(nd.explain(*shapes, padding=1, padding_mode=("zeros", "wrap")))
    assert nd.explain(*shapes, padding=(0, 1), padding_mode="wrap").problem.modes == ("zeros", "zeros", "wrap")
    with pytest.raises(ValueError, match="padding_mode must be one of"):
        nd.methods(*shapes, padding=1, padding_mode="mirror")


@pytest.mark.parametrize("modes", MIXED, ids="-".join)
@pytest.mark.parametrize("of", ("y", "x", "w"))
def test_a_mode_for_each_axis(modes, of):
    for case in CASES[:4]:
        arrays = data(case, "float64", True)
        assert_near_integers(compute(case, arrays, of, **options(modes)), define(of, case, modes, arrays), None, case.name)


@drawn
@given(case=convs(), modes=st.tuples(*3 * (st.sampled_from(MODES),)), of=st.sampled_from(("y", "x", "w")), last=st.booleans(),
       method=st.sampled_from(EXACT_METHODS), threads=st.integers(1, 3))
def test_any_shape_and_mode(case, modes, of, last, method, threads):
    modes, arrays = modes[:case.rank], case.arrays("float64", integers=True)
    try:
        got = compute(case, arrays, of, case.layouts[last], method=method, threads=threads, **options(modes))
    except nd.MethodNotApplicable:
        return
    np.testing.assert_array_equal(got, define(of, case, modes, arrays))


@pytest.mark.parametrize("method", EXACT_METHODS)
def test_within_the_elementwise_bound(method):
    case, modes = CASES[1], ("reflect", "wrap")
    x, w, b, dy = data(case, "float32", False)
    absolute = define("y", case, modes, [abs(a) for a in (x, w, b, dy)])
    got = compute(case, (x, w, b, dy), method=method, **options(modes))
    assert_elementwise(got, define("y", case, modes, (x, w, b, dy)), absolute, case.terms["y"], method)


@pytest.mark.parametrize("mode", PADDED)
def test_index_map_is_numpys(mode):
    for size, lo, hi in itertools.product((1, 2, 5), (0, 1, 4, 17), (0, 3, 11)):
        want = np.pad(np.arange(size), (lo, hi), mode, **({"constant_values": -1} if mode == "constant" else {}))
        assert index_map(mode, size, -lo, lo + size + hi).tolist() == want.tolist()


def test_threads_and_memory_order_do_not_change_bits():
    x, w, b, _ = data(CASES[0], "float32", False)
    y = nd.conv(x, w, b, padding=1, padding_mode="wrap")
    turned = np.moveaxis(to_layout(x, "NHWC"), -1, 1)
    z = nd.conv(turned, w, b, padding=1, padding_mode="wrap", threads=1)
    assert z.strides[1] == z.itemsize, "the result's memory follows the input's"
    np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)
    assert (nd.conv(x, w, b, padding=1, padding_mode="wrap", threads=2) == nd.conv(x, w, b, padding=1, padding_mode="wrap",
                                                                                 threads=1)).all()


def test_out_may_overlap_the_input():
    x, w = np.arange(40.0).reshape(1, 1, 5, 8), np.ones((1, 1, 3, 3))
    want = nd.conv(x, w, padding=1, padding_mode="edge")
    assert nd.conv(x, w, padding=1, padding_mode="edge", out=x) is x
    assert (x == want).all()


def test_a_nan_reaches_its_own_windows_through_the_border(method):
    x, w = np.ones((1, 1, 8, 8)), np.ones((1, 1, 3, 3))
    x[0, 0, 0, 3] = np.nan
    y = nd.conv(x, w, padding=1, padding_mode="wrap", method="auto" if method not in nd.methods(x.shape, w.shape) else method)
    rows, columns = np.nonzero(np.isnan(y[0, 0]))
    assert sorted(set(rows)) == [0, 1, 7] and sorted(set(columns)) == [2, 3, 4] and len(rows) == 9


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(padding_mode="mirror"), "padding_mode must be one of zeros"),
    (dict(padding_mode=("edge",)), "2 of them"),
    (dict(padding_mode=None), "padding_mode must be a string"),
    (dict(padding_mode="constant", padding_value="1"), "padding_value must be a number"),
])
def test_errors(arguments, message):
    out = np.zeros((1, 1, 4, 4))
    with pytest.raises((ValueError, TypeError), match=message):
        nd.conv(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), padding=1, out=out, **arguments)
    assert not out.any()


@pytest.mark.parametrize("case", (Conv("image", 1, 8, 8, (96, 96), (3, 3), 1, 1), Conv("line", 1, 16, 16, (4000,), (9,), 1, 4)),
                         ids=lambda c: c.name)
@pytest.mark.parametrize("of", ("y", "x", "w"))
def test_no_more_memory_than_with_zeros(case, of, method):
    """NumPy's arrays, of which a gradient has the frame around it; scratch memory as large as the plan's."""
    x, w, b, dy = arrays = data(case, "float32", False)
    padded_size = (size + before + after for size, (before, after) in zip(case.size, pairs(case.padding, case.rank)))
    frame = (math.prod(padded_size) - math.prod(case.size)) * case.ic * x.itemsize
    peaks = {}
    for mode in ("zeros", "reflect"):
        compute(case, arrays, of, method=method, padding_mode=mode)
        tracemalloc.start()
        compute(case, arrays, of, method=method, padding_mode=mode)
        peaks[mode] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks["reflect"] <= peaks["zeros"] + (frame if of == "x" else 0) + 4096
    zeros, plan = (nd.plan_conv(x.shape, w, b, method=method, padding_mode=mode, **case.options) for mode in peaks)
    # fft has no zeros that the end of a tile shares with its beginning
    assert plan.workspace_bytes <= (2 if method == "fft" else 1) * zeros.workspace_bytes
    nd.clear_caches()
    plan(x)
    assert _runtime.scratch_bytes() <= plan.workspace_bytes + 4096


def test_the_gradients_of_one_call():
    case = CASES[2]
    x, w, _, dy = data(case, "float64", True)
    got = nd.conv_backward(dy, x, w, **case.options, **options(("reflect", "wrap")))
    for name in "xw":
        want = define(name, case, ("reflect", "wrap"), data(case, "float64", True))
        assert_near_integers(getattr(got, name), want, "direct", name)


def test_a_gradient_goes_to_out_wherever_that_is():
    case = CASES[0]
    x, w, _, dy = data(case, "float64", True)
    geometry = case.options | options(("wrap", "reflect"))
    want = define("x", case, ("wrap", "reflect"), data(case, "float64", True))
    room = np.full(2 * x.size, np.nan)
    for out in (np.full(x.shape, np.nan), np.full(x.shape[::-1], np.nan).T, room[::2].reshape(x.shape)):
        assert nd.conv_input_grad(dy, w, x.shape, out=out, **geometry) is out
        np.testing.assert_array_equal(out, want)
    assert np.isnan(room[1::2]).all()
    same = nd.conv_input_grad(dy, w, x.shape, **geometry)
    for threads in (1, 3):
        assert (nd.conv_input_grad(dy, w, x.shape, threads=threads, **geometry) == same).all()
    plan = nd.explain(x.shape, w.shape, op="input_grad", **geometry).problem
    assert plan.x == (1, 9, 11) and not plan.bordered, "what runs is told"


def test_a_periodic_gradient_is_a_periodic_convolution():
    for case in (Conv("groups", 2, 4, 6, (8, 7), (3, 5), 1, ((0, 2), (5, -1)), groups=2, flip=True),
                 Conv("1d", 2, 3, 4, (9,), (5,), 1, ((3, 5),), 2)):
        x, w, _, dy = data(case, "float64", True)
        geometry = case.options | options(("wrap",) * case.rank)
        dx = nd.conv_input_grad(dy, w, x.shape, **geometry)
        np.testing.assert_array_equal(dx, define("x", case, ("wrap",) * case.rank, data(case, "float64", True)))
        problem = nd.explain(x.shape, w.shape, op="input_grad", **geometry).problem
        assert dx.flags.c_contiguous and problem.x[-1] == x.shape[-1], "there is no frame"
        assert "wrap" in problem.modes and set(problem.modes) <= {"zeros", "wrap"}, "what runs is told"


def test_a_constant_around_nothing(method):
    x, w, b = np.ones((2, 3, 0, 4)), np.ones((2, 3, 2, 3)), np.ones(2)
    for layout in ("NCHW", "NHWC"):
        given = to_layout(x, layout)
        geometry = dict(padding=1, padding_mode="constant", padding_value=2, layout=layout, method=method)
        y = nd.conv(given, w, b, **geometry)
        assert (y == 2 * 18 + 1).all() and y.size == 16
        assert (nd.conv_weight_grad(np.ones_like(y), given, w.shape, **geometry) == 16).all()


def test_nothing_to_repeat():
    with pytest.raises(ValueError, match="nothing to repeat"):
        nd.conv(np.ones((1, 1, 0, 4)), np.ones((1, 1, 1, 1)), padding=1, padding_mode="edge")
