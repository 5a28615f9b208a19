from typing import Any

import numpy as np

def global_values(x: Any, dtype: str, rank: int, batched: bool, channels_last: bool, kind: str, index: bool,
                  threads: int | None) -> tuple[np.ndarray, np.ndarray | None]: ...
def scatter(dy: np.ndarray, indices: np.ndarray, dtype: str, rank: int, batched: bool, channels_last: bool, dx: np.ndarray,
            threads: int | None, how: str = ...) -> bool: ...
def scale_by_power(a: np.ndarray, b: np.ndarray, q: float, dtype: str, rank: int, batched: bool, channels_last: bool,
                   threads: int | None) -> None: ...
