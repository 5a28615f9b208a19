/* Checks the spectra of real numbers (kernels/fft_spectrum.h): pairs of points, and points that are their own
 * negatives. */
#include "check_fft.h"
#include <string.h>

/* Two frequencies of a pair of points, as the kernels define them. */
static void split_pair(number p, number q, number w, number *x)
{
    const number even = p + conj(q), odd = (p - conj(q)) / I;
    x[0] = even + w * odd;
    x[1] = even - w * odd;
}

/* Four times the points that have these two frequencies. */
static void join_pair(const number *x, number w, number *p, number *q)
{
    const number even = x[0] + x[1], odd = conj(w) * (x[0] - x[1]);
    *p = even + I * odd;
    *q = conj(even) + I * conj(odd);
}

struct pairs {
    ptrdiff_t n, points;
    int32_t *at;
    void *turns;
    number *w;
};

/* Pairs in no order. Every third is a point with itself, which turns by 1 or -i, and leaves its neighbour to
 * no pair. */
static struct pairs some_pairs(ptrdiff_t n, int dtype)
{
    struct pairs t = {n, 2 * n - 1, room(n * 2 * (ptrdiff_t)sizeof(int32_t)), numbers(2 * n, dtype), NULL};
    t.w = room(n * (ptrdiff_t)sizeof(number));
    for (ptrdiff_t i = 0; i < n; i++) {
        t.at[2 * i] = (int32_t)(2 * (n - 1 - i));
        t.at[2 * i + 1] = t.at[2 * i] + (i % 3 != 0);
        t.w[i] = i % 3 != 0 ? turn(i, 2 * n + 1) : i % 2 ? -I : 1;
        put_number(t.turns, i, dtype, t.w[i]);
    }
    return t;
}

/* The two frequencies of pair i in lane l. */
static void split_at(const struct nd_kernel_set *k, int dtype, const struct pairs *t, const void *z,
                     ptrdiff_t i, ptrdiff_t l, number *x)
{
    const ptrdiff_t width = 2 * k->vl;
    split_pair(point(k, z, t->at[2 * i] * width, l, dtype), point(k, z, t->at[2 * i + 1] * width, l, dtype),
               t->w[i], x);
}

static void check_split(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, double re_scale,
                        double im_scale)
{
    const struct pairs t = some_pairs(n, dtype);
    const ptrdiff_t width = 2 * k->vl, step = width + 3;
    void *z = numbers(t.points * width, dtype), *to = room(((2 * n - 1) * step + width) * k->size);
    k->fft_split(to, step, z, t.at, t.turns, n, re_scale, im_scale);
    for (ptrdiff_t i = 0; i < 2 * n; i++) {
        for (ptrdiff_t l = 0; l < k->vl; l++) {
            number x[2];
            split_at(k, dtype, &t, z, i / 2, l, x);
            const number scaled = creal(x[i % 2]) * re_scale + I * cimag(x[i % 2]) * im_scale;
            expect(close_by(scaled, point(k, to, i * step, l, dtype), 32, dtype), "fft_split", dtype, n, i,
                   re_scale != 1);
        }
        for (ptrdiff_t j = width; j < step && i < 2 * n - 1; j++)
            expect(get(to, i * step + j, dtype) == 0, "fft_split, between", dtype, n, i, re_scale != 1);
    }
    release();
}

/* Numbers to multiply the frequencies of a pair by; a point with itself has to stay one of real numbers. */
static void some_factors(const struct pairs *t, ptrdiff_t i, number *u)
{
    for (int h = 0; h < 2; h++)
        u[h] = value() + I * value();
    if (t->at[2 * i] != t->at[2 * i + 1])
        return;
    u[0] = t->w[i] == 1 ? creal(u[0]) : u[0];
    u[1] = t->w[i] == 1 ? creal(u[1]) : conj(u[0]);
}

/* Split, times u, joined: what fft_filter does at once; fft_join has the product to start from. `z` is as it
 * was at points of no pair. */
static void check_filter(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, int lanes, int in_place)
{
    const struct pairs t = some_pairs(n, dtype);
    const ptrdiff_t width = 2 * k->vl, step = width + 3, size = t.points * width;
    void *z = numbers(size, dtype), *expected = room(size * k->size), *joined = room(size * k->size);
    void *other = room(size * k->size), *from = numbers((2 * n - 1) * step + width, dtype);
    void *factors = numbers(lanes ? 2 * n * width : 4 * n, dtype), *to = in_place ? z : other;
    memcpy(expected, z, (size_t)(size * k->size));
    memcpy(joined, z, (size_t)(size * k->size));
    memcpy(other, z, (size_t)(size * k->size));
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t l = 0; l < k->vl; l++) {
            static number u[2];
            number x[2], p, q;
            if (lanes || l == 0)
                some_factors(&t, i, u);
            split_at(k, dtype, &t, z, i, l, x);
            for (int h = 0; h < 2; h++) {
                x[h] *= u[h];
                put_point(k, from, (2 * i + h) * step, l, dtype, x[h]);
                if (lanes)
                    put_point(k, factors, (2 * i + h) * width, l, dtype, u[h]);
                else
                    put_number(factors, 2 * i + h, dtype, u[h]);
            }
            join_pair(x, t.w[i], &p, &q);
            put_point(k, expected, t.at[2 * i] * width, l, dtype, p);
            put_point(k, expected, t.at[2 * i + 1] * width, l, dtype, q);
        }
    k->fft_join(joined, from, step, t.at, t.turns, n);
    k->fft_filter(to, z, factors, lanes, t.at, t.turns, n);
    for (ptrdiff_t i = 0; i < size; i++) {
        const double e = get(expected, i, dtype);
        expect(near(get(joined, i, dtype), e, 512, dtype), "fft_join", dtype, n, i, lanes);
        expect(near(get(to, i, dtype), e, 512, dtype), "fft_filter", dtype, n, i, lanes * 2 + in_place);
    }
    release();
}

/* The pairs of a row of m points, as ndconv/_fft_plan.pyx finds them. */
static struct pairs row_pairs(const struct nd_axis *axis, int dtype)
{
    const ptrdiff_t m = axis->n, most = m / 2 + 1;
    struct pairs t = {0, m, room(most * 2 * (ptrdiff_t)sizeof(int32_t)), numbers(2 * most, dtype), NULL};
    for (ptrdiff_t this = 0; this < m; this++) {
        const ptrdiff_t f = frequency(axis, this);
        ptrdiff_t other = 0;
        while (frequency(axis, other) != (m - f) % m)
            other++;
        if (this > other)
            continue;
        t.at[2 * t.n] = (int32_t)this, t.at[2 * t.n + 1] = (int32_t)other;
        put_number(t.turns, t.n++, dtype, turn(f, 2 * m));
    }
    return t;
}

/* Twice frequency f of 2m real numbers: real parts are the even ones, imaginary parts the odd ones. */
static number real_sum(const struct nd_kernel_set *k, int dtype, const void *z, ptrdiff_t m, ptrdiff_t f,
                       ptrdiff_t l)
{
    number sum = 0;
    for (ptrdiff_t i = 0; i < m; i++)
        sum += creal(point(k, z, i * 2 * k->vl, l, dtype)) * turn(2 * i * f, 2 * m)
             + cimag(point(k, z, i * 2 * k->vl, l, dtype)) * turn((2 * i + 1) * f, 2 * m);
    return 2 * sum;
}

/* A row of real numbers to its spectrum and back, 4m times as large. */
static void check_row(const struct nd_kernel_set *k, int dtype, ptrdiff_t m)
{
    const ptrdiff_t width = 2 * k->vl, size = m * width;
    struct nd_axis axis;
    build_axis(&axis, m, dtype);
    const struct pairs t = row_pairs(&axis, dtype);
    void *row = numbers(size, dtype), *z = room(size * k->size), *x = room(2 * t.n * width * k->size);
    memcpy(z, row, (size_t)(size * k->size));
    k->fft(&axis, z, width, 1, size, 1, 0);
    k->fft_split(x, width, z, t.at, t.turns, t.n, 1, 1);
    for (ptrdiff_t i = 0; i < 2 * t.n; i++)
        for (ptrdiff_t l = 0; l < k->vl; l++) {
            const ptrdiff_t f = frequency(&axis, t.at[i - i % 2]) + i % 2 * m;
            expect(close_by(real_sum(k, dtype, row, m, f, l), point(k, x, i * width, l, dtype),
                            32 * (double)m, dtype),
                   "fft, fft_split", dtype, m, f, 0);
        }
    k->fft_join(z, x, width, t.at, t.turns, t.n);
    k->fft(&axis, z, width, 1, size, 1, 1);
    for (ptrdiff_t i = 0; i < size; i++)
        expect(near(get(z, i, dtype), 4 * (double)m * get(row, i, dtype), 32 * (double)m, dtype),
               "fft_join, fft", dtype, m, i, 0);
    release();
}

void check_spectra(const struct nd_kernel_set *k, int dtype)
{
    static const ptrdiff_t sizes[] = {1, 2, 3, 4, 5, 6, 8, 9, 10, 15, 16, 20};
    for (ptrdiff_t n = 1; n <= 7; n++) {
        check_split(k, dtype, n, 1, 1);
        check_split(k, dtype, n, 0.5, -0.25);
        for (int mode = 0; mode < 4; mode++)
            check_filter(k, dtype, n, mode / 2, mode % 2);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check_row(k, dtype, sizes[i]);
}
