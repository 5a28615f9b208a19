"""filters.apply and filters.gradient against their definition in float64."""
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import drawn

from ndconv import filters
from ndconv.border import MODES
from ndconv.image import DTYPES, FLOATS

PAD = {"zeros": dict(mode="constant")}
LIMITS = {"uint8": 255, "uint16": 65535}
KERNELS = {
    "derivative": filters.sobel(0), "sharp": filters.sharpen(), "column": np.array([[3], [-2], [1], [1]]),
    "large integers": np.array([[90, -90], [120, 7]]), "halves": np.array([[0.5, 0.25, 0.25]]), "nothing": np.zeros((2, 3)),
    "smooth": filters.gaussian(1.4), "two terms": filters.laplacian_of_gaussian(0.9), "dense": None,
    "even": filters.box(4), "pair": ([0.1, 0.9, 0.3, 0.2], [-0.4, 1.1]), "beyond the image": filters.gaussian((9, 3)),
}


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) if dtype in FLOATS else rng.integers(0, LIMITS[dtype] + 1, shape)).astype(dtype)


def matrix(kernel):
    return np.outer(*kernel) if isinstance(kernel, tuple) else np.asarray(kernel, np.float64)


def define(image, kernel, mode="reflect", value=0.0):
    """(the exact sums, those of absolute values) in float64."""
    w = matrix(kernel)
    pads = [((k - 1) // 2, k // 2) for k in w.shape] + [(0, 0)] * (image.ndim - 2)
    # axis by axis, for modes that differ; NumPy's constant has no name for one axis
    x = image.astype(np.float64)
    for axis, name in reversed(list(enumerate((mode, mode) if isinstance(mode, str) else mode))):
        along = [pad if a == axis else (0, 0) for a, pad in enumerate(pads)]
        options = PAD.get(name, dict(mode=name)) | (dict(constant_values=value) if name == "constant" else {})
        x = np.pad(x, along, **options)
    h, w_ = image.shape[:2]
    taps = [(w[s, t], x[s:s + h, t:t + w_]) for s, t in np.ndindex(w.shape)]
    return sum(c * part for c, part in taps), sum(abs(c) * abs(part) for c, part in taps)


def is_folded(image, kernel, dtype):
    """Whether the documentation allows sums of integers: bytes, symmetric profiles without negative weights whose sum is 1."""
    w = matrix(kernel)
    return (image.dtype == dtype == "uint8" and w.min() >= 0 and abs(w.sum() - 1) < 1e-5 and np.linalg.matrix_rank(w, 1e-6) == 1
            and all(np.allclose(w, np.flip(w, axis), 1e-5, 1e-9) for axis in (0, 1)))


def check(got, image, kernel, dtype, **border):
    """Within a bound of the exact sum, and the nearest integer where that bound leaves no doubt."""
    exact, size = define(image, kernel, **border)
    unit = 2.0**-53 if dtype == "float64" else 2.0**-24
    bound = (matrix(kernel).size + 4) * unit * size + 1e-300
    if dtype in LIMITS:
        bound = np.maximum(bound, is_folded(image, kernel, dtype) / 16)
        low, high = (np.rint(exact + side).clip(0, LIMITS[dtype]) for side in (-bound, bound))
        assert ((low <= got) & (got <= high)).all()
    else:
        # four roundings of the kernel's norm are its factors'
        assert (abs(got - exact) <= bound + 5 * unit * np.linalg.norm(matrix(kernel)) * abs(image).max(initial=0) * 9).all()
    assert got.dtype == dtype and got.shape == image.shape


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_and_dtype(name, dtype, isa):
    kernel = np.random.default_rng(5).standard_normal((3, 5)) if name == "dense" else KERNELS[name]
    for shape in ((37, 45, 3), (5, 300), (9, 1, 4), (1, 70, 2)):
        image = draw(shape, dtype)
        check(filters.apply(image, kernel), image, kernel, dtype)
        check(filters.apply(image, kernel, dtype="float64"), image, kernel, "float64")


@pytest.mark.parametrize("mode", [*MODES, ("wrap", "edge"), ("zeros", "constant")], ids=str)
def test_borders(mode):
    for dtype, kernel in itertools.product(("uint8", "float32"), (filters.sobel(), filters.gaussian(2), np.ones((5, 9)))):
        image = draw((7, 6, 3), dtype, 1)
        value = 17 if "constant" in mode else 0
        got = filters.apply(image, kernel, padding_mode=mode, padding_value=value)
        check(got, image, kernel, dtype, mode=mode, value=value)


@settings(drawn, max_examples=60)
@given(st.data())
def test_any_shape(data):
    size = st.integers(1, 40)
    shape = data.draw(st.tuples(size, size) | st.tuples(size, size, st.integers(1, 5)))
    dtype, mode = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(MODES))
    taps = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kernel = rng.integers(-3, 4, taps) if data.draw(st.booleans()) else rng.standard_normal(taps)
    image = draw(shape, dtype, 2)
    result = data.draw(st.sampled_from((dtype, *FLOATS)))
    check(filters.apply(image, kernel, padding_mode=mode, dtype=result), image, kernel, result, mode=mode)


def test_ties_go_to_the_even_integer_and_results_are_clipped():
    image = np.array([[1, 2, 3, 4, 254, 255]], np.uint8)
    half = np.array([[0.5, 0.5]])
    assert filters.apply(image, half).tolist() == [[2, 2, 4, 129, 254, 254]]
    assert filters.apply(image.astype(np.uint16) * 257, np.array([[0.5]])).tolist() == [[128, 257, 386, 514, 32639, 32768]]
    assert filters.apply(image, np.array([[-1]])).max() == 0
    assert filters.apply(image, np.array([[3e38]])).min() == 255
    assert filters.apply(image, np.array([[2]])).tolist() == [[2, 4, 6, 8, 255, 255]]


def test_bytes_that_are_smoothed_differ_from_the_nearest_integers_at_ties_only(isa):
    """Black, white and noise, profiles of any parity: within 1/16 of the exact sum, and hardly any pixel on the other side."""
    for sigma, size, shape in ((0.5, None, (40, 333, 3)), (1, (7, 5), (33, 50)), (0.8, (4, 3), (9, 7, 2)),
                               (3, None, (40, 333, 3)), ((8, 0.4), None, (60, 70)), (2, (4, 12), (31, 45, 4)),
                               (40, 121, (30, 50))):
        kernel = filters.gaussian(sigma, size)
        for image in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
            assert (filters.apply(image, kernel) == image).all()
        image = draw(shape, "uint8", 12)
        got, exact = filters.apply(image, kernel), define(image, kernel)[0]
        check(got, image, kernel, "uint8")
        assert abs(got - exact).max() <= 0.5 + 1 / 16
        assert (got != np.rint(exact)).mean() < 0.03


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_of_any_order(dtype):
    image = draw((20, 150, 4), dtype, 3)
    views = {
        "planes": np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0), "columns": np.asfortranarray(image),
        "reversed": np.ascontiguousarray(image[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
        "of five": np.concatenate([image, image], 2)[..., :4], "big-endian": image.astype(image.dtype.newbyteorder(">")),
        "unaligned": np.frombuffer(b"x" + image.tobytes(), image.dtype, offset=1).reshape(image.shape),
    }
    for kernel in (filters.prewitt(), filters.gaussian(1.0), np.random.default_rng(1).standard_normal((4, 3))):
        want = filters.apply(image, kernel)
        grey = filters.apply(image[..., 1], kernel)
        assert np.array_equal(grey, want[..., 1]) if dtype not in FLOATS else np.allclose(grey, want[..., 1], 1e-6, 1e-6)
        for name, view in views.items():
            view.flags.writeable = False
            for out in (None, np.zeros_like(image), np.zeros(image.shape[::-1], dtype).T):
                got = filters.apply(view, kernel, out=out)
                assert out is None or got is out
                assert np.array_equal(got, want) if dtype not in FLOATS else np.allclose(got, want, 1e-6, 1e-6), name


def test_out_may_overlap_the_image():
    image = draw((30, 31, 3), "uint8", 4)
    want = filters.apply(image, filters.box(5))
    assert filters.apply(image, filters.box(5), out=image) is image
    assert (image == want).all()


def test_same_bits_for_any_number_of_threads():
    image = draw((700, 431, 3), "float32", 5)
    for kernel in (filters.gaussian(3.0), filters.sobel(), np.random.default_rng(1).standard_normal((5, 5))):
        for dtype in ("float32", "uint8"):
            x = (image * 255).clip(0, 255).astype(dtype)
            first, *others = (filters.apply(x, kernel, threads=n).tobytes() for n in (1, 2, 5))
            assert all(other == first for other in others)


def test_what_is_not_finite_reaches_its_own_windows_only():
    for value, kernel in itertools.product((np.nan, np.inf, -np.inf), (filters.sobel(), filters.gaussian(1.0),
                                                                      filters.laplacian_of_gaussian(0.5))):
        image = draw((23, 40, 3), "float32", 6)
        image[11, 20, 1] = value
        got = filters.apply(image, kernel)
        k = kernel.shape[0] // 2
        touched = np.zeros(image.shape, bool)
        touched[11 - k:12 + k, 20 - k:21 + k, 1] = True
        assert (np.isfinite(got) != touched).all()


def test_alpha():
    for channels, dtype in itertools.product((2, 4), ("uint8", "float32")):
        image = draw((12, 13, channels), dtype, 7)
        both = filters.apply(image, filters.box())
        kept = filters.apply(image, filters.box(), alpha="keep")
        assert (kept[..., :-1] == both[..., :-1]).all() and (kept[..., -1] == image[..., -1]).all()
        assert filters.apply(image, filters.box(), alpha="keep", out=image) is image
        assert (image == kept).all()


def test_large_kernels_that_are_no_product(monkeypatch):
    kernel = np.random.default_rng(9).standard_normal((21, 24)) / 20
    monkeypatch.setattr("ndconv.image.BAND", 30 * 80 * 3)
    for dtype, mode in itertools.product(DTYPES, ("reflect", "zeros", ("zeros", "constant"))):
        image = draw((95, 50, 3), dtype, 10)
        value = 0 if mode != ("zeros", "constant") else 50
        got = filters.apply(image, kernel, padding_mode=mode, padding_value=value)
        exact, size = define(image, kernel, mode, value)
        exact = np.rint(exact).clip(0, LIMITS[dtype]) if dtype in LIMITS else exact
        assert got.dtype == dtype
        assert abs(got - exact).max() <= (1 if dtype in LIMITS else 1e-5 * size.max())
    assert filters.apply(image[..., 0], kernel).shape == image.shape[:2]


def test_images_without_pixels():
    for shape in ((0, 5), (5, 0, 3), (0, 0)):
        assert filters.apply(np.zeros(shape, np.uint8), filters.box()).shape == shape


@pytest.mark.parametrize("kind", ["prewitt", "sobel", "scharr"])
def test_gradient(kind):
    for dtype in DTYPES:
        image = draw((14, 15, 2), dtype, 8)
        magnitude, direction = filters.gradient(image, kind, padding_mode="edge")
        down, right = (define(image, getattr(filters, kind)(axis), "edge")[0] for axis in (0, 1))
        assert magnitude.dtype == direction.dtype == ("float64" if dtype == "float64" else "float32")
        assert np.allclose(magnitude, np.hypot(down, right), 1e-5, 1e-5)
        assert np.allclose(magnitude * np.cos(direction), right, 1e-4, 1e-4 * magnitude.max())
        assert np.allclose(magnitude * np.sin(direction), down, 1e-4, 1e-4 * magnitude.max())


IMAGE = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(image=IMAGE.astype(int)), TypeError, "image must be uint8, uint16, float32 or float64, not int64"),
    (dict(image=IMAGE[0, 0]), ValueError, r"image must have shape \(h, w\) or \(h, w, channels\); got \(3,\)"),
    (dict(image=IMAGE[..., :0]), ValueError, r"got \(4, 5, 0\)"),
    (dict(kernel=np.ones(3)), ValueError, r"kernel must be a real array .* float64 of shape \(3,\)"),
    (dict(kernel=np.ones((3, 3), complex)), ValueError, "kernel must be a real array .* complex128"),
    (dict(kernel=np.ones((0, 3))), ValueError, "kernel must not be empty"),
    (dict(kernel=[[np.nan]]), ValueError, "kernel must be finite"),
    (dict(padding_mode="mirror"), ValueError, "padding_mode must be one of"),
    (dict(padding_value="1"), TypeError, "padding_value must be a number"),
    (dict(alpha="drop"), ValueError, "alpha must be 'filter' or 'keep', not 'drop'"),
    (dict(alpha="keep"), ValueError, "images of 2 or 4 channels; got shape"),
    (dict(dtype=np.uint16), TypeError, r"dtype must be the image's \(uint8\), float32 or float64, not uint16"),
    (dict(dtype="no"), TypeError, "dtype must be the image's, np.float32"),
    (dict(out=[1]), TypeError, "out must be a NumPy array, not list"),
    (dict(out=np.ones((4, 5), np.uint8)), ValueError, "out must have shape"),
    (dict(out=np.ones((4, 5, 3))), TypeError, "out must be uint8; got float64"),
    (dict(threads=0), ValueError, "threads must be between"),
])
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        filters.apply(**dict(image=IMAGE, kernel=filters.box()) | options)
    with pytest.raises(ValueError, match="kind must be one of sobel, prewitt, scharr; got 'roberts'"):
        filters.gradient(IMAGE, "roberts")
