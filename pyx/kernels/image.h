/* image: pixels of photographs to the dtype of their sums, and back.
 *
 * Loops that change the width of integers are plain: compilers make better code of them than of conversions of the vector types.
 * Bytes moved: one or two an element in memory, those of T in L1.
 *
 * Rounding is to the nearest integer, ties to even: 2^23 (2^52) plus a number below it has no bits for a
 * fraction, and what it adds to the bits is the integer. A number below zero, and NaN, is stored as 0, one beyond the
 * dtype as its greatest. */

/* to[i] = from[i*step], i < n; dtype is ND_U8 or ND_U16. Asks for what lies `ahead` bytes further, unless that is 0: memory's own
 * prefetch follows a row, but not the step to the next one. */
static void NAME(image_load)(void *to_, const void *from, ptrdiff_t n, ptrdiff_t step, int dtype,
                             ptrdiff_t ahead)
{
    T *restrict to = to_;
    const uint8_t *restrict bytes = from;
    const uint16_t *restrict words = from;
    for (ptrdiff_t i = 0; ahead && i < n * (dtype == ND_U8 ? 1 : 2); i += 64)
        __builtin_prefetch(bytes + ahead + i);
    if (dtype == ND_U8 && step == 1)
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (T)bytes[i];
    else if (dtype == ND_U8)
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (T)bytes[i * step];
    else if (step == 1)
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (T)words[i];
    else
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (T)words[i * step];
}

/* The nearest integers from 0 to most */
INLINE ivec NAME(image_round)(vec v, T most)
{
    v = NAME(select)((ivec)(v > 0), v, NAME(broadcast)(0));
    v = NAME(lesser)(v, NAME(broadcast)(most));
#ifdef INTEGER
    return (ivec)v;
#else
    const vec whole = NAME(broadcast)(TSIZE == 4 ? (T)0x1p23 : (T)0x1p52);
    return (ivec)(v + whole) - (ivec)whole;
#endif
}

enum { NAME(image_chunk) = 256 / TSIZE };

/* to[i*step] = from[i], rounded and clipped, i < n; dtype is ND_U8 or ND_U16; from is read for whole vectors */
static void NAME(image_store)(void *to, ptrdiff_t step, const void *from_, ptrdiff_t n, int dtype)
{
    const T *from = from_, most = dtype == ND_U8 ? UINT8_MAX : (T)UINT16_MAX;
    IT whole[NAME(image_chunk)];
    ptrdiff_t at = 0;
#if defined(NARROW_U8) && TSIZE == 4
    for (; dtype == ND_U8 && step == 1 && at + 4 * VL <= n; at += 4 * VL) {
        ivec part[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            part[v] = NAME(image_round)(NAME(load)(from + at + v * VL), most);
        *(ivec_unaligned *)((uint8_t *)to + at) = (ivec)NARROW_U8(part[0], part[1], part[2], part[3]);
    }
#endif
    for (; at < n; at += NAME(image_chunk)) {
        const ptrdiff_t count = n - at < NAME(image_chunk) ? n - at : NAME(image_chunk);
        uint8_t *restrict bytes = (uint8_t *)to + at * step;
        uint16_t *restrict words = (uint16_t *)to + at * step;
        for (ptrdiff_t i = 0; i < count; i += VL)
            NAME(store_index)(whole + i, NAME(image_round)(NAME(load)(from + at + i), most));
        if (dtype == ND_U8 && step == 1)
            for (ptrdiff_t i = 0; i < count; i++)
                bytes[i] = (uint8_t)whole[i];
        else if (dtype == ND_U8)
            for (ptrdiff_t i = 0; i < count; i++)
                bytes[i * step] = (uint8_t)whole[i];
        else if (step == 1)
            for (ptrdiff_t i = 0; i < count; i++)
                words[i] = (uint16_t)whole[i];
        else
            for (ptrdiff_t i = 0; i < count; i++)
                words[i * step] = (uint16_t)whole[i];
    }
}
