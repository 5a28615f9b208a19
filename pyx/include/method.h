/* SPDX-License-Identifier: BSD-3-Clause
 *
 * method: the contract between a plan and one way to compute a convolution. */
#ifndef ND_METHOD_H
#define ND_METHOD_H
#include "kernels.h"

/* One run of a method. workspace has the bytes that the method asked for, 64-byte aligned; bias is a
 * contiguous [g*ocg] or NULL; a method allocates nothing.
 *
 * forward: y = activation(convolution + bias + residual). A method stores convolution + bias, and calls finish_pixels
 * (pyx/ndconv/_pack.pyx) on every part of y soon after its last store, while it is in L1 or L2. */
struct nd_job {
    const struct nd_problem *p;
    const struct nd_kernel_set *k;
    int threads;
    struct nd_array x, y;            /* weight_grad: y is dy */
    const void *w;                   /* forward: the prepared weights, 64-byte aligned; NULL: */
    struct nd_weights fresh;         /* the weights as they are, if the method's sizes offer that */
    const void *bias;
    struct nd_array residual;        /* of y's extents; data NULL: none */
    int activation;                  /* enum nd_activation, */
    double low, high;                /* and its numbers */
    struct nd_weights dw;            /* weight_grad: the result */
    double *db;                      /* and NULL, or zeros [bias_parts][g*ocg] to which the sums of dy are added */
    char *workspace;
    const struct nd_frame *frame;    /* NULL, or what forward folds into y, of a method that does so */
};

/* Bytes: prepared weights; workspace of each thread while preparing them; workspace of a run, once and a thread; of a thread
 * of a run that takes the weights as they are, 0 if they are to be prepared. */
struct nd_sizes {
    size_t prepared, prepare_worker, shared, worker, fresh;
};

struct nd_method {
    void (*sizes)(const struct nd_problem *, const struct nd_kernel_set *, struct nd_sizes *);
    void (*prepare)(const struct nd_problem *, const struct nd_kernel_set *, const struct nd_weights *, void *to,
                    char *workspace, int threads);
    void (*forward)(const struct nd_job *);
    /* A transposed problem with strides as a whole: y[.., i*s + t*d - p] += x[.., i] * w[.., t], where w is [g, o, c, taps] as
     * ever. NULL, or sizes that prepare 0 bytes: it is run as the forward problems of its phases (src/ndconv/stages.py). */
    void (*transpose_sizes)(const struct nd_problem *, const struct nd_kernel_set *, struct nd_sizes *);
    void (*transpose_prepare)(const struct nd_problem *, const struct nd_kernel_set *, const struct nd_weights *, void *to,
                              char *workspace, int threads);
    void (*transpose)(const struct nd_job *);
    /* bytes of workspace of a weight gradient on that many threads, and the gradient */
    size_t (*weight_grad_bytes)(const struct nd_problem *, const struct nd_kernel_set *, int threads);
    void (*weight_grad)(const struct nd_job *);
    /* parts in which weight_grad sums the bias gradient while dy is near; NULL or 0: it does not */
    ptrdiff_t (*bias_parts)(const struct nd_problem *, const struct nd_kernel_set *);
    int folds;                       /* whether forward folds in a frame */
};
#endif
