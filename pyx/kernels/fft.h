/* fft: complex transforms along one axis of a tile, in place, LANES independent transforms side by side.
 *
 * A point is [2][VL]: VL real parts, then VL imaginary parts, so no lane is ever shuffled and a point of AVX2
 * is one cache line. One pass turns a block of n = r*m points into r blocks of m points (decimation in
 * frequency):
 *
 *     y[q*m + j] = w^(j*q) * sum over p < r of x[p*m + j] * exp(-2 pi i p q / r),   w = exp(-2 pi i / n)
 *
 * After the last pass the frequencies lie in digit-reversed order (fft_spectrum.h looks them up in a table).
 * The inverse undoes the passes last to first; it is the same arithmetic with real and imaginary parts
 * exchanged, and does not divide by n. Passes are radix 2, 3, 4, 5 and 8; factors w are read as scalars and
 * shared by `inner` neighbouring points.
 *
 * Loops: blocks are transformed depth first until they fit L1, breadth first from there. Columns (`inner`)
 * are taken a few at a time, so that a column group stays in L1 for all of its passes.
 * Budget of a radix-4 step on AVX2: 8 loads, 8 stores and 6 scalars for 12 multiplications and 16 additions:
 * bound by the one store a cycle, 2 cycles a point. Radix 8 spills a few of its 16 values and still saves a
 * third of the moves.
 * Sources: Cooley and Tukey 1965; Gentleman and Sande 1966; depth first: Frigo and Johnson, FFTW3, 2005. */

#define POINT (2 * VL)
#define INLINE static inline __attribute__((always_inline))
#define FFT_L1_BYTES 16384

INLINE void NAME(dft2)(vec *re, vec *im, int a, int b)
{
    const vec r = re[a] - re[b], i = im[a] - im[b];
    re[a] += re[b], im[a] += im[b];
    re[b] = r, im[b] = i;
}

INLINE void NAME(dft3)(vec *re, vec *im)
{
    const T half = (T)0.5, s = (T)0.86602540378443864676;
    const vec tr = re[1] + re[2], ti = im[1] + im[2], dr = (re[1] - re[2]) * s, di = (im[1] - im[2]) * s;
    const vec mr = re[0] - tr * half, mi = im[0] - ti * half;
    re[0] += tr, im[0] += ti;
    re[1] = mr + di, im[1] = mi - dr;
    re[2] = mr - di, im[2] = mi + dr;
}

/* Points a, b, c, d in order; the results come in order too. */
INLINE void NAME(dft4)(vec *re, vec *im, int a, int b, int c, int d)
{
    const vec er = re[a] + re[c], ei = im[a] + im[c], fr = re[a] - re[c], fi = im[a] - im[c];
    const vec gr = re[b] + re[d], gi = im[b] + im[d], hr = re[b] - re[d], hi = im[b] - im[d];
    re[a] = er + gr, im[a] = ei + gi;
    re[c] = er - gr, im[c] = ei - gi;
    re[b] = fr + hi, im[b] = fi - hr;
    re[d] = fr - hi, im[d] = fi + hr;
}

INLINE void NAME(dft5)(vec *re, vec *im)
{
    const T c1 = (T)0.30901699437494742410, c2 = (T)-0.80901699437494742410;
    const T s1 = (T)0.95105651629515357212, s2 = (T)0.58778525229247312917;
    const vec ar = re[1] + re[4], ai = im[1] + im[4], br = re[2] + re[3], bi = im[2] + im[3];
    const vec cr = re[1] - re[4], ci = im[1] - im[4], dr = re[2] - re[3], di = im[2] - im[3];
    const vec er = re[0] + ar * c1 + br * c2, ei = im[0] + ai * c1 + bi * c2;
    const vec fr = re[0] + ar * c2 + br * c1, fi = im[0] + ai * c2 + bi * c1;
    const vec gr = cr * s1 + dr * s2, gi = ci * s1 + di * s2, hr = cr * s2 - dr * s1, hi = ci * s2 - di * s1;
    re[0] += ar + br, im[0] += ai + bi;
    re[1] = er + gi, im[1] = ei - gr;
    re[4] = er - gi, im[4] = ei + gr;
    re[2] = fr + hi, im[2] = fi - hr;
    re[3] = fr - hi, im[3] = fi + hr;
}

/* The halves first: sums of points k and k+4 give the even results, differences turned by exp(-pi i k / 4)
 * the odd. */
INLINE void NAME(dft8)(vec *re, vec *im)
{
    const T h = (T)0.70710678118654752440;
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        NAME(dft2)(re, im, k, k + 4);
    vec r = re[5], i = im[5];
    re[5] = (r + i) * h, im[5] = (i - r) * h;
    r = re[6], i = im[6];
    re[6] = i, im[6] = -r;
    r = re[7], i = im[7];
    re[7] = (i - r) * h, im[7] = -(r + i) * h;
    NAME(dft4)(re, im, 0, 1, 2, 3);
    NAME(dft4)(re, im, 4, 5, 6, 7);
}

/* Where result q of a transform of r points is left by the functions above. */
INLINE int NAME(place)(const int r, int q) { return r == 8 ? (q & 1) * 4 + q / 2 : q; }

INLINE void NAME(dft)(const int r, vec *re, vec *im)
{
    switch (r) {
    case 2:
        NAME(dft2)(re, im, 0, 1);
        break;
    case 3:
        NAME(dft3)(re, im);
        break;
    case 4:
        NAME(dft4)(re, im, 0, 1, 2, 3);
        break;
    case 5:
        NAME(dft5)(re, im);
        break;
    case 8:
        NAME(dft8)(re, im);
        break;
    }
}

/* One butterfly: r points `leg` apart, with its r-1 factors if it has any. */
INLINE void NAME(butterfly)(const int r, const int inverse, const int turned, T *z, ptrdiff_t leg, const T *w)
{
    const ptrdiff_t to_re = inverse ? VL : 0, to_im = VL - to_re;
    vec re[8], im[8];
#pragma GCC unroll 8
    for (int q = 0; q < r; q++) {
        vec a = NAME(load)(z + q * leg + to_re), b = NAME(load)(z + q * leg + to_im);
        if (inverse && turned && q > 0) {
            re[q] = a * w[2 * q - 2] - b * w[2 * q - 1];
            im[q] = a * w[2 * q - 1] + b * w[2 * q - 2];
        } else {
            re[q] = a, im[q] = b;
        }
    }
    NAME(dft)(r, re, im);
#pragma GCC unroll 8
    for (int q = 0; q < r; q++) {
        vec a = re[NAME(place)(r, q)], b = im[NAME(place)(r, q)];
        if (!inverse && turned && q > 0) {
            const vec c = a * w[2 * q - 2] - b * w[2 * q - 1];
            b = a * w[2 * q - 1] + b * w[2 * q - 2];
            a = c;
        }
        NAME(store)(z + q * leg + to_re, a);
        NAME(store)(z + q * leg + to_im, b);
    }
}

/* One pass over `groups` blocks of r*m points that follow each other, `unit` elements from point to point. */
INLINE void NAME(pass)(const int r, const int inverse, T *z, ptrdiff_t groups, ptrdiff_t m, ptrdiff_t unit,
                       ptrdiff_t inner, const T *w)
{
    const ptrdiff_t leg = m * unit, columns = inner * POINT;
    for (; groups > 0; groups--, z += r * leg) {
        for (ptrdiff_t i = 0; i < columns; i += POINT)
            NAME(butterfly)(r, inverse, 0, z + i, leg, w);
        for (ptrdiff_t j = 1; j < m; j++)
            for (ptrdiff_t i = 0; i < columns; i += POINT)
                NAME(butterfly)(r, inverse, 1, z + j * unit + i, leg, w + 2 * (r - 1) * j);
    }
}

#define PASS(r)                                                                                              \
    case r:                                                                                                  \
        return inverse ? NAME(pass)(r, 1, z, groups, m, unit, inner, w)                                      \
                       : NAME(pass)(r, 0, z, groups, m, unit, inner, w);

static __attribute__((noinline)) void NAME(run_pass)(int r, int inverse, T *z, ptrdiff_t groups, ptrdiff_t m,
                                                     ptrdiff_t unit, ptrdiff_t inner, const T *w)
{
    switch (r) {
        PASS(2) PASS(3) PASS(4) PASS(5) PASS(8)
    }
}
#undef PASS

/* The passes radix[0], radix[1], ... over `groups` blocks of n points. */
static void NAME(transform_blocks)(T *z, ptrdiff_t groups, ptrdiff_t n, const unsigned char *radix,
                                   ptrdiff_t unit, ptrdiff_t inner, const T *w, int inverse)
{
    const ptrdiff_t r = *radix, m = n / r;
    if (!inverse)
        NAME(run_pass)(r, 0, z, groups, m, unit, inner, w);
    if (m > 1) {
        const T *rest = w + 2 * (r - 1) * m;
        if ((size_t)(groups * n * inner * POINT) * sizeof(T) <= FFT_L1_BYTES)
            NAME(transform_blocks)(z, groups * r, m, radix + 1, unit, inner, rest, inverse);
        else
            for (ptrdiff_t q = 0; q < groups * r; q++)
                NAME(transform_blocks)(z + q * m * unit, 1, m, radix + 1, unit, inner, rest, inverse);
    }
    if (inverse)
        NAME(run_pass)(r, 1, z, groups, m, unit, inner, w);
}

static void NAME(fft)(const struct nd_axis *axis, void *z_, ptrdiff_t unit, ptrdiff_t rows, ptrdiff_t row,
                      ptrdiff_t inner, int inverse)
{
    T *z = z_;
    if (axis->n == 1)
        return;
    ptrdiff_t most = FFT_L1_BYTES / (axis->n * POINT * (ptrdiff_t)sizeof(T));
    most = most < 1 ? 1 : most;
    if (inner == 1 && row == axis->n * unit) {
        /* rows without gaps are blocks of one pass */
        for (ptrdiff_t i = 0; i < rows; i += most)
            NAME(transform_blocks)(z + i * row, rows - i < most ? rows - i : most, axis->n, axis->radix, unit,
                                   1, axis->factors, inverse);
        return;
    }
    for (; rows > 0; rows--, z += row)
        for (ptrdiff_t i = 0; i < inner; i += most)
            NAME(transform_blocks)(z + i * POINT, 1, axis->n, axis->radix, unit,
                                   inner - i < most ? inner - i : most, axis->factors, inverse);
}
