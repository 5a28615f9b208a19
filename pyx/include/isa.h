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
#endif
