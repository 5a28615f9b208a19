/* Checks kernels/local.h: dot products of rows on every number of rows around the tiles and every length around whole
 * vectors, whose rows end where memory ends; the same bits in any tile. */
#include "check.h"

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
    release();
}

/* Windows of rows, and folded back: sums of as many windows as see an element. */
static void check_windows(const struct nd_kernel_set *k, int dtype, ptrdiff_t taps, ptrdiff_t n, ptrdiff_t step)
{
    enum { CHANNELS = 2, ROWS = 3 };
    const ptrdiff_t size = size_of(dtype), width = whole_vectors((n - 1) * step + taps, k->vl) + k->vl;
    const ptrdiff_t length = CHANNELS * ROWS * taps, to_row = length + 2 * k->vl, wide = n + 2 * (taps - 1) + k->vl;
    const void *from = numbers(CHANNELS * ROWS * width, dtype);
    void *to = room(n * to_row * size), *rows = room(length * wide * size), *sums = room(CHANNELS * ROWS * wide * size);
    k->windows(to, to_row, from, CHANNELS, ROWS * width, ROWS, width, taps, n, step);
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t q = 0; q < length; q++) {
            const double want = get(from, q / taps * width + i * step + q % taps, dtype);
            expect(get(to, i * to_row + q, dtype) == want, "windows", dtype, taps, n, (int)step);
            put(rows, q * wide + taps - 1 + i, dtype, want);
        }
    for (int in_place = 0; in_place < 2; in_place++) {
        double want[CHANNELS * ROWS][64] = {{0}};
        for (ptrdiff_t q = 0; q < length; q++)
            for (ptrdiff_t i = 0; i < n; i++)
                want[q / taps][i + q % taps] += get(rows, q * wide + taps - 1 + i, dtype);
        k->fold(in_place ? rows : sums, wide, rows, wide, CHANNELS * ROWS, taps, n);
        for (ptrdiff_t q = 0; q < CHANNELS * ROWS; q++)
            for (ptrdiff_t j = 0; j < n + taps - 1; j++)
                expect(get(in_place ? rows : sums, q * wide + j, dtype) == want[q][j], "fold", dtype, taps, n, in_place);
    }
    release();
}

void check_local(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t m = 1; m <= 8; m++)
        for (ptrdiff_t n = 1; n <= 20; n += n < 10 ? 1 : 5)
            for (ptrdiff_t length = 1; length <= 4 * k->vl; length += length < 2 * k->vl + 2 ? 1 : k->vl / 2 + 1)
                check_dots(k, dtype, m, n, length, (int)((m + n + length) % 3));
    for (ptrdiff_t taps = 1; taps <= k->vl + 3; taps += taps < 6 ? 1 : 4)
        for (ptrdiff_t n = 1; n <= 2 * k->vl + 1; n += n < 4 ? 1 : 3)
            for (ptrdiff_t step = 1; step <= 3; step++)
                check_windows(k, dtype, taps, n, step);
    check_order(k, dtype, k->vl - 1);
    check_order(k, dtype, 5 * k->vl + 1);
}
