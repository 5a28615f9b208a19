from typing import Any

def fold_frame(padded: Any, dtype: str, rank: int, batched: bool, channels_last: bool, axes: tuple, middle: tuple,
               threads: Any) -> None: ...
