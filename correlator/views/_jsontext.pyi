from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COUNT: int
DIGITS: int
WORD: int
FLAG: int
TIME: int
SECONDS: int

def objects(
    rows: Iterable[tuple[Any, ...]],
    fields: Sequence[tuple[str, int, int, Mapping[Any, bytes] | None]],
    separator: bytes,
) -> bytes: ...
