"""Choices: measured times of methods and of their blockings, which selection prefers to its estimates. `tune` makes them; they
hold for one CPU.

A choice is advice: it says how long each method took, and selection still checks that the fastest can do the problem within
accuracy= and workspace_limit=. So a wrong file can make a call slow, never wrong.
"""
import threading
import warnings
from dataclasses import fields

from ndconv import _pool
from ndconv.border import MODES
from ndconv.files import check_head, cpu_name, read_json, write_json
from ndconv.problem import DTYPES, IMAGE_DTYPES, OPS, POOL_OPS, Problem

FORMAT, VERSION = "ndconv choices", 1
MOST_CHOICES = 4096
MOST_BYTES = 8 * 2**20
MOST_SECONDS = 1e6
WORDS = {"op": (*OPS, *POOL_OPS), "dtype": (*DTYPES, *IMAGE_DTYPES), "modes": MODES}


class Choices:
    """The measured choices of this process; `ndconv.choices` is the only one.

    >>> ndconv.choices.clear()
    >>> len(ndconv.choices)
    0
    """

    def __init__(self):
        self._measured, self._lock = {}, threading.Lock()

    def __len__(self):
        return len(self._measured)

    def find(self, problem, isa, threads, prepared):
        """{label: measured seconds}, labels as ndconv/select.py has them; empty where nothing was measured."""
        return self._measured.get((problem, isa, threads, prepared), {}) if self._measured else {}

    def add(self, entries):
        """Keep {(problem, isa, threads, prepared): {label: seconds}}; beyond MOST_CHOICES the oldest are forgotten."""
        with self._lock:
            for key, seconds in entries.items():
                self._measured.pop(key, None)
                self._measured[key] = seconds
            for key in list(self._measured)[:-MOST_CHOICES]:
                del self._measured[key]
        _forget_plans()

    def clear(self):
        """Forget every choice: estimates decide again."""
        with self._lock:
            self._measured.clear()
        _forget_plans()

    def save(self, path):
        """Write all choices as JSON, with the CPU and the version of the library; a file there is replaced as a whole. OSError
        where that is not possible.
        """
        with self._lock:
            entries = [_entry(*key, seconds) for key, seconds in self._measured.items()]
        write_json(path, dict(format=FORMAT, version=VERSION, **_here(), choices=entries))

    def load(self, path):
        """Add the choices of a file to those that are there, and return their number.

        A file that is damaged, too large, made on another CPU or by another version of the library is ignored as a whole, with a
        warning that names it and says why; the number is then 0. FileNotFoundError if there is no such file.
        """
        try:
            entries = read_entries(path)
        except ValueError as error:
            warnings.warn(f"{path} is ignored: {error}", stacklevel=2)
            return 0
        self.add(entries)
        return len(entries)


def _forget_plans():
    from ndconv.plan import clear_plans  # plans are made by selection, which asks the choices, as poolings do
    from ndconv.pool_choice import fastest
    clear_plans()
    fastest.cache_clear()


def _here():
    from ndconv import __version__
    return dict(ndconv=__version__, cpu=cpu_name())


def _entry(problem, isa, threads, prepared, seconds):
    return dict(problem={field.name: getattr(problem, field.name) for field in fields(Problem)}, isa=isa, threads=threads,
                prepared=prepared, seconds=seconds)


def read_entries(path):
    """What `Choices.add` takes, from a file; ValueError says what is wrong with it."""
    value = read_json(path, MOST_BYTES)
    check_head(value, FORMAT, VERSION, **_here())
    entries = value.get("choices")
    if not isinstance(entries, list) or len(entries) > MOST_CHOICES:
        raise ValueError(f"choices must be a list of at most {MOST_CHOICES}")
    return dict(_checked(entry, f"choices[{place}]") for place, entry in enumerate(entries))


def _checked(entry, name):
    """(key, {label: seconds}) of one entry, or ValueError."""
    if not isinstance(entry, dict) or entry.keys() != {"problem", "isa", "threads", "prepared", "seconds"}:
        raise ValueError(f"{name} must have problem, isa, threads, prepared and seconds")
    isa, threads, prepared, seconds = (entry[key] for key in ("isa", "threads", "prepared", "seconds"))
    if not (isinstance(isa, str) and type(threads) is int and 1 <= threads <= 256 and type(prepared) is bool):
        raise ValueError(f"{name} has a wrong isa, threads or prepared")
    problem = _problem(entry["problem"], name)
    if not isinstance(seconds, dict) or not seconds or not seconds.keys() <= _labels(problem.op):
        raise ValueError(f"{name}.seconds must name methods of a {problem.op}, or name:blocking")
    if not all(type(s) in (int, float) and 0 < s < MOST_SECONDS for s in seconds.values()):
        raise ValueError(f"{name}.seconds must be positive numbers, below {MOST_SECONDS:g}")
    return (problem, isa, threads, prepared), seconds


def _labels(op):
    """All that a problem may have been measured with."""
    if op in POOL_OPS:
        return set(_pool.METHODS)
    from ndconv.select import METHODS, labels_of
    return {label for method in METHODS.values() for label in labels_of(method)}


def _problem(value, name):
    if not isinstance(value, dict) or value.keys() != {field.name for field in fields(Problem)}:
        raise ValueError(f"{name}.problem must have exactly the fields of a Problem")
    made = {}
    for field in fields(Problem):
        given = value[field.name]
        if field.type is tuple:
            words = WORDS.get(field.name)
            right = isinstance(given, list) and len(given) == 3 and all(v in words if words else type(v) is int for v in given)
            given = tuple(given) if right else None
        elif field.type is str:
            right = given in WORDS[field.name] if isinstance(given, str) else False
        else:
            right = type(given) is field.type
        if not right:
            raise ValueError(f"{name}.problem.{field.name} has a wrong value")
        made[field.name] = given
    return Problem(**made)


choices = Choices()
