/* Checks kernels/tap_sums.h on every number of taps around the tiles and of vectors of channels. */
#include "check.h"
#include <string.h>

static void check_block(const struct nd_kernel_set *k, int dtype, ptrdiff_t channels, ptrdiff_t taps, ptrdiff_t rows, ptrdiff_t n)
{
    const ptrdiff_t size = size_of(dtype), x_row = n + 2, pixel = channels + 3, tap = channels + 1, reach = 5;
    ptrdiff_t *at = room(taps * (ptrdiff_t)sizeof(*at));
    for (ptrdiff_t t = 0; t < taps; t++)
        at[t] = t + 1 < taps ? below(reach) : reach;
    const struct nd_tap_sums s = {rows, n, x_row, pixel, tap, channels, taps, at};
    const void *x = numbers(reach + (rows - 1) * x_row + n, dtype), *dy = numbers((rows * n - 1) * pixel + channels, dtype);
    void *sums = numbers((taps - 1) * tap + channels, dtype), *first = room(((taps - 1) * tap + channels) * size);
    memcpy(first, sums, (size_t)(((taps - 1) * tap + channels) * size));
    k->tap_sums(&s, x, dy, sums);
    for (ptrdiff_t t = 0; t < taps; t++)
        for (ptrdiff_t o = 0; o < tap && t * tap + o < (taps - 1) * tap + channels; o++) {
            double want = get(first, t * tap + o, dtype);
            for (ptrdiff_t r = 0; r < rows && o < channels; r++)
                for (ptrdiff_t i = 0; i < n; i++)
                    want += get(dy, (r * n + i) * pixel + o, dtype) * get(x, at[t] + r * x_row + i, dtype);
            expect(get(sums, t * tap + o, dtype) == want, "tap_sums", dtype, channels, taps, (int)n);
        }
    release();
}

static void check_add_lanes(const struct nd_kernel_set *k, int dtype, ptrdiff_t n)
{
    const void *from = numbers(n * k->vl, dtype);
    void *to = room(n * size_of(dtype));
    k->add_lanes(to, from, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        double want = 0;
        for (ptrdiff_t l = 0; l < k->vl; l++)
            want += get(from, i * k->vl + l, dtype);
        expect(get(to, i, dtype) == want, "add_lanes", dtype, i, n, 0);
    }
    release();
}

void check_tap_sums(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t vectors = 1; vectors <= 3; vectors++)
        for (ptrdiff_t taps = 1; taps <= 2 * k->mr + 2; taps++)
            check_block(k, dtype, vectors * k->vl, taps, 1 + below(3), 1 + below(9));
    for (ptrdiff_t n = 1; n <= 3 * k->vl; n++)
        check_add_lanes(k, dtype, n);
}
