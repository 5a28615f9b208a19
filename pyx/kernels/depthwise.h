/* depthwise: a block of output rows of a convolution with very few channels a group,
 *
 *   y[r][i] = bias + sum over planes p, tap rows t, tap columns j of
 *             w[p][t][j] * x_p[r*step + t*row + i + column[j]]
 *
 * lanes hold pixels    a tile is up to 4 output rows x 3 vectors of a row. Input rows stream through it: a
 *                      vector of a row is loaded once and multiplied for every output row that it belongs
 *                      to, weights are broadcast from memory. 12 sums, 3 of x and 1 weight fill the 16
 *                      registers of AVX2. For 3x3: 6 rows x 3 columns x 3 vectors of x and 36 weights are
 *                      loaded for 108 multiply-adds, 90 loads (117 with those that cross a line) for 54
 *                      cycles of two loads and two multiply-adds each. A stride along x is taken apart into
 *                      phases by the caller, so that a column of taps is only another place to read from.
 * lanes hold channels  a tile is up to 2 rows x 6 pixels of one vector of channels: a weight vector is
 *                      loaded once for 12 multiply-adds that take x from memory, where whole vectors of
 *                      channels cross no line.
 *
 * Nothing is copied here, x is read in place or from a padded slab. Bytes moved: x once or twice, y once.
 * Rows kept in registers: Zhang et al., High Performance Depthwise and Pointwise Convolutions on Mobile
 * Devices, AAAI 2020; Hao et al., Towards Effective Depthwise Convolutions on ARMv8, arXiv 2206.12124. */

#define STRIP_ROWS 4
#define STRIP_VECTORS 3
#define BLOCK_ROWS 2
#define BLOCK_PIXELS 6
#define STRIP vec sum[STRIP_ROWS][STRIP_VECTORS]

/* The compiler takes p as it is: it does not keep the sums of addresses of all rows in memory. */
static inline const T *NAME(as_it_is)(const T *p)
{
    __asm__("" : "+r"(p));
    return p;
}

/* A vector that is loaded once for several uses: the compiler would load it for each. */
static inline vec NAME(held)(vec v)
{
#if defined(__x86_64__) && VL_BYTES <= 32
    __asm__("" : "+v"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#endif
    return v;
}

/* One input row to output rows low <= r < high, for which it is row t - r*sh of taps. w is at row t of the
 * taps' first column; the last vector begins `last` after the first. */
static inline __attribute__((always_inline)) void NAME(strip_row)(
    const int vc, const int low, const int high, const int sh, ptrdiff_t kh, ptrdiff_t kw,
    const ptrdiff_t *column, const T *x, ptrdiff_t last, const T *w, STRIP)
{
    const T *end = NAME(as_it_is)(x + last);
    w = NAME(as_it_is)(w);
#pragma GCC unroll 3
    for (ptrdiff_t j = 0; j < kw; j++, w = NAME(as_it_is)(w + kh)) {
        vec in[STRIP_VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < vc; v++)
            in[v] = NAME(held)(NAME(load)((v < vc - 1 ? x + v * VL : end) + column[j]));
#pragma GCC unroll 4
        for (int r = low; r < high; r++)
#pragma GCC unroll 3
            for (int v = 0; v < vc; v++)
                sum[r][v] += in[v] * w[-r * sh];
    }
}

/* Three rows and columns of taps, everything unrolled; sh is 1 or 2. */
static inline __attribute__((always_inline)) void NAME(strip_3x3)(
    const int rc, const int vc, const int sh, const struct nd_depthwise *s, const T *x, ptrdiff_t last,
    const T *w, STRIP)
{
#pragma GCC unroll 16
    for (int q = 0; q < (rc - 1) * sh + 3; q++, x = NAME(as_it_is)(x + s->row))
        NAME(strip_row)(vc, q < 3 ? 0 : (q - 3) / sh + 1, q / sh + 1 < rc ? q / sh + 1 : rc, sh, 3, 3,
                        s->column, x, last, w + q, sum);
}

/* kh >= rc rows of taps, output rows that follow each other: the first and the last rc - 1 input rows belong
 * to some of the output rows, those between to all. */
static inline __attribute__((always_inline)) void NAME(strip_slide)(
    const int rc, const int vc, const struct nd_depthwise *s, const T *x, ptrdiff_t last, const T *w, STRIP)
{
    const ptrdiff_t kh = s->kh, kw = s->kw;
#pragma GCC unroll 4
    for (int q = 0; q < rc - 1; q++, x += s->row, w++)
        NAME(strip_row)(vc, 0, q + 1, 1, kh, kw, s->column, x, last, w, sum);
    for (ptrdiff_t q = rc - 1; q < kh; q++, x += s->row, w++)
        NAME(strip_row)(vc, 0, rc, 1, kh, kw, s->column, x, last, w, sum);
#pragma GCC unroll 4
    for (int q = 1; q < rc; q++, x += s->row, w++)
        NAME(strip_row)(vc, q, rc, 1, kh, kw, s->column, x, last, w, sum);
}

/* Any rows of taps: each output row reads its own input rows. */
static inline __attribute__((always_inline)) void NAME(strip_any)(
    const int rc, const int vc, const struct nd_depthwise *s, const T *x, ptrdiff_t last, const T *w, STRIP)
{
    for (ptrdiff_t j = 0; j < s->kw; j++) {
        const T *p = x + s->column[j];
        for (ptrdiff_t t = 0; t < s->kh; t++, w++, p += s->row) {
            const T by = *w;
#pragma GCC unroll 4
            for (int r = 0; r < rc; r++)
#pragma GCC unroll 3
                for (int v = 0; v < vc; v++)
                    sum[r][v] += NAME(load)(p + r * s->step + (v < vc - 1 ? v * VL : last)) * by;
        }
    }
}

/* kinds of a strip */
#define STRIP_ANY 0
#define STRIP_SLIDE 1
#define STRIP_3X3 2
#define STRIP_3X3_STEP2 3

/* n results a row, of which only the last vector may be incomplete. */
static inline __attribute__((always_inline)) void NAME(strip)(
    const int rc, const int vc, const int kind, const struct nd_depthwise *s, ptrdiff_t n, const T *x,
    const T *w,
    const T *bias, T *y)
{
    STRIP;
    const vec start = bias ? NAME(broadcast)(*bias) : (vec){0};
    /* a row of whole vectors at least ends with one that overlaps the vector before */
    const ptrdiff_t last = vc > 1 ? n - VL : 0;
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vc; v++)
            sum[r][v] = start;
    for (ptrdiff_t p = 0; p < s->planes; p++, w += s->kh * s->kw) {
        if (kind == STRIP_3X3)
            NAME(strip_3x3)(rc, vc, 1, s, x + s->plane[p], last, w, sum);
        else if (kind == STRIP_3X3_STEP2)
            NAME(strip_3x3)(rc, vc, 2, s, x + s->plane[p], last, w, sum);
        else if (kind == STRIP_SLIDE)
            NAME(strip_slide)(rc, vc, s, x + s->plane[p], last, w, sum);
        else
            NAME(strip_any)(rc, vc, s, x + s->plane[p], last, w, sum);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++, y += s->y_row) {
        if (vc == 1 && n < VL) {
            const vec part = sum[r][0];
            NAME(copy_few)(y, (const T *)&part, n);
        } else
#pragma GCC unroll 3
            for (int v = 0; v < vc; v++)
                NAME(store)(y + (v < vc - 1 ? v * VL : last), sum[r][v]);
    }
}

/* rc rows of n results, in tiles of `least` vectors of which the first `wider` have one more. */
static inline __attribute__((always_inline)) void NAME(strips)(
    const int rc, const int kind, const struct nd_depthwise *s, ptrdiff_t least, ptrdiff_t wider, const T *x,
    const T *w, const T *bias, T *y)
{
    for (ptrdiff_t i = 0; i < s->n; wider--) {
        const ptrdiff_t count = least + (wider > 0), left = s->n - i;
        ptrdiff_t n = count * VL < left ? count * VL : left;
        if (count == 1) {
            if (n < VL && i > 0)
                i += n - VL, n = VL; /* overlaps the tile before */
            NAME(strip)(rc, 1, kind, s, n, x + i, w, bias, y + i);
        } else if (count == 2) {
            NAME(strip)(rc, 2, kind, s, n, x + i, w, bias, y + i);
        } else {
            NAME(strip)(rc, 3, kind, s, n, x + i, w, bias, y + i);
        }
        i += n;
    }
}

static inline __attribute__((always_inline)) void NAME(strips_of_kind)(
    const int kind, const struct nd_depthwise *s, const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t vectors = (s->n + VL - 1) / VL, tiles = (vectors + STRIP_VECTORS - 1) / STRIP_VECTORS;
    const ptrdiff_t least = vectors / tiles, wider = vectors - least * tiles;
    const ptrdiff_t parts = (s->rows + STRIP_ROWS - 1) / STRIP_ROWS, height = s->rows / parts;
    ptrdiff_t taller = s->rows - height * parts;
    for (ptrdiff_t r = 0; r < s->rows; taller--) {
        const ptrdiff_t count = height + (taller > 0);
        switch (count) {
        case 1:
            NAME(strips)(1, kind, s, least, wider, x, w, bias, y);
            break;
        case 2:
            NAME(strips)(2, kind, s, least, wider, x, w, bias, y);
            break;
        case 3:
            NAME(strips)(3, kind, s, least, wider, x, w, bias, y);
            break;
        default:
            NAME(strips)(4, kind, s, least, wider, x, w, bias, y);
        }
        r += count;
        x += count * s->step;
        y += count * s->y_row;
    }
}

static void NAME(depthwise_rows)(const struct nd_depthwise *s, const void *x_, const void *w,
                                 const void *bias, void *y_)
{
    const T *x = x_;
    T *y = y_;
    const ptrdiff_t part = STRIP_VECTORS * VL;
    if (s->rows == 1 && s->n >= 2 * part) {
        /* one long row: pieces of it are the rows of a tile; the rest is a whole vector at least */
        struct nd_depthwise pieces = *s;
        pieces.rows = s->n / part;
        pieces.n = pieces.step = pieces.y_row = part;
        NAME(depthwise_rows)(&pieces, x, w, bias, y);
        const ptrdiff_t left = s->n % part, from = s->n - (left < VL ? VL : left);
        pieces.rows = 1;
        pieces.n = s->n - from;
        if (left)
            NAME(depthwise_rows)(&pieces, x + from, w, bias, y + from);
    } else if (s->kh == 3 && s->kw == 3 && s->step == s->row) {
        NAME(strips_of_kind)(STRIP_3X3, s, x, w, bias, y);
    } else if (s->kh == 3 && s->kw == 3 && s->step == 2 * s->row) {
        NAME(strips_of_kind)(STRIP_3X3_STEP2, s, x, w, bias, y);
    } else if (s->kh >= STRIP_ROWS && s->step == s->row) {
        NAME(strips_of_kind)(STRIP_SLIDE, s, x, w, bias, y);
    } else {
        NAME(strips_of_kind)(STRIP_ANY, s, x, w, bias, y);
    }
}
#undef STRIP

/* rc rows x pc pixels of all channels, vector by vector; the last one overlaps the one before. */
static inline __attribute__((always_inline)) void NAME(block)(
    const int rc, const int pc, const struct nd_depthwise *s, const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t pixel = s->pixel, pixel3 = 3 * pixel;
    for (ptrdiff_t c = 0; c < s->channels; c += VL) {
        c = c < s->channels - VL ? c : s->channels - VL;
        const T *wc = w + c;
        vec sum[BLOCK_ROWS][BLOCK_PIXELS];
        const vec start = bias ? NAME(load)(bias + c) : (vec){0};
#pragma GCC unroll 2
        for (int r = 0; r < rc; r++)
#pragma GCC unroll 6
            for (int i = 0; i < pc; i++)
                sum[r][i] = start;
        for (ptrdiff_t p = 0; p < s->planes; p++)
            for (ptrdiff_t t = 0; t < s->kh; t++) {
                const T *line = x + c + s->plane[p] + t * s->row;
                for (ptrdiff_t j = 0; j < s->kw; j++, wc += s->w_tap) {
                    const vec by = NAME(load)(wc);
                    const T *at = line + s->column[j];
#pragma GCC unroll 2
                    for (int r = 0; r < rc; r++, at += s->step) {
                        const T *three[2] = {NAME(as_it_is)(at), NAME(as_it_is)(at + pixel3)};
#pragma GCC unroll 6
                        for (int i = 0; i < pc; i++)
                            sum[r][i] += NAME(load)(three[i / 3] + (i % 3) * pixel) * by;
                    }
                }
            }
#pragma GCC unroll 2
        for (int r = 0; r < rc; r++)
#pragma GCC unroll 6
            for (int i = 0; i < pc; i++)
                NAME(store)(y + c + r * s->y_row + i * s->y_pixel, sum[r][i]);
    }
}

#define BLOCK(pc)                                                                                            \
    case pc:                                                                                                 \
        NAME(block)(rc, pc, s, x + i * s->pixel, w, bias, y + i * s->y_pixel);                               \
        break;

static inline __attribute__((always_inline)) void NAME(blocks)(const int rc, const struct nd_depthwise *s,
                                                               const T *x, const T *w, const T *bias, T *y)
{
    const ptrdiff_t tiles = (s->n + BLOCK_PIXELS - 1) / BLOCK_PIXELS;
    ptrdiff_t wider = s->n % tiles;
    for (ptrdiff_t i = 0; i < s->n; wider--) {
        const ptrdiff_t count = s->n / tiles + (wider > 0);
        switch (count) {
            BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
        }
        i += count;
    }
}
#undef BLOCK

static void NAME(depthwise_pixels)(const struct nd_depthwise *s, const void *x_, const void *w,
                                   const void *bias, void *y_)
{
    const T *x = x_;
    T *y = y_;
    for (ptrdiff_t r = 0; r < s->rows; r += BLOCK_ROWS, x += BLOCK_ROWS * s->step, y += BLOCK_ROWS * s->y_row)
        if (s->rows - r >= BLOCK_ROWS)
            NAME(blocks)(2, s, x, w, bias, y);
        else
            NAME(blocks)(1, s, x, w, bias, y);
}
