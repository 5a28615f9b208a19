import numpy as np

from ndconv.problem import Problem

def move_columns(problem: Problem, x: np.ndarray, columns: np.ndarray, batched: bool, channels_last: bool, threads: int | None,
                 back: bool) -> None: ...
