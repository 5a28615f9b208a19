# cython: language_level=3, freethreading_compatible=True
"""Method: one way to compute a convolution, as the registry in ndconv/select.py lists it."""
from ndconv._c cimport ND_LARGE, ND_SMALL, ND_TURNED, ND_USUAL, nd_method

# The names of enum nd_blocking. "usual" is a method's rule, the others are what `tune` may find to be faster than it.
BLOCKINGS = {"usual": ND_USUAL, "small": ND_SMALL, "large": ND_LARGE, "turned": ND_TURNED}


cdef class Method:
    """A name, a one-line summary, what it guarantees, and the C functions that do the work.

    exact : whether the element-wise error bound of a direct evaluation holds
    error : the guarantee in words
    blockings : those of BLOCKINGS that it has beside the usual one; all have the same guarantee
    """

    def supports(self, problem):
        """None if this method can do `problem` (ndconv.problem.Problem), else the reason why not."""
        return self._supports(problem)

    def __repr__(self):
        return f"<ndconv method {self.name}: {self.summary}>"


cdef Method new_method(str name, str summary, bint exact, str error, supports, const nd_method *c,
                       tuple blockings=()):
    cdef Method method = Method.__new__(Method)
    method.name, method.summary, method.exact, method.error, method._supports = name, summary, exact, error, supports
    method.c, method.blockings = c[0], blockings
    return method
