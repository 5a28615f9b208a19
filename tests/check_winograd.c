/* Checks kernels/winograd.h: each transform against its matrix, built here from the points by Lagrange's and Toom's
 * definitions, and all three together against a plain correlation. */
#include "check.h"
#include <math.h>

enum { MOST = 8 };
static const double points_of_8[] = {0, 0.5, -0.5, 1, -1, 2, -2}, points_of_6[] = {0, 0.625, -0.625, 1.5, -1.5};
static const double points_of_4[] = {0, 1, -1};   /* 5: of 6 without 0 */

/* The matrices of an axis of 1, 4, 5, 6 or 8 points and k taps, m results. Signs of a row of B^T may differ as long as G's do. */
struct axis {
    int n, m, k;
    double bt[MOST][MOST], g[MOST][MOST], at[MOST][MOST];
};

static struct axis axis_of(int n, int k)
{
    struct axis a = {.n = n, .k = n == 1 ? 1 : k, .m = n == 1 ? 1 : n - k + 1};
    const double *p = n == 8 ? points_of_8 : n == 6 ? points_of_6 : n == 5 ? points_of_6 + 1 : points_of_4;
    if (n == 1)
        a.bt[0][0] = a.g[0][0] = a.at[0][0] = 1;
    for (int j = 0; j < n && n > 1; j++) {
        /* coefficients of the product of (x - q) over the other finite points, and its value at this one */
        double below = 1;
        int degree = 0;
        a.bt[j][0] = 1;
        for (int l = 0; l < n - 1; l++) {
            if (l == j)
                continue;
            for (int i = ++degree; i >= 0; i--)
                a.bt[j][i] = (i ? a.bt[j][i - 1] : 0) - p[l] * a.bt[j][i];
            below *= j < n - 1 ? p[j] - p[l] : 1;
        }
        for (int i = 0; i < a.k; i++)
            a.g[j][i] = j < n - 1 ? pow(p[j], i) / below : i == a.k - 1;
        for (int i = 0; i < a.m; i++)
            a.at[i][j] = j < n - 1 ? pow(p[j], i) : i == a.m - 1;
    }
    if (n == 4) /* as the kernels have it: x0 - x2 and a weight as it is */
        for (int i = 0; i < MOST; i++)
            a.bt[0][i] = -a.bt[0][i], a.g[0][i] = -a.g[0][i];
    return a;
}

static ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* Element [i, j] of left x right^T, x of r x s elements at from, rows and columns row and col apart. */
static double product(double left[MOST][MOST], double right[MOST][MOST], int i, int j, const void *from, ptrdiff_t row,
                      ptrdiff_t col, const ptrdiff_t *clip, int dtype)
{
    double sum = 0;
    for (ptrdiff_t r = clip[0]; r < clip[1]; r++)
        for (ptrdiff_t s = clip[2]; s < clip[3]; s++)
            sum += left[i][r] * right[j][s] * get(from, r * row + s * col, dtype);
    return sum;
}

/* Tiles of x or of a gradient, clipped at either end; n channels, in memory that ends with them. */
static void check_input(const struct nd_kernel_set *k, int dtype, struct nd_winograd v, ptrdiff_t n, int gradient, int mode)
{
    struct axis h = axis_of(v.points_h, v.taps), w = axis_of(v.points_w, v.taps);
    const ptrdiff_t rows = gradient ? h.k : h.n, cols = gradient ? w.k : w.n, col = n + 1, row = cols * col + 2;
    const ptrdiff_t whole = whole_vectors(n, k->vl), point = whole + k->vl;
    const ptrdiff_t clip[4] = {mode & 1 && rows > 1, rows - (mode & 2 && rows > 2), mode & 2 && cols > 1,
                               cols - (mode & 1 && cols > 2)};
    /* what is clipped lies outside the array */
    const ptrdiff_t begin = clip[0] * row + clip[2] * col, end = (clip[1] - 1) * row + (clip[3] - 1) * col + n;
    const void *from = item(numbers(end - begin, dtype), -begin, dtype);
    void *to = numbers((h.n * w.n - 1) * point + whole, dtype);
    (gradient ? k->winograd_gradient : k->winograd_input)(&v, to, point, from, row, col, clip, n);
    for (int i = 0; i < h.n * w.n; i++)
        for (ptrdiff_t c = 0; c < n; c++) {
            const double e = product(gradient ? h.g : h.bt, gradient ? w.g : w.bt, i / w.n, i % w.n, item(from, c, dtype), row, col,
                                     clip, dtype);
            expect(near(get(to, i * point + c, dtype), e, 100, dtype), gradient ? "winograd_gradient" : "winograd_input", dtype,
                   v.points_h * 10 + v.points_w, n, mode);
        }
    release();
}

static void check_weights(const struct nd_kernel_set *k, int dtype, struct nd_winograd v)
{
    struct axis h = axis_of(v.points_h, v.taps), w = axis_of(v.points_w, v.taps);
    const ptrdiff_t n = 3, width = k->nr, taps = h.k * w.k, point = n * width + 5, clip[4] = {0, h.k, 0, w.k};
    void *from = numbers(n * taps * width, dtype), *to = numbers((h.n * w.n - 1) * point + n * width, dtype);
    k->winograd_weights(&v, to, point, from, n, width);
    for (int i = 0; i < h.n * w.n; i++)
        for (ptrdiff_t j = 0; j < n * width; j++) {
            const double e = product(h.g, w.g, i / w.n, i % w.n, item(from, j / width * taps * width + j % width, dtype),
                                     w.k * width, width, clip, dtype);
            expect(near(get(to, i * point + j, dtype), e, 20, dtype), "winograd_weights", dtype, v.points_h * 10 + v.points_w, j, 0);
        }
    release();
}

/* rows x cols of the results; with a bias; mode 2 has a NaN among the channels, or (3) in a lane after them. */
static void check_output(const struct nd_kernel_set *k, int dtype, struct nd_winograd v, ptrdiff_t n, int mode)
{
    struct axis h = axis_of(v.points_h, v.taps), w = axis_of(v.points_w, v.taps);
    const ptrdiff_t rows = most(h.m - mode % 2, 1), cols = most(w.m - mode % 2, 1), col = n + 1, row = cols * col + 2;
    const ptrdiff_t whole = whole_vectors(n, k->vl), point = whole + 1;
    void *from = numbers((h.n * w.n - 1) * point + whole, dtype), *to = numbers((rows - 1) * row + (cols - 1) * col + n, dtype);
    void *bias = numbers(n, dtype);
    const ptrdiff_t bad = mode == 2 ? below(n) : mode == 3 && whole > n ? n : -1;
    if (bad >= 0)
        put(from, bad, dtype, NAN);
    const int found = k->winograd_output(&v, to, row, col, from, point, rows, cols, n, mode ? bias : NULL);
    expect(found == (mode == 2), "winograd_output: finite", dtype, v.points_h * 10 + v.points_w, n, mode);
    for (int i = 0; i < rows * cols; i++)
        for (ptrdiff_t c = 0; c < n; c++) {
            if (c == bad)
                continue;
            double e = mode ? get(bias, c, dtype) : 0;
            for (int r = 0; r < h.n; r++)
                for (int s = 0; s < w.n; s++)
                    e += h.at[i / cols][r] * w.at[i % cols][s] * get(from, (r * w.n + s) * point + c, dtype);
            expect(near(get(to, i / cols * row + i % cols * col + c, dtype), e, 1000, dtype), "winograd_output", dtype,
                   v.points_h * 10 + v.points_w, n, mode);
        }
    release();
}

/* m tiles of rows, two runs, and a partial panel; y is added to unless it starts from zero. Rows of A are `a_row`
 * apart, columns `a_k`. */
static void check_multiply(const struct nd_kernel_set *k, int dtype, ptrdiff_t m, ptrdiff_t vectors, int start, int turned)
{
    const ptrdiff_t len = 5, a_row = turned ? 1 : 2 * len + 3, a_k = turned ? m + 2 : 1, b_k = k->nr + turned;
    const ptrdiff_t a_off[2] = {0, len * a_k + 1}, b_off[2] = {len * b_k, 0}, n = vectors * k->vl, y_row = n + 2;
    const struct nd_walk walk = {2, len, a_off, b_off, a_row, a_k, b_k};
    void *a = numbers((m - 1) * a_row + a_off[1] + (len - 1) * a_k + 1, dtype);
    void *b = numbers((2 * len - 1) * b_k + n, dtype), *y = numbers((m - 1) * y_row + n, dtype);
    double *before = room((ptrdiff_t)sizeof(double) * m * n);
    for (ptrdiff_t i = 0; i < m * n; i++)
        before[i] = start != ND_ZERO ? get(y, i / n * y_row + i % n, dtype) : 0;
    k->winograd_multiply(&walk, m, vectors, a, b, y, y_row, start, b);
    for (ptrdiff_t i = 0; i < m * n; i++) {
        double e = before[i];
        for (int run = 0; run < 2; run++)
            for (ptrdiff_t j = 0; j < len; j++)
                e += get(a, i / n * a_row + a_off[run] + j * a_k, dtype) * get(b, b_off[run] + j * b_k + i % n, dtype);
        expect(get(y, i / n * y_row + i % n, dtype) == e, "winograd_multiply", dtype, m, vectors, start + 10 * turned);
    }
    release();
}

void check_winograd(const struct nd_kernel_set *k, int dtype)
{
    static const struct nd_winograd forms[] = {{6, 6, 3}, {4, 4, 3}, {5, 5, 2}, {1, 6, 3}, {6, 1, 3}, {8, 8, 3}};
    for (int form = 0; form < (dtype == ND_F64 ? 6 : 5); form++) {
        struct nd_winograd v = forms[form];
        check_weights(k, dtype, v);
        for (ptrdiff_t n = 1; n <= 2 * k->vl + 1; n++)
            for (int mode = 0; mode < 4; mode++) {
                check_input(k, dtype, v, n, 0, mode);
                check_output(k, dtype, v, n, mode);
                if (v.points_h == 4 || v.points_h == 5 || v.points_h == 8)
                    continue;
                const struct nd_winograd w = {v.points_h, v.points_w, 4};
                check_input(k, dtype, w, n, 1, mode);
                check_output(k, dtype, w, n, mode);
            }
    }
    for (ptrdiff_t m = 1; m <= 2 * k->mr + 1; m++)
        for (ptrdiff_t vectors = 1; vectors <= k->nr / k->vl; vectors++) {
            check_multiply(k, dtype, m, vectors, ND_ZERO, 0);
            check_multiply(k, dtype, m, vectors, ND_ADD, 0);
            check_multiply(k, dtype, m, vectors, ND_ADD, 1);
            check_multiply(k, dtype, m, vectors, ND_CONTINUE, 1);
        }
}
