/* The vector vocabulary in GNU vector extensions (GCC and Clang): vectors of VL_BYTES bytes over T.
 *
 * No include guard: kernels/instantiate.h and integers.h include it once per dtype, after defining T and TNAME, and INTEGER if
 * T is one.
 * simd/<isa>.h defines VL_BYTES and the tile sizes; what these types cannot say is written there too.
 * Functions are static so that no two instruction sets ever share a body. */
#define vec NAME(vec)
#define vec_unaligned NAME(vec_unaligned)
#define VL ((ptrdiff_t)(VL_BYTES / sizeof(T)))
#define LANES (VL_BYTES / TSIZE) /* the same number for the preprocessor */

typedef T vec __attribute__((vector_size(VL_BYTES)));
typedef T vec_unaligned __attribute__((vector_size(VL_BYTES), aligned(sizeof(T)), may_alias));

/* Integers as wide as T: masks of comparisons, and positions. */
#define ivec NAME(ivec)
#define ivec_unaligned NAME(ivec_unaligned)
#if TSIZE == 1
#define IT int8_t
#define IT_MAX INT8_MAX
#elif TSIZE == 2
#define IT int16_t
#define IT_MAX INT16_MAX
#elif TSIZE == 4
#define IT int32_t
#define IT_MAX INT32_MAX
#else
#define IT int64_t
#define IT_MAX INT64_MAX
#endif
typedef IT ivec __attribute__((vector_size(VL_BYTES)));
typedef IT ivec_unaligned __attribute__((vector_size(VL_BYTES), aligned(sizeof(IT)), may_alias));

static inline vec NAME(load)(const T *p) { return *(const vec_unaligned *)p; }
static inline void NAME(store)(T *p, vec v) { *(vec_unaligned *)p = v; }
static inline ivec NAME(load_index)(const IT *p) { return *(const ivec_unaligned *)p; }
static inline void NAME(store_index)(IT *p, ivec v) { *(ivec_unaligned *)p = v; }
static inline vec NAME(broadcast)(T s) { return s - (vec){0}; } /* + 0 would be an addition: -0 + 0 is 0 */

/* sum + b*s. An element of pairs is two int16, and its product the sum of theirs. int64 has numbers of 32 bits.
 * Where simd/<isa>.h has an instruction for it, VECTOR_PAIRS or VECTOR_WIDE, products are those; VECTOR_PAIRS_SUM
 * adds too. */
static inline __attribute__((always_inline)) vec NAME(multiply_add)(vec sum, vec b, T s)
{
#if defined(PAIRS) && defined(VECTOR_PAIRS_SUM)
    return (vec)VECTOR_PAIRS_SUM(sum, b, NAME(broadcast)(s));
#elif defined(PAIRS) && defined(VECTOR_PAIRS)
    return sum + (vec)VECTOR_PAIRS(b, NAME(broadcast)(s));
#elif defined(PAIRS)
    return sum + ((b << 16) >> 16) * (T)(int16_t)s + (b >> 16) * (T)(s >> 16);
#elif defined(INTEGER) && TSIZE == 8 && defined(VECTOR_WIDE)
    return sum + (vec)VECTOR_WIDE(b, NAME(broadcast)(s));
#else
    return sum + b * s;
#endif
}

/* The first n lanes, the rest zero; touches no byte beyond p[n-1]. */
static inline vec NAME(load_part)(const T *p, ptrdiff_t n)
{
    T lane[VL_BYTES / sizeof(T)] __attribute__((aligned(VL_BYTES))) = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        lane[i] = p[i];
    return *(const vec *)lane;
}

static inline void NAME(store_part)(T *p, vec v, ptrdiff_t n)
{
    T lane[VL_BYTES / sizeof(T)] __attribute__((aligned(VL_BYTES)));
    *(vec *)lane = v;
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = lane[i];
}

/* p[l] where mask[l] is -1, else 0; touches no byte of other lanes. */
#if defined(INTEGER)
#elif TSIZE == 4 && defined(LOAD_MASKED_F32)
static inline vec NAME(load_masked)(const T *p, ivec mask) { return LOAD_MASKED_F32(p, mask); }
#elif TSIZE == 8 && defined(LOAD_MASKED_F64)
static inline vec NAME(load_masked)(const T *p, ivec mask) { return LOAD_MASKED_F64(p, mask); }
#else
static inline vec NAME(load_masked)(const T *p, ivec mask)
{
    vec v = {0};
    for (int l = 0; l < LANES; l++)
        if (mask[l])
            v[l] = p[l];
    return v;
}
#endif

/* The lanes l for which column + l lies in a row of `width` elements. */
static inline __attribute__((always_inline)) ivec NAME(lanes_inside)(ptrdiff_t column, ptrdiff_t width)
{
    static const IT lanes[3 * LANES] = {[LANES ... 2 * LANES - 1] = -1}; /* none, all, none */
    const ptrdiff_t low = column < -VL ? VL : column > 0 ? 0 : -column, room = width - column;
    const ptrdiff_t high = room < 0 ? 0 : room > VL ? VL : room;
    return *(const ivec_unaligned *)(lanes + VL - low) & *(const ivec_unaligned *)(lanes + 2 * VL - high);
}

/* The lanes of two vectors dealt out in turn, first half and second half: a0 b0 a1 b1 ... */
#if LANES == 2
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 2)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 1, 3)
#elif LANES == 4
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#elif LANES == 8
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif LANES == 16
#define INTERLEAVE_LOW(a, b)                                                                                 \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b)                                                                                \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#endif

/* Every second lane of a followed by b: the even ones, the odd ones. Even lanes of a and odd ones of b where they are; one
 * vector's even lanes, then its odd ones, and back. */
#if LANES == 2
#define EVENS 0, 2
#define ODDS 1, 3
#define ALTERNATE 0, 3
#define IN_TURN 0, 1
#define OUT_OF_TURN 0, 1
#elif LANES == 4
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#define ALTERNATE 0, 5, 2, 7
#define IN_TURN 0, 2, 1, 3
#define OUT_OF_TURN 0, 2, 1, 3
#elif LANES == 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define ALTERNATE 0, 9, 2, 11, 4, 13, 6, 15
#define IN_TURN 0, 2, 4, 6, 1, 3, 5, 7
#define OUT_OF_TURN 0, 4, 1, 5, 2, 6, 3, 7
#elif LANES == 16
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define ALTERNATE 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31
#define IN_TURN 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15
#define OUT_OF_TURN 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15
#else
#define EIGHT(i) i, i + 2, i + 4, i + 6, i + 8, i + 10, i + 12, i + 14
#define SIXTEEN(i) EIGHT(i), EIGHT(i + 16)
#define PAIRS(i) i, LANES + i + 1, i + 2, LANES + i + 3, i + 4, LANES + i + 5, i + 6, LANES + i + 7
#if LANES == 32
#define EVENS SIXTEEN(0), SIXTEEN(32)
#define ODDS SIXTEEN(1), SIXTEEN(33)
#define ALTERNATE PAIRS(0), PAIRS(8), PAIRS(16), PAIRS(24)
#define IN_TURN SIXTEEN(0), SIXTEEN(1)
#else
#define EVENS SIXTEEN(0), SIXTEEN(32), SIXTEEN(64), SIXTEEN(96)
#define ODDS SIXTEEN(1), SIXTEEN(33), SIXTEEN(65), SIXTEEN(97)
#define ALTERNATE PAIRS(0), PAIRS(8), PAIRS(16), PAIRS(24), PAIRS(32), PAIRS(40), PAIRS(48), PAIRS(56)
#define IN_TURN SIXTEEN(0), SIXTEEN(32), SIXTEEN(1), SIXTEEN(33)
#endif
#endif
static inline vec NAME(evens)(vec a, vec b) { return __builtin_shufflevector(a, b, EVENS); }
static inline vec NAME(odds)(vec a, vec b) { return __builtin_shufflevector(a, b, ODDS); }

/* Even lanes of a and of b, odd ones, even lanes of a and odd ones of b: in the order that costs one instruction each.
 * in_order puts it right. */
#if LANES == 8
#define MIXED(i, j) i, i + 2, 8 + j, 10 + j, 4 + i, 6 + i, 12 + j, 14 + j
#define IN_ORDER 0, 1, 4, 5, 2, 3, 6, 7
#elif LANES == 4 && TSIZE == 8
#define MIXED(i, j) i, 4 + j, 2 + i, 6 + j
#define IN_ORDER 0, 2, 1, 3
#elif LANES == 2
#define MIXED(i, j) i, 2 + j
#define IN_ORDER 0, 1
#elif LANES == 4
#define MIXED(i, j) i, 2 + i, 4 + j, 6 + j
#define IN_ORDER 0, 1, 2, 3
#elif LANES == 16
#define MIXED(i, j)                                                                                          \
    i, i + 2, 16 + j, 18 + j, 4 + i, 6 + i, 20 + j, 22 + j, 8 + i, 10 + i, 24 + j, 26 + j, 12 + i, 14 + i, 28 + j, 30 + j
#define IN_ORDER 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15
#endif
#ifdef MIXED
static inline vec NAME(mixed_evens)(vec a, vec b) { return __builtin_shufflevector(a, b, MIXED(0, 0)); }
static inline vec NAME(mixed_odds)(vec a, vec b) { return __builtin_shufflevector(a, b, MIXED(1, 1)); }
static inline vec NAME(mixed_ends)(vec a, vec b) { return __builtin_shufflevector(a, b, MIXED(0, 1)); }
static inline vec NAME(in_order)(vec v) { return __builtin_shufflevector(v, v, IN_ORDER); }
#undef MIXED
#undef IN_ORDER
#endif

static inline vec NAME(alternate)(vec a, vec b) { return __builtin_shufflevector(a, b, ALTERNATE); }
static inline vec NAME(in_turn)(vec v) { return __builtin_shufflevector(v, v, IN_TURN); }
#ifdef OUT_OF_TURN
static inline vec NAME(out_of_turn)(vec v) { return __builtin_shufflevector(v, v, OUT_OF_TURN); }
#endif

/* p[0], p[2], p[4], ... where in_turn puts them in order; the second vector begins one element early, so that nothing after the
 * last of them is read. */
static inline vec NAME(alternate_from)(const T *p)
{
    return NAME(alternate)(NAME(load)(p), NAME(load)(p + VL - 1));
}
static inline vec NAME(every_other)(const T *p) { return NAME(in_turn)(NAME(alternate_from)(p)); }

/* p[0], p[3], p[6], ... of three vectors: LANES is no multiple of 3, so that no two of them are in the same lane. */
#define TWO(f, i) f(i), f(i + 1)
#define FOUR(f, i) TWO(f, i), TWO(f, i + 2)
#define EIGHT_OF(f, i) FOUR(f, i), FOUR(f, i + 4)
#define SIXTEEN_OF(f, i) EIGHT_OF(f, i), EIGHT_OF(f, i + 8)
#if LANES == 2
#define EVERY(f) TWO(f, 0)
#elif LANES == 4
#define EVERY(f) FOUR(f, 0)
#elif LANES == 8
#define EVERY(f) EIGHT_OF(f, 0)
#elif LANES == 16
#define EVERY(f) SIXTEEN_OF(f, 0)
#elif LANES == 32
#define EVERY(f) SIXTEEN_OF(f, 0), SIXTEEN_OF(f, 16)
#else
#define EVERY(f) SIXTEEN_OF(f, 0), SIXTEEN_OF(f, 16), SIXTEEN_OF(f, 32), SIXTEEN_OF(f, 48)
#endif
#define FIRST_TWO(i) ((i) % 3 ? LANES + (i) : (i))
#define ALL_THREE(i) ((i) % 3 && (LANES + (i)) % 3 ? LANES + (i) : (i))
#define THIRD(i) (3 * (i) % LANES)
static inline vec NAME(every_third)(const T *p)
{
    const vec two = __builtin_shufflevector(NAME(load)(p), NAME(load)(p + VL), EVERY(FIRST_TWO));
    const vec all = __builtin_shufflevector(two, NAME(load)(p + 2 * VL), EVERY(ALL_THREE));
    return __builtin_shufflevector(all, all, EVERY(THIRD));
}
#undef TWO
#undef FOUR
#undef EIGHT_OF
#undef SIXTEEN_OF
#undef EVERY
#undef FIRST_TWO
#undef ALL_THREE
#undef THIRD
#undef EVENS
#undef ODDS
#undef ALTERNATE
#undef IN_TURN
#undef OUT_OF_TURN
#undef EIGHT
#undef SIXTEEN
#undef PAIRS

/* mask ? a : b */
static inline ivec NAME(select_index)(ivec mask, ivec a, ivec b)
{
#ifdef VECTOR_SELECT
    return (ivec)VECTOR_SELECT(mask, a, b);
#else
    return (a & mask) | (b & ~mask);
#endif
}
static inline vec NAME(select)(ivec mask, vec a, vec b) { return (vec)NAME(select_index)(mask, (ivec)a, (ivec)b); }

/* Whether a lane of a mask is set. */
static inline int NAME(any)(ivec mask)
{
    uint64_t part[VL_BYTES / 8], some = 0;
    memcpy(part, &mask, VL_BYTES);
    for (int i = 0; i < VL_BYTES / 8; i++)
        some |= part[i];
    return some != 0;
}

/* The greater of a and m; NaN where either is, or of numbers alone. VECTOR_MAX, where simd/<isa>.h has it, gives m or
 * NaN if a or m is NaN. */
#if defined(INTEGER) && TSIZE == 1 && defined(VECTOR_MAX_U8)
#define VECTOR_MAX VECTOR_MAX_U8
#elif defined(INTEGER) && TSIZE == 2 && defined(VECTOR_MAX_I16)
#define VECTOR_MAX VECTOR_MAX_I16
#elif defined(INTEGER) && TSIZE == 4 && defined(VECTOR_MAX_I32)
#define VECTOR_MAX VECTOR_MAX_I32
#elif TSIZE == 4 && defined(VECTOR_MAX_F32) && !defined(INTEGER)
#define VECTOR_MAX VECTOR_MAX_F32
#elif TSIZE == 8 && defined(VECTOR_MAX_F64) && !defined(INTEGER)
#define VECTOR_MAX VECTOR_MAX_F64
#endif
static inline vec NAME(greater_number)(vec a, vec m)
{
#ifdef VECTOR_MAX
    return (vec)VECTOR_MAX(a, m);
#else
    return NAME(select)((ivec)(a > m), a, m);
#endif
}
static inline vec NAME(greater)(vec a, vec m)
{
#if defined(INTEGER)
    return NAME(greater_number)(a, m);
#elif defined(VECTOR_MAX)
    return (vec)((ivec)NAME(greater_number)(a, m) | (ivec)(a != a));
#else
    return NAME(select)((ivec)(a > m) | (ivec)(a != a), a, m);
#endif
}
#undef VECTOR_MAX

/* The lesser of a and m; NaN where either is. VECTOR_MIN likewise. */
#if defined(INTEGER) && TSIZE == 1 && defined(VECTOR_MIN_U8)
#define VECTOR_MIN VECTOR_MIN_U8
#elif defined(INTEGER) && TSIZE == 2 && defined(VECTOR_MIN_I16)
#define VECTOR_MIN VECTOR_MIN_I16
#elif defined(INTEGER) && TSIZE == 4 && defined(VECTOR_MIN_I32)
#define VECTOR_MIN VECTOR_MIN_I32
#elif TSIZE == 4 && defined(VECTOR_MIN_F32) && !defined(INTEGER)
#define VECTOR_MIN VECTOR_MIN_F32
#elif TSIZE == 8 && defined(VECTOR_MIN_F64) && !defined(INTEGER)
#define VECTOR_MIN VECTOR_MIN_F64
#endif
static inline vec NAME(lesser_number)(vec a, vec m)
{
#ifdef VECTOR_MIN
    return (vec)VECTOR_MIN(a, m);
#else
    return NAME(select)((ivec)(a < m), a, m);
#endif
}
static inline vec NAME(lesser)(vec a, vec m)
{
#if defined(INTEGER)
    return NAME(lesser_number)(a, m);
#elif defined(VECTOR_MIN)
    return (vec)((ivec)NAME(lesser_number)(a, m) | (ivec)(a != a));
#else
    return NAME(select)((ivec)(a < m) | (ivec)(a != a), a, m);
#endif
}
#undef VECTOR_MIN

#if LANES <= 16
/* LANES rows of LANES elements become columns. Interleaving row i with row i + LANES/2 for all i moves every
 * element's index (row and column bits as one number) one bit to the left; after log2(LANES) rounds rows and
 * columns have changed places. */
static inline __attribute__((always_inline)) void NAME(transpose)(vec row[LANES])
{
    vec next[LANES];
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = INTERLEAVE_LOW(row[i], row[i + LANES / 2]);
            next[2 * i + 1] = INTERLEAVE_HIGH(row[i], row[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            row[i] = next[i];
    }
}
static inline vec NAME(interleave_low)(vec a, vec b) { return INTERLEAVE_LOW(a, b); }
static inline vec NAME(interleave_high)(vec a, vec b) { return INTERLEAVE_HIGH(a, b); }
#endif
#undef INTERLEAVE_LOW
#undef INTERLEAVE_HIGH
