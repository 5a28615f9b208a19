/* local: what kernels need that are not shared. Windows gathered and put back; dot products of rows with rows,
 *
 *   y[i*y_row + j*y_col] = bias[j*bias_col] + sum over t < k of a[i*a_row + t] * b[j*b_row + t],  i < m, j < n
 *
 *   for j in tiles of rows of b (weights: from memory, once)
 *     for i in tiles of rows of a (windows: L1 or L2)
 *       for t in vectors of k: mc + nc loads, mc*nc multiply-adds; then the lanes of the sums
 *
 * Lanes hold neighbouring elements of the sum, since both operands have them next to each other: nothing is transposed.
 * Budget: a 3 x 4 tile keeps 12 sums, 3 vectors of a and 1 of b in 16 registers, 7 loads for 6 FMA cycles at two a cycle
 * each; one row alone takes 8 rows of b, so that 8 sums hide the latency and 8 streams come from memory. The lanes of 8
 * sums are added in 7 steps of two shuffles and an addition. With one image every weight is used once: 2 operations for
 * 4 (float32) or 8 bytes, the speed of memory. With more images the second tile asks for the rows of b that come after its
 * own, since only the first one waits for memory. Every sum has the same order whatever tile it is in. */
enum { NAME(DOTS) = 12 };

/* Lane i = the sum of the lanes of row i. A step adds the halves of every row and interleaves two rows, so that the rows
 * become half as many; after the last one lane and row have changed places. */
static inline __attribute__((always_inline)) vec NAME(lane_sums)(vec row[LANES])
{
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < half; i++)
            row[i] = NAME(interleave_low)(row[i], row[i + half]) + NAME(interleave_high)(row[i], row[i + half]);
    return row[0];
}

/* The last, partial vector of a row of k elements: the one that ends with it, in the lanes to keep. */
static inline vec NAME(load_last)(const T *p, ptrdiff_t k, ivec keep)
{
    return k < VL ? NAME(load_part)(p, k) : (vec)((ivec)NAME(load)(p + k - VL) & keep);
}

/* v, rounded: where a loop runs once the compiler could fuse its product with the next one instead, in some tiles. */
static inline vec NAME(rounded)(vec v)
{
    __asm__("" : "+m"(v));
    return v;
}

static inline __attribute__((always_inline)) void NAME(dots_tile)(const int mc, const int nc, const struct nd_dots *s,
                                                                  ivec keep, const T *a, const T *b, T *y, const T *bias,
                                                                  const int ahead)
{
    vec sum[NAME(DOTS)], va[3];
    T result[NAME(DOTS) + LANES];
    ptrdiff_t t = 0;
#pragma GCC unroll 12
    for (int i = 0; i < mc * nc; i++)
        sum[i] = (vec){0};
    for (; t + VL <= s->k; t += VL) {
        if (ahead)
#pragma GCC unroll 8
            for (int j = 0; j < nc; j++) /* to L2 */
                __builtin_prefetch(b + j * s->b_row + t + s->ahead, 0, 2);
#pragma GCC unroll 3
        for (int i = 0; i < mc; i++)
            va[i] = NAME(load)(a + i * s->a_row + t);
#pragma GCC unroll 8
        for (int j = 0; j < nc; j++) {
            const vec vb = NAME(load)(b + j * s->b_row + t);
#pragma GCC unroll 3
            for (int i = 0; i < mc; i++)
                sum[i * nc + j] += va[i] * vb;
        }
    }
    if (t < s->k) {
#pragma GCC unroll 12
        for (int i = 0; i < mc * nc; i++)
            sum[i] = NAME(rounded)(sum[i]);
#pragma GCC unroll 3
        for (int i = 0; i < mc; i++)
            va[i] = NAME(load_last)(a + i * s->a_row, s->k, keep);
#pragma GCC unroll 8
        for (int j = 0; j < nc; j++) {
            const vec vb = NAME(load_last)(b + j * s->b_row, s->k, keep);
#pragma GCC unroll 3
            for (int i = 0; i < mc; i++)
                sum[i * nc + j] += va[i] * vb;
        }
    }
#pragma GCC unroll 6
    for (int g = 0; g < mc * nc; g += LANES) {
        vec rows[LANES];
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++)
            rows[l] = g + l < mc * nc ? sum[g + l] : (vec){0};
        NAME(store)(result + g, NAME(lane_sums)(rows));
    }
#pragma GCC unroll 3
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 8
        for (int j = 0; j < nc; j++)
            y[i * s->y_row + j * s->y_col] = result[i * nc + j] + (bias ? bias[j * s->bias_col] : 0);
}

/* All rows of a with nc rows of b: tiles of three rows, 4 as 2 + 2. */
static inline __attribute__((always_inline)) void NAME(dots_column)(const int nc, const struct nd_dots *s, ivec keep,
                                                                    const T *a, const T *b, T *y, const T *bias)
{
    for (ptrdiff_t left = s->m, rows; left > 0; left -= rows, a += rows * s->a_row, y += rows * s->y_row) {
        /* the first tile waits for its rows of b, the second asks for what comes after them */
        const int second = s->ahead && left == s->m - (s->m == 4 ? 2 : 3);
        rows = left == 4 ? 2 : left < 3 ? left : 3;
        if (rows == 1)
            NAME(dots_tile)(1, nc, s, keep, a, b, y, bias, second);
        else if (rows == 2)
            NAME(dots_tile)(2, nc, s, keep, a, b, y, bias, second);
        else
            NAME(dots_tile)(3, nc, s, keep, a, b, y, bias, second);
    }
}

static void NAME(dots)(const struct nd_dots *s, const void *a, const void *b_, void *y_, const void *bias_)
{
    const T *b = b_, *bias = bias_;
    T *y = y_;
    IT lanes[LANES];
    for (ptrdiff_t l = 0; l < VL; l++)
        lanes[l] = -(l >= VL - s->k % VL);
    const ivec keep = NAME(load_index)(lanes);
    for (ptrdiff_t left = s->n, columns; left > 0; left -= columns) {
        columns = s->m == 1 && left >= 8 ? 8 : left < 4 ? left : 4;
        switch (columns) {
        case 1:
            NAME(dots_column)(1, s, keep, a, b, y, bias);
            break;
        case 2:
            NAME(dots_column)(2, s, keep, a, b, y, bias);
            break;
        case 3:
            NAME(dots_column)(3, s, keep, a, b, y, bias);
            break;
        case 4:
            NAME(dots_column)(4, s, keep, a, b, y, bias);
            break;
        default:
            NAME(dots_tile)(1, 8, s, keep, a, b, y, bias, 0);
        }
        b += columns * s->b_row, y += columns * s->y_col;
        bias = bias ? bias + columns * s->bias_col : bias;
    }
}

/* to[i*to_row + (c*rows + r)*taps + t] = from[c*channel + r*row + i*step + t], i < n, c < channels, r < rows, t < taps: windows
 * from rows that have their padding. A window's row is one vector, or a few, stored over what the one before wrote too far. */
static void NAME(windows)(void *restrict to_, ptrdiff_t to_row, const void *restrict from_, ptrdiff_t channels,
                          ptrdiff_t channel, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t taps, ptrdiff_t n, ptrdiff_t step)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    for (ptrdiff_t c = 0; c < channels; c++)
        for (ptrdiff_t r = 0; r < rows; r++, to += taps)
            for (ptrdiff_t t = 0; t < taps; t += VL) {
                const T *p = from + c * channel + r * row + t;
                T *q = to + t;
                for (ptrdiff_t i = 0; i < n; i++, p += step, q += to_row)
                    NAME(store)(q, NAME(load)(p));
            }
}

/* to[q*to_row + j] = sum over t < taps, 0 <= j - t < n of from[(q*taps + t)*row + j - t], q < rows, j < n + taps - 1: overlapping
 * windows added up. from has zeros for taps - 1 elements before its rows, and after them for as many and a vector more. */
static void NAME(fold)(void *to_, ptrdiff_t to_row, const void *from_, ptrdiff_t row,
                       ptrdiff_t rows, ptrdiff_t taps, ptrdiff_t n)
{
    T *to = to_;
    const T *from = (const T *)from_ + taps - 1;
    for (; rows > 0; rows--, to += to_row, from += taps * row)
        for (ptrdiff_t j = 0; j < n + taps - 1; j += VL) {
            vec sum = NAME(load)(from + j);
            for (ptrdiff_t t = 1; t < taps; t++)
                sum += NAME(load)(from + t * (row - 1) + j);
            NAME(store)(to + j, sum);
        }
}
