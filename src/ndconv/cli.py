"""The command line: ndconv info, explain, tune, calibrate, bench and filter. Every mistake of the user ends in one line and exit
code 2."""
import argparse
import inspect
import os
import sys

import numpy as np

import ndconv as nd
from ndconv import filters
from ndconv.cli_bench import add_bench
from ndconv.cli_choice import add_calibrate, add_explain, add_tune
from ndconv.usage import UsageError, check_output, need, write_file


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
    commands = parser.add_subparsers(title="commands", required=True, metavar="{info,explain,tune,calibrate,bench,filter}")
    info = commands.add_parser("info", help="show versions, instruction sets and threads")
    info.set_defaults(run=run_info)
    add_explain(commands.add_parser(
        "explain", help="show which method a convolution takes and why",
        description="Shows the cost of every method for a convolution, and which one is taken. Shapes are written 1x64x56x56; w "
                    "may leave out its input channels: 64x3x3."))
    add_tune(commands.add_parser(
        "tune", help="measure the methods for a list of problems and keep the fastest",
        description="Measures every method on the problems in a JSON file, a list of objects with the arguments of ndconv.tune, "
                    "such as {\"x_shape\": [1, 64, 56, 56], \"w_shape\": [64, 64, 3, 3], \"padding\": 1}, and writes what "
                    "ndconv.choices.load reads."))
    add_calibrate(commands.add_parser(
        "calibrate", help="measure this machine for the cost estimates",
        description="Measures multiply-adds, memory and threads in under a second, and keeps the rates in the user's cache "
                    "folder, where the estimates of later processes find them."))
    add_bench(commands.add_parser(
        "bench", help="time every method on a photograph and on layers of networks",
        description="Times every method over kernel sizes and strides on a photograph, on layers of well-known networks, forward "
                    "and backward, and pooling; each result is checked before it is timed."))
    _add_filter(commands.add_parser(
        "filter", help="apply an image filter to a picture",
        description="Applies a filter to an 8-bit grey, RGB or RGBA picture; transparency is kept and edges are extended. "
                    "Results are rounded to the nearest integer and clipped to 0..255. Filters that find edges (sobel, prewitt, "
                    "scharr, laplacian, laplacian_of_gaussian, gabor) show the magnitude, scaled so that the steepest edge along "
                    "one axis is 255; --scale brightens them."))
    return parser


def run_info(options):
    nd.show_config()


def _add_filter(parser):
    parser.add_argument("image", metavar="IN", help="the picture: any file that Pillow reads")
    parser.add_argument("--kernel", required=True, choices=tuple(filters.KERNELS), help="which filter")
    parser.add_argument("--size", type=int, metavar="N", help="pixels a side of a filter of any size, such as box")
    parser.add_argument("--sigma", type=float, metavar="S", help="standard deviation of gaussian and the like, in pixels")
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
    opaque = picture if picture.ndim == 2 else picture[..., :picture.shape[2] - (picture.shape[2] in (2, 4))]
    responses = [filters.apply(opaque, kernel, padding_mode="edge", dtype=np.float32) for kernel in kernels]
    positive = kernels[0].clip(0).sum()
    if abs(kernels[0].sum()) < 1e-6 * positive:
        y = np.sqrt(sum(response**2 for response in responses)) / positive
    else:
        y = responses[0]
    result = np.rint(y * scale).clip(0, 255).astype(np.uint8)
    return result if picture.ndim == 2 else np.concatenate([result, picture[..., result.shape[2]:]], axis=2)
