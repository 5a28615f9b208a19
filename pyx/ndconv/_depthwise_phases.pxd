# Transposed convolutions with strides and few channels a group, plane by plane.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights

cdef void phases_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
cdef void phases_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                         int threads) noexcept nogil
cdef void phases_forward(const nd_job *job) noexcept nogil
cdef bint turns_phases(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
