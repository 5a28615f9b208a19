"""What `ndconv bench` shows in the terminal: a progress bar, a table a section, and the sum of it all. Needs rich."""
import itertools
import math
import shutil
import sys

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ndconv.bench import peer_ratio, regret_text

SLACK = 0.05  # a method within 5 % of the fastest counts as the fastest: medians differ by that much from run to run


def make_console():
    """The terminal; where the output goes to a file, wide enough for every column."""
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size().columns, 160)
    return Console(width=width, highlight=False)


def make_progress(console):
    return Progress(TextColumn("{task.description:28s}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
                    transient=True)


def show_head(console, report):
    machine, versions = report["machine"], report["versions"]
    console.print(f"[bold]ndconv {report['ndconv']}[/], {machine['cpu']}, {report['isa']}, {report['threads']} threads, "
                  f"{report['dtype']}; " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    console.print(f"measured: {report['peak_gflops']:.1f} GFLOP/s of fused multiply-adds on registers, "
                  f"{report['copy_gbs']:.1f} GB/s of memory read and written by a copy\n")


def section_table(rows, report, methods, peers):
    """One section's rows. Convolutions are rated against the peak; pooling, and convolutions that multiply little, against a
    copy in the level of memory that holds their data."""
    pool, copied = rows[0]["flops"] is None, any(row["copy_gbs"] for row in rows)
    ours = ["pool"] if pool else methods
    table = Table(title=f"{rows[0]['section']}: milliseconds", title_style="bold", title_justify="left", header_style="",
                  box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("case", no_wrap=True)
    for name in ours:
        table.add_column(name, justify="right")
    headings = ("GB/s", "of copy") if pool else ("GFLOP/s", "of peak", *["of copy"] * copied, "auto", "regret")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "auto" else "right")
    for name in peers:
        table.add_column(name, justify="right", style="dim")
    if peers:
        table.add_column("peer/ours", justify="right")
    for row in rows:
        table.add_row(*_cells(row, report, ours, peers, copied))
    return table


def _cells(row, report, ours, peers, copied):
    fastest = min(row["ms"], key=row["ms"].get, default=None)
    yield row["name"]
    for name in ours:
        text = _ms(row, "ms", name)
        yield f"[bold]{text}[/]" if name == fastest and len(row["ms"]) > 1 else text
    ms = row["ms"].get(row["auto"], math.nan)
    moved = row["bytes"] / ms / 1e6
    share = f"{moved / row['copy_gbs']:.0%}" if row["copy_gbs"] else "-"
    if row["flops"] is None:
        yield from (f"{moved:.1f}", share)
    else:
        rate = row["flops"] / ms / 1e6
        yield from (f"{rate:.1f}", f"{rate / report['peak_gflops']:.0%}", *[share] * copied, row["auto"],
                    regret_text(row["regret"]))
    for name in peers:
        yield _ms(row, "peers_ms", name)
    if peers:
        ratio = peer_ratio(row)
        yield f"{ratio:.2f}" if ratio else "-"


def _ms(row, key, name):
    if name in row["wrong"]:
        return "[red]wrong[/]"
    return f"{row[key][name]:.3f}" if name in row[key] else "-"


def show_summary(console, rows):
    """How well `auto` chose, how it compares with the peers, and what was wrong."""
    for line in summary_lines(rows):
        console.print(line)
    for row, (name, reason) in itertools.chain.from_iterable(zip(itertools.repeat(row), row["wrong"].items()) for row in rows):
        console.print(f"[red]not timed:[/] {name} on {row['name']}: {reason}")
    console.print("GFLOP/s count the operations of a direct convolution: above the peak, a method needs fewer of them. "
                  "The share of a copy is of one in the level of memory that holds the data. "
                  "Regret is how much longer auto's method took than the fastest.")


def summary_lines(rows):
    """How well `auto` chose and how it compares with the peers, in a sentence each."""
    chosen = [row for row in rows if row["flops"] is not None and row["regret"] is not None]
    if chosen:
        good = sum(row["regret"] <= SLACK for row in chosen)
        mean = _geometric_mean(1 + row["regret"] for row in chosen) - 1
        worst = max(chosen, key=lambda row: row["regret"])
        yield (f"auto took the fastest method, or one within {SLACK:.0%} of it, in {good} of {len(chosen)} rows; "
               f"mean regret {mean:.1%}, worst {worst['regret']:.0%} ({worst['name']})")
    ratios = {row["name"]: peer_ratio(row) for row in rows if peer_ratio(row)}
    if ratios:
        worst = min(ratios, key=ratios.get)
        yield (f"fastest peer / auto: geometric mean {_geometric_mean(ratios.values()):.2f}; auto is faster in "
               f"{sum(r > 1 for r in ratios.values())} of {len(ratios)} rows, worst {ratios[worst]:.2f} ({worst})")


def _geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values))
