# The C contracts (pyx/include) as Cython sees them.
from libc.stdint cimport int32_t

cdef extern from "problem.h" nogil:
    enum:
        ND_F32
        ND_F64
        ND_U8
        ND_I16
        ND_I32
        ND_I8
        ND_PAIRS
        ND_I64
        ND_U16
        ND_FILL
        ND_NOWHERE
    enum:
        ND_USUAL
        ND_SMALL
        ND_LARGE
        ND_TURNED
        ND_FINE
    struct nd_outside:
        const ptrdiff_t *source
        ptrdiff_t low, high
    ptrdiff_t nd_source(const nd_outside *o, ptrdiff_t i, ptrdiff_t extent)
    struct nd_problem:
        ptrdiff_t n, g, icg, ocg, id, ih, iw, od, oh, ow, kd, kh, kw, sd, sh, sw, dd, dh, dw, pd, ph, pw
        int dtype, blocking, lanes_oc, bordered
        nd_outside outside[3]
        double fill
    struct nd_array:
        char *data
        ptrdiff_t n, c, d, h, w
    struct nd_frame:
        const ptrdiff_t *cells[3]
        ptrdiff_t wide[3]
        ptrdiff_t start[3]
        ptrdiff_t stop[3]
    struct nd_weights:
        char *data
        ptrdiff_t g, o, c, d, h, w

cdef extern from "kernels.h" nogil:
    struct nd_walk:
        ptrdiff_t runs, len
        const ptrdiff_t *a_off
        const ptrdiff_t *b_off
        ptrdiff_t a_row, a_k, b_k
    enum:
        ND_ZERO
        ND_ADD
        ND_LIST
        ND_BIAS_ROW
        ND_BIAS_COLUMN
        ND_CONTINUE
    enum:
        ND_NONE
        ND_RELU
        ND_LEAKY_RELU
        ND_SIGMOID
        ND_TANH
        ND_SILU
        ND_CLIP
    struct nd_axis:
        ptrdiff_t n
        const void *factors
        unsigned char radix[40]
    struct nd_product:
        ptrdiff_t k, run, a_run, a_k, a_row, a_im, b_k, c_row
        int add
    struct nd_winograd:
        int points_h, points_w, taps
    enum:
        ND_SUM, ND_GREATEST, ND_LEAST, ND_ADD_AT, ND_PUT, ND_TAKE
    struct nd_pool_rows:
        ptrdiff_t count, n, at, split, phase
        const ptrdiff_t *taps
        ptrdiff_t columns, ow, row_step, y_step
        int op
        const void *shares
    struct nd_pool_turn:
        ptrdiff_t lanes, plane, count, n, at, stride
        const ptrdiff_t *taps
        ptrdiff_t columns, ow
        int op
        const void *shares
    struct nd_pool_places:
        ptrdiff_t count, columns, stride, dilation, pad, n, first, last, ow, row_step, y_step, at_step, place_step, at_size
        int op
    struct nd_pool_walk:
        ptrdiff_t kh, kw, sh, sw, top, left, ih, iw, row, lines, ow, rows, pitch, y_row, at_row, at_size, fw
        int op
    enum:
        ND_PLACES, ND_ROWS, ND_TAPS
    struct nd_pool_lines:
        ptrdiff_t k, top, left, ih, iw, row, lines, ow, y_row, before, after
        int op
        const void *shares
    struct nd_pool_route:
        ptrdiff_t rows, windows, kw, sw, dw, pad, iw, pixel, dy_pixel, at_pixel, channels, at_size, low, high
        ptrdiff_t inside_low, inside_high
    enum:
        ND_ROUTED
    struct nd_pool_pixels:
        ptrdiff_t count, kw, sw, dw, first, windows, pixel, y_pixel, channels
        int op
        double share
    const ptrdiff_t ND_CONSTANT
    struct nd_depthwise:
        ptrdiff_t planes, kh, kw
        const ptrdiff_t *plane
        const ptrdiff_t *column
        ptrdiff_t row, step, sh, y_row, rows, n, first, stride, width, low, high, left, right, channels, spread, pixel, y_pixel
        ptrdiff_t w_vector
        const ptrdiff_t *lines
        const void *constants
    struct nd_depthwise_grad:
        ptrdiff_t steps, stride, spread, taps, low, high, x_step, x_tap, y_step, across
        const ptrdiff_t *column
        ptrdiff_t n, first, lane_stride, width, images, x_image, y_image, rows, x_row, y_row, sums_tap, sums_column
        ptrdiff_t x_ahead, y_ahead
    struct nd_point:
        ptrdiff_t depths, rows, n, step, x_depth, x_row, x_pixel, y_depth, y_row, y_pixel, channels, ahead, lines, wide, row_step
    struct nd_tap_sums:
        ptrdiff_t rows, n, x_row, dy_pixel, sums_tap, channels, taps
        const ptrdiff_t *at
    struct nd_dots:
        ptrdiff_t m, n, k, a_row, b_row, y_row, bias_col
    struct nd_lanes:
        ptrdiff_t count, m, n, k, b_row, y_row, bias_col, a, b, y, bias
        const ptrdiff_t *at
    void nd_ask(const void *src, ptrdiff_t size) noexcept nogil
    struct nd_tiles:
        ptrdiff_t count, a, b, y, bias
    struct nd_kernel_set:
        ptrdiff_t size, vl, mr, nr
        ptrdiff_t (*tile_columns)(ptrdiff_t m) noexcept nogil
        ptrdiff_t (*tile_rows)(ptrdiff_t n) noexcept nogil
        void (*gemm_tiles)(const nd_walk *walk, const nd_tiles *tiles, ptrdiff_t m, ptrdiff_t n, const void *a, const void *b,
                           void *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const void *bias) noexcept nogil
        void (*gemm)(const nd_walk *walk, ptrdiff_t m, ptrdiff_t n, const void *a, const void *b, void *y,
                     ptrdiff_t y_row, ptrdiff_t y_col, int start, const void *bias) noexcept nogil
        void (*copy)(void *to, const void *src, ptrdiff_t n, ptrdiff_t step) noexcept nogil
        void (*move)(void *to, ptrdiff_t to_row, const void *src, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row,
                     ptrdiff_t col) noexcept nogil
        void (*pack)(void *to, ptrdiff_t width, const void *src, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row,
                     ptrdiff_t col) noexcept nogil
        void (*pack_taps)(void *to, ptrdiff_t width, const void *src, ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t channels,
                          ptrdiff_t channel, ptrdiff_t n, ptrdiff_t col) noexcept nogil
        void (*pack_rows)(void *to, ptrdiff_t width, const void *src, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row) noexcept nogil
        void (*pad)(void *to, ptrdiff_t width, const void *src, ptrdiff_t m, ptrdiff_t row, ptrdiff_t low,
                    ptrdiff_t high) noexcept nogil
        void (*pad_pairs)(void *to, ptrdiff_t line, ptrdiff_t phase, ptrdiff_t width, const void *src, ptrdiff_t m, ptrdiff_t row,
                          ptrdiff_t low, ptrdiff_t high) noexcept nogil
        void (*scatter)(void *to, ptrdiff_t to_step, const void *src, ptrdiff_t from_step, ptrdiff_t n) noexcept nogil
        void (*add)(void *to, ptrdiff_t step, const void *src, ptrdiff_t n) noexcept nogil
        void (*finish)(void *y, ptrdiff_t y_step, const void *residual, ptrdiff_t r_step, ptrdiff_t n, int activation, double low,
                       double high) noexcept nogil
        double (*sum)(const void *src, ptrdiff_t n, ptrdiff_t step) noexcept nogil
        void (*sum_columns)(double *sums, const void *src, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row) noexcept nogil
        void (*fft)(const nd_axis *axis, void *z, ptrdiff_t unit, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t inner,
                    int inverse) noexcept nogil
        void (*fft_split)(void *to, ptrdiff_t step, const void *z, const int32_t *pairs, const void *turns, ptrdiff_t n,
                          double re_scale, double im_scale) noexcept nogil
        void (*fft_join)(void *z, const void *src, ptrdiff_t step, const int32_t *pairs, const void *turns,
                         ptrdiff_t n) noexcept nogil
        void (*fft_filter)(void *to, const void *z, const void *u, int lanes, const int32_t *pairs, const void *turns,
                           ptrdiff_t n) noexcept nogil
        void (*fft_multiply)(const nd_product *s, ptrdiff_t m, ptrdiff_t vectors, const void *a, const void *b,
                             void *c) noexcept nogil
        void (*fft_accumulate)(void *sum, const void *a, const void *b, ptrdiff_t n) noexcept nogil
        void (*fft_unroll)(void *rows, const void *ring, ptrdiff_t size, ptrdiff_t first, ptrdiff_t n) noexcept nogil
        void (*fft_slide)(void *y, const void *rows, ptrdiff_t row, const void *w, ptrdiff_t parts,
                          ptrdiff_t vectors) noexcept nogil
        void (*fft_load)(void *to, ptrdiff_t to_step, ptrdiff_t n, const void *const *row, ptrdiff_t step,
                         const ptrdiff_t *low, const ptrdiff_t *high) noexcept nogil
        unsigned (*fft_store)(void *const *row, ptrdiff_t step, const ptrdiff_t *count, ptrdiff_t most, ptrdiff_t lanes,
                              const void *src, ptrdiff_t src_step, const void *bias) noexcept nogil
        void (*conv_points)(const nd_problem *p, const nd_array *x, const void *w, const ptrdiff_t *at, ptrdiff_t n,
                            void *y, ptrdiff_t y_w, const void *bias) noexcept nogil
        void (*grad_point)(const nd_problem *p, const nd_array *x, const nd_array *dy, const ptrdiff_t *tap,
                           void *dw) noexcept nogil
        void (*winograd_input)(const nd_winograd *v, void *to, ptrdiff_t to_point, const void *src, ptrdiff_t row,
                               ptrdiff_t col, const ptrdiff_t *clip, ptrdiff_t n) noexcept nogil
        void (*winograd_gradient)(const nd_winograd *v, void *to, ptrdiff_t to_point, const void *src, ptrdiff_t row,
                                  ptrdiff_t col, const ptrdiff_t *clip, ptrdiff_t n) noexcept nogil
        void (*winograd_weights)(const nd_winograd *v, void *to, ptrdiff_t to_point, const void *src, ptrdiff_t n,
                                 ptrdiff_t width) noexcept nogil
        int (*winograd_output)(const nd_winograd *v, void *to, ptrdiff_t row, ptrdiff_t col, const void *src,
                               ptrdiff_t from_point, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t n,
                               const void *bias) noexcept nogil
        void (*winograd_multiply)(const nd_walk *walk, ptrdiff_t m, ptrdiff_t vectors, const void *a, const void *b, void *y,
                                  ptrdiff_t y_row, int start, const void *ahead) noexcept nogil
        int (*sum_rows)(void *const *to, ptrdiff_t height, const void *const *rows, const void *weights, ptrdiff_t terms,
                        ptrdiff_t count, ptrdiff_t n, double start) noexcept nogil
        void (*image_load)(void *to, const void *src, ptrdiff_t n, ptrdiff_t step, int dtype,
                           ptrdiff_t ahead) noexcept nogil
        void (*image_store)(void *to, ptrdiff_t step, const void *src, ptrdiff_t n, int dtype) noexcept nogil
        void (*image_fold)(void *to, const void *const *rows, const void *weights, ptrdiff_t folds, ptrdiff_t n, int shift,
                           int offset) noexcept nogil
        void (*smooth_row)(void *to, const void *const *rows, const void *weights, ptrdiff_t folds, ptrdiff_t n) noexcept nogil
        void (*smooth_column)(void *to, const void *const *rows, const void *weights, ptrdiff_t folds, ptrdiff_t n) noexcept nogil
        void (*depthwise_rows)(const nd_depthwise *s, const void *x, const void *w, const void *bias,
                               void *y) noexcept nogil
        void (*depthwise_pixels)(const nd_depthwise *s, const void *x, const void *w, const void *bias,
                                 void *y) noexcept nogil
        void (*point_rows)(const nd_point *s, const void *x, const void *w, const void *bias, void *y) noexcept nogil
        void (*point_pixels)(const nd_point *s, const void *x, const void *w, const void *bias, void *y) noexcept nogil
        void (*spread_rows)(const nd_point *s, const void *x, const void *w, const void *bias, void *y) noexcept nogil
        void (*spread_pixels)(const nd_point *s, const void *x, const void *w, const void *bias, void *y) noexcept nogil
        void (*depthwise_grad_rows)(const nd_depthwise_grad *s, const void *x, const void *dy, void *sums) noexcept nogil
        void (*depthwise_grad_pixels)(const nd_depthwise_grad *s, const void *x, const void *dy, void *sums) noexcept nogil
        void (*add_lanes)(void *to, const void *lanes, ptrdiff_t n) noexcept nogil
        void (*tap_sums)(const nd_tap_sums *s, const void *x, const void *dy, void *sums) noexcept nogil
        void (*lanes)(const nd_lanes *s, const void *a, const void *b, void *y, const void *bias) noexcept nogil
        void (*lanes_grad)(const nd_lanes *s, void *a, const void *b, const void *y, const void *inside) noexcept nogil
        void (*lanes_turn)(void *to, ptrdiff_t to_row, const void *a, const ptrdiff_t *at, ptrdiff_t m,
                           ptrdiff_t k) noexcept nogil
        void (*lanes_put)(void *a, const ptrdiff_t *at, const void *src, ptrdiff_t row, ptrdiff_t m, ptrdiff_t k) noexcept nogil
        void (*dots)(const nd_dots *s, const void *a, const void *b, void *y, const void *bias) noexcept nogil
        void (*pool_combine)(void *to, const void *const *rows, ptrdiff_t count, ptrdiff_t n, int op,
                             double divisor, ptrdiff_t ahead) noexcept nogil
        void (*pool_rows)(const nd_pool_rows *s, const void **rows, ptrdiff_t lines, void *buffer,
                          void *y) noexcept nogil
        void (*pool_walk)(const nd_pool_walk *s, const void *x, void *copies, void *y, void *at) noexcept nogil
        int (*pool_lines)(const nd_pool_lines *s, const void *x, void *y) noexcept nogil
        void (*pool_pixels_index)(const nd_pool_pixels *s, const void *const *rows, const ptrdiff_t *bases, void *y,
                                  void *at) noexcept nogil
        int (*pool_pixels)(const nd_pool_pixels *s, const void *const *rows, void *y) noexcept nogil
        void (*pool_split)(void *to, ptrdiff_t phase, ptrdiff_t split, ptrdiff_t at, const void *src,
                           ptrdiff_t n) noexcept nogil
        void (*pool_taps)(void *y, const void *src, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n, int op,
                          const void *shares) noexcept nogil
        void (*pool_shares)(void *shares, const void *cells, ptrdiff_t n, double rows) noexcept nogil
        void *(*pool_window)(void *b, void *spare, ptrdiff_t n, ptrdiff_t k, ptrdiff_t unit, int op) noexcept nogil
        void (*pool_slide)(void *to, void *next, const void *p, const void *x, const void *s, ptrdiff_t n, int op) noexcept nogil
        void (*pool_store)(void *to, ptrdiff_t to_step, const void *src, ptrdiff_t step, ptrdiff_t n, const void *cells,
                           ptrdiff_t cells_step, double rows) noexcept nogil
        void (*pool_fill)(void *to, ptrdiff_t n, double value) noexcept nogil
        double (*pool_sum)(const void *src, ptrdiff_t n, ptrdiff_t step) noexcept nogil
        void (*pool_means)(void *to, const void *src, ptrdiff_t planes, ptrdiff_t step, ptrdiff_t n) noexcept nogil
        double (*pool_top)(const void *src, ptrdiff_t n, ptrdiff_t step, int op, ptrdiff_t *at) noexcept nogil
        void (*pool_combine_index)(void *to, void *at, const void *const *rows, const ptrdiff_t *bases, ptrdiff_t count,
                                   ptrdiff_t n, ptrdiff_t step, int op) noexcept nogil
        void (*pool_taps_index)(void *y, void *y_at, const void *src, const void *at, const ptrdiff_t *taps,
                                ptrdiff_t count, ptrdiff_t n, int op) noexcept nogil
        void (*pool_rows_index)(const nd_pool_places *s, const void *const *rows, const ptrdiff_t *bases, ptrdiff_t lines,
                                void *y, void *at) noexcept nogil
        void (*pool_store_index)(void *to, ptrdiff_t size, ptrdiff_t step, const void *at, ptrdiff_t n) noexcept nogil
        double (*pool_point)(const void *x, const ptrdiff_t *taps, const ptrdiff_t *steps, int op,
                             ptrdiff_t *at) noexcept nogil
        int (*pool_scatter)(void *dx, ptrdiff_t cells, ptrdiff_t cell, ptrdiff_t period, void *dy, ptrdiff_t dy_step,
                            const void *at, ptrdiff_t size, ptrdiff_t at_step, ptrdiff_t n, int how) noexcept nogil
        int (*pool_spread)(void **rows, ptrdiff_t *bases, ptrdiff_t count, ptrdiff_t columns, ptrdiff_t lines, ptrdiff_t step,
                           const void *dy, ptrdiff_t dy_step, ptrdiff_t n, double divisor, const void *at, ptrdiff_t at_step,
                           ptrdiff_t size) noexcept nogil
        void (*pool_halves)(void *to, ptrdiff_t n, const void *even, ptrdiff_t evens, const void *odd,
                            ptrdiff_t odds) noexcept nogil
        void (*pool_turn)(const nd_pool_turn *s, const void *const *rows, const ptrdiff_t *bases, void *columns, void *places,
                          void *y, void *at) noexcept nogil
        int (*pool_route)(const nd_pool_route *s, void *const *cells, const ptrdiff_t *bases, const void *dy,
                          const void *at) noexcept nogil
        void (*pool_share)(const nd_pool_route *s, void *dx, const void *sums, double share) noexcept nogil
        void (*pool_weigh)(void *to, const void *const *rows, const double *weights, ptrdiff_t count,
                           ptrdiff_t n) noexcept nogil
        void (*pool_bins)(void *to, const void *src, ptrdiff_t n, const ptrdiff_t *first, const ptrdiff_t *count,
                          const double *weights, ptrdiff_t width) noexcept nogil
        void (*pool_power)(void *to, const void *src, ptrdiff_t n, double p) noexcept nogil
        void (*pool_scale)(void *to, ptrdiff_t to_step, const void *a, ptrdiff_t a_step, const void *b, ptrdiff_t b_step,
                           ptrdiff_t n, double q) noexcept nogil
        void (*widen_half)(void *to, ptrdiff_t to_step, const void *src, ptrdiff_t step, ptrdiff_t n, int brain) noexcept nogil
        void (*narrow_half)(void *to, ptrdiff_t to_step, const void *src, ptrdiff_t step, ptrdiff_t n, int brain) noexcept nogil
        void (*split_complex)(void *re, void *im, void *total, const void *src, ptrdiff_t step, ptrdiff_t n) noexcept nogil
        void (*join_complex)(void *to, ptrdiff_t step, const void *re, const void *im, ptrdiff_t n) noexcept nogil
        void (*pair)(void *to, ptrdiff_t to_step, const void *first, const void *second, ptrdiff_t step,
                     ptrdiff_t n) noexcept nogil
        double (*peak)(ptrdiff_t steps, void *result) noexcept nogil
    struct nd_kernels:
        const char *isa
        const nd_kernel_set *set[8]

cdef extern from "method.h" nogil:
    struct nd_job:
        const nd_problem *p
        const nd_kernel_set *k
        int threads
        nd_array x, y
        const void *w
        nd_weights fresh
        const void *bias
        nd_array residual
        int activation
        double low, high
        nd_weights dw
        double *db
        char *workspace
        const nd_frame *frame
    struct nd_sizes:
        size_t prepared, prepare_worker, shared, worker, fresh
    struct nd_method:
        void (*sizes)(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
        void (*prepare)(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                        int threads) noexcept nogil
        void (*forward)(const nd_job *job) noexcept nogil
        void (*transpose_sizes)(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
        void (*transpose_prepare)(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                                  int threads) noexcept nogil
        void (*transpose)(const nd_job *job) noexcept nogil
        size_t (*weight_grad_bytes)(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil
        void (*weight_grad)(const nd_job *job) noexcept nogil
        ptrdiff_t (*bias_parts)(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
        bint folds

cdef extern from "threads.h" nogil:
    ctypedef void (*nd_body)(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil
