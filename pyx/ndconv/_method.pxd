from ndconv._c cimport nd_kernel_set, nd_method

cdef class Method:
    cdef readonly str name
    cdef readonly str summary
    cdef readonly bint exact
    cdef readonly str error
    cdef readonly tuple blockings
    cdef object _supports
    cdef object _lanes
    cdef nd_method c
    cdef const nd_kernel_set *kernels(self, problem) except NULL

cdef Method new_method(str name, str summary, bint exact, str error, supports, const nd_method *c,
                       tuple blockings=*, lanes=*)
