"""Measure every method on random layers, judge the choices of `auto` by them, and fit the constants of ndconv/cost.py.

    python benchmarks/fit_costs.py measure SEED COUNT OUT.json     methods in turn, medians; about a minute a hundred
    python benchmarks/fit_costs.py regret OUT.json ...             regret of auto, and of tune: a choice by one half of the
                                                                   measurement, judged by the other
    python benchmarks/fit_costs.py fit OUT.json ...                regret now, the fitted constants, regret with them

Regret is the time of the method that `auto` takes over that of the fastest. The fit is a non-negative least squares of relative
errors (SciPy), refined for the least expected regret: what matters is the order of methods that are close.
"""
import json
import statistics
import sys
from dataclasses import asdict

import numpy as np
from layers import Layer, layers

import ndconv as nd
from ndconv import cost, select
from ndconv.timing import runs_of, time_runs

SECONDS, FAR = 0.04, 10            # of a method in each half, estimates over the least that are not measured
NOISE = 0.1                        # of an estimate, relative


def measure(seed, count, path):
    threads = nd.get_num_threads()
    with open(path, "w") as file:
        for layer in layers(int(seed), int(count)):
            problem, prepared = layer.problem, layer.use == "plan"
            rows = select.explain_problem(problem, threads=threads, prepared=prepared).rows
            able = {row.method: row.cost for row in rows if row.applicable and row.method in select.METHODS}
            near = [method for method, seconds in able.items() if seconds <= FAR * min(able.values())]
            runs = runs_of(problem, near, prepared, threads)
            first, second = ({name: timing.median for name, timing in time_runs(runs, SECONDS, 3).items()} for _ in range(2))
            seconds = {name: (first[name] * second[name])**0.5 for name in near}
            print(json.dumps(dict(layer=asdict(layer), seconds=seconds, halves=[first, second])), file=file, flush=True)


def regret(*paths):
    rows = read(paths)
    model = Model(rows)
    report("of auto", rows, model.estimates(model.constants))
    halves = [row | dict(seconds=row["halves"][1]) for row in rows if "halves" in row]
    if halves:
        report("of tune", halves, [row["halves"][0] for row in halves], 0)


def read(paths):
    return [json.loads(line) for path in paths for line in open(path)]


def fit(*paths):
    rows = read(paths)
    model = Model(rows)
    report("now", rows, model.estimates(model.constants))
    constants = model.refined(model.fitted())
    for name, keys in model.keys.items():
        print(f"{name} = dict({', '.join(f'{key}={constants[name, key]:.3g}' for key in keys)})")
    report("fitted", rows, model.estimates(constants))


class Model:
    """The counts of every measured (row, method) and the constants they are multiplied with, named (table, key)."""

    def __init__(self, rows):
        tables = {id(value): name for name, value in vars(cost).items() if name.isupper() and isinstance(value, dict)}
        self.keys, self.constants, self.terms = {}, {}, []
        for i, row in enumerate(rows):
            layer = Layer(**row["layer"])
            for method, seconds in row["seconds"].items():
                cycles, counts = cost.COUNTS[method](layer.problem, layer.use == "plan")
                table = tables[id(cycles)]
                self.keys[table] = list(cycles)
                self.constants |= {(table, key): value for key, value in cycles.items()}
                self.terms.append((i, method, table, counts, seconds))
        self.names = list(self.constants)
        place = {name: column for column, name in enumerate(self.names)}
        self.matrix = np.zeros((len(self.terms), len(place)))
        for line, (_, _, table, counts, _) in enumerate(self.terms):
            for key, count in counts.items():
                self.matrix[line, place[table, key]] = count
        self.measured = np.array([term[4] for term in self.terms]) / cost.SECONDS
        self.row = np.array([term[0] for term in self.terms])

    def estimates(self, constants):
        """[{method: seconds}] for each row."""
        cycles = self.matrix @ [constants[name] for name in self.names]
        found = [{} for _ in range(self.row[-1] + 1)]
        for (i, method, *_), value in zip(self.terms, cycles):
            found[i][method] = value * cost.SECONDS
        return found

    def fitted(self):
        """Constants >= 0 of the least squares of relative errors; weights 1 / sqrt(fitted * measured) approach log errors."""
        from scipy.optimize import nnls
        weight = 1 / self.measured
        for _ in range(15):
            values, _ = nnls(self.matrix * weight[:, None], self.measured * weight)
            weight = 1 / np.sqrt(np.maximum(self.matrix @ values, 1) * self.measured)
        return dict(zip(self.names, values))

    def refined(self, constants):
        """Constants changed one by one while that lessens the regret to be expected if estimates are off by NOISE."""
        values = np.array([constants[name] for name in self.names])
        cycles = self.matrix @ values
        starts = np.flatnonzero(np.diff(self.row, prepend=-1))
        regret = np.log(self.measured / np.minimum.reduceat(self.measured, starts)[self.row])

        def loss(cycles):
            weight = (np.minimum.reduceat(cycles, starts)[self.row] / cycles) ** (1 / NOISE)
            expected = np.add.reduceat(weight * regret, starts) / np.add.reduceat(weight, starts)
            return expected.mean() + 0.01 * np.mean(np.log(cycles / self.measured) ** 2)

        best = loss(cycles)
        for step in (0.5, 0.25, 0.12, 0.06) * 2:
            for column in range(len(values)):
                for factor in (1 + step, 1 / (1 + step)):
                    changed = cycles + self.matrix[:, column] * values[column] * (factor - 1)
                    if changed.min() > 0 and loss(changed) < best:
                        best, cycles = loss(changed), changed
                        values[column] *= factor
        return dict(zip(self.names, values))


def report(title, rows, estimates, shown=12):
    regrets = []
    for row, estimate in zip(rows, estimates):
        chosen = min(estimate, key=estimate.get)
        regrets.append((row["seconds"][chosen] / min(row["seconds"].values()), chosen, row, estimate))
    regrets.sort(key=lambda entry: -entry[0])
    values = [entry[0] for entry in regrets]
    print(f"regret {title}: geometric mean {statistics.geometric_mean(values):.3f}, "
          f"95th percentile {values[len(values) // 20]:.2f}, worst {values[0]:.2f} of {len(values)}")
    for regret, chosen, row, estimate in regrets[:shown]:
        each = ", ".join(f"{m} {s * 1e3:.3f} (estimate {estimate[m] * 1e3:.3f})" for m, s in row["seconds"].items())
        print(f"  {regret:.2f} {chosen}: {Layer(**row['layer'])}: {each}")


if __name__ == "__main__":
    {"measure": measure, "regret": regret, "fit": fit}[sys.argv[1]](*sys.argv[2:])
