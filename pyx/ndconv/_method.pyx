# cython: language_level=3, freethreading_compatible=True
"""Method: one way to compute a convolution, as the registry in ndconv/select.py lists it."""
from libc.stdint cimport PTRDIFF_MAX

from ndconv._c cimport (ND_F32, ND_F64, ND_FINE, ND_I64, ND_LARGE, ND_PAIRS, ND_SMALL, ND_TURNED, ND_USUAL, nd_kernel_set,
                        nd_method)
from ndconv._runtime cimport kernels_of

# The kernels of a problem's dtype: of int32 and int64 those of integer products, int32 standing for pairs of int16 in x and w.
cdef dict SETS = {"float32": ND_F32, "float64": ND_F64, "int32": ND_PAIRS, "int64": ND_I64}

# The names of enum nd_blocking. "usual" is a method's rule, the others are what `tune` may find to be faster than it.
BLOCKINGS = {"usual": ND_USUAL, "small": ND_SMALL, "large": ND_LARGE, "turned": ND_TURNED, "fine": ND_FINE}


cdef class Method:
    """A name, a one-line summary, what it guarantees, and the C functions that do the work.

    exact : whether the element-wise error bound of a direct evaluation holds
    error : the guarantee in words
    blockings : those of BLOCKINGS that it has beside the usual one; all have the same guarantee
    """

    def supports(self, problem):
        """None if this method can do `problem` (ndconv.problem.Problem), else the reason why not."""
        return self._supports(problem)

    cdef const nd_kernel_set *kernels(self, problem) except NULL:
        """The kernels for a problem: 512-bit vectors of which `_lanes` would leave half empty are 256-bit ones instead. With 8
        channels of results these take 0.55 to 0.8 of the time."""
        return kernels_of(SETS[problem.dtype], PTRDIFF_MAX if self._lanes is None else self._lanes(problem) or PTRDIFF_MAX)

    def tile(self, problem):
        """(lanes of a vector, rows and columns of the register tile) for a problem."""
        cdef const nd_kernel_set *k = self.kernels(problem)
        return k.vl, k.mr, k.nr

    def __repr__(self):
        return f"<ndconv method {self.name}: {self.summary}>"


cdef Method new_method(str name, str summary, bint exact, str error, supports, const nd_method *c,
                       tuple blockings=(), lanes=None):
    """lanes(problem): how many numbers at most the method puts side by side in a vector, 0 or no function for any number."""
    cdef Method method = Method.__new__(Method)
    method.name, method.summary, method.exact, method.error, method._supports = name, summary, exact, error, supports
    method.c, method.blockings, method._lanes = c[0], blockings, lanes
    return method
