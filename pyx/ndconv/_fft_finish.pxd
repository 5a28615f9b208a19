# The end of a tile of the fft method.
from ndconv._c cimport nd_job
from ndconv._fft_prepare cimport Prepared
from ndconv._fft_tile cimport Window

cdef void finish(const nd_job *job, const Prepared *prepared, const Window *w, char *z, ptrdiff_t g, ptrdiff_t o) noexcept nogil
