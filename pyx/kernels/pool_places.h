/* pool_places: the greatest (or least) of small windows and where it lies, straight from the rows of memory.
 *
 * For vectors of neighbouring windows: the cells of a window one after the other in row-major order, so that
 * a later one has to be greater; value and relative position stay in registers, the windows' own positions
 * are added in the end. A stride of 2 takes every other element of two loads. Windows that leave the row are
 * the same in all lines: a vector holds those of neighbouring lines.
 *
 * Registers: value, position, the cell, two masks. Bytes moved: x once from memory, value and position
 * written once. A cell costs a load, two comparisons and two selections a vector; a stride of 2 three
 * operations more. Planes whose rows are short are faster a tile at a time (pool_walk.h). */

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
    else
        NAME(pool_rows_index_as)(s, rows, bases, lines, y, at, count, columns, s->stride, ND_GREATEST);
}
