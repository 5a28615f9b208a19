/* check_convert: half precision against its definition, complex numbers, pairs of integers. */
#include "check.h"
#include <math.h>
#include <string.h>

/* What 16 bits mean: exponent bits, fraction bits. */
static double meaning(unsigned h, int brain)
{
    const int fraction = brain ? 7 : 10, bias = brain ? 127 : 15, top = brain ? 255 : 31;
    const unsigned part = h & ((1u << fraction) - 1), e = (h & 0x7fff) >> fraction;
    const double sign = h >> 15 ? -1 : 1;
    if (e == (unsigned)top)
        return part ? NAN : sign * INFINITY;
    const double size = part + (e ? 1 << fraction : 0);
    return sign * ldexp(size, (e ? (int)e : 1) - bias - fraction);
}

/* The number of the dtype that is nearest to v, ties to even, by counting its least steps. */
static double nearest(double v, int brain)
{
    const int fraction = brain ? 7 : 10, least = brain ? -133 : -24, most = brain ? 127 : 15;
    int e;
    if (v != v || isinf(v) || v == 0)
        return v;
    frexp(v, &e);
    const int step = e - 1 - fraction > least ? e - 1 - fraction : least;
    const double r = ldexp(nearbyint(ldexp(v, -step)), step);
    return fabs(r) >= ldexp(1, most + 1) ? copysign(INFINITY, v) : r;
}

static void check_widen(const struct nd_kernel_set *k, int brain, unsigned first, ptrdiff_t n, ptrdiff_t step,
                        ptrdiff_t to_step)
{
    uint16_t *from = room(2 * ((n - 1) * step + 1));
    float *to = room(4 * ((n - 1) * to_step + 1));
    for (ptrdiff_t i = 0; i < n; i++)
        from[i * step] = (uint16_t)(first + i);
    k->widen_half(to, to_step, from, step, n, brain);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double want = meaning((first + i) & 0xffff, brain);
        expect(same(to[i * to_step], want), "widen_half", ND_F32, first + i, n, brain);
    }
    release();
}

static void check_narrow(const struct nd_kernel_set *k, int brain, ptrdiff_t n, ptrdiff_t step, ptrdiff_t to_step)
{
    static const double marks[] = {0,        -0.0,      65504,     65519.996,      65520,       65536,       1e30,
                                   3.4e38,   INFINITY,  NAN,       0x1p-14,        0x1p-24,     0x1p-25,     0x1.8p-24,
                                   0x1.8p-25, 0x1p-130, 1 + 0x1p-8, 0x1.000002p-25, 1 + 0x1p-11, 1 + 0x3p-11, 1 + 0x3p-8};
    float *from = room(4 * ((n - 1) * step + 1));
    uint16_t *to = room(2 * ((n - 1) * to_step + 1));
    for (ptrdiff_t i = 0; i < n; i++) {
        const double mark = marks[below(sizeof marks / sizeof marks[0])];
        const double drawn = ldexp(value() + below(1 << 20), (int)below(60) - 50);
        from[i * step] = (float)((i % 2 ? mark : drawn) * (below(2) ? -1 : 1));
    }
    k->narrow_half(to, to_step, from, step, n, brain);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double got = meaning(to[i * to_step], brain), want = nearest(from[i * step], brain);
        const int signs = got != got || !signbit(got) == !signbit(want);
        expect(same(got, want) && signs, "narrow_half", ND_F32, i, n, brain);
    }
    release();
}

void check_half(const struct nd_kernel_set *k)
{
    for (int brain = 0; brain < 2; brain++) {
        for (unsigned first = 0; first < 0x10000; first += 0x1000)
            check_widen(k, brain, first, 0x1000, 1, 1);
        for (ptrdiff_t n = 1; n < 40; n++)
            for (ptrdiff_t step = 1; step < 3; step++)
                for (ptrdiff_t to_step = 1; to_step < 3; to_step++) {
                    check_widen(k, brain, 0x3c00, n, step, to_step);
                    check_narrow(k, brain, n, step, to_step);
                }
        check_narrow(k, brain, 20000, 1, 1);
    }
}

void check_complex(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n < 4 * k->vl; n++)
        for (ptrdiff_t step = 1; step < 3; step++) {
            const ptrdiff_t span = 2 * ((n - 1) * step + 1);
            void *from = numbers(span, dtype), *back = room(span * k->size);
            void *part[3];
            for (int i = 0; i < 3; i++)
                part[i] = room(n * k->size);
            k->split_complex(part[0], part[1], n % 2 ? part[2] : NULL, from, step, n);
            k->join_complex(back, step, part[0], part[1], n);
            for (ptrdiff_t i = 0; i < n; i++) {
                const double re = get(from, 2 * i * step, dtype), im = get(from, 2 * i * step + 1, dtype);
                const int parts = get(part[0], i, dtype) == re && get(part[1], i, dtype) == im;
                const int total = get(part[2], i, dtype) == (n % 2 ? re + im : 0);
                const int again = get(back, 2 * i * step, dtype) == re && get(back, 2 * i * step + 1, dtype) == im;
                expect(parts && total, "split_complex", dtype, i, n, (int)step);
                expect(again, "join_complex", dtype, i, n, (int)step);
            }
            release();
        }
}

/* An integer of the dtype, often one of its ends. */
static int any_of(int dtype)
{
    const int least = dtype == ND_U8 ? 0 : dtype == ND_I8 ? -128 : -32768;
    const int most = dtype == ND_U8 ? 255 : -least - 1;
    const ptrdiff_t kind = below(4);
    return kind == 0 ? least : kind == 1 ? most : least + (int)below(most - least + 1);
}

static void set_integer(void *p, ptrdiff_t i, int dtype, int v)
{
    if (dtype == ND_I16)
        ((int16_t *)p)[i] = (int16_t)v;
    else
        ((uint8_t *)p)[i] = (uint8_t)v; /* int8 too: the same bits */
}

static int integer(const void *p, ptrdiff_t i, int dtype)
{
    return dtype == ND_I16 ? ((const int16_t *)p)[i]
         : dtype == ND_I8  ? ((const int8_t *)p)[i]
                           : ((const uint8_t *)p)[i];
}

/* Rows of their own (mode 0), neighbours (mode 1), or a first row alone (mode 2). */
void check_pairs(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n < 70; n++)
        for (int mode = 0; mode < 3; mode++)
            for (ptrdiff_t step = mode == 1 ? 2 : 1; step < 4; step++)
                for (ptrdiff_t to_step = 1; to_step < 3; to_step++) {
                    const ptrdiff_t span = (n - 1) * step + (mode == 1 ? 2 : 1);
                    char *first = room(span * k->size);
                    char *second = mode == 1 ? first + k->size : room(span * k->size);
                    int32_t *to = room(4 * ((n - 1) * to_step + 1));
                    for (ptrdiff_t i = 0; i < span; i++) {
                        set_integer(first, i, dtype, any_of(dtype));
                        if (mode == 0)
                            set_integer(second, i, dtype, any_of(dtype));
                    }
                    k->pair(to, to_step, first, mode == 2 ? NULL : second, step, n);
                    for (ptrdiff_t i = 0; i < n; i++) {
                        const int a = integer(first, i * step, dtype);
                        const int b = mode == 2 ? 0 : integer(second, i * step, dtype);
                        const int32_t got = to[i * to_step];
                        expect((int16_t)got == a && got >> 16 == b, "pair", dtype, i, n, mode);
                    }
                    release();
                }
}
