/* Checks the pooling kernels of kernels/pool_index.h: the greatest and where it lies. NaN is above all, the
 * first of equals wins, and zeros of either sign are equals: values are compared with their signs, which tell
 * whose they are. */
#include "check.h"
#include <math.h>

enum { ROWS = 9 };

static int wins(double a, double m, int op)
{
    return (op == ND_LEAST ? a < m : a > m) || (a != a && m == m);
}
static int equals(double a, double b) { return same(a, b); }
static int identical(double a, double b) { return a != a ? b != b : a == b && !signbit(a) == !signbit(b); }

/* Positions, as wide as the dtype. */
static ptrdiff_t get_at(const void *at, ptrdiff_t i, ptrdiff_t size)
{
    return size == 4 ? ((const int32_t *)at)[i] : (ptrdiff_t)((const int64_t *)at)[i];
}

static void put_at(void *at, ptrdiff_t i, ptrdiff_t size, ptrdiff_t v)
{
    if (size == 4)
        ((int32_t *)at)[i] = (int32_t)v;
    else
        ((int64_t *)at)[i] = v;
}

static ptrdiff_t no_place(ptrdiff_t size) { return size == 4 ? INT32_MAX : (ptrdiff_t)INT64_MAX; }

static void check_combine(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t count,
                          ptrdiff_t step, int op)
{
    const void *rows[ROWS];
    ptrdiff_t bases[ROWS];
    void *to = numbers(n, dtype), *at = room(n * k->size);
    for (ptrdiff_t r = 0; r < count; r++) {
        rows[r] = sharp_numbers(n, dtype);
        bases[r] = below(100000);
    }
    k->pool_combine_index(to, at, rows, bases, count, n, step, op);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t first = 0;
        for (ptrdiff_t r = 1; r < count; r++)
            if (wins(get(rows[r], i, dtype), get(rows[first], i, dtype), op))
                first = r;
        expect(identical(get(to, i, dtype), get(rows[first], i, dtype)), "pool_combine_index", dtype, count,
               n, (int)step);
        expect(get_at(at, i, k->size) == bases[first] + i * step, "pool_combine_index, place", dtype, count,
               n, (int)step);
    }
    release();
}

static void check_pixels(const struct nd_kernel_set *k, int dtype, struct nd_pool_pixels s)
{
    const ptrdiff_t n = (s.first + (s.windows - 1) * s.sw + (s.kw - 1) * s.dw) * s.pixel + s.channels;
    const void *rows[ROWS];
    ptrdiff_t bases[ROWS];
    void *y = numbers((s.windows - 1) * s.y_pixel + s.channels, dtype), *at = room(s.windows * s.channels * k->size);
    for (ptrdiff_t r = 0; r < s.count; r++) {
        rows[r] = sharp_numbers(n, dtype);
        bases[r] = 50 + r * 1000;
    }
    k->pool_pixels_index(&s, rows, bases, y, at);
    for (ptrdiff_t i = 0; i < s.windows * s.channels; i++) {
        const ptrdiff_t w = i / s.channels, c = i % s.channels;
        double best = 0;
        ptrdiff_t place = -1;
        for (ptrdiff_t t = 0; t < s.count * s.kw; t++) {
            const ptrdiff_t pixel = s.first + w * s.sw + t % s.kw * s.dw;
            const double a = get(rows[t / s.kw], pixel * s.pixel + c, dtype);
            if (place < 0 || wins(a, best, s.op))
                best = a, place = bases[t / s.kw] + pixel;
        }
        expect(identical(get(y, w * s.y_pixel + c, dtype), best), "pool_pixels_index", dtype, s.kw, s.channels, s.op);
        expect(get_at(at, i, k->size) == place, "pool_pixels_index, place", dtype, s.kw, s.channels, s.op);
    }
    release();
}

/* Positions differ as those of a plane do, in no order; some are none, with what never wins. */
static void check_taps(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t count, int op)
{
    const ptrdiff_t whole = whole_vectors(n, k->vl);
    ptrdiff_t taps[ROWS], last = 0;
    for (ptrdiff_t t = 0; t < count; t++) {
        taps[t] = below(2 * n + 3);
        last = taps[t] > last ? taps[t] : last;
    }
    void *y = numbers(n, dtype), *from = sharp_numbers(last + whole, dtype);
    /* positions, unlike y, are written by whole vectors */
    void *y_at = room(whole * k->size), *at = room((last + whole) * k->size);
    for (ptrdiff_t i = 0; i < last + whole; i++) {
        put_at(at, i, k->size, i * 7919 % 1009);
        if (below(8) == 0) {
            put(from, i, dtype, op == ND_LEAST ? INFINITY : -INFINITY);
            put_at(at, i, k->size, no_place(k->size));
        }
    }
    k->pool_taps_index(y, y_at, from, at, taps, count, n, op);
    for (ptrdiff_t j = 0; j < n; j++) {
        ptrdiff_t best = taps[0] + j;
        for (ptrdiff_t t = 1; t < count; t++) {
            const ptrdiff_t i = taps[t] + j;
            const double a = get(from, i, dtype), m = get(from, best, dtype);
            if (wins(a, m, op) || (equals(a, m) && get_at(at, i, k->size) < get_at(at, best, k->size)))
                best = i;
        }
        expect(identical(get(y, j, dtype), get(from, best, dtype)), "pool_taps_index", dtype, count, n, 0);
        expect(get_at(y_at, j, k->size) == get_at(at, best, k->size), "pool_taps_index, place", dtype, count,
               n, 0);
    }
    release();
}

static void check_store(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t size, ptrdiff_t step)
{
    const ptrdiff_t span = (n - 1) * step + 1;
    void *to = room(span * size), *at = room(n * k->size);
    for (ptrdiff_t i = 0; i < n; i++)
        put_at(at, i, k->size, below(4) ? below(1 << 20) : no_place(k->size));
    for (ptrdiff_t i = 0; i < span; i++)
        put_at(to, i, size, -7);
    k->pool_store_index(to, size, step, at, n);
    for (ptrdiff_t i = 0; i < span; i++) {
        const ptrdiff_t place = i % step ? -7 : get_at(at, i / step, k->size);
        expect(get_at(to, i, size) == (place == no_place(k->size) ? -1 : place), "pool_store_index", dtype,
               step, n, (int)size);
    }
    release();
}

/* Two lines of windows of count rows by `columns`, padding before and behind the row, positions of either size. */
static void check_places(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t count, ptrdiff_t columns,
                         ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t size, int op)
{
    const ptrdiff_t dilation = 1 + (n + count) % 2, reach = (columns - 1) * dilation, ow = (n + 2 * pad - reach - 1) / stride + 1;
    if (n + 2 * pad <= reach || ow < 1)
        return;
    const ptrdiff_t step = n + 3, inner = n - 1 - reach + pad, last = inner < 0 ? 0 : inner / stride + 1;
    const ptrdiff_t first = (pad + stride - 1) / stride;
    const struct nd_pool_places s = {count, columns, stride, dilation, pad, n, first, last < ow ? last : ow, ow,
                                     step, ow + 1, ow + 2, 1000, size, op};
    void *from = sharp_numbers(count * step + n, dtype), *y = numbers(2 * ow + 1, dtype), *at = room((2 * ow + 2) * size);
    const void *rows[ROWS];
    ptrdiff_t bases[ROWS];
    for (ptrdiff_t r = 0; r < count; r++) {
        rows[r] = item(from, r * step, dtype);
        bases[r] = 5 + 1000 * r;
    }
    k->pool_rows_index(&s, rows, bases, 2, y, at);
    for (ptrdiff_t i = 0; i < 2 * ow; i++) {
        const ptrdiff_t line = i / ow, j = i % ow;
        double e = op == ND_LEAST ? INFINITY : -INFINITY;
        ptrdiff_t place = -1;
        for (ptrdiff_t t = 0; t < count * columns; t++) {
            const ptrdiff_t column = j * stride - pad + t % columns * dilation, row = t / columns + line;
            const double a = column < 0 || column >= n ? NAN : get(from, row * step + column, dtype);
            if (column >= 0 && column < n && (place < 0 || wins(a, e, op)))
                e = a, place = 5 + 1000 * row + column;
        }
        expect(identical(get(y, line * (ow + 1) + j, dtype), e), "pool_rows_index", dtype, columns * 10 + stride, n, (int)pad);
        expect(get_at(at, line * (ow + 2) + j, size) == place, "pool_rows_index, place", dtype, columns * 10 + stride, n, (int)pad);
    }
    release();
}

/* A box of taps whose last element is the last there is; `backwards`, it is the first. */
static void check_point(const struct nd_kernel_set *k, int dtype, const ptrdiff_t *taps, int op,
                        int backwards)
{
    const ptrdiff_t sign = backwards ? -1 : 1, steps[3] = {31 * sign, 8 * sign, 2 * sign};
    const ptrdiff_t last = ((taps[0] - 1) * 31 + (taps[1] - 1) * 8 + (taps[2] - 1) * 2);
    const void *x = item(sharp_numbers(last + 1, dtype), backwards ? last : 0, dtype);
    ptrdiff_t at = -2, next = 0, first = 0;
    double e = get(x, 0, dtype);
    for (ptrdiff_t a = 0; a < taps[0]; a++)
        for (ptrdiff_t b = 0; b < taps[1]; b++)
            for (ptrdiff_t c = 0; c < taps[2]; c++, next++) {
                const double v = get(x, a * steps[0] + b * steps[1] + c * steps[2], dtype);
                if (next > 0 && op == ND_SUM)
                    e += v;
                else if (next > 0 && wins(v, e, op))
                    e = v, first = next;
            }
    expect(same(k->pool_point(x, taps, steps, op, &at), e), "pool_point", dtype, taps[2], next, op);
    expect(op == ND_SUM || at == first, "pool_point, place", dtype, taps[2], next, op);
    release();
}

/* Positions inside and just outside, the least and the greatest there are, and the same one again and again.
 */
static void check_scatter(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t size,
                          ptrdiff_t step, int how)
{
    const ptrdiff_t cells = 5, period = 1 + n % step, cell = step, span = (cells - 1) * cell + period,
                    least = size == 4 ? INT32_MIN : INT64_MIN;
    void *dx = numbers(span, dtype), *expected = room(span * k->size),
         *dy = numbers((n - 1) * step + 1, dtype);
    int outside = 0;
    void *at = room(((n - 1) * (step + 1) + 1) * size);
    for (ptrdiff_t i = 0; i < span; i++)
        put(expected, i, dtype, get(dx, i, dtype));
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t v = below(cells + 4) - 2;
        const ptrdiff_t place = v == -2 ? least : v == cells + 1 ? no_place(size) : v;
        put_at(at, i * (step + 1), size, place);
        outside |= place < -1 || place >= cells;
        if (how != ND_TAKE && place >= 0 && place < cells)
            put(expected, place * cell + i % period, dtype,
                (how == ND_PUT ? 0 : get(expected, place * cell + i % period, dtype)) + get(dy, i * step, dtype));
    }
    expect(k->pool_scatter(dx, cells, cell, period, dy, step, at, size, step + 1, n, how) == outside, "pool_scatter, outside", dtype,
           step, n, how);
    for (ptrdiff_t i = 0; i < n && how == ND_TAKE; i++) {
        const ptrdiff_t place = get_at(at, i * (step + 1), size);
        expect(get(dy, i * step, dtype) == (place >= 0 && place < cells ? get(dx, place * cell + i % period, dtype) : 0), "pool_scatter, taken",
               dtype, step, n, (int)size);
    }
    for (ptrdiff_t i = 0; i < span; i++)
        expect(get(dx, i, dtype) == get(expected, i, dtype), "pool_scatter", dtype, step, n, (int)size);
    release();
}

void check_pool_index(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n <= 3 * k->vl + 1; n++) {
        for (ptrdiff_t count = 1; count <= 5; count++)
            for (int again = 0; again < 6; again++) {
                check_combine(k, dtype, n, count, again % 3, ND_GREATEST + again / 3);
                check_taps(k, dtype, n, count, ND_GREATEST + again / 3);
            }
        for (int mode = 0; mode < 96; mode++)
            check_places(k, dtype, n, 1 + mode % 3, 1 + (mode + n) % 3, 1 + mode / 3 % 2, mode / 6 % 3, 4 + mode / 18 % 2 * 4,
                         ND_GREATEST + mode / 48);
        for (ptrdiff_t size = 4; size <= 8; size += 4)
            for (ptrdiff_t step = 1; step <= 3; step++) {
                check_store(k, dtype, n, size, step);
                for (int how = ND_ADD_AT; how <= ND_TAKE; how++)
                    check_scatter(k, dtype, n, size, step, how);
            }
    }
    for (ptrdiff_t channels = 1; channels <= 9 * k->vl; channels += 1 + k->vl / 3)
        for (int mode = 0; mode < 24; mode++) {
            const struct nd_pool_pixels s = {.count = 1 + mode % 3, .kw = 1 + mode % 4, .sw = 1 + mode / 4 % 3, .dw = 1 + mode / 3 % 2,
                                             .first = mode % 5, .windows = 1 + mode % 4, .pixel = channels + mode % 2,
                                             .y_pixel = channels + mode % 3, .channels = channels, .op = ND_GREATEST + mode / 12};
            check_pixels(k, dtype, s);
        }
    for (ptrdiff_t i = 0; i < 4 * 4 * 4 * 12; i++) {
        const ptrdiff_t taps[3] = {1 + i % 4, 1 + i / 4 % 4, 1 + i / 16 % 4};
        check_point(k, dtype, taps, (int)(i / 64 % 3), (int)(i / 192 % 2));
    }
}
