/* pool_spread: gradients of windows that share no cell: each element of dx is written once.
 *
 * A row of windows gives each of its rows of cells: the dy of a mean, or the dy whose index says so and else
 * 0. Windows of two columns by vectors: cells that are even, cells that are odd, interleaved. Bytes moved:
 * dy and indices read once, dx written once; bound by the memory that dx is written to.
 *
 * Windows that move by two columns and overlap (pool_halves): rows of dy are added first, then neighbours in what that
 * gives: windows with an even cell, windows with an odd one, interleaved. */

/* positions as wide as T from indices of `size` bytes; `high` collects what a narrower one does not hold */
POOL_INLINE ivec NAME(pool_places)(const void *at, ptrdiff_t size, ptrdiff_t o, ivec *high)
{
    if (size == (ptrdiff_t)sizeof(IT))
        return NAME(load_index)((const IT *)at + o);
    /* int64 as pairs of int32, the low one first: x86 and AArch64 are little-endian */
    const IT *words = (const IT *)at + 2 * o;
    const vec a = (vec)NAME(load_index)(words), b = (vec)NAME(load_index)(words + VL);
    const ivec low = (ivec)NAME(evens)(a, b);
    *high |= (ivec)NAME(odds)(a, b) ^ (low >> (8 * sizeof(IT) - 1));
    return low;
}

/* windows of two columns; lanes of `lost` are not 0 where an index was outside */
POOL_INLINE ivec NAME(spread_pairs)(void *const *rows, const ptrdiff_t *bases, ptrdiff_t count, const T *dy,
                                    ptrdiff_t n, T divisor, const void *at, ptrdiff_t size, ivec lanes)
{
    ivec lost = {0};
    for (ptrdiff_t o = 0; o < n; o += VL) {
        o = o < n - VL ? o : n - VL; /* the last vector overlaps the one before */
        const vec g = at ? NAME(load)(dy + o) : NAME(load)(dy + o) / NAME(broadcast)(divisor);
        ivec place = {0}, found = {0};
        if (at)
            place = NAME(pool_places)(at, size, o, &lost) - lanes - (IT)(2 * o);
        for (ptrdiff_t r = 0; r < count; r++) {
            const ivec even = (ivec)(place == (IT)bases[r]), odd = (ivec)(place == (IT)(bases[r] + 1));
            const vec a = at ? (vec)((ivec)g & even) : g, b = at ? (vec)((ivec)g & odd) : g;
            found |= even | odd;
            NAME(store)((T *)rows[r] + 2 * o, NAME(interleave_low)(a, b));
            NAME(store)((T *)rows[r] + 2 * o + VL, NAME(interleave_high)(a, b));
        }
        if (at)
            lost |= ~found;
    }
    return lost;
}

/* windows of any columns, from the first on; returns whether an index was outside */
POOL_INLINE int NAME(spread_any)(void *const *rows, const ptrdiff_t *bases, ptrdiff_t count,
                                 ptrdiff_t columns, const T *dy, ptrdiff_t n, T divisor, const void *at,
                                 ptrdiff_t size)
{
    int outside = 0;
    for (ptrdiff_t o = 0; o < n; o++) {
        const int64_t place = !at ? 0 : size == 4 ? ((const int32_t *)at)[o] : ((const int64_t *)at)[o];
        const T share = at ? dy[o] : dy[o] / divisor;
        int found = !at;
        for (ptrdiff_t r = 0; r < count; r++)
            for (ptrdiff_t t = 0; t < columns; t++) {
                const int here = at && place == bases[r] + o * columns + t;
                ((T *)rows[r])[o * columns + t] = !at || here ? share : 0;
                found |= here;
            }
        outside |= !found;
    }
    return outside;
}

static int NAME(pool_spread)(void **rows, ptrdiff_t *bases, ptrdiff_t count, ptrdiff_t columns,
                             ptrdiff_t lines, ptrdiff_t step, const void *dy_, ptrdiff_t dy_step,
                             ptrdiff_t n, double divisor,
                             const void *at_, ptrdiff_t at_step, ptrdiff_t size)
{
    const T *dy = dy_;
    const char *at = at_;
    const int pairs = columns == 2 && n >= VL && (!at || size >= (ptrdiff_t)sizeof(IT));
    int outside = 0;
    ivec lost = {0}, lanes;
    for (int l = 0; l < VL; l++)
        lanes[l] = 2 * l;
    for (; lines > 0; lines--, dy += dy_step) {
        if (pairs && at && count == 2)
            lost |= NAME(spread_pairs)(rows, bases, 2, dy, n, 1, at, size, lanes);
        else if (pairs && at)
            lost |= NAME(spread_pairs)(rows, bases, count, dy, n, 1, at, size, lanes);
        else if (pairs)
            NAME(spread_pairs)(rows, bases, count, dy, n, (T)divisor, NULL, 0, lanes);
        else if (at)
            outside |= NAME(spread_any)(rows, bases, count, columns, dy, n, 1, at, size);
        else if (columns == 2)
            NAME(spread_any)(rows, bases, count, 2, dy, n, (T)divisor, NULL, 0);
        else if (columns == 3)
            NAME(spread_any)(rows, bases, count, 3, dy, n, (T)divisor, NULL, 0);
        else
            NAME(spread_any)(rows, bases, count, columns, dy, n, (T)divisor, NULL, 0);
        for (ptrdiff_t r = 0; r < count; r++) {
            rows[r] = (T *)rows[r] + step;
            bases[r] += step;
        }
        if (at)
            at += at_step * size;
    }
    for (int l = 0; l < VL; l++)
        outside |= lost[l] != 0;
    return outside;
}

/* `columns` neighbours added up */
POOL_INLINE vec NAME(halves_sum)(const T *from, ptrdiff_t columns)
{
    vec sum = {0};
    for (ptrdiff_t t = 0; t < columns; t++)
        sum += NAME(load)(from + t);
    return sum;
}

POOL_INLINE void NAME(halves_as)(T *to, ptrdiff_t n, const T *even, ptrdiff_t evens, const T *odd, ptrdiff_t odds)
{
    for (ptrdiff_t i = 0; 2 * i < n; i += VL) {
        const vec a = NAME(halves_sum)(even + i, evens), b = NAME(halves_sum)(odd + i, odds);
        const vec low = NAME(interleave_low)(a, b), high = NAME(interleave_high)(a, b);
        const ptrdiff_t room = n - 2 * i;
        if (room >= 2 * VL) {
            NAME(store)(to + 2 * i, low);
            NAME(store)(to + 2 * i + VL, high);
        } else if (room >= VL) {
            NAME(store)(to + 2 * i, low);
            NAME(pool_store_few)(to + 2 * i + VL, high, room - VL);
        } else {
            NAME(pool_store_few)(to + 2 * i, low, room);
        }
    }
}

static void NAME(pool_halves)(void *to, ptrdiff_t n, const void *even_, ptrdiff_t evens, const void *odd_, ptrdiff_t odds)
{
    const T *even = even_, *odd = odd_;
    if (evens == 1 && odds == 2)
        NAME(halves_as)(to, n, even, 1, odd, 2);
    else if (evens == 2 && odds == 1)
        NAME(halves_as)(to, n, even, 2, odd, 1);
    else
        NAME(halves_as)(to, n, even, evens, odd, odds);
}
