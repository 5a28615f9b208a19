# Shared by the modules of the direct method: how a problem is cut into tasks, and these into blocks.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem

cdef enum:
    SHORT = 16               # channels of a block below which tiles walk over a list of steps, and over all of them

cdef struct Blocking:
    bint lanes_oc, by_row              # whether tiles end with the row
    bint copied                        # whether the slab has a copy of the rows for each column of taps
    bint panels_first                  # whether a panel's tiles of some rows follow each other, not a tile's panels
    ptrdiff_t taps, icb                # channels of a block
    ptrdiff_t rows, blocks             # output rows of the largest task, blocks of a depth
    ptrdiff_t columns, strips          # output columns of a task, strips of a row
    ptrdiff_t height, taller           # output channels of a panel; the first `taller` panels have one more
    ptrdiff_t wide                     # columns of the widest tile (lanes hold pixels)
    ptrdiff_t panels, splits, ob       # weight panels a group, parts they are dealt to, panels that meet a slab at a time
    ptrdiff_t fh, fw                   # phases of a stride, or copies of a row (lanes hold pixels; 1 otherwise)
    ptrdiff_t slab_rows, slab_columns  # rows and columns of a phase
    ptrdiff_t channel                  # elements from channel to channel of the slab
    ptrdiff_t together                 # of so many rows
    ptrdiff_t line                     # elements from channel to channel of their results, where these wait beside y
    ptrdiff_t slab, offsets, tile      # bytes; of results that wait: a tile's, or a panel's
    ptrdiff_t fresh                    # bytes of the blocks of weights that a task turns itself, 0 where they are prepared

cdef nd_problem thinned(const nd_problem *p, nd_array *x) noexcept nogil
cdef void set_slab(const nd_problem *p, const nd_kernel_set *k, Blocking *b) noexcept nogil
cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef void take_fresh_weights(const nd_problem *p, const nd_kernel_set *k, Blocking *b) noexcept nogil
