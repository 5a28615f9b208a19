"""The methods of pooling: each against the definition, shown, forced, measured and kept."""
import numpy as np
import pytest
from cases import POOLING, draw, to_layout
from checks import assert_elementwise

import ndconv as nd
from ndconv import reference
from ndconv._pool import METHODS
from ndconv.pool_tune import KINDS
from ndconv.select import MethodNotApplicable

FULL = [case for case in POOLING if case.n and case.c]
POOLS = {kind: getattr(nd, f"{kind}_pool") for kind in KINDS}


@pytest.fixture(autouse=True)
def nothing_kept():
    nd.choices.clear()
    yield
    nd.choices.clear()


def back(a, layout):
    return np.moveaxis(a, -1, 1) if layout.endswith("C") else a


def window_cells(case):
    return case.window**case.rank if isinstance(case.window, int) else int(np.prod(case.window))


def wanted(kind, x, case):
    """(values, indices, sums of absolute values) by definition."""
    if kind == "avg":
        return (reference.avg_pool(x, case.window, **case.normalised), None,
                reference.avg_pool(np.abs(x), case.window, **case.normalised))
    values, indices = reference.max_pool(x if kind == "max" else -x, case.window, **case.normalised)
    return values if kind == "max" else -values, indices, None


@pytest.mark.parametrize("case", FULL, ids=lambda c: c.name)
@pytest.mark.parametrize("kind", KINDS)
def test_each_method_computes_the_definition_or_says_why_not(case, kind):
    x = draw(case.name, case.x_shape(), "float32", True)
    values, indices, absolute = wanted(kind, x, case)
    for layout in case.layouts:
        options = case.options | dict(layout=layout)
        own = to_layout(x, layout)
        rows = nd.explain_pool(own.shape, case.window, kind=kind, **options).rows
        assert [row.method for row in rows] == list(METHODS) and sum(row.chosen for row in rows) == 1
        for row in rows:
            if not row.applicable:
                with pytest.raises(MethodNotApplicable, match=f"'{row.method}' is not applicable"):
                    POOLS[kind](own, case.window, method=row.method, **options)
            elif kind == "avg":
                got = back(POOLS[kind](own, case.window, method=row.method, **options), layout)
                assert_elementwise(got, values, absolute, window_cells(case), f"{row.method} {layout}")
            else:
                got = back(POOLS[kind](own, case.window, method=row.method, **options), layout)
                np.testing.assert_array_equal(got, values)
        if kind == "avg":
            continue
        for row in nd.explain_pool(own.shape, case.window, kind=kind, return_indices=True, **options).rows:
            if row.applicable:
                got, at = POOLS[kind](own, case.window, method=row.method, return_indices=True, **options)
                np.testing.assert_array_equal(back(got, layout), values)
                np.testing.assert_array_equal(back(at, layout), indices)


def test_what_was_measured_is_taken_where_it_can_be():
    x = np.random.default_rng(0).standard_normal((2, 3, 40, 40), np.float32)
    want = nd.max_pool(x, 5, stride=1)
    explanation = nd.tune_pool(x.shape, 5, stride=1, seconds=0)
    assert explanation == nd.explain_pool(x.shape, 5, stride=1) and len(nd.choices) == 1
    chosen, = (row for row in explanation.rows if row.chosen)
    assert chosen.measured and chosen.cost == min(row.cost for row in explanation.rows if row.measured)
    assert all(row.measured for row in explanation.rows if row.applicable)
    np.testing.assert_array_equal(nd.max_pool(x, 5, stride=1), want)
    turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)    # NCHW of channels next to each other
    np.testing.assert_array_equal(nd.max_pool(turned, 5, stride=1), want)


def test_another_method_than_the_least_estimate_is_taken_once_measured():
    """Means round differently from another method."""
    x = np.random.default_rng(0).standard_normal((1, 2, 90, 90), np.float32)
    shape, options = x.shape, dict(kind="avg", stride=1)
    by_rule, = (row.method for row in nd.explain_pool(shape, 9, **options).rows if row.chosen)
    nd.tune_pool(shape, 9, seconds=0, **options)
    (key, seconds), = nd.choices._measured.items()
    nd.choices.add({key: seconds | {by_rule: 1e3, "points": 1e-9}})
    row, = (row for row in nd.explain_pool(shape, 9, **options).rows if row.chosen)
    assert row.method == "points" and by_rule != "points"
    assert (nd.avg_pool(x, 9, stride=1) == nd.avg_pool(x, 9, stride=1, method="points")).all()
    assert (nd.avg_pool(x, 9, stride=1) != nd.avg_pool(x, 9, stride=1, method=by_rule)).any()


def test_measured_poolings_are_saved_and_loaded(tmp_path):
    path = tmp_path / "choices.json"
    for dtype in ("float64", "uint8"):
        nd.tune_pool((1, 2, 9, 9), 3, dtype=dtype, return_indices=True, seconds=0)
    nd.tune((1, 2, 9, 9), (2, 2, 3, 3), seconds=0)
    nd.choices.save(path)
    kept = dict(nd.choices._measured)
    nd.choices.clear()
    assert nd.choices.load(path) == len(kept) == 4
    assert nd.choices._measured == kept


@pytest.mark.parametrize(("arguments", "error", "message"), (
    (dict(kind="median"), ValueError, "kind must be one of max, min, avg"),
    (dict(kind="avg", return_indices=True), ValueError, "means have no indices"),
    (dict(dtype="int64"), TypeError, "float32 or float64"),
    (dict(threads=0), ValueError, "threads"),
))
def test_wrong_arguments_are_named(arguments, error, message):
    for function in (nd.explain_pool, nd.tune_pool):
        with pytest.raises(error, match=message):
            function((1, 2, 9, 9), 3, **arguments)


def test_wrong_methods_are_named():
    for call in (lambda m: nd.explain_pool((1, 2, 9, 9), 3, method=m), lambda m: nd.max_pool(np.ones((1, 2, 9, 9)), 3, method=m)):
        with pytest.raises(ValueError, match="method must be 'auto' or one of rows, .*; got 'row'"):
            call("row")
        with pytest.raises(TypeError, match="method must be a string"):
            call(3)
