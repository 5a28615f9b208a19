/* avx2: every kernel for x86-64 with AVX2 and FMA (Haswell 2013, Zen 2017 and later). */
#include "../include/kernels.h"
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h> /* before the region, so that its inline functions keep their own targets */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,prfchw"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,prfchw")
#endif
#define ISA avx2
#include "../simd/avx2.h"
#include "../kernels/all_dtypes.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
