from ndconv._c cimport nd_job, nd_kernel_set, nd_problem

cdef bint takes_taps(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef size_t tap_grad_bytes(const nd_problem *p, const nd_kernel_set *k, int threads) noexcept nogil
cdef void tap_grad(const nd_job *job) noexcept nogil
cdef ptrdiff_t tap_bias_parts(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
