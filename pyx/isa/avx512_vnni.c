/* avx512_vnni: sums of pairs of int16 for x86-64 with AVX-512 VNNI (Cascade Lake 2019, Zen 4 2022 and later):
 * products and both additions are one instruction, vpdpwssd. */
#include "../include/isa.h"
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h> /* before the region, so that its inline functions keep their own targets */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"))),    \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")
#endif
#define ISA avx512_vnni
#include "../simd/avx512.h"
#define VECTOR_PAIRS_SUM(sum, a, b) _mm512_dpwssd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(b))
#include "../kernels/pairs_only.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
