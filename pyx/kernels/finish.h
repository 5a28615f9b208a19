/* finish: y[i] = activation(y[i] + residual[i]), on results just stored, which are still in L1 or L2.
 *
 * Bytes moved: y and the residual read once, y written once; relu and clip run at the speed of the cache.
 * sigmoid, tanh and silu need exp(t) = 2^n (1 + expm1(r)), n the integer nearest to t / ln 2, r = t - n ln 2
 * with ln 2 in two parts, and expm1(r) by its Taylor series on |r| <= ln(2)/2, whose remainder is under a
 * quarter of an ulp: about 25 operations and a division a vector. exp is taken of t <= 0 only, so nothing
 * overflows, and 2^n is multiplied in two steps, so that results below the normal numbers are right too.
 * Errors are at most 4 ulp; NaN stays NaN, infinities give the limits. */
#if TSIZE == 4
#define EXP_LEAST -110.0f      /* x*exp(x) rounds to zero from here down */
#define EXP_MAGIC 12582912.0f  /* 1.5 * 2^23: what is added to it is rounded to an integer, in the low bits */
#define EXP_BIAS 127
#define EXP_SHIFT 23
#define LN2_HIGH 0.693359375f  /* times n it is exact */
#define LN2_LOW -2.12194440054690583e-4f
#define EXP_TERMS 6
#else
#define EXP_LEAST -760.0
#define EXP_MAGIC 6755399441055744.0
#define EXP_BIAS 1023
#define EXP_SHIFT 52
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_TERMS 12
#endif

/* m and two powers of two: exp(t) = (1 + m) * scale[0] * scale[1], t <= 0 or NaN */
static inline __attribute__((always_inline)) vec NAME(exp_parts)(vec t, vec scale[2])
{
    static const double series[] = {1 / 2.0,      1 / 6.0,       1 / 24.0,       1 / 120.0,
                                    1 / 720.0,    1 / 5040.0,    1 / 40320.0,    1 / 362880.0,
                                    1 / 3628800.0, 1 / 39916800.0, 1 / 479001600.0, 1 / 6227020800.0};
    const vec least = NAME(broadcast)(EXP_LEAST), magic = NAME(broadcast)(EXP_MAGIC);
    t = NAME(select)((ivec)(t < least), least, t);
    const vec half = t * (T)0.72134752044448170 + magic, whole = t * (T)1.4426950408889634 + magic;
    const ivec first = (ivec)half - (ivec)magic, second = (ivec)whole - (ivec)half;
    const vec n = whole - magic, r = t - n * LN2_HIGH - n * LN2_LOW;
    vec sum = NAME(broadcast)((T)series[EXP_TERMS - 1]);
#pragma GCC unroll 12
    for (int i = EXP_TERMS - 2; i >= 0; i--)
        sum = sum * r + (T)series[i];
    scale[0] = (vec)((first + EXP_BIAS) << EXP_SHIFT);
    scale[1] = (vec)((second + EXP_BIAS) << EXP_SHIFT);
    return r * r * sum + r;
}

/* (1 - exp(-2|v|)) / (1 + exp(-2|v|)) with the sign of v; expm1 keeps small results exact */
static inline __attribute__((always_inline)) vec NAME(tanh)(vec v)
{
    const vec t = (vec)((ivec)v | ~IT_MAX);
    vec scale[2];
    const vec m = NAME(exp_parts)(t + t, scale), s = scale[0] * scale[1];
    const vec minus = m * s + (s - 1);
    return (vec)(((ivec)(minus / (minus + 2)) & IT_MAX) | ((ivec)v & ~IT_MAX));
}

/* exp(v) / (1 + exp(v)) for v < 0, 1 / (1 + exp(-v)) for others; times v for silu */
static inline __attribute__((always_inline)) vec NAME(sigmoid)(vec v, const int times)
{
    const vec one = NAME(broadcast)(1), least = NAME(broadcast)(EXP_LEAST);
    const ivec negative = (ivec)(v < 0);
    vec scale[2];
    const vec p = (1 + NAME(exp_parts)((vec)((ivec)v | ~IT_MAX), scale)) * scale[0];
    vec y = NAME(select)(negative, p, one) / (1 + p * scale[1]);
    if (times)
        y *= NAME(select)((ivec)(v < least), least, v);
    return y * NAME(select)(negative, scale[1], one);
}

static inline __attribute__((always_inline)) vec NAME(activate)(const int activation, vec v, vec low,
                                                                vec high)
{
    const vec zero = {0};
    switch (activation) {
    case ND_RELU:
        return NAME(select)((ivec)(v < zero), zero, v);
    case ND_LEAKY_RELU:
        return NAME(select)((ivec)(v < zero), v * low, v);
    case ND_SIGMOID:
        return NAME(sigmoid)(v, 0);
    case ND_SILU:
        return NAME(sigmoid)(v, 1);
    case ND_TANH:
        return NAME(tanh)(v);
    case ND_CLIP:
        v = NAME(select)((ivec)(v < low), low, v);
        return NAME(select)((ivec)(v > high), high, v);
    }
    return v;
}

/* n <= LANES elements, `step` apart */
static inline vec NAME(load_every)(const T *p, ptrdiff_t step, ptrdiff_t n)
{
    T lane[LANES] __attribute__((aligned(VL_BYTES))) = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        lane[i] = p[i * step];
    return *(const vec *)lane;
}

static inline __attribute__((always_inline)) void NAME(finish_as)(
    const int activation, T *y, ptrdiff_t y_step, const T *residual, ptrdiff_t r_step, ptrdiff_t n,
    double low, double high)
{
    const vec least = NAME(broadcast)((T)low), most = NAME(broadcast)((T)high);
    ptrdiff_t i = 0;
    if (y_step == 1 && residual == NULL)
        for (; i + VL <= n; i += VL)
            NAME(store)(y + i, NAME(activate)(activation, NAME(load)(y + i), least, most));
    else if (y_step == 1 && r_step == 1)
        for (; i + VL <= n; i += VL)
            NAME(store)(y + i, NAME(activate)(activation, NAME(load)(y + i) + NAME(load)(residual + i),
                                              least, most));
    for (; i < n; i += VL) {
        const ptrdiff_t count = n - i < VL ? n - i : VL;
        vec v = NAME(load_every)(y + i * y_step, y_step, count);
        if (residual != NULL)
            v += NAME(load_every)(residual + i * r_step, r_step, count);
        v = NAME(activate)(activation, v, least, most);
        for (ptrdiff_t j = 0; j < count; j++)
            y[(i + j) * y_step] = v[j];
    }
}

/* y[i*y_step] = activation(y[i*y_step] + residual[i*r_step]), i < n; residual NULL: none */
static void NAME(finish)(void *y, ptrdiff_t y_step, const void *residual, ptrdiff_t r_step, ptrdiff_t n,
                         int activation, double low, double high)
{
    switch (activation) {
    case ND_NONE:
        return NAME(finish_as)(ND_NONE, y, y_step, residual, r_step, n, low, high);
    case ND_RELU:
        return NAME(finish_as)(ND_RELU, y, y_step, residual, r_step, n, low, high);
    case ND_LEAKY_RELU:
        return NAME(finish_as)(ND_LEAKY_RELU, y, y_step, residual, r_step, n, low, high);
    case ND_SIGMOID:
        return NAME(finish_as)(ND_SIGMOID, y, y_step, residual, r_step, n, low, high);
    case ND_TANH:
        return NAME(finish_as)(ND_TANH, y, y_step, residual, r_step, n, low, high);
    case ND_SILU:
        return NAME(finish_as)(ND_SILU, y, y_step, residual, r_step, n, low, high);
    case ND_CLIP:
        return NAME(finish_as)(ND_CLIP, y, y_step, residual, r_step, n, low, high);
    }
}

#undef EXP_LEAST
#undef EXP_MAGIC
#undef EXP_BIAS
#undef EXP_SHIFT
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_TERMS
