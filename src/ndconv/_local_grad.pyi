import numpy as np

from ndconv.problem import Problem

def input_grad(problem: Problem, dx: np.ndarray, w: np.ndarray, dy: np.ndarray, batched: bool, channels_last: bool,
               threads: int | None) -> None: ...
def weight_grad(problem: Problem, x: np.ndarray, dw: np.ndarray, dy: np.ndarray, batched: bool, channels_last: bool,
                threads: int | None) -> None: ...
