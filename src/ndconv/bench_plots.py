"""Pictures of `ndconv bench`: heat maps kernel size by stride, a roofline, bars of layers. Needs matplotlib.

Shades differ in lightness and methods have a hatch each, so that every picture reads in black and white too.
"""
import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import NullLocator

from ndconv.bench import peer_ratio, regret_text
from ndconv.bench_cases import GRADIENTS, PHOTOGRAPHS

LOOKS = (("#f2f2f2", ""), ("#bcd7ea", "////"), ("#f3c58a", "...."), ("#b7dbb0", "xxxx"), ("#d9c3e3", "||||"),
         ("#e8e39b", "++++"))
BARS = {"forward": ("#ffffff", ""), "input_grad": ("#b0c4d8", "////"), "weight_grad": ("#5a7796", "")}
MARKS = {"forward": ("o", "#ffffff"), "input_grad": ("^", "#b0c4d8"), "weight_grad": ("s", "#5a7796")}
NAMES = {"forward": "forward", "input_grad": "gradient of x", "weight_grad": "gradient of w"}
EDGE = "#333333"
WIDTH = 3.75      # inches of a picture of the report: a column of a page, or a telephone


def draw_heat_map(report, file, methods):
    """Write a PNG: for each photograph the fastest method and its time, auto's regret, and the fastest peer's time over
    auto's where peers were timed."""
    rows = [row for row in report["rows"] if row["section"] in PHOTOGRAPHS]
    sections = list(dict.fromkeys(row["section"] for row in rows))
    looks = looks_of(methods)
    kinds = [(fastest_look(looks), "fastest method, milliseconds"), (regret_look, "how much longer auto's method takes")]
    if any(row["peers_ms"] for row in rows):
        kinds.append((peers_look, "the fastest peer's time over auto's"))
    columns = len({row["kernel"] for row in rows})
    panels = len(sections) * len(kinds)
    figure = Figure(figsize=(max(7.5, 1.6 + 0.82 * columns), 1.3 + 1.72 * panels), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    for index, section in enumerate(sections):
        for step, (look, title) in enumerate(kinds):
            panel = axes[index * len(kinds) + step]
            _draw_map(panel, [row for row in rows if row["section"] == section], look)
            panel.set_title(f"{section}: {title}", fontsize=9, loc="left")
    axes[-1].set_xlabel("kernel size")
    figure.legend(handles=_patches(looks), loc="outside lower center", ncols=len(looks), frameon=False)
    figure.suptitle(f"ndconv {report['ndconv']} · {report['machine']['cpu']} · {report['isa']} · "
                    f"{report['threads']} threads · {report['dtype']}", fontsize=10)
    figure.savefig(file, format="png", dpi=130)


def looks_of(methods):
    """{method: (shade, hatch)}"""
    return dict(zip(methods, LOOKS * len(methods), strict=False))


def _patches(looks):
    return [Patch(facecolor=shade, hatch=hatch, edgecolor="#555555", label=name) for name, (shade, hatch) in looks.items()]


def heat_map(rows, look, looks=None):
    """An SVG of a heat map with strides across and kernel sizes down; the legend of `looks` below it."""
    figure = Figure(figsize=(WIDTH, 0.75 + 0.42 * len({row["kernel"] for row in rows}) + 0.5 * bool(looks)), layout="constrained")
    _draw_map(figure.subplots(), rows, look, upright=True)
    if looks:
        figure.legend(handles=_patches(looks), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return _svg(figure)


def fastest_look(looks):
    def look(row):
        name = min(row["ms"], key=row["ms"].get)
        return *looks[name], f"{name}\n{_short(row['ms'][name])} ms"
    return look


def regret_look(row):
    shade = _grey(1 - min(row["regret"] or 0, 1) * 0.5)
    return shade, "", "best" if row["regret"] == 0 else f"{regret_text(row['regret'])}\n{row['auto']}"


def peers_look(row):
    ratio = peer_ratio(row)
    if ratio is None:
        return _grey(1), "", "-"
    peer = min(row["peers_ms"], key=row["peers_ms"].get)
    return _ratio_shade(ratio), "", f"{ratio:.1f}×\n{peer}"


def peer_look(peer):
    """How many times as long a peer takes: darker where it is the faster one."""
    def look(row):
        if peer not in row["peers_ms"] or row["auto"] not in row["ms"]:
            return _grey(1), "", "-"
        ratio = row["peers_ms"][peer] / row["ms"][row["auto"]]
        return _ratio_shade(ratio), "", f"{ratio:.1f}×" if ratio < 100 else f"{ratio:.0f}×"
    return look


def _ratio_shade(ratio):
    return _grey(1 - min(max(1 - ratio, 0), 0.5))


def _draw_map(axes, rows, look, upright=False):
    """Cells of kernel size across and stride down, or upright the other way round, each with the (shade, hatch, text) that look
    gives its row."""
    kernels, strides = (sorted({row[key] for row in rows}) for key in ("kernel", "stride"))
    for row in rows:
        x, y = kernels.index(row["kernel"]), strides.index(row["stride"])
        x, y = (y, x) if upright else (x, y)
        shade, hatch, text = look(row)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=shade, hatch=hatch, edgecolor="#8a8a8a", linewidth=0.8))
        axes.text(x, y, text, ha="center", va="center", fontsize=8, linespacing=1.05, color="black",
                  bbox={"boxstyle": "round,pad=0.12", "facecolor": shade, "edgecolor": "none"})
    sizes, steps = [f"{k}×{k}" for k in kernels], [str(s) for s in strides]
    across, down = (steps, sizes) if upright else (sizes, steps)
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    axes.set_xlabel("stride") if upright else axes.set_ylabel("stride")
    axes.set_xticks(np.arange(len(across)), across, fontsize=8)
    axes.set_yticks(np.arange(len(down)), down, fontsize=8)
    axes.tick_params(length=0)


def roofline(report):
    """An SVG: operations a second over operations a byte of every convolution, below what multiply-adds and memory allow."""
    rows = [row for row in report["rows"] if row["flops"] and row["auto"] in row["ms"]]
    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
    axes = figure.subplots()
    intensity = np.array([row["flops"] / (row["bytes"] + weight_bytes(row, report)) for row in rows])
    rates = np.array([row["flops"] / row["ms"][row["auto"]] / 1e6 for row in rows])
    ends = np.array([intensity.min() / 2, intensity.max() * 2])
    steps = np.geomspace(*ends, 200)
    axes.plot(steps, np.minimum(steps * report["copy_gbs"], report["peak_gflops"]), color=EDGE, linewidth=1.5)
    for op, (marker, shade) in MARKS.items():
        take = np.array([row["op"] == op for row in rows])
        if take.any():
            axes.scatter(intensity[take], rates[take], s=26, marker=marker, facecolor=shade, edgecolor=EDGE, linewidth=0.8,
                         label=NAMES[op], zorder=3)
    axes.set(xscale="log", yscale="log", xlim=ends)
    axes.set_xlabel("operations a byte of x, w and y", fontsize=9)
    axes.set_ylabel("GFLOP/s of auto", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return _svg(figure)


def weight_bytes(row, report):
    return int(np.prod(row["w_shape"])) * np.dtype(report["dtype"]).itemsize


def layer_bars(rows):
    """An SVG: milliseconds of auto, forward and both gradients of each layer; a line across a bar is the fastest peer's time.
    rows : of one network; a gradient's name has the layer's behind a prefix"""
    by_layer, ends = {}, []
    for row in rows:
        name = row["name"].removeprefix(f"{GRADIENTS.get(row['op'])}.")
        by_layer.setdefault(name, {})[row["op"]] = row
    figure = Figure(figsize=(WIDTH, 0.9 + 0.52 * len(by_layer)), layout="constrained")
    axes = figure.subplots()
    for place, layer in enumerate(by_layer.values()):
        for step, (op, (shade, hatch)) in enumerate(BARS.items()):
            if op not in layer or layer[op]["auto"] not in layer[op]["ms"]:
                continue
            row, y = layer[op], place + 0.27 * (step - 1)
            ms = row["ms"][row["auto"]]
            axes.barh(y, ms, 0.25, facecolor=shade, hatch=hatch, edgecolor=EDGE, linewidth=0.7)
            peer = min(row["peers_ms"].values(), default=None)
            if peer:
                axes.plot([peer, peer], [y - 0.14, y + 0.14], color="black", linewidth=2, solid_capstyle="butt")
            axes.text(max(ms, peer or 0), y, f" {_short(ms)}" + (f" | {_short(peer)}" if peer else ""), va="center", fontsize=7)
            ends += [ms, peer or ms]
    axes.set_yticks(range(len(by_layer)), [name.partition(".")[2] for name in by_layer], fontsize=8)
    axes.set(ylim=(len(by_layer) - 0.5, -0.5))
    low, high = min(ends) / 2, max(ends) * 5     # room for the numbers
    ticks = [tick * 10.0**power for power in range(-4, 6) for tick in (1, 2, 5) if low <= tick * 10.0**power <= high]
    axes.set(xscale="log", xlim=(low, high))
    axes.set_xticks(ticks[::-(-len(ticks) // 6)], [f"{tick:g}" for tick in ticks[::-(-len(ticks) // 6)]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("milliseconds: auto | fastest of the others", fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    handles = [Patch(facecolor=shade, hatch=hatch, edgecolor=EDGE, label=NAMES[op]) for op, (shade, hatch) in BARS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8, columnspacing=1)
    return _svg(figure)


def _svg(figure):
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _grey(level):
    return (level, level, level)


def _short(ms):
    return f"{ms:.3f}" if ms < 0.1 else f"{ms:.2f}" if ms < 10 else f"{ms:.0f}"
