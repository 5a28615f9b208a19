/* Checks the kernel of kernels/pool_walk.h: all windows of a plane and where they lie, by their definition. NaN is above
 * all, the first of equals wins. */
#include "check.h"
#include <math.h>

static int wins(double a, double m, int op)
{
    return (op == ND_LEAST ? a < m : a > m) || (a != a && m == m);
}

static ptrdiff_t place_at(const void *at, ptrdiff_t i, ptrdiff_t size)
{
    return size == 4 ? ((const int32_t *)at)[i] : (ptrdiff_t)((const int64_t *)at)[i];
}

/* Windows of s over x, whose rows have `gap` elements between them; y and places likewise. */
static void check_plane(const struct nd_kernel_set *k, int dtype, struct nd_pool_walk s, ptrdiff_t gap)
{
    s.row = s.iw + gap, s.fw = s.iw + 3, s.y_row = s.ow + gap, s.at_row = s.ow + gap;
    s.pitch = s.iw + s.kw + 2 * k->vl, s.rows = s.kh + s.sh * (s.iw % 4);
    void *x = sharp_numbers((s.ih - 1) * s.row + s.iw, dtype);
    void *y = numbers((s.lines - 1) * s.y_row + s.ow, dtype), *copies = room(s.rows * s.pitch * k->size);
    void *at = room(((s.lines - 1) * s.at_row + s.ow) * s.at_size), *was = room((s.lines * s.y_row) * k->size);
    for (ptrdiff_t i = 0; i < (s.lines - 1) * s.y_row + s.ow; i++)
        put(was, i, dtype, get(y, i, dtype));
    k->pool_walk(&s, x, copies, y, at);
    for (ptrdiff_t i = 0; i < (s.lines - 1) * s.y_row + s.ow; i++) {
        const ptrdiff_t line = i / s.y_row, j = i % s.y_row;
        double e = s.op == ND_LEAST ? INFINITY : -INFINITY;
        ptrdiff_t place = -1;
        for (ptrdiff_t t = 0; t < s.kh * s.kw; t++) {
            const ptrdiff_t h = s.top + line * s.sh + t / s.kw, w = s.left + j * s.sw + t % s.kw;
            if (h < 0 || h >= s.ih || w < 0 || w >= s.iw)
                continue;
            const double a = get(x, h * s.row + w, dtype);
            if (place < 0 || wins(a, e, s.op))
                e = a, place = h * s.fw + w;
        }
        if (j >= s.ow)
            e = get(was, i, dtype);
        expect(same(get(y, i, dtype), e), "pool_walk", dtype, s.kw * 10 + s.sw, s.iw, s.op);
        expect(j >= s.ow ? place_at(at, i, s.at_size) == 0 : place_at(at, i, s.at_size) == place, "pool_walk, place", dtype,
               s.kw * 10 + s.sw, s.iw, s.op);
    }
    release();
}

/* Windows of kh x kw, their first cells ph and pw before x, as many as have a row and a column in x. */
static void check_windows(const struct nd_kernel_set *k, int dtype, ptrdiff_t iw, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t sh,
                          ptrdiff_t sw)
{
    static int turn;
    turn++;
    const ptrdiff_t ih = 1 + (iw + kh) % 6, gap = turn % 4 == 0 ? 2 : 0;
    const ptrdiff_t ph = turn % kh - (ih > 1 && turn % 11 == 0), pw = turn % kw - (iw > 1 && turn % 13 == 0);
    struct nd_pool_walk s = {.kh = kh, .kw = kw, .sh = sh, .sw = sw, .top = -ph, .left = -pw, .ih = ih, .iw = iw};
    s.lines = (ih - 1 + ph) / sh + 1, s.ow = (iw - 1 + pw) / sw + 1, s.at_size = turn % 3 ? 8 : 4;
    for (s.op = ND_GREATEST; s.op <= ND_LEAST; s.op++)
        check_plane(k, dtype, s, gap);
}

void check_pool_walk(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t iw = 1; iw <= 4 * k->vl + 2; iw += iw > 40 ? 5 : 1)
        for (ptrdiff_t size = 1; size <= 5; size++)
            for (ptrdiff_t stride = 1; stride <= 2; stride++) {
                check_windows(k, dtype, iw, size, size, stride, stride);
                check_windows(k, dtype, iw, 1 + iw % 3, size, 1 + iw % 4, stride);
            }
    check_windows(k, dtype, 3 * k->vl, ND_TAPS, ND_TAPS, 1, 1);
}
