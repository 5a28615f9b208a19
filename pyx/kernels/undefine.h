/* What simd/gnu.h and the kernels define for one dtype, removed before the next. */
#undef vec
#undef vec_unaligned
#undef ivec
#undef ivec_unaligned
#undef IT
#undef IT_MAX
#undef VL
#undef LANES
#undef POOL_INLINE
#undef PIXEL_VECTORS
#undef POOL_LEAST
#undef POOL_MOST
#undef POOL_SUMS
#undef T
#undef TNAME
#undef TSIZE
