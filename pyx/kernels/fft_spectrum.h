/* fft_spectrum: from the complex transform of neighbouring pairs to the spectrum of real numbers, and back.
 *
 * A real row of 2M numbers is read as M complex ones, even positions real, odd ones imaginary, so the tile
 * costs half of a complex one. With Z its transform, E and O those of the even and odd columns, and w =
 * exp(-pi i f / M) at column frequency f, points f and -f (on every axis) hold
 *
 *     2E = Z[f] + conj Z[-f],   2iO = Z[f] - conj Z[-f],   2X[f] = 2E + w 2O,   2X[f + M] = 2E - w 2O
 *
 * and X at all other frequencies are conjugates of those. So each pair {f, -f} of points gives two
 * frequencies, and N real numbers give N/2 complex ones (a few more: where f = -f). `pairs` has the two
 * points of each pair, `turns` its w; what order the points are in is the table's affair. The factors 2 are
 * left in and taken out of the kernel's spectrum.
 *
 * Bytes moved: a pair reads and writes two points; 10 additions and 4 multiplications, so bound by loads and
 * stores.
 * Source: Cooley, Lewis and Welch, The Fast Fourier Transform Algorithm, 1970 (real sequences). */

#define SPECTRUM struct NAME(two)
SPECTRUM {
    vec r0, i0, r1, i1;
};

INLINE SPECTRUM NAME(split_pair)(const T *p, const T *q, T wr, T wi)
{
    const vec pr = NAME(load)(p), pi = NAME(load)(p + VL), qr = NAME(load)(q), qi = NAME(load)(q + VL);
    const vec er = pr + qr, ei = pi - qi, or = pi + qi, oi = qr - pr;
    const vec tr = or * wr - oi * wi, ti = or * wi + oi * wr;
    return (SPECTRUM){er + tr, ei + ti, er - tr, ei - ti};
}

INLINE void NAME(join_pair)(T *p, T *q, T wr, T wi, SPECTRUM x)
{
    const vec er = x.r0 + x.r1, ei = x.i0 + x.i1, dr = x.r0 - x.r1, di = x.i0 - x.i1;
    const vec or = dr * wr + di * wi, oi = di * wr - dr * wi;
    NAME(store)(p, er - oi);
    NAME(store)(p + VL, ei + or);
    NAME(store)(q, er + oi);
    NAME(store)(q + VL, or - ei);
}

static void NAME(fft_split)(void *restrict to_, ptrdiff_t step, const void *restrict z_, const int32_t *pairs,
                            const void *turns, ptrdiff_t n, double re_scale, double im_scale)
{
    T *restrict to = to_;
    const T *restrict z = z_, *w = turns;
    if (re_scale == 1 && im_scale == 1) {
        for (ptrdiff_t i = 0; i < n; i++, to += 2 * step) {
            const SPECTRUM x = NAME(split_pair)(z + pairs[2 * i] * POINT, z + pairs[2 * i + 1] * POINT,
                                                w[2 * i], w[2 * i + 1]);
            NAME(store)(to, x.r0);
            NAME(store)(to + VL, x.i0);
            NAME(store)(to + step, x.r1);
            NAME(store)(to + step + VL, x.i1);
        }
        return;
    }
    const T rs = (T)re_scale, is = (T)im_scale;
    for (ptrdiff_t i = 0; i < n; i++, to += 2 * step) {
        const SPECTRUM x = NAME(split_pair)(z + pairs[2 * i] * POINT, z + pairs[2 * i + 1] * POINT, w[2 * i],
                                            w[2 * i + 1]);
        NAME(store)(to, x.r0 * rs);
        NAME(store)(to + VL, x.i0 * is);
        NAME(store)(to + step, x.r1 * rs);
        NAME(store)(to + step + VL, x.i1 * is);
    }
}

static void NAME(fft_join)(void *restrict z_, const void *restrict from_, ptrdiff_t step,
                           const int32_t *pairs, const void *turns, ptrdiff_t n)
{
    T *restrict z = z_;
    const T *restrict from = from_, *w = turns;
    for (ptrdiff_t i = 0; i < n; i++, from += 2 * step)
        NAME(join_pair)(z + pairs[2 * i] * POINT, z + pairs[2 * i + 1] * POINT, w[2 * i], w[2 * i + 1],
                        (SPECTRUM){NAME(load)(from), NAME(load)(from + VL), NAME(load)(from + step),
                                   NAME(load)(from + step + VL)});
}

/* Both at once, with the product in between: to = join(split(z) * u). u is [2] a frequency for all lanes,
 * or [2][VL]. */
INLINE void NAME(filter)(const int lanes, T *to, const T *z, const T *u, const int32_t *pairs, const T *w,
                         ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t p = pairs[2 * i] * POINT, q = pairs[2 * i + 1] * POINT;
        const SPECTRUM x = NAME(split_pair)(z + p, z + q, w[2 * i], w[2 * i + 1]);
        SPECTRUM y;
        if (lanes) {
            const vec ar = NAME(load)(u + 2 * i * POINT), ai = NAME(load)(u + 2 * i * POINT + VL);
            const vec br = NAME(load)(u + 2 * i * POINT + POINT);
            const vec bi = NAME(load)(u + 2 * i * POINT + POINT + VL);
            y = (SPECTRUM){x.r0 * ar - x.i0 * ai, x.r0 * ai + x.i0 * ar, x.r1 * br - x.i1 * bi,
                           x.r1 * bi + x.i1 * br};
        } else {
            const T ar = u[4 * i], ai = u[4 * i + 1], br = u[4 * i + 2], bi = u[4 * i + 3];
            y = (SPECTRUM){x.r0 * ar - x.i0 * ai, x.r0 * ai + x.i0 * ar, x.r1 * br - x.i1 * bi,
                           x.r1 * bi + x.i1 * br};
        }
        NAME(join_pair)(to + p, to + q, w[2 * i], w[2 * i + 1], y);
    }
}

static void NAME(fft_filter)(void *to, const void *z, const void *u, int lanes, const int32_t *pairs,
                             const void *turns, ptrdiff_t n)
{
    if (lanes)
        NAME(filter)(1, to, z, u, pairs, turns, n);
    else
        NAME(filter)(0, to, z, u, pairs, turns, n);
}
#undef SPECTRUM
