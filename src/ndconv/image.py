"""Images filtered as they are: integer pixels stay integers, channels may come last, edges are mirrored."""
import math

import numpy as np

from ndconv._image import filter_image
from ndconv._runtime import check_threads
from ndconv._separable import factors_of
from ndconv.border import check_modes, index_map
from ndconv.conv import conv

DTYPES = ("uint8", "uint16", "float32", "float64")
FLOATS = ("float32", "float64")
MOST_RANK = 8
# cost of a separable kernel beyond its taps, in taps: the second pass has stores and loads of its own
PASS = 2
# taps from which sums of 16-bit integers are no longer the fastest
SHORT_TAPS = 16
# bits after the point of folded weights at most, so that sums of them with numbers of 15 and 8 bits have 32; and of few taps,
# whose products have 16
U_BITS, V_BITS, FEW_BITS = 17, 22, 16
FOLD_ERROR = 2**-4
# taps from which `conv` has a faster method, and pixels of a band that it is given
LARGE = 400
BAND = 1 << 21


def apply(image, kernel, *, padding_mode="reflect", padding_value=0.0, alpha="filter", dtype=None, out=None, threads=None):
    """The image cross-correlated with the kernel, channel by channel, as an image of the same shape and dtype.

    ``y[i, j] = round(sum over s, t of kernel[s, t] * image[i + s - (kh-1)//2, j + t - (kw-1)//2])``

    Results for uint8 and uint16 are rounded to the nearest integer, ties to the even one, and clipped to 0..255 or 0..65535.
    Sums are float32, or float64 where the result is, so what is rounded is within
    (K + 2) 6e-8 sum of abs(kernel) abs(image) of the exact sum, K the number of coefficients (of a separable kernel, of both
    its profiles). Kernels of small integers on bytes are summed exactly. Where bytes are smoothed to bytes, by the product of
    two symmetric profiles without negative weights whose sum is 1 (a Gaussian, a box), sums are integers, and what is rounded is
    within 1/16 of the exact sum. Kernels of more than 400 coefficients that are no sum
    of few products of two profiles go through `conv`, band by band, and have the error of its method.

    Parameters
    ----------
    image : array, shape (h, w) or (h, w, channels): uint8, uint16, float32 or float64
        Any strides are read in place, and no copy of an integer image in floats is ever made.
    kernel : array, shape (kh, kw), or a pair of 1-D arrays (down, right) whose outer product it is
        A kernel that is a sum of few such products (a Gaussian, a box, a derivative) is found out and takes as little time.
    padding_mode : what lies outside the image, or one for each of the two axes: "reflect" (mirrored, the last pixel once:
        OpenCV's default), "symmetric" (mirrored, the last pixel twice: SciPy's default, which calls it "reflect"), "edge"
        (the last pixel repeated), "wrap", "zeros", or "constant" with `padding_value`
    alpha : "filter" (the last channel is a channel like the others) or "keep" (of 2 or 4 channels, the last is left as it is)
        Colours are not weighted by their opacity: multiply them by alpha before and divide after where that matters.
    dtype : of the result, by default the image's; np.float32 or np.float64 keep fractions, signs and what would be clipped
    out : array of the result's shape and dtype to write to; it may overlap the image
    threads : int; default ndconv.get_num_threads(). Results do not depend on it.

    Raises
    ------
    ValueError for values, TypeError for kinds, MemoryError.

    Examples
    --------
    >>> image = np.array([[0, 0, 100, 100]] * 4, np.uint8)
    >>> apply(image, ([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]))[0]
    array([  0,  25,  75, 100], dtype=uint8)
    >>> right = np.array([[1, 0, -1]])
    >>> apply(image, right)[0], apply(image, right, dtype=np.float32)[0]
    (array([0, 0, 0, 0], dtype=uint8), array([   0., -100., -100.,    0.], dtype=float32))
    """
    x = check_image(image)
    name = _result_dtype(dtype, x.dtype.name)
    _check_alpha(alpha, x)
    modes = check_modes(padding_mode, 2, padding_value)
    if threads is not None:
        threads = check_threads(threads, "threads")
    y = _check_out(out, x, name)
    if x.dtype.name in FLOATS:
        x = x.astype(name, copy=False)
    sums, options = _terms(_check_kernel(kernel), x.dtype.name, name, padding_value if "constant" in modes else 0)
    shape = options.pop("shape")
    before = tuple((k - 1) // 2 for k in shape)
    maps = [_sources(mode, size, -lo, size + k - 1) for mode, size, lo, k in zip(modes, x.shape, before, shape)]
    planes = (a if a.ndim == 3 else a[..., None] for a in (x, y))
    if options["u"].size > LARGE and "v" not in options:
        _filter_large(*planes, _check_kernel(kernel), sums, maps, padding_value, threads)
    else:
        filter_image(*planes, sums, *maps, before, padding_value if "constant" in modes else 0, threads=threads, **options)
    if alpha == "keep":
        y[..., -1] = x[..., -1]
    if out is None or y is out:
        return y
    out[...] = y
    return out


def check_image(image):
    """The image as an aligned array in native byte order."""
    x = np.asarray(image)
    if x.dtype.newbyteorder("=").name not in DTYPES:
        raise TypeError(f"image must be {', '.join(DTYPES[:-1])} or {DTYPES[-1]}, not {x.dtype}")
    if x.ndim not in (2, 3) or x.shape[-1:] == (0,) and x.ndim == 3:
        raise ValueError(f"image must have shape (h, w) or (h, w, channels); got {x.shape}")
    return np.require(x, x.dtype.newbyteorder("="), "A")


def _result_dtype(dtype, own):
    try:
        name = own if dtype is None else np.dtype(dtype).name
    except TypeError:
        raise TypeError(f"dtype must be the image's, np.float32 or np.float64, not {dtype!r}") from None
    if name not in (own, *FLOATS):
        raise TypeError(f"dtype must be the image's ({own}), float32 or float64, not {name}")
    return name


def _check_alpha(alpha, x):
    if alpha not in ("filter", "keep"):
        raise ValueError(f"alpha must be 'filter' or 'keep', not {alpha!r}")
    if alpha == "keep" and (x.ndim == 2 or x.shape[2] not in (2, 4)):
        raise ValueError(f"alpha='keep' is for images of 2 or 4 channels; got shape {x.shape}")


def _check_kernel(kernel):
    """The kernel as a float64 array (kh, kw), or two: (kh,) and (kw,)."""
    if isinstance(kernel, (tuple, list)) and len(kernel) == 2 and all(np.ndim(part) == 1 for part in kernel):
        parts = kernel = tuple(np.asarray(part, np.float64) for part in kernel)
    else:
        kernel = np.asarray(kernel)
        if kernel.dtype.kind not in "fiub" or kernel.ndim != 2:
            raise ValueError("kernel must be a real array of shape (kh, kw) or a pair of 1-D arrays; got "
                             f"{kernel.dtype} of shape {kernel.shape}")
        parts = (kernel := kernel.astype(np.float64),)
    if not all(part.size for part in parts):
        raise ValueError(f"kernel must not be empty; got shape {tuple(part.shape for part in parts)}")
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError("kernel must be finite")
    return kernel


def _check_out(out, x, name):
    """The array to compute in: out, unless it overlaps the image."""
    if out is None:
        return np.empty_like(x, name)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if out.dtype != name:
        raise TypeError(f"out must be {name}; got {out.dtype}")
    if out.shape != x.shape:
        raise ValueError(f"out must have shape {x.shape}; got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")
    return np.empty_like(x, name) if np.may_share_memory(out, x) or not out.flags.aligned else out


def _terms(kernel, x, y, value):
    """(dtype of the sums, how the kernel is given to filter_image and its shape)."""
    sums = y if y in FLOATS else "float32"
    if isinstance(kernel, tuple):
        return _profiles(*(part[None] for part in kernel), sums, x == y == "uint8", value)
    kh, kw = kernel.shape
    # a pixel times zero is nothing, unless it may be infinite
    columns = np.arange(kw) if x in FLOATS else np.flatnonzero(kernel.any(0))
    columns = (columns if columns.size else np.zeros(1)).astype(np.intp)
    taps = kh * columns.size
    if x == y == "uint8" and taps <= SHORT_TAPS and _fits_short(kernel, value):
        sums = "int16"
    else:
        # terms that cancel could make an infinite pixel a NaN
        most = 1 if x in FLOATS else MOST_RANK
        factors = factors_of(kernel.astype(sums), min(most, (taps - 1) // (kh + kw + PASS)))
        if factors is not None:
            return _profiles(*factors, sums, x == y == "uint8", value)
    return sums, dict(u=np.ascontiguousarray(kernel.T[columns], sums), columns=columns, shape=(kh, kw))


def _profiles(u, v, sums, bytes_only, value):
    """_terms of a kernel that is the sum over q of outer(u[q], v[q])."""
    shape = u.shape[1], v.shape[1]
    if bytes_only and len(u) == 1 and _is_byte(value):
        folded = _fold(u[0], v[0])
        if folded is not None:
            return "int16", dict(shape=shape, **folded)
    return sums, dict(u=np.ascontiguousarray(u, sums), v=np.ascontiguousarray(v, sums), shape=shape)


def _fold(u, v):
    """How filter_image takes the profiles in 16-bit integers, or None if it cannot."""
    gain = v.sum()
    halves = [_half(w) for w in (u * gain, v / gain)] if gain else [None]
    if any(half is None for half in halves):
        return None
    # the error: of the roundings of weights, and of each product and mean
    (u, u_error), (v, v_error) = (_rounded(half, FEW_BITS) for half in halves)
    if max(u.max(), v.max()) < 2**15 and 255 * (u_error + v_error) + (u.size + v.size + 1) * 2**-8 <= FOLD_ERROR:
        return dict(u=u.astype(np.int16), v=v.astype(np.int16), bits=(0, 0))
    bits = tuple(min(most, math.floor(math.log2(32766 / half.max()))) for half, most in zip(halves, (U_BITS, V_BITS)))
    (u, u_error), (v, v_error) = (_rounded(np.append(half, np.zeros(half.size % 2)), most) for half, most in zip(halves, bits))
    if 255 * (u_error + v_error) + 2**-8 > FOLD_ERROR:     # or of what passes along rows make
        return None
    return dict(u=u.astype(np.int16), v=v.astype(np.int16), bits=bits)


def _half(w):
    """Half of the weights w, outermost first, the middle one of an odd number halved: their sum is 1/2. None if w is not
    symmetric, not negative and of the sum 1."""
    if w.min() < 0 or abs(w - w[::-1]).max() > 1e-6 * w.max() or abs(w.sum() - 1) > 1e-5:
        return None
    half = ((w + w[::-1]) / 2)[:(w.size + 1) // 2]
    half[-1] /= 1 + w.size % 2
    return half / (2 * half.sum())


def _rounded(half, bits):
    """(half times 2**bits as integers [1, folds], the sum of their roundings). Partial sums are rounded, so the sum is exact."""
    whole = np.diff(np.rint(half.cumsum() * 2**bits), prepend=0)
    return whole[None], abs(whole / 2**bits - half).sum()


def _is_byte(value):
    return 0 <= value <= 255 and math.floor(value) == value


def _filter_large(x, y, kernel, sums, maps, value, threads):
    """y = x filtered with a kernel of many coefficients by `conv`, a band of rows after the other."""
    kh = kernel.shape[0]
    height = max(kh, BAND // (len(maps[1]) * x.shape[2]))
    for row in range(0, x.shape[0], height):
        rows = maps[0][row:row + height + kh - 1]
        band = x[rows.clip(0)][:, maps[1].clip(0)].transpose(2, 0, 1)[:, None].astype(sums)
        band[..., maps[1] == -1], band[..., maps[1] == -2] = value, 0
        band[..., rows == -1, :], band[..., rows == -2, :] = value, 0
        part = conv(band, kernel[None, None].astype(sums), threads=threads)[:, 0].transpose(1, 2, 0)
        if y.dtype.kind == "u":
            part = np.rint(part).clip(0, np.iinfo(y.dtype).max)
        y[row:row + height] = part


def _fits_short(kernel, value):
    """Whether sums of bytes with these coefficients are integers of 16 bits, whichever of them are taken."""
    most = max(kernel.clip(0).sum(), -kernel.clip(None, 0).sum())
    return 255 * most <= 32767 and (kernel == np.rint(kernel)).all() and _is_byte(value)


def _sources(mode, size, first, count):
    """Where rows or pixels first <= i < first + count of the padded image come from: -1 for the constant, -2 for zeros."""
    sources = index_map("constant" if mode == "zeros" else mode, size, first, count).astype(np.intp)
    if mode == "zeros":
        sources[sources < 0] = -2
    return sources
