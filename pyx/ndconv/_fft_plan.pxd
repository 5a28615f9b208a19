# Shared by the modules of the fft method: how a problem is cut into tiles, and the tables of their transforms.
from libc.stdint cimport int32_t

from ndconv._c cimport nd_axis, nd_kernel_set, nd_problem

# What the lanes of a vector hold, and with that where spectra are multiplied.
#   CHANNELS        channels of a group; a complex matrix product a frequency, output channels in the lanes of its result
#   TILES           tiles; the same product with tiles in the lanes
#   FILTER_GROUPS   groups of one input channel each (depthwise); point by point, in place
#   FILTER_TILES    tiles of one input channel; point by point, in place
#   FILTER_PARTS    neighbouring tiles of a line, by a kernel in parts as long as a tile's outputs: sums over parts (_fft_parts)
cdef enum Lanes:
    CHANNELS
    TILES
    FILTER_GROUPS
    FILTER_TILES
    FILTER_PARTS

cdef enum Operation:
    FORWARD
    WEIGHT_GRAD

# One axis of a tile: t real numbers, n complex points (t, or t/2 along w), of which q outputs are kept. With `phases`, tile i
# takes every phases-th input and output from i % phases on, so the kernel in it is not dilated. With a `split`, every split-th
# input is a channel of its own, so the stride is 1.
cdef struct Side:
    ptrdiff_t t, n, q, tiles
    ptrdiff_t k, stride, dilation                    # within a tile
    ptrdiff_t phases, split
    bint wraps                                       # whether what lies before x is what lies after it: zeros
    double log2n
    ptrdiff_t x, y, taps, before                     # of the problem

cdef struct Tiling:
    Side side[3]
    int lanes
    ptrdiff_t tiles             # of an image
    ptrdiff_t ic                # input channels of a group, times the splits of all axes
    ptrdiff_t axis, parts       # the axis along which the kernel is in parts, and how many
    ptrdiff_t ring              # vectors of input tiles that the parts of a block of tiles need
    ptrdiff_t pitch, plane      # points from row to row and from depth to depth of a tile
    ptrdiff_t pairs, freqs      # pairs of points {f, -f}, frequencies of the real spectrum
    ptrdiff_t icv, ocv          # vectors, or with lanes of tiles channels, of a group's input and output
    ptrdiff_t units             # tiles, or vectors of tiles, or lines of tiles, of all images
    ptrdiff_t block             # of these, transformed before they are multiplied
    ptrdiff_t point             # bytes of a point
    ptrdiff_t z                 # bytes of a tile
    ptrdiff_t spectrum          # bytes of its spectrum
    # estimates for one thread, in cycles: of a run, which is the sum of the three after it, and of the kernels' spectra
    double cycles, transforms, products, traffic, prepare

# The tables of a tiling, wherever they are kept.
cdef struct Tables:
    nd_axis axis[3]
    const int32_t *pairs
    const void *turns

cdef Tiling choose_tiling(const nd_problem *p, const nd_kernel_set *k, Operation op) noexcept nogil
cdef ptrdiff_t tables_bytes(const Tiling *t, const nd_kernel_set *k) noexcept nogil
cdef void open_tables(const Tiling *t, const nd_kernel_set *k, const char *at, Tables *tables) noexcept nogil
cdef void build_tables(const Tiling *t, const nd_kernel_set *k, char *to, int threads) noexcept nogil
cdef ptrdiff_t spectra_bytes(const nd_problem *p, const nd_kernel_set *k, const Tiling *t) noexcept nogil
cdef double scale_of(const Tiling *t) noexcept nogil
