/* fft_product: products of spectra at one frequency.
 *
 * multiply:  C[i][v] (+)= sum over k of A[i, k] * B[k][v],  complex, i < m <= MR/2, v < vectors <=
 * TILE_VECTORS.
 * Rows of B and C are whole points [vectors][2][VL]; A is read one complex number at a time and broadcast.
 * Which of tiles, input and output channels are rows and which are lanes is the caller's choice: with many
 * channels the lanes hold output channels (A: tiles x input channels, as fft_split leaves them, in runs of
 * VL), with few channels they hold tiles (A: weights). The weight gradient sums over tiles. A long sum comes
 * in parts, each added to what C holds: its rounding errors grow with the length of a part and the number of
 * parts, not with their product.
 *
 * Budget: a complex sum takes two registers, so the tile has half the rows of the real one (gemm.h). For each
 * k: 2 loads a vector of B, 2 broadcasts a row of A, 4 multiply-adds a row and vector: on AVX2 (3 x 2) 10
 * loads for 12 cycles of FMA; 12 independent sums hide the latency of their two successive steps.
 * Source: Zlateski, Jia, Li and Durand, The Anatomy of Efficient FFT and Winograd Convolutions on Modern
 * CPUs, arXiv 1809.07851. */

#define PRODUCT_ROWS (TILE_ROWS / 2)
#define SUMS vec re[PRODUCT_ROWS][TILE_VECTORS], vec im[PRODUCT_ROWS][TILE_VECTORS]

INLINE void NAME(product_sums)(const int mc, const int vc, const struct nd_product *s,
                               const T *a, const T *b, SUMS)
{
    const ptrdiff_t row = s->a_row, row3 = 3 * row, a_im = s->a_im, a_k = s->a_k, b_k = s->b_k;
    for (ptrdiff_t left = s->k; left > 0; left -= s->run, a += s->a_run) {
        const T *pa = a;
        for (ptrdiff_t j = left < s->run ? left : s->run; j > 0; j--, pa += a_k, b += b_k) {
            vec br[TILE_VECTORS], bi[TILE_VECTORS];
#pragma GCC unroll 8
            for (int v = 0; v < vc; v++) {
                br[v] = NAME(load)(b + v * POINT);
                bi[v] = NAME(load)(b + v * POINT + VL);
            }
#pragma GCC unroll 8
            for (int i = 0; i < mc; i++) {
                const T *p = pa + (i / 3) * row3 + (i % 3) * row;
                const T ar = p[0], ai = p[a_im];
#pragma GCC unroll 8
                for (int v = 0; v < vc; v++) {
                    re[i][v] += br[v] * ar;
                    im[i][v] += bi[v] * ar;
                }
#pragma GCC unroll 8
                for (int v = 0; v < vc; v++) {
                    re[i][v] -= bi[v] * ai;
                    im[i][v] += br[v] * ai;
                }
            }
        }
    }
}

INLINE void NAME(product_tile)(const int mc, const int vc, const struct nd_product *s,
                               const T *a, const T *b, T *c)
{
    vec re[PRODUCT_ROWS][TILE_VECTORS], im[PRODUCT_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vc; v++)
            re[i][v] = im[i][v] = (vec){0};
    NAME(product_sums)(mc, vc, s, a, b, re, im);
#pragma GCC unroll 8
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vc; v++) {
            T *to = c + i * s->c_row + v * POINT;
            NAME(store)(to, s->add ? NAME(load)(to) + re[i][v] : re[i][v]);
            NAME(store)(to + VL, s->add ? NAME(load)(to + VL) + im[i][v] : im[i][v]);
        }
}

/* One function per tile size, as in gemm.h. */
#define TILE(mc)                                                                                             \
    case mc:                                                                                                 \
        return NAME(product_tile)(mc, vc, s, a, b, c);

INLINE void NAME(product_rows)(const int vc, const struct nd_product *s, ptrdiff_t m,
                               const T *a, const T *b, T *c)
{
    switch (m) {
        TILE(1) TILE(2)
#if TILE_ROWS > 4
        TILE(3)
#endif
#if TILE_ROWS > 6
        TILE(4)
#endif
#if TILE_ROWS > 8
        TILE(5) TILE(6) TILE(7)
#endif
    }
}
#undef TILE
#undef SUMS

static void NAME(fft_multiply)(const struct nd_product *s, ptrdiff_t m, ptrdiff_t vectors, const void *a,
                               const void *b, void *c)
{
    switch (vectors) {
    case 1:
        return NAME(product_rows)(1, s, m, a, b, c);
    case 2:
        return NAME(product_rows)(2, s, m, a, b, c);
#if TILE_VECTORS > 2
    case 3:
        return NAME(product_rows)(3, s, m, a, b, c);
#endif
    }
}
#undef PRODUCT_ROWS

/* sum[i] += a[i] * b[i] for n complex points: lanes that have nothing to do with each other. */
static void NAME(fft_accumulate)(void *restrict sum_, const void *restrict a_, const void *restrict b_,
                                 ptrdiff_t n)
{
    T *restrict sum = sum_;
    const T *restrict a = a_, *restrict b = b_;
    for (ptrdiff_t i = 0; i < n * POINT; i += POINT) {
        const vec ar = NAME(load)(a + i), ai = NAME(load)(a + i + VL);
        const vec br = NAME(load)(b + i), bi = NAME(load)(b + i + VL);
        NAME(store)(sum + i, NAME(load)(sum + i) + ar * br - ai * bi);
        NAME(store)(sum + i + VL, NAME(load)(sum + i + VL) + ar * bi + ai * br);
    }
}
