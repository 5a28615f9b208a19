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

from ndconv._convert import join, split
from ndconv.dtypes import name_of
from ndconv.gradient import conv_weight_grad
from ndconv.slabs import SlabPlan, native, slabs_of, solve, workspace_for
from ndconv.slabs import problems_of as problems_on_slabs

PARTS = {"complex64": "float32", "complex128": "float64", "float32": "float32", "float64": "float64"}
WHOLE = {"float32": "complex64", "float64": "complex128"}


class ComplexPlan(SlabPlan):
    input_parts = result_parts = 3

    def __init__(self, op, x_shape, w_shape, geometry, lanes, options, activation, dtype, source_dtype):
        if activation is not None:
            raise TypeError(f"activation={activation!r} is of real numbers; leave it out for {dtype}")
        self.part = PARTS[dtype]
        super().__init__(op, x_shape, w_shape, geometry, lanes, options, None, dtype, source_dtype)

    def weights(self, w, bias):
        """(kernels, biases): (c, d - c, -(c + d)) of w = c + di where x is complex too, (c, d) where not, or the real w."""
        biases = (None, None) if bias is None else tuple(map(np.ascontiguousarray, (bias.real, bias.imag)))
        if w.dtype.kind != "c":
            return (w,), biases
        c, d = w.real, -w.imag if self.problem.op == "input_grad" else w.imag
        return ((c, d) if self.source_dtype == self.part else (c, d - c, -(c + d))), biases

    def solve(self, plan, weights, x, residual, y, space):
        kernels, biases = weights
        re, im = space.like(y, self.part), space.like(y, self.part)
        if len(kernels) == 3:
            a, b, total = parts_of(x, self.part, space, self.threads, True)
            first = solve(plan, total, kernels[0], None, None, space.like(y, self.part))
            solve(plan, b, kernels[2], biases[0], first, re)
            solve(plan, a, kernels[1], biases[1], first, im)
        elif len(kernels) == 2:
            for kernel, bias, out in zip(kernels, biases, (re, im)):
                solve(plan, x, kernel, bias, None, out)
        else:
            for part, bias, out in zip(parts_of(x, self.part, space, self.threads), biases, (re, im)):
                solve(plan, part, kernels[0], bias, None, out)
        join(y, re, im, self.threads)
        if residual is not None:
            y += residual


def parts_of(x, part, space, threads, with_sum=False):
    """Real and imaginary parts of x and, if asked for, their sum, in memory of the same order."""
    parts = [space.like(x, part) for _ in range(2 + with_sum)]
    split(*parts[:2], parts[2] if with_sum else None, x, threads)
    return parts


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
    part, threads = PARTS[problem.dtype], options["threads"]
    size = np.dtype(part).itemsize
    space = workspace_for(problem, part, 3, 3)
    for slab in slabs_of(problem, 3 * size, 3 * size):
        p, a = native(slab.result(dy, batched, last)), native(slab.input(x, batched, last))
        space.clear()

        def real(left, right, padding=slab.padding):
            return conv_weight_grad(left, right, w_shape, padding=padding, **options)

        if p.dtype.kind != "c":
            a, b = parts_of(a, part, space, threads)
            re, im = real(p, a), -real(p, b)
        elif a.dtype.kind != "c":
            p, q = parts_of(p, part, space, threads)
            re, im = real(p, a), real(q, a)
        else:
            (p, q, p_q), (a, b, a_b) = parts_of(p, part, space, threads, True), parts_of(a, part, space, threads, True)
            first = real(p_q, a)
            re, im = first - real(q, np.subtract(a, b, out=b)), first - real(p, a_b)
        total.real += re
        total.imag += im
    return total


explained_dtype = name_of


def problems_of(problem):
    return problems_on_slabs(problem, PARTS[problem.dtype], 3, 3)


def bias_grad(dy, axes):
    return dy.sum(axes, dtype=np.complex128).astype(dy.dtype)
