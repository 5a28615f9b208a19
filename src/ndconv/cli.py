"""The command line: ndconv info, bench and filter. Every mistake of the user ends in one line and exit code 2."""
import argparse
import importlib.util
import inspect
import json
import os
import sys

import numpy as np

import ndconv as nd
from ndconv import bench_cases, filters
from ndconv._runtime import check_threads
from ndconv.files import replace_file
from ndconv.problem import DTYPES

EXTRAS = {"rich": "cli", "matplotlib": "plot", "PIL": "image"}
PEER_NAMES = "torch, onnxruntime, openvino, ncnn, opencv, scipy"


class UsageError(Exception):
    """Something that the user can put right; the message is all they need to see."""


def main(arguments=None):
    """Run the command line and return its exit code: 0, 1 where a result was wrong, 2 for a mistake, 130 for Ctrl-C."""
    options = make_parser().parse_args(arguments)
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code or 0
    except (UsageError, MemoryError) as error:
        print(f"ndconv: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ndconv: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of a pipe has gone; nothing more may be printed, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def make_parser():
    parser = argparse.ArgumentParser("ndconv", description="N-dimensional convolution and pooling for NumPy.")
    parser.add_argument("--version", action="version", version=f"ndconv {nd.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="{info,bench,filter}")
    info = commands.add_parser("info", help="show versions, instruction sets and threads")
    info.set_defaults(run=run_info)
    _add_bench(commands.add_parser(
        "bench", help="time every method on a photograph and on layers of networks",
        description="Times every method over kernel sizes and strides on a photograph, on layers of well-known networks, forward "
                    "and backward, and pooling; each result is checked before it is timed."))
    _add_filter(commands.add_parser(
        "filter", help="apply an image filter to a picture",
        description="Applies a filter to an 8-bit grey, RGB or RGBA picture; transparency is kept and edges are extended. "
                    "Results are rounded to the nearest integer and clipped to 0..255. Filters that find edges (sobel, prewitt, "
                    "scharr, laplacian) show the magnitude, scaled so that the steepest edge along one axis is 255; --scale "
                    "brightens them."))
    return parser


def run_info(options):
    nd.show_config()


def _add_bench(parser):
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="fewer cases and repeats: under a minute on two cores")
    effort.add_argument("--full", action="store_true", help="every odd kernel size from 1 to 31")
    parser.add_argument("--only", metavar="TEXT", default="", help="only the cases with TEXT in section or name")
    parser.add_argument("--against", metavar="NAMES", default="", help=f"also time these where installed: {PEER_NAMES}")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--threads", type=thread_count, metavar="N", default=nd.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--isa", choices=nd.isas(), default=nd.get_isa(), help="instruction set, default: %(default)s")
    parser.add_argument("--json", metavar="FILE", help="write machine, versions and rows")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the fastest method and auto's regret, kernel size by stride")
    parser.set_defaults(run=run_bench)


def thread_count(text):
    try:
        return check_threads(int(text), "threads")
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from None


def run_bench(options):
    need("rich", "bench")
    if options.plot:
        need("matplotlib", "--plot")
    cases = [case for case in bench_cases.cases(options.quick, options.full) if options.only in f"{case.section} {case.name}"]
    if not cases:
        raise UsageError(f"no case has {options.only!r} in its section or name; names look like grey.k3s1, vgg16.1_2, "
                         "dx.resnet50.c2.3x3, max.vgg16.2x2s2")
    if options.plot and not any(case.section in bench_cases.PHOTOGRAPHS for case in cases):
        raise UsageError(f"--plot draws the cases on the photograph (grey, rgb), and --only {options.only} leaves none of them")
    for path in filter(None, (options.json, options.plot)):
        check_output(path)
    peers = find_peers(options.against)
    nd.set_isa(options.isa)
    report = measure(cases, options, peers)
    if options.json:
        write_file(options.json, lambda file: file.write(json.dumps(report, indent=1).encode()))
    if options.plot:
        from ndconv.bench_plots import draw_heat_map
        write_file(options.plot, lambda file: draw_heat_map(report, file, list(nd.select.METHODS)))
    return 1 if any(row["wrong"] for row in report["rows"]) else 0


def find_peers(names):
    """(name, Peer) of those asked for that are installed; a line names the others."""
    from ndconv.peers import PEERS
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        raise UsageError(f"--against does not know {', '.join(unknown)}; it knows {', '.join(PEERS)}")
    absent = {name: PEERS[name].missing for name in wanted if PEERS[name].missing}
    for name, modules in absent.items():
        print(f"{name} is not installed ({', '.join(modules)} is missing) and is left out")
    return [(name, PEERS[name]) for name in wanted if name not in absent]


def measure(cases, options, peers):
    """The report of all cases, shown section by section as it grows."""
    from ndconv import bench, bench_tables
    console = bench_tables.make_console()
    report = bench.describe_machine(options.dtype, options.threads, peers) | {"rows": []}
    bench_tables.show_head(console, report)
    seconds = 0.03 if options.quick else 0.25
    with bench_tables.make_progress(console) as progress:
        task = progress.add_task("", total=len(cases))
        for section in dict.fromkeys(case.section for case in cases):
            rows = []
            for case in (case for case in cases if case.section == section):
                progress.update(task, description=case.name)
                rows.append(bench.measure_case(case, options.dtype, options.threads, seconds, peers))
                progress.advance(task)
            console.print(bench_tables.section_table(rows, report, list(nd.select.METHODS), [name for name, _ in peers]))
            report["rows"] += rows
    bench_tables.show_summary(console, report["rows"])
    return report


def _add_filter(parser):
    parser.add_argument("image", metavar="IN", help="the picture: any file that Pillow reads")
    parser.add_argument("--kernel", required=True, choices=tuple(filters.KERNELS), help="which filter")
    parser.add_argument("--size", type=int, metavar="N", help="pixels a side of identity, box and gaussian")
    parser.add_argument("--sigma", type=float, metavar="S", help="standard deviation of gaussian, in pixels; default 1")
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="multiply the result by F; default 1")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="where to write; a file there is replaced")
    parser.set_defaults(run=run_filter)


def run_filter(options):
    need("PIL", "filter")
    from PIL import Image
    save_format = Image.registered_extensions().get(os.path.splitext(options.output)[1].lower())
    if save_format not in Image.SAVE:
        raise UsageError(f"{options.output}: the name must end in a picture format such as .png or .jpg")
    check_output(options.output)
    if not np.isfinite(options.scale):
        raise UsageError(f"--scale must be a finite number, not {options.scale}")
    kernels = make_kernels(options.kernel, size=options.size, sigma=options.sigma)
    picture = read_picture(options.image)
    result = Image.fromarray(filter_picture(picture, kernels, options.scale))
    write_file(options.output, lambda file: result.save(file, save_format))


def make_kernels(name, **options):
    """The kernels of a filter: one, or one an axis for a derivative; options that are None keep their default."""
    function = filters.KERNELS[name]
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in inspect.signature(function).parameters:
            able = [other for other, f in filters.KERNELS.items() if key in inspect.signature(f).parameters]
            raise UsageError(f"--{key} has no meaning for {name}; it is for {', '.join(able)}")
    try:
        if "axis" in inspect.signature(function).parameters:
            return [function(axis=axis) for axis in (0, 1)]
        return [function(**given)]
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{name}: {error}") from None


def read_picture(path):
    """The picture as uint8, (height, width) or (height, width, 2 to 4); palettes and other colour spaces become RGB."""
    from PIL import Image, ImageOps, UnidentifiedImageError
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I") or image.mode == "F":
                raise UsageError(f"{path} has {image.mode} pixels; filter takes 8 bits a channel")
            if image.mode == "1":
                image = image.convert("L")
            elif image.mode not in ("L", "LA", "RGB", "RGBA"):
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            return np.asarray(image)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except UnidentifiedImageError:
        raise UsageError(f"{path} is not a picture that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def filter_picture(picture, kernels, scale=1.0):
    """The picture convolved with the kernel, channel by channel, times scale; alpha untouched; uint8 as `picture`.

    Where the coefficients add up to 0, the magnitude over all kernels, divided by the sum of the positive coefficients: the
    greatest response of one kernel is then 255.
    """
    planes = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    colours = len(planes) - (len(planes) in (2, 4))
    size = len(kernels[0])
    before = (size - 1) // 2
    pads = ((0, 0), (before, size - 1 - before), (before, size - 1 - before))
    x = np.pad(planes[:colours].astype(np.float32), pads, mode="edge")
    responses = [nd.conv2d(x[:, None], kernel[None, None])[:, 0] for kernel in kernels]
    positive = kernels[0].clip(0).sum()
    if abs(kernels[0].sum()) < 1e-6 * positive:
        y = np.sqrt(sum(response**2 for response in responses)) / positive
    else:
        y = responses[0]
    result = np.concatenate([np.rint(y * scale).clip(0, 255).astype(np.uint8), planes[colours:]])
    return result[0] if picture.ndim == 2 else np.moveaxis(result, 0, -1).copy()


def need(module, purpose):
    """UsageError unless an optional package is installed."""
    if importlib.util.find_spec(module) is None:
        package = "Pillow" if module == "PIL" else module
        raise UsageError(f"{purpose} needs {package}: pip install 'ndconv[{EXTRAS[module]}]'")


def check_output(path):
    """UsageError where no file can be written, before any work is done."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"cannot write {path}: it is not a plain file")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {path}: no permission in {folder}")


def write_file(path, write):
    """replace_file, with an error that the user can put right."""
    try:
        replace_file(path, write)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from None
