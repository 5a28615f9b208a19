/* depthwise_grad: weight gradients of a convolution with very few channels a group, over a block of output
 * rows,
 *
 *   sums[p][t][j] += sum over rows r, pixels i of  dy[r][i] * x_p[r*step + t*row][column j of i],
 *
 * a vector of partial sums a tap. A block is up to 3 rows by 4 columns of taps, 12 sums in registers. Where
 * output rows follow each other (sh = 1) one row of x meets 3 rows of dy, each a row of taps further: 3
 * vectors of dy and 4 of x are loaded for 12 multiply-adds. Rows at the borders, which some rows of taps
 * lack, are taken one by one. With a stride each row of dy meets 3 rows of x, 13 loads for 12
 * multiply-adds; in lanes of pixels one row, since every vector of x is two loads and two shuffles.
 *
 * lanes hold pixels    the vectors of a row of dy; x at a tap's column is an unaligned load, of every second
 *                      element where windows move by two. Vectors with lanes outside x or dy are taken by
 *                      themselves, for all rows, with masks: such lanes are zero in both, so that no NaN
 *                      reaches a tap that it does not belong to. The caller adds the lanes of each sum.
 * lanes hold channels  a vector of channels of a row's pixels; a lane is a channel's sum.
 *
 * Bytes moved: x and dy once for every 9 taps or so, from L1 or L2 after the first time. */
#define GRAD_ROWS 3
#define GRAD_COLUMNS 4
#define GRAD_SUMS vec sum[GRAD_ROWS][GRAD_COLUMNS]

/* How a row is walked: `count` vectors, x_step and y_step apart. */
struct NAME(grad_walk) {
    ptrdiff_t count, x_step, y_step;
    ivec lanes;                      /* that are stored */
    ivec part;                       /* lanes of dy, */
    ivec mask[GRAD_COLUMNS][2];      /* and of x at each column of taps, that count in careful vectors */
};

/* Rows low <= t < high of kc columns of taps over a row of dy. Row t of the taps reads x t rows further, or
 * (one_x) dy t rows before. */
static inline __attribute__((always_inline)) void NAME(grad_line)(
    const int low, const int high, const int kc, const int one_x, const int stride, const int careful,
    const struct nd_depthwise *s, const struct NAME(grad_walk) *walk, const ptrdiff_t *column, const T *x,
    const T *dy, GRAD_SUMS)
{
    const ptrdiff_t x_row = one_x ? 0 : s->row, y_row = one_x ? -s->y_row : 0;
    for (ptrdiff_t i = 0; i < walk->count; i++, x += walk->x_step, dy += walk->y_step) {
        vec by[GRAD_ROWS];
#pragma GCC unroll 3
        for (int t = low; t < high; t++)
            by[t] = t > low && !one_x ? by[low]
                    : careful         ? NAME(load_masked)(dy + t * y_row, walk->part)
                                      : NAME(load)(dy + t * y_row);
#pragma GCC unroll 4
        for (int j = 0; j < kc; j++) {
            vec in;
#pragma GCC unroll 3
            for (int t = low; t < high; t++) {
                if (t == low || !one_x)
                    in = NAME(held)(NAME(strip_load)(stride, careful, x + t * x_row + column[j], walk->mask[j]));
                if (stride == 2)
                    in = NAME(in_turn)(in);
                sum[t][j] += in * by[t];
            }
        }
    }
}

/* tr x kc taps over all rows: of dy, or (one_x) of x that they meet. */
static inline __attribute__((always_inline)) void NAME(grad_vectors)(
    const int tr, const int kc, const int one_x, const int stride, const int careful, const struct nd_depthwise *s,
    const struct NAME(grad_walk) *walk, ptrdiff_t t0, const ptrdiff_t *column, const T *x, const T *dy, GRAD_SUMS)
{
    const ptrdiff_t lines = one_x ? s->rows + tr - 1 : s->rows, x_step = one_x ? s->row : s->step;
    for (ptrdiff_t m = 0; m < lines; m++, x += x_step, dy += s->y_row) {
        int meets[GRAD_ROWS], all = 1;
#pragma GCC unroll 3
        for (int t = 0; t < tr; t++) {
            const ptrdiff_t q = one_x ? t0 + m : t0 + m * s->sh + t, r = one_x ? m - t : m;
            meets[t] = q >= s->low && q < s->high && r >= 0 && r < s->rows;
            all &= meets[t];
        }
        if (all)
            NAME(grad_line)(0, tr, kc, one_x, stride, careful, s, walk, column, x, dy, sum);
        else
#pragma GCC unroll 3
            for (int t = 0; t < tr; t++)
                if (meets[t])
                    NAME(grad_line)(t, t + 1, kc, one_x, stride, careful, s, walk, column, x, dy, sum);
    }
}

/* tr rows from row t0 on x kc columns of taps, added to the sums in memory. Lanes of channels (edges 0) need
 * no masks; in lanes of pixels each vector that has lanes outside x or dy goes through all rows by itself. */
static inline __attribute__((always_inline)) void NAME(grad_taps)(
    const int tr, const int kc, const int one_x, const int stride, const int edges, const struct nd_depthwise *s,
    const struct NAME(grad_walk) *walk, ptrdiff_t t0, const ptrdiff_t *column, const T *x, const T *dy, T *sums,
    ptrdiff_t unit)
{
    GRAD_SUMS;
#pragma GCC unroll 3
    for (int t = 0; t < tr; t++)
#pragma GCC unroll 4
        for (int j = 0; j < kc; j++)
            sum[t][j] = (vec){0};
    x += t0 * s->row;
    if (!edges) {
        NAME(grad_vectors)(tr, kc, one_x, stride, 0, s, walk, t0, column, x, dy, sum);
    } else {
        struct NAME(grad_walk) inner = *walk, edge = *walk;
        ptrdiff_t least = column[0], most = column[0], v = 0;
        for (int j = 1; j < kc; j++) {
            least = column[j] < least ? column[j] : least;
            most = column[j] > most ? column[j] : most;
        }
        while (v * VL < s->n) {
            const ptrdiff_t at = s->first + v * VL * stride, left = s->n - v * VL;
            const ptrdiff_t room = s->width - (at + most + (VL - 1) * stride);
            /* vectors from here on that lie in both */
            ptrdiff_t whole = at + least < 0 || room <= 0 ? 0 : (room - 1) / (VL * stride) + 1;
            whole = whole < left / VL ? whole : left / VL;
            if (whole > 0) {
                inner.count = whole;
                NAME(grad_vectors)(tr, kc, one_x, stride, 0, s, &inner, t0, column, x + at, dy + v * VL, sum);
                v += whole;
                continue;
            }
            edge.count = 1;
            edge.part = NAME(lanes_inside)(0, left);
            for (int j = 0; j < kc; j++)
                for (int half = 0; half < stride; half++) {
                    const ptrdiff_t from = at + column[j] + half * (VL - 1);
                    /* what dy has no result for is not read either */
                    const ptrdiff_t reach = at + column[j] + ((left < VL ? left : VL) - 1) * stride + 1;
                    edge.mask[j][half] = NAME(lanes_inside)(from, s->width < reach ? s->width : reach);
                }
            NAME(grad_vectors)(tr, kc, one_x, stride, 1, s, &edge, t0, column, x + at, dy + v * VL, sum);
            v++;
        }
    }
#pragma GCC unroll 3
    for (int t = 0; t < tr; t++)
#pragma GCC unroll 4
        for (int j = 0; j < kc; j++) {
            T *to = sums + (t * s->kw + j) * unit;
            NAME(store)(to, NAME(load)(to) + (vec)((ivec)sum[t][j] & walk->lanes));
        }
}

#define GRAD_TAPS(kc)                                                                                        \
    case kc:                                                                                                 \
        NAME(grad_taps)(tr, kc, one_x, stride, edges, s, walk, t0, s->column + j, x, dy, sums + j * unit, unit); \
        break;

/* tr rows of taps */
static inline __attribute__((always_inline)) void NAME(grad_rows)(
    const int tr, const int one_x, const int stride, const int edges, const struct nd_depthwise *s,
    const struct NAME(grad_walk) *walk, ptrdiff_t t0, const T *x, const T *dy, T *sums, ptrdiff_t unit)
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

/* All rows of taps of all planes, dealt out evenly to blocks of up to `highest`. */
static inline __attribute__((always_inline)) void NAME(grad_planes)(
    const int highest, const int one_x, const int stride, const int edges, const struct nd_depthwise *s,
    const struct NAME(grad_walk) *walk, const T *x, const T *dy, T *sums, ptrdiff_t unit)
{
    const ptrdiff_t blocks = (s->kh + highest - 1) / highest;
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (ptrdiff_t t = 0, taller = s->kh % blocks; t < s->kh; taller--) {
            const ptrdiff_t tr = s->kh / blocks + (taller > 0);
            const T *at = x + s->plane[p];
            if (highest > 2 && tr == 3)
                NAME(grad_rows)(3, one_x, stride, edges, s, walk, t, at, dy, sums, unit);
            else if (highest > 1 && tr == 2)
                NAME(grad_rows)(2, one_x, stride, edges, s, walk, t, at, dy, sums, unit);
            else
                NAME(grad_rows)(1, one_x, stride, edges, s, walk, t, at, dy, sums, unit);
            t += tr;
            sums += tr * s->kw * unit;
        }
}

/* A function each, so that the compiler deals out registers to one kernel at a time. */
#define GRAD_PLANES(kind, highest, one_x, stride, edges)                                                      \
    static __attribute__((noinline)) void NAME(kind)(const struct nd_depthwise *s,                            \
                                                     const struct NAME(grad_walk) *walk, const T *x,          \
                                                     const T *dy, T *sums, ptrdiff_t unit)                    \
    {                                                                                                        \
        NAME(grad_planes)(highest, one_x, stride, edges, s, walk, x, dy, sums, unit);                         \
    }
GRAD_PLANES(grad_pixels, GRAD_ROWS, 1, 1, 1)
GRAD_PLANES(grad_pixels_any, 1, 0, 1, 1)
GRAD_PLANES(grad_pixels_step2, 1, 0, 2, 1)
GRAD_PLANES(grad_channels, GRAD_ROWS, 1, 1, 0)
GRAD_PLANES(grad_channels_any, GRAD_ROWS, 0, 1, 0)
#undef GRAD_PLANES

static void NAME(depthwise_grad_rows)(const struct nd_depthwise *s, const void *x, const void *dy, void *sums)
{
    const struct NAME(grad_walk) walk = {.x_step = VL * s->stride, .y_step = VL, .lanes = NAME(lanes_inside)(0, VL)};
    if (s->stride == 2)
        NAME(grad_pixels_step2)(s, &walk, x, dy, sums, VL);
    else if (s->sh == 1)
        NAME(grad_pixels)(s, &walk, x, dy, sums, VL);
    else
        NAME(grad_pixels_any)(s, &walk, x, dy, sums, VL);
}

static void NAME(depthwise_grad_pixels)(const struct nd_depthwise *s, const void *x, const void *dy,
                                        void *sums)
{
    struct NAME(grad_walk) walk = {.count = s->n, .x_step = s->pixel, .y_step = s->y_pixel};
    for (ptrdiff_t c = 0; c < s->channels; c += VL) {
        /* the last vector overlaps the one before, whose sums are complete */
        const ptrdiff_t at = c < s->channels - VL ? c : s->channels - VL;
        const T *from = (const T *)x + at, *by = (const T *)dy + at;
        walk.lanes = NAME(lanes_inside)(at - c, VL);
        if (s->sh == 1)
            NAME(grad_channels)(s, &walk, from, by, (T *)sums + at, s->w_tap);
        else
            NAME(grad_channels_any)(s, &walk, from, by, (T *)sums + at, s->w_tap);
    }
}
#undef GRAD_SUMS
