/* The dtypes of one instruction set, and its table. Expects ISA and the simd/<isa>.h definitions. */
#define T float
#define TNAME f32
#define TSIZE 4
#include "instantiate.h"

#define T double
#define TNAME f64
#define TSIZE 8
#include "instantiate.h"

#define ND_TABLE_(isa) nd_kernels_##isa
#define ND_TABLE(isa) ND_TABLE_(isa)
#define ND_SET_(type, isa) set_##type##_##isa
#define ND_SET(type, isa) ND_SET_(type, isa)
#define ND_STRING_(isa) #isa
#define ND_STRING(isa) ND_STRING_(isa)

const struct nd_kernels ND_TABLE(ISA) = {
    .isa = ND_STRING(ISA),
    .set = {[ND_F32] = &ND_SET(f32, ISA), [ND_F64] = &ND_SET(f64, ISA)},
};
