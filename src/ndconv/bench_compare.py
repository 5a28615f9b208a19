"""What got faster or slower between two reports of `ndconv bench`, beyond the noise of both. Needs rich for the table."""
import math
from typing import NamedTuple

from rich import box
from rich.table import Table

LEAST_NOISE = 0.05     # medians of a quiet machine differ by that much from run to run
NOISES = 2             # how often the spread of both medians together a difference must be


class Change(NamedTuple):
    """A case in two reports: milliseconds of a method, the new time over the old, and the ratio that is still noise."""

    name: str
    method: str
    old: float
    new: float
    noise: float

    @property
    def ratio(self):
        return self.new / self.old

    @property
    def verdict(self):
        if abs(math.log(self.ratio)) <= math.log1p(self.noise):
            return "same"
        return "slower" if self.ratio > 1 else "faster"


def compare(old, new):
    """([Change] of what both reports timed, [names of cases in one of them only]): auto, under the name of the method that it
    took, and every other method of ours."""
    before, after = ({row["name"]: row for row in report["rows"]} for report in (old, new))
    changes = []
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        pairs = [("auto", a["auto"], b["auto"]), *((method, method, method) for method in a["ms"])]
        for label, first, second in pairs:
            if first in a["ms"] and second in b["ms"]:
                spread = math.hypot(a["spread"][first], b["spread"][second])
                label = f"auto ({first} → {second})" if label == "auto" and first != second else label
                changes.append(Change(name, label, a["ms"][first], b["ms"][second], max(NOISES * spread, LEAST_NOISE)))
    order = {name: place for place, name in enumerate(after)}
    return sorted(changes, key=lambda change: order[change.name]), sorted(before.keys() ^ after.keys())


def show_changes(console, old, new):
    """A table of what changed, one line on the rest; a line for each thing that makes the reports hard to compare."""
    for name in ("isa", "threads", "dtype", "machine"):
        if old[name] != new[name]:
            console.print(f"not the same {name}: {old[name]} and {new[name]}", markup=False)
    changes, single = compare(old, new)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    for heading in ("case", "method", "old ms", "new ms", "new / old", "noise", ""):
        table.add_column(heading, justify="left" if heading in ("case", "method", "") else "right")
    changed = [change for change in changes if change.verdict != "same"]
    for change in sorted(changed, key=lambda change: change.ratio):
        table.add_row(change.name, change.method, f"{change.old:.3f}", f"{change.new:.3f}", f"{change.ratio:.2f}",
                      f"±{change.noise:.0%}", change.verdict)
    if changed:
        console.print(table)
    autos = [change.ratio for change in changes if change.method.startswith("auto")]
    if autos:
        mean = math.exp(math.fsum(map(math.log, autos)) / len(autos))
        console.print(f"auto: {len(autos)} cases in both, new / old geometric mean {mean:.3f}")
    counts = {verdict: sum(change.verdict == verdict for change in changes) for verdict in ("faster", "slower", "same")}
    console.print(f"methods and cases: {counts['faster']} faster, {counts['slower']} slower, {counts['same']} within the noise"
                  + (f"; in one report only: {', '.join(single)}" if single else ""), markup=False)


def check_report(value):
    """ValueError unless `value` is a report with what is compared here."""
    def is_times(times):
        return isinstance(times, dict) and all(type(v) in (int, float) and 0 < v < math.inf for v in times.values())

    if not isinstance(value, dict) or not {"rows", "isa", "threads", "dtype", "machine"} <= value.keys():
        raise ValueError("it is no report of ndconv bench")
    if not isinstance(value["rows"], list):
        raise ValueError("rows must be a list")
    for row in value["rows"]:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not isinstance(row.get("auto"), str):
            raise ValueError("each row must have a name and what auto took")
        spread = row.get("spread")
        if not is_times(row.get("ms")) or not isinstance(spread, dict) or not row["ms"].keys() <= spread.keys() or not all(
                type(v) in (int, float) and 0 <= v < math.inf for v in spread.values()):
            raise ValueError(f"row {row['name']!r} must have times and spreads of its methods")
    return value
