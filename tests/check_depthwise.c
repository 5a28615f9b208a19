/* Checks the kernels of convolutions with few channels a group, and of their weight gradients. */
#include "check.h"

enum { PLANES = 2, ROWS = 5, MOST_COLUMNS = 67 };

struct shape {
    ptrdiff_t kh, kw, sh, stride; /* rows, and columns, from result to result */
};
static const struct shape shapes[] = {{1, 1, 1, 1}, {3, 3, 1, 1}, {3, 3, 2, 2}, {2, 3, 1, 1}, {4, 2, 1, 1}, {5, 5, 1, 1},
                                      {7, 7, 1, 1}, {5, 5, 2, 2}, {7, 9, 1, 1}, {4, 3, 3, 1}, {7, 4, 2, 1}, {2, 3, 1, 2}};
static const struct shape lines[] = {{1, 3, 1, 1}, {1, 9, 2, 1}, {1, 20, 1, 1}, {1, MOST_COLUMNS, 1, 1}};

/* A problem and its offsets; of lanes that hold pixels also what lies outside x: the first column, the last ones, the first row
 * and, where there are enough of them, the last. */
static struct nd_depthwise problem(const struct shape *shape, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t *offsets)
{
    const ptrdiff_t high = (rows - 1) * shape->sh + shape->kh, wide = (n - 1) * shape->stride + shape->kw;
    struct nd_depthwise s = {.planes = PLANES, .kh = shape->kh, .kw = shape->kw, .plane = offsets, .column = offsets + PLANES,
                             .rows = rows, .n = n, .sh = shape->sh, .stride = shape->stride, .first = -1,
                             .width = wide > 3 ? wide - 2 - n % 2 : wide, .low = high > 2 && n % 3 ? 1 : 0,
                             .high = high > 3 ? high - 1 : high};
    s.row = s.width + 1;
    s.step = shape->sh * s.row;
    for (ptrdiff_t p = 0; p < PLANES; p++)
        offsets[p] = p * high * s.row;
    for (ptrdiff_t j = 0; j < shape->kw; j++)
        offsets[PLANES + j] = shape->kh > 1 ? shape->kw - 1 - j : j; /* columns need not be in order */
    return s;
}

static ptrdiff_t x_rows(const struct nd_depthwise *s) { return (s->rows - 1) * s->sh + s->kh; }

/* The element of x that result i of row r meets at a tap: zero outside. */
static double x_of(const struct nd_depthwise *s, const void *x, ptrdiff_t p, ptrdiff_t t, ptrdiff_t j, ptrdiff_t r, ptrdiff_t i,
                   int dtype)
{
    const ptrdiff_t column = s->first + i * s->stride + s->column[j], q = r * s->sh + t;
    if (column < 0 || column >= s->width || q < s->low || q >= s->high)
        return 0;
    return get(x, s->plane[p] + q * s->row + column, dtype);
}

static void check_rows(const struct nd_kernel_set *k, int dtype, const struct shape *shape, ptrdiff_t rows, ptrdiff_t n)
{
    ptrdiff_t offsets[PLANES + MOST_COLUMNS];
    struct nd_depthwise s = problem(shape, rows, n, offsets);
    s.y_row = n + n % 4; /* rows of y that follow each other, or have a gap */
    /* memory ends with the last element that counts, and begins with the first */
    const ptrdiff_t begin = s.low * s.row, end = ((PLANES - 1) * x_rows(&s) + s.high - 1) * s.row + s.width;
    const void *x = item(numbers(end - begin, dtype), -begin, dtype);
    void *w = numbers(PLANES * s.kh * s.kw, dtype), *bias = numbers(1, dtype);
    void *y = numbers((rows - 1) * s.y_row + n, dtype);
    const double between = rows > 1 ? get(y, n, dtype) : 0; /* an element of y, or one of a gap */
    k->depthwise_rows(&s, x, w, n % 2 ? bias : NULL, y);
    expect(rows == 1 || s.y_row == n || get(y, n, dtype) == between, "depthwise_rows", dtype, rows, n, -1);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t i = 0; i < n; i++) {
            double sum = n % 2 ? get(bias, 0, dtype) : 0;
            for (ptrdiff_t tap = 0; tap < PLANES * s.kh * s.kw; tap++) {
                const ptrdiff_t p = tap / (s.kh * s.kw), j = tap / s.kh % s.kw, t = tap % s.kh;
                sum += x_of(&s, x, p, t, j, r, i, dtype) * get(w, tap, dtype);
            }
            expect(get(y, r * s.y_row + i, dtype) == sum, "depthwise_rows", dtype, rows, n, (int)(shape - shapes));
        }
    release();
}

/* Sums of dy times x, lanes of pixels, over two images. */
static void check_grad_rows(const struct nd_kernel_set *k, int dtype, const struct shape *shape, ptrdiff_t rows, ptrdiff_t n)
{
    enum { IMAGES = 2 };
    ptrdiff_t offsets[PLANES + MOST_COLUMNS];
    struct nd_depthwise s = problem(shape, rows, n, offsets);
    s.y_row = n + n % 4;
    struct nd_depthwise_grad g = {
        .steps = rows, .stride = s.sh, .spread = 1, .taps = s.kh, .low = s.low, .high = s.high, .x_step = s.step, .x_tap = s.row,
        .y_step = s.y_row, .across = s.kw, .column = s.column, .n = n, .first = s.first, .lane_stride = s.stride,
        .width = s.width, .images = IMAGES, .x_image = (s.high - s.low) * s.row, .y_image = rows * s.y_row,
        .sums_tap = s.kw * k->vl, .sums_column = k->vl};
    const ptrdiff_t size = (IMAGES - 1) * g.x_image + (s.high - s.low - 1) * s.row + s.width, taps = s.kh * s.kw;
    const void *x = item(numbers(size, dtype), -s.low * s.row, dtype);
    const void *dy = numbers((IMAGES * rows - 1) * s.y_row + n, dtype);
    void *sums = numbers(taps * k->vl, dtype), *whole = numbers(taps, dtype);
    double want[7 * 9];
    for (ptrdiff_t tap = 0; tap < taps; tap++) {
        want[tap] = 0;
        for (ptrdiff_t l = 0; l < k->vl; l++)
            want[tap] += get(sums, tap * k->vl + l, dtype);
        for (ptrdiff_t m = 0; m < IMAGES; m++)
            for (ptrdiff_t i = 0; i < rows * n; i++)
                want[tap] += x_of(&s, item(x, m * g.x_image, dtype), 0, tap / s.kw, tap % s.kw, i / n, i % n, dtype)
                             * get(dy, m * g.y_image + i / n * s.y_row + i % n, dtype);
    }
    k->depthwise_grad_rows(&g, x, dy, sums);
    k->add_lanes(whole, sums, taps);
    for (ptrdiff_t tap = 0; tap < taps; tap++)
        expect(get(whole, tap, dtype) == want[tap], "depthwise_grad_rows", dtype, rows, n, (int)(shape - shapes));
    release();
}

/* Walks along pixels, lanes of channels; the first pixel is outside x. */
static void check_grad_pixels(const struct nd_kernel_set *k, int dtype, const struct shape *shape, ptrdiff_t rows, ptrdiff_t n,
                              ptrdiff_t channels, ptrdiff_t spread)
{
    ptrdiff_t column[9];
    const ptrdiff_t cells = (n - 1) * shape->sh + (shape->kw - 1) * spread + 1, high = cells > 3 ? cells - 1 : cells;
    const ptrdiff_t low = cells > 1, pixel = channels + 2, row = (high - 1) * pixel + 1;
    const ptrdiff_t oc = channels + 3, taps = shape->kh * shape->kw;
    struct nd_depthwise_grad g = {
        .steps = n, .stride = shape->sh, .spread = spread, .taps = shape->kw, .low = low, .high = high,
        .x_step = shape->sh * pixel, .x_tap = spread * pixel, .y_step = channels, .across = shape->kh, .column = column,
        .n = channels, .rows = rows,
        .x_row = n % 2 ? row : 2 * row, .y_row = n * channels + 1, .sums_tap = oc, .sums_column = shape->kw * oc};
    for (ptrdiff_t t = 0; t < shape->kh; t++)
        column[t] = (n % 2 ? t : shape->kh - 1 - t) * row; /* rows that follow each other, or are in no order */
    const ptrdiff_t end = (rows - 1) * g.x_row + (shape->kh - 1) * row + (high - 1) * pixel + channels;
    const void *x = item(numbers(end - low * pixel, dtype), -low * pixel, dtype), *dy = numbers(rows * g.y_row - 1, dtype);
    void *sums = numbers(taps * oc, dtype);
    double *want = room((ptrdiff_t)sizeof(double) * taps * oc);
    for (ptrdiff_t i = 0; i < taps * oc; i++) {
        const ptrdiff_t tap = i / oc, c = i % oc;
        want[i] = get(sums, i, dtype);
        for (ptrdiff_t o = 0; o < rows * n && c < channels; o++) {
            const ptrdiff_t cell = o % n * shape->sh + tap % shape->kw * spread;
            if (cell >= low && cell < high)
                want[i] += get(x, o / n * g.x_row + column[tap / shape->kw] + cell * pixel + c, dtype)
                           * get(dy, o / n * g.y_row + o % n * channels + c, dtype);
        }
    }
    k->depthwise_grad_pixels(&g, x, dy, sums);
    for (ptrdiff_t i = 0; i < taps * oc; i++)
        expect(get(sums, i, dtype) == want[i], "depthwise_grad_pixels", dtype, rows, n, (int)channels);
    release();
}

/* 3x3 taps where not zeros lie outside: any row may be another one or the constant, and so may the columns beside x. */
static void check_lined(const struct nd_kernel_set *k, int dtype, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t left, ptrdiff_t right)
{
    enum { MOST = 19 };
    ptrdiff_t plane = 0, column[] = {0, 1, 2}, lines[MOST];
    for (ptrdiff_t q = 0; q < rows + 2; q++)
        lines[q] = (q - 1) * n;
    lines[0] = rows > 1 ? n : ND_CONSTANT, lines[rows + 1] = left == 0 ? ND_CONSTANT : 0;
    const struct nd_depthwise s = {.planes = 1, .kh = 3, .kw = 3, .plane = &plane, .column = column, .rows = rows, .n = n,
                                   .sh = 1, .stride = 1, .first = -1, .width = n, .low = 1, .high = rows + 1, .row = n,
                                   .step = n, .y_row = n, .lines = lines, .constants = numbers(n, dtype), .left = left,
                                   .right = right};
    const void *x = numbers(rows * n, dtype), *w = numbers(9, dtype), *bias = numbers(1, dtype);
    void *y = numbers(rows * n, dtype);
    /* row q of the taps begins at row q - 1 of x */
    struct nd_depthwise at = s;
    ptrdiff_t moved[MOST];
    for (ptrdiff_t q = 0; q < rows + 2; q++)
        moved[q] = lines[q] == ND_CONSTANT ? ND_CONSTANT : lines[q] + n;
    at.lines = moved;
    k->depthwise_rows(&at, item(x, -n, dtype), w, bias, y);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t i = 0; i < n; i++) {
            double sum = get(bias, 0, dtype);
            for (int tap = 0; tap < 9; tap++) {
                const ptrdiff_t line = lines[r + tap % 3], c = i + tap / 3 - 1, to = c < 0 ? left : c == n ? right : c;
                const void *from = line == ND_CONSTANT || to == ND_CONSTANT ? s.constants : x;
                sum += get(from, (line == ND_CONSTANT ? 0 : from == x ? line : 0) + (to == ND_CONSTANT ? 0 : to), dtype)
                       * get(w, tap, dtype);
            }
            expect(get(y, r * n + i, dtype) == sum, "depthwise_rows, lined", dtype, rows, n, (int)left);
        }
    release();
}

/* Lanes of channels: rows and columns outside x are not read. */
static void check_pixels(const struct nd_kernel_set *k, int dtype, const struct shape *shape, ptrdiff_t rows, ptrdiff_t n,
                         ptrdiff_t channels, ptrdiff_t spread)
{
    ptrdiff_t offsets[PLANES + MOST_COLUMNS];
    struct nd_depthwise s = problem(shape, rows, n, offsets);
    const ptrdiff_t wide = (n - 1) * s.stride + (s.kw - 1) * spread + 1, taps = PLANES * s.kh * s.kw, vl = k->vl;
    s.first = n % 3 ? -2 : 1, s.width = wide > 6 && n % 4 ? wide - 4 : wide + 1, s.spread = spread;
    s.channels = channels, s.pixel = channels + 2, s.y_pixel = channels, s.y_row = n * channels + 1, s.w_vector = taps * vl;
    s.row = s.width * s.pixel, s.step = s.sh * s.row;
    for (ptrdiff_t p = 0; p < PLANES; p++)
        offsets[p] = p * (s.high - s.low) * s.row;
    const ptrdiff_t begin = s.low * s.row, end = (PLANES * (s.high - s.low) + s.low) * s.row - 2;
    const void *x = item(numbers(end - begin, dtype), -begin, dtype), *bias = numbers(channels, dtype);
    const void *w = numbers((channels + vl - 1) / vl * s.w_vector, dtype);
    void *y = numbers((rows - 1) * s.y_row + n * channels, dtype);
    k->depthwise_pixels(&s, x, w, n % 2 ? bias : NULL, y);
    for (ptrdiff_t i = 0; i < rows * n * channels; i++) {
        const ptrdiff_t r = i / channels / n, o = i / channels % n, c = i % channels;
        const int last = c >= channels - vl;
        const ptrdiff_t v = last ? (channels - 1) / vl : c / vl, lane = last ? c - (channels - vl) : c % vl;
        double sum = n % 2 ? get(bias, c, dtype) : 0;
        for (ptrdiff_t tap = 0; tap < taps; tap++) {
            const ptrdiff_t q = r * s.sh + tap / s.kw % s.kh, cell = s.first + o * s.stride + tap % s.kw * spread;
            if (q >= s.low && q < s.high && cell >= 0 && cell < s.width)
                sum += get(x, offsets[tap / (s.kh * s.kw)] + q * s.row + cell * s.pixel + c, dtype)
                       * get(w, v * s.w_vector + tap * vl + lane, dtype);
        }
        expect(get(y, r * s.y_row + o * channels + c, dtype) == sum, "depthwise_pixels", dtype, rows, n, (int)(shape - shapes));
    }
    release();
}

void check_depthwise(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t i = 0; i < (ptrdiff_t)(sizeof shapes / sizeof *shapes); i++) {
        for (ptrdiff_t rows = 1; rows <= ROWS; rows++) {
            for (ptrdiff_t n = 1; n <= 4 * k->vl + 1; n++) {
                check_rows(k, dtype, shapes + i, rows, n);
                check_grad_rows(k, dtype, shapes + i, rows, n);
            }
            for (ptrdiff_t n = 1; n <= 8; n++) {
                check_pixels(k, dtype, shapes + i, rows, n, k->vl + n % 3, 1 + n % 5 / 4);
                check_grad_pixels(k, dtype, shapes + i, rows, n, k->vl + n % 3, 1 + n % 5 / 4);
            }
        }
        check_rows(k, dtype, shapes + i, 17, k->vl + 3);
        check_grad_rows(k, dtype, shapes + i, 17, k->vl + 3);
        check_grad_pixels(k, dtype, shapes + i, 11, 17, 2 * k->vl, 1);
        check_lined(k, dtype, 1 + i, k->vl + 1 + i, 0, k->vl);
        check_lined(k, dtype, 17, 2 * k->vl + i, i % 2 ? ND_CONSTANT : 1, i % 2 ? ND_CONSTANT : 0);
        check_rows(k, dtype, shapes + i, 1, 9 * k->vl + 1);
        check_pixels(k, dtype, shapes + i, 17, 3, 2 * k->vl, 2);
        check_pixels(k, dtype, shapes + i, 9, 13, k->vl, 1);
    }
    for (ptrdiff_t i = 0; i < (ptrdiff_t)(sizeof lines / sizeof *lines); i++)
        for (ptrdiff_t n = 7 * k->vl; n <= 19 * k->vl; n += k->vl / 2 + 1)
            check_rows(k, dtype, lines + i, 1 + n % 3, n);
}
