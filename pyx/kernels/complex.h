/* complex: rows of complex numbers taken apart into real parts, imaginary parts and their sums, and put
 * together. Two vectors are read or written for each vector of parts: the speed of the second-level cache. */

/* re[i], im[i] = the parts of number i of `from`, step numbers apart; sum[i] = re[i] + im[i] unless sum is
 * NULL; i < n */
static void NAME(split_complex)(void *restrict re_, void *restrict im_, void *restrict sum_,
                                const void *restrict from_, ptrdiff_t step, ptrdiff_t n)
{
    T *restrict re = re_, *restrict im = im_, *restrict sum = sum_;
    const T *restrict from = from_;
    ptrdiff_t i = 0;
    if (step == 1)
        for (; i + VL <= n; i += VL) {
            const vec low = NAME(load)(from + 2 * i), high = NAME(load)(from + 2 * i + VL);
            const vec a = NAME(evens)(low, high), b = NAME(odds)(low, high);
            NAME(store)(re + i, a);
            NAME(store)(im + i, b);
            if (sum)
                NAME(store)(sum + i, a + b);
        }
    for (; i < n; i++) {
        re[i] = from[2 * i * step];
        im[i] = from[2 * i * step + 1];
        if (sum)
            sum[i] = re[i] + im[i];
    }
}

/* number i of `to`, step numbers apart, = re[i] + im[i]*sqrt(-1), i < n */
static void NAME(join_complex)(void *restrict to_, ptrdiff_t step, const void *restrict re_,
                               const void *restrict im_, ptrdiff_t n)
{
    T *restrict to = to_;
    const T *restrict re = re_, *restrict im = im_;
    ptrdiff_t i = 0;
    if (step == 1)
        for (; i + VL <= n; i += VL) {
            const vec a = NAME(load)(re + i), b = NAME(load)(im + i);
            NAME(store)(to + 2 * i, NAME(interleave_low)(a, b));
            NAME(store)(to + 2 * i + VL, NAME(interleave_high)(a, b));
        }
    for (; i < n; i++) {
        to[2 * i * step] = re[i];
        to[2 * i * step + 1] = im[i];
    }
}
