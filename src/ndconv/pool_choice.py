"""The method of a pooling: Pooling (pyx/ndconv/_pool.pyx) takes that of least work by itself; here a call names one, or has what
`tune_pool` measured (ndconv/pool_tune.py)."""
from functools import lru_cache

from ndconv._pool import METHODS
from ndconv._runtime import get_isa, get_num_threads
from ndconv.choices import choices
from ndconv.problem import Problem

ANY = -1            # the method of least work
CACHED_METHODS = 256


def problem_of(geometry, op, dtype):
    """The Problem of a Pooling: what was measured is kept under it."""
    n, c, x, k, y, stride, dilation, before, after = geometry.given
    return Problem(op, dtype, geometry.rank, n, c, c, c, *map(tuple, (x, k, y, stride, dilation, before, after)), False,
                   geometry.channels_last)


def check_method(method):
    if not isinstance(method, str):
        raise TypeError(f"method must be a string, not {method!r}")
    if method != "auto" and method not in METHODS:
        raise ValueError(f"method must be 'auto' or one of {', '.join(METHODS)}; got {method!r}")
    return method


def options_of(method, geometry, kind, dtype, indices, threads):
    """What Pooling.forward takes beside its arrays: threads, method and whether that is forced."""
    if method != "auto":
        return dict(threads=threads, method=METHODS.index(check_method(method)), forced=True)
    if not choices:
        return dict(threads=threads)
    return dict(threads=threads, method=fastest(geometry, kind, dtype, indices, threads or get_num_threads()))


@lru_cache(maxsize=CACHED_METHODS)
def fastest(geometry, kind, dtype, indices, threads):
    """The place in METHODS of the one that was measured to be the fastest, ANY where none was."""
    measured = choices.find(problem_of(geometry, op_of(kind, indices), dtype), get_isa(), threads, False)
    return METHODS.index(min(measured, key=measured.get)) if measured else ANY


def op_of(kind, indices):
    return f"{kind}_pool{'_indices' if indices else ''}"
