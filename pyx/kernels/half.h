/* half: rows of float16 and bfloat16 to float32 and back. Expects T float.
 *
 * float16 by the instructions that simd/<isa>.h has for it, WIDEN_F16 and NARROW_F16: the speed of the
 * second-level cache. bfloat16, and float16 without them, by integer arithmetic that compilers turn into
 * vectors of whatever width there is: six operations an element from float16 and fifteen to it, one and five
 * for bfloat16. Rounding is to the nearest, ties to even; subnormal numbers and infinities are exact, NaN
 * stays NaN. */

static inline __attribute__((always_inline)) uint32_t NAME(bits)(float f)
{
    uint32_t u;
    __builtin_memcpy(&u, &f, sizeof u);
    return u;
}

static inline __attribute__((always_inline)) float NAME(of_bits)(uint32_t u)
{
    float f;
    __builtin_memcpy(&f, &u, sizeof f);
    return f;
}

/* float32 counts the exponent 112 higher: a multiplication, which also makes subnormal numbers normal. */
static inline __attribute__((always_inline)) float NAME(from_float16)(uint16_t h)
{
    const uint32_t size = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    const uint32_t scaled = NAME(bits)(NAME(of_bits)(size) * 0x1p112f);
    return NAME(of_bits)((size >= 0x0f800000u ? size | 0x7f800000u : scaled) | sign);
}

/* Normal numbers: the exponent less 112, and the bits that go rounded by an addition that carries, which
 * makes 65520 and more infinite. Below 2**-14 a number is added to 0.5, whose last bit is worth as much as
 * the least number of float16. */
static inline __attribute__((always_inline)) uint16_t NAME(to_float16)(float f)
{
    const uint32_t u = NAME(bits)(f), size = u & 0x7fffffffu;
    const uint32_t normal = (size + 0xc8000fffu + (size >> 13 & 1)) >> 13;
    const uint32_t little = NAME(bits)(NAME(of_bits)(size) + 0.5f) - 0x3f000000u;
    const uint32_t large = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
    const uint32_t value = size >= 0x47800000u ? large : size < 0x38800000u ? little : normal;
    return (uint16_t)(value | (u >> 16 & 0x8000u));
}

static inline __attribute__((always_inline)) float NAME(from_bfloat16)(uint16_t h)
{
    return NAME(of_bits)((uint32_t)h << 16);
}

static inline __attribute__((always_inline)) uint16_t NAME(to_bfloat16)(float f)
{
    const uint32_t u = NAME(bits)(f), rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : rounded);
}

/* to[i*to_step] = from[i*step] as float32, i < n, for a constant `brain`; neighbours are loops of their own */
static inline __attribute__((always_inline)) void NAME(widen_steps)(
    float *restrict to, ptrdiff_t to_step, const uint16_t *restrict from, ptrdiff_t step, ptrdiff_t n,
    const int brain)
{
    ptrdiff_t i = 0;
    if (to_step == 1 && step == 1) {
#ifdef WIDEN_F16
        for (; i + VL <= n && !brain; i += VL)
            NAME(store)(to + i, WIDEN_F16(from + i));
#endif
        for (; i < n; i++)
            to[i] = brain ? NAME(from_bfloat16)(from[i]) : NAME(from_float16)(from[i]);
    }
    for (; i < n; i++)
        to[i * to_step] = brain ? NAME(from_bfloat16)(from[i * step]) : NAME(from_float16)(from[i * step]);
}

static void NAME(widen_half)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t step, ptrdiff_t n,
                             int brain)
{
    if (brain)
        NAME(widen_steps)(to, to_step, from, step, n, 1);
    else
        NAME(widen_steps)(to, to_step, from, step, n, 0);
}

/* and back */
static inline __attribute__((always_inline)) void NAME(narrow_steps)(
    uint16_t *restrict to, ptrdiff_t to_step, const float *restrict from, ptrdiff_t step, ptrdiff_t n,
    const int brain)
{
    ptrdiff_t i = 0;
    if (to_step == 1 && step == 1) {
#ifdef NARROW_F16
        for (; i + VL <= n && !brain; i += VL)
            NARROW_F16(to + i, NAME(load)(from + i));
#endif
        for (; i < n; i++)
            to[i] = brain ? NAME(to_bfloat16)(from[i]) : NAME(to_float16)(from[i]);
    }
    for (; i < n; i++)
        to[i * to_step] = brain ? NAME(to_bfloat16)(from[i * step]) : NAME(to_float16)(from[i * step]);
}

static void NAME(narrow_half)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t step, ptrdiff_t n,
                              int brain)
{
    if (brain)
        NAME(narrow_steps)(to, to_step, from, step, n, 1);
    else
        NAME(narrow_steps)(to, to_step, from, step, n, 0);
}
