/* Checks the kernels of kernels/pool_values.h, windows without their places, and pool_halves of kernels/pool_spread.h, by their
 * definitions. NaN is above all. */
#include "check.h"
#include <math.h>

static double both(double a, double m, int op)
{
    return op == ND_SUM ? m + a : (op == ND_LEAST ? a < m : a > m) || a != a ? a : m;
}

static double none(int op)
{
    return op == ND_SUM ? 0 : op == ND_LEAST ? INFINITY : -INFINITY;
}

/* What put() makes of it: the least or the greatest integer of infinities. */
static double stored(double e, int dtype)
{
    const double most = dtype == ND_U8 ? 255 : dtype == ND_I16 ? 32767 : 2147483647;
    return dtype == ND_F32 || dtype == ND_F64 ? e : e > most ? most : e < -most - 1 ? (dtype == ND_U8 ? 0 : -most - 1) : e;
}

/* The second of three planes if there are others around, and lines that reach beyond the plane by `out` on either side. */
static void check_lines(const struct nd_kernel_set *k, int dtype, struct nd_pool_lines s, ptrdiff_t gap, int alone, ptrdiff_t out)
{
    s.row = s.iw + gap, s.ow = s.iw + 2 * out + 1 - s.k, s.lines = s.ih + 2 * out + 1 - s.k, s.top = s.left = -out;
    s.y_row = s.ow + (gap ? 3 : 0);
    if (s.ow < 1 || s.lines < 1 || !k->pool_lines(&s, NULL, NULL))
        return;
    const ptrdiff_t plane = (s.ih - 1) * s.row + s.iw, size = k->size, wide = (s.ow + k->vl - 1) / k->vl * k->vl;
    s.before = s.after = alone ? 0 : plane;
    const char *x = (char *)(s.op == ND_SUM ? numbers(plane + 2 * s.before, dtype) : sharp_numbers(plane + 2 * s.before, dtype))
                    + s.before * size;
    void *y = numbers((s.lines - 1) * s.y_row + s.ow, dtype), *was = room(((s.lines - 1) * s.y_row + s.ow) * size);
    for (ptrdiff_t i = 0; i < (s.lines - 1) * s.y_row + s.ow; i++)
        put(was, i, dtype, get(y, i, dtype));
    s.shares = numbers(wide, dtype);
    k->pool_lines(&s, x, y);
    for (ptrdiff_t i = 0; i < (s.lines - 1) * s.y_row + s.ow; i++) {
        const ptrdiff_t line = i / s.y_row, j = i % s.y_row;
        double e = none(s.op);
        for (ptrdiff_t t = 0; t < s.k * s.k; t++) {
            const ptrdiff_t h = s.top + line + t / s.k, w = s.left + j + t % s.k;
            if (h >= 0 && h < s.ih && w >= 0 && w < s.iw)
                e = both(get(x, h * s.row + w, dtype), e, s.op);
        }
        if (s.op == ND_SUM && j < s.ow)
            e *= get(s.shares, j, dtype);
        e = j < s.ow ? stored(e, dtype) : get(was, i, dtype);
        expect(same(get(y, i, dtype), e), "pool_lines", dtype, s.k, s.iw, s.op);
    }
    release();
}

static void check_pixels(const struct nd_kernel_set *k, int dtype, struct nd_pool_pixels s)
{
    const ptrdiff_t n = (s.first + (s.windows - 1) * s.sw + (s.kw - 1) * s.dw) * s.pixel + s.channels;
    const ptrdiff_t size = (s.windows - 1) * s.y_pixel + s.channels;
    const void *rows[3];
    const int shared = s.dw == 1 && s.channels >= k->vl && (s.kw == 3 ? s.sw == 1 : s.kw == 2 && s.sw == 2 && s.op != ND_LEAST);
    expect(k->pool_pixels(&s, NULL, NULL) == shared, "pool_pixels, shared", dtype, s.kw * 10 + s.sw, s.channels, s.op);
    void *y = numbers(size, dtype);
    for (ptrdiff_t r = 0; r < s.count; r++)
        rows[r] = s.op == ND_SUM ? numbers(n, dtype) : sharp_numbers(n, dtype);
    k->pool_pixels(&s, rows, y);
    for (ptrdiff_t i = 0; i < size; i++) {
        const ptrdiff_t w = i / s.y_pixel, c = i % s.y_pixel;
        double e = none(s.op);
        for (ptrdiff_t t = 0; t < s.count * s.kw; t++)
            if (c < s.channels)
                e = both(get(rows[t / s.kw], (s.first + w * s.sw + t % s.kw * s.dw) * s.pixel + c, dtype), e, s.op);
        if (c < s.channels)
            expect(same(get(y, i, dtype), s.op == ND_SUM ? e * s.share : e), "pool_pixels", dtype, s.kw * 10 + s.sw, s.channels,
                   s.op);
    }
    release();
}

static void check_halves(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t evens, ptrdiff_t odds)
{
    const ptrdiff_t wide = ((n + 1) / 2 + k->vl - 1) / k->vl * k->vl;
    void *to = numbers(n, dtype), *even = numbers(wide + evens, dtype), *odd = numbers(wide + odds, dtype);
    k->pool_halves(to, n, even, evens, odd, odds);
    for (ptrdiff_t i = 0; i < n; i++) {
        double e = 0;
        for (ptrdiff_t t = 0; t < (i % 2 ? odds : evens); t++)
            e += get(i % 2 ? odd : even, i / 2 + t, dtype);
        expect(get(to, i, dtype) == e, "pool_halves", dtype, evens * 10 + odds, n, 0);
    }
    release();
}

void check_pool_values(const struct nd_kernel_set *k, int dtype)
{
    const int sums = dtype == ND_F32 || dtype == ND_F64;
    int turn = 0;
    for (int op = sums ? ND_SUM : ND_GREATEST; op <= ND_LEAST; op++)
        for (ptrdiff_t size = 2; size <= 7; size++) {
            for (ptrdiff_t iw = 1; iw <= 3 * k->vl + 2; iw += iw > 40 ? 7 : 1, turn++) {
                const struct nd_pool_lines s = {.k = size, .ih = 1 + turn % 9, .iw = iw, .op = op};
                check_lines(k, dtype, s, turn % 3 == 0 ? 2 : 0, turn % 2, turn % (size + 2));
            }
            for (ptrdiff_t channels = 1; channels <= 9 * k->vl; channels += 1 + k->vl / 3, turn++) {
                const struct nd_pool_pixels s = {.count = 1 + turn % 3, .kw = size,
                                                 .sw = turn % 2 ? 1 + turn % 3 : size == 2 ? 2 : 1,
                                                 .dw = turn % 5 ? 1 : 2, .first = turn % 4,
                                                 .windows = 1 + turn % 5, .pixel = channels + turn % 2,
                                                 .y_pixel = channels + turn % 3, .channels = channels, .op = op, .share = 0.5};
                check_pixels(k, dtype, s);
            }
        }
    if (sums)
        for (ptrdiff_t n = 1; n <= 5 * k->vl; n++)
            for (ptrdiff_t evens = 0; evens <= 3; evens++) {
                check_halves(k, dtype, n, evens, evens + 1);
                check_halves(k, dtype, n, evens + 1, evens);
            }
}
