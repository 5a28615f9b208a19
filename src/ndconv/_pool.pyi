from typing import Any

import numpy as np

METHODS: tuple[str, ...]
NEEDS: dict[str, str]

class Pooling:
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    rank: int
    given: tuple[Any, ...]
    batched: bool
    channels_last: bool
    def __init__(self, rank: int, batched: bool, channels_last: bool, in_shape: tuple[int, ...], out_shape: tuple[int, ...],
                 n: int, c: int, x: tuple[int, ...], k: tuple[int, ...], y: tuple[int, ...], stride: tuple[int, ...],
                 dilation: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...],
                 counting: tuple[bool, int]) -> None: ...
    def forward(self, x: Any, dtype: str, kind: str, out: np.ndarray | None = ..., index_dtype: Any = ...,
                threads: int | None = ..., p: float = ..., method: int = ...,
                forced: bool = ...) -> tuple[np.ndarray, np.ndarray | None]: ...
    def costs(self, dtype: str, kind: str, index_size: int = ...) -> list[tuple[float, int] | None]: ...
    def average_backward(self, dy: Any, dtype: str, threads: int | None = ...) -> np.ndarray: ...
    def walks(self, x: np.ndarray, dtype: str) -> bool: ...
    tiles: bool
    halves: bool
    steps: tuple[int, tuple[int, int, int]]
    window: tuple[int, int, int]
    share: int
    def gradient(self, dtype: str, like: np.ndarray) -> np.ndarray: ...
