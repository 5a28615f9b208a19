/* check: what the files of the kernel check share: values, memory whose bounds are watched, and the count of
 * failures.
 *
 * Values are small integers, so sums are exact and the comparison is equality; only the Fourier transforms
 * are compared within a tolerance. Memory from room() ends where a page begins that may not be touched, and
 * the bytes before it are known: a kernel that goes a single element too far is stopped or reported. */
#ifndef ND_CHECK_H
#define ND_CHECK_H
#include "kernels.h"
#include <stddef.h>

/* An integer from -8 to 7, and any of 0 .. n-1. */
double value(void);
ptrdiff_t below(ptrdiff_t n);

/* Zeroed memory up to the next release(), which reports what was written in front of it. */
void *room(ptrdiff_t bytes);
void release(void);
/* The same with n elements: values; values with NaN, infinities, zeros of both signs and many ties. */
void *numbers(ptrdiff_t n, int dtype);
void *sharp_numbers(ptrdiff_t n, int dtype);

void expect(int ok, const char *kernel, int dtype, ptrdiff_t m, ptrdiff_t n, int mode);
int count_failures(void);

void check_finish(const struct nd_kernel_set *k, int dtype);
void check_depthwise(const struct nd_kernel_set *k, int dtype);
void check_depthwise_point(const struct nd_kernel_set *k, int dtype);
void check_fft(const struct nd_kernel_set *k, int dtype);
void check_fft_rows(const struct nd_kernel_set *k, int dtype);
void check_separable(const struct nd_kernel_set *k, int dtype);
void check_tap_sums(const struct nd_kernel_set *k, int dtype);
void check_local(const struct nd_kernel_set *k, int dtype);
void check_image(const struct nd_kernel_set *k, int dtype);
void check_winograd(const struct nd_kernel_set *k, int dtype);
void check_pool(const struct nd_kernel_set *k, int dtype);
void check_pool_integers(const struct nd_kernel_set *k, int dtype);
void check_pool_index(const struct nd_kernel_set *k, int dtype);
void check_pool_walk(const struct nd_kernel_set *k, int dtype);
void check_pool_values(const struct nd_kernel_set *k, int dtype);
void check_pool_weigh(const struct nd_kernel_set *k, int dtype);
void check_pool_route(const struct nd_kernel_set *k, int dtype);
void check_pool_turn(const struct nd_kernel_set *k, int dtype);
void check_half(const struct nd_kernel_set *k);
void check_complex(const struct nd_kernel_set *k, int dtype);
void check_pairs(const struct nd_kernel_set *k, int dtype);
void check_products(const struct nd_kernel_set *k, int dtype);

static inline ptrdiff_t size_of(int dtype)
{
    return dtype == ND_F64 ? 8 : dtype == ND_I16 ? 2 : dtype == ND_U8 ? 1 : 4;
}

static inline double get(const void *p, ptrdiff_t i, int dtype)
{
    switch (dtype) {
    case ND_F32:
        return ((const float *)p)[i];
    case ND_F64:
        return ((const double *)p)[i];
    case ND_U8:
        return ((const uint8_t *)p)[i];
    case ND_I16:
        return ((const int16_t *)p)[i];
    default:
        return ((const int32_t *)p)[i];
    }
}

/* Integers have the nearest, for NaN zero. */
static inline void put(void *p, ptrdiff_t i, int dtype, double v)
{
    const double half = dtype == ND_I16 ? 32768 : 2147483648;
    const double least = dtype == ND_U8 ? 0 : -half, most = dtype == ND_U8 ? 255 : half - 1;
    const double inside = v != v ? 0 : v < least ? least : v > most ? most : v;
    switch (dtype) {
    case ND_F32:
        ((float *)p)[i] = (float)v;
        break;
    case ND_F64:
        ((double *)p)[i] = v;
        break;
    case ND_U8:
        ((uint8_t *)p)[i] = (uint8_t)inside;
        break;
    case ND_I16:
        ((int16_t *)p)[i] = (int16_t)inside;
        break;
    default:
        ((int32_t *)p)[i] = (int32_t)inside;
    }
}

/* Element i, as a pointer. */
static inline void *item(const void *p, ptrdiff_t i, int dtype) { return (char *)p + i * size_of(dtype); }

/* As the dtype rounds it. */
static inline double rounded(double v, int dtype) { return dtype == ND_F32 ? (double)(float)v : v; }

/* Equal, or NaN both. */
static inline int same(double a, double b) { return a == b || (a != a && b != b); }

/* Equal to the precision that a transform keeps, where numbers are as large as `scale`. */
static inline int near(double a, double b, double scale, int dtype)
{
    const double most = (dtype == ND_F32 ? 1e-4 : 1e-12) * scale;
    return a - b <= most && b - a <= most;
}

static inline ptrdiff_t whole_vectors(ptrdiff_t n, ptrdiff_t vl) { return (n + vl - 1) / vl * vl; }
#endif
