# Forward convolutions with very few input channels a group.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights
from ndconv._depthwise_block cimport Run

cdef void sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil
cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil
cdef void forward(const nd_job *job) noexcept nogil
cdef Run forward_run(const nd_job *job) noexcept nogil
cdef void forward_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil
cdef size_t vectors_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef void prepare_vectors(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, char *to) noexcept nogil
