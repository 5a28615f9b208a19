# Results of the winograd method, from M to y.
from ndconv._c cimport nd_job, nd_kernel_set
from ndconv._winograd_plan cimport Block, Tiling

cdef struct Forward:
    const nd_job *job
    const nd_job *whole  # of a transposed problem with strides, whose cells are the job's results; else the job itself
    Tiling t
    Block b              # common: the block
    char *v
    char *m
    char *workers

cdef ptrdiff_t out_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil
cdef void store_rows(Forward *f, const Block *b, ptrdiff_t first, ptrdiff_t last, ptrdiff_t v0, ptrdiff_t v1, const char *m,
                     char *edge) noexcept nogil
