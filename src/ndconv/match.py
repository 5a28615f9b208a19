"""Template matching: where in an image a small picture is found."""
import math

import numpy as np

from ndconv._match import score_windows
from ndconv._runtime import check_threads
from ndconv.arguments import check_out
from ndconv.conv import conv

DTYPES = ("uint8", "uint16", "float32", "float64")
SCORES = ("zncc", "ncc", "sqdiff")
MODES = ("valid", "same")
SAMPLE = 1 << 16  # pixels that are enough for a brightness
ROUNDINGS = 1e-13  # of a template that is constant, relative to its norm


def match_template(image, template, mode="valid", *, score="zncc", method="auto", out=None, threads=None):
    """How well the template fits at each place of the image, for all places.

    With the windows x of the image, as large as the template t, and means over them, of each channel by itself (sums are over all
    channels):

    "zncc"    sum of (x - mean x) (t - mean t) / sqrt(sum of (x - mean x)**2 * sum of (t - mean t)**2)
    "ncc"     sum of x t / sqrt(sum of x**2 * sum of t**2)
    "sqdiff"  sum of (x - t)**2

    zncc, the zero-mean normalised cross-correlation, is between -1 and 1, and 1 where the window is the template up to
    brightness and contrast. Where a window or the template is constant (0 for ncc) there is nothing to compare, and the score
    is 0. A window that holds a NaN or an infinity has the score NaN.

    Parameters
    ----------
    image, template : arrays of shape (h, w), (h, w, channels) or, for signals, (n,); uint8, uint16, float32 or float64
    mode : "valid": windows that lie within the image, the result's extents are image - template + 1. "same": as many as the
        image has, element template // 2 of the window on the pixel; what lies outside the image is 0, for zncc its median, of
        each channel. The result has no channels.
    method : of the correlation, as `conv`: usually "fft"
    out : array of the result's shape and dtype, float64 if one of the two is, else float32
    threads : int; default ndconv.get_num_threads(). Results do not depend on it.

    Sums over windows are taken in float64, of the image without its median and by additions alone, so neither a large common
    brightness nor a bright window elsewhere takes digits from them. The correlations have the error of their method, which for
    fft is relative to the norm of the image around the window (see docs/numerics.md).

    Raises
    ------
    ValueError for values, TypeError for kinds, MethodNotApplicable for a method that cannot do it.

    References
    ----------
    Lewis, Fast normalized cross-correlation, 1995 (whose tables of sums these are not).

    Examples
    --------
    >>> image = np.array([[0, 0, 0, 0, 9], [0, 2, 4, 0, 0], [0, 6, 8, 0, 0], [7, 0, 0, 0, 3]], np.uint8)
    >>> scores = match_template(image, np.array([[1, 2], [3, 4]], np.uint8))
    >>> scores.round(2)[1]
    array([ 0.73,  1.  , -0.13,  0.  ], dtype=float32)
    >>> np.unravel_index(scores.argmax(), scores.shape)
    (np.int64(1), np.int64(1))
    """
    x, t = _check(image, "image"), _check(template, "template")
    if x.ndim != t.ndim:
        raise ValueError(f"image and template must have the same number of axes; got shapes {x.shape} and {t.shape}")
    for name, value, known in (("mode", mode, MODES), ("score", score, SCORES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
    if x.ndim == 3 and x.shape[2] != t.shape[2]:
        raise ValueError(f"image and template must have the same number of channels; got shapes {x.shape} and {t.shape}")
    # planes of channels; signals are rows
    planes, t = ((np.moveaxis(a, 2, 0) if a.ndim == 3 else a[None]) for a in (x, t))
    size, window = planes.shape[1:], t.shape[1:]
    shape = size if mode == "same" else tuple(extent - k + 1 for extent, k in zip(size, window))
    if mode == "valid" and min(shape) < 1:
        raise ValueError(f"template must fit into the image; got shapes {window} and {size}")
    if not np.isfinite(t).all():
        raise ValueError("template must be finite")
    if threads is not None:
        threads = check_threads(threads, "threads")
    dtype = np.result_type(*(np.float32 if a.dtype.kind == "u" else a.dtype for a in (x, t)))
    check_out(out, shape, dtype)
    before = tuple(k // 2 for k in window) if mode == "same" else (0,) * len(window)
    padding = tuple((lo, extent + k - 1 - full - lo) for lo, extent, k, full in zip(before, shape, window, size))
    t = t.astype(np.float64)
    size_of_t = _norm(t)
    # differences are the same without a common brightness, unless what is outside has none
    if score == "ncc" or (score == "sqdiff" and mode == "same"):
        centre = np.zeros(len(planes))
    else:
        centre = np.array([_median(plane, score == "zncc" and mode == "same") for plane in planes])
    axes, centre = tuple(range(1, t.ndim)), centre.reshape((-1,) + (1,) * len(window))
    t -= t.mean(axes, keepdims=True) if score == "zncc" else centre
    norm = _norm(t)
    if score == "zncc" and norm <= ROUNDINGS * size_of_t:
        norm = 0.0
    x = np.subtract(planes, centre, dtype=dtype, casting="unsafe", order="C")
    y = np.ascontiguousarray(conv(x[None], t[None].astype(dtype), padding=padding, method=method, threads=threads)[0, 0])
    rows = (1,) * (2 - len(window))
    score_windows(y.reshape(rows + shape), x.reshape(x.shape[:1] + rows + size), rows + window, (0,) * len(rows) + before, score,
                  norm, threads)
    if out is None:
        return y
    out[...] = y
    return out


def _check(a, name):
    a = np.asarray(a)
    if a.dtype.newbyteorder("=").name not in DTYPES:
        raise TypeError(f"{name} must be {', '.join(DTYPES[:-1])} or {DTYPES[-1]}, not {a.dtype}")
    if a.ndim not in (1, 2, 3) or not a.size:
        raise ValueError(f"{name} must have shape (h, w), (h, w, channels) or (n,) and not be empty; got {a.shape}")
    return a


def _norm(a):
    """np.linalg.norm without BLAS, whose threads would wait in the way of the correlation's."""
    return math.sqrt(np.square(a).sum())


def _median(x, whole):
    """The median of what is finite in x, or of a sample of its rows: no few bright pixels move it far from the others."""
    part = x if whole else x[::max(1, x.size // SAMPLE)]
    if part.dtype.kind == "f":
        part = part[np.isfinite(part)]
    return float(np.median(part)) if part.size else 0.0
