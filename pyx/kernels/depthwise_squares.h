/* depthwise_squares: depthwise convolution with 3x3 taps, and with 3x3 and 5x5 where windows move by two.
 *
 * A tile is up to 4 output rows x 1 vector, lanes hold pixels. 9 weights and 4 sums stay in registers over a row of
 * tiles, so that a tile is little more than its loads and multiply-adds and several are under way at once: each sum
 * waits 4 cycles for the addition before, 9 times. For 3x3: 6 rows x 3 columns, 18 loads for 36 multiply-adds.
 * Windows that move by two: the even and the odd lanes of two loads are two columns of taps, so that 4 loads and 3
 * shuffles are 3 columns. Sums are in the order of the shuffles until they are stored.
 * Vectors that leave x on the left or right load with masks, one set of which serves all rows. Where not zeros lie outside, the
 * one lane of a 3x3 kernel that does is set, and rows outside are looked up: as fast.
 *
 * Measured on Zen 4, one core, cycles a vector of results in L2: 3x3 on 112 columns 5.8 (4.5 of multiply-adds), on 28
 * 9.4, on 14 16; moving by two 10.7 on 112, 18 on 28. Strips of two vectors (depthwise.h) take 8, 12, 16; 18 and 34. */

#define SQUARE_ROWS 4
#define SQUARE_TAPS 5

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

/* Whether n numbers are finite. */
static inline int NAME(all_finite)(const T *w, ptrdiff_t n)
{
    T sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += w[i] * 0;
    return sum == 0;
}

/* What strips of one kernel, whose weights are finite, have in common. */
struct NAME(squares) {
    ptrdiff_t row, y_row, n, width, first; /* of struct nd_depthwise; the column of x that tap 0 of result 0 meets */
    ptrdiff_t low, high;                   /* rows of x that count, from the strip's first on */
    const struct nd_depthwise *s;
    const T *x;                            /* of all rows, and their lines from the strip's first on, or NULL */
    const ptrdiff_t *lines;
    ivec left[SQUARE_TAPS + 1], right[SQUARE_TAPS + 1]; /* masks of the first and of the last vector of a row */
};

/* Whether a kernel is a finite square of one plane whose columns are neighbours. */
static inline int NAME(is_square)(const struct nd_depthwise *s, const T *w)
{
    int square = s->planes == 1 && s->kh == s->kw && s->sh == s->stride;
    for (ptrdiff_t j = 1; j < s->kw; j++)
        square &= s->column[j] == s->column[j - 1] + 1;
    return square && NAME(all_finite)(w, s->kh * s->kw);
}

/* Where the loads of a row of x begin: one a tap, or two a pair of taps, of which the last, a single one, ends with the
 * last element that counts. */
static inline __attribute__((always_inline)) ptrdiff_t NAME(square_load)(const int size, const int stride, int i)
{
    return stride == 1 ? i : i == size ? size + VL - 2 : i % 2 ? i - 1 + VL : i;
}

/* Lanes 0 to VL - 1 from p on, of which the one that the mask lacks is `cell`. */
static inline __attribute__((always_inline)) vec NAME(load_beside)(const T *p, ivec mask, const T *cell)
{
    return (vec)((ivec)NAME(load_masked)(p, mask) | ((ivec)NAME(broadcast)(*cell) & ~mask));
}

/* rc rows of a vector of results of 3x3 taps from column i on; side 1 has a lane left of x, 2 right of it, 0 none. */
static inline __attribute__((always_inline)) void NAME(square_beside)(
    const int rc, const int side, const struct NAME(squares) *at, ptrdiff_t i, const vec *weights, vec start, T *y)
{
    const struct nd_depthwise *s = at->s;
    const ptrdiff_t beside = side == 1 ? s->left : s->right;
    const ivec mask = side == 1 ? at->left[0] : at->right[2];
    vec sum[SQUARE_ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++)
        sum[r] = start;
#pragma GCC unroll 6
    for (int q = 0; q < rc + 2; q++) {
        const T *line = at->lines[q] == ND_CONSTANT ? s->constants : at->x + at->lines[q];
        const T *cell = beside == ND_CONSTANT ? s->constants : line + beside;
        line = NAME(as_it_is)(line + i - 1);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            const vec in = NAME(held)(side && j == 2 * side - 2 ? NAME(load_beside)(line + j, mask, cell)
                                                                : NAME(load)(line + j));
#pragma GCC unroll 4
            for (int r = q < 2 ? 0 : q - 2; r < rc && r <= q; r++)
                sum[r] += in * weights[j * 3 + q - r];
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++)
        NAME(store)(y + r * at->y_row + i, sum[r]);
}

static inline void NAME(square_masks)(const int size, const int stride, ptrdiff_t from, ptrdiff_t width, ivec *mask)
{
    for (int i = 0; i < size + stride - 1; i++)
        mask[i] = NAME(lanes_inside)(from + NAME(square_load)(size, stride, i), width);
}

/* rc rows of a vector of results, all known to the compiler, so that everything is unrolled. */
static inline __attribute__((always_inline)) void NAME(square)(
    const int rc, const int size, const int stride, const int masked, const int rows_inside,
    const struct NAME(squares) *at, const T *x, const T *w, const vec *weights, const ivec *masks, vec *sum)
{
    const ptrdiff_t row = at->row;
    const int loads = size + stride - 1;
    ivec mask[SQUARE_TAPS + 1];
#pragma GCC unroll 6
    for (int i = 0; i < loads && masked; i++)
        mask[i] = masks[i];
#pragma GCC unroll 16
    for (int q = 0; q < (rc - 1) * stride + size; q++, x = NAME(as_it_is)(x + row)) {
        const int low = q < size ? 0 : (q - size) / stride + 1, high = q / stride + 1 < rc ? q / stride + 1 : rc;
        if (!rows_inside && (q < at->low || q >= at->high))
            continue;
#pragma GCC unroll 5
        for (int j = 0; j < size; j += stride) {
            const T *p = x + j, *second = x + NAME(square_load)(size, stride, j + 1);
            const vec a = NAME(held)(masked ? NAME(load_masked)(p, mask[j]) : NAME(load)(p));
            vec in[2] = {a, a};
            if (stride == 2) {
                const vec b = NAME(held)(masked ? NAME(load_masked)(second, mask[j + 1]) : NAME(load)(second));
                in[0] = j == size - 1 ? NAME(mixed_ends)(a, b) : NAME(mixed_evens)(a, b);
                in[1] = NAME(mixed_odds)(a, b);
            }
#pragma GCC unroll 2
            for (int c = 0; c < stride && j + c < size; c++)
#pragma GCC unroll 4
                for (int r = low; r < high; r++) {
                    const int tap = (j + c) * size + q - r * stride;
                    sum[r] += in[c] * (weights ? weights[tap] : NAME(broadcast)(w[tap]));
                }
        }
    }
}

/* n results a row from column i on, up to a vector. */
static inline __attribute__((always_inline)) void NAME(square_strip)(
    const int rc, const int size, const int stride, const int masked, const int rows_inside,
    const struct NAME(squares) *at, ptrdiff_t i, const T *x, const T *w, const vec *weights, vec start,
    const ivec *masks, T *y)
{
    const ptrdiff_t n = at->n, y_row = at->y_row;
    vec sum[SQUARE_ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++)
        sum[r] = start;
    NAME(square)(rc, size, stride, masked, rows_inside, at, x + at->first + i * stride, w, weights, masks, sum);
#pragma GCC unroll 4
    for (int r = 0; r < rc; r++) {
        if (stride == 2)
            sum[r] = NAME(in_order)(sum[r]);
        /* what a vector has too much is where the next row goes */
        if (masked && n < VL && (y_row != n || (rc - r) * n < VL))
            NAME(copy_few)(y + r * y_row, (const T *)&sum[r], n);
        else
            NAME(store)(y + r * y_row + i, sum[r]);
    }
}

/* rc rows of n results, vector by vector; the last one overlaps the one before. */
static inline __attribute__((always_inline)) void NAME(square_strips)(
    const int rc, const int size, const int stride, const int rows_inside, const struct NAME(squares) *at, const T *x,
    const T *w, const vec *weights, vec start, T *y)
{
    const ptrdiff_t n = at->n, last = n > VL ? n - VL : 0;
    /* vectors from column `inside` on and before `end` read nothing left or right of x */
    const ptrdiff_t inside = at->first < 0 ? (-at->first + stride - 1) / stride : 0;
    const ptrdiff_t room = at->width - at->first - size - (VL - 1) * stride;
    const ptrdiff_t end = n < VL || room < 0 ? 0 : room / stride + 1;
    ptrdiff_t i = 0;
    while (i < n) {
        if (i >= inside && i < end) {
            const ptrdiff_t stop = end < last + 1 ? end : last + 1;
            for (; i < stop; i += VL)
                NAME(square_strip)(rc, size, stride, 0, rows_inside, at, i, x, w, weights, start, NULL, y);
        } else {
            ivec between[SQUARE_TAPS + 1];
            const ivec *masks = i == 0 ? at->left : i == last ? at->right : between;
            if (masks == between)
                NAME(square_masks)(size, stride, at->first + i * stride, at->width, between);
            NAME(square_strip)(rc, size, stride, 1, rows_inside, at, i, x, w, weights, start, masks, y);
            i += VL;
        }
        i = i < n && i > last ? last : i;
    }
}

/* rc rows of n results where not zeros lie outside. */
static inline __attribute__((always_inline)) void NAME(strips_beside)(
    const int rc, const int rows_inside, const struct NAME(squares) *at, const T *x, const T *w, const vec *weights,
    vec start, T *y)
{
    const ptrdiff_t last = at->n - VL;
    NAME(square_beside)(rc, 1, at, 0, weights, start, y);
    for (ptrdiff_t i = VL; i < last; i += VL)
        if (rows_inside)
            NAME(square_strip)(rc, 3, 1, 0, 1, at, i, x, w, weights, start, NULL, y);
        else
            NAME(square_beside)(rc, 0, at, i, weights, start, y);
    NAME(square_beside)(rc, 2, at, last, weights, start, y);
}

#define SQUARE_STRIPS(count)                                                                         \
    case count:                                                                                      \
        if (count > highest)                                                                         \
            break;                                                                                   \
        if (lined)                                                                                   \
            NAME(strips_beside)(count, rows_inside, &at, x, w, held, start, y);                      \
        else if (rows_inside)                                                                        \
            NAME(square_strips)(count, size, stride, 1, &at, x, w, held, start, y);                  \
        else                                                                                         \
            NAME(square_strips)(count, size, stride, 0, &at, x, w, held, start, y);                  \
        break;

/* All rows, dealt out evenly to strips of up to `highest`. 9 weights stay in registers. */
static inline __attribute__((always_inline)) void NAME(squares_of)(
    const int size, const int stride, const int highest, const int lined, const struct nd_depthwise *s, const T *x,
    const T *w, const T *bias, T *y)
{
    struct NAME(squares) at = {.row = s->row, .y_row = s->y_row, .n = s->n, .width = s->width,
                               .first = s->first + s->column[0], .low = s->low, .high = s->high,
                               .s = s, .x = x, .lines = s->lines};
    const vec start = bias ? NAME(broadcast)(*bias) : (vec){0};
    vec weights[9];
    const vec *held = size == 3 ? weights : NULL;
#pragma GCC unroll 9
    for (int i = 0; i < 9 && size == 3; i++)
        weights[i] = NAME(broadcast)(w[i]);
    NAME(square_masks)(size, stride, at.first, s->width, at.left);
    if (s->n > VL)
        NAME(square_masks)(size, stride, at.first + (s->n - VL) * stride, s->width, at.right);
    const ptrdiff_t parts = (s->rows + highest - 1) / highest, height = s->rows / parts, step = s->step;
    ptrdiff_t taller = s->rows - height * parts, rows = s->rows;
    x += s->plane[0];
    while (rows > 0) {
        const ptrdiff_t count = height + (taller > 0);
        const int rows_inside = at.low <= 0 && at.high >= (count - 1) * stride + size;
        switch (count) {
            SQUARE_STRIPS(1) SQUARE_STRIPS(2) SQUARE_STRIPS(3) SQUARE_STRIPS(4)
        }
        rows -= count, taller--;
        if (lined)
            at.lines += count;
        at.low -= count * stride, at.high -= count * stride;
        x += count * step;
        y += count * at.y_row;
    }
}
#undef SQUARE_STRIPS

/* A function each, so that the compiler deals out registers to one kernel at a time. */
#define SQUARES_OF(kind, size, stride, highest, lined)                                                           \
    static __attribute__((noinline)) void NAME(kind)(const struct nd_depthwise *s, const void *x, const void *w, \
                                                     const void *bias, void *y)                                  \
    {                                                                                                            \
        NAME(squares_of)(size, stride, highest, lined, s, x, w, bias, y);                                        \
    }
SQUARES_OF(squares_3, 3, 1, 4, 0)
SQUARES_OF(squares_3_lined, 3, 1, 4, 1)
SQUARES_OF(squares_3_step2, 3, 2, 3, 0)
SQUARES_OF(squares_5_step2, 5, 2, 4, 0)
#undef SQUARES_OF
