"""Many Python threads, forks, and what importing the library does to the process."""
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import ANY_RANK, GEOMETRY, GROUPED, PARALLEL, SPECTRAL
from checks import attempt, bits, case_for, compute, data, output_of

import ndconv as nd
from ndconv.select import METHODS

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")


def together(count, work):
    """work(i) for i < count, each on a thread of its own, all let go at once."""
    gate = threading.Barrier(count)

    def one(i):
        gate.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("threads", (1, 2))
def test_eight_threads_at_once(threads):
    """Different problems, methods and gradients at the same time give what they give one after the other."""
    cases = (PARALLEL[0], PARALLEL[2], SPECTRAL[0], SPECTRAL[3], GEOMETRY[2], GROUPED[1], ANY_RANK[5], SPECTRAL[6])
    jobs = [(case, data(case, "float32", False), of, case.layouts[i % 2], method) for i, (case, of) in
            enumerate((case, of) for case in cases for of in ("y", "x", "w")) for method in METHODS]

    def result(job):
        case, arrays, of, layout, method = job
        got = attempt(case, arrays, of, layout, method=method, threads=threads)
        return got if got is None else bits(got)

    serial = [result(job) for job in jobs]
    for i, seen in enumerate(together(8, lambda i: [result(job) for job in jobs[i:] + jobs[:i]])):
        assert seen == serial[i:] + serial[:i]


def test_eight_threads_share_a_plan(method):
    case = case_for(method, (PARALLEL[4], PARALLEL[0], PARALLEL[2]))
    x, w, b, _ = data(case, "float32", False)
    plan = nd.plan_conv(x.shape, w, b, method=method, threads=2, **case.options)
    inputs = [np.roll(x, i, -1) for i in range(8)]
    serial = [bits(plan(a)) for a in inputs]
    assert together(8, lambda i: [bits(plan(inputs[i])) for _ in range(3)]) == [[one] * 3 for one in serial]


def test_eight_threads_meet_an_empty_cache(method):
    case = case_for(method)
    arrays = data(case, "float32", False)
    want = bits(compute(case, arrays, method=method))
    for _ in range(5):
        nd.clear_caches()
        assert together(8, lambda i: bits(compute(case, arrays, method=method))) == [want] * 8


def test_pooling_on_eight_threads():
    x = data(PARALLEL[0], "float32", False)[0]
    jobs = [lambda: nd.max_pool(x, 3, stride=2, padding=1, threads=2), lambda: nd.avg_pool(x, 3, stride=1, padding=1, threads=2),
            lambda: nd.max_pool(x, 2, return_indices=True, threads=2)[1], lambda: nd.global_pool(x, "avg", threads=2)] * 2
    serial = [bits(job()) for job in jobs]
    assert together(8, lambda i: bits(jobs[i]())) == serial


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this interpreter has no global lock")
def test_the_lock_is_released(method):
    """With a switch interval of an hour another thread runs only if the call lets go of the lock by itself."""
    case = case_for(method, (PARALLEL[0], PARALLEL[2]))
    x, w, b, _ = data(case, "float32", False)
    x = np.concatenate([x] * 12)
    plan = nd.plan_conv(x.shape, w, b, method=method, threads=1, **case.options)
    inside, seen = threading.Event(), []

    def work():
        inside.set()
        plan(x)
        inside.clear()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    try:
        worker = threading.Thread(target=work)
        worker.start()
        inside.wait(60)
        seen.append(inside.is_set())
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen == [True], "the call kept the lock to its end"


CHILD = """
    import os, signal, sys, time
    import numpy as np
    import ndconv as nd
    x = np.random.default_rng(0).standard_normal((2, 24, 40, 44)).astype("f4")
    w = np.random.default_rng(1).standard_normal((40, 24, 3, 3)).astype("f4")

    def everything():
        return [nd.conv(x, w, method=m, threads=2).tobytes() for m in nd.methods(x.shape, w.shape)] + [
            nd.max_pool(x, 3, threads=2).tobytes()]

    def wait_for(child):
        for _ in range(3000):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "hung"
"""


@needs_fork
def test_fork_after_use():
    """A child of a process whose workers are running computes the same, and so does its own child."""
    code = CHILD + """
    before = everything()
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        same = everything() == before
        if grandchild == 0:
            os._exit(not same)
        os._exit(not same or wait_for(grandchild))
    print(wait_for(child), everything() == before)
    """
    assert output_of(code, PYTHONWARNINGS="ignore::DeprecationWarning") == "0 True"


@needs_fork
def test_fork_during_a_call():
    """Another thread is inside a kernel when the process forks."""
    code = CHILD + """
    import threading
    before, stop = everything(), threading.Event()

    def busy():
        while not stop.is_set():
            everything()

    thread = threading.Thread(target=busy)
    thread.start()
    codes = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(everything() != before)
        codes.append(wait_for(child))
    stop.set()
    thread.join()
    print(codes)
    """
    assert output_of(code, PYTHONWARNINGS="ignore::DeprecationWarning") == "[0, 0, 0, 0, 0]"


def test_exit_while_a_thread_computes():
    """The interpreter ends although a daemon thread is inside a call."""
    code = CHILD + """
    import threading
    inside = threading.Event()

    def busy():
        inside.set()
        while True:
            everything()

    threading.Thread(target=busy, daemon=True).start()
    inside.wait()
    print("end")
    """
    assert output_of(code) == "end"


@needs_proc
def test_import_starts_no_thread():
    code = """
    import os
    import numpy
    before = os.listdir("/proc/self/task")
    import ndconv
    print(os.listdir("/proc/self/task") == before)
    """
    assert output_of(code, OPENBLAS_NUM_THREADS="1") == "True"


@needs_proc
def test_small_calls_start_no_thread():
    code = """
    import os
    import numpy as np, ndconv as nd
    before = os.listdir("/proc/self/task")
    nd.set_num_threads(2)
    for method in nd.methods((1, 2, 8, 8), (3, 2, 3, 3)):
        nd.conv(np.ones((1, 2, 8, 8), "f4"), np.ones((3, 2, 3, 3), "f4"), method=method)
    nd.max_pool(np.ones((1, 2, 8, 8), "f4"), 2)
    print(os.listdir("/proc/self/task") == before)
    """
    assert output_of(code, OPENBLAS_NUM_THREADS="1") == "True"


def test_floating_point_mode_is_left_alone():
    """Denormals stay numbers and rounding stays to nearest, after the import and after calls on every method."""
    code = """
    import numpy as np

    def mode():
        tiny = np.full(64, 1e-40, "f4")
        ones = np.ones(64, "f4")
        return (bool((tiny * ones == tiny).all()), float((ones / np.float32(3)).sum()), float((-ones / np.float32(3)).sum()),
                bool((np.full(64, 5e-324) * 1 > 0).all()), np.geterr())

    before = mode()
    import ndconv as nd
    after_import = mode()
    for isa in nd.isas():
        nd.set_isa(isa)
        for method in nd.methods((2, 8, 40, 40), (8, 8, 3, 3)):
            for dtype in ("f4", "f8"):
                nd.conv(np.full((2, 8, 40, 40), 1e-39, dtype), np.full((8, 8, 3, 3), 1e-3, dtype), method=method, threads=2)
        nd.max_pool(np.full((2, 8, 40, 40), np.nan, "f4"), 2)
    print(before == after_import == mode(), before[0], before[3])
    """
    assert output_of(code) == "True True True"


def test_nothing_is_warned_about(method):
    """NaN, overflow and division are values; no warning comes of them, and none is printed."""
    x = np.array([np.nan, np.inf, -np.inf, 3e38, 1e-45] * 20, np.float32).reshape(1, 1, 10, 10)
    with np.errstate(all="raise"):
        nd.conv(x, np.full((1, 1, 3, 3), 3e38, np.float32), method=method)
        nd.max_pool(x, 2)
        nd.avg_pool(x, 2)
