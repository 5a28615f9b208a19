"""Any array that NumPy can describe: every order, stride, byte order and address, as an input and as out."""
import numpy as np
import pytest
from cases import ANY_RANK, GEOMETRY, GROUPED, SPECTRAL, Conv, draw, to_layout
from checks import assert_near_integers, bits, case_for, compute, data, expected

import ndconv as nd

CASES = (GEOMETRY[3], GROUPED[0], GROUPED[3], ANY_RANK[1], ANY_RANK[6], SPECTRAL[0],
         Conv("pointwise", 2, 9, 6, (5, 7), (1, 1)))


def inside(a, steps):
    """a's values in a larger array full of NaN, `steps` elements apart on each axis (negative: backwards)."""
    around = np.full([s * abs(step) + 3 for s, step in zip(a.shape, steps, strict=True)], np.nan, a.dtype)
    ends = [(1, 1 + s * step) if step > 0 else (2 + (s - 1) * -step, 2 + step if 2 + step >= 0 else None)
            for s, step in zip(a.shape, steps, strict=True)]
    view = around[tuple(slice(start, None if stop is None else stop, step)
                        for (start, stop), step in zip(ends, steps, strict=True))]
    view = view[tuple(slice(s) for s in a.shape)]
    view[...] = a
    return view


def axis_innermost(a, axis):
    """A copy in whose memory that axis is the innermost, as channels are in NHWC memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, axis, -1)), -1, axis)


def unaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype).reshape(a.shape) if a.size else a.copy()
    view[...] = a
    return view


def readonly(a):
    a = a.copy()
    a.flags.writeable = False
    return a


class Subclass(np.ndarray):
    pass


VIEWS = {
    "fortran": np.asfortranarray,
    "second axis innermost": lambda a: axis_innermost(a, min(1, a.ndim - 1)),
    "first axis innermost": lambda a: axis_innermost(a, 0),
    "backwards": lambda a: inside(a, [-1] * a.ndim),
    "last axis backwards": lambda a: inside(a, [1] * (a.ndim - 1) + [-1]),
    "rows apart": lambda a: inside(a, [1] * a.ndim),
    "every other": lambda a: inside(a, [2] * a.ndim),
    "every third, backwards, last axis innermost but apart": lambda a: inside(a, [1] * (a.ndim - 1) + [-3]),
    "read-only": readonly,
    "foreign byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "offset": lambda a: inside(a.reshape(1, *a.shape), [1] * (a.ndim + 1))[0],
    "subclass": lambda a: a.copy().view(Subclass),
    "buffer": lambda a: memoryview(np.ascontiguousarray(a)) if a.size else a,
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("view", VIEWS)
def test_any_input(view, case, method, dtype):
    """Each argument in turn, then all at once; no input is changed."""
    x, w, b, dy = arrays = data(case, dtype, True)
    for of, used in (("y", (x, w, b, None)), ("x", (None, w, None, dy)), ("w", (x, None, None, dy)), ("b", (x, w, None, dy))):
        want, _ = expected(case, dtype, True, of)
        numbers = [i for i, a in enumerate(used) if a is not None]
        for viewed in (*([i] for i in numbers), numbers):
            given = [VIEWS[view](a) if i in viewed else a for i, a in enumerate(used)]
            got = operate(case, given, of, method)
            if got is not None:
                assert_near_integers(got, want, method, f"{of}, {view}: argument {viewed}")
            assert type(got) in (np.ndarray, type(None))
            for i in viewed:
                assert bits(given[i]) == bits(VIEWS[view](arrays[i])), f"argument {i} was changed"


def operate(case, arrays, of, method):
    """compute without its copies into a layout; None where the method declines."""
    x, w, b, dy = arrays
    options = dict(case.options, method=method)
    try:
        if of == "y":
            return nd.conv(x, w, b, **options)
        if of == "x":
            return nd.conv_input_grad(dy, w, case.x_shape(), **options)
        if of == "w":
            return nd.conv_weight_grad(dy, x, case.w_shape, **options)
        return nd.conv_backward(dy, x, w, wrt=("b",), **options).b
    except nd.MethodNotApplicable:
        return None


@pytest.mark.parametrize("axes", ((0,), (1,), (2,), (3,), (2, 3), (0, 1, 2, 3)), ids=str)
def test_broadcast_inputs(axes, method, dtype):
    """Stride 0: many elements at one address."""
    case = case_for(method)
    x, w, b, dy = data(case, dtype, True)

    def constant(a):
        return np.broadcast_to(a[tuple(slice(1) if axis in axes else slice(None) for axis in range(a.ndim))], a.shape)

    for of in "yxw":
        plain = compute(case, [np.ascontiguousarray(constant(a)) for a in (x, w)] + [b, np.ascontiguousarray(constant(dy))], of)
        got = operate(case, (constant(x), constant(w), b, constant(dy)), of, method)
        assert got is None or (np.abs(got - plain) < 0.5).all(), of


def test_overlapping_windows_as_input(method, dtype):
    """as_strided windows of a signal: elements that share memory without being a broadcast."""
    signal, w = draw("signal", (60,), dtype, True), draw("w", (5, 3, 3), dtype, True)
    step = signal.itemsize
    x = np.lib.stride_tricks.as_strided(signal, (2, 3, 40), (5 * step, 2 * step, step), writeable=False)
    assert_near_integers(nd.conv(x, w, method=method), np.asarray(nd.conv(x.copy(), w, method="gemm")), method)


@pytest.mark.parametrize("given", ([[[1.0, 2.0, 3.0]]], (([1, 2.0, 3],),)), ids=repr)
def test_nested_sequences(given):
    np.testing.assert_array_equal(nd.conv(given, [[[1.0, 1.0]]], [0.5]), [[[3.5, 5.5]]])


@pytest.mark.parametrize("case", (SPECTRAL[0], GROUPED[3], ANY_RANK[1], ANY_RANK[6]), ids=lambda c: c.name)
def test_the_result_keeps_the_memory_format(case, method, dtype):
    """Channels that are together in memory are so in the result, whatever the axes are called."""
    x, w, b, dy = data(case, dtype, True)
    first, last = case.layouts
    for of, source in (("y", x), ("x", dy)):
        want, _ = expected(case, dtype, True, of)
        for layout, together in ((first, False), (first, True), (last, False), (last, True)):
            view = to_layout(source, layout)
            channels = view.ndim - 1 if layout == last else 1
            if together != (layout == last):
                view = axis_innermost(view, channels if together else view.ndim - 1 if layout == first else view.ndim - 2)
                view = view if together else np.moveaxis(np.ascontiguousarray(np.moveaxis(view, -1, 1)), 1, -1)
            options = case.options | dict(layout=layout, method=method)
            try:
                if of == "y":
                    got = nd.conv(view, w, b, **options)
                else:
                    got = nd.conv_input_grad(view, w, case.x_shape(layout), **options)
            except nd.MethodNotApplicable:
                continue
            assert_near_integers(np.moveaxis(got, channels, 1), want, method, f"{of} {layout} together={together}")
            order = np.moveaxis(got, channels, -1 if together else 1)
            assert order.flags.c_contiguous, f"{of} {layout} together={together}: strides {got.strides}"


OUTS = {
    "contiguous": lambda a: np.full_like(a, np.nan),
    "fortran": lambda a: np.full_like(a, np.nan, order="F"),
    "channels innermost": lambda a: axis_innermost(np.full_like(a, np.nan), 1),
    "apart": lambda a: inside(a, [2] * a.ndim),
    "backwards": lambda a: inside(a, [-1] * a.ndim),
    "mixed": lambda a: inside(a, [1, -2, *[-1, 1, 3][3 - (a.ndim - 2):]]),
    "rows apart": lambda a: inside(a, [1] * a.ndim),
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("kind", OUTS)
def test_out(kind, case, method, dtype):
    """The result goes into out, out is what is returned, and nothing between its elements is touched."""
    for of in "yxw":
        want, _ = expected(case, dtype, True, of)
        out = OUTS[kind](want.astype(dtype))
        out[...] = np.nan
        arrays = data(case, dtype, True)
        try:
            got = call_with_out(case, arrays, of, out, method)
        except nd.MethodNotApplicable:
            continue
        assert got is out
        assert_near_integers(out, want, method, of)
        around = out
        while around.base is not None:
            around = around.base
        assert np.count_nonzero(~np.isnan(around)) == want.size, f"{of}: something beside out was written"


def call_with_out(case, arrays, of, out, method):
    x, w, b, dy = arrays
    options = case.options | dict(method=method, out=out)
    if of == "y":
        return nd.conv(x, w, b, **options)
    if of == "x":
        return nd.conv_input_grad(dy, w, case.x_shape(), **options)
    return nd.conv_weight_grad(dy, x, case.w_shape, **options)


@pytest.mark.parametrize("shift", (0, 1, 7, 60, -1, -33))
@pytest.mark.parametrize("backwards", (False, True), ids=("forwards", "backwards"))
def test_out_over_x(shift, backwards, method, dtype):
    """out may be x itself, or lie across it."""
    case = Conv("same", 2, 4, 4, (9, 11), (3, 3), 1, 1)
    x, w, b, _ = data(case, dtype, True)
    memory = np.zeros(x.size + 200, dtype)
    lying = memory[100:100 + x.size].reshape(x.shape)
    out = memory[100 + shift:100 + shift + x.size].reshape(x.shape)
    out = out[:, :, ::-1, ::-1] if backwards else out
    want, _ = expected(case, dtype, True, "y")
    for call in (lambda: nd.conv(lying, w, b, padding=1, method=method, out=out),
                 lambda: nd.plan_conv(x.shape, w, b, padding=1, method=method)(lying, out=out)):
        lying[...] = x
        assert call() is out
        assert_near_integers(out, want, method)


def test_out_over_w_and_bias(method, dtype):
    case = Conv("square", 2, 2, 2, (5, 5), (5, 5), 1, 2)
    x, w, b, dy = data(case, dtype, True)
    memory = np.zeros(w.size + 30, dtype)
    for of, shape in (("y", x.shape), ("x", x.shape), ("w", w.shape)):
        want, _ = expected(case, dtype, True, of)
        for source in ("w", "b", "dy"):
            held = dict(w=w, b=b, dy=dy)
            out = memory[9:9 + want.size].reshape(shape)
            held[source] = memory[4:4 + held[source].size].reshape(held[source].shape)
            held[source][...] = dict(w=w, b=b, dy=dy)[source]
            try:
                call_with_out(case, (x, held["w"], held["b"], held["dy"]), of, out, method)
            except nd.MethodNotApplicable:
                continue
            assert_near_integers(out, want, method, f"{of} over {source}")
