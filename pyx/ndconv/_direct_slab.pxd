# A task of direct, and the copy of the input rows that it reads.
from ndconv._c cimport nd_job
from ndconv._direct_plan cimport Blocking

cdef struct Forward:
    const nd_job *job
    Blocking b

cdef struct Task:
    ptrdiff_t n, g, od, oh, rows      # the block of output rows
    ptrdiff_t ow, columns             # and of their columns
    ptrdiff_t low, high               # weight panels
    char *slab
    char *fresh                       # its panels' blocks of weights that are not prepared
    const char *weights               # a block of its first panel (lanes hold oc),
    ptrdiff_t panel                   # and elements to that of the next
    char *tile                        # results of a tile or a panel, before they are taken apart
    ptrdiff_t *a_off
    ptrdiff_t *b_off
    ptrdiff_t *a_live                 # room for the offsets of a part of the taps
    ptrdiff_t *b_live

cdef void fill_slab(Forward *f, Task *t, ptrdiff_t c0, ptrdiff_t count) noexcept nogil
cdef void fill_pixels(Forward *f, Task *t, ptrdiff_t c0, ptrdiff_t count) noexcept nogil
