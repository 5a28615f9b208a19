"""Problem: what is asked of a convolution, validated once, frozen and hashable."""
import math
import operator
from dataclasses import dataclass

RANKS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
DTYPES = ("float32", "float64")
OPS = ("forward", "input_grad", "weight_grad", "transpose")
POOL_OPS = ("max_pool", "min_pool", "avg_pool", "max_pool_indices", "min_pool_indices")
# dtypes of images, and those that hold all of their values and sums of many
IMAGE_DTYPES = {"uint8": "float32", "int16": "float32", "int32": "float64"}
PADDING_NAMES = ("valid", "same", "same_upper", "same_lower", "full", "causal")
LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Problem:
    """A convolution in geometry that every part of the library shares.

    Spatial tuples always have three entries (d, h, w); the leading ones of a 1-D or 2-D problem are 1 (0 for padding).
    The geometry is that of the forward convolution, also when `op` asks for a gradient.

    op : "forward" (y from x and w), "input_grad" (dx from dy and w), "transpose" (the same, x called y) or "weight_grad"
        (dw from dy and x); or a pooling, one of POOL_OPS, whose channels are groups and whose kernel is the window
    n, g, ic, oc : images, groups, input and output channels of all groups together
    x, k, y : extents of the input, the kernel and the output
    stride, dilation : in elements
    before, after : padding; negative numbers crop
    flip : whether the kernel is rotated by 180 degrees (the mathematical convolution)
    lanes_oc : whether the memory of the result keeps channels together (NHWC) or pixels (NCHW)
    modes : of padding, one an axis; of an operation that leads back to the input "zeros", or "wrap" where it is periodic too
    fill : the constant of those that are "constant"
    """

    op: str
    dtype: str
    rank: int
    n: int
    g: int
    ic: int
    oc: int
    x: tuple
    k: tuple
    y: tuple
    stride: tuple
    dilation: tuple
    before: tuple
    after: tuple
    flip: bool
    lanes_oc: bool
    modes: tuple = ("zeros", "zeros", "zeros")
    fill: float = 0.0

    @property
    def reversed(self):
        """Whether the operation leads from the forward result back to the input."""
        return self.op in ("input_grad", "transpose")

    @property
    def bordered(self):
        """Whether anything but zeros lies outside x."""
        return self.modes != ("zeros", "zeros", "zeros")

    @property
    def results(self):
        """Channels of a group of what a forward problem or a gradient with respect to the input computes; else those of y."""
        return (self.ic if self.reversed else self.oc) // self.g

    @property
    def taps(self):
        """Number of kernel positions."""
        return math.prod(self.k)

    @property
    def flops(self):
        """Multiplications and additions of a direct evaluation."""
        return 2 * self.n * self.oc * math.prod(self.y) * (self.ic // self.g) * self.taps

    def __str__(self):
        def cross(sizes):
            return "x".join(map(str, sizes[3 - self.rank:]))

        pools = self.op in POOL_OPS
        kernel = f"window {cross(self.k)}" if pools else f"kernel {self.oc}x{self.ic // self.g}x{cross(self.k)}"
        text = f"{self.op} {self.dtype} {self.n}x{self.ic}x{cross(self.x)} {kernel}"
        for name, value, plain in (("stride", self.stride, 1), ("dilation", self.dilation, 1), ("padding", self.before, 0)):
            if any(v != plain for v in value[3 - self.rank:]):
                text += f" {name} {cross(value)}"
        return text + (f" groups {self.g}" if self.g > 1 and not pools else "") + (" channels last" if self.lanes_oc else "") + (
            f" {'/'.join(self.modes[3 - self.rank:])}" if self.bordered else "")


def check_int(value, name):
    """`value` as an int, or a TypeError that names the argument."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None


def per_axis(value, rank, name, least):
    """An int or one int per axis, as a tuple of `rank` ints that are at least `least`."""
    if not isinstance(value, (tuple, list)) and not getattr(value, "ndim", 0):
        values = (check_int(value, name),) * rank
    else:
        values = tuple(check_int(v, name) for v in value)
        if len(values) != rank:
            raise ValueError(f"{name} must be an int or {rank} ints, one per spatial axis; got {len(values)}: {value!r}")
    for v in values:
        if v < least:
            raise ValueError(f"{name} must be at least {least}; got {value!r}")
        if v >= LIMIT:
            raise OverflowError(f"{name} is too large: {v}")
    return values


def resolve_padding(padding, x, k, stride, dilation):
    """The padding argument as (before, after) tuples; x, k, stride and dilation have one entry per axis."""
    rank = len(x)
    span = [d * (taps - 1) for taps, d in zip(k, dilation)]
    if isinstance(padding, str):
        return _named_padding(padding, x, span, stride)
    if not isinstance(padding, (tuple, list)) and not getattr(padding, "ndim", 0):
        padding = (check_int(padding, "padding"),) * rank
    if len(padding) != rank:
        raise ValueError(f"padding must be an int, a name, or {rank} entries, one per spatial axis; "
                         f"got {len(padding)}: {padding!r}")
    before, after = [], []
    for entry in padding:
        pair = entry if isinstance(entry, (tuple, list)) or getattr(entry, "ndim", 0) else (entry, entry)
        if len(pair) != 2:
            raise ValueError(f"padding takes an int or a (before, after) pair per axis; got {entry!r}")
        for side, value in zip((before, after), pair):
            value = check_int(value, "padding")
            if abs(value) >= LIMIT:
                raise OverflowError(f"padding is too large: {value}")
            side.append(value)
    return tuple(before), tuple(after)


def _named_padding(name, x, span, stride):
    if name not in PADDING_NAMES:
        raise ValueError(f"padding must be an int, pairs, or one of {', '.join(PADDING_NAMES)}; got {name!r}")
    if name == "valid":
        return (0,) * len(x), (0,) * len(x)
    if name == "full":
        return tuple(span), tuple(span)
    if name == "causal":
        return tuple(span), (0,) * len(x)
    # same: the output has ceil(x / stride) positions; an odd remainder goes after (upper) or before (lower)
    total = [max((-(-size // s) - 1) * s + reach + 1 - size, 0) for size, reach, s in zip(x, span, stride)]
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (large, small) if name == "same_lower" else (small, large)


def output_extents(x, k, stride, dilation, before, after):
    """(x + before + after - dilation*(k - 1) - 1) // stride + 1 per axis; ValueError where the kernel does not fit."""
    sizes = []
    for axis, (size, taps, s, d, lo, hi) in enumerate(zip(x, k, stride, dilation, before, after)):
        reach, padded = d * (taps - 1) + 1, size + lo + hi
        if padded < reach:
            raise ValueError(f"kernel is larger than the padded input on spatial axis {axis}: the kernel spans {reach} "
                             f"({taps} taps, dilation {d}), the input {padded} ({size} with padding {lo} and {hi})")
        sizes.append((padded - reach) // s + 1)
    return tuple(sizes)


def as_three(values, fill):
    """A tuple of one to three per-axis values, led by `fill` up to three."""
    return (fill,) * (3 - len(values)) + tuple(values)


def check_size(shape, itemsize, name):
    """OverflowError if an array of this shape has more bytes than an index can count."""
    if math.prod(max(s, 1) for s in shape) * itemsize >= 2**63:
        raise OverflowError(f"{name} of shape {tuple(shape)} is too large to index")


def channels_axis(layout, rank):
    """1 for "NCHW"-like layouts, -1 for "NHWC"-like ones; None means channels first."""
    if layout is None:
        return 1
    if not isinstance(layout, str):
        raise TypeError(f"layout must be a string such as {RANKS[rank][0]!r}, not {layout!r}")
    if layout not in RANKS[rank]:
        raise ValueError(f"layout must be {RANKS[rank][0]!r} or {RANKS[rank][1]!r} for {rank} spatial axes; got {layout!r}")
    return 1 if layout == RANKS[rank][0] else -1
