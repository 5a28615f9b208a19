/* The kernels of ND_PAIRS alone, for an extension of an instruction set that does nothing for other dtypes. Expects ISA, the
 * simd/<isa>.h definitions and VECTOR_PAIRS_SUM; exports nd_pairs_<isa>. */
#include "names.h"
#define INTEGER
#define PAIRS
#define T int32_t
#define TNAME pairs
#define TSIZE 4
#include "products.h"
#define ND_PAIRS_OF_(isa) nd_pairs_##isa
#define ND_PAIRS_OF(isa) ND_PAIRS_OF_(isa)
#define TNAME pairs
const struct nd_kernel_set *const ND_PAIRS_OF(ISA) = &NAME(set);
