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
    edges = name in ("sobel", "prewitt", "scharr", "laplacian")
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


@pytest.mark.parametrize("call, error, message", [
    (lambda: filters.identity(4), ValueError, "size must be odd, not 4"),
    (lambda: filters.box(0), ValueError, "size must be at least 1, not 0"),
    (lambda: filters.box(2.5), TypeError, "size must be an integer, not 2.5"),
    (lambda: filters.box(True), TypeError, "size must be an integer, not True"),
    (lambda: filters.gaussian(0), ValueError, "sigma must be a positive number of pixels, not 0"),
    (lambda: filters.gaussian(float("nan")), ValueError, "sigma must be a positive number of pixels, not nan"),
    (lambda: filters.gaussian(float("inf")), ValueError, "sigma must be a positive number of pixels, not inf"),
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
