# Shared by the modules of the fft method: moving tiles between arrays and spectra, a vector of lanes at a time.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem, nd_weights
from ndconv._fft_plan cimport Tables, Tiling
from ndconv._pack cimport Pixel

cdef enum:
    MOST_LANES = 16      # of any vector: 64 bytes of float32

# Where each lane's part of an array lies: `data` is element [0, 0, 0] of `count` elements an axis, of which
# low <= i < high lie in the array (the address of the others is never used), and where they are in the tile.
cdef struct Window:
    int lanes
    char *data[MOST_LANES]
    Pixel first[MOST_LANES]      # of the array, that data points to
    ptrdiff_t low[3][MOST_LANES]
    ptrdiff_t high[3][MOST_LANES]
    ptrdiff_t step[3]            # elements of the array from one to the next
    ptrdiff_t count[3]
    ptrdiff_t spread[3]          # numbers of the tile from one to the next
    # of inputs where what is outside x is not zero (else NULL): x, and the positions that the elements have there
    const nd_problem *bordered
    const nd_array *x
    ptrdiff_t position[3][MOST_LANES]
    ptrdiff_t every[3]

cdef bint holds_tiles(const Tiling *t) noexcept nogil
cdef void aim_input(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *x, ptrdiff_t unit,
                    ptrdiff_t group, ptrdiff_t channel) noexcept nogil
cdef void aim_output(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *y, ptrdiff_t unit,
                     ptrdiff_t channel, ptrdiff_t step, ptrdiff_t left) noexcept nogil
cdef void aim_line(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_array *a, bint is_input,
                   ptrdiff_t line, ptrdiff_t first, ptrdiff_t channel) noexcept nogil
cdef void aim_parts(Window *w, const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_weights *a,
                    ptrdiff_t first) noexcept nogil
cdef void aim_taps(Window *w, const nd_kernel_set *k, const Tiling *t, const nd_weights *a, ptrdiff_t channel,
                   int lanes) noexcept nogil
cdef void load_tile(const Window *w, const nd_kernel_set *k, const Tiling *t, char *z) noexcept nogil
cdef unsigned store_tile(const Window *w, const nd_kernel_set *k, const Tiling *t, const void *bias,
                         const char *z) noexcept nogil
cdef void transform(const nd_kernel_set *k, const Tiling *t, const Tables *tables, char *z, bint inverse) noexcept nogil
