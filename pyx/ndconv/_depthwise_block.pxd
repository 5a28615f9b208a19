# Blocks of output rows for the methods of few channels a group: how a problem is cut, and where a block reads x.
from ndconv._c cimport nd_depthwise, nd_job, nd_kernel_set, nd_problem

cdef struct Blocking:
    bint lanes_c                       # whether vectors hold channels, not pixels
    ptrdiff_t planes                   # input channels x depths of taps
    ptrdiff_t sh, every                # input rows from output row to output row of a block; which of them it takes
    ptrdiff_t rows, row_blocks         # output rows of a block, blocks of a plane over them
    ptrdiff_t columns, column_blocks
    ptrdiff_t channels, groups         # output channels of a block (lanes of channels); blocks over channels or groups
    ptrdiff_t units                    # blocks of an image and group
    ptrdiff_t slab, out, offsets       # bytes of a worker: slab, a block of y, offsets of planes and columns

cdef struct Block:
    ptrdiff_t n, group, od, phase      # the output rows phase + every*r of image, group and depth,
    ptrdiff_t r0, r1, c0, c1           # r0 <= r < r1, columns c0 to c1
    ptrdiff_t oc, channels             # the first output channel, and how many
    nd_depthwise s                     # a rectangle of it as the kernels see it,
    ptrdiff_t top, left                # its first row and column
    ptrdiff_t depth                    # the first depth of its taps that lies in x, of lanes of channels that read in place
    ptrdiff_t line, phase_size         # elements from row to row of the slab; of a phase of a row
    char *slab
    char *out
    ptrdiff_t *plane
    ptrdiff_t *column
    bint lined                         # whether the lines of s are those of all blocks

cdef struct Run:
    const nd_job *job
    Blocking b
    bint lined                         # whether lanes of pixels read x in place although not zeros are outside
    ptrdiff_t left, right              # output columns between them have no tap in the padding: for lanes of channels
    bint clips                         # whether lanes of channels leave out the taps in the padding: all of a block in place
    bint folds                         # whether blocks fold in their part of a frame
    void (*rectangle)(const Run *f, Block *t, const char *x) noexcept nogil

cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef bint has_lanes_c(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef Run start_run(const nd_job *job) noexcept nogil
cdef bint takes_phases(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef bint reads_in_place(const Run *f) noexcept nogil
cdef bint can_be_lined(const Run *f) noexcept nogil
cdef void set_worker(const Run *f, Block *t, char *workspace) noexcept nogil
cdef void set_block(const Run *f, Block *t, ptrdiff_t n, ptrdiff_t group, ptrdiff_t unit) noexcept nogil
cdef void walk_block(const Run *f, Block *t) noexcept nogil
cdef void rows_inside(const nd_problem *p, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t *low, ptrdiff_t *high) noexcept nogil
