# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The slab of direct: the padded input rows of a task for a block of channels, copied once and read by every tile.

    lanes hold pixels    [channel][kd][phase row][phase column][row][column], a stride taken apart into its phases, or, of few
                         channels, a copy of the rows for each column of taps; phases that no tap falls on stay as they are
    lanes hold oc        [kd][row][column][channel]
"""
from libc.string cimport memset

from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._direct_plan cimport Blocking
from ndconv._outside cimport copy_cells
from ndconv._pack cimport ceil_div, pad_rows

cdef inline bint is_seen(ptrdiff_t phase, ptrdiff_t phases, ptrdiff_t taps, ptrdiff_t dilation) noexcept nogil:
    """Whether a tap falls on this phase of a stride."""
    cdef ptrdiff_t tap
    for tap in range(min(taps, phases)):
        if tap * dilation % phases == phase:
            return True
    return False

cdef void fill_slab(Forward *f, Task *t, ptrdiff_t c0, ptrdiff_t count) noexcept nogil:
    """The padded input rows of channels c0 <= c < c0 + count, taken apart into phases."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_array *x = &f.job.x
    cdef Blocking *b = &f.b
    cdef ptrdiff_t c, td, fh, depth, size = f.job.k.size, plane = b.fw * b.slab_rows * b.slab_columns * size
    cdef const char *first = x.data + size * (t.n * x.n + (t.g * p.icg + c0) * x.c)
    cdef char *to = t.slab
    for td in range(p.kd):
        depth = t.od * p.sd + td * p.dd - p.pd
        for fh in range(b.fh):
            if not is_seen(fh, b.fh, p.kh, p.dh):
                to += plane
                continue
            if p.bordered:
                copy_rows(f, t, first, depth, t.oh * p.sh - p.ph + fh, p.dh if b.rows == 1 else b.fh, count, to)
            elif 0 <= depth < p.id:
                fill_rows(f, t, first + size * depth * x.d, t.oh * p.sh - p.ph + fh, p.dh if b.rows == 1 else b.fh, count, to)
            else:
                for c in range(count):
                    memset(to + size * c * b.channel, 0, plane)
            to += plane

cdef void copy_rows(Forward *f, const Task *t, const char *x, ptrdiff_t depth, ptrdiff_t top, ptrdiff_t step, ptrdiff_t channels,
                    char *to) noexcept nogil:
    """fill_rows where what is outside x is not zero."""
    cdef const nd_problem *p = f.job.p
    cdef Blocking *b = &f.b
    cdef ptrdiff_t fw, r
    for fw in range(b.fw):
        if not b.copied and not is_seen(fw, b.fw, p.kw, p.dw):
            to += f.job.k.size * b.slab_columns * b.slab_rows
            continue
        for r in range(b.slab_rows):
            copy_cells(p, f.job.k, x, &f.job.x, depth, top + r * step, t.ow * p.sw - p.pw + (fw * p.dw if b.copied else fw), p.sw,
                       b.slab_columns, channels, to, 1, b.channel)
            to += f.job.k.size * b.slab_columns

cdef void fill_rows(Forward *f, const Task *t, const char *x, ptrdiff_t top, ptrdiff_t step, ptrdiff_t channels,
                    char *to) noexcept nogil:
    """Rows top, top + step, ... of one plane of so many channels, each taken apart into its phases."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *a = &f.job.x
    cdef Blocking *b = &f.b
    cdef ptrdiff_t size = k.size, line = b.slab_columns * size, low, high, first, last, c, fw, r, left
    # rows and columns of the slab that lie in the array
    low = min(ceil_div(-top, step), b.slab_rows) if top < 0 else 0
    high = max(min(ceil_div(p.ih - top, step), b.slab_rows), low) if top < p.ih else low
    for c in range(channels):
        for fw in range(b.fw):
            left = t.ow * p.sw - p.pw + (fw * p.dw if b.copied else fw)
            if p.sw == 1 and a.w == 1:
                pad_rows(p, k, x, a.h, top, step, left, b.slab_rows, b.slab_columns, to + fw * b.slab_rows * line)
                continue
            memset(to + fw * b.slab_rows * line, 0, low * line)
            memset(to + (fw * b.slab_rows + high) * line, 0, (b.slab_rows - high) * line)
            if p.sw == 2 and a.w == 1 and not b.copied:
                if fw == 0:
                    # both phases
                    first = min(max(-left, 0), 2 * b.slab_columns)
                    last = max(min(p.iw - left, 2 * b.slab_columns), first)
                    k.pad_pairs(to + low * line, b.slab_columns, b.slab_rows * b.slab_columns, b.slab_columns,
                                x + size * ((top + low * step) * a.h + left), high - low, step * a.h, first, last)
            elif b.copied or is_seen(fw, b.fw, p.kw, p.dw):
                first = min(ceil_div(-left, p.sw), b.slab_columns) if left < 0 else 0
                last = max(min(ceil_div(p.iw - left, p.sw), b.slab_columns), first) if left < p.iw else first
                if last - first < b.slab_columns:
                    memset(to + (fw * b.slab_rows + low) * line, 0, (high - low) * line)
                k.move(to + (fw * b.slab_rows + low) * line + size * first, b.slab_columns,
                       x + size * ((top + low * step) * a.h + (left + first * p.sw) * a.w), high - low, last - first,
                       step * a.h, p.sw * a.w)
        to += size * b.channel
        x += size * a.c

cdef void fill_pixels(Forward *f, Task *t, ptrdiff_t c0, ptrdiff_t count) noexcept nogil:
    """The padded input rows as [kd][row][column][channel], channels c0 <= c < c0 + count."""
    cdef const nd_problem *p = f.job.p
    cdef const nd_kernel_set *k = f.job.k
    cdef const nd_array *x = &f.job.x
    cdef ptrdiff_t td, r, low, high, depth, row, size = k.size
    cdef ptrdiff_t columns = f.b.slab_columns, left = t.ow * p.sw - p.pw
    cdef const char *src
    cdef char *to = t.slab
    low = min(max(-left, 0), columns)
    high = max(min(p.iw - left, columns), low)
    for td in range(p.kd):
        depth = t.od * p.sd + td * p.dd - p.pd
        for r in range(f.b.slab_rows):
            row = t.oh * p.sh - p.ph + (r * p.dh if f.b.rows == 1 else r)
            if p.bordered:
                copy_cells(p, k, x.data + size * (t.n * x.n + (t.g * p.icg + c0) * x.c), x, depth, row, left, 1, columns, count,
                           to, count, 1)
            elif not (0 <= depth < p.id and 0 <= row < p.ih):
                memset(to, 0, columns * count * size)
            else:
                memset(to, 0, low * count * size)
                memset(to + high * count * size, 0, (columns - high) * count * size)
                src = x.data + size * (t.n * x.n + (t.g * p.icg + c0) * x.c + depth * x.d + row * x.h + (left + low) * x.w)
                if x.c == 1 and x.w == count:
                    k.copy(to + low * count * size, src, (high - low) * count, 1)
                else:
                    k.move(to + low * count * size, count, src, high - low, count, x.w, x.c)
            to += columns * count * size
