/* neon: every kernel for AArch64 with Advanced SIMD (every one of them). */
#include "../include/kernels.h"
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#define ISA neon
#include "../simd/neon.h"
#include "../kernels/all_dtypes.h"
#endif
