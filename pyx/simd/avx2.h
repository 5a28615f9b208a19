/* avx2: AVX2, FMA and F16C. A 6 x 2-vector tile keeps 12 sums, 2 of b and 1 of a in 16 registers. */
#define VL_BYTES 32
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define VECTOR_MAX_F32(a, m) _mm256_max_ps(a, m)
#define VECTOR_MAX_F64(a, m) _mm256_max_pd(a, m)
/* mask ? a : b. GCC takes the intrinsic for a comparison of the mask with 0, which it makes if the mask has other uses. */
static inline __m256i nd_select(__m256i mask, __m256i a, __m256i b)
{
    __m256i r;
    __asm__("vpblendvb %1, %2, %3, %0" : "=x"(r) : "x"(mask), "xm"(a), "x"(b));
    return r;
}
#define VECTOR_SELECT(mask, a, b) nd_select((__m256i)(mask), (__m256i)(a), (__m256i)(b))
#define VECTOR_MIN_F32(a, m) _mm256_min_ps(a, m)
#define VECTOR_MIN_F64(a, m) _mm256_min_pd(a, m)
#define VECTOR_MAX_U8(a, m) _mm256_max_epu8((__m256i)(a), (__m256i)(m))
#define VECTOR_MAX_I16(a, m) _mm256_max_epi16((__m256i)(a), (__m256i)(m))
#define VECTOR_MAX_I32(a, m) _mm256_max_epi32((__m256i)(a), (__m256i)(m))
#define VECTOR_MIN_U8(a, m) _mm256_min_epu8((__m256i)(a), (__m256i)(m))
#define VECTOR_MIN_I16(a, m) _mm256_min_epi16((__m256i)(a), (__m256i)(m))
#define VECTOR_MIN_I32(a, m) _mm256_min_epi32((__m256i)(a), (__m256i)(m))
/* the bytes of four vectors of integers from 0 to 255 */
#define NARROW_U8(a, b, c, d)                                                                                \
    _mm256_permutevar8x32_epi32(_mm256_packus_epi16(_mm256_packs_epi32((__m256i)(a), (__m256i)(b)),          \
                                                    _mm256_packs_epi32((__m256i)(c), (__m256i)(d))),         \
                                _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
/* 16-bit elements of two vectors in turn, low and high halves of each 128 bits; two vectors of such pairs' sums as one */
#define PAIRS_LOW(a, b) _mm256_unpacklo_epi16((__m256i)(a), (__m256i)(b))
#define PAIRS_HIGH(a, b) _mm256_unpackhi_epi16((__m256i)(a), (__m256i)(b))
#define NARROW_I16(a, b) _mm256_packs_epi32((__m256i)(a), (__m256i)(b))
#define WIDEN_F32(a) _mm256_cvtps_pd(a) /* compilers take three steps */
#define VECTOR_PAIRS(a, b) _mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#define VECTOR_WIDE(a, b) _mm256_mul_epi32((__m256i)(a), (__m256i)(b))
#define WIDEN_F16(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define NARROW_F16(p, v) _mm_storeu_si128((__m128i *)(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT))
#define LOAD_MASKED_F32(p, mask) _mm256_maskload_ps(p, (__m256i)(mask))
#define LOAD_MASKED_F64(p, mask) _mm256_maskload_pd(p, (__m256i)(mask))
/* products of 16 bits over 2**15, rounded; means of unsigned 16 bits, ties up */
#define VECTOR_SCALE(a, b) _mm256_mulhrs_epi16((__m256i)(a), (__m256i)(b))
#define VECTOR_MEAN(a, b) _mm256_avg_epu16((__m256i)(a), (__m256i)(b))
/* 64 times the sums of two vectors' bytes, low and high halves of each 128 bits, and such halves as bytes */
#define PAIRS_U8_LOW(a, b)                                                                                   \
    _mm256_maddubs_epi16(_mm256_unpacklo_epi8((__m256i)(a), (__m256i)(b)), _mm256_set1_epi8(64))
#define PAIRS_U8_HIGH(a, b)                                                                                  \
    _mm256_maddubs_epi16(_mm256_unpackhi_epi8((__m256i)(a), (__m256i)(b)), _mm256_set1_epi8(64))
#define NARROW_PAIRS_U8(low, high) _mm256_packus_epi16((__m256i)(low), (__m256i)(high))
