from ndconv.problem import Problem

class Frame:
    axes: tuple
    wide: tuple
    shape: tuple
    middle: tuple

    def __init__(self, problem: Problem, batched: bool, channels_last: bool, axes: tuple) -> None: ...
