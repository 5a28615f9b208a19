# What the passes of a convolution with a kernel of its own for every position share.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._pack cimport Pixel

# Weights [g*ocg + o, od, oh, ow, c, kd, kh, kw] in any memory.
cdef struct Unshared:
    char *data
    ptrdiff_t o, yd, yh, yw, c, d, h, w
    bint flat                   # c, kd, kh, kw follow each other
    const char *end             # of the memory that holds them

cdef struct Local:
    nd_problem p
    const nd_kernel_set *k
    int threads
    nd_array x, y               # or dx, dy
    Unshared w                  # or dw
    nd_array bias               # n is not used; strides of what is shared are 0; data NULL: none
    char *workspace
    ptrdiff_t length, row       # elements of a window, distance of the windows of images in scratch
    ptrdiff_t pixel             # distance of pixels there
    ptrdiff_t images, blocks    # images of the largest block, blocks
    ptrdiff_t run, strips       # pixels of the longest stretch of an output row, stretches of a row
    ptrdiff_t near              # pixels whose windows stay in L2
    ptrdiff_t splits            # parts that output channels are dealt to
    bint side_by_side           # the elements of a row of taps are neighbours
    ptrdiff_t channels          # that are gathered or put back at a time
    ptrdiff_t width             # of a row of x, or of turned columns, for that
    ptrdiff_t windows, columns, packed, results     # bytes of a worker's scratch

cdef inline ptrdiff_t whole_lines(ptrdiff_t size) noexcept nogil:
    return (size + 63) // 64 * 64

cdef inline ptrdiff_t lanes_of(const nd_kernel_set *k, ptrdiff_t images) noexcept nogil:
    """Images in whole vectors."""
    return (images + k.vl - 1) // k.vl * k.vl

cdef struct Box:             # of x: from, extents
    ptrdiff_t d, h, w, id, ih, iw

# The outputs in parts along an axis (0, 1, 2 for d, h, w), and the elements of x that a group of the largest part sees.
cdef struct Cut:
    int axis
    ptrdiff_t parts, slab

# A task: a stretch of an output row, and some output channels, dealt out by the `unit`.
cdef struct Stretch:
    ptrdiff_t g, block, first, last    # group, block of images, output channels of the group
    ptrdiff_t run
    Pixel at                           # its first pixel

cdef Stretch stretch_of(const nd_problem *p, ptrdiff_t unit, ptrdiff_t splits, ptrdiff_t strips, ptrdiff_t blocks,
                        ptrdiff_t task) noexcept nogil
cdef Cut cut_of(const nd_problem *p) noexcept nogil
cdef void cut(const nd_problem *p, const Cut *c, ptrdiff_t part, Pixel *first, Pixel *end, Box *x) noexcept nogil
cdef ptrdiff_t scratch_of(const Local *f) noexcept nogil
cdef char *kernel_at(const Local *f, ptrdiff_t o, Pixel at) noexcept nogil
cdef ptrdiff_t pack_gradient(const Local *f, ptrdiff_t channel, ptrdiff_t channels, Pixel at, ptrdiff_t run, ptrdiff_t images,
                             bint images_are_rows, char *to) noexcept nogil
cdef void pack_kernels(const Local *f, const char *src, ptrdiff_t count, char *to) noexcept nogil

cdef class Pass:
    cdef Local f
    cdef Py_buffer buffers[4]
    cdef list arrays
    cdef int take_scratch(self, size_t size) except -1
