# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The phases of a transposed problem's strides along an axis: the results s*q + r of one remainder r, and the taps they see."""
from ndconv._pack cimport ceil_div

cdef ptrdiff_t gcd(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a

cdef Phase phase_of(const Axis *a, ptrdiff_t r) noexcept nogil:
    cdef Phase f
    cdef ptrdiff_t t = 0
    f.r, f.first, f.count, f.offset = r, 0, 0, 0
    f.positions = ceil_div(a.y - r, a.s)
    while t < min(a.step, a.k):
        if (r + a.p - t * a.d) % a.s == 0:
            f.first, f.count, f.offset = t, ceil_div(a.k - t, a.step), (r + a.p - t * a.d) // a.s
            return f
        t += 1
    return f

cdef Axis axis_of(ptrdiff_t s, ptrdiff_t d, ptrdiff_t p, ptrdiff_t k, ptrdiff_t x, ptrdiff_t y) noexcept nogil:
    cdef Axis a
    cdef Phase f
    cdef ptrdiff_t r
    a.s, a.d, a.p, a.k, a.x, a.y = s, d, p, k, x, y
    a.step = s // gcd(d, s)
    a.reach = a.step * d // s
    a.phases, a.most = min(s, y), ceil_div(y, s)
    a.low, a.high = 0, 0
    for r in range(a.phases):
        f = phase_of(&a, r)
        if f.count > 0:
            a.low, a.high = min(a.low, f.offset - (f.count - 1) * a.reach), max(a.high, f.offset)
    return a
