"""Spools of earlier and present runs for tests, and what happens to them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from rec_records import RUN, S, frame, header

from sensor.ship.spool import Policy, Spool

MIB = 1 << 20
OLD = RUN - 1
START = 5 * S


def spool(directory: Path, run: int = RUN, *, max_bytes: int = MIB, segment_bytes: int = MIB, **policy: Any) -> Spool:
    return Spool(directory, run, header(run=run), max_bytes, segment_bytes, Policy(**policy))


def tended(held: Spool, second: float) -> list[tuple[int, int]]:
    """A turn so long after the first."""
    if held._began_ns is None:
        held.tend(START)
    return held.tend(START + int(second * S))


def segments(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.flowlog"))


def leave(directory: Path, *sequences: int, run: int = OLD) -> None:
    """An earlier run that was killed."""
    before = spool(directory, run)
    for sequence in sequences:
        before.append(sequence, frame(sequence, run=run))
    before._lock.close()
    before._close_writing()


def exhaust(steps: Iterable[object]) -> None:
    for _ in steps:
        pass


def throw(error: OSError) -> Any:
    raise error


def last_of(held: Spool) -> int:
    """The last frame that a spool holds."""
    return held._segments[-1].last_sequence


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        exhaust(file.write(bytes(4096)) for _ in count())
