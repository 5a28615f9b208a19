/* local: sums whose weights few numbers share, those that lie side by side in rows of lanes: images, or positions in turn.
 *
 *   y[j*y_row + i] = bias[j*bias_col] + sum over t < k of b[j*b_row + t] * a[at[t] + i],  i < m lanes, j < n
 *   a[at[t] + i] += sum over j < n of b[j*b_row + t] * y[j*y_row + i]                     where lanes are inside
 *
 *   for 6 rows of b, or 12 (backwards: elements of rows)
 *     for pixels, `count` of them: for 2 vectors of lanes, or one
 *       for t (backwards: j): a vector, or two, of a; weights broadcast from where they are
 *
 * Every sum takes its terms in their order, whatever lane or tile it is in. Rows of b are read once, those of the next pixel
 * are asked for meanwhile.
 * Budget: 12 sums, 2 vectors of a, 1 weight in 16 registers. A step of 6 x 2 is 9 loads for 12 multiply-adds, 6 cycles: the FMA
 * peak. One vector is 14 loads, 7 cycles, for 12 products with a weight of 4 or 8 bytes each: 6.9 bytes a cycle, the speed of
 * memory, even if one image is all that a vector holds. Reached by this kernel alone, with AVX2, where b comes from L3: 85 % of
 * the FMA peak with two vectors, 73 % with one; a whole convolution adds its copies. All this needs few pages: b, `b_row` apart,
 * in pages of 4096 bytes halves it. */
enum { NAME(LANES_HIGH) = 12, NAME(LANES_WIDE) = 6, NAME(LANES_LINE) = 64 / TSIZE };

/* mc rows of b with vc vectors of a */
INLINE void NAME(lanes_tile)(const int mc, const int vc, const int ask, const struct nd_lanes *s, const T *a, const T *b, T *y,
                             const T *bias)
{
    const ptrdiff_t row = s->b_row;
    const T *p[4];
    vec sum[NAME(LANES_HIGH)];
#pragma GCC unroll 4
    for (int i = 0; i < (mc + 2) / 3; i++)
        p[i] = b + 3 * i * row;
#pragma GCC unroll 12
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            sum[i * vc + v] = bias ? NAME(broadcast)(bias[i * s->bias_col]) : (vec){0};
    for (ptrdiff_t t = 0; t < s->k; t++) {
        vec va[2];
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            va[v] = NAME(load)(a + s->at[t] + v * VL);
#pragma GCC unroll 12
        for (int i = 0; i < mc; i++) {
            const T weight = p[i / 3][i % 3 * row];
#pragma GCC unroll 2
            for (int v = 0; v < vc; v++)
                sum[i * vc + v] += va[v] * weight;
        }
        if (ask && t % NAME(LANES_LINE) == 0)
            for (int i = 0; i < mc; i++)
                __builtin_prefetch(b + s->b + i * row + t, 0, 2);
#pragma GCC unroll 4
        for (int i = 0; i < (mc + 2) / 3; i++) {
            p[i]++;
            __asm__("" : "+r"(p[i])); /* else every row has a register of its own, on the stack */
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            NAME(store)(y + i * s->y_row + v * VL, sum[i * vc + v]);
}

/* mc elements of rows of b with vc vectors of y */
INLINE void NAME(lanes_grad_tile)(const int mc, const int vc, const struct nd_lanes *s, const ptrdiff_t *at, T *a, const T *b,
                                  const T *y, const IT *inside)
{
    vec sum[NAME(LANES_HIGH)];
#pragma GCC unroll 12
    for (int i = 0; i < mc * vc; i++)
        sum[i] = (vec){0};
    for (ptrdiff_t j = 0; j < s->n; j++, b += s->b_row, y += s->y_row) {
        vec vy[2];
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++)
            vy[v] = NAME(load)(y + v * VL);
#pragma GCC unroll 12
        for (int i = 0; i < mc; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vc; v++)
                sum[i * vc + v] += vy[v] * b[i];
    }
#pragma GCC unroll 12
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vc; v++) {
            T *to = a + at[i] + v * VL;
            const vec add = inside ? (vec)((ivec)sum[i * vc + v] & NAME(load_index)(inside + v * VL)) : sum[i * vc + v];
            NAME(store)(to, NAME(load)(to) + add);
        }
}

/* TILE(rows, vectors) for `rows` rows, of which there are at most LANES_WIDE with two vectors */
#define ROWS(count)                                                                                          \
    case count:                                                                                              \
        if (one)                                                                                             \
            TILE(count, 1);                                                                                  \
        else                                                                                                 \
            TILE(count <= NAME(LANES_WIDE) ? count : 1, 2);                                                  \
        break;
#define EACH_HEIGHT                                                                                          \
    ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12)

static void NAME(lanes)(const struct nd_lanes *s, const void *a_, const void *b_, void *y_, const void *bias_)
{
    const ptrdiff_t most = s->m > VL ? NAME(LANES_WIDE) : NAME(LANES_HIGH), parts = (s->n + most - 1) / most;
    for (ptrdiff_t part = 0, first = 0, rows; part < parts; part++, first += rows) {
        const T *a = a_, *b = (const T *)b_ + first * s->b_row;
        const T *bias = bias_ ? (const T *)bias_ + first * s->bias_col : NULL;
        T *y = (T *)y_ + first * s->y_row;
        rows = (s->n - first + parts - part - 1) / (parts - part);
        for (ptrdiff_t pixel = 0; pixel < s->count; pixel++, a += s->a, b += s->b, y += s->y) {
            for (ptrdiff_t i = 0; i < s->m; i += 2 * VL) {
                const int one = s->m - i <= VL;
#define TILE(count, vectors)                                                                                 \
    if (s->b && i == 0)                                                                                      \
        NAME(lanes_tile)(count, vectors, 1, s, a, b, y, bias);                                               \
    else                                                                                                     \
        NAME(lanes_tile)(count, vectors, 0, s, a + i, b, y + i, bias)
                switch (rows) {
                    EACH_HEIGHT
                }
#undef TILE
            }
            bias = bias ? bias + s->bias : NULL;
        }
    }
}

static void NAME(lanes_grad)(const struct nd_lanes *s, void *a_, const void *b_, const void *y_, const void *inside_)
{
    const ptrdiff_t most = s->m > VL ? NAME(LANES_WIDE) : NAME(LANES_HIGH), parts = (s->k + most - 1) / most;
    const T *b = b_, *y = y_;
    const IT *inside = inside_;
    T *a = a_;
    for (ptrdiff_t pixel = 0; pixel < s->count; pixel++, a += s->a, b += s->b, y += s->y) {
        ptrdiff_t asked = s->b ? 0 : s->k;
        for (ptrdiff_t part = 0, t = 0, rows; part < parts; part++, t += rows) {
            rows = (s->k - t + parts - part - 1) / (parts - part);
            for (; asked < t + rows; asked += NAME(LANES_LINE))
                for (ptrdiff_t j = 0; j < s->n; j++)
                    __builtin_prefetch(b + s->b + j * s->b_row + asked, 0, 2);
            for (ptrdiff_t i = 0; i < s->m; i += 2 * VL) {
                const int one = s->m - i <= VL;
#define TILE(count, vectors)                                                                                 \
    NAME(lanes_grad_tile)(count, vectors, s, s->at + t, a + i, b + t, y + i, inside ? inside + i : NULL)
                switch (rows) {
                    EACH_HEIGHT
                }
#undef TILE
            }
        }
    }
}
#undef ROWS
#undef EACH_HEIGHT

/* to[i*to_row + t] = a[at[t] + i], i < m, t < k: blocks transposed in registers, whole vectors of t; of few lanes one by one */
INLINE void NAME(turn_block)(T *to, ptrdiff_t to_row, const T *a, const ptrdiff_t *at, ptrdiff_t m)
{
    for (ptrdiff_t i = 0; i < m; i += VL, a += VL, to += VL * to_row) {
        vec block[LANES];
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++)
            block[l] = NAME(load)(a + at[l]);
        NAME(transpose)(block);
        for (ptrdiff_t l = 0; l < LANES && i + l < m; l++)
            NAME(store)(to + l * to_row, block[l]);
    }
}

static void NAME(lanes_turn)(void *to_, ptrdiff_t to_row, const void *a_, const ptrdiff_t *at, ptrdiff_t m, ptrdiff_t k)
{
    const T *a = a_;
    T *to = to_;
    if (4 * m <= VL) {
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t t = 0; t < k; t++)
                to[i * to_row + t] = a[at[t] + i];
        return;
    }
    ptrdiff_t t = 0, last[LANES];
    for (; t + VL <= k; t += VL)
        NAME(turn_block)(to + t, to_row, a, at + t, m);
    if (t == k)
        return;
    for (ptrdiff_t l = 0; l < LANES; l++)
        last[l] = at[t + l < k ? t + l : k - 1];
    NAME(turn_block)(to + t, to_row, a, last, m);
}

/* The other way round, added. */
static void NAME(lanes_put)(void *a_, const ptrdiff_t *at, const void *from_, ptrdiff_t row, ptrdiff_t m, ptrdiff_t k)
{
    T *a = a_;
    const T *from = from_;
    for (ptrdiff_t i = 0; i < m; i++, a++, from += row)
        for (ptrdiff_t t = 0; t < k; t++)
            a[at[t]] += from[t];
}
