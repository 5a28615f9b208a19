/* avx2_vnni: sums of pairs of int16 for x86-64 with AVX-VNNI (Alder Lake 2021, Zen 5 2024 and later): products
 * and both additions are one instruction, vpdpwssd. */
#include "../include/isa.h"
#if ND_HAS_AVX_VNNI
#include <immintrin.h> /* before the region, so that its inline functions keep their own targets */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avxvnni")
#endif
#define ISA avx2_vnni
#include "../simd/avx2.h"
#define VECTOR_PAIRS_SUM(sum, a, b) _mm256_dpwssd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b))
#include "../kernels/pairs_only.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
