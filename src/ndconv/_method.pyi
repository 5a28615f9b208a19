from ndconv.problem import Problem

BLOCKINGS: dict[str, int]

class Method:
    name: str
    summary: str
    exact: bool
    error: str
    blockings: tuple[str, ...]
    def supports(self, problem: Problem) -> str | None: ...
    def tile(self, problem: Problem) -> tuple[int, int, int]: ...
