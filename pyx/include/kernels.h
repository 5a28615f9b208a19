/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernels: the contract between the algorithms (Cython) and the inner loops (C).
 *
 * One `struct nd_kernels` per instruction set, one `struct nd_kernel_set` per dtype in it. A kernel knows
 * nothing of convolution geometry beyond the comment at its member; pointers are typed by the dtype of the set.
 * Adding a kernel: a member here, a body in kernels/, a line in kernels/instantiate.h.
 */
#ifndef ND_KERNELS_H
#define ND_KERNELS_H
#include "problem.h"

/* How a tile walks k: `runs` runs of `len` steps. Step j of run r reads column a + a_off[r] + j*a_k of A
 * (its MR rows a_row apart) and row b + b_off[r] + j*b_k of B (contiguous vectors). Strides count elements. */
struct nd_walk {
    ptrdiff_t runs, len;
    const ptrdiff_t *a_off, *b_off;
    ptrdiff_t a_row, a_k, b_k;
};

/* What a tile's sums start from. */
enum nd_start { ND_ZERO, ND_ADD, ND_BIAS_ROW, ND_BIAS_COLUMN };

struct nd_kernel_set {
    ptrdiff_t size;                  /* bytes of an element */
    ptrdiff_t vl;                    /* lanes of a vector */
    ptrdiff_t mr, nr;                /* the register tile: mr rows x nr columns, nr a multiple of vl */
    /* y[i*y_row + j*y_col] = start + sum over the walk of A[i] * B[j], i < m <= mr, j < n <= nr.
     * B must be readable for whole vectors up to n rounded up to vl. */
    void (*gemm)(const struct nd_walk *walk, ptrdiff_t m, ptrdiff_t n, const void *a, const void *b, void *y,
                 ptrdiff_t y_row, ptrdiff_t y_col, int start, const void *bias);
    /* to[i] = from[i*step] for i < n; step may be any number, zero and negative too */
    void (*copy)(void *to, const void *from, ptrdiff_t n, ptrdiff_t step);
    /* to[i*to_row + j] = from[i*row + j*col] for i < m, j < n */
    void (*move)(void *to, ptrdiff_t to_row, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col);
    /* to[i*width + j] = j < n ? from[i*row + j*col] : 0 for i < m, j < width */
    void (*pack)(void *to, ptrdiff_t width, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col);
    /* to[i*to_step] = from[i*from_step] for i < n */
    void (*scatter)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t from_step, ptrdiff_t n);
    /* to[i*step] += from[i] for i < n */
    void (*add)(void *to, ptrdiff_t step, const void *from, ptrdiff_t n);
    /* the sum of from[i*step], i < n, accumulated in double */
    double (*sum)(const void *from, ptrdiff_t n, ptrdiff_t step);
    /* sums[j] += from[i*row + j] over i < m, for j < n <= 16 */
    void (*sum_columns)(double *sums, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row);
    /* multiply-adds on registers only; result takes one vector; returns the operations done */
    double (*peak)(ptrdiff_t steps, void *result);
};

struct nd_kernels {
    const char *isa;
    const struct nd_kernel_set *set[ND_DTYPES];
};
#endif
