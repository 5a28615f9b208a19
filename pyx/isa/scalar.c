/* scalar: every kernel for every CPU: portable C, the compiler's baseline vectors. */
#include "../include/kernels.h"
#define ISA scalar
#include "../simd/scalar.h"
#include "../kernels/all_dtypes.h"
