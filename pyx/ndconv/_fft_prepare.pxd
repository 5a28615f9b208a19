# Prepared weights of the fft method: [Tiling][tables][spectra][the weights as they are].
from ndconv._c cimport nd_kernel_set, nd_problem, nd_weights
from ndconv._fft_plan cimport Tables, Tiling

cdef struct Prepared:
    const Tiling *t
    Tables tables
    char *spectra
    char *raw

cdef ptrdiff_t prepared_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil
cdef void open_prepared(const nd_problem *p, const nd_kernel_set *k, const char *at, Prepared *to) noexcept nogil
cdef void prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                  int threads) noexcept nogil
