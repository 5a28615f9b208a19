from ndconv._window cimport Pool, Way

cdef bint plan_turned(Pool *f, Way *way) noexcept nogil
