import numpy as np

def filter_image(x: np.ndarray, y: np.ndarray, sums: str, row_at: np.ndarray, pixel_at: np.ndarray, before: tuple[int, int],
                 value: float, u: np.ndarray, v: np.ndarray | None = ..., columns: np.ndarray | None = ...,
                 threads: int | None = ...) -> None: ...
