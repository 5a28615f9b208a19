# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Filters of images: pixels of 8 and 16 bits and of floats, summed in registers and rounded as they are stored.

    y[i, j] = round(sum over q < terms, t < kh of u[q, t] * (sum over s < kw of v[q, s] * x[i + t - ph, j + s - pw]))

A kernel is a sum of terms. Of a separable one each term has factors u and v (a Gaussian: one term); of any other each term is
a column of the kernel, and its v is a 1 in that column. Channels that lie next to each other are one row, taps of a row as far
apart as pixels.

    for a strip of columns and a band of rows                               (tasks)
        for four rows of y
            for each row of x that they are the first to need
                its pixels, and those of the padding, to a line of floats or 16-bit integers
                separable: for q: ring[q][row] = sum over s of v[q, s] * line, shifted
            four lines = sum over q, t of u[q, t] * ring[q][row + t]        (or * line, shifted)
            rounded and clipped to y

A separable kernel of one term on bytes whose weights are the same from both ends and add up to 1 (a Gaussian, a box) is summed
in 16-bit integers of 15 bits and weights of 15 (kernels/image_fold.h), which takes a quarter of the products. Of few taps, whose
roundings are few, the products are 16-bit integers too, made of bytes and rounded to bytes in registers.

The other sums are those of kernels/separable.h: a row of the ring is loaded once for four results. They are float32 for integer
pixels and float32 images, float64 for float64 images, and 16-bit integers where pixels have 8 bits and the kernel's integers
are so small that no sum can leave them: twice as many lanes. Conversions are kernels/image.h.

Bytes moved: x and y once; the ring and the lines stay in L2. (kh - 1) rows a band and (kw - 1) columns a
strip are read twice. Expected: memory speed for 3 x 3 integers, then the multiply-adds of kernels/separable.h.
Measured on 4000 x 3000 RGB bytes, two threads of AVX2: Sobel 7 ms (a third each for loads, sums and stores, which wait for
memory), 3 x 3 integers 8 ms, mean of 3 x 3 6.5 ms, Gaussian of 5 or 7 taps 7.5 to 9.5 ms (two thirds sums, whose rows come
from L2, the rest memory), of 19 taps 28 ms, 36 in floats: some 19 and 22 cycles a vector of 16 for the two passes, the rest
conversions and memory.
"""
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memset

from ndconv._c cimport ND_F32, ND_F64, ND_I16, ND_U8, ND_U16, nd_kernel_set
from ndconv._pack cimport ceil_div, whole_lines
from ndconv._runtime cimport current_kernels, default_threads, parallel_for, scratch_give, scratch_take

cdef extern from *:
    void __builtin_prefetch(const void *address) nogil

cdef enum:
    HEIGHT = 4              # rows of y that are summed at once
    RING_BYTES = 1 << 17    # of the rows that passes made,
    FOLD_BYTES = 96 << 10   # of rows that are folded: strips for L1 would be too narrow for memory,
    LINES_BYTES = 1 << 18   # or of rows of x: these are read where the last one ended, so strips should be wide
    LEAST_PIXELS = 128      # of a strip, if the ring allows it or not
    LEAST_ROWS = 32         # of a band, and four times the kernel's
    TASKS = 24              # that an image is cut into when it is large enough
    SMALL = 40000           # multiply-adds of vectors that are not worth a second thread
    FOLD_BITS = 7           # after the point of what passes along rows make, when weights are folded
    FOLD_MIDDLE = 128       # which is taken from those: they are numbers of 15 bits and a sign

cdef dict KINDS = {"float32": ND_F32, "float64": ND_F64, "int16": ND_I16, "uint8": ND_U8, "uint16": ND_U16}

cdef struct Picture:
    char *data
    int dtype
    ptrdiff_t size, row, pixel, channel     # bytes of an element; strides in elements

cdef struct Filter:
    const nd_kernel_set *k
    int dtype               # of the sums
    Picture x, y
    ptrdiff_t planes, unit  # images, and channels next to each other in each
    ptrdiff_t h, w, kh, kw, terms
    bint passes             # each term has a pass along the row; else its column is
    const ptrdiff_t *column
    const char *u           # [terms][kh], or folded
    const char *v           # [terms][kw]
    ptrdiff_t u_folds, v_folds  # pairs of rows with one weight; 0: weights are not folded
    int u_bits, v_bits      # after the point of folded weights; 0: smooth_row and smooth_column take them
    const nd_kernel_set *lines  # of the dtype of padded lines
    const ptrdiff_t *row_at # where row i - ph of the padded image comes from; -1: value, -2: zero
    const ptrdiff_t *pixel_at
    ptrdiff_t ph, pw
    double value
    ptrdiff_t block_h, block_w, strips, bands
    ptrdiff_t rows, pitch, line, copies     # of the ring: rows of a term, elements of a row, of a padded line, rings
    ptrdiff_t slice
    char *scratch

cdef struct Worker:
    char *ring              # [copies][rows][pitch]
    char *line
    char *out               # [HEIGHT][pitch]
    const void **pointers   # [terms][kh + HEIGHT - 1], or kw, or two a fold

cdef ptrdiff_t worker_bytes(const Filter *f, Worker *t, char *base) noexcept nogil:
    cdef ptrdiff_t size = f.k.size
    t.ring = base
    t.line = t.ring + whole_lines(f.copies * f.rows * f.pitch * size)
    t.out = t.line + whole_lines(f.line * size)
    t.pointers = <const void **>(t.out + whole_lines(HEIGHT * f.pitch * size))
    return whole_lines(<char *>(t.pointers + max(max(f.terms * (f.kh + HEIGHT - 1), f.kw), 2 * max(f.u_folds, f.v_folds))) - base)

cdef void choose_blocks(Filter *f) noexcept nogil:
    """Strips whose ring stays in cache, bands as high as leaves enough tasks; by the problem alone."""
    cdef ptrdiff_t size = f.k.size, most
    cdef Worker t
    f.rows = f.kh + HEIGHT - 1
    f.copies = f.terms if f.passes else 1
    most = FOLD_BYTES if f.u_folds else RING_BYTES if f.passes else LINES_BYTES
    most = max(<ptrdiff_t>LEAST_PIXELS, most // (size * f.unit * f.rows * f.copies))
    f.strips = ceil_div(f.w, most)
    f.block_w = ceil_div(f.w, f.strips)
    f.bands = min(ceil_div(TASKS, f.strips * f.planes), max(f.h // max(<ptrdiff_t>LEAST_ROWS, 4 * f.kh), <ptrdiff_t>1))
    f.block_h = ceil_div(ceil_div(f.h, f.bands), HEIGHT) * HEIGHT
    f.bands = ceil_div(f.h, f.block_h)
    f.line = (f.block_w + f.kw - 1) * f.unit + (2 * f.k.vl if f.u_folds else 0)   # folds read and write whole vectors, up to two
    f.pitch = whole_lines((f.line if f.u_folds or not f.passes else f.block_w * f.unit) * size) // size
    f.slice = worker_bytes(f, &t, NULL)

cdef void filter_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef const Filter *f = <const Filter *>context
    cdef ptrdiff_t i, rest, column, row
    cdef Worker t
    worker_bytes(f, &t, f.scratch + worker * f.slice)
    for i in range(begin, end):
        column = i % f.strips * f.block_w
        rest = i // f.strips
        row = rest % f.bands * f.block_h
        filter_block(f, &t, rest // f.bands, row, min(row + f.block_h, f.h), column, min(f.block_w, f.w - column))

cdef void filter_block(const Filter *f, Worker *t, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t end, ptrdiff_t column,
                       ptrdiff_t pixels) noexcept nogil:
    """Rows row to end of y, `pixels` pixels from column on."""
    cdef const nd_kernel_set *k = f.k
    cdef ptrdiff_t size = k.size, n = pixels * f.unit, done = row, height, q, j, tap, offset
    cdef bint direct = f.y.dtype == f.dtype and f.y.pixel == f.unit and (f.y.channel == 1 or f.unit == 1)
    cdef char *y
    cdef char *out[HEIGHT]
    while row < end:
        height = HEIGHT if end - row >= HEIGHT else 1
        while done < row + height + f.kh - 1:
            fill_row(f, t, plane, done, column, pixels)
            done += 1
        y = f.y.data + f.y.size * (plane * f.y.channel + row * f.y.row + column * f.y.pixel)
        if f.u_folds:
            for j in range(height):
                fold_column(f, t, row + j, n, y + j * f.y.row)
            row += height
            continue
        tap = 0
        for q in range(f.terms):
            offset = q * f.rows * f.pitch if f.passes else f.column[q] * f.unit
            for j in range(f.kh + height - 1):
                t.pointers[tap] = t.ring + size * (offset + (row + j) % f.rows * f.pitch)
                tap += 1
        for j in range(height):
            out[j] = y + f.y.size * j * f.y.row if direct else t.out + size * j * f.pitch
        k.sum_rows(<void *const *>out, height, t.pointers, f.u, f.terms, f.kh, n, 0)
        for j in range(height):
            if not direct:
                store(f, y + f.y.size * j * f.y.row, out[j], n)
        row += height

cdef inline void store(const Filter *f, char *y, const char *line, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t step = 1 if f.unit > 1 else f.y.pixel
    if f.y.dtype == f.dtype:
        f.k.scatter(y, step, line, 1, n)
    else:
        f.k.image_store(y, step, line, n, f.y.dtype)

cdef inline void ask_for(const char *bytes, ptrdiff_t n) noexcept nogil:
    """Memory's own prefetch follows a row, but not the step to the next one."""
    cdef ptrdiff_t i
    for i in range(0, n, 64):
        __builtin_prefetch(bytes + i)

cdef inline void load(const Filter *f, char *to, const char *x, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t step = 1 if f.unit > 1 else f.x.pixel
    if f.x.size == f.lines.size:
        if f.u_folds:
            ask_for(x + HEIGHT * f.x.row, n)
        f.lines.copy(to, x, n, step)
    else:
        f.k.image_load(to, x, n, step, f.x.dtype, HEIGHT * f.x.size * f.x.row if step == 1 else 0)

cdef void fill_row(const Filter *f, Worker *t, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t column, ptrdiff_t pixels) noexcept nogil:
    """Row `row` of the ring: a padded row of x, or what the terms' passes make of it."""
    cdef ptrdiff_t size = f.k.size, q, s
    cdef char *ring = t.ring + size * (row % f.rows) * f.pitch
    cdef void *to
    if not f.passes:
        pad_row(f, ring, plane, f.row_at[row], column, pixels + f.kw - 1)
        return
    pad_row(f, t.line, plane, f.row_at[row], column, pixels + f.kw - 1)
    if f.u_folds:
        for s in range(f.v_folds):
            q = s if 2 * s < f.kw else 0    # the weight of a fold too many is 0
            t.pointers[2 * s] = t.line + f.lines.size * q * f.unit
            t.pointers[2 * s + 1] = t.line + f.lines.size * (f.kw - 1 - q) * f.unit
        if f.v_bits == 0:
            f.k.smooth_row(ring, t.pointers, f.v, f.v_folds, pixels * f.unit)
            return
        f.k.image_fold(ring, t.pointers, f.v, f.v_folds, pixels * f.unit, f.v_bits - FOLD_BITS, -(FOLD_MIDDLE << FOLD_BITS))
        return
    for s in range(f.kw):
        t.pointers[s] = t.line + size * s * f.unit
    for q in range(f.terms):
        to = ring + size * q * f.rows * f.pitch
        f.k.sum_rows(&to, 1, t.pointers, f.v + size * q * f.kw, 1, f.kw, pixels * f.unit, 0)

cdef void fold_column(const Filter *f, Worker *t, ptrdiff_t row, ptrdiff_t n, char *y) noexcept nogil:
    """Row `row` of y."""
    cdef ptrdiff_t r, q
    for r in range(f.u_folds):
        q = r if 2 * r < f.kh else 0
        t.pointers[2 * r] = t.ring + f.k.size * ((row + q) % f.rows * f.pitch)
        t.pointers[2 * r + 1] = t.ring + f.k.size * ((row + f.kh - 1 - q) % f.rows * f.pitch)
    if f.u_bits:
        f.k.image_fold(t.out, t.pointers, f.u, f.u_folds, n, f.u_bits + FOLD_BITS, FOLD_MIDDLE)
        store(f, y, t.out, n)
    elif f.unit > 1 or f.y.pixel == 1:
        f.k.smooth_column(y, t.pointers, f.u, f.u_folds, n)
    else:
        f.k.smooth_column(t.out, t.pointers, f.u, f.u_folds, n)
        f.lines.scatter(y, f.y.pixel, t.out, 1, n)

cdef void pad_row(const Filter *f, char *to, ptrdiff_t plane, ptrdiff_t source, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """`count` pixels of a row of the padded image, from its pixel `first` on."""
    cdef ptrdiff_t size = f.lines.size * f.unit, i = 0, inside, at
    cdef const char *x
    if source < 0:
        f.lines.pool_fill(to, count * f.unit, f.value if source == -1 else 0)
        return
    x = f.x.data + f.x.size * (plane * f.x.channel + source * f.x.row)
    while i < count:
        at = first + i - f.pw
        inside = min(f.w - at, count - i)
        if at < 0 or inside <= 0:
            at, inside = f.pixel_at[first + i], 1
        if at < 0:
            f.lines.pool_fill(to + size * i, f.unit, f.value if at == -1 else 0)
        else:
            load(f, to + size * i, x + f.x.size * at * f.x.pixel, inside * f.unit)
        i += inside

cdef int open_picture(image, Py_buffer *b, Picture *p, int flags) except -1:
    """image is (h, w, channels)."""
    PyObject_GetBuffer(image, b, flags)
    p.data, p.dtype, p.size = <char *>b.buf, KINDS[image.dtype.name], b.itemsize
    p.row, p.pixel, p.channel = (b.strides[i] // b.itemsize for i in range(3))
    return 0


def filter_image(x, y, sums, const ptrdiff_t[::1] row_at, const ptrdiff_t[::1] pixel_at, before, double value, u, v=None,
                 const ptrdiff_t[::1] columns=None, bits=None, threads=None):
    """y = x filtered, both (h, w, channels), aligned and without overlap.

    sums : name of the dtype of the sums, float32, float64 or int16, which u (terms, kh) and v (terms, kw) have
    row_at, pixel_at : where rows and pixels of the padded image come from, from the first that a result needs on; -1 for value,
        -2 for 0
    before : rows and pixels of padding before
    columns : instead of v, which column each term is
    bits : u and v are halves of symmetric weights of bytes, the outermost first, in int16; the middle one of an odd number is
        halved; they add up to 1/2, times 2**bits[0] and 2**bits[1], an even number of them, or, where bits are 0, times 2**16
    """
    cdef Py_buffer xb, yb, ub, vb
    cdef Filter f
    cdef int count = default_threads() if threads is None else threads
    cdef ptrdiff_t channels = x.shape[2], tasks
    if y.size == 0:
        return
    memset(&f, 0, sizeof(Filter))
    memset(&xb, 0, sizeof(Py_buffer))
    memset(&yb, 0, sizeof(Py_buffer))
    memset(&ub, 0, sizeof(Py_buffer))
    memset(&vb, 0, sizeof(Py_buffer))
    try:
        open_picture(x, &xb, &f.x, PyBUF_STRIDES)
        open_picture(y, &yb, &f.y, PyBUF_STRIDES | PyBUF_WRITABLE)
        f.dtype = KINDS[sums]
        f.k = f.lines = current_kernels().set[f.dtype]
        f.h, f.w, _ = x.shape
        f.unit = channels if f.x.channel == f.y.channel == 1 and f.x.pixel == f.y.pixel == channels else 1
        f.planes = channels // f.unit
        f.terms, f.kh = u.shape[0], row_at.shape[0] - f.h + 1
        f.ph, f.pw = before
        f.kw = pixel_at.shape[0] - f.w + 1
        f.row_at, f.pixel_at, f.value = &row_at[0], &pixel_at[0], value
        PyObject_GetBuffer(u, &ub, PyBUF_STRIDES)
        f.u = <const char *>ub.buf
        f.passes = v is not None
        if f.passes:
            PyObject_GetBuffer(v, &vb, PyBUF_STRIDES)
            f.v = <const char *>vb.buf
            if bits is not None:
                (f.u_bits, f.v_bits), f.u_folds, f.v_folds = bits, u.shape[1], v.shape[1]
                if f.u_bits == 0:
                    f.lines = current_kernels().set[ND_U8]
        else:
            f.column = &columns[0]
        choose_blocks(&f)
        tasks = f.strips * f.bands * f.planes
        if <double>f.h * f.w * channels / f.k.vl * f.terms * (f.kh + (f.kw if f.passes else 0)) < SMALL:
            count = 1
        count = <int>min(<ptrdiff_t>count, tasks)
        f.scratch = <char *>scratch_take(f.slice * count)
        if f.scratch == NULL:
            raise MemoryError(f"no memory for {f.slice * count} bytes of workspace")
        with nogil:
            parallel_for(tasks, 1, count, filter_body, &f)
            scratch_give(f.scratch)
    finally:
        PyBuffer_Release(&xb)
        PyBuffer_Release(&yb)
        PyBuffer_Release(&ub)
        PyBuffer_Release(&vb)
