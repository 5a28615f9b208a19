"""Set-up of the benchmarks: the grids of the tests, what the machine can do, and the check before each timing."""
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import ndconv as nd
from ndconv import bench
from ndconv._runtime import measure_peak

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def pytest_benchmark_update_machine_info(machine_info):
    """What makes two saved runs comparable."""
    machine_info["ndconv"] = {
        "version": nd.__version__, "isa": nd.get_isa(), "threads": nd.get_num_threads(), "numpy": np.__version__,
    }


def pytest_benchmark_update_json(output_json):
    """What is measured of the machine differs from run to run, so it is no part of what is compared."""
    output_json["peak_gflops"] = {dtype: measure_peak(dtype) / 1e9 for dtype in ("float32", "float64")}


@pytest.fixture
def measure(benchmark):
    """measure(run, want, limit, **amounts): fail unless run() is want within limit, then time run."""
    def measure(run, want, limit, **amounts):
        error = bench.relative_error(run(), want)
        assert error <= limit, f"relative error {error:.1e}; not timed"
        benchmark.extra_info |= {"isa": nd.get_isa(), "threads": nd.get_num_threads(), **amounts}
        benchmark(run)
        if benchmark.stats:  # none with --benchmark-disable
            rates = {f"g{name}_per_s": amount / benchmark.stats.stats.median / 1e9 for name, amount in amounts.items()}
            if "byte" in amounts:  # of a copy in the level of memory that holds as much
                size = 1 << round(math.log2(max(amounts["byte"] // 2, 4096)))
                rates["share_of_copy"] = rates["gbyte_per_s"] * 1e9 / bench.measure_copy(nd.get_num_threads(), size)
            benchmark.extra_info |= rates
    return measure
