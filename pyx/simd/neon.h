/* neon: AArch64 Advanced SIMD. An 8 x 3-vector tile keeps 24 sums, 3 of b and 2 of a in 32 registers. */
#define VL_BYTES 16
#define TILE_ROWS 8
#define TILE_VECTORS 3
#define VECTOR_MAX_F32(a, m) vmaxq_f32(a, m)
#define VECTOR_MAX_F64(a, m) vmaxq_f64(a, m)
#define VECTOR_MIN_F32(a, m) vminq_f32(a, m)
#define VECTOR_MIN_F64(a, m) vminq_f64(a, m)
#define VECTOR_MAX_U8(a, m) vmaxq_u8(a, m)
#define VECTOR_MAX_I16(a, m) vmaxq_s16(a, m)
#define VECTOR_MAX_I32(a, m) vmaxq_s32(a, m)
#define VECTOR_MIN_U8(a, m) vminq_u8(a, m)
#define VECTOR_MIN_I16(a, m) vminq_s16(a, m)
#define VECTOR_MIN_I32(a, m) vminq_s32(a, m)
#define WIDEN_F16(p) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))
#define NARROW_F16(p, v) vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)))
