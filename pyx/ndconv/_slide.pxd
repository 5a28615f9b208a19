from ndconv._window cimport Pool, Way

cdef bint plan_slide(Pool *f, Way *way) noexcept nogil
