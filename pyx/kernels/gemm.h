/* gemm: one register tile,  y[i, j] = start + sum over k of A[i, k] * B[k, j],  i < m <= MR, j < n <= NR.
 *
 *   A   read one element at a time and broadcast; any row and k strides. Packed weights have a_row = 1 (the k
 *       columns are MR apart), pixels read in place have a_row = the distance of neighbouring pixels.
 *   B   read as TILE_VECTORS unaligned vectors a step: packed panels, a scratch row, or weights.
 *   k   is walked in runs (include/kernels.h): one run for a packed panel, one a kernel tap for operands that
 *       stay where they are; or, with packed A, by a list of the places of B's rows, one more load a step.
 *       That one tile serves direct and im2col convolution, all layouts, and gradients.
 *
 * Budget: MR*TILE_VECTORS sums live in registers while A and B stream past once. For each k: TILE_VECTORS
 * loads, MR broadcasts, MR*TILE_VECTORS fused multiply-adds. On AVX2 (6 x 2): 8 loads for 6 FMA cycles at two a
 * cycle each, so a tile can run at the FMA peak as long as B comes from L1 and A from L2.
 * Tails are tiles of their own size: m = 1..MR times 1..TILE_VECTORS vectors, so that 8 rows run as 4 + 4.
 * Few rows or few vectors would leave sums unused and every product waiting for the last: tiles of one to four rows are up
 * to eight vectors wide, those of one vector up to ten rows high. A partial last vector is computed whole and stored in
 * part.
 * A call costs some 50 cycles, as many as 8 steps of k: tiles of one size that follow each other are one call (gemm_tiles),
 * 1.05 to 1.3 times as fast for sums of 1 to 64 products.
 *
 * Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008; batch-reduce form: Georganas
 * et al., High-Performance Deep Learning via a Single Building Block, 2019. */

/* Row i, vector v of an mc x vc tile is sum[i * vc + v]. */
#define TILE_SUMS (TILE_ROWS * TILE_VECTORS)
#define SUMS vec sum[TILE_SUMS]
enum { NAME(WIDEST) = 8, NAME(WIDE_ROWS) = 4, NAME(HIGHEST) = TILE_ROWS > 10 ? TILE_ROWS : 10 };

/* One step of k of an mc x vc-vector tile: A's rows are row apart, three of them row3. */
static inline __attribute__((always_inline)) void NAME(tile_step)(const int mc, const int vc, const T *a,
                                                                  ptrdiff_t row, ptrdiff_t row3, const T *b, SUMS)
{
    if (mc < vc) { /* the fewer of the two operands stay in registers */
        T s[NAME(WIDEST)];
#pragma GCC unroll 16
        for (int i = 0; i < mc; i++)
            s[i] = a[(i / 3) * row3 + (i % 3) * row];
#pragma GCC unroll 16
        for (int v = 0; v < vc; v++) {
            const vec column = NAME(load)(b + v * VL);
#pragma GCC unroll 16
            for (int i = 0; i < mc; i++)
                sum[i * vc + v] = NAME(multiply_add)(sum[i * vc + v], column, s[i]);
        }
        return;
    }
    vec vb[NAME(WIDEST)];
#pragma GCC unroll 16
    for (int v = 0; v < vc; v++)
        vb[v] = NAME(load)(b + v * VL);
#pragma GCC unroll 16
    for (int i = 0; i < mc; i++) {
        /* rows in threes, so that the addresses need two strides and a pointer each third row */
        const T s = a[(i / 3) * row3 + (i % 3) * row];
#pragma GCC unroll 16
        for (int v = 0; v < vc; v++)
            sum[i * vc + v] = NAME(multiply_add)(sum[i * vc + v], vb[v], s);
    }
}

/* The sums of an mc x vc-vector tile; mc, vc and packed are constants where this is inlined. */
static inline __attribute__((always_inline)) void NAME(tile_sums)(
    const int mc, const int vc, const int packed, const struct nd_walk *walk, const T *a, const T *b, SUMS)
{
    const ptrdiff_t row = packed ? 1 : walk->a_row, row3 = 3 * row;
    const ptrdiff_t a_k = packed ? TILE_ROWS : walk->a_k, b_k = walk->b_k;
    for (ptrdiff_t run = 0; run < walk->runs; run++) {
        const T *pa = a + walk->a_off[run], *pb = b + walk->b_off[run];
        for (ptrdiff_t j = walk->len; j > 0; j--, pa += a_k, pb += b_k)
            NAME(tile_step)(mc, vc, pa, row, row3, pb, sum);
    }
    if (packed && walk->runs == ND_LIST)
        for (ptrdiff_t j = 0; j < walk->len; j++, a += TILE_ROWS)
            NAME(tile_step)(mc, vc, a, 1, 3, b + walk->b_off[j], sum);
}

static inline __attribute__((always_inline)) void NAME(tile_start)(
    const int mc, const int vc, ptrdiff_t n, int start, const T *bias, SUMS)
{
    vec column[NAME(WIDEST)];
#pragma GCC unroll 16
    for (int v = 0; v < vc; v++) {
        const ptrdiff_t left = n - v * VL;
        column[v] = start != ND_BIAS_COLUMN ? (vec){0}
                    : left >= VL            ? NAME(load)(bias + v * VL)
                                            : NAME(load_part)(bias + v * VL, left);
    }
#pragma GCC unroll 16
    for (int i = 0; i < mc; i++) {
        const vec first = start == ND_BIAS_ROW ? NAME(broadcast)(bias[i]) : (vec){0};
#pragma GCC unroll 16
        for (int v = 0; v < vc; v++)
            sum[i * vc + v] = start == ND_BIAS_ROW ? first : column[v];
    }
}

/* The first n columns of mc rows of sums, wherever y wants them: partial tiles and strided y. */
static __attribute__((noinline)) void NAME(tile_scatter)(const T *rows, ptrdiff_t row, ptrdiff_t mc, ptrdiff_t n,
                                                         T *y, ptrdiff_t y_row, ptrdiff_t y_col, int start)
{
    for (; mc > 0; mc--, y += y_row, rows += row) {
        if (start == ND_ADD)
            for (ptrdiff_t j = 0; j < n; j++)
                y[j * y_col] += rows[j];
        else
            for (ptrdiff_t j = 0; j < n; j++)
                y[j * y_col] = rows[j];
    }
}

/* The same where rows are neighbours in memory (pixels, with output channels in vectors): blocks of LANES rows transposed in
 * registers, then a few elements a column. */
static __attribute__((noinline)) void NAME(tile_transpose)(const T *rows, ptrdiff_t row, ptrdiff_t mc, ptrdiff_t n,
                                                           T *y, ptrdiff_t y_col, int start)
{
    for (ptrdiff_t i = 0; i < mc; i += VL)
        for (ptrdiff_t v = 0; v < n; v += VL) {
            const ptrdiff_t height = mc - i < VL ? mc - i : VL, width = n - v < VL ? n - v : VL;
            vec block[LANES];
#pragma GCC unroll 16
            for (int r = 0; r < LANES; r++)
                block[r] = r < height ? NAME(load)(rows + (i + r) * row + v) : (vec){0};
            NAME(transpose)(block);
            const T *from = (const T *)block;
            T *to = y + v * y_col + i;
            for (ptrdiff_t j = 0; j < width; j++, from += VL, to += y_col)
                if (start == ND_ADD)
                    for (ptrdiff_t r = 0; r < height; r++)
                        to[r] += from[r];
                else
                    NAME(copy_few)(to, from, height);
        }
}

static inline __attribute__((always_inline)) void NAME(tile_store)(
    const int mc, const int vc, ptrdiff_t n, T *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, SUMS)
{
    if (y_col != 1 || n != vc * VL) {
        vec rows[TILE_SUMS];
#pragma GCC unroll 16
        for (int i = 0; i < mc; i++)
#pragma GCC unroll 16
            for (int v = 0; v < vc; v++)
                rows[i * vc + v] = sum[i * vc + v];
        if (y_row == 1)
            NAME(tile_transpose)((const T *)rows, vc * VL, mc, n, y, y_col, start);
        else
            NAME(tile_scatter)((const T *)rows, vc * VL, mc, n, y, y_row, y_col, start);
        return;
    }
    if (start == ND_ADD) {
#pragma GCC unroll 16
        for (int i = 0; i < mc; i++)
#pragma GCC unroll 16
            for (int v = 0; v < vc; v++)
                sum[i * vc + v] += NAME(load)(y + i * y_row + v * VL);
    }
#pragma GCC unroll 16
    for (int i = 0; i < mc; i++)
#pragma GCC unroll 16
        for (int v = 0; v < vc; v++)
            NAME(store)(y + i * y_row + v * VL, sum[i * vc + v]);
}

/* Asks for the lines of y that the tile will write: their way from L2 and beyond is as long as a few steps. */
static inline __attribute__((always_inline)) void NAME(tile_ask)(const int mc, const int vc, ptrdiff_t n, const T *y,
                                                                 ptrdiff_t y_row, ptrdiff_t y_col)
{
    if (y_col == 1) {
#pragma GCC unroll 16
        for (int i = 0; i < mc; i++) {
            __builtin_prefetch(y + i * y_row, 1);
            __builtin_prefetch(y + i * y_row + vc * VL - 1, 1);
        }
    } else if (y_row == 1)
        for (ptrdiff_t j = 0; j < n; j++)
            __builtin_prefetch(y + j * y_col, 1);
}

static inline __attribute__((always_inline)) void NAME(tile)(
    const int mc, const int vc, const struct nd_walk *walk, ptrdiff_t n, const T *a, const T *b, T *y,
    ptrdiff_t y_row, ptrdiff_t y_col, int start, const T *bias)
{
    SUMS;
    NAME(tile_ask)(mc, vc, n, y, y_row, y_col);
    NAME(tile_start)(mc, vc, n, start, bias, sum);
    if (mc <= TILE_ROWS && walk->a_row == 1 && walk->a_k == TILE_ROWS)
        NAME(tile_sums)(mc, vc, 1, walk, a, b, sum);
    else
        NAME(tile_sums)(mc, vc, 0, walk, a, b, sum);
    NAME(tile_store)(mc, vc, n, y, y_row, y_col, start, sum);
}

/* Every height of a tile: TILE(1) ... TILE(TILE_ROWS), for any TILE. */
#if TILE_ROWS > 8
#define TILES                                                                                                \
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)       \
    TILE(13) TILE(14)
#elif TILE_ROWS > 6
#define TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8)
#elif TILE_ROWS > 4
#define TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#else
#define TILES TILE(1) TILE(2) TILE(3) TILE(4)
#endif

/* Those of tiles of one vector, too. */
#if TILE_ROWS > 8
#define HIGH_TILES TILES
#elif TILE_ROWS > 6
#define HIGH_TILES TILES TILE(9) TILE(10)
#elif TILE_ROWS > 4
#define HIGH_TILES TILES TILE(7) TILE(8) TILE(9) TILE(10)
#else
#define HIGH_TILES TILES TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10)
#endif

/* A tile has TILE_SUMS sums at most; those wider than TILE_VECTORS have few rows. */
#define TILE(mc)                                                                                             \
    case mc:                                                                                                 \
        if (mc * vc <= TILE_SUMS)                                                                            \
            for (ptrdiff_t t = tiles->count; t > 0;                                                          \
                 t--, a += tiles->a, b += tiles->b, y += tiles->y, bias += tiles->bias)                      \
                NAME(tile)(mc, vc, walk, n, a, b, y, y_row, y_col, start, bias);                             \
        return;

/* One function per tile size: the compiler then knows every bound and keeps the sums in registers. */
static inline __attribute__((always_inline)) void NAME(tile_high)(
    const int vc, const struct nd_walk *walk, const struct nd_tiles *tiles, ptrdiff_t m, ptrdiff_t n, const T *a,
    const T *b, T *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const T *bias)
{
    switch (m) {
        HIGH_TILES
    }
}

static inline __attribute__((always_inline)) void NAME(tile_wide)(
    const int vc, const struct nd_walk *walk, const struct nd_tiles *tiles, ptrdiff_t m, ptrdiff_t n, const T *a,
    const T *b, T *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const T *bias)
{
    switch (m) {
        TILE(1) TILE(2) TILE(3) TILE(4)
    }
}
#undef TILE

/* Columns of the widest tile of m rows, and rows of the highest one of n columns. */
static ptrdiff_t NAME(tile_columns)(ptrdiff_t m)
{
    const ptrdiff_t vectors = TILE_SUMS / m, most = m <= NAME(WIDE_ROWS) ? NAME(WIDEST) : TILE_VECTORS;
    return VL * (vectors < most ? vectors : most);
}

static ptrdiff_t NAME(tile_rows)(ptrdiff_t n)
{
    const ptrdiff_t vectors = (n + VL - 1) / VL, rows = TILE_SUMS / vectors;
    const ptrdiff_t most = vectors <= TILE_VECTORS ? NAME(HIGHEST) : NAME(WIDE_ROWS);
    return rows < most ? rows : most;
}

/* A function each number of vectors: compilers allocate registers worse where a function has very many loops. */
#define VECTORS(vc, tile)                                                                                    \
    static __attribute__((noinline)) void NAME(tiles_##vc)(                                                  \
        const struct nd_walk *walk, const struct nd_tiles *tiles, ptrdiff_t m, ptrdiff_t n, const T *a,      \
        const T *b, T *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const T *bias)                        \
    {                                                                                                        \
        NAME(tile)(vc, walk, tiles, m, n, a, b, y, y_row, y_col, start, bias);                               \
    }
VECTORS(1, tile_high)
VECTORS(2, tile_high)
#if TILE_VECTORS > 2
VECTORS(3, tile_high)
#else
VECTORS(3, tile_wide)
#endif
VECTORS(4, tile_wide)
VECTORS(5, tile_wide)
VECTORS(6, tile_wide)
VECTORS(7, tile_wide)
VECTORS(8, tile_wide)
#undef VECTORS

static void NAME(gemm_tiles)(const struct nd_walk *walk, const struct nd_tiles *tiles, ptrdiff_t m, ptrdiff_t n,
                             const void *a, const void *b, void *y, ptrdiff_t y_row, ptrdiff_t y_col, int start,
                             const void *bias)
{
#define VECTORS(vc)                                                                                          \
    case vc:                                                                                                 \
        return NAME(tiles_##vc)(walk, tiles, m, n, a, b, y, y_row, y_col, start, bias);
    switch ((n + VL - 1) / VL) {
        VECTORS(1) VECTORS(2) VECTORS(3) VECTORS(4) VECTORS(5) VECTORS(6) VECTORS(7) VECTORS(8)
    }
#undef VECTORS
}

static void NAME(gemm)(const struct nd_walk *walk, ptrdiff_t m, ptrdiff_t n, const void *a, const void *b,
                       void *y, ptrdiff_t y_row, ptrdiff_t y_col, int start, const void *bias)
{
    static const struct nd_tiles one = {1, 0, 0, 0, 0};
    NAME(gemm_tiles)(walk, &one, m, n, a, b, y, y_row, y_col, start, bias);
}
#undef SUMS
