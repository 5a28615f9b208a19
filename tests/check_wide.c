/* The bodies of avx512.c with their 64-byte vectors, left to the compiler to split: their logic runs on any
 * CPU. */
#include "../pyx/include/kernels.h"
#define ISA wide
#include "../pyx/simd/avx512.h"
#undef VECTOR_MAX_F32
#undef VECTOR_MAX_F64
#undef VECTOR_MIN_F32
#undef VECTOR_MIN_F64
#undef VECTOR_MAX_U8
#undef VECTOR_MAX_I16
#undef VECTOR_MAX_I32
#undef VECTOR_MIN_U8
#undef VECTOR_MIN_I16
#undef VECTOR_MIN_I32
#undef VECTOR_PAIRS
#undef PAIRS_LOW
#undef PAIRS_HIGH
#undef NARROW_I16
#undef VECTOR_WIDE
#undef WIDEN_F16
#undef NARROW_F16
#undef LOAD_MASKED_F32
#undef LOAD_MASKED_F64
#undef NARROW_U8
#undef VECTOR_SCALE
#undef VECTOR_MEAN
#undef PAIRS_U8_LOW
#undef PAIRS_U8_HIGH
#undef NARROW_PAIRS_U8
#include "../pyx/kernels/all_dtypes.h"
