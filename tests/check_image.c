/* Checks kernels/image.h: pixels to the dtype of sums and back, on every number of them around whole vectors, any step, and
 * numbers between integers and outside the dtype. */
#include "check.h"
#include <math.h>

/* A number of the dtype: quarters if it has them, from well below 0 to well above the greatest pixel. */
static double sum_like(int dtype, int pixel)
{
    const double v = value() * (pixel == ND_U8 ? 40.25 : 10000.25);
    return dtype == ND_I16 ? floor(v) : v;
}

static double pixel_at(const void *p, ptrdiff_t i, int pixel)
{
    return pixel == ND_U8 ? ((const uint8_t *)p)[i] : ((const uint16_t *)p)[i];
}

static void check_pixels(const struct nd_kernel_set *k, int dtype, int pixel, ptrdiff_t n, ptrdiff_t step)
{
    const ptrdiff_t bytes = pixel == ND_U8 ? 1 : 2;
    unsigned char *from = room(n * step * bytes);
    for (ptrdiff_t i = 0; i < n * step * bytes; i++)
        from[i] = (unsigned char)below(256);
    void *to = room(n * size_of(dtype));
    k->image_load(to, from, n, step, pixel, n % 2);
    for (ptrdiff_t i = 0; i < n; i++)
        expect(get(to, i, dtype) == pixel_at(from, i * step, pixel), "image_load", dtype, n, step, pixel);
    release();
    void *sums = room(whole_vectors(n, k->vl) * size_of(dtype));
    for (ptrdiff_t i = 0; i < n; i++)
        put(sums, i, dtype, i % 7 == 3 && dtype != ND_I16 ? NAN : sum_like(dtype, pixel));
    unsigned char *pixels = room(n * step * bytes);
    k->image_store(pixels, step, sums, n, pixel);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double most = pixel == ND_U8 ? UINT8_MAX : UINT16_MAX;
        expect(pixel_at(pixels, i * step, pixel) == fmin(fmax(rint(get(sums, i, dtype)), 0), most), "image_store", dtype, n,
               step, pixel);
        for (ptrdiff_t j = 1; j < step; j++)
            expect(pixel_at(pixels, i * step + j, pixel) == 0, "image_store, between", dtype, n, step, pixel);
    }
    release();
}

static void check_fold(const struct nd_kernel_set *k, ptrdiff_t folds, ptrdiff_t n, int shift)
{
    const ptrdiff_t wide = whole_vectors(n, k->vl);
    const void *rows[12];
    void *weights = numbers(folds, ND_I16), *to = room(2 * wide);
    for (ptrdiff_t r = 0; r < 2 * folds; r++)
        rows[r] = numbers(wide, ND_I16);
    for (ptrdiff_t f = 0; f < folds; f++)
        put(weights, f, ND_I16, 400 * value());
    k->image_fold(to, rows, weights, folds, n, shift, 100 - (int)n);
    for (ptrdiff_t i = 0; i < n; i++) {
        double sum = 0;
        for (ptrdiff_t r = 0; r < 2 * folds; r++)
            sum += get(weights, r / 2, ND_I16) * get(rows[r], i, ND_I16);
        expect(get(to, i, ND_I16) == rint(ldexp(sum, -shift)) + 100 - n, "image_fold", ND_I16, folds, n, shift);
    }
    release();
}

static double sums[8][1024];

static double fold_of(const void *weights, ptrdiff_t folds, const void *const *rows, ptrdiff_t i)
{
    double sum = 0;
    for (ptrdiff_t f = 0; f < folds; f++)
        sum += floor(ldexp(get(weights, f, ND_I16) * (((const uint8_t *)rows[2 * f])[i] + ((const uint8_t *)rows[2 * f + 1])[i]), -9)
                     + 0.5);
    return sum;
}

/* Rows of bytes by both passes; what is between them is in an order of its own. */
static void check_smooth(const struct nd_kernel_set *k, ptrdiff_t folds, ptrdiff_t n)
{
    const ptrdiff_t wide = whole_vectors(n, 2 * k->vl);
    const void *bytes[8];
    void *row[8], *weights = numbers(folds, ND_I16);
    unsigned char *to = room(n);
    for (ptrdiff_t f = 0; f < folds; f++)
        put(weights, f, ND_I16, 32767 / folds - 90 * f);
    for (ptrdiff_t q = 0; q < 2 * folds; q++) {
        for (ptrdiff_t r = 0; r < 2 * folds; r++) {
            unsigned char *b = room(wide);
            for (ptrdiff_t i = 0; i < wide; i++)
                b[i] = (unsigned char)(below(256) | (i % 3 == 0 ? 255 : 0));
            bytes[r] = b;
        }
        row[q] = room(2 * wide);
        k->smooth_row(row[q], bytes, weights, folds, n);
        for (ptrdiff_t i = 0; i < n; i++)
            sums[q][i] = fold_of(weights, folds, bytes, i);
    }
    k->smooth_column(to, (const void *const *)row, weights, folds, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        double sum = 0;
        for (ptrdiff_t f = 0; f < folds; f++)
            sum += floor(ldexp(get(weights, f, ND_I16) * floor((sums[2 * f][i] + sums[2 * f + 1][i] + 1) / 2), -15) + 0.5);
        expect(to[i] == rint(ldexp(sum, -7)), "smooth_row, smooth_column", ND_I16, folds, n, 0);
    }
    release();
}

void check_image(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; dtype == ND_I16 && n <= 9 * k->vl + 1; n += n < k->vl ? 1 : k->vl / 2)
        for (ptrdiff_t folds = 2; folds <= 6; folds += 2)
            check_fold(k, folds, n, (int)(n % 11) + 5);
    for (ptrdiff_t n = 1; dtype == ND_I16 && n <= 9 * k->vl + 1; n++)
        for (ptrdiff_t folds = 1; folds <= 4; folds++)
            check_smooth(k, folds, n);
    for (ptrdiff_t n = 1; n <= 5 * k->vl + 1; n++)
        for (ptrdiff_t step = 1; step <= 4; step++) {
            check_pixels(k, dtype, ND_U8, n, step);
            if (dtype != ND_I16)
                check_pixels(k, dtype, ND_U16, n, step);
        }
}
