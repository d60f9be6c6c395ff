"""One file of the spool: which of its frames wait, roughly where they lie, and how they are found in its bytes.

A segment in memory is some hundred bytes and a mark for every 64 KiB of the file, whatever its frames' size.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import WireError
from common.flowlog import Damage, Frame, check_file_header, decode_head, scan_frames
from sensor.ship.ranges import Ranges

# A frame is looked for in what lies between two marks.
STRETCH_BYTES = 64 << 10
# When frames came is known for so many parts of a segment.
_STAMPS = 8
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _numbers() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Segment:
    """One file. Times are the spool's, in ns since its start."""

    path: Path
    run: int
    header: bytes
    size: int
    made_ns: int = 0
    newest_ns: int = 0
    identity: tuple[int, int] = (0, 0)
    waiting: Ranges = field(default_factory=Ranges)  # sequences
    last_sequence: int = 0
    _mark_sequences: array[int] = field(default_factory=_numbers)
    _mark_offsets: array[int] = field(default_factory=_numbers)
    _stamps: deque[tuple[int, int, int]] = field(default_factory=deque)  # sequence, offset, time

    def add(self, sequence: int, offset: int, now_ns: int, step_bytes: int = 0) -> None:
        """Note a frame that lies behind all others; remember when it came at every ``step_bytes`` of the file."""
        if not self._mark_offsets or offset - self._mark_offsets[-1] >= STRETCH_BYTES:
            self._mark_sequences.append(sequence)
            self._mark_offsets.append(offset)
        if not self.waiting:
            self._stamps.clear()
        if not self._stamps or (step_bytes and offset - self._stamps[-1][1] >= step_bytes // _STAMPS):
            self._stamps.append((sequence, offset, now_ns))
        self.waiting.append(sequence)
        self.last_sequence = sequence
        self.newest_ns = now_ns

    def answered(self, sequence: int) -> None:
        """Forget the frames up to this one."""
        self.waiting.drop_through(sequence)
        while self.waiting and len(self._stamps) > 1 and self._stamps[1][0] <= self.waiting[0]:
            self._stamps.popleft()

    @property
    def oldest_ns(self) -> int:
        """When the oldest frame that waits came, or a little before."""
        return self._stamps[0][2] if self._stamps else self.newest_ns

    def stretch_of(self, sequence: int) -> tuple[int, int]:
        """Return where the bytes begin and end among which a frame is."""
        at = max(bisect_right(self._mark_sequences, sequence) - 1, 0)
        end = self._mark_offsets[at + 1] if at + 1 < len(self._mark_offsets) else self.size
        return self._mark_offsets[at], end

    def load(self, start: int, end: int) -> dict[int, bytes]:
        """Return the frames between two offsets that are whole and of this run, by sequence; OSError."""
        data = read_at(self.path, start, end - start)
        frames = (item for item in scan_frames(memoryview(data), 0) if isinstance(item, Frame))
        return {sequence: bytes(frame.raw) for frame in frames if (sequence := _sequence_in(frame, self.run))}

    def is_as_written(self) -> bool:
        """Tell whether the file is the one that was made, and as long as it was written; OSError."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self.identity and found.st_size == self.size


def read_at(path: Path, offset: int, length: int) -> bytes:
    """Return a file's bytes, fewer where it is shorter; OSError."""
    opened = os.open(path, _READING)
    try:
        parts = []
        while length and (part := os.pread(opened, length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)
    finally:
        os.close(opened)


def index(segment: Segment, data: memoryview, last_of_runs: dict[int, int]) -> int:
    """Note where the frames of a file lie; return how many places are damaged.

    A torn tail is none: it is normal after a kill.  A frame of another run than the file's, or one that does not
    follow those before it (``last_of_runs``, which goes on to the next file), is.
    """
    try:
        offset = check_file_header(data)
    except WireError:
        return 1
    damaged = 0
    for item in scan_frames(data, offset):
        good = _note(segment, item, last_of_runs) if isinstance(item, Frame) else _is_torn(item)
        damaged += not good
    return damaged


def _note(segment: Segment, frame: Frame, last_of_runs: dict[int, int]) -> bool:
    try:
        head = decode_head(frame.payload)
    except WireError:
        return False
    if head.kind == "header" and not segment.header:
        segment.run, segment.header = head.run, bytes(frame.raw)
    if not segment.header or head.run != segment.run:
        return False
    if head.kind == "header":
        return True
    if head.sequence <= last_of_runs.get(head.run, 0):
        return False
    last_of_runs[head.run] = head.sequence
    segment.add(head.sequence, frame.offset, segment.newest_ns)
    return True


def _is_torn(damage: Damage) -> bool:
    return damage.reason == "torn"


def _sequence_in(frame: Frame, run: int) -> int:
    """Return a frame's sequence, or 0 when it is a header or of another run."""
    try:
        head = decode_head(frame.payload)
    except WireError:
        return 0
    return head.sequence if head.run == run and head.kind != "header" else 0


def waiting_in(segments: deque[Segment]) -> Iterator[tuple[int, int]]:
    """Yield (run, sequence) of the frames that wait, as they lie."""
    for segment in segments:
        for sequence in segment.waiting:
            yield segment.run, sequence
