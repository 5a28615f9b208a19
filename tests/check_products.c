/* check_products: the register tile of integers, with the ends of their ranges. */
#include "check.h"

/* An operand: two int16 as bytes give them, often their ends; or a number of 32 bits. */
static int64_t operand(int dtype)
{
    if (dtype == ND_I64)
        return below(3) ? (int64_t)(below(1 << 16) << 16 | below(1 << 16)) - (1ll << 31)
             : below(2) ? INT32_MIN
                        : INT32_MAX;
    const ptrdiff_t kind = below(4);
    const int low = kind == 0 ? -255 : kind == 1 ? 255 : (int)below(511) - 255;
    const int high = kind == 2 ? -255 : (int)below(511) - 255;
    return (int32_t)((uint16_t)low | (uint32_t)high << 16);
}

static int64_t at(const void *p, ptrdiff_t i, int dtype)
{
    return dtype == ND_I64 ? ((const int64_t *)p)[i] : ((const int32_t *)p)[i];
}

static int64_t product(int64_t a, int64_t b, int dtype)
{
    return dtype == ND_I64 ? a * b : (int64_t)(int16_t)a * (int16_t)b + (a >> 16) * (b >> 16);
}

static void *operands(ptrdiff_t n, int dtype)
{
    void *p = room(n * (dtype == ND_I64 ? 8 : 4));
    for (ptrdiff_t i = 0; i < n; i++)
        if (dtype == ND_I64)
            ((int64_t *)p)[i] = operand(dtype);
        else
            ((int32_t *)p)[i] = (int32_t)operand(dtype);
    return p;
}

/* Packed A (mode 1), or strided; y by rows, two apart, or (mode 2) by columns. Products of 63 bits are one alone. */
static void check_tile(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t n, int start,
                       int mode)
{
    const ptrdiff_t len = dtype == ND_I64 ? 1 : 5, zero = 0;
    const ptrdiff_t a_row = mode == 1 ? 1 : 11, a_k = mode == 1 ? k->mr : 2;
    const ptrdiff_t y_col = mode == 1 ? 1 : mode == 2 ? m + 2 : 2, y_row = mode == 2 ? 1 : n * y_col + 3;
    const struct nd_walk walk = {1, len, &zero, &zero, a_row, a_k, k->nr};
    const ptrdiff_t whole = whole_vectors(n, k->vl), size = dtype == ND_I64 ? 8 : 4;
    void *a = operands((m - 1) * a_row + (len - 1) * a_k + 1, dtype);
    void *b = operands((len - 1) * k->nr + whole, dtype);
    void *bias = operands(start == ND_BIAS_ROW ? m : n, dtype);
    void *y = operands((m - 1) * y_row + (n - 1) * y_col + 1, dtype);
    int64_t *before = room(8 * m * n);
    for (ptrdiff_t i = 0; i < m * n; i++)
        before[i] = at(y, i / n * y_row + i % n * y_col, dtype);
    k->gemm(&walk, m, n, a, b, y, y_row, y_col, start, bias);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            uint64_t sum = (uint64_t)(start == ND_ADD           ? before[i * n + j]
                                      : start == ND_BIAS_ROW    ? at(bias, i, dtype)
                                      : start == ND_BIAS_COLUMN ? at(bias, j, dtype)
                                                                : 0);
            for (ptrdiff_t step = 0; step < len; step++)
                sum += (uint64_t)product(at(a, step * a_k + i * a_row, dtype), at(b, step * k->nr + j, dtype),
                                         dtype);
            const uint64_t got = (uint64_t)at(y, i * y_row + j * y_col, dtype);
            const int equal = size == 8 ? got == sum : (uint32_t)got == (uint32_t)sum;
            expect(equal, "gemm", dtype, m, n, start * 3 + mode);
        }
    release();
}

void check_products(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t m = 1; m <= k->tile_rows(1); m++)
        for (ptrdiff_t n = 1; n <= k->tile_columns(m); n++)
            for (int start = ND_ZERO; start <= ND_BIAS_COLUMN; start++)
                for (int mode = 0; mode < 3; mode++)
                    check_tile(k, dtype, m, n, start, mode);
}
