/* SPDX-License-Identifier: BSD-3-Clause
 *
 * threads: the one parallel construct, and the scratch memory that goes with it. */
#ifndef ND_THREADS_H
#define ND_THREADS_H
#include <stddef.h>

/* The tasks begin <= i < end, on worker 0 <= worker < threads of the call. */
typedef void (*nd_body)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end);

/* Runs body over 0..n-1 on at most `threads` threads, the caller among them, in chunks of at least `grain`
 * tasks. Returns when all is done. A caller that finds the pool busy runs its tasks itself. */
void nd_parallel_for(ptrdiff_t n, ptrdiff_t grain, int threads, nd_body body, void *context);

/* Registers the fork handlers; starts no thread. */
void nd_threads_init(void);

/* Blocks of scratch memory aligned to 64 bytes (2 MiB from 4 MiB on), kept for the next call in a small
 * bounded list. NULL when there is no memory. */
void *nd_scratch_take(size_t bytes);
void nd_scratch_give(void *block);
void nd_scratch_clear(void);
size_t nd_scratch_kept(void);
#endif
