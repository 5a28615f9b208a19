# The C problem of a Problem (ndconv/problem.py), of one of its stages, and of all phases of its result.
from ndconv._c cimport nd_problem

cdef nd_problem forward_geometry(problem)
cdef nd_problem stage_geometry(problem, stage)
cdef nd_problem whole_geometry(problem)
cdef object set_outside(nd_problem *p, problem)
