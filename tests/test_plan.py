"""Plans, the choice of method and its reasons, and bounded memory."""
import gc
import os

import numpy as np
import pytest
from cases import GEOMETRY, GROUPED, PARALLEL, SMALL, SPECTRAL, TILED, Conv, to_layout
from checks import EXACT_METHODS, bits, case_for, compute, data

import ndconv as nd
from ndconv.select import METHODS

MIB = 2**20
LARGE = Conv("large", 2, 32, 48, (64, 64), (5, 5), 1, 2)


def shapes(case):
    return case.x_shape(), case.w_shape


@pytest.mark.parametrize("limit", (0, 1000, 100_000, MIB, 256 * MIB))
@pytest.mark.parametrize("case", (LARGE, PARALLEL[1], PARALLEL[3], SPECTRAL[3], GROUPED[3]), ids=lambda c: c.name)
def test_workspace_limit(case, limit):
    """What is chosen fits; what is forced fits or says by how much it does not."""
    x, w, b, _ = data(case, "float32", False)
    for threads in (1, 2):
        options = case.options | dict(workspace_limit=limit, threads=threads)
        able = nd.methods(*shapes(case), **options)
        for method in nd.methods(*shapes(case), **case.options, workspace_limit=2**62):
            if method in able:
                plan = nd.plan_conv(x.shape, w, b, method=method, **options)
                assert 0 <= plan.workspace_bytes <= limit
                y = nd.conv(x, w, b, method=method, **case.options, threads=threads)
                assert bits(plan(x)) == bits(nd.conv(x, w, b, method=method, **options)) == bits(y)
            else:
                for call in (nd.plan_conv, nd.conv):
                    with pytest.raises(nd.MethodNotApplicable, match=f"{method}.*workspace.*workspace_limit"):
                        call(x.shape if call is nd.plan_conv else x, w, b, method=method, **options)
        if able:
            assert nd.plan_conv(x.shape, w, **options).workspace_bytes <= limit
        else:
            with pytest.raises(nd.MethodNotApplicable, match="workspace_limit"):
                nd.conv(x, w, b, **options)
    assert limit < MIB or set(EXACT_METHODS) <= set(able)


def test_some_method_needs_little():
    """A limit far below the arrays still computes."""
    x, w, _, _ = data(LARGE, "float32", False)
    assert nd.methods(*shapes(LARGE), workspace_limit=MIB // 2)
    assert nd.plan_conv(x.shape, w, workspace_limit=MIB // 2, **LARGE.options).workspace_bytes <= MIB // 2


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
def test_a_call_takes_no_more_than_its_workspace():
    """Peak memory of a call, beyond its arrays and a copy of the weights, in a process of its own."""
    from checks import output_of
    code = """
    import resource
    import numpy as np, ndconv as nd
    x, w = np.ones((1, 32, 150, 150), "f4"), np.ones((32, 32, 5, 5), "f4")
    out = np.ones((1, 32, 150, 150), "f4")
    over = []
    for method in nd.methods(x.shape, w.shape, padding=2):
        nd.conv(x[:, :, :9, :9], w, padding=2, method=method)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        plan = nd.plan_conv(x.shape, w, padding=2, method=method)
        plan(x, out=out)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        if grown > plan.workspace_bytes + 2 * w.nbytes + 4 * 2**20:
            over.append((method, grown, plan.workspace_bytes))
    print(over)
    """
    assert output_of(code) == "[]"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
def test_varying_shapes_do_not_grow_the_process():
    """A thousand different shapes on every method, after a first round that fills the caches."""
    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def round_of(start):
        for i in range(start, start + 350):
            x = np.ones((1, 3, 10 + i // 40, 10 + i % 40), np.float32)
            w = np.ones((4 + i % 3, 3, 3, 3), np.float32)
            for method in nd.methods(x.shape, w.shape):
                dy = nd.conv(x, w, padding=1, method=method)
                nd.conv_backward(dy, x, w, padding=1, method=method)
                nd.plan_conv(x.shape, w, method=method)
            nd.max_pool(x, 2)

    round_of(0)
    before = resident()
    round_of(350)
    round_of(700)
    assert resident() - before < 16 * MIB
    nd.clear_caches()


def test_clear_caches_gives_memory_back():
    for method in nd.methods(*shapes(LARGE), **LARGE.options):
        compute(LARGE, data(LARGE, "float32", False), method=method)
    nd.clear_caches()
    from ndconv._runtime import scratch_bytes
    assert scratch_bytes() == 0


@pytest.mark.parametrize("case", (LARGE, GEOMETRY[2], SPECTRAL[6], GROUPED[3]), ids=lambda c: c.name)
@pytest.mark.parametrize("method", ("auto", *METHODS))
def test_explain(case, method):
    """One row a method, one of them chosen, and a reason on every line that was not."""
    options = case.options | dict(method=method, threads=1)
    explanation = nd.explain(*shapes(case), **options)
    assert [row.method for row in explanation.rows] == list(nd.select.NAMES)
    chosen = [row for row in explanation.rows if row.chosen]
    able = [row.method for row in explanation.rows if row.applicable]
    assert able == nd.methods(*shapes(case), **options)
    if method in ("auto", *able):
        assert len(chosen) == 1 and chosen[0].applicable and method in ("auto", chosen[0].method)
        plan = nd.plan_conv(case.x_shape(), data(case, "float32", False)[1], **options)
        row, = (row for row in plan.explain().rows if row.chosen)
        assert row.method == plan.method and row.workspace == plan.workspace_bytes
        assert method == "auto" or row.method == chosen[0].method
        assert [r.workspace for r in plan.explain().rows] == [r.workspace for r in explanation.rows]
        assert all(r.cost <= s.cost for r, s in zip(plan.explain().rows, explanation.rows, strict=True))
    for row in explanation.rows:
        assert row.reason, f"{row.method} has no reason"
        if row.applicable:
            assert row.cost > 0 and row.workspace >= 0
    text = str(explanation)
    for word in (*METHODS, *(row.reason for row in explanation.rows), *map(str, case.size)):
        assert word in text


def test_explain_takes_what_conv_takes():
    """Geometry, dtype and layout change the answer's subject."""
    for options in (dict(stride=2), dict(dilation=2, padding="same"), dict(groups=4), dict(flip=True), dict(layout="NHWC")):
        x_shape = (1, 20, 20, 8) if options.get("layout") == "NHWC" else (1, 8, 20, 20)
        w_shape = (4, 2, 3, 3) if "groups" in options else (4, 8, 3, 3)
        for dtype in ("float32", np.float64, np.dtype("f8")):
            explanation = nd.explain(x_shape, w_shape, dtype=dtype, **options)
            assert np.dtype(dtype).name in str(explanation) and any(row.chosen for row in explanation.rows)


def test_method_not_applicable_says_why():
    with pytest.raises(nd.MethodNotApplicable, match="fft.*strict.*element-wise"):
        nd.conv(np.ones((1, 1, 9, 9)), np.ones((1, 1, 5, 5)), method="fft", accuracy="strict")
    declined = [(method, case) for method in METHODS for case in SMALL if method not in nd.methods(*shapes(case), **case.options)]
    for method, case in declined:
        x, w, b, _ = data(case, "float32", False)
        reason, = (row.reason for row in nd.explain(*shapes(case), **case.options).rows if row.method == method)
        for call in (lambda: nd.conv(x, w, b, method=method, **case.options),  # noqa: B023
                     lambda: nd.plan_conv(x.shape, w, b, method=method, **case.options)):  # noqa: B023
            with pytest.raises(nd.MethodNotApplicable) as caught:
                call()
            assert reason in str(caught.value) and method in str(caught.value)


def test_strict_allows_exact_methods_only():
    for case in (LARGE, *SPECTRAL, TILED[0]):
        assert set(nd.methods(*shapes(case), accuracy="strict", **case.options)) == set(EXACT_METHODS)
        w = data(case, "float32", False)[1]
        assert nd.plan_conv(case.x_shape(), w, accuracy="strict", **case.options).method in EXACT_METHODS


@pytest.mark.parametrize("case", (LARGE, GROUPED[1]), ids=lambda c: c.name)
def test_plan_tells_its_problem(case, dtype):
    x, w, b, _ = data(case, dtype, False)
    plan = nd.plan_conv(x.shape, w, b, **case.options)
    assert isinstance(plan, nd.Plan) and plan(x).dtype == dtype
    for word in (dtype, *map(str, case.size), *(["groups"] if case.groups > 1 else [])):
        assert word in str(plan.problem)
    assert hash(plan.problem) == hash(nd.plan_conv(x.shape, w, b, **case.options).problem)


def test_plan_takes_any_memory_order():
    """Made for one layout, called with a transposed view: right, whatever the order in memory."""
    for method in METHODS:
        case = case_for(method)
        x, w, b, _ = data(case, "float32", True)
        plan = nd.plan_conv(x.shape, w, b, method=method, **case.options)
        want = plan(x)
        for other in (np.asfortranarray(x), np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1), x[..., ::-1].copy()[..., ::-1]):
            assert np.abs(plan(other) - want).max() <= (0 if method in EXACT_METHODS else 0.25)


def test_changing_the_number_of_threads_keeps_plans_right(method):
    case = PARALLEL[0]
    x, w, b, _ = data(case, "float32", False)
    nd.set_num_threads(1)
    plan = nd.plan_conv(x.shape, w, b, method=method, **case.options)
    want = bits(plan(x))
    for threads in (4, 2, 1, 3):
        nd.set_num_threads(threads)
        assert bits(plan(x)) == want == bits(nd.conv(x, w, b, method=method, **case.options))


@pytest.mark.parametrize(("dtype", "accumulate"), [("float16", None), ("complex64", None), ("complex128", None),
                                                   ("uint8", "int32"), ("int16", "int64"), ("int32", "float64")])
def test_plans_of_dtypes_that_are_converted(dtype, accumulate):
    case = GEOMETRY[0]
    x, w = (np.abs(a).astype(dtype) for a in data(case, "float32", True)[:2])
    if dtype.startswith("complex"):
        x, w = x + 1j * x[::-1], w - 2j * w
    b = np.arange(case.oc).astype(accumulate or dtype)
    for layout in case.layouts:
        given = to_layout(x, layout)
        options = case.options | dict(layout=layout, accumulate=accumulate)
        want, own = nd.conv(given, w, b, **options), w.copy()
        plan = nd.plan_conv(given.shape, own, b, **options)
        own[...] = 0
        out = np.zeros_like(want)
        assert plan(given, out=out) is out and dtype in repr(plan)
        for y in (out, plan(given)):
            assert y.dtype == want.dtype
            np.testing.assert_array_equal(y, want)
        with pytest.raises(ValueError, match="x must have shape"):
            plan(given[..., 1:])
        with pytest.raises(TypeError, match=f"x must be {dtype}"):
            plan(given.real.astype("int8"))


def test_accumulators_of_plans():
    x_shape, w = (1, 1, 9), np.full((1, 1, 3), 100)
    for dtype, accumulate in (("int8", None), ("float32", "int32"), ("float16", "int32")):
        with pytest.raises(TypeError, match="accumulate"):
            nd.plan_conv(x_shape, w.astype(dtype), accumulate=accumulate)
    with pytest.raises(OverflowError, match="accumulate=int32 is too narrow"):
        nd.plan_conv(x_shape, w.astype("int16"), dtype="int32", accumulate="int32")
