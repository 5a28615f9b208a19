/* pool_places: the greatest (or least) of small windows and where it lies, straight from the rows of memory.
 *
 * For vectors of neighbouring windows: the cells of a window one after the other in row-major order, so that
 * a later one has to be greater; value and relative position stay in registers, the windows' own positions
 * are added in the end. A stride of 2 takes every other element of two loads. Windows that leave the row are
 * the same in all lines: a vector holds those of neighbouring lines.
 *
 * Registers: value, position, the cell, two masks. Bytes moved: x once from memory, value and position
 * written once. A cell costs a load, two comparisons and two selections a vector; a stride of 2 three
 * operations more.
 *
 * Where windows move by one cell, each row's part of a window is taken once for all
 * windows that have the row, from a copy of the row whose ends are repeated: a cell that is repeated before the row
 * wins only where the first cell would, which then has its place. 3x3 compares 4 times instead of 8, and no window is
 * taken alone: 0.6 of the time on rows of 14 to 112, 5x5 0.4. Windows that move by two gain nothing. */

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

/* windows j to j + VL - 1; relative[r*columns + t] is the place of a cell in a window */
POOL_INLINE vec NAME(places_windows)(ivec *at, const void *const *rows, const IT *relative, ptrdiff_t count,
                                     ptrdiff_t columns, ptrdiff_t dilation, ptrdiff_t stride, ptrdiff_t i,
                                     int op)
{
    vec m = {0};
    ivec place = {0};
    for (ptrdiff_t r = 0; r < count; r++)
        for (ptrdiff_t t = 0; t < columns; t++) {
            const T *p = (const T *)rows[r] + i + t * dilation;
            const vec a = stride == 2 ? NAME(every_other)(p) : NAME(load)(p);
            const ivec here = (ivec){0} + relative[r * columns + t];
            const ivec stay = NAME(places_stay)(a, m, op);
            m = r || t ? NAME(select)(stay, m, a) : a;
            place = r || t ? NAME(select_index)(stay, place, here) : here;
        }
    *at = place;
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

/* the same of VL lines at once */
POOL_INLINE void NAME(places_column)(const struct nd_pool_places *s, const void *const *rows,
                                     const ptrdiff_t *bases, ptrdiff_t line, ptrdiff_t j, T *y, char *at,
                                     int op)
{
    const ptrdiff_t start = j * s->stride - s->pad;
    vec m = NAME(broadcast)(op == ND_LEAST ? POOL_MOST : POOL_LEAST);
    ivec place = {0};
    place -= 1;
    int any = 0;
    for (ptrdiff_t r = 0; r < s->count; r++)
        for (ptrdiff_t i = start; i < start + s->columns * s->dilation && i < s->n; i += s->dilation) {
            if (i < 0)
                continue;
            T lane[LANES] __attribute__((aligned(VL_BYTES)));
            IT first[LANES] __attribute__((aligned(VL_BYTES)));
            for (ptrdiff_t l = 0; l < LANES; l++) {
                lane[l] = ((const T *)rows[r])[(line + l) * s->row_step + i];
                first[l] = (IT)(bases[r] + (line + l) * s->place_step + i);
            }
            const vec a = *(const vec *)lane;
            const ivec here = *(const ivec *)first, stay = any ? NAME(places_stay)(a, m, op) : (ivec){0};
            m = NAME(select)(stay, m, a);
            place = NAME(select_index)(stay, place, here);
            any = 1;
        }
    for (ptrdiff_t l = 0; l < LANES; l++) {
        char *to = at + ((line + l) * s->at_step + j) * s->at_size;
        y[(line + l) * s->y_step + j] = m[l];
        if (s->at_size == 4)
            *(int32_t *)to = (int32_t)place[l];
        else
            *(int64_t *)to = place[l];
    }
}

/* windows first <= j < last of all lines */
POOL_INLINE void NAME(places_edge)(const struct nd_pool_places *s, const void *const *rows,
                                   const ptrdiff_t *bases, ptrdiff_t lines, ptrdiff_t first, ptrdiff_t last,
                                   T *y, char *at, int op)
{
    for (ptrdiff_t j = first; j < last; j++) {
        ptrdiff_t line = 0;
        for (; lines >= VL && line < lines; line += VL) {
            line = line < lines - VL ? line : lines - VL; /* the last overlap those before */
            NAME(places_column)(s, rows, bases, line, j, y, at, op);
        }
        for (; line < lines; line++)
            NAME(places_window)(s, rows, bases, line, j, y, at);
    }
}

POOL_INLINE void NAME(pool_rows_index_as)(const struct nd_pool_places *s, const void *const *rows,
                                          const ptrdiff_t *bases, ptrdiff_t lines, T *y, char *at,
                                          ptrdiff_t count, ptrdiff_t columns,
                                          ptrdiff_t stride, int op)
{
    const int inside = s->last - s->first >= VL;
    NAME(places_edge)(s, rows, bases, lines, 0, inside ? s->first : s->ow, y, at, op);
    if (!inside)
        return;
    NAME(places_edge)(s, rows, bases, lines, s->last, s->ow, y, at, op);
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
        for (ptrdiff_t j = s->first; j < s->last; j += VL) {
            j = j < s->last - VL ? j : s->last - VL; /* the last vector overlaps the one before */
            ivec place;
            if (count > 1) { /* the memory's own prefetch follows a row, but not the step to the next */
                const ptrdiff_t ahead = s->row_step + j * stride;
                __builtin_prefetch((const T *)row[count - 2] + ahead);
                __builtin_prefetch((const T *)row[count - 1] + ahead);
            }
            const vec m = NAME(places_windows)(&place, row, relative, count, columns, s->dilation, stride,
                                               j * stride - s->pad, op);
            NAME(store)(y + j, m);
            NAME(places_store)(at + j * s->at_size, place + lanes + (IT)(j * stride), s->at_size);
        }
        for (ptrdiff_t r = 0; r < count; r++)
            row[r] = (const T *)row[r] + s->row_step;
        lanes += (IT)s->place_step;
        y += s->y_step;
        at += s->at_step * s->at_size;
    }
}

#define SHARED 256 /* cells of a row of windows at most, and rows of windows and of copies: all together half of L1 */
#define SHARED_ROWS 8
#define COPIES 8
#define APART 40 /* so that rows are not 4 KiB apart */

/* Whether windows move by one cell and share rows, at one distance, and all have a cell of each. */
POOL_INLINE int NAME(places_shared)(const struct nd_pool_places *s, const void *const *rows, const ptrdiff_t *bases)
{
    if (s->count < 2 || s->count > SHARED_ROWS || s->columns < 2 || s->dilation != 1 || s->stride != 1 || s->pad < 0
        || s->pad >= s->columns || s->ow - 1 - s->pad >= s->n || s->ow < VL || s->ow - 1 + s->columns > SHARED)
        return 0;
    const ptrdiff_t apart = (const T *)rows[1] - (const T *)rows[0];
    for (ptrdiff_t r = 2; r < s->count; r++)
        if ((const T *)rows[r] - (const T *)rows[r - 1] != apart || bases[r] - bases[r - 1] != bases[1] - bases[0])
            return 0;
    return s->row_step == apart && s->place_step == bases[1] - bases[0];
}

/* A row whose first and last cell are repeated in the padding. */
POOL_INLINE void NAME(places_copy)(const struct nd_pool_places *s, const T *row, T *to)
{
    const ptrdiff_t wide = s->ow - 1 + s->columns, after = wide - s->pad < s->n ? wide - s->pad : s->n;
    NAME(copy)(to + s->pad, row, after, 1);
    for (ptrdiff_t i = 0; i < s->pad; i++)
        to[i] = row[0];
    for (ptrdiff_t i = s->pad + after; i < wide; i++)
        to[i] = row[s->n - 1];
}

/* Its part of all windows: values and places. */
POOL_INLINE void NAME(places_row)(const struct nd_pool_places *s, const T *row, ptrdiff_t base, T *best, IT *place,
                                  ptrdiff_t columns, int op)
{
    ivec lanes;
    for (int l = 0; l < VL; l++)
        lanes[l] = (IT)(l - s->pad);
    for (ptrdiff_t j = 0; j < s->ow; j += VL) {
        j = j < s->ow - VL ? j : s->ow - VL;
        vec m = NAME(load)(row + j);
        ivec at = {0};
        for (ptrdiff_t t = 1; t < columns; t++) {
            const vec a = NAME(load)(row + j + t);
            const ivec stay = NAME(places_stay)(a, m, op);
            m = NAME(select)(stay, m, a);
            at = NAME(select_index)(stay, at, (ivec){0} + (IT)t);
        }
        at += lanes + (IT)j;
        NAME(store)(best + j, m);
        NAME(store_index)(place + j, (at & (ivec)(at > 0)) + (IT)base);
    }
}

/* All lines, each of which takes one row more than the line before. Rows are copied some ahead, since memory that was
 * just written is not read across two writes. */
POOL_INLINE void NAME(places_lines)(const struct nd_pool_places *s, const void *const *rows, const ptrdiff_t *bases,
                                    ptrdiff_t lines, T *y, char *at, ptrdiff_t count, ptrdiff_t columns, int op)
{
    T copy[COPIES][SHARED + APART], best[SHARED_ROWS][SHARED + APART];
    IT place[SHARED_ROWS][SHARED + APART];
    const T *row = rows[0];
    ptrdiff_t copied = 0, done = 0; /* rows */
    for (ptrdiff_t line = 0; line < lines; line++, y += s->y_step, at += s->at_step * s->at_size) {
        for (; done < line + count; done++) {
            for (; copied <= done || (copied % COPIES && copied < lines - 1 + count); copied++, row += s->row_step)
                NAME(places_copy)(s, row, copy[copied % COPIES]);
            NAME(places_row)(s, copy[done % COPIES], bases[0] + done * s->place_step, best[done % count],
                             place[done % count], columns, op);
        }
        for (ptrdiff_t j = 0; j < s->ow; j += VL) {
            j = j < s->ow - VL ? j : s->ow - VL;
            vec m = NAME(load)(best[line % count] + j);
            ivec here = NAME(load_index)(place[line % count] + j);
            for (ptrdiff_t r = 1; r < count; r++) {
                const vec a = NAME(load)(best[(line + r) % count] + j);
                const ivec stay = NAME(places_stay)(a, m, op);
                m = NAME(select)(stay, m, a);
                here = NAME(select_index)(stay, here, NAME(load_index)(place[(line + r) % count] + j));
            }
            NAME(store)(y + j, m);
            NAME(places_store)(at + j * s->at_size, here, s->at_size);
        }
    }
}

static __attribute__((noinline)) void NAME(pool_lines_index)(const struct nd_pool_places *s, const void *const *rows,
                                                             const ptrdiff_t *bases, ptrdiff_t lines, void *y,
                                                             void *at)
{
    if (s->op == ND_LEAST)
        NAME(places_lines)(s, rows, bases, lines, y, at, s->count, s->columns, ND_LEAST);
    else if (s->count == 3 && s->columns == 3)
        NAME(places_lines)(s, rows, bases, lines, y, at, 3, 3, ND_GREATEST);
    else
        NAME(places_lines)(s, rows, bases, lines, y, at, s->count, s->columns, ND_GREATEST);
}
#undef SHARED
#undef SHARED_ROWS
#undef COPIES
#undef APART

static void NAME(pool_rows_index)(const struct nd_pool_places *s, const void *const *rows,
                                  const ptrdiff_t *bases, ptrdiff_t lines, void *y, void *at)
{
    const ptrdiff_t count = s->count, columns = s->columns;
    if (NAME(places_shared)(s, rows, bases))
        NAME(pool_lines_index)(s, rows, bases, lines, y, at);
    else if (s->op == ND_LEAST)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, count, columns, s->stride, ND_LEAST);
    else if (count == 2 && columns == 2 && s->stride == 2)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, 2, 2, 2, ND_GREATEST);
    else if (count == 3 && columns == 3 && s->stride == 2)
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, 3, 3, 2, ND_GREATEST);
    else
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, count, columns, s->stride, ND_GREATEST);
}
