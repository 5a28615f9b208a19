/* avx512: F, BW, DQ and VL. A 14 x 2-vector tile keeps 28 sums and 2 of b in 32 registers; a is an embedded
 * broadcast operand of the FMA. */
#define VL_BYTES 64
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define VECTOR_MAX_F32(a, m) _mm512_max_ps(a, m)
#define VECTOR_MAX_F64(a, m) _mm512_max_pd(a, m)
#define VECTOR_MIN_F32(a, m) _mm512_min_ps(a, m)
#define VECTOR_MIN_F64(a, m) _mm512_min_pd(a, m)
#define VECTOR_MAX_U8(a, m) _mm512_max_epu8((__m512i)(a), (__m512i)(m))
#define VECTOR_MAX_I16(a, m) _mm512_max_epi16((__m512i)(a), (__m512i)(m))
#define VECTOR_MAX_I32(a, m) _mm512_max_epi32((__m512i)(a), (__m512i)(m))
#define VECTOR_MIN_U8(a, m) _mm512_min_epu8((__m512i)(a), (__m512i)(m))
#define VECTOR_MIN_I16(a, m) _mm512_min_epi16((__m512i)(a), (__m512i)(m))
#define VECTOR_MIN_I32(a, m) _mm512_min_epi32((__m512i)(a), (__m512i)(m))
#define VECTOR_PAIRS(a, b) _mm512_madd_epi16((__m512i)(a), (__m512i)(b))
#define PAIRS_LOW(a, b) _mm512_unpacklo_epi16((__m512i)(a), (__m512i)(b))
#define PAIRS_HIGH(a, b) _mm512_unpackhi_epi16((__m512i)(a), (__m512i)(b))
#define NARROW_I16(a, b) _mm512_packs_epi32((__m512i)(a), (__m512i)(b))
#define VECTOR_WIDE(a, b) _mm512_mul_epi32((__m512i)(a), (__m512i)(b))
#define WIDEN_F16(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define NARROW_F16(p, v) _mm256_storeu_si256((__m256i *)(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT))
#define LOAD_MASKED_F32(p, mask) _mm512_maskz_loadu_ps(_mm512_movepi32_mask((__m512i)(mask)), p)
#define LOAD_MASKED_F64(p, mask) _mm512_maskz_loadu_pd(_mm512_movepi64_mask((__m512i)(mask)), p)
/* the bytes of four vectors of integers from 0 to 255 */
#define NARROW_U8(a, b, c, d)                                                                                \
    _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),        \
                             _mm512_packus_epi16(_mm512_packs_epi32((__m512i)(a), (__m512i)(b)),             \
                                                 _mm512_packs_epi32((__m512i)(c), (__m512i)(d))))
/* products of 16 bits over 2**15, rounded; means of unsigned 16 bits, ties up */
#define VECTOR_SCALE(a, b) _mm512_mulhrs_epi16((__m512i)(a), (__m512i)(b))
#define VECTOR_MEAN(a, b) _mm512_avg_epu16((__m512i)(a), (__m512i)(b))
/* 64 times the sums of two vectors' bytes, low and high halves of each 128 bits, and such halves as bytes */
#define PAIRS_U8_LOW(a, b)                                                                                   \
    _mm512_maddubs_epi16(_mm512_unpacklo_epi8((__m512i)(a), (__m512i)(b)), _mm512_set1_epi8(64))
#define PAIRS_U8_HIGH(a, b)                                                                                  \
    _mm512_maddubs_epi16(_mm512_unpackhi_epi8((__m512i)(a), (__m512i)(b)), _mm512_set1_epi8(64))
#define NARROW_PAIRS_U8(low, high) _mm512_packus_epi16((__m512i)(low), (__m512i)(high))
