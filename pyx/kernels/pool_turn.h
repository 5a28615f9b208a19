/* pool_turn: a row of windows of VL planes at once, in lanes of planes (NCHW).
 *
 * Along a row, windows that move by several pixels are apart, and rows of less than a vector of windows leave lanes empty;
 * planes have neither. What a row of windows reads is combined down its rows along x, where elements are neighbours, and
 * only what is left of it, one row of `count`, changes its direction:
 *
 *   for VL columns of x
 *       block[l] = the rows of plane l combined, l < VL              (count loads each)
 *       block transposed, to `columns`: [column][plane]              (log2(VL) shuffles a vector)
 *   for windows
 *       y = the columns of the window combined, [window][plane]      (a load a column)
 *
 * Registers: VL of the block and one operand; with positions one vector and its position at a time, positions by way of
 * memory. Bytes moved: x once from where it is; a row of VL planes written and read in L1. Bound by shuffles, about one a
 * cycle with 512 bits: VL*log2(VL) for VL*VL elements of a combined row.
 * Fitted to 2000 random layers on Zen 4, one thread, whose planes lie in L2 and L3: 0.8 ns a vector that is loaded and combined
 * (AVX2 0.5), 1.5 ns a vector that is turned and stored (0.4), of which shuffles alone would take 1 (0.4): lines of planes
 * that share sets of L1 come from L2 again. With positions 2.8 and 1.9 (1.4, 0.6). */

/* block[l] = vector i of plane l, its rows combined; `inside`: the lanes of a row that is shorter than a vector */
POOL_INLINE void NAME(pool_turn_block)(vec block[LANES], const struct nd_pool_turn *s, const void *const *rows,
                                       const ptrdiff_t *plane, ptrdiff_t i, const ivec *inside, int op)
{
    for (ptrdiff_t r = 0; r < s->count; r++) {
        const T *row = (const T *)rows[r] + i;
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) {
            const vec a = inside ? NAME(load_masked)(row + plane[l], *inside) : NAME(load)(row + plane[l]);
            block[l] = r ? NAME(pool_both)(a, block[l], op) : a;
        }
    }
}

/* The same with positions: of element 0 of each row `bases`. */
POOL_INLINE void NAME(pool_turn_places)(vec block[LANES], IT *places, const struct nd_pool_turn *s, const void *const *rows,
                                        const ptrdiff_t *bases, const ptrdiff_t *plane, ptrdiff_t i, const ivec *inside, int op)
{
    ivec ramp;
    for (int l = 0; l < LANES; l++)
        ramp[l] = (IT)(l + i);
    for (int l = 0; l < LANES; l++) {
        vec m = {0};
        ivec base = {0};
        for (ptrdiff_t r = 0; r < s->count; r++) {
            const T *from = (const T *)rows[r] + i + plane[l];
            const vec a = inside ? NAME(load_masked)(from, *inside) : NAME(load)(from);
            const ivec take = r ? NAME(pool_take)(a, m, op) : (ivec){0} - 1;
            m = NAME(select)(take, a, m);
            base = NAME(select_index)(take, (ivec){0} + (IT)bases[r], base);
        }
        block[l] = m;
        NAME(store_index)(places + l * VL, base + ramp);
    }
}

/* Columns of the block to `to`, n of them. */
POOL_INLINE void NAME(pool_turn_store)(T *to, vec block[LANES], ptrdiff_t n)
{
    NAME(transpose)(block);
#pragma GCC unroll 16
    for (int l = 0; l < LANES; l++)
        if (l < n)
            NAME(store)(to + l * VL, block[l]);
}

POOL_INLINE void NAME(pool_turn_rows)(const struct nd_pool_turn *s, const void *const *rows, const ptrdiff_t *bases, T *columns,
                                      IT *places, const ivec *inside, int op)
{
    IT turned[LANES * LANES] __attribute__((aligned(VL_BYTES)));
    ptrdiff_t plane[LANES];
    vec block[LANES];
    for (ptrdiff_t l = 0; l < VL; l++)
        plane[l] = (l < s->lanes ? l : s->lanes - 1) * s->plane;
    for (ptrdiff_t at = 0; at < s->n; at += VL) {
        const ptrdiff_t i = inside || at + VL <= s->n ? at : s->n - VL; /* the last block overlaps the one before */
        const ptrdiff_t n = inside ? s->n : VL;
        if (bases)
            NAME(pool_turn_places)(block, turned, s, rows, bases, plane, i, inside, op);
        else
            NAME(pool_turn_block)(block, s, rows, plane, i, inside, op);
        NAME(pool_turn_store)(columns + i * VL, block, n);
        if (bases) {
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                block[l] = (vec)NAME(load_index)(turned + l * VL);
            NAME(pool_turn_store)((T *)places + i * VL, block, n);
        }
    }
}

POOL_INLINE void NAME(pool_turn_as)(const struct nd_pool_turn *s, const void *const *rows, const ptrdiff_t *bases, T *columns,
                                    IT *places, T *y, IT *at, int op)
{
    const ivec inside = NAME(lanes_inside)(0, s->n);
    const T *shares = s->shares;
    if (s->count && s->n < VL)
        NAME(pool_turn_rows)(s, rows, bases, columns + s->at * VL, places + s->at * VL, &inside, op);
    else if (s->count)
        NAME(pool_turn_rows)(s, rows, bases, columns + s->at * VL, places + s->at * VL, NULL, op);
    for (ptrdiff_t j = 0; j < s->ow; j++) {
        const ptrdiff_t first = j * s->stride * VL;
        vec m;
        if (bases) {
            ivec i;
            NAME(pool_taps_index_at)(&m, &i, columns, places, s->taps, s->columns, first, op);
            NAME(store_index)(at + j * VL, i);
        } else {
            m = NAME(pool_taps_at)(columns, s->taps, s->columns, first, op, NULL);
            if (op == ND_SUM && shares)
                m *= NAME(broadcast)(shares[j]);
        }
        NAME(store)(y + j * VL, m);
    }
}

static void NAME(pool_turn)(const struct nd_pool_turn *s, const void *const *rows, const ptrdiff_t *bases, void *columns,
                            void *places, void *y, void *at)
{
    if (bases && s->op == ND_LEAST)
        NAME(pool_turn_as)(s, rows, bases, columns, places, y, at, ND_LEAST);
    else if (bases)
        NAME(pool_turn_as)(s, rows, bases, columns, places, y, at, ND_GREATEST);
    else if (s->op == ND_GREATEST)
        NAME(pool_turn_as)(s, rows, NULL, columns, NULL, y, NULL, ND_GREATEST);
    else if (s->op == ND_LEAST)
        NAME(pool_turn_as)(s, rows, NULL, columns, NULL, y, NULL, ND_LEAST);
    else
        NAME(pool_turn_as)(s, rows, NULL, columns, NULL, y, NULL, ND_SUM);
}
