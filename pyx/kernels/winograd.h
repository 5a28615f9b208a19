/* winograd: transforms of minimal filtering F(m, k): m results of a k-tap correlation by m + k - 1 products,
 *
 *     y = A^T [ (G w) . (B^T x) ]
 *
 * the transposed Toom-Cook algorithm on the points 0, a, -a, b, -b and infinity with a = 5/8, b = 3/2 (6
 * points: any m + k = 7), the same without 0 (5 points: F(4, 2)) or 0, 1, -1 and infinity (4 points: F(2, 3));
 * in float64, where four times the error does not matter, also on 0, 1/2, -1/2, 1, -1, 2, -2 and infinity (8
 * points: F(6, 3)). B^T depends on the points alone:
 *
 *     row of point p    coefficients of the product of (x - q) over the other finite points q
 *     row of infinity   of the product over all of them
 *     G                 1, p, p^2 ... over the product of (p - q); the last tap alone for infinity
 *     A^T               powers of the points; infinity adds to the last result
 *
 * Points of both signs share their even and odd parts, so that 6 points cost 12 multiply-adds. Of the sets
 * tried, these points have the least error for F(4, 3): 3.9 times that of a direct sum in two dimensions,
 * where 0, 1, -1, 2, -2 have 8.5. Two dimensions are one after the other: rows, then columns.
 *
 * Lanes hold channels. Budget of the input transform, 6 x 6 points of a vector: 36 loads, 144
 * multiply-adds, 72 stores of which half stay in L1; output, 4 x 4 of 6 x 6: 60 loads, 120 operations, 40
 * stores. At c channels on both sides the products between take 36 c c / 8 operations: measured on large
 * images, the transforms and the turning of NCHW memory take 25 % of the time at 64 channels, 12 % at 256.
 *
 * Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016; Barabasz et al., arXiv
 * 1803.10986 (points). */

#define POINT_A ((T)0.625)
#define POINT_B ((T)1.5)
#define SQUARE_A ((T)0.390625)
#define SQUARE_B ((T)2.25)
#define SQUARES ((T)2.640625)    /* a^2 + b^2 */
#define PRODUCT ((T)0.87890625)  /* a^2 b^2 */
#define CUBE_A ((T)0.244140625)
#define CUBE_B ((T)3.375)
#define FOURTH_A ((T)0.152587890625)
#define FOURTH_B ((T)5.0625)

enum { NAME(MOST_POINTS) = TSIZE == 8 ? 8 : 6 };

/* B^T along an axis, in place. */
INLINE void NAME(winograd_points)(const int points, vec *z)
{
    if (points == 4) {
        const vec first = z[0] - z[2], plus = z[2] + z[1], minus = z[2] - z[1], last = z[3] - z[1];
        z[0] = first, z[1] = plus, z[2] = minus, z[3] = last;
    } else if (points == 5) {
        const vec even_a = (z[2] - z[0] * SQUARE_B) * POINT_A, odd_a = z[3] - z[1] * SQUARE_B;
        const vec even_b = (z[2] - z[0] * SQUARE_A) * POINT_B, odd_b = z[3] - z[1] * SQUARE_A;
        z[4] = z[4] - z[2] * SQUARES + z[0] * PRODUCT;
        z[0] = odd_a + even_a, z[1] = odd_a - even_a;
        z[2] = odd_b + even_b, z[3] = odd_b - even_b;
    } else if (points == 6) {
        const vec even_a = z[4] - z[2] * SQUARE_B, odd_a = z[3] - z[1] * SQUARE_B;
        const vec even_b = z[4] - z[2] * SQUARE_A, odd_b = z[3] - z[1] * SQUARE_A;
        z[0] = z[4] - z[2] * SQUARES + z[0] * PRODUCT;
        z[5] = z[5] - z[3] * SQUARES + z[1] * PRODUCT;
        z[1] = even_a + odd_a * POINT_A, z[2] = even_a - odd_a * POINT_A;
        z[3] = even_b + odd_b * POINT_B, z[4] = even_b - odd_b * POINT_B;
    } else if (points == 8) {
        const vec even_a = z[6] - z[4] * 5 + z[2] * 4, odd_a = z[5] - z[3] * 5 + z[1] * 4;
        const vec even_b = z[6] - z[4] * (T)4.25 + z[2], odd_b = z[5] - z[3] * (T)4.25 + z[1];
        const vec even_c = z[6] - z[4] * (T)1.25 + z[2] * (T)0.25;
        const vec odd_c = z[5] - z[3] * (T)1.25 + z[1] * (T)0.25;
        z[0] = z[6] - z[0] + (z[2] - z[4]) * (T)5.25;
        z[7] = z[7] - z[1] + (z[3] - z[5]) * (T)5.25;
        z[1] = even_a + odd_a * (T)0.5, z[2] = even_a - odd_a * (T)0.5;
        z[3] = even_b + odd_b, z[4] = even_b - odd_b;
        z[5] = even_c + odd_c * 2, z[6] = even_c - odd_c * 2;
    }
}

/* A^T along an axis: m results, in place. */
INLINE void NAME(winograd_results)(const int points, const int m, vec *z)
{
    if (points == 4) {
        const vec last = z[1] - z[2] + z[3];
        z[0] += z[1] + z[2];
        z[1] = last;
    } else if (points == 5) {
        const vec even_a = z[0] + z[1], odd_a = z[0] - z[1], even_b = z[2] + z[3], odd_b = z[2] - z[3];
        z[0] = even_a + even_b;
        z[1] = odd_a * POINT_A + odd_b * POINT_B;
        z[2] = even_a * SQUARE_A + even_b * SQUARE_B;
        z[3] = odd_a * CUBE_A + odd_b * CUBE_B + z[4];
    } else if (points == 6) {
        const vec even_a = z[1] + z[2], odd_a = z[1] - z[2], last = z[5];
        const vec even_b = z[3] + z[4], odd_b = z[3] - z[4];
        z[0] += even_a + even_b;
        z[1] = odd_a * POINT_A + odd_b * POINT_B;
        if (m > 2)
            z[2] = even_a * SQUARE_A + even_b * SQUARE_B;
        if (m > 3)
            z[3] = odd_a * CUBE_A + odd_b * CUBE_B;
        if (m > 4)
            z[4] = even_a * FOURTH_A + even_b * FOURTH_B;
        z[m - 1] += last;
    } else if (points == 8) {
        const vec even_a = z[1] + z[2], odd_a = z[1] - z[2], even_b = z[3] + z[4], odd_b = z[3] - z[4];
        const vec even_c = z[5] + z[6], odd_c = z[5] - z[6];
        z[0] += even_a + even_b + even_c;
        z[1] = odd_b + odd_a * (T)0.5 + odd_c * 2;
        z[2] = even_b + even_a * (T)0.25 + even_c * 4;
        z[3] = odd_b + odd_a * (T)0.125 + odd_c * 8;
        z[4] = even_b + even_a * (T)0.0625 + even_c * 16;
        z[5] = z[7] + odd_b + odd_a * (T)0.03125 + odd_c * 32;
    }
}

/* G of 4 taps, in place: 4 results of a forward tile are the taps of its weight gradient. */
INLINE void NAME(winograd_spread)(const int points, vec *z)
{
    const T below_a = 2 * SQUARE_A * (SQUARE_A - SQUARE_B), below_b = 2 * SQUARE_B * (SQUARE_B - SQUARE_A);
    if (points == 6) {
        const vec even_a = (z[0] + z[2] * SQUARE_A) * (1 / below_a);
        const vec even_b = (z[0] + z[2] * SQUARE_B) * (1 / below_b);
        const vec odd_a = (z[1] + z[3] * SQUARE_A) * (POINT_A / below_a);
        const vec odd_b = (z[1] + z[3] * SQUARE_B) * (POINT_B / below_b);
        z[0] = z[0] * (1 / PRODUCT);
        z[5] = z[3];
        z[1] = even_a + odd_a, z[2] = even_a - odd_a;
        z[3] = even_b + odd_b, z[4] = even_b - odd_b;
    }
}

/* ------------------------------------------------------------------------------------------------ input */

/* One vector of channels, `lanes` of them; a tile that is not whole has zeros outside its clip. Of a
 * gradient 4 rows and columns are taken and spread. The part of the next tile in the row that this one does
 * not see is asked for. */
INLINE void NAME(winograd_load)(const int ph, const int pw, const int spread, const int whole, T *to,
                                ptrdiff_t to_point, const T *from, ptrdiff_t row, ptrdiff_t col,
                                const ptrdiff_t *clip, ptrdiff_t lanes)
{
    const int rows = spread && ph > 1 ? 4 : ph, cols = spread && pw > 1 ? 4 : pw;
    const int next = pw == 8 ? 6 : pw > 1 ? 4 : 1;
    const ivec inside = NAME(lanes_inside)(0, lanes);
    vec t[NAME(MOST_POINTS)][NAME(MOST_POINTS)], z[NAME(MOST_POINTS)];
#pragma GCC unroll 1
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int s = 0; s < cols; s++) {
            if (whole) {
                z[s] = NAME(load)(from + r * row + s * col);
                if (s >= cols - next)
                    __builtin_prefetch(from + r * row + (s + next) * col);
            } else if (r < clip[0] || r >= clip[1] || s < clip[2] || s >= clip[3]) {
                z[s] = (vec){0};
            } else {
                const T *at = from + r * row + s * col;
                z[s] = lanes < VL ? NAME(load_masked)(at, inside) : NAME(load)(at);
            }
        }
        if (spread)
            NAME(winograd_spread)(pw, z);
        else
            NAME(winograd_points)(pw, z);
#pragma GCC unroll 8
        for (int s = 0; s < pw; s++)
            t[r][s] = z[s];
    }
#pragma GCC unroll 1
    for (int s = 0; s < pw; s++) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            z[r] = t[r][s];
        if (spread)
            NAME(winograd_spread)(ph, z);
        else
            NAME(winograd_points)(ph, z);
#pragma GCC unroll 8
        for (int r = 0; r < ph; r++)
            NAME(store)(to + (r * pw + s) * to_point, z[r]);
    }
}

INLINE void NAME(winograd_input_of)(const int ph, const int pw, const int spread, T *to, ptrdiff_t to_point,
                                    const T *from, ptrdiff_t row, ptrdiff_t col, const ptrdiff_t *clip,
                                    ptrdiff_t n)
{
    const int rows = spread && ph > 1 ? 4 : ph, cols = spread && pw > 1 ? 4 : pw;
    ptrdiff_t c = 0;
    if (clip[0] == 0 && clip[1] == rows && clip[2] == 0 && clip[3] == cols)
        for (; c + VL <= n; c += VL)
            NAME(winograd_load)(ph, pw, spread, 1, to + c, to_point, from + c, row, col, clip, VL);
    for (; c < n; c += VL)
        NAME(winograd_load)(ph, pw, spread, 0, to + c, to_point, from + c, row, col, clip, n - c);
}

/* to[(i*pw + j)*to_point + c] = sum over r, s of B^T[i, r] B^T[j, s] from[r*row + s*col + c], c < n, for
 * rows and columns clip[0] <= r < clip[1], clip[2] <= s < clip[3]: the rest counts as zero. Writes whole
 * vectors. */
static void NAME(winograd_input)(const struct nd_winograd *v, void *to, ptrdiff_t to_point, const void *from,
                                 ptrdiff_t row, ptrdiff_t col, const ptrdiff_t *clip, ptrdiff_t n)
{
    if (v->points_h == 6 && v->points_w == 6)
        NAME(winograd_input_of)(6, 6, 0, to, to_point, from, row, col, clip, n);
    else if (TSIZE == 8 && v->points_h == 8)
        NAME(winograd_input_of)(8, 8, 0, to, to_point, from, row, col, clip, n);
    else if (v->points_h == 5)
        NAME(winograd_input_of)(5, 5, 0, to, to_point, from, row, col, clip, n);
    else if (v->points_h == 4)
        NAME(winograd_input_of)(4, 4, 0, to, to_point, from, row, col, clip, n);
    else if (v->points_h == 1)
        NAME(winograd_input_of)(1, 6, 0, to, to_point, from, row, col, clip, n);
    else
        NAME(winograd_input_of)(6, 1, 0, to, to_point, from, row, col, clip, n);
}

/* The same with G of 4 taps for B^T. */
static void NAME(winograd_gradient)(const struct nd_winograd *v, void *to, ptrdiff_t to_point,
                                    const void *from, ptrdiff_t row, ptrdiff_t col, const ptrdiff_t *clip,
                                    ptrdiff_t n)
{
    if (v->points_h == 6 && v->points_w == 6)
        NAME(winograd_input_of)(6, 6, 1, to, to_point, from, row, col, clip, n);
    else if (v->points_h == 1)
        NAME(winograd_input_of)(1, 6, 1, to, to_point, from, row, col, clip, n);
    else
        NAME(winograd_input_of)(6, 1, 1, to, to_point, from, row, col, clip, n);
}

/* ----------------------------------------------------------------------------------------------- output */

/* One vector of channels; returns the results times zero, added up. */
INLINE vec NAME(winograd_store)(const int ph, const int pw, const int mh, const int mw, const int whole,
                                T *to, ptrdiff_t row, ptrdiff_t col, const T *from, ptrdiff_t from_point,
                                ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes, vec bias)
{
    vec t[NAME(MOST_POINTS)][NAME(MOST_POINTS)], z[NAME(MOST_POINTS)], odd = {0};
#pragma GCC unroll 1
    for (int s = 0; s < pw; s++) {
#pragma GCC unroll 8
        for (int r = 0; r < ph; r++)
            z[r] = NAME(load)(from + (r * pw + s) * from_point);
        NAME(winograd_results)(ph, mh, z);
#pragma GCC unroll 8
        for (int r = 0; r < mh; r++)
            t[r][s] = z[r];
    }
#pragma GCC unroll 1
    for (int r = 0; r < mh; r++) {
#pragma GCC unroll 8
        for (int s = 0; s < pw; s++)
            z[s] = t[r][s];
        NAME(winograd_results)(pw, mw, z);
#pragma GCC unroll 8
        for (int s = 0; s < mw; s++) {
            odd += z[s] * (T)0;
            if (whole) {
                NAME(store)(to + r * row + s * col, z[s] + bias);
                __builtin_prefetch(to + r * row + (s + mw) * col, 1);
            } else if (r < rows && s < cols) {
                if (lanes < VL)
                    NAME(store_part)(to + r * row + s * col, z[s] + bias, lanes);
                else
                    NAME(store)(to + r * row + s * col, z[s] + bias);
            }
        }
    }
    return odd;
}

INLINE int NAME(winograd_output_of)(const int ph, const int pw, const int mh, const int mw, T *to,
                                    ptrdiff_t row, ptrdiff_t col, const T *from, ptrdiff_t from_point,
                                    ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t n, const T *bias)
{
    ptrdiff_t c = 0;
    vec odd = {0};
    int found = 0;
    if (rows >= mh && cols >= mw)
        for (; c + VL <= n; c += VL)
            odd += NAME(winograd_store)(ph, pw, mh, mw, 1, to + c, row, col, from + c, from_point, mh, mw, VL,
                                        bias ? NAME(load)(bias + c) : (vec){0});
    for (int l = 0; l < VL; l++)
        found |= odd[l] != 0;
    for (; c < n; c += VL) {
        const ptrdiff_t lanes = n - c < VL ? n - c : VL;
        odd = NAME(winograd_store)(ph, pw, mh, mw, 0, to + c, row, col, from + c, from_point, rows, cols,
                                   lanes, bias ? NAME(load_part)(bias + c, lanes) : (vec){0});
        for (int l = 0; l < lanes; l++)
            found |= odd[l] != 0;
    }
    return found;
}

/* to[i*row + j*col + c] = bias[c] + sum over r, s of A^T[i, r] A^T[j, s] from[(r*pw + s)*from_point + c],
 * c < n, for i < rows, j < cols; whole vectors of `from` are read. Returns whether any result of the tile,
 * before the bias and also of those that are not stored, is not finite. bias may be NULL. */
static int NAME(winograd_output)(const struct nd_winograd *v, void *to, ptrdiff_t row, ptrdiff_t col,
                                 const void *from, ptrdiff_t from_point, ptrdiff_t rows, ptrdiff_t cols,
                                 ptrdiff_t n, const void *bias)
{
    if (v->points_h == 6 && v->points_w == 6)
        return v->taps == 3
            ? NAME(winograd_output_of)(6, 6, 4, 4, to, row, col, from, from_point, rows, cols, n, bias)
            : NAME(winograd_output_of)(6, 6, 3, 3, to, row, col, from, from_point, rows, cols, n, bias);
    if (TSIZE == 8 && v->points_h == 8)
        return NAME(winograd_output_of)(8, 8, 6, 6, to, row, col, from, from_point, rows, cols, n, bias);
    if (v->points_h == 5)
        return NAME(winograd_output_of)(5, 5, 4, 4, to, row, col, from, from_point, rows, cols, n, bias);
    if (v->points_h == 4)
        return NAME(winograd_output_of)(4, 4, 2, 2, to, row, col, from, from_point, rows, cols, n, bias);
    if (v->points_h == 1)
        return v->taps == 3
            ? NAME(winograd_output_of)(1, 6, 1, 4, to, row, col, from, from_point, rows, cols, n, bias)
            : NAME(winograd_output_of)(1, 6, 1, 3, to, row, col, from, from_point, rows, cols, n, bias);
    return v->taps == 3
        ? NAME(winograd_output_of)(6, 1, 4, 1, to, row, col, from, from_point, rows, cols, n, bias)
        : NAME(winograd_output_of)(6, 1, 3, 1, to, row, col, from, from_point, rows, cols, n, bias);
}

/* --------------------------------------------------------------------------------------------- products */

/* One register tile, as in gemm.h, without its many forms of B and y; lines of B's successor are asked for
 * on the way, `step` bytes a k. */
INLINE void NAME(winograd_tile)(const int mc, const int vc, const struct nd_walk *walk, const T *a,
                                const T *b, T *y, ptrdiff_t y_row, int start, const char *ahead,
                                ptrdiff_t step)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
    const ptrdiff_t row = walk->a_row, row3 = 3 * row, a_k = walk->a_k, b_k = walk->b_k;
#pragma GCC unroll 16
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 16
        for (int v = 0; v < vc; v++)
            sum[i][v] = start == ND_CONTINUE ? NAME(load)(y + i * y_row + v * VL) : (vec){0};
    for (ptrdiff_t run = 0; run < walk->runs; run++) {
        const T *pa = a + walk->a_off[run], *pb = b + walk->b_off[run];
        for (ptrdiff_t j = walk->len; j > 0; j--, pa += a_k, pb += b_k, ahead += step) {
            vec vb[TILE_VECTORS];
            __builtin_prefetch(ahead);
#pragma GCC unroll 16
            for (int v = 0; v < vc; v++)
                vb[v] = NAME(load)(pb + v * VL);
#pragma GCC unroll 16
            for (int i = 0; i < mc; i++)
#pragma GCC unroll 16
                for (int v = 0; v < vc; v++)
                    sum[i][v] += vb[v] * pa[(i / 3) * row3 + (i % 3) * row];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 16
        for (int v = 0; v < vc; v++) {
            T *to = y + i * y_row + v * VL;
            NAME(store)(to, start == ND_ADD ? NAME(load)(to) + sum[i][v] : sum[i][v]);
        }
}

/* One function per tile size, as in gemm.h. */
#define TILE(mc)                                                                                             \
    case mc:                                                                                                 \
        return NAME(winograd_tile)(mc, vc, walk, a, b, y, y_row, start, ahead, step);

INLINE void NAME(winograd_rows)(const int vc, const struct nd_walk *walk, ptrdiff_t m, const T *a, const T *b,
                                T *y, ptrdiff_t y_row, int start, const char *ahead, ptrdiff_t step)
{
    switch (m) {
        TILES
    }
}
#undef TILE

/* y[i*y_row + j] (+)= sum over the walk of A[i] * B[j], i < m, j < vectors * VL: all tiles of a panel. The
 * panel after this one, at `ahead`, is asked for meanwhile: weights that come from the last level of the
 * cache or from memory arrive in time. */
static void NAME(winograd_multiply)(const struct nd_walk *walk, ptrdiff_t m, ptrdiff_t vectors,
                                    const void *a_, const void *b, void *y_, ptrdiff_t y_row, int start,
                                    const void *ahead_)
{
    const ptrdiff_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS, height = m / tiles, taller = m % tiles;
    const ptrdiff_t step = TILE_VECTORS * VL_BYTES / tiles;
    const T *a = a_;
    const char *ahead = ahead_;
    T *y = y_;
    for (ptrdiff_t t = 0; t < tiles; t++) {
        const ptrdiff_t rows = height + (t < taller);
        switch (vectors) {
        case 1:
            NAME(winograd_rows)(1, walk, rows, a, b, y, y_row, start, ahead, step);
            break;
        case 2:
            NAME(winograd_rows)(2, walk, rows, a, b, y, y_row, start, ahead, step);
            break;
#if TILE_VECTORS > 2
        case 3:
            NAME(winograd_rows)(3, walk, rows, a, b, y, y_row, start, ahead, step);
            break;
#endif
        }
        a += rows * walk->a_row, y += rows * y_row, ahead += walk->runs * walk->len * step;
    }
}

/* ---------------------------------------------------------------------------------------------- weights */

/* Weights are transformed in double and rounded once: a vector of doubles, and as many elements. */
enum { NAME(DOUBLES) = VL_BYTES / 8 };
typedef double NAME(wide) __attribute__((vector_size(VL_BYTES)));
typedef T NAME(narrow) __attribute__((vector_size(VL_BYTES / 8 * TSIZE), aligned(TSIZE), may_alias));

INLINE NAME(wide) NAME(widen)(const T *p)
{
#if TSIZE == 4 && defined(WIDEN_F32)
    return WIDEN_F32(*(const NAME(narrow) *)p);
#else
    return __builtin_convertvector(*(const NAME(narrow) *)p, NAME(wide));
#endif
}

/* G along an axis: points from k taps, to and from `step` apart. */
INLINE void NAME(winograd_taps)(const int points, NAME(wide) *to, int to_step, const NAME(wide) *from,
                                int step)
{
    const double a = 0.625, b = 1.5, squares = a * a * b * b, below_a = 2 * a * a * (a * a - b * b),
                 below_b = 2 * b * b * (b * b - a * a);
    if (points == 1) {
        to[0] = from[0];
    } else if (points == 4) {
        const NAME(wide) even = (from[0] + from[2 * step]) * 0.5, odd = from[step] * 0.5;
        to[0] = from[0], to[3 * to_step] = from[2 * step];
        to[to_step] = even + odd, to[2 * to_step] = even - odd;
    } else if (points == 5) {
        const double half_a = 1 / (2 * (a * a - b * b)), half_b = 1 / (2 * (b * b - a * a));
        const NAME(wide) even_a = from[0] * (half_a / a), odd_a = from[step] * half_a;
        const NAME(wide) even_b = from[0] * (half_b / b), odd_b = from[step] * half_b;
        to[0] = odd_a + even_a, to[to_step] = odd_a - even_a;
        to[2 * to_step] = odd_b + even_b, to[3 * to_step] = odd_b - even_b;
        to[4 * to_step] = from[step];
    } else if (points == 8) {
        const double below_half = 1.40625, below_one = -4.5, below_two = 90;
        const NAME(wide) even_a = from[0] * (1 / below_half) + from[2 * step] * (0.25 / below_half);
        const NAME(wide) even_b = (from[0] + from[2 * step]) * (1 / below_one);
        const NAME(wide) even_c = from[0] * (1 / below_two) + from[2 * step] * (4 / below_two);
        const NAME(wide) odd_a = from[step] * (0.5 / below_half), odd_b = from[step] * (1 / below_one);
        const NAME(wide) odd_c = from[step] * (2 / below_two);
        to[0] = -from[0];
        to[to_step] = even_a + odd_a, to[2 * to_step] = even_a - odd_a;
        to[3 * to_step] = even_b + odd_b, to[4 * to_step] = even_b - odd_b;
        to[5 * to_step] = even_c + odd_c, to[6 * to_step] = even_c - odd_c;
        to[7 * to_step] = from[2 * step];
    } else {
        const NAME(wide) even_a = from[0] * (1 / below_a) + from[2 * step] * (a * a / below_a);
        const NAME(wide) even_b = from[0] * (1 / below_b) + from[2 * step] * (b * b / below_b);
        const NAME(wide) odd_a = from[step] * (a / below_a), odd_b = from[step] * (b / below_b);
        to[0] = from[0] * (1 / squares);
        to[to_step] = even_a + odd_a, to[2 * to_step] = even_a - odd_a;
        to[3 * to_step] = even_b + odd_b, to[4 * to_step] = even_b - odd_b;
        to[5 * to_step] = from[2 * step];
    }
}

INLINE void NAME(winograd_weights_of)(const int ph, const int pw, T *to, ptrdiff_t to_point, const T *from,
                                      ptrdiff_t n, ptrdiff_t width)
{
    const int kh = ph == 5 ? 2 : ph > 1 ? 3 : 1, kw = pw == 5 ? 2 : pw > 1 ? 3 : 1;
    for (ptrdiff_t c = 0; c < n; c++, to += width, from += kh * kw * width)
        for (ptrdiff_t l = 0; l < width; l += NAME(DOUBLES)) {
            NAME(wide) w[9], t[3 * NAME(MOST_POINTS)], u[NAME(MOST_POINTS)];
#pragma GCC unroll 9
            for (int i = 0; i < kh * kw; i++)
                w[i] = NAME(widen)(from + i * width + l);
#pragma GCC unroll 3
            for (int i = 0; i < kh; i++)
                NAME(winograd_taps)(pw, t + i * pw, 1, w + i * kw, 1);
#pragma GCC unroll 8
            for (int s = 0; s < pw; s++) {
                NAME(winograd_taps)(ph, u, 1, t + s, pw);
#pragma GCC unroll 8
                for (int r = 0; r < ph; r++)
                    *(NAME(narrow) *)(to + (r * pw + s) * to_point + l) =
                        __builtin_convertvector(u[r], NAME(narrow));
            }
        }
}

/* to[(i*pw + j)*to_point + c*width + l] = sum over r, s of G[i, r] G[j, s] from[((c*kh + r)*kw + s)*width
 * + l], c < n, l < width, a multiple of the vector. */
static void NAME(winograd_weights)(const struct nd_winograd *v, void *to, ptrdiff_t to_point,
                                   const void *from, ptrdiff_t n, ptrdiff_t width)
{
    if (v->points_h == 6 && v->points_w == 6)
        NAME(winograd_weights_of)(6, 6, to, to_point, from, n, width);
    else if (TSIZE == 8 && v->points_h == 8)
        NAME(winograd_weights_of)(8, 8, to, to_point, from, n, width);
    else if (v->points_h == 5)
        NAME(winograd_weights_of)(5, 5, to, to_point, from, n, width);
    else if (v->points_h == 4)
        NAME(winograd_weights_of)(4, 4, to, to_point, from, n, width);
    else if (v->points_h == 1)
        NAME(winograd_weights_of)(1, 6, to, to_point, from, n, width);
    else
        NAME(winograd_weights_of)(6, 1, to, to_point, from, n, width);
}
