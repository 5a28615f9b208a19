/* fft_slide: the sum over the parts of a kernel at one frequency, a complex convolution along neighbouring
 * tiles.
 *
 *     y[i] = sum over j < parts of x[i + j] * w[j]
 *
 * x lies in two rows, real and imaginary parts, so the tiles of the next part are loads one element further
 * on.
 *
 * Budget: four vectors of y are 8 sums; 2 for w[j], 2 for x. A part is 8 loads, 2 broadcasts and 16
 * multiply-adds: 8 cycles on AVX2 by the multiply-adds, whose two steps a sum are 4 cycles apart, and as
 * many by the loads if each second one spans two cache lines. Everything is in L1: a few hundred tiles. */

static void NAME(fft_unroll)(void *rows, const void *ring, ptrdiff_t size, ptrdiff_t first, ptrdiff_t n)
{
    T *re = rows, *im = re + n * VL;
    for (ptrdiff_t v = 0; v < n; v++, first = first + 1 == size ? 0 : first + 1) {
        const T *point = (const T *)ring + first * POINT;
        NAME(store)(re + v * VL, NAME(load)(point));
        NAME(store)(im + v * VL, NAME(load)(point + VL));
    }
}

INLINE void NAME(slide)(const int vectors, T *y, const T *x, ptrdiff_t row, const T *w, ptrdiff_t parts)
{
    vec re[4], im[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        re[v] = im[v] = (vec){0};
    for (; parts > 0; parts--, x++, w += 2) {
        const T wr = w[0], wi = w[1];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const vec xr = NAME(load)(x + v * VL), xi = NAME(load)(x + row + v * VL);
            re[v] += xr * wr;
            im[v] += xi * wr;
            re[v] -= xi * wi;
            im[v] += xr * wi;
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        NAME(store)(y + v * POINT, re[v]);
        NAME(store)(y + v * POINT + VL, im[v]);
    }
}

static void NAME(fft_slide)(void *y_, const void *rows, ptrdiff_t row, const void *w, ptrdiff_t parts,
                            ptrdiff_t vectors)
{
    T *y = y_;
    const T *x = rows;
    for (; vectors >= 4; vectors -= 4, x += 4 * VL, y += 4 * POINT)
        NAME(slide)(4, y, x, row, w, parts);
    switch (vectors) {
    case 3:
        NAME(slide)(3, y, x, row, w, parts);
        break;
    case 2:
        NAME(slide)(2, y, x, row, w, parts);
        break;
    case 1:
        NAME(slide)(1, y, x, row, w, parts);
        break;
    }
}
