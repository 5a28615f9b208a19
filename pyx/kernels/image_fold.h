/* image_fold: weighted sums of rows of 16-bit integers by weights that are the same from both ends (a Gaussian, a box),
 *
 *     to[i] = offset + round(sum over f < folds of weights[f] * (rows[2*f][i] + rows[2*f + 1][i]) / 2**shift)
 *
 *   for tiles of four vectors: for two folds at a time
 *       four rows, two additions, elements of the two sums in turn, products of pairs with two weights added
 *
 * Two rows are added before they are multiplied, and a product of pairs is two multiplications: a quarter of the
 * products that float32 takes. A vector takes 4 loads, 2 additions, 2 interleavings, 2 products of pairs and 2 additions
 * of those for four taps: ten operations at four a cycle, and four loads at two. Budget: 8 sums, 4 temporaries and the
 * weights. Expected on AVX2: 2.5 cycles a vector of 16 and four taps if loads are aligned, 3 if not. */
typedef int32_t NAME(ints) __attribute__((vector_size(VL_BYTES)));
#define ints NAME(ints)
#ifndef PAIRS_LOW
typedef T NAME(half) __attribute__((vector_size(VL_BYTES / 2), aligned(sizeof(T)), may_alias));
#endif

/* The nearest integers to v / 2**shift, ties to even */
INLINE ints NAME(shift_round)(ints v, int shift)
{
    return (v + ((1 << (shift - 1)) - 1) + ((v >> shift) & 1)) >> shift;
}

INLINE void NAME(fold_tile)(const int vectors, T *to, const T *const *rows, const T *weights, ptrdiff_t folds, ptrdiff_t i,
                            int shift, int offset)
{
    ints low[4], high[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        low[v] = high[v] = (ints){0};
    for (ptrdiff_t f = 0; f < folds; f += 2, rows += 4) {
#ifdef PAIRS_LOW
        int32_t two;
        __builtin_memcpy(&two, weights + f, sizeof two);
        const ints weight = two - (ints){0};
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const vec a = NAME(load)(rows[0] + i + v * VL) + NAME(load)(rows[1] + i + v * VL);
            const vec b = NAME(load)(rows[2] + i + v * VL) + NAME(load)(rows[3] + i + v * VL);
            low[v] += (ints)VECTOR_PAIRS(PAIRS_LOW(a, b), weight);
            high[v] += (ints)VECTOR_PAIRS(PAIRS_HIGH(a, b), weight);
        }
#else
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
#pragma GCC unroll 2
            for (int g = 0; g < 2; g++) {
                const T *p = rows[2 * g] + i + v * VL, *q = rows[2 * g + 1] + i + v * VL;
                const NAME(half) a = *(const NAME(half) *)p + *(const NAME(half) *)q;
                const NAME(half) b = *(const NAME(half) *)(p + VL / 2) + *(const NAME(half) *)(q + VL / 2);
                low[v] += __builtin_convertvector(a, ints) * (int32_t)weights[f + g];
                high[v] += __builtin_convertvector(b, ints) * (int32_t)weights[f + g];
            }
#endif
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        low[v] = NAME(shift_round)(low[v], shift);
        high[v] = NAME(shift_round)(high[v], shift);
#ifdef PAIRS_LOW
        NAME(store)(to + i + v * VL, (vec)NARROW_I16(low[v], high[v]) + (T)offset);
#else
        *(NAME(half) *)(to + i + v * VL) = __builtin_convertvector(low[v], NAME(half)) + (T)offset;
        *(NAME(half) *)(to + i + v * VL + VL / 2) = __builtin_convertvector(high[v], NAME(half)) + (T)offset;
#endif
    }
}

/* The same of few rows, from bytes to bytes: numbers of 7 bits after the point, weights of 15, each product rounded by itself,
 *
 *     along a row     to[i] = sum over f of weights[f] * (rows[2*f][i] + rows[2*f + 1][i]) / 2**9
 *     across rows     to[i] = round((sum over f of weights[f] * mean(rows[2*f][i], rows[2*f + 1][i]) / 2**15) / 2**7)
 *
 * Rows of numbers between the two are in an order of their own: where bytes are interleaved in 128 bits, and narrowed there again,
 * nothing crosses from one to the other. A vector of 16 takes an interleaving, a sum of pairs, a product and an addition for two
 * taps along the row, a mean, a product and an addition across rows: a third of the above, whose sums are of 32 bits. */
typedef uint8_t NAME(bytes) __attribute__((vector_size(VL_BYTES), aligned(1), may_alias));
typedef uint8_t NAME(half_bytes) __attribute__((vector_size(VL_BYTES / 2), aligned(1), may_alias));
typedef int32_t NAME(wide) __attribute__((vector_size(2 * VL_BYTES)));

/* v*w / 2**15, the nearest integer, ties up */
INLINE vec NAME(scale)(vec v, vec w)
{
#ifdef VECTOR_SCALE
    return (vec)VECTOR_SCALE(v, w);
#else
    const NAME(wide) product = __builtin_convertvector(v, NAME(wide)) * __builtin_convertvector(w, NAME(wide));
    return __builtin_convertvector((product + (1 << 14)) >> 15, vec);
#endif
}

/* The means of numbers that are not negative, ties up */
INLINE vec NAME(mean)(vec a, vec b)
{
#ifdef VECTOR_MEAN
    return (vec)VECTOR_MEAN(a, b);
#else
    return (a | b) - ((a ^ b) >> 1);
#endif
}

/* (p[i] + q[i]) * 64, i < 2*VL */
INLINE void NAME(add_bytes)(vec *low, vec *high, const uint8_t *p, const uint8_t *q)
{
#ifdef PAIRS_U8_LOW
    const NAME(bytes) a = *(const NAME(bytes) *)p, b = *(const NAME(bytes) *)q;
    *low = (vec)PAIRS_U8_LOW(a, b);
    *high = (vec)PAIRS_U8_HIGH(a, b);
#else
    const NAME(half_bytes) *a = (const NAME(half_bytes) *)p, *b = (const NAME(half_bytes) *)q;
    *low = (__builtin_convertvector(a[0], vec) + __builtin_convertvector(b[0], vec)) << 6;
    *high = (__builtin_convertvector(a[1], vec) + __builtin_convertvector(b[1], vec)) << 6;
#endif
}

INLINE void NAME(store_bytes)(uint8_t *to, vec low, vec high)
{
#ifdef NARROW_PAIRS_U8
    *(NAME(bytes) *)to = (NAME(bytes))NARROW_PAIRS_U8(low, high);
#else
    ((NAME(half_bytes) *)to)[0] = __builtin_convertvector(low, NAME(half_bytes));
    ((NAME(half_bytes) *)to)[1] = __builtin_convertvector(high, NAME(half_bytes));
#endif
}

INLINE void NAME(smooth_row_tile)(const int vectors, T *to, const uint8_t *const *rows, const T *weights, ptrdiff_t folds,
                                  ptrdiff_t i)
{
    vec sum[4], two[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = (vec){0};
    for (ptrdiff_t f = 0; f < folds; f++) {
        const vec weight = NAME(broadcast)(weights[f]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v += 2)
            NAME(add_bytes)(&two[v], &two[v + 1], rows[2 * f] + i + v * VL, rows[2 * f + 1] + i + v * VL);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] += NAME(scale)(two[v], weight);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        NAME(store)(to + i + v * VL, sum[v]);
}

static void NAME(smooth_row)(void *to, const void *const *rows_, const void *weights, ptrdiff_t folds, ptrdiff_t n)
{
    const uint8_t *const *rows = (const uint8_t *const *)rows_;
    ptrdiff_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        NAME(smooth_row_tile)(4, to, rows, weights, folds, i);
    for (; i < n; i += 2 * VL)
        NAME(smooth_row_tile)(2, to, rows, weights, folds, i);
}

INLINE void NAME(smooth_column_tile)(const int vectors, uint8_t *to, const T *const *rows, const T *weights, ptrdiff_t folds,
                                     ptrdiff_t i)
{
    vec sum[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = (vec){0};
    for (ptrdiff_t f = 0; f < folds; f++) {
        const vec weight = NAME(broadcast)(weights[f]);
        const T *p = rows[2 * f] + i, *q = rows[2 * f + 1] + i;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] += NAME(scale)(NAME(mean)(NAME(load)(p + v * VL), NAME(load)(q + v * VL)), weight);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = (sum[v] + 63 + ((sum[v] >> 7) & 1)) >> 7;
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v += 2)
        NAME(store_bytes)(to + v * VL, sum[v], sum[v + 1]);
}

static void NAME(smooth_column)(void *to_, const void *const *rows_, const void *weights, ptrdiff_t folds, ptrdiff_t n)
{
    const T *const *rows = (const T *const *)rows_;
    uint8_t *to = to_, last[VL_BYTES];
    ptrdiff_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        NAME(smooth_column_tile)(4, to + i, rows, weights, folds, i);
    for (; i + 2 * VL <= n; i += 2 * VL)
        NAME(smooth_column_tile)(2, to + i, rows, weights, folds, i);
    if (i < n) {
        NAME(smooth_column_tile)(2, last, rows, weights, folds, i);
        __builtin_memcpy(to + i, last, n - i);
    }
}

static void NAME(image_fold)(void *to, const void *const *rows_, const void *weights, ptrdiff_t folds, ptrdiff_t n, int shift,
                             int offset)
{
    const T *const *rows = (const T *const *)rows_;
    ptrdiff_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        NAME(fold_tile)(4, to, rows, weights, folds, i, shift, offset);
    for (; i < n; i += VL)
        NAME(fold_tile)(1, to, rows, weights, folds, i, shift, offset);
}
#undef ints
