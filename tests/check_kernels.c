/* Checks every kernel of one instruction set's table against plain loops, for tests/test_kernels.py, which
 * has the list of files. Here: the general kernels, and main(). check.c has what the files share; the others
 * have what their names say. */
#include "check.h"
#include <stdio.h>

extern const struct nd_kernels TABLE;

/* One tile: two runs of three steps; packed or strided A; y by rows, two apart, or (mode 2) by columns; packed A and the six
 * steps as a list (mode 3). */
static void check_gemm(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t n, int start, int mode)
{
    const int packed = mode == 1 || mode == 3;
    const ptrdiff_t len = 3, a_off[2] = {0, packed ? len * k->mr : 1}, b_off[2] = {0, len * k->nr + 5};
    const ptrdiff_t a_row = packed ? 1 : 11, a_k = packed ? k->mr : 2;
    const ptrdiff_t y_col = packed ? 1 : mode == 2 ? m + 2 : 2, y_row = mode == 2 ? 1 : n * y_col + 3;
    struct nd_walk walk = {2, len, a_off, b_off, a_row, a_k, k->nr};
    ptrdiff_t places[6];
    for (int i = 0; i < 6; i++)
        places[i] = b_off[i / len] + i % len * k->nr;
    if (mode == 3)
        walk = (struct nd_walk){ND_LIST, 2 * len, a_off, places, a_row, a_k, 0};
    const ptrdiff_t whole = whole_vectors(n, k->vl);
    void *a = numbers(a_off[1] + (m - 1) * a_row + (len - 1) * a_k + 1, dtype);
    void *b = numbers(b_off[1] + (len - 1) * k->nr + whole, dtype);
    void *y = numbers((m - 1) * y_row + (n - 1) * y_col + 1, dtype);
    void *bias = numbers(start == ND_BIAS_ROW ? m : n, dtype);
    double *before = room((ptrdiff_t)sizeof(double) * m * n);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++)
            before[i * n + j] = get(y, i * y_row + j * y_col, dtype);
    k->gemm(&walk, m, n, a, b, y, y_row, y_col, start, bias);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = start == ND_ADD         ? before[i * n + j]
                       : start == ND_BIAS_ROW    ? get(bias, i, dtype)
                       : start == ND_BIAS_COLUMN ? get(bias, j, dtype)
                                                 : 0;
            for (int run = 0; run < 2; run++)
                for (ptrdiff_t step = 0; step < len; step++)
                    sum += get(a, a_off[run] + step * a_k + i * a_row, dtype)
                           * get(b, b_off[run] + step * k->nr + j, dtype);
            expect(get(y, i * y_row + j * y_col, dtype) == sum, "gemm", dtype, m, n, start * 3 + mode);
        }
    release();
}

/* Three tiles at once, and one by one. */
static void check_gemm_tiles(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t n)
{
    const ptrdiff_t len = 4, none = 0, count = 3, y_row = n + 2, whole = whole_vectors(n, k->vl);
    const struct nd_walk walk = {1, len, &none, &none, len, 1, k->nr};
    const struct nd_tiles tiles = {count, m * len, len * k->nr, m * y_row, n + 1};
    void *a = numbers(count * tiles.a, dtype), *b = numbers((count - 1) * tiles.b + (len - 1) * k->nr + whole, dtype);
    void *y = numbers(count * tiles.y, dtype), *one = numbers(count * tiles.y, dtype), *bias = numbers(count * tiles.bias, dtype);
    k->gemm_tiles(&walk, &tiles, m, n, a, b, y, y_row, 1, ND_BIAS_COLUMN, bias);
    for (ptrdiff_t t = 0; t < count; t++) {
        k->gemm(&walk, m, n, (char *)a + t * tiles.a * k->size, (char *)b + t * tiles.b * k->size,
                (char *)one + t * tiles.y * k->size, y_row, 1, ND_BIAS_COLUMN, (char *)bias + t * tiles.bias * k->size);
        for (ptrdiff_t i = 0; i < m * n; i++) {
            const ptrdiff_t at = t * tiles.y + i / n * y_row + i % n;
            expect(get(y, at, dtype) == get(one, at, dtype), "gemm_tiles", dtype, m, n, (int)t);
        }
    }
    release();
}

static void check_moves(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    for (ptrdiff_t step = 1; step <= 5; step++) {
        const ptrdiff_t span = (n - 1) * step + 1;
        void *from = numbers(span, dtype), *to = numbers(n, dtype), *wide = numbers(span, dtype);
        double sum = 0;
        k->copy(to, from, n, step);
        for (ptrdiff_t i = 0; i < n; i++) {
            expect(get(to, i, dtype) == get(from, i * step, dtype), "copy", dtype, step, n, 0);
            sum += get(from, i * step, dtype);
        }
        expect(k->sum(from, n, step) == sum, "sum", dtype, step, n, 0);
        k->scatter(wide, step, from, step, n);
        for (ptrdiff_t i = 0; i < n; i++)
            expect(get(wide, i * step, dtype) == get(from, i * step, dtype), "scatter", dtype, step, n, 0);
        k->add(wide, step, to, n);
        for (ptrdiff_t i = 0; i < n; i++)
            expect(get(wide, i * step, dtype) == 2 * get(to, i, dtype), "add", dtype, step, n, 0);
        release();
    }
}

static void check_panels(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    const ptrdiff_t m = 19, panels = (n + k->nr - 1) / k->nr;
    void *from = numbers((m - 1) * (n + 2) + n, dtype), *to = numbers(m * panels * k->nr, dtype),
         *across = numbers(n * m, dtype);
    double sums[16] = {0};
    k->pack(to, panels * k->nr, from, m, n, n + 2, 1);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < panels * k->nr; j++)
            expect(get(to, i * panels * k->nr + j, dtype) == (j < n ? get(from, i * (n + 2) + j, dtype) : 0),
                   "pack", dtype, m, n, 0);
    /* a block read across its rows: transposed where whole vectors fit */
    k->move(across, m, from, n, m, 1, n + 2);
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < m; j++)
            expect(get(across, i * m + j, dtype) == get(from, i + j * (n + 2), dtype), "move", dtype, n, m,
                   0);
    /* a few columns */
    k->move(across, 5, from, n, 5, 1, n + 2);
    for (ptrdiff_t i = 0; i < 5 * n; i++)
        expect(get(across, i, dtype) == get(from, i / 5 + i % 5 * (n + 2), dtype), "move", dtype, n, 5, 0);
    if (n <= 16) {
        k->sum_columns(sums, from, m, n, n + 2);
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = 0;
            for (ptrdiff_t i = 0; i < m; i++)
                sum += get(from, i * (n + 2) + j, dtype);
            expect(sums[j] == sum, "sum_columns", dtype, m, n, 0);
        }
    }
    release();
}

/* Rows of n elements with zeros around them. */
static void check_pad(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    for (ptrdiff_t low = 0; low <= k->vl + 1; low += k->vl / 2 + 1)
        for (ptrdiff_t after = 0; after <= 2; after++) {
            const ptrdiff_t m = 3, width = low + n + after;
            /* rows apart, and rows that follow each other at the pitch of the result */
            const ptrdiff_t row = n % 2 ? n + 1 : width;
            void *from = numbers((m - 1) * row + n, dtype), *to = numbers(m * width, dtype);
            k->pad(to, width, item(from, -low, dtype), m, row, low, low + n);
            for (ptrdiff_t i = 0; i < m * width; i++) {
                const ptrdiff_t j = i % width - low;
                const double want = j >= 0 && j < n ? get(from, i / width * row + j, dtype) : 0;
                expect(get(to, i, dtype) == want, "pad", dtype, low, n, (int)after);
            }
            release();
        }
}

/* A panel's rows of n pixels, `col` apart, of three taps and two channels. */
static void check_taps(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    for (ptrdiff_t col = 1; col <= 3; col++) {
        const ptrdiff_t tap = 2, channel = (n - 1) * col + 2 * tap + 1;
        void *from = numbers(2 * channel, dtype), *to = numbers(5 * k->nr + n, dtype);
        k->pack_taps(to, k->nr, from, 3, tap, 2, channel, n, col);
        for (ptrdiff_t i = 0; i < 6 * n; i++) {
            const ptrdiff_t t = i / n / 2, c = i / n % 2, j = i % n;
            expect(get(to, (t * 2 + c) * k->nr + j, dtype) == get(from, t * tap + c * channel + j * col, dtype),
                   "pack_taps", dtype, t, n, (int)col);
        }
        release();
    }
}

/* Three rows of n elements as panels. */
static void check_pack_rows(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    const ptrdiff_t m = 3, row = n + 2, width = k->nr;
    void *from = numbers(2 * row + n, dtype), *to = numbers((n + width - 1) / width * width * m, dtype);
    k->pack_rows(to, width, from, m, n, row);
    for (ptrdiff_t i = 0; i < m * n; i++) {
        const ptrdiff_t r = i / n, j = i % n;
        expect(get(to, (j / width * m + r) * width + j % width, dtype) == get(from, r * row + j, dtype), "pack_rows", dtype, r, n,
               (int)j);
    }
    release();
}

/* Even and odd columns of two rows, with padding of every width before and behind. */
static void check_pad_pairs(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    for (ptrdiff_t low = 0; low < 6; low++) {
        const ptrdiff_t width = (low + n + 1) / 2 + n % 3, phase = width + low % 2, line = 2 * phase + 1;
        void *from = numbers(2 * n + 1, dtype), *to = numbers(line + 2 * phase, dtype);
        /* columns before `low` are none of the array's */
        k->pad_pairs(to, line, phase, width, item(from, -low, dtype), 2, n + 1, low, low + n);
        for (ptrdiff_t i = 0; i < 4 * width; i++) {
            const ptrdiff_t row = i / (2 * width), j = i % (2 * width);
            const double e = j < low || j >= low + n ? 0 : get(from, row * (n + 1) + j - low, dtype);
            expect(get(to, row * line + j % 2 * phase + j / 2, dtype) == e, "pad_pairs", dtype, low, n, (int)phase);
        }
        release();
    }
}

int main(void)
{
    for (int dtype = 0; dtype < ND_DTYPES; dtype++) {
        const struct nd_kernel_set *k = TABLE.set[dtype];
        for (ptrdiff_t m = 1; m <= k->tile_rows(1); m++)
            for (ptrdiff_t n = 1; n <= k->tile_columns(m); n++)
                for (int start = ND_ZERO; start <= ND_BIAS_COLUMN; start++)
                    for (int mode = 0; mode < 4; mode++)
                        if (m <= k->mr || mode < 3)
                            check_gemm(k, dtype, m, n, start, mode);
        for (ptrdiff_t m = 1; m <= k->mr; m++)
            for (ptrdiff_t n = 1; n <= k->nr; n++)
                check_gemm_tiles(k, dtype, m, n);
        for (ptrdiff_t n = 1; n <= 3 * k->nr + 1; n++) {
            check_moves(k, dtype, n);
            check_panels(k, dtype, n);
            check_pad(k, dtype, n);
            check_pad_pairs(k, dtype, n);
            check_pack_rows(k, dtype, n);
            if (n <= k->nr)
                check_taps(k, dtype, n);
        }
        check_finish(k, dtype);
        check_separable(k, dtype);
        check_tap_sums(k, dtype);
        check_local(k, dtype);
        check_image(k, dtype);
        check_depthwise(k, dtype);
        check_depthwise_point(k, dtype);
        check_fft(k, dtype);
        check_fft_rows(k, dtype);
        check_winograd(k, dtype);
        check_pool(k, dtype);
        check_pool_index(k, dtype);
        check_pool_walk(k, dtype);
        check_pool_values(k, dtype);
        check_pool_weigh(k, dtype);
        check_pool_route(k, dtype);
        check_pool_turn(k, dtype);
        check_complex(k, dtype);
    }
    for (int dtype = ND_U8; dtype <= ND_I32; dtype++) {
        check_pool_integers(TABLE.set[dtype], dtype);
        check_pool_walk(TABLE.set[dtype], dtype);
        check_pool_values(TABLE.set[dtype], dtype);
    }
    check_separable(TABLE.set[ND_I16], ND_I16);
    check_image(TABLE.set[ND_I16], ND_I16);
    check_half(TABLE.set[ND_F32]);
    check_pairs(TABLE.set[ND_I8], ND_I8);
    check_pairs(TABLE.set[ND_U8], ND_U8);
    check_pairs(TABLE.set[ND_I16], ND_I16);
    check_products(TABLE.set[ND_PAIRS], ND_PAIRS);
    check_products(TABLE.set[ND_I64], ND_I64);
    printf("%s: %d failures\n", TABLE.isa, count_failures());
    return count_failures() != 0;
}
