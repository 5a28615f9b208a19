"""The machine as the cost model sees it: rates that `calibrate` measures.

The cycles of ndconv/cycles.py were fitted on one CPU. On another, multiply-adds, memory and threads are faster or slower each by
a factor of its own, which changes the order of methods: `slowness` gives these factors, 1 until someone calibrates.
"""
import functools
import math
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ndconv import _runtime
from ndconv.files import check_head, cpu_name, read_json, write_json

FORMAT, VERSION = "ndconv machine", 1
MOST_BYTES, MOST_RATE = 2**16, 1e18

# instruction set: bytes of a vector (pyx/simd/*.h)
VECTORS = {"scalar": 16, "avx2": 32, "avx512": 64, "neon": 16}


class Level(NamedTuple):
    """A level of memory: bytes of x and y together that are taken to lie in it, and of an array whose copy measures it."""

    most: float
    copied: int


LEVELS = {"l2": Level(2**20, 2**17), "l3": Level(2**24, 2**22), "memory": Level(math.inf, 2**26)}
CLOSE = 1.5     # a rate this close to the reference is the reference: copies on a shared machine differ by as much


COPY_BYTES = 128 * 2**20    # beyond any cache


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates of `threads` threads together: vector multiply-adds a second, bytes a second that copies read and write in each
    level, and seconds that a parallel region takes beyond its work."""

    isa: str
    threads: int
    multiply_adds: float
    l2: float
    l3: float
    memory: float
    call: float


# The CPU of the fit (cycles.py) as `measure` found it.
REFERENCE = Machine("avx2", 2, 1.477e10, 1.4e11, 1.13e11, 3.1e10, 2.1e-7)
# Vector multiply-adds of other instruction sets, where nobody calibrated: with 512 bits as on Zen 4, which takes two cycles
SLOW_ADDS = {"scalar": 2.0, "avx512": 2.0}
PLAIN = (1.0, 1.0, 0.0)        # `slowness` of the reference

_measured = None    # {(isa, threads): Machine} of the cache file, None before it was looked for


def cache_file():
    """Where measured rates are kept: in $NDCONV_CACHE; else where platformdirs says, if it is installed; else in
    $XDG_CACHE_HOME/ndconv or ~/.cache/ndconv."""
    folder = os.environ.get("NDCONV_CACHE")
    if not folder:
        try:
            from platformdirs import user_cache_dir
            folder = user_cache_dir("ndconv", appauthor=False)
        except ImportError:
            folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ndconv")
    return Path(folder, "machine.json")


def calibrate(save=True):
    """Measure the rates that estimates depend on, in under a second, for the number of threads and the instruction set in use.

    Selection uses them from now on and, if `save`, in later processes on this CPU: they are kept in the user's cache folder
    (`ndconv.machine.cache_file()`). Returns them as a Machine. OSError if the file cannot be written.

    >>> calibrate(save=False).multiply_adds > 0
    True
    >>> forget()
    """
    machine = measure()
    known = _known() | {(machine.isa, machine.threads): machine}
    if save:
        path = cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, dict(format=FORMAT, version=VERSION, cpu=cpu_name(), machines=[asdict(m) for m in known.values()]))
    _replace_known(known)
    return machine


def forget():
    """Go back to the rates of the reference in this process; the file stays."""
    _replace_known({})


def _replace_known(machines):
    global _measured
    from ndconv.plan import clear_plans  # plans are made by selection, which asks for these rates
    _measured = machines
    clear_plans()


def measure():
    """The Machine of the number of threads and the instruction set in use."""
    threads, isa = _runtime.get_num_threads(), _runtime.get_isa()
    lanes = VECTORS[isa] // 4
    l2 = threads * measure_copy(1, LEVELS["l2"].copied)   # each core has its own
    l3, memory = (measure_copy(threads, LEVELS[level].copied) for level in ("l3", "memory"))
    return Machine(isa, threads, _runtime.measure_peak("float32", threads, 0.1) / (2 * lanes), l2, l3, memory,
                   _runtime.measure_call(threads))


@functools.lru_cache(maxsize=64)
def measure_copy(threads, size=COPY_BYTES):
    """Bytes a second that np.copyto reads and writes together between two arrays of `size` bytes, on `threads` threads that
    each copy their part again and again; the best of five."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    times = max(1, COPY_BYTES // (4 * size))

    def copy(part):
        for _ in range(times):
            np.copyto(*part)

    best = math.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(copy, parts))
            best = min(best, time.perf_counter() - start)
    return 2 * size * times / best


def _known():
    """{(isa, threads): Machine}, from the cache file the first time; a file that is no good is ignored with a warning."""
    global _measured
    if _measured is None:
        path = cache_file()
        try:
            _measured = read_machines(path)
        except FileNotFoundError:
            _measured = {}
        except ValueError as error:
            _measured = {}
            warnings.warn(f"{path} is ignored: {error}; run ndconv calibrate again", stacklevel=2)
    return _measured


def read_machines(path):
    """{(isa, threads): Machine} of a file; ValueError says what is wrong with it."""
    value = read_json(path, MOST_BYTES)
    check_head(value, FORMAT, VERSION, cpu=cpu_name())
    entries = value.get("machines")
    if not isinstance(entries, list):
        raise ValueError("machines must be a list")
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.keys() != {field.name for field in fields(Machine)}:
            raise ValueError("each machine must have exactly the fields of a Machine")
        machine = Machine(**entry)
        rates = [getattr(machine, field.name) for field in fields(Machine) if field.type is float]
        if (machine.isa not in VECTORS or type(machine.threads) is not int
                or not all(type(rate) in (int, float) and 0 < rate < MOST_RATE for rate in rates)):
            raise ValueError("a machine has a wrong isa, number of threads or rate")
        found[machine.isa, machine.threads] = machine
    return found


def slowness(size, isa=None):
    """(multiply-adds, copies, regions): how many times as long as on the reference the first two take, for arrays of `size` bytes
    together, and how many seconds more a parallel region takes. isa : of the kernels, if not that in use; where only that was
    measured, its rates are taken, so that all estimates are on one scale."""
    used, threads = _runtime.get_isa(), _runtime.get_num_threads()
    machine = _known().get((isa or used, threads), _known().get((used, threads)))
    if machine is None:
        adds = SLOW_ADDS.get(isa or used)
        return (adds, *PLAIN[1:]) if adds else PLAIN
    level = next(name for name, level in LEVELS.items() if size <= level.most)
    return (_rounded(REFERENCE.multiply_adds / machine.multiply_adds),
            _rounded(getattr(REFERENCE, level) / getattr(machine, level)), max(machine.call - REFERENCE.call, 0.0))


def _rounded(ratio):
    return 1.0 if 1 / CLOSE < ratio < CLOSE else ratio
