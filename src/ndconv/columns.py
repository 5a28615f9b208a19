"""Windows as the columns of a matrix, and back: im2col and col2im."""
import numpy as np

from ndconv._columns import move_columns
from ndconv._runtime import check_threads
from ndconv.arguments import check_out, check_shape, forward_problem
from ndconv.plan import check_dtype
from ndconv.pool import _axes
from ndconv.problem import per_axis


def im2col(x, kernel, *, stride=1, padding=0, dilation=1, layout=None, threads=None, out=None):
    """The windows of an array as columns of a matrix, so that a convolution is a product of matrices.

    ``columns[n, (c, t), i] = x[n, c, i*stride + t*dilation - padding]`` for positions i and taps t, both in row-major order; zero
    in the padding. ``w.reshape(oc, -1) @ im2col(x, w.shape[2:])`` is ``conv(x, w)`` with its positions in one axis; `conv` itself
    never builds the matrix, which has as many elements as x has, times the taps.

    Parameters
    ----------
    x : array, shape (n, c, *spatial), or (c, *spatial) for one image; float32 or float64
        An unbatched x needs a kernel with one int per axis, or a layout, to say which axes are spatial.
    kernel : int or one int per spatial axis
    stride, padding, dilation, layout, threads : as in `conv`
    out : array of the result's shape and dtype to write to

    Returns
    -------
    array, shape (n, c * taps, positions), as torch.nn.functional.unfold has it; without n if x has none. The layout says only
    where the channels of x are.

    Raises
    ------
    ValueError for values, TypeError for kinds, OverflowError for sizes that no index can count, MemoryError.

    References
    ----------
    Chellapilla, Puri and Simard 2006 (convolutions unrolled to products of matrices).

    Examples
    --------
    >>> im2col(np.arange(4.0).reshape(1, 1, 4), 2)[0]
    array([[0., 1., 2.],
           [1., 2., 3.]])
    """
    x = np.asarray(x)
    dtype = check_dtype(x.dtype, "x")
    problem, batched, last, shape = _geometry(x.shape, kernel, dtype, stride, padding, dilation, layout, "x")
    threads = None if threads is None else check_threads(threads, "threads")
    check_out(out, shape, dtype)
    # rows are written whole, to memory that x is not in
    direct = out is not None and out.flags.c_contiguous and out.flags.aligned and not np.may_share_memory(out, x)
    columns = out if direct else np.empty(shape, dtype)
    move_columns(problem, x, columns.reshape(problem.n, *shape[-2:]), batched, last, threads, False)
    if out is None or direct:
        return columns
    out[...] = columns
    return out


def col2im(columns, x_shape, kernel, *, stride=1, padding=0, dilation=1, layout=None, threads=None):
    """The sum of windows where they overlap: the adjoint of `im2col` and its gradient.

    ``x[n, c, j] = sum over i, t with i*stride + t*dilation - padding == j of columns[n, (c, t), i]``.

    columns : array, shape (n, c * taps, positions), or without n if x_shape has none; x_shape : of the result, in the layout. The
    other arguments are those of `im2col`.

    >>> col2im(np.ones((1, 2, 3)), (1, 1, 4), 2)[0, 0]
    array([1., 2., 2., 1.])
    """
    columns = np.asarray(columns)
    dtype, x_shape = check_dtype(columns.dtype, "columns"), check_shape(x_shape, "x_shape")
    problem, batched, last, shape = _geometry(x_shape, kernel, dtype, stride, padding, dilation, layout, "x_shape")
    if columns.shape != shape:
        raise ValueError(f"columns must have shape {shape}, (n, c * taps, positions) of x_shape {x_shape}; got {columns.shape}")
    threads = None if threads is None else check_threads(threads, "threads")
    x = np.zeros(x_shape, dtype)
    columns = np.ascontiguousarray(columns).reshape(problem.n, *shape[-2:])
    move_columns(problem, x, columns, batched, last, threads, True)
    return x


def _geometry(x_shape, kernel, dtype, stride, padding, dilation, layout, name):
    """(Problem, batched, channels_last, shape of the columns)."""
    if isinstance(kernel, list):
        kernel = tuple(kernel)
    rank, batched, last = _axes(x_shape, kernel, layout, name, "kernel")
    k = per_axis(kernel, rank, "kernel", 1)
    c = x_shape[-1] if last else x_shape[int(batched)]
    geometry = dict(stride=stride, dilation=dilation, groups=1, flip=False, layout=layout)
    problem, batched, last = forward_problem(x_shape, (1, c, *k), dtype, padding, geometry)
    return problem, batched, last, (problem.n,) * batched + (c * problem.taps, int(np.prod(problem.y)))
