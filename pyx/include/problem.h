/* SPDX-License-Identifier: BSD-3-Clause
 *
 * problem: what a method is asked to compute, and the arrays it computes on.
 *
 * A forward problem (also every gradient with respect to the input, see src/ndconv/stages.py):
 *
 *   y[n, g*ocg + o, od, oh, ow] = b[g*ocg + o]
 *       + sum over c < icg, kd, kh, kw of
 *         x[n, g*icg + c, od*sd + kd*dd - pd, oh*sh + kh*dh - ph, ow*sw + kw*dw - pw] * w[g, o, c, kd, kh, kw]
 *
 * where x is zero outside its extents, or what `outside` says. The padding after an axis is implied by the output's extent;
 * pd, ph, pw may be negative (a crop). 1-D and 2-D problems are 3-D ones whose leading extents are 1.
 */
#ifndef ND_PROBLEM_H
#define ND_PROBLEM_H
#include <stddef.h>
#include <stdint.h>

/* Dtypes of everything; those of images that are pooled; those of the operands of integer products, which are int8, a pair of
 * int16 in 32 bits (sums are int32), and int64 that holds numbers of 32 bits (sums are int64). Last, one of
 * pixels that are only filtered. */
enum { ND_F32, ND_F64, ND_DTYPES, ND_U8 = ND_DTYPES, ND_I16, ND_I32, ND_I8, ND_PAIRS, ND_I64, ND_SETS, ND_U16 = ND_SETS };

/* An axis beyond the ends of its array: position low <= i < high repeats the cell source[i - low], or has the constant
 * `fill`; all others are zero. */
struct nd_outside {
    const ptrdiff_t *source;
    ptrdiff_t low, high;
};

/* No cell, but: the constant, zero. */
enum { ND_FILL = -1, ND_NOWHERE = -2 };

/* The cell that position i of an axis shows. */
static inline ptrdiff_t nd_source(const struct nd_outside *o, ptrdiff_t i, ptrdiff_t extent)
{
    if (i >= 0 && i < extent)
        return i;
    return i >= o->low && i < o->high ? o->source[i - o->low] : ND_NOWHERE;
}

/* How work is cut into blocks: by the method's rule; into blocks of half or of twice the bytes; with vectors that hold the
 * other of pixels and output channels; or into finer tiles (BLOCKINGS of pyx/ndconv/_method.pyx). */
enum nd_blocking { ND_USUAL, ND_SMALL, ND_LARGE, ND_TURNED, ND_FINE };

struct nd_problem {
    ptrdiff_t n, g, icg, ocg;        /* images, groups, channels a group */
    ptrdiff_t id, ih, iw;            /* input extents */
    ptrdiff_t od, oh, ow;            /* output extents */
    ptrdiff_t kd, kh, kw;            /* kernel taps */
    ptrdiff_t sd, sh, sw;            /* strides */
    ptrdiff_t dd, dh, dw;            /* dilations */
    ptrdiff_t pd, ph, pw;            /* padding before */
    int dtype;                       /* ND_F32 or ND_F64 */
    int blocking;                    /* enum nd_blocking */
    int lanes_oc;                    /* 1: vectors hold output channels (NHWC memory), 0: pixels (NCHW) */
    int bordered;                    /* whether anything outside x is not zero: */
    struct nd_outside outside[3];    /* its axes d, h, w */
    double fill;
};

/* An array of rank 5 in any memory order: element [n, c, d, h, w] is data + dtype size * sum(index * stride).
 * Strides count elements and may be zero or negative. */
struct nd_array {
    char *data;
    ptrdiff_t n, c, d, h, w;
};

/* What is folded into a gradient with respect to x: the gradient of a `wide` array, axes d, h, w, whose position i of an axis
 * repeats its position cells[i]; x is start <= i < stop. */
struct nd_frame {
    const ptrdiff_t *cells[3];
    ptrdiff_t wide[3], start[3], stop[3];
};

/* Weights [g, o, c, kd, kh, kw], likewise. */
struct nd_weights {
    char *data;
    ptrdiff_t g, o, c, d, h, w;
};
#endif
