/* Checks kernels/pool_turn.h: rows of windows of a vector of planes, by their definition. NaN is above all, the first of equals
 * wins. */
#include "check.h"
#include <math.h>
#include <string.h>

enum { ROWS = 3, COLUMNS = 3 };

static int wins(double a, double m, int op)
{
    return (op == ND_LEAST ? a < m : a > m) || (a != a && m == m);
}
static int identical(double a, double b) { return a != a ? b != b : a == b && !signbit(a) == !signbit(b); }

static ptrdiff_t get_at(const void *at, ptrdiff_t i, ptrdiff_t size)
{
    return size == 4 ? ((const int32_t *)at)[i] : (ptrdiff_t)((const int64_t *)at)[i];
}

/* Window j of plane l: its value and, unless op is a sum, its position. */
static double window(const struct nd_pool_turn *s, const void *const *rows, const ptrdiff_t *bases, ptrdiff_t j, ptrdiff_t l,
                     ptrdiff_t dilation, int dtype, ptrdiff_t *place)
{
    double m = s->op == ND_SUM ? 0 : s->op == ND_LEAST ? INFINITY : -INFINITY;
    *place = -1;
    for (ptrdiff_t r = 0; r < s->count; r++)
        for (ptrdiff_t t = 0; t < s->columns; t++) {
            const ptrdiff_t i = j * s->stride + t * dilation - s->at;
            if (i < 0 || i >= s->n)
                continue;
            const double a = get(rows[r], l * s->plane + i, dtype);
            if (s->op == ND_SUM)
                m += a;
            else if (*place < 0 || wins(a, m, s->op))
                m = a, *place = bases[r] + i;
        }
    return m;
}

/* Rows of n elements with `at` columns of nothing before them and one behind. */
static void check_turn(const struct nd_kernel_set *k, int dtype, ptrdiff_t n, int op, int places, int mode)
{
    const ptrdiff_t vl = k->vl, dilation = 1 + mode % 2, at = mode / 2 % 3;
    const void *rows[ROWS];
    ptrdiff_t bases[ROWS], taps[COLUMNS];
    struct nd_pool_turn s;
    memset(&s, 0, sizeof s);
    s.lanes = mode % 3 ? vl : 1 + below(vl);
    s.plane = n + below(3);
    s.count = mode % ROWS + 1;
    s.n = n;
    s.at = at;
    s.stride = 1 + mode / 3 % 4;
    s.columns = 1 + mode / 4 % COLUMNS;
    s.taps = taps;
    s.op = op;
    const ptrdiff_t all = at + n + 1, reach = dilation * (s.columns - 1) + 1;
    if (reach > all)
        return;
    s.ow = (all - reach) / s.stride + 1;
    for (ptrdiff_t t = 0; t < s.columns; t++)
        taps[t] = t * dilation * vl;
    for (ptrdiff_t r = 0; r < s.count; r++) {
        const ptrdiff_t last = (s.lanes - 1) * s.plane + n;
        rows[r] = op == ND_SUM ? numbers(last, dtype) : sharp_numbers(last, dtype);
        bases[r] = 100 + r * s.lanes * s.plane;
    }
    void *columns = room(all * vl * k->size), *held = room(all * vl * k->size), *shares = numbers(s.ow, dtype);
    void *y = room(s.ow * vl * k->size), *where = room(s.ow * vl * k->size);
    k->pool_fill(columns, all * vl, op == ND_SUM ? 0 : op == ND_LEAST ? INFINITY : -INFINITY);
    memset(held, 0x7f, (size_t)(all * vl * k->size));
    for (ptrdiff_t i = 0; i < all * vl; i++)
        if (k->size == 4)
            ((int32_t *)held)[i] = INT32_MAX;
        else
            ((int64_t *)held)[i] = INT64_MAX;
    s.shares = op == ND_SUM && mode % 2 ? shares : NULL;
    k->pool_turn(&s, rows, places ? bases : NULL, columns, held, y, where);
    for (ptrdiff_t i = 0; i < s.ow * s.lanes; i++) {
        const ptrdiff_t j = i / s.lanes, l = i % s.lanes;
        ptrdiff_t place;
        const double m = window(&s, rows, bases, j, l, dilation, dtype, &place) * (s.shares ? get(shares, j, dtype) : 1);
        const double got = get(y, j * vl + l, dtype);
        expect(places ? identical(got, m) : same(got, m), "pool_turn", dtype, n, mode, op);
        expect(!places || get_at(where, j * vl + l, k->size) == (place >= 0 ? place : k->size == 4 ? INT32_MAX : INT64_MAX),
               "pool_turn, place", dtype, n, mode, op);
    }
    release();
}

void check_pool_turn(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t n = 1; n <= 3 * k->vl; n++)
        for (int mode = 0; mode < 36; mode++)
            for (int op = ND_SUM; op <= ND_LEAST; op++) {
                if (op != ND_SUM)
                    check_turn(k, dtype, n, op, 1, mode);
                check_turn(k, dtype, n, op, 0, mode);
            }
}
