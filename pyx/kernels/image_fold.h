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
