# What the passes of convolutions whose kernels differ from position to position share.
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._pack cimport Pixel

# Weights [g*ocg + o, td, th, tw, c, kd, kh, kw] in any memory.
cdef struct Unshared:
    char *data
    ptrdiff_t o, yd, yh, yw, c, d, h, w
    bint flat                   # c, kd, kh, kw follow each other

# x with its padding, or what a part of the outputs sees of it: [d, h, channel, column % period, lane]. A lane is column // period
# of an image; each image has `each` of them.
cdef struct Frame:
    char *data
    ptrdiff_t planes, rows, channels, period, each
    ptrdiff_t column, c, h, d, size     # distances, and elements in all

cdef struct Local:
    nd_problem p
    const nd_kernel_set *k
    int threads
    nd_array x, y               # or dx, dy
    Unshared w                  # or dw
    nd_array bias               # n is not used; strides of what is shared are 0; data NULL: none
    char *workspace
    ptrdiff_t td, th, tw        # kernels used in turn along each axis
    bint own                    # each pixel of a row has its own: lanes are images; else also every tw-th pixel
    bint few                    # images, by which a vector would stay empty: lanes are elements of kernels
    ptrdiff_t length, row       # elements of a window; distance of windows and kernels in scratch
    ptrdiff_t run, strips       # kernels of the longest stretch of a row, stretches
    ptrdiff_t images, blocks    # images of the largest block, blocks
    ptrdiff_t block, count      # the block in work, its images
    ptrdiff_t lanes, wide       # of the block in work, of a task
    Frame frame
    ptrdiff_t *at               # [kernel of a row of outputs, or one][element of a window]: of its lanes from its first
    ptrdiff_t offsets           # bytes of them

# Neighbouring lanes of one image, or of images: how many hold results, where the first is in y, how far the next, and which
# lane follows.
cdef struct Lanes:
    ptrdiff_t count, to, step, after

# Every period-th pixel of a row of an image: lanes low <= lane < high are elements column + lane*period.
cdef struct Run:
    ptrdiff_t column, low, high

cdef inline ptrdiff_t whole_vectors(const Local *f, ptrdiff_t n) noexcept nogil:
    return (n + f.k.vl - 1) // f.k.vl * f.k.vl

cdef Frame frame_of(const Local *f, ptrdiff_t channels, Pixel outputs, ptrdiff_t images) noexcept nogil
cdef void set_images(Local *f, ptrdiff_t limit) noexcept nogil
cdef ptrdiff_t wide_of(const Local *f, ptrdiff_t images) noexcept nogil
cdef size_t open_frame(Local *f) noexcept nogil
cdef void set_block(Local *f, ptrdiff_t block, const Frame *frame) noexcept nogil
cdef void fill_frame(Local *f) noexcept nogil
cdef Lanes lanes_at(const Local *f, ptrdiff_t lane, ptrdiff_t last, Pixel at) noexcept nogil
cdef char *kernel_at(const Local *f, ptrdiff_t o, Pixel at) noexcept nogil
cdef char *flat_kernels(const Local *f, ptrdiff_t o, ptrdiff_t count, Pixel at, char *packed) noexcept nogil
cdef Run run_of(const Local *f, const Frame *frame, ptrdiff_t phase) noexcept nogil
cdef ptrdiff_t at_once(const Local *f, ptrdiff_t run) noexcept nogil
cdef char *window_at(const Local *f, const Frame *frame, ptrdiff_t channel, Pixel at, ptrdiff_t lane) noexcept nogil
cdef ptrdiff_t *table_at(const Local *f, Pixel at) noexcept nogil

cdef class Pass:
    cdef Local f
    cdef Py_buffer buffers[4]
    cdef list arrays
    cdef int take_scratch(self, size_t size) except -1
