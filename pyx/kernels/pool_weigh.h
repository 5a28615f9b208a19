/* pool_weigh: sums with weights, and powers of absolute values: adaptive means, upsampling and their
 * gradients, lp pooling.
 *
 * pool_weigh holds one vector of sums and reads a row from memory at each step; pool_bins gathers, so it
 * takes an element at a time: two loads and a multiply-add a tap. Bytes moved: each row once from the
 * first-level cache a window row. Powers other than 1, 2 and 1/2 are the C library's, some 20 cycles an
 * element. */

static void NAME(pool_weigh)(void *restrict to_, const void *const *rows, const double *weights,
                             ptrdiff_t count, ptrdiff_t n)
{
    T *restrict to = to_;
    ptrdiff_t i = 0;
    while (i < n && n >= VL) {
        i = i < n - VL ? i : n - VL;
        vec m = NAME(load)((const T *)rows[0] + i) * NAME(broadcast)((T)weights[0]);
        for (ptrdiff_t r = 1; r < count; r++)
            m += NAME(load)((const T *)rows[r] + i) * NAME(broadcast)((T)weights[r]);
        NAME(store)(to + i, m);
        i += VL;
    }
    for (; i < n; i++) {
        T m = ((const T *)rows[0])[i] * (T)weights[0];
        for (ptrdiff_t r = 1; r < count; r++)
            m += ((const T *)rows[r])[i] * (T)weights[r];
        to[i] = m;
    }
}

static void NAME(pool_bins)(void *restrict to_, const void *restrict from_, ptrdiff_t n,
                            const ptrdiff_t *first, const ptrdiff_t *count, const double *weights,
                            ptrdiff_t width)
{
    T *restrict to = to_;
    for (ptrdiff_t o = 0; o < n; o++, weights += width) {
        const T *from = (const T *)from_ + first[o];
        double m = count[o] ? from[0] * weights[0] : 0;
        for (ptrdiff_t t = 1; t < count[o]; t++)
            m += from[t] * weights[t];
        to[o] = (T)m;
    }
}

static inline T NAME(pool_power_one)(T a, double p)
{
    a = a < 0 ? -a : a == 0 ? 0 : a;
#if TSIZE == 4
    return p == 1 ? a : p == 2 ? a * a : p == 0.5 ? __builtin_sqrtf(a) : __builtin_powf(a, (float)p);
#else
    return p == 1 ? a : p == 2 ? a * a : p == 0.5 ? __builtin_sqrt(a) : __builtin_pow(a, p);
#endif
}

static void NAME(pool_power)(void *to_, const void *from_, ptrdiff_t n, double p)
{
    T *to = to_;
    const T *from = from_;
    ptrdiff_t i = 0;
    if (p == 1 || p == 2)
        for (; i + VL <= n; i += VL) {
            const vec a = (vec)((ivec)NAME(load)(from + i) & IT_MAX);
            NAME(store)(to + i, p == 2 ? a * a : a);
        }
    for (; i < n; i++)
        to[i] = NAME(pool_power_one)(from[i], p);
}

/* to[i*to_step] = a[i*a_step] * sign(b[i*b_step]) * |b[i*b_step]|^q, 0 where b is 0 and NaN where it is NaN,
 * i < n; `to` may be a */
static void NAME(pool_scale)(void *to_, ptrdiff_t to_step, const void *a_, ptrdiff_t a_step, const void *b_,
                             ptrdiff_t b_step, ptrdiff_t n, double q)
{
    T *to = to_;
    const T *a = a_, *b = b_;
    for (ptrdiff_t i = 0; i < n; i++) {
        const T v = b[i * b_step], s = v < 0 ? -a[i * a_step] : a[i * a_step];
        T r = q == 0    ? s
              : q == 1  ? a[i * a_step] * v
              : q == -1 ? a[i * a_step] / v
                        : s * NAME(pool_power_one)(v, q);
        to[i * to_step] = v == 0 ? 0 : v != v ? v : r;
    }
}
