# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Dilated signals as images: where d, the distance of taps, divides the lengths of a signal, rows of d elements below each other
have their taps below each other too,

    y[o] = sum over t of x[o + t d - p] w[t]        o = i d + j:  y[i, j] = sum over t of x[i + t - p/d, j] w[t]

so that a 1-D problem with dilation is a 2-D one without: its tiles are read along rows instead of one element in d. Nothing
moves, only strides change.
"""
from ndconv._c cimport nd_array, nd_job, nd_problem, nd_weights

cdef nd_problem problem_in_rows(const nd_problem *p) noexcept nogil:
    """The problem, as that of an image if it can be one."""
    cdef nd_problem q = p[0]
    cdef ptrdiff_t d = p.dw
    if p.ih == p.oh == p.kh == 1 and p.ph == 0 and p.sw == 1 < d and p.iw % d == 0 and p.ow % d == 0 and p.pw % d == 0 \
            and not p.bordered:
        q.ih, q.iw, q.oh, q.ow, q.kh, q.kw, q.dw, q.ph, q.pw = p.iw // d, d, p.ow // d, d, p.kw, 1, 1, p.pw // d, 0
        q.sh = q.dh = 1
    return q

cdef nd_weights weights_in_rows(const nd_weights *w, const nd_problem *p) noexcept nogil:
    """Of a problem, before it is one in rows."""
    cdef nd_weights v = w[0]
    if problem_in_rows(p).kw != p.kw:
        v.h = v.w
    return v

cdef inline nd_array array_in_rows(const nd_array *a, ptrdiff_t d) noexcept nogil:
    cdef nd_array b = a[0]
    b.h = d * a.w
    return b

cdef nd_job job_in_rows(const nd_job *job, const nd_problem *rows) noexcept nogil:
    """The job with its problem in rows."""
    cdef nd_job j = job[0]
    if rows.kw != job.p.kw:
        j.x, j.y, j.residual = (array_in_rows(&job.x, rows.iw), array_in_rows(&job.y, rows.iw),
                                array_in_rows(&job.residual, rows.iw))
        j.fresh, j.dw = weights_in_rows(&job.fresh, job.p), weights_in_rows(&job.dw, job.p)
    j.p = rows
    return j
