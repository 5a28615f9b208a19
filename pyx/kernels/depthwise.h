/* depthwise: a block of output rows of a convolution with very few channels a group,
 *
 *   y[r][i] = bias + sum over planes p, tap rows t, tap columns j of
 *             w[p][t][j] * x_p[r*step + t*row + i + column[j]]
 *
 * Lanes hold pixels; of channels: depthwise_pixels.h. A tile is up to 4 output rows x 2 vectors of a row. Input rows stream
 * through it: a vector of a row is loaded once and multiplied for every output row that it belongs to. 8 sums, 2 of x and the
 * weights of a column of taps, up to 7, fill the 16 registers of AVX2; 32 registers hold 7 rows, which load 13 rows of x for 7
 * of 7x7 instead of 20: AVX-512 takes 0.6 to 0.9 of the time. For 3x3: 6 rows x 3 columns x 2 vectors of x and 9 weights are
 * loaded for 72 multiply-adds, 45 loads (63 with those that cross a line) for 36 cycles of two loads and two multiply-adds each.
 * Tiles at the borders of x load with masks. A stride of 2 along x is every other lane of two loads, and only 2 rows, so bound
 * by loads; others, and of tall kernels this one, are taken apart into phases by the caller, so that a column of taps is only
 * another place to read from.
 * Kernels of other heights than 3, 5 and 7 take three rows of taps at a time: 9x9 on 28 columns 0.3, 11x11 on 14 0.5 of the time
 * of single rows. Measured on Zen 4, on one core: 53 to 64 % of the peak for 7x7 on planes of 14 to 56 columns, for 5x5 32 to
 * 45 % on 14 and 28, 66 on 56. The rest goes to tiles at borders. 3x3 and squares of stride 2 have tiles of their own
 * (depthwise_squares.h), but for rows of less than a vector. Asking ahead for the rows of the next tiles gains nothing.
 *
 * Nothing is copied here, x is read in place or from a padded slab. Bytes moved: x once or twice, y once.
 * Rows kept in registers: Zhang et al., High Performance Depthwise and Pointwise Convolutions on Mobile
 * Devices, AAAI 2020; Hao et al., Towards Effective Depthwise Convolutions on ARMv8, arXiv 2206.12124. */

#define STRIP_ROWS (TILE_ROWS < 8 ? 4 : 7) /* of 16 registers, of 32 */
#define STRIP_VECTORS 2
#define STRIP_TAPS 7
#define STRIP vec sum[STRIP_ROWS][STRIP_VECTORS]
#define STRETCH_VECTORS 8
#define STRETCH (STRETCH_VECTORS * VL)

/* What strips of one kernel have in common. */
struct NAME(strip_place) {
    const struct nd_depthwise *s;
    ptrdiff_t low, high; /* rows of x that count, from the strip's first on */
    ptrdiff_t least, most; /* columns of the taps */
    T rest[STRIP_ROWS];    /* what the rows that do not count add to a result: nothing, or NaN */
};

/* A vector of a row of x: every second element if windows move by two, in the order that `alternate` leaves
 * them in. */
static inline __attribute__((always_inline)) vec NAME(strip_load)(const int stride, const int careful, const T *p,
                                                                  const ivec mask[2])
{
    if (!careful)
        return stride == 2 ? NAME(alternate_from)(p) : NAME(load)(p);
    if (stride == 1)
        return NAME(load_masked)(p, mask[0]);
    return NAME(alternate)(NAME(load_masked)(p, mask[0]), NAME(load_masked)(p + VL - 1, mask[1]));
}

/* Input row q and one column of taps to output rows low <= r < high, for which it is row q - r*sh of the taps
 * by. x is at the row and at the tap of the first result; the last vector begins `last` after. */
static inline __attribute__((always_inline)) void NAME(strip_row)(
    const int vc, const int low, const int high, const int stride, const int careful, const T *x, ptrdiff_t last,
    const vec *by, const int by_step, const ivec mask[][2], STRIP)
{
    vec in[STRIP_VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vc; v++)
        in[v] = NAME(held)(NAME(strip_load)(stride, careful, v < vc - 1 ? x + v * VL * stride : x + last, mask[v]));
#pragma GCC unroll 7
    for (int r = low; r < high; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            sum[r][v] += in[v] * by[(r - low) * by_step];
}

/* kh rows of taps, known to the compiler: weights stay in registers, everything is unrolled. They are those from `tap` on,
 * where x and w begin. */
static inline __attribute__((always_inline)) void NAME(strip_few)(
    const int rc, const int vc, const int kh, const int sh, const int stride, const int careful,
    const struct NAME(strip_place) *at, ptrdiff_t tap, const T *x, ptrdiff_t last, const T *w, const ivec mask[][2], STRIP)
{
    vec by[STRIP_TAPS];
#pragma GCC unroll 7
    for (int t = 0; t < kh; t++)
        by[t] = NAME(broadcast)(w[t]);
#pragma GCC unroll 16
    for (int q = 0; q < (rc - 1) * sh + kh; q++, x = NAME(as_it_is)(x + at->s->row)) {
        const int low = q < kh ? 0 : (q - kh) / sh + 1, high = q / sh + 1 < rc ? q / sh + 1 : rc;
        if (!careful || (tap + q >= at->low && tap + q < at->high))
            NAME(strip_row)(vc, low, high, stride, careful, x, last, by + (q - low * sh), -sh, mask, sum);
    }
}

/* Any rows of taps, three at a time. */
static inline __attribute__((always_inline)) void NAME(strip_threes)(
    const int rc, const int vc, const int sh, const int stride, const int careful, const struct NAME(strip_place) *at,
    const T *x, ptrdiff_t last, const T *w, const ivec mask[][2], STRIP)
{
    const ptrdiff_t kh = at->s->kh, row = at->s->row;
    ptrdiff_t t = 0;
    for (; t + 3 <= kh; t += 3)
        NAME(strip_few)(rc, vc, 3, sh, stride, careful, at, t, x + t * row, last, w + t, mask, sum);
    if (kh - t == 2)
        NAME(strip_few)(rc, vc, 2, sh, stride, careful, at, t, x + t * row, last, w + t, mask, sum);
    else if (kh > t)
        NAME(strip_few)(rc, vc, 1, sh, stride, careful, at, t, x + t * row, last, w + t, mask, sum);
}

/* Where rows of results move by other steps than columns: each output row reads its own input rows. */
static inline __attribute__((always_inline)) void NAME(strip_any)(
    const int rc, const int vc, const int stride, const int careful, const struct NAME(strip_place) *at, const T *x,
    ptrdiff_t last, const T *w, const ivec mask[][2], STRIP)
{
    const ptrdiff_t sh = at->s->sh;
    for (ptrdiff_t t = 0; t < at->s->kh; t++, x += at->s->row) {
        const vec by = NAME(broadcast)(w[t]);
#pragma GCC unroll 7
        for (int r = 0; r < rc; r++)
            if (!careful || (t + r * sh >= at->low && t + r * sh < at->high))
                NAME(strip_row)(vc, r, r + 1, stride, careful, x + r * at->s->step, last, &by, 0, mask, sum);
    }
}

/* n results a row from column i on, of which only the last vector may be incomplete. size is that of a square
 * kernel known to the compiler, 0 for any; sh that of the rows of x from row to row of results, 0 for any. */
static inline __attribute__((always_inline)) void NAME(strip)(
    const int rc, const int vc, const int size, const int stride, const int sh, const int careful,
    const struct NAME(strip_place) *at, ptrdiff_t i, ptrdiff_t n, const T *x, const T *w, const T *bias, T *y)
{
    const struct nd_depthwise *s = at->s;
    STRIP;
    const vec start = bias ? NAME(broadcast)(*bias) : (vec){0};
    /* a row of whole vectors at least ends with one that overlaps the vector before */
    const ptrdiff_t last = vc > 1 ? n - VL : 0, kh = size ? size : s->kh, kw = size ? size : s->kw;
#pragma GCC unroll 7
    for (int r = 0; r < rc; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            sum[r][v] = careful ? start + NAME(broadcast)(at->rest[r]) : start;
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (ptrdiff_t j = 0; j < kw; j++, w += kh) {
            const ptrdiff_t column = s->first + i * stride + s->column[j];
            const T *from = x + s->plane[p] + column;
            ivec mask[STRIP_VECTORS][2];
            if (careful)
#pragma GCC unroll 2
                for (int v = 0; v < vc; v++)
#pragma GCC unroll 2
                    for (int half = 0; half < stride; half++)
                        mask[v][half] = NAME(lanes_inside)(
                            column + (v < vc - 1 ? v * VL : last) * stride + half * (VL - 1), s->width);
            if (size)
                NAME(strip_few)(rc, vc, size, sh, stride, careful, at, 0, from, last * stride, w, mask, sum);
            else if (sh)
                NAME(strip_threes)(rc, vc, sh, stride, careful, at, from, last * stride, w, mask, sum);
            else
                NAME(strip_any)(rc, vc, stride, careful, at, from, last * stride, w, mask, sum);
        }
#pragma GCC unroll 7
    for (int r = 0; r < rc && stride == 2; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            sum[r][v] = NAME(in_turn)(sum[r][v]);
#pragma GCC unroll 7
    for (int r = 0; r < rc; r++, y += s->y_row) {
        if (vc == 1 && n < VL && (s->y_row != n || (rc - r) * n < VL)) {
            const vec part = sum[r][0];
            NAME(copy_few)(y, (const T *)&part, n);
        } else { /* what a vector has too much is where the next row goes */
#pragma GCC unroll 2
            for (int v = 0; v < vc; v++)
                NAME(store)(y + (v < vc - 1 ? v * VL : last), sum[r][v]);
        }
    }
}

/* Rows that do not count are zeros, which weights that are not finite make NaN. */
static __attribute__((noinline)) void NAME(strip_rest)(struct NAME(strip_place) *at, const T *w)
{
    const struct nd_depthwise *s = at->s;
    for (ptrdiff_t r = 0; r < STRIP_ROWS; r++) {
        at->rest[r] = -(T)0; /* which added to anything changes nothing */
        for (ptrdiff_t i = 0; i < s->planes * s->kh * s->kw; i++) {
            const ptrdiff_t q = i % s->kh + r * s->sh;
            if (q < at->low || q >= at->high)
                at->rest[r] += w[i] * 0;
        }
    }
}

/* rc rows of n results: a vector if they are odd in number, then two at a time. */
static inline __attribute__((always_inline)) void NAME(strips)(
    const int rc, const int size, const int stride, const int sh, const struct NAME(strip_place) *at, const T *x, const T *w,
    const T *bias, T *y)
{
    const struct nd_depthwise *s = at->s;
    const ptrdiff_t n = s->n, both = 2 * VL;
    /* strips of two vectors from column `first` on and before `end` read nothing outside x */
    const int rows_inside = at->low <= 0 && at->high >= (rc - 1) * s->sh + s->kh;
    const ptrdiff_t first = rows_inside ? -(s->first + at->least) : n * stride;
    const ptrdiff_t end = s->width - s->first - at->most - (both - 1) * stride;
    ptrdiff_t i = 0;
    if ((n + VL - 1) / VL % 2) {
        i = n < VL ? n : VL;
        if (n >= VL && first <= 0 && end + VL * stride > 0)
            NAME(strip)(rc, 1, size, stride, sh, 0, at, 0, VL, x, w, bias, y);
        else
            NAME(strip)(rc, 1, size, stride, sh, 1, at, 0, i, x, w, bias, y);
    }
    while (i < n) {
        for (; i + both <= n && i * stride >= first && i * stride < end; i += both)
            NAME(strip)(rc, 2, size, stride, sh, 0, at, i, both, x, w, bias, y + i);
        if (i < n) {
            const ptrdiff_t count = n - i < both ? n - i : both;
            NAME(strip)(rc, 2, size, stride, sh, 1, at, i, count, x, w, bias, y + i);
            i += count;
        }
    }
}

/* What the strips of a call have in common. */
static inline struct NAME(strip_place) NAME(strip_place_of)(const struct nd_depthwise *s)
{
    struct NAME(strip_place) at = {s, s->low, s->high, s->column[0], s->column[0], {0}};
    for (int r = 0; r < STRIP_ROWS; r++)
        at.rest[r] = -(T)0;
    for (ptrdiff_t j = 1; j < s->kw; j++) {
        at.least = s->column[j] < at.least ? s->column[j] : at.least;
        at.most = s->column[j] > at.most ? s->column[j] : at.most;
    }
    return at;
}

/* All rows, dealt out evenly to strips of up to `highest`. */
static inline __attribute__((always_inline)) void NAME(strips_of)(
    const int size, const int stride, const int sh, const int highest, const struct nd_depthwise *s, const T *x, const T *w,
    const T *bias, T *y)
{
    struct NAME(strip_place) at = NAME(strip_place_of)(s);
    const int finite = NAME(all_finite)(w, s->planes * s->kh * s->kw);
    const ptrdiff_t parts = (s->rows + highest - 1) / highest, height = s->rows / parts;
    ptrdiff_t taller = s->rows - height * parts;
    for (ptrdiff_t r = 0; r < s->rows; taller--) {
        const ptrdiff_t count = height + (taller > 0);
        if (!finite)
            NAME(strip_rest)(&at, w);
        if (count == 1)
            NAME(strips)(1, size, stride, sh, &at, x, w, bias, y);
        else if (count == 2)
            NAME(strips)(2, size, stride, sh, &at, x, w, bias, y);
        else if (highest > 2 && count == 3)
            NAME(strips)(3, size, stride, sh, &at, x, w, bias, y);
        else if (highest > 3 && count == 4)
            NAME(strips)(4, size, stride, sh, &at, x, w, bias, y);
        else if (STRIP_ROWS > 4 && highest > 4 && count == 5)
            NAME(strips)(5, size, stride, sh, &at, x, w, bias, y);
        else if (STRIP_ROWS > 4 && highest > 4 && count == 6)
            NAME(strips)(6, size, stride, sh, &at, x, w, bias, y);
        else if (STRIP_ROWS > 4 && highest > 4)
            NAME(strips)(7, size, stride, sh, &at, x, w, bias, y);
        r += count;
        at.low -= count * s->sh, at.high -= count * s->sh;
        x += count * s->step;
        y += count * s->y_row;
    }
}
#undef STRIP

/* A function each, so that the compiler deals out registers to one kernel at a time. */
#define STRIPS_OF(kind, size, stride, sh, highest)                                                            \
    static __attribute__((noinline)) void NAME(kind)(const struct nd_depthwise *s, const void *x, const void *w, \
                                                     const void *bias, void *y)                               \
    {                                                                                                        \
        NAME(strips_of)(size, stride, sh, highest, s, x, w, bias, y);                                         \
    }
STRIPS_OF(strips_3, 3, 1, 1, 4)
STRIPS_OF(strips_5, 5, 1, 1, STRIP_ROWS)
STRIPS_OF(strips_7, 7, 1, 1, STRIP_ROWS)
STRIPS_OF(strips_any, 0, 1, 1, STRIP_ROWS)
STRIPS_OF(strips_any_rows2, 0, 1, 2, STRIP_ROWS)
STRIPS_OF(strips_apart, 0, 1, 0, STRIP_ROWS)
STRIPS_OF(strips_any_step2, 0, 2, 2, 2)
STRIPS_OF(strips_apart_step2, 0, 2, 0, 2)
#undef STRIPS_OF

/* Rows of results of kernels of one row: STRETCH results from column i on, all of whose taps lie in x. The two sums of a strip of
 * one row wait for each other, the 8 of a stretch do not; then a vector of x is loaded for each multiply-add. */
static inline __attribute__((always_inline)) void NAME(stretch)(const struct nd_depthwise *s, ptrdiff_t i, const T *x,
                                                                const T *w, const T *bias, T *y)
{
    const vec start = bias ? NAME(broadcast)(*bias) : (vec){0};
    vec sum[STRETCH_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < STRETCH_VECTORS; v++)
        sum[v] = start;
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (ptrdiff_t j = 0; j < s->kw; j++, w++) {
            const T *from = x + s->plane[p] + s->first + i + s->column[j];
            const vec by = NAME(broadcast)(*w);
#pragma GCC unroll 8
            for (int v = 0; v < STRETCH_VECTORS; v++)
                sum[v] += NAME(held)(NAME(load)(from + v * VL)) * by;
        }
#pragma GCC unroll 8
    for (int v = 0; v < STRETCH_VECTORS; v++)
        NAME(store)(y + i + v * VL, sum[v]);
}

/* Rows of stretches, the last of which overlaps the one before; strips at the ends of x. */
static __attribute__((noinline)) void NAME(stretches)(const struct nd_depthwise *s, const T *x, const T *w, const T *bias, T *y)
{
    const struct NAME(strip_place) at = NAME(strip_place_of)(s);
    const ptrdiff_t inside = -(s->first + at.least), last = s->width - s->first - at.most - STRETCH;
    const ptrdiff_t from = inside > 0 ? inside : 0, end = (last < s->n - STRETCH ? last : s->n - STRETCH) + STRETCH;
    for (ptrdiff_t r = 0; r < s->rows; r++, x += s->step, y += s->y_row) {
        struct nd_depthwise part = *s;
        part.rows = 1, part.low -= r * s->sh, part.high -= r * s->sh;
        if (end - from < STRETCH || part.low > 0 || part.high < 1) {
            NAME(strips_any)(&part, x, w, bias, y);
            continue;
        }
        for (ptrdiff_t i = from; i < end; i += STRETCH)
            NAME(stretch)(s, i < end - STRETCH ? i : end - STRETCH, x, w, bias, y);
        part.n = from;
        if (from > 0)
            NAME(strips_any)(&part, x, w, bias, y);
        part.n = s->n - end, part.first += end;
        if (part.n > 0)
            NAME(strips_any)(&part, x, w, bias, y + end);
    }
}

static void NAME(depthwise_rows)(const struct nd_depthwise *s, const void *x, const void *w, const void *bias,
                                 void *y)
{
    const ptrdiff_t size = s->kh == s->kw && s->sh == s->stride ? s->kh : 0;
    /* rows of less than a vector are faster in strips */
    const int square = ((size == 3 && (s->sh == 2 || s->n > VL)) || (size == 5 && s->sh == 2)) && NAME(is_square)(s, w);
    if (s->lines)
        NAME(squares_3_lined)(s, x, w, bias, y);
    else if (square && s->sh == 1)
        NAME(squares_3)(s, x, w, bias, y);
    else if (square && size == 3)
        NAME(squares_3_step2)(s, x, w, bias, y);
    else if (square)
        NAME(squares_5_step2)(s, x, w, bias, y);
    else if (size == 3 && s->sh == 1)
        NAME(strips_3)(s, x, w, bias, y);
    else if (size == 5 && s->sh == 1)
        NAME(strips_5)(s, x, w, bias, y);
    else if (size == 7 && s->sh == 1)
        NAME(strips_7)(s, x, w, bias, y);
    else if (s->stride == 2 && s->sh == 2)
        NAME(strips_any_step2)(s, x, w, bias, y);
    else if (s->stride == 2)
        NAME(strips_apart_step2)(s, x, w, bias, y);
    else if (s->kh == 1 && s->n >= STRETCH)
        NAME(stretches)(s, x, w, bias, y);
    else if (s->sh == 1)
        NAME(strips_any)(s, x, w, bias, y);
    else if (s->sh == 2)
        NAME(strips_any_rows2)(s, x, w, bias, y);
    else
        NAME(strips_apart)(s, x, w, bias, y);
}
