/* Checks the kernels of kernels/pool_weigh.h: weighted sums, bins, powers. */
#include "check.h"
#include <math.h>

enum { ROWS = 5 };

static void check_weigh(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t count)
{
    const void *rows[ROWS];
    double weights[ROWS];
    void *to = numbers(n, dtype);
    for (ptrdiff_t r = 0; r < count; r++) {
        rows[r] = numbers(n, dtype);
        weights[r] = value();
    }
    k->pool_weigh(to, rows, weights, count, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        double e = 0;
        for (ptrdiff_t r = 0; r < count; r++)
            e += weights[r] * get(rows[r], i, dtype);
        expect(get(to, i, dtype) == e, "pool_weigh", dtype, count, n, 0);
    }
    release();
}

/* Bins of 0 to `width` cells anywhere in a row of n; what lies behind a bin's weights is not a number. */
static void check_bins(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t width)
{
    ptrdiff_t *first = room(n * (ptrdiff_t)sizeof(ptrdiff_t)), *count = room(n * (ptrdiff_t)sizeof(ptrdiff_t));
    double *weights = room(n * width * (ptrdiff_t)sizeof(double));
    void *to = numbers(n, dtype), *from = numbers(n, dtype);
    for (ptrdiff_t o = 0; o < n; o++) {
        count[o] = below((width < n ? width : n) + 1);
        first[o] = below(n - count[o] + 1);
        for (ptrdiff_t t = 0; t < width; t++)
            weights[o * width + t] = t < count[o] ? value() : NAN;
    }
    k->pool_bins(to, from, n, first, count, weights, width);
    for (ptrdiff_t o = 0; o < n; o++) {
        double e = 0;
        for (ptrdiff_t t = 0; t < count[o]; t++)
            e += weights[o * width + t] * get(from, first[o] + t, dtype);
        expect(get(to, o, dtype) == e, "pool_bins", dtype, width, n, 0);
    }
    release();
}

/* Powers whose results are exact, in place and not. */
static void check_power(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, double p)
{
    void *from = sharp_numbers(n, dtype), *to = numbers(n, dtype);
    for (ptrdiff_t i = 0; i < n && p == 0.5; i++)
        put(from, i, dtype, get(from, i, dtype) * get(from, i, dtype));
    k->pool_power(to, from, n, p);
    for (ptrdiff_t i = 0; i < n; i++)
        expect(same(get(to, i, dtype), pow(fabs(get(from, i, dtype)), p)), "pool_power", dtype, (ptrdiff_t)(2 * p), n, 0);
    k->pool_power(from, from, n, p);
    for (ptrdiff_t i = 0; i < n; i++)
        expect(same(get(to, i, dtype), get(from, i, dtype)), "pool_power in place", dtype, (ptrdiff_t)(2 * p), n, 0);
    release();
}

static void check_scale(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step, double q)
{
    void *to = numbers((n - 1) * step + 1, dtype), *a = numbers(2 * n - 1, dtype), *b = numbers((n - 1) * 3 + 1, dtype);
    put(b, 0, dtype, NAN);
    k->pool_scale(to, step, a, 2, b, 3, n, q);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double v = get(b, 3 * i, dtype), s = get(a, 2 * i, dtype) * (v < 0 ? -1 : 1);
        const double e = v == 0 ? 0 : v != v ? NAN : q < 0 ? s / pow(fabs(v), -q) : s * pow(fabs(v), q);
        expect(same(get(to, i * step, dtype), rounded(e, dtype)), "pool_scale", dtype, step, n, (int)q);
    }
    release();
}

void check_pool_weigh(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n <= 3 * k->vl + 1; n++)
        for (ptrdiff_t count = 1; count <= ROWS; count++) {
            check_weigh(k, dtype, n, count);
            check_bins(k, dtype, n, count);
            check_power(k, dtype, n, count == ROWS ? 0.5 : (double)count);
            check_scale(k, dtype, n, count, (double)(count % 4) - 1);
        }
}
