"""Tuning, the choices that it keeps, their files, and the measured machine: advice that can slow a call, never break it."""
import json
import math
import os
import threading
from collections import Counter

import numpy as np
import pytest
from cases import GROUPED, Conv
from checks import bits, data

import ndconv as nd
from ndconv import cost, cycles, machine, select
from ndconv.choices import MOST_BYTES, MOST_CHOICES
from ndconv.plan import cached_plan
from ndconv.problem import OPS, RANKS
from ndconv.stages import alike, stages_of
from ndconv.timing import runs_of, shapes_of, time_runs
from ndconv.tune import HOPELESS

CASE = Conv("small", 1, 8, 8, (12, 12), (3, 3), 1, 1)
SHAPES = CASE.x_shape(), CASE.w_shape
# several blocks: wide and narrow rows, many and few channels, a stride, groups
BLOCKED = (Conv("wide", 1, 20, 40, (30, 90), (3, 3), 1, 1), Conv("narrow", 3, 70, 130, (9, 11), (3, 3), 1, 1),
           Conv("few", 2, 3, 5, (40, 61), (5, 5), 2, 2), Conv("grouped", 2, 32, 48, (17, 23), (3, 3), 2, 1, groups=2),
           Conv("point", 2, 100, 70, (31, 33), (1, 1)), Conv("long", 2, 40, 24, (900,), (3,), 1, 2, 2))


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path, monkeypatch):
    """No choices before or after a test, and no measured machine."""
    monkeypatch.setenv("NDCONV_CACHE", str(tmp_path / "cache"))
    nd.choices.clear()
    machine.forget()
    yield
    nd.choices.clear()
    machine.forget()


def problem_of(op="forward"):
    return nd.explain(*SHAPES, op=op, **CASE.options).problem


def keep(seconds, op="forward", prepared=False, threads=None):
    """Keep measured seconds as tune would."""
    nd.choices.add({(problem_of(op), nd.get_isa(), threads or nd.get_num_threads(), prepared): seconds})


def chosen(explanation):
    row, = (row for row in explanation.rows if row.chosen)
    return row


@pytest.mark.parametrize("op", OPS)
def test_tune_measures_what_applies_and_explain_says_so(op):
    explanation = nd.tune(*SHAPES, op=op, seconds=0, **CASE.options)
    measured = [row for row in explanation.rows if row.measured]
    assert explanation == nd.explain(*SHAPES, op=op, **CASE.options)
    assert {row.method for row in measured} <= set(nd.methods(*SHAPES, op=op, **CASE.options)) and measured
    assert chosen(explanation).cost == min(row.cost for row in measured)
    assert all("tuned: " in row.reason for row in measured)
    assert len(nd.choices) == (2 if op in ("forward", "transpose") else 1)


def test_tune_takes_a_list_and_borders():
    problems = [dict(x_shape=SHAPES[0], w_shape=SHAPES[1], op=op, seconds=0) for op in ("forward", "weight_grad")]
    assert [e.problem.op for e in nd.tune(problems)] == ["forward", "weight_grad"]
    count = len(nd.choices)
    nd.tune(*SHAPES, padding=1, padding_mode="edge", seconds=0)
    assert len(nd.choices) == count + 2, "a plan and a call are measured, and a mode is a problem of its own"
    assert any(row.measured for row in nd.explain(*SHAPES, padding=1, padding_mode="edge").rows)


def test_tune_leaves_out_the_hopeless(monkeypatch):
    monkeypatch.setattr(select, "seconds", lambda name, *_: {"gemm": 1.0, "direct": HOPELESS - 1.0}.get(name, HOPELESS + 1.0))
    rows = nd.tune(*SHAPES, seconds=0, **CASE.options).rows
    assert {row.method for row in rows if row.measured} == {"gemm", "direct"}
    assert all("not measured" in row.reason for row in rows if row.applicable and not row.measured)


@pytest.mark.parametrize("arguments, error, message", [
    ((SHAPES[0],), TypeError, "w_shape must be given"), (([{}], SHAPES[1]), TypeError, "beside a list"),
    (([dict(x_shape=(1, 1, 4), w_shape=(1, 1, 9))],), ValueError, "larger than"), (([dict(side=3)],), TypeError, "side"),
])
def test_mistakes_of_tune(arguments, error, message):
    with pytest.raises(error, match=message):
        nd.tune(*arguments)
    for options in (dict(op="backward"), dict(seconds=-1), dict(seconds=float("nan")), dict(threads=0), dict(accuracy="exact")):
        with pytest.raises(ValueError, match=next(iter(options))):
            nd.tune(*SHAPES, **options)
    assert len(nd.choices) == 0


def test_choices_steer_calls_plans_and_gradients():
    """A choice is in force at once, also for what was planned before, and results are those of its method."""
    x, w, b, dy = data(CASE, "float32", False)
    calls = {
        "forward": lambda **o: nd.conv(x, w, b, **CASE.options, **o),
        "input_grad": lambda **o: nd.conv_input_grad(dy, w, x.shape, **CASE.options, **o),
        "weight_grad": lambda **o: nd.conv_weight_grad(dy, x, w.shape, **CASE.options, **o),
    }
    for op, call in calls.items():
        for method in nd.methods(*SHAPES, op=op, **CASE.options):
            call()
            keep({method: 1e-9, "direct": 2e-9} | {method: 1e-9}, op)
            assert chosen(nd.explain(*SHAPES, op=op, **CASE.options)).method == method
            assert bits(call()) == bits(call(method=method))
    keep({"fft": 1e-9}, prepared=True)
    plan = nd.plan_conv(x.shape, w, b, **CASE.options)
    assert plan.method == "fft" and chosen(plan.explain()).measured
    nd.choices.clear()
    assert nd.plan_conv(x.shape, w, b, **CASE.options).method != "fft"


def test_choices_hold_for_their_threads_and_instruction_set_only():
    keep({"fft": 1e-9}, threads=2)
    assert chosen(nd.explain(*SHAPES, threads=2, **CASE.options)).measured
    assert not chosen(nd.explain(*SHAPES, threads=1, **CASE.options)).measured
    before = nd.get_isa()
    for isa in nd.isas():
        nd.set_isa(isa)
        assert chosen(nd.explain(*SHAPES, threads=2, **CASE.options)).measured == (isa == before)


def test_limits_come_before_choices():
    """The fastest measured method is passed over where it may not run; the next one is taken."""
    x, w, b, _ = data(CASE, "float32", False)
    keep({"fft": 1e-9, "gemm": 2e-9, "direct": 3e-9})
    assert chosen(nd.explain(*SHAPES, accuracy="strict", **CASE.options)).method == "gemm"
    limit = next(row.workspace for row in nd.explain(*SHAPES, **CASE.options).rows if row.method == "fft") - 1
    assert chosen(nd.explain(*SHAPES, workspace_limit=limit, **CASE.options)).method != "fft"
    assert bits(nd.conv(x, w, b, accuracy="strict", **CASE.options)) == bits(nd.conv(x, w, b, method="gemm", **CASE.options))
    assert chosen(nd.explain(*SHAPES, method="direct", **CASE.options)).method == "direct"


def test_a_choice_that_cannot_be_is_passed_over():
    """A file may say that a method is fast that cannot do the problem at all."""
    case = next(case for case in GROUPED if "winograd" not in nd.methods(case.x_shape(), case.w_shape, **case.options))
    problem = nd.explain(case.x_shape(), case.w_shape, **case.options).problem
    nd.choices.add({(problem, nd.get_isa(), nd.get_num_threads(), False): {"winograd": 1e-9}})
    assert chosen(nd.explain(case.x_shape(), case.w_shape, **case.options)).method != "winograd"
    x, w, b, _ = data(case, "float32", False)
    nd.conv(x, w, b, **case.options)


def test_choices_are_bounded():
    problem = problem_of()
    nd.choices.add({(problem, "avx2", threads, False): {"direct": 1.0} for threads in range(MOST_CHOICES + 10)})
    assert len(nd.choices) == MOST_CHOICES and not nd.choices.find(problem, "avx2", 9, False)
    assert nd.choices.find(problem, "avx2", MOST_CHOICES + 9, False)


def test_save_and_load(tmp_path):
    path = tmp_path / "choices.json"
    nd.tune([dict(x_shape=SHAPES[0], w_shape=SHAPES[1], op=op, seconds=0, **CASE.options) for op in OPS])
    explanations, count = [nd.explain(*SHAPES, op=op, **CASE.options) for op in OPS], len(nd.choices)
    path.write_text("old")
    nd.choices.save(path)
    nd.choices.clear()
    assert nd.choices.load(path) == count == len(nd.choices)
    assert [nd.explain(*SHAPES, op=op, **CASE.options) for op in OPS] == explanations
    assert list(tmp_path.iterdir()) == [path], "no half-written file stays"
    with pytest.raises(FileNotFoundError):
        nd.choices.load(tmp_path / "none.json")
    with pytest.raises(OSError, match="nowhere"):
        nd.choices.save(tmp_path / "nowhere" / "choices.json")
    if hasattr(os, "symlink"):
        link = tmp_path / "link.json"
        link.symlink_to(path)
        nd.choices.save(link)
        assert link.is_symlink() and nd.choices.load(link) == count


def damaged(value):
    """(what is wrong, the bytes of a file) of every kind of wrong file that a right one can be turned into."""
    def changed(**fields):
        return json.dumps(value | fields).encode()

    def entry(**fields):
        return changed(choices=[*value["choices"], value["choices"][0] | fields])

    def problem(**fields):
        return entry(problem=value["choices"][0]["problem"] | fields)

    text = json.dumps(value)
    yield from (
        ("empty", b""), ("cut", text[:-9].encode()), ("no text", b"\xff\xfe\x00"), ("a number", b"7"), ("a list", b"[]"),
        ("deep", b"[" * 100_000), ("deep objects", b'{"a":' * 100_000), ("nan", text.replace("false", "NaN", 1).encode()),
        ("long number", b"1" * 5000), ("large", b" " * (MOST_BYTES + 1)),
        ("foreign format", changed(format="pickle")), ("older", changed(version=0)), ("newer", changed(version=2)),
        ("version of another kind", changed(version=True)), ("another CPU", changed(cpu="Z80")),
        ("another library", changed(ndconv="0.0.0")), ("no list", changed(choices={})), ("null", changed(choices=None)),
        ("too many", changed(choices=[0] * (MOST_CHOICES + 1))), ("entry of another kind", changed(choices=[[]])),
        ("more fields", entry(more=1)), ("threads", entry(threads=0)), ("threads true", entry(threads=True)),
        ("many threads", entry(threads=10**9)), ("isa", entry(isa=[])), ("prepared", entry(prepared=1)),
        ("no seconds", entry(seconds={})), ("list of seconds", entry(seconds=[1])),
        ("unknown method", entry(seconds={"__class__": 1.0})), ("text", entry(seconds={"direct": "1"})),
        ("negative", entry(seconds={"direct": -1.0})), ("zero", entry(seconds={"direct": 0})),
        ("infinite", entry(seconds={"direct": 10**400})), ("true", entry(seconds={"direct": True})),
        ("op", problem(op="run")), ("dtype", problem(dtype={})), ("rank", problem(rank=2.0)), ("flip", problem(flip=0)),
        ("two extents", problem(x=[1, 2])), ("deep extents", problem(x=[1, 2, [3]])), ("field", problem(taps=9)),
    )


def test_wrong_files_are_ignored_whole_and_named(tmp_path):
    path = tmp_path / "choices.json"
    keep({"gemm": 1.0})
    nd.choices.save(path)
    value = json.loads(path.read_text())
    nd.choices.clear()
    keep({"fft": 1e-9})
    for what, content in damaged(value):
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="choices.json is ignored: "):
            assert nd.choices.load(path) == 0, what
        assert len(nd.choices) == 1 and chosen(nd.explain(*SHAPES, **CASE.options)).method == "fft", what
    with pytest.warns(UserWarning, match="not a plain file"):
        nd.choices.load(tmp_path)
    path.unlink()
    path.mkdir(mode=0)
    with pytest.warns(UserWarning, match="ignored"):
        assert nd.choices.load(path) == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everything is readable for root and on Windows")
def test_a_file_without_permission_is_ignored(tmp_path):
    path = tmp_path / "choices.json"
    nd.choices.save(path)
    path.chmod(0)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert nd.choices.load(path) == 0


def test_tuning_while_others_compute():
    """Choices change under way; every call is right."""
    x, w, b, _ = data(CASE, "float32", False)
    want, wrong = nd.conv(x, w, b, accuracy="strict", **CASE.options), []

    def compute():
        for _ in range(40):
            if np.abs(nd.conv(x, w, b, **CASE.options) - want).max() > 1e-3:
                wrong.append(1)

    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        nd.tune(*SHAPES, seconds=0, **CASE.options)
        nd.choices.clear()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_what_is_timed_is_the_problem(op, layout):
    """The runs that are timed compute the shapes that were asked for, by plan and by call."""
    shape = (2, 9, 8, 6) if layout == "NHWC" else (2, 6, 9, 8)
    problem = nd.explain(shape, (4, 3, 3, 3), op=op, stride=2, padding=1, groups=2, layout=layout).problem
    x_shape, w_shape, y_shape = shapes_of(problem)
    want = {"forward": y_shape, "weight_grad": w_shape}.get(op, x_shape)
    able = nd.methods(shape, (4, 3, 3, 3), op=op, stride=2, padding=1, groups=2, layout=layout)
    assert x_shape == shape and w_shape == (4, 3, 3, 3)
    for prepared in (False, True) if op != "weight_grad" else (False,):
        results = {name: run() for name, run in runs_of(problem, able, prepared, 1).items()}
        assert all(y.shape == want and np.allclose(y, results["direct"], atol=1e-3) for y in results.values())


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("op", ("forward", "input_grad"))
@pytest.mark.parametrize("case", BLOCKED, ids=str)
def test_every_blocking_computes_the_same(case, op, dtype):
    """Other blocks, other lanes: the results of the usual ones, those of direct bit for bit."""
    for layout in RANKS[case.rank]:
        problem = nd.explain(case.x_shape(layout), case.w_shape, op=op, dtype=dtype, layout=layout, **case.options).problem
        for method in select.METHODS.values():
            if method.supports(problem) is None:
                usual, *others = (run() for run in runs_of(problem, select.labels_of(method), True, 2).values())
                error = 1e-4 if dtype == "float32" else 1e-12
                assert all(np.abs(y - usual).max() <= error * np.abs(usual).max() for y in others), method
                assert method.name != "direct" or all(bits(y) == bits(usual) for y in others)


def test_fine_tiles_are_a_choice():
    """Of `auto`, for a handful of tiles with large weights; never of the method, whose bits do not depend on the batch."""
    def blocking(n, method):
        rows = nd.explain((n, 512, 7, 7), (512, 512, 3, 3), padding=1, method=method).rows
        return next(row.blocking for row in rows if row.method == "winograd")

    assert (blocking(1, "auto"), blocking(8, "auto"), blocking(1, "winograd")) == ("fine", "usual", "usual")


def test_tuned_blockings_are_taken():
    """By plans, calls and explanations; with limits that they keep; from files."""
    x, w, b, _ = data(CASE, "float32", False)
    for method in select.METHODS.values():
        for label in select.labels_of(method)[1:]:
            keep({label: 1e-9, method.name: 2e-9, "direct": 3e-9} | {label: 1e-9}, prepared=True)
            plan = nd.plan_conv(x.shape, w, b, **CASE.options)
            assert f"{plan.method}:{plan.blocking}" == label and plan.blocking in chosen(plan.explain()).reason
            assert np.allclose(plan(x), nd.conv(x, w, b, method="direct", **CASE.options), atol=1e-3)
            usual = nd.plan_conv(x.shape, w, b, workspace_limit=plan.workspace_bytes, **CASE.options)
            assert usual.workspace_bytes <= plan.workspace_bytes and usual.blocking == plan.blocking


def test_timing_gives_up_on_what_is_far_slower(monkeypatch):
    clock = iter(range(1000))
    calls = []
    monkeypatch.setattr("ndconv.timing.time.perf_counter", lambda: next(clock))
    slow = [next(clock) for _ in range(1)]
    runs = {"fast": lambda: calls.append("fast"), "slow": lambda: (calls.append("slow"), [next(clock) for _ in range(50)])}
    times = time_runs(runs, 0, 3)
    assert slow == [0] and calls.count("fast") > calls.count("slow") == 2
    assert times["fast"].median == 1 and times["slow"].least == 51 and times["fast"].spread == 0


# calibrate

def test_calibrate_is_kept_for_this_cpu():
    measured = nd.calibrate()
    assert min(measured.multiply_adds, measured.l2, measured.l3, measured.memory, measured.call) > 0
    assert (measured.isa, measured.threads) == (nd.get_isa(), nd.get_num_threads())
    assert machine.read_machines(machine.cache_file()) == {(measured.isa, measured.threads): measured}
    value = json.loads(machine.cache_file().read_text())
    for wrong in (b"", b"[]", b"[" * 10_000, json.dumps(value | dict(cpu="Z80")).encode(),
                  json.dumps(value | dict(machines=[1])).encode(),
                  *(json.dumps(value | dict(machines=[value["machines"][0] | change])).encode()
                    for change in (dict(isa="mmx"), dict(l2=0), dict(l2="1"), dict(memory=1e30), dict(threads=None), dict(x=1)))):
        machine.cache_file().write_bytes(wrong)
        machine._measured = None
        with pytest.warns(UserWarning, match="machine.json is ignored: .*ndconv calibrate"):
            assert machine.slowness(100) == machine.slowness(10**9)
        assert machine.slowness(100)[1:] == machine.PLAIN[1:], "and it is said once"


def test_calibrate_changes_estimates_by_what_differs(monkeypatch):
    """On a machine with memory ten times slower, what moves most costs most; the same machine changes nothing."""
    problem = problem_of()
    slow = machine.PLAIN
    before = {name: cost.seconds(name, problem, True, slow) for name in cost.COUNTS}
    assert before == {name: cost.total(*cost.counts_of(name, problem, True), slow) for name in cost.COUNTS}
    for name, least in before.items():
        assert cost.seconds(name, problem, True, (1.0, 1.0, 1e-9)) > least
        assert np.isclose(cost.seconds(name, problem, True, (1.0, 1.0, 0.0)), least)
        assert least < cost.seconds(name, problem, True, (1.0, 10.0, 0.0)) < 10 * least
        slower = cost.seconds(name, problem, True, (10.0, 1.0, 0.0))
        assert slower == least if name == "fft" else least < slower < 10 * least, "transforms do not wait for multiply-adds"
    known = {level: getattr(machine.REFERENCE, level) / 10 for level in machine.LEVELS}
    slow = machine.Machine(nd.get_isa(), nd.get_num_threads(), machine.REFERENCE.multiply_adds, **known, call=1e-5)
    monkeypatch.setattr(machine, "measure", lambda: slow)
    nd.calibrate(save=False)
    assert machine.slowness(1000) == (1.0, 10.0, 1e-5 - machine.REFERENCE.call)
    assert not machine.cache_file().exists()


@pytest.mark.parametrize("stride, k, dilation", [(4, 11, 1), (2, 3, 1), (3, 4, 2), (5, 2, 1), (1, 3, 1)])
def test_phases_are_counted_once_each(stride, k, dilation):
    """Estimates count phases of the same extents together; none is lost, and none without taps is counted."""
    problem = nd.explain((1, 4, 23, 30), (8, 4, k, k), op="input_grad", stride=stride, dilation=dilation, padding=1).problem
    found = Counter((stage.y, stage.k) for stage in stages_of(problem) if math.prod(stage.k))
    assert {(stage.y, stage.k): times for stage, times in alike(problem)} == found and found


def test_narrow_kernels_are_estimated_as_such(isa, monkeypatch):
    """A method that takes AVX2's kernels where AVX-512's would have empty lanes costs what it costs with AVX2; where only the
    instruction set in use was measured, all methods are on its scale."""
    problem = nd.explain((1, 4, 12, 12), (4, 4, 3, 3), padding=1).problem
    narrow = [name for name in cost.FILLED if name in cost.COUNTS
              and cost.FILLED[name].METHOD.tile(problem)[0] < cost._depthwise.METHOD.tile(problem)[0]]
    assert bool(narrow) == (isa == "avx512")
    slow = cost.slowness_of(problem)
    found = {name: cost.seconds(name, problem, True) for name in narrow}
    nd.set_isa("avx2" if narrow else isa)
    assert found == {name: cost.seconds(name, problem, True) for name in narrow}
    nd.set_isa(isa)
    assert all(cost.slowness_for(name, problem, slow) == (machine.PLAIN if name in narrow else slow) for name in cost.COUNTS)
    rates = {name: getattr(machine.REFERENCE, name) / 5 for name in ("multiply_adds", *machine.LEVELS)}
    monkeypatch.setattr(machine, "measure", lambda: machine.Machine(isa, nd.get_num_threads(), **rates, call=1e-5))
    nd.calibrate(save=False)
    slow = cost.slowness_of(problem)
    assert slow[0] == 5 and all(cost.slowness_for(name, problem, slow) == slow for name in cost.COUNTS)


@pytest.mark.parametrize("size, channels, multiplier, stride, op, turned", [
    (7, 64, 1, 1, "forward", True), (7, 64, 1, 1, "input_grad", True), (7, 64, 1, 2, "input_grad", True),
    (300, 64, 1, 1, "forward", False), (300, 64, 1, 2, "input_grad", False), (7, 64, 2, 1, "forward", False),
    (7, 2, 1, 1, "forward", False)])
def test_planes_that_are_turned_are_counted_by_lanes_of_channels(size, channels, multiplier, stride, op, turned):
    problem = nd.explain((1, channels, size, size), (multiplier * channels, 1, 3, 3), op=op, stride=stride, padding=1,
                         groups=channels).problem
    assert cost._depthwise.turns(problem) == turned
    _, counts = cost.depthwise_counts(problem, True)
    assert bool(counts["pixels"]) == turned and bool(counts["steps"]) != turned


def test_every_count_has_a_kind():
    """A name in MOVED that no table has is a mistake."""
    tables = [table for name, table in vars(cycles).items() if name.isupper() and isinstance(table, dict) and "stages" in table]
    assert cycles.MOVED <= set().union(*tables)


def test_clearing_choices_clears_plans():
    x, w, b, _ = data(CASE, "float32", False)
    nd.conv(x, w, b, **CASE.options)
    assert cached_plan.cache_info().currsize
    nd.choices.clear()
    assert cached_plan.cache_info().currsize == 0
