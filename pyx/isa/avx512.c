/* avx512: every kernel for x86-64 with AVX-512 F, BW, DQ and VL (Skylake-X 2017, Zen 4 2022 and later). */
#include "../include/kernels.h"
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h> /* before the region, so that its inline functions keep their own targets */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define ISA avx512
#include "../simd/avx512.h"
#include "../kernels/all_dtypes.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
