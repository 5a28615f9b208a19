"""Stages: a gradient with respect to the input as forward problems.

dx[i] = sum over taps t of dy[(i + before - t*dilation) / stride] * w[t], over the taps that divide. For one remainder r of
i = stride*q + r the taps that divide are t = first + j*step, step = stride / gcd(dilation, stride), and each step moves dy
by one `reach` = step*dilation / stride. So each remainder ("phase") is a stride-1 forward convolution of dy with a
sub-kernel, reversed, whose result is written to every stride-th element of dx: no zero is ever inserted or multiplied.
Stride 1 has one phase, the convolution with the rotated kernel.

And where stride and dilation have a common divisor, taps meet every so many elements of x only, of which `thinned` makes a
problem of their own, of less stride and dilation.
"""
import math
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

REMEMBERED = 16     # problems: deciding asks for the stages of one problem by each method


class Stage(NamedTuple):
    """One forward problem on views of the arrays.

    Its output is elements phase + step*i of the result; its weights are taps start + step*j of w, with input and output
    channels exchanged if `transposed`. Tuples have one entry per axis (d, h, w).
    """

    x: tuple
    y: tuple
    k: tuple
    stride: tuple
    dilation: tuple
    before: tuple
    transposed: bool
    w_start: tuple
    w_step: tuple
    y_phase: tuple
    y_step: tuple


class Thinned(NamedTuple):
    """A problem on elements first + step*i of x, or of its gradient, along each axis (d, h, w); no other is met by a tap."""

    problem: object
    first: tuple
    step: tuple


def thinned(problem):
    """The Thinned of a problem: itself, unless stride and dilation have a common divisor.

    Tap t of result i meets x[i*stride + t*dilation - before]. If c divides both, that is x[first + c*j] for
    first = -before modulo c and j = i*stride/c + t*dilation/c - (before + first)/c: a convolution of those elements, with the
    same kernel and the same results.
    """
    if max(problem.stride) == 1 or max(problem.dilation) == 1 or problem.bordered:
        return Thinned(problem, (0, 0, 0), (1, 1, 1))
    return _thin(problem)


@lru_cache(maxsize=REMEMBERED)
def _thin(p):
    axes = [_thin_axis(*axis) for axis in zip(p.x, p.y, p.k, p.stride, p.dilation, p.before, p.after, strict=True)]
    first, step, x, stride, dilation, before, after = zip(*axes, strict=True)
    return Thinned(replace(p, x=x, stride=stride, dilation=dilation, before=before, after=after), first, step)


def _thin_axis(x, y, k, stride, dilation, before, after):
    """(first, step, and of an axis with these elements only: size, stride, dilation, padding before and after)."""
    step = math.gcd(stride, dilation) if k > 1 else 1    # one tap has no dilation, and methods know how to move by its stride
    first = -before % step
    if step == 1 or first >= x:
        return 0, 1, x, stride, dilation, before, after
    size, before, stride, dilation = -(-(x - first) // step), (before + first) // step, stride // step, dilation // step
    return first, step, size, stride, dilation, before, (y - 1) * stride + (k - 1) * dilation + 1 - size - before


@lru_cache(maxsize=REMEMBERED)
def stages_of(problem):
    """The stages of a forward or input-gradient problem; the list is shared, so it stays as it is."""
    if problem.op == "forward":
        return [_forward_stage(problem)]
    return [_phase_stage(problem, axes) for axes in product(*_phases(problem))]


@lru_cache(maxsize=REMEMBERED)
def alike(problem):
    """[(a stage, how many have its extents)] of the stages that have taps: phases differ by little more than their place."""
    if problem.op == "forward":
        return [(stage, 1) for stage in stages_of(problem) if problem.taps]
    groups = []
    for phases in _phases(problem):
        kinds = {}
        for phase in phases:
            if phase[2]:
                kinds.setdefault(phase[1:3], []).append(phase)     # positions, taps
        groups.append(kinds.values())
    return [(_phase_stage(problem, [kind[0] for kind in kinds]), math.prod(map(len, kinds))) for kinds in product(*groups)]


def _phases(problem):
    return [_axis_phases(*axis) for axis in zip(problem.x, problem.k, problem.stride, problem.dilation, problem.before)]


def _reversed_taps(k, start, step):
    return tuple(taps - 1 - s for taps, s in zip(k, start)), tuple(-s for s in step)


def _forward_stage(p):
    start, step = (0, 0, 0), (1, 1, 1)
    if p.flip:
        start, step = _reversed_taps(p.k, start, step)
    return Stage(p.x, p.y, p.k, p.stride, p.dilation, p.before, False, start, step, (0, 0, 0), (1, 1, 1))


@lru_cache(maxsize=REMEMBERED)
def _axis_phases(size, taps, stride, dilation, before):
    """(remainder, positions, taps, last tap, tap step, reach, padding before) of each phase of one axis; the last tap comes
    first, since dy is read forwards.

    Phases that no tap reaches are one entry without taps: a stride far beyond the kernel costs no more than the kernel.
    """
    step = stride // math.gcd(dilation, stride)
    reach = step * dilation // stride
    phases = []
    for first in range(min(step, taps)):
        r = (first * dilation - before) % stride
        if r < size:
            count = -(-(taps - first) // step)
            offset = (r + before - first * dilation) // stride
            last = first + (count - 1) * step
            phases.append((r, -(-(size - r) // stride), count, last, -step, reach, (count - 1) * reach - offset))
    if len(phases) < min(stride, size):
        phases.append((0, 1, 0, 0, -1, 1, 0))
    return sorted(phases)


def _phase_stage(p, axes):
    remainder, positions, taps, start, step, reach, before = zip(*axes)
    if p.flip:
        start, step = _reversed_taps(p.k, start, step)
    return Stage(p.y, positions, taps, (1, 1, 1), reach, before, True, start, step, remainder, p.stride)
