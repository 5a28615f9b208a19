/* The dtypes of one instruction set, and its table. Expects ISA and the simd/<isa>.h definitions. */
#include "names.h"

#define T float
#define TNAME f32
#define TSIZE 4
#include "instantiate.h"

#define T double
#define TNAME f64
#define TSIZE 8
#include "instantiate.h"

#define INTEGER
#define T uint8_t
#define TNAME u8
#define TSIZE 1
#include "integers.h"

#define T int16_t
#define TNAME i16
#define TSIZE 2
#include "integers.h"

#define T int32_t
#define TNAME i32
#define TSIZE 4
#include "integers.h"

#define T int8_t
#define TNAME i8
#define TSIZE 1
#include "pair.h"
static const struct nd_kernel_set NAME(set) = {.size = 1, .pair = NAME(pair)};
#undef T
#undef TNAME
#undef TSIZE

#define PAIRS
#define T int32_t
#define TNAME pairs
#define TSIZE 4
#include "products.h"
#undef PAIRS

#define T int64_t
#define TNAME i64
#define TSIZE 8
#include "products.h"
#undef INTEGER

#define ND_TABLE_(isa) nd_kernels_##isa
#define ND_TABLE(isa) ND_TABLE_(isa)
#define ND_SET_(type, isa) set_##type##_##isa
#define ND_SET(type, isa) ND_SET_(type, isa)
#define ND_STRING_(isa) #isa
#define ND_STRING(isa) ND_STRING_(isa)

const struct nd_kernels ND_TABLE(ISA) = {
    .isa = ND_STRING(ISA),
    .set = {[ND_F32] = &ND_SET(f32, ISA), [ND_F64] = &ND_SET(f64, ISA), [ND_U8] = &ND_SET(u8, ISA),
            [ND_I16] = &ND_SET(i16, ISA), [ND_I32] = &ND_SET(i32, ISA), [ND_I8] = &ND_SET(i8, ISA),
            [ND_PAIRS] = &ND_SET(pairs, ISA), [ND_I64] = &ND_SET(i64, ISA)},
};
