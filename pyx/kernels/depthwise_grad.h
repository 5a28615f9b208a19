/* depthwise_grad: weight gradients of a convolution with very few channels a group, over a block of output
 * rows,
 *
 *   sums[p][t][j] += sum over rows r, pixels i of  dy[r][i] * x_p[r*step + t*row + column[j] + i],
 *
 * a vector of partial sums a tap. A block is up to 3 rows by 4 columns of taps, 12 sums in registers. Where
 * output rows follow each other (step = row) one row of x meets 3 rows of dy, each a row of taps further: 3
 * vectors of dy and 4 of x are loaded for 12 multiply-adds. The few rows of dy for which a row of x is
 * missing are taken by themselves. With a stride each row of dy meets 3 rows of x, 13 loads for 12
 * multiply-adds.
 *
 * lanes hold pixels    the vectors of a row of dy; x at a tap's column is an unaligned load. A row that is
 *                      no multiple of a vector ends with one that overlaps the vector before, its old lanes
 *                      zero in x and in dy, so that no NaN reaches a tap that it does not belong to. The
 *                      caller adds the lanes of each sum.
 * lanes hold channels  a vector of channels of a row's pixels; a lane is a channel's sum. */
#define GRAD_ROWS 3
#define GRAD_COLUMNS 4
#define GRAD_LEAST_ROWS 16 /* fewer are sooner done row by row */

/* How a row is walked: `count` vectors, x_step and y_step apart, then at `tail` one of which `mask` tells
 * the lanes that count (tail < 0: none); dy has `part` elements there if that is less than a vector. */
struct NAME(grad_walk) {
    ptrdiff_t count, x_step, y_step, tail, part;
    ivec mask;
};

/* tr x kc taps over `rows` rows of dy. Row of taps t reads x t rows further, or (one_x) dy t rows before. */
static inline __attribute__((always_inline)) void NAME(grad_block)(
    const int tr, const int kc, const int one_x, ptrdiff_t rows, const struct nd_depthwise *s,
    const struct NAME(grad_walk) *walk, const ptrdiff_t *column, const T *x, const T *dy, T *sums,
    ptrdiff_t unit,
    ivec lanes)
{
    const ptrdiff_t x_row = one_x ? 0 : s->row, y_row = one_x ? -s->y_row : 0;
    vec sum[GRAD_ROWS][GRAD_COLUMNS];
#pragma GCC unroll 3
    for (int t = 0; t < tr; t++)
#pragma GCC unroll 4
        for (int j = 0; j < kc; j++)
            sum[t][j] = (vec){0};
    for (ptrdiff_t r = 0; r < rows; r++, x += s->step, dy += s->y_row) {
        const T *p = x, *d = dy;
        vec by[GRAD_ROWS];
        for (ptrdiff_t i = 0; i < walk->count; i++, p += walk->x_step, d += walk->y_step) {
#pragma GCC unroll 3
            for (int t = 0; t < tr; t++)
                by[t] = NAME(load)(d + t * y_row);
#pragma GCC unroll 4
            for (int j = 0; j < kc; j++) {
                const vec in = NAME(held)(NAME(load)(p + column[j]));
#pragma GCC unroll 3
                for (int t = 0; t < tr; t++)
                    sum[t][j] += (one_x || t == 0 ? in : NAME(load)(p + t * x_row + column[j])) * by[t];
            }
        }
        if (walk->tail < 0)
            continue;
        p = x + walk->tail, d = dy + walk->tail;
#pragma GCC unroll 3
        for (int t = 0; t < tr; t++)
            by[t] = walk->part ? NAME(load_part)(d + t * y_row, walk->part)
                               : (vec)((ivec)NAME(load)(d + t * y_row) & walk->mask);
#pragma GCC unroll 4
        for (int j = 0; j < kc; j++)
#pragma GCC unroll 3
            for (int t = 0; t < tr; t++)
                sum[t][j] += (vec)((ivec)NAME(load)(p + t * x_row + column[j]) & walk->mask) * by[t];
    }
#pragma GCC unroll 3
    for (int t = 0; t < tr; t++)
#pragma GCC unroll 4
        for (int j = 0; j < kc; j++) {
            T *to = sums + (t * s->kw + j) * unit;
            NAME(store)(to, NAME(load)(to) + (vec)((ivec)sum[t][j] & lanes));
        }
}

/* tr x kc taps over all rows */
static inline __attribute__((always_inline)) void NAME(grad_taps)(
    const int tr, const int kc, const struct nd_depthwise *s, const struct NAME(grad_walk) *walk,
    const ptrdiff_t *column, const T *x, const T *dy, T *sums, ptrdiff_t unit, ivec lanes)
{
    if (tr == 1 || s->step != s->row || s->rows < GRAD_LEAST_ROWS) {
        NAME(grad_block)(tr, kc, 0, s->rows, s, walk, column, x, dy, sums, unit, lanes);
        return;
    }
    NAME(grad_block)(tr, kc, 1, s->rows - (tr - 1), s, walk, column, x + (tr - 1) * s->row,
                     dy + (tr - 1) * s->y_row, sums, unit, lanes);
    for (ptrdiff_t t = 0; t < tr; t++)
        for (int end = 0; end < 2; end++) {
            /* the first tr - 1 - t rows, the last t */
            const ptrdiff_t from = end ? s->rows - t : 0, rows = end ? t : tr - 1 - t;
            NAME(grad_block)(1, kc, 0, rows, s, walk, column, x + from * s->step + t * s->row,
                             dy + from * s->y_row, sums + t * s->kw * unit, unit, lanes);
        }
}

#define GRAD_TAPS(kc)                                                                                        \
    case kc:                                                                                                 \
        NAME(grad_taps)(tr, kc, s, walk, s->column + j, x, dy, sums + j * unit, unit, lanes);                \
        break;

/* tr rows of taps */
static inline __attribute__((always_inline)) void NAME(grad_rows)(
    const int tr, const struct nd_depthwise *s, const struct NAME(grad_walk) *walk, const T *x, const T *dy,
    T *sums,
    ptrdiff_t unit, ivec lanes)
{
    const ptrdiff_t blocks = (s->kw + GRAD_COLUMNS - 1) / GRAD_COLUMNS;
    ptrdiff_t wider = s->kw % blocks;
    for (ptrdiff_t j = 0; j < s->kw; wider--) {
        const ptrdiff_t count = s->kw / blocks + (wider > 0);
        switch (count) {
            GRAD_TAPS(1) GRAD_TAPS(2) GRAD_TAPS(3) GRAD_TAPS(4)
        }
        j += count;
    }
}
#undef GRAD_TAPS

/* All rows of taps of all planes, dealt out evenly to blocks of up to GRAD_ROWS. */
static void NAME(grad_planes)(const struct nd_depthwise *s, const struct NAME(grad_walk) *walk, const T *x,
                              const T *dy, T *sums, ptrdiff_t unit, ivec lanes)
{
    const ptrdiff_t blocks = (s->kh + GRAD_ROWS - 1) / GRAD_ROWS;
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (ptrdiff_t t = 0, taller = s->kh % blocks; t < s->kh; taller--) {
            const ptrdiff_t tr = s->kh / blocks + (taller > 0);
            const T *at = x + s->plane[p] + t * s->row;
            if (tr == 3)
                NAME(grad_rows)(3, s, walk, at, dy, sums, unit, lanes);
            else if (tr == 2)
                NAME(grad_rows)(2, s, walk, at, dy, sums, unit, lanes);
            else
                NAME(grad_rows)(1, s, walk, at, dy, sums, unit, lanes);
            t += tr;
            sums += tr * s->kw * unit;
        }
}

/* Lanes low and above, or below high. */
static inline ivec NAME(lanes_between)(ptrdiff_t low, ptrdiff_t high)
{
    ivec mask;
    for (int i = 0; i < VL; i++)
        mask[i] = i >= low && i < high ? -1 : 0;
    return mask;
}

static void NAME(depthwise_grad_rows)(const struct nd_depthwise *s, const void *x, const void *dy, void *sums)
{
    const ptrdiff_t left = s->n % VL;
    struct NAME(grad_walk) walk = {s->n / VL, VL, VL, -1, 0, {0}};
    if (s->n < VL) {
        walk.tail = 0;
        walk.part = s->n;
        walk.mask = NAME(lanes_between)(0, s->n);
    } else if (left) {
        walk.tail = s->n - VL;
        walk.mask = NAME(lanes_between)(VL - left, VL);
    }
    NAME(grad_planes)(s, &walk, x, dy, sums, VL, NAME(lanes_between)(0, VL));
}

static void NAME(depthwise_grad_pixels)(const struct nd_depthwise *s, const void *x, const void *dy,
                                        void *sums)
{
    const struct NAME(grad_walk) walk = {s->n, s->pixel, s->y_pixel, -1, 0, {0}};
    for (ptrdiff_t c = 0; c < s->channels; c += VL) {
        /* the last vector overlaps the one before, whose sums are complete */
        const ptrdiff_t at = c < s->channels - VL ? c : s->channels - VL;
        NAME(grad_planes)(s, &walk, (const T *)x + at, (const T *)dy + at, (T *)sums + at, s->w_tap,
                          NAME(lanes_between)(c - at, VL));
    }
}
