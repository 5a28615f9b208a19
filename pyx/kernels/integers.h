/* The kernel bodies that integers have, for one dtype of one instruction set: moves, pooling without
 * sums and, of 16 bits, filters of images. Expects what kernels/instantiate.h expects, and INTEGER. */
#include "../simd/gnu.h"
#include "pack.h"
#include "pool.h"
#include "pool_walk.h"
#include "pool_values.h"
#include "pair.h"
#if TSIZE == 2
#include "separable.h"
#include "image.h"
#include "image_fold.h"
#endif

static const struct nd_kernel_set NAME(set) = {
    .size = sizeof(T),
    .vl = VL_BYTES / sizeof(T),
    .copy = NAME(copy),
    .move = NAME(move),
    .scatter = NAME(scatter),
#if TSIZE == 2
    .sum_rows = NAME(sum_rows),
    .image_load = NAME(image_load),
    .image_store = NAME(image_store),
    .image_fold = NAME(image_fold),
    .smooth_row = NAME(smooth_row),
    .smooth_column = NAME(smooth_column),
#endif
    .pool_combine = NAME(pool_combine),
    .pool_rows = NAME(pool_rows),
    .pool_walk = NAME(pool_walk),
    .pool_lines = NAME(pool_lines),
    .pool_pixels = NAME(pool_pixels),
    .pool_split = NAME(pool_split),
    .pool_taps = NAME(pool_taps),
    .pool_window = NAME(pool_window),
    .pool_slide = NAME(pool_slide),
    .pool_fill = NAME(pool_fill),
    .pool_point = NAME(pool_point),
    .pair = NAME(pair),
};

#include "undefine.h"
