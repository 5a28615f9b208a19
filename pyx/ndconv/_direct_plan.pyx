# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""direct: tasks and blocks of a problem (ndconv/_direct.pyx says which loops they are)."""
from ndconv._c cimport nd_array, nd_kernel_set, nd_problem
from ndconv._pack cimport PAGE, block_bytes, ceil_div, evened, panel_count, pixels_of, taps_of, use_lanes_oc, whole_lines

cdef enum:
    SLAB_BYTES = 262144      # of padded input rows in L2
    COPIES_BYTES = 65536     # of a slab with copies
    SHORT_BYTES = 16384      # of a row of windows and the weights, in L1 beside each other
    ROWS_BYTES = 16384       # of a slab's rows in L1, where all panels meet them before the next
    IMAGES = 8               # that threads take whole: of fewer, both would write the same channels beside each other
    ALIKE = 32               # channels of y, a multiple of a page apart, that do not fit the same sets of the caches
    WEIGHT_BYTES = 393216    # of the weights that a slab meets before the next, also in L2
    STEPS = 768              # of k before results go back to memory
    STRIP = 96               # columns that a strip has at least
    SMALL = 200000           # multiplications that one thread does alone
    TASKS = 12               # that a problem is cut into when it is large enough
    FEW_PIXELS = 256         # of all images, whose weights need not be prepared
    FEW_TASKS = 4            # that they are then cut into, if there are as many panels

cdef nd_problem thinned(const nd_problem *p, nd_array *x) noexcept nogil:
    """The same results of the pixels that a stride leaves to be seen, where an axis has one tap and no padding: as if there were
    no others. Changes the strides of x."""
    cdef nd_problem thin = p[0]
    if p.kd == 1 and p.sd > 1 and p.pd == 0 and (p.od - 1) * p.sd < p.id:
        x.d, thin.id, thin.sd = x.d * p.sd, p.od, 1
    if p.kh == 1 and p.sh > 1 and p.ph == 0 and (p.oh - 1) * p.sh < p.ih:
        x.h, thin.ih, thin.sh = x.h * p.sh, p.oh, 1
    if p.kw == 1 and p.sw > 1 and p.pw == 0 and (p.ow - 1) * p.sw < p.iw:
        x.w, thin.iw, thin.sw = x.w * p.sw, p.ow, 1
    return thin

cdef ptrdiff_t rows_spanned(const nd_problem *p, ptrdiff_t rows) noexcept nogil:
    """Input rows that `rows` output rows need; one row needs its taps' rows only, however dilated."""
    return p.kh if rows == 1 else (rows - 1) * p.sh + (p.kh - 1) * p.dh + 1

cdef bint is_copied(const nd_problem *p, const nd_kernel_set *k, bint lanes_oc) noexcept nogil:
    """Whether a slab has the rows once for each column of taps, without padding between them, so that tiles run across row ends
    and store what they have: where rows are no whole vectors, sums are short, and output channels pay for the copies. Otherwise
    what lies between rows is computed and dropped. Cycles of a vector of results: 10 a copied row, 3 to drop, 1/2 a step; 3 to 4
    channels to 32 and 64 at 28 and 36 columns: 1.2 to 1.4 times as fast as dropping, 6 to 10 channels to 16: 0.75 to 0.85."""
    cdef ptrdiff_t between = (p.kw - 1) * p.dw
    cdef double copies = 10.0 * p.kw * p.icg / max(p.ocg, 1)
    cdef double drops = 3 + 0.5 * p.icg * taps_of(p) * between / (p.ow + between)
    return (not lanes_oc and p.kw > 1 and p.ow % k.vl != 0 and copies < drops
            and p.icg * taps_of(p) * (p.ow + p.ocg) * k.size <= SHORT_BYTES)

cdef void set_slab(const nd_problem *p, const nd_kernel_set *k, Blocking *b) noexcept nogil:
    cdef ptrdiff_t columns = (b.columns - 1) * p.sw + (p.kw - 1) * p.dw + 1
    b.fh = 1 if b.lanes_oc or b.rows == 1 else p.sh
    b.fw = 1 if b.lanes_oc else p.kw if b.copied else p.sw
    b.slab_rows = ceil_div(rows_spanned(p, b.rows), b.fh)
    b.slab_columns = b.columns if b.copied else ceil_div(columns, b.fw)
    if b.lanes_oc:
        b.channel = 1
        b.slab = p.kd * b.slab_rows * b.slab_columns * b.icb * k.size
    else:
        # an odd number of cache lines: channels do not fall on the same sets of the cache
        b.channel = (ceil_div(p.kd * b.fh * b.fw * b.slab_rows * b.slab_columns * k.size, 128) * 128 + 64) // k.size
        b.slab = (b.icb * b.channel + k.nr) * k.size
    b.slab = whole_lines(b.slab) + 64

cdef Blocking blocking(const nd_problem *p, const nd_kernel_set *k) noexcept nogil:
    cdef Blocking b
    cdef ptrdiff_t images = p.n * p.g * p.od, flat, width, least
    b.lanes_oc = use_lanes_oc(p, k)
    width = k.nr if b.lanes_oc else k.mr
    b.taps = taps_of(p)
    # a run a tap: not of a few channels; the same whatever the lanes hold, so that sums have one order (ndconv/streaming.py)
    b.icb = max(ceil_div(p.icg, ceil_div(p.icg * b.taps, STEPS)), min(p.icg, <ptrdiff_t>SHORT))
    b.panels = panel_count(p, k)
    b.height, b.taller = p.ocg // b.panels, p.ocg % b.panels
    b.wide = k.tile_columns(b.height + (b.taller > 0))
    # rows: enough tasks for a problem that keeps a second thread busy, then as many as the slab holds
    # (a single image whose output channels are not dealt out is at least two)
    least = ceil_div(p.oh, 2) if images == 1 and b.panels * width < 128 else p.oh
    b.rows = max(ceil_div(p.oh, ceil_div(TASKS, images)), min(least, ceil_div(6 * k.nr, p.ow)))
    if images * p.ocg * p.icg * <double>b.taps * p.oh * p.ow < SMALL:
        b.rows = ceil_div(p.oh, 2)
    b.columns = p.ow
    b.copied = is_copied(p, k, b.lanes_oc)
    set_slab(p, k, &b)
    while b.slab > block_bytes(p, COPIES_BYTES if b.copied else SLAB_BYTES) and (b.rows > 1 or b.columns > STRIP):
        if b.rows > 1:
            b.rows = (b.rows + 1) // 2
        else:
            b.columns = (b.columns + 1) // 2
        set_slab(p, k, &b)
    b.blocks = evened(ceil_div(p.oh, b.rows), images, p.oh)
    b.rows = ceil_div(p.oh, b.blocks)
    # strips: few rows are cut across
    b.strips = max(ceil_div(p.ow, b.columns), min(ceil_div(TASKS, images * b.blocks), p.ow // STRIP))
    b.columns = ceil_div(ceil_div(p.ow, b.strips), k.nr) * k.nr if b.strips > 1 else p.ow
    b.strips = ceil_div(p.ow, b.columns)
    set_slab(p, k, &b)
    flat = ((b.rows - 1) * b.slab_columns + b.columns + k.vl - 1) // k.vl
    b.by_row = not b.copied and b.rows * ceil_div(b.columns, k.vl) <= flat
    b.panels_first = not b.lanes_oc and b.icb < SHORT and (
        not b.by_row and (b.slab_columns != p.ow or images >= IMAGES) or p.ocg >= ALIKE and pixels_of(p) * k.size % PAGE == 0)
    b.together = 1 if b.by_row else min(max(ROWS_BYTES // (b.icb * b.fh * b.fw * b.slab_columns * k.size), 1), b.rows)
    # an odd number of cache lines, as in the slab
    b.line = (ceil_div(((b.together - 1) * b.slab_columns + b.columns + k.vl) * k.size, 128) * 128 + 64) // k.size
    b.tile = k.mr * k.nr if not b.panels_first or b.by_row else (b.height + 1) * b.line
    b.tile = whole_lines(b.tile * k.size)
    b.splits = min(ceil_div(TASKS, images * b.blocks * b.strips), max(b.panels * width // 64, 1))
    b.ob = max(block_bytes(p, WEIGHT_BYTES) // (b.icb * b.taps * width * k.size), 1)
    # offsets of taps, or of the steps of a list
    b.offsets = b.taps * (max(b.icb, 1) if not b.lanes_oc and b.icb < SHORT else 1)
    b.offsets = whole_lines(4 * b.offsets * <ptrdiff_t>sizeof(ptrdiff_t))
    b.fresh = 0
    return b

cdef void take_fresh_weights(const nd_problem *p, const nd_kernel_set *k, Blocking *b) noexcept nogil:
    """Where panels of weights can meet all pixels of all images in one task, that turns them there, a block of channels at a
    time, in L2: weights come from memory once and are not written back to it, 0.3 to 0.9 of the time of preparing them first."""
    cdef Blocking whole = b[0]
    cdef ptrdiff_t block = b.icb * b.taps * k.nr * k.size
    whole.rows, whole.blocks, whole.columns, whole.strips = p.oh, 1, p.ow, 1
    set_slab(p, k, &whole)
    if not b.lanes_oc or p.n * pixels_of(p) > FEW_PIXELS or p.g * b.panels < 2 or whole.slab > SLAB_BYTES:
        return
    whole.ob = max(WEIGHT_BYTES // block, 1)
    whole.splits = min(max(ceil_div(<ptrdiff_t>FEW_TASKS, p.g), ceil_div(b.panels, whole.ob)), b.panels)
    whole.fresh = whole_lines(ceil_div(b.panels, whole.splits) * block)
    b[0] = whole
