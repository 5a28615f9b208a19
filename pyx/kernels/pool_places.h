/* pool_places: the greatest (or least) of small windows and where it lies, straight from the rows of memory.
 *
 * For vectors of neighbouring windows: the cells of a window one after the other in row-major order, so that
 * a later one has to be greater; value and relative position stay in registers, the windows' own positions
 * are added in the end. A stride of 2 takes every other element of two loads. Vectors with windows that leave
 * the row are loaded with masks, and a cell outside takes no place.
 *
 * Registers: value, position, the cell, two masks. Bytes moved: x once from memory, value and position
 * written once. A cell costs a load, two comparisons and two selections a vector; a stride of 2 three
 * operations more. */

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
#if TSIZE == 4
    /* int64 as pairs of int32, the low one first: x86 and AArch64 are little-endian */
    const vec low = (vec)at, high = (vec)(at >> 31);
    NAME(store)(to, NAME(interleave_low)(low, high));
    NAME(store)((T *)to + VL, NAME(interleave_high)(low, high));
#else
    if (size == 8)
        NAME(store_index)(to, at);
    else
        for (int l = 0; l < LANES; l++)
            ((int32_t *)to)[l] = (int32_t)at[l];
#endif
}

/* windows j to j + VL - 1, the first of which begins at column i of n; relative[r*columns + t] is the place of
 * a cell in a window. `any` has the windows that have a cell; if not careful, all have all. */
POOL_INLINE vec NAME(places_windows)(ivec *at, ivec *any, const void *const *rows, const IT *relative,
                                     ptrdiff_t count, ptrdiff_t columns, ptrdiff_t dilation, ptrdiff_t stride,
                                     ptrdiff_t i, ptrdiff_t n, int op, int careful)
{
    vec m = {0};
    ivec place = {0}, have = {0};
    for (ptrdiff_t r = 0; r < count; r++)
        for (ptrdiff_t t = 0; t < columns; t++) {
            const ptrdiff_t c = i + t * dilation;
            const T *p = (const T *)rows[r] + c;
            const ivec here = (ivec){0} + relative[r * columns + t];
            vec a;
            ivec stay;
            if (careful) {
                const ivec low = NAME(lanes_inside)(c, n), high = NAME(lanes_inside)(c + VL - 1, n);
                const vec first = NAME(load_masked)(p, low);
                a = stride == 2 ? NAME(in_turn)(NAME(alternate)(first, NAME(load_masked)(p + VL - 1, high))) : first;
                const ivec in = stride == 2 ? (ivec)NAME(in_turn)(NAME(alternate)((vec)low, (vec)high)) : low;
                stay = (NAME(places_stay)(a, m, op) & have) | ~in;
                have |= in;
            } else {
                a = stride == 2 ? NAME(every_other)(p) : NAME(load)(p);
                stay = NAME(places_stay)(a, m, op);
            }
            m = careful || r || t ? NAME(select)(stay, m, a) : a;
            place = careful || r || t ? NAME(select_index)(stay, place, here) : here;
        }
    *at = place;
    *any = have;
    return m;
}

/* one window of which some columns may lie outside the row */
POOL_INLINE void NAME(places_window)(const struct nd_pool_places *s, const void *const *rows,
                                     const ptrdiff_t *bases, ptrdiff_t line, ptrdiff_t j, T *y, char *at)
{
    const ptrdiff_t start = j * s->stride - s->pad;
    T m = s->op == ND_LEAST ? POOL_MOST : POOL_LEAST;
    ptrdiff_t place = -1;
    for (ptrdiff_t r = 0; r < s->count; r++)
        for (ptrdiff_t i = start; i < start + s->columns * s->dilation && i < s->n; i += s->dilation) {
            const T *p = (const T *)rows[r] + line * s->row_step;
            if (i >= 0 && (place < 0 || NAME(pool_wins)(p[i], m, s->op)))
                m = p[i], place = bases[r] + line * s->place_step + i;
        }
    y[line * s->y_step + j] = m;
    at += (line * s->at_step + j) * s->at_size;
    if (s->at_size == 4)
        *(int32_t *)at = (int32_t)place;
    else
        *(int64_t *)at = place;
}

POOL_INLINE void NAME(pool_rows_index_as)(const struct nd_pool_places *s, const void *const *rows,
                                          const ptrdiff_t *bases, ptrdiff_t lines, T *y, char *at,
                                          ptrdiff_t count, ptrdiff_t columns,
                                          ptrdiff_t stride, int op)
{
    if (s->ow < VL) {
        for (ptrdiff_t line = 0; line < lines; line++)
            for (ptrdiff_t j = 0; j < s->ow; j++)
                NAME(places_window)(s, rows, bases, line, j, y, at);
        return;
    }
    const void *row[ND_PLACES];
    IT relative[ND_PLACES];
    ivec lanes;
    for (int l = 0; l < VL; l++)
        lanes[l] = (IT)(l * stride + bases[0] - s->pad);
    for (ptrdiff_t r = 0; r < count; r++) {
        row[r] = rows[r];
        for (ptrdiff_t t = 0; t < columns; t++)
            relative[r * columns + t] = (IT)(bases[r] - bases[0] + t * s->dilation);
    }
    for (; lines > 0; lines--) {
        for (ptrdiff_t j = 0; j < s->ow; j += VL) {
            j = j < s->ow - VL ? j : s->ow - VL; /* the last vector overlaps the one before */
            const ptrdiff_t i = j * s->stride - s->pad;
            ivec place, any;
            vec m;
            if (j >= s->first && j + VL <= s->last) {
                if (count > 1) { /* the memory's own prefetch follows a row, but not the step to the next */
                    const ptrdiff_t ahead = s->row_step + j * s->stride;
                    __builtin_prefetch((const T *)row[count - 2] + ahead);
                    __builtin_prefetch((const T *)row[count - 1] + ahead);
                }
                m = NAME(places_windows)(&place, &any, row, relative, count, columns, s->dilation, stride, i, s->n, op,
                                         0);
                place += lanes + (IT)(j * stride);
            } else {
                m = NAME(places_windows)(&place, &any, row, relative, count, columns, s->dilation, stride, i, s->n, op,
                                         1);
                m = NAME(select)(any, m, NAME(broadcast)(op == ND_LEAST ? POOL_MOST : POOL_LEAST));
                place = (place + lanes + (IT)(j * stride)) | ~any;
            }
            NAME(store)(y + j, m);
            NAME(places_store)(at + j * s->at_size, place, s->at_size);
        }
        for (ptrdiff_t r = 0; r < count; r++)
            row[r] = (const T *)row[r] + s->row_step;
        lanes += (IT)s->place_step;
        y += s->y_step;
        at += s->at_step * s->at_size;
    }
}

static void NAME(pool_rows_index)(const struct nd_pool_places *s, const void *const *rows,
                                  const ptrdiff_t *bases, ptrdiff_t lines, void *y, void *at)
{
    const ptrdiff_t count = s->count, columns = s->columns;
    if (s->op == ND_LEAST)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, count, columns, s->stride, ND_LEAST);
    else if (count == 2 && columns == 2 && s->stride == 2)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, 2, 2, 2, ND_GREATEST);
    else if (count == 3 && columns == 3 && s->stride == 2)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, 3, 3, 2, ND_GREATEST);
    else if (count == 3 && columns == 3)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, 3, 3, 1, ND_GREATEST);
    else
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, count, columns, s->stride, ND_GREATEST);
}
