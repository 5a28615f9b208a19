/* SPDX-License-Identifier: BSD-3-Clause
 *
 * isa: the instruction sets that are compiled in, worst first, and which of them this CPU can run. */
#ifndef ND_ISA_H
#define ND_ISA_H
#include "kernels.h"

struct nd_isa {
    const struct nd_kernels *kernels;
    int (*is_supported)(void);
};
extern const struct nd_isa nd_isas[];
extern const int nd_isa_count;

/* The kernels of ND_F32 or ND_F64 whose vectors `lanes` numbers side by side fill by more than a half: of a table, or of one with
 * narrower vectors. */
const struct nd_kernel_set *nd_filled_kernels(const struct nd_kernels *kernels, int dtype, ptrdiff_t lanes);

/* The kernels of ND_PAIRS that go with a table: with VNNI where this CPU has it in vectors of that width. */
const struct nd_kernel_set *nd_pair_kernels(const struct nd_kernels *kernels);

/* AVX-VNNI came to compilers with GCC 11 and Clang 12. */
#if (defined(__x86_64__) || defined(_M_X64)) && __has_include(<avxvnniintrin.h>)
#define ND_HAS_AVX_VNNI 1
#endif
#endif
