import numpy as np

from ndconv._method import Method
from ndconv.problem import Problem

METHOD: Method

def rank_of(w: np.ndarray, most: int) -> int: ...
def most_rank(problem: Problem) -> int: ...
def factors_of(kernel: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray] | None: ...
