/* depthwise_pixels: a block of output rows of a convolution with one input channel a group, lanes hold channels,
 *
 *   y[r][i][c] = bias[c] + sum over planes p, tap rows t, tap columns j of
 *                w[p][t][j][c] * x_p[r*sh + t][first + i*stride + j*spread][c]
 *
 * x is read in place, and of its cells only those that are there: rows and columns of taps in the padding cost nothing. Kernels
 * whose columns of taps are 3, 5 or 7 neighbours have tiles of their own (depthwise_near.h); all others:
 *
 * tiles     up to 4 rows x 6 pixels (2 x 6 where there are 16 registers) of one vector of channels, all of whose columns of taps
 *           lie in x: a pixel of x is loaded once for the rows of results that it belongs to, and multiplied by a weight of each.
 *           24 sums, 4 weights and a pixel are in registers; 10 loads for 24 multiply-adds, of which the 6 of x may cross a line:
 *           NumPy's arrays begin at 16 bytes beyond one, and with 512-bit vectors every load does then.
 *           3x3 kernels take 2 x 6: they wait for memory, where 6 rows of x and 4 of y at once take a fifth longer than 4 and 2.
 * columns   up to 8 rows of one pixel some of whose columns of taps lie outside: a load for each multiply-add.
 *
 * Weights are [vector of channels][tap][vl], so that those of a vector are neighbours: 81 lines some KiB apart share a few sets
 * of L1. A tile has all channels, which are neighbours in memory: a vector of them with the whole block at a time keeps its cells
 * in L1, but 9x9 on 576 channels then took 1.4 times as long on two threads with AVX2.
 * Bytes moved: x once, from L1 or L2 for each row of taps; y once. Measured on Zen 4, one core, share of the peak: 7x7 on 56
 * columns 39 to 49 %, 9x9 on 28 columns 49 %, on 53 columns of 576 channels 28 to 36 %. */
#define BLOCK_ROWS (TILE_ROWS < 8 ? 2 : 4)
#define BLOCK_PIXELS 6
#define COLUMN_ROWS 8

/* A row of cells, row q of those that the tile meets, to the rows of results low <= r < high, known to the compiler. */
static inline __attribute__((always_inline)) void NAME(block_row)(
    const int low, const int high, const int pc, const T *x, ptrdiff_t pixel, const T *w, ptrdiff_t w_row,
    vec sum[4][BLOCK_PIXELS])
{
    const T *three[2] = {NAME(as_it_is)(x), NAME(as_it_is)(x + 3 * pixel)};
    vec by[4];
#pragma GCC unroll 4
    for (int r = low; r < high; r++)
        by[r] = NAME(load)(w - r * w_row);
#pragma GCC unroll 6
    for (int i = 0; i < pc; i++) {
        const vec in = NAME(held)(NAME(load)(three[i / 3] + i % 3 * pixel));
#pragma GCC unroll 4
        for (int r = low; r < high; r++)
            sum[r][i] += in * by[r];
    }
}

/* rc rows x pc pixels of one vector of channels; x is at the row and at the tap of the first result, rows low <= q < high of it
 * count. size is that of the columns of taps of rows that move by one, known to the compiler, or 0 for any. */
static inline __attribute__((always_inline)) void NAME(block)(
    const int rc, const int pc, const int size, const struct nd_depthwise *s, ptrdiff_t low, ptrdiff_t high, const T *x,
    const T *w, const T *bias, T *y)
{
    const ptrdiff_t pixel = s->stride * s->pixel, row = s->row, kh = s->kh, kw = s->kw, step = size ? 1 : s->sh;
    const ptrdiff_t begin = low > 0 ? low : 0, most = (rc - 1) * step + kh, end = high < most ? high : most;
    vec sum[4][BLOCK_PIXELS];
    const vec start = bias ? NAME(load)(bias) : (vec){0};
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++)
#pragma GCC unroll 6
        for (int i = 0; i < pc; i++)
            sum[r][i] = start;
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (ptrdiff_t j = 0; j < kw; j++) {
            const T *from = x + s->plane[p] + j * s->spread * s->pixel, *by = w + (p * kh * kw + j) * VL;
            const ptrdiff_t w_row = kw * VL, w_step = step * w_row;
            if (size) {
#pragma GCC unroll 16
                for (int q = 0; q < rc - 1 + size; q++, from = NAME(as_it_is)(from + row)) {
                    const int first = q < size ? 0 : q - size + 1, last = q + 1 < rc ? q + 1 : rc;
                    if (q >= begin && q < end)
                        NAME(block_row)(first, last, pc, from, pixel, by + q * w_row, w_step, sum);
                }
                continue;
            }
            if (step == 1 && kh >= rc) {
                /* rows before the tile has all its rows of results, those that are for all of them, and those after */
#pragma GCC unroll 4
                for (int q = 0; q < rc - 1; q++)
                    if (q >= begin && q < end)
                        NAME(block_row)(0, q + 1, pc, from + q * row, pixel, by + q * w_row, w_step, sum);
                const ptrdiff_t first = begin < rc - 1 ? rc - 1 : begin, last = end < kh ? end : kh;
                for (ptrdiff_t q = first; q < last; q++)
                    NAME(block_row)(0, rc, pc, from + q * row, pixel, by + q * w_row, w_step, sum);
                from += kh * row, by += kh * w_row;
#pragma GCC unroll 4
                for (int q = 1; q < rc; q++, from = NAME(as_it_is)(from + row), by += w_row)
                    if (kh + q > begin && kh + q <= end)
                        NAME(block_row)(q, rc, pc, from, pixel, by, w_step, sum);
                continue;
            }
            from += begin * row, by += begin * w_row;
            for (ptrdiff_t q = begin; q < end; q++, from += row, by += w_row)
#pragma GCC unroll 4
                for (int r = 0; r < rc; r++)
                    if (q >= r * step && q - r * step < kh)
                        NAME(block_row)(r, r + 1, pc, from, pixel, by, w_step, sum);
        }
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++)
#pragma GCC unroll 6
        for (int i = 0; i < pc; i++)
            NAME(store)(y + r * s->y_row + i * s->y_pixel, sum[r][i]);
}

/* rc rows of one pixel, columns j0 <= j < j1 of taps. */
static inline __attribute__((always_inline)) void NAME(column)(
    const int rc, const int careful, const struct nd_depthwise *s, ptrdiff_t low, ptrdiff_t high, ptrdiff_t j0, ptrdiff_t j1,
    const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t sh = s->sh, step = s->step, spread = s->spread * s->pixel;
    vec sum[COLUMN_ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < rc; r++)
        sum[r] = bias ? NAME(load)(bias) : (vec){0};
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (ptrdiff_t j = j0; j < j1; j++) {
            const T *from = x + s->plane[p] + j * spread, *by = w + (p * s->kh * s->kw + j) * VL;
            for (ptrdiff_t t = 0; t < s->kh; t++, from += s->row, by += s->kw * VL) {
                const vec weight = NAME(load)(by);
                const T *at = from;
#pragma GCC unroll 8
                for (int r = 0; r < rc; r++, at += step)
                    if (!careful || (r * sh + t >= low && r * sh + t < high))
                        sum[r] += NAME(load)(at) * weight;
            }
        }
#pragma GCC unroll 8
    for (int r = 0; r < rc; r++)
        NAME(store)(y + r * s->y_row, sum[r]);
}

#define BLOCK(pc)                                                                                            \
    case pc:                                                                                                 \
        for (ptrdiff_t c = 0; c < channels; c += VL) {                                                       \
            const ptrdiff_t at = c < channels - VL ? c : channels - VL;                                      \
            NAME(block)(rc, pc, size, s, low, high, x + i * pixel + at, w + c / VL * s->w_vector,            \
                        bias ? bias + at : NULL, y + i * s->y_pixel + at);                                   \
        }                                                                                                    \
        break;

/* rc rows of pixels from i on and before `end`. */
static inline __attribute__((always_inline)) void NAME(block_pixels)(
    const int rc, const int size, const struct nd_depthwise *s, ptrdiff_t low, ptrdiff_t high, ptrdiff_t i, ptrdiff_t end,
    const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t pixel = s->stride * s->pixel, channels = s->channels;
    const ptrdiff_t tiles = (end - i + BLOCK_PIXELS - 1) / BLOCK_PIXELS, width = (end - i) / tiles;
    ptrdiff_t wider = (end - i) % tiles;
    for (; i < end; wider--) {
        const ptrdiff_t count = width + (wider > 0);
        switch (count) {
            BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
        }
        i += count;
    }
}
#undef BLOCK

#define BLOCK_STRIP(rc)                                                                                      \
    case rc:                                                                                                 \
        if (rc <= highest)                                                                                   \
            NAME(block_pixels)(rc, size, s, low, high, i, end, x, w, bias, y);                               \
        break;

/* The pixels from i on and before `end` of all rows, dealt out evenly to strips. */
static inline __attribute__((always_inline)) void NAME(block_strips)(
    const int size, const int highest, const struct nd_depthwise *s, ptrdiff_t i, ptrdiff_t end, const T *x, const T *w,
    const T *bias, T *y)
{
    const ptrdiff_t parts = (s->rows + highest - 1) / highest, height = s->rows / parts;
    ptrdiff_t low = s->low, high = s->high, taller = s->rows % parts;
    for (ptrdiff_t r = 0; r < s->rows; taller--) {
        const ptrdiff_t count = height + (taller > 0);
        switch (count) {
            BLOCK_STRIP(1) BLOCK_STRIP(2) BLOCK_STRIP(3) BLOCK_STRIP(4)
        }
        r += count, low -= count * s->sh, high -= count * s->sh;
        x += count * s->step, y += count * s->y_row;
    }
}
#undef BLOCK_STRIP

/* A function each, so that the compiler deals out registers to one kernel at a time. */
#define BLOCKS_OF(kind, size, highest)                                                                       \
    static __attribute__((noinline)) void NAME(kind)(const struct nd_depthwise *s, ptrdiff_t i, ptrdiff_t end, \
                                                     const T *x, const T *w, const T *bias, T *y)            \
    {                                                                                                        \
        NAME(block_strips)(size, highest, s, i, end, x, w, bias, y);                                         \
    }
BLOCKS_OF(blocks_3, 3, 2)
BLOCKS_OF(blocks_any, 0, BLOCK_ROWS)
#undef BLOCKS_OF

#define COLUMN(rc)                                                                                           \
    case rc:                                                                                                 \
        if (low <= 0 && high >= (rc - 1) * s->sh + s->kh)                                                    \
            NAME(column)(rc, 0, s, low, high, j0, j1, x, w, bias, y);                                        \
        else                                                                                                 \
            NAME(column)(rc, 1, s, low, high, j0, j1, x, w, bias, y);                                        \
        break;

/* All rows of pixel i of one vector of channels. */
static __attribute__((noinline)) void NAME(columns)(const struct nd_depthwise *s, ptrdiff_t i, const T *x, const T *w,
                                                    const T *bias, T *y)
{
    /* columns j0 <= j < j1 of taps lie in x */
    const ptrdiff_t cell = s->first + i * s->stride, spread = s->spread, room = s->width - cell;
    const ptrdiff_t j0 = cell < 0 ? (-cell + spread - 1) / spread : 0;
    const ptrdiff_t seen = room > 0 ? (room + spread - 1) / spread : 0, j1 = seen < s->kw ? seen : s->kw;
    const ptrdiff_t parts = (s->rows + COLUMN_ROWS - 1) / COLUMN_ROWS, height = s->rows / parts;
    ptrdiff_t low = s->low, high = s->high, taller = s->rows % parts;
    x += i * s->stride * s->pixel, y += i * s->y_pixel;
    for (ptrdiff_t r = 0; r < s->rows; taller--) {
        const ptrdiff_t count = height + (taller > 0);
        switch (count) {
            COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4) COLUMN(5) COLUMN(6) COLUMN(7) COLUMN(8)
        }
        r += count, low -= count * s->sh, high -= count * s->sh;
        x += count * s->step, y += count * s->y_row;
    }
}
#undef COLUMN

static void NAME(depthwise_pixels)(const struct nd_depthwise *s, const void *x_, const void *w_, const void *bias_, void *y_)
{
    const T *x = (const T *)x_ + s->first * s->pixel, *w = w_, *bias = bias_;
    T *y = y_;
    if (NAME(near_pixels)(s, x_, w, bias, y))
        return;
    /* pixels left <= i < right have all columns of taps in x */
    const ptrdiff_t n = s->n, room = s->width - 1 - s->first - (s->kw - 1) * s->spread;
    const ptrdiff_t before = s->first < 0 ? (-s->first + s->stride - 1) / s->stride : 0, left = before < n ? before : n;
    const ptrdiff_t inside = room < 0 ? left : room / s->stride + 1, end = inside < n ? inside : n;
    const ptrdiff_t right = end - left > 1 ? end : left; /* a single column waits for its additions */
    if (left < right && s->kh == 3 && s->sh == 1)
        NAME(blocks_3)(s, left, right, x, w, bias, y);
    else if (left < right)
        NAME(blocks_any)(s, left, right, x, w, bias, y);
    for (ptrdiff_t c = 0; c < s->channels; c += VL) {
        const ptrdiff_t at = c < s->channels - VL ? c : s->channels - VL;
        for (ptrdiff_t i = 0; i < n; i++) {
            i = i == left ? right : i;
            if (i < n)
                NAME(columns)(s, i, x + at, w + c / VL * s->w_vector, bias ? bias + at : NULL, y + at);
        }
    }
}
#undef BLOCK_ROWS
#undef BLOCK_PIXELS
#undef COLUMN_ROWS
