from ndconv._method import Method
from ndconv.problem import Problem

METHOD: Method

def turns(problem: Problem) -> bool: ...
