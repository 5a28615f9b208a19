"""Instruction sets, numbers of threads, environment variables and the configuration page."""
import os

import numpy as np
import pytest
from checks import output_of, run_python

import ndconv as nd
from ndconv.select import METHODS


def test_isas_begin_with_scalar_and_end_with_the_default():
    assert nd.isas()[0] == "scalar"
    assert len(set(nd.isas())) == len(nd.isas()) and set(nd.isas()) <= {"scalar", "avx2", "avx512", "neon"}
    assert output_of("import ndconv; print(ndconv.get_isa())", NDCONV_ISA=None) == nd.isas()[-1]


def test_set_isa(isa):
    assert nd.get_isa() == isa


def test_set_isa_reaches_calls_that_were_made_before():
    """A cached plan does not keep the old kernels, whose order of summation shows in the bits."""
    before = nd.get_isa()
    x, w = np.random.default_rng(0).standard_normal((1, 3, 9, 9)).astype(np.float32), np.ones((2, 3, 3, 3), np.float32)
    fresh = {}
    for isa in nd.isas():
        nd.set_isa(isa)
        nd.clear_caches()
        fresh[isa] = nd.conv(x, w).tobytes()
    for isa in reversed(nd.isas()):
        nd.set_isa(isa)
        assert nd.conv(x, w).tobytes() == fresh[isa]
    nd.set_isa(before)


@pytest.mark.parametrize("name", ("sse9", "AVX2", "", "scalar ", "avx2\n"))
def test_unknown_isa(name):
    before = nd.get_isa()
    with pytest.raises(ValueError, match=r"isa .*(unknown|supported).*scalar"):
        nd.set_isa(name)
    assert nd.get_isa() == before


@pytest.mark.parametrize("name", (None, 3, b"scalar", ["scalar"]))
def test_isa_of_the_wrong_kind(name):
    with pytest.raises((TypeError, ValueError), match="isa"):
        nd.set_isa(name)


def test_foreign_isa_is_refused_by_name():
    """One that is a word of this library, yet not this machine's."""
    foreign = "neon" if "neon" not in nd.isas() else "avx512"
    with pytest.raises(ValueError, match=foreign):
        nd.set_isa(foreign)


@pytest.mark.parametrize("isa", nd.isas())
def test_isa_of_the_environment(isa):
    assert output_of("import ndconv; print(ndconv.get_isa())", NDCONV_ISA=isa) == isa


@pytest.mark.parametrize("name", ("sse9", "AVX2", "neon,avx2"))
def test_bad_isa_of_the_environment(name):
    run = run_python("import ndconv", NDCONV_ISA=name)
    assert run.returncode == 1
    assert "NDCONV_ISA" in run.stderr and name in run.stderr and "scalar" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize(("variables", "threads"), [
    (dict(NDCONV_NUM_THREADS="1"), 1),
    (dict(NDCONV_NUM_THREADS="3"), 3),
    (dict(NDCONV_NUM_THREADS=" 2 "), 2),
    (dict(OMP_NUM_THREADS="1"), 1),
    (dict(OMP_NUM_THREADS="5"), 5),
    (dict(OMP_NUM_THREADS="3,2"), 3),
    (dict(NDCONV_NUM_THREADS="2", OMP_NUM_THREADS="7"), 2),
    (dict(NDCONV_NUM_THREADS="", OMP_NUM_THREADS="4"), 4),
])
def test_threads_of_the_environment(variables, threads):
    variables = dict(NDCONV_NUM_THREADS=None, OMP_NUM_THREADS=None) | variables
    assert output_of("import ndconv; print(ndconv.get_num_threads())", **variables) == str(threads)


@pytest.mark.parametrize("value", ("0", "-1", "two", "1.5"))
def test_bad_threads_of_the_environment(value):
    run = run_python("import ndconv", NDCONV_NUM_THREADS=value)
    assert run.returncode == 1 and "NDCONV_NUM_THREADS" in run.stderr.splitlines()[-1] and value in run.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the platform has no affinity mask")
def test_threads_are_those_of_the_affinity_mask():
    code = """
    import os
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import ndconv
    print(ndconv.get_num_threads())
    """
    assert output_of(code, NDCONV_NUM_THREADS=None, OMP_NUM_THREADS=None) == "1"


def test_num_threads():
    nd.set_num_threads(3)
    assert nd.get_num_threads() == 3
    with nd.num_threads(1):
        assert nd.get_num_threads() == 1
        with nd.num_threads(2):
            assert nd.get_num_threads() == 2
        assert nd.get_num_threads() == 1
    assert nd.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), nd.num_threads(1):
        1 / 0  # noqa: B018
    assert nd.get_num_threads() == 3


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_the_number_of_threads_reaches_calls(method):
    """As many tasks in /proc as were asked for, once a call was large enough."""
    code = f"""
    import os
    import numpy as np, ndconv as nd
    x, w = np.ones((2, 24, 60, 60), "f4"), np.ones((32, 24, 3, 3), "f4")
    before = len(os.listdir("/proc/self/task"))
    counts = []
    for threads in (1, 2, 4):
        nd.set_num_threads(threads)
        nd.conv(x, w, method={method!r})
        counts.append(len(os.listdir("/proc/self/task")) - before)
    print(counts)
    """
    counts = eval(output_of(code, OPENBLAS_NUM_THREADS="1"))
    assert counts[0] == 0 and 1 <= counts[1] and counts[2] <= 4 and counts == sorted(counts), counts


@pytest.mark.parametrize(("n", "error"), [
    (0, ValueError), (-2, ValueError), (2**40, ValueError), (2**80, (ValueError, OverflowError)),
    (1.5, TypeError), ("2", TypeError), (None, TypeError)])
def test_bad_number_of_threads(n, error):
    before = nd.get_num_threads()
    with pytest.raises(error, match=r"\bn\b|threads"):
        nd.set_num_threads(n)
    with pytest.raises(error, match=r"\bn\b|threads"), nd.num_threads(n):
        pass
    assert nd.get_num_threads() == before


def test_show_config(capsys):
    nd.show_config()
    shown = capsys.readouterr().out
    for word in (nd.__version__, nd.get_isa(), str(nd.get_num_threads()), np.__version__, *METHODS):
        assert word in shown


def test_no_call_prints(capfd, method):
    nd.conv(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), method=method)
    nd.max_pool(np.ones((1, 1, 4, 4)), 2)
    nd.clear_caches()
    assert capfd.readouterr() == ("", "")


def test_public_names_are_there():
    for name in nd.__all__:
        assert getattr(nd, name).__doc__, f"{name} has no docstring"
    assert issubclass(nd.MethodNotApplicable, ValueError)
