/* pool: windows of elements combined by the greatest or the least, NaN above all, or the sum.
 *
 * A window is separable: rows are combined element by element first (pool_combine), then shifted copies
 * of what that gives (pool_taps). Strides along a row are split into phases, so that neighbouring
 * windows are neighbouring elements again. Large windows double: the combination of 2m neighbours is
 * that of two combinations of m (pool_window), log2(k) steps instead of k - 1, in a fixed order.
 * Running maxima take 3 - 4/k steps (van Herk 1992; Gil and Werman 1993), but along each element's
 * predecessor; steps of doubling are as wide as the vectors.
 *
 * Windows of 2x2 that lie side by side are taken straight from memory (pool_two): 0.4 to 0.65 of the time that rows
 * in a buffer take, which are read across two writes.
 *
 * Registers: pool_combine holds 4 vectors and reads one operand from memory. Bytes moved: every row of
 * a window once from the first-level cache a window row; from memory once. Bound by loads: two vectors
 * a cycle. */

#define POOL_INLINE static inline __attribute__((always_inline))

#define PIXEL_VECTORS (TILE_ROWS < 8 ? 2 : 4) /* of channels at a time: of 16 registers, of 32 */

/* what loses to everything, and whether there are sums: those of integers would leave the dtype */
#ifdef INTEGER
#define POOL_LEAST ((T)-1 > 0 ? 0 : (T)((uint64_t)1 << (8 * TSIZE - 1)))
#define POOL_MOST ((T)~POOL_LEAST)
#define POOL_SUMS 0
#else
#define POOL_LEAST (-(T)__builtin_inf())
#define POOL_MOST ((T)__builtin_inf())
#define POOL_SUMS 1
#endif

POOL_INLINE vec NAME(pool_both)(vec a, vec m, int op)
{
    return op == ND_GREATEST ? NAME(greater)(a, m) : op == ND_LEAST ? NAME(lesser)(a, m) : m + a;
}

/* the same where neither is NaN */
POOL_INLINE vec NAME(pool_numbers)(vec a, vec m, int op)
{
    return op == ND_GREATEST ? NAME(greater_number)(a, m) : op == ND_LEAST ? NAME(lesser_number)(a, m) : m + a;
}

/* whether a takes the place of m, which came before it: it is greater (less), or the first NaN */
POOL_INLINE int NAME(pool_wins)(T a, T m, int op)
{
    return (op == ND_LEAST ? a < m : a > m) || (a != a && m == m);
}
POOL_INLINE T NAME(pool_both_one)(T a, T m, int op)
{
    return op == ND_SUM ? m + a : NAME(pool_wins)(a, m, op) ? a : m;
}

/* n < VL lanes, in constant sizes */
POOL_INLINE void NAME(pool_store_few)(T *to, vec v, ptrdiff_t n)
{
    T lane[VL_BYTES / sizeof(T)] __attribute__((aligned(VL_BYTES)));
    *(vec *)lane = v;
    NAME(copy)(to, lane, n, 1);
}

/* m[v] = vector v of a combination from element i on, v < vectors */
POOL_INLINE void NAME(pool_combine_at)(vec m[4], const void *const *rows, ptrdiff_t count, ptrdiff_t i,
                                       int vectors, int op)
{
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        m[v] = NAME(load)((const T *)rows[0] + i + v * VL);
    for (ptrdiff_t r = 1; r < count; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            m[v] = NAME(pool_both)(NAME(load)((const T *)rows[r] + i + v * VL), m[v], op);
}

POOL_INLINE T NAME(pool_combine_one)(const void *const *rows, ptrdiff_t count, ptrdiff_t i, int op)
{
    T m = ((const T *)rows[0])[i];
    for (ptrdiff_t r = 1; r < count; r++)
        m = NAME(pool_both_one)(((const T *)rows[r])[i], m, op);
    return m;
}

/* Asks for what the next row of windows adds: the memory's own prefetch follows a row, but not the step
 * to the next. */
POOL_INLINE void NAME(pool_prefetch)(const void *row, ptrdiff_t i)
{
    for (int b = 0; b < 4 * VL_BYTES; b += 64)
        __builtin_prefetch((const char *)((const T *)row + i) + b);
}

POOL_INLINE void NAME(pool_combine_as)(T *restrict to, const void *const *rows, ptrdiff_t count,
                                       ptrdiff_t n, int op, T share, ptrdiff_t ahead)
{
    ptrdiff_t i = 0;
    vec m[4];
    for (; i + 4 * VL <= n; i += 4 * VL) {
        if (ahead)
            NAME(pool_prefetch)(rows[count - 1], i + ahead);
        NAME(pool_combine_at)(m, rows, count, i, 4, op);
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            NAME(store)(to + i + v * VL, share ? m[v] * NAME(broadcast)(share) : m[v]);
    }
    while (i < n && n >= VL) {
        i = i < n - VL ? i : n - VL; /* the last vector overlaps the one before */
        NAME(pool_combine_at)(m, rows, count, i, 1, op);
        NAME(store)(to + i, share ? m[0] * NAME(broadcast)(share) : m[0]);
        i += VL;
    }
    for (; i < n; i++) {
        T one = NAME(pool_combine_one)(rows, count, i, op);
        to[i] = share ? one * share : one;
    }
}

static void NAME(pool_combine)(void *to, const void *const *rows, ptrdiff_t count, ptrdiff_t n, int op,
                               double divisor, ptrdiff_t ahead)
{
    if (op == ND_GREATEST && count == 3)
        NAME(pool_combine_as)(to, rows, 3, n, ND_GREATEST, 0, ahead);
    else if (op == ND_GREATEST)
        NAME(pool_combine_as)(to, rows, count, n, ND_GREATEST, 0, ahead);
    else if (op == ND_LEAST || !POOL_SUMS)
        NAME(pool_combine_as)(to, rows, count, n, ND_LEAST, 0, ahead);
    else
        NAME(pool_combine_as)(to, rows, count, n, ND_SUM, divisor ? (T)(1 / divisor) : 0, ahead);
}

/* The same, its even elements to one row and its odd ones to another. */
POOL_INLINE void NAME(pool_combine_pairs_as)(T *restrict even, T *restrict odd, const void *const *rows,
                                             ptrdiff_t count, ptrdiff_t n, int op, ptrdiff_t ahead)
{
    ptrdiff_t i = 0;
    vec m[4];
    for (; i + 4 * VL <= n; i += 4 * VL) {
        if (ahead)
            NAME(pool_prefetch)(rows[count - 1], i + ahead);
        NAME(pool_combine_at)(m, rows, count, i, 4, op);
        NAME(store)(even + i / 2, NAME(evens)(m[0], m[1]));
        NAME(store)(odd + i / 2, NAME(odds)(m[0], m[1]));
        NAME(store)(even + i / 2 + VL, NAME(evens)(m[2], m[3]));
        NAME(store)(odd + i / 2 + VL, NAME(odds)(m[2], m[3]));
    }
    while (i < n && n >= 2 * VL) {
        i = i < n - 2 * VL ? i : n - 2 * VL;
        NAME(pool_combine_at)(m, rows, count, i, 2, op);
        NAME(store)((i % 2 ? odd : even) + i / 2, NAME(evens)(m[0], m[1]));
        NAME(store)(i % 2 ? even + i / 2 + 1 : odd + i / 2, NAME(odds)(m[0], m[1]));
        i += 2 * VL;
    }
    for (; i < n; i++)
        (i % 2 ? odd : even)[i / 2] = NAME(pool_combine_one)(rows, count, i, op);
}

static void NAME(pool_combine_pairs)(T *even, T *odd, const void *const *rows, ptrdiff_t count,
                                     ptrdiff_t n, int op, ptrdiff_t ahead)
{
    if (op == ND_GREATEST && count == 2)
        NAME(pool_combine_pairs_as)(even, odd, rows, 2, n, ND_GREATEST, ahead);
    else if (op == ND_GREATEST && count == 3)
        NAME(pool_combine_pairs_as)(even, odd, rows, 3, n, ND_GREATEST, ahead);
    else if (op == ND_GREATEST)
        NAME(pool_combine_pairs_as)(even, odd, rows, count, n, ND_GREATEST, ahead);
    else if (op == ND_LEAST || !POOL_SUMS)
        NAME(pool_combine_pairs_as)(even, odd, rows, count, n, ND_LEAST, ahead);
    else if (count == 2)
        NAME(pool_combine_pairs_as)(even, odd, rows, 2, n, ND_SUM, ahead);
    else if (count == 3)
        NAME(pool_combine_pairs_as)(even, odd, rows, 3, n, ND_SUM, ahead);
    else
        NAME(pool_combine_pairs_as)(even, odd, rows, count, n, ND_SUM, ahead);
}

static void NAME(pool_split)(void *to_, ptrdiff_t phase, ptrdiff_t split, ptrdiff_t at, const void *from_,
                             ptrdiff_t n)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    ptrdiff_t i = 0;
    if (split == 2) {
        T *restrict first = to + at % 2 * phase + at / 2;
        T *restrict second = to + (at + 1) % 2 * phase + (at + 1) / 2;
        for (; i + 2 * VL <= n; i += 2 * VL) {
            vec a = NAME(load)(from + i), b = NAME(load)(from + i + VL);
            NAME(store)(first + i / 2, NAME(evens)(a, b));
            NAME(store)(second + i / 2, NAME(odds)(a, b));
        }
        for (; i < n; i++)
            (i % 2 ? second : first)[i / 2] = from[i];
        return;
    }
    for (; i < n && i < split; i++)
        NAME(copy)(to + (at + i) % split * phase + (at + i) / split, from + i, (n - i + split - 1) / split, split);
}

POOL_INLINE vec NAME(pool_taps_at)(const T *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t j,
                                   int op, const T *shares)
{
    vec m = NAME(load)(from + taps[0] + j);
    for (ptrdiff_t t = 1; t < count; t++)
        m = NAME(pool_both)(NAME(load)(from + taps[t] + j), m, op);
    return shares ? m * NAME(load)(shares + j) : m;
}

POOL_INLINE void NAME(pool_taps_as)(T *y, const T *from, const ptrdiff_t *taps, ptrdiff_t count,
                                    ptrdiff_t n, int op, const T *shares)
{
    ptrdiff_t j = 0;
    for (; j + VL <= n; j += VL)
        NAME(store)(y + j, NAME(pool_taps_at)(from, taps, count, j, op, shares));
    if (j < n && n >= VL)
        NAME(store)(y + n - VL, NAME(pool_taps_at)(from, taps, count, n - VL, op, shares));
    else if (j < n)
        NAME(pool_store_few)(y, NAME(pool_taps_at)(from, taps, count, 0, op, shares), n);
}

static void NAME(pool_taps)(void *y, const void *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n,
                            int op, const void *shares)
{
    if (op == ND_GREATEST && count == 2)
        NAME(pool_taps_as)(y, from, taps, 2, n, ND_GREATEST, NULL);
    else if (op == ND_GREATEST && count == 3)
        NAME(pool_taps_as)(y, from, taps, 3, n, ND_GREATEST, NULL);
    else if (op == ND_GREATEST)
        NAME(pool_taps_as)(y, from, taps, count, n, ND_GREATEST, NULL);
    else if (op == ND_LEAST || !POOL_SUMS)
        NAME(pool_taps_as)(y, from, taps, count, n, ND_LEAST, NULL);
    else if (count == 2)
        NAME(pool_taps_as)(y, from, taps, 2, n, ND_SUM, shares);
    else if (count == 3)
        NAME(pool_taps_as)(y, from, taps, 3, n, ND_SUM, shares);
    else
        NAME(pool_taps_as)(y, from, taps, count, n, ND_SUM, shares);
}

#if POOL_SUMS
/* shares[j] = 1 / (cells[j]*rows), by whole vectors */
static void NAME(pool_shares)(void *shares, const void *cells, ptrdiff_t n, double rows)
{
    for (ptrdiff_t j = 0; j < n; j += VL)
        NAME(store)((T *)shares + j, 1 / (NAME(load)((const T *)cells + j) * NAME(broadcast)((T)rows)));
}
#endif

#if LANES <= 16
/* Windows of two rows and two columns that lie in x side by side, straight from memory. */
POOL_INLINE void NAME(pool_two)(const struct nd_pool_rows *s, const T *a, const T *b, ptrdiff_t lines, T *y, int op)
{
    const T *shares = s->shares;
    const ptrdiff_t n = s->ow, step = s->row_step, y_step = s->y_step;
    for (; lines > 0; lines--, a += step, b += step, y += y_step)
        for (ptrdiff_t j = 0; j < n; j += VL) {
            j = j < n - VL ? j : n - VL; /* the last vector overlaps the one before */
            __builtin_prefetch(a + step + 2 * j);
            __builtin_prefetch(b + step + 2 * j);
            const vec first = NAME(pool_both)(NAME(load)(b + 2 * j), NAME(load)(a + 2 * j), op);
            const vec second = NAME(pool_both)(NAME(load)(b + 2 * j + VL), NAME(load)(a + 2 * j + VL), op);
            const vec odds = NAME(mixed_odds)(first, second), evens = NAME(mixed_evens)(first, second);
            const vec m = NAME(in_order)(NAME(pool_both)(odds, evens, op));
            NAME(store)(y + j, op == ND_SUM && shares ? m * NAME(load)(shares + j) : m);
        }
}

/* Whether that is what there is to do. */
POOL_INLINE int NAME(pool_is_two)(const struct nd_pool_rows *s)
{
    return s->split == 2 && s->count == 2 && s->columns == 2 && s->at == 0 && s->ow >= VL && s->n >= 2 * s->ow
           && s->taps[1] == s->phase;
}
#endif

static void NAME(pool_rows)(const struct nd_pool_rows *s, const void **rows, ptrdiff_t lines,
                            void *buffer_, void *y_)
{
    T *buffer = buffer_, *y = y_;
    T *even = buffer + s->at % s->split * s->phase + s->at / s->split;
    T *odd = buffer + (s->at + 1) % s->split * s->phase + (s->at + 1) / s->split;
#if LANES <= 16
    if (NAME(pool_is_two)(s)) {
        if (s->op == ND_GREATEST)
            NAME(pool_two)(s, rows[0], rows[1], lines, y, ND_GREATEST);
        else if (s->op == ND_LEAST || !POOL_SUMS)
            NAME(pool_two)(s, rows[0], rows[1], lines, y, ND_LEAST);
        else
            NAME(pool_two)(s, rows[0], rows[1], lines, y, ND_SUM);
        return;
    }
#endif
    for (ptrdiff_t l = 0; l < lines; l++, y += s->y_step) {
        if (s->split == 2)
            NAME(pool_combine_pairs)(even, odd, rows, s->count, s->n, s->op, s->row_step);
        else
            NAME(pool_combine)(even, rows, s->count, s->n, s->op, 0, s->row_step);
        NAME(pool_taps)(y, buffer, s->taps, s->columns, s->ow, s->op, s->shares);
        for (ptrdiff_t r = 0; r < s->count; r++)
            rows[r] = (const T *)rows[r] + s->row_step;
    }
}

/* to[i] = a[i + t*unit] combined over t < k, i < n, by whole vectors; `to` may be `a` */
POOL_INLINE void NAME(pool_neighbours)(T *to, const T *a, ptrdiff_t n, ptrdiff_t k, ptrdiff_t unit, int op)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        vec m = NAME(load)(a + i);
        for (ptrdiff_t t = 1; t < k; t++)
            m = NAME(pool_both)(NAME(load)(a + i + t * unit), m, op);
        NAME(store)(to + i, m);
    }
}

/* to[i] = a[i] and b[i] combined, i < n, by whole vectors; `to` may be a */
POOL_INLINE void NAME(pool_pairs)(T *to, const T *a, const T *b, ptrdiff_t n, int op)
{
    for (ptrdiff_t i = 0; i < n; i += VL)
        NAME(store)(to + i, NAME(pool_both)(NAME(load)(b + i), NAME(load)(a + i), op));
}

/* Windows of k = 2^p + rest: windows of 2, 4, ... 2^p by doubling; two of 2^p that overlap make the
 * greatest of k; sums of the sizes in k's binary digits make the sum of k. */
POOL_INLINE void *NAME(pool_window_as)(T *b, T *spare, ptrdiff_t n, ptrdiff_t k, ptrdiff_t unit, int op)
{
    const ptrdiff_t last = n - (k - 1) * unit;
    ptrdiff_t done = 0; /* of the sum */
    for (ptrdiff_t m = 1;; m *= 2) {
        const int final = 2 * m > k;
        if (op && final) {
            if (m < k)
                NAME(pool_pairs)(b, b, b + (k - m) * unit, last, op);
            return b;
        }
        if (!op && (k & m)) {
            if (done)
                NAME(pool_pairs)(spare, spare, b + done * unit, last, ND_SUM);
            else if (final)
                return b;
            else
                NAME(copy)(spare, b, last, 1);
            done += m;
            if (final)
                return spare;
        }
        NAME(pool_pairs)(b, b, b + m * unit, n - (2 * m - 1) * unit, op);
    }
}

static void *NAME(pool_window)(void *b, void *spare, ptrdiff_t n, ptrdiff_t k, ptrdiff_t unit, int op)
{
    const ptrdiff_t last = n - (k - 1) * unit;
    if (k == 1)
        return b;
    if (op == ND_GREATEST && k == 2)
        NAME(pool_neighbours)(b, b, last, 2, unit, ND_GREATEST);
    else if (op == ND_GREATEST && k == 3)
        NAME(pool_neighbours)(b, b, last, 3, unit, ND_GREATEST);
    else if (op == ND_GREATEST)
        return NAME(pool_window_as)(b, spare, n, k, unit, ND_GREATEST);
    else if (op == ND_LEAST || !POOL_SUMS)
        return NAME(pool_window_as)(b, spare, n, k, unit, ND_LEAST);
    else if (k == 2)
        NAME(pool_neighbours)(b, b, last, 2, unit, ND_SUM);
    else if (k == 3)
        NAME(pool_neighbours)(b, b, last, 3, unit, ND_SUM);
    else
        return NAME(pool_window_as)(b, spare, n, k, unit, ND_SUM);
    return b;
}

POOL_INLINE void NAME(pool_slide_as)(T *to, T *next, const T *p, const T *x, const T *s, ptrdiff_t n, int op)
{
    ptrdiff_t i = 0;
    while (i < n && n >= VL) {
        i = i < n - VL ? i : n - VL;
        const vec m = NAME(pool_both)(NAME(load)(x + i), NAME(load)(p + i), op);
        NAME(store)(next + i, m);
        NAME(store)(to + i, NAME(pool_both)(m, NAME(load)(s + i), op));
        i += VL;
    }
    for (; i < n; i++) {
        next[i] = NAME(pool_both_one)(x[i], p[i], op);
        to[i] = NAME(pool_both_one)(next[i], s[i], op);
    }
}

static void NAME(pool_slide)(void *to, void *next, const void *p, const void *x, const void *s, ptrdiff_t n,
                             int op)
{
    if (op == ND_GREATEST)
        NAME(pool_slide_as)(to, next, p, x, s, n, ND_GREATEST);
    else if (op == ND_LEAST || !POOL_SUMS)
        NAME(pool_slide_as)(to, next, p, x, s, n, ND_LEAST);
    else
        NAME(pool_slide_as)(to, next, p, x, s, n, ND_SUM);
}

#if POOL_SUMS
static void NAME(pool_store)(void *to_, ptrdiff_t to_step, const void *from_, ptrdiff_t step, ptrdiff_t n,
                             const void *cells_, ptrdiff_t cells_step, double rows_)
{
    T *to = to_;
    const T *from = from_, *cells = cells_;
    const T rows = (T)rows_;
    ptrdiff_t j = 0;
    if (to_step == 1 && step == 1 && (cells_step == 0 || cells_step == 1) && to != from)
        while (j < n && n >= VL) {
            j = j < n - VL ? j : n - VL;
            vec count = cells_step ? NAME(load)(cells + j) : NAME(broadcast)(cells[0]);
            NAME(store)(to + j, NAME(load)(from + j) / (count * NAME(broadcast)(rows)));
            j += VL;
        }
    for (; j < n; j++)
        to[j * to_step] = from[j * step] / (cells[j * cells_step] * rows);
}
#endif

static void NAME(pool_fill)(void *to_, ptrdiff_t n, double value)
{
    T *to = to_;
    const T v = value >= (double)POOL_MOST ? POOL_MOST : value <= (double)POOL_LEAST ? POOL_LEAST : (T)value;
    for (ptrdiff_t i = 0; i < n; i++)
        to[i] = v;
}

/* x[a*steps[0] + b*steps[1] + c*steps[2]] combined over a < taps[0], b < taps[1], c < taps[2], of which
 * none is 0 */
static double NAME(pool_point)(const void *x_, const ptrdiff_t *taps, const ptrdiff_t *steps, int op,
                               ptrdiff_t *at)
{
    const T *x = x_;
    T m = op == ND_SUM ? 0 : op == ND_LEAST ? POOL_MOST : POOL_LEAST;
    ptrdiff_t place = -1, next = 0;
    for (ptrdiff_t a = 0; a < taps[0]; a++)
        for (ptrdiff_t b = 0; b < taps[1]; b++)
            for (ptrdiff_t c = 0; c < taps[2]; c++, next++) {
                T v = x[a * steps[0] + b * steps[1] + c * steps[2]];
                if (op == ND_SUM)
                    m += v;
                else if (place < 0 || NAME(pool_wins)(v, m, op))
                    m = v, place = next;
            }
    *at = place;
    return m;
}
