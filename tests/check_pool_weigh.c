/* Checks the kernels of kernels/pool_weigh.h and pool_spread.h: weighted sums, bins, powers, gradients of windows side by
 * side. */
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

/* Two lines of windows of two rows; indices of every kind: inside their windows (`astray` 0), one of them elsewhere, or none
 * given. */
static void check_spread(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t columns, ptrdiff_t size, int astray)
{
    const ptrdiff_t width = n * columns + 3, step = 2 * width, dy_step = n + 1, at_step = n + 2, bases[2] = {40, 40 + width};
    void *dx = numbers(4 * width - 3, dtype), *dy = numbers(dy_step + n, dtype), *at = room((at_step + n) * (size ? size : 8));
    void *rows[2] = {dx, item(dx, width, dtype)};
    ptrdiff_t moving[2] = {bases[0], bases[1]};
    int64_t places[2 * 64];
    for (ptrdiff_t i = 0; i < 2 * n; i++) {
        const ptrdiff_t line = i / n, o = i % n, elsewhere = astray && i == n + n / 2;
        places[i] = bases[below(2)] + line * step + o * columns + below(columns) + (elsewhere ? 1000 : 0);
        if (size == 4)
            ((int32_t *)at)[line * at_step + o] = (int32_t)places[i];
        else
            ((int64_t *)at)[line * at_step + o] = places[i] + (astray == 2 && elsewhere ? (int64_t)1 << 32 : 0);
    }
    const int lost = k->pool_spread(rows, moving, 2, columns, 2, step, dy, dy_step, n, 4, size ? at : NULL, at_step, size);
    expect(lost == (size && astray), "pool_spread, outside", dtype, columns, n, (int)size);
    for (ptrdiff_t i = 0; i < 4 * n * columns && !lost; i++) {
        const ptrdiff_t row = i % 4, j = i / 4, o = j / columns, line = row / 2;
        const double g = get(dy, line * dy_step + o, dtype);
        const double e = !size ? g / 4 : places[line * n + o] == 40 + row * width + j ? g : 0;
        expect(get(dx, row * width + j, dtype) == e, "pool_spread", dtype, columns, n, (int)size);
    }
    release();
}

void check_pool_weigh(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n <= 3 * k->vl + 1; n++)
        for (ptrdiff_t count = 1; count <= ROWS; count++) {
            for (int mode = 0; mode < 9; mode++)
                check_spread(k, dtype, n, count, mode % 3 * 4, mode / 3);
            check_weigh(k, dtype, n, count);
            check_bins(k, dtype, n, count);
            check_power(k, dtype, n, count == ROWS ? 0.5 : (double)count);
            check_scale(k, dtype, n, count, (double)(count % 4) - 1);
        }
}
