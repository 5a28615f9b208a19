/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernels: the contract between the algorithms (Cython) and the inner loops (C).
 *
 * One `struct nd_kernels` per instruction set, one `struct nd_kernel_set` per dtype in it. A kernel knows
 * nothing of convolution geometry beyond the comment at its member; pointers are typed by the dtype of the set.
 * Adding a kernel: a member here, a body in kernels/, a line in kernels/instantiate.h.
 */
#ifndef ND_KERNELS_H
#define ND_KERNELS_H
#include "problem.h"

enum { ND_LIST = -1 };
/* How a tile walks k: `runs` runs of `len` steps. Step j of run r reads column a + a_off[r] + j*a_k of A
 * (its MR rows a_row apart) and row b + b_off[r] + j*b_k of B (contiguous vectors). Strides count elements.
 * With runs = ND_LIST, where A is packed (a_row = 1, a_k = MR), step j < len reads column a + j*a_k and row b + b_off[j]. */
struct nd_walk {
    ptrdiff_t runs, len;
    const ptrdiff_t *a_off, *b_off;
    ptrdiff_t a_row, a_k, b_k;
};

/* What a tile's sums start from: ND_ADD adds what y holds in the end, ND_CONTINUE begins with it. */
enum nd_start { ND_ZERO, ND_ADD, ND_BIAS_ROW, ND_BIAS_COLUMN, ND_CONTINUE };

/* What is done to a result before it is left: low is the slope of leaky_relu, low and high are the bounds of clip. */
enum nd_activation { ND_NONE, ND_RELU, ND_LEAKY_RELU, ND_SIGMOID, ND_TANH, ND_SILU, ND_CLIP };

/* A Fourier transform of n points along one axis: the radix of each pass, largest block first, and for each pass of
 * blocks of r*m points the r-1 complex factors exp(-2 pi i j q / (r m)), 1 <= q < r, of every 0 <= j < m. */
enum { ND_PASSES = 40 };
struct nd_axis {
    ptrdiff_t n;
    const void *factors;
    unsigned char radix[ND_PASSES];
};

/* A complex product at one frequency, see kernels/fft_product.h. Strides count elements; k steps of A are taken in
 * runs of `run`, a_run apart, steps within a run a_k apart; imaginary parts lie a_im after real ones. */
struct nd_product {
    ptrdiff_t k, run, a_run, a_k, a_row, a_im, b_k, c_row;
    int add; /* to what C holds */
};

/* Winograd transforms, kernels/winograd.h: points along each axis, 1, 4, 5, 6 or (float64) 8; taps of the kernel on an axis of 6:
 * 3, or 4 for a weight gradient. */
struct nd_winograd {
    int points_h, points_w, taps;
};
/* How pooling combines elements. */
enum nd_pool_op { ND_SUM, ND_GREATEST, ND_LEAST };
/* What happens at the cells that indices name: dy is added, put there, or taken from there. */
enum nd_at { ND_ADD_AT, ND_PUT, ND_TAKE };

/* Rows of windows in memory whose rows are contiguous: each combines `count` rows of n elements to a buffer from element
 * `at` on (element e at e%split*phase + e/split, split 1 or 2), then `columns` taps of the buffer to ow results, times
 * shares[j] unless shares is NULL. The next row of windows reads row_step further and writes y_step further. */
struct nd_pool_rows {
    ptrdiff_t count, n, at, split, phase;
    const ptrdiff_t *taps;
    ptrdiff_t columns, ow, row_step, y_step;
    int op;
    const void *shares;
};

/* The same with positions, for small windows: `columns` elements of each row, `dilation` apart, windows `stride` apart, the
 * first `pad` before the row's n elements. Windows first <= j < last lie in the row. Bases of rows grow by place_step from one
 * row of windows to the next; positions are integers of at_size bytes. */
struct nd_pool_places {
    ptrdiff_t count, columns, stride, dilation, pad, n, first, last, ow;
    ptrdiff_t row_step, y_step, at_step, place_step, at_size;
    int op;
};
enum { ND_PLACES = 32 }; /* cells of such a window at most */

/* Lines of small windows of kh x kw cells of a plane of ih rows of iw contiguous elements, rows `row` apart: window j of line l
 * begins in row top + l*sh and column left + j*sw, sw 1 or 2, kh and kw at most ND_TAPS, and has at least one row and column in
 * x. Lines are y_row and at_row apart; positions count fw elements a row and are integers of at_size bytes. `rows` rows of x,
 * kh to ND_ROWS, are taken at a time; `pitch` elements hold a row and what is read beside it: 2*vl + kw more. */
struct nd_pool_walk {
    ptrdiff_t kh, kw, sh, sw, top, left, ih, iw, row, lines, ow, rows, pitch;
    ptrdiff_t y_row, at_row, at_size, fw;
    int op;
};
enum { ND_ROWS = 256, ND_TAPS = 8 };

/* The same without positions: windows of k x k cells that move by one, also where they have no cell in x; `before` and `after`
 * elements before and behind the plane are readable. Sums are multiplied by shares[j], readable up to whole vectors. */
struct nd_pool_lines {
    ptrdiff_t k, top, left, ih, iw, row, lines, ow, y_row, before, after;
    int op;
    const void *shares;
};

/* A row of windows of `lanes` <= vl planes, `plane` elements apart: `columns` columns of `count` rows a window, `stride` columns
 * from one window to the next. The n elements of a row of x are columns at, at + 1, ... of those that windows count. */
struct nd_pool_turn {
    ptrdiff_t lanes, plane, count, n, at, stride;
    const ptrdiff_t *taps;
    ptrdiff_t columns, ow;
    int op;
    const void *shares;
};

/* Neighbouring windows of `count` rows and kw columns of pixels, `pixel` elements apart, dw pixels from one column to the next and
 * sw from one window to the next, the first one at pixel `first`: `channels` neighbouring elements of each. Results are y_pixel
 * apart, sums times `share`. */
struct nd_pool_pixels {
    ptrdiff_t count, kw, sw, dw, first, windows, pixel, y_pixel, channels;
    int op;
    double share;
};

/* A row of windows and the rows of iw pixels of dx that they hold, pixels `pixel`, dy_pixel and at_pixel elements apart, with
 * `channels` neighbouring elements of each: kw columns dw pixels apart, sw pixels from one window to the next, the first one
 * `pad` pixels before the row. Maxima also have a vector of channels at least, indices of at_size bytes, and `rows` rows of
 * cells that are here: positions low <= i < high are those of all rows of the windows, inside_low <= i < inside_high those
 * that are here. */
struct nd_pool_route {
    ptrdiff_t rows, windows, kw, sw, dw, pad, iw, pixel, dy_pixel, at_pixel, channels, at_size, low, high, inside_low, inside_high;
};
enum { ND_ROUTED = 16 };

/* A block of output rows of a depthwise convolution, see kernels/depthwise.h. Plane p of the input begins plane[p] further,
 * column j of the taps column[j] further; rows of taps are `row` apart, output rows `step` = sh*row. Strides count elements.
 * Lanes that hold pixels: result i and tap j meet in column first + i*stride + column[j] of a row of `width` elements, x being
 * at column 0; what lies outside it counts as zero and is not read, as are input rows (row r*sh + t) below `low` or from `high`
 * on. Or (`lines` not NULL: 3x3 taps of one plane, a column outside x on either side, rows of more than a vector) what lies
 * outside is not zero: input row q begins lines[q] further than x or, if that is ND_CONSTANT, at `constants`, and the columns
 * before and after x show its elements left and right, or constants[0].
 * Lanes that hold channels: rows low <= q < high and cells 0 <= first + i*stride + j*spread < width are read, neighbouring
 * cells are `pixel` apart, x is at cell 0; results are y_pixel apart, weights of vectors of channels w_vector. */
#define ND_CONSTANT PTRDIFF_MIN
struct nd_depthwise {
    ptrdiff_t planes, kh, kw;
    const ptrdiff_t *plane, *column;
    ptrdiff_t row, step, sh, y_row, rows, n;
    ptrdiff_t first, stride, width, low, high;
    const ptrdiff_t *lines;
    const void *constants;
    ptrdiff_t left, right;
    ptrdiff_t channels, spread, pixel, y_pixel, w_vector;
};

/* Weight gradients of a depthwise convolution, see kernels/depthwise_grad.h. A walk takes `steps` steps along one axis: result r
 * and tap t < taps meet in cell r*stride + t*spread of that axis, if low <= cell < high; other cells are not read. Across the
 * walk are `across` columns of taps, column[j] further. x is at cell 0: results are x_step apart there and y_step in dy, taps
 * x_tap. Strides count elements.
 * Lanes that hold pixels: walks go down; result i < n of a row and tap j meet in column first + i*lane_stride + column[j] of a
 * row of `width` elements, x being at column 0; what lies outside it counts as zero and is not read. So for `images` planes.
 * Lanes that hold n >= vl channels: walks go along each of `rows` rows, x_row apart, y_row in dy.
 * Sums of taps are sums_tap and sums_column apart. What comes next is x_ahead and y_ahead further. */
struct nd_depthwise_grad {
    ptrdiff_t steps, stride, spread, taps, low, high, x_step, x_tap, y_step;
    ptrdiff_t across;
    const ptrdiff_t *column;
    ptrdiff_t n, first, lane_stride, width, images, x_image, y_image;
    ptrdiff_t rows, x_row, y_row;
    ptrdiff_t sums_tap, sums_column, x_ahead, y_ahead;
};

/* Kernels of one tap, see kernels/depthwise_point.h: `rows` rows of n cells of x, x_row apart. Lanes that hold pixels: windows
 * move by `step` elements, rows are y_row apart in y; so at each of `depths` depths, and what is read next lies `ahead` of the
 * first row of one.
 * Lanes that hold channels: windows move by `step` elements of x.
 * Transposed: y has `lines` rows, row_step of them from row to row of x, of `wide` results, `step` of them from cell to cell. */
struct nd_point {
    ptrdiff_t depths, rows, n, step, x_depth, x_row, x_pixel, y_depth, y_row, y_pixel, channels, ahead;
    ptrdiff_t lines, wide, row_step;
};

/* Sums of the products of `channels` channels of dy, whole vectors, with x at `taps` places, kernels/tap_sums.h, over `rows` rows
 * of n pixels: those of dy follow each other dy_pixel apart, rows of x are x_row apart. Strides count elements. */
struct nd_tap_sums {
    ptrdiff_t rows, n, x_row, dy_pixel, sums_tap, channels, taps;
    const ptrdiff_t *at;
};

/* Dot products of m rows with n rows of k elements, kernels/dots.h. Strides count elements. */
struct nd_dots {
    ptrdiff_t m, n, k, a_row, b_row, y_row, bias_col;
};

/* Sums of m lanes, whole vectors, with n rows of k weights, kernels/local.h, for `count` pixels whose a, b, y and bias are so many
 * elements after those of the pixel before; at: of the rows of lanes of a. Weights of the next pixel are asked for unless b is 0. */
struct nd_lanes {
    ptrdiff_t count, m, n, k, b_row, y_row, bias_col, a, b, y, bias;
    const ptrdiff_t *at;
};

/* Asks for the lines of `bytes` bytes: they are on their way while something else is done. Any address will do. */
static inline void nd_ask(const void *from, ptrdiff_t bytes)
{
    for (ptrdiff_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)from + i);
}

/* So many register tiles, whose A, B, y and bias are so many elements after those of the tile before. */
struct nd_tiles {
    ptrdiff_t count, a, b, y, bias;
};

struct nd_kernel_set {
    ptrdiff_t size;                  /* bytes of an element */
    ptrdiff_t vl;                    /* lanes of a vector */
    ptrdiff_t mr, nr;                /* the register tile: mr rows x nr columns, nr a multiple of vl */
    /* columns of the widest tile of m rows: nr, or more of few rows; rows of the highest tile of n columns: mr, or more of few
     * columns, or fewer of many */
    ptrdiff_t (*tile_columns)(ptrdiff_t m);
    ptrdiff_t (*tile_rows)(ptrdiff_t n);
    /* y[i*y_row + j*y_col] = start + sum over the walk of A[i] * B[j], j < n <= tile_columns(m), i < m <= tile_rows(n).
     * B must be readable for whole vectors up to n rounded up to vl. */
    void (*gemm)(const struct nd_walk *walk, ptrdiff_t m, ptrdiff_t n, const void *a, const void *b, void *y,
                 ptrdiff_t y_row, ptrdiff_t y_col, int start, const void *bias);
    /* several such tiles: short sums take less time than a call */
    void (*gemm_tiles)(const struct nd_walk *walk, const struct nd_tiles *tiles, ptrdiff_t m, ptrdiff_t n, const void *a,
                       const void *b, void *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const void *bias);
    /* to[i] = from[i*step] for i < n; step may be any number, zero and negative too */
    void (*copy)(void *to, const void *from, ptrdiff_t n, ptrdiff_t step);
    /* to[i*to_row + j] = from[i*row + j*col] for i < m, j < n */
    void (*move)(void *to, ptrdiff_t to_row, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col);
    /* to[i*width + j] = j < n ? from[i*row + j*col] : 0 for i < m, j < width */
    void (*pack)(void *to, ptrdiff_t width, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col);
    /* to[(t*channels + c)*width + j] = from[t*tap + c*channel + j*col] for t < taps, c < channels, j < n */
    void (*pack_taps)(void *to, ptrdiff_t width, const void *from, ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t channels,
                      ptrdiff_t channel, ptrdiff_t n, ptrdiff_t col);
    /* to[(j/width*m + i)*width + j%width] = from[i*row + j] for i < m, j < n; width is a multiple of vl */
    void (*pack_rows)(void *to, ptrdiff_t width, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row);
    /* to[i*width + j] = low <= j < high ? from[i*row + j] : 0 for i < m, j < width */
    void (*pad)(void *to, ptrdiff_t width, const void *from, ptrdiff_t m, ptrdiff_t row, ptrdiff_t low, ptrdiff_t high);
    /* to[i*line + j%2*phase + j/2] = low <= j < high ? from[i*row + j] : 0 for i < m, j < 2*width: even and odd columns */
    void (*pad_pairs)(void *to, ptrdiff_t line, ptrdiff_t phase, ptrdiff_t width, const void *from, ptrdiff_t m, ptrdiff_t row,
                      ptrdiff_t low, ptrdiff_t high);
    /* to[i*to_step] = from[i*from_step] for i < n */
    void (*scatter)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t from_step, ptrdiff_t n);
    /* to[i*step] += from[i] for i < n */
    void (*add)(void *to, ptrdiff_t step, const void *from, ptrdiff_t n);
    /* y[i*y_step] = activation(y[i*y_step] + residual[i*r_step]), i < n; residual NULL: none */
    void (*finish)(void *y, ptrdiff_t y_step, const void *residual, ptrdiff_t r_step, ptrdiff_t n, int activation, double low,
                   double high);
    /* the sum of from[i*step], i < n, accumulated in double */
    double (*sum)(const void *from, ptrdiff_t n, ptrdiff_t step);
    /* sums[j] += from[i*row + j] over i < m, for j < n <= 16 */
    void (*sum_columns)(double *sums, const void *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row);
    /* Fourier transforms and spectra, kernels/fft*.h. A point is [2][vl]: real, then imaginary parts of vl lanes.
     * In place: `rows` rows of `inner` neighbouring transforms, axis->n points `unit` elements apart */
    void (*fft)(const struct nd_axis *axis, void *z, ptrdiff_t unit, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t inner,
                int inverse);
    /* the two frequencies of each of n pairs of points of z to points step apart, scaled; and back */
    void (*fft_split)(void *to, ptrdiff_t step, const void *z, const int32_t *pairs, const void *turns, ptrdiff_t n,
                      double re_scale, double im_scale);
    void (*fft_join)(void *z, const void *from, ptrdiff_t step, const int32_t *pairs, const void *turns, ptrdiff_t n);
    /* to = join(split(z) * u), u a number or (lanes) a point a frequency; `to` may be z */
    void (*fft_filter)(void *to, const void *z, const void *u, int lanes, const int32_t *pairs, const void *turns,
                       ptrdiff_t n);
    /* C[i][v] (+)= sum over k of A[i, k] * B[k][v], i < m <= mr/2, v < vectors <= nr/vl; rows of B and C are points */
    void (*fft_multiply)(const struct nd_product *s, ptrdiff_t m, ptrdiff_t vectors, const void *a, const void *b, void *c);
    /* sum[i] += a[i] * b[i] for n points */
    void (*fft_accumulate)(void *sum, const void *a, const void *b, ptrdiff_t n);
    /* n points of a ring of `size`, from point `first` on, as a row of real and a row of imaginary parts, n*vl each */
    void (*fft_unroll)(void *rows, const void *ring, ptrdiff_t size, ptrdiff_t first, ptrdiff_t n);
    /* y[i] = sum over j < parts of x[i + j] * w[j], complex, i < vectors*vl; x is two rows `row` apart, row >=
     * vectors*vl + parts - 1, w pairs of numbers, y points */
    void (*fft_slide)(void *y, const void *rows, ptrdiff_t row, const void *w, ptrdiff_t parts, ptrdiff_t vectors);
    /* to[j*to_step + l] = low[l] <= j < high[l] ? row[l][j*step] : 0, j < n, l < vl; 0 <= low[l], high[l] <= n */
    void (*fft_load)(void *to, ptrdiff_t to_step, ptrdiff_t n, const void *const *row, ptrdiff_t step,
                     const ptrdiff_t *low, const ptrdiff_t *high);
    /* row[l][j*step] = from[j*from_step + l] + bias[l], j < count[l] <= most, l < lanes <= vl; returns a bit for
     * every lane whose first `most` values, before the bias, are not all finite;
     * bias and the rows of from are whole vectors */
    unsigned (*fft_store)(void *const *row, ptrdiff_t step, const ptrdiff_t *count, ptrdiff_t most, ptrdiff_t lanes,
                          const void *from, ptrdiff_t from_step, const void *bias);
    /* n outputs from [od, oh, ow] = at on along a row by their definition; x at its image and group, w at its output */
    void (*conv_points)(const struct nd_problem *p, const struct nd_array *x, const void *w, const ptrdiff_t *at,
                        ptrdiff_t n, void *y, ptrdiff_t y_w, const void *bias);
    /* one weight's gradient by its definition; x and dy at their channels */
    void (*grad_point)(const struct nd_problem *p, const struct nd_array *x, const struct nd_array *dy,
                       const ptrdiff_t *tap, void *dw);
    /* Winograd transforms of a tile, n channels in the lanes, kernels/winograd.h. Points are to_point apart; elements are rows
     * and columns of channels; what is outside clip (rows from, to, columns from, to) counts as zero */
    void (*winograd_input)(const struct nd_winograd *v, void *to, ptrdiff_t to_point, const void *from, ptrdiff_t row,
                           ptrdiff_t col, const ptrdiff_t *clip, ptrdiff_t n);
    /* of a gradient's tile, whose 4 x 4 elements are taps */
    void (*winograd_gradient)(const struct nd_winograd *v, void *to, ptrdiff_t to_point, const void *from, ptrdiff_t row,
                              ptrdiff_t col, const ptrdiff_t *clip, ptrdiff_t n);
    /* of n rows of taps [n][kh][kw][width] */
    void (*winograd_weights)(const struct nd_winograd *v, void *to, ptrdiff_t to_point, const void *from, ptrdiff_t n,
                             ptrdiff_t width);
    /* and back: rows x cols results; returns whether any of the tile is not finite */
    int (*winograd_output)(const struct nd_winograd *v, void *to, ptrdiff_t row, ptrdiff_t col, const void *from,
                           ptrdiff_t from_point, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t n, const void *bias);
    /* y[i*y_row + j] (+)= sum over the walk of A[i] * B[j], i < m, j < vectors * vl <= nr;
     * start is ND_ZERO, ND_ADD or ND_CONTINUE; what is at `ahead` is prefetched */
    void (*winograd_multiply)(const struct nd_walk *walk, ptrdiff_t m, ptrdiff_t vectors, const void *a, const void *b,
                              void *y, ptrdiff_t y_row, int start, const void *ahead);
    /* to[j][i] = start + sum over q < terms, r < count of weights[q*count + r] * rows[q*(count + height - 1) + j + r][i], i < n,
     * j < height, 1 or 4; returns a bit for each j with a result that is not finite */
    int (*sum_rows)(void *const *to, ptrdiff_t height, const void *const *rows, const void *weights, ptrdiff_t terms,
                    ptrdiff_t count, ptrdiff_t n, double start);
    /* Pixels of dtype ND_U8 or (not for sums of integers) ND_U16: to[i] = from[i*step], i < n, and to[i*step] = from[i] rounded
     * to the nearest, ties to even, and clipped to the dtype, kernels/image.h; image_store reads whole vectors,
     * image_load asks for what lies `ahead` bytes further */
    void (*image_load)(void *to, const void *from, ptrdiff_t n, ptrdiff_t step, int dtype, ptrdiff_t ahead);
    void (*image_store)(void *to, ptrdiff_t step, const void *from, ptrdiff_t n, int dtype);
    /* int16: to[i] = offset + round(sum over f < folds of weights[f] * (rows[2*f][i] + rows[2*f + 1][i]) / 2**shift), ties to
     * even, for i < n and up to whole vectors; folds is even, both sums of rows and results are numbers of the dtype */
    void (*image_fold)(void *to, const void *const *rows, const void *weights, ptrdiff_t folds, ptrdiff_t n, int shift,
                       int offset);
    /* int16, from rows of bytes, for few of them:
     * to[i] = sum over f < folds of weights[f] * (rows[2*f][i] + rows[2*f + 1][i]) / 2**9, i < n and up to two whole vectors,
     * which are in an order of their own; and such rows to bytes:
     * to[i] = (sum over f of weights[f] * mean of rows[2*f][i] and rows[2*f + 1][i] / 2**15) / 2**7, i < n. Each product and
     * each mean is rounded, ties up, the result ties to even */
    void (*smooth_row)(void *to, const void *const *rows, const void *weights, ptrdiff_t folds, ptrdiff_t n);
    void (*smooth_column)(void *to, const void *const *rows, const void *weights, ptrdiff_t folds, ptrdiff_t n);
    /* y[r*y_row + i] = *bias + sum over p, t, j of x[plane[p] + r*step + t*row + first + i*stride + column[j]]
     * * w[(p*kw + j)*kh + t], r < rows, i < n; bias may be NULL, stride is 1 or 2 */
    void (*depthwise_rows)(const struct nd_depthwise *s, const void *x, const void *w, const void *bias, void *y);
    /* y[r*y_row + i*y_pixel + c] = bias[c] + sum over p, t, j of
     * x[plane[p] + r*step + t*row + (first + i*stride + j*spread)*pixel + c] * w[v*w_vector + ((p*kh + t)*kw + j)*vl + l],
     * r < rows, i < n, c < channels; c is lane l of vector v. channels >= vl, and vectors follow each other but for the last,
     * whose lane l is channel channels - vl + l */
    void (*depthwise_pixels)(const struct nd_depthwise *s, const void *x, const void *w, const void *bias, void *y);
    /* y[d*y_depth + r*y_row + i] = *bias + x[d*x_depth + r*x_row + i*step] * *w, d < depths, r < rows, i < n; and
     * y[r*y_row + i*y_pixel + c] = bias[c] + x[r*x_row + i*step + c] * w[v*vl + l], c < channels >= vl, where lane l of vector v
     * is as in depthwise_pixels; bias may be NULL */
    void (*point_rows)(const struct nd_point *s, const void *x, const void *w, const void *bias, void *y);
    void (*point_pixels)(const struct nd_point *s, const void *x, const void *w, const void *bias, void *y);
    /* y[r*row_step*y_row + i*step] = *bias + x[r*x_row + i] * *w, r < rows, i < n, and *bias (0 where it is NULL) elsewhere in
     * `lines` rows of `wide`; and of channels y[r*row_step*y_row + i*step*y_pixel + c] from x[r*x_row + i*x_pixel + c] */
    void (*spread_rows)(const struct nd_point *s, const void *x, const void *w, const void *bias, void *y);
    void (*spread_pixels)(const struct nd_point *s, const void *x, const void *w, const void *bias, void *y);
    /* sums[t*sums_tap + j*sums_column + l] += a part of the sum over images m, steps r, i < n of dy[m*y_image + r*y_step + i]
     * * x[m*x_image + r*x_step + t*x_tap + first + i*lane_stride + column[j]], the lanes l < vl adding up to the whole */
    void (*depthwise_grad_rows)(const struct nd_depthwise_grad *s, const void *x, const void *dy, void *sums);
    /* sums[t*sums_tap + j*sums_column + c] += the sum over rows q, steps r of dy[q*y_row + r*y_step + c]
     * * x[q*x_row + r*x_step + t*x_tap + column[j] + c], c < n */
    void (*depthwise_grad_pixels)(const struct nd_depthwise_grad *s, const void *x, const void *dy, void *sums);
    /* to[i] = the sum of the vl elements from lanes[i*vl] on, i < n */
    void (*add_lanes)(void *to, const void *lanes, ptrdiff_t n);
    /* sums[t*sums_tap + o] += sum over r < rows, i < n of dy[(r*n + i)*dy_pixel + o] * x[at[t] + r*x_row + i], o < channels,
     * t < taps */
    void (*tap_sums)(const struct nd_tap_sums *s, const void *x, const void *dy, void *sums);
    /* y[j*y_row + i] = bias[j*bias_col] + sum over t < k of b[j*b_row + t] * a[at[t] + i], i < m, j < n, its terms added in their
     * order; bias may be NULL */
    void (*lanes)(const struct nd_lanes *s, const void *a, const void *b, void *y, const void *bias);
    /* a[at[t] + i] += sum over j < n of b[j*b_row + t] * y[j*y_row + i], where the integer inside[i], as wide as an element, is
     * -1; it is 0 elsewhere; inside may be NULL: everywhere */
    void (*lanes_grad)(const struct nd_lanes *s, void *a, const void *b, const void *y, const void *inside);
    /* to[i*to_row + t] = a[at[t] + i], i < m, t < k; vectors of a are read whole, those of `to` written whole */
    void (*lanes_turn)(void *to, ptrdiff_t to_row, const void *a, const ptrdiff_t *at, ptrdiff_t m, ptrdiff_t k);
    /* a[at[t] + i] += from[i*row + t], i < m, t < k */
    void (*lanes_put)(void *a, const ptrdiff_t *at, const void *from, ptrdiff_t row, ptrdiff_t m, ptrdiff_t k);
    /* y[i*y_row + j] = bias[j*bias_col] + sum over t < k of a[i*a_row + t] * b[j*b_row + t], i < m, j < n, its terms added in
     * their order; bias may be NULL */
    void (*dots)(const struct nd_dots *s, const void *a, const void *b, void *y, const void *bias);
    /* Pooling, kernels/pool*.h. To combine is to take the greatest or the least, NaN above all, or to add: `op`.
     * to[i] = rows[r][i] combined over r < count, i < n, divided by `divisor` unless that is 0; the last row is prefetched
     * `ahead` elements ahead if that is not 0 */
    void (*pool_combine)(void *to, const void *const *rows, ptrdiff_t count, ptrdiff_t n, int op, double divisor,
                         ptrdiff_t ahead);
    /* `lines` rows of windows; rows are moved on */
    void (*pool_rows)(const struct nd_pool_rows *s, const void **rows, ptrdiff_t lines, void *buffer, void *y);
    /* the lines of s; op is not ND_SUM; copies is workspace of rows*pitch elements */
    void (*pool_walk)(const struct nd_pool_walk *s, const void *x, void *copies, void *y, void *at);
    /* returns whether there are such windows; none are taken if x is NULL */
    int (*pool_lines)(const struct nd_pool_lines *s, const void *x, void *y);
    /* returns whether columns that windows share are combined once; nothing is done if rows is NULL */
    int (*pool_pixels)(const struct nd_pool_pixels *s, const void *const *rows, void *y);
    /* to[(at + i) % split * phase + (at + i) / split] = from[i], i < n */
    void (*pool_split)(void *to, ptrdiff_t phase, ptrdiff_t split, ptrdiff_t at, const void *from, ptrdiff_t n);
    /* y[j] = from[taps[t] + j] combined over t < count, j < n, times shares[j] unless shares is NULL; from and shares are
     * readable up to whole vectors */
    void (*pool_taps)(void *y, const void *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n, int op,
                      const void *shares);
    /* shares[j] = 1 / (cells[j]*rows), j < n, by whole vectors */
    void (*pool_shares)(void *shares, const void *cells, ptrdiff_t n, double rows);
    /* r[i] = b[i + t*unit] combined over t < k, i <= n - 1 - (k-1)*unit; returns r, which is b or spare. Both are destroyed, and
     * accessible for a vector beyond n */
    void *(*pool_window)(void *b, void *spare, ptrdiff_t n, ptrdiff_t k, ptrdiff_t unit, int op);
    /* next[i] = p[i] and x[i] combined, to[i] = s[i] and next[i] combined, i < n; next is not p */
    void (*pool_slide)(void *to, void *next, const void *p, const void *x, const void *s, ptrdiff_t n, int op);
    /* to[j*to_step] = from[j*step] / (cells[j*cells_step] * rows), j < n */
    void (*pool_store)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t step, ptrdiff_t n, const void *cells,
                       ptrdiff_t cells_step, double rows);
    /* to[i] = value, i < n; the least or greatest integer for infinities */
    void (*pool_fill)(void *to, ptrdiff_t n, double value);
    /* the sum of from[i*step], i < n, in partial sums of a few elements in the dtype, of those in double */
    double (*pool_sum)(const void *from, ptrdiff_t n, ptrdiff_t step);
    /* to[i] = the mean of from[i*step + j] over j < n, i < planes <= 16 */
    void (*pool_means)(void *to, const void *from, ptrdiff_t planes, ptrdiff_t step, ptrdiff_t n);
    /* the greatest (least) of from[i*step], i < n, and its first position if `at` is not NULL; op is not ND_SUM here or below */
    double (*pool_top)(const void *from, ptrdiff_t n, ptrdiff_t step, int op, ptrdiff_t *at);
    /* Positions are integers as wide as the dtype; the greatest integer stands for none.
     * to[i] = the greatest of rows[r][i], r < count, at[i] = bases[r] + i*step of the first such r, i < n */
    void (*pool_combine_index)(void *to, void *at, const void *const *rows, const ptrdiff_t *bases, ptrdiff_t count,
                               ptrdiff_t n, ptrdiff_t step, int op);
    /* y[j], y_at[j] = the greatest from[taps[t] + j] and the least at[taps[t] + j] that has it, t < count, j < n;
     * from, at and y_at are accessible up to whole vectors */
    void (*pool_taps_index)(void *y, void *y_at, const void *from, const void *at, const ptrdiff_t *taps, ptrdiff_t count,
                            ptrdiff_t n, int op);
    /* pool_pixels with positions, of pixel 0 of each row `bases`: at [window][channels], integers as wide as the dtype */
    void (*pool_pixels_index)(const struct nd_pool_pixels *s, const void *const *rows, const ptrdiff_t *bases, void *y, void *at);
    /* `lines` rows of windows of at most ND_PLACES cells; stride is 1 or 2 */
    void (*pool_rows_index)(const struct nd_pool_places *s, const void *const *rows, const ptrdiff_t *bases, ptrdiff_t lines,
                            void *y, void *at);
    /* to[j*step], integers of `size` bytes, = at[j] or -1 for none, j < n */
    void (*pool_store_index)(void *to, ptrdiff_t size, ptrdiff_t step, const void *at, ptrdiff_t n);
    /* one window by its definition: the combination of x[offsets] with the strides and counts of a box of taps;
     * at receives the number, in the box's row-major order, of the first greatest */
    double (*pool_point)(const void *x, const ptrdiff_t *taps, const ptrdiff_t *steps, int op, ptrdiff_t *at);
    /* dx[at[i*at_step]*cell + i % period] += dy[i*dy_step], i < n, for positions 0 <= at < cells, integers of `size` bytes, or =
     * either way (how: enum nd_at; nowhere is 0); returns whether there are other positions, -1 apart */
    int (*pool_scatter)(void *dx, ptrdiff_t cells, ptrdiff_t cell, ptrdiff_t period, void *dy, ptrdiff_t dy_step,
                        const void *at, ptrdiff_t size, ptrdiff_t at_step, ptrdiff_t n, int how);
    /* For `lines` rows of windows: rows[r][o*columns + t], r < count, t < columns, o < n, = dy[o] / divisor without `at`, else
     * dy[o] where at[o], integers of `size` bytes, is bases[r] + o*columns + t, and 0 elsewhere; the next row of windows
     * is `step` further in rows and bases, dy_step in dy and at_step in at. Returns whether an index is none of its window's */
    int (*pool_spread)(void **rows, ptrdiff_t *bases, ptrdiff_t count, ptrdiff_t columns, ptrdiff_t lines, ptrdiff_t step,
                       const void *dy, ptrdiff_t dy_step, ptrdiff_t n, double divisor, const void *at, ptrdiff_t at_step,
                       ptrdiff_t size);
    /* to[2*i] = sum over t < evens of even[i + t], to[2*i + 1] = sum over t < odds of odd[i + t], as many as are among the n
     * elements of `to`; even and odd are readable up to whole vectors of i */
    void (*pool_halves)(void *to, ptrdiff_t n, const void *even, ptrdiff_t evens, const void *odd, ptrdiff_t odds);
    /* y[j*vl + l] = window j of plane l, sums times shares[j] unless shares is NULL; rows[r] is row r of plane 0. columns:
     * [column][vl], column t of window 0 taps[t] elements further: workspace, with what there is beside x in it. With bases, the
     * position of element 0 of each row, also positions: at and places, integers as wide as the dtype */
    void (*pool_turn)(const struct nd_pool_turn *s, const void *const *rows, const ptrdiff_t *bases, void *columns, void *places,
                      void *y, void *at);
    /* cells[r][w*pixel + c] += dy[j*dy_pixel + c] where at[j*at_pixel + c] is bases[r] + w, for all windows j and their columns w;
     * returns whether an index is none of its window's, -1 apart */
    int (*pool_route)(const struct nd_pool_route *s, void *const *cells, const ptrdiff_t *bases, const void *dy, const void *at);
    /* dx[w*pixel + c] = share * sum of sums[j*dy_pixel + c] over windows j that hold pixel w, w < iw; dw is 1 */
    void (*pool_share)(const struct nd_pool_route *s, void *dx, const void *sums, double share);
    /* to[i] = sum over r < count of weights[r] * rows[r][i], i < n, count > 0 */
    void (*pool_weigh)(void *to, const void *const *rows, const double *weights, ptrdiff_t count, ptrdiff_t n);
    /* to[o] = sum over t < count[o] of weights[o*width + t] * from[first[o] + t], o < n */
    void (*pool_bins)(void *to, const void *from, ptrdiff_t n, const ptrdiff_t *first, const ptrdiff_t *count,
                      const double *weights, ptrdiff_t width);
    /* to[i] = |from[i]|^p, i < n; `to` may be from */
    void (*pool_power)(void *to, const void *from, ptrdiff_t n, double p);
    /* to[i*to_step] = a[i*a_step] * sign(b[i*b_step]) * |b[i*b_step]|^q, 0 where b is 0 and NaN where it is NaN, i < n;
     * `to` may be a */
    void (*pool_scale)(void *to, ptrdiff_t to_step, const void *a, ptrdiff_t a_step, const void *b, ptrdiff_t b_step,
                       ptrdiff_t n, double q);
    /* Other dtypes, kernels/half.h, complex.h and pair.h. Of float32: to[i*to_step] = from[i*step], i < n, from float16 or
     * (brain) bfloat16, and back to the nearest, ties to even */
    void (*widen_half)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t step, ptrdiff_t n, int brain);
    void (*narrow_half)(void *to, ptrdiff_t to_step, const void *from, ptrdiff_t step, ptrdiff_t n, int brain);
    /* Of floats: re[i], im[i] = the parts of number i of `from`, step numbers apart, sum[i] = re[i] + im[i] unless sum is NULL,
     * i < n; and number i of `to` = re[i], im[i] */
    void (*split_complex)(void *re, void *im, void *sum, const void *from, ptrdiff_t step, ptrdiff_t n);
    void (*join_complex)(void *to, ptrdiff_t step, const void *re, const void *im, ptrdiff_t n);
    /* Of integers of 8 and 16 bits: to[i*to_step], of ND_PAIRS, = first[i*step] and second[i*step], or 0 if that is NULL,
     * i < n */
    void (*pair)(void *to, ptrdiff_t to_step, const void *first, const void *second, ptrdiff_t step, ptrdiff_t n);
    /* multiply-adds on registers only; result takes one vector; returns the operations done */
    double (*peak)(ptrdiff_t steps, void *result);
};

struct nd_kernels {
    const char *isa;
    const struct nd_kernel_set *set[ND_SETS]; /* those of integers have moves, pooling without sums, filters */
};
#endif
