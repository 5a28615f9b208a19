"""Dtypes beside float32 and float64: which module computes with them.

Such a module has ``make_plan`` for what `ndconv.plan.cached_plan` returns, ``weight_grad`` and ``bias_grad`` where it has
gradients, ``result_dtype``, the name of the dtype of what two arrays give, or a TypeError, and for `explain` ``explained_dtype``
and ``problems_of``, the real problems that methods solve. It is imported when its dtypes are first met.
"""
from importlib import import_module

import numpy as np

HALVES = ("float16", "bfloat16")
MODULES = dict.fromkeys(HALVES, "half") | {"complex64": "complexes", "complex128": "complexes"}
MODULES |= dict.fromkeys(("int8", "uint8", "int16", "uint16", "int32"), "integer")
_PLAIN = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
# What real arithmetic the methods do for a dtype, as `explain` and `methods` tell it.
PARTS = {"float16": "float32", "bfloat16": "float32", "complex64": "float32", "complex128": "float64"}


def name_of(dtype):
    """The name of a dtype in native byte order."""
    return np.dtype(dtype).newbyteorder("=").name


def is_half(dtype):
    """Whether a dtype is one of HALVES. Names take microseconds."""
    return dtype.itemsize == 2 and dtype.name in HALVES


def module_of(*dtypes):
    """The module for arrays of these dtypes; None if all are float32 or float64, or any is of no module."""
    if _PLAIN.issuperset(dtypes):
        return None
    try:
        names = [name_of(dtype) for dtype in dtypes]
    except TypeError:
        return None
    modules = [MODULES[name] for name in names if name in MODULES]
    if not modules or any(name not in MODULES and name not in ("float32", "float64") for name in names):
        return None
    return import_module(f"ndconv.{modules[0]}")


def conjugate(a):
    """Complex numbers' conjugates; real arrays as they are."""
    return a.conj() if a.dtype.kind == "c" else a


def as_real(gradient, operand):
    """The gradient by an operand, of which a real one takes the real part."""
    return gradient.real.copy() if gradient.dtype.kind == "c" and operand.dtype.kind != "c" else gradient
