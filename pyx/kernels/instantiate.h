/* Every kernel body for one dtype of one instruction set: included once per dtype by isa/<isa>.c.
 *
 * Expects ISA, T, TNAME, TSIZE and NAME: NAME(gemm) is gemm_f32_avx2 and so on: a profiler line names kernel, dtype and
 * instruction set. */
#include "../simd/gnu.h"
#include "pack.h"
#include "gemm.h"
#include "finish.h"
#include "peak.h"
#include "fft.h"
#include "fft_spectrum.h"
#include "fft_product.h"
#include "fft_slide.h"
#include "fft_rows.h"
#include "winograd.h"
#include "separable.h"
#include "image.h"
#include "depthwise_squares.h"
#include "depthwise.h"
#include "depthwise_near.h"
#include "depthwise_pixels.h"
#include "depthwise_grad.h"
#include "depthwise_point.h"
#include "tap_sums.h"
#include "local.h"
#include "dots.h"
#include "pool.h"
#include "pool_plane.h"
#include "pool_values.h"
#include "pool_index.h"
#include "pool_walk.h"
#include "pool_places.h"
#include "pool_weigh.h"
#include "pool_spread.h"
#include "pool_route.h"
#include "pool_turn.h"
#include "complex.h"
#if TSIZE == 4
#include "half.h"
#endif

static const struct nd_kernel_set NAME(set) = {
#include "shared_members.h"
    .finish = NAME(finish),
    .sum = NAME(sum),
    .sum_columns = NAME(sum_columns),
    .fft = NAME(fft),
    .fft_split = NAME(fft_split),
    .fft_join = NAME(fft_join),
    .fft_filter = NAME(fft_filter),
    .fft_multiply = NAME(fft_multiply),
    .fft_accumulate = NAME(fft_accumulate),
    .fft_unroll = NAME(fft_unroll),
    .fft_slide = NAME(fft_slide),
    .fft_load = NAME(fft_load),
    .fft_store = NAME(fft_store),
    .conv_points = NAME(conv_points),
    .grad_point = NAME(grad_point),
    .winograd_input = NAME(winograd_input),
    .winograd_gradient = NAME(winograd_gradient),
    .winograd_weights = NAME(winograd_weights),
    .winograd_output = NAME(winograd_output),
    .winograd_multiply = NAME(winograd_multiply),
    .sum_rows = NAME(sum_rows),
    .image_load = NAME(image_load),
    .image_store = NAME(image_store),
    .depthwise_rows = NAME(depthwise_rows),
    .depthwise_pixels = NAME(depthwise_pixels),
    .point_rows = NAME(point_rows),
    .point_pixels = NAME(point_pixels),
    .spread_rows = NAME(spread_rows),
    .spread_pixels = NAME(spread_pixels),
    .depthwise_grad_rows = NAME(depthwise_grad_rows),
    .depthwise_grad_pixels = NAME(depthwise_grad_pixels),
    .add_lanes = NAME(add_lanes),
    .tap_sums = NAME(tap_sums),
    .lanes = NAME(lanes),
    .lanes_grad = NAME(lanes_grad),
    .lanes_turn = NAME(lanes_turn),
    .lanes_put = NAME(lanes_put),
    .dots = NAME(dots),
    .pool_combine = NAME(pool_combine),
    .pool_rows = NAME(pool_rows),
    .pool_walk = NAME(pool_walk),
    .pool_lines = NAME(pool_lines),
    .pool_pixels = NAME(pool_pixels),
    .pool_split = NAME(pool_split),
    .pool_taps = NAME(pool_taps),
    .pool_shares = NAME(pool_shares),
    .pool_window = NAME(pool_window),
    .pool_slide = NAME(pool_slide),
    .pool_store = NAME(pool_store),
    .pool_fill = NAME(pool_fill),
    .pool_sum = NAME(pool_sum),
    .pool_means = NAME(pool_means),
    .pool_top = NAME(pool_top),
    .pool_combine_index = NAME(pool_combine_index),
    .pool_taps_index = NAME(pool_taps_index),
    .pool_pixels_index = NAME(pool_pixels_index),
    .pool_rows_index = NAME(pool_rows_index),
    .pool_store_index = NAME(pool_store_index),
    .pool_point = NAME(pool_point),
    .pool_scatter = NAME(pool_scatter),
    .pool_spread = NAME(pool_spread),
    .pool_halves = NAME(pool_halves),
    .pool_turn = NAME(pool_turn),
    .pool_route = NAME(pool_route),
    .pool_share = NAME(pool_share),
    .pool_weigh = NAME(pool_weigh),
    .pool_bins = NAME(pool_bins),
    .pool_power = NAME(pool_power),
    .pool_scale = NAME(pool_scale),
    .split_complex = NAME(split_complex),
    .join_complex = NAME(join_complex),
#if TSIZE == 4
    .widen_half = NAME(widen_half),
    .narrow_half = NAME(narrow_half),
#endif
    .peak = NAME(peak),
};

#include "undefine.h"
