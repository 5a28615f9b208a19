"""Shapes, operations and receptive fields that are counted, against arrays that are computed."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import drawn

import ndconv as nd
from ndconv.problem import PADDING_NAMES, RANKS

drawn = settings(drawn, max_examples=50)


def per_axis(draw, rank, values):
    """One number for all axes, or one an axis."""
    return draw(values | st.tuples(*[values] * rank))


@st.composite
def layers_at_work(draw):
    """(shape of x, shape of w, the arguments of conv)."""
    rank = draw(st.sampled_from(sorted(RANKS)))
    groups, layout = draw(st.integers(1, 3)), draw(st.sampled_from((None, *RANKS[rank])))
    ic, oc = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    size = [draw(st.integers(1, 6)) for _ in range(rank)]
    w = (oc, ic // groups, *(draw(st.integers(1, 3)) for _ in range(rank)))
    n = draw(st.sampled_from(((), (1,), (2,))))
    padding = draw(st.sampled_from(PADDING_NAMES) | st.integers(-1, 3)
                   | st.tuples(*[st.integers(0, 3) | st.tuples(st.integers(-1, 3), st.integers(-1, 3))] * rank))
    options = dict(stride=per_axis(draw, rank, st.integers(1, 3)), padding=padding, groups=groups, layout=layout,
                   dilation=per_axis(draw, rank, st.integers(1, 2)))
    return (*n, *((*size, ic) if layout == RANKS[rank][1] else (ic, *size))), w, options


def result_or_error(function, *arguments, **options):
    """(type and text of the error, None) or (None, result)."""
    try:
        return None, function(*arguments, **options)
    except (ValueError, TypeError, OverflowError) as error:
        return (type(error), str(error)), None


@drawn
@given(layers_at_work())
def test_output_shape_is_that_of_the_result(case):
    x_shape, w_shape, options = case
    error, y = result_or_error(nd.conv, np.ones(x_shape), np.ones(w_shape), **options)
    assert result_or_error(nd.output_shape, x_shape, w_shape, **options) == (error, None if y is None else y.shape)


@drawn
@given(layers_at_work(), st.integers(0, 2))
def test_transposed_output_shape_is_that_of_the_result(case, output_padding):
    x_shape, w_shape, options = case
    w_shape = (w_shape[1] * options["groups"], w_shape[0] // options["groups"], *w_shape[2:])
    options |= dict(output_padding=output_padding)
    error, y = result_or_error(nd.conv_transpose, np.ones(x_shape), np.ones(w_shape), **options)
    counted = result_or_error(nd.output_shape, x_shape, w_shape, transposed=True, **options)
    assert counted == (error, None if y is None else y.shape)


@drawn
@given(layers_at_work())
def test_flops_are_the_products_of_ones(case):
    """A convolution of ones adds up 1 for each product."""
    x_shape, w_shape, options = case
    del options["padding"]
    if result_or_error(nd.output_shape, x_shape, w_shape, **options)[0] is None:
        assert 2 * nd.conv(np.ones(x_shape), np.ones(w_shape), accuracy="strict", **options).sum() == nd.count_flops(
            x_shape, w_shape, **options)
    w_shape = (w_shape[1] * options["groups"], w_shape[0] // options["groups"], *w_shape[2:])
    assert 2 * nd.conv_transpose(np.ones(x_shape), np.ones(w_shape), accuracy="strict", **options).sum() == nd.count_flops(
        x_shape, w_shape, transposed=True, **options)


def test_padding_counts_as_operations():
    """A tap that meets padding counts as if the array were larger by it."""
    w_shape = 3, 2, 3, 3
    assert nd.count_flops((1, 2, 5, 5), w_shape, padding=1) == nd.count_flops((1, 2, 7, 7), w_shape) == 2 * 25 * 2 * 3 * 9


sizes = st.integers(1, 3)
stacks = st.lists(st.tuples(*[st.tuples(sizes, sizes)] * 3), min_size=1, max_size=3)


@settings(drawn, max_examples=25)
@given(stacks)
def test_receptive_field_is_the_reach_of_a_gradient(layers):
    """The gradient of one result by the input of a stack of convolutions of ones is not zero at both ends of the field."""
    field = nd.receptive_field(layers)
    shapes = [(1, 1, *(size + 2 for size in field))]
    options = [dict(stride=stride, dilation=dilation) for _, stride, dilation in layers]
    for (kernel, _, _), option in zip(layers, options):
        shapes.append(nd.output_shape(shapes[-1], (1, 1, *kernel), **option))
    dy = np.zeros(shapes.pop())
    dy[0, 0, 0, 0] = 1
    for (kernel, _, _), option, shape in zip(layers[::-1], options[::-1], shapes[::-1]):
        dy = nd.conv_input_grad(dy, np.ones((1, 1, *kernel)), shape, accuracy="strict", **option)
    assert tuple(int(seen.max()) + 1 for seen in np.nonzero(dy[0, 0])) == field and dy[0, 0, 0, 0] > 0


@pytest.mark.parametrize("layers, field", [
    ([], 1), ([(1,)], 1), ([[11, 4], [3, 2], (5,)], 51), ([dict(kernel=3, dilation=4), {"kernel": 2, "stride": 2}], 10),
    ([(np.array([3, 2]), np.int64(2)), (2,)], (5, 4)), ([((3, 1, 2),)], (3, 1, 2))], ids=repr)
def test_receptive_fields_by_hand(layers, field):
    assert nd.receptive_field(layers) == field


@pytest.mark.parametrize("layers, error, says", [
    ([3], TypeError, r"a layer must be a tuple \(kernel, stride, dilation\).*got 3"),
    ([()], TypeError, "a layer must be a tuple"),
    ([(3, 1, 1, 1)], TypeError, "a layer must be a tuple"),
    ([dict(size=3)], ValueError, "a layer takes kernel and, if not 1, stride and dilation"),
    ([dict(kernel=3, padding=1)], ValueError, "a layer takes kernel"),
    ([(3, 0)], ValueError, "stride must be at least 1; got 0"),
    ([(3.0,)], TypeError, "kernel must be an integer, not 3.0"),
    ([((3, 3), 2), (3, 1, (1, 1, 2))], ValueError, "one per spatial axis"),
], ids=repr)
def test_what_receptive_field_refuses(layers, error, says):
    with pytest.raises(error, match=says):
        nd.receptive_field(layers)


@pytest.mark.parametrize("bias", (True, False))
@pytest.mark.parametrize("w_shape", ((5, 3), (64, 3, 7, 7), (8, 1, 3), (4, 2, 2, 2, 3)), ids=str)
def test_parameters_are_the_elements_of_the_arrays(w_shape, bias):
    assert nd.count_parameters(w_shape, bias) == np.ones(w_shape).size + (w_shape[0] if bias else 0)
    assert nd.count_parameters(list(w_shape), bias) == math.prod(w_shape) + bias * w_shape[0]


@pytest.mark.parametrize("call, error, says", [
    (lambda: nd.count_parameters(9), TypeError, "w_shape must be a tuple of ints"),
    (lambda: nd.count_parameters((9,)), ValueError, r"at least the axes \(oc, ic/groups\)"),
    (lambda: nd.output_shape(5, (1, 1, 3)), TypeError, "x_shape must be a tuple of ints"),
    (lambda: nd.output_shape((1, 1, 5), (1, 1, 3), output_padding=1), ValueError, "output_padding is for transposed=True; got 1"),
    (lambda: nd.count_flops((1, 2, 5), (1, 1, 3)), ValueError, "x has 2 channels"),
], ids=("parameters of an int", "parameters of a vector", "shape of an int", "output_padding", "channels"))
def test_what_counting_refuses(call, error, says):
    with pytest.raises(error, match=says):
        call()
