/* Checks the kernels of kernels/pool_route.h, gradients of windows of pixels whose channels are neighbours, by their
 * definitions. */
#include "check.h"
#include <string.h>

enum { LINES = 3, WINDOWS = 4, WIDTH = 7, MOST = 5 * 64 };

static struct nd_pool_route windows(ptrdiff_t channels, int mode)
{
    struct nd_pool_route s;
    memset(&s, 0, sizeof s);
    s.windows = WINDOWS;
    s.kw = 1 + mode % 3;
    s.sw = 1 + mode / 3 % 3;
    s.dw = 1 + mode / 9 % 2;
    s.pad = mode / 18 % 3;
    s.iw = WIDTH;
    s.pixel = channels + 1;
    s.dy_pixel = channels + 2;
    s.at_pixel = channels + 3;
    s.channels = channels;
    return s;
}

/* The pixel of a window's column, -1 where that is outside the row. */
static ptrdiff_t pixel_of(const struct nd_pool_route *s, ptrdiff_t window, ptrdiff_t column)
{
    const ptrdiff_t w = window * s->sw - s->pad + column * s->dw;
    return w < s->iw ? w : -1;
}

/* Indices in the window's rows, of which the last may be elsewhere (`partial`), or nowhere; or one of them outside. */
static void check_route(const struct nd_kernel_set *k, int dtype, ptrdiff_t channels, int mode, ptrdiff_t size, int partial,
                        int astray)
{
    struct nd_pool_route s = windows(channels, mode);
    const ptrdiff_t line = WIDTH * s.pixel, here = LINES - partial;
    ptrdiff_t bases[LINES];
    void *cells[LINES], *dx = numbers(here * line - 1, dtype), *dy = numbers(WINDOWS * s.dy_pixel - 2, dtype),
                        *at = room((WINDOWS * s.at_pixel - 3) * size);
    double expected[LINES * WIDTH * (MOST + 1)];
    for (ptrdiff_t i = 0; i < here * line - 1; i++)
        expected[i] = get(dx, i, dtype);
    for (ptrdiff_t r = 0; r < LINES; r++) {
        bases[r] = 40 + r * WIDTH;
        cells[r] = r < here ? item(dx, r * line, dtype) : NULL;
    }
    s.rows = here;
    s.at_size = size;
    s.low = s.inside_low = bases[0];
    s.high = bases[LINES - 1] + WIDTH;
    s.inside_high = s.low + here * WIDTH;
    for (ptrdiff_t i = 0; i < WINDOWS * channels; i++) {
        const ptrdiff_t j = i / channels, c = i % channels, r = below(LINES), w = pixel_of(&s, j, below(s.kw));
        const int lost = astray && i == WINDOWS * channels / 2;
        const int64_t place = lost ? (astray == 1 || size == 4 ? s.high : ((int64_t)1 << 32) - 1) : w < 0 ? -1 : bases[r] + w;
        if (size == 4)
            ((int32_t *)at)[j * s.at_pixel + c] = (int32_t)place;
        else
            ((int64_t *)at)[j * s.at_pixel + c] = place;
        if (!lost && w >= 0 && r < here)
            expected[r * line + w * s.pixel + c] += get(dy, j * s.dy_pixel + c, dtype);
    }
    expect(k->pool_route(&s, cells, bases, dy, at) == (astray != 0), "pool_route, outside", dtype, channels, mode, astray);
    for (ptrdiff_t i = 0; i < here * line - 1 && !astray; i++)
        expect(get(dx, i, dtype) == expected[i], "pool_route", dtype, channels, mode, (int)size);
    release();
}

static void check_share(const struct nd_kernel_set *k, int dtype, ptrdiff_t channels, int mode)
{
    struct nd_pool_route s = windows(channels, mode);
    void *dx = numbers(WIDTH * s.pixel - 1, dtype), *sums = numbers(WINDOWS * s.dy_pixel - 2, dtype);
    double expected[WIDTH * (MOST + 1)];
    s.dw = 1;
    for (ptrdiff_t i = 0; i < WIDTH * s.pixel - 1; i++)
        expected[i] = i % s.pixel < channels ? 0 : get(dx, i, dtype);
    for (ptrdiff_t i = 0; i < WINDOWS * s.kw * channels; i++) {
        const ptrdiff_t c = i % channels, j = i / channels / s.kw, w = pixel_of(&s, j, i / channels % s.kw);
        if (w >= 0)
            expected[w * s.pixel + c] += get(sums, j * s.dy_pixel + c, dtype) / 4;
    }
    k->pool_share(&s, dx, sums, 0.25);
    for (ptrdiff_t i = 0; i < WIDTH * s.pixel - 1; i++)
        expect(get(dx, i, dtype) == expected[i], "pool_share", dtype, channels, mode, 0);
    release();
}

void check_pool_route(const struct nd_kernel_set *k, int dtype)
{
    for (ptrdiff_t channels = 1; channels <= 5 * k->vl; channels++)
        for (int mode = 0; mode < 54; mode++) {
            check_share(k, dtype, channels, mode);
            for (ptrdiff_t size = k->size; size <= 8 && channels >= k->vl; size += 4)
                check_route(k, dtype, channels, mode, size, mode % 2, (mode + (int)channels) % 3);
        }
}
