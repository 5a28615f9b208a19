"""Activation: the `activation` argument of a convolution, checked and put into the numbers that the kernels take."""
import math

import numpy as np

from ndconv._plan import ACTIVATIONS

LEAKY_SLOPE = 0.01


def resolve_activation(activation):
    """(number of enum nd_activation, low, high) of a name or a (name, numbers...) tuple; None for none.

    >>> resolve_activation(("clip", 0, 6))[1:]
    (0.0, 6.0)
    """
    if activation is None:
        return None
    name, numbers = activation, ()
    if isinstance(activation, (tuple, list)) and activation:
        name, *numbers = activation
    if not isinstance(name, str) or name not in ACTIVATIONS:
        kind = ValueError if isinstance(name, str) else TypeError
        raise kind(f"activation must be one of {', '.join(ACTIVATIONS)}, a tuple such as ('clip', 0, 6), or None; "
                   f"got {activation!r}")
    if name == "clip" and len(numbers) != 2:
        raise ValueError(f"activation 'clip' takes its bounds: ('clip', low, high); got {activation!r}")
    if len(numbers) > {"clip": 2, "leaky_relu": 1}.get(name, 0):
        raise ValueError(f"activation {name!r} takes {'one number, its slope' if name == 'leaky_relu' else 'no numbers'}; "
                         f"got {activation!r}")
    try:
        numbers = [number.__float__() for number in numbers]
    except (AttributeError, TypeError):
        raise TypeError(f"activation {name!r} takes numbers after its name; got {activation!r}") from None
    if any(map(math.isnan, numbers)) or numbers != sorted(numbers):
        raise ValueError(f"activation {name!r} takes numbers in rising order, and no NaN; got {activation!r}")
    if name == "leaky_relu":
        numbers = numbers or [LEAKY_SLOPE]
    return ACTIVATIONS[name], *(numbers + [0.0, 0.0])[:2]


def finished(conv, y, channels, rank, **options):
    """y with what comes after the sum (bias, residual, activation) by one pass, a convolution with ones."""
    return conv(y, np.ones((channels, 1) + (1,) * rank, y.dtype), groups=channels, **options)
