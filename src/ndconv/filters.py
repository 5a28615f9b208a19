"""Image filters: functions that return the kernel, as a square float array for `conv2d` (cross-correlation).

Add the two channel axes to use one: ``ndconv.conv2d(x, sobel()[None, None], padding=1)``. Derivatives grow along their axis:
a picture that brightens to the right has a positive ``sobel(axis=1)``.
"""
import numpy as np


def identity(size=3, *, dtype=np.float32):
    """The kernel that changes nothing: 1 in the middle, 0 elsewhere; (size, size), size odd.

    >>> identity().tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    kernel = np.zeros(2 * (_check_size(size, odd=True),), dtype)
    kernel[size // 2, size // 2] = 1
    return kernel


def box(size=3, *, dtype=np.float32):
    """The mean of size x size pixels: every coefficient is 1 / size**2.

    >>> box(2).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    return np.full(2 * (_check_size(size),), 1 / size**2, dtype)


def gaussian(sigma=1.0, size=None, *, dtype=np.float32):
    """The Gaussian exp(-(u**2 + v**2) / (2 sigma**2)), scaled to the sum 1; (size, size).

    u and v count pixels from the middle. The size is by default the odd one that reaches 3 sigma to either side.

    >>> print(gaussian(0.5, 3).round(3))
    [[0.011 0.084 0.011]
     [0.084 0.619 0.084]
     [0.011 0.084 0.011]]
    """
    if not (sigma > 0 and np.isfinite(sigma)):
        raise ValueError(f"sigma must be a positive number of pixels, not {sigma!r}")
    size = 2 * int(np.ceil(3 * sigma)) + 1 if size is None else _check_size(size)
    profile = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2))
    profile /= profile.sum()
    return np.outer(profile, profile).astype(dtype)


def sharpen(*, dtype=np.float32):
    """The picture minus its Laplacian: edges gain contrast, flat areas stay; (3, 3), the sum is 1.

    >>> sharpen().tolist()
    [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    return identity(dtype=dtype) - laplacian(dtype=dtype)


def sobel(axis=1, *, dtype=np.float32):
    """The difference -1, 0, 1 along axis (0 down, 1 right), smoothed by 1, 2, 1 along the other; (3, 3).

    >>> sobel().tolist()
    [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]
    """
    return _derivative([1, 2, 1], axis, dtype)


def prewitt(axis=1, *, dtype=np.float32):
    """The difference -1, 0, 1 along axis (0 down, 1 right), summed over 1, 1, 1 along the other; (3, 3).

    >>> prewitt(axis=0).tolist()
    [[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return _derivative([1, 1, 1], axis, dtype)


def scharr(axis=1, *, dtype=np.float32):
    """The difference -1, 0, 1 along axis (0 down, 1 right), smoothed by 3, 10, 3 along the other; (3, 3).

    Its response depends less on the direction of an edge than Sobel's.

    >>> scharr().tolist()
    [[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]]
    """
    return _derivative([3, 10, 3], axis, dtype)


def laplacian(*, dtype=np.float32):
    """The sum of the second differences 1, -2, 1 down and across; (3, 3).

    >>> laplacian().tolist()
    [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]
    """
    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype)


def emboss(*, dtype=np.float32):
    """The picture plus its slope towards the lower right: a relief lit from the upper left; (3, 3), the sum is 1.

    >>> emboss().tolist()
    [[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    """
    return np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype)


KERNELS = {f.__name__: f for f in (identity, box, gaussian, sharpen, sobel, prewitt, scharr, laplacian, emboss)}


def _derivative(smoothing, axis, dtype):
    if axis not in (0, 1):
        raise ValueError(f"axis must be 0 (down) or 1 (right), not {axis!r}")
    across = np.outer(smoothing, [-1, 0, 1]).astype(dtype)
    return across if axis == 1 else across.T.copy()


def _check_size(size, odd=False):
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"size must be an integer, not {size!r}")
    if size < 1 or (odd and size % 2 == 0):
        raise ValueError(f"size must be {'odd' if odd else 'at least 1'}, not {size}")
    return size
