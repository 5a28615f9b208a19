"""ndconv explain, tune and calibrate: the choice of method from the shell."""
import argparse
import inspect

import ndconv as nd
from ndconv import machine
from ndconv.choices import read_entries
from ndconv.files import read_json
from ndconv.problem import DTYPES, IMAGE_DTYPES, OPS, POOL_OPS
from ndconv.select import ACCURACIES
from ndconv.usage import UsageError, check_output

MOST_BYTES = 2**20      # of a file of problems


def add_explain(parser):
    parser.add_argument("x", type=_sizes, metavar="X", help="shape of the input, as 1x64x56x56")
    parser.add_argument("w", type=_sizes, metavar="W", help="shape of the weights, as 64x64x3x3 or 64x3x3; or the window, as 3x3")
    parser.add_argument("--op", choices=(*OPS, *POOL_OPS), default="forward", help="default: %(default)s")
    parser.add_argument("--stride", type=_per_axis, metavar="N", help="as dilation; default 1, or the window")
    parser.add_argument("--dilation", type=_per_axis, default=1, metavar="N", help="one number, or one an axis as 2x1")
    parser.add_argument("--padding", type=_padding, default=0, metavar="N", help="one number, one an axis as 1x0, or a name")
    parser.add_argument("--groups", type=int, default=1, metavar="N")
    parser.add_argument("--layout", help="NCHW (default) or NHWC, and the like of other ranks")
    parser.add_argument("--dtype", choices=(*DTYPES, *IMAGE_DTYPES), default="float32", help="default: %(default)s")
    parser.add_argument("--method", default="auto", help="show what happens if this one is asked for")
    parser.add_argument("--accuracy", choices=ACCURACIES, default="fast", help="default: %(default)s")
    parser.add_argument("--workspace-limit", type=int, metavar="BYTES", help="default: 256 MiB")
    parser.add_argument("--threads", type=int, metavar="N", help=f"default: {nd.get_num_threads()}")
    parser.add_argument("--choices", metavar="FILE", help="what ndconv tune wrote")
    parser.set_defaults(run=run_explain)


def run_explain(options):
    if options.choices:
        _load(options.choices)
    given = {name: value for name, value in vars(options).items() if value is not None}
    if options.op in POOL_OPS:
        kind, _, rest = options.op.partition("_pool")
        given |= dict(kind=kind, return_indices=bool(rest), size=options.w if len(options.w) > 1 else options.w[0])
        print(_told(nd.explain_pool, options.x, **_known(nd.explain_pool, given)))
    else:
        print(_told(nd.explain, options.x, _whole_weights(options), **_known(nd.explain, given)))


def _known(function, given):
    return {name: value for name, value in given.items() if name in inspect.signature(function).parameters}


def _whole_weights(options):
    """The shape of w with its input channels, which follow from x where they were left out."""
    x, w = options.x, options.w
    if len(w) == len(x) - 1 and options.groups > 0:
        channels = x[-1] if (options.layout or "").endswith("C") else x[1]
        return (w[0], channels // options.groups, *w[1:])
    return w


def add_tune(parser):
    parser.add_argument("problems", metavar="MODEL.json", help="the problems: arguments of ndconv.tune or tune_pool")
    parser.add_argument("-o", "--output", required=True, metavar="CHOICES.json", help="where to write; a file there is replaced")
    parser.add_argument("--choices", metavar="FILE", help="measured choices to keep beside the new ones")
    parser.add_argument("--seconds", type=float, metavar="S", help="about how long each method is timed; default 0.1")
    parser.set_defaults(run=run_tune)


def run_tune(options):
    check_output(options.output)
    problems = read_problems(options.problems)
    if options.choices:
        _load(options.choices)
    more = {} if options.seconds is None else {"seconds": options.seconds}
    for place, problem in enumerate(problems):
        print(_told(_tuner(problem), where=f"problem {place}: ", **problem | more), flush=True)
    try:
        nd.choices.save(options.output)
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error}") from None
    print(f"\n{len(nd.choices)} choices in {options.output}; use them with ndconv.choices.load({options.output!r})")


def read_problems(path):
    """The dicts of a JSON file, each with names of arguments that `tune` or `tune_pool` has; UsageError."""
    try:
        problems = read_json(path, MOST_BYTES)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except ValueError as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    if not isinstance(problems, list) or not problems:
        raise UsageError(f"{path} must hold a list of problems")
    for place, problem in enumerate(problems):
        if not isinstance(problem, dict) or "x_shape" not in problem or ("w_shape" in problem) == ("size" in problem):
            raise UsageError(f"problem {place} of {path} must be an object with x_shape and w_shape, or size of a pooling")
        known = inspect.signature(_tuner(problem)).parameters
        for name in problem.keys() - known.keys():
            raise UsageError(f"problem {place} of {path}: {_tuner(problem).__name__} has no argument {name!r}; "
                             f"it has {', '.join(known)}")
    return problems


def _tuner(problem):
    return nd.tune if "w_shape" in problem else nd.tune_pool


def add_calibrate(parser):
    parser.set_defaults(run=run_calibrate)


def run_calibrate(options):
    try:
        found = nd.calibrate()
    except OSError as error:
        raise UsageError(f"cannot write {machine.cache_file()}: {error}") from None
    lanes = machine.VECTORS[found.isa] // 4
    print(f"{found.isa}, {found.threads} threads: {found.multiply_adds * 2 * lanes / 1e9:.1f} GFLOP/s in float32; copies read "
          f"and write {found.l2 / 1e9:.0f} GB/s in L2, {found.l3 / 1e9:.0f} in L3, {found.memory / 1e9:.0f} in memory; "
          f"a parallel region takes {found.call * 1e6:.1f} us")
    print(f"kept in {machine.cache_file()}")


def _load(path):
    """nd.choices.load, but what is wrong with the file is the user's to put right."""
    try:
        nd.choices.add(read_entries(path))
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except ValueError as error:
        raise UsageError(f"cannot use {path}: {error}") from None


def _told(function, *args, where="", **options):
    """The function's result; what is wrong with the arguments is the user's to put right."""
    try:
        return function(*args, **options)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{where}{error}") from None


def _sizes(text):
    """A shape as 1x64x56x56."""
    try:
        return tuple(map(int, text.lower().split("x")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape; write it as 1x64x56x56") from None


def _per_axis(text):
    sizes = _sizes(text)
    return sizes if len(sizes) > 1 else sizes[0]


def _padding(text):
    return _per_axis(text) if text[:1].isdigit() or text[:1] == "-" else text
