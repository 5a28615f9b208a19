# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""fft by parts: kernels longer than a good tile (uniformly partitioned overlap-save).

A kernel is cut along one axis into parts of as many taps as a tile has outputs. Then tile i + j of the inputs is what part j
needs for the outputs of tile i, and every tile of the input is transformed once:

    Y[i] = sum over parts j of X[i + j] * W[j]     at each frequency; X, Y: spectra of the inputs' and outputs' tiles of a line

    for line of tiles along the axis, group
        for blocks of tiles i
            for new vectors of tiles:   load, transform  -> X[frequency][ring of vectors]
            for frequency, oc:          Y[oc][frequency][vector of i] from the ring
            for vector of i, oc:        inverse, store

so a tile costs a transform there and back and `parts` products of spectra. Lanes hold neighbouring tiles; the sum over parts
is a convolution along them (kernels/fft_slide.h). Memory: the ring and the kernel's spectra, twice the kernel each, and a block
of outputs. Measured with 65537 taps on 480000 float32 samples, two threads of AVX2: 2.9 ms; whole tiles of 2^18 took 4.2.
Sources: Stockham 1966 (sectioning); Wefers, Partitioned Convolution Algorithms for Real-Time Auralization, 2015, ch. 5.
"""
from ndconv._c cimport nd_job, nd_kernel_set, nd_problem
from ndconv._fft_finish cimport finish
from ndconv._fft_plan cimport Tiling
from ndconv._fft_prepare cimport Prepared
from ndconv._fft_tile cimport Window, aim_line, load_tile, transform
from ndconv._pack cimport ceil_div, whole_lines
from ndconv._runtime cimport parallel_for

cdef struct Line:
    const nd_job *job
    const Prepared *w
    ptrdiff_t line, group
    ptrdiff_t x_freq, y_freq      # points from frequency to frequency of X and Y
    ptrdiff_t ready               # vectors of input tiles transformed so far
    ptrdiff_t first, count        # vectors of output tiles of this block
    char *x
    char *y
    char *z                       # of the workers

cdef void set_freqs(const Tiling *t, Line *f) noexcept nogil:
    # an odd number of points, so that frequencies do not all fall on the same cache sets
    f.x_freq, f.y_freq = t.ring | 1, t.block | 1

cdef ptrdiff_t parts_bytes(const nd_problem *p, const Tiling *t) noexcept nogil:
    cdef Line f
    set_freqs(t, &f)
    return whole_lines(t.freqs * (f.x_freq + p.ocg * f.y_freq) * t.point)

cdef ptrdiff_t parts_worker_bytes(const nd_kernel_set *k, const Tiling *t) noexcept nogil:
    return t.z + whole_lines(t.ring * t.point)

cdef void convolve_parts(const nd_job *job, const Prepared *w) noexcept nogil:
    cdef const Tiling *t = w.t
    cdef ptrdiff_t i, all, need, vl = job.k.vl
    cdef Line f
    f.job, f.w = job, w
    set_freqs(t, &f)
    f.x = job.workspace
    f.y = f.x + t.freqs * f.x_freq * t.point
    f.z = f.x + parts_bytes(job.p, t)
    all = ceil_div(t.side[t.axis].tiles, vl)
    for i in range(t.units * job.p.g):
        f.line, f.group = i // job.p.g, i % job.p.g
        f.first = f.ready = 0
        while f.first < all:
            f.count = min(t.block, all - f.first)
            need = f.first + ceil_div(f.count * vl + t.parts - 1, vl)
            parallel_for(need - f.ready, 1, job.threads, transform_body, &f)
            f.ready = need
            parallel_for(t.freqs, ceil_div(2048, f.count * t.parts), job.threads, slide_body, &f)
            parallel_for(f.count * job.p.ocg, 1, job.threads, inverse_body, &f)
            f.first += f.count

cdef void transform_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Line *f = <Line *>context
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *z = f.z + worker * parts_worker_bytes(k, t)
    cdef ptrdiff_t i
    cdef Window w
    for i in range(f.ready + begin, f.ready + end):
        aim_line(&w, f.job.p, k, t, &f.job.x, True, f.line, i * k.vl, f.group)
        load_tile(&w, k, t, z)
        transform(k, t, &f.w.tables, z, False)
        k.fft_split(f.x + i % t.ring * t.point, f.x_freq * 2 * k.vl, z, f.w.tables.pairs, f.w.tables.turns, t.pairs, 1, 1)

cdef void slide_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    """The ring as two rows, real and imaginary, along which the parts slide."""
    cdef Line *f = <Line *>context
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *rows = f.z + worker * parts_worker_bytes(k, t) + t.z
    cdef ptrdiff_t i, o, ocg = f.job.p.ocg, number = 2 * k.size, vectors = ceil_div(f.count * k.vl + t.parts - 1, k.vl)
    for i in range(begin, end):
        k.fft_unroll(rows, f.x + i * f.x_freq * t.point, t.ring, f.first % t.ring, vectors)
        for o in range(ocg):
            k.fft_slide(f.y + (o * t.freqs + i) * f.y_freq * t.point, rows, vectors * k.vl,
                        f.w.spectra + ((f.group * ocg + o) * t.freqs + i) * t.parts * number, t.parts, f.count)

cdef void inverse_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef Line *f = <Line *>context
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const Tiling *t = f.w.t
    cdef char *z = f.z + worker * parts_worker_bytes(k, t)
    cdef ptrdiff_t i, v, o
    cdef Window w
    for i in range(begin, end):
        v, o = i % f.count, i // f.count
        k.fft_join(z, f.y + (o * t.freqs * f.y_freq + v) * t.point, f.y_freq * 2 * k.vl, f.w.tables.pairs, f.w.tables.turns,
                   t.pairs)
        aim_line(&w, p, k, t, &f.job.y, False, f.line, (f.first + v) * k.vl, f.group * p.ocg + o)
        finish(f.job, f.w, &w, z, f.group, o)
