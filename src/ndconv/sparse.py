"""A convolution as a matrix: built (scipy.sparse), or only applied (scipy.sparse.linalg.LinearOperator)."""
import numpy as np

from ndconv import border
from ndconv.arguments import check_shape, forward_problem
from ndconv.gradient import conv_input_grad
from ndconv.plan import check_dtype
from ndconv.prepare import plan_conv


def conv_matrix(w, x_shape, *, stride=1, padding=0, padding_mode="zeros", dilation=1, groups=1, flip=False, layout=None):
    """The matrix C of a convolution, ``conv(x, w, …).ravel() == C @ x.ravel()``; its transpose is the transposed convolution.

    Row (n, o, i), column (n, c, i*stride + t*dilation - padding) holds w[o, c, t]: a Toeplitz matrix in one dimension, doubly
    block-Toeplitz in two. Taps in the padding have no entry, those of another padding_mode have that of the element they see.

    Parameters
    ----------
    w : array, shape (oc, ic/groups, *kernel); float32 or float64
    x_shape : (n, ic, *spatial), or (ic, *spatial) for one image, in the layout
    stride, padding, padding_mode, dilation, groups, flip, layout : as in `conv`; a constant is 0

    Returns
    -------
    scipy.sparse.csr_array, shape (size of the result, size of x), with sorted indices. It has up to oc * ic/groups * taps *
    positions entries an image: for anything but looking at it or solving with it directly see `conv_operator`.

    Raises
    ------
    ImportError without SciPy (extra `sparse`), ValueError for values, TypeError for kinds.

    References
    ----------
    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, section 4.1.

    Examples
    --------
    >>> C = conv_matrix(np.array([[[1.0, 2.0]]]), (1, 4))
    >>> C.toarray()
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    >>> (C.T @ np.ones(3)).tolist()
    [1.0, 3.0, 3.0, 2.0]
    """
    sparse = _scipy_sparse("conv_matrix")
    w = np.asarray(w)
    geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
    p, _, last = forward_problem(check_shape(x_shape, "x_shape"), w.shape, check_dtype(w.dtype, "w"), padding, geometry)
    at, real = _taps(p, border.check_modes(padding_mode, p.rank, 0))
    pixels, taps = at.shape
    icg, ocg, cells = p.ic // p.g, p.oc // p.g, int(np.prod(p.x))
    w = w[(..., *(slice(None, None, -1),) * p.rank)] if flip else w
    # entries of a row in the order (c, tap), as far as they are real; the rows of a group's output channels have the same columns
    channel = np.arange(icg)[:, None]
    inside = np.broadcast_to(real[:, None, :], (pixels, icg, taps))
    first = (at[:, None, :] * p.ic + channel if last else channel * cells + at[:, None, :])[inside]
    column = first + np.arange(p.g)[:, None] * icg * (1 if last else cells)
    column = np.broadcast_to(column[:, None], (p.g, ocg, first.size))
    data = np.broadcast_to(w.reshape(p.oc, 1, icg, taps), (p.oc, pixels, icg, taps))[:, inside]
    ends = np.concatenate(([0], np.cumsum(np.tile(real.sum(1) * icg, p.oc))))
    matrix = sparse.csr_array((data.astype(p.dtype).ravel(), column.ravel(), ends), (p.oc * pixels, p.ic * cells))
    if last:
        matrix = matrix[np.arange(p.oc * pixels).reshape(p.oc, pixels).T.ravel()]
    matrix.sum_duplicates()
    return matrix if p.n == 1 else sparse.csr_array(sparse.kron(sparse.eye_array(p.n), matrix, "csr"), dtype=p.dtype)


def conv_operator(w, x_shape, *, stride=1, padding=0, padding_mode="zeros", dilation=1, groups=1, flip=False, layout=None,
                  method="auto", accuracy="fast", workspace_limit=None, threads=None):
    """A convolution as a linear operator for iterative solvers (deblurring by `scipy.sparse.linalg.lsqr`, say).

    ``A @ x.ravel()`` is ``conv(x, w, …).ravel()`` by a plan with prepared weights, ``A.T @ y.ravel()`` is
    ``conv_input_grad(y, w, …).ravel()``. Arguments are those of `conv`; x_shape is that of x, w is copied.

    Returns a scipy.sparse.linalg.LinearOperator of the dtype of w. ImportError without SciPy (extra `sparse`).

    >>> A = conv_operator(np.array([[[1.0, 2.0]]]), (1, 4))
    >>> A.matvec(np.arange(4.0)).tolist(), A.rmatvec(np.ones(3)).tolist()
    ([2.0, 5.0, 8.0], [1.0, 3.0, 3.0, 2.0])
    """
    _scipy_sparse("conv_operator")
    from scipy.sparse.linalg import LinearOperator
    w, x_shape = np.array(w), check_shape(x_shape, "x_shape")
    options = dict(stride=stride, padding=padding, padding_mode=padding_mode, dilation=dilation, groups=groups, flip=flip,
                   layout=layout, method=method, accuracy=accuracy, workspace_limit=workspace_limit, threads=threads)
    plan = plan_conv(x_shape, w, **options)

    def apply(x):
        return plan(x.reshape(x_shape).astype(w.dtype, copy=False)).ravel()

    def apply_transposed(y):
        return conv_input_grad(y.reshape(plan.out_shape).astype(w.dtype, copy=False), w, x_shape, **options).ravel()

    shape = tuple(int(np.prod(s)) for s in (plan.out_shape, x_shape))
    return LinearOperator(shape, matvec=apply, rmatvec=apply_transposed, dtype=w.dtype)


def _taps(p, modes):
    """(element of a plane that a tap sees, whether there is one), each of shape (positions, taps)."""
    at, real = np.zeros((1, 1), np.intp), np.ones((1, 1), bool)
    axes = zip(p.x, p.k, p.y, p.stride, p.dilation, p.before, ("zeros",) * (3 - p.rank) + modes)
    for size, k, y, stride, dilation, before, mode in axes:
        i = np.arange(y)[:, None] * stride + np.arange(k) * dilation
        if mode == "zeros":
            i -= before
        else:
            i = border.index_map(mode, size, -before, int(i.max()) + 1)[i]
        inside = (i >= 0) & (i < size)
        at = (at[:, None, :, None] * size + np.where(inside, i, 0)[None, :, None, :]).reshape(len(at) * y, -1)
        real = (real[:, None, :, None] & inside[None, :, None, :]).reshape(at.shape)
    return at, real


def _scipy_sparse(name):
    try:
        from scipy import sparse
    except ImportError:
        raise ImportError(f"{name} needs SciPy, which is not installed: pip install 'ndconv[sparse]'") from None
    return sparse
