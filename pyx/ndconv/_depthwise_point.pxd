# Kernels of one tap that move by more than a cell, with few channels a group, and their transpose.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights

cdef bint is_strided_point(const nd_problem *p) noexcept nogil
cdef bint is_point(const nd_job *job) noexcept nogil
cdef void point(const nd_job *job) noexcept nogil
cdef void spread_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
cdef void spread_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                         int threads) noexcept nogil
cdef void spread(const nd_job *job) noexcept nogil
