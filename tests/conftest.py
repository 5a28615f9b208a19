"""Fixtures that walk what this machine and this build have: every instruction set, every method."""
import sys
from pathlib import Path

import pytest

import ndconv as nd
from ndconv import machine
from ndconv.problem import DTYPES
from ndconv.select import METHODS

sys.path.insert(0, str(Path(__file__).parent))
machine.forget()  # what someone has calibrated on this machine


@pytest.fixture(params=nd.isas())
def isa(request):
    """Each instruction set that this CPU can run, in force during the test."""
    before = nd.get_isa()
    nd.set_isa(request.param)
    yield request.param
    nd.set_isa(before)


@pytest.fixture(params=tuple(METHODS))
def method(request):
    return request.param


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture(autouse=True)
def same_number_of_threads():
    """A test may change the number of threads; the next one starts with what this one found."""
    before = nd.get_num_threads()
    yield
    nd.set_num_threads(before)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that walks the methods ends where one says that it cannot do the test's problem."""
    try:
        return (yield)
    except nd.MethodNotApplicable as reason:
        if "method" not in pyfuncitem.funcargs:
            raise
        pytest.skip(str(reason))  # the method has other problems, in checks.case_for
