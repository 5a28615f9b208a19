/* Checks the single sums of kernels/fft_rows.h, conv_points and grad_point, by the definition in
 * include/problem.h.
 *
 * Strides, dilations and paddings differ on all axes, one padding is negative; arrays are planes of channels
 * or channels next to each other, and rows may run backwards. A weight is infinite here and there: times
 * padding that is NaN. */
#include "check_fft.h"
#include <math.h>

static struct nd_problem some_problem(ptrdiff_t ow)
{
    struct nd_problem p = {.n = 2, .g = 1, .icg = 3, .ocg = 1, .id = 3, .ih = 4, .od = 3, .oh = 2, .ow = ow};
    p.kd = 2, p.kh = 3, p.kw = 3;
    p.sd = 1, p.sh = 2, p.sw = 2;
    p.dd = 2, p.dh = 1, p.dw = 3;
    p.pd = 1, p.ph = 2, p.pw = ow % 2 ? 2 : -1;
    p.iw = 2 * ow + 2;
    return p;
}

/* n x c x d x h x w elements, no more. */
static struct nd_array some_array(ptrdiff_t n, ptrdiff_t c, ptrdiff_t d, ptrdiff_t h, ptrdiff_t w,
                                  int channels_last, int backwards, int dtype)
{
    struct nd_array a = {.data = numbers(n * c * d * h * w, dtype)};
    a.c = channels_last ? 1 : d * h * w;
    a.w = channels_last ? c : 1;
    a.h = w * a.w, a.d = h * a.h, a.n = c * d * h * w;
    if (backwards) {
        a.data = item(a.data, (w - 1) * a.w + (h - 1) * a.h, dtype);
        a.h = -a.h, a.w = -a.w;
    }
    return a;
}

/* x where output o and tap t meet, zero outside. */
static double input_at(const struct nd_problem *p, const struct nd_array *x, ptrdiff_t n, ptrdiff_t c,
                       const ptrdiff_t *o, const ptrdiff_t *t, int dtype)
{
    const ptrdiff_t d = o[0] * p->sd + t[0] * p->dd - p->pd, h = o[1] * p->sh + t[1] * p->dh - p->ph;
    const ptrdiff_t w = o[2] * p->sw + t[2] * p->dw - p->pw;
    if (d < 0 || d >= p->id || h < 0 || h >= p->ih || w < 0 || w >= p->iw)
        return 0;
    return get(x->data, n * x->n + c * x->c + d * x->d + h * x->h + w * x->w, dtype);
}

static double output_at(const struct nd_problem *p, const struct nd_array *x, const void *w,
                        const ptrdiff_t *o, int dtype)
{
    double sum = 0;
    ptrdiff_t i = 0, t[3];
    for (ptrdiff_t c = 0; c < p->icg; c++)
        for (t[0] = 0; t[0] < p->kd; t[0]++)
            for (t[1] = 0; t[1] < p->kh; t[1]++)
                for (t[2] = 0; t[2] < p->kw; t[2]++)
                    sum += get(w, i++, dtype) * input_at(p, x, 0, c, o, t, dtype);
    return sum;
}

static void check_conv(const struct nd_kernel_set *k, int dtype, ptrdiff_t ow, int mode)
{
    const struct nd_problem p = some_problem(ow);
    const struct nd_array x = some_array(1, p.icg, p.id, p.ih, p.iw, mode & 1, mode & 2, dtype);
    const ptrdiff_t taps = p.kd * p.kh * p.kw, y_w = 1 + (mode & 1);
    void *w = numbers(p.icg * taps, dtype), *bias = numbers(1, dtype);
    if (mode & 4)
        put(w, below(p.icg * taps), dtype, INFINITY);
    for (ptrdiff_t i = 0; i < p.od * p.oh; i++) {
        const ptrdiff_t first = below(ow), at[3] = {i / p.oh, i % p.oh, first}, n = ow - first;
        void *y = numbers((n - 1) * y_w + 1, dtype), *plus = i % 2 ? bias : NULL;
        k->conv_points(&p, &x, w, at, n, y, y_w, plus);
        for (ptrdiff_t j = 0; j < n; j++) {
            const ptrdiff_t o[3] = {at[0], at[1], first + j};
            const double e = output_at(&p, &x, w, o, dtype) + (plus ? get(bias, 0, dtype) : 0);
            expect(same(get(y, j * y_w, dtype), e), "conv_points", dtype, ow, j, mode);
        }
    }
    release();
}

static void check_grad(const struct nd_kernel_set *k, int dtype, ptrdiff_t ow, int mode)
{
    const struct nd_problem p = some_problem(ow);
    const struct nd_array x = some_array(p.n, 1, p.id, p.ih, p.iw, mode & 1, mode & 2, dtype);
    const struct nd_array dy = some_array(p.n, 1, p.od, p.oh, p.ow, mode & 1, !(mode & 2), dtype);
    ptrdiff_t t[3], o[3];
    if (mode & 4)
        put(dy.data, 0, dtype, INFINITY);
    for (t[0] = 0; t[0] < p.kd; t[0]++)
        for (t[1] = 0; t[1] < p.kh; t[1]++)
            for (t[2] = 0; t[2] < p.kw; t[2]++) {
                void *dw = numbers(1, dtype);
                double sum = 0;
                for (ptrdiff_t n = 0; n < p.n; n++)
                    for (o[0] = 0; o[0] < p.od; o[0]++)
                        for (o[1] = 0; o[1] < p.oh; o[1]++)
                            for (o[2] = 0; o[2] < p.ow; o[2]++)
                                sum += get(dy.data, n * dy.n + o[0] * dy.d + o[1] * dy.h + o[2] * dy.w, dtype)
                                     * input_at(&p, &x, n, 0, o, t, dtype);
                k->grad_point(&p, &x, &dy, t, dw);
                expect(same(get(dw, 0, dtype), sum), "grad_point", dtype, ow, t[2], mode);
            }
    release();
}

void check_points(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t ow = 1; ow <= 5; ow++)
        for (int mode = 0; mode < 8; mode++) {
            check_conv(k, dtype, ow, mode);
            check_grad(k, dtype, ow, mode);
        }
}
