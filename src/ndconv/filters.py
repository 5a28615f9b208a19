"""Image filters: functions that return the kernel as a float array, and `apply`, which filters an image with it.

Kernels are cross-correlated, as in `conv2d` (add the two channel axes to use one there: ``sobel()[None, None]``). Derivatives
grow along their axis: a picture that brightens to the right has a positive response to ``sobel(axis=1)``.

>>> image = np.array([[10, 10, 90, 90]] * 3, np.uint8)
>>> apply(image, box(3))
array([[10, 37, 63, 90],
       [10, 37, 63, 90],
       [10, 37, 63, 90]], dtype=uint8)
"""
import numpy as np

from ndconv.image import apply, check_image

__all__ = ["apply", "box", "emboss", "gabor", "gaussian", "gradient", "identity", "laplacian", "laplacian_of_gaussian", "prewitt",
           "scharr", "sharpen", "sobel", "unsharp"]


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


def gaussian(sigma=1.0, size=None, *, truncate=3.0, pair=False, dtype=np.float32):
    """The Gaussian exp(-u**2 / (2 sigma_h**2) - v**2 / (2 sigma_w**2)), scaled to the sum 1; (kh, kw).

    u and v count pixels down and right from the middle. `sigma` and `size` are one number, or two: down and right. The size is
    by default the odd one that reaches truncate * sigma to either side. pair=True returns the two profiles whose outer product
    the kernel is, which `apply` takes too: shorter where sigma is large.

    >>> print(gaussian(0.5, 3).round(3))
    [[0.011 0.084 0.011]
     [0.084 0.619 0.084]
     [0.011 0.084 0.011]]
    >>> gaussian((1, 20)).shape
    (7, 121)
    """
    profiles = tuple(_profile(*axis) for axis in _axes(sigma, size, truncate))
    return tuple(profile.astype(dtype) for profile in profiles) if pair else np.outer(*profiles).astype(dtype)


def sharpen(*, dtype=np.float32):
    """The picture minus its Laplacian: edges gain contrast, flat areas stay; (3, 3), the sum is 1.

    >>> sharpen().tolist()
    [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    return identity(dtype=dtype) - laplacian(dtype=dtype)


def unsharp(amount=1.0, sigma=1.0, size=None, *, truncate=3.0, dtype=np.float32):
    """The picture plus `amount` times what a Gaussian takes from it: (1 + amount) identity - amount gaussian; the sum is 1.

    sigma, size and truncate are those of `gaussian`; sizes are odd.

    >>> print(unsharp(2.0, 0.5, 3).round(2))
    [[-0.02 -0.17 -0.02]
     [-0.17  1.76 -0.17]
     [-0.02 -0.17 -0.02]]
    """
    kernel = -_number(amount, "amount") * gaussian(sigma, size, truncate=truncate, dtype=np.float64)
    _check_size(kernel.shape[0], odd=True), _check_size(kernel.shape[1], odd=True)
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] += 1 + amount
    return kernel.astype(dtype)


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


def laplacian_of_gaussian(sigma=1.0, size=None, *, truncate=4.0, dtype=np.float32):
    """The Laplacian of a picture that a Gaussian has smoothed, (u**2 - c) g(u) g(v) + g(u) (v**2 - c) g(v) times a constant.

    g is the profile of `gaussian`. c, in the limit sigma**2, and the constant, in the limit 1 / sigma**4, are such that it gives
    exactly 0 on planes and 2 on u**2 and v**2, as `laplacian` does, which it becomes as sigma goes to 0. sigma, size and
    truncate are those of `gaussian`; sizes are odd and at least 3. Marr and Hildreth 1980.

    >>> print(laplacian_of_gaussian(0.5, 5).round(2))
    [[ 0.    0.    0.01  0.    0.  ]
     [ 0.    0.2   0.55  0.2   0.  ]
     [ 0.01  0.55 -3.04  0.55  0.01]
     [ 0.    0.2   0.55  0.2   0.  ]
     [ 0.    0.    0.01  0.    0.  ]]
    """
    smooth, curved = [], []
    for least, *axis in _axes(sigma, size, truncate):
        if axis[0] < 3 or axis[0] % 2 == 0:
            raise ValueError(f"size must be odd and at least 3, not {axis[0]}")
        # below 0.05 all digits are those of the limit
        g, u2 = _profile(max(least, 0.05), *axis), (np.arange(axis[0]) - axis[0] // 2) ** 2.0
        second = (u2 - g @ u2) * g
        smooth.append(g)
        curved.append(2 * second / (second @ u2))
    return (np.outer(curved[0], smooth[1]) + np.outer(smooth[0], curved[1])).astype(dtype)


def gabor(wavelength=8.0, angle=0.0, *, sigma=None, aspect=0.5, phase=0.0, size=None, truncate=3.0, dtype=np.float32):
    """A wave under a Gaussian: e(u, v) (cos(2 pi p / wavelength + phase) - c) times a constant, e = exp(-(p**2 + (aspect q)**2) /
    (2 sigma**2)), with p = v cos(angle) + u sin(angle) along the wave and q = u cos(angle) - v sin(angle) across it.

    It answers to stripes of that wavelength whose normal points `angle` (radians) below the right. c makes the sum 0, so flat
    areas vanish, and the constant makes the response to a wave of amplitude 1 in phase with it 1. sigma is by default
    0.56 wavelength, a bandwidth of one octave. The size, one odd number, reaches truncate * sigma along the longer axis.
    Daugman 1985.

    >>> kernel = gabor(4.0, size=9, dtype=np.float64)
    >>> stripes = np.cos(2 * np.pi * np.arange(-4, 5) / 4) * np.ones((9, 1))
    >>> float((kernel * stripes).sum().round(12)), float((kernel * stripes.T).sum().round(2))
    (1.0, 0.0)
    """
    sigma = 0.56 * _positive(wavelength, "wavelength") if sigma is None else _positive(sigma, "sigma")
    reach = sigma / min(_positive(aspect, "aspect"), 1) * _positive(truncate, "truncate")
    size = 2 * int(np.ceil(reach)) + 1 if size is None else _check_size(size, odd=True)
    u, v = np.mgrid[:size, :size] - size // 2
    cos, sin = np.cos(_number(angle, "angle")), np.sin(angle)
    along, across = v * cos + u * sin, u * cos - v * sin
    envelope = np.exp(-(along**2 + (aspect * across) ** 2) / (2 * sigma**2))
    wave = np.cos(2 * np.pi * along / wavelength + _number(phase, "phase"))
    kernel = envelope * (wave - (envelope * wave).sum() / envelope.sum())
    power = (kernel * wave).sum()
    if not power > 1e-9 * envelope.sum():
        raise ValueError(f"a wave of wavelength {wavelength} and phase {phase} does not show in {size} x {size} pixels")
    return (kernel / power).astype(dtype)


def emboss(*, dtype=np.float32):
    """The picture plus its slope towards the lower right: a relief lit from the upper left; (3, 3), the sum is 1.

    >>> emboss().tolist()
    [[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    """
    return np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype)


KERNELS = {f.__name__: f for f in (identity, box, gaussian, sharpen, unsharp, sobel, prewitt, scharr, laplacian,
                                   laplacian_of_gaussian, emboss, gabor)}
DERIVATIVES = {f.__name__: f for f in (sobel, prewitt, scharr)}


def gradient(image, kind="sobel", *, padding_mode="reflect", padding_value=0.0, threads=None):
    """(magnitude, direction) of an image's gradient, channel by channel: two arrays of its shape.

    With the responses r to the kernel along axis 1 (right) and d along axis 0 (down), magnitude = sqrt(r**2 + d**2), direction =
    arctan2(d, r), in radians from -pi to pi: the way in which the image brightens, 0 to the right and pi/2 downwards. They are
    float32, for float64 images float64. Kernels are not scaled: on a ramp of slope 1 the magnitude is 6 for "prewitt", 8 for
    "sobel" and 32 for "scharr".

    >>> magnitude, direction = gradient(np.array([[0, 1, 2, 3, 4]] * 3, np.uint8))
    >>> magnitude[1], direction[1, 2]
    (array([0., 8., 8., 8., 0.], dtype=float32), np.float32(0.0))
    """
    if kind not in DERIVATIVES:
        raise ValueError(f"kind must be one of {', '.join(DERIVATIVES)}; got {kind!r}")
    dtype = np.float64 if check_image(image).dtype == np.float64 else np.float32
    down, right = (apply(image, DERIVATIVES[kind](axis, dtype=dtype), padding_mode=padding_mode, padding_value=padding_value,
                         dtype=dtype, threads=threads) for axis in (0, 1))
    direction = np.arctan2(down, right)
    return np.hypot(right, down, out=right), direction


def _derivative(smoothing, axis, dtype):
    if axis not in (0, 1):
        raise ValueError(f"axis must be 0 (down) or 1 (right), not {axis!r}")
    across = np.outer(smoothing, [-1, 0, 1]).astype(dtype)
    return across if axis == 1 else across.T.copy()


def _axes(sigma, size, truncate):
    """(sigma, size) of the two axes."""
    sigmas = sigma if isinstance(sigma, (tuple, list)) else (sigma, sigma)
    sizes = size if isinstance(size, (tuple, list)) else (size, size)
    if len(sigmas) != 2 or len(sizes) != 2:
        raise ValueError(f"sigma and size must be one number, or two, down and right; got {sigma!r} and {size!r}")
    reach = _positive(truncate, "truncate")
    return [(_positive(s, "sigma"), 2 * int(np.ceil(reach * s)) + 1 if k is None else _check_size(k))
            for s, k in zip(sigmas, sizes)]


def _profile(sigma, size):
    """exp(-u**2 / (2 sigma**2)) at the pixels u from the middle, scaled to the sum 1."""
    u = np.abs(np.arange(size) - (size - 1) / 2)
    # counted from the least, so that the sum is never 0
    with np.errstate(over="ignore"):
        profile = np.exp(-((u - u.min()) / sigma) * ((u + u.min()) / sigma) / 2)
    return profile / profile.sum()


def _number(value, name):
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not np.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return value


def _positive(value, name):
    if not 0 < _number(value, name):
        raise ValueError(f"{name} must be a positive number, not {value!r}")
    return value


def _check_size(size, odd=False):
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"size must be an integer, not {size!r}")
    if size < 1 or (odd and size % 2 == 0):
        raise ValueError(f"size must be {'odd' if odd else 'at least 1'}, not {size}")
    return size
