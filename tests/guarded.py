"""Every kernel on arrays that end, or begin, at a page that may not be touched.

    python guarded.py ISA JOURNAL

Names each call in JOURNAL before it is made, so that after a crash the journal's one line says which call it was. What lies
in the same pages beside an array is filled with NaN, and compared afterwards: a result that read it or a byte that changed
raises AssertionError. Ends with the number of calls on standard output.
"""
import ctypes
import functools
import itertools
import mmap
import os
import sys

import numpy as np
from cases import ANY_RANK, EDGES, EMPTY, GEOMETRY, GROUPED, SPECTRAL, Conv, Pool, draw, to_layout

import ndconv as nd
from ndconv.image import DTYPES as IMAGE_DTYPES
from ndconv.problem import DTYPES
from ndconv.select import METHODS

CASES = (
    *(Conv(f"guarded {e}x{f}", 1, 3, e, (3, f), (2, 3), 1, ((0, 1), (1, 1))) for e, f in zip(EDGES, reversed(EDGES), strict=True)
      if f > 0),
    *(Conv(f"guarded deep {e}", 1, e, 9, (2, 5), (1, 2)) for e in EDGES),
    *(Conv(f"guarded pointwise {e}", 2, 5, e, (1, e), (1, 1)) for e in EDGES if e),
    *(Conv(f"guarded depthwise {e}", 1, e, e, (4, 19), (3, 3), 1, 1, groups=e) for e in EDGES if e),
    *GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY, SPECTRAL[0], SPECTRAL[6],
)
LOCAL = (*(Conv(f"guarded local {e}", 2, e, 3, (3, 4), (1, 2)) for e in EDGES),
         *(case for case in (*GEOMETRY, *GROUPED, *ANY_RANK, *EMPTY) if not case.flip))
POOLS = (
    *(Pool(f"guarded {e}", 1, 2, (3, e), 2, 1, 1) for e in EDGES if e),
    *(Pool(f"guarded channels {e}", 1, e, (4, 3), 2, 2) for e in EDGES if e),
    Pool("guarded stride", 1, 3, (9, 37), 3, 2, 1), Pool("guarded ceil", 1, 3, (8, 8), 3, 2, 0, 1, True),
    Pool("guarded dilation", 1, 3, (9, 21), 3, 1, 2, 2), Pool("guarded large", 1, 2, (23, 35), 13, 1, 6),
    Pool("guarded 1d", 2, 3, (41,), 4, 3, 2), Pool("guarded 3d", 1, 3, (4, 5, 9), 2, 2, 1),
)
IMAGES = ((5, 33, 3), (3, 70), (1, 2, 4), (9, 1))
FILTERS = (nd.filters.sobel(), nd.filters.gaussian(0.7), np.ones((4, 3)) + np.eye(4, 3))
PLACES = ("end", "start", "wide rows")
PAGE = mmap.PAGESIZE
GAP = 2  # foreign cells after each wide row
POISON = 0xFF  # NaN in every float, -1 in every index
_libc = ctypes.CDLL(None, use_errno=True)


class Room:
    """Memory between two pages that no access survives."""

    def __init__(self, pages):
        self.map = mmap.mmap(-1, (pages + 2) * PAGE)
        self.bytes = np.frombuffer(self.map, np.uint8)
        for guard in (0, (pages + 1) * PAGE):
            address = ctypes.c_void_p(self.bytes.ctypes.data + guard)
            if _libc.mprotect(address, PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.inside = self.bytes[PAGE:-PAGE]

    def put(self, a, place):
        """A copy of a whose last byte is the last before the guard, or whose first is the first after it.

        In wide rows each row of the last axis is followed by two foreign cells, except the last.
        """
        strides, step = [], a.itemsize
        for axis in reversed(range(a.ndim)):
            strides.insert(0, step)
            step = step * max(a.shape[axis], 1) + (GAP * a.itemsize if place == "wide rows" and axis == a.ndim - 1 else 0)
        reach = sum((extent - 1) * stride for extent, stride in zip(a.shape, strides, strict=True)) + a.itemsize if a.size else 0
        offset = PAGE if place == "start" else PAGE + self.inside.size - reach
        self.inside[...] = POISON
        self.view = np.ndarray(a.shape, a.dtype, self.map, offset, strides)
        self.view[...] = a
        self.before = self.inside.copy()
        return self.view

    def assert_unchanged(self):
        assert np.array_equal(self.inside, self.before), "an input, or memory beside an array, was written"

    def restore(self, a):
        self.view[...] = a


@functools.cache
def nth_room(which, pages):
    return Room(pages)


def room_for(which, a):
    return nth_room(which, 1 + (a.nbytes + GAP * a.itemsize * (a.size // max(a.shape[-1:] or (1,)) + 1)) // PAGE if a.size else 1)


class Journal:
    def __init__(self, path):
        self.file = os.open(path, os.O_CREAT | os.O_RDWR)
        self.calls = 0

    def write(self, line):
        os.pwrite(self.file, line.ljust(300).encode()[:300], 0)
        self.calls += 1


def guard(journal, place, what, call, inputs, out=None):
    """call(*inputs, out) with each array in a guarded room of its own."""
    want = call(*inputs, None)
    arrays = [*inputs, out]
    journal.write(f"{what} at {place}")
    rooms = {i: room_for(i, a) for i, a in enumerate(arrays) if a is not None}
    got = call(*(rooms[i].put(a, place) if i in rooms else None for i, a in enumerate(arrays)))
    for result, expected in zip(got, want, strict=True) if isinstance(want, tuple) else ((got, want),):
        # strides choose the order of sums; what lies outside the arrays is NaN
        assert np.allclose(result, expected, 1e-6, 1e-6, equal_nan=True), "another result than with room around the arrays"
    if out is not None:
        rooms[len(inputs)].restore(out)
    for room in rooms.values():
        room.assert_unchanged()


def zeros_like(a):
    return None if a is None else np.zeros_like(a)


def guard_conv(journal, case, layout, method, dtype, place):
    x, w, b, dy = case.arrays(dtype, integers=True)  # sums are the same in whatever order the strides suggest
    x, dy = to_layout(x, layout), to_layout(dy, layout)
    shape = x.shape
    options = case.options | dict(layout=layout, method=method, threads=1)
    calls = {
        "conv": (lambda x, w, b, out: nd.conv(x, w, b, out=out, **options), (x, w, b), dy),
        "finished": (lambda x, w, residual, out: nd.conv(x, w, residual=residual, activation="relu", out=out, **options),
                     (x, w, dy), dy),
        "plan": (lambda x, w, b, out: nd.plan_conv(shape, w, b, dtype=dtype, **options)(x, out=out), (x, w, b), dy),
        "input grad": (lambda dy, w, out: nd.conv_input_grad(dy, w, shape, out=out, **options), (dy, w), x),
        "weight grad": (lambda dy, x, out: nd.conv_weight_grad(dy, x, w.shape, out=out, **options), (dy, x), w),
        "bias grad": (lambda dy, out: nd.conv_backward(dy, x, w, wrt=("b",), **options).b, (dy,), None),
    }
    if (dtype, place) == ("float32", "end") and 0 not in case.size and np.max(case.normalised["pads"], initial=0) > 0:
        wrapped = options | dict(padding_mode="wrap")
        calls["wrap"] = lambda x, w, b, out: nd.conv(x, w, b, out=out, **wrapped), (x, w, b), dy
        calls["wrap input grad"] = lambda dy, w, out: nd.conv_input_grad(dy, w, shape, out=out, **wrapped), (dy, w), x
        calls["wrap weight grad"] = lambda dy, x, out: nd.conv_weight_grad(dy, x, w.shape, out=out, **wrapped), (dy, x), w
    if 0 not in case.out:
        calls["transpose"] = (lambda dy, w, residual, out: nd.conv_transpose(
            dy, w, residual=residual, output_shape=case.size, out=out, **options), (dy, w, x), x)
    for name, (call, inputs, like) in calls.items():
        try:
            guard(journal, place, f"{name} {method} {dtype} {layout} {case}", call, inputs, zeros_like(like))
        except nd.MethodNotApplicable:
            continue


def guard_local(journal, case, layout, dtype, place):
    x, _, b, dy = case.arrays(dtype, integers=True)
    w = draw(case.name, (case.oc, *case.out, *case.w_shape[1:]), dtype, integers=True)
    x, dy = to_layout(x, layout), to_layout(dy, layout)
    options = dict(stride=case.stride, padding=case.padding, dilation=case.dilation, layout=layout, threads=1)
    local = functools.partial(nd.local_conv_backward, groups=case.groups, **options)
    columns = nd.im2col(x, case.kernel, **options)
    calls = {
        "local": (lambda x, w, b, out: nd.local_conv(x, w, b, out=out, groups=case.groups, **options), (x, w, b), dy),
        "local input grad": (lambda dy, w, out: local(dy, x, w, wrt="x").x, (dy, w), None),
        "local weight grad": (lambda dy, x, out: local(dy, x, w, wrt="w").w, (dy, x), None),
        "im2col": (lambda x, out: nd.im2col(x, case.kernel, out=out, **options), (x,), columns),
        "col2im": (lambda columns, out: nd.col2im(columns, x.shape, case.kernel, **options), (columns,), None),
    }
    for name, (call, inputs, like) in calls.items():
        guard(journal, place, f"{name} {dtype} {layout} {case}", call, inputs, zeros_like(like))


def guard_pool(journal, case, layout, dtype, place):
    x = to_layout(draw(case.name, case.x_shape(), dtype, integers=True), layout)
    shape, window = x.shape, case.window
    options = case.options | dict(layout=layout, threads=1)
    y, indices = nd.max_pool(x, window, return_indices=True, **options)
    short = indices.astype(np.int32)
    top = nd.global_pool(x, "avg", layout=layout)
    y_extents = y.shape[1:-1] if layout.endswith("C") else y.shape[2:]
    calls = {
        "max": (lambda x, out: nd.max_pool(x, window, out=out, **options), (x,), y),
        "max with indices": (lambda x, out: nd.max_pool(x, window, return_indices=True, out=out, **options), (x,), y),
        "max with short indices": (
            lambda x, out: nd.max_pool(x, window, return_indices=True, index_dtype=np.int32, **options), (x,), None),
        "avg": (lambda x, out: nd.avg_pool(x, window, out=out, **options), (x,), y),
        "avg of real cells": (lambda x, out: nd.avg_pool(x, window, count_include_pad=False, **options), (x,), None),
        "max backward": (lambda dy, at, out: nd.max_pool_backward(dy, at, shape, window, **options), (y, indices), None),
        "max backward, short": (lambda dy, at, out: nd.max_pool_backward(dy, at, shape, window, **options), (y, short), None),
        "avg backward": (lambda dy, out: nd.avg_pool_backward(dy, shape, window, **options), (y,), None),
        "global max": (lambda x, out: nd.global_pool(x, "max", layout=layout), (x,), None),
        "global avg": (lambda x, out: nd.global_pool(x, "avg", layout=layout), (x,), None),
        "global max backward": (lambda dy, x, out: nd.global_pool_backward(dy, x, "max", layout=layout), (top, x), None),
        "global avg backward": (lambda dy, x, out: nd.global_pool_backward(dy, x, "avg", layout=layout), (top, x), None),
        "min": (lambda x, out: nd.min_pool(x, window, return_indices=True, out=out, **options), (x,), y),
        "lp": (lambda x, out: nd.lp_pool(x, window, out=out, **options), (x,), y),
        "lp backward": (lambda dy, x, y, out: nd.lp_pool_backward(dy, x, y, window, p=3, **options), (y, x, y), None),
        "unpool": (lambda y, at, out: nd.max_unpool(y, at, shape, layout=layout), (y, indices), None),
        "unpool backward": (lambda x, at, out: nd.max_unpool_backward(x, at, layout=layout), (x, indices), None),
        "upsample": (lambda x, out: nd.upsample(x, scale=1.7, mode="linear", layout=layout), (x,), None),
        "upsample backward": (lambda y, out: nd.upsample_backward(y, x.shape, layout=layout, size=y_extents), (y,), None),
    }
    for kind in ("max", "min", "avg", "lp"):
        adaptive = functools.partial(nd.adaptive_pool, output_size=2, kind=kind, layout=layout)
        calls[f"adaptive {kind}"] = lambda x, out, adaptive=adaptive: adaptive(x), (x,), None
        calls[f"adaptive {kind} backward"] = (
            lambda dy, x, out, kind=kind: nd.adaptive_pool_backward(dy, x, 2, kind, layout=layout), (adaptive(x), x), None)
    for name, (call, inputs, like) in calls.items():
        guard(journal, place, f"{name} pool {dtype} {layout} {case}", call, inputs, zeros_like(like))


def guard_image(journal, shape, dtype, place):
    image = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    for i, kernel in enumerate(FILTERS):
        guard(journal, place, f"filter {i} {dtype} {shape}",
              lambda image, out, kernel=kernel: nd.filters.apply(image, kernel, out=out, threads=1), (image,), image)
    if image.ndim == 2:
        template, result = image[:2, :1], np.zeros((shape[0] - 1, shape[1]), np.result_type(np.float32, dtype))
        guard(journal, place, f"match {dtype} {shape}",
              lambda image, template, out: nd.match_template(image, template, out=out, threads=1), (image, template), result)


def main(isa, path):
    nd.set_isa(isa)
    journal = Journal(path)
    for place in PLACES:
        for dtype in DTYPES:
            for case in CASES:
                for layout, method in itertools.product(case.layouts, METHODS):
                    guard_conv(journal, case, layout, method, dtype, place)
            for case in LOCAL:
                for layout in case.layouts:
                    guard_local(journal, case, layout, dtype, place)
            for case in POOLS:
                for layout in case.layouts:
                    guard_pool(journal, case, layout, dtype, place)
        for shape, dtype in itertools.product(IMAGES, IMAGE_DTYPES):
            guard_image(journal, shape, dtype, place)
    journal.write("done")
    print(journal.calls)


if __name__ == "__main__":
    main(*sys.argv[1:])
