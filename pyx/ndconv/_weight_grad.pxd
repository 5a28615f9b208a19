from ndconv._c cimport nd_job, nd_kernel_set, nd_problem

cdef size_t gemm_weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil
cdef void gemm_weight_grad(const nd_job *job) noexcept nogil
cdef size_t direct_weight_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil
cdef void direct_weight_grad(const nd_job *job) noexcept nogil
cdef ptrdiff_t gemm_bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef ptrdiff_t direct_bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
