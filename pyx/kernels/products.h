/* The kernel bodies of operands of integer products, for one dtype of one instruction set: moves and the
 * register tile. Expects what kernels/instantiate.h expects, INTEGER, and for pairs of int16 PAIRS. */
#include "../simd/gnu.h"
#include "pack.h"
#include "gemm.h"

static const struct nd_kernel_set NAME(set) = {
    .size = sizeof(T),
    .vl = VL_BYTES / sizeof(T),
    .mr = TILE_ROWS,
    .nr = TILE_VECTORS * VL_BYTES / sizeof(T),
    .tile_columns = NAME(tile_columns),
    .gemm = NAME(gemm),
    .copy = NAME(copy),
    .move = NAME(move),
    .pack = NAME(pack),
    .pack_taps = NAME(pack_taps),
    .pad = NAME(pad),
    .pad_pairs = NAME(pad_pairs),
    .scatter = NAME(scatter),
    .add = NAME(add),
};

#include "undefine.h"
