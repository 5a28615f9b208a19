"""The kernels of ndconv.filters, and the sample photograph."""
import numpy as np
import pytest

from ndconv import filters
from ndconv.problem import DTYPES
from ndconv.reference import conv
from ndconv.sample import sample_image

DERIVATIVES = (filters.sobel, filters.prewitt, filters.scharr)


def apply(kernel, image):
    return conv(image[None, None], kernel[None, None])[0, 0]


@pytest.mark.parametrize("name", filters.KERNELS)
def test_every_kernel_is_square_and_of_the_dtype_asked_for(name):
    for dtype in DTYPES:
        kernel = filters.KERNELS[name](dtype=dtype)
        assert kernel.dtype == dtype
        assert kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1]
    assert filters.KERNELS[name]().dtype == "float32"


@pytest.mark.parametrize("name", filters.KERNELS)
def test_a_flat_image_stays_or_vanishes(name):
    kernel = filters.KERNELS[name](dtype="float64")
    edges = name in ("sobel", "prewitt", "scharr", "laplacian", "laplacian_of_gaussian", "gabor")
    assert kernel.sum() == pytest.approx(0 if edges else 1, abs=1e-14)


def test_identity_returns_the_image():
    image = np.random.default_rng(1).standard_normal((9, 8))
    assert (apply(filters.identity(5, dtype="float64"), image) == image[2:-2, 2:-2]).all()


def test_box_is_the_mean_of_its_window():
    image = np.arange(20.0).reshape(4, 5)
    assert apply(filters.box(4, dtype="float64"), image) == pytest.approx(np.array([[image[:, :4].mean(), image[:, 1:].mean()]]))


@pytest.mark.parametrize("sigma, size, width", [(1, None, 7), (0.4, None, 5), (2.5, 4, 4), (3, 11, 11)])
def test_gaussian(sigma, size, width):
    kernel = filters.gaussian(sigma, size, dtype="float64")
    middle, at = (width - 1) / 2, np.arange(width)
    squares = (at[:, None] - middle) ** 2 + (at - middle) ** 2
    assert kernel.shape == (width, width)
    assert kernel / kernel.max() == pytest.approx(np.exp(-(squares - squares.min()) / (2 * sigma**2)))


@pytest.mark.parametrize("sigma", [1e-300, 0.01, 0.3, 1, (0.5, 4), (20.0, 0.01), 60])
@pytest.mark.parametrize("size", [None, 2, 3, (5, 4)])
def test_gaussians_of_any_width(sigma, size):
    kernel = filters.gaussian(sigma, size, dtype="float64")
    sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    down, right = filters.gaussian(sigma, size, dtype="float64", pair=True)
    assert np.allclose(kernel, np.outer(down, right), 1e-12) and kernel.sum() == pytest.approx(1)
    for profile, s in zip((down, right), sigmas):
        assert (profile == profile[::-1]).all() and (profile >= 0).all()
        middle = len(profile) // 2
        if s > 0.05 and len(profile) > middle + 1:
            # the squares of 0 and 1, or of 1/2 and 3/2, over two
            exponent = 0.5 if len(profile) % 2 else 1.0
            assert profile[middle + 1] / profile[middle] == pytest.approx(np.exp(-exponent / s**2))
    assert filters.gaussian(2, truncate=4).shape == (17, 17)


@pytest.mark.parametrize("function", DERIVATIVES, ids=lambda f: f.__name__)
def test_derivatives_grow_along_their_axis(function):
    down, right = np.mgrid[:5, :6].astype(float)
    weight = function(dtype="float64")[:, 2].sum()
    for axis, (along, across) in enumerate([(down, right), (right, down)]):
        kernel = function(axis=axis, dtype="float64")
        assert (apply(kernel, along) == 2 * weight).all()
        assert (apply(kernel, across) == 0).all()


def test_laplacian_and_sharpen_of_a_paraboloid():
    down, right = np.mgrid[:6, :7].astype(float)
    image = 2 * down**2 + 3 * right**2
    assert (apply(filters.laplacian(dtype="float64"), image) == 10).all()
    assert (apply(filters.sharpen(dtype="float64"), image) == image[1:-1, 1:-1] - 10).all()


def test_emboss_brightens_slopes_towards_the_lower_right():
    down, right = np.mgrid[:5, :5].astype(float)
    image = down + right
    assert (apply(filters.emboss(dtype="float64"), image) - image[1:-1, 1:-1] == 12).all()


def test_unsharp_is_the_picture_plus_what_a_gaussian_takes_away():
    image = np.random.default_rng(2).standard_normal((20, 21))
    smooth = apply(filters.gaussian(1.2, dtype="float64"), image)
    sharp = apply(filters.unsharp(0.7, 1.2, dtype="float64"), image)
    assert sharp == pytest.approx(1.7 * image[4:-4, 4:-4] - 0.7 * smooth)


@pytest.mark.parametrize("sigma, size", [(1e-9, 3), (0.1, None), (0.5, None), (1.0, 5), ((0.6, 2.5), None), (3, (9, 31))])
def test_laplacian_of_gaussian_is_exact_on_paraboloids(sigma, size):
    kernel = filters.laplacian_of_gaussian(sigma, size, dtype="float64")
    down, right = (np.mgrid[:kernel.shape[0] + 3, :kernel.shape[1] + 3] - 5.0)
    image = 2 * down**2 + 3 * right**2 - 4 * down + 7
    assert apply(kernel, image) == pytest.approx(np.full((4, 4), 10.0), abs=1e-8)
    if sigma == 1e-9:
        assert kernel == pytest.approx(filters.laplacian(dtype="float64"))


def test_laplacian_of_gaussian_is_that_of_the_formula():
    sigma, u = 2.0, np.arange(-10, 11)
    squares = u[:, None] ** 2 + u**2
    formula = (squares - 2 * sigma**2) / sigma**4 * np.exp(-squares / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    kernel = filters.laplacian_of_gaussian(sigma, 21, dtype="float64")
    assert abs(kernel - formula).max() < 1e-4 * abs(formula).max()


@pytest.mark.parametrize("angle", [0, np.pi / 6, np.pi / 2, 2.5])
def test_gabor_answers_to_its_own_stripes(angle):
    down, right = np.mgrid[:40, :40].astype(float)
    for wavelength, phase in ((5.0, 0.0), (8.0, 1.0)):
        def stripes(turn, length=wavelength, phase=phase):
            along = right * np.cos(angle + turn) + down * np.sin(angle + turn)
            return np.cos(2 * np.pi * along / length + phase)

        kernel = filters.gabor(wavelength, angle, phase=phase, truncate=2.0, dtype="float64")
        own, across, longer = (abs(apply(kernel, image)).max() for image in
                               (stripes(0), stripes(np.pi / 2), stripes(0, 3 * wavelength)))
        assert own == pytest.approx(1, rel=0.1)
        assert max(across, longer) < 0.2
        # the stripes around the kernel's own middle
        middle = kernel.shape[0] // 2
        u, v = np.mgrid[-middle:middle + 1, -middle:middle + 1]
        wave = np.cos(2 * np.pi * (v * np.cos(angle) + u * np.sin(angle)) / wavelength + phase)
        assert (kernel * wave).sum() == pytest.approx(1)


@pytest.mark.parametrize("call, error, message", [
    (lambda: filters.gaussian((1, 2, 3)), ValueError, r"one number, or two, down and right; got \(1, 2, 3\)"),
    (lambda: filters.gaussian("1"), TypeError, "sigma must be a number, not '1'"),
    (lambda: filters.gaussian(1, truncate=0), ValueError, "truncate must be a positive number, not 0"),
    (lambda: filters.unsharp(size=4), ValueError, "size must be odd, not 4"),
    (lambda: filters.unsharp(np.inf), ValueError, "amount must be a finite number, not inf"),
    (lambda: filters.laplacian_of_gaussian(size=1), ValueError, "size must be odd and at least 3, not 1"),
    (lambda: filters.gabor(0), ValueError, "wavelength must be a positive number, not 0"),
    (lambda: filters.gabor(2, phase=np.pi / 2), ValueError, "a wave of wavelength 2 and phase 1.57.* does not show"),
    (lambda: filters.identity(4), ValueError, "size must be odd, not 4"),
    (lambda: filters.box(0), ValueError, "size must be at least 1, not 0"),
    (lambda: filters.box(2.5), TypeError, "size must be an integer, not 2.5"),
    (lambda: filters.box(True), TypeError, "size must be an integer, not True"),
    (lambda: filters.gaussian(0), ValueError, "sigma must be a positive number, not 0"),
    (lambda: filters.gaussian(float("nan")), ValueError, "sigma must be a finite number, not nan"),
    (lambda: filters.gaussian(float("inf")), ValueError, "sigma must be a finite number, not inf"),
    (lambda: filters.gaussian(1, -3), ValueError, "size must be at least 1, not -3"),
    (lambda: filters.sobel(axis=2), ValueError, r"axis must be 0 \(down\) or 1 \(right\), not 2"),
])
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_sample_image_looks_like_a_photograph():
    image = sample_image()
    assert image.shape == (512, 768, 3) and image.dtype == np.uint8 and not image.flags.writeable
    grey = image.mean(-1)
    sky, meadow = grey[:200], grey[-40:]
    assert sky.mean() > 1.5 * meadow.mean()
    assert len(np.unique(image)) > 200
    # neighbours are alike, as in nature and not in noise
    assert np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1] > 0.95


def test_sample_image_is_the_same_at_every_call():
    assert (sample_image.__wrapped__() == sample_image()).all()
