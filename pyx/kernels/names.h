/* NAME(gemm) is gemm_f32_avx2 and so on, from TNAME and ISA. */
#define ND_JOIN_(name, type, isa) name##_##type##_##isa
#define ND_JOIN(name, type, isa) ND_JOIN_(name, type, isa)
#define NAME(name) ND_JOIN(name, TNAME, ISA)
