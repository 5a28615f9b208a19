/* pool_spread: gradients of windows that share no cell: each element of dx is written once.
 *
 * A row of windows gives each of its rows of cells: the dy of a mean, or the dy whose index says so and else 0. Windows of two
 * columns by vectors: cells that are even, cells that are odd, interleaved. Bytes moved: dy and indices read once, dx written
 * once; bound by the memory that dx is written to. */

/* positions as wide as T from indices of `size` bytes; `high` collects what a narrower integer does not hold */
POOL_INLINE ivec NAME(pool_places)(const void *at, ptrdiff_t size, ptrdiff_t o, ivec *high)
{
    if (size == (ptrdiff_t)sizeof(IT))
        return NAME(load_index)((const IT *)at + o);
    const IT *words = (const IT *)at + 2 * o; /* int64 as pairs of int32, the low one first: x86 and AArch64 are little-endian */
    const vec a = (vec)NAME(load_index)(words), b = (vec)NAME(load_index)(words + VL);
    *high |= (ivec)NAME(odds)(a, b);
    return (ivec)NAME(evens)(a, b);
}

static int NAME(pool_spread)(void *const *rows, const ptrdiff_t *bases, ptrdiff_t count, ptrdiff_t columns, const void *dy_,
                             ptrdiff_t n, double divisor, const void *at, ptrdiff_t size)
{
    const T *dy = dy_;
    ptrdiff_t o = 0;
    ivec lost = {0}, lanes;
    for (int l = 0; l < VL; l++)
        lanes[l] = 2 * l;
    if (columns == 2 && (!at || size >= (ptrdiff_t)sizeof(IT)))
        while (o < n && n >= VL) {
            o = o < n - VL ? o : n - VL; /* the last vector overlaps the one before */
            const vec g = at ? NAME(load)(dy + o) : NAME(load)(dy + o) / NAME(broadcast)((T)divisor);
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
            o += VL;
        }
    int outside = 0;
    for (int l = 0; l < VL; l++)
        outside |= lost[l] != 0;
    for (; o < n; o++) {
        const int64_t place = !at ? 0 : size == 4 ? ((const int32_t *)at)[o] : ((const int64_t *)at)[o];
        int found = !at;
        for (ptrdiff_t r = 0; r < count; r++)
            for (ptrdiff_t t = 0; t < columns; t++) {
                const int here = at && place == bases[r] + o * columns + t;
                ((T *)rows[r])[o * columns + t] = !at ? dy[o] / (T)divisor : here ? dy[o] : 0;
                found |= here;
            }
        outside |= !found;
    }
    return outside;
}
