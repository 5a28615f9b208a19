/* Checks the pooling kernels of kernels/pool.h: the greatest, NaN above all, and sums. */
#include "check.h"
#include <math.h>

enum { ROWS = 9 };

/* The greatest or least of a and m, NaN above all, or their sum. */
static double both(double m, double a, int op)
{
    if (op == ND_SUM)
        return m + a;
    return m != m || a != a ? NAN : (op == ND_LEAST ? a < m : a > m) ? a : m;
}

static void check_combine(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t count, int op,
                          double divisor)
{
    const void *rows[ROWS];
    void *to = numbers(n, dtype);
    for (ptrdiff_t r = 0; r < count; r++)
        rows[r] = sharp_numbers(n, dtype);
    k->pool_combine(to, rows, count, n, op, divisor, n % 3);
    for (ptrdiff_t i = 0; i < n; i++) {
        double e = get(rows[0], i, dtype);
        for (ptrdiff_t r = 1; r < count; r++)
            e = both(e, get(rows[r], i, dtype), op);
        e = divisor ? rounded(e * rounded(1 / divisor, dtype), dtype) : e;
        expect(same(get(to, i, dtype), e), "pool_combine", dtype, count, n, op);
    }
    release();
}

static void check_split(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t split, ptrdiff_t at)
{
    const ptrdiff_t phase = (at + n) / split + 2, last = at + n - 1;
    /* the phases of the last elements end last */
    ptrdiff_t end = 0;
    for (ptrdiff_t i = n > split ? last - split + 1 : at; i <= last; i++)
        if (i % split * phase + i / split > end)
            end = i % split * phase + i / split;
    void *to = numbers(end + 1, dtype), *was = room((end + 1) * k->size), *from = sharp_numbers(n, dtype);
    for (ptrdiff_t i = 0; i <= end; i++)
        put(was, i, dtype, get(to, i, dtype));
    for (ptrdiff_t i = 0; i < n; i++)
        put(was, (at + i) % split * phase + (at + i) / split, dtype, get(from, i, dtype));
    k->pool_split(to, phase, split, at, from, n);
    for (ptrdiff_t i = 0; i <= end; i++)
        expect(same(get(to, i, dtype), get(was, i, dtype)), "pool_split", dtype, split, n, (int)at);
    release();
}

static void check_taps(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t count, int op,
                       int divide)
{
    const ptrdiff_t whole = whole_vectors(n, k->vl);
    ptrdiff_t taps[ROWS], last = 0;
    for (ptrdiff_t t = 0; t < count; t++) {
        taps[t] = below(2 * n + 3);
        last = taps[t] > last ? taps[t] : last;
    }
    void *y = numbers(n, dtype), *from = sharp_numbers(last + whole, dtype), *cells = numbers(whole, dtype);
    void *shares = numbers(whole, dtype);
    for (ptrdiff_t j = 0; j < whole; j++)
        put(cells, j, dtype, (double)(1 + below(9)));
    if (divide)
        k->pool_shares(shares, cells, n, 3);
    k->pool_taps(y, from, taps, count, n, op, divide ? shares : NULL);
    for (ptrdiff_t j = 0; j < n; j++) {
        double e = get(from, taps[0] + j, dtype);
        for (ptrdiff_t t = 1; t < count; t++)
            e = both(e, get(from, taps[t] + j, dtype), op);
        e = divide ? rounded(e * rounded(1 / (get(cells, j, dtype) * 3), dtype), dtype) : e;
        expect(same(get(y, j, dtype), e), "pool_taps", dtype, count, n, op * 2 + divide);
    }
    release();
}

static void check_window(const struct nd_kernel_set *k, int dtype, ptrdiff_t windows, ptrdiff_t taps,
                         ptrdiff_t unit, int op)
{
    const ptrdiff_t n = windows + (taps - 1) * unit;
    void *b = sharp_numbers(n + k->vl, dtype), *spare = sharp_numbers(n + k->vl, dtype),
         *was = room(n * k->size);
    for (ptrdiff_t i = 0; i < n; i++)
        put(was, i, dtype, get(b, i, dtype));
    /* what lies beyond is in no window */
    for (ptrdiff_t i = n; i < n + k->vl; i++)
        put(b, i, dtype, NAN);
    const void *r = k->pool_window(b, spare, n, taps, unit, op);
    expect(r == b || r == spare, "pool_window, place", dtype, taps, windows, op);
    for (ptrdiff_t i = 0; i < windows; i++) {
        double e = get(was, i, dtype);
        for (ptrdiff_t t = 1; t < taps; t++)
            e = both(e, get(was, i + t * unit, dtype), op);
        expect(same(get(r, i, dtype), e), "pool_window", dtype, taps, windows, (int)unit * 3 + op);
    }
    release();
}

static void check_slide(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, int op)
{
    void *to = numbers(n, dtype), *next = numbers(n, dtype), *p = sharp_numbers(n, dtype), *x = sharp_numbers(n, dtype),
         *s = sharp_numbers(n, dtype);
    k->pool_slide(to, next, p, x, s, n, op);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double e = both(get(p, i, dtype), get(x, i, dtype), op);
        expect(same(get(next, i, dtype), e), "pool_slide, next", dtype, 0, n, op);
        expect(same(get(to, i, dtype), both(get(s, i, dtype), e, op)), "pool_slide", dtype, 0, n, op);
    }
    release();
}

static void check_store(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t to_step,
                        ptrdiff_t step, ptrdiff_t cells_step)
{
    void *to = numbers((n - 1) * to_step + 1, dtype), *from = sharp_numbers((n - 1) * step + 1, dtype);
    void *cells = numbers((n - 1) * cells_step + 1, dtype), *was = numbers((n - 1) * to_step + 1, dtype);
    for (ptrdiff_t j = 0; j < n; j++)
        put(cells, j * cells_step, dtype, (double)(1 + below(9)));
    for (ptrdiff_t j = 0; j <= (n - 1) * to_step; j++)
        put(was, j, dtype, get(to, j, dtype));
    for (ptrdiff_t j = 0; j < n; j++)
        put(was, j * to_step, dtype, get(from, j * step, dtype) / (get(cells, j * cells_step, dtype) * 5));
    k->pool_store(to, to_step, from, step, n, cells, cells_step, 5);
    for (ptrdiff_t j = 0; j <= (n - 1) * to_step; j++)
        expect(same(get(to, j, dtype), get(was, j, dtype)), "pool_store", dtype, step, n,
               (int)(to_step * 4 + cells_step));
    release();
}

static void check_fill(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    static const double fill[] = {-INFINITY, 0, -0.0, 7, NAN};
    void *to = numbers(n, dtype);
    for (int v = 0; v < 5; v++) {
        k->pool_fill(to, n, fill[v]);
        for (ptrdiff_t i = 0; i < n; i++)
            expect(same(get(to, i, dtype), fill[v]) && !signbit(get(to, i, dtype)) == !signbit(fill[v]),
                   "pool_fill", dtype, v, n, 0);
    }
    release();
}

static void check_integer_fill(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    static const double fill[] = {-INFINITY, 0, 7, INFINITY};
    void *to = numbers(n, dtype), *e = room(k->size);
    for (int v = 0; v < 4; v++) {
        k->pool_fill(to, n, fill[v]);
        put(e, 0, dtype, fill[v]);
        for (ptrdiff_t i = 0; i < n; i++)
            expect(get(to, i, dtype) == get(e, 0, dtype), "pool_fill", dtype, v, n, 0);
    }
    release();
}

static void expect_top(const struct nd_kernel_set *k, int dtype, const void *from, ptrdiff_t n,
                       ptrdiff_t step, int op)
{
    ptrdiff_t at = -1, first = 0;
    for (ptrdiff_t i = 1; i < n; i++) {
        const double m = get(from, first * step, dtype), a = get(from, i * step, dtype);
        if ((op == ND_LEAST ? a < m : a > m) || (a != a && m == m))
            first = i;
    }
    const double e = get(from, first * step, dtype);
    expect(same(k->pool_top(from, n, step, op, &at), e) && at == first, "pool_top", dtype, step, n, op);
    expect(same(k->pool_top(from, n, step, op, NULL), e), "pool_top, no place", dtype, step, n, op);
}

/* Ties and NaN anywhere; then NaN at every single place, and the greatest (least) there. */
static void check_top(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step, int op)
{
    for (int i = 0; i < 4; i++)
        expect_top(k, dtype, sharp_numbers((n - 1) * step + 1, dtype), n, step, op);
    void *from = numbers((n - 1) * step + 1, dtype);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double was = get(from, i * step, dtype);
        put(from, i * step, dtype, NAN);
        expect_top(k, dtype, from, n, step, op);
        put(from, i * step, dtype, op == ND_LEAST ? -9 : 9);
        expect_top(k, dtype, from, n, step, op);
        put(from, i * step, dtype, was);
    }
    release();
}

/* Two lines of windows of 3 x 3 in a buffer whose first `at` elements are padding of zeros. */
static void check_rows(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t split, ptrdiff_t at, int op)
{
    const ptrdiff_t phase = whole_vectors((at + n) / split + 3, k->vl) + k->vl, ow = (at + n - 3) / split + 1, step = n + 1;
    const ptrdiff_t taps[3] = {0, split == 2 ? phase : 1, split == 2 ? 1 : 2};
    struct nd_pool_rows s = {3, n, at, split, phase, taps, 3, ow, step, ow + 2, op, NULL};
    if (at + n < 3)
        return;
    void *from = sharp_numbers(4 * step, dtype), *buffer = room(split * phase * k->size), *y = numbers(2 * ow + 2, dtype);
    const void *rows[3] = {from, item(from, step, dtype), item(from, 2 * step, dtype)};
    k->pool_rows(&s, rows, 2, buffer, y);
    for (ptrdiff_t i = 0; i < 2 * ow; i++) {
        double e = 0;
        for (ptrdiff_t t = 0; t < 9; t++) {
            const ptrdiff_t column = i % ow * split + t / 3 - at, row = i / ow + t % 3;
            const double a = column < 0 ? 0 : get(from, row * step + column, dtype);
            /* columns of sums first, as the kernel adds them: the zeros of padding count once a column */
            e = t == 0 ? a : both(e, a, op);
        }
        expect(same(get(y, i / ow * (ow + 2) + i % ow, dtype), e), "pool_rows", dtype, split, n, (int)at);
    }
    release();
}

/* Windows of two rows and two columns side by side, some elements left over. */
static void check_two(const struct nd_kernel_set *k, int dtype, ptrdiff_t ow, ptrdiff_t rest, int op, int divide)
{
    const ptrdiff_t n = 2 * ow + rest, phase = n + k->vl, taps[2] = {0, phase};
    void *from = sharp_numbers(4 * n, dtype), *buffer = room(2 * phase * k->size), *y = numbers(2 * ow, dtype);
    void *shares = numbers(ow + k->vl, dtype);
    struct nd_pool_rows s = {2, n, 0, 2, phase, taps, 2, ow, 2 * n, ow, op, divide ? shares : NULL};
    const void *rows[2] = {from, item(from, n, dtype)};
    k->pool_rows(&s, rows, 2, buffer, y);
    for (ptrdiff_t i = 0; i < 2 * ow; i++) {
        const ptrdiff_t at = i / ow * 2 * n + i % ow * 2;
        const double left = both(get(from, at, dtype), get(from, at + n, dtype), op);
        const double right = both(get(from, at + 1, dtype), get(from, at + n + 1, dtype), op);
        const double e = both(left, right, op) * (divide ? get(shares, i % ow, dtype) : 1);
        expect(same(get(y, i, dtype), e), "pool_rows, two", dtype, ow, rest, op);
    }
    release();
}

static void check_sum(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step)
{
    void *from = numbers((n - 1) * step + 1, dtype);
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += get(from, i * step, dtype);
    expect(k->pool_sum(from, n, step) == sum, "pool_sum", dtype, step, n, 0);
    release();
}

static void check_means(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t planes)
{
    const ptrdiff_t step = n + planes % 3;
    void *from = numbers((planes - 1) * step + n, dtype), *to = numbers(planes, dtype);
    k->pool_means(to, from, planes, step, n);
    for (ptrdiff_t i = 0; i < planes; i++) {
        double sum = 0;
        for (ptrdiff_t j = 0; j < n; j++)
            sum += get(from, i * step + j, dtype);
        expect(get(to, i, dtype) == rounded(sum / (double)n, dtype), "pool_means", dtype, planes, n, 0);
    }
    release();
}

static void check_size(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    for (ptrdiff_t count = 1; count <= 5; count++)
        for (int again = 0; again < 3; again++) {
            check_combine(k, dtype, n, count, ND_GREATEST, 0);
            check_combine(k, dtype, n, count, ND_LEAST, 0);
            check_combine(k, dtype, n, count, ND_SUM, 3 * again);
            check_taps(k, dtype, n, count, ND_GREATEST, 0);
            check_taps(k, dtype, n, count, ND_LEAST, 0);
            check_taps(k, dtype, n, count, ND_SUM, again % 2);
        }
    for (ptrdiff_t split = 1; split <= 4; split++)
        for (ptrdiff_t at = 0; at <= 3; at++)
            check_split(k, dtype, n, split, at);
    for (ptrdiff_t taps = 1; taps <= 17; taps++)
        for (ptrdiff_t unit = 1; unit <= 7; unit += 2)
            for (int op = ND_SUM; op <= ND_LEAST; op++)
                check_window(k, dtype, n, taps, unit, op);
    for (int mode = 0; mode < 12; mode++)
        check_store(k, dtype, n, 1 + mode % 2, 1 + mode / 2 % 2, mode / 4);
    check_fill(k, dtype, n);
    for (int op = ND_SUM; op <= ND_LEAST; op++)
        check_slide(k, dtype, n, op);
    for (int mode = 0; mode < 18; mode++) {
        check_rows(k, dtype, n, 1 + mode % 2, mode / 2 % 3, mode / 6);
        check_two(k, dtype, n, mode % 3, mode / 6, mode / 6 == ND_SUM && mode % 2);
    }
}

void check_pool(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n <= 5 * k->vl + 1; n++)
        check_size(k, dtype, n);
    for (ptrdiff_t n = 1; n <= 17 * k->vl + 1; n += n < 3 * k->vl || n % k->vl > 1 ? 1 : k->vl / 2) {
        for (int op = ND_GREATEST; op <= ND_LEAST; op++) {
            check_top(k, dtype, n, 1, op);
            check_top(k, dtype, n, 3, op);
        }
        check_sum(k, dtype, n, 1);
        check_sum(k, dtype, n, 3);
        check_means(k, dtype, n, 1 + n % 16);
    }
    for (ptrdiff_t n = 510; n <= 515; n++)
        check_means(k, dtype, n, 11);
}

void check_pool_integers(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n <= 3 * k->vl + 1; n++)
        for (int op = ND_GREATEST; op <= ND_LEAST; op++) {
            for (ptrdiff_t count = 1; count <= 4; count++) {
                check_combine(k, dtype, n, count, op, 0);
                check_taps(k, dtype, n, count, op, 0);
                check_split(k, dtype, n, count, n % 4);
                check_rows(k, dtype, n, 1 + count % 2, count / 2, op);
            }
            for (ptrdiff_t taps = 1; taps <= 9; taps++)
                check_window(k, dtype, n, taps, 1 + taps % 3 * 2, op);
            check_slide(k, dtype, n, op);
            check_two(k, dtype, n, n % 3, op, 0);
            check_integer_fill(k, dtype, n);
        }
}
