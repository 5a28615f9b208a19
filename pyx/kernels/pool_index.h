/* pool_index: the greatest (or least) of a window and where it lies: vectors of positions beside the vectors
 * of values, compared and selected together. The first in row-major order wins a tie, the first NaN wins
 * everything.
 *
 * Down a column positions grow, so a later value has to be greater; across columns the lesser position
 * wins a tie. Registers: value, position, and the two masks. Bytes moved: those of kernels/pool.h
 * twice. Bound by the selections, about six operations a vector and row of the window, and where one vector is taken
 * at a time by their latency: pixels take two or four. */

/* where a takes the place of m, which came before it */
POOL_INLINE ivec NAME(pool_take)(vec a, vec m, int op)
{
    return ~(op == ND_LEAST ? (ivec)(a >= m) : (ivec)(a <= m)) & (ivec)(m == m);
}

POOL_INLINE void NAME(pool_combine_index_at)(T *to, IT *at, const void *const *rows, const ptrdiff_t *bases,
                                             ptrdiff_t count, ptrdiff_t i, ivec ramp, int op)
{
    vec m = NAME(load)((const T *)rows[0] + i);
    ivec base = (ivec){0} + (IT)bases[0];
    for (ptrdiff_t r = 1; r < count; r++) {
        vec a = NAME(load)((const T *)rows[r] + i);
        ivec take = NAME(pool_take)(a, m, op);
        m = NAME(select)(take, a, m);
        base = NAME(select_index)(take, (ivec){0} + (IT)bases[r], base);
    }
    NAME(store)(to + i, m);
    NAME(store_index)(at + i, base + ramp);
}

POOL_INLINE void NAME(pool_combine_index_as)(void *to_, void *at_, const void *const *rows,
                                             const ptrdiff_t *bases, ptrdiff_t count, ptrdiff_t n,
                                             ptrdiff_t step, int op)
{
    T *restrict to = to_;
    IT *restrict at = at_;
    ivec lanes;
    for (int l = 0; l < VL; l++)
        lanes[l] = l;
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL)
        NAME(pool_combine_index_at)(to, at, rows, bases, count, i, (lanes + (IT)i) * (IT)step, op);
    if (i < n && n >= VL) {
        NAME(pool_combine_index_at)(to, at, rows, bases, count, n - VL, (lanes + (IT)(n - VL)) * (IT)step,
                                    op);
        return;
    }
    for (; i < n; i++) {
        T m = ((const T *)rows[0])[i];
        ptrdiff_t base = bases[0];
        for (ptrdiff_t r = 1; r < count; r++) {
            T a = ((const T *)rows[r])[i];
            if (NAME(pool_wins)(a, m, op))
                m = a, base = bases[r];
        }
        to[i] = m;
        at[i] = (IT)(base + i * step);
    }
}

static void NAME(pool_combine_index)(void *to, void *at, const void *const *rows, const ptrdiff_t *bases,
                                     ptrdiff_t count, ptrdiff_t n, ptrdiff_t step, int op)
{
    if (op == ND_LEAST)
        NAME(pool_combine_index_as)(to, at, rows, bases, count, n, step, ND_LEAST);
    else
        NAME(pool_combine_index_as)(to, at, rows, bases, count, n, step, ND_GREATEST);
}

/* `vectors` vectors of channels from c on of all windows of pixels. */
POOL_INLINE void NAME(pixels_index_at)(const struct nd_pool_pixels *s, const T *const *rows, const ptrdiff_t *bases, ptrdiff_t c,
                                       T *y, IT *at, const int vectors, const int op)
{
    for (ptrdiff_t w = 0; w < s->windows; w++) {
        const ptrdiff_t first = s->first + w * s->sw;
        vec m[PIXEL_VECTORS];
        ivec place[PIXEL_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            m[v] = NAME(load)(rows[0] + first * s->pixel + c + v * VL);
            place[v] = (ivec){0} + (IT)(bases[0] + first);
        }
        for (ptrdiff_t r = 0; r < s->count; r++)
            for (ptrdiff_t t = r ? 0 : 1; t < s->kw; t++) {
                const T *cell = rows[r] + (first + t * s->dw) * s->pixel + c;
                const ivec here = (ivec){0} + (IT)(bases[r] + first + t * s->dw);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) {
                    const vec a = NAME(load)(cell + v * VL);
                    const ivec take = NAME(pool_take)(a, m[v], op);
                    m[v] = NAME(select)(take, a, m[v]);
                    place[v] = NAME(select_index)(take, here, place[v]);
                }
            }
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            NAME(store)(y + w * s->y_pixel + c + v * VL, m[v]);
            NAME(store_index)(at + w * s->channels + c + v * VL, place[v]);
        }
    }
}

/* The same of less than a vector of channels. */
POOL_INLINE void NAME(pixels_index_few)(const struct nd_pool_pixels *s, const T *const *rows, const ptrdiff_t *bases, T *y,
                                        IT *at, const int op)
{
    for (ptrdiff_t i = 0; i < s->windows * s->channels; i++) {
        const ptrdiff_t w = i / s->channels, c = i % s->channels, first = s->first + w * s->sw;
        T m = rows[0][first * s->pixel + c];
        ptrdiff_t place = bases[0] + first;
        for (ptrdiff_t r = 0; r < s->count; r++)
            for (ptrdiff_t t = r ? 0 : 1; t < s->kw; t++) {
                const T a = rows[r][(first + t * s->dw) * s->pixel + c];
                if (NAME(pool_wins)(a, m, op))
                    m = a, place = bases[r] + first + t * s->dw;
            }
        y[w * s->y_pixel + c] = m;
        at[i] = (IT)place;
    }
}

POOL_INLINE void NAME(pixels_index_as)(const struct nd_pool_pixels *s, const T *const *rows, const ptrdiff_t *bases, T *y, IT *at,
                                       const int op)
{
    ptrdiff_t c = 0;
    if (s->channels < VL) {
        NAME(pixels_index_few)(s, rows, bases, y, at, op);
        return;
    }
    for (; c + PIXEL_VECTORS * VL <= s->channels; c += PIXEL_VECTORS * VL)
        NAME(pixels_index_at)(s, rows, bases, c, y, at, PIXEL_VECTORS, op);
    for (; c < s->channels; c += VL) {
        c = c < s->channels - VL ? c : s->channels - VL; /* the last vector overlaps the one before */
        NAME(pixels_index_at)(s, rows, bases, c, y, at, 1, op);
    }
}

static void NAME(pool_pixels_index)(const struct nd_pool_pixels *s, const void *const *rows, const ptrdiff_t *bases, void *y,
                                    void *at)
{
    if (s->op == ND_LEAST)
        NAME(pixels_index_as)(s, (const T *const *)rows, bases, y, at, ND_LEAST);
    else
        NAME(pixels_index_as)(s, (const T *const *)rows, bases, y, at, ND_GREATEST);
}

POOL_INLINE void NAME(pool_taps_index_at)(vec *best, ivec *place, const T *from, const IT *at, const ptrdiff_t *taps,
                                          ptrdiff_t count, ptrdiff_t j, int op)
{
    vec m = NAME(load)(from + taps[0] + j);
    ivec i = NAME(load_index)(at + taps[0] + j);
    for (ptrdiff_t t = 1; t < count; t++) {
        vec a = NAME(load)(from + taps[t] + j);
        ivec ia = NAME(load_index)(at + taps[t] + j);
        ivec before = (ivec)(ia < i), nan = (ivec)(a != a);
        ivec wins = op == ND_LEAST ? (ivec)(a < m) : (ivec)(a > m);
        ivec take = wins | ((ivec)(a == m) & before) | (nan & ((ivec)(m == m) | before));
        m = NAME(select)(take, a, m);
        i = NAME(select_index)(take, ia, i);
    }
    *best = m, *place = i;
}

POOL_INLINE void NAME(pool_taps_index_as)(void *y_, void *y_at_, const void *from_, const void *at_,
                                          const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n, int op)
{
    T *y = y_;
    IT *y_at = y_at_;
    const T *from = from_;
    const IT *at = at_;
    for (ptrdiff_t j = 0; j < n; j += VL) {
        if (j + VL > n && n >= VL)
            j = n - VL;
        vec m;
        ivec i;
        NAME(pool_taps_index_at)(&m, &i, from, at, taps, count, j, op);
        NAME(store_index)(y_at + j, i);
        if (n < VL)
            NAME(pool_store_few)(y, m, n);
        else
            NAME(store)(y + j, m);
    }
}

static void NAME(pool_taps_index)(void *y, void *y_at, const void *from, const void *at,
                                  const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n, int op)
{
    if (op == ND_LEAST)
        NAME(pool_taps_index_as)(y, y_at, from, at, taps, count, n, ND_LEAST);
    else
        NAME(pool_taps_index_as)(y, y_at, from, at, taps, count, n, ND_GREATEST);
}

static void NAME(pool_store_index)(void *to, ptrdiff_t size, ptrdiff_t step, const void *at_, ptrdiff_t n)
{
    const IT *at = at_;
    if (size == 4)
        for (ptrdiff_t j = 0; j < n; j++)
            ((int32_t *)to)[j * step] = at[j] == IT_MAX ? -1 : (int32_t)at[j];
    else if (step == 1)
        for (ptrdiff_t j = 0; j < n; j++)
            ((int64_t *)to)[j] = at[j] == IT_MAX ? -1 : (int64_t)at[j];
    else
        for (ptrdiff_t j = 0; j < n; j++)
            ((int64_t *)to)[j * step] = at[j] == IT_MAX ? -1 : (int64_t)at[j];
}

POOL_INLINE int NAME(pool_scatter_as)(T *restrict dx, ptrdiff_t cells, ptrdiff_t cell, ptrdiff_t period, T *restrict dy,
                                      ptrdiff_t dy_step, const void *at, ptrdiff_t size, ptrdiff_t at_step,
                                      ptrdiff_t n, int how)
{
    int outside = 0;
    ptrdiff_t c = 0; /* i % period */
    for (ptrdiff_t i = 0; i < n; i++, c = c + 1 < period ? c + 1 : 0) {
        const int64_t place = size == 4 ? ((const int32_t *)at)[i * at_step]
                                        : ((const int64_t *)at)[i * at_step];
        const int inside = place >= 0 && place < cells;
        if (how == ND_TAKE)
            dy[i * dy_step] = inside ? dx[place * cell + c] : 0;
        else if (inside && how == ND_PUT)
            dx[place * cell + c] = dy[i * dy_step];
        else if (inside)
            dx[place * cell + c] += dy[i * dy_step];
        outside |= !inside && place != -1;
    }
    return outside;
}

static int NAME(pool_scatter)(void *dx, ptrdiff_t cells, ptrdiff_t cell, ptrdiff_t period, void *dy, ptrdiff_t dy_step,
                              const void *at, ptrdiff_t size, ptrdiff_t at_step, ptrdiff_t n, int how)
{
    if (how == ND_ADD_AT && period == 1)
        return NAME(pool_scatter_as)(dx, cells, cell, 1, dy, dy_step, at, size, at_step, n, ND_ADD_AT);
    if (how == ND_ADD_AT)
        return NAME(pool_scatter_as)(dx, cells, cell, period, dy, dy_step, at, size, at_step, n, ND_ADD_AT);
    if (how == ND_PUT)
        return NAME(pool_scatter_as)(dx, cells, cell, period, dy, dy_step, at, size, at_step, n, ND_PUT);
    return NAME(pool_scatter_as)(dx, cells, cell, period, dy, dy_step, at, size, at_step, n, ND_TAKE);
}
