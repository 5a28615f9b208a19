/* pack: moving elements into the order in which a tile reads them. Bytes moved: each element read once and
 * written once; contiguous sources and destinations are moved by whole vectors. */

/* to[i*to_row + j] = from[i*row + j], i < m, j < n, size <= n <= 2*size: each row as two parts that overlap. */
static inline __attribute__((always_inline)) void NAME(copy_in_two)(T *restrict to, ptrdiff_t to_row,
                                                                    const T *restrict from, ptrdiff_t m, ptrdiff_t n,
                                                                    ptrdiff_t row, const int size)
{
    for (ptrdiff_t i = 0; i < m; i++) {
        __builtin_memcpy(to + i * to_row, from + i * row, size * sizeof(T));
        __builtin_memcpy(to + i * to_row + n - size, from + i * row + n - size, size * sizeof(T));
    }
}

/* The same of n <= VL; sizes are constants, which compile to single moves. */
static inline __attribute__((always_inline)) void NAME(copy_short_rows)(T *restrict to, ptrdiff_t to_row,
                                                                        const T *restrict from, ptrdiff_t m, ptrdiff_t n,
                                                                        ptrdiff_t row)
{
    if (n >= 32 && LANES > 32)
        NAME(copy_in_two)(to, to_row, from, m, n, row, 32);
    else if (n >= 16 && LANES > 16)
        NAME(copy_in_two)(to, to_row, from, m, n, row, 16);
    else if (n >= 8 && LANES > 8)
        NAME(copy_in_two)(to, to_row, from, m, n, row, 8);
    else if (n >= 4 && LANES > 4)
        NAME(copy_in_two)(to, to_row, from, m, n, row, 4);
    else if (n >= 2)
        NAME(copy_in_two)(to, to_row, from, m, n, row, 2);
    else if (n == 1)
        NAME(copy_in_two)(to, to_row, from, m, n, row, 1);
}

/* n <= VL elements */
static inline __attribute__((always_inline)) void NAME(copy_few)(T *to, const T *from, ptrdiff_t n)
{
    NAME(copy_short_rows)(to, 0, from, 1, n, 0);
}

/* p[0], p[4], p[8], ...; nothing after the last of them is read. */
static inline vec NAME(every_fourth)(const T *p)
{
    return NAME(in_turn)(NAME(alternate)(NAME(every_other)(p), NAME(every_other)(p + 2 * VL - 2)));
}

/* to[i] = from[i*step], i < n. Rows of step 1, 2 or 4 end with a vector that overlaps the one before. */
static void NAME(copy)(void *restrict to_, const void *restrict from_, ptrdiff_t n, ptrdiff_t step)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    if (step == 2 && n >= VL) {
        for (ptrdiff_t i = 0; i < n - VL; i += VL)
            NAME(store)(to + i, NAME(every_other)(from + 2 * i));
        NAME(store)(to + n - VL, NAME(every_other)(from + 2 * (n - VL)));
    } else if (step == 4 && n >= VL) {
        for (ptrdiff_t i = 0; i < n - VL; i += VL)
            NAME(store)(to + i, NAME(every_fourth)(from + 4 * i));
        NAME(store)(to + n - VL, NAME(every_fourth)(from + 4 * (n - VL)));
    } else if (step != 1) {
        ptrdiff_t i = 0;
        for (; step == 3 && i + VL < n; i += VL) /* two elements behind the last of a vector are read */
            NAME(store)(to + i, NAME(every_third)(from + 3 * i));
        for (; i < n; i++)
            to[i] = from[i * step];
    } else if (n >= VL) {
        for (ptrdiff_t i = 0; i < n - VL; i += VL)
            NAME(store)(to + i, NAME(load)(from + i));
        NAME(store)(to + n - VL, NAME(load)(from + n - VL));
    } else {
        NAME(copy_few)(to, from, n);
    }
}

/* to[i*to_row + j] = from[i + j*col], i < LANES, j < LANES, transposed in registers. What is `ask` elements further on is asked
 * for: it is needed soon. */
#if LANES <= 16
static inline __attribute__((always_inline)) void NAME(move_block)(T *to, ptrdiff_t to_row, const T *from,
                                                                   ptrdiff_t col, ptrdiff_t ask)
{
    vec block[LANES];
#pragma GCC unroll 16
    for (int v = 0; v < LANES; v++) {
        block[v] = NAME(load)(from + v * col);
        __builtin_prefetch(from + v * col + ask);
    }
    NAME(transpose)(block);
#pragma GCC unroll 16
    for (int v = 0; v < LANES; v++)
        NAME(store)(to + v * to_row, block[v]);
}

/* The same of n < LANES columns: each row is written in parts, since what follows it in `to` is not this block's. */
static inline __attribute__((always_inline)) void NAME(move_few)(T *to, ptrdiff_t to_row, const T *from,
                                                                 ptrdiff_t col, ptrdiff_t n)
{
    vec block[LANES];
#pragma GCC unroll 16
    for (int v = 0; v < LANES; v++)
        block[v] = v < n ? NAME(load)(from + v * col) : (vec){0};
    NAME(transpose)(block);
    const T *rows = (const T *)block;
    for (ptrdiff_t v = 0; v < VL; v++)
        NAME(copy_few)(to + v * to_row, rows + v * VL, n);
}

#ifndef INTEGER
/* The same of m < LANES rows and any number of columns: the taps of a kernel. Loads are masked. */
static void NAME(move_low)(T *to, ptrdiff_t to_row, const T *from, ptrdiff_t m, ptrdiff_t n, ptrdiff_t col)
{
    const ivec inside = NAME(lanes_inside)(0, m);
    vec block[LANES];
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const ptrdiff_t at = j <= n - VL || n < VL ? j : n - VL; /* the last block overlaps the one before */
#pragma GCC unroll 16
        for (int v = 0; v < LANES; v++)
            block[v] = at + v < n ? NAME(load_masked)(from + (at + v) * col, inside) : (vec){0};
        NAME(transpose)(block);
        const T *rows = (const T *)block;
        for (ptrdiff_t r = 0; r < m; r++)
            if (n < VL)
                NAME(copy_few)(to + r * to_row, rows + r * VL, n);
            else
                NAME(store)(to + r * to_row + at, NAME(load)(rows + r * VL));
    }
}
#endif
#endif

/* to[i*to_row + j] = from[i*row + j*col], i < m, j < n: a block, transposed when its rows are the contiguous
 * direction of `from`. LANES x LANES at a time that costs about half a cycle an element, fewer rows or columns 0.7, one by one 2.
 * Four vectors of 2 * VL columns are moved before the next columns: whole lines of either side, and what is asked for
 * meanwhile is needed next, those columns or, after the last, the vectors that follow. */
static void NAME(move)(void *restrict to_, ptrdiff_t to_row, const void *restrict from_, ptrdiff_t m,
                       ptrdiff_t n, ptrdiff_t row, ptrdiff_t col)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    ptrdiff_t done = 0;
    if (col == 1 && n < VL) {
        NAME(copy_short_rows)(to, to_row, from, m, n, row);
        done = n;
    }
#if LANES <= 16 && !defined(INTEGER)
    if (row == 1 && col != 1 && m > 2 && m < VL && n > 2) {
        NAME(move_low)(to, to_row, from, m, n, col);
        done = n;
    }
#endif
#if LANES <= 16
    if (row == 1 && col != 1 && m >= VL && n > 1) {
        done = n;
        for (ptrdiff_t i = 0; i < m && n < VL; i += VL) {
            const ptrdiff_t at = i < m - VL ? i : m - VL;
            NAME(move_few)(to + at * to_row, to_row, from + at, col, n);
        }
        /* lines that fall on the same sets of L1, a page apart, are loaded once each: elements before a whole line */
        const ptrdiff_t lead = col % VL ? 0 : (ptrdiff_t)((uintptr_t)from / sizeof(T) % VL);
        for (ptrdiff_t i = 0; i < m + lead && n >= VL; i += 4 * VL)
            for (ptrdiff_t j = 0; j < n; j += 2 * VL)
                for (ptrdiff_t v = i; v < m + lead && v < i + 4 * VL; v += VL) {
                    /* the first and the last blocks overlap their neighbours */
                    const ptrdiff_t at = v < lead ? 0 : v - lead < m - VL ? v - lead : m - VL;
                    for (ptrdiff_t c = j; c < n && c < j + 2 * VL; c += VL) {
                        const ptrdiff_t b = c < n - VL ? c : n - VL;
                        NAME(move_block)(to + at * to_row + b, to_row, from + at + b * col, col,
                                         b + 3 * VL <= n ? 2 * VL * col : 4 * VL);
                    }
                }
    }
#endif
    for (ptrdiff_t i = 0; i < m && done < n; i++)
        NAME(copy)(to + i * to_row + done, from + i * row + done * col, n - done, col);
}

/* to[(t*channels + c)*width + j] = from[t*tap + c*channel + j*col], t < taps, c < channels, j < n: a panel's rows of one row
 * of taps. Channel by channel, so that a line of `from` comes into L1 once for all its taps; the line that the panel after
 * this one begins with is asked for on the way. */
static void NAME(pack_taps)(void *restrict to_, ptrdiff_t width, const void *restrict from_, ptrdiff_t taps,
                            ptrdiff_t tap, ptrdiff_t channels, ptrdiff_t channel, ptrdiff_t n, ptrdiff_t col)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    const ptrdiff_t last = n - VL;
    for (ptrdiff_t c = 0; c < channels; c++, to += width, from += channel) {
        __builtin_prefetch(from + (taps - 1) * tap + (2 * n + VL) * col);
        for (ptrdiff_t t = 0; t < taps; t++) {
            const T *p = from + t * tap;
            T *q = to + t * channels * width;
            if (last < 0 || last > VL || col < 1 || col > 2) {
                NAME(copy)(q, p, n, col);
            } else {
                /* one vector, and one that overlaps it unless there are two */
                const vec v = col == 1 ? NAME(load)(p) : NAME(every_other)(p);
                const vec w = col == 1 ? NAME(load)(p + last) : NAME(every_other)(p + 2 * last);
                NAME(store)(q, v);
                NAME(store)(q + last, w);
            }
        }
    }
}

/* to[(j/width*m + i)*width + j%width] = from[i*row + j], i < m, j < n: panels of m rows each, taken row by row, which is the
 * order of memory: where rows are less than a page apart that is a third of the time of panel by panel. */
static void NAME(pack_rows)(void *restrict to_, ptrdiff_t width, const void *restrict from_, ptrdiff_t m, ptrdiff_t n,
                            ptrdiff_t row)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    for (ptrdiff_t i = 0; i < m; i++, to += width, from += row) {
        T *q = to;
        ptrdiff_t j = 0;
        for (; j + width <= n; j += width, q += m * width) {
            __builtin_prefetch(from + j + 8 * row);
            for (ptrdiff_t v = 0; v < width; v += VL)
                NAME(store)(q + v, NAME(load)(from + j + v));
        }
        for (; j < n; j++)
            *q++ = from[j];
    }
}

/* to[i*width + j] = low <= j < high ? from[i*row + j] : 0, i < m, j < width: rows with zeros around them. Vectors that
 * overlap the one before copy a row of VL elements and more; nothing outside low to high is read. Rows that follow each
 * other are copied as one, and zeros stored over what is not wanted: a third of the time for 28 elements. */
static void NAME(pad)(void *restrict to_, ptrdiff_t width, const void *restrict from_, ptrdiff_t m, ptrdiff_t row,
                      ptrdiff_t low, ptrdiff_t high)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    const int edges = width >= VL && low <= VL;
    if (row == width && m > 1 && high > low) {
        NAME(copy)(to + low, from + low, (m - 1) * width + high - low, 1);
        for (; m > 0; m--, to += width) {
            for (ptrdiff_t j = 0; j < low; j++)
                to[j] = 0;
            for (ptrdiff_t j = high; j < width; j++)
                to[j] = 0;
        }
        return;
    }
    for (; m > 0; m--, to += width, from += row) {
        if (edges) {
            /* vectors of zeros at either end, then the row over them */
            NAME(store)(to, (vec){0});
            for (ptrdiff_t j = high; j < width - VL; j += VL)
                NAME(store)(to + j, (vec){0});
            NAME(store)(to + width - VL, (vec){0});
        } else {
            for (ptrdiff_t j = 0; j < low; j++)
                to[j] = 0;
            for (ptrdiff_t j = high; j < width; j++)
                to[j] = 0;
        }
        if (high - low >= VL) {
            for (ptrdiff_t j = low; j < high - VL; j += VL)
                NAME(store)(to + j, NAME(load)(from + j));
            NAME(store)(to + high - VL, NAME(load)(from + high - VL));
        } else {
            NAME(copy_few)(to + low, from + low, high - low);
        }
    }
}

/* to[i*line + j%2*phase + j/2] = low <= j < high ? from[i*row + j] : 0, i < m, j < 2*width: even columns, then odd ones. Where
 * the padding is a vector at most a row is a vector of zeros at either end, then what x has over them. The rows that follow
 * are asked for: they are the next call's. */
static void NAME(pad_pairs)(void *restrict to_, ptrdiff_t line, ptrdiff_t phase, ptrdiff_t width, const void *restrict from_,
                            ptrdiff_t m, ptrdiff_t row, ptrdiff_t low, ptrdiff_t high)
{
    const T *restrict from = from_;
    T *restrict to = to_;
    const ptrdiff_t n = high - low;
    const int edges = width >= VL && low <= 2 * VL && 2 * width - high <= 2 * VL;
    const ptrdiff_t ahead = m * row;
    for (; m > 0; m--, to += line, from += row) {
        if (edges)
            for (int half = 0; half < 2; half++) {
                NAME(store)(to + half * phase, (vec){0});
                NAME(store)(to + half * phase + width - VL, (vec){0});
            }
        else
            for (ptrdiff_t j = 0; j < width; j++)
                to[j] = to[phase + j] = 0;
        T *first = to + low % 2 * phase + low / 2, *second = to + (low + 1) % 2 * phase + (low + 1) / 2;
        const T *p = from + low;
        ptrdiff_t i = 0;
        while (i < n && n >= 2 * VL) {
            i = i < n - 2 * VL ? i : n - 2 * VL;
            __builtin_prefetch(p + i + ahead, 0, 2);
            const vec a = NAME(load)(p + i), b = NAME(load)(p + i + VL);
            const vec even = NAME(evens)(a, b), odd = NAME(odds)(a, b);
            NAME(store)(i % 2 ? second + i / 2 : first + i / 2, even);
            NAME(store)(i % 2 ? first + i / 2 + 1 : second + i / 2, odd);
            i += 2 * VL;
        }
        for (; i < n; i++)
            (i % 2 ? second : first)[i / 2] = p[i];
    }
}

/* to[i*width + j] = j < n ? from[i*row + j*col] : 0, i < m, j < width */
static void NAME(pack)(void *restrict to_, ptrdiff_t width, const void *restrict from, ptrdiff_t m,
                       ptrdiff_t n, ptrdiff_t row, ptrdiff_t col)
{
    T *restrict to = to_;
    NAME(move)(to, width, from, m, n, row, col);
    for (ptrdiff_t i = 0; i < m && n < width; i++)
        for (ptrdiff_t j = n; j < width; j++)
            to[i * width + j] = 0;
}

/* to[i*to_step] = from[i*from_step], i < n */
static void NAME(scatter)(void *restrict to_, ptrdiff_t to_step, const void *restrict from_,
                          ptrdiff_t from_step, ptrdiff_t n)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    if (to_step == 1)
        NAME(copy)(to, from, n, from_step);
    else
#pragma GCC unroll 4
        for (ptrdiff_t i = 0; i < n; i++)
            to[i * to_step] = from[i * from_step];
}

/* to[i*step] += from[i], i < n */
static void NAME(add)(void *restrict to_, ptrdiff_t step, const void *restrict from_, ptrdiff_t n)
{
    T *restrict to = to_;
    const T *restrict from = from_;
    ptrdiff_t i = 0;
    if (step == 1)
        for (; i + VL <= n; i += VL)
            NAME(store)(to + i, NAME(load)(to + i) + NAME(load)(from + i));
    for (; i < n; i++)
        to[i * step] += from[i];
}

/* The sum of from[i*step], i < n, in eight interleaved parts, neighbours in 32: the same bits at any address. */
static double NAME(sum)(const void *from_, ptrdiff_t n, ptrdiff_t step)
{
    typedef T four __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));
    typedef double wide __attribute__((vector_size(4 * sizeof(double))));
    const T *from = from_;
    double part[8] = {0};
    ptrdiff_t i = 0;
    if (step == 1 && n >= 32) {
        wide sum[8] = {{0}};
        for (; i + 32 <= n; i += 32)
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++)
                sum[v] += __builtin_convertvector(*(const four *)(from + i + 4 * v), wide);
        for (int v = 0; v < 8; v++)
            for (int l = 0; l < 4; l++)
                part[v % 2 * 4 + l] += sum[v][l];
    }
    for (; i + 8 <= n; i += 8)
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
            part[j] += from[(i + j) * step];
    for (int j = 0; i < n; i++, j++)
        part[j] += from[i * step];
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* sums[j] += from[i*row + j] over i < m, for j < n <= 16; of 16 columns the sums stay in registers, those of neighbouring rows
 * apart from each other where that takes no more than eight. */
static void NAME(sum_columns)(double *restrict sums, const void *from_, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row)
{
    enum { WIDE = VL_BYTES / sizeof(double), VECTORS = 16 / WIDE, ROWS = 8 / VECTORS };
    typedef T narrow __attribute__((vector_size(WIDE * sizeof(T)), aligned(sizeof(T)), may_alias));
    typedef double wide __attribute__((vector_size(VL_BYTES)));
    const T *from = from_;
    double part[16] = {0};
    if (n == 16) {
        wide sum[8] = {{0}};
        ptrdiff_t i = 0;
        for (; i + ROWS <= m; i += ROWS, from += ROWS * row)
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++)
                sum[v] += __builtin_convertvector(*(const narrow *)(from + v / VECTORS * row + v % VECTORS * WIDE), wide);
        for (; i < m; i++, from += row)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                sum[v] += __builtin_convertvector(*(const narrow *)(from + v * WIDE), wide);
        for (int v = 0; v < 8; v++)
            for (int l = 0; l < WIDE; l++)
                part[v % VECTORS * WIDE + l] += sum[v][l];
    } else {
        for (ptrdiff_t i = 0; i < m; i++, from += row)
            for (ptrdiff_t j = 0; j < n; j++)
                part[j] += from[j];
    }
    for (ptrdiff_t j = 0; j < n; j++)
        sums[j] += part[j];
}
