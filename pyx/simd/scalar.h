/* scalar: portable C. 16-byte vectors, which the compiler maps to whatever the baseline has (SSE2, NEON, or
 * plain scalars). A 4 x 2-vector tile keeps 8 sums, 2 of b and 1 of a in 16 registers. */
#define VL_BYTES 16
#define TILE_ROWS 4
#define TILE_VECTORS 2
