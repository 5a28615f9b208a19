/* pair: integers of at most 16 bits as the operands of the dtype ND_PAIRS, two int16 in an element: the
 * first in the low half, on the little-endian machines that there are kernels for. One to two bytes become
 * four at the speed of the second-level cache. */
typedef int16_t NAME(part) __attribute__((may_alias));

static inline __attribute__((always_inline)) void NAME(pair_steps)(
    int32_t *restrict to, ptrdiff_t to_step, const T *first, const T *second, ptrdiff_t step, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        to[i * to_step] = (int32_t)((uint16_t)first[i * step] | (uint32_t)second[i * step] << 16);
}

/* to[i*to_step] = the pair of first[i*step] and second[i*step], or of first[i*step] and 0 where second is
 * NULL, i < n */
static void NAME(pair)(void *restrict to_, ptrdiff_t to_step, const void *first_, const void *second_,
                       ptrdiff_t step, ptrdiff_t n)
{
    int32_t *restrict to = to_;
    const T *first = first_, *second = second_;
    if (!second) {
        for (ptrdiff_t i = 0; i < n; i++)
            to[i * to_step] = (uint16_t)first[i * step];
    } else if (to_step == 1 && step == 1) {
        NAME(pair_steps)(to, 1, first, second, 1, n);
    } else if (to_step == 1 && step == 2 && second == first + 1) {
        /* neighbours in memory, which are only widened */
        NAME(part) *parts = to_;
        for (ptrdiff_t i = 0; i < 2 * n; i++)
            parts[i] = first[i];
    } else {
        NAME(pair_steps)(to, to_step, first, second, step, n);
    }
}
