from ndconv._c cimport nd_problem

cdef nd_problem forward_geometry(problem)
cdef nd_problem stage_geometry(problem, stage)
