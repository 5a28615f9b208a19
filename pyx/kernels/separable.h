/* separable: weighted sums of rows, the one inner loop of every pass of a separable convolution.
 *
 *     to[j][i] = start + sum over q < terms, r < count of
 *                        weights[q*count + r] * rows[q*(count + height - 1) + j + r][i]
 *
 * for i < n and j < height, which is 1 or SUM_HEIGHT. Along a row the "rows" are one row at the offsets of
 * the taps; across rows they are different ones, and SUM_HEIGHT neighbouring results share what they load.
 *
 * Tile of one result row: eight vectors; a tap is a broadcast and eight multiply-adds straight from memory.
 * Bound by loads: half a cycle a vector and tap if aligned, three quarters if not, since every second vector
 * then spans two cache lines. Tile of four result rows: two vectors each (a cache line on AVX2), 8 sums + 2
 * loads + 1 weight of 16 registers. A row is 2 loads and 4 broadcasts for 8 multiply-adds: bound by these,
 * two a cycle, even where the rows come from L2. Symmetric taps are not folded: an addition and a
 * multiply-add issue as often as the two multiply-adds that they replace. The last vector overlaps the one
 * before it: nothing beyond n is touched.
 * Measured, in L1: 0.6 cycles a vector and tap for four result rows, 0.75 to 0.9 for one. */

#define SUM_HEIGHT 4

/* Row r of a term adds weight[r - j] times itself to result j. */
INLINE void NAME(add_row)(const int height, const int vectors, const int whole, vec (*sum)[8], const T *row,
                          const T *weights, ptrdiff_t r, ptrdiff_t count)
{
    vec v[8];
#pragma GCC unroll 8
    for (int c = 0; c < vectors; c++)
        v[c] = NAME(load)(row + c * VL);
#pragma GCC unroll 4
    for (int j = 0; j < height; j++)
        if (whole || (r >= j && r - j < count)) {
            const T weight = weights[r - j];
#pragma GCC unroll 8
            for (int c = 0; c < vectors; c++)
                sum[j][c] += v[c] * weight;
        }
}

/* `vectors` vectors from element i on of each result row; odd[j] stays zero as long as row j is finite. */
INLINE void NAME(sum_tile)(const int height, const int vectors, T *const *to, const T *const *rows,
                           const T *weights, ptrdiff_t terms, ptrdiff_t count, ptrdiff_t i, T start, vec *odd)
{
    vec sum[SUM_HEIGHT][8];
#pragma GCC unroll 4
    for (int j = 0; j < height; j++)
#pragma GCC unroll 8
        for (int c = 0; c < vectors; c++)
            sum[j][c] = NAME(broadcast)(start);
    for (; terms > 0; terms--, rows += count + height - 1, weights += count) {
        ptrdiff_t r = 0;
        for (; r < height - 1; r++)
            NAME(add_row)(height, vectors, 0, sum, rows[r] + i, weights, r, count);
        for (; r < count; r++) {
            NAME(add_row)(height, vectors, 1, sum, rows[r] + i, weights, r, count);
            /* or GCC keeps the next row's weights in registers that the sums need, and spills one of these */
            if (height > 1)
                __asm__("" : "+r"(weights));
        }
        for (; r < count + height - 1; r++)
            NAME(add_row)(height, vectors, 0, sum, rows[r] + i, weights, r, count);
    }
#pragma GCC unroll 4
    for (int j = 0; j < height; j++)
#pragma GCC unroll 8
        for (int c = 0; c < vectors; c++) {
            NAME(store)(to[j] + i + c * VL, sum[j][c]);
            odd[j] += sum[j][c] - sum[j][c];
        }
}

/* Rows shorter than a vector. */
INLINE int NAME(sum_short)(ptrdiff_t height, T *const *to, const T *const *rows, const T *weights,
                           ptrdiff_t terms, ptrdiff_t count, ptrdiff_t n, T start)
{
    int flags = 0;
    for (ptrdiff_t j = 0; j < height; j++)
        for (ptrdiff_t i = 0; i < n; i++) {
            T sum = start;
            for (ptrdiff_t q = 0; q < terms; q++)
                for (ptrdiff_t r = 0; r < count; r++)
                    sum += rows[q * (count + height - 1) + j + r][i] * weights[q * count + r];
            to[j][i] = sum;
            flags |= (sum - sum != 0) << j;
        }
    return flags;
}

static int NAME(sum_rows)(void *const *to_, ptrdiff_t height, const void *const *rows_, const void *weights_,
                          ptrdiff_t terms, ptrdiff_t count, ptrdiff_t n, double start_)
{
    T *const *to = (T *const *)to_;
    const T *const *rows = (const T *const *)rows_;
    const T *weights = weights_, start = (T)start_;
    ptrdiff_t i = 0;
    vec odd[SUM_HEIGHT] = {{0}};
    int flags = 0;
    if (n < VL)
        return NAME(sum_short)(height, to, rows, weights, terms, count, n, start);
    if (height > 1) {
        for (; i + 2 * VL <= n; i += 2 * VL)
            NAME(sum_tile)(SUM_HEIGHT, 2, to, rows, weights, terms, count, i, start, odd);
        for (; i < n; i += VL)
            NAME(sum_tile)(SUM_HEIGHT, 1, to, rows, weights, terms, count, i + VL <= n ? i : n - VL, start,
                           odd);
    } else {
        for (; i + 8 * VL <= n; i += 8 * VL)
            NAME(sum_tile)(1, 8, to, rows, weights, terms, count, i, start, odd);
        for (; i + 2 * VL <= n; i += 2 * VL)
            NAME(sum_tile)(1, 2, to, rows, weights, terms, count, i, start, odd);
        for (; i < n; i += VL)
            NAME(sum_tile)(1, 1, to, rows, weights, terms, count, i + VL <= n ? i : n - VL, start, odd);
    }
    for (ptrdiff_t j = 0; j < height; j++)
        for (int l = 0; l < VL; l++)
            flags |= (odd[j][l] != 0) << j;
    return flags;
}
