# Shared by the modules of the winograd method: how a problem is cut into tiles and blocks of tiles.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem, nd_winograd

cdef enum:
    DEPTHS = 8               # most kernel taps along the depth: they are summed directly
    RUNS = 4 * DEPTHS        # the same with the cells of strides of 2
    STEPS = 256              # channels of a part of a sum: 16 KiB of the vector operand, and short sums err less
    FRESH = 64               # channels of a part of fresh weights: 150 KiB of points a panel

cdef struct Tiling:
    nd_winograd v
    ptrdiff_t points, mh, mw         # points of a tile, results of a tile
    ptrdiff_t phases_h, phases_w     # a dilated problem is that many problems on every dh-th row, dw-th column
    ptrdiff_t cells_h, cells_w       # 2 for a stride of 2: x is that many parts, with taps of their own, added up
    ptrdiff_t cells_y, width         # 4 for a transposed stride of 2: y is that many parts; all of a panel's columns of M
    ptrdiff_t cells, runs, steps     # of both axes; depths and cells of a sum; channels of a part of it, a multiple of FRESH
    ptrdiff_t th, tw                 # tiles of a plane of the largest phase
    ptrdiff_t lines                  # rows of tiles of all images and phases
    ptrdiff_t icp, panels            # input channels in whole vectors; register tiles of output channels
    bint common                      # one block, whose steps are dealt out to the threads; else blocks are
    bint fresh                       # common, with weights that were not prepared: slices are dealt out
    ptrdiff_t rows, parts, columns   # rows of tiles of a block; parts of such a row, tiles of a part
    ptrdiff_t depth, planes          # output and input planes of a block
    ptrdiff_t slice, slices          # panels of output channels whose products are held at once
    ptrdiff_t tiles, blocks          # tiles of a block's plane; blocks of a group
    ptrdiff_t u_point, v_point, m_point, m_row    # elements between points of U, V and M, and between tiles of M
    ptrdiff_t v_bytes, m_bytes

# Some tiles of one group: rows of tiles, a part of each, output planes.
cdef struct Block:
    ptrdiff_t g, line, rows, first, columns, plane, depth

# A plane of an array, of one phase or cell: where it begins, elements between its rows and columns, extents, padding before.
cdef struct Plane:
    ptrdiff_t at, row, col, h, w, ph, pw

# One phase of an image and group, a stride-1 problem without dilation; its first output row and column.
cdef struct View:
    Plane x, y
    ptrdiff_t image, at_h, at_w

cdef ptrdiff_t odd_lines(ptrdiff_t count, const nd_kernel_set *k) noexcept nogil
cdef Plane rows_of_cell(const Plane *p, ptrdiff_t cell, ptrdiff_t cells) noexcept nogil
cdef Plane columns_of_cell(const Plane *p, ptrdiff_t cell, ptrdiff_t cells) noexcept nogil
cdef void set_sizes(Tiling *t, const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef Tiling choose_tiling(const nd_problem *p, const nd_kernel_set *k, bint gradient, ptrdiff_t cells_y) noexcept nogil
cdef nd_problem problem_of_cells(const nd_problem *p) noexcept nogil
cdef ptrdiff_t before_results(ptrdiff_t taps, ptrdiff_t pad) noexcept nogil
cdef void take_fresh_weights(Tiling *t, const nd_problem *p, const nd_kernel_set *k) noexcept nogil
cdef Block block_at(const nd_problem *p, const Tiling *t, ptrdiff_t index) noexcept nogil
cdef View view_of(const nd_problem *p, const Tiling *t, const nd_array *x, const nd_array *y, ptrdiff_t g,
                  ptrdiff_t image) noexcept nogil
