"""complex64 and complex128 by three real convolutions, or two where one operand is real.

With x = a + bi and w = c + di (Gauss's product, as in Knuth, The Art of Computer Programming, volume 2, 4.6.4):

    t  = (a + b) * c
    im = t + a * (d - c)          t is added as a residual
    re = t - b * (c + d)

Any method computes the three, a slab at a time (ndconv/slabs.py): a, b and a + b are the slab's parts, c, d - c and c + d are
made once a call. With |.| of both parts, each part of the result has an error of at most about twice that of a direct
evaluation, relative to the sum of |x||w| and not to itself: a part that is small beside the other loses digits to it.
A real x gives x*c and x*d, a real w gives a*w and b*w, without that loss. NaN and infinities reach exactly the windows that
hold them, both parts of those results; an infinity may arrive as NaN, as it may in any complex product.

Gradients follow PyTorch's convention, the conjugate Wirtinger derivative of a real loss: dx = dy * conj(w), dw = dy * conj(x),
and of a real operand the real part.
"""
import numpy as np

from ndconv.dtypes import name_of
from ndconv.gradient import conv_weight_grad
from ndconv.slabs import SlabPlan, slabs_of, solve
from ndconv.slabs import problems_of as problems_on_slabs

PARTS = {"complex64": "float32", "complex128": "float64", "float32": "float32", "float64": "float64"}
WHOLE = {"float32": "complex64", "float64": "complex128"}


class ComplexPlan(SlabPlan):
    input_parts, result_parts = 3, 4

    def __init__(self, op, x_shape, w_shape, geometry, lanes, options, activation, dtype, source_dtype):
        if activation is not None:
            raise TypeError(f"activation={activation!r} is of real numbers; leave it out for {dtype}")
        self.part = PARTS[dtype]
        super().__init__(op, x_shape, w_shape, geometry, lanes, options, None, dtype, source_dtype)

    def begin(self, w, bias):
        if self.problem.op == "input_grad" and w.dtype.kind == "c":
            w = w.conj()
        b_re, b_im = (None, None) if bias is None else map(np.ascontiguousarray, (bias.real, bias.imag))
        real_x = self.source_dtype == self.part
        parts = parts_of(w, self.part, not real_x)

        def run(plan, x, residual):
            if real_x:
                sums = [solve(plan, x, part, b) for part, b in zip(parts, (b_re, b_im))]
            elif len(parts) == 1:
                sums = [solve(plan, part, parts[0], b) for part, b in zip(planes(x, self.part), (b_re, b_im))]
            else:
                a, b = planes(x, self.part)
                first = solve(plan, a + b, parts[0], None)
                sums = [solve(plan, b, parts[2], b_re, first), solve(plan, a, parts[1], b_im, first)]
            return together(*sums, residual)

        return run


def planes(x, part):
    """Real and imaginary parts, as arrays of their own in memory of the same order."""
    return x.real.astype(part), x.imag.astype(part)


def parts_of(w, part, both):
    """(c, d - c, -(c + d)) of w = c + di for a product of two complex numbers, (c, d) for one with a real number, or (w,)."""
    if w.dtype.kind != "c":
        return (w,)
    c, d = planes(w, part)
    return (c, d - c, -(c + d)) if both else (c, d)


def together(re, im, residual=None):
    """re + im*i in memory of the same order."""
    y = np.empty_like(re, dtype=WHOLE[name_of(re.dtype)])
    y.real, y.imag = re, im
    if residual is not None:
        y += residual
    return y


def result_dtype(first, second, names=("x", "w"), accumulate=None):
    """The name of the complex dtype whose parts both arrays have."""
    parts = [PARTS.get(name_of(dtype)) for dtype in (first, second)]
    if parts[0] != parts[1]:
        wanted = f"{WHOLE[parts[0]]} or {parts[0]}" if parts[0] else "float32 or float64"
        raise TypeError(f"{names[1]} must be {wanted} beside {names[0]} of {name_of(first)}; got {name_of(second)}")
    if accumulate is not None:
        raise TypeError(f"accumulate is for integers; got it with {name_of(first)}")
    return WHOLE[parts[0]]


def make_plan(op, x_shape, w_shape, x_dtype, w_dtype, geometry, lanes, options, activation, accumulate):
    dtype = result_dtype(x_dtype, w_dtype, ("dy" if op == "input_grad" else "x", "w"), accumulate)
    return ComplexPlan(op, x_shape, w_shape, geometry, lanes, options, activation, dtype, name_of(x_dtype))


def weight_grad(problem, dy, x, batched, last, w_shape, options):
    """dw = dy * conj(x), summed over slabs."""
    total = np.zeros(w_shape, problem.dtype)
    part = PARTS[problem.dtype]
    size = np.dtype(part).itemsize
    for slab in slabs_of(problem, 3 * size, 3 * size):
        p, a = slab.result(dy, batched, last), slab.input(x, batched, last)

        def real(left, right, padding=slab.padding):
            return conv_weight_grad(left, right, w_shape, padding=padding, **options)

        if p.dtype.kind != "c":
            a, b = planes(a, part)
            total += together(real(p, a), -real(p, b))
        elif a.dtype.kind != "c":
            p, q = planes(p, part)
            total += together(real(p, a), real(q, a))
        else:
            (p, q), (a, b) = planes(p, part), planes(a, part)
            first = real(p + q, a)
            total += together(first - real(q, a - b), first - real(p, a + b))
    return total


def problems_of(problem):
    return problems_on_slabs(problem, PARTS[problem.dtype], 3, 4)


def bias_grad(dy, axes):
    return dy.sum(axes, dtype=np.complex128).astype(dy.dtype)
