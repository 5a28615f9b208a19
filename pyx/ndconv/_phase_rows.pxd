# A transposed problem of few output channels, all phases of its strides in one pass: see _phase_rows.pyx.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights

cdef void phase_rows_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
cdef void phase_rows_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                             int threads) noexcept nogil
cdef void phase_rows_forward(const nd_job *job) noexcept nogil
