"""What several test modules need: running a case in one line, and the bounds a result has to keep."""
import functools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
from cases import TYPICAL, to_layout

import ndconv as nd
from ndconv import reference
from ndconv.select import METHODS

EXACT_METHODS = tuple(name for name, method in METHODS.items() if method.exact)

# Relative L2 error on standard-normal data of methods without an element-wise bound, (float32, float64); the default is for
# methods not named here. The fft's float64 bound is a multiple of log2 of its tile, here at most 2**12 points.
L2_BOUNDS = {"fft": (5e-7, 12e-15)}
L2_DEFAULT = (2e-6, 1e-14)


def gamma(n, dtype):
    """The bound n*u / (1 - n*u) on the relative error of a sum of products with n roundings a term."""
    unit = np.finfo(dtype).eps / 2
    return n * unit / (1 - n * unit)


def assert_elementwise(got, want, absolute, terms, what):
    """|got - want| <= gamma(terms+2)*absolute + (terms+2)*eta everywhere, or both NaN: the proved bound of any order of
    summation."""
    assert got.shape == want.shape, f"{what}: shape {got.shape}, not {want.shape}"
    bound = gamma(terms + 2, got.dtype) * absolute + (terms + 2) * float(np.finfo(got.dtype).smallest_subnormal)
    error = np.abs(got - want)
    fine = (error <= bound) | (np.isnan(got) & np.isnan(want))
    assert fine.all(), f"{what}: error {np.nanmax(error / bound)} of the bound at {np.argwhere(~fine)[0]}"


def assert_l2(got, want, method, what):
    """The relative L2 error of a method without an element-wise bound."""
    assert got.shape == want.shape, f"{what}: shape {got.shape}, not {want.shape}"
    bound = L2_BOUNDS.get(method, L2_DEFAULT)[got.dtype == np.float64]
    size = np.linalg.norm(want)
    assert np.linalg.norm(got - want) <= bound * size, f"{what}: relative L2 error {np.linalg.norm(got - want) / size}"


def assert_near_integers(got, want, method, what=""):
    """On integer-valued data: the very integers, or for a method with a norm-wise bound what rounds to them."""
    assert got.shape == want.shape, f"{what}: shape {got.shape}, not {want.shape}"
    if method in EXACT_METHODS:
        np.testing.assert_array_equal(got, want, f"{method} {what}")
    else:
        assert (np.abs(got - want) < 0.25).all(), f"{method} {what}: off by {np.nanmax(np.abs(got - want))}"


@functools.lru_cache(maxsize=1024)
def data(case, dtype, integers):
    """x, w, b, dy as channels-first arrays that nobody may write to."""
    arrays = case.arrays(dtype, integers)
    for a in arrays:
        a.setflags(write=False)
    return arrays


@functools.lru_cache(maxsize=4096)
def expected(case, dtype, integers, of):
    """(value, sum of absolute products) of y, or of the gradient by x, w or b."""
    x, w, b, dy = data(case, dtype, integers)
    geometry = case.normalised

    def define(x, w, b, dy):
        if of == "y":
            return reference.conv(x, w, b, **geometry)
        if of == "x":
            return reference.conv_input_grad(dy, w, x.shape, **geometry)
        if of == "w":
            return reference.conv_weight_grad(dy, x, w.shape, **geometry)
        return reference.conv_bias_grad(dy)

    return define(x, w, b, dy), define(*map(np.abs, (x, w, b, dy)))


def compute(case, arrays, of="y", layout=None, **options):
    """y, or the gradient by x, w or b, by ndconv in the memory order of layout; channels-first again.

    b may be None, and so may the array that is asked for.
    """
    layout = layout or case.layouts[0]
    x, w, b, dy = arrays
    x, dy = (a if a is None else to_layout(a, layout) for a in (x, dy))
    options = case.options | dict(layout=layout) | options
    if of == "y":
        result = nd.conv(x, w, b, **options)
    elif of == "x":
        result = nd.conv_input_grad(dy, w, case.x_shape(layout), **options)
    elif of == "w":
        return nd.conv_weight_grad(dy, x, case.w_shape, **options)
    else:
        return nd.conv_backward(dy, x, w, wrt=("b",), **options).b
    return np.moveaxis(result, -1, 1) if layout.endswith("C") else result


def attempt(*args, **options):
    """compute, or None where the forced method says that it cannot do the problem."""
    try:
        return compute(*args, **options)
    except nd.MethodNotApplicable:
        return None


def bits(a):
    """The array's bytes in row-major order, to compare with == : NaN equals NaN, and 0.0 is not -0.0."""
    return np.ascontiguousarray(a).tobytes()


def can(method, case, of="y", dtype="float32"):
    """Whether the method does the case's convolution, or its gradient by x or w."""
    return attempt(case, data(case, dtype, False), of, method=method) is not None


def case_for(method, cases=TYPICAL):
    """The first of the cases whose convolution and gradients the method can all do."""
    return next(case for case in cases if all(can(method, case, of) for of in "yxw"))


def layouts_and_threads(case):
    """Every memory order with one thread, and more than one."""
    return [(layout, threads) for layout in case.layouts for threads in (1, 2, 3)]


def run_python(code, **environment):
    """A fresh interpreter that sees this ndconv and these tests; variables set to None are taken away."""
    paths = os.pathsep.join([str(Path(nd.__file__).parents[1]), str(Path(__file__).parent)])
    whole = {k: v for k, v in (os.environ | {"PYTHONPATH": paths} | environment).items() if v is not None}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=whole, timeout=120)


def output_of(code, **environment):
    """What a fresh interpreter prints, which must end well and complain about nothing."""
    run = run_python(code, **environment)
    assert run.returncode == 0 and not run.stderr, f"exit {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run.stdout.strip()
