# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A Problem as C has it (struct nd_problem in include/problem.h)."""
from libc.string cimport memset

from ndconv._c cimport ND_F32, ND_F64, nd_problem

from ndconv.border import outside_of


cdef int set_axes(nd_problem *p, of) except -1:
    """The axes of a Problem or of a Stage."""
    p.id, p.ih, p.iw = of.x
    p.od, p.oh, p.ow = of.y
    p.kd, p.kh, p.kw = of.k
    p.sd, p.sh, p.sw = of.stride
    p.dd, p.dh, p.dw = of.dilation
    p.pd, p.ph, p.pw = of.before
    return 0


cdef nd_problem forward_geometry(problem):
    """The C problem of the forward convolution."""
    cdef nd_problem p
    p.n, p.g, p.icg, p.ocg = problem.n, problem.g, problem.ic // problem.g, problem.oc // problem.g
    set_axes(&p, problem)
    p.dtype = ND_F32 if problem.dtype == "float32" else ND_F64
    p.lanes_oc = problem.lanes_oc
    p.bordered, p.fill = problem.bordered, problem.fill
    memset(p.outside, 0, sizeof(p.outside))
    return p


cdef object set_outside(nd_problem *p, problem):
    """Sets what lies outside x; returns the tables, which must live as long as p is used."""
    cdef ptrdiff_t[::1] source
    cdef int axis
    memset(p.outside, 0, sizeof(p.outside))
    tables = outside_of(problem)
    for axis in range(3):
        if tables[axis] is not None:
            low, source = tables[axis]
            p.outside[axis].source = &source[0]
            p.outside[axis].low = low
            p.outside[axis].high = p.outside[axis].low + len(source)
    return tables


cdef nd_problem stage_geometry(problem, stage):
    """The C problem of one stage."""
    cdef nd_problem p = forward_geometry(problem)
    if stage.transposed:
        p.icg, p.ocg = p.ocg, p.icg
    set_axes(&p, stage)
    return p


cdef nd_problem whole_geometry(problem):
    """The C problem with all phases of its result; a transposed one if it leads back to the forward input."""
    cdef nd_problem p = forward_geometry(problem)
    if problem.reversed:
        p.icg, p.ocg = p.ocg, p.icg
        p.id, p.ih, p.iw = problem.y
        p.od, p.oh, p.ow = problem.x
    return p
