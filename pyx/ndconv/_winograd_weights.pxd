# Weights of the winograd method: gathered, and at their points.
from ndconv._c cimport nd_kernel_set, nd_problem, nd_weights
from ndconv._winograd_plan cimport Tiling

cdef enum:
    WEIGHTS = 32             # channels of weights that are gathered at a time

cdef ptrdiff_t plain_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, ptrdiff_t g, ptrdiff_t panel,
                             ptrdiff_t d, ptrdiff_t c) noexcept nogil
cdef ptrdiff_t cell_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil
cdef ptrdiff_t tap_of_cell(const Tiling *t, ptrdiff_t taps, ptrdiff_t cell, ptrdiff_t i) noexcept nogil
cdef void gather(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, ptrdiff_t g, ptrdiff_t panel, ptrdiff_t d,
                 ptrdiff_t c0, ptrdiff_t channels, char *to) noexcept nogil
cdef void transform_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, char *to, ptrdiff_t point,
                            ptrdiff_t rows, const char *plain, ptrdiff_t channels, char *cell) noexcept nogil
cdef void prepare_weights(const nd_problem *p, const nd_kernel_set *k, const Tiling *t, const nd_weights *w, void *to,
                          char *workspace, int threads) noexcept nogil
