# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The gradient by what lies around an array, added to the cells that it repeats (ndconv/border.py)."""
from ndconv._arrays cimport Axes, array_of, axes_of, open_input, open_output
from ndconv._c cimport ND_F32, ND_F64, nd_array, nd_kernel_set
from ndconv._runtime cimport current_kernels

from cpython.buffer cimport PyBuffer_Release
from libc.string cimport memset


cdef struct Fold:
    const nd_kernel_set *k
    nd_array dx, gradient
    ptrdiff_t n, c

cdef void add_row(const Fold *f, char *to, const char *part, const ptrdiff_t[:, ::1] runs) noexcept nogil:
    """A row of the gradient, along channels if those are next to each other."""
    cdef ptrdiff_t i, j, c, size = f.k.size, g = f.gradient.w, step = f.dx.w
    for i in range(runs.shape[0]):
        if f.gradient.c == 1 and f.dx.c == 1:
            for j in range(runs[i, 2]):
                f.k.add(to + size * (runs[i, 1] + j) * step, 1, part + size * (runs[i, 0] + j) * g, f.c)
            continue
        for c in range(f.c):
            if g == 1:
                f.k.add(to + size * (c * f.dx.c + runs[i, 1] * step), step, part + size * (c * f.gradient.c + runs[i, 0]), runs[i, 2])
                continue
            for j in range(runs[i, 2]):
                f.k.add(to + size * (c * f.dx.c + (runs[i, 1] + j) * step), 1,
                        part + size * (c * f.gradient.c + (runs[i, 0] + j) * g), 1)


def add_folded(dx, gradient, str dtype, int rank, bint batched, bint channels_last, tuple runs):
    """dx[..., cell + i, ...] += gradient[..., place + i, ...] for i < length, for each row (place, cell, length) of `runs`, an
    array an axis (d, h, w)."""
    cdef Py_buffer xb, gb
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef Fold f
    cdef ptrdiff_t n, i, j, d, h, size
    cdef const ptrdiff_t[:, ::1] depths = runs[0], rows = runs[1], columns = runs[2]
    memset(&xb, 0, sizeof(Py_buffer))
    gradient = open_input(gradient, "gradient", dtype, &gb)
    try:
        open_output(dx, dx.shape, dtype, &xb)
        f.k = current_kernels().set[ND_F32 if dtype == "float32" else ND_F64]
        f.dx, f.gradient = array_of(&xb, &axes), array_of(&gb, &axes)
        f.n, f.c, size = xb.shape[axes.n] if axes.n >= 0 else 1, xb.shape[axes.c], f.k.size
        with nogil:
            for n in range(f.n):
                for i in range(depths.shape[0]):
                    for d in range(depths[i, 2]):
                        for j in range(rows.shape[0]):
                            for h in range(rows[j, 2]):
                                add_row(&f, f.dx.data + size * (n * f.dx.n + (depths[i, 1] + d) * f.dx.d + (rows[j, 1] + h) * f.dx.h),
                                        f.gradient.data + size * (n * f.gradient.n + (depths[i, 0] + d) * f.gradient.d
                                                                  + (rows[j, 0] + h) * f.gradient.h), columns)
    finally:
        PyBuffer_Release(&xb)
        PyBuffer_Release(&gb)
