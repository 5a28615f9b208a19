/* Checks kernels/tap_sums.h on every number of channels and taps around the tiles, and rows around whole vectors, which end where
 * memory ends and have NaN between them. */
#include "check.h"
#include <math.h>

static void check_block(const struct nd_kernel_set *k, int dtype, ptrdiff_t channels, ptrdiff_t taps, ptrdiff_t rows, ptrdiff_t n)
{
    const ptrdiff_t size = size_of(dtype), gap = 2, row = n + gap, reach = 5, count = channels * taps;
    ptrdiff_t *at = room(taps * (ptrdiff_t)sizeof(*at));
    for (ptrdiff_t t = 0; t < taps; t++)
        at[t] = t + 1 < taps ? below(reach) : reach;
    const struct nd_tap_sums s = {rows, n, row, row, rows * row, channels, taps, at};
    const void *x = numbers(reach + (rows - 1) * row + n, dtype);
    void *dy = numbers((channels * rows - 1) * row + n, dtype), *sums = numbers(count * k->vl, dtype);
    void *first = room(count * size), *total = room(count * size);
    for (ptrdiff_t r = 0; r + 1 < channels * rows; r++)
        for (ptrdiff_t i = 0; i < gap; i++)
            put(dy, r * row + n + i, dtype, NAN);
    k->add_lanes(first, sums, count);
    k->tap_sums(&s, x, dy, sums);
    k->add_lanes(total, sums, count);
    for (ptrdiff_t o = 0; o < channels; o++)
        for (ptrdiff_t t = 0; t < taps; t++) {
            double want = get(first, o * taps + t, dtype);
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t i = 0; i < n; i++)
                    want += get(dy, o * s.dy_channel + r * row + i, dtype) * get(x, at[t] + r * row + i, dtype);
            expect(get(total, o * taps + t, dtype) == want, "tap_sums", dtype, channels, taps, (int)n);
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
    for (ptrdiff_t channels = 1; channels <= 9; channels++)
        for (ptrdiff_t taps = 1; taps <= 13; taps++)
            for (ptrdiff_t n = 1; n <= 2 * k->vl + 1; n += 1 + below(3))
                check_block(k, dtype, channels, taps, 1 + below(3), n);
    for (ptrdiff_t n = 1; n <= 3 * k->vl; n++)
        check_add_lanes(k, dtype, n);
}
