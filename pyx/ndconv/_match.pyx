# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Scores of template matching from correlations: sums of every window, and what they make of it.

    s1[c, i, j] = sum over s, t of x[c, i + s - ph, j + t - pw],  s2[i, j] = sum over c, s, t of x**2 likewise,  x zero outside
    zncc    y = y / (norm * sqrt(s2 - sum over c of s1**2 / (kh kw)))
    ncc     y = y / (norm * sqrt(s2))
    sqdiff  y = s2 - 2 y + norm**2

Sums are float64, and only additions: rows by running ends, columns by doubling, as in _slide.pyx (van Herk 1992; Gil and Werman
1993). So a sum knows nothing of what lies outside its window, neither its rounding nor a NaN, which a table of sums (Lewis 1995)
or windows that add one row and subtract another do. The rows of all channels and that of their squares lie one after the other
and are summed as one.

    for a strip of columns and a band of kh rows of y, or several               (tasks)
        for each kh rows: rows of x from the last to the first, added -> ends
            for each of them: the next row of x added to the beginning; both -> a row; its columns; y

Bytes moved: x twice, y once each way; ends of 1 MiB. About 2 (3 + log2(kw)) additions an element of one channel. Where the
variance of a window is less than the roundings of its sums, the window counts as constant, and its score is 0.
"""
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport sqrt
from libc.string cimport memcpy, memset

from ndconv._c cimport ND_F64, ND_SUM, nd_kernel_set
from ndconv._pack cimport whole_lines
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

cdef enum:
    ENDS_BYTES = 1 << 20    # narrower strips would sum more of their neighbours' columns again
    LEAST_COLUMNS = 128     # of a strip
    TASKS = 12              # that a problem is cut into when it is large enough
    SMALL = 1 << 15         # results that are not worth a second thread
    SPARE = 16              # doubles that whole vectors may reach beyond a row

cdef enum Score:
    ZNCC, NCC, SQDIFF

cdef dict SCORES = {"zncc": ZNCC, "ncc": NCC, "sqdiff": SQDIFF}

cdef struct Match:
    const nd_kernel_set *k  # of float64
    const char *x
    char *y
    bint single
    ptrdiff_t c, ih, iw, oh, ow, kh, kw, ph, pw
    int score
    double norm
    ptrdiff_t block_h, block_w, pitch, bands, strips, slice
    char *scratch

cdef struct Rows:
    double *ends            # [kh][c + 1][pitch]: sums of x, of its squares
    double *begin           # two rows of beginnings, of which each is made from the other
    double *row
    double *sum
    double *spare

cdef ptrdiff_t worker_bytes(const Match *m, Rows *r, char *base) noexcept nogil:
    cdef ptrdiff_t line = (m.c + 1) * m.pitch
    r.ends = <double *>base
    r.begin = r.ends + m.kh * line
    r.row = r.begin + 2 * line
    r.sum = r.row + line
    r.spare = r.sum + line + SPARE
    return whole_lines(<char *>(r.spare + line + SPARE) - base)

cdef inline ptrdiff_t up(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return (a + b - 1) // b

cdef void choose_blocks(Match *m) noexcept nogil:
    """Strips whose ends stay in L2, bands of whole kh rows; by the problem alone."""
    cdef ptrdiff_t most = max(<ptrdiff_t>LEAST_COLUMNS, ENDS_BYTES // (8 * (m.c + 1) * m.kh) - m.kw + 1)
    cdef Rows r
    m.strips = up(m.ow, most)
    m.block_w = up(m.ow, m.strips)
    m.bands = min(up(TASKS, m.strips), up(m.oh, m.kh))
    m.block_h = up(up(m.oh, m.bands), m.kh) * m.kh
    m.bands = up(m.oh, m.block_h)
    m.pitch = up(m.block_w + m.kw - 1, 8) * 8
    m.slice = worker_bytes(m, &r, NULL)

cdef void match_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Match *m = <const Match *>context
    cdef ptrdiff_t i, row, column
    cdef Rows r
    worker_bytes(m, &r, m.scratch + worker * m.slice)
    for i in range(begin, end):
        column = i % m.strips * m.block_w
        row = i // m.strips * m.block_h
        while row < min((i // m.strips + 1) * m.block_h, m.oh):
            match_rows(m, &r, row, min(m.kh, m.oh - row), column, min(m.block_w, m.ow - column))
            row += m.kh

cdef void match_rows(const Match *m, Rows *r, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t column, ptrdiff_t columns) noexcept nogil:
    """Rows row to row + rows <= row + kh of y, `columns` of them from column on."""
    cdef const nd_kernel_set *k = m.k
    cdef ptrdiff_t line = (m.c + 1) * m.pitch, j, top = row - m.ph
    cdef double *before = NULL
    cdef double *after
    cdef const void *two[2]
    load_row(m, r.ends + (m.kh - 1) * line, top + m.kh - 1, column)
    for j in range(m.kh - 2, -1, -1):
        load_row(m, r.row, top + j, column)
        two[0], two[1] = r.ends + (j + 1) * line, r.row
        k.pool_combine(r.ends + j * line, two, 2, line, ND_SUM, 0, 0)
    for j in range(rows):
        after = r.begin + (j & 1) * line
        if j == 0:
            memcpy(r.sum, r.ends, line * sizeof(double))
        elif j == 1:
            load_row(m, after, top + m.kh, column)
            two[0], two[1] = r.ends + line, after
            k.pool_combine(r.sum, two, 2, line, ND_SUM, 0, 0)
        else:
            load_row(m, r.row, top + m.kh - 1 + j, column)
            k.pool_slide(r.sum, after, before, r.row, r.ends + j * line, line, ND_SUM)
        before = after
        after = <double *>k.pool_window(r.sum, r.spare, line, m.kw, 1, ND_SUM)
        if m.single:
            score_row(m, <float *>m.y + (row + j) * m.ow + column, after, columns)
        else:
            score_row(m, <double *>m.y + (row + j) * m.ow + column, after, columns)

cdef void load_row(const Match *m, double *to, ptrdiff_t row, ptrdiff_t column) noexcept nogil:
    """A row of x and its squares, from the first that column `column` of y needs; zeros where x has none."""
    cdef ptrdiff_t first = column - m.pw, low = max(<ptrdiff_t>0, -first), high = min(m.pitch, m.iw - first), c
    cdef double *squares = to + m.c * m.pitch
    memset(to, 0, (m.c + 1) * m.pitch * sizeof(double))
    if not 0 <= row < m.ih:
        return
    for c in range(m.c):
        if m.single:
            add_squares(to + c * m.pitch, squares, <const float *>m.x + (c * m.ih + row) * m.iw + first, low, high)
        else:
            add_squares(to + c * m.pitch, squares, <const double *>m.x + (c * m.ih + row) * m.iw + first, low, high)

ctypedef fused real:
    float
    double

cdef inline void add_squares(double *to, double *squares, const real *x, ptrdiff_t low, ptrdiff_t high) noexcept nogil:
    cdef ptrdiff_t i
    cdef double v
    for i in range(low, high):
        v = x[i]
        to[i] = v
        squares[i] += v * v

cdef inline void score_row(const Match *m, real *y, double *s1, ptrdiff_t n) noexcept nogil:
    """Sums of all channels to scores; s1 is destroyed."""
    cdef const double *s2 = s1 + m.c * m.pitch
    cdef double share = 1.0 / (m.kh * m.kw), scale = 1 / m.norm if m.norm > 0 else 0, v, least, root
    cdef ptrdiff_t i, c
    if m.score == SQDIFF:
        for i in range(n):
            v = s2[i] - 2 * y[i] + m.norm * m.norm
            y[i] = <real>(0 if v < 0 else v)
        return
    if m.score == NCC:
        share = 0
    for i in range(n):
        s1[i] *= s1[i]
    for c in range(1, m.c):
        for i in range(n):
            s1[i] += s1[c * m.pitch + i] * s1[c * m.pitch + i]
    # without branches, so that compilers make vectors of it
    for i in range(n):
        # 2**-45: some 250 roundings of the sum of squares
        least = s2[i] * 2.842170943040401e-14
        v = s2[i] - s1[i] * share
        root = sqrt(1 if v <= least else v)
        v = (0 if v <= least else y[i] * scale) / root
        v = 1 if v > 1 else v
        y[i] = <real>(-1 if v < -1 else v)


def score_windows(y, x, window, before, str score, double norm, threads=None):
    """y (h, w), correlations of x (channels, h, w) with a template, as scores; both are of one dtype and C-contiguous.

    window : the template's extents; before : rows and columns of x that are missing before the first window;
    norm : the template's norm, of zncc without the mean of each channel
    """
    cdef Py_buffer xb, yb
    cdef Match m
    cdef int count = default_threads() if threads is None else threads
    if y.size == 0:
        return
    memset(&xb, 0, sizeof(Py_buffer))
    memset(&yb, 0, sizeof(Py_buffer))
    try:
        PyObject_GetBuffer(x, &xb, PyBUF_C_CONTIGUOUS)
        PyObject_GetBuffer(y, &yb, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        m.k = current_kernels().set[ND_F64]
        m.x, m.y, m.single = <const char *>xb.buf, <char *>yb.buf, yb.itemsize == sizeof(float)
        m.c, m.ih, m.iw = x.shape
        m.oh, m.ow = y.shape
        m.kh, m.kw = window
        m.ph, m.pw = before
        m.score, m.norm = SCORES[score], norm
        choose_blocks(&m)
        count = <int>min(<ptrdiff_t>(count if y.size > SMALL else 1), m.bands * m.strips)
        m.scratch = <char *>scratch_take(m.slice * count)
        if m.scratch == NULL:
            raise MemoryError(f"no memory for {m.slice * count} bytes of workspace")
        with nogil:
            parallel_for(m.bands * m.strips, 1, count, match_body, &m)
            scratch_give(m.scratch)
    finally:
        PyBuffer_Release(&xb)
        PyBuffer_Release(&yb)
