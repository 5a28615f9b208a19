/* Checks kernels/local.h and dots.h: sums of lanes, and dot products of rows, on every number of rows around the tiles and every
 * length around whole vectors, whose rows end where memory ends; the same bits in any tile of both. */
#include "check.h"
#include <string.h>

static void check_dots(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t n, ptrdiff_t length, int bias)
{
    const ptrdiff_t size = size_of(dtype), gap = (m + n) % 3;
    const struct nd_dots s = {m, n, length, length + gap, length, n + 1, bias == 2};
    const void *a = numbers(m * length + (m - 1) * gap, dtype), *b = numbers(n * length, dtype);
    const void *start = bias ? numbers(bias == 2 ? n : 1, dtype) : NULL;
    void *y = room((m - 1) * (n + 1) * size + n * size);
    k->dots(&s, a, b, y, start);
    for (ptrdiff_t i = 0; i < m; i++) {
        for (ptrdiff_t j = 0; j < n; j++) {
            double want = bias ? get(start, bias == 2 ? j : 0, dtype) : 0;
            for (ptrdiff_t t = 0; t < length; t++)
                want += get(a, i * s.a_row + t, dtype) * get(b, j * length + t, dtype);
            expect(get(y, i * (n + 1) + j, dtype) == want, "dots", dtype, m, n, (int)length);
        }
        expect(i == m - 1 || get(y, i * (n + 1) + n, dtype) == 0, "dots, between rows", dtype, m, n, (int)length);
    }
    release();
}

/* Rows that are not exact in any order, in tiles of every size: bit for bit those of one row and one column. */
static void check_order(const struct nd_kernel_set *k, int dtype, ptrdiff_t length)
{
    enum { ROWS = 7, COLUMNS = 11 };
    const ptrdiff_t size = size_of(dtype);
    struct nd_dots s = {ROWS, COLUMNS, length, length, length, COLUMNS, 0}, one = s;
    void *a = numbers(ROWS * length, dtype), *b = numbers(COLUMNS * length, dtype), *y = room(ROWS * COLUMNS * size);
    one.m = one.n = 1;
    for (ptrdiff_t i = 0; i < ROWS * length; i++)
        put(a, i, dtype, get(a, i, dtype) / 7);
    for (s.m = 1; s.m <= ROWS; s.m++)
        for (s.n = 1; s.n <= COLUMNS; s.n++) {
            k->dots(&s, a, b, y, NULL);
            for (ptrdiff_t i = 0; i < s.m; i++)
                for (ptrdiff_t j = 0; j < s.n; j++) {
                    double alone[1];
                    k->dots(&one, item(a, i * length, dtype), item(b, j * length, dtype), alone, NULL);
                    expect(get(alone, 0, dtype) == get(y, i * COLUMNS + j, dtype), "dots, order", dtype, s.m, s.n, (int)length);
                }
        }
    ptrdiff_t *at = room(length * (ptrdiff_t)sizeof(*at));
    const struct nd_lanes lanes = {1, 2 * k->vl, COLUMNS, length, length, 2 * k->vl, 0, 0, 0, 0, 0, at};
    void *rows = room(length * 2 * k->vl * size), *sums = room(COLUMNS * 2 * k->vl * size);
    for (ptrdiff_t t = 0; t < length; t++) {
        at[t] = 2 * t * k->vl;
        for (ptrdiff_t i = 0; i < ROWS && i < 2 * k->vl; i++)
            put(rows, at[t] + i, dtype, get(a, i * length + t, dtype));
    }
    k->lanes(&lanes, rows, b, sums, NULL);
    for (ptrdiff_t i = 0; i < ROWS && i < 2 * k->vl; i++)
        for (ptrdiff_t j = 0; j < COLUMNS; j++)
            expect(get(sums, 2 * j * k->vl + i, dtype) == get(y, i * COLUMNS + j, dtype), "lanes, order", dtype, i, j, (int)length);
    release();
}

/* Sums of lanes at two pixels, forwards and added back: a's rows are in any order, weights of a pixel `gap` after their rows. */
static void check_lanes(const struct nd_kernel_set *k, int dtype, ptrdiff_t vectors, ptrdiff_t n, ptrdiff_t length, int mode)
{
    enum { PIXELS = 2 };
    const ptrdiff_t size = size_of(dtype), m = vectors * k->vl, step = m + k->vl, b_row = PIXELS * length + mode;
    ptrdiff_t *at = room(length * (ptrdiff_t)sizeof(*at));
    struct nd_lanes s = {PIXELS, m, n, length, b_row, step, mode == 2, step, length, n * step, mode == 2 ? n : 0, at};
    void *a = numbers((length + PIXELS - 1) * step, dtype), *y = room(PIXELS * n * step * size);
    const void *b = numbers((n - 1) * b_row + PIXELS * length, dtype);
    const void *bias = mode ? numbers(PIXELS * n, dtype) : NULL, *dy = numbers(PIXELS * n * step, dtype);
    void *inside = room(m * size);
    for (ptrdiff_t t = 0; t < length; t++)
        at[t] = (length - 1 - t) * step;
    k->lanes(&s, a, b, y, bias);
    for (ptrdiff_t i = 0; i < PIXELS * n * m; i++) {
        const ptrdiff_t lane = i % m, j = i / m % n, p = i / m / n;
        double want = !bias ? 0 : get(bias, mode == 2 ? p * n + j : 0, dtype);
        for (ptrdiff_t t = 0; t < length; t++)
            want += get(b, j * b_row + p * length + t, dtype) * get(a, at[t] + p * step + lane, dtype);
        expect(get(y, (p * n + j) * step + lane, dtype) == want, "lanes", dtype, m, n, (int)length);
    }
    double *want = room((length + PIXELS - 1) * step * (ptrdiff_t)sizeof(double));
    for (ptrdiff_t i = 0; i < (length + PIXELS - 1) * step; i++)
        want[i] = get(a, i, dtype);
    for (ptrdiff_t i = 0; i < m; i++)
        if (i % 3 || mode != 1)
            memset((char *)inside + i * size, 255, (size_t)size);
    for (ptrdiff_t i = 0; i < PIXELS * n * m; i++) {
        const ptrdiff_t lane = i % m, j = i / m % n, p = i / m / n;
        for (ptrdiff_t t = 0; t < length && (lane % 3 || mode != 1); t++)
            want[at[t] + p * step + lane] += get(b, j * b_row + p * length + t, dtype) * get(dy, (p * n + j) * step + lane, dtype);
    }
    k->lanes_grad(&s, a, b, dy, mode == 1 ? inside : NULL);
    for (ptrdiff_t i = 0; i < (length + PIXELS - 1) * step; i++)
        expect(get(a, i, dtype) == want[i], "lanes_grad", dtype, m, n, (int)length);
    release();
}

/* Lanes turned to rows, and added back. */
static void check_turn(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t length)
{
    const ptrdiff_t size = size_of(dtype), wide = whole_vectors(m, k->vl), row = whole_vectors(length, k->vl);
    ptrdiff_t *at = room(length * (ptrdiff_t)sizeof(*at));
    void *a = numbers(length * wide, dtype), *to = room(m * row * size), *sums = room(length * wide * size);
    for (ptrdiff_t t = 0; t < length; t++)
        at[t] = (length - 1 - t) * wide;
    k->lanes_turn(to, row, a, at, m, length);
    k->lanes_put(sums, at, to, row, m, length);
    k->lanes_put(sums, at, to, row, m, length);
    for (ptrdiff_t t = 0; t < length; t++)
        for (ptrdiff_t i = 0; i < wide; i++) {
            const double want = get(a, at[t] + i, dtype);
            expect(i >= m || get(to, i * row + t, dtype) == want, "lanes_turn", dtype, m, length, 0);
            expect(get(sums, at[t] + i, dtype) == (i < m ? 2 * want : 0), "lanes_put", dtype, m, length, 0);
        }
    release();
}

void check_local(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t m = 1; m <= 8; m++)
        for (ptrdiff_t n = 1; n <= 20; n += n < 10 ? 1 : 5)
            for (ptrdiff_t length = 1; length <= 4 * k->vl; length += length < 2 * k->vl + 2 ? 1 : k->vl / 2 + 1)
                check_dots(k, dtype, m, n, length, (int)((m + n + length) % 3));
    for (ptrdiff_t vectors = 1; vectors <= 3; vectors++)
        for (ptrdiff_t n = 1; n <= 14; n++)
            for (ptrdiff_t length = 1; length <= 40; length += length < 14 ? 1 : 13)
                check_lanes(k, dtype, vectors, n, length, (int)((vectors + n + length) % 3));
    for (ptrdiff_t m = 1; m <= 2 * k->vl + 1; m += m < 4 ? 1 : 3)
        for (ptrdiff_t length = 1; length <= 2 * k->vl + 1; length += length < 4 ? 1 : 3)
            check_turn(k, dtype, m, length);
    check_order(k, dtype, k->vl - 1);
    check_order(k, dtype, 5 * k->vl + 1);
}
