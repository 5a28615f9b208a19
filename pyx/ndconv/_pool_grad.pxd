# Gradients of pooling by lanes of channels.
from ndconv._window cimport Pool, Way

# Sets the buffers and the tasks for f.x, which is dy, f.y, which is dx, and f.at, or of means without f.at_size. False for
# other memory, too few channels, and large windows of maxima
cdef bint plan_pool_grad(Pool *f, Way *way) noexcept nogil
