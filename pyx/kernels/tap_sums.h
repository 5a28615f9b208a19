/* tap_sums: weight gradients of a convolution with few input channels, over a block of output rows,
 *
 *   sums[o][t] += sum over rows r, pixels i of  dy[o][r][i] * x[at[t] + r*x_row + i],
 *
 * a vector of partial sums a channel of dy and tap; lanes hold pixels. Rows of dy are read where they are, taps
 * are places in a slab of padded rows, and nothing is packed: a product has as few steps there as output channels
 * pay for with the register tile of gemm.h, which would spend half of its time on packing.
 *
 * Budget: 4 channels by 6 taps are 24 sums, 4 vectors of dy and 1 of x in 32 registers; 3 x 4 in 16. For each
 * vector of pixels 10 loads, six of them unaligned, for 24 multiply-adds; on AVX2 7 for 12. Row ends are masked in
 * both, so that nothing beyond them counts, NaN neither. The sums are loaded and stored once a block.
 * Bytes moved: dy of 4 channels from L1 for every 6 taps, the slab from L2 for every 4 channels. Reached on one core,
 * AVX2 and AVX-512 alike: 70 % of the FMA peak for 7 x 7 taps at stride 2, 112 pixels a row; 60 % for 5 x 5 on 28. */
#if TILE_ROWS * TILE_VECTORS >= 24
#define SUMS_CHANNELS 4
#define SUMS_TAPS 6
#else
#define SUMS_CHANNELS 3
#define SUMS_TAPS 4
#endif

INLINE void NAME(tap_step)(const int mo, const int mt, const int careful, const ivec part, const T *const *x, ptrdiff_t xi,
                           const T *const *dy, ptrdiff_t yi, vec *sum)
{
    vec by[SUMS_CHANNELS];
#pragma GCC unroll 4
    for (int o = 0; o < mo; o++)
        by[o] = careful ? NAME(load_masked)(dy[o] + yi, part) : NAME(load)(dy[o] + yi);
#pragma GCC unroll 6
    for (int t = 0; t < mt; t++) {
        const vec in = careful ? NAME(load_masked)(x[t] + xi, part) : NAME(load)(x[t] + xi);
#pragma GCC unroll 4
        for (int o = 0; o < mo; o++)
            sum[o * mt + t] += in * by[o];
    }
}

INLINE void NAME(tap_tile)(const int mo, const int mt, const struct nd_tap_sums *s, const ptrdiff_t *at, const T *x,
                           const T *dy, T *sums)
{
    vec sum[SUMS_CHANNELS * SUMS_TAPS];
    const T *px[SUMS_TAPS], *py[SUMS_CHANNELS];
    const ptrdiff_t whole = s->n / VL * VL;
    const ivec part = NAME(lanes_inside)(0, s->n - whole);
#pragma GCC unroll 6
    for (int t = 0; t < mt; t++)
        px[t] = x + at[t];
#pragma GCC unroll 4
    for (int o = 0; o < mo; o++)
        py[o] = dy + o * s->dy_channel;
#pragma GCC unroll 4
    for (int o = 0; o < mo; o++)
#pragma GCC unroll 6
        for (int t = 0; t < mt; t++)
            sum[o * mt + t] = NAME(load)(sums + (o * s->taps + t) * VL);
    for (ptrdiff_t r = 0, xi = 0, yi = 0; r < s->rows; r++, xi += s->x_row, yi += s->dy_row) {
        for (ptrdiff_t i = 0; i < whole; i += VL)
            NAME(tap_step)(mo, mt, 0, part, px, xi + i, py, yi + i, sum);
        if (whole < s->n)
            NAME(tap_step)(mo, mt, 1, part, px, xi + whole, py, yi + whole, sum);
    }
#pragma GCC unroll 4
    for (int o = 0; o < mo; o++)
#pragma GCC unroll 6
        for (int t = 0; t < mt; t++)
            NAME(store)(sums + (o * s->taps + t) * VL, sum[o * mt + t]);
}

/* All taps for mo channels, dealt out evenly: 7 are 4 + 3. */
INLINE void NAME(tap_tiles)(const int mo, const struct nd_tap_sums *s, const T *x, const T *dy, T *sums)
{
    const ptrdiff_t tiles = (s->taps + SUMS_TAPS - 1) / SUMS_TAPS;
    for (ptrdiff_t i = 0, t = 0, mt; i < tiles; i++, t += mt) {
        mt = s->taps / tiles + (i < s->taps % tiles);
        switch (mt) {
#define TAPS(mt)                                                                                             \
    case mt:                                                                                                 \
        NAME(tap_tile)(mo, mt, s, s->at + t, x, dy, sums + t * VL);                                          \
        break;
            TAPS(1) TAPS(2) TAPS(3) TAPS(4)
#if SUMS_TAPS > 4
            TAPS(5) TAPS(6)
#endif
#undef TAPS
        }
    }
}

/* A function each number of channels: compilers allocate registers worse where a function has very many loops. */
#define CHANNELS(mo)                                                                                         \
    static __attribute__((noinline)) void NAME(tap_tiles_##mo)(const struct nd_tap_sums *s, const T *x,      \
                                                               const T *dy, T *sums)                         \
    {                                                                                                        \
        NAME(tap_tiles)(mo, s, x, dy, sums);                                                                 \
    }
CHANNELS(1)
CHANNELS(2)
CHANNELS(3)
#if SUMS_CHANNELS > 3
CHANNELS(4)
#endif
#undef CHANNELS

static void NAME(tap_sums)(const struct nd_tap_sums *s, const void *x, const void *dy_, void *sums_)
{
    const T *dy = dy_;
    T *sums = sums_;
    const ptrdiff_t tiles = (s->channels + SUMS_CHANNELS - 1) / SUMS_CHANNELS;
    for (ptrdiff_t i = 0, mo; i < tiles; i++, dy += mo * s->dy_channel, sums += mo * s->taps * VL) {
        mo = s->channels / tiles + (i < s->channels % tiles);
        if (mo == 1)
            NAME(tap_tiles_1)(s, x, dy, sums);
        else if (mo == 2)
            NAME(tap_tiles_2)(s, x, dy, sums);
        else if (mo == 3)
            NAME(tap_tiles_3)(s, x, dy, sums);
#if SUMS_CHANNELS > 3
        else
            NAME(tap_tiles_4)(s, x, dy, sums);
#endif
    }
}
#undef SUMS_CHANNELS
#undef SUMS_TAPS
