from ndconv._method import Method
from ndconv.problem import Problem

METHOD: Method

def estimate(problem: Problem, prepared: bool) -> float: ...
