# The phases of a transposed problem's strides along an axis, see _phases.pyx and src/ndconv/stages.py.

cimport cython

from ndconv._c cimport ND_NONE, nd_job

# One axis: its phases' reads lie from q + low to q + high.
cdef struct Axis:
    ptrdiff_t s, d, p, k, x, y
    ptrdiff_t phases, most       # remainders, and q of the first of them
    ptrdiff_t step, reach        # taps of a phase are `step` apart, and what they read `reach` apart
    ptrdiff_t low, high

# One phase of one axis: taps first, first + step, ... read x at q + offset, q + offset - reach, ...; q < positions.
cdef struct Phase:
    ptrdiff_t r, first, count, offset, positions

# Taps of a phase: low <= i < high.
cdef struct Live:
    ptrdiff_t low, high

cdef Phase phase_of(const Axis *a, ptrdiff_t r) noexcept nogil
cdef Axis axis_of(ptrdiff_t s, ptrdiff_t d, ptrdiff_t p, ptrdiff_t k, ptrdiff_t x, ptrdiff_t y) noexcept nogil

cdef inline bint leaves_zeros(const nd_job *job) noexcept nogil:
    """Whether a result that no tap reaches is zero."""
    return job.bias == NULL and job.residual.data == NULL and job.activation == ND_NONE

@cython.cdivision(True)
cdef inline Live live_taps(const Phase *f, const Axis *a, ptrdiff_t first, ptrdiff_t last) noexcept nogil:
    """The taps of a phase by which some of first <= q <= last read x and not the zeros around it."""
    cdef Live live
    live.low = 0 if first + f.offset < a.x else min((first + f.offset - a.x) // a.reach + 1, f.count)
    live.high = 0 if last + f.offset < 0 else min((last + f.offset) // a.reach + 1, f.count)
    return live
