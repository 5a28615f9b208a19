/* dots: dot products of a few rows, windows of images that would leave vectors empty, with rows of weights,
 *
 *   y[i*y_row + j] = bias[j*bias_col] + sum over t < k of a[i*a_row + t] * b[j*b_row + t],  i < m, j < n
 *
 *   for a vector of rows of b, two if m is 1 (weights: from memory, once)
 *     for rows of a, up to 6 (windows: L1 or L2)
 *       for t in vectors of k: LANES vectors, of a row each, transposed; for lanes of t: rows of a, one multiply-add each
 *
 * Lanes hold neighbouring rows of b, so the terms of every sum are added in their order, as kernels/local.h adds them.
 * Budget: LANES vectors of b, 6 sums and one element of a in 16 registers. LANES vectors are LANES loads, 3 LANES shuffles (8
 * lanes), and m LANES multiply-adds and broadcasts; a sum takes a multiply-add every four cycles, so that one row of a needs
 * two vectors of rows of b side by side. With one image every weight is used once: 2 operations for 4 (float32) or 8 bytes, the
 * speed of memory, at which a vector takes six cycles. */
enum { NAME(DOTS_ROWS) = 6 };

/* mc rows of a with `count` vectors of rows of b, which begin at b + at[j]. */
INLINE void NAME(dots_tile)(const int mc, const int count, const struct nd_dots *s, const T *a, const T *b,
                            const ptrdiff_t *at, vec *sum)
{
    ptrdiff_t t = 0;
    for (; t + VL <= s->k; t += VL)
#pragma GCC unroll 2
        for (int v = 0; v < count; v++) {
            vec row[LANES];
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                row[l] = NAME(load)(b + at[v * LANES + l] + t);
            NAME(transpose)(row);
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
#pragma GCC unroll 6
                for (int i = 0; i < mc; i++)
                    sum[i * count + v] += row[l] * a[i * s->a_row + t + l];
        }
    if (t == s->k)
        return;
    /* the last terms: of the vector that ends with them, or of a part of one */
    const ptrdiff_t from = s->k < VL ? 0 : s->k - VL;
    for (int v = 0; v < count; v++) {
        vec row[LANES];
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) {
            const T *p = b + at[v * LANES + l] + from;
            row[l] = s->k < VL ? NAME(load_part)(p, s->k) : NAME(load)(p);
        }
        NAME(transpose)(row);
        for (ptrdiff_t l = t - from; l < s->k - from; l++)
#pragma GCC unroll 6
            for (int i = 0; i < mc; i++)
                sum[i * count + v] += row[l] * a[i * s->a_row + from + l];
    }
}

/* All rows of a with `columns` rows of b, in `count` vectors of them. */
INLINE void NAME(dots_column)(const int mc, const int count, const struct nd_dots *s, const T *a, const T *b, T *y,
                              const T *bias, ptrdiff_t columns)
{
    ptrdiff_t at[2 * LANES];
    vec sum[NAME(DOTS_ROWS)], start[2] = {{0}};
    for (ptrdiff_t j = 0; j < count * VL; j++) {
        const ptrdiff_t row = j < columns ? j : columns - 1;
        at[j] = row * s->b_row;
        if (bias)
            start[j / VL][j % VL] = bias[row * s->bias_col];
    }
#pragma GCC unroll 6
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 2
        for (int v = 0; v < count; v++)
            sum[i * count + v] = start[v];
    NAME(dots_tile)(mc, count, s, a, b, at, sum);
#pragma GCC unroll 6
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 2
        for (int v = 0; v < count; v++) {
            const ptrdiff_t left = columns - v * VL;
            if (left >= VL)
                NAME(store)(y + i * s->y_row + v * VL, sum[i * count + v]);
            else if (left > 0)
                NAME(store_part)(y + i * s->y_row + v * VL, sum[i * count + v], left);
        }
}

static void NAME(dots)(const struct nd_dots *s, const void *a_, const void *b_, void *y_, const void *bias_)
{
    const ptrdiff_t wide = s->m == 1 ? 2 * VL : VL;
    for (ptrdiff_t j = 0; j < s->n; j += wide) {
        const ptrdiff_t columns = s->n - j < wide ? s->n - j : wide;
        const T *a = a_, *b = (const T *)b_ + j * s->b_row, *bias = bias_ ? (const T *)bias_ + j * s->bias_col : NULL;
        T *y = (T *)y_ + j;
        for (ptrdiff_t left = s->m, rows; left > 0; left -= rows, a += rows * s->a_row, y += rows * s->y_row) {
            /* 8 rows are 4 + 4 */
            rows = left > NAME(DOTS_ROWS) ? (left + 1) / 2 < NAME(DOTS_ROWS) ? (left + 1) / 2 : NAME(DOTS_ROWS) : left;
            switch (rows) {
            case 1:
                if (columns > VL)
                    NAME(dots_column)(1, 2, s, a, b, y, bias, columns);
                else
                    NAME(dots_column)(1, 1, s, a, b, y, bias, columns);
                break;
            case 2:
                NAME(dots_column)(2, 1, s, a, b, y, bias, columns);
                break;
            case 3:
                NAME(dots_column)(3, 1, s, a, b, y, bias, columns);
                break;
            case 4:
                NAME(dots_column)(4, 1, s, a, b, y, bias, columns);
                break;
            case 5:
                NAME(dots_column)(5, 1, s, a, b, y, bias, columns);
                break;
            default:
                NAME(dots_column)(6, 1, s, a, b, y, bias, columns);
            }
        }
    }
}
