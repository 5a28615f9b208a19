# The fft method by parts of a kernel.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem
from ndconv._fft_plan cimport Tiling
from ndconv._fft_prepare cimport Prepared

cdef ptrdiff_t parts_bytes(const nd_problem *p, const Tiling *t) noexcept nogil
cdef ptrdiff_t parts_worker_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil
cdef void convolve_parts(const nd_job *job, const Prepared *w) noexcept nogil
