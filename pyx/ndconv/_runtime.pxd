from ndconv._c cimport nd_body, nd_kernel_set, nd_kernels

# The kernels of the instruction set in use. A plan keeps the pointer it was made with.
cdef const nd_kernels *current_kernels() noexcept nogil
# Those of one dtype, an ND_... number, for so many numbers side by side: of narrower vectors if these hold them all.
cdef const nd_kernel_set *kernels_of(int dtype, ptrdiff_t lanes) noexcept nogil
# The number of threads a call uses when it names none.
cdef int default_threads() noexcept nogil
# The one parallel construct and the scratch blocks (include/threads.h), shared by all compiled modules.
cdef void parallel_for(ptrdiff_t n, ptrdiff_t grain, int threads, nd_body body, void *context) noexcept nogil
cdef void *scratch_take(size_t size) noexcept nogil
cdef void scratch_give(void *block) noexcept nogil
