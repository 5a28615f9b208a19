/* pool_route: gradients of windows where channels are neighbours in memory, a vector of them at a time.
 *
 * A maximum routes its dy to the cell that its index names (pool_route):
 *
 *     for each window of a row, each vector of its channels: dy and index
 *         for each cell of the window: dx[cell] += index is the cell's position ? dy : 0
 *
 * which is 4 operations a cell and vector, and 2 cycles of stores, where routing them one by one is about 5 cycles an
 * element: windows of up to ND_ROUTED cells. The cells of a window stay in L1 until the next. Registers, of 4 vectors of channels:
 * dy, positions, what was found.
 *
 * A mean shares its dy among its cells (pool_share): rows of windows above each other are added before (pool_combine), and
 * each pixel of dx is written once, a share of the sums of its one to ceil(kw/sw) windows.
 *
 * Bytes moved: dy and indices read once, dx written once: bound by memory. */

/* `vectors` vectors of a window from channel i on, the lanes of `keep`; lanes of `lost` are not 0 where
 * an index is none of its window's */
POOL_INLINE ivec NAME(route_vectors)(const struct nd_pool_route *s, void *const *cells, const ptrdiff_t *bases, ptrdiff_t at,
                                     const T *dy, const char *places, ptrdiff_t i, ivec keep, int vectors, ptrdiff_t rows,
                                     ptrdiff_t columns, int partial)
{
    const ptrdiff_t step = s->dw * s->pixel;
    vec g[4];
    ivec place[4], found[4], lost = {0};
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        g[v] = (vec)((ivec)NAME(load)(dy + i + v * VL) & keep);
        place[v] = NAME(pool_places)(places, s->at_size, i + v * VL, &lost);
        found[v] = (ivec)(place[v] == -1);
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
        T *cell = (T *)cells[r] + at * s->pixel + i;
        IT here = (IT)(bases[r] + at);
        for (ptrdiff_t t = 0; t < columns; t++, cell += step, here += (IT)s->dw)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                const ivec hit = (ivec)(place[v] == here);
                NAME(store)(cell + v * VL, NAME(load)(cell + v * VL) + (vec)((ivec)g[v] & hit));
                found[v] |= hit;
            }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        if (partial) /* its cell is in rows of another task */
            found[v] |= (ivec)(place[v] >= (IT)s->low) & (ivec)(place[v] < (IT)s->high)
                        & ((ivec)(place[v] < (IT)s->inside_low) | (ivec)(place[v] >= (IT)s->inside_high));
        lost |= ~found[v];
    }
    return lost;
}

POOL_INLINE ivec NAME(route_window)(const struct nd_pool_route *s, void *const *cells, const ptrdiff_t *bases, ptrdiff_t at,
                                    const T *dy, const char *places, ivec ramp, ptrdiff_t rows, ptrdiff_t columns, int partial)
{
    const ivec all = ~(ivec){0};
    ivec lost = {0};
    ptrdiff_t i = 0;
    for (; i + 4 * VL <= s->channels; i += 4 * VL)
        lost |= NAME(route_vectors)(s, cells, bases, at, dy, places, i, all, 4, rows, columns, partial);
    for (; i + VL <= s->channels; i += VL)
        lost |= NAME(route_vectors)(s, cells, bases, at, dy, places, i, all, 1, rows, columns, partial);
    if (i < s->channels) { /* a vector that overlaps the one before, whose lanes are done */
        const ptrdiff_t from = s->channels - VL;
        lost |= NAME(route_vectors)(s, cells, bases, at, dy, places, from, (ivec)(ramp >= (IT)(i - from)), 1, rows, columns,
                                    partial);
    }
    return lost;
}

POOL_INLINE int NAME(pool_route_as)(const struct nd_pool_route *s, void *const *cells, const ptrdiff_t *bases, const T *dy,
                                    const char *places, int partial)
{
    ivec lost = {0}, ramp;
    for (int l = 0; l < VL; l++)
        ramp[l] = l;
    for (ptrdiff_t j = 0; j < s->windows; j++, dy += s->dy_pixel, places += s->at_pixel * s->at_size) {
        const ptrdiff_t start = j * s->sw - s->pad, room = s->iw - start;
        const ptrdiff_t first = start < 0 ? (s->dw - 1 - start) / s->dw : 0;
        const ptrdiff_t end = room >= (s->kw - 1) * s->dw + 1 ? s->kw : room > 0 ? (room + s->dw - 1) / s->dw : 0;
        const ptrdiff_t columns = end > first ? end - first : 0, at = start + first * s->dw;
        if (s->rows == 2 && columns == 2)
            lost |= NAME(route_window)(s, cells, bases, at, dy, places, ramp, 2, 2, partial);
        else if (s->rows == 3 && columns == 3)
            lost |= NAME(route_window)(s, cells, bases, at, dy, places, ramp, 3, 3, partial);
        else
            lost |= NAME(route_window)(s, cells, bases, at, dy, places, ramp, s->rows, columns, partial);
    }
    int outside = 0;
    for (int l = 0; l < VL; l++)
        outside |= lost[l] != 0;
    return outside;
}

static int NAME(pool_route)(const struct nd_pool_route *s, void *const *cells, const ptrdiff_t *bases, const void *dy,
                            const void *at)
{
    return s->low < s->inside_low || s->inside_high < s->high ? NAME(pool_route_as)(s, cells, bases, dy, at, 1)
                                                              : NAME(pool_route_as)(s, cells, bases, dy, at, 0);
}

POOL_INLINE vec NAME(share_vector)(const T *from, ptrdiff_t pixel, ptrdiff_t count, T share)
{
    vec sum = NAME(load)(from);
    for (ptrdiff_t o = 1; o < count; o++)
        sum += NAME(load)(from + o * pixel);
    return sum * NAME(broadcast)(share);
}

/* to[c] = share * sum over o < count of from[o*pixel + c] */
POOL_INLINE void NAME(share_pixel)(T *restrict to, const T *restrict from, ptrdiff_t pixel, ptrdiff_t count, ptrdiff_t channels,
                                   T share)
{
    for (ptrdiff_t i = 0; i < channels && channels >= VL; i += VL) {
        i = i < channels - VL ? i : channels - VL; /* the last vector overlaps the one before */
        NAME(store)(to + i, NAME(share_vector)(from + i, pixel, count, share));
    }
    for (ptrdiff_t i = 0; i < channels && channels < VL; i++) {
        T sum = from[i];
        for (ptrdiff_t o = 1; o < count; o++)
            sum += from[o * pixel + i];
        to[i] = sum * share;
    }
}

static void NAME(pool_share)(const struct nd_pool_route *s, void *dx, const void *sums, double share)
{
    T *to = dx;
    ptrdiff_t first = 0, end = 0; /* windows that hold pixel w */
    for (ptrdiff_t w = 0; w < s->iw; w++, to += s->pixel) {
        while (first < s->windows && first * s->sw - s->pad + s->kw <= w)
            first++;
        while (end < s->windows && end * s->sw - s->pad <= w)
            end++;
        const T *from = (const T *)sums + first * s->dy_pixel;
        if (end <= first)
            for (ptrdiff_t i = 0; i < s->channels; i++)
                to[i] = 0;
        else if (end - first == 1)
            NAME(share_pixel)(to, from, s->dy_pixel, 1, s->channels, (T)share);
        else if (end - first == 2)
            NAME(share_pixel)(to, from, s->dy_pixel, 2, s->channels, (T)share);
        else
            NAME(share_pixel)(to, from, s->dy_pixel, end - first, s->channels, (T)share);
    }
}
