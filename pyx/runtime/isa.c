/* SPDX-License-Identifier: BSD-3-Clause
 *
 * isa: what the CPU and the operating system support. CPUID says what the core can execute, XGETBV which
 * registers the system saves; both must agree. Adding an instruction set: a test here and a line in the list. */
#include "../include/isa.h"

extern const struct nd_kernels nd_kernels_scalar;
static int has_scalar(void) { return 1; }

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
extern const struct nd_kernels nd_kernels_avx2, nd_kernels_avx512;

/* The bits of XCR0: which register states the operating system saves. */
static unsigned saved_states(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static int has_features(unsigned leaf7_ebx, unsigned states)
{
    unsigned a, b, c, d;
    return (saved_states() & states) == states && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_FMA)
           && (c & bit_F16C)
           && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7_ebx) == leaf7_ebx;
}

static int has_avx2(void) { return has_features(bit_AVX2, 0x6); }
static int has_avx512(void)
{
    return has_features(bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL, 0xe6);
}

extern const struct nd_kernel_set *const nd_pairs_avx2_vnni, *const nd_pairs_avx512_vnni;
enum { AVX512_VNNI_ECX = 1 << 11, AVX_VNNI_EAX = 1 << 4 }; /* leaf 7, subleaves 0 and 1 */

static int has_vnni(unsigned subleaf)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || a < subleaf)
        return 0;
    if (subleaf == 0)
        return (c & AVX512_VNNI_ECX) != 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVX_VNNI_EAX);
}
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
extern const struct nd_kernels nd_kernels_neon;
static int has_neon(void) { return 1; }
#endif

const struct nd_isa nd_isas[] = {
    {&nd_kernels_scalar, has_scalar},
#if defined(__x86_64__) || defined(_M_X64)
    {&nd_kernels_avx2, has_avx2},
    {&nd_kernels_avx512, has_avx512},
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
    {&nd_kernels_neon, has_neon},
#endif
};
const int nd_isa_count = sizeof nd_isas / sizeof nd_isas[0];

const struct nd_kernel_set *nd_filled_kernels(const struct nd_kernels *kernels, int dtype, ptrdiff_t lanes)
{
#if defined(__x86_64__) || defined(_M_X64)
    if (kernels == &nd_kernels_avx512 && lanes <= nd_kernels_avx2.set[dtype]->vl)
        return nd_kernels_avx2.set[dtype];
#endif
    return kernels->set[dtype];
}

const struct nd_kernel_set *nd_pair_kernels(const struct nd_kernels *kernels)
{
#if defined(__x86_64__) || defined(_M_X64)
    if (kernels == &nd_kernels_avx512 && has_vnni(0))
        return nd_pairs_avx512_vnni;
#if ND_HAS_AVX_VNNI
    if (kernels == &nd_kernels_avx2 && has_vnni(1))
        return nd_pairs_avx2_vnni;
#endif
#endif
    return kernels->set[ND_PAIRS];
}
