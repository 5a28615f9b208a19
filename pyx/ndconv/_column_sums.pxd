# A transposed problem with strides as one product of matrices and sums of its columns: see _column_sums.pyx.
from ndconv._c cimport nd_array, nd_job, nd_kernel_set, nd_problem, nd_weights

cdef bint takes_columns(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef nd_problem product_of(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef nd_array columns_of(const nd_problem *p, char *data) noexcept nogil
cdef ptrdiff_t columns_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef ptrdiff_t sums_worker_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef ptrdiff_t turned_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef void prepare_columns(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, char *to, char *workspace,
                          int threads) noexcept nogil
cdef void sum_columns(const nd_job *job, const nd_array *columns, ptrdiff_t first, ptrdiff_t images,
                      char *scratch) noexcept nogil
