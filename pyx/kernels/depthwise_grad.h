/* depthwise_grad: weight gradients of a convolution with very few channels a group,
 *
 *   sums[t][j] += sum over steps r of  dy[r*y_step] * x[r*x_step + t*x_tap + column[j]],
 *
 * a vector of partial sums a tap. Up to 3 taps along the walk by 4 across it keep 12 sums in registers while the walk goes
 * from step to step, of 32 registers 5 by 4 or 7 by 3. Where windows move by one a step of x meets as many steps of dy, which
 * stay in registers: 1 vector of dy and 3 or 4 of x are loaded for 9 or 12 multiply-adds of 3 taps, 4 for 21 of 7. Where
 * windows move by two a step meets every second tap. Steps at the ends, which lack some of the taps, are taken tap by tap.
 *
 * lanes hold pixels    the walk goes down the rows of a vector of columns; x at a tap's column is an unaligned load, of every
 *                      second element where windows move by two. Vectors with lanes outside x or dy load with masks: such lanes
 *                      are zero in both, so that no NaN reaches a tap that it does not belong to. The caller adds the lanes of
 *                      each sum. Sums of a kernel of 3x3 taps stay in registers over planes of all images.
 * lanes hold channels  the walk goes along the pixels of a row, across are the rows of taps; a lane is a channel's sum. Loads
 *                      of 64 bytes cross lines, and pixels are as far apart as all channels, so loads are the bound: up to 3
 *                      taps of 32 registers walk 4 rows of dy at once (25 registers), 10 loads for 36 multiply-adds.
 *
 * Bytes moved: x and dy once for every 9 taps or so, from L1 or L2 after the first time; what comes next is asked for, which
 * takes a third off batches that no cache holds.
 *
 * Measured on Zen 4, one core, share of the multiply-adds' peak with AVX-512, with AVX2: 3x3 on planes of 112 columns in L2 62 %,
 * 76 %, of 28 in L1 75 %, 58 %, of 14 69 %, 48 %, of 7 19 %, 34 %: what is missing are lanes outside the plane and, at 112, L2.
 * Moving by two 33 % on 112 (42 GB/s), bound by loads; 5x5 54 % and 7x7 55 % on 28. Lanes of channels: 3x3 52 %, 42 % (28 %
 * and 25 % of 512 channels, from L2), 5x5 61 %, 30 %, 7x7 68 %, 29 %. */
#define GRAD_TAPS (TILE_ROWS < 8 ? 3 : 7) /* of 16 registers, of 32 */
#define GRAD_DEEP (TILE_ROWS < 8 ? 1 : 4)
#define GRAD_ACROSS 4
#define GRAD_SUMS vec sum[GRAD_TAPS][GRAD_ACROSS]
#define GRAD_DY vec by[GRAD_TAPS][GRAD_DEEP] /* of the last steps, newest first, in rows one below the other */

/* Lanes of dy, and of x at each column of taps (for both of its loads where windows move by two), that count in a vector. */
struct NAME(grad_masks) {
    ivec part, mask[GRAD_ACROSS][2];
};

/* The compiler loads masks where they are used: it would spill a sum for each that it keeps, where there are 16 registers. */
static inline const struct NAME(grad_masks) *NAME(in_memory)(const struct NAME(grad_masks) *masks)
{
#if VL_BYTES <= 32
    __asm__("" : "+r"(masks));
#endif
    return masks;
}

/* A block of taps: where its walks begin, and the steps that have all of them. */
struct NAME(grad_block) {
    const struct nd_depthwise_grad *s;
    const ptrdiff_t *column;
    ptrdiff_t low, high;     /* of s, from the block's first tap on */
    ptrdiff_t begin, end;    /* steps */
};

/* A step of x meets taps low, low + every, ... < high; tap t has the dy of t/every steps before. Row j of x meets the
 * columns j, j - 1, ... of taps with dy of as many rows further down. */
static inline __attribute__((always_inline)) void NAME(grad_meet)(
    const int low, const int high, const int across, const int deep, const int every, const int stride, const int careful,
    const ptrdiff_t *column, ptrdiff_t x_row, const struct NAME(grad_masks) *masks, const T *x, GRAD_DY, GRAD_SUMS)
{
    masks = NAME(in_memory)(masks);
#pragma GCC unroll 7
    for (int j = 0; j < across + deep - 1; j++) {
        const T *from = x + (deep == 1 ? column[j] : column[0] + j * x_row);
        const vec in = NAME(held)(NAME(strip_load)(stride, careful, from, masks->mask[j]));
#pragma GCC unroll 7
        for (int t = low; t < high; t += every)
#pragma GCC unroll 4
            for (int i = 0; i < deep; i++)
                if (j >= i && j - i < across)
                    sum[t][j - i] += in * by[t / every][i];
    }
}

/* The next step's vectors of dy, if there are any, in the order that strip_load leaves lanes of x in. */
static inline __attribute__((always_inline)) void NAME(grad_dy)(
    const int live, const int deep, const int stride, const int careful, const struct nd_depthwise_grad *s,
    const struct NAME(grad_masks) *masks, const int any, const T *dy, GRAD_DY)
{
#pragma GCC unroll 4
    for (int i = 0; i < deep; i++) {
#pragma GCC unroll 6
        for (int m = live - 1; m > 0; m--)
            by[m][i] = by[m - 1][i];
        if (!any)
            continue;
        const T *from = dy + i * s->y_row;
        const vec in = NAME(held)(careful ? NAME(load_masked)(from, NAME(in_memory)(masks)->part) : NAME(load)(from));
        by[0][i] = stride == 2 ? NAME(out_of_turn)(in) : in;
    }
}

/* A plane of pixels that comes next fits into L1, a block of rows of channels into L2: in L1 it would push out this one. */
static inline __attribute__((always_inline)) void NAME(grad_ask)(const int pixels, const T *p)
{
    if (pixels)
        __builtin_prefetch(p);
    else
        __builtin_prefetch(p, 0, 2);
}

/* All steps of a vector. Those of the middle, which have all taps, in a loop of their own. */
static inline __attribute__((always_inline)) void NAME(grad_walk)(
    const int taps, const int across, const int deep, const int every, const int stride, const int pixels, const int careful,
    const struct NAME(grad_block) *at, const struct NAME(grad_masks) *masks, const T *x, const T *dy, GRAD_SUMS)
{
    const struct nd_depthwise_grad *s = at->s;
    const ptrdiff_t *column = at->column, x_tap = s->x_tap, x_step = s->x_step, y_step = s->y_step, x_row = s->x_row;
    const ptrdiff_t x_ahead = s->x_ahead, y_ahead = s->y_ahead;
    const int live = (taps - 1) / every + 1, fresh = every < taps ? every : taps;
    GRAD_DY;
#pragma GCC unroll 7
    for (int m = 0; m < live; m++)
#pragma GCC unroll 4
        for (int i = 0; i < deep; i++)
            by[m][i] = (vec){0};
    for (ptrdiff_t r = 0; r < s->steps + live - 1; r++, x += x_step, dy += y_step) {
        for (; r >= at->begin && r < at->end; r++, x += x_step, dy += y_step) {
            NAME(grad_dy)(live, deep, stride, careful, s, masks, 1, dy, by);
#pragma GCC unroll 4
            for (int i = 0; i < deep; i++) {
                NAME(grad_ask)(pixels, x + i * x_row + x_ahead);
                NAME(grad_ask)(pixels, dy + i * s->y_row + y_ahead);
            }
#pragma GCC unroll 7
            for (int u = 0; u < fresh; u++)
                NAME(grad_meet)(u, taps, across, deep, every, stride, careful, column, x_row, masks, x + u * x_tap, by, sum);
        }
        if (r == s->steps + live - 1)
            break;
        NAME(grad_dy)(live, deep, stride, careful, s, masks, r < s->steps, dy, by);
#pragma GCC unroll 7
        for (int t = 0; t < taps; t++) {
            const ptrdiff_t u = t % every, q = r * s->stride + u * s->spread;
            if (r >= t / every && r - t / every < s->steps && q >= at->low && q < at->high)
                NAME(grad_meet)(t, t + 1, across, deep, every, stride, careful, column, x_row, masks, x + u * x_tap, by, sum);
        }
    }
}

/* The block of taps from tap t0 on, and from column[0] on. */
static inline __attribute__((always_inline)) struct NAME(grad_block) NAME(grad_block_of)(
    const int taps, const int every, const struct nd_depthwise_grad *s, ptrdiff_t t0, const ptrdiff_t *column)
{
    struct NAME(grad_block) at = {.s = s, .column = column, .low = s->low - t0 * s->spread, .high = s->high - t0 * s->spread};
    const ptrdiff_t stride = s->stride, live = (taps - 1) / every, fresh = every < taps ? every : taps;
    const ptrdiff_t room = at.high - (fresh - 1) * s->spread - 1;
    at.begin = at.low > 0 ? (at.low + stride - 1) / stride : 0;
    at.begin = at.begin > live ? at.begin : live;
    at.end = room < 0 ? 0 : room / stride + 1;
    at.end = at.end < s->steps ? at.end : s->steps;
    return at;
}

static inline __attribute__((always_inline)) void NAME(grad_begin)(
    const int taps, const int across, const struct nd_depthwise_grad *s, const T *sums, GRAD_SUMS)
{
#pragma GCC unroll 7
    for (int t = 0; t < taps; t++)
#pragma GCC unroll 4
        for (int j = 0; j < across; j++)
            sum[t][j] = NAME(load)(sums + t * s->sums_tap + j * s->sums_column);
}

/* Lanes that the mask lacks are left as they are. */
static inline __attribute__((always_inline)) void NAME(grad_end)(
    const int taps, const int across, const struct nd_depthwise_grad *s, const int some, ivec lanes, T *sums, GRAD_SUMS)
{
#pragma GCC unroll 7
    for (int t = 0; t < taps; t++)
#pragma GCC unroll 4
        for (int j = 0; j < across; j++) {
            T *to = sums + t * s->sums_tap + j * s->sums_column;
            NAME(store)(to, some ? NAME(select)(lanes, sum[t][j], NAME(load)(to)) : sum[t][j]);
        }
}

static inline void NAME(grad_mask)(const int across, const int stride, const struct NAME(grad_block) *at, ptrdiff_t v,
                                   struct NAME(grad_masks) *masks)
{
    const struct nd_depthwise_grad *s = at->s;
    const ptrdiff_t first = s->first + v * stride, left = s->n - v < VL ? s->n - v : VL;
    masks->part = NAME(lanes_inside)(0, left);
    for (int j = 0; j < across; j++)
        for (int half = 0; half < stride; half++) {
            /* what dy has no result for is not read either */
            const ptrdiff_t reach = first + at->column[j] + (left - 1) * stride + 1;
            masks->mask[j][half] = NAME(lanes_inside)(first + at->column[j] + half * (VL - 1),
                                                      s->width < reach ? s->width : reach);
        }
}

/* Lanes of pixels: `images` planes of rows of n results. */
static inline __attribute__((always_inline)) void NAME(grad_pixels)(
    const int taps, const int across, const int every, const int stride, const struct nd_depthwise_grad *s, ptrdiff_t t0,
    const ptrdiff_t *column, ptrdiff_t images, const T *x, const T *dy, T *sums)
{
    const struct NAME(grad_block) at = NAME(grad_block_of)(taps, every, s, t0, column);
    const ptrdiff_t n = s->n, last = (n - 1) / VL * VL;
    struct NAME(grad_masks) left, right, between;
    ptrdiff_t least = column[0], most = column[0];
    GRAD_SUMS;
    for (int j = 1; j < across; j++) {
        least = column[j] < least ? column[j] : least;
        most = column[j] > most ? column[j] : most;
    }
    NAME(grad_mask)(across, stride, &at, 0, &left);
    NAME(grad_mask)(across, stride, &at, last, &right);
    NAME(grad_begin)(taps, across, s, sums, sum);
    x += s->first + t0 * s->x_tap;
    for (ptrdiff_t m = 0; m < images; m++, x += s->x_image, dy += s->y_image)
        for (ptrdiff_t v = 0; v < n; v += VL) {
            const ptrdiff_t first = s->first + v * stride;
            if (v + VL <= n && first + least >= 0 && first + most + (VL - 1) * stride < s->width) {
                NAME(grad_walk)(taps, across, 1, every, stride, 1, 0, &at, NULL, x + v * stride, dy + v, sum);
            } else {
                const struct NAME(grad_masks) *masks = v == 0 ? &left : v == last ? &right : &between;
                if (masks == &between)
                    NAME(grad_mask)(across, stride, &at, v, &between);
                NAME(grad_walk)(taps, across, 1, every, stride, 1, 1, &at, masks, x + v * stride, dy + v, sum);
            }
        }
    NAME(grad_end)(taps, across, s, 0, (ivec){0}, sums, sum);
}

/* Lanes of channels: `rows` rows of steps, vector by vector of channels; the last one overlaps the one before, whose sums are
 * complete. */
static inline __attribute__((always_inline)) void NAME(grad_channels)(
    const int taps, const int across, const int every, const struct nd_depthwise_grad *s, ptrdiff_t t0,
    const ptrdiff_t *column, const T *x, const T *dy, T *sums)
{
    const struct NAME(grad_block) at = NAME(grad_block_of)(taps, every, s, t0, column);
    const int deep = every == 1 && taps <= 3 && across > 1 ? GRAD_DEEP : 1;
    x += t0 * s->x_tap;
    for (ptrdiff_t c = 0; c < s->n; c += VL) {
        const ptrdiff_t channel = c < s->n - VL ? c : s->n - VL;
        GRAD_SUMS;
        NAME(grad_begin)(taps, across, s, sums + channel, sum);
        ptrdiff_t r = 0;
        if (deep > 1 && column[across - 1] - column[0] == (across - 1) * s->x_row)
            for (; r + deep <= s->rows; r += deep)
                NAME(grad_walk)(taps, across, deep, every, 1, 0, 0, &at, NULL, x + channel + r * s->x_row,
                                dy + channel + r * s->y_row, sum);
        for (; r < s->rows; r++)
            NAME(grad_walk)(taps, across, 1, every, 1, 0, 0, &at, NULL, x + channel + r * s->x_row,
                            dy + channel + r * s->y_row, sum);
        NAME(grad_end)(taps, across, s, 1, NAME(lanes_inside)(channel - c, VL), sums + channel, sum);
    }
}

#define GRAD_CASE(count)                                                                                              \
    case count:                                                                                                       \
        if (pixels)                                                                                                   \
            NAME(grad_pixels)(taps, count, every, stride, s, t0, s->column + j, images, x, dy, sums + j * s->sums_column); \
        else                                                                                                          \
            NAME(grad_channels)(taps, count, every, s, t0, s->column + j, x, dy, sums + j * s->sums_column);          \
        break;

/* `taps` taps from tap t0 on, by all columns, dealt out evenly to blocks. */
static inline __attribute__((always_inline)) void NAME(grad_columns)(
    const int taps, const int every, const int stride, const int pixels, const struct nd_depthwise_grad *s, ptrdiff_t t0,
    ptrdiff_t images, const T *x, const T *dy, T *sums)
{
    const ptrdiff_t most = taps > 5 ? 3 : GRAD_ACROSS, blocks = (s->across + most - 1) / most;
    ptrdiff_t wider = s->across % blocks;
    for (ptrdiff_t j = 0; j < s->across; wider--) {
        const ptrdiff_t count = s->across / blocks + (wider > 0);
        switch (count) {
            GRAD_CASE(1) GRAD_CASE(2) GRAD_CASE(3) GRAD_CASE(4)
        }
        j += count;
    }
}
#undef GRAD_CASE

#define GRAD_CASE(count)                                                                 \
    case count:                                                                          \
        if (count <= highest)                                                            \
            NAME(grad_columns)(count, every, stride, pixels, s, t, together, x, dy, to); \
        break;

/* All taps, dealt out evenly to blocks of up to `highest`. Where there are several blocks they take an image each after the
 * other, which is in L1 then. */
static inline __attribute__((always_inline)) void NAME(grad_taps)(
    const int highest, const int every, const int stride, const int pixels, const struct nd_depthwise_grad *s, const T *x,
    const T *dy, T *sums)
{
    const ptrdiff_t blocks = (s->taps + highest - 1) / highest;
    const ptrdiff_t images = pixels ? s->images : 1, together = blocks == 1 && s->across <= GRAD_ACROSS ? images : 1;
    for (ptrdiff_t m = 0; m < images; m += together, x += s->x_image, dy += s->y_image)
        for (ptrdiff_t t = 0, taller = s->taps % blocks; t < s->taps; taller--) {
            const ptrdiff_t count = s->taps / blocks + (taller > 0);
            T *to = sums + t * s->sums_tap;
            switch (count) {
                GRAD_CASE(1) GRAD_CASE(2) GRAD_CASE(3) GRAD_CASE(4) GRAD_CASE(5) GRAD_CASE(6) GRAD_CASE(7)
            }
            t += count;
        }
}
#undef GRAD_CASE

/* A function each, so that the compiler deals out registers to one kernel at a time. */
#define GRAD_OF(kind, highest, every, stride, pixels)                                                              \
    static __attribute__((noinline)) void NAME(kind)(const struct nd_depthwise_grad *s, const T *x, const T *dy, T *sums) \
    {                                                                                                              \
        NAME(grad_taps)(highest, every, stride, pixels, s, x, dy, sums);                                           \
    }
GRAD_OF(grad_pixels_1, GRAD_TAPS, 1, 1, 1)
GRAD_OF(grad_pixels_2, GRAD_TAPS, 2, 2, 1)
GRAD_OF(grad_pixels_any, 1, 1, 1, 1)
GRAD_OF(grad_pixels_any_2, 1, 1, 2, 1)
GRAD_OF(grad_channels_1, GRAD_TAPS, 1, 1, 0)
GRAD_OF(grad_channels_2, GRAD_TAPS, 2, 1, 0)
GRAD_OF(grad_channels_any, 1, 1, 1, 0)
#undef GRAD_OF

static void NAME(depthwise_grad_rows)(const struct nd_depthwise_grad *s, const void *x, const void *dy, void *sums)
{
    if (s->lane_stride == 2 && s->stride == 2 && s->spread == 1)
        NAME(grad_pixels_2)(s, x, dy, sums);
    else if (s->lane_stride == 2)
        NAME(grad_pixels_any_2)(s, x, dy, sums);
    else if (s->stride == 1 && s->spread == 1)
        NAME(grad_pixels_1)(s, x, dy, sums);
    else
        NAME(grad_pixels_any)(s, x, dy, sums);
}

static void NAME(depthwise_grad_pixels)(const struct nd_depthwise_grad *s, const void *x, const void *dy, void *sums)
{
    if (s->stride == 1 && s->spread == 1)
        NAME(grad_channels_1)(s, x, dy, sums);
    else if (s->stride == 2 && s->spread == 1)
        NAME(grad_channels_2)(s, x, dy, sums);
    else
        NAME(grad_channels_any)(s, x, dy, sums);
}
#undef GRAD_SUMS
#undef GRAD_DY

/* to[i] = what the vl elements from lanes[i*vl] on add up to, i < n. */
static void NAME(add_lanes)(void *to, const void *lanes, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        vec v = NAME(load)((const T *)lanes + i * VL);
        for (int part = LANES; part > 1; part /= 2)
            v = NAME(interleave_low)(v, v) + NAME(interleave_high)(v, v);
        ((T *)to)[i] = v[0];
    }
}
