/* pool_values: small windows straight from memory, each cell loaded once a row of windows, parts in registers.
 *
 *   lines: lanes are windows of a line (NCHW)       pixels: lanes are channels (NHWC)
 *       for a vector of windows                         for some vectors of channels
 *           from line to line down the plane                from window to window along the line
 *               the new rows' parts of the windows              the new pixels' parts of the windows
 *               the parts of kh rows -> y                       the parts of kw pixels -> y
 *
 * A part is what a vector of windows has of one row: kw cells; or of one column: those of its rows. It is combined once for
 * all windows that have it. Lines: windows move by one column. Vectors at the ends of rows take what lies outside, by masks,
 * for what adds nothing; what they read beyond their row belongs to the rows and planes beside it, and where there are none
 * it is copied first. Rows of less than a vector are written whole, into the next line, which is then written.
 *
 * NaN above all takes three instructions a combination, and one without it. So lines are taken for numbers first while what they
 * read is added up, on ports that are free; where the sum is NaN (or infinities of both signs met) the vector is taken again.
 *
 * Registers: kh (kw) parts of one vector (of 2, or 4 where there are 32 registers), the cell, masks, a share, two sums. Bytes
 * moved: x once from memory, kw (kh) times from L1, or from L2 where rows are wide, y once. 3x3: 3 loads, 4 combinations and a
 * store a vector, most of them across two cache lines: 8 cycles expected of AVX-512; measured on Zen 4 in L2, sums: 11 on 28
 * columns, half the rate of a copy. On images of 2048 x 2048, 16 MiB, two threads: 5x5 1.15 ms, 7x7 1.25 ms, a copy 0.7; running
 * maxima (_slide.pyx) take 1.9. Where lines of x and of y a few rows apart share a set of L1 it is 1.6 times that: loads ahead
 * drive out the lines that stores wait for. */

#define LINES_AHEAD 2 /* vectors of a row that are asked for ahead */

POOL_INLINE vec NAME(pool_none)(int op)
{
    return NAME(broadcast)(op == ND_SUM ? 0 : op == ND_LEAST ? POOL_MOST : POOL_LEAST);
}

/* How the vectors of one place in the lines read their rows. */
struct NAME(line_place) {
    ptrdiff_t first;        /* column of the first cell of the first window */
    ptrdiff_t least, rows;  /* the first row that may be read from there on, and how many more */
    ivec inside[ND_TAPS];   /* the cells of each tap that are in x */
};

/* The cells of each tap that are in x. */
POOL_INLINE void NAME(lines_masks)(const struct nd_pool_lines *s, struct NAME(line_place) *to, const int k)
{
    for (int t = 0; t < k; t++)
        to->inside[t] = NAME(lanes_inside)(to->first + t, s->iw);
}

/* Returns whether all cells of the windows from window j on are in x. */
POOL_INLINE int NAME(lines_columns)(const struct nd_pool_lines *s, ptrdiff_t j, struct NAME(line_place) *to, const int k)
{
    const ptrdiff_t first = s->left + j, last = first + VL + k - 2, row = s->row;
    to->first = first, to->least = 0, to->rows = s->ih;
    if (first >= 0 && last < s->iw)
        return 1;
    NAME(lines_masks)(s, to, k);
    const ptrdiff_t early = -first - s->before, late = last - (s->iw - 1) - s->after;
    if (row <= 0) {
        to->rows = 0;
        return 0;
    }
    if (early > 0)
        to->least = (early + row - 1) / row;
    if (late > 0)
        to->rows -= (late + row - 1) / row;
    to->rows = to->rows > to->least ? to->rows - to->least : 0;
    return 0;
}

/* What stands for a row of x that is not there, or may not be read where a vector of windows begins. */
static __attribute__((noinline)) const T *NAME(lines_row)(const struct nd_pool_lines *s, const T *x, ptrdiff_t h,
                                                          ptrdiff_t first, T *copy)
{
    const vec none = NAME(pool_none)(s->op);
    for (ptrdiff_t i = 0; i < VL + s->k - 1; i += VL)
        NAME(store)(copy + i, none);
    const ptrdiff_t low = first < 0 ? -first : 0, room = s->iw - first;
    if (h >= 0 && h < s->ih)
        for (ptrdiff_t i = low; i < VL + s->k - 1 && i < room; i++)
            copy[i] = x[h * s->row + first + i];
    return copy;
}

/* Row h's part of a vector of windows. `sums` add what is read, which is NaN then if anything is. */
POOL_INLINE vec NAME(lines_part)(const struct nd_pool_lines *s, const T *x, ptrdiff_t h, const struct NAME(line_place) *to,
                                 const int k, const int op, const int careful, const int numbers, T *copy, vec sums[2])
{
    const T *row = x + h * s->row + to->first;
    vec m = {0};
    if ((size_t)(h - to->least) >= (size_t)to->rows)
        row = NAME(lines_row)(s, x, h, to->first, copy);
    __builtin_prefetch(row + LINES_AHEAD * VL);
    for (int t = 0; t < k; t++) {
        vec a = NAME(load)(row + t);
        if (numbers && (t % VL == 0 || t == k - 1))
            sums[t > 0] += a;
        if (careful)
            a = NAME(select)(to->inside[t], a, NAME(pool_none)(op));
        m = t == 0 ? a : numbers ? NAME(pool_numbers)(a, m, op) : NAME(pool_both)(a, m, op);
    }
    return m;
}

/* The vector of windows from window j on, of all lines. Returns whether `numbers` might not be. */
POOL_INLINE int NAME(lines_down)(const struct nd_pool_lines *s_, const T *x, ptrdiff_t j, const struct NAME(line_place) *to_,
                                 T *y, const int k, const int op, const int careful, const int numbers)
{
    const struct nd_pool_lines s = *s_;
    const struct NAME(line_place) to = *to_;
    const ptrdiff_t ow = s.ow, lines = s.lines, y_row = s.y_row;
    /* what a vector has too much is where the next lines go */
    const ptrdiff_t whole = ow >= VL ? lines : y_row == ow ? lines - (VL - 1) / ow : 0;
    const vec share = op == ND_SUM ? NAME(load)((const T *)s.shares + j) : NAME(broadcast)(1);
    T copy[2 * LANES + ND_TAPS];
    vec part[ND_TAPS], sums[2] = {{0}};
    for (int r = 1; r < k; r++)
        part[r] = NAME(lines_part)(&s, x, s.top + r - 1, &to, k, op, careful, numbers, copy, sums);
    y += j;
    for (ptrdiff_t line = 0; line < lines; line++, y += y_row) {
        for (int r = 1; r < k; r++)
            part[r - 1] = part[r];
        part[k - 1] = NAME(lines_part)(&s, x, s.top + line + k - 1, &to, k, op, careful, numbers, copy, sums);
        vec m = part[0];
        for (int r = 1; r < k; r++)
            m = numbers ? NAME(pool_numbers)(part[r], m, op) : NAME(pool_both)(part[r], m, op);
        if (op == ND_SUM)
            m *= share;
        if (line < whole)
            NAME(store)(y, m);
        else
            NAME(pool_store_few)(y, m, ow);
    }
    sums[0] += sums[1];
    return numbers && NAME(any)((ivec)(sums[0] != sums[0]));
}

/* All vectors of windows. A function each, so that the compiler deals out registers to one at a time. */
#define LINES(name, k, op)                                                                                   \
    static __attribute__((noinline)) void NAME(name)(const struct nd_pool_lines *s, const T *x, T *y)        \
    {                                                                                                        \
        const int numbers = op != ND_SUM && POOL_SUMS; /* integers are numbers anyway */                     \
        struct NAME(line_place) to;                                                                          \
        for (ptrdiff_t j = 0; j < s->ow; j += VL) {                                                          \
            j = j > s->ow - VL && s->ow >= VL ? s->ow - VL : j; /* the last overlaps the one before */       \
            const int inside = NAME(lines_columns)(s, j, &to, k);                                            \
            if (inside ? NAME(lines_down)(s, x, j, &to, y, k, op, 0, numbers)                                \
                       : NAME(lines_down)(s, x, j, &to, y, k, op, 1, numbers)) {                             \
                NAME(lines_masks)(s, &to, k);                                                                \
                NAME(lines_down)(s, x, j, &to, y, k, op, 1, 0);                                              \
            }                                                                                                \
        }                                                                                                    \
    }
LINES(lines_greatest_2, 2, ND_GREATEST)
LINES(lines_greatest_3, 3, ND_GREATEST)
LINES(lines_greatest_5, 5, ND_GREATEST)
LINES(lines_greatest_7, 7, ND_GREATEST)
LINES(lines_least_3, 3, ND_LEAST)
LINES(lines_least_5, 5, ND_LEAST)
LINES(lines_least_7, 7, ND_LEAST)
#if POOL_SUMS
LINES(lines_sum_2, 2, ND_SUM)
LINES(lines_sum_3, 3, ND_SUM)
LINES(lines_sum_5, 5, ND_SUM)
LINES(lines_sum_7, 7, ND_SUM)
#endif
#undef LINES

static int NAME(pool_lines)(const struct nd_pool_lines *s, const void *x, void *y)
{
    void (*const lines)(const struct nd_pool_lines *, const T *, T *) =
        s->op == ND_GREATEST ? (s->k == 2   ? NAME(lines_greatest_2)
                                : s->k == 3 ? NAME(lines_greatest_3)
                                : s->k == 5 ? NAME(lines_greatest_5)
                                : s->k == 7 ? NAME(lines_greatest_7)
                                            : NULL)
#if POOL_SUMS
        : s->op == ND_SUM ? (s->k == 2   ? NAME(lines_sum_2)
                             : s->k == 3 ? NAME(lines_sum_3)
                             : s->k == 5 ? NAME(lines_sum_5)
                             : s->k == 7 ? NAME(lines_sum_7)
                                         : NULL)
#endif
        : s->k == 3 ? NAME(lines_least_3)
        : s->k == 5 ? NAME(lines_least_5)
        : s->k == 7 ? NAME(lines_least_7)
                    : NULL;
    if (lines && x)
        lines(s, x, y);
    return lines != NULL;
}

/* `vectors` vectors of a column of cells. */
POOL_INLINE void NAME(pixels_part)(vec part[PIXEL_VECTORS], const T *const *rows, ptrdiff_t count, ptrdiff_t at,
                                   const int vectors, const int op)
{
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        part[v] = NAME(load)(rows[0] + at + v * VL);
    for (ptrdiff_t r = 1; r < count; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            part[v] = NAME(pool_both)(NAME(load)(rows[r] + at + v * VL), part[v], op);
}

/* `vectors` vectors from channel c on of all windows. */
POOL_INLINE void NAME(pixels_along)(const struct nd_pool_pixels *s, const T *const *rows, ptrdiff_t c, T *y, const int vectors,
                                    const int kw, const int sw, const int op)
{
    const int kept = kw > sw ? kw - sw : 0;
    const ptrdiff_t count = s->count, pixel = s->pixel, y_pixel = s->y_pixel;
    const vec share = NAME(broadcast)(op == ND_SUM ? (T)s->share : 1);
    vec part[ND_TAPS][PIXEL_VECTORS];
    y += c;
    c += s->first * pixel;
    for (int t = 0; t < kept; t++)
        NAME(pixels_part)(part[t + sw], rows, count, c + t * pixel, vectors, op);
    for (ptrdiff_t w = 0; w < s->windows; w++, y += y_pixel, c += sw * pixel) {
        for (int t = 0; t < kept; t++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                part[t][v] = part[t + sw][v];
        for (int t = kept; t < kw; t++)
            NAME(pixels_part)(part[t], rows, count, c + t * pixel, vectors, op);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            vec m = part[0][v];
            for (int t = 1; t < kw; t++)
                m = NAME(pool_both)(part[t][v], m, op);
            NAME(store)(y + v * VL, op == ND_SUM ? m * share : m);
        }
    }
}

#define PIXELS(name, kw, sw, op)                                                                             \
    static __attribute__((noinline)) void NAME(name)(const struct nd_pool_pixels *s, const T *const *rows, T *y) \
    {                                                                                                        \
        ptrdiff_t c = 0;                                                                                     \
        for (; c + PIXEL_VECTORS * VL <= s->channels; c += PIXEL_VECTORS * VL)                               \
            NAME(pixels_along)(s, rows, c, y, PIXEL_VECTORS, kw, sw, op);                                     \
        for (; c < s->channels; c += VL) {                                                                   \
            c = c < s->channels - VL ? c : s->channels - VL; /* the last vector overlaps the one before */    \
            NAME(pixels_along)(s, rows, c, y, 1, kw, sw, op);                                                 \
        }                                                                                                    \
    }
PIXELS(pixels_greatest_2, 2, 2, ND_GREATEST)
PIXELS(pixels_greatest_3, 3, 1, ND_GREATEST)
PIXELS(pixels_least_3, 3, 1, ND_LEAST)
#if POOL_SUMS
PIXELS(pixels_sum_2, 2, 2, ND_SUM)
PIXELS(pixels_sum_3, 3, 1, ND_SUM)
#endif
#undef PIXELS

/* The same cell by cell, of any windows. */
POOL_INLINE void NAME(pixels_alone)(const struct nd_pool_pixels *s, const T *const *rows, ptrdiff_t c, T *y, const int vectors,
                                    const int op)
{
    const vec share = NAME(broadcast)(op == ND_SUM ? (T)s->share : 1);
    for (ptrdiff_t w = 0; w < s->windows; w++) {
        const ptrdiff_t at = (s->first + w * s->sw) * s->pixel + c;
        vec m[PIXEL_VECTORS], a[PIXEL_VECTORS];
        NAME(pixels_part)(m, rows, s->count, at, vectors, op);
        for (ptrdiff_t t = 1; t < s->kw; t++) {
            NAME(pixels_part)(a, rows, s->count, at + t * s->dw * s->pixel, vectors, op);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                m[v] = NAME(pool_both)(a[v], m[v], op);
        }
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            NAME(store)(y + w * s->y_pixel + c + v * VL, op == ND_SUM ? m[v] * share : m[v]);
    }
}

/* The same of less than a vector of channels. */
POOL_INLINE void NAME(pixels_few)(const struct nd_pool_pixels *s, const T *const *rows, T *y, const int op)
{
    for (ptrdiff_t i = 0; i < s->windows * s->channels; i++) {
        const ptrdiff_t w = i / s->channels, c = i % s->channels, at = (s->first + w * s->sw) * s->pixel + c;
        T m = rows[0][at];
        for (ptrdiff_t t = 0; t < s->kw; t++)
            for (ptrdiff_t r = t ? 0 : 1; r < s->count; r++)
                m = NAME(pool_both_one)(rows[r][at + t * s->dw * s->pixel], m, op);
        y[w * s->y_pixel + c] = op == ND_SUM ? m * (T)s->share : m;
    }
}

POOL_INLINE void NAME(pixels_any)(const struct nd_pool_pixels *s, const T *const *rows, T *y, const int op)
{
    ptrdiff_t c = 0;
    if (s->channels < VL) {
        NAME(pixels_few)(s, rows, y, op);
        return;
    }
    for (; c + PIXEL_VECTORS * VL <= s->channels; c += PIXEL_VECTORS * VL)
        NAME(pixels_alone)(s, rows, c, y, PIXEL_VECTORS, op);
    for (; c < s->channels; c += VL) {
        c = c < s->channels - VL ? c : s->channels - VL;
        NAME(pixels_alone)(s, rows, c, y, 1, op);
    }
}

static int NAME(pool_pixels)(const struct nd_pool_pixels *s, const void *const *rows, void *y)
{
    const int shared = s->dw == 1 && s->channels >= VL;
    const int pairs = shared && s->kw == 2 && s->sw == 2, threes = shared && s->kw == 3 && s->sw == 1;
    void (*const pixels)(const struct nd_pool_pixels *, const T *const *, T *) =
        s->op == ND_GREATEST ? (pairs ? NAME(pixels_greatest_2) : threes ? NAME(pixels_greatest_3) : NULL)
#if POOL_SUMS
        : s->op == ND_SUM ? (pairs ? NAME(pixels_sum_2) : threes ? NAME(pixels_sum_3) : NULL)
#endif
        : threes ? NAME(pixels_least_3)
                 : NULL;
    if (pixels && rows)
        pixels(s, (const T *const *)rows, y);
    else if (rows && s->op == ND_GREATEST)
        NAME(pixels_any)(s, (const T *const *)rows, y, ND_GREATEST);
    else if (rows && (s->op == ND_LEAST || !POOL_SUMS))
        NAME(pixels_any)(s, (const T *const *)rows, y, ND_LEAST);
    else if (rows)
        NAME(pixels_any)(s, (const T *const *)rows, y, ND_SUM);
    return pixels != NULL;
}
#undef LINES_AHEAD
