# Depthwise convolutions of small planes by lanes of channels, from memory that keeps pixels together.
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem

cdef bint turns_planes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef ptrdiff_t turned_bytes(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef void turn_planes(const nd_job *job, bint finite) noexcept nogil
