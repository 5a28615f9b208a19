from ndconv.problem import Problem

class Method:
    name: str
    summary: str
    exact: bool
    error: str
    def supports(self, problem: Problem) -> str | None: ...
