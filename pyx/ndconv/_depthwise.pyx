# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""depthwise: convolution with very few input channels a group, at the speed of memory or of the multiply-adds.

    blocks of rows, lanes of pixels or of channels           _depthwise_forward.pyx, _depthwise_block.pyx
    small planes of NCHW memory, turned to lanes of channels _depthwise_planes.pyx
    kernels of one tap that move by more than a cell         _depthwise_point.pyx, also transposed
    other transposed strides, plane by plane                 _depthwise_phases.pyx
    weight gradients                                         _depthwise_grad.pyx
"""
from ndconv._c cimport nd_job, nd_kernel_set, nd_method, nd_problem, nd_sizes, nd_weights
from ndconv._depthwise_forward cimport forward, prepare, sizes
from ndconv._depthwise_grad cimport bias_parts, weight_grad, weight_grad_bytes
from ndconv._depthwise_phases cimport phases_forward, phases_prepare, phases_sizes, turns_phases
from ndconv._depthwise_planes cimport turns_planes
from ndconv._depthwise_point cimport is_point, is_strided_point, point, spread, spread_prepare, spread_sizes
from ndconv._geometry cimport stage_geometry, whole_geometry
from ndconv._method cimport Method, new_method

from ndconv.stages import stages_of


cdef void run_forward(const nd_job *job) noexcept nogil:
    if is_point(job):
        point(job)
    else:
        forward(job)

cdef void transpose_sizes(const nd_problem *p, const nd_kernel_set *k, nd_sizes *to) noexcept nogil:
    if is_strided_point(p):
        spread_sizes(p, k, to)
    else:
        phases_sizes(p, k, to)

cdef void transpose_prepare(const nd_problem *p, const nd_kernel_set *k, const nd_weights *w, void *to, char *workspace,
                            int threads) noexcept nogil:
    if is_strided_point(p):
        spread_prepare(p, k, w, to, workspace, threads)
    else:
        phases_prepare(p, k, w, to, workspace, threads)

cdef void transpose(const nd_job *job) noexcept nogil:
    if is_strided_point(job.p):
        spread(job)
    else:
        phases_forward(job)

cdef nd_method table
table.sizes = sizes
table.prepare = prepare
table.forward = run_forward
table.transpose_sizes = transpose_sizes
table.transpose_prepare = transpose_prepare
table.transpose = transpose
table.weight_grad_bytes = weight_grad_bytes
table.weight_grad = weight_grad
table.bias_parts = bias_parts
table.folds = True

METHOD = new_method("depthwise", "rows in registers, for few channels a group", True,
                    "element-wise: |error| <= gamma(K+2) (|x| conv |w| + |b|)", lambda problem: None, &table)


def turns(problem):
    """Whether a forward problem's planes, or an input gradient's, are turned to lanes of channels."""
    cdef const nd_kernel_set *k = (<Method>METHOD).kernels(problem)
    cdef nd_problem p
    if not problem.ic == problem.oc == problem.g or 0 in (problem.n, *problem.x, *problem.y):
        return False
    if problem.reversed and max(problem.stride) > 1:
        p = whole_geometry(problem)
        return turns_phases(&p, k)
    p = stage_geometry(problem, stages_of(problem)[0])
    return turns_planes(&p, k)
