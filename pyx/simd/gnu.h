/* The vector vocabulary in GNU vector extensions (GCC and Clang): vectors of VL_BYTES bytes over T.
 *
 * No include guard: kernels/instantiate.h includes it once per dtype, after defining T and TNAME.
 * simd/<isa>.h defines VL_BYTES and the tile sizes; what these types cannot say is written there too.
 * Functions are static so that no two instruction sets ever share a body. */
#ifndef VECTOR_REGISTER
#if defined(__aarch64__)
#define VECTOR_REGISTER "w" /* the constraint that names a vector register in inline assembly */
#elif defined(__AVX512F__)
#define VECTOR_REGISTER "v"
#else
#define VECTOR_REGISTER "x"
#endif
#endif
#define vec NAME(vec)
#define vec_unaligned NAME(vec_unaligned)
#define VL ((ptrdiff_t)(VL_BYTES / sizeof(T)))

typedef T vec __attribute__((vector_size(VL_BYTES)));
typedef T vec_unaligned __attribute__((vector_size(VL_BYTES), aligned(sizeof(T)), may_alias));

static inline vec NAME(load)(const T *p) { return *(const vec_unaligned *)p; }
static inline void NAME(store)(T *p, vec v) { *(vec_unaligned *)p = v; }
static inline vec NAME(broadcast)(T s) { return (vec){0} + s; }

/* The first n lanes, the rest zero; touches no byte beyond p[n-1]. */
static inline vec NAME(load_part)(const T *p, ptrdiff_t n)
{
    T lane[VL_BYTES / sizeof(T)] __attribute__((aligned(VL_BYTES))) = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        lane[i] = p[i];
    return *(const vec *)lane;
}

static inline void NAME(store_part)(T *p, vec v, ptrdiff_t n)
{
    T lane[VL_BYTES / sizeof(T)] __attribute__((aligned(VL_BYTES)));
    *(vec *)lane = v;
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = lane[i];
}
