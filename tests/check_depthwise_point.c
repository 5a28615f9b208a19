/* Checks the kernels of one tap that move by more than a cell, and their transpose. */
#include "check.h"

static void check_point_rows(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step, ptrdiff_t rows)
{
    enum { DEPTHS = 2 };
    const ptrdiff_t wide = (n - 1) * step + 1;
    struct nd_point s = {.depths = DEPTHS, .rows = rows, .n = n, .step = step, .x_row = wide + 1, .y_row = n + n % 3};
    s.x_depth = rows * s.x_row, s.y_depth = (rows - 1) * s.y_row + n;
    const void *x = numbers((DEPTHS * rows - 1) * s.x_row + wide, dtype), *w = numbers(1, dtype), *bias = numbers(1, dtype);
    void *y = numbers(DEPTHS * s.y_depth, dtype);
    const double between = rows > 1 ? get(y, n, dtype) : 0;
    k->point_rows(&s, x, w, n % 2 ? bias : NULL, y);
    expect(rows == 1 || s.y_row == n || get(y, n, dtype) == between, "point_rows", dtype, n, step, -1);
    for (ptrdiff_t r = 0; r < DEPTHS * rows; r++)
        for (ptrdiff_t i = 0; i < n; i++) {
            const double want = (n % 2 ? get(bias, 0, dtype) : 0) + get(x, r * s.x_row + i * step, dtype) * get(w, 0, dtype);
            const ptrdiff_t at = r / rows * s.y_depth + r % rows * s.y_row + i;
            expect(get(y, at, dtype) == want, "point_rows", dtype, n, step, (int)rows);
        }
    release();
}

/* Weights are vectors of channels, the last of those that end with the last channel. */
static void check_point_pixels(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step, ptrdiff_t rows,
                               ptrdiff_t channels)
{
    struct nd_point s = {.rows = rows, .n = n, .step = step * channels, .y_pixel = channels + 1, .channels = channels};
    s.x_row = n * s.step, s.y_row = n * s.y_pixel;
    const ptrdiff_t vectors = (channels + k->vl - 1) / k->vl;
    const void *x = numbers((rows * n - 1) * s.step + channels, dtype), *w = numbers(vectors * k->vl, dtype);
    const void *bias = numbers(channels, dtype);
    void *y = numbers(rows * n * s.y_pixel - 1, dtype);
    k->point_pixels(&s, x, w, n % 2 ? bias : NULL, y);
    for (ptrdiff_t i = 0; i < rows * n; i++)
        for (ptrdiff_t c = 0; c < channels; c++) {
            const ptrdiff_t at = c < channels - k->vl ? c : c + vectors * k->vl - channels;
            const double want = (n % 2 ? get(bias, c, dtype) : 0) + get(x, i * s.step + c, dtype) * get(w, at, dtype);
            expect(get(y, i * s.y_pixel + c, dtype) == want, "point_pixels", dtype, n, step, (int)channels);
        }
    release();
}

/* Lanes of pixels where channels are 1, else of channels; the last row of y may be beyond those of x. */
static void check_spread(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, ptrdiff_t step, ptrdiff_t rows,
                         ptrdiff_t channels)
{
    struct nd_point s = {.rows = rows, .n = n, .step = step, .row_step = step, .x_pixel = channels, .y_pixel = channels,
                         .channels = channels, .lines = (rows - 1) * step + 1 + n % 3, .wide = (n - 1) * step + 1 + rows % 3};
    s.x_row = n * channels, s.y_row = s.wide * channels;
    const void *x = numbers(rows * s.x_row, dtype), *w = numbers(channels, dtype), *bias = numbers(channels, dtype);
    void *y = numbers(s.lines * s.y_row, dtype);
    (channels == 1 ? k->spread_rows : k->spread_pixels)(&s, x, w, n % 2 ? bias : NULL, y);
    for (ptrdiff_t r = 0; r < s.lines; r++)
        for (ptrdiff_t i = 0; i < s.wide; i++)
            for (ptrdiff_t c = 0; c < channels; c++) {
                double want = n % 2 ? get(bias, c, dtype) : 0;
                if (r % step == 0 && r / step < rows && i % step == 0 && i / step < n)
                    want += get(x, r / step * s.x_row + i / step * channels + c, dtype) * get(w, c, dtype);
                expect(get(y, r * s.y_row + i * channels + c, dtype) == want, "spread", dtype, n, step, (int)channels);
            }
    release();
}

void check_depthwise_point(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t step = 1; step <= 5; step++)
        for (ptrdiff_t rows = 1; rows <= 4; rows++) {
            for (ptrdiff_t n = 1; n <= 2 * k->vl + 2; n++) {
                check_point_rows(k, dtype, n, step, rows);
                check_spread(k, dtype, n, step, rows, 1);
            }
            for (ptrdiff_t n = 1; n <= 4; n++) {
                check_point_pixels(k, dtype, n, step, rows, k->vl + (n + rows) % 3);
                check_spread(k, dtype, n, step, rows, k->vl + (n + rows) % 3);
            }
        }
}
