"""Measure every method on random layers and those of networks, judge the choices of `auto` by them, and fit the constants of
ndconv/cycles.py.

    python benchmarks/fit_costs.py measure SEED COUNT OUT.json     methods in turn, medians; about a minute a hundred
    python benchmarks/fit_costs.py networks OUT.json               the same of layers of networks
    python benchmarks/fit_costs.py regret OUT.json ...             regret of auto, and of tune: a choice by one half of the
                                                                   measurement, judged by the other
    python benchmarks/fit_costs.py fit OUT.json ...                regret now, the fitted constants, regret with them
    python benchmarks/fit_costs.py refine OUT.json ...             the same, from the constants in use; a file that is given
                                                                   several times counts as often

Regret is the time of the method that `auto` takes over that of the fastest. The fit is a non-negative least squares of relative
errors (SciPy), refined for the least expected regret: what matters is the order of methods that are close.
"""
import json
import statistics
import sys
from dataclasses import asdict

import numpy as np
from layers import Layer, layers, networks

import ndconv as nd
from ndconv import cost, cycles, select
from ndconv.cycles import CYCLE, factor_of
from ndconv.stages import thinned
from ndconv.timing import runs_of, time_runs

SECONDS, FAR = 0.04, 10            # of a method in each half, estimates over the least that are not measured
NOISE = 0.3, 0.15            # of an estimate, relative: steps of the fit
SMALL, TINY = 0.03, 1e-6           # of a constant that the least squares put at zero
RIGHT, NEAR = 0.1, 0.02           # weights beside that of the regret


def measure(seed, count, path):
    measure_all(layers(int(seed), int(count)), path)


def measure_all(found, path):
    threads = nd.get_num_threads()
    with open(path, "w") as file:
        for layer in found:
            problem, prepared = layer.problem, layer.use == "plan"
            rows = select.explain_problem(problem, threads=threads, prepared=prepared).rows
            able = {row.method: row.cost for row in rows if row.applicable and row.method in select.METHODS}
            near = [method for method, seconds in able.items() if seconds <= FAR * min(able.values())]
            runs = runs_of(problem, near, prepared, threads)
            first, second = ({name: timing.median for name, timing in time_runs(runs, SECONDS, 3).items()} for _ in range(2))
            seconds = {name: (first[name] * second[name])**0.5 for name in near}
            row = dict(layer=asdict(layer), isa=nd.get_isa(), seconds=seconds, halves=[first, second])
            print(json.dumps(row), file=file, flush=True)


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
    refine(*paths, begin=Model.fitted)


def refine(*paths, begin=lambda model: {name: max(value, TINY) for name, value in model.constants.items()}):
    rows = read(paths)
    model = Model(rows)
    report("now", rows, model.estimates(model.constants))
    constants = model.in_seconds(model.constants | model.refined(begin(model)))
    for name, keys in model.keys.items():
        print(f"{name} = dict({', '.join(f'{key}={constants[name, key]:.3g}' for key in keys)})")
    report("fitted", rows, model.estimates(constants))


class Model:
    """The counts of every measured (row, method) and the constants they are multiplied with, named (table, key). Counts are
    those of the instruction set that was measured, and larger where it is slower than the reference."""

    def __init__(self, rows):
        tables = {id(value): name for name, value in vars(cycles).items() if name.isupper() and isinstance(value, dict)}
        self.keys, self.constants, self.terms = {}, {}, []
        for i, row in enumerate(rows):
            layer = Layer(**row["layer"])
            nd.set_isa(row["isa"])
            problem, _, _ = thinned(layer.problem)
            slow = cost.slowness_of(problem)
            for method, seconds in row["seconds"].items():
                table, counts = cost.counts_of(method, problem, layer.use == "plan")
                factors = cost.slowness_for(method, problem, slow)
                counts = {key: count * factor_of(key, factors) for key, count in counts.items()}
                name = tables[id(table)]
                self.keys[name] = list(table)
                self.constants |= {(name, key): value for key, value in table.items()}
                self.terms.append((i, method, name, counts, seconds))
        self.names = list(self.constants)
        place = {name: column for column, name in enumerate(self.names)}
        self.matrix = np.zeros((len(self.terms), len(place)))
        for line, (_, _, table, counts, _) in enumerate(self.terms):
            for key, count in counts.items():
                self.matrix[line, place[table, key]] = count
        self.measured = np.array([term[4] for term in self.terms]) / CYCLE
        self.row = np.array([term[0] for term in self.terms])

    def estimates(self, constants):
        """[{method: seconds}] for each row."""
        cycles = self.matrix @ [constants[name] for name in self.names]
        found = [{} for _ in range(self.row[-1] + 1)]
        for (i, method, *_), value in zip(self.terms, cycles):
            found[i][method] = value * CYCLE
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
        """Constants of the least regret to be expected if estimates are off by NOISE, by gradients of the logarithms; the noise
        is lessened step by step, so that near misses still pull at first."""
        from scipy.optimize import minimize
        values = np.array([constants[name] for name in self.names])
        known = np.array([self.constants[name] for name in self.names])
        start = np.log(np.where(values > 0, values, SMALL * known))
        found = start
        for noise in NOISE:
            found = minimize(self._loss, found, (start, noise), "L-BFGS-B", jac=True, options=dict(maxiter=400)).x
        return dict(zip(self.names, np.exp(found)))

    def in_seconds(self, constants):
        """The constants by one factor for all, which the order of methods leaves open: the fastest of a layer are estimated
        right in the median."""
        least = np.minimum.reduceat(self.measured, np.flatnonzero(np.diff(self.row, prepend=-1)))
        fastest = self.measured == least[self.row]
        scale = np.median((self.measured / (self.matrix @ [constants[name] for name in self.names]))[fastest])
        print(f"all by {scale:.3f}, and so SEPARABLE")
        return {name: scale * value for name, value in constants.items()}

    def _loss(self, logs, start, noise):
        """(mean of regret and its square, which weighs what is far off, plus a little for estimates that are wrong beside those
        of other methods and for constants far from the start; its gradient)."""
        starts, row, log_measured = np.flatnonzero(np.diff(self.row, prepend=-1)), self.row, np.log(self.measured)
        rows, lines = len(starts), len(row)
        regret = log_measured - np.minimum.reduceat(log_measured, starts)[row]
        values = np.exp(logs)
        cycles = self.matrix @ values
        lead = (np.minimum.reduceat(np.log(cycles), starts)[row] - np.log(cycles)) / noise
        chance = np.exp(lead) / np.add.reduceat(np.exp(lead), starts)[row]
        expected = np.add.reduceat(chance * regret, starts)
        off = np.log(cycles) - log_measured
        off -= (np.add.reduceat(off, starts) / np.bincount(row))[row]
        loss = np.mean(expected + expected**2) + RIGHT * np.mean(off**2) + NEAR * np.mean((logs - start) ** 2)
        slope = (1 + 2 * expected[row]) * chance * (expected[row] - regret) / noise / rows + RIGHT * 2 * off / lines
        return loss, (self.matrix * values).T @ (slope / cycles) + NEAR * 2 * (logs - start) / len(logs)


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
    commands = {"measure": measure, "networks": lambda path: measure_all(networks(), path), "regret": regret, "fit": fit,
                "refine": refine}
    commands[sys.argv[1]](*sys.argv[2:])
