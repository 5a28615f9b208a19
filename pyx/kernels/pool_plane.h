/* pool_plane: sums and the greatest of whole planes, straight from memory.
 *
 * Several sums, or several greatest, run side by side, since each addition waits four cycles for the one
 * before. Of planes of up to 512 cells a vector of sums each is kept, then vectors of all planes are turned
 * round and added, so that no lane is added up alone. Bytes moved: x once; bound by the memory that x comes
 * from. */

/* The lanes of a vector, added in pairs of pairs. */
POOL_INLINE double NAME(pool_lanes)(vec v)
{
    double lane[LANES];
#pragma GCC unroll 16
    for (int l = 0; l < LANES; l++)
        lane[l] = v[l];
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2)
#pragma GCC unroll 8
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* Eight vectors of at most 16 elements a lane each, then all lanes into double: the error of a sum of
 * 16, whatever n. */
static double NAME(pool_sum)(const void *from_, ptrdiff_t n, ptrdiff_t step)
{
    const T *from = from_;
    double sum = 0;
    if (step == 1)
        for (; n >= 8 * VL;) {
            const ptrdiff_t part = n < 128 * VL ? n / (8 * VL) : 16;
            vec m[8] = {{0}};
            for (ptrdiff_t i = 0; i < part; i++, from += 8 * VL)
#pragma GCC unroll 8
                for (int v = 0; v < 8; v++)
                    m[v] += NAME(load)(from + v * VL);
            sum += NAME(pool_lanes)(((m[0] + m[1]) + (m[2] + m[3])) + ((m[4] + m[5]) + (m[6] + m[7])));
            n -= part * 8 * VL;
        }
    if (step == 1 && n >= VL) {
        vec m = NAME(load)(from);
        for (from += VL, n -= VL; n >= VL; from += VL, n -= VL)
            m += NAME(load)(from);
        sum += NAME(pool_lanes)(m);
    }
    for (ptrdiff_t i = 0; i < n && step == 1; i++)
        sum += from[i];
    return step == 1 ? sum : sum + NAME(sum)(from, n, step);
}

/* The greatest in eight independent vectors, then the first place that has it. */
POOL_INLINE double NAME(pool_top_as)(const void *from_, ptrdiff_t n, ptrdiff_t step, int op, ptrdiff_t *at)
{
    const T *from = from_;
    T m = from[0];
    ptrdiff_t i = 0;
    if (step == 1 && n >= 8 * VL) {
        vec part[8];
#pragma GCC unroll 8
        for (int v = 0; v < 8; v++)
            part[v] = NAME(load)(from + v * VL);
        for (i = 8 * VL; i + 8 * VL <= n; i += 8 * VL)
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++)
                part[v] = NAME(pool_both)(NAME(load)(from + i + v * VL), part[v], op);
        for (int v = 0; v < 8; v++)
            for (int l = 0; l < VL; l++)
                m = NAME(pool_both_one)(part[v][l], m, op);
    }
    for (; i < n; i++)
        m = NAME(pool_both_one)(from[i * step], m, op);
    if (at)
        for (i = 0; i < n; i++)
            if (from[i * step] == m || from[i * step] != from[i * step]) {
                *at = i;
                break;
            }
    return m;
}

static double NAME(pool_top)(const void *from, ptrdiff_t n, ptrdiff_t step, int op, ptrdiff_t *at)
{
    return op == ND_LEAST ? NAME(pool_top_as)(from, n, step, ND_LEAST, at)
                          : NAME(pool_top_as)(from, n, step, ND_GREATEST, at);
}

/* the sum of n elements, lane by lane */
POOL_INLINE vec NAME(pool_lanes_of)(const T *from, ptrdiff_t n)
{
    if (n < VL)
        return NAME(load_part)(from, n);
    vec a = NAME(load)(from), b = {0};
    ptrdiff_t i = VL;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        a += NAME(load)(from + i);
        b += NAME(load)(from + i + VL);
    }
    if (i + VL <= n) {
        a += NAME(load)(from + i);
        i += VL;
    }
    if (i < n) { /* the last vector without what the one before had */
        ivec lane;
        for (int l = 0; l < LANES; l++)
            lane[l] = l;
        b += (vec)((ivec)NAME(load)(from + n - VL) & (ivec)(lane >= (IT)(VL - (n - i))));
    }
    return a + b;
}

static void NAME(pool_means)(void *to_, const void *from_, ptrdiff_t planes, ptrdiff_t step, ptrdiff_t n)
{
    T *to = to_;
    const T *from = from_;
    if (n > 512) {
        for (ptrdiff_t i = 0; i < planes; i++)
            to[i] = (T)(NAME(pool_sum)(from + i * step, n, 1) / (double)n);
        return;
    }
    for (ptrdiff_t i = 0; i < planes; i += VL) {
        vec sum[LANES];
        for (ptrdiff_t l = 0; l < LANES; l++)
            sum[l] = NAME(pool_lanes_of)(from + (i + l < planes ? i + l : planes - 1) * step, n);
        NAME(transpose)(sum);
#pragma GCC unroll 4
        for (int half = LANES / 2; half; half /= 2)
#pragma GCC unroll 8
            for (int l = 0; l < half; l++)
                sum[l] += sum[l + half];
        sum[0] /= NAME(broadcast)((T)n);
        if (planes - i < VL)
            NAME(pool_store_few)(to + i, sum[0], planes - i);
        else
            NAME(store)(to + i, sum[0]);
    }
}
