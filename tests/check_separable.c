/* Checks kernels/separable.h: weighted sums of rows, on every number of elements around whole vectors, and the
 * flags of rows with something not finite. */
#include "check.h"
#include <math.h>

static void check_rows(const struct nd_kernel_set *k, int dtype, ptrdiff_t height, ptrdiff_t terms,
                       ptrdiff_t count, ptrdiff_t n, int sharp)
{
    const ptrdiff_t most = terms * (count + height - 1);
    const void *rows[64];
    void *to[4];
    int want_flags = 0;
    for (ptrdiff_t r = 0; r < most; r++)
        rows[r] = sharp && r == most / 2 ? sharp_numbers(n, dtype) : numbers(n, dtype);
    for (ptrdiff_t j = 0; j < height; j++)
        to[j] = room(n * size_of(dtype));
    void *weights = numbers(terms * count, dtype);
    const int flags = k->sum_rows(to, height, rows, weights, terms, count, n, 3);
    for (ptrdiff_t j = 0; j < height; j++)
        for (ptrdiff_t i = 0; i < n; i++) {
            double want = 3;
            for (ptrdiff_t q = 0; q < terms; q++)
                for (ptrdiff_t r = 0; r < count; r++)
                    want += get(weights, q * count + r, dtype) *
                            get(rows[q * (count + height - 1) + j + r], i, dtype);
            want_flags |= (want - want != 0) << j;
            expect(same(get(to[j], i, dtype), want), "sum_rows", dtype, count, n, (int)height);
        }
    expect(flags == want_flags, "sum_rows, flags", dtype, count, n, (int)height);
    release();
}

void check_separable(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t height = 1; height <= 4; height += 3)
        for (ptrdiff_t terms = 1; terms <= 3; terms++)
            for (ptrdiff_t count = 1; count <= 9; count += count < 5 ? 1 : 2)
                for (ptrdiff_t n = 1; n <= 11 * k->vl + 1; n += n < 5 * k->vl ? 1 : k->vl / 2 + 1)
                    for (int sharp = 0; sharp < (dtype == ND_I16 ? 1 : 2); sharp++)
                        check_rows(k, dtype, height, terms, count, n, sharp);
}
