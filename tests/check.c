/* check: see check.h. Memory is a row of slots, each followed by a page that may not be touched; room() takes
 * the end of the next slot, release() starts over. */
#include "check.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 128, SLOT = 1 << 21, FRONT = 64, MARK = 0xA5 };
extern const struct nd_kernels TABLE;
static char *slots;
static unsigned char *taken[SLOTS];
static int taken_count, failures;
static unsigned state = 1;
static struct {
    const char *kernel, *dtype;
    ptrdiff_t m, n;
    int mode;
} last = {"nothing", "", 0, 0, 0};

static unsigned next_bits(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

double value(void) { return (double)(int)(next_bits() >> 20) - 8; }

ptrdiff_t below(ptrdiff_t n) { return (ptrdiff_t)(next_bits() >> 4) % n; }

/* A kernel went too far: it is the one in hand, or the next to be checked. */
static void stop(int signal)
{
    printf("%s: signal %d, an access outside an array; last compared: %s %s m=%td n=%td mode=%d\n", TABLE.isa,
           signal, last.kernel, last.dtype, last.m, last.n, last.mode);
    fflush(stdout);
    _exit(2);
}

static void open_slots(void)
{
    signal(SIGSEGV, stop);
    signal(SIGBUS, stop);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    slots = mmap(NULL, SLOTS * (SLOT + page), PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (slots == MAP_FAILED)
        abort();
    for (int i = 0; i < SLOTS; i++)
        if (mprotect(slots + (size_t)i * (SLOT + page), SLOT, PROT_READ | PROT_WRITE))
            abort();
}

void *room(ptrdiff_t bytes)
{
    if (!slots)
        open_slots();
    if (taken_count == SLOTS || bytes > SLOT - FRONT)
        abort();
    unsigned char *end =
        (unsigned char *)slots + taken_count * (ptrdiff_t)(SLOT + sysconf(_SC_PAGESIZE)) + SLOT;
    taken[taken_count++] = end - bytes;
    memset(end - bytes - FRONT, MARK, FRONT);
    return memset(end - bytes, 0, (size_t)bytes);
}

void release(void)
{
    while (taken_count > 0) {
        const unsigned char *p = taken[--taken_count];
        for (int i = 1; i <= FRONT; i++)
            if (p[-i] != MARK && failures++ < 20)
                printf("%s: byte %d in front of an array was written\n", TABLE.isa, i);
    }
}

void *numbers(ptrdiff_t n, int dtype)
{
    void *p = room(n * size_of(dtype));
    for (ptrdiff_t i = 0; i < n; i++)
        put(p, i, dtype, value());
    return p;
}

/* A quarter of the arrays has no NaN and no infinity, a quarter infinities, two have NaN: a few, and many. */
void *sharp_numbers(ptrdiff_t n, int dtype)
{
    void *p = room(n * size_of(dtype));
    const ptrdiff_t kind = below(4);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t v = below(16);
        put(p, i, dtype, v < 4 ? -0.0 : v < 8 ? 0.0 : v < 12 ? (double)v - 11 : -2);
        if (v == 15 && kind == 1)
            put(p, i, dtype, NAN);
        else if (v >= 14 && kind == 2)
            put(p, i, dtype, v == 14 ? INFINITY : -INFINITY);
        else if (kind == 3)
            put(p, i, dtype, v > 10 ? NAN : -INFINITY);
    }
    return p;
}

void expect(int ok, const char *kernel, int dtype, ptrdiff_t m, ptrdiff_t n, int mode)
{
    static const char *const names[] = {"f32", "f64", "u8", "i16", "i32", "i8", "pairs", "i64"};
    last.kernel = kernel, last.dtype = names[dtype], last.m = m, last.n = n,
    last.mode = mode;
    if (!ok && failures++ < 20)
        printf("%s %s %s: wrong at m=%td n=%td mode=%d\n", TABLE.isa, kernel, last.dtype, m, n, mode);
}

int count_failures(void) { return failures; }
