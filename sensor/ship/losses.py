"""What the spool lost and what it cannot do now: counted by reason, and said in lines, not too many of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_NS = 1_000_000_000
# The most that a trouble's beginning or end is said, and that drops are.
_TROUBLE_NS = 10 * _NS
_DROPS_NS = 60 * _NS

SIZE: Final = "size"
AGE: Final = "age"
DISK_FULL: Final = "disk_full"
UNWRITABLE: Final = "unwritable"
LOST: Final = "lost"

WRITING: Final = "written"
READING: Final = "read"
SYNCING: Final = "synced"
CLEARING: Final = "cleared"
_TROUBLES: Final = (WRITING, READING, SYNCING, CLEARING)

_DROPS: Final = {
    SIZE: "at its bound spool_max_bytes",
    AGE: "older than spool_max_age_s",
    LOST: "gone or damaged on the disk",
}


class Losses:
    """The counters of one run, and the lines about them. ``place`` is how the lines call the spool."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.by_reason: dict[str, int] = {}
        self._troubles: dict[str, str] = {}
        self._told: dict[str, tuple[bool, int]] = {}
        self._unwritten_before = 0
        self._drops_told: dict[str, int] = {}
        self._drops_told_ns: int | None = None

    @property
    def total(self) -> int:
        """Frames that the correlator will never get."""
        return sum(self.by_reason.values())

    def lose(self, reason: str, frames: int = 1) -> None:
        """Count frames."""
        if frames:
            self.by_reason[reason] = self.by_reason.get(reason, 0) + frames

    def trouble(self, what: str, line: str) -> None:
        """Take that something cannot be done now; for writing, before the frames that it costs are counted."""
        if what == WRITING and what not in self._troubles and not self._told.get(what, (False, 0))[0]:
            self._unwritten_before = self._unwritten()
        self._troubles[what] = line  # none is as good as well

    def well(self, what: str) -> None:
        """Take that it can be done."""
        self._troubles.pop(what, None)

    def news(self, now_ns: int) -> Iterator[str]:
        """Yield the lines that are due."""
        for what in _TROUBLES:
            told, told_ns = self._told.get(what, (False, now_ns - _TROUBLE_NS))
            line = self._troubles.get(what, "")
            if bool(line) != told and now_ns - told_ns >= _TROUBLE_NS:
                self._told[what] = (bool(line), now_ns)
                yield line or self._well_line(what)
        yield from self._drops(now_ns)

    def _well_line(self, what: str) -> str:
        line = f"the spool {self._place} can be {what} again"
        if what != WRITING:
            return line
        return f"{line}; {self._unwritten() - self._unwritten_before} frames were dropped meanwhile"

    def _unwritten(self) -> int:
        return self.by_reason.get(DISK_FULL, 0) + self.by_reason.get(UNWRITABLE, 0)

    def _drops(self, now_ns: int) -> Iterator[str]:
        new = {reason: self.by_reason.get(reason, 0) - self._drops_told.get(reason, 0) for reason in _DROPS}
        if not any(new.values()) or (self._drops_told_ns is not None and now_ns - self._drops_told_ns < _DROPS_NS):
            return
        self._drops_told, self._drops_told_ns = dict(self.by_reason), now_ns
        parts = ", ".join(f"{count} {_DROPS[reason]}" for reason, count in new.items() if count)
        yield f"the spool {self._place} lost {sum(new.values())} frames that the correlator had not taken: {parts}"
