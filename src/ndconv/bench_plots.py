"""The heat map of `ndconv bench --plot`: kernel size by stride on the photograph. Needs matplotlib."""
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ndconv.bench import peer_ratio, regret_text
from ndconv.bench_cases import PHOTOGRAPHS

# A shade and a hatch each, so that the map reads in black and white too.
LOOKS = (("#f2f2f2", ""), ("#bcd7ea", "////"), ("#f3c58a", "...."), ("#b7dbb0", "xxxx"), ("#d9c3e3", "||||"),
         ("#e8e39b", "++++"))


def draw_heat_map(report, file, methods):
    """Write a PNG: for each photograph the fastest method and its time, auto's regret, and the fastest peer's time over
    auto's where peers were timed."""
    rows = [row for row in report["rows"] if row["section"] in PHOTOGRAPHS]
    sections = list(dict.fromkeys(row["section"] for row in rows))
    looks = dict(zip(methods, LOOKS * len(methods), strict=False))
    kinds = [_draw_fastest, _draw_regret] + ([_draw_peers] if any(row["peers_ms"] for row in rows) else [])
    columns = len({row["kernel"] for row in rows})
    panels = len(sections) * len(kinds)
    figure = Figure(figsize=(max(7.5, 1.6 + 0.82 * columns), 1.3 + 1.72 * panels), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    for index, section in enumerate(sections):
        for step, draw in enumerate(kinds):
            draw(axes[index * len(kinds) + step], [row for row in rows if row["section"] == section], looks)
    axes[-1].set_xlabel("kernel size")
    handles = [Patch(facecolor=shade, hatch=hatch, edgecolor="#555555", label=name) for name, (shade, hatch) in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"ndconv {report['ndconv']} · {report['machine']['cpu']} · {report['isa']} · "
                    f"{report['threads']} threads · {report['dtype']}", fontsize=10)
    figure.savefig(file, format="png", dpi=130)


def _draw_fastest(axes, rows, looks):
    def look(row):
        name = min(row["ms"], key=row["ms"].get)
        return *looks[name], f"{name}\n{_short(row['ms'][name])} ms"
    _draw(axes, rows, f"{rows[0]['section']}: fastest method, milliseconds", look)


def _draw_regret(axes, rows, looks):
    def look(row):
        shade = _grey(1 - min(row["regret"] or 0, 1) * 0.5)
        return shade, "", "best" if row["regret"] == 0 else f"{regret_text(row['regret'])}\n{row['auto']}"
    _draw(axes, rows, f"{rows[0]['section']}: how much longer auto's method takes", look)


def _draw_peers(axes, rows, looks):
    def look(row):
        ratio = peer_ratio(row)
        if ratio is None:
            return _grey(1), "", "-"
        peer = min(row["peers_ms"], key=row["peers_ms"].get)
        return _grey(1 - min(max(1 - ratio, 0), 0.5)), "", f"{ratio:.1f}×\n{peer}"
    _draw(axes, rows, f"{rows[0]['section']}: the fastest peer's time over auto's", look)


def _draw(axes, rows, title, look):
    """Cells of kernel size across and stride down, each with the (shade, hatch, text) that look gives its row."""
    kernels, strides = (sorted({row[key] for row in rows}) for key in ("kernel", "stride"))
    for row in rows:
        x, y = kernels.index(row["kernel"]), strides.index(row["stride"])
        shade, hatch, text = look(row)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=shade, hatch=hatch, edgecolor="#8a8a8a", linewidth=0.8))
        axes.text(x, y, text, ha="center", va="center", fontsize=8, linespacing=1.05, color="black",
                  bbox={"boxstyle": "round,pad=0.12", "facecolor": shade, "edgecolor": "none"})
    axes.set(xlim=(-0.5, len(kernels) - 0.5), ylim=(len(strides) - 0.5, -0.5), ylabel="stride")
    axes.set_xticks(np.arange(len(kernels)), [f"{k}×{k}" for k in kernels], fontsize=8)
    axes.set_yticks(np.arange(len(strides)), strides, fontsize=8)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=9, loc="left")


def _grey(level):
    return (level, level, level)


def _short(ms):
    return f"{ms:.3f}" if ms < 0.1 else f"{ms:.2f}" if ms < 10 else f"{ms:.0f}"
