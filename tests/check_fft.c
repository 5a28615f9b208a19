/* Checks the Fourier transforms (kernels/fft.h).
 *
 * Tables are built as ndconv/_fft_plan.pyx builds them: radices, factors, and the order in which the passes
 * leave the frequencies. Results are compared with sums over all points in double precision. */
#include "check_fft.h"
#include <string.h>

enum { MOST = 1024 };

/* The radix of each pass; returns the number of complex factors. */
static ptrdiff_t set_radices(struct nd_axis *axis)
{
    ptrdiff_t left = axis->n, twos = 0, factors = 0, block = axis->n;
    int passes = 0;
    for (; left % 2 == 0; left /= 2)
        twos++;
    while (twos > 0) {
        const ptrdiff_t r = twos == 3 || twos > 4 ? 3 : twos < 2 ? twos : 2;
        axis->radix[passes++] = (unsigned char)(1 << r);
        twos -= r;
    }
    for (; left > 1; left /= axis->radix[passes++])
        axis->radix[passes] = left % 5 == 0 ? 5 : 3;
    for (int i = 0; i < passes; i++) {
        block /= axis->radix[i];
        factors += (axis->radix[i] - 1) * block;
    }
    return factors;
}

void build_axis(struct nd_axis *axis, ptrdiff_t n, int dtype)
{
    ptrdiff_t block = n, i = 0;
    axis->n = n;
    void *to = numbers(2 * set_radices(axis), dtype);
    axis->factors = to;
    for (int level = 0; block > 1; level++) {
        const ptrdiff_t r = axis->radix[level], m = block / r;
        for (ptrdiff_t j = 0; j < m; j++)
            for (ptrdiff_t q = 1; q < r; q++)
                put_number(to, i++, dtype, turn(j * q, block));
        block = m;
    }
}

ptrdiff_t frequency(const struct nd_axis *axis, ptrdiff_t place)
{
    ptrdiff_t f = 0, weight = 1, block = axis->n;
    for (int i = 0; block > 1; i++) {
        block /= axis->radix[i];
        f += place / block * weight;
        place %= block;
        weight *= axis->radix[i];
    }
    return f;
}

/* Where transforms lie: point p of transform i of row r is at r*row + p*unit + i*2*vl. */
struct layout {
    ptrdiff_t unit, rows, row, inner;
};

/* One lane of one transform: a sum over all points for each frequency; not all of them if there are many. */
static void check_transform(const struct nd_axis *axis, const number *from, const number *to, int dtype,
                            int mode)
{
    static number turns[MOST];
    const ptrdiff_t n = axis->n, skip = n > 128 ? 5 : 1;
    for (ptrdiff_t i = 0; i < n; i++)
        turns[i] = turn(i, n);
    for (ptrdiff_t p = 0; p < n; p += skip) {
        const ptrdiff_t f = frequency(axis, p);
        number sum = 0;
        for (ptrdiff_t i = 0; i < n; i++)
            sum += from[i] * turns[i * f % n];
        expect(close_by(sum, to[p], 8.0 * sqrt((double)n), dtype), "fft", dtype, n, p, mode);
    }
}

/* Forward against the sums, back against what was there, and nothing between the transforms changes. */
static void check_layout(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, struct layout s, int mode)
{
    static number before[MOST], after[MOST];
    const ptrdiff_t width = 2 * k->vl, size = (s.rows - 1) * s.row + (n - 1) * s.unit + s.inner * width;
    struct nd_axis axis;
    build_axis(&axis, n, dtype);
    void *z = numbers(size, dtype), *spectrum = room(size * k->size), *was = room(size * k->size);
    unsigned char *mine = room(size);
    memcpy(was, z, (size_t)(size * k->size));
    k->fft(&axis, z, s.unit, s.rows, s.row, s.inner, 0);
    memcpy(spectrum, z, (size_t)(size * k->size));
    k->fft(&axis, z, s.unit, s.rows, s.row, s.inner, 1);
    for (ptrdiff_t r = 0; r < s.rows; r++)
        for (ptrdiff_t i = 0; i < s.inner; i++)
            for (ptrdiff_t l = 0; l < k->vl; l++) {
                for (ptrdiff_t p = 0; p < n; p++) {
                    const ptrdiff_t at = r * s.row + i * width + p * s.unit;
                    before[p] = point(k, was, at, l, dtype);
                    after[p] = point(k, spectrum, at, l, dtype);
                    const number back = point(k, z, at, l, dtype);
                    expect(close_by(back, before[p] * (double)n, 8.0 * (double)n, dtype), "fft, inverse",
                           dtype, n, p, mode);
                    mine[at + l] = mine[at + l + k->vl] = 1;
                }
                /* the first, the last and any others are enough of a long one */
                if (n <= 128 || l == 0 || l == k->vl - 1)
                    check_transform(&axis, before, after, dtype, mode);
            }
    for (ptrdiff_t i = 0; i < size; i++)
        if (!mine[i])
            expect(get(z, i, dtype) == get(was, i, dtype) && get(spectrum, i, dtype) == get(was, i, dtype),
                   "fft, elsewhere", dtype, n, i, mode);
    release();
}

static void check_axis(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    const ptrdiff_t width = 2 * k->vl, most = 16384 / (n * width * k->size);
    /* as many as one group in the first-level cache has, and a few more */
    const ptrdiff_t several = n >= 30 && n <= 128 ? most + 2 : 3, wide = (several + 1) * width;
    check_layout(k, dtype, n, (struct layout){width, several, n * width, 1}, 0); /* rows without gaps */
    check_layout(k, dtype, n, (struct layout){width, 2, (n + 1) * width, 1}, 1); /* rows with gaps */
    check_layout(k, dtype, n, (struct layout){wide, 2, n * wide, several}, 2);   /* columns of planes */
    check_layout(k, dtype, n, (struct layout){6 * width, 2, 3 * width, 2}, 3);   /* rows side by side */
}

void check_fft(const struct nd_kernel_set *k, int dtype)
{
    static const ptrdiff_t sizes[] = {1,  2,  3,  4,  5,  6,  8,  9,   10,  12,  15,
                                      16, 20, 25, 30, 32, 60, 64, 120, 128, MOST};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check_axis(k, dtype, sizes[i]);
    check_spectra(k, dtype);
}
