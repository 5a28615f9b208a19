/* check_fft: complex numbers and points for the checks of the Fourier transforms. */
#ifndef ND_CHECK_FFT_H
#define ND_CHECK_FFT_H
#include "check.h"
#include <complex.h>
#include <math.h>

typedef double complex number;

/* Radices and factors for n points, and the frequency that the passes leave at a place. */
void build_axis(struct nd_axis *axis, ptrdiff_t n, int dtype);
ptrdiff_t frequency(const struct nd_axis *axis, ptrdiff_t place);
void check_spectra(const struct nd_kernel_set *k, int dtype);
void check_points(const struct nd_kernel_set *k, int dtype);

/* exp(-2 pi i j / n) */
static inline number turn(ptrdiff_t j, ptrdiff_t n)
{
    return cexp(-2 * I * 3.14159265358979323846 * (double)(j % n) / (double)n);
}

/* Lane l of the point that begins at element i. */
static inline number point(const struct nd_kernel_set *k, const void *z, ptrdiff_t i, ptrdiff_t l, int dtype)
{
    return get(z, i + l, dtype) + I * get(z, i + k->vl + l, dtype);
}

static inline void put_point(const struct nd_kernel_set *k, void *z, ptrdiff_t i, ptrdiff_t l, int dtype,
                             number v)
{
    put(z, i + l, dtype, creal(v));
    put(z, i + k->vl + l, dtype, cimag(v));
}

/* Complex number i of those that follow each other. */
static inline void put_number(void *to, ptrdiff_t i, int dtype, number v)
{
    put(to, 2 * i, dtype, creal(v));
    put(to, 2 * i + 1, dtype, cimag(v));
}

static inline int close_by(number a, number b, double scale, int dtype)
{
    return near(creal(a), creal(b), scale, dtype) && near(cimag(a), cimag(b), scale, dtype);
}
#endif
