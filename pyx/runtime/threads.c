/* SPDX-License-Identifier: BSD-3-Clause
 *
 * threads: a fork-safe pool behind nd_parallel_for.
 *
 * One job at a time. The caller publishes it by opening `gate`, an atomic word that holds the job's number,
 * whether it is open, and how many workers are inside:
 *
 *     | number ............ | open 1 bit | inside 16 bits |
 *
 * A worker enters by adding one with compare-and-swap while the gate is open, takes chunks of what is left, ever
 * smaller ones, from an atomic counter, and leaves by subtracting one. The caller works too; when no chunk is
 * left it closes the gate and waits for `inside` to reach zero. So a worker that wakes late finds the gate closed
 * and touches nothing, and nobody waits for it. Idle workers spin for some 40 microseconds (the hand-over to a
 * spinning worker costs about 0.3), then sleep on a condition variable.
 *
 * After fork() the child has no workers: its handler puts the pool back into its first state. A second Python
 * thread that calls meanwhile finds `busy` set and runs its own tasks itself: no waiting, no oversubscription. */
#include "../include/threads.h"
#include "os.h"
#include <stdatomic.h>
#include <stdint.h>

enum { MAX_WORKERS = 255, SPINS = 1500, SHARES = 3 };
#define OPEN ((uint64_t)1 << 16)
#define INSIDE (OPEN - 1)

static struct {
    nd_mutex mutex;
    nd_condition wake;
    atomic_int sleepers;
    atomic_flag busy;
    int workers; /* started; touched by the holder of `busy` only */
    _Alignas(64) _Atomic uint64_t gate;
    nd_body body;
    void *context;
    ptrdiff_t n, grain;
    int threads;
    _Alignas(64) _Atomic ptrdiff_t next;
} pool = {.mutex = ND_MUTEX_INIT, .wake = ND_CONDITION_INIT, .busy = ATOMIC_FLAG_INIT};

static void run_chunks(int worker)
{
    /* a third of a thread's even share of what is left: all threads end together, whatever the tasks take */
    ptrdiff_t begin = atomic_load_explicit(&pool.next, memory_order_relaxed);
    while (begin < pool.n) {
        const ptrdiff_t left = pool.n - begin, share = left / (pool.threads * (ptrdiff_t)SHARES);
        const ptrdiff_t chunk = share > pool.grain ? share : pool.grain, end = begin + (chunk < left ? chunk : left);
        if (atomic_compare_exchange_weak_explicit(&pool.next, &begin, end, memory_order_relaxed, memory_order_relaxed)) {
            pool.body(pool.context, worker, begin, end);
            begin = atomic_load_explicit(&pool.next, memory_order_relaxed);
        }
    }
}

static int is_new(uint64_t gate, uint64_t last) { return (gate & OPEN) && gate >> 17 != last; }

/* Waits for a job other than `last`; spins first, then sleeps. */
static uint64_t wait_for_job(uint64_t last)
{
    for (int i = 0; i < SPINS; i++) {
        uint64_t gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
        if (is_new(gate, last))
            return gate;
        nd_pause();
    }
    nd_lock(&pool.mutex);
    atomic_fetch_add(&pool.sleepers, 1);
    uint64_t gate;
    while (!is_new(gate = atomic_load(&pool.gate), last))
        nd_wait(&pool.wake, &pool.mutex);
    atomic_fetch_sub(&pool.sleepers, 1);
    nd_unlock(&pool.mutex);
    return gate;
}

ND_THREAD_FUNCTION(work, argument)
{
    const int worker = (int)(intptr_t)argument;
    for (uint64_t last = 0;;) {
        uint64_t gate = wait_for_job(last);
        last = gate >> 17;
        while ((gate & OPEN) && gate >> 17 == last) {
            if (atomic_compare_exchange_weak(&pool.gate, &gate, gate + 1)) {
                if (worker < pool.threads)
                    run_chunks(worker);
                atomic_fetch_sub_explicit(&pool.gate, 1, memory_order_release);
                break;
            }
        }
    }
    return 0;
}

void nd_parallel_for(ptrdiff_t n, ptrdiff_t grain, int threads, nd_body body, void *context)
{
    if (threads > MAX_WORKERS + 1)
        threads = MAX_WORKERS + 1;
    if (n <= grain || threads <= 1 || atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire)) {
        if (n > 0)
            body(context, 0, 0, n);
        return;
    }
    /* worker numbers start at 1, the caller is 0; a thread that cannot be started is done without */
    while (pool.workers < threads - 1 && nd_start_thread(work, (void *)(intptr_t)(pool.workers + 1)) == 0)
        pool.workers++;
    pool.n = n, pool.grain = grain > 1 ? grain : 1, pool.body = body, pool.context = context, pool.threads = threads;
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    uint64_t number = (atomic_load_explicit(&pool.gate, memory_order_relaxed) >> 17) + 1;
    atomic_store(&pool.gate, number << 17 | OPEN);
    if (atomic_load(&pool.sleepers) > 0) {
        nd_lock(&pool.mutex);
        nd_wake_all(&pool.wake);
        nd_unlock(&pool.mutex);
    }
    run_chunks(0);
    atomic_fetch_and(&pool.gate, ~OPEN);
    while (atomic_load_explicit(&pool.gate, memory_order_acquire) & INSIDE)
        nd_pause();
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}

/* Scratch blocks: a header of 64 bytes holds the size; the list keeps the most recent ones. */
enum { KEPT_BLOCKS = 8 };
static const size_t KEPT_BYTES = (size_t)256 << 20, HUGE_PAGE = (size_t)2 << 20;
static struct {
    nd_mutex mutex;
    char *block[KEPT_BLOCKS];
    int count;
    size_t bytes;
} kept = {.mutex = ND_MUTEX_INIT};

static size_t *size_of(char *block) { return (size_t *)(block - 64); }
static size_t lead_of(size_t bytes) { return bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64; }
static void free_block(char *block) { nd_aligned_free(block - lead_of(*size_of(block))); }

static char *remove_kept(int i)
{
    char *block = kept.block[i];
    kept.bytes -= *size_of(block);
    kept.count--;
    for (; i < kept.count; i++)
        kept.block[i] = kept.block[i + 1];
    return block;
}

void *nd_scratch_take(size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    char *found = NULL;
    nd_lock(&kept.mutex);
    for (int i = kept.count - 1; i >= 0 && !found; i--) {
        size_t size = *size_of(kept.block[i]);
        if (size >= bytes && size / 4 <= bytes)
            found = remove_kept(i);
    }
    nd_unlock(&kept.mutex);
    if (found)
        return found;
    size_t lead = lead_of(bytes);
    char *base = nd_aligned_alloc(lead, lead + bytes);
    if (!base)
        return NULL;
    if (lead == HUGE_PAGE)
        nd_huge_pages(base + lead, bytes);
    *size_of(base + lead) = bytes;
    return base + lead;
}

void nd_scratch_give(void *block)
{
    char *old[KEPT_BLOCKS];
    int drop = 0;
    nd_lock(&kept.mutex);
    size_t bytes = *size_of(block);
    while (kept.count && (kept.count == KEPT_BLOCKS || kept.bytes + bytes > KEPT_BYTES))
        old[drop++] = remove_kept(0);
    int keep = bytes <= KEPT_BYTES;
    if (keep) {
        kept.block[kept.count++] = block;
        kept.bytes += bytes;
    }
    nd_unlock(&kept.mutex);
    while (drop)
        free_block(old[--drop]);
    if (!keep)
        free_block(block);
}

void nd_scratch_clear(void)
{
    nd_lock(&kept.mutex);
    while (kept.count)
        free_block(remove_kept(0));
    nd_unlock(&kept.mutex);
}

size_t nd_scratch_kept(void)
{
    nd_lock(&kept.mutex);
    size_t bytes = kept.bytes;
    nd_unlock(&kept.mutex);
    return bytes;
}

#if !defined(_WIN32)
static void before_fork(void) { nd_lock(&kept.mutex); }
static void after_fork_parent(void) { nd_unlock(&kept.mutex); }
static void after_fork_child(void)
{
    nd_unlock(&kept.mutex);
    pool.mutex = (nd_mutex)ND_MUTEX_INIT;
    pool.wake = (nd_condition)ND_CONDITION_INIT;
    pool.workers = 0;
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.gate, atomic_load(&pool.gate) & ~(OPEN | INSIDE));
    atomic_flag_clear(&pool.busy);
}
void nd_threads_init(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }
#else
void nd_threads_init(void) {}
#endif
