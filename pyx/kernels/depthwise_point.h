/* depthwise_point: kernels of one tap whose windows move by more than one cell, and their transpose.
 *
 *   point    y[r][i] = bias + w * x[r*sh][i*sw]         of x only the rows that count are read, of channels only the pixels
 *   spread   y[r*sh][i*sw] = bias + w * x[r][i], all else is the bias: each result is written once, with what is between
 *
 * Nothing is done but to move: a multiply-add an element. Lanes that hold pixels are taken apart by shuffles for steps of 2 and
 * 4, and put together for steps of 2, else one by one; every line of a row counts then. Lanes that hold channels are neighbours.
 * Rows that are apart come with gaps that no prefetcher follows, so what is needed a few rows on is asked for. */
#define POINT_AHEAD 6 /* rows */

/* y[i] = start + x[i*step] * w, i < n; rows of a vector at least end with one that overlaps the one before. */
static inline void NAME(point_row)(ptrdiff_t step, ptrdiff_t n, const T *x, T w, T start, T *y)
{
    const vec by = NAME(broadcast)(w), begin = NAME(broadcast)(start);
    if (n >= VL && step == 2)
        for (ptrdiff_t v = 0; v < n; v += VL) {
            const ptrdiff_t i = v < n - VL ? v : n - VL;
            NAME(store)(y + i, begin + NAME(every_other)(x + 2 * i) * by);
        }
    else if (n >= VL && step == 4)
        for (ptrdiff_t v = 0; v < n; v += VL) {
            const ptrdiff_t i = v < n - VL ? v : n - VL;
            NAME(store)(y + i, begin + NAME(every_fourth)(x + 4 * i) * by);
        }
    else
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = start + x[i * step] * w;
}

/* The same of rows of less than a vector whose steps are 2. */
static inline void NAME(point_short)(ptrdiff_t n, const T *x, T w, T start, const ivec mask[2], int whole, T *y)
{
    const vec apart = NAME(alternate)(NAME(load_masked)(x, mask[0]), NAME(load_masked)(x + VL - 1, mask[1]));
    const vec v = NAME(broadcast)(start) + NAME(in_turn)(apart) * NAME(broadcast)(w);
    if (whole) /* what a vector has too much is where the next row goes */
        NAME(store)(y, v);
    else
        NAME(copy_few)(y, (const T *)&v, n);
}

static void NAME(point_rows)(const struct nd_point *s, const void *x_, const void *w, const void *bias, void *y_)
{
    const T *x = x_, start = bias ? *(const T *)bias : 0, by = *(const T *)w;
    const ptrdiff_t n = s->n, step = s->step;
    const ivec mask[2] = {NAME(lanes_inside)(0, 2 * n - 1), NAME(lanes_inside)(VL - 1, 2 * n - 1)};
    T *y = y_;
    for (ptrdiff_t d = 0; d < s->depths; d++, x += s->x_depth, y += s->y_depth)
        for (ptrdiff_t r = 0; r < s->rows; r++) {
            const T *from = x + r * s->x_row;
            const ptrdiff_t later = r + POINT_AHEAD - s->rows;
            const T *next = later < 0 ? from + POINT_AHEAD * s->x_row : x + s->ahead + later * s->x_row;
            for (ptrdiff_t i = 0; i < n * step; i += 64 / TSIZE)
                __builtin_prefetch(next + i);
            if (n < VL && step == 2)
                NAME(point_short)(n, from, by, start, mask, s->y_row == n && (s->rows - r) * n >= VL, y + r * s->y_row);
            else
                NAME(point_row)(step, n, from, by, start, y + r * s->y_row);
        }
}

/* y[c] = bias[c] + x[c] * w[c], c < channels; the last vector overlaps the one before, and has its weights from `last` on. */
static inline void NAME(point_pixel)(ptrdiff_t channels, const T *x, const T *w, ptrdiff_t last, const T *bias, T *y)
{
    for (ptrdiff_t v = 0; v < channels; v += VL) {
        const ptrdiff_t c = v < channels - VL ? v : channels - VL, at = v < channels - VL ? v : last;
        NAME(store)(y + c, (bias ? NAME(load)(bias + c) : (vec){0}) + NAME(load)(x + c) * NAME(load)(w + at));
    }
}

static void NAME(point_pixels)(const struct nd_point *s, const void *x_, const void *w, const void *bias, void *y_)
{
    const T *x = x_;
    T *y = y_;
    const ptrdiff_t last = (s->channels - 1) / VL * VL; /* a vector's weights are beside each other */
    for (ptrdiff_t r = 0; r < s->rows; r++, x += s->x_row, y += s->y_row)
        for (ptrdiff_t i = 0; i < s->n; i++)
            NAME(point_pixel)(s->channels, x + i * s->step, w, last, bias, y + i * s->y_pixel);
}

/* Transposed, y[i*step] = start + x[i] * w, i < n, and start where no i is, of `wide` results. */
static inline void NAME(spread_row)(ptrdiff_t step, ptrdiff_t n, ptrdiff_t wide, const T *x, T w, T start, T *y)
{
    ptrdiff_t i = 0, at = 0;
#if LANES <= 16
    const vec by = NAME(broadcast)(w), begin = NAME(broadcast)(start);
    for (; step == 2 && i + VL <= n && at + 2 * VL <= wide; i += VL, at += 2 * VL) {
        const vec v = begin + NAME(load)(x + i) * by;
        NAME(store)(y + at, NAME(interleave_low)(v, begin));
        NAME(store)(y + at + VL, NAME(interleave_high)(v, begin));
    }
#endif
    for (ptrdiff_t j = at; j < wide; j++)
        y[j] = start;
    for (; i < n; i++)
        y[i * step] = start + x[i] * w;
}

static void NAME(spread_rows)(const struct nd_point *s, const void *x_, const void *w, const void *bias, void *y_)
{
    const T *x = x_, start = bias ? *(const T *)bias : 0;
    T *y = y_;
    for (ptrdiff_t r = 0; r < s->lines; r++, y += s->y_row)
        if (r % s->row_step == 0 && r / s->row_step < s->rows) {
            NAME(spread_row)(s->step, s->n, s->wide, x, *(const T *)w, start, y);
            x += s->x_row;
        } else {
            NAME(spread_row)(s->step, 0, s->wide, x, 0, start, y);
        }
}

static void NAME(spread_pixels)(const struct nd_point *s, const void *x_, const void *w, const void *bias, void *y_)
{
    const T *x = x_;
    T *y = y_;
    for (ptrdiff_t r = 0; r < s->lines; r++, y += s->y_row) {
        const int seen = r % s->row_step == 0 && r / s->row_step < s->rows;
        for (ptrdiff_t j = 0, i = 0, left = 0; j < s->wide; j++, left--) {
            if (left == 0)
                left = s->step;
            T *to = y + j * s->y_pixel;
            if (seen && left == s->step && i < s->n)
                NAME(point_pixel)(s->channels, x + i++ * s->x_pixel, w, s->channels - VL, bias, to);
            else
                for (ptrdiff_t v = 0; v < s->channels; v += VL) {
                    const ptrdiff_t c = v < s->channels - VL ? v : s->channels - VL;
                    NAME(store)(to + c, bias ? NAME(load)((const T *)bias + c) : (vec){0});
                }
        }
        x += seen ? s->x_row : 0;
    }
}
