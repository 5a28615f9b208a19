# Small planes by lanes of channels.
from ndconv._window cimport Pool, Way

# Sets the buffers and the tasks; False for planes that are too large, or channels too few
cdef bint plan_turned(Pool *f, Way *way) noexcept nogil
