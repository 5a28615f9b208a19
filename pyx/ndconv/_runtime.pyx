# cython: language_level=3, freethreading_compatible=True
"""Instruction set, thread pool and scratch memory: the only process-wide state."""
import os
import time

from ndconv._c cimport ND_F32, ND_F64, ND_PAIRS, nd_body, nd_kernel_set, nd_kernels

cdef extern from "isa.h" nogil:
    struct nd_isa:
        const nd_kernels *kernels
        int (*is_supported)() noexcept nogil
    const nd_isa nd_isas[]
    const int nd_isa_count
    const nd_kernel_set *nd_filled_kernels(const nd_kernels *kernels, int dtype, ptrdiff_t lanes)
    const nd_kernel_set *nd_pair_kernels(const nd_kernels *kernels)

cdef extern from "threads.h" nogil:
    void nd_threads_init()
    void nd_parallel_for(ptrdiff_t n, ptrdiff_t grain, int threads, nd_body body, void *context)
    void *nd_scratch_take(size_t size)
    void nd_scratch_give(void *block)
    void nd_scratch_clear()
    size_t nd_scratch_kept()

cdef const nd_kernels *_kernels = NULL
cdef int _threads = 1

cdef const nd_kernels *current_kernels() noexcept nogil:
    return _kernels

cdef const nd_kernel_set *kernels_of(int dtype, ptrdiff_t lanes) noexcept nogil:
    if dtype == ND_F32 or dtype == ND_F64:
        return nd_filled_kernels(_kernels, dtype, lanes)
    return nd_pair_kernels(_kernels) if dtype == ND_PAIRS else _kernels.set[dtype]

cdef int default_threads() noexcept nogil:
    return _threads

cdef void parallel_for(ptrdiff_t n, ptrdiff_t grain, int threads, nd_body body, void *context) noexcept nogil:
    nd_parallel_for(n, grain, threads, body, context)

cdef void *scratch_take(size_t size) noexcept nogil:
    return nd_scratch_take(size)

cdef void scratch_give(void *block) noexcept nogil:
    nd_scratch_give(block)


def compiled_isas():
    """Names of the instruction sets in this build, worst first."""
    return tuple(nd_isas[i].kernels.isa.decode() for i in range(nd_isa_count))


def isas():
    """Names of the instruction sets that this CPU can run, worst first; the last is the default.

    >>> isas()[0]
    'scalar'
    """
    return tuple(nd_isas[i].kernels.isa.decode() for i in range(nd_isa_count) if nd_isas[i].is_supported())


def get_isa():
    """Name of the instruction set in use.

    >>> get_isa() in isas()
    True
    """
    return _kernels.isa.decode()


def set_isa(name):
    """Use the kernels of the instruction set `name`, one of `isas()`, from the next plan or call on.

    Existing plans keep theirs. The environment variable ``NDCONV_ISA`` sets it at import.
    Raises ValueError for a name that is unknown or that this CPU cannot run.

    >>> before = get_isa()
    >>> set_isa("scalar")
    >>> set_isa(before)
    """
    global _kernels
    for i in range(nd_isa_count):
        if nd_isas[i].kernels.isa.decode() == name and nd_isas[i].is_supported():
            _kernels = nd_isas[i].kernels
            return
    if name in compiled_isas():
        raise ValueError(f"isa {name!r} is not supported by this CPU; it can run {', '.join(isas())}")
    raise ValueError(f"isa {name!r} is unknown; this CPU can run {', '.join(isas())}")


def get_num_threads():
    """Number of threads that a call uses when it names none.

    >>> get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(n):
    """Use `n` >= 1 threads in calls that name none. Results do not depend on it.

    Raises TypeError unless `n` is an integer and ValueError below 1.

    >>> import ndconv
    >>> ndconv.set_num_threads(2)
    >>> ndconv.get_num_threads()
    2
    """
    global _threads
    _threads = check_threads(n)


def check_threads(n, name="n"):
    """`n` as a number of threads, or a TypeError or ValueError that says what was given."""
    import operator
    try:
        value = operator.index(n)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(n).__name__}") from None
    if not 1 <= value <= 256:
        raise ValueError(f"{name} must be between 1 and 256, not {value}")
    return value


def clear_scratch():
    """Give the scratch blocks that are kept for the next call back to the system."""
    nd_scratch_clear()


def scratch_bytes():
    """Bytes of scratch memory kept for the next call."""
    return nd_scratch_kept()


cdef struct PeakJob:
    const nd_kernel_set *k
    ptrdiff_t steps
    double operations[256]

cdef void _peak_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef PeakJob *job = <PeakJob *>context
    cdef char result[64]
    cdef ptrdiff_t i
    for i in range(begin, end):
        job.operations[i] = job.k.peak(job.steps, result)


def measure_peak(dtype="float32", threads=None, seconds=0.2):
    """Fused multiply-adds on registers only, in floating-point operations a second: the best of many runs of
    a few milliseconds on `threads` threads, with the kernels of the instruction set in use."""
    cdef PeakJob job
    cdef int count = _threads if threads is None else check_threads(threads, "threads")
    cdef ptrdiff_t tasks = count
    job.k = _kernels.set[ND_F32 if dtype == "float32" else ND_F64]
    job.steps = 200_000
    best, stop = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        with nogil:
            parallel_for(tasks, 1, count, _peak_body, &job)
        elapsed = time.perf_counter() - start
        best = max(best, sum(job.operations[i] for i in range(count)) / elapsed)
    return best


def measure_call(threads=None, regions=2000):
    """Seconds that a parallel region on `threads` threads takes beyond the work of each: handing out and waiting, the
    difference of medians."""
    cdef PeakJob job
    cdef int count = _threads if threads is None else check_threads(threads, "threads")
    cdef ptrdiff_t tasks
    job.k = _kernels.set[ND_F32]
    job.steps = 1000  # a few microseconds, so that the others wake before the caller has done it all
    medians = []
    for tasks in (1, count):
        times = []
        for _ in range(regions):
            start = time.perf_counter()
            with nogil:
                parallel_for(tasks, 1, count, _peak_body, &job)
            times.append(time.perf_counter() - start)
        medians.append(sorted(times)[regions // 2])
    return max(medians[1] - medians[0], 1e-7)


def _cpu_quota():
    """CPUs that the control group allows, or None."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def _threads_from_environment():
    """NDCONV_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may use."""
    for name in ("NDCONV_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdigit() and int(value) >= 1:
            return min(int(value), 256)
        if value and name.startswith("NDCONV"):
            raise ValueError(f"NDCONV_NUM_THREADS must be a number of threads, not {value!r}")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, _cpu_quota() or cpus, 256))


nd_threads_init()
_threads = _threads_from_environment()
_wanted = os.environ.get("NDCONV_ISA")
try:
    set_isa(_wanted or isas()[-1])
except ValueError as error:
    raise ValueError(f"NDCONV_ISA: {error}") from None
