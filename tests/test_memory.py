"""Inputs stay as they are, scratch memory is what was stated, and no memory is an exception."""
import sys

import numpy as np
import pytest
from cases import POOLING, SMALL, SPECTRAL, TILED, draw
from checks import bits, can, data, run_python

import ndconv as nd
from ndconv import _runtime


@pytest.mark.skipif(sys.platform == "win32", reason="guarded.py protects pages with mprotect")
@pytest.mark.parametrize("place", ("start", "end"))
def test_the_guards_guard(place):
    """A byte beyond the edge is a crash, or test_guard_pages could not fail."""
    beyond = -1 if place == "start" else 60
    done = run_python(f"""
import ctypes, numpy, guarded
a = guarded.Room(1).put(numpy.ones((3, 5), "float32"), {place!r})
byte = ctypes.c_char.from_address
print(byte(a.ctypes.data).value, byte(a.ctypes.data + 59).value, flush=True)
print("survived", byte(a.ctypes.data + {beyond}).value)
""")
    assert done.returncode < 0 and done.stdout and "survived" not in done.stdout, done.stderr


@pytest.mark.parametrize("case", (*SPECTRAL, *SMALL[::9]), ids=lambda c: c.name)
def test_inputs_are_never_modified(case, method, dtype):
    arrays = x, w, b, dy = case.arrays(dtype)
    before = [bits(a) for a in arrays]
    for call in (lambda: nd.conv(x, w, b, method=method, **case.options),
                 lambda: nd.conv_input_grad(dy, w, x.shape, method=method, **case.options),
                 lambda: nd.conv_weight_grad(dy, x, w.shape, method=method, **case.options),
                 lambda: nd.conv_backward(dy, x, w, **case.options)):
        try:
            call()
        except nd.MethodNotApplicable:
            continue
    assert [bits(a) for a in arrays] == before


def test_pooling_inputs_are_never_modified(dtype):
    for case in POOLING:
        x = draw(case.name, case.x_shape(), dtype)
        y, indices = nd.max_pool(x, case.window, return_indices=True, **case.options)
        arrays = x, y, indices
        before = [bits(a) for a in arrays]
        nd.avg_pool(x, case.window, **case.options)
        nd.max_pool_backward(y, indices, x.shape, case.window, **case.options)
        nd.avg_pool_backward(y, x.shape, case.window, **case.options)
        assert [bits(a) for a in arrays] == before, case.name


def test_scratch_memory_is_what_was_stated(method):
    """The block that a call leaves for the next one is no larger than the plan's workspace and its weights."""
    for case in (case for case in SPECTRAL + TILED if can(method, case)):
        x, w, b, _ = data(case, "float32", False)
        nd.clear_caches()
        assert _runtime.scratch_bytes() == 0
        plan = nd.plan_conv(x.shape, w, b, method=method, **case.options)
        plan(x)
        assert _runtime.scratch_bytes() <= plan.workspace_bytes + 4096, case.name


def test_memory_error_leaves_everything_in_order():
    """No memory for a result is a MemoryError, and the next call works."""
    x, w = np.broadcast_to(np.float32(1), (2**47, 1, 4)), np.ones((2, 1, 1), np.float32)
    with pytest.raises(MemoryError):
        nd.conv(x, w)
    np.testing.assert_array_equal(nd.conv(np.ones((1, 1, 3)), np.ones((1, 1, 3))), [[[3.0]]])
