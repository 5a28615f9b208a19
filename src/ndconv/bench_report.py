"""The report of `ndconv bench --report`: one HTML page that holds its pictures, and the numbers behind it as JSON."""
import base64
import html

from ndconv import bench_plots
from ndconv.bench import peer_ratio, regret_text
from ndconv.bench_cases import GRADIENTS, NETWORKS, PHOTOGRAPHS
from ndconv.bench_tables import summary_lines

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff; margin: 0 auto; padding: 1rem; max-width: 76rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #999 }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; flex: 0 1 23rem; min-width: 0; max-width: 23rem }
figure img { width: 100%; height: auto } figcaption { font-size: .9rem; font-weight: 600 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap }
th, td { padding: .15rem .6rem .15rem 0; text-align: right; border-bottom: 1px solid #ddd } th:first-child, td:first-child
{ text-align: left } b { font-weight: 700 } dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem }
dt { font-weight: 600 } dd { margin: 0; overflow-wrap: anywhere } summary { cursor: pointer; font-weight: 600 }
"""


def make_page(report, methods):
    """The page, as text."""
    parts = [f"<h1>ndconv {_text(report['ndconv'])} on {_text(report['machine']['cpu'])}</h1>", _machine(report),
             "".join(f"<p>{_text(line)}</p>" for line in summary_lines(report["rows"]))]
    looks = bench_plots.looks_of(methods)
    for section in dict.fromkeys(row["section"] for row in report["rows"] if row["section"] in PHOTOGRAPHS):
        rows = [row for row in report["rows"] if row["section"] == section]
        parts.append(f"<h2>Kernel size and stride: {_text(section)}</h2><div class=pictures>{_maps(rows, looks)}</div>")
    if any(row["flops"] for row in report["rows"]):
        parts.append("<h2>Roofline</h2><p>Each mark is a case by the method that auto takes. Operations are those of a direct "
                     "convolution, so methods that need fewer lie above the line, which is what multiply-adds on registers and a "
                     "copy in memory allow; data that fits in a cache may lie above its slope.</p><div class=pictures>"
                     + _figure(bench_plots.roofline(report), "GFLOP/s over operations a byte") + "</div>")
    single = [row for row in report["rows"] if row["op"] in bench_plots.BARS and row["x_shape"][0] == 1 and row["ms"]]
    networks = {name: [row for row in single if _layer_of(row).startswith(prefix)] for name, prefix in NETWORKS.items()}
    if any(networks.values()):
        parts.append("<h2>Forward and backward</h2><p>A bar is the time of auto, forward through a plan; a line across it is the "
                     "fastest of the other libraries.</p><div class=pictures>"
                     + "".join(_figure(bench_plots.layer_bars(rows), f"{name}: milliseconds")
                               for name, rows in networks.items() if rows) + "</div>")
    parts.append("<h2>Every case</h2>" + "".join(_table(report, section)
                                                 for section in dict.fromkeys(row["section"] for row in report["rows"])))
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>ndconv benchmark</title><style>{STYLE}</style>{''.join(parts)}</html>\n")


def _machine(report):
    machine = report["machine"]
    facts = {"date": report["date"] + " UTC", "processor": f"{machine['cpu']}, {machine['cpus']} CPUs",
             "system": machine["system"], "kernels": f"{report['isa']}, {report['threads']} threads, {report['dtype']}",
             "versions": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
             "rates": f"{report['peak_gflops']:.0f} GFLOP/s of multiply-adds on registers, "
                      f"{report['copy_gbs']:.0f} GB/s of a copy in memory, read and written"}
    return "<dl>" + "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items()) + "</dl>"


def _maps(rows, looks):
    peers = list(dict.fromkeys(name for row in rows for name in row["peers_ms"]))
    return (_figure(bench_plots.heat_map(rows, bench_plots.fastest_look(looks), looks), "The fastest method")
            + _figure(bench_plots.heat_map(rows, bench_plots.regret_look), "Regret: how much longer auto's method takes")
            + "".join(_figure(bench_plots.heat_map(rows, bench_plots.peer_look(peer)), f"Time of {peer} over that of auto")
                      for peer in peers))


def _figure(svg, caption):
    data = base64.b64encode(svg).decode()
    return (f"<figure><figcaption>{_text(caption)}</figcaption>"
            f"<img alt='{_text(caption)}; the numbers are in the tables below' src='data:image/svg+xml;base64,{data}'></figure>")


def _layer_of(row):
    return row["name"].removeprefix(f"{GRADIENTS.get(row['op'])}.")


def _table(report, section):
    rows = [row for row in report["rows"] if row["section"] == section]
    ours = list(dict.fromkeys(name for row in rows for name in row["ms"]))
    peers = list(dict.fromkeys(name for row in rows for name in row["peers_ms"]))
    head = ["case", *ours, "auto", "regret", *peers, "peer / auto"]
    lines = []
    for row in rows:
        fastest = min(row["ms"], key=row["ms"].get, default=None)
        ratio = peer_ratio(row)
        cells = [_text(row["name"])]
        cells += [f"<b>{row['ms'][name]:.3f}</b>" if name == fastest else _ms(row["ms"], name) for name in ours]
        cells += [_text(row["auto"]), _text(regret_text(row["regret"])), *(_ms(row["peers_ms"], name) for name in peers),
                  f"{ratio:.2f}" if ratio else "–"]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (f"<details><summary>{_text(section)}: {len(rows)} cases, milliseconds</summary><div class=wide><table><tr>"
            + "".join(f"<th>{_text(name)}</th>" for name in head) + f"</tr>{''.join(lines)}</table></div></details>")


def _ms(times, name):
    return f"{times[name]:.3f}" if name in times else "–"


def _text(value):
    return html.escape(str(value))
