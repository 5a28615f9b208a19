# Tiles of an input or of a gradient to their points.
from ndconv._c cimport nd_job, nd_kernel_set
from ndconv._winograd_plan cimport Block, Tiling

# Bytes of a worker's gathered rows
cdef ptrdiff_t gathered_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil
cdef void transform_rows(const nd_job *job, const Tiling *t, const Block *b, bint gradient, ptrdiff_t first, ptrdiff_t last,
                         ptrdiff_t c0, ptrdiff_t c1, char *v, char *edge) noexcept nogil
cdef void ask_for(const char *first, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t bytes) noexcept nogil
