from typing import Any

import numpy as np

def new_like(shape: tuple[int, ...], dtype: Any, like: np.ndarray, rank: int, batched: bool, channels_last: bool,
             ) -> np.ndarray: ...
