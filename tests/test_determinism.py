"""The same bits for any number of threads, any address, any run, any company in the batch."""
import numpy as np
import pytest
from cases import GEOMETRY, GROUPED, PARALLEL, POOLING, SPECTRAL, Pool, draw, to_layout
from checks import attempt, bits, compute, data

import ndconv as nd

POOLED = Pool("parallel", 3, 24, (60, 61), 3, 2, 1)


@pytest.mark.parametrize("case", (*PARALLEL, SPECTRAL[0], SPECTRAL[3], SPECTRAL[7]), ids=lambda c: c.name)
@pytest.mark.parametrize("of", ("y", "x", "w", "b"))
def test_any_number_of_threads(case, of, method, dtype, isa):
    arrays = data(case, dtype, False)
    for layout in case.layouts:
        one = attempt(case, arrays, of, layout, method=method, threads=1)
        for threads in (2, 3, 5):
            if one is not None:
                assert bits(compute(case, arrays, of, layout, method=method, threads=threads)) == bits(one), f"{layout} {threads}"


@pytest.mark.parametrize("case", (POOLED, *POOLING[:9]), ids=lambda c: c.name)
def test_pooling_with_any_number_of_threads(case, dtype, isa):
    for layout in case.layouts:
        x = to_layout(draw(case.name, case.x_shape(), dtype), layout)
        options = case.options | dict(layout=layout)

        def everything(threads, x=x, options=options, layout=layout):
            y, at = nd.max_pool(x, case.window, return_indices=True, threads=threads, **options)
            top = nd.global_pool(x, "avg", layout=layout, threads=threads)
            return [bits(a) for a in (
                y, at, nd.avg_pool(x, case.window, threads=threads, **options), top,
                nd.max_pool_backward(y, at, x.shape, case.window, threads=threads, **options),
                nd.avg_pool_backward(y, x.shape, case.window, threads=threads, **options),
                nd.global_pool(x, "max", layout=layout, threads=threads),
                nd.global_pool_backward(top, x, "max", layout=layout, threads=threads))]

        one = everything(1)
        for threads in (2, 3, 5):
            assert everything(threads) == one, f"{layout} {threads}"


def at_offset(a, offset):
    """A copy of a that begins offset elements after a multiple of 64 bytes."""
    raw = np.empty(a.nbytes + offset * a.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64 + offset * a.itemsize
    moved = raw[start:start + a.nbytes].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


@pytest.mark.parametrize("case", (GEOMETRY[0], GROUPED[3], SPECTRAL[0], SPECTRAL[6]), ids=lambda c: c.name)
@pytest.mark.parametrize("of", ("y", "x", "w"))
def test_any_address(case, of, method, dtype, isa):
    arrays = data(case, dtype, False)
    for layout in case.layouts:
        want = attempt(case, arrays, of, layout, method=method)
        if want is None:
            continue
        x, w, b, dy = arrays
        for offset in range(0, 64 // np.dtype(dtype).itemsize, 3):
            x_, dy_ = at_offset(to_layout(x, layout), offset), at_offset(to_layout(dy, layout), offset + 1)
            w_, b_ = at_offset(w, 2 * offset + 1), at_offset(b, offset + 3)
            options = case.options | dict(layout=layout, method=method)
            out = at_offset(np.zeros_like(dict(y=dy_, x=x_, w=w_)[of]), 7 - offset % 8)
            if of == "y":
                nd.conv(x_, w_, b_, out=out, **options)
            elif of == "x":
                nd.conv_input_grad(dy_, w_, x_.shape, out=out, **options)
            else:
                nd.conv_weight_grad(dy_, x_, w_.shape, out=out, **options)
            moved = np.moveaxis(out, -1, 1) if layout.endswith("C") and of != "w" else out
            assert bits(moved) == bits(want), f"{layout} offset {offset}"


@pytest.mark.parametrize("case", (GEOMETRY[1], GROUPED[0], PARALLEL[0], SPECTRAL[0], SPECTRAL[6]), ids=lambda c: c.name)
def test_any_company_in_the_batch(case, method, dtype, isa):
    """An image gives the same bits alone, in a batch, and beside other images."""
    x, w, b, dy = data(case, dtype, False)
    many = np.concatenate([x, -x[::-1], x, np.full_like(x[:1], 1e30), x])
    for layout in case.layouts:
        options = case.options | dict(layout=layout, method=method)
        batch = attempt(case, (many, w, b, dy), layout=layout, method=method)
        if batch is None:
            continue
        for i in range(case.n):
            alone = np.moveaxis(nd.conv(to_layout(x[i:i + 1], layout), w, b, **options), -1 if layout.endswith("C") else 1, 1)[0]
            for place in (i, 2 * case.n + i, 3 * case.n + 1 + i):
                assert bits(batch[place]) == bits(alone), f"{layout} image {place}"


def test_company_of_large_weights(method):
    """The same of weights that no cache holds, for which there are other ways to cut a few tiles."""
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((5, 448, 5, 5), np.float32), rng.standard_normal((448, 448, 3, 3), np.float32)
    batch = nd.conv(x, w, padding=1, method=method)
    for i in (0, 4):
        assert bits(batch[i]) == bits(nd.conv(x[i:i + 1], w, padding=1, method=method)[0]), f"image {i}"


@pytest.mark.parametrize("case", (PARALLEL[0], SPECTRAL[0]), ids=lambda c: c.name)
def test_any_run(case, method, dtype):
    """Neither earlier results in the scratch memory nor a cold start matter."""
    arrays = data(case, dtype, False)
    for of in ("y", "x", "w"):
        nd.clear_caches()
        first = attempt(case, arrays, of, method=method, threads=2)
        poisoned = [np.full_like(a, np.nan) for a in arrays]
        for _ in range(3):
            attempt(case, poisoned, of, method=method, threads=2)
            again = attempt(case, arrays, of, method=method, threads=2)
            assert first is again is None or bits(again) == bits(first)
