# Shared by the methods that end in register tiles: balanced splitting, prepared weights, gathering pixels.
cimport cython

from ndconv._c cimport ND_LARGE, ND_NONE, ND_SMALL, nd_array, nd_job, nd_kernel_set, nd_problem, nd_walk, nd_weights

# A walk over output pixels in row-major order of (image, depth, row, column).
cdef struct Pixel:
    ptrdiff_t n, d, h, w

@cython.cdivision(True)
cdef inline ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return (a + b - 1) // b

@cython.cdivision(True)
cdef inline ptrdiff_t whole_lines(ptrdiff_t bytes) noexcept nogil:
    """So many bytes, up to the end of a cache line."""
    return (bytes + 63) // 64 * 64

cdef inline const void *bias_at(const nd_job *job, ptrdiff_t channel) noexcept nogil:
    """The bias from a channel of results on, NULL where there is none."""
    return job.bias if job.bias == NULL else <const char *>job.bias + job.k.size * channel

@cython.cdivision(True)
cdef inline ptrdiff_t split(ptrdiff_t total, ptrdiff_t parts, ptrdiff_t i) noexcept nogil:
    """Where part i of `total` things begins when they are dealt out evenly: 15 rows in 2 parts are 8 + 7."""
    cdef ptrdiff_t base = total // parts, more = total % parts
    return base * i + (i if i < more else more)

cdef inline ptrdiff_t evened(ptrdiff_t parts, ptrdiff_t others, ptrdiff_t most) noexcept nogil:
    """Up to three parts more, so that parts * others tasks are as many for each of two or four threads, unless they are few or
    many anyway."""
    cdef ptrdiff_t limit = min(parts + 3, most)
    while parts < limit and 6 <= parts * others < 48 and parts * others % 4 != 0:
        parts += 1
    return parts

cdef inline ptrdiff_t pixels_of(const nd_problem *p) noexcept nogil:
    return p.od * p.oh * p.ow

cdef enum:
    LINE = 64                # bytes of a cache line
    PAGE = 4096              # bytes: lines so far apart fall on the same set of L1,
    WAYS = 8                 # which holds so many of them

@cython.cdivision(True)
cdef inline ptrdiff_t lines_kept(ptrdiff_t bytes) noexcept nogil:
    """Lines so many bytes apart that L1 keeps: their distance has them share a few of its sets."""
    return WAYS * max(PAGE // max(bytes & -bytes, <ptrdiff_t>LINE), <ptrdiff_t>1)

cdef inline ptrdiff_t block_bytes(const nd_problem *p, ptrdiff_t usual) noexcept nogil:
    """Bytes that a block may have."""
    return usual // 2 if p.blocking == ND_SMALL else 2 * usual if p.blocking == ND_LARGE else usual

cdef inline ptrdiff_t taps_of(const nd_problem *p) noexcept nogil:
    return p.kd * p.kh * p.kw


cdef inline void next_row(const nd_problem *p, Pixel *at) noexcept nogil:
    at.w = 0
    at.h += 1
    if at.h == p.oh:
        at.h = 0
        at.d += 1
        if at.d == p.od:
            at.d = 0
            at.n += 1

cdef void gemm_rows(const nd_kernel_set *k, const nd_walk *walk, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t cols, const char *a,
                    ptrdiff_t a_tile, const char *b, char *y, ptrdiff_t y_row, ptrdiff_t y_col, int start,
                    const char *bias) noexcept nogil
cdef void gemm_columns(const nd_kernel_set *k, const nd_walk *walk, ptrdiff_t m, ptrdiff_t vectors, const char *a, const char *b,
                       char *y, ptrdiff_t y_row, int start, const char *bias) noexcept nogil
cdef bint use_lanes_oc(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef bint is_plain(const nd_problem *p) noexcept nogil
cdef nd_problem flattened(const nd_problem *p) noexcept nogil
cdef bint is_run(nd_array *a, ptrdiff_t d, ptrdiff_t h, ptrdiff_t w, bint joined) noexcept nogil
cdef ptrdiff_t panel_count(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef size_t panels_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef void add_columns(const nd_kernel_set *k, double *sums, const char *rows, ptrdiff_t n, ptrdiff_t columns,
                      ptrdiff_t row) noexcept nogil
cdef void add_bias_grad(const nd_job *job, ptrdiff_t part, ptrdiff_t channel, ptrdiff_t channels, const char *dy,
                        ptrdiff_t pixels, ptrdiff_t row) noexcept nogil
cdef void prepare_block(const nd_problem *p, const nd_kernel_set *k, const nd_weights *weights, const char *w,
                        ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t width, char *to) noexcept nogil
cdef void prepare_panels(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, ptrdiff_t icb,
                         int threads) noexcept nogil
cdef Pixel pixel_at(const nd_problem *p, ptrdiff_t index) noexcept nogil
cdef void copy_clipped(const nd_kernel_set *k, char *to, const char *row, ptrdiff_t x_w, ptrdiff_t extent, ptrdiff_t column,
                       ptrdiff_t step, ptrdiff_t count) noexcept nogil
cdef void pad_rows(const nd_problem *p, const nd_kernel_set *k, const char *plane, ptrdiff_t x_h, ptrdiff_t row, ptrdiff_t step,
                   ptrdiff_t column, ptrdiff_t rows, ptrdiff_t width, char *to) noexcept nogil
cdef void gather_row(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t tap,
                     Pixel at, ptrdiff_t count, char *to) noexcept nogil
cdef void gather_block(const nd_problem *p, const nd_kernel_set *k, const nd_array *x, ptrdiff_t channel, ptrdiff_t channels,
                       Pixel at, ptrdiff_t run, ptrdiff_t tap, char *to, ptrdiff_t to_pixel, ptrdiff_t to_channel) noexcept nogil
cdef void scatter_row(const nd_problem *p, const nd_kernel_set *k, const nd_array *y, ptrdiff_t channel, Pixel at,
                      ptrdiff_t count, const char *row, ptrdiff_t step) noexcept nogil
cdef void store_turned(const nd_kernel_set *k, char *to, const nd_array *y, const char *row, ptrdiff_t step, ptrdiff_t channels,
                       ptrdiff_t pixels) noexcept nogil
cdef void finish_stored(const nd_job *job, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t count) noexcept nogil

cdef inline void finish_pixels(const nd_job *job, ptrdiff_t channel, ptrdiff_t channels, Pixel at,
                               ptrdiff_t count) noexcept nogil:
    """Residual and activation, if there are any, on `channels` channels of y from `channel` on, at `count` pixels from `at` on:
    called once for each part of y after its last store."""
    if job.activation != ND_NONE or job.residual.data != NULL:
        finish_stored(job, channel, channels, at, count)
