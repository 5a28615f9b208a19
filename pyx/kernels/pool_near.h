/* pool_near: the greatest, the least or the sum of windows of few columns, straight from the rows of memory.
 *
 * For vectors of neighbouring windows: at each column of the window its rows are combined, then the columns.
 * A stride of 2 combines the rows of two vectors and takes their even and their odd lanes apart: the first
 * two columns of a vector of windows; the third is loaded by itself. Nothing goes through a buffer, whose
 * lines narrow rows would load before they are stored. Vectors with windows that leave the row are loaded
 * with masks.
 *
 * Registers: the result, two vectors of rows and the operand. Bytes moved: x once from memory, y once. 2 x 2
 * with stride 2: 4 loads, 3 combinations and 4 shuffles a vector of results; 3 x 3: 12, 10 and 6, with stride
 * 1 9 and 8. Bound by the memory from L3 on. */

/* the rows combined from column c on; outside the row there is what loses to everything */
POOL_INLINE vec NAME(near_column)(const void *const *rows, ptrdiff_t count, ptrdiff_t c, ptrdiff_t n, int op,
                                  int careful)
{
    const ivec in = careful ? NAME(lanes_inside)(c, n) : (ivec){0};
    vec m = {0};
    for (ptrdiff_t r = 0; r < count; r++) {
        const T *p = (const T *)rows[r] + c;
        const vec a = careful ? NAME(load_masked)(p, in) : NAME(load)(p);
        m = r ? NAME(pool_both)(a, m, op) : a;
    }
    return careful && op != ND_SUM ? NAME(select)(in, m, NAME(broadcast)(op == ND_LEAST ? POOL_MOST : POOL_LEAST)) : m;
}

/* a vector of windows, the first of which begins at column i of n */
POOL_INLINE vec NAME(near_windows)(const void *const *rows, ptrdiff_t count, ptrdiff_t columns, ptrdiff_t dilation,
                                   ptrdiff_t stride, ptrdiff_t i, ptrdiff_t n, int op, int careful)
{
    vec m = NAME(near_column)(rows, count, i, n, op, careful);
    if (stride == 1) {
        for (ptrdiff_t t = 1; t < columns; t++)
            m = NAME(pool_both)(NAME(near_column)(rows, count, i + t * dilation, n, op, careful), m, op);
        return m;
    }
    const vec next = NAME(near_column)(rows, count, i + VL, n, op, careful);
    m = NAME(pool_both)(NAME(odds)(m, next), NAME(evens)(m, next), op);
    if (columns == 3) {
        const vec third = NAME(near_column)(rows, count, i + 2, n, op, careful);
        const vec last = NAME(near_column)(rows, count, i + VL + 1, n, op, careful);
        m = NAME(pool_both)(NAME(in_turn)(NAME(alternate)(third, last)), m, op);
    }
    return m;
}

POOL_INLINE void NAME(pool_near_as)(const struct nd_pool_places *s, const void *const *rows, ptrdiff_t lines, T *y,
                                    const T *cells, T row_cells, ptrdiff_t columns, ptrdiff_t stride, int op)
{
    const void *row[ND_PLACES];
    for (ptrdiff_t r = 0; r < s->count; r++)
        row[r] = rows[r];
    for (; lines > 0; lines--, y += s->y_step) {
        for (ptrdiff_t j = 0; j < s->ow; j += VL) {
            j = j < s->ow - VL ? j : s->ow - VL; /* the last vector overlaps the one before */
            const ptrdiff_t i = j * stride - s->pad;
            vec m;
            if (j >= s->first && j + VL <= s->last) {
                /* the memory's own prefetch follows a row, but not the step to the next */
                __builtin_prefetch((const T *)row[s->count - 1] + s->row_step + i);
                if (s->count > 1)
                    __builtin_prefetch((const T *)row[s->count - 2] + s->row_step + i);
                m = NAME(near_windows)(row, s->count, columns, s->dilation, stride, i, s->n, op, 0);
            } else {
                m = NAME(near_windows)(row, s->count, columns, s->dilation, stride, i, s->n, op, 1);
            }
            if (op == ND_SUM && cells)
                m /= NAME(load)(cells + j) * NAME(broadcast)(row_cells);
            NAME(store)(y + j, m);
        }
        for (ptrdiff_t r = 0; r < s->count; r++)
            row[r] = (const T *)row[r] + s->row_step;
    }
}

#define POOL_NEAR(op)                                                                                        \
    if (s->stride == 1)                                                                                      \
        NAME(pool_near_as)(s, rows, lines, y, cells, (T)row_cells, s->columns, 1, op);                       \
    else if (s->columns == 2)                                                                                \
        NAME(pool_near_as)(s, rows, lines, y, cells, (T)row_cells, 2, 2, op);                                \
    else                                                                                                     \
        NAME(pool_near_as)(s, rows, lines, y, cells, (T)row_cells, 3, 2, op);

static void NAME(pool_near)(const struct nd_pool_places *s, const void *const *rows, ptrdiff_t lines, void *y,
                            const void *cells, double row_cells)
{
    if (s->op == ND_GREATEST) {
        POOL_NEAR(ND_GREATEST)
    } else if (s->op == ND_LEAST) {
        POOL_NEAR(ND_LEAST)
    } else {
        POOL_NEAR(ND_SUM)
    }
}
#undef POOL_NEAR
