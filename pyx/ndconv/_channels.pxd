# Windows where channels are neighbours in memory.
from ndconv._window cimport Pool, Way

# Sets the buffers and the tasks; False for windows that are too large
cdef bint plan_channels(Pool *f, Way *way) noexcept nogil
