# A transposed problem as a whole, all phases of its strides in one pass: see _phases.pyx.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights

cdef void transpose_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
cdef void transpose_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                            int threads) noexcept nogil
cdef void transpose_forward(const nd_job *job) noexcept nogil
