import numpy as np

def score_windows(y: np.ndarray, x: np.ndarray, window: tuple[int, int], before: tuple[int, int], score: str, norm: float,
                  threads: int | None = ...) -> None: ...
