"""How long padding modes take beside zeros: plans, function calls and both gradients.

    python benchmarks/mode_bounds.py [TEXT ...] [--modes reflect edge] [--uses plan weight_grad] [--seconds 0.03]

One row for each layer whose name holds one of the texts: milliseconds of the method that zeros take, and the times of the modes
over that of zeros. Medians of runs in turn, each of the method that auto takes; every call allocates its result.
"""
import argparse

import numpy as np
from layers import USES, Layer

import ndconv as nd
from ndconv.border import MODES
from ndconv.problem import RANKS
from ndconv.timing import time_runs

# rank, images, input and output channels, groups, pixels of an axis, taps of an axis, stride
LAYERS = (
    (2, 1, 64, 64, 1, 7, 3, 1), (2, 1, 512, 512, 1, 7, 3, 1), (2, 1, 16, 16, 1, 14, 3, 1), (2, 1, 256, 256, 1, 14, 3, 1),
    (2, 1, 32, 32, 1, 28, 3, 1), (2, 1, 128, 128, 1, 28, 3, 1), (2, 8, 32, 32, 1, 28, 3, 1), (2, 1, 64, 64, 1, 56, 3, 1),
    (2, 1, 32, 32, 1, 112, 3, 1), (2, 1, 3, 64, 1, 224, 3, 1), (2, 1, 3, 64, 1, 224, 7, 2), (2, 4, 64, 128, 1, 56, 3, 2),
    (2, 1, 256, 512, 1, 14, 3, 2), (2, 1, 1, 8, 1, 28, 5, 1), (2, 16, 8, 16, 1, 28, 5, 1), (2, 1, 32, 32, 1, 28, 7, 1),
    (2, 4, 16, 16, 1, 64, 15, 1), (2, 1, 1, 1, 1, 224, 31, 1), (2, 4, 64, 64, 8, 28, 3, 1), (2, 1, 512, 512, 512, 7, 3, 1),
    (2, 1, 256, 256, 256, 14, 3, 1), (2, 1, 128, 128, 128, 28, 3, 1), (2, 1, 64, 64, 64, 56, 3, 1), (2, 1, 32, 32, 32, 112, 3, 1),
    (2, 1, 96, 96, 96, 56, 5, 1), (2, 1, 96, 96, 96, 56, 3, 2), (2, 1, 96, 96, 96, 56, 7, 1), (1, 1, 64, 64, 1, 500, 3, 1),
    (1, 4, 16, 16, 1, 4000, 9, 1), (1, 1, 1, 1, 1, 48000, 1025, 1), (3, 1, 8, 8, 1, 24, 3, 1), (3, 1, 16, 32, 1, 16, 3, 1),
    (3, 1, 4, 8, 1, 32, 5, 1), (3, 1, 32, 32, 32, 16, 3, 1),
)


def name_of(rank, n, ic, oc, g, size, k, stride):
    groups, s = f"g{g}" if 1 < g < ic else "", f"s{stride}" if stride > 1 else ""
    return f"{rank}d n{n} " + (f"depthwise{oc}" if 1 < g == ic else f"{ic}-{oc}") + f"{groups} {size} k{k}{s}"


def runs_of(use, row, last, modes):
    """The same pass under each mode, as functions without arguments."""
    rank, n, ic, oc, g, size, k, stride = row
    layer = Layer(use, rank, n, ic, oc, g, size, k, stride, 1, "float32", RANKS[rank][last])
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, np.float32) for shape in (layer.x_shape, layer.w_shape))
    dy = nd.conv(x, w, **layer.options)

    def run_of(mode):
        options = layer.options | dict(padding_mode=mode, padding_value=float(mode == "constant"))
        if use == "plan":
            plan = nd.plan_conv(x.shape, w, **options)
            return lambda: plan(x)
        return dict(call=lambda: nd.conv(x, w, **options), input_grad=lambda: nd.conv_input_grad(dy, w, x.shape, **options),
                    weight_grad=lambda: nd.conv_weight_grad(dy, x, w.shape, **options))[use]

    return {mode: run_of(mode) for mode in modes}, nd.explain(
        x.shape, w.shape, op="forward" if use in ("plan", "call") else use, **layer.options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("texts", nargs="*", default=[""])
    parser.add_argument("--modes", nargs="+", choices=MODES[1:], default=MODES[1:])
    parser.add_argument("--uses", nargs="+", choices=USES, default=USES)
    parser.add_argument("--layouts", nargs="+", choices=("NCHW", "NHWC"), default=("NCHW", "NHWC"))
    parser.add_argument("--seconds", type=float, default=0.03, help="for each mode of each pass")
    arguments = parser.parse_args()
    print(f"| layer | use | layout | method | ms | {' | '.join(arguments.modes)} |\n|{'---|' * (5 + len(arguments.modes))}")
    for row in LAYERS:
        for use in arguments.uses if any(text in name_of(*row) for text in arguments.texts) else ():
            for layout in arguments.layouts:
                runs, explained = runs_of(use, row, layout.endswith("C"), ("zeros", *arguments.modes))
                times = {mode: timing.median for mode, timing in time_runs(runs, arguments.seconds).items()}
                method = next(line.method for line in explained.rows if line.chosen)
                print(f"| {name_of(*row)} | {use} | {layout} | {method} | {times['zeros'] * 1e3:.3f} | "
                      + " | ".join(f"{times[mode] / times['zeros']:.2f}" for mode in arguments.modes) + " |", flush=True)


if __name__ == "__main__":
    main()
