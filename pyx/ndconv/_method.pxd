from ndconv._c cimport nd_method

cdef class Method:
    cdef readonly str name
    cdef readonly str summary
    cdef readonly bint exact
    cdef readonly str error
    cdef readonly tuple blockings
    cdef object _supports
    cdef nd_method c

cdef Method new_method(str name, str summary, bint exact, str error, supports, const nd_method *c,
                       tuple blockings=*)
