# Windows of a pooling: what they hold, what they count, and the ways to compute all of them.
from ndconv._c cimport nd_array, nd_body, nd_kernel_set, nd_problem

cdef struct Pool:
    nd_problem p           # what is computed: y from x. icg counts the channels
    nd_problem q           # the forward pooling, whose windows do the counting
    const nd_kernel_set *k
    nd_array x, y, at      # at: the indices
    ptrdiff_t at_size      # bytes of an index, 0 for none
    const nd_kernel_set *at_k    # that moves elements of so many bytes
    int op                 # what windows are combined by: enum nd_pool_op
    double power           # if not 0, absolute values to that power are combined, and the root taken in the end
    bint divide            # by what the windows count: results, or in a gradient the sources
    bint backward          # p is the gradient of the average q
    bint real              # windows count real cells only, not padding
    ptrdiff_t divisor      # what every window counts instead, or 0
    ptrdiff_t fh, fw       # rows and columns of the planes that indices count
    ptrdiff_t end_d, end_h, end_w    # where the padding after the input ends
    ptrdiff_t gap_d, gap_h, gap_w    # from one element of x to the next in the input of p (backward: the strides)
    const void *cells      # what each column of windows counts, [q.ow] in the dtype
    int *lost              # of a worker, of the gradient of maxima: whether an index is none of its window's
    char *scratch          # `slice` bytes a worker
    size_t slice
    ptrdiff_t split, phase           # phases of a row and their lengths
    bint walked, lined               # rows: small windows straight from memory, with indices or without
    ptrdiff_t block_c, block_d, block_h, block_w  # outputs of a task

cdef enum:
    GRAIN = 1 << 14        # element operations that are worth handing out
    TABLE = 1 << 16        # cells of a window whose addresses are listed

cdef struct Way:
    nd_body body
    ptrdiff_t tasks
    double work            # element operations, a vector's all at once counting as VL

cdef inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return a if a < b else b

cdef inline ptrdiff_t most_of(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return a if a > b else b

cdef inline ptrdiff_t up(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    """a / b rounded up, 0 for negative a."""
    return (a + b - 1) // b if a > 0 else 0

cdef inline ptrdiff_t clip(ptrdiff_t start, ptrdiff_t low, ptrdiff_t high, ptrdiff_t k, ptrdiff_t d,
                           ptrdiff_t *first) noexcept nogil:
    """How many t < k have low <= start + t*d < high, and the first of them."""
    if start >= low and start + (k - 1) * d < high:
        first[0] = 0
        return k
    first[0] = up(low - start, d)
    return most_of(least(k, up(high - start, d)) - first[0], 0)

cdef inline ptrdiff_t pads_to(ptrdiff_t n) noexcept nogil:
    """Elements for n, with room for whole vectors and a start at 64 bytes whatever the dtype."""
    return (n + 127) & ~<ptrdiff_t>63

cdef inline double cells_at(const Pool *f, ptrdiff_t ow) noexcept nogil:
    return (<const float *>f.cells)[ow] if f.k.size == 4 else (<const double *>f.cells)[ow]

cdef double row_cells(const Pool *f, ptrdiff_t od, ptrdiff_t oh) noexcept nogil
cdef void set_cells(const Pool *f, void *cells) noexcept nogil
cdef void empty_value(const Pool *f, void *to, ptrdiff_t n) noexcept nogil
cdef double log_steps(ptrdiff_t k) noexcept nogil
cdef int choose_blocks(Pool *f) noexcept nogil
cdef double blocks_work(const Pool *f) noexcept nogil
cdef ptrdiff_t blocks_tasks(const Pool *f) noexcept nogil
cdef void blocks_body(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) noexcept nogil
