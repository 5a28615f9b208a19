"""What layers come to, without computing them: receptive fields, shapes, parameters, operations."""
import math

from ndconv.arguments import as_tuple, cached, check_shape, result_shape
from ndconv.plan import cached_problem
from ndconv.problem import per_axis
from ndconv.transpose import _result_of

LAYER = ("kernel", "stride", "dilation")


def receptive_field(layers):
    """How many inputs along an axis one result of a stack of layers looks across, from the first to the last.

    ``r = 1 + sum over layers l of dilation[l] * (kernel[l] - 1) * (product over layers i before l of stride[i])``. Windows of
    pooling count as kernels; whatever else works element by element, such as an activation, adds nothing. Near a border a
    result sees less of the array and some padding instead.

    layers : a sequence, the layer next to the input first; each a tuple (kernel, stride=1, dilation=1) or a dict with these
    names, whose values are ints or one int per spatial axis.
    Returns an int, or where any layer states its axes, a tuple with one int per axis. Raises ValueError and TypeError for bad
    arguments. Source: Araujo, Norris and Sim 2019, Computing Receptive Fields of Convolutional Neural Networks, Distill.

    >>> receptive_field([(3,), (3,), (3,)])                   # three 3x3 layers see as far as one of 7x7
    7
    >>> receptive_field([(3, 1, d) for d in (1, 2, 4, 8)])    # dilations that double
    31
    >>> receptive_field([dict(kernel=(3, 5), stride=2), dict(kernel=2)])
    (5, 7)
    """
    layers = [_layer(layer) for layer in layers]
    ranks = [len(value) for layer in layers for value in layer if isinstance(value, tuple)]
    rank = max(ranks, default=1)
    field, step = [1] * rank, [1] * rank
    for layer in layers:
        axes = zip(*(per_axis(value, rank, name, 1) for name, value in zip(LAYER, layer)))
        for axis, (k, stride, dilation) in enumerate(axes):
            field[axis] += dilation * (k - 1) * step[axis]
            step[axis] *= stride
    return tuple(field) if ranks else field[0]


def _layer(layer):
    """(kernel, stride, dilation) of one entry of `layers`."""
    if isinstance(layer, dict):
        if "kernel" not in layer or not layer.keys() <= set(LAYER):
            raise ValueError(f"a layer takes kernel and, if not 1, stride and dilation; got {layer!r}")
        return tuple(as_tuple(layer.get(name, 1)) for name in LAYER)
    if not isinstance(layer, (tuple, list)) or not 1 <= len(layer) <= len(LAYER):
        raise TypeError(f"a layer must be a tuple (kernel, stride, dilation), stride and dilation 1 if left out, or a dict; "
                        f"got {layer!r}")
    return *map(as_tuple, layer), *(1,) * (len(LAYER) - len(layer))


def output_shape(x_shape, w_shape, *, stride=1, padding=0, dilation=1, groups=1, layout=None, transposed=False,
                 output_padding=0):
    """The shape of what `conv` returns for arrays of these shapes, or where `transposed`, of what `conv_transpose` returns.

    ``y = (x + before + after - dilation*(k - 1) - 1) // stride + 1`` on every spatial axis, and transposed
    ``y = (x - 1)*stride - before - after + dilation*(k - 1) + output_padding + 1``.

    x_shape : (n, ic, *spatial) or (ic, *spatial) in `layout`; w_shape : (oc, ic/groups, *kernel), or where `transposed`
    (ic, oc/groups, *kernel). The other arguments and the errors are those of `conv` and `conv_transpose`. A pooling with
    windows of `size` keeps c channels: ask for w_shape (c, 1, *size), groups=c and its stride.

    >>> output_shape((1, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3)
    (1, 64, 112, 112)
    >>> output_shape((1, 64, 112, 112), (64, 1, 3, 3), stride=2, padding=1, groups=64)    # max_pool(x, 3, ...)
    (1, 64, 56, 56)
    >>> output_shape((1, 64, 56, 56), (64, 32, 2, 2), stride=2, transposed=True)
    (1, 32, 112, 112)
    """
    return _solved(x_shape, w_shape, stride, padding, dilation, groups, layout, transposed, output_padding)[0]


def count_parameters(w_shape, bias=True):
    """How many numbers a layer learns: its weights, and with `bias` one more per output channel, the first axis of w_shape.

    ``oc * ic/groups * (product of the kernel's extents) + oc``. A transposed convolution has its ic first: ask with bias=False
    and add oc.

    >>> count_parameters((64, 3, 7, 7)), count_parameters((64, 3, 7, 7), bias=False)
    (9472, 9408)
    """
    w_shape = check_shape(w_shape, "w_shape")
    if len(w_shape) < 2:
        raise ValueError(f"w_shape must have at least the axes (oc, ic/groups); got {w_shape}")
    return math.prod(w_shape) + (w_shape[0] if bias else 0)


def count_flops(x_shape, w_shape, *, stride=1, padding=0, dilation=1, groups=1, layout=None, transposed=False,
                output_padding=0):
    """Multiplications and additions of a convolution by its definition, without bias.

    ``2 * n * oc * (positions of y) * ic/groups * (taps of a kernel)``, transposed ``2 * n * ic * (positions of x) * oc/groups *
    (taps)``. Half of it are the "MACs", multiply-adds, which other tools count and some of them call FLOPs. Taps that meet
    padding count like others. Methods such as winograd and fft do with fewer. Arguments and errors are those of `output_shape`.

    >>> count_flops((1, 64, 56, 56), (64, 64, 3, 3), padding=1)
    231211008
    >>> 2 * 56*56 * 64 * 64 * 9
    231211008
    """
    return _solved(x_shape, w_shape, stride, padding, dilation, groups, layout, transposed, output_padding)[1].flops


def _solved(x_shape, w_shape, stride, padding, dilation, groups, layout, transposed, output_padding):
    """(shape of the result, Problem) of arguments as users give them; sizes are checked as those of float32 arrays."""
    x_shape, w_shape = check_shape(x_shape, "x_shape"), check_shape(w_shape, "w_shape")
    if not transposed:
        if as_tuple(output_padding) != 0:
            raise ValueError(f"output_padding is for transposed=True; got {output_padding!r}")
        key = x_shape, w_shape, "float32", stride, padding, dilation, groups, False, layout, None
        problem, *axes = cached(cached_problem, "forward", *key)
        return result_shape(problem, *axes), problem
    y_shape, crop = cached(_result_of, x_shape, w_shape, stride, padding, output_padding, None, dilation, groups, layout)
    key = y_shape, w_shape, "float32", stride, crop, dilation, groups, False, layout, None
    return y_shape, cached(cached_problem, "transpose", *key)[0]
