from ndconv._c cimport nd_job, nd_kernel_set, nd_problem

cdef size_t weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil
cdef void weight_grad(const nd_job *job) noexcept nogil
cdef ptrdiff_t bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
