/* Checks products of spectra (kernels/fft_product.h) and rows to tiles and back (kernels/fft_rows.h). */
#include "check_fft.h"
#include <math.h>

static void check_multiply(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t vectors,
                           ptrdiff_t steps, ptrdiff_t run, int add)
{
    const ptrdiff_t width = 2 * k->vl, row = vectors * width, runs = (steps + run - 1) / run,
                    last = (steps - 1) % run;
    const struct nd_product s = {steps, run, 2 * run + m + 5, 2, 3 + 2 * run, 1, row + 1, row + 2, add};
    const ptrdiff_t end = (m - 1) * s.a_row + (runs - 1) * s.a_run;
    /* no run but the last reaches as far as a full one does */
    const ptrdiff_t full = runs > 1 ? end - s.a_run + (run - 1) * s.a_k : 0, part = end + last * s.a_k;
    void *a = numbers((full > part ? full : part) + s.a_im + 1, dtype),
         *b = numbers((steps - 1) * s.b_k + row, dtype);
    void *c = numbers((m - 1) * s.c_row + row, dtype), *was = numbers((m - 1) * s.c_row + row, dtype);
    for (ptrdiff_t i = 0; i < (m - 1) * s.c_row + row; i++)
        put(was, i, dtype, get(c, i, dtype));
    k->fft_multiply(&s, m, vectors, a, b, c);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < vectors * k->vl; j++) {
            const ptrdiff_t v = j / k->vl * width, l = j % k->vl;
            number sum = add ? point(k, was, i * s.c_row + v, l, dtype) : 0;
            for (ptrdiff_t step = 0; step < steps; step++) {
                const ptrdiff_t at = step / run * s.a_run + step % run * s.a_k + i * s.a_row;
                sum += (get(a, at, dtype) + I * get(a, at + s.a_im, dtype))
                     * point(k, b, step * s.b_k + v, l, dtype);
            }
            expect(point(k, c, i * s.c_row + v, l, dtype) == sum, "fft_multiply", dtype, m, steps,
                   (int)vectors * 2 + add);
        }
    release();
}

static void check_accumulate(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    const ptrdiff_t width = 2 * k->vl;
    void *sum = numbers(n * width, dtype), *was = numbers(n * width, dtype);
    void *a = numbers(n * width, dtype), *b = numbers(n * width, dtype);
    for (ptrdiff_t i = 0; i < n * width; i++)
        put(was, i, dtype, get(sum, i, dtype));
    k->fft_accumulate(sum, a, b, n);
    for (ptrdiff_t i = 0; i < n * width; i += width)
        for (ptrdiff_t l = 0; l < k->vl; l++)
            expect(point(k, sum, i, l, dtype)
                       == point(k, was, i, l, dtype) + point(k, a, i, l, dtype) * point(k, b, i, l, dtype),
                   "fft_accumulate", dtype, n, i, 0);
    release();
}

/* The sum over parts, from a ring that begins in its middle. */
static void check_slide(const struct nd_kernel_set *k, int dtype, ptrdiff_t parts, ptrdiff_t vectors)
{
    const ptrdiff_t width = 2 * k->vl, n = (vectors * k->vl + parts - 1 + k->vl - 1) / k->vl, size = n + 2;
    void *ring = numbers(size * width, dtype), *rows = numbers(n * width, dtype), *w = numbers(2 * parts, dtype);
    void *y = numbers(vectors * width, dtype);
    k->fft_unroll(rows, ring, size, size / 2, n);
    for (ptrdiff_t i = 0; i < n * k->vl; i++)
        expect(get(rows, i, dtype) + I * get(rows, n * k->vl + i, dtype)
                   == point(k, ring, (size / 2 + i / k->vl) % size * width, i % k->vl, dtype),
               "fft_unroll", dtype, n, i, 0);
    k->fft_slide(y, rows, n * k->vl, w, parts, vectors);
    for (ptrdiff_t i = 0; i < vectors * k->vl; i++) {
        number sum = 0;
        for (ptrdiff_t j = 0; j < parts; j++)
            sum += (get(rows, i + j, dtype) + I * get(rows, n * k->vl + i + j, dtype))
                 * (get(w, 2 * j, dtype) + I * get(w, 2 * j + 1, dtype));
        expect(point(k, y, i / k->vl * width, i % k->vl, dtype) == sum, "fft_slide", dtype, parts, vectors, (int)i);
    }
    release();
}

/* Rows of the lanes: next to each other, or apart, each in memory from its first element to its last. */
enum { APART, NEIGHBOURS, LANES_MOST = 64 };

static void check_load(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step, int how,
                       int ragged)
{
    const ptrdiff_t to_step = k->vl + (ragged % 2 ? k->vl : 0), edge = n < 6 ? n / 2 + 1 : 4;
    const void *row[LANES_MOST];
    ptrdiff_t low[LANES_MOST], high[LANES_MOST];
    void *to = numbers((n - 1) * to_step + k->vl, dtype), *all = numbers((n - 1) * step + k->vl, dtype);
    for (ptrdiff_t l = 0; l < k->vl; l++) {
        low[l] = ragged == 3 ? below(n + 1) : ragged ? below(edge) : 0;
        high[l] = ragged == 3 ? low[l] + below(n - low[l] + 1) : ragged ? n - below(edge) : n;
        if (ragged == 2 && l == 1)
            low[l] = high[l] = 0;
        const ptrdiff_t count = high[l] > low[l] ? (high[l] - low[l] - 1) * step + 1 : 0;
        row[l] = how == NEIGHBOURS ? item(all, l, dtype) : item(numbers(count, dtype), -low[l] * step, dtype);
    }
    k->fft_load(to, to_step, n, row, step, low, high);
    for (ptrdiff_t j = 0; j < n; j++)
        for (ptrdiff_t l = 0; l < k->vl; l++) {
            const double e = low[l] <= j && j < high[l] ? get(row[l], j * step, dtype) : 0;
            expect(get(to, j * to_step + l, dtype) == e, "fft_load", dtype, n, step, how * 4 + ragged);
        }
    release();
}

/* Lanes whose sum is to be found not finite: NaN, an infinity, or too large, in one of their elements. */
static unsigned spoil(void *from, ptrdiff_t from_step, ptrdiff_t most, ptrdiff_t lanes, int dtype)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    unsigned flags = 0;
    for (ptrdiff_t l = 0; l < lanes; l++)
        if (below(3) == 0) {
            put(from, below(most) * from_step + l, dtype, odd[below(3)]);
            flags |= 1u << l;
        }
    return flags;
}

static void check_store(const struct nd_kernel_set *k, int dtype, ptrdiff_t most, ptrdiff_t step,
                        ptrdiff_t lanes, int how, int ragged)
{
    const ptrdiff_t from_step = k->vl + (step > 1 ? k->vl : 0);
    void *row[LANES_MOST];
    ptrdiff_t count[LANES_MOST];
    /* points and what is added to them are whole vectors */
    void *from = numbers((most - 1) * from_step + k->vl, dtype), *bias = numbers(k->vl, dtype);
    void *all = numbers((most - 1) * step + lanes, dtype);
    for (ptrdiff_t l = 0; l < lanes; l++) {
        count[l] = ragged == 2 ? below(most + 1) : ragged ? most - below(most < 4 ? most : 4) : most;
        row[l] = how == NEIGHBOURS ? item(all, l, dtype)
                                   : numbers(count[l] ? (count[l] - 1) * step + 1 : 0, dtype);
    }
    void *before = numbers(lanes * most * step, dtype);
    for (ptrdiff_t l = 0; l < lanes; l++)
        for (ptrdiff_t j = 0; j < (how == NEIGHBOURS ? most : count[l]); j++)
            put(before, l * most + j, dtype, get(row[l], j * step, dtype));
    const unsigned flags = spoil(from, from_step, most, lanes, dtype);
    expect(k->fft_store(row, step, count, most, lanes, from, from_step, bias) == flags, "fft_store, flags",
           dtype, most, lanes, how * 3 + ragged);
    for (ptrdiff_t l = 0; l < lanes; l++)
        for (ptrdiff_t j = 0; j < (how == NEIGHBOURS ? most : count[l]); j++) {
            const double e = j < count[l] ? get(from, j * from_step + l, dtype) + get(bias, l, dtype)
                                          : get(before, l * most + j, dtype);
            expect(same(get(row[l], j * step, dtype), e), "fft_store", dtype, most, lanes, how * 3 + ragged);
        }
    release();
}

static void check_rows(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    for (int ragged = 0; ragged < 4; ragged++) {
        check_load(k, dtype, n, 1, APART, ragged);
        check_load(k, dtype, n, 3, APART, ragged);
        check_load(k, dtype, n, 1, NEIGHBOURS, ragged);
        check_load(k, dtype, n, k->vl + 1, NEIGHBOURS, ragged);
    }
    for (ptrdiff_t lanes = 1; lanes <= k->vl; lanes++)
        for (int ragged = 0; ragged < 3; ragged++) {
            check_store(k, dtype, n, 1, lanes, APART, ragged);
            check_store(k, dtype, n, 3, lanes, APART, ragged);
            check_store(k, dtype, n, k->vl + 1, lanes, NEIGHBOURS, ragged);
        }
}

void check_fft_rows(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t m = 1; m <= k->mr / 2; m++)
        for (ptrdiff_t vectors = 1; vectors <= k->nr / k->vl; vectors++)
            for (ptrdiff_t steps = 1; steps <= 5; steps++)
                for (int mode = 0; mode < 6; mode++)
                    check_multiply(k, dtype, m, vectors, steps, 1 + mode / 2 * 2, mode % 2);
    for (ptrdiff_t n = 1; n <= 4; n++)
        check_accumulate(k, dtype, n);
    for (ptrdiff_t parts = 1; parts <= 2 * k->vl + 1; parts++)
        for (ptrdiff_t vectors = 1; vectors <= 9; vectors++)
            check_slide(k, dtype, parts, vectors);
    for (ptrdiff_t n = 1; n <= 3 * k->vl + 7; n++)
        check_rows(k, dtype, n);
    check_points(k, dtype);
}
