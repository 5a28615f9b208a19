"""ndconv bench: every method and peer on every case, checked, timed, shown and written."""
import argparse
import json
import os

import ndconv as nd
from ndconv import bench_cases
from ndconv._runtime import check_threads
from ndconv.files import read_json
from ndconv.problem import DTYPES
from ndconv.usage import UsageError, check_output, need, write_file

MOST_BYTES = 2**26      # of a report that is compared
PEER_NAMES = "torch, onnxruntime, openvino, ncnn, opencv, scipy"


def add_bench(parser):
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="fewer cases and repeats: under a minute on two cores")
    effort.add_argument("--full", action="store_true", help="every odd kernel size from 1 to 31")
    parser.add_argument("--only", metavar="TEXT", default="", help="only the cases with TEXT in section or name")
    parser.add_argument("--against", metavar="NAMES",
                        help=f"also time these where installed: {PEER_NAMES}; default none, or all with --report")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--threads", type=thread_count, metavar="N", default=nd.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--isa", choices=nd.isas(), default=nd.get_isa(), help="instruction set, default: %(default)s")
    parser.add_argument("--json", metavar="FILE", help="write machine, versions and rows")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the fastest method and auto's regret, kernel size by stride")
    parser.add_argument("--report", metavar="FOLDER", help="write index.html, one page with all pictures, and report.json")
    parser.add_argument("--compare", nargs=2, metavar=("OLD.json", "NEW.json"),
                        help="show what changed between two reports; times nothing")
    parser.set_defaults(run=run_bench)


def thread_count(text):
    try:
        return check_threads(int(text), "threads")
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from None


def run_bench(options):
    need("rich", "bench")
    if options.compare:
        return run_compare(*options.compare)
    for name in ("plot", "report"):
        if getattr(options, name):
            need("matplotlib", f"--{name}")
    cases = [case for case in bench_cases.cases(options.quick, options.full) if options.only in f"{case.section} {case.name}"]
    if not cases:
        raise UsageError(f"no case has {options.only!r} in its section or name; names look like grey.k3s1, vgg16.1_2, "
                         "dx.resnet50.c2.3x3, max.vgg16.2x2s2")
    if options.plot and not any(case.section in bench_cases.PHOTOGRAPHS for case in cases):
        raise UsageError(f"--plot draws the cases on the photograph (grey, rgb), and --only {options.only} leaves none of them")
    peers = find_peers(options.against if options.against is not None else PEER_NAMES if options.report else "")
    if options.report:
        make_folder(options.report)
    for path in filter(None, (options.json, options.plot, *report_files(options.report))):
        check_output(path)
    nd.set_isa(options.isa)
    report = measure(cases, options, peers)
    page, data = report_files(options.report) or (None, None)
    for path in filter(None, (options.json, data)):
        write_file(path, lambda file: file.write(json.dumps(report, indent=1).encode()))
    if page:
        from ndconv.bench_report import make_page
        write_file(page, lambda file: file.write(make_page(report, list(nd.select.METHODS)).encode()))
    if options.plot:
        from ndconv.bench_plots import draw_heat_map
        write_file(options.plot, lambda file: draw_heat_map(report, file, list(nd.select.METHODS)))
    return 1 if any(row["wrong"] for row in report["rows"]) else 0


def report_files(folder):
    """The files of a report."""
    return (os.path.join(folder, "index.html"), os.path.join(folder, "report.json")) if folder else ()


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}") from None


def run_compare(*paths):
    from ndconv.bench_compare import check_report, show_changes
    from ndconv.bench_tables import make_console
    reports = []
    for path in paths:
        try:
            reports.append(check_report(read_json(path, MOST_BYTES)))
        except FileNotFoundError:
            raise UsageError(f"there is no file {path}") from None
        except ValueError as error:
            raise UsageError(f"cannot compare {path}: {error}") from None
    show_changes(make_console(), *reports)
    return 0


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
