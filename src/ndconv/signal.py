"""Convolution and correlation of two arrays, with the arguments and centring rules of SciPy's signal package."""
import math

import numpy as np

from ndconv.arguments import check_out, common_dtype
from ndconv.conv import conv
from ndconv.dtypes import PARTS, conjugate, name_of
from ndconv.integer import OPERANDS
from ndconv.missing import gaps_of
from ndconv.plan import check_dtype
from ndconv.problem import check_int

OUTPUTS = ("full", "same", "valid")
BOUNDARIES = {"fill": "constant", "constant": "constant", "zeros": "zeros", "wrap": "wrap", "symm": "symmetric",
              "symmetric": "symmetric", "reflect": "reflect", "edge": "edge", "nearest": "edge"}


def convolve(in1, in2, mode="full", method="auto", *, boundary="fill", fillvalue=0.0, axes=None, nan_policy="propagate",
             mask=None, accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Convolution of two arrays: ``z[i] = sum over j of in1[i - j] * in2[j]``, along one to three axes.

    Parameters
    ----------
    in1, in2 : arrays with the same number of axes, of any dtype of `conv`; the result has that which NumPy gives them both
        Two arrays of integers, of up to 32 bits or with values that fit there, give an exact result in int64; sums that do not
        fit are an OverflowError, so nothing wraps. With data missing they are taken as float64.
    mode : which i are computed
        "full": all where the two overlap, in1 + in2 - 1 an axis. "same": as many as in1 has, the middle of "full", beginning
        at (in2 - 1) // 2. "valid": where in2 lies within in1, or the other way round if in2 is the larger on every axis.
    method : "auto", or any that `conv` takes
    boundary : what in1 is beyond its ends, or one per axis of `axes`
        "fill" (`fillvalue`), "wrap" (periodic), "symm" (mirrored, the last element twice), "reflect" (mirrored, the last
        element once), "edge" or "nearest" (the last element repeated); also the names of numpy.pad.
    axes : the axes to convolve; by default all, at most three
        Along the others the arrays are taken element by element, with extents of 1 repeated.
    nan_policy, mask : data that is missing in in1, as in `conv`: sums are renormalised over what is there
    accuracy, workspace_limit, threads, out : as in `conv`

    Returns
    -------
    array; its axes are those of in1

    Raises
    ------
    ValueError for values, TypeError for kinds, MethodNotApplicable for a method that cannot do it.

    References
    ----------
    scipy.signal.convolve, convolve2d and fftconvolve, whose results these are.

    Examples
    --------
    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5]))
    array([0. , 1. , 2.5, 4. , 1.5])
    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5]), mode="same", boundary="wrap")
    array([2.5, 2.5, 4. ])
    >>> convolve([1, 2, 3], [0, 1, 1])
    array([0, 1, 3, 5, 3])
    """
    return _combine(True, in1, in2, mode, method, boundary, fillvalue, axes, nan_policy, mask,
                    accuracy, workspace_limit, threads, out)


def correlate(in1, in2, mode="full", method="auto", *, boundary="fill", fillvalue=0.0, axes=None, nan_policy="propagate",
              mask=None, accuracy="fast", workspace_limit=None, threads=None, out=None):
    """Cross-correlation of two arrays: the convolution of in1 with in2 reversed along every axis of `axes`.

    ``z[i] = sum over j of in1[i - (k - 1) + j] * conj(in2[j])``, k the extent of in2, as SciPy has it. Everything else is as
    in `convolve`.

    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5]))
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    return _combine(False, in1, in2, mode, method, boundary, fillvalue, axes, nan_policy, mask,
                    accuracy, workspace_limit, threads, out)


def _combine(flip, in1, in2, mode, method, boundary, fillvalue, axes, nan_policy, mask, accuracy, workspace_limit, threads, out):
    x, w = np.asarray(in1), np.asarray(in2)
    if not isinstance(fillvalue, (int, float, np.integer, np.floating)):
        raise TypeError(f"fillvalue must be a number, not {fillvalue!r}")
    x, w, accumulate = _operands(x, w, fillvalue, mask is None and nan_policy == "propagate")
    if not flip:
        w = conjugate(w)
    axes = _check_axes(axes, x, w)
    boundary = _check_boundary(boundary, len(axes))
    if mode not in OUTPUTS:
        raise ValueError(f"mode must be one of {', '.join(OUTPUTS)}; got {mode!r}")
    swapped = _is_swapped(mode, boundary, fillvalue, [x.shape[a] for a in axes], [w.shape[a] for a in axes])
    if mask is not None or nan_policy != "propagate":
        if swapped and mode == "valid":
            raise ValueError("in1, where data is missing, must be the larger array with mode='valid'; "
                             f"got shapes {x.shape} and {w.shape}")
        mask, swapped = gaps_of(x, mask, nan_policy), False
    if swapped:
        x, w = w, x
    options = dict(flip=flip, padding=_padding(mode, [w.shape[a] for a in axes]), padding_mode=boundary,
                   padding_value=fillvalue, mask=mask, accumulate=accumulate, method=method, accuracy=accuracy,
                   workspace_limit=workspace_limit, threads=threads)
    if swapped and not flip:
        # correlation does not commute: exchanging the arrays reverses the result
        reverse = tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))
        result = _convolve_images(x, w, axes, None if out is None else out[reverse], options)[reverse]
    else:
        result = _convolve_images(x, w, axes, out, options)
    return result if out is None else out


def _operands(x, w, fillvalue, exact):
    """(in1, in2, what they are summed in if both are integers and `exact`) in dtypes that `conv` takes."""
    integers = [a.dtype.kind in "biu" for a in (x, w)]
    if all(integers) and exact:
        if fillvalue % 1 != 0:      # of NaN and infinities it is NaN
            raise ValueError(f"fillvalue must be an integer where both arrays are of integers; got {fillvalue!r}")
        return _narrowed(x, "in1", int(fillvalue)), _narrowed(w, "in2", 0), "int64"
    for a, name, whole in zip((x, w), ("in1", "in2"), integers):
        if not whole and name_of(a.dtype) not in PARTS:
            check_dtype(a.dtype, name)
    dtype = np.dtype(np.float64 if all(integers) else name_of(np.result_type(x, w)))
    # a real array beside a complex one stays real
    x, w = (a.astype(PARTS[dtype.name] if dtype.kind == "c" != a.dtype.kind else dtype, copy=False) for a in (x, w))
    return x, w, None


def _narrowed(a, name, other):
    """An array of integers in the least dtype of integers that `conv` takes and that holds them and one other."""
    low, high = (int(bound((bound(a, initial=0), other))) for bound in (np.min, np.max))
    for dtype in OPERANDS:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return a.astype(dtype, copy=False)
    raise OverflowError(f"{name} has integers from {low} to {high}, which 32 bits with a sign do not hold; convert it with "
                        f"{name}.astype(np.float64)")


def _check_axes(axes, x, w):
    """The axes to convolve, as sorted numbers from 0."""
    if x.ndim != w.ndim:
        raise ValueError(f"in1 and in2 must have the same number of axes; got shapes {x.shape} and {w.shape}")
    if axes is None:
        axes = range(x.ndim)
    elif not isinstance(axes, (tuple, list, range)) and not getattr(axes, "ndim", 0):
        axes = (axes,)
    axes = [check_int(a, "axes") for a in axes]
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise ValueError(f"axes={a} is not an axis of arrays with {x.ndim} axes")
    axes = sorted({a % x.ndim for a in axes})
    if not 1 <= len(axes) <= 3:
        raise ValueError(f"one to three axes can be convolved, not {len(axes)}; name them with axes=")
    for a, (size, taps) in enumerate(zip(x.shape, w.shape)):
        if not (size and taps):
            raise ValueError(f"in1 and in2 must not be empty; got shapes {x.shape} and {w.shape}")
        if a not in axes and size != taps and 1 not in (size, taps):
            raise ValueError(f"in1 and in2 must have equal extents, or one of 1, along axis {a}, which axes= leaves out; "
                             f"got shapes {x.shape} and {w.shape}")
    return axes


def _check_boundary(boundary, rank):
    if not isinstance(boundary, (str, tuple, list)):
        raise TypeError(f"boundary must be a string or one per axis, not {boundary!r}")
    names = (boundary,) * rank if isinstance(boundary, str) else tuple(boundary)
    if len(names) != rank or not all(name in BOUNDARIES for name in names):
        raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}, or {rank} of them, one per axis; got {boundary!r}")
    return tuple(BOUNDARIES[name] for name in names)


def _is_swapped(mode, boundary, fillvalue, sizes, taps):
    """Whether in2 is the image and in1 the kernel: where "valid" asks for it, and where "full" is faster so."""
    larger, smaller = (all(map(compare, sizes, taps)) for compare in (int.__ge__, int.__le__))
    if mode == "valid" and not (larger or smaller):
        raise ValueError(f"mode='valid' needs one array to be at least as large as the other on every axis; "
                         f"got extents {tuple(sizes)} and {tuple(taps)}")
    zeros = all(name == "zeros" or (name == "constant" and fillvalue == 0) for name in boundary)
    return not larger and (mode == "valid" or (mode == "full" and zeros and smaller))


def _padding(mode, taps):
    pair = {"full": lambda k: (k - 1, k - 1), "same": lambda k: (k // 2, (k - 1) // 2), "valid": lambda k: (0, 0)}[mode]
    return tuple(map(pair, taps))


def _convolve_images(x, w, axes, out, options):
    """conv of x and w, whose other axes become images, groups and output channels."""
    others = [a for a in range(x.ndim) if a not in axes]
    # along an axis of images all share one kernel, along one of kernels one image; along one of groups each has its own
    images = [a for a in others if w.shape[a] == 1]
    kernels = [a for a in others if w.shape[a] != 1 and x.shape[a] == 1]
    groups = [a for a in others if a not in images and a not in kernels]
    n, g, o = (math.prod(shape[a] for a in part) for shape, part in ((x.shape, images), (x.shape, groups), (w.shape, kernels)))
    order = [*images, *groups, *kernels, *axes]

    def channels(a, first, second):
        return a.transpose(order).reshape(first, second, *(a.shape[i] for i in axes))

    x4, w4 = channels(x, n, g), channels(w, g * o, 1)
    if options["mask"] is not None:
        options = options | dict(mask=channels(options["mask"], n, g))
    taps, (before, after) = w4.shape[2:], np.transpose(options["padding"])
    spatial = [size + lo + hi - k + 1 for size, lo, hi, k in zip(x4.shape[2:], before, after, taps)]
    shape = [max(sizes) for sizes in zip(x.shape, w.shape)]
    for a, size in zip(axes, spatial):
        shape[a] = int(size)
    check_out(out, shape, common_dtype(x.dtype, w.dtype, accumulate=options["accumulate"]))
    view = None if out is None else channels(out, n, g * o)
    y = conv(x4, w4, groups=g, out=view if view is not None and np.may_share_memory(view, out) else None, **options)
    if out is None or y is view:
        return y.reshape([shape[a] for a in order]).transpose(np.argsort(order)) if out is None else out
    out[...] = y.reshape([shape[a] for a in order]).transpose(np.argsort(order))
    return out
