from ndconv._c cimport nd_job, nd_problem, nd_weights

cdef nd_problem problem_in_rows(const nd_problem *p) noexcept nogil
cdef nd_weights weights_in_rows(const nd_weights *w, const nd_problem *p) noexcept nogil
cdef nd_job job_in_rows(const nd_job *job, const nd_problem *rows) noexcept nogil
