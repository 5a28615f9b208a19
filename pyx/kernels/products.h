/* The kernel bodies of operands of integer products, for one dtype of one instruction set: moves and the
 * register tile. Expects what kernels/instantiate.h expects, INTEGER, and for pairs of int16 PAIRS. */
#include "../simd/gnu.h"
#include "pack.h"
#include "gemm.h"

static const struct nd_kernel_set NAME(set) = {
#include "shared_members.h"
};

#include "undefine.h"
