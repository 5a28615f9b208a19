"""Runtime: instruction set, threads, caches and what is installed."""
import contextlib
import platform
import sys

import numpy as np

from ndconv import _runtime, plan
from ndconv._runtime import get_isa, get_num_threads, isas, set_num_threads

__all__ = ["clear_caches", "get_isa", "get_num_threads", "isas", "num_threads", "set_isa", "set_num_threads", "show_config"]


def set_isa(name):
    """Use the kernels of the instruction set `name`, one of `isas()`, from the next plan or call on.

    Existing plans keep theirs. The environment variable ``NDCONV_ISA`` sets it at import.
    Raises ValueError for a name that is unknown or that this CPU cannot run.

    >>> before = get_isa()
    >>> set_isa("scalar")
    >>> get_isa()
    'scalar'
    >>> set_isa(before)
    """
    _runtime.set_isa(name)
    plan.clear_plans()


@contextlib.contextmanager
def num_threads(n):
    """Use `n` threads inside a ``with`` block, process-wide; results do not depend on it.

    >>> with num_threads(1):
    ...     get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def clear_caches():
    """Forget cached plans and give the scratch memory kept for the next call back to the system.

    >>> clear_caches()
    """
    plan.clear_plans()
    _runtime.clear_scratch()


def show_config():
    """Print version, instruction set, threads and the versions of Python and NumPy.

    >>> show_config()                          # doctest: +ELLIPSIS
    ndconv ...
    """
    from ndconv import __version__
    from ndconv.select import NAMES

    print(f"ndconv {__version__}")
    print(f"isa     {get_isa()} (this CPU runs {', '.join(isas())}; compiled in: {', '.join(_runtime.compiled_isas())})")
    print(f"threads {get_num_threads()}")
    print(f"methods {', '.join(NAMES)}")
    print(f"python  {sys.version.split()[0]}, numpy {np.__version__}, {platform.system()} {platform.machine()}")
