/* Checks kernels/finish.h against the C library's exp and tanh in double: at most 4 ulp, and equal where nothing is rounded. */
#include "check.h"
#include <float.h>
#include <math.h>

static double define(int activation, double v, double low, double high)
{
    switch (activation) {
    case ND_RELU:
        return v < 0 ? 0 : v;
    case ND_LEAKY_RELU:
        return v < 0 ? v * low : v;
    case ND_SIGMOID:
        return v < 0 ? exp(v) / (1 + exp(v)) : 1 / (1 + exp(-v));
    case ND_TANH:
        return tanh(v);
    case ND_SILU:
        return v == -INFINITY ? 0 : v < 0 ? v * exp(v) / (1 + exp(v)) : v / (1 + exp(-v));
    case ND_CLIP:
        return v < low ? low : v > high ? high : v;
    }
    return v;
}

static int close_to(double got, double want, int dtype)
{
    /* the C library's functions in double are themselves an ulp or two off, results below the normal numbers more */
    const double unit = dtype == ND_F32 ? FLT_EPSILON : 2 * DBL_EPSILON;
    const double least = dtype == ND_F32 ? FLT_MIN : 1e3 * DBL_MIN;
    return same(got, want) || fabs(got - want) <= 4 * unit * fmax(fabs(want) / (dtype == ND_F32 ? 1 : 2), least);
}

static void check_values(const struct nd_kernel_set *k, int dtype, int activation, ptrdiff_t n, ptrdiff_t y_step,
                         ptrdiff_t r_step)
{
    static const double sharp[] = {0,    -0.0, NAN,    INFINITY, -INFINITY, 1e-30, -1e-30, 88.5,
                                   -88.5, -95,  -103.5, -104.5,   720,       -720,  -744,   -746};
    const double low = -0.25, high = 6;
    void *y = numbers((n - 1) * y_step + 1, dtype), *r = r_step ? numbers((n - 1) * r_step + 1, dtype) : NULL;
    double *want = room((ptrdiff_t)sizeof(double) * n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double v = below(3) == 0 ? sharp[below(16)] : value() * (1 + (double)below(100) / 8) / (1 + (double)below(9));
        put(y, i * y_step, dtype, v);
        if (r)
            put(r, i * r_step, dtype, value());
        const double sum = get(y, i * y_step, dtype) + (r ? get(r, i * r_step, dtype) : -0.0);
        want[i] = define(activation, rounded(sum, dtype), low, high);
    }
    k->finish(y, y_step, r, r_step, n, activation, low, high);
    for (ptrdiff_t i = 0; i < n; i++) {
        const int rounds = activation == ND_SIGMOID || activation == ND_TANH || activation == ND_SILU;
        const double got = get(y, i * y_step, dtype);
        expect(rounds ? close_to(got, want[i], dtype) : same(got, rounded(want[i], dtype)), "finish", dtype, y_step, n,
               activation);
        expect(activation != ND_TANH || got != got || !signbit(got) == !signbit(want[i]), "finish, a sign", dtype, y_step, n,
               activation);
    }
    release();
}

void check_finish(const struct nd_kernel_set *k, int dtype)
{
    for (int activation = ND_NONE; activation <= ND_CLIP; activation++)
        for (ptrdiff_t n = 1; n <= 5 * k->vl + 1; n++)
            for (ptrdiff_t y_step = 1; y_step <= 2; y_step++)
                for (ptrdiff_t r_step = 0; r_step <= 3; r_step++)
                    check_values(k, dtype, activation, n, y_step, r_step);
}
