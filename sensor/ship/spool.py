"""The spool: flow log segments on disk that hold every frame until the correlator has stored it.

A segment is a whole flow log (``RUN-NUMBER.flowlog``), so a spool can be imported as it lies there.
The directory belongs to one sensor process at a time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import UserError, WireError
from common.flowlog import FILE_HEADER, Frame, check_file_header, decode_payload, scan_frames

# A user's own flow logs in the same directory are not the spool's to ship and delete.
_SEGMENT_NAME = re.compile(r"([0-9]{20})-([0-9]{6,})\.flowlog")
_ASIDE = ".damaged"
# Losing the oldest segment at the bound must not lose most of the spool.
_SEGMENTS_IN_BOUND = 4


class SpoolFullError(UserError):
    """No room on the disk for one frame; a later one may find some."""


@dataclass(slots=True)
class Segment:
    """One file of the spool and where its frames lie."""

    path: Path
    run: int
    header: bytes
    size: int
    places: OrderedDict[int, tuple[int, int]] = field(default_factory=OrderedDict)  # sequence -> offset, length
    last_sequence: int = 0


class Spool:
    """Appends frames to segments, reads them back to be sent, deletes what was answered."""

    def __init__(self, directory: Path, run: int, header: bytes, max_bytes: int, segment_bytes: int) -> None:
        self.directory = directory
        self.run = run
        self._header = header
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // _SEGMENTS_IN_BOUND)
        self._segments: deque[Segment] = deque()
        self._writing: int | None = None
        self._number = 0
        self.size_bytes = 0
        self.frames_dropped = 0
        self.damaged = 0
        self.damage: list[str] = []  # what recovery found, a line for each file
        self._lock = self._take_lock()

    def recover(self) -> list[tuple[int, int]]:
        """Return (run, sequence) of the frames that earlier runs left here, oldest first."""
        left: list[tuple[int, int]] = []
        for path in self._segments_on_disk():
            segment = self._read_segment(path)
            if segment is None:
                continue
            self._segments.append(segment)
            self.size_bytes += segment.size
            left.extend((segment.run, sequence) for sequence in segment.places)
        return left

    def own_paths(self) -> list[Path]:
        """Return the lock and the segments, and the directory too when there is nothing else in it."""
        aside = [path for path in self.directory.glob(f"*{_ASIDE}") if _SEGMENT_NAME.fullmatch(path.stem)]
        own = [self.directory / "lock", *self._segments_on_disk(), *aside]
        return [self.directory, *own] if set(self.directory.iterdir()) <= set(own) else own

    def _segments_on_disk(self) -> list[Path]:
        try:
            found = [(_SEGMENT_NAME.fullmatch(path.name), path) for path in self.directory.iterdir()]
        except OSError as error:
            raise self._unusable(error) from None
        # By number: the million-and-first segment of a run has a longer name.
        return [path for _, _, path in sorted((int(name[1]), int(name[2]), path) for name, path in found if name)]

    def append(self, sequence: int, frame: bytes) -> list[tuple[int, int]]:
        """Write a frame; return (run, last sequence) of the segments dropped to keep the bound.

        SpoolFullError, after counting the frame as dropped, when the disk has no room for it.
        """
        segment = self._segments[-1] if self._segments and self._writing is not None else None
        try:
            if segment is None or segment.size + len(frame) > self._segment_bytes:
                segment = self._new_segment()
            self._write(frame, segment)
        except SpoolFullError:
            self.frames_dropped += 1
            raise
        segment.places[sequence] = (segment.size, len(frame))
        segment.last_sequence = sequence
        segment.size += len(frame)
        self.size_bytes += len(frame)
        dropped = []
        while self.size_bytes > self._max_bytes and len(self._segments) > 1:
            oldest = self._segments[0]
            self.frames_dropped += len(oldest.places)
            dropped.append((oldest.run, oldest.last_sequence))
            self._delete_oldest()
        return dropped

    def read(self, run: int, sequence: int) -> bytes | None:
        """Return a frame's bytes, or None when it is not there any more, which is counted."""
        for segment in self._segments:
            if segment.run == run and sequence in segment.places:
                offset, length = segment.places[sequence]
                try:
                    with segment.path.open("rb") as file:
                        file.seek(offset)
                        data = file.read(length)
                except OSError:
                    data = b""
                if len(data) == length:
                    return data
                del segment.places[sequence]
                self.frames_dropped += 1
                return None
        return None

    def header(self, run: int) -> bytes | None:
        """Return the header frame that a run's segments begin with."""
        if run == self.run:
            return self._header
        return next((segment.header for segment in self._segments if segment.run == run), None)

    def acknowledge(self, run: int, sequence: int) -> None:
        """Delete the segments whose frames are all answered."""
        for segment in self._segments:
            while segment.run == run and segment.places and next(iter(segment.places)) <= sequence:
                segment.places.popitem(last=False)
        self._delete_answered()

    def drop(self, run: int, sequence: int) -> None:
        """Give up one frame, which the correlator refused, and nothing before it."""
        for segment in self._segments:
            if segment.run == run and segment.places.pop(sequence, None) is not None:
                break
        self._delete_answered()

    def close(self) -> None:
        """Close the files; delete the last segment when nothing in it waits."""
        try:
            self._close_writing()
            while self._segments and not self._segments[0].places:
                self._delete_oldest()
        finally:
            os.close(self._lock)

    def _delete_answered(self) -> None:
        while self._segments and not self._segments[0].places and self._may_go(self._segments[0]):
            self._delete_oldest()

    def _may_go(self, segment: Segment) -> bool:
        # The segment being written stays until it is full, or every frame would make a file.
        return segment is not self._segments[-1] or self._writing is None

    def _take_lock(self) -> int:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise UserError(
                f"the spool {self.directory} is in use by another sensor; give each sensor a spool of its own"
            ) from None
        return lock

    def _new_segment(self) -> Segment:
        self._close_writing()
        self._number += 1
        path = self.directory / f"{self.run:020d}-{self._number:06d}.flowlog"
        segment = Segment(path, self.run, self._header, 0)
        # Appending, so that a write after a failed one goes where the file was cut back to.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._writing = os.open(path, flags, 0o600)
        except OSError as error:
            raise self._problem(error) from None
        try:
            self._write(FILE_HEADER + self._header, segment)
        except UserError:
            self._close_writing()
            path.unlink(missing_ok=True)
            raise
        self._segments.append(segment)
        segment.size = len(FILE_HEADER) + len(self._header)
        self.size_bytes += segment.size
        return segment

    def _write(self, data: bytes, segment: Segment) -> None:
        assert self._writing is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._writing, view) :]
        except OSError as error:
            # A half-written frame must not stand before the next one.
            try:
                os.ftruncate(self._writing, segment.size)
            except OSError:
                self._close_writing()
            raise self._problem(error) from None

    def _unusable(self, error: OSError) -> UserError:
        return UserError(
            f"cannot use the spool {self.directory}: {error.strerror}; give a directory that this user may write"
        )

    def _problem(self, error: OSError) -> UserError:
        problem = SpoolFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else UserError
        return problem(
            f"cannot write to the spool {self.directory}: {error.strerror}; make room or give another --spool"
        )

    def _close_writing(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def _delete_oldest(self) -> None:
        segment = self._segments.popleft()
        self.size_bytes -= segment.size
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    def _read_segment(self, path: Path) -> Segment | None:
        """Index a segment that an earlier run left; one that nothing can be read from is moved aside."""
        try:
            content = path.read_bytes()
        except OSError as error:
            self.damaged += 1
            self._move_aside(path, f"cannot be read ({error.strerror})")
            return None
        segment = Segment(path, 0, b"", len(content))
        before = self.damaged
        # A kill before the file's header was written leaves less than that.
        whole = FILE_HEADER.startswith(content) or self._index(segment, memoryview(content))
        if segment.header and segment.places:
            if not whole:
                self.damage.append(
                    f"the spool's {path} is damaged in {self.damaged - before} places; "
                    f"the {len(segment.places)} frames that are whole will be sent"
                )
            return segment
        if whole:
            path.unlink(missing_ok=True)
        else:
            self._move_aside(path, "holds no frame that can be sent")
        return None

    def _move_aside(self, path: Path, fact: str) -> None:
        aside = path.with_name(path.name + _ASIDE)
        try:
            path.rename(aside)
        except OSError as error:
            self.damage.append(f"the spool's {path} {fact}, and cannot be moved aside: {error.strerror}")
        else:
            self.damage.append(f"the spool's {path} {fact}; it is kept as {aside.name}")

    def _index(self, segment: Segment, data: memoryview) -> bool:
        """Note where a segment's frames lie; return whether all was well. A torn tail is normal after a kill."""
        damaged = self.damaged
        try:
            offset = check_file_header(data)
        except WireError:
            self.damaged += 1
            return False
        for item in scan_frames(data, offset):
            if not isinstance(item, Frame):
                self.damaged += item.reason != "torn"
                continue
            try:
                batch = decode_payload(item.payload)
            except WireError:
                self.damaged += 1
                continue
            if batch.kind == "header":
                segment.run, segment.header = batch.run, bytes(item.raw)
            else:
                segment.places[batch.sequence] = (item.offset, len(item.raw))
                segment.last_sequence = max(segment.last_sequence, batch.sequence)
        return self.damaged == damaged
