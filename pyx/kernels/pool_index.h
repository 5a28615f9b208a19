/* pool_index: the greatest of a window and where it lies: vectors of positions beside the vectors of
 * values, compared and selected together. The first in row-major order wins a tie, the first NaN wins
 * everything.
 *
 * Down a column positions grow, so a later value has to be greater; across columns the lesser position
 * wins a tie. Registers: value, position, and the two masks. Bytes moved: those of kernels/pool.h
 * twice. Bound by the selections, about ten operations a vector and row of the window. */

POOL_INLINE void NAME(pool_combine_index_at)(T *to, IT *at, const void *const *rows, const ptrdiff_t *bases,
                                             ptrdiff_t count, ptrdiff_t i, ivec ramp)
{
    vec m = NAME(load)((const T *)rows[0] + i);
    ivec base = (ivec){0} + (IT)bases[0];
    for (ptrdiff_t r = 1; r < count; r++) {
        vec a = NAME(load)((const T *)rows[r] + i);
        ivec take = (ivec)(a > m) | ((ivec)(a != a) & (ivec)(m == m));
        m = NAME(select)(take, a, m);
        base = NAME(select_index)(take, (ivec){0} + (IT)bases[r], base);
    }
    NAME(store)(to + i, m);
    NAME(store_index)(at + i, base + ramp);
}

static void NAME(pool_combine_index)(void *to_, void *at_, const void *const *rows, const ptrdiff_t *bases,
                                     ptrdiff_t count, ptrdiff_t n, ptrdiff_t step)
{
    T *restrict to = to_;
    IT *restrict at = at_;
    ivec lanes;
    for (int l = 0; l < VL; l++)
        lanes[l] = l;
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL)
        NAME(pool_combine_index_at)(to, at, rows, bases, count, i, (lanes + (IT)i) * (IT)step);
    if (i < n && n >= VL) {
        NAME(pool_combine_index_at)(to, at, rows, bases, count, n - VL, (lanes + (IT)(n - VL)) * (IT)step);
        return;
    }
    for (; i < n; i++) {
        T m = ((const T *)rows[0])[i];
        ptrdiff_t base = bases[0];
        for (ptrdiff_t r = 1; r < count; r++) {
            T a = ((const T *)rows[r])[i];
            if (a > m || (a != a && m == m))
                m = a, base = bases[r];
        }
        to[i] = m;
        at[i] = (IT)(base + i * step);
    }
}

static void NAME(pool_taps_index)(void *y_, void *y_at_, const void *from_, const void *at_,
                                  const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n)
{
    T *y = y_;
    IT *y_at = y_at_;
    const T *from = from_;
    const IT *at = at_;
    for (ptrdiff_t j = 0; j < n; j += VL) {
        if (j + VL > n && n >= VL)
            j = n - VL;
        vec m = NAME(load)(from + taps[0] + j);
        ivec i = NAME(load_index)(at + taps[0] + j);
        for (ptrdiff_t t = 1; t < count; t++) {
            vec a = NAME(load)(from + taps[t] + j);
            ivec ia = NAME(load_index)(at + taps[t] + j);
            ivec before = (ivec)(ia < i), nan = (ivec)(a != a);
            ivec take = (ivec)(a > m) | ((ivec)(a == m) & before) | (nan & ((ivec)(m == m) | before));
            m = NAME(select)(take, a, m);
            i = NAME(select_index)(take, ia, i);
        }
        NAME(store_index)(y_at + j, i);
        if (n < VL)
            NAME(pool_store_few)(y, m, n);
        else
            NAME(store)(y + j, m);
    }
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

/* x[a*steps[0] + b*steps[1] + c*steps[2]] combined over a < taps[0], b < taps[1], c < taps[2], of which
 * none is 0 */
static double NAME(pool_point)(const void *x_, const ptrdiff_t *taps, const ptrdiff_t *steps, int most,
                               ptrdiff_t *at)
{
    const T *x = x_;
    T m = most ? -(T)__builtin_inf() : 0;
    ptrdiff_t place = -1, next = 0;
    for (ptrdiff_t a = 0; a < taps[0]; a++)
        for (ptrdiff_t b = 0; b < taps[1]; b++)
            for (ptrdiff_t c = 0; c < taps[2]; c++, next++) {
                T v = x[a * steps[0] + b * steps[1] + c * steps[2]];
                if (!most)
                    m += v;
                else if (place < 0 || v > m || (v != v && m == m))
                    m = v, place = next;
            }
    *at = place;
    return m;
}

static int NAME(pool_scatter)(void *dx_, ptrdiff_t cells, ptrdiff_t cell, const void *dy_, ptrdiff_t dy_step,
                              const void *at, ptrdiff_t size, ptrdiff_t at_step, ptrdiff_t n)
{
    T *restrict dx = dx_;
    const T *restrict dy = dy_;
    int outside = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const int64_t place = size == 4 ? ((const int32_t *)at)[i * at_step]
                                        : ((const int64_t *)at)[i * at_step];
        if (place >= 0 && place < cells)
            dx[place * cell] += dy[i * dy_step];
        else
            outside |= place != -1;
    }
    return outside;
}
#undef POOL_INLINE
