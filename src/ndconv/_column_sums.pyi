from ndconv._method import Method
from ndconv.problem import Problem

def holds_columns(problem: Problem, method: Method) -> bool: ...
