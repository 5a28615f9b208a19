"""Pooling and its gradients: the public functions."""
import math
from functools import lru_cache

import numpy as np

from ndconv._planes import halve, scatter, spread
from ndconv._pool import Pooling
from ndconv._runtime import check_threads
from ndconv.arguments import as_tuple, check_shape
from ndconv.dtypes import is_half, module_of
from ndconv.missing import mean_backward_omitting, mean_omitting
from ndconv.plan import check_dtype
from ndconv.pool_choice import options_of
from ndconv.problem import IMAGE_DTYPES, LIMIT, RANKS, as_three, channels_axis, check_int, check_size, per_axis, resolve_padding

CACHED_GEOMETRIES = 256
INDEX_DTYPES = {np.dtype(name): name for name in ("int64", "int32")}
_HASHABLE = frozenset((int, str, bool, type(None)))

_dtype_names = {np.dtype(name): name for name in ("float32", "float64")}
_image_names = {np.dtype(name): name for name in IMAGE_DTYPES}


def max_pool(x, size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, index_dtype=np.int64,
             layout=None, method="auto", out=None, threads=None):
    """The greatest value of every window.

    ``y[n, c, i] = max over t < size of x[n, c, i*stride + t*dilation - padding]`` for positions i and taps t with one index
    per spatial axis, over the cells that x has. NaN is greater than everything. A window without any cell gives -inf, or the
    least integer. Integers are compared as they are; only for indices in windows of more than 8 rows or columns, dilated windows,
    strides above two or wide rows is x converted to floats that hold them exactly.

    Parameters
    ----------
    x : array, shape (n, c, *spatial), or (c, *spatial) for one image; float32, float64, float16, bfloat16, uint8, int16 or int32
        One to three spatial axes: as many as `size` has entries; for a single int, as `layout` has, or all but two.
        Any strides are read in place; when channels are the axis next to each other in memory the result's are too.
    size, stride, dilation : int or one int per spatial axis, at least 1; stride None is size
    padding : int, one int or (before, after) pair per axis, or a name, as for `conv`. Padding is no cell.
    ceil_mode : bool
        Round the number of positions up instead of down, except for a window that would start in the padding after x.
    return_indices : bool
        Also return where each value was: the flat index within its plane, ``h*width + w``, of the first greatest cell in
        row-major order, or of the first NaN; -1 for a window without any cell.
    index_dtype : np.int64 or np.int32
    layout : "NCW"/"NCHW"/"NCDHW" (default) or "NWC"/"NHWC"/"NDHWC"
    method : "auto" or one of "rows", "channels", "turned", "slides", "blocks", "points", which `explain_pool` describes; values
        of maxima and minima are the same from all of them, means may round differently
    out : array of the result's shape and dtype to write the values to; it may overlap x
    threads : int; default ndconv.get_num_threads(). Results do not depend on it.

    Returns
    -------
    array, shape (n, c, *positions) in the layout of x, or a tuple of that and the indices

    Raises
    ------
    ValueError for values, TypeError for kinds, OverflowError for sizes that no index can count, MemoryError,
    MethodNotApplicable if `method` names one that cannot do this.

    Examples
    --------
    >>> x = np.array([[[[1.0, 2.0, 5.0, 0.0],
    ...                 [4.0, 3.0, 5.0, 6.0]]]])
    >>> max_pool(x, 2)
    array([[[[4., 6.]]]])
    >>> max_pool(x, (1, 2), return_indices=True)[1]
    array([[[[1, 2],
             [4, 7]]]])
    """
    return _extreme_pool("max", x, size, stride, padding, dilation, ceil_mode, return_indices, index_dtype, layout, method, out,
                         threads)


def min_pool(x, size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, index_dtype=np.int64,
             layout=None, method="auto", out=None, threads=None):
    """The least value of every window: -max_pool(-x), without the two negations.

    ``y[n, c, i] = min over t < size of x[n, c, i*stride + t*dilation - padding]``. NaN wins over everything; a window without
    any cell gives +inf, or the greatest integer. Arguments, indices (of the first least cell, or of the first NaN) and errors
    are those of `max_pool`, and `max_pool_backward` is the gradient.

    >>> min_pool(np.array([[[1.0, 2.0, 5.0, 0.0]]]), 2, return_indices=True)
    (array([[[1., 0.]]]), array([[[0, 3]]]))
    """
    return _extreme_pool("min", x, size, stride, padding, dilation, ceil_mode, return_indices, index_dtype, layout, method, out,
                         threads)


def _extreme_pool(kind, x, size, stride, padding, dilation, ceil_mode, return_indices, index_dtype, layout, method, out, threads):
    x = np.asarray(x)
    half = is_half(x.dtype)
    x, dtype = (x, None) if half else _image(x, "x")
    geometry = _geometry(x.shape, size, stride, padding, dilation, ceil_mode, layout)
    if threads is not None:
        threads = check_threads(threads, "threads")
    if half:
        def pool(part):
            return _extreme_pool(kind, part, size, stride, padding, dilation, ceil_mode, return_indices, index_dtype, layout,
                                 method, None, threads)

        return module_of(x.dtype).pooled(pool, x, geometry, out, _index_dtype(index_dtype) if return_indices else None, threads)
    if not return_indices:
        return geometry.forward(x, dtype, kind, out, None, **options_of(method, geometry, kind, dtype, False, threads))[0]
    index_dtype = _index_dtype(index_dtype)
    if dtype not in IMAGE_DTYPES or (method in ("auto", "rows") and geometry.walks(x, dtype)):
        return geometry.forward(x, dtype, kind, out, index_dtype, **options_of(method, geometry, kind, dtype, True, threads))
    wide = IMAGE_DTYPES[dtype]
    indices = geometry.forward(x.astype(wide), wide, kind, None, index_dtype,
                               **options_of(method, geometry, kind, wide, True, threads))[1]
    return geometry.forward(x, dtype, kind, out, None, threads)[0], indices


def avg_pool(x, size, *, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, divisor=None,
             nan_policy="propagate", mask=None, layout=None, method="auto", out=None, threads=None):
    """The mean of every window.

    ``y[n, c, i] = (sum over t < size of x[n, c, i*stride + t*dilation - padding]) / count`` where padding counts as zero.

    count_include_pad : True counts the cells of the window up to the end of the padding, False those of x alone (a window
    without any gives NaN). divisor : an int that takes the place of the count. nan_policy="omit" leaves out NaN and `mask`, a
    boolean array that broadcasts to x's shape, what it names: the mean of the others, as np.nanmean has it, where padding that
    counts is data (with a divisor, their sum for all of the window); NaN where there is none. The other arguments are those of
    `max_pool`.
    Means of integers are no integers, so as with np.mean the result is floating: of uint8 and int16 float32, of int32 float64,
    and x is converted. ``np.rint(y).astype(x.dtype)`` is an image again.

    >>> avg_pool(np.array([[[1.0, 3.0, 5.0]]]), 2, stride=1, padding=(1,))
    array([[[0.5, 2. , 4. , 2.5]]])
    >>> avg_pool(np.array([[[1.0, 3.0, 5.0]]]), 2, stride=1, padding=(1,), count_include_pad=False)
    array([[[1., 2., 4., 5.]]])
    >>> avg_pool(np.array([[[1.0, np.nan, 5.0, 9.0]]]), 2, nan_policy="omit")
    array([[[1., 7.]]])
    """
    x = np.asarray(x)
    half = is_half(x.dtype) and mask is None and nan_policy == "propagate"
    x, dtype = (x, None) if half else _image(x, "x")
    if mask is not None or nan_policy != "propagate":
        return mean_omitting(avg_pool, x, size, mask, nan_policy, out, dict(
            stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, count_include_pad=count_include_pad,
            divisor=divisor, layout=layout, method=method, threads=threads))
    if dtype in IMAGE_DTYPES:
        x, dtype = x.astype(IMAGE_DTYPES[dtype]), IMAGE_DTYPES[dtype]
    geometry = _geometry(x.shape, size, stride, padding, dilation, ceil_mode, layout, count_include_pad, divisor)
    if threads is not None:
        threads = check_threads(threads, "threads")
    if half:
        def pool(part):
            return avg_pool(part, size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
                            count_include_pad=count_include_pad, divisor=divisor, layout=layout, method=method, threads=threads)

        return module_of(x.dtype).pooled(pool, x, geometry, out, None, threads)
    return geometry.forward(x, dtype, "avg", out, None, **options_of(method, geometry, "avg", dtype, False, threads))[0]


def computed_dtype(dtype, kind, indices):
    """The dtype that a pooling of arrays of `dtype` computes in."""
    if is_half(np.dtype(dtype)):
        return "float32"
    name = _image(np.empty(0, dtype), "dtype")[1]
    return IMAGE_DTYPES[name] if name in IMAGE_DTYPES and (indices or kind == "avg") else name


def max_pool_backward(dy, indices, x_shape, size, *, stride=None, padding=0, dilation=1, ceil_mode=False, layout=None,
                      threads=None):
    """Gradient of `max_pool` or `min_pool` with respect to its input: each dy added where its index says.

    dy, indices : arrays of the forward result's shape, indices as `max_pool` returns them; x_shape : shape of the forward
    input. The other arguments are those of `max_pool`, with the values of the forward call. ValueError for an index outside
    the plane (-1 stands for a window without cells).

    >>> y, indices = max_pool(np.array([[[1.0, 3.0, 2.0, 0.0]]]), 2, stride=1, return_indices=True)
    >>> max_pool_backward(np.array([[[10.0, 20.0, 30.0]]]), indices, (1, 1, 4), 2, stride=1)
    array([[[ 0., 30., 30.,  0.]]])
    """
    dy, dtype = _array(dy, "dy")
    geometry = _geometry(check_shape(x_shape, "x_shape"), size, stride, padding, dilation, ceil_mode, layout, name="x_shape")
    _check_like_result(dy, geometry, "dy")
    indices = _indices(indices)
    _check_like_result(indices, geometry, "indices")
    if threads is not None:
        threads = check_threads(threads, "threads")
    dx = geometry.gradient_by_channels(dy, indices, dtype, threads)
    if dx is not None:
        return dx
    axes = geometry.rank, geometry.batched, geometry.channels_last
    dx = geometry.gradient(dtype, dy)
    if geometry.tiles and spread(dy, indices, dtype, *axes, geometry.window, 1, dx, threads):
        return dx
    if not scatter(dy, indices, dtype, *axes, dx, threads):
        raise _outside(indices, _extents(geometry.in_shape, geometry.rank, geometry.channels_last))
    return dx


def avg_pool_backward(dy, x_shape, size, *, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True,
                      divisor=None, mask=None, layout=None, threads=None):
    """Gradient of `avg_pool` with respect to its input: each dy over its count, given to every cell of its window.

    dy : array of the forward result's shape; x_shape : shape of the forward input; mask : what the forward call left out, of
    nan_policy="omit" ``np.isnan(x)``: its gradient is 0, and a window without anything else has no part in it. The other
    arguments are those of `avg_pool`, with the values of the forward call.

    >>> avg_pool_backward(np.array([[[2.0, 6.0]]]), (1, 1, 3), 2, stride=1)
    array([[[1., 4., 3.]]])
    >>> avg_pool_backward(np.array([[[2.0, 6.0]]]), (1, 1, 3), 2, stride=1, mask=np.array([False, True, False]))
    array([[[2., 0., 6.]]])
    """
    dy, dtype = _array(dy, "dy")
    x_shape = check_shape(x_shape, "x_shape")
    geometry = _geometry(x_shape, size, stride, padding, dilation, ceil_mode, layout, count_include_pad, divisor, "x_shape")
    _check_like_result(dy, geometry, "dy")
    if threads is not None:
        threads = check_threads(threads, "threads")
    if mask is not None:
        return mean_backward_omitting(avg_pool, avg_pool_backward, dy, x_shape, size, mask, dict(
            stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, count_include_pad=count_include_pad,
            divisor=divisor, layout=layout, threads=threads))
    dx = geometry.gradient_by_channels(dy, None, dtype, threads)
    if dx is not None:
        return dx
    if geometry.tiles:
        dx = geometry.gradient(dtype, dy)
        axes = geometry.rank, geometry.batched, geometry.channels_last
        if spread(dy, None, dtype, *axes, geometry.window, geometry.share, dx, threads):
            return dx
    elif geometry.halves and dy.size:
        dx = geometry.gradient(dtype, dy)
        axes = geometry.rank, geometry.batched, geometry.channels_last
        if halve(dy, dtype, *axes, geometry.window, *geometry.steps, geometry.share, dx, threads):
            return dx
    return geometry.average_backward(dy, dtype, threads)


def _array(a, name):
    """(`a` as an array, the name of its dtype)."""
    if type(a) is not np.ndarray:
        a = np.asarray(a)
    return a, _dtype_names.get(a.dtype) or check_dtype(a.dtype, name)


def _image(a, name):
    """(`a` as an array, the name of its dtype), which may be that of an image."""
    a = np.asarray(a)
    dtype = _dtype_names.get(a.dtype) or _image_names.get(a.dtype.newbyteorder("="))
    return (a, dtype) if dtype else _array(a, name)


def _index_dtype(dtype):
    try:
        dtype = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise TypeError(f"index_dtype must be np.int64 or np.int32, not {dtype!r}") from None
    if dtype not in INDEX_DTYPES:
        raise TypeError(f"index_dtype must be int64 or int32, not {dtype.name}")
    return INDEX_DTYPES[dtype]


def _indices(indices):
    """Indices as an aligned array of int32 or int64 in native byte order."""
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, as max_pool returns them; got {indices.dtype}")
    if indices.dtype == np.uint64 and indices.size and indices.max() >= LIMIT:
        raise ValueError(f"indices must lie in the plane of x; got {indices.max()}")
    dtype = np.dtype(np.int32 if indices.dtype.itemsize == 4 and indices.dtype.kind == "i" else np.int64)
    return np.require(indices, dtype, ["A"])


def _outside(indices, extents):
    """The error for indices that lie outside the planes."""
    cells, worst = math.prod(extents), indices.min() if indices.min() < -1 else indices.max()
    return ValueError(f"indices must lie in planes of {cells} cells, from 0 to {cells - 1}; got {worst}")


def _extents(shape, rank, channels_last):
    """The spatial extents in a shape."""
    return (shape[:-1] if channels_last else shape)[-rank:]


def _check_like_result(a, geometry, name):
    if a.shape != geometry.out_shape:
        raise ValueError(f"{name} must have the shape of the forward result, {geometry.out_shape}; got {a.shape}")


def _geometry(x_shape, size, stride, padding, dilation, ceil_mode, layout, count_include_pad=True, divisor=None, name="x"):
    """The Pooling of arguments as users give them, checked; that of equal arguments is remembered."""
    key = size, stride, padding, dilation, ceil_mode, layout, count_include_pad, divisor
    if _HASHABLE.issuperset(map(type, key)):
        return _remembered(x_shape, name, *key)
    # 1.0 == 1 == True are three different arguments: those inside a tuple must be ints, the cache tells others apart
    key = tuple(map(as_tuple, key))
    make = _remembered if all(type(v) in _HASHABLE or _is_ints(v) for v in key) else _remembered.__wrapped__
    return make(x_shape, name, *key)


def _is_ints(value):
    return type(value) is int or (type(value) is tuple and all(map(_is_ints, value)))


@lru_cache(maxsize=CACHED_GEOMETRIES, typed=True)
def _remembered(x_shape, name, size, stride, padding, dilation, ceil_mode, layout, count_include_pad, divisor):
    rank, batched, last = _axes(x_shape, size, layout, name)
    n, rest = (x_shape[0], x_shape[1:]) if batched else (1, x_shape)
    c, x = (rest[-1], rest[:-1]) if last else (rest[0], rest[1:])
    k = per_axis(size, rank, "size", 1)
    stride = k if stride is None else per_axis(stride, rank, "stride", 1)
    dilation = per_axis(dilation, rank, "dilation", 1)
    before, after = resolve_padding(padding, x, k, stride, dilation)
    for option, value in (("ceil_mode", ceil_mode), ("count_include_pad", count_include_pad)):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{option} must be True or False, not {value!r}")
    if divisor is not None and check_int(divisor, "divisor") == 0:
        raise ValueError("divisor must not be 0")
    if divisor is not None and abs(divisor) >= LIMIT:
        raise OverflowError(f"divisor is too large: {divisor}")
    y = tuple(_positions(*axis, bool(ceil_mode)) for axis in zip(x, k, stride, dilation, before, after))
    out_shape = x_shape[:1 if batched else 0] + ((*y, c) if last else (c, *y))
    check_size(x_shape, 8, name)
    check_size(out_shape, 8, "the result")
    three = [*(as_three(values, 1) for values in (x, k, y, stride, dilation)), as_three(before, 0), as_three(after, 0)]
    return Pooling(rank, batched, last, tuple(x_shape), out_shape, n, c, *three, (not count_include_pad, divisor or 0))


def _axes(x_shape, size, layout, name, option="size"):
    """(rank, batched, channels_last) of an array: size (the argument `option`), or layout, says how many
    axes are spatial, or all but two are."""
    rank = len(x_shape) - 2
    if isinstance(size, tuple):
        rank = len(size)
        if rank not in RANKS:
            raise ValueError(f"{option} must be an int or 1 to 3 ints, one per spatial axis; got {size!r}")
    elif isinstance(layout, str) and len(layout) == len(x_shape) + 1 and len(layout) - 2 in RANKS:
        rank = len(layout) - 2
    if rank not in RANKS or len(x_shape) not in (rank + 1, rank + 2):
        axes = f"{rank + 2} axes, or {rank + 1} without a batch" if rank in RANKS else "3 to 5 axes, (n, c, *spatial)"
        raise ValueError(f"{name} must have {axes}; got shape {tuple(x_shape)}")
    return rank, len(x_shape) == rank + 2, channels_axis(layout, rank) == -1


def _positions(x, k, stride, dilation, before, after, ceil_mode):
    """Positions of a window along one axis."""
    reach, padded = dilation * (k - 1) + 1, x + before + after
    if reach + abs(before) + abs(after) + x + stride >= LIMIT:
        raise OverflowError(f"size, dilation {dilation} and padding {before}, {after} reach further than an index can count")
    if padded < reach:
        raise ValueError(f"the window is larger than the padded input: it spans {reach} (size {k}, dilation {dilation}), the "
                         f"input {padded} ({x} with padding {before} and {after})")
    y = (padded - reach + (stride - 1 if ceil_mode else 0)) // stride + 1
    return y - 1 if ceil_mode and (y - 1) * stride >= x + before else y
