/* fft_rows: rows of VL arrays to rows of a tile and back, and the direct sums that mend what is not finite.
 *
 * A tile's row is [column][VL], lane l from array l; as pairs of columns that is [point][2][VL], real parts
 * of even and imaginary parts of odd columns (fft_spectrum.h). Lanes may be tiles or channels: each has a
 * pointer of its own.
 * Bytes moved: each element read and written once. Rows that are contiguous in memory are transposed LANES
 * x LANES at a time, about one cycle a vector and lane pair; channels next to each other are whole
 * vectors; anything else one by one. */

/* Whether the lanes follow each other in memory. */
INLINE int NAME(are_neighbours)(const T *const *row)
{
    for (int l = 1; l < VL; l++)
        if (row[l] != row[0] + l)
            return 0;
    return 1;
}

/* Columns low <= j < high of every lane. */
INLINE void NAME(load_columns)(T *to, ptrdiff_t to_step, const T *const *row, ptrdiff_t step, ptrdiff_t low,
                               ptrdiff_t high)
{
    ptrdiff_t j = low;
    if (NAME(are_neighbours)(row)) {
        for (; j < high; j++)
            NAME(store)(to + j * to_step, NAME(load)(row[0] + j * step));
        return;
    }
    if (step == 1)
        for (; j + VL <= high; j += VL) {
            vec block[LANES];
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                block[l] = NAME(load)(row[l] + j);
            NAME(transpose)(block);
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                NAME(store)(to + (j + l) * to_step, block[l]);
        }
    for (; j < high; j++)
        for (int l = 0; l < VL; l++)
            to[j * to_step + l] = row[l][j * step];
}

/* to[j*to_step + l] = low[l] <= j < high[l] ? row[l][j*step] : 0, j < n, l < VL */
static void NAME(fft_load)(void *restrict to_, ptrdiff_t to_step, ptrdiff_t n, const void *const *row_,
                           ptrdiff_t step, const ptrdiff_t *low, const ptrdiff_t *high)
{
    T *restrict to = to_;
    const T *const *row = (const T *const *)row_;
    ptrdiff_t from = low[0], end = high[0];
    for (int l = 1; l < VL; l++) {
        from = from > low[l] ? from : low[l];
        end = end < high[l] ? end : high[l];
    }
    /* from <= j < end lies in every lane's range */
    if (from >= end)
        from = end = n;
    for (ptrdiff_t j = 0; j < from; j++)
        NAME(store)(to + j * to_step, (vec){0});
    for (ptrdiff_t j = end; j < n; j++)
        NAME(store)(to + j * to_step, (vec){0});
    NAME(load_columns)(to, to_step, row, step, from, end);
    for (int l = 0; l < VL; l++) {
        ptrdiff_t j = low[l], stop = high[l] < from ? high[l] : from;
        for (; j < stop; j++)
            to[j * to_step + l] = row[l][j * step];
        for (j = low[l] > end ? low[l] : end; j < high[l]; j++)
            to[j * to_step + l] = row[l][j * step];
    }
}

/* row[l][j*step] = from[j*from_step + l] + bias[l], j < count[l], l < lanes. Returns a bit for every lane
 * one of whose first `most` columns, before the bias, is not finite. */
static unsigned NAME(fft_store)(void *const *row_, ptrdiff_t step, const ptrdiff_t *count, ptrdiff_t most,
                                ptrdiff_t lanes, const void *from_, ptrdiff_t from_step, const void *bias)
{
    T *const *row = (T *const *)row_;
    const T *from = from_;
    const vec plus = NAME(load)(bias);
    vec odd = {0};
    ptrdiff_t all = most, j = 0;
    for (ptrdiff_t i = 0; i < most; i++) {
        const vec v = NAME(load)(from + i * from_step);
        odd += v - v;
    }
    for (int l = 0; l < lanes; l++)
        all = all < count[l] ? all : count[l];
    if (lanes == VL && NAME(are_neighbours)((const T *const *)row))
        for (; j < all; j++)
            NAME(store)(row[0] + j * step, NAME(load)(from + j * from_step) + plus);
    else if (step == 1)
        for (; j + VL <= all; j += VL) {
            vec block[LANES];
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                block[l] = NAME(load)(from + (j + l) * from_step) + plus;
            NAME(transpose)(block);
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                if (l < lanes)
                    NAME(store)(row[l] + j, block[l]);
        }
    for (int l = 0; l < lanes; l++)
        for (ptrdiff_t i = j; i < count[l]; i++)
            row[l][i * step] = from[i * from_step + l] + plus[l];
    unsigned flags = 0;
    for (int l = 0; l < lanes; l++)
        flags |= (unsigned)(odd[l] != 0) << l;
    return flags;
}

/* What a place of an image shows of a channel, within x or outside. */
static inline double NAME(cell)(const struct nd_problem *p, const struct nd_array *x, ptrdiff_t c, ptrdiff_t d,
                                ptrdiff_t h, ptrdiff_t w)
{
    d = nd_source(&p->outside[0], d, p->id);
    h = nd_source(&p->outside[1], h, p->ih);
    w = nd_source(&p->outside[2], w, p->iw);
    if (d == ND_NOWHERE || h == ND_NOWHERE || w == ND_NOWHERE)
        return 0;
    if (d == ND_FILL || h == ND_FILL || w == ND_FILL)
        return p->fill;
    return ((const T *)x->data)[c * x->c + d * x->d + h * x->h + w * x->w];
}

/* The windows' sum of one output and its neighbours along the row:
 *   y[i*y_w] = bias + sum over c, taps of x * w
 * for i < n, w contiguous [c][kd][kh][kw] and x at image and group. Padding is multiplied like the rest. */
static void NAME(conv_points)(const struct nd_problem *p, const struct nd_array *x, const void *w_,
                              const ptrdiff_t *at, ptrdiff_t n, void *y_, ptrdiff_t y_w, const void *bias)
{
    T *y = y_;
    for (ptrdiff_t i = 0; i < n; i++) {
        const T *w = w_;
        double sum = 0;
        for (ptrdiff_t c = 0; c < p->icg; c++)
            for (ptrdiff_t t = 0; t < p->kd * p->kh; t++, w += p->kw) {
                const ptrdiff_t d = at[0] * p->sd + t / p->kh * p->dd - p->pd;
                const ptrdiff_t h = at[1] * p->sh + t % p->kh * p->dh - p->ph;
                const ptrdiff_t left = (at[2] + i) * p->sw - p->pw;
                for (ptrdiff_t k = 0; k < p->kw; k++)
                    sum += (double)w[k] * NAME(cell)(p, x, c, d, h, left + k * p->dw);
            }
        y[i * y_w] = (T)(bias ? sum + *(const T *)bias : sum);
    }
}

/* One weight's gradient, the sum over images and outputs of dy * x; x and dy at group and channel. */
static void NAME(grad_point)(const struct nd_problem *p, const struct nd_array *x, const struct nd_array *dy,
                             const ptrdiff_t *tap, void *dw)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < p->n * p->od * p->oh; i++) {
        const ptrdiff_t oh = i % p->oh, od = i / p->oh % p->od, n = i / p->oh / p->od;
        const ptrdiff_t d = od * p->sd + tap[0] * p->dd - p->pd, h = oh * p->sh + tap[1] * p->dh - p->ph;
        const struct nd_array image = {x->data + n * x->n * (ptrdiff_t)sizeof(T), x->n, x->c, x->d, x->h, x->w};
        const T *gradient = (const T *)dy->data + n * dy->n + od * dy->d + oh * dy->h;
        for (ptrdiff_t ow = 0; ow < p->ow; ow++) {
            const ptrdiff_t j = ow * p->sw + tap[2] * p->dw - p->pw;
            sum += (double)gradient[ow * dy->w] * NAME(cell)(p, &image, 0, d, h, j);
        }
    }
    *(T *)dw = (T)sum;
}
