"""Padding by name against padding by number, and the Problem itself."""
import dataclasses
import itertools
import math

import numpy as np
import pytest
from cases import THINNED, Conv, draw

import ndconv as nd
from ndconv import reference
from ndconv.plan import make_problem
from ndconv.problem import PADDING_NAMES, RANKS
from ndconv.stages import thinned

# Per rank: extents, taps, stride and dilation of each axis.
GEOMETRIES = [
    *(((size,), (k,), (s,), (d,)) for size, k, s, d in itertools.product((5, 8), (1, 2, 3, 6), (1, 2, 3), (1, 2))),
    ((7, 9), (3, 2), (2, 1), (1, 3)),
    ((6, 11), (4, 5), (3, 2), (2, 1)),
    ((1, 1), (3, 3), (1, 2), (1, 1)),
    ((4, 5, 6), (2, 3, 4), (1, 2, 3), (2, 1, 1)),
]


def by_number(name, size, kernel, stride, dilation):
    """The (before, after) pairs that a name stands for, from what each name promises about the output."""
    pads = []
    for i, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        span = d * (k - 1)
        total = max(0, (-(-i // s) - 1) * s + span + 1 - i)  # the least that gives ceil(i / s) outputs
        pads.append({"valid": (0, 0), "full": (span, span), "causal": (span, 0), "same": (total // 2, total - total // 2),
                     "same_upper": (total // 2, total - total // 2), "same_lower": (total - total // 2, total // 2)}[name])
    return pads


@pytest.mark.parametrize("name", PADDING_NAMES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_padding_by_name(name, geometry):
    size, kernel, stride, dilation = geometry
    options = dict(stride=stride, dilation=dilation)
    x, w = draw("x", (2, 3, *size), "float64", True), draw("w", (4, 3, *kernel), "float64", True)
    if name == "valid" and any(i < d * (k - 1) + 1 for i, k, _, d in zip(*geometry, strict=True)):
        with pytest.raises(ValueError, match="larger than the padded input"):
            nd.conv(x, w, padding=name, **options)
        return
    pads, exact = by_number(name, *geometry), dict(options, padding=name, accuracy="strict")
    y = nd.conv(x, w, **exact)
    np.testing.assert_array_equal(y, reference.conv(x, w, pads=pads, **options))
    if name.startswith("same"):
        assert y.shape[2:] == tuple(-(-i // s) for i, s in zip(size, stride, strict=True))
    np.testing.assert_array_equal(nd.conv_input_grad(y, w, x.shape, **exact),
                                  reference.conv_input_grad(y, w, x.shape, pads=pads, **options))
    np.testing.assert_array_equal(nd.conv_weight_grad(y, x, w.shape, **exact),
                                  reference.conv_weight_grad(y, x, w.shape, pads=pads, **options))


def test_an_odd_remainder_goes_after_or_before():
    """TensorFlow's and ONNX's rule, by hand."""
    x, w = np.arange(1.0, 6).reshape(1, 1, 5), np.ones((1, 1, 2))
    for name, want in (("same", [3, 5, 7, 9, 5]), ("same_upper", [3, 5, 7, 9, 5]), ("same_lower", [1, 3, 5, 7, 9]),
                       ("causal", [1, 3, 5, 7, 9]), ("valid", [3, 5, 7, 9]), ("full", [1, 3, 5, 7, 9, 5])):
        np.testing.assert_array_equal(nd.conv(x, w, padding=name)[0, 0], want, name)


@pytest.mark.parametrize("padding", (2, (2, 2), ((2, 2), (2, 2)), [2, (2, 2)], np.array([2, 2]), np.int64(2)), ids=repr)
def test_every_way_to_say_two_all_around(padding):
    x, w = draw("x", (1, 2, 5, 6), "float64", True), draw("w", (3, 2, 3, 3), "float64", True)
    np.testing.assert_array_equal(nd.conv(x, w, padding=padding), reference.conv(x, w, pads=[(2, 2), (2, 2)]))


@pytest.mark.parametrize("pair", ((-3, 4), (4, -3), (-9, 12), (12, -9), (-5, -1), (-6, 3)), ids=str)
def test_cropping_may_meet_padding(pair):
    """What is cropped away stays away, also when the other side is padded by more."""
    x, w = draw("x", (1, 2, 7), "float64", True), draw("w", (3, 2, 1), "float64", True)
    want = reference.conv(x, w, pads=[pair])
    for method in nd.methods(x.shape, w.shape, dtype="float64", padding=(pair,)):
        y = nd.conv(x, w, padding=(pair,), method=method)
        assert y.shape == want.shape and (np.abs(y - want) < 0.25).all(), method
        dx = nd.conv_input_grad(y, w, x.shape, padding=(pair,))
        assert (np.abs(dx - reference.conv_input_grad(y, w, x.shape, pads=[pair])) < 1).all()


@pytest.mark.parametrize("rank", RANKS)
def test_problem_is_a_frozen_key(rank):
    x_shape, w = (2, 4, *range(6, 6 + rank)), draw("w", (6, 2, *[3] * rank), "float32")
    one, same = (nd.plan_conv(x_shape, w, groups=2, padding=1).problem for _ in range(2))
    other = nd.plan_conv(x_shape, w, groups=2, padding=0).problem
    assert one == same and hash(one) == hash(same) and one != other
    assert (one.n, one.g, one.ic, one.oc, one.rank, one.dtype) == (2, 2, 4, 6, rank, "float32")
    assert one.taps == 3**rank and one.flops == 2 * 2 * 6 * np.prod(x_shape[2:]) * 2 * one.taps
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.n = 3
    for word in ("float32", "groups 2", "padding 1", "kernel"):
        assert word in str(one)


@pytest.mark.parametrize("case", (*THINNED, Conv("seen-by-nothing", 1, 3, 4, (1, 9), (2, 3), 4, ((3, 2), (1, 4)), 4)),
                         ids=lambda c: c.name)
def test_thinned_problem_is_the_same_convolution(case):
    problem, _, _ = make_problem("forward", case.x_shape(), case.w_shape, "float64", case.stride, case.padding, case.dilation,
                                 case.groups, case.flip, None)
    thin, first, step = thinned(problem)
    assert math.prod(thin.stride) < math.prod(problem.stride)
    axes = slice(3 - case.rank, None)
    x, w, _, _ = case.arrays("float64", True)
    seen = x[(..., *(slice(f, None, s) for f, s in zip(first[axes], step[axes], strict=True)))]
    assert seen.shape[2:] == thin.x[axes]
    pads = list(zip(thin.before[axes], thin.after[axes], strict=True))
    y = reference.conv(seen, w, stride=thin.stride[axes], pads=pads, dilation=thin.dilation[axes], groups=case.groups,
                       flip=case.flip)
    np.testing.assert_array_equal(y, reference.conv(x, w, **case.normalised))
