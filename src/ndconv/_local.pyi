import numpy as np

from ndconv.problem import Problem

class Pass: ...

def forward(problem: Problem, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, y: np.ndarray, batched: bool,
            channels_last: bool, threads: int | None) -> None: ...
