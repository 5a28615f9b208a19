from typing import Any

import numpy as np

def resample(x: Any, dtype: str, rank: int, batched: bool, channels_last: bool,
             tables: tuple[tuple[np.ndarray, np.ndarray, np.ndarray | None], ...], kind: str, index_dtype: Any = ...,
             threads: int | None = ..., p: float = ...) -> tuple[np.ndarray, np.ndarray | None]: ...
