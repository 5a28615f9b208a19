"""How near local_conv and tiled_conv come to what the machine allows, forward and both gradients.

    python benchmarks/local_bounds.py [TEXT ...] [--seconds 0.1]        rows whose names hold one of the texts

The bound of a pass is the longer of two times: x, w and y once at the speed of a copy in the level of memory that holds them
together, and its multiply-adds at the peak. Medians; every pass allocates its result, as a call does.
"""
import argparse
import functools
import math
from dataclasses import dataclass

import numpy as np

import ndconv as nd
from ndconv._runtime import measure_peak
from ndconv.machine import measure_copy
from ndconv.timing import time_runs


@dataclass(frozen=True)
class Layer:
    """Spatial axes are alike. tiles: kernels in turn along an axis; 0 for one at every position."""

    name: str
    n: int
    ic: int
    oc: int
    rank: int
    size: int
    k: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    tiles: int = 0
    dtype: str = "float32"
    last: bool = False

    @property
    def y_size(self):
        return (self.size + 2 * self.padding - self.k) // self.stride + 1

    def shapes(self):
        def of(channels, size):
            return (self.n, *(size,) * self.rank, channels) if self.last else (self.n, channels, *(size,) * self.rank)

        places = (self.tiles or self.y_size,) * self.rank
        return (of(self.ic, self.size), (self.oc, *places, self.ic // self.groups, *(self.k,) * self.rank),
                of(self.oc, self.y_size))

    @property
    def flops(self):
        return 2 * math.prod(self.shapes()[2]) * self.ic // self.groups * self.k**self.rank


LAYERS = (
    *(Layer(f"local n{n} 32-32 28 k3", n, 32, 32, 2, 28, 3, padding=1) for n in (1, 2, 4, 8, 16, 64)),
    Layer("local n8 last 32-32 28 k3", 8, 32, 32, 2, 28, 3, padding=1, last=True),
    *(Layer(f"local n{n} 64-64 14 k3", n, 64, 64, 2, 14, 3, padding=1) for n in (8, 32)),
    Layer("local n16 128-128 7 k3", 16, 128, 128, 2, 7, 3, padding=1),
    Layer("local n64 256-256 4 k3", 64, 256, 256, 2, 4, 3, padding=1),
    *(Layer(f"local n{n} 3-16 32 k3", n, 3, 16, 2, 32, 3, padding=1) for n in (1, 16)),
    Layer("local n64 3-32 32 k5s2", 64, 3, 32, 2, 32, 5, 2, 2),
    Layer("local n8 16-16 25 k9", 8, 16, 16, 2, 25, 9),
    Layer("local n16 32-32 28 k5s2", 16, 32, 32, 2, 28, 5, 2, 2),
    Layer("local n8 32-24 28 k1", 8, 32, 24, 2, 28, 1),
    Layer("local n4 32g8-32 28 k3", 4, 32, 32, 2, 28, 3, padding=1, groups=8),
    *(Layer(f"local n{n} f64 32-32 14 k3", n, 32, 32, 2, 14, 3, padding=1, dtype="float64") for n in (1, 8, 32)),
    Layer("local n8 32-32 500 k5", 8, 32, 32, 1, 500, 5, padding=2),
    Layer("local n32 1-8 4000 k9", 32, 1, 8, 1, 4000, 9, padding=4),
    Layer("local n4 8-8 12c k3", 4, 8, 8, 3, 12, 3, padding=1),
    Layer("local n16 16-16 8c k3", 16, 16, 16, 3, 8, 3, padding=1),
    Layer("tiled2 n1 64-64 56 k3", 1, 64, 64, 2, 56, 3, padding=1, tiles=2),
    Layer("tiled2 n8 32-32 28 k3", 8, 32, 32, 2, 28, 3, padding=1, tiles=2),
    Layer("tiled3 n16 16-16 32 k3", 16, 16, 16, 2, 32, 3, padding=1, tiles=3),
    Layer("tiled2 n64 3-16 32 k5", 64, 3, 16, 2, 32, 5, padding=2, tiles=2),
    Layer("tiled2 n8 last 64-64 28 k3", 8, 64, 64, 2, 28, 3, padding=1, tiles=2, last=True),
    Layer("tiled2 n4 f64 32-32 28 k3", 4, 32, 32, 2, 28, 3, padding=1, tiles=2, dtype="float64"),
    Layer("tiled2 n4 64-64 56 k3s2", 4, 64, 64, 2, 56, 3, 2, 1, tiles=2),
    Layer("tiled4 n8 32-32 2000 k5", 8, 32, 32, 1, 2000, 5, padding=2, tiles=4),
    Layer("tiled2 n4 8-16 16c k3", 4, 8, 16, 3, 16, 3, padding=1, tiles=2),
)


def bound(layer, threads):
    """(seconds, whether memory decides)"""
    size = sum(math.prod(shape) for shape in layer.shapes()) * np.dtype(layer.dtype).itemsize
    moved = size / copy_speed(threads, 1 << round(math.log2(max(size // 2, 4096))))
    computed = layer.flops / peak(layer.dtype, threads)
    return max(moved, computed), moved > computed


copy_speed = functools.lru_cache(measure_copy)
peak = functools.lru_cache(lambda dtype, threads: measure_peak(dtype, threads, 0.1))


def runs_of(layer):
    """The passes as functions without arguments."""
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(shape, np.float32).astype(layer.dtype, copy=False) for shape in layer.shapes())
    layout = {1: "NCW", 2: "NCHW", 3: "NCDHW"}[layer.rank]
    options = dict(stride=layer.stride, padding=layer.padding, groups=layer.groups,
                   layout="N" + layout[2:] + "C" if layer.last else layout)
    forward, backward = (nd.tiled_conv, nd.tiled_conv_backward) if layer.tiles else (nd.local_conv, nd.local_conv_backward)
    return dict(y=lambda: forward(x, w, **options), dx=lambda: backward(dy, x, w, wrt="x", **options),
                dw=lambda: backward(dy, x, w, wrt="w", **options))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("texts", nargs="*", default=[""])
    parser.add_argument("--seconds", type=float, default=0.1, help="for each pass")
    arguments = parser.parse_args()
    threads = nd.get_num_threads()
    print("| share of the bound, % | decided by | ms | y | dx | dw |\n|---|---|---|---|---|---|")
    for layer in LAYERS:
        if any(text in layer.name for text in arguments.texts):
            seconds, memory = bound(layer, threads)
            shares = [100 * seconds / timing.median for timing in time_runs(runs_of(layer), arguments.seconds).values()]
            print(f"| {layer.name} | {'memory' if memory else 'FMA'} | {seconds * 1e3:.3f} | "
                  + " | ".join(f"{share:.0f}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
