"""The command line: what it prints, writes and refuses."""
import base64
import dataclasses
import json
import math
import os
import re
import sys

import numpy as np
import pytest
from checks import run_python

import ndconv as nd
from ndconv import bench, bench_cases, cli, cli_bench, filters, machine, reference
from ndconv.peers import PEERS
from ndconv.problem import DTYPES

PNG = b"\x89PNG"
SMALL = bench_cases.Case("small", "3x3", 2, 3, (9, 10), 4, 3, 2, 1)
SMALL_POOL = bench_cases.Case("small", "pool", 2, 3, (9, 10), 3, 3, 2, 1, op="max_pool")


@pytest.fixture
def picture(tmp_path):
    """A function that writes a picture of random pixels of some mode and returns its path."""
    image = pytest.importorskip("PIL.Image", reason="the image extra is not installed")

    def write(mode="RGB", name="in.png"):
        shape = (11, 13, len(mode)) if mode in ("LA", "RGB", "RGBA") else (11, 13)
        pixels = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
        image.fromarray(pixels, mode=None).save(tmp_path / name)
        return tmp_path / name
    return write


@pytest.fixture
def extras():
    pytest.importorskip("rich", reason="the cli extra is not installed")
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")


def run(*arguments):
    """The exit code of a command line, also where argparse ends the program."""
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


def read(path):
    from PIL import Image
    with Image.open(path) as image:
        return np.asarray(image)


def filtered(pixels, kernels, scale=1.0):
    """What `ndconv filter` promises, by the float64 definition."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    colours = {1: 1, 2: 1, 3: 3, 4: 3}[len(planes)]
    k = len(kernels[0])
    pads = [(0, 0)] + [((k - 1) // 2, k // 2)] * 2
    x = np.pad(planes[:colours].astype(float), pads, mode="edge")[:, None]
    y = [reference.conv(x, kernel[None, None])[:, 0] for kernel in kernels]
    if abs(kernels[0].sum()) < 1e-6:
        y = [np.hypot(y[0], y[-1] if len(y) > 1 else 0) / kernels[0].clip(0).sum()]
    planes = np.concatenate([np.rint(y[0] * scale).clip(0, 255), planes[colours:]])
    return planes[0] if pixels.ndim == 2 else np.moveaxis(planes, 0, -1)


# info

def test_info_needs_numpy_alone():
    done = run_python("""
        import sys
        sys.modules |= dict.fromkeys(["rich", "matplotlib", "PIL", "scipy"])
        from ndconv.cli import main
        assert main(["info"]) == 0""")
    assert done.returncode == 0, done.stderr
    assert nd.__version__ in done.stdout and nd.get_isa() in done.stdout and np.__version__ in done.stdout


RUN_MODULE = "import runpy, sys; sys.argv = ['ndconv', {!r}]; runpy.run_module('ndconv', run_name='__main__')"


def test_python_m():
    done = run_python(RUN_MODULE.format("--version"))
    assert (done.stdout, done.stderr, done.returncode) == (f"ndconv {nd.__version__}\n", "", 0)


@pytest.mark.skipif(os.name == "nt", reason="a pipe whose reader has gone gives another error on Windows")
def test_a_closed_pipe_ends_quietly():
    done = run_python(f"""
        import os
        end, pipe = os.pipe()
        os.close(end)
        os.dup2(pipe, 1)
        {RUN_MODULE.format("info")}""")
    assert (done.stderr, done.returncode) == ("", 1)


# filter

@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("name", filters.KERNELS)
def test_filter_is_the_definition_rounded(picture, tmp_path, mode, name):
    path, out = picture(mode), tmp_path / "out.png"
    assert run("filter", path, "--kernel", name, "-o", out) == 0
    want = filtered(read(path), cli.make_kernels(name))
    got = read(out)
    assert got.dtype == np.uint8 and got.shape == want.shape
    # float32 may round a value that is half an integer to either side
    assert abs(got - want).max() <= 1 and (got != want).mean() < 0.02
    if mode.endswith("A"):
        assert (got[..., -1] == want[..., -1]).all()


@pytest.mark.parametrize("options, kernels, scale", [
    (["--kernel", "box", "--size", 4], [filters.box(4)], 1),
    (["--kernel", "gaussian", "--sigma", 0.7, "--size", 5], [filters.gaussian(0.7, 5)], 1),
    (["--kernel", "scharr", "--scale", 3], [filters.scharr(0), filters.scharr(1)], 3),
])
def test_filter_options(picture, tmp_path, options, kernels, scale):
    path, out = picture(), tmp_path / "out.png"
    assert run("filter", path, *options, "-o", out) == 0
    assert abs(read(out) - filtered(read(path), kernels, scale)).max() <= 1


def test_filter_shows_the_steepest_edge_as_white(tmp_path, picture):
    for name in ("sobel", "prewitt", "scharr"):
        step = np.repeat(np.array([[0, 0, 0, 255, 255, 255]], np.uint8), 5, axis=0)
        assert cli.filter_picture(step, cli.make_kernels(name)).max() == 255
        assert cli.filter_picture(step // 255, cli.make_kernels(name)).max() == 1


@pytest.mark.parametrize("before, after", [("1", "L"), ("P", "RGB"), ("CMYK", "RGB")])
def test_filter_converts_other_colour_spaces(tmp_path, picture, before, after):
    from PIL import Image
    path, out = tmp_path / "in.tiff", tmp_path / "out.png"
    Image.open(picture()).convert(before).save(path)
    assert run("filter", path, "--kernel", "identity", "-o", out) == 0
    assert (read(out) == np.asarray(Image.open(path).convert(after))).all()


def test_filter_replaces_a_file_whole(picture, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    assert run("filter", picture(), "--kernel", "box", "-o", out) == 0
    assert out.read_bytes().startswith(PNG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "out.png"]


def test_stopping_leaves_the_old_file(picture, tmp_path, monkeypatch, capsys):
    from PIL import Image
    out, path = tmp_path / "out.png", picture()

    def stopped(self, file, *_):
        file.write(b"half")
        raise KeyboardInterrupt
    monkeypatch.setattr(Image.Image, "save", stopped)
    out.write_bytes(b"old")
    assert run("filter", path, "--kernel", "box", "-o", out) == 130
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "out.png"]
    assert capsys.readouterr().err == "ndconv: stopped\n"


@pytest.mark.parametrize("arguments, message", [
    (["no.png", "--kernel", "box", "-o", "out.png"], "there is no file no.png"),
    (["text.png", "--kernel", "box", "-o", "out.png"], "text.png is not a picture that Pillow can read"),
    (["cut.png", "--kernel", "box", "-o", "out.png"], "cannot read cut.png"),
    (["deep.tiff", "--kernel", "box", "-o", "out.png"], "deep.tiff has F pixels; filter takes 8 bits a channel"),
    (["folder", "--kernel", "box", "-o", "out.png"], "cannot read folder"),
    (["in.png", "--kernel", "blur", "-o", "out.png"], "invalid choice: 'blur'"),
    (["in.png", "-o", "out.png"], "required: --kernel"),
    (["in.png", "--kernel", "box"], "required: -o/--output"),
    (["in.png", "--kernel", "box", "--size", "0", "-o", "out.png"], "size must be at least 1, not 0"),
    (["in.png", "--kernel", "box", "--size", "x", "-o", "out.png"], "invalid int value: 'x'"),
    (["in.png", "--kernel", "identity", "--size", "4", "-o", "out.png"], "size must be odd, not 4"),
    (["in.png", "--kernel", "gaussian", "--sigma", "-1", "-o", "out.png"], "sigma must be a positive number"),
    (["in.png", "--kernel", "box", "--size", "1000000000", "-o", "out.png"], "Unable to allocate"),
    (["in.png", "--kernel", "gaussian", "--sigma", "1e300", "-o", "out.png"], "ndconv: gaussian: "),
    (["in.png", "--kernel", "box", "--scale", "nan", "-o", "out.png"], "--scale must be a finite number, not nan"),
    (["in.png", "--kernel", "box", "--sigma", "1", "-o", "out.png"], "--sigma has no meaning for box; it is for gaussian"),
    (["in.png", "--kernel", "sobel", "--size", "5", "-o", "out.png"], "--size has no meaning for sobel; it is for identity, box"),
    (["in.png", "--kernel", "box", "-o", "out"], "out: the name must end in a picture format"),
    (["in.png", "--kernel", "box", "-o", "out.txt"], "out.txt: the name must end in a picture format"),
    (["in.png", "--kernel", "box", "-o", "nowhere/out.png"], "cannot write nowhere/out.png: there is no folder"),
    (["in.png", "--kernel", "box", "-o", "folder.png"], "cannot write folder.png: it is not a plain file"),
    (["in.png", "--kernel", "box", "-o", "out.jpg"], "cannot write out.jpg: cannot write mode RGBA as JPEG"),
])
def test_filter_mistakes(picture, tmp_path, monkeypatch, capsys, arguments, message):
    from PIL import Image
    monkeypatch.chdir(tmp_path)
    whole = picture("RGBA").read_bytes()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "cut.png").write_bytes(whole[:len(whole) // 2])
    Image.fromarray(np.ones((4, 4), np.float32)).save("deep.tiff")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.iterdir())
    assert run("filter", *arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert sorted(tmp_path.iterdir()) == before


# bench

def test_bench_writes_json_and_a_heat_map(extras, tmp_path, capsys):
    data, plot = tmp_path / "rows.json", tmp_path / "map.png"
    assert run("bench", "--quick", "--only", "grey.k1s", "--threads", 1, "--json", data, "--plot", plot) == 0
    report = json.loads(data.read_text())
    assert (report["isa"], report["threads"], report["dtype"]) == (nd.get_isa(), 1, "float32")
    assert report["peak_gflops"] > 0 and report["copy_gbs"] > 0
    assert report["machine"]["cpu"] and report["versions"]["numpy"] == np.__version__
    assert [row["name"] for row in report["rows"]] == [f"grey.k1s{stride}" for stride in bench_cases.STRIDES]
    assert plot.read_bytes().startswith(PNG)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ["grey.k1s4", "of peak", "regret", "auto took the fastest method", *nd.select.METHODS])


def test_bench_rates_pooling_and_depthwise_against_a_copy(extras, capsys):
    """In the level of memory that holds the data; other convolutions have the peak alone."""
    assert run("bench", "--quick", "--only", "inception", "--threads", 1) == 0
    assert "of copy" in capsys.readouterr().out
    wide = dataclasses.replace(SMALL, ic=4, oc=4)
    assert bench.measure_case(wide, "float32", 1, 0)["copy_gbs"] is None
    depthwise = dataclasses.replace(wide, groups=4, k=3)
    row = bench.measure_case(depthwise, "float32", 1, 0)
    assert row["copy_gbs"] > 0 and row["bytes"] == 4 * (math.prod(depthwise.x_shape) + math.prod(depthwise.y_shape))


@pytest.mark.parametrize("op", ["forward", *bench_cases.GRADIENTS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_every_method_that_can(op, dtype):
    row = bench.measure_case(dataclasses.replace(SMALL, op=op), dtype, 1, 0)
    assert not row["wrong"] and row["auto"] in row["ms"]
    assert row["regret"] == row["ms"][row["auto"]] / min(row["ms"].values()) - 1
    if op == "forward":
        assert list(row["ms"]) == nd.methods(SMALL.x_shape, SMALL.w_shape, dtype=dtype, **SMALL.geometry)


@pytest.mark.parametrize("op", bench_cases.POOLING)
def test_a_row_of_pooling(op):
    row = bench.measure_case(dataclasses.replace(SMALL_POOL, op=op), "float32", 1, 0)
    assert not row["wrong"] and list(row["ms"]) == ["pool"]
    assert row["bytes"] == 2 * 3 * (90 * 4 + 25 * (12 if op == "max_pool_indices" else 4))


def test_a_wrong_result_is_not_timed(extras, tmp_path, monkeypatch, capsys):
    right = nd.plan_conv
    *rest, last = nd.methods((1, 1, 512, 768), (1, 1, 3, 3), padding=1)

    def wrong(*args, method, **options):
        plan = right(*args, method=method, **options)
        return (lambda x: plan(x) * 1.001) if method == last else plan
    monkeypatch.setattr(nd, "plan_conv", wrong)
    assert run("bench", "--quick", "--only", "grey.k3s1", "--json", tmp_path / "rows.json") == 1
    row, = (row for row in json.loads((tmp_path / "rows.json").read_text())["rows"] if row["name"] == "grey.k3s1")
    assert list(row["wrong"]) == [last] and list(row["ms"]) == rest
    assert f"not timed: {last} on grey.k3s1: relative error 1.0e-03" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    (["--against", "numpy"], "--against does not know numpy; it knows torch, onnxruntime, openvino, ncnn, opencv, scipy"),
    (["--only", "nothing"], "no case has 'nothing' in its section or name"),
    (["--only", "pooling", "--plot", "map.png"], "--plot draws the cases on the photograph"),
    (["--json", "nowhere/rows.json"], "cannot write nowhere/rows.json: there is no folder"),
    (["--plot", "."], "cannot write .: it is not a plain file"),
    (["--report", f"{__file__}/out"], "cannot make the folder"),
    (["--report", "out", "--against", "numpy"], "--against does not know numpy"),
    (["--threads", "0"], "threads must be between 1 and 256, not 0"),
    (["--threads", "two"], "argument --threads"),
    (["--isa", "mmx"], "invalid choice: 'mmx'"),
    (["--dtype", "int8"], "invalid choice: 'int8'"),
    (["--quick", "--full"], "not allowed with argument"),
])
def test_bench_mistakes(extras, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run("bench", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_bench_writes_a_page_that_needs_nothing_else(extras, tmp_path, monkeypatch, capsys):
    """All pictures and tables in one file, from rows of every kind."""
    layer = dataclasses.replace(SMALL, name="unet.<small>", n=1)
    cases = [*bench_cases.photographs((1,))[:2], layer, dataclasses.replace(layer, name=f"dx.{layer.name}", op="input_grad"),
             dataclasses.replace(SMALL_POOL, op="avg_pool")]
    monkeypatch.setattr(bench_cases, "cases", lambda *_: cases)
    monkeypatch.setattr(cli_bench, "PEER_NAMES", "scipy")
    assert run("bench", "--quick", "--threads", 1, "--report", tmp_path / "new" / "out") == 0
    report = json.loads((tmp_path / "new" / "out" / "report.json").read_text())
    page = (tmp_path / "new" / "out" / "index.html").read_text(encoding="utf-8")
    assert [row["name"] for row in report["rows"]] == [case.name for case in cases]
    assert all(text in page for text in ("Roofline", "U-Net", "unet.&lt;small&gt;", report["date"], report["machine"]["system"]))
    assert "<small>" not in page
    sources = re.findall(r"src='(.*?)'", page)
    assert len(sources) == 2 + bool(report["rows"][0]["peers_ms"]) + 2
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.search("http|<script|<link", re.sub("src='.*?'", "", page))
    for source in sources:
        assert b"</svg>" in base64.b64decode(source.partition(",")[2])


def report_of(ms, spread=0.01, **fields):
    row = dict(name="case", auto="gemm", ms=dict(gemm=ms, direct=2.0), spread=dict(gemm=spread, direct=0.0))
    return dict(isa="avx2", threads=2, dtype="float32", machine={"cpu": "one"}, rows=[row]) | fields


@pytest.mark.parametrize("new, verdict", [
    (report_of(1.04), "0 faster, 0 slower, 3 within the noise"), (report_of(1.1), "0 faster, 2 slower, 1 within"),
    (report_of(0.9), "2 faster, 0 slower, 1 within"), (report_of(1.3, spread=0.2), "0 faster, 0 slower, 3 within"),
])
def test_compare_tells_change_from_noise(extras, tmp_path, capsys, new, verdict):
    old = tmp_path / "old.json"
    old.write_text(json.dumps(report_of(1.0)))
    (tmp_path / "new.json").write_text(json.dumps(new))
    assert run("bench", "--compare", old, tmp_path / "new.json") == 0
    shown = capsys.readouterr().out
    assert verdict in shown and ("faster" in shown) and "not the same" not in shown


def test_compare_names_what_differs(extras, tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(report_of(1.0)))
    other = report_of(1.0, isa="scalar", machine={"cpu": "two"})
    other["rows"] = [other["rows"][0] | dict(auto="direct"), other["rows"][0] | dict(name="more")]
    new.write_text(json.dumps(other))
    assert run("bench", "--compare", old, new) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("not the same isa: avx2 and scalar", "auto (gemm → direct)", "slower",
                                          "in one report only: more"))


@pytest.mark.parametrize("content, message", [
    (None, "there is no file"), ("{", "it is not JSON"), ("[]", "it is no report"), ("[" * 9999, "it is not JSON"),
    (json.dumps(report_of(1.0, rows={})), "rows must be a list"), (json.dumps(report_of(1.0, rows=[{}])), "must have a name"),
    (json.dumps(report_of(0)), "must have times"), (json.dumps(report_of("1")), "must have times"),
    (json.dumps(report_of(float("nan"))), "NaN is no number"), (json.dumps(report_of(1.0, spread=None)), "must have times"),
])
def test_compare_refuses_what_is_no_report(extras, tmp_path, capsys, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert run("bench", "--compare", path, path) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("module, arguments, message", [
    ("rich", ["bench"], "bench needs rich: pip install 'ndconv[cli]'"),
    ("matplotlib", ["bench", "--plot", "map.png"], "--plot needs matplotlib: pip install 'ndconv[plot]'"),
    ("matplotlib", ["bench", "--report", "out"], "--report needs matplotlib: pip install 'ndconv[plot]'"),
    ("PIL", ["filter", "in.png", "--kernel", "box", "-o", "out.png"], "filter needs Pillow: pip install 'ndconv[image]'"),
])
def test_missing_extras_are_named(monkeypatch, extras, capsys, module, arguments, message):
    monkeypatch.setitem(sys.modules, module, None)
    assert run(*arguments) == 2
    assert capsys.readouterr().err == f"ndconv: {message}\n"


def test_missing_peers_are_named(monkeypatch, capsys):
    monkeypatch.setitem(PEERS, "torch", PEERS["torch"]._replace(modules=("no_such_module",)))
    assert cli_bench.find_peers("torch, torch") == []
    assert capsys.readouterr().out == "torch is not installed (no_such_module is missing) and is left out\n"


@pytest.mark.parametrize("name", PEERS)
def test_peers_compute_the_same(name):
    peer = PEERS[name]
    if peer.missing:
        pytest.skip(f"{name} is not installed")  # peers are large, and of no use but to be compared with
    grouped = dataclasses.replace(SMALL, ic=4, groups=2, n=1)
    filtering = bench_cases.Case(bench_cases.GREY, "grey", 1, 1, (512, 768), 1, 5, 1, 2)
    cases = [SMALL, dataclasses.replace(SMALL, stride=1, dilation=2), grouped, filtering,
             *(dataclasses.replace(SMALL, size=size) for size in [(11,), (7, 6, 5)]),
             *(dataclasses.replace(c, op=op) for c in (SMALL, grouped) for op in bench_cases.GRADIENTS),
             *(dataclasses.replace(SMALL_POOL, op=op) for op in bench_cases.POOLING)]
    done = 0
    for case in cases:
        row = bench.measure_case(case, "float32", 1, 0, [(name, peer)])
        assert not row["wrong"], case
        done += name in row["peers_ms"]
    assert done


# explain, tune, calibrate

def test_explain_shows_the_table(capsys):
    assert run("explain", "1x64x56x56", "64x3x3", "--padding", 1) == 0
    shown = capsys.readouterr().out
    assert shown == f"{nd.explain((1, 64, 56, 56), (64, 64, 3, 3), padding=1)}\n"
    assert run("explain", "1x9x8x4", "6x3x3", "--layout", "NHWC", "--groups", 2, "--stride", "2x1", "--padding", "same", "--op",
               "input_grad", "--dtype", "float64", "--method", "gemm", "--threads", 1) == 0
    want = nd.explain((1, 9, 8, 4), (6, 2, 3, 3), layout="NHWC", groups=2, stride=(2, 1), threads=1, padding="same",
                      op="input_grad", dtype="float64", method="gemm")
    assert capsys.readouterr().out == f"{want}\n"


def test_explain_and_tune_take_poolings(tmp_path, capsys):
    assert run("explain", "1x8x20x21", "3x2", "--op", "max_pool_indices", "--dtype", "uint8", "--layout", "NHWC") == 0
    want = nd.explain_pool((1, 8, 20, 21), (3, 2), kind="max", return_indices=True, dtype="uint8", layout="NHWC")
    assert capsys.readouterr().out == f"{want}\n"
    (tmp_path / "model.json").write_text(json.dumps([dict(x_shape=[1, 2, 9, 9], size=3, stride=1, kind="avg")]))
    assert run("tune", tmp_path / "model.json", "-o", tmp_path / "choices.json", "--seconds", 0) == 0
    assert "the least measured time" in capsys.readouterr().out and len(nd.choices) == 1
    nd.choices.clear()


def test_tune_writes_what_explain_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    problem = dict(x_shape=[1, 2, 9, 9], w_shape=[3, 2, 3, 3], padding=[[1, 0], [2, 1]])
    problems = [problem | dict(op=op) for op in ("forward", "weight_grad")]
    (tmp_path / "model.json").write_text(json.dumps(problems))
    assert run("tune", "model.json", "-o", "choices.json", "--seconds", 0) == 0
    shown = capsys.readouterr().out
    assert shown.count("tuned: the least measured time") == 2 and "3 choices in choices.json" in shown
    nd.choices.clear()
    assert run("explain", "1x1x5x5", "1x3x3", "--choices", "choices.json") == 0 and len(nd.choices) == 3
    nd.choices.clear()
    assert run("tune", "model.json", "-o", "choices.json", "--seconds", 0, "--choices", "choices.json") == 0
    assert len(nd.choices) == 3
    nd.choices.clear()


def test_calibrate_shows_and_keeps(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NDCONV_CACHE", str(tmp_path / "cache"))
    assert run("calibrate") == 0
    assert "GFLOP/s" in capsys.readouterr().out and len(machine.read_machines(tmp_path / "cache" / "machine.json")) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NDCONV_CACHE", str(tmp_path / "file"))
    assert run("calibrate") == 2
    assert "cannot write" in capsys.readouterr().err
    machine.forget()


@pytest.mark.parametrize("arguments, message", [
    (["explain", "1x64x56", "64by3"], "'64by3' is no shape; write it as 1x64x56x56"),
    (["explain", "1x3x8x8", "4x3x9x9"], "kernel is larger than the padded input"),
    (["explain", "1x3x8x8", "4x3x3x3", "--method", "magic"], "method must be 'auto' or one of direct"),
    (["explain", "1x3x8x8", "4x3x3x3", "--padding", "some"], "padding must be an int, pairs, or one of valid"),
    (["explain", "1x3x8x8", "4x3x3", "--choices", "none.json"], "there is no file none.json"),
    (["explain", "1x3x8x8", "4x3x3", "--choices", "text.json"], "cannot use text.json: it is not JSON"),
    (["tune", "none.json", "-o", "c.json"], "there is no file none.json"),
    (["tune", "text.json", "-o", "c.json"], "cannot read text.json: it is not JSON"),
    (["tune", "empty.json", "-o", "c.json"], "empty.json must hold a list of problems"),
    (["tune", "shapes.json", "-o", "c.json"], "problem 0 of shapes.json must be an object with x_shape and w_shape"),
    (["tune", "names.json", "-o", "c.json"], "tune has no argument 'strides'; it has x_shape"),
    (["tune", "sizes.json", "-o", "c.json"], "problem 0: x has 2 channels but w (3, 3, 3, 3) with groups=1 takes 3"),
    (["tune", "sizes.json", "-o", "nowhere/c.json"], "cannot write nowhere/c.json"),
])
def test_mistakes_of_choosing(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    problem = dict(x_shape=[1, 2, 9, 9], w_shape=[3, 3, 3, 3])
    for name, value in dict(empty=[], shapes=[dict(x_shape=[1])], names=[problem | dict(strides=1)], sizes=[problem]).items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "text.json").write_text("not JSON")
    assert run(*arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert not (tmp_path / "c.json").exists() and len(nd.choices) == 0


# what is timed

@pytest.mark.parametrize("options", [{}, {"quick": True}, {"full": True}], ids=str)
def test_cases_are_problems(options):
    cases = bench_cases.cases(**options)
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        if not case.is_pool:
            problem, _, _ = bench.make_problem(case.op, case.x_shape, case.w_shape, "float32", case.stride, case.padding,
                                               case.dilation, case.groups, False, None)
            assert problem.flops == case.flops
            assert (problem.n, problem.oc, *problem.y[3 - case.rank:]) == case.y_shape
    strides = {(case.k, case.stride) for case in cases if case.section == bench_cases.GREY}
    kernels = {k for k, _ in strides}
    assert {1, 31} < kernels and strides == {(k, s) for k in kernels for s in bench_cases.STRIDES}


def test_timing_repeats_and_takes_the_median(monkeypatch):
    clock = iter(np.cumsum([0.0, 0.0, 5.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0]).tolist())
    monkeypatch.setattr("ndconv.timing.time.perf_counter", lambda: next(clock))
    calls = []
    times = bench.time_runs({"run": lambda: calls.append(1)}, 0)
    assert times["run"] == (2.0, 1.0, 1.0)
    assert len(calls) >= 3
