# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The run of a plan: check the buffers, allocate what is missing, hand over to the method without the GIL."""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ndconv._arrays cimport (Axes, array_of, axes_of, dtype_of, every, has_shape, is_dense, may_overlap, open_input, open_output,
                             set_zeros, stride_at)
from ndconv._c cimport (ND_CLIP, ND_F32, ND_F64, ND_LEAKY_RELU, ND_NONE, ND_RELU, ND_SIGMOID, ND_SILU, ND_TANH,
                        nd_array, nd_job, nd_kernel_set, nd_problem, nd_sizes, nd_weights)
from ndconv._frame cimport Frame, fold
from ndconv._geometry cimport forward_geometry, set_outside, stage_geometry, whole_geometry
from ndconv._method cimport Method
from ndconv._pack cimport Pixel, finish_pixels, whole_lines
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

import numpy as np

from ndconv._method import BLOCKINGS
from ndconv.stages import stages_of, thinned

cdef object _empty = np.empty

# The names of enum nd_activation.
ACTIVATIONS = {"relu": ND_RELU, "leaky_relu": ND_LEAKY_RELU, "sigmoid": ND_SIGMOID, "tanh": ND_TANH, "silu": ND_SILU,
               "clip": ND_CLIP}

# Work below this many operations stays on the calling thread: 0.3 million take about as long as waking a worker.
cdef double SMALL = 2e5

cdef struct Stage:
    nd_problem p
    ptrdiff_t w_start[3]
    ptrdiff_t w_step[3]
    ptrdiff_t y_phase[3]
    ptrdiff_t y_step[3]
    bint transposed
    nd_sizes size        # size.prepared is 0 where there is nothing to do
    void *prepared

cdef int set_three(ptrdiff_t *to, tuple values) except -1:
    to[0], to[1], to[2] = values
    return 0

cdef class Core:
    """The compiled half of a plan: a method, its stages, and the shapes it accepts.

    `source` names an array in messages: x, or dy. With a Frame the result is the middle of an array of `out_shape`, where the
    frame is folded in. Stages see only those elements of x, or of its gradient, that a tap meets (`thinned`).
    """
    cdef Method method
    cdef const nd_kernel_set *k
    cdef Stage *stages
    cdef int count
    cdef double flops, low, high
    cdef int threads, activation
    cdef Axes axes
    cdef readonly str dtype
    cdef readonly tuple in_shape, w_shape, out_shape
    cdef tuple memory_shape, memory_axes
    cdef str source
    cdef bint empty, fill, joined, folds, back
    cdef Frame frame
    cdef nd_problem whole        # all of the result, as a stage has it
    cdef ptrdiff_t first[3]      # the elements of x, or of its gradient, that stages see
    cdef ptrdiff_t step[3]
    cdef list owners
    cdef object bias
    cdef Py_ssize_t w_first_axis

    def __cinit__(self, problem, Method method, bint batched, bint channels_last, threads, tuple activation=None,
                  str blocking="usual", Frame frame=None):
        thin = thinned(problem)
        self.method = method
        self.frame = frame
        self.dtype = problem.dtype
        self.k = method.kernels(thin.problem)
        self.back = problem.reversed
        set_three(self.first, thin.first)
        set_three(self.step, thin.step)
        self.flops = problem.flops
        self.threads = threads or 0
        self.activation, self.low, self.high = activation or (ND_NONE, 0, 0)
        self.axes = axes_of(problem.rank, batched, channels_last)
        self.source = "dy" if problem.op == "input_grad" else "x"
        self.whole = whole_geometry(problem)
        self.whole.blocking = BLOCKINGS[blocking]
        self.owners, self.fill = [], problem.reversed and thin.problem is not problem
        self.joined = self.join_phases(thin.problem)
        if not self.joined:
            self.set_stages(thin.problem, stages_of(thin.problem))
        # no stage has all of a thinned result, nor of all phases
        self.folds = self.count == 1 and not self.joined and method.c.folds and thin.problem is problem
        self._set_shapes(problem, batched, channels_last)

    def __dealloc__(self):
        free(self.stages)

    cdef Stage *new_stages(self, int count) except NULL:
        self.count, self.stages = count, <Stage *>calloc(max(count, 1), sizeof(Stage))
        if self.stages == NULL:
            raise MemoryError("no memory for a plan")
        return self.stages

    cdef set_stages(self, problem, list stages):
        cdef Stage *s = self.new_stages(len(stages)) - 1
        cdef nd_problem outside
        self.owners.append(set_outside(&outside, problem))
        for stage in stages:
            s += 1
            s.p = stage_geometry(problem, stage)
            s.p.outside, s.p.blocking = outside.outside, self.whole.blocking
            s.transposed = stage.transposed
            set_three(s.w_start, stage.w_start)
            set_three(s.w_step, stage.w_step)
            set_three(s.y_phase, stage.y_phase)
            set_three(s.y_step, stage.y_step)
            if s.p.n * s.p.ocg * s.p.od * s.p.oh * s.p.ow == 0:
                continue  # no result
            if s.p.icg * s.p.kd * s.p.kh * s.p.kw == 0:
                self.fill = True  # results that no tap reaches
            else:
                self.method.c.sizes(&s.p, self.k, &s.size)
                s.size.prepared = whole_lines(s.size.prepared)

    cdef bint join_phases(self, problem) except -1:
        """One stage for all phases of a stride, if the method has a way to do them together."""
        cdef Stage *s
        cdef nd_sizes size
        cdef nd_problem whole = whole_geometry(problem)
        cdef int i
        if not problem.reversed or max(problem.stride) == 1 or self.method.c.transpose == NULL or 0 in (
                problem.n, problem.ic, problem.oc, *problem.x):
            return False
        memset(&size, 0, sizeof(nd_sizes))
        whole.blocking = self.whole.blocking
        self.method.c.transpose_sizes(&whole, self.k, &size)
        if size.prepared == 0:
            return False
        s = self.new_stages(1)
        s.p, s.size, s.transposed = whole, size, True
        s.size.prepared = whole_lines(size.prepared)
        for i in range(3):
            s.y_step[i] = 1
            s.w_start[i], s.w_step[i] = (problem.k[i] - 1, -1) if problem.flip else (0, 1)
        return True

    cdef void prepare_stage(self, const Stage *s, const nd_weights *w, void *to, char *workspace, int threads) noexcept nogil:
        if self.joined:
            self.method.c.transpose_prepare(&s.p, self.k, w, to, workspace, threads)
        else:
            self.method.c.prepare(&s.p, self.k, w, to, workspace, threads)

    def _set_shapes(self, problem, batched, channels_last):
        def shape(channels, spatial):
            spatial = tuple(spatial[3 - problem.rank:])
            lead = (problem.n,) if batched else ()
            return lead + spatial + (channels,) if channels_last else lead + (channels,) + spatial

        x, ic, y, oc = problem.x, problem.ic, problem.y, problem.oc
        if problem.reversed:
            x, ic, y, oc = y, oc, x, ic
        self.in_shape, self.out_shape = shape(ic, x), shape(oc, y)
        self.w_shape = (problem.oc, problem.ic // problem.g) + tuple(problem.k[3 - problem.rank:])
        self.empty = 0 in self.out_shape
        # a result whose memory keeps channels together differs from its layout by one transposition
        axes = list(range(len(self.out_shape)))
        c = self.axes.c
        if bool(problem.lanes_oc) == channels_last:
            self.memory_axes = None
        elif problem.lanes_oc:
            axes = axes[:c] + axes[c + 1:] + [c]
        else:
            lead = 1 if batched else 0
            axes = axes[:lead] + [c] + axes[lead:c]
        self.memory_shape = tuple(self.out_shape[i] for i in axes)
        if bool(problem.lanes_oc) != channels_last:
            self.memory_axes = tuple(axes.index(i) for i in range(len(axes)))

    cdef object new_output(self):
        if self.memory_axes is None:
            return _empty(self.out_shape, dtype_of(self.dtype))
        return _empty(self.memory_shape, dtype_of(self.dtype)).transpose(self.memory_axes)

    cdef int use_threads(self) noexcept:
        if self.flops < SMALL:
            return 1
        return self.threads or default_threads()

    def forward_bytes(self, threads=None):
        """Bytes of workspace that a run takes on `threads` threads."""
        return self.work_bytes(threads or self.use_threads(), True)

    cdef size_t work_bytes(self, int threads, bint preparing) noexcept:
        cdef size_t most = 0
        cdef int i
        cdef const nd_sizes *size
        for i in range(self.count):
            size = &self.stages[i].size
            most = max(most, size.shared + threads * size.worker)
            if preparing:
                most = max(most, max(threads * size.prepare_worker, size.shared + threads * size.fresh))
        return most

    def prepared_bytes(self):
        """Bytes of the prepared weights of all stages."""
        return sum(self.stages[i].size.prepared for i in range(self.count))

    cdef nd_weights weights_of(self, const Py_buffer *b, const Stage *s) noexcept nogil:
        """The stage's weights [g, o, c, d, h, w] within the user's w [oc, ic/g, *k]."""
        cdef nd_weights r
        cdef int last = b.ndim - 1
        cdef ptrdiff_t so = stride_at(b, 0), sc = stride_at(b, 1)
        cdef ptrdiff_t sw = stride_at(b, last)
        cdef ptrdiff_t sh = stride_at(b, last - 1) if last > 2 else 0
        cdef ptrdiff_t sd = stride_at(b, last - 2) if last > 3 else 0
        r.data = <char *>b.buf + b.itemsize * (s.w_start[0] * sd + s.w_start[1] * sh + s.w_start[2] * sw)
        r.d, r.h, r.w = sd * s.w_step[0], sh * s.w_step[1], sw * s.w_step[2]
        if s.transposed:
            r.g, r.o, r.c = s.p.icg * so, sc, so
        else:
            r.g, r.o, r.c = s.p.ocg * so, so, sc
        return r

    def prepare(self, w, bias):
        """Prepares the weights once; the plan owns the result. bias is a contiguous array or None."""
        cdef Py_buffer b
        cdef Stage *s
        cdef nd_weights view
        cdef int i, threads = self.use_threads()
        cdef char *work = <char *>scratch_take(self.work_bytes(threads, True) + 64)
        if work == NULL:
            raise MemoryError("no memory to prepare the weights")
        try:
            self.bias = bias
            w = open_input(w, "w", self.dtype, &b)
            for i in range(self.count):
                s = &self.stages[i]
                if s.size.prepared == 0:
                    continue
                block = _empty(s.size.prepared + 64, np.uint8)
                s.prepared = <void *>((<size_t>block.ctypes.data + 63) & ~<size_t>63)
                self.owners.append(block)
                view = self.weights_of(&b, s)
                with nogil:
                    self.prepare_stage(s, &view, s.prepared, work, threads)
            PyBuffer_Release(&b)
        finally:
            scratch_give(work)

    def __call__(self, x, out=None, residual=None):
        """The result for `x`; into `out` if given. A residual of its shape is added before the activation."""
        return self.run(x, None, self.bias, residual, out)

    def run_with(self, x, w, bias, residual, out):
        """The result for `x` and weights `w` that are prepared for this call only."""
        return self.run(x, w, bias, residual, out)

    cdef object run(self, object x, object w, object bias, object residual, object out):
        cdef Py_buffer xb, wb, yb, bb, rb
        cdef nd_job job
        cdef object y = out
        cdef tuple shape = self.out_shape if self.frame is None else self.frame.shape
        cdef bint apart = False     # the result, from out
        x = open_input(x, self.source, self.dtype, &xb)
        memset(&wb, 0, sizeof(Py_buffer))  # so that releasing one that was never opened does nothing
        memset(&bb, 0, sizeof(Py_buffer))
        memset(&yb, 0, sizeof(Py_buffer))
        memset(&rb, 0, sizeof(Py_buffer))
        memset(&job, 0, sizeof(nd_job))
        try:
            if not has_shape(&xb, self.in_shape):
                raise ValueError(f"{self.source} must have shape {self.in_shape}; got {x.shape}")
            if w is not None:
                w = open_input(w, "w", self.dtype, &wb)
            if bias is not None:
                bias = open_input(bias, "bias", self.dtype, &bb)
                job.bias = bb.buf
            if residual is not None:
                residual = open_input(residual, "residual", self.dtype, &rb)
                if not has_shape(&rb, shape):
                    raise ValueError(f"residual must have the shape of the result, {shape}; got {residual.shape}")
                job.residual = array_of(&rb, &self.axes)
            if out is not None:
                open_output(out, shape, self.dtype, &yb)
                apart = (self.frame is not None or may_overlap(&xb, &yb) or (w is not None and may_overlap(&wb, &yb))
                         or (bias is not None and may_overlap(&bb, &yb))
                         or (residual is not None and may_overlap(&rb, &yb)))
                if apart:
                    PyBuffer_Release(&yb)
            if out is None or apart:
                y = self.new_output()
                PyObject_GetBuffer(y, &yb, PyBUF_STRIDES | PyBUF_WRITABLE)
            job.k, job.threads = self.k, self.use_threads()
            job.activation, job.low, job.high = self.activation, self.low, self.high
            job.x, job.y = array_of(&xb, &self.axes), array_of(&yb, &self.axes)
            if self.fill:
                self.fill_output(y, &yb, bias, &job)
            if not self.empty:
                self.run_stages(&job, &wb if w is not None else NULL)
        finally:
            PyBuffer_Release(&xb)
            PyBuffer_Release(&wb)
            PyBuffer_Release(&bb)
            PyBuffer_Release(&rb)
            PyBuffer_Release(&yb)
        if self.frame is not None:
            y = y[self.frame.middle]
        if apart:
            np.copyto(out, y)
            return out
        return y

    cdef fill_output(self, y, const Py_buffer *yb, bias, nd_job *job):
        """What no tap reaches is the bias, with residual and activation."""
        cdef Pixel first
        memset(&first, 0, sizeof(Pixel))
        if is_dense(yb):
            with nogil:
                set_zeros(yb, job.threads)
        else:
            y[...] = 0
        if bias is not None:
            shape = [1] * y.ndim
            shape[self.axes.c] = -1
            y += bias.reshape(shape)
        if y.size:
            job.p = &self.whole
            finish_pixels(job, 0, self.whole.g * self.whole.ocg, first, y.size // (self.whole.g * self.whole.ocg))

    cdef int run_stages(self, nd_job *job, const Py_buffer *wb) except -1:
        cdef int i
        cdef size_t prepared = 0, work = self.work_bytes(job.threads, wb != NULL)
        cdef char *block
        cdef nd_array whole = job.y, y = job.y, residual = job.residual
        cdef Stage *s
        for i in range(self.count):
            if wb != NULL and self.stages[i].size.fresh == 0:
                prepared = max(prepared, self.stages[i].size.prepared)
        block = <char *>scratch_take(prepared + work + 64)
        if block == NULL:
            raise MemoryError(f"no memory for {prepared + work} bytes of workspace")
        if self.back:
            y, residual = every(&y, self.first, self.step, self.k.size), every(&residual, self.first, self.step, self.k.size)
        else:
            job.x = every(&job.x, self.first, self.step, self.k.size)
        job.workspace = block + prepared
        job.frame = &self.frame.c if self.frame is not None and self.folds else NULL
        with nogil:
            for i in range(self.count):
                s = &self.stages[i]
                if s.size.prepared == 0:
                    continue
                job.p = &s.p
                job.w = s.prepared
                if wb != NULL:
                    job.fresh, job.w = self.weights_of(wb, s), NULL
                if wb != NULL and s.size.fresh == 0:
                    self.prepare_stage(s, &job.fresh, block, job.workspace, job.threads)
                    job.w = block
                job.y = every(&y, s.y_phase, s.y_step, self.k.size)
                job.residual = every(&residual, s.y_phase, s.y_step, self.k.size)
                if self.joined:
                    self.method.c.transpose(job)
                else:
                    self.method.c.forward(job)
            scratch_give(block)
            if self.frame is not None and not self.folds:
                job.p, job.y, job.frame = &self.whole, whole, &self.frame.c
                fold(job, False)
        return 0


def weight_grad_bytes(problem, Method method, int threads):
    """Bytes of workspace of a weight gradient on `threads` threads."""
    problem, _, _ = thinned(problem)
    cdef nd_problem p = forward_geometry(problem)
    if 0 in (problem.n, problem.ic, problem.oc, *problem.y) or (0 in problem.x and not problem.bordered):
        return 0
    return method.c.weight_grad_bytes(&p, method.kernels(problem), threads)


def run_weight_grad(problem, Method method, dy, x, bint batched, bint channels_last, threads, out, db=None):
    """dw of the problem, written to `out` of shape (oc, ic/g, *k); and to `db` of shape (oc), if that is wanted, the bias
    gradient, summed beside dw where the method does so."""
    cdef Py_buffer xb, yb, wb
    cdef Axes axes = axes_of(problem.rank, batched, channels_last)
    cdef nd_problem p
    cdef nd_job job
    cdef char *block
    cdef int last
    cdef double[:, ::1] sums
    cdef ptrdiff_t first[3]
    cdef ptrdiff_t step[3]
    thin = thinned(problem)
    problem = thin.problem
    set_three(first, thin.first)
    set_three(step, thin.step)
    p = forward_geometry(problem)
    tables = set_outside(&p, problem)    # p points into them
    memset(&xb, 0, sizeof(Py_buffer))
    memset(&yb, 0, sizeof(Py_buffer))
    memset(&wb, 0, sizeof(Py_buffer))
    try:
        dy = open_input(dy, "dy", problem.dtype, &yb)
        x = open_input(x, "x", problem.dtype, &xb)
        PyObject_GetBuffer(out, &wb, PyBUF_STRIDES | PyBUF_WRITABLE)
        last = wb.ndim - 1
        job.p, job.k = &p, method.kernels(problem)
        job.threads = 1 if problem.flops < SMALL else threads or default_threads()
        job.x, job.y = array_of(&xb, &axes), array_of(&yb, &axes)
        job.x = every(&job.x, first, step, job.k.size)
        job.db = NULL
        # float32's sums in double round alike in any order; float64's would depend on what else is asked for
        parts = 0 if db is None or method.c.bias_parts == NULL or job.k.size != 4 else method.c.bias_parts(&p, job.k)
        if parts > 0:
            sums = np.zeros((parts, problem.oc))
            job.db = &sums[0, 0]
        job.dw.data = <char *>wb.buf
        job.dw.o, job.dw.c = stride_at(&wb, 0), stride_at(&wb, 1)
        job.dw.g = job.dw.o * p.ocg
        job.dw.w = stride_at(&wb, last)
        job.dw.h = stride_at(&wb, last - 1) if last > 2 else 0
        job.dw.d = stride_at(&wb, last - 2) if last > 3 else 0
        block = <char *>scratch_take(method.c.weight_grad_bytes(&p, job.k, job.threads) + 64)
        if block == NULL:
            raise MemoryError("no memory for the workspace of a weight gradient")
        job.workspace = block
        with nogil:
            method.c.weight_grad(&job)
            scratch_give(block)
        if db is not None:
            db[...] = np.sum(sums, axis=0) if job.db != NULL else run_bias_grad(dy, problem.rank, batched, channels_last, threads)
    finally:
        PyBuffer_Release(&xb)
        PyBuffer_Release(&yb)
        PyBuffer_Release(&wb)
    return out


cdef struct BiasGrad:
    const nd_kernel_set *k
    nd_array dy
    ptrdiff_t n, c, d, h, w
    ptrdiff_t channels      # of a task: a cache line of float32 where they are neighbours, or a few planes
    double *sums

cdef void bias_grad_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef BiasGrad *f = <BiasGrad *>context
    cdef const char *row
    cdef ptrdiff_t i, j, c, count, size = f.k.size
    for i in range(begin, end):
        count = min(f.channels, f.c - i * f.channels)
        for j in range(f.n * f.d * f.h):
            row = f.dy.data + size * (j // (f.d * f.h) * f.dy.n + j // f.h % f.d * f.dy.d + j % f.h * f.dy.h
                                      + i * f.channels * f.dy.c)
            if f.dy.c == 1:
                f.k.sum_columns(f.sums + i * f.channels, row, f.w, count, f.dy.w)
            else:
                for c in range(count):
                    f.sums[i * f.channels + c] += f.k.sum(row + size * c * f.dy.c, f.w, f.dy.w)


def run_bias_grad(dy, int rank, bint batched, bint channels_last, threads):
    """The sum of dy over every axis but the channels, accumulated in double."""
    cdef Py_buffer b
    cdef BiasGrad f
    cdef Axes axes = axes_of(rank, batched, channels_last)
    cdef int count = 1 if dy.size < 100_000 else threads or default_threads()
    cdef double[::1] total
    name = dy.dtype.newbyteorder("=").name
    dy = open_input(dy, "dy", name, &b)
    try:
        f.k = current_kernels().set[ND_F32 if name == "float32" else ND_F64]
        f.dy = array_of(&b, &axes)
        f.n, f.c, f.w = b.shape[axes.n] if axes.n >= 0 else 1, b.shape[axes.c], b.shape[axes.w]
        f.h = b.shape[axes.h] if axes.h >= 0 else 1
        f.d = b.shape[axes.d] if axes.d >= 0 else 1
        if f.d * f.h > 1 and f.dy.h == f.w * f.dy.w and (f.d == 1 or f.dy.d == f.h * f.dy.h):
            f.w, f.h, f.d = f.w * f.h * f.d, 1, 1  # the pixels follow each other: one row
        f.channels = 16 if f.dy.c == 1 else 4
        total = sums = np.zeros(max(f.c, 1))
        f.sums = &total[0]
        if dy.size:
            with nogil:
                parallel_for((f.c + f.channels - 1) // f.channels, 1, count, bias_grad_body, &f)
    finally:
        PyBuffer_Release(&b)
    return sums[:f.c].astype(name)
