"""The pictures of the guide: `python docs/guide/pictures.py` writes them beside itself (needs matplotlib).

What they show is computed by ndconv. They are told apart by shades and numbers, so they read in grey too.
"""
import io
import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

import ndconv as nd
from ndconv import filters
from ndconv.sample import sample_image

STYLE = {"font.size": 13, "axes.titlesize": 14, "axes.spines.top": False, "axes.spines.right": False}
DPI = 100
COLOURS = 48
LIGHT, MIDDLE, DARK, ACCENT = "#f2f2f2", "#c9d6e3", "#41627f", "#d9822b"
LOOKS = {"direct": ("-", "#888888"), "gemm": ("--", "#888888"), "depthwise": ("-.", DARK), "winograd": ("s", "black"),
         "fft": (".-", ACCENT)}


def grid(axes, values, title="", fills=None, frames=(), texts=None, corner=(0, 0)):
    """A table of numbers; fills are the cells' colours, frames (row, column, height, width) thick boxes."""
    for (i, j), value in np.ndenumerate(values):
        fill = LIGHT if fills is None else fills[i][j]
        axes.add_patch(Rectangle((j, i), 1, 1, facecolor=fill, edgecolor="#888888", linewidth=0.8))
        text = f"{value:g}" if texts is None else texts[i][j]
        axes.text(j + 0.5, i + 0.54, text, ha="center", va="center", color="white" if fill == DARK else "black")
    for i, j, height, width in frames:
        axes.add_patch(Rectangle((j, i), width, height, fill=False, edgecolor=ACCENT, linewidth=3, zorder=3))
    axes.set_title(title)
    bare(axes, values.shape)


def bare(axes, shape):
    """Square cells from the upper left corner, without axes."""
    axes.set(xlim=(-0.1, shape[1] + 0.1), ylim=(shape[0] + 0.1, -0.1), aspect="equal")
    axes.axis("off")


def sign(axes, text):
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=22, transform=axes.transAxes)
    axes.axis("off")


def photograph(scale=4):
    """The sample photograph in floats from 0 to 1, (3, height, width), as means of scale x scale pixels."""
    return nd.avg_pool(np.moveaxis(sample_image() / 255, -1, 0), scale, layout="NCHW")


def grey(scale=4):
    return np.tensordot([0.299, 0.587, 0.114], photograph(scale), 1)


def show(axes, picture, title, low=0.0, high=1.0):
    axes.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(title)
    axes.axis("off")


def image_conv(picture, kernel, **options):
    """One plane through one kernel."""
    return nd.conv2d(picture[None, None], kernel[None, None], **options)[0, 0]


def overlay():
    x, w = np.array([1.0, 3.0, 2.0]), np.array([4.0, 2.0, 1.0])
    y = nd.convolve(x, w, "full")
    figure = Figure((7, 3.4), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(3, 3, 5), sharey=True)
    shades = (MIDDLE, DARK, ACCENT)
    first.bar(range(3), x, color=shades, width=0.9)
    first.set_title("signal x")
    second.bar(range(3), w, color="#666666", width=0.9)
    second.set_title("kernel w")
    top = np.zeros(5)
    for i, (value, shade) in enumerate(zip(x, shades)):
        copy = nd.convolve(np.eye(3)[i] * value, w, "full")
        third.bar(range(5), copy, bottom=top, color=shade, width=0.9, label=f"{value:g} × w, from {i}")
        top += copy
    for i, value in enumerate(y):
        third.text(i, value + 0.3, f"{value:g}", ha="center")
    third.set_title("y: the copies added up")
    third.legend(frameon=False, fontsize=11)
    third.set_ylim(0, 25)
    return figure


def dice():
    die = np.full(6, 1 / 6)
    figure = Figure((7, 4.6), layout="constrained")
    total = die
    for count, axes in enumerate(figure.subplots(2, 2).flat, 1):
        sums = np.arange(count, 6 * count + 1)
        bars = axes.bar(sums, total, color=DARK, width=0.85)
        if count == 2:
            bars[4 - count].set_color(ACCENT)
            axes.annotate("3/36", (4, total[4 - count]), (2.1, 0.125), arrowprops=dict(arrowstyle="-"))
        axes.set_title(f"{count} {'die' if count == 1 else 'dice'}")
        axes.set_ylim(0, 0.19)
        axes.set_yticks((0, 0.1))
        axes.set_xticks(sums[::max(1, len(sums) // 6)])
        total = nd.convolve(total, die)
    return figure


def window():
    x, w = np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2)
    y = image_conv(x, w)
    figure = Figure((7, 3.2), layout="constrained")
    axes = figure.subplots(2, 5)
    grid(axes[0, 0], w, "kernel w", np.full((2, 2), MIDDLE))
    sign(axes[1, 0], "y =")
    for place, (i, j) in enumerate(np.ndindex(2, 2)):
        fills = np.full((3, 3), LIGHT)
        fills[i:i + 2, j:j + 2] = MIDDLE
        grid(axes[0, place + 1], x, fills=fills, frames=[(i, j, 2, 2)])
        texts = [[f"{y[cell]:g}" if cell <= (i, j) else "" for cell in ((row, 0), (row, 1))] for row in range(2)]
        grid(axes[1, place + 1], y, frames=[(i, j, 1, 1)], texts=texts)
    axes[0, 1].set_title("x under the window", loc="left")
    return figure


def filtered():
    picture = grey(6)
    slopes = [image_conv(picture, filters.sobel(axis, dtype=np.float64), padding=1, padding_mode="edge") for axis in (0, 1)]
    blurred = image_conv(picture, filters.gaussian(1.5, dtype=np.float64), padding="same", padding_mode="edge")
    sharp = image_conv(picture, filters.sharpen(dtype=np.float64), padding=1, padding_mode="edge")
    figure = Figure((7, 5.1), layout="constrained")
    axes = figure.subplots(2, 2)
    show(axes[0, 0], picture, "picture")
    show(axes[0, 1], blurred, "Gaussian")
    show(axes[1, 0], sharp, "sharpen")
    show(axes[1, 1], np.hypot(*slopes), "Sobel, magnitude", 0, 1.2)
    return figure


def cells(axes, values, start, inside, row=0.0, looks=(MIDDLE, "white")):
    """A row of numbered cells; those of the array are shaded, those of the padding dotted."""
    for i, value in enumerate(values):
        real = inside[0] <= i < inside[1]
        axes.add_patch(Rectangle((start + i, row), 1, 1, facecolor=looks[not real], edgecolor="#888888",
                                 linestyle="-" if real else ":"))
        axes.text(start + i + 0.5, row + 0.54, f"{value:g}", ha="center", va="center",
                  color="white" if looks[not real] == DARK else "black")


def padding():
    x, w = np.arange(1.0, 6)[None], np.ones((1, 1, 3))
    figure = Figure((7, 5.2), layout="constrained")
    amounts = {"valid": (0, 0), "same": (1, 1), "full": (2, 2), "causal": (2, 0)}
    for axes, (name, (before, after)) in zip(figure.subplots(4, 1), amounts.items()):
        padded, y = nd.conv(x, np.ones((1, 1, 1)), padding=((before, after),))[0], nd.conv(x, w, padding=name)[0]
        cells(axes, padded, 2 - before, (before, before + 5))
        axes.add_patch(Rectangle((2 - before, 0), 3, 1, fill=False, edgecolor=ACCENT, linewidth=3, zorder=3))
        place = 2 if name == "causal" else 1  # of a result within its window
        cells(axes, y, 2 - before + place, (0, y.size), 1.2, (DARK, DARK))
        axes.text(-0.2, 1.1, f'"{name}"', ha="right", va="center")
        axes.set(xlim=(-2.3, 9.1), ylim=(2.3, -0.15), aspect="equal")
        axes.axis("off")
    return figure


def modes():
    x = np.arange(1.0, 5)[None]
    figure = Figure((7, 3.9), layout="constrained")
    for axes, mode in zip(figure.subplots(6, 1), ("zeros", "constant", "edge", "reflect", "symmetric", "wrap")):
        cells(axes, nd.conv(x, np.ones((1, 1, 1)), padding=5, padding_mode=mode, padding_value=9.0)[0], 0, (5, 9))
        axes.text(-0.3, 0.5, f'"{mode}"', ha="right", va="center")
        axes.set(xlim=(-4.6, 14.1), ylim=(1.05, -0.05), aspect="equal")
        axes.axis("off")
    return figure


def strides():
    figure = Figure((7, 2.8), layout="constrained")
    for axes, stride in zip(figure.subplots(1, 3), (1, 2, 3)):
        grid(axes, np.zeros((7, 7)), texts=[[""] * 7] * 7, frames=[(0, 0, 3, 3)])
        h, w = nd.output_shape((1, 7, 7), (1, 1, 3, 3), stride=stride)[1:]
        for i, j in np.ndindex(h, w):
            axes.plot(1.5 + stride * j, 1.5 + stride * i, "o", color=DARK, markersize=9)
        axes.set_title(f"stride {stride}: {h}×{w}")
    return figure


def channels():
    x = np.arange(9.0).reshape(3, 3) + np.arange(2.0)[:, None, None]
    w = np.arange(4.0).reshape(2, 2) + np.arange(2.0)[:, None, None]
    figure = Figure((7, 4.2), layout="constrained")
    axes = figure.subplots(2, 7, width_ratios=(3, 0.7, 2, 0.7, 2.2, 0.8, 2.6))
    for c, row in enumerate(axes):
        grid(row[0], x[c], f"x, channel {c}")
        sign(row[1], "⋆")
        grid(row[2], w[c], f"w[{c}]", np.full((2, 2), MIDDLE))
        sign(row[3], "=")
        grid(row[4], image_conv(x[c], w[c]))
        row[5].axis("off")
        row[6].axis("off")
    whole = figure.add_subplot(axes[0, 6].get_gridspec()[:, 6])
    grid(whole, nd.conv2d(x[None], w[None])[0, 0], "added: y", np.full((2, 2), DARK))
    sign(figure.add_subplot(axes[0, 5].get_gridspec()[:, 5]), "→")
    return figure


def pointwise():
    picture = photograph()
    w = np.array([[0.299, 0.587, 0.114], [1.0, 0.0, -1.0]])[:, :, None, None]
    light, warmth = nd.conv2d(picture, w)
    figure = Figure((7, 1.95), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(np.moveaxis(picture, 0, -1))
    axes[0].set_title("red, green, blue")
    axes[0].axis("off")
    show(axes[1], light, "brightness")
    show(axes[2], warmth, "red − blue", -0.6, 0.6)
    return figure


def dilation():
    figure = Figure((7, 2.9), layout="constrained")
    for axes, step in zip(figure.subplots(1, 3), (1, 2, 4)):
        dy = np.zeros((1, *nd.output_shape((1, 11, 11), (1, 1, 3, 3), dilation=step)[1:]))
        dy[0, dy.shape[1] // 2, dy.shape[2] // 2] = 1
        taps = nd.conv_input_grad(dy, np.ones((1, 1, 3, 3)), (1, 11, 11), dilation=step)[0]
        grid(axes, taps, f"dilation {step}", np.where(taps > 0.5, DARK, LIGHT), texts=[[""] * 11] * 11)
    return figure


# (kernel, stride, dilation) of each layer
STACKS = {"three layers of 3": [(3, 1, 1)] * 3, "strides 2, 2, 1": [(3, 2, 1), (3, 2, 1), (3, 1, 1)],
          "dilations 1, 2, 4": [(3, 1, 1), (3, 1, 2), (3, 1, 4)]}


def receptive():
    """Which cells of every layer the middle result sees: those that its gradient reaches."""
    figure = Figure((7, 5.2), layout="constrained")
    for axes, (name, layers) in zip(figure.subplots(3, 1), STACKS.items()):
        shapes = [(1, 24)]
        for kernel, stride, step in layers:
            shapes.append(nd.output_shape(shapes[-1], (1, 1, kernel), stride=stride, dilation=step, padding="same"))
        seen = np.zeros(shapes[-1])
        seen[0, seen.size // 2] = 1
        for row in range(4):
            width = 24 / seen.size
            for i, value in enumerate(seen[0]):
                axes.add_patch(Rectangle((i * width + 0.05, row), width - 0.1, 0.72, edgecolor="#888888", linewidth=0.8,
                                         facecolor=DARK if value > 0.5 else LIGHT))
            if row < 3:
                kernel, stride, step = layers[2 - row]
                seen = nd.conv_input_grad(seen, np.ones((1, 1, kernel)), shapes[2 - row], stride=stride, dilation=step,
                                          padding="same")
        axes.set_title(f"{name}: sees {nd.receptive_field(layers)}")
        for row, text in ((0, "y"), (3, "x")):
            axes.text(-0.3, row + 0.36, text, ha="right", va="center")
        axes.set(xlim=(-0.9, 24.1), ylim=(3.8, -0.1))
        axes.axis("off")
    return figure


def pooling():
    x = np.array([[1.0, 3, 2, 1], [4, 6, 5, 0], [7, 2, 9, 8], [1, 2, 3, 4]])
    fills = np.array([[MIDDLE, LIGHT], [LIGHT, MIDDLE]])
    figure = Figure((7, 3.2), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=(4, 0.8, 2.4, 2.4))
    grid(axes[0], x, "x, 2×2 windows", fills.repeat(2, 0).repeat(2, 1))
    sign(axes[1], "→")
    grid(axes[2], nd.max_pool(x[None], 2, layout="NCHW")[0], "greatest", fills)
    grid(axes[3], nd.avg_pool(x[None], 2, layout="NCHW")[0], "mean", fills)
    return figure


def pyramid():
    picture = grey()[None]
    figure = Figure((7, 1.55), layout="constrained")
    axes = figure.subplots(1, 4)
    show(axes[0], picture[0], "picture")
    for panel, size in zip(axes[1:], (8, 4, 2)):
        means = nd.adaptive_pool(picture, size, "avg", layout="NCHW")
        panel.imshow(means[0], cmap="gray", vmin=0, vmax=1, aspect=2 / 3)
        panel.set_title(f"{size}×{size} means")
        panel.axis("off")
    return figure


def transposed():
    x, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((3, 3))
    y = nd.conv_transpose(x[None], w[None, None], stride=2)[0]
    count = nd.conv_transpose(np.ones((1, 2, 2)), w[None, None], stride=2)[0]
    shades = {1: LIGHT, 2: MIDDLE, 4: DARK}
    figure = Figure((7, 3.4), layout="constrained")
    axes = figure.subplots(1, 5, width_ratios=(2, 0.6, 3, 0.6, 5))
    grid(axes[0], x, "x")
    sign(axes[1], "×")
    grid(axes[2], w, "w", np.full((3, 3), LIGHT))
    sign(axes[3], "=")
    fills = [[shades[round(value)] for value in row] for row in count]
    grid(axes[4], y, "y: four stamps, two apart", fills, frames=[(0, 0, 3, 3), (2, 2, 3, 3)])
    return figure


def checkerboard():
    ones = np.ones((1, 1, 7, 7))
    three = nd.conv_transpose(ones, np.ones((1, 1, 3, 3)), stride=2)[0, 0, 2:-2, 2:-2]
    four = nd.conv_transpose(ones, np.ones((1, 1, 4, 4)), stride=2)[0, 0, 2:-2, 2:-2]
    resized = image_conv(nd.upsample(ones, scale=2)[0, 0], np.ones((3, 3)))
    figure = Figure((7, 2.9), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, counts, title in zip(panels, (three, four, resized), ("3×3, stride 2", "4×4, stride 2", "upsample, 3×3")):
        show(axes, counts[:11, :11], title, 0, 1.4 * counts.max())
        numbers = f"{counts.min():g} to {counts.max():g} terms" if np.ptp(counts) > 0.5 else f"{counts[0, 0]:g} terms everywhere"
        axes.text(0.5, -0.09, numbers, ha="center", transform=axes.transAxes)
    return figure


def learning():
    """Gradient descent finds the kernel that made the edges."""
    x = np.random.default_rng(0).standard_normal((1, 1, 64, 64))
    target = image_conv(x[0, 0], filters.sobel(dtype=np.float64))[None, None]
    w, steps = np.zeros((1, 1, 3, 3)), (0, 1, 3, 10)
    figure = Figure((7, 2.6), layout="constrained")
    panels = iter(figure.subplots(1, 4))
    for step in range(steps[-1] + 1):
        error = nd.conv2d(x, w) - target
        if step in steps:
            axes = next(panels)
            grid(axes, w[0, 0], f"step {step}", [[plain_shade(v) for v in row] for row in w[0, 0]],
                 texts=[[f"{v:.1f}".replace("-0.0", "0.0") for v in row] for row in w[0, 0]])
            axes.text(0.5, -0.12, f"error {np.mean(error**2):.2g}", ha="center", transform=axes.transAxes)
        w -= 0.25 * 2 * nd.conv_weight_grad(error, x, w.shape) / error.size
    return figure


def plain_shade(value):
    return LIGHT if abs(value) < 0.5 else MIDDLE if value > 0 else "#e3cbb0"


def methods():
    """What `auto` compares: the estimated time of every method over the kernel's width."""
    widths = (1, 3, 5, 7, 9, 11, 15, 21, 31)
    figure = Figure((7, 3.9), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    for axes, (channels, size) in zip(panels, ((64, 56), (1, 512))):
        tables = [nd.explain((1, channels, size, size), (channels, channels, width, width), padding=width // 2, threads=2)
                  for width in widths]
        for name, (line, shade) in LOOKS.items():
            rows = [row for table in tables for row in table.rows if row.method == name]
            costs = [row.cost * 1e3 if row.applicable else np.nan for row in rows]
            axes.plot(widths, costs, line, color=shade, linewidth=2, markersize=7, label=name)
        axes.set(title=f"{channels} channel{'s' * (channels > 1)}, {size}×{size}", yscale="log", xlabel="width of the kernel")
    panels[0].set_ylabel("estimated ms")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=11,
                  columnspacing=1.2, handlelength=2.5)
    return figure


PICTURES = (overlay, dice, window, filtered, padding, modes, strides, channels, pointwise, dilation, receptive, pooling, pyramid,
            transposed, checkerboard, learning, methods)


def save(draw, folder):
    """One picture as a PNG of few colours; the same bytes at every run with the same matplotlib."""
    with rc_context(STYLE):
        buffer = io.BytesIO()
        draw().savefig(buffer, format="png", dpi=DPI)
    colours = Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    colours.save(Path(folder) / f"{draw.__name__}.png", optimize=True)


if __name__ == "__main__":
    for picture in PICTURES:
        if not sys.argv[1:] or picture.__name__ in sys.argv[1:]:
            save(picture, Path(__file__).parent)
