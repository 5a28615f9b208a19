/* tap_sums: weight gradients of a convolution over a block of output rows, whose pixels have their channels side by side,
 *
 *   sums[t][o] += sum over rows r, pixels i of  dy[r*n + i][o] * x[at[t] + r*x_row + i].
 *
 * Lanes hold output channels; taps are places in a slab of padded rows, whose elements are broadcast from where they are: the
 * im2col matrix, which gemm.h would need packed, exists nowhere.
 *
 *     for two vectors of channels
 *         for as many taps as a tile has rows: a register tile of sums
 *             for rows, pixels: 2 loads of dy, and for each tap a load of its place, a broadcast, 2 multiply-adds
 *
 * Budget: that of gemm's tile; AVX-512 14 taps x 2 vectors, 28 sums, 2 of dy and a broadcast in 32 registers, 30 loads for 28
 * cycles of multiply-adds; AVX2 6 x 2, its six places in registers, 8 loads for 6 cycles. Odd numbers of vectors end with tiles
 * of one, up to 14 or 10 taps high. The sums are loaded and stored once a block.
 * Bytes moved: the block of dy from L1 or L2 for every TILE_ROWS taps, the slab for every two vectors of channels. Expected and
 * reached from L1 and L2: 86 to 90 % of the FMA peak, AVX2 and AVX-512 alike, 7 x 7 taps on 112 pixels; 83 % with one vector,
 * 5 x 5 on 28. */
INLINE void NAME(tap_tile)(const int mt, const int vc, const struct nd_tap_sums *s, const ptrdiff_t *at, const T *x, const T *dy,
                           T *sums)
{
    vec sum[TILE_SUMS];
#pragma GCC unroll 16
    for (int t = 0; t < mt; t++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            sum[t * vc + v] = NAME(load)(sums + t * s->sums_tap + v * VL);
    for (ptrdiff_t r = 0; r < s->rows; r++, x += s->x_row)
        for (const T *p = x; p < x + s->n; p++, dy += s->dy_pixel) {
            vec by[TILE_VECTORS];
#pragma GCC unroll 2
            for (int v = 0; v < vc; v++)
                by[v] = NAME(load)(dy + v * VL);
#pragma GCC unroll 16
            for (int t = 0; t < mt; t++) {
                const T in = p[at[t]];
#pragma GCC unroll 2
                for (int v = 0; v < vc; v++)
                    sum[t * vc + v] = NAME(multiply_add)(sum[t * vc + v], by[v], in);
            }
        }
#pragma GCC unroll 16
    for (int t = 0; t < mt; t++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            NAME(store)(sums + t * s->sums_tap + v * VL, sum[t * vc + v]);
}

#define TILE(mt)                                                                                             \
    case mt:                                                                                                 \
        if (mt * vc <= TILE_SUMS)                                                                            \
            NAME(tap_tile)(mt, vc, s, s->at + t, x, dy, sums + t * s->sums_tap);                             \
        break;

/* All taps of vc vectors of channels, dealt out evenly: 15 are 8 + 7. */
INLINE void NAME(tap_tiles)(const int vc, const struct nd_tap_sums *s, const T *x, const T *dy, T *sums)
{
    const ptrdiff_t most = NAME(tile_rows)(vc * VL), tiles = (s->taps + most - 1) / most;
    for (ptrdiff_t i = 0, t = 0, mt; i < tiles; i++, t += mt) {
        mt = s->taps / tiles + (i < s->taps % tiles);
        switch (mt) {
            HIGH_TILES
        }
    }
}
#undef TILE

/* A function each number of vectors: compilers allocate registers worse where a function has very many loops. */
static __attribute__((noinline)) void NAME(tap_tiles_1)(const struct nd_tap_sums *s, const T *x, const T *dy, T *sums)
{
    NAME(tap_tiles)(1, s, x, dy, sums);
}

static __attribute__((noinline)) void NAME(tap_tiles_2)(const struct nd_tap_sums *s, const T *x, const T *dy, T *sums)
{
    NAME(tap_tiles)(2, s, x, dy, sums);
}

static void NAME(tap_sums)(const struct nd_tap_sums *s, const void *x, const void *dy, void *sums)
{
    ptrdiff_t o = 0;
    for (; o + 2 * VL <= s->channels; o += 2 * VL)
        NAME(tap_tiles_2)(s, x, (const T *)dy + o, (T *)sums + o);
    if (o < s->channels)
        NAME(tap_tiles_1)(s, x, (const T *)dy + o, (T *)sums + o);
}
