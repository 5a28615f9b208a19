/* pool_walk: the greatest (or least) of small windows of planes and where it lies, straight from memory.
 *
 *   for some lines of windows, whose rows fit half of L1
 *       for a vector of windows: from line to line down the plane
 *           the new rows' parts of the windows; the parts of kh rows -> y and places
 *
 * Every row is combined along its columns once for all windows that have it; parts of kh rows stay in registers for 3x3
 * and 2x2. A stride of two blends two loads, in an order that is put right at the end. Vectors at the ends of rows take
 * what lies outside, by masks, for what loses to everything: such a cell wins only where all are the least there is,
 * and then has the place of the first cell of its row. Above and below, the nearest row stands for what lies outside: it
 * wins where the row itself would. What such vectors read beyond their row is of the rows next to it; rows at the ends
 * of the plane, and those with gaps between them, are copied for that. Rows of less than a vector, of bytes for
 * instance, are written whole, into the next line, which is then written; only the last lines are not.
 *
 * Registers: 3 parts and 3 places, 3 columns, value, place, the cell, masks. Bytes moved: x once from memory, 3 times
 * from L1, y and places once. A vector of windows of 3x3 takes 3 loads, 3 stores and 4 combinations of two comparisons
 * and two selections each, of which two run at a time: 8 cycles. Measured on Zen 4, one core, from L2: 3x3 23 cycles on
 * 28 columns, 20 on 56, where cells taken one by one, and rows by way of copies, took 38 and 27. Values alone gain
 * nothing over rows in a buffer (pool.h), nor do floats that move by two. */

/* where m keeps its place against a, which came after it: a is not greater (less), or m is NaN already */
POOL_INLINE ivec NAME(places_stay)(vec a, vec m, int op)
{
    return (op == ND_LEAST ? (ivec)(a >= m) : (ivec)(a <= m)) | (ivec)(m != m);
}

/* positions of a vector of windows, as integers of `size` bytes */
POOL_INLINE void NAME(places_store)(void *to, ivec at, ptrdiff_t size)
{
#if TSIZE == 4
    if (size == 4) {
        NAME(store_index)(to, at);
        return;
    }
#endif
    IT lane[LANES] __attribute__((aligned(VL_BYTES)));
    *(ivec *)lane = at;
    if (size == 4)
        for (int l = 0; l < LANES; l++)
            ((int32_t *)to)[l] = (int32_t)lane[l];
    else
        for (int l = 0; l < LANES; l++)
            ((int64_t *)to)[l] = lane[l];
}

/* How the vectors of one place in the lines read their rows. */
struct NAME(walk_place) {
    ptrdiff_t first;                            /* column of the first cell of the first window */
    ivec column[ND_TAPS], inside[ND_TAPS];      /* of each tap's cells, no less than 0; which of them are in x */
};

/* The last column that a vector of cells is read from, from the first one's on. */
POOL_INLINE ptrdiff_t NAME(walk_reach)(const int sw) { return sw == 1 ? VL - 1 : 2 * VL - 2; }

/* Returns whether all cells of the windows from window j on are in x. */
POOL_INLINE int NAME(walk_columns)(const struct nd_pool_walk *s, ptrdiff_t j, struct NAME(walk_place) *to, ptrdiff_t kw,
                                   const int sw)
{
    const ptrdiff_t first = s->left + j * sw;
    const int inside = first >= 0 && first + NAME(walk_reach)(sw) + kw - 1 < s->iw;
    to->first = first;
    ivec lanes; /* those of a stride of two as `alternate_from` takes them */
    for (int l = 0; l < LANES; l++)
        lanes[l] = (IT)(sw == 1 || l % 2 == 0 ? l : LANES - 1 + l);
    for (ptrdiff_t t = 0; t < kw; t++) {
        const ivec low = NAME(lanes_inside)(first + t, s->iw);
        const ivec column = lanes + (IT)(first + t);
        to->column[t] = TSIZE < 4 ? (ivec){0} + (IT)t : column & (ivec)(column > 0);
        to->inside[t] = sw == 1 ? low : (ivec)NAME(alternate)((vec)low, (vec)NAME(lanes_inside)(first + t + VL - 1, s->iw));
    }
    return inside;
}

/* Rows top to top + rows - 1 of x, or what stands for them, and the places of their first elements. Windows read columns
 * low to high. */
static void NAME(walk_rows)(const struct nd_pool_walk *s, const T *x, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t low,
                            ptrdiff_t high, T *copy, const T **row, IT *base)
{
    const ptrdiff_t from = low > 0 ? low : 0, to = high < s->iw - 1 ? high : s->iw - 1, ih = s->ih, step = s->row, fw = s->fw;
    /* rows of x that may be read from low to high */
    const int whole = from == low && to == high, dense = step == s->iw;
    const ptrdiff_t least = whole ? 0 : dense ? (step - 1 - low) / step : ih;
    const ptrdiff_t most = whole ? ih : dense ? ih - (high + step) / step + 1 : 0;
    for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t h = top + r;
        if (h < least || h >= most) {
            h = h < 0 ? 0 : h < ih ? h : ih - 1;
            NAME(copy)(copy + from - low, x + h * step + from, to + 1 - from, 1);
            row[r] = copy - low;
            copy += s->pitch;
        } else {
            row[r] = x + h * step;
        }
        base[r] = (IT)(h * fw);
    }
}

/* A row's part of a vector of windows, and where in the row it lies. */
POOL_INLINE vec NAME(walk_part)(const T *row, const struct NAME(walk_place) *to, ptrdiff_t kw, const int sw, const int op,
                                const int careful, ivec *place)
{
    vec m = {0};
    ivec at = {0};
    row += to->first;
    for (ptrdiff_t t = 0; t < kw; t++) {
        vec a = sw == 2 ? NAME(alternate_from)(row + t) : NAME(load)(row + t);
        if (careful)
            a = NAME(select)(to->inside[t], a, NAME(broadcast)(op == ND_LEAST ? POOL_MOST : POOL_LEAST));
        const ivec stay = t ? NAME(places_stay)(a, m, op) : (ivec){0};
        m = t ? NAME(select)(stay, m, a) : a;
        at = t ? NAME(select_index)(stay, at, to->column[t]) : to->column[0];
    }
    *place = at;
    return m;
}

/* Places of n windows from window j on of the line whose first row is row `top` of x. */
POOL_INLINE void NAME(walk_store_places)(const struct nd_pool_walk *s, char *to, ivec at, ptrdiff_t top, ptrdiff_t j, ptrdiff_t n)
{
    IT lane[LANES] __attribute__((aligned(VL_BYTES)));
#if TSIZE >= 4
    (void)top, (void)j;
    if (n >= VL) {
        NAME(places_store)(to, at, s->at_size);
        return;
    }
    *(ivec *)lane = at;
    for (ptrdiff_t l = 0; l < n; l++)
        if (s->at_size == 4)
            ((int32_t *)to)[l] = (int32_t)lane[l];
        else
            ((int64_t *)to)[l] = lane[l];
#else
    /* lanes are too narrow for more than row*kw + column in the window, kw <= ND_TAPS */
    int32_t place[LANES];
    const int32_t kw = (int32_t)s->kw, inverse = 1024 / kw + 1, fw = (int32_t)s->fw, h = (int32_t)top;
    const int32_t w = (int32_t)(s->left + j * s->sw), sw = (int32_t)s->sw;
    *(ivec *)lane = at;
    for (int l = 0; l < LANES; l++) {
        const int32_t r = lane[l] * inverse >> 10, row = h + r, column = w + l * sw + lane[l] - r * kw;
        place[l] = (row > 0 ? row : 0) * fw + (column > 0 ? column : 0);
    }
    const ptrdiff_t count = n < VL ? n : VL;
    if (s->at_size == 4)
        for (ptrdiff_t l = 0; l < count; l++)
            ((int32_t *)to)[l] = place[l];
    else
        for (ptrdiff_t l = 0; l < count; l++)
            ((int64_t *)to)[l] = place[l];
#endif
}

/* The vector of windows from window j on, of `lines` lines, after which the call has `later` more. */
POOL_INLINE void NAME(walk_down)(const struct nd_pool_walk *s, const T *const *row, const IT *base, ptrdiff_t top,
                                 ptrdiff_t lines, ptrdiff_t later, ptrdiff_t j, const struct NAME(walk_place) *to, T *y,
                                 char *at, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t sh, const int sw, const int op,
                                 const int careful)
{
    const ptrdiff_t kept = kh > sh ? kh - sh : 0, ow = s->ow;
    const int dense = s->y_row == ow && s->at_row == ow;
    vec part[ND_TAPS];
    ivec place[ND_TAPS];
    for (ptrdiff_t r = 0; r < kept; r++)
        part[r + sh] = NAME(walk_part)(row[r], to, kw, sw, op, careful, &place[r + sh]);
    for (ptrdiff_t line = 0; line < lines; line++, row += sh, base += sh) {
        for (ptrdiff_t r = 0; r < kept; r++) {
            part[r] = part[r + sh];
            place[r] = place[r + sh];
        }
        for (ptrdiff_t r = kept; r < kh; r++)
            part[r] = NAME(walk_part)(row[r], to, kw, sw, op, careful, &place[r]);
        vec m = part[0];
        ivec here = place[0] + (IT)(TSIZE < 4 ? 0 : base[0]);
        for (ptrdiff_t r = 1; r < kh; r++) {
            const ivec stay = NAME(places_stay)(part[r], m, op);
            m = NAME(select)(stay, m, part[r]);
            here = NAME(select_index)(stay, here, place[r] + (IT)(TSIZE < 4 ? r * kw : base[r]));
        }
        if (sw == 2) {
            m = NAME(in_turn)(m);
            here = (ivec)NAME(in_turn)((vec)here);
        }
        /* what a vector has too much is where the next lines go */
        const int whole = ow >= VL || (dense && (lines - 1 - line + later) * ow >= VL - ow);
        if (whole)
            NAME(store)(y + line * s->y_row + j, m);
        else
            NAME(pool_store_few)(y + line * s->y_row, m, ow);
        NAME(walk_store_places)(s, at + (line * s->at_row + j) * s->at_size, here, top + line * sh, j, whole ? VL : ow);
    }
}

/* All vectors of windows of some lines. A function each, so that the compiler deals out registers to one at a time. */
#define WALK(name, kh, kw, sh, sw, op)                                                                       \
    static __attribute__((noinline)) void NAME(name)(const struct nd_pool_walk *s, const T *const *row,       \
                                                     const IT *base, ptrdiff_t top, ptrdiff_t lines,          \
                                                     ptrdiff_t later, T *y, char *at)                        \
    {                                                                                                        \
        struct NAME(walk_place) to;                                                                          \
        for (ptrdiff_t j = 0; j < s->ow; j += VL) {                                                          \
            j = j > s->ow - VL && s->ow >= VL ? s->ow - VL : j; /* the last overlaps the one before */        \
            if (NAME(walk_columns)(s, j, &to, kw, sw))                                                       \
                NAME(walk_down)(s, row, base, top, lines, later, j, &to, y, at, kh, kw, sh, sw, op, 0);       \
            else                                                                                             \
                NAME(walk_down)(s, row, base, top, lines, later, j, &to, y, at, kh, kw, sh, sw, op, 1);       \
        }                                                                                                    \
    }
WALK(walk_greatest, s->kh, s->kw, s->sh, 1, ND_GREATEST)
WALK(walk_greatest_step2, s->kh, s->kw, s->sh, 2, ND_GREATEST)
WALK(walk_greatest_2, 2, 2, 1, 1, ND_GREATEST)
WALK(walk_greatest_2_step2, 2, 2, 2, 2, ND_GREATEST)
WALK(walk_greatest_3, 3, 3, 1, 1, ND_GREATEST)
WALK(walk_greatest_3_step2, 3, 3, 2, 2, ND_GREATEST)
WALK(walk_greatest_5, 5, 5, 1, 1, ND_GREATEST)
WALK(walk_least, s->kh, s->kw, s->sh, 1, ND_LEAST)
WALK(walk_least_step2, s->kh, s->kw, s->sh, 2, ND_LEAST)
#undef WALK

static void NAME(pool_walk)(const struct nd_pool_walk *s, const void *x, void *copies, void *y_, void *at_)
{
    const int step2 = s->sw == 2, size = s->kh == s->kw && s->sh == s->sw ? (int)s->kh : 0;
    void (*const walk)(const struct nd_pool_walk *, const T *const *, const IT *, ptrdiff_t, ptrdiff_t, ptrdiff_t, T *, char *) =
        s->op == ND_LEAST ? (step2 ? NAME(walk_least_step2) : NAME(walk_least))
        : size == 2       ? (step2 ? NAME(walk_greatest_2_step2) : NAME(walk_greatest_2))
        : size == 3       ? (step2 ? NAME(walk_greatest_3_step2) : NAME(walk_greatest_3))
        : size == 5 && !step2 ? NAME(walk_greatest_5)
        : step2               ? NAME(walk_greatest_step2)
                              : NAME(walk_greatest);
    const ptrdiff_t most = (s->rows - s->kh) / s->sh + 1, last = s->ow > VL ? s->ow - VL : 0;
    const ptrdiff_t high = s->left + last * s->sw + NAME(walk_reach)((int)s->sw) + s->kw - 1;
    T *y = y_;
    char *at = at_;
    const T *row[ND_ROWS];
    IT base[ND_ROWS];
    for (ptrdiff_t line = 0; line < s->lines; line += most) {
        const ptrdiff_t lines = s->lines - line < most ? s->lines - line : most, top = s->top + line * s->sh;
        NAME(walk_rows)(s, x, top, (lines - 1) * s->sh + s->kh, s->left, high, copies, row, base);
        walk(s, row, base, top, lines, s->lines - line - lines, y, at);
        y += lines * s->y_row;
        at += lines * s->at_row * s->at_size;
    }
}
