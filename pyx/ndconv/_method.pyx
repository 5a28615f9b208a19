# cython: language_level=3, freethreading_compatible=True
"""Method: one way to compute a convolution, as the registry in ndconv/select.py lists it."""
from ndconv._c cimport nd_method


cdef class Method:
    """A name, a one-line summary, what it guarantees, and the C functions that do the work.

    exact : whether the element-wise error bound of a direct evaluation holds
    error : the guarantee in words
    """

    def supports(self, problem):
        """None if this method can do `problem` (ndconv.problem.Problem), else the reason why not."""
        return self._supports(problem)

    def __repr__(self):
        return f"<ndconv method {self.name}: {self.summary}>"


cdef Method new_method(str name, str summary, bint exact, str error, supports, const nd_method *c):
    cdef Method method = Method.__new__(Method)
    method.name, method.summary, method.exact, method.error, method._supports = name, summary, exact, error, supports
    method.c = c[0]
    return method
