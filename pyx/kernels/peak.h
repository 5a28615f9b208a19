/* peak: nothing but fused multiply-adds on registers, the rate that no convolution can exceed. As many
 * independent chains as the register tile has sums, steps times; returns the operations done (2 a lane). A chain
 * that started at the fixed point, 2, would be a constant to the compiler and never run. */
static double NAME(peak)(ptrdiff_t steps, void *result)
{
    vec sum[TILE_ROWS * TILE_VECTORS], by = NAME(broadcast)((T)0.5), plus = NAME(broadcast)((T)1);
#pragma GCC unroll 32
    for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
        sum[i] = plus * (T)(i + 3);
    for (ptrdiff_t j = 0; j < steps; j++) {
#pragma GCC unroll 32
        for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
            sum[i] = sum[i] * by + plus;
    }
    vec all = sum[0];
#pragma GCC unroll 32
    for (int i = 1; i < TILE_ROWS * TILE_VECTORS; i++)
        all += sum[i];
    NAME(store)(result, all);
    return 2.0 * VL * TILE_ROWS * TILE_VECTORS * steps;
}
