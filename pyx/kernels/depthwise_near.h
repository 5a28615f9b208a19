/* depthwise_pixels where the columns of taps are 3, 5 or 7 neighbouring cells and windows move by 1 or 2 of them, or 2 or 4
 * (as in phases of input gradients) and they move by 1.
 *
 * A tile is 1 or 2 rows x up to 8 pixels of results of one vector of channels. Row by row of x, the weights of the tap rows that
 * meet it are loaded, then its pixels pass by: each is loaded once and multiplied for all of its columns of taps. Columns and
 * rows that lie outside x are stepped over.
 *
 *   registers    16: 3x3 2 rows x 4 pixels, 6 weights; other columns 1 row x 8 or 7, a row of weights; and a pixel
 *                32: 3x3 2 rows x 6 pixels, all 9 weights; other columns 2 rows x 8 or 7, 2 rows of weights
 *   loads        of x a vector of results of 3x3 takes 2.7 to 3 instead of the 6 of one for each column of taps, of 7x7 7.4 to 13
 *                instead of 17 to 28. NumPy's arrays begin at 16 bytes beyond a line, so all loads of 64 bytes cross one, half of
 *                those of 32: what is loaded limits these kernels, not the multiply-adds.
 *   bytes moved  x once, from L2 for each strip of rows (3x3: twice); y once. A tile has all channels, which are neighbours.
 *
 * Measured on Zen 4, one core, x and y in L2, share of the multiply-adds' peak with AVX-512, with AVX2: 3x3 50 to 64 %, 45 to
 * 57 %; 5x5 81 %, 65 %; 7x7 94 to 98 %, 75 %; 2x2 27 %, 20 %, 4x4 56 %, 43 %; strides of 2 a half of that. */
#define NEAR_ROWS (TILE_ROWS < 8 ? 1 : 2) /* of 16 registers, of 32 */
#define NEAR_PIXELS 8
#define NEAR_TAPS 7

/* Row q of x to rows first <= r < last of results, whose taps it meets: of result 0 those at w, of each other w_step before. A
 * pixel is loaded once for all of its columns of taps; those before `left` and from `right` on lie outside x. */
static inline __attribute__((always_inline)) void NAME(near_row)(
    const int first, const int last, const int pc, const int kw, const int sw, ptrdiff_t left, ptrdiff_t right, const T *x,
    ptrdiff_t pixel, const T *w, ptrdiff_t w_step, vec sum[2][NEAR_PIXELS])
{
    vec by[2][NEAR_TAPS];
    w = NAME(as_it_is)(w); /* the compiler would keep more weights than there are registers */
#pragma GCC unroll 2
    for (int r = first; r < last; r++)
#pragma GCC unroll 7
        for (int j = 0; j < kw; j++)
            by[r][j] = NAME(load)(w - r * w_step + j * VL);
#pragma GCC unroll 32
    for (int u = 0; u < (pc - 1) * sw + kw; u++, x = NAME(as_it_is)(x + pixel)) {
        if (u < left || u >= right)
            continue;
        const vec in = NAME(held)(NAME(load)(x));
#pragma GCC unroll 2
        for (int r = first; r < last; r++)
#pragma GCC unroll 8
            for (int i = 0; i < pc; i++)
                if (u >= i * sw && u < i * sw + kw)
                    sum[r][i] += in * by[r][u - i * sw];
    }
}

/* rc rows x pc pixels of one vector of channels; x is at the row and at the tap of the first result, rows low <= q < high and
 * cells left <= u < right of it are there. tall is kh, known to the compiler as sh is then, or 0 for any. */
static inline __attribute__((always_inline)) void NAME(near)(
    const int rc, const int pc, const int tall, const int kw, const int sw, const struct nd_depthwise *s, ptrdiff_t low,
    ptrdiff_t high, ptrdiff_t left, ptrdiff_t right, const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t row = s->row, pixel = s->pixel, kh = tall ? tall : s->kh, sh = tall ? sw : s->sh;
    const ptrdiff_t w_row = kw * VL, w_step = sh * w_row, begin = low > 0 ? low : 0, most = (rc - 1) * sh + kh;
    const ptrdiff_t end = high < most ? high : most;
    vec sum[2][NEAR_PIXELS];
    const vec start = bias ? NAME(load)(bias) : (vec){0};
#pragma GCC unroll 2
    for (int r = 0; r < rc; r++)
#pragma GCC unroll 8
        for (int i = 0; i < pc; i++)
            sum[r][i] = start;
    for (ptrdiff_t p = 0; p < s->planes; p++, w += kh * w_row) {
        const T *from = x + s->plane[p];
        if (tall) {
#pragma GCC unroll 8
            for (int q = 0; q < (rc - 1) * sw + tall; q++)
                if (q >= begin && q < end)
                    NAME(near_row)(q < tall ? 0 : 1, q < sw ? 1 : rc, pc, kw, sw, left, right, from + q * row, pixel,
                                   w + q * w_row, w_step, sum);
            continue;
        }
        /* rows of x that meet the first row of results, both, the second */
        ptrdiff_t q = begin;
        for (; q < end && q < (rc > 1 ? sh : kh); q++)
            NAME(near_row)(0, 1, pc, kw, sw, left, right, from + q * row, pixel, w + q * w_row, w_step, sum);
        for (; rc > 1 && q < end && q < kh; q++)
            NAME(near_row)(0, 2, pc, kw, sw, left, right, from + q * row, pixel, w + q * w_row, w_step, sum);
        for (; rc > 1 && q < end; q++)
            NAME(near_row)(1, 2, pc, kw, sw, left, right, from + q * row, pixel, w + q * w_row, w_step, sum);
    }
#pragma GCC unroll 2
    for (int r = 0; r < rc; r++)
#pragma GCC unroll 8
        for (int i = 0; i < pc; i++)
            NAME(store)(y + r * s->y_row + i * s->y_pixel, sum[r][i]);
}

#define NEAR(pc)                                                                                             \
    case pc:                                                                                                 \
        for (ptrdiff_t c = 0; pc <= widest && c < channels; c += VL) {                                       \
            const ptrdiff_t at = c < channels - VL ? c : channels - VL;                                      \
            NAME(near)(rc, pc, tall, kw, sw, s, low, high, -cell, s->width - cell, x + cell * s->pixel + at, \
                       w + c / VL * s->w_vector, bias ? bias + at : NULL, y + i * s->y_pixel + at);          \
        }                                                                                                    \
        break;

/* rc rows of all pixels, dealt out evenly to tiles. */
static inline __attribute__((always_inline)) void NAME(near_tiles)(
    const int rc, const int widest, const int tall, const int kw, const int sw, const struct nd_depthwise *s, ptrdiff_t low,
    ptrdiff_t high, const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t channels = s->channels, n = s->n, tiles = (n + widest - 1) / widest;
    ptrdiff_t wider = tiles ? n % tiles : 0;
    for (ptrdiff_t i = 0; i < n; wider--) {
        const ptrdiff_t count = n / tiles + (wider > 0), cell = s->first + i * sw;
        switch (count) {
            NEAR(1) NEAR(2) NEAR(3) NEAR(4) NEAR(5) NEAR(6) NEAR(7) NEAR(8)
        }
        i += count;
    }
}
#undef NEAR

/* A function each, so that the compiler deals out registers to one kernel at a time. */
#define NEAR_OF(kind, highest, widest, tall, kw, sw)                                                                     \
    static __attribute__((noinline)) void NAME(kind)(const struct nd_depthwise *s, const T *x, const T *w, const T *bias, \
                                                     T *y)                                                              \
    {                                                                                                                   \
        for (ptrdiff_t r = 0; r < s->rows; r += highest, x += highest * s->step, y += highest * s->y_row) {             \
            const ptrdiff_t low = s->low - r * s->sh, high = s->high - r * s->sh;                                       \
            if (highest > 1 && r + 1 < s->rows)                                                                         \
                NAME(near_tiles)(2, widest, tall, kw, sw, s, low, high, x, w, bias, y);                                 \
            else                                                                                                        \
                NAME(near_tiles)(1, widest, tall, kw, sw, s, low, high, x, w, bias, y);                                 \
        }                                                                                                               \
    }
NEAR_OF(near_3x3, 2, (TILE_ROWS < 8 ? 4 : 6), 3, 3, 1)
NEAR_OF(near_3x3_step2, 2, (TILE_ROWS < 8 ? 4 : 6), 3, 3, 2)
NEAR_OF(near_2, NEAR_ROWS, 8, 0, 2, 1)
NEAR_OF(near_3, 1, 8, 0, 3, 1)
NEAR_OF(near_4, NEAR_ROWS, 8, 0, 4, 1)
NEAR_OF(near_5, NEAR_ROWS, 8, 0, 5, 1)
NEAR_OF(near_5_step2, NEAR_ROWS, 8, 0, 5, 2)
NEAR_OF(near_7, NEAR_ROWS, 7, 0, 7, 1)
NEAR_OF(near_7_step2, NEAR_ROWS, 7, 0, 7, 2)
#undef NEAR_OF

/* depthwise_pixels, x at cell 0; 0 for a kernel that is not one of these. */
static int NAME(near_pixels)(const struct nd_depthwise *s, const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t kw = s->kw, sw = s->stride;
    if (s->spread != 1 || s->kh < s->sh || sw > 2)
        return 0;
    if (s->kh == 3 && kw == 3 && s->sh == sw)
        (sw == 1 ? NAME(near_3x3) : NAME(near_3x3_step2))(s, x, w, bias, y);
    else if (kw == 2 && sw == 1)
        NAME(near_2)(s, x, w, bias, y);
    else if (kw == 3 && sw == 1)
        NAME(near_3)(s, x, w, bias, y);
    else if (kw == 4 && sw == 1)
        NAME(near_4)(s, x, w, bias, y);
    else if (kw == 5)
        (sw == 1 ? NAME(near_5) : NAME(near_5_step2))(s, x, w, bias, y);
    else if (kw == 7)
        (sw == 1 ? NAME(near_7) : NAME(near_7_step2))(s, x, w, bias, y);
    else
        return 0;
    return 1;
}
#undef NEAR_ROWS
#undef NEAR_PIXELS
#undef NEAR_TAPS
