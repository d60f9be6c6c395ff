"""The spool: flow log segments on disk that hold every frame until the correlator has stored it.

A segment is a whole flow log (``RUN-NUMBER.flowlog``), so a spool can be imported as it lies there.
The directory belongs to one sensor process at a time.  Once the spool is open, no state of the disk is an
error: what cannot be written is dropped and counted, what cannot be read is waited for or counted as lost
(docs/spool.md).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError
from common.flowlog import FILE_HEADER
from sensor.ship.lock import DirectoryLock
from sensor.ship.losses import AGE, CLEARING, DISK_FULL, LOST, READING, SIZE, SYNCING, UNWRITABLE, WRITING, Losses
from sensor.ship.recovery import Recovery, aside_paths, segment_path, segment_paths, unusable
from sensor.ship.removal import Removal
from sensor.ship.runfile import RunFile
from sensor.ship.segment import Segment, waiting_in

_NS = 1_000_000_000
# Losing the oldest segment at the bound must not lose most of the spool.
_SEGMENTS_IN_BOUND = 4
# A segment of which nothing waits is deleted at this age, also while it is written.
_RETIRE_NS = 60 * _NS
# One that is written is closed at this share of the age at which frames are dropped.
_AGES_IN_BOUND = 4
# A file that cannot be read in a directory that can be is given up after this.
_PATIENCE_NS = 60 * _NS
# How often what failed, but for want of room, is tried again: a failing disk takes its time.
_RETRY_NS = _NS
BATCH, INTERVAL, NEVER = "batch", "interval", "never"
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What says that a file is gone or is something else, if the directory is well.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)


class SpoolTroubleError(UserError):
    """The spool cannot be written or read now; a later try may find it well."""


class SpoolFullError(SpoolTroubleError):
    """No room on the disk for one frame; a later one may find some."""


class Policy(NamedTuple):
    """How long frames are kept, and when they are synced to the disk: at every turn (batch), interval, or never."""

    max_age_ns: int = 0
    fsync: str = INTERVAL
    fsync_interval_ns: int = _NS


DEFAULTS = Policy()


class Spool:
    """Appends frames to segments, reads them back to be sent, deletes what was answered."""

    def __init__(
        self, directory: Path, run: int, header: bytes, max_bytes: int, segment_bytes: int, policy: Policy = DEFAULTS
    ) -> None:
        self.directory = directory
        self.run = run
        self._header = header
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // _SEGMENTS_IN_BOUND)
        self._policy = policy
        self._segments: deque[Segment] = deque()
        self._writing: int | None = None
        self._number = 0
        # Times are from the first turn on; what earlier runs left has negative ones.
        self._began_ns: int | None = None
        self._now_ns = 0
        self._why = ""
        self._retry_ns = 0
        self._clear_ns = 0
        self._synced_ns = 0
        self._unsynced = False
        self._removal = Removal(directory)
        self._unreadable: tuple[Path, int] | None = None
        self._stretch: tuple[Path, dict[int, bytes]] = (directory, {})
        self.size_bytes = 0
        self.damaged = 0
        self.damage: list[str] = []  # what recovery found, a line for each file
        self.losses = Losses(str(directory))
        self._run_file = RunFile(directory, run)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = DirectoryLock(directory)
        except OSError as error:
            raise unusable(directory, error) from None

    @property
    def frames_dropped(self) -> int:
        """Frames that the correlator will never get."""
        return self.losses.total

    @property
    def unclean_stops(self) -> int:
        """Runs with this spool that ended without a stop."""
        return self._run_file.unclean_stops

    @property
    def lag_ns(self) -> int:
        """Return for how long the oldest frame has waited, 0 when none does."""
        oldest = next((segment.oldest_ns for segment in self._segments if segment.waiting), self._now_ns)
        return max(self._now_ns - oldest, 0)

    def recover(self) -> Iterator[tuple[int, int]]:
        """Index what earlier runs left here; return (run, sequence) of its frames, oldest first; UserError."""
        found = Recovery(self.directory, self.run)
        for segment in found.segments():
            self._segments.append(segment)
            self.size_bytes += segment.size
        self.damaged = found.damaged
        self.damage += found.lines
        line = self._run_file.look_back()
        if line:
            self.damage.append(line)
        return waiting_in(self._segments)

    def own_paths(self) -> list[Path]:
        """Return the lock, the run's note and the segments, and the directory too when nothing else is in it."""
        segments = [*segment_paths(self.directory), *aside_paths(self.directory)]
        own = [self._lock.path, *self._run_file.paths(), *segments]
        return [self.directory, *own] if set(self.directory.iterdir()) <= set(own) else own

    def append(self, sequence: int, frame: bytes) -> list[tuple[int, int]]:
        """Write a frame; return (run, last sequence) of the segments dropped to keep the bound.

        SpoolTroubleError, after counting the frame as dropped, when it cannot be written now.
        """
        if self._now_ns < self._retry_ns:
            self.losses.lose(UNWRITABLE)
            raise SpoolTroubleError(self._why)
        try:
            segment = self._segment_for(len(frame))
            self._write(frame, segment)
        except (OSError, UserError) as error:
            raise self._cannot_write(error) from None
        self.losses.well(WRITING)
        segment.add(sequence, segment.size, self._now_ns, self._segment_bytes)
        segment.size += len(frame)
        self.size_bytes += len(frame)
        self._unsynced = True
        dropped = []
        while self.size_bytes > self._max_bytes and len(self._segments) > 1:
            dropped.append(self._drop_oldest(SIZE))
        return dropped

    def tend(self, now_ns: int) -> list[tuple[int, int]]:
        """Do what is due at this time, once a turn; return (run, last sequence) of the segments dropped for their age.

        Frames are synced, segments retired, and what could not be done before is tried again.
        """
        if self._began_ns is None:
            self._began_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns - self._began_ns)
        if self._now_ns >= self._clear_ns:
            self._clear_ns = self._now_ns + _RETRY_NS
            self._removal.again()
            if not self._run_file.begun:
                self._run_file.begin()
        self._retire()
        dropped = list(self._drop_old())
        self._sync()
        return dropped

    def news(self) -> list[str]:
        """Return the lines that are due about what went wrong and what went well again."""
        self.losses.trouble(CLEARING, self._removal.trouble)
        return list(self.losses.news(self._now_ns))

    def read(self, run: int, sequence: int) -> bytes | None:
        """Return a frame's bytes, or None when it is not there any more, which is counted.

        SpoolTroubleError when nothing can be read now, though it may be there still.
        """
        segment = next((s for s in self._segments if s.run == run and s.last_sequence >= sequence), None)
        if segment is None or sequence not in segment.waiting:
            return None
        if self._stretch[0] != segment.path or sequence not in self._stretch[1]:
            self._stretch = segment.path, self._load(segment, sequence)
        if sequence in self._stretch[1]:
            return self._stretch[1][sequence]
        segment.waiting.remove(sequence)
        self.losses.lose(LOST)
        return None

    def header(self, run: int) -> bytes | None:
        """Return the header frame that a run's segments begin with."""
        if run == self.run:
            return self._header
        return next((segment.header for segment in self._segments if segment.run == run), None)

    def acknowledge(self, run: int, sequence: int) -> None:
        """Delete the segments whose frames are all answered."""
        for segment in self._segments:
            if segment.run == run:
                if segment.waiting and segment.waiting[0] > sequence:
                    break
                segment.answered(sequence)
        self._delete_answered()

    def drop(self, run: int, sequence: int) -> None:
        """Give up one frame, which the correlator refused, and nothing before it."""
        for segment in self._segments:
            if segment.run == run and sequence in segment.waiting:
                segment.waiting.remove(sequence)
                break
        self._delete_answered()

    def note(self, flows_open: int, records: int) -> None:
        """Keep what the next run says of this one, should it end without a stop."""
        self._run_file.count(flows_open, records)

    def close(self) -> None:
        """Close the files; delete the last segment when nothing in it waits."""
        try:
            self._close_writing()
            self._delete_answered()
            self._removal.again()
            self._sync(at_once=True)
            self._run_file.stop()
        finally:
            self._lock.close()

    def _delete_answered(self) -> None:
        # The segment being written stays for a while, or every frame would make a file.
        while len(self._segments) > (self._writing is not None) and not self._segments[0].waiting:
            self._delete_oldest()

    def _drop_old(self) -> Iterator[tuple[int, int]]:
        most_ns = self._policy.max_age_ns
        while most_ns and self._segments and self._now_ns - self._segments[0].newest_ns > most_ns:
            yield self._drop_oldest(AGE)

    def _retire(self) -> None:
        """Close the segment being written when it has been empty or filling for too long."""
        if self._writing is None:
            return
        segment = self._segments[-1]
        if not segment.waiting and self._now_ns - segment.made_ns >= _RETIRE_NS:
            self._close_writing()
            self._delete_answered()
        elif self._policy.max_age_ns and self._now_ns - segment.made_ns > self._policy.max_age_ns // _AGES_IN_BOUND:
            self._close_writing()

    def _segment_for(self, length: int) -> Segment:
        """Return the segment that takes a frame, a new one where need be; OSError."""
        if self._writing is not None:
            segment = self._segments[-1]
            if segment.size + length <= self._segment_bytes and segment.is_as_written():
                return segment
        return self._new_segment()

    def _new_segment(self) -> Segment:
        self._close_writing()
        self._lock.keep()
        self._number += 1
        path = segment_path(self.directory, self.run, self._number)
        segment = Segment(path, self.run, self._header, 0, self._now_ns, self._now_ns)
        # Appending, so that a write after a failed one goes where the file was cut back to.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._writing = os.open(path, flags, 0o600)
        try:
            found = os.fstat(self._writing)
            segment.identity = found.st_dev, found.st_ino
            self._write(FILE_HEADER + self._header, segment)
        except OSError:
            self._close_writing()
            self._removal.delete(path)
            raise
        self._removal.unsynced = True
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
        except OSError:
            # A half-written frame must not stand before the next one.
            try:
                os.ftruncate(self._writing, segment.size)
            except OSError:
                self._close_writing()
            raise

    def _cannot_write(self, error: OSError | UserError) -> SpoolTroubleError:
        """Count the frame that could not be written, and return why."""
        full = isinstance(error, OSError) and error.errno in _FULL
        remedy = "make room" if full else "put it right"
        self._why = f"cannot write to the spool {self.directory}: {_fact(error)}; {remedy} or give another --spool"
        self.losses.trouble(WRITING, f"{self._why}; until then frames are dropped and counted")
        self.losses.lose(DISK_FULL if full else UNWRITABLE)
        if full:
            return SpoolFullError(self._why)
        self._retry_ns = self._now_ns + _RETRY_NS
        return SpoolTroubleError(self._why)

    def _load(self, segment: Segment, sequence: int) -> dict[int, bytes]:
        """Return the frames around one; none where the file is gone. SpoolTroubleError when it may come back."""
        try:
            frames = segment.load(*segment.stretch_of(sequence))
        except OSError as error:
            if os.access(self.directory, os.R_OK | os.X_OK) and self._is_gone(segment.path, error):
                return {}
            line = f"cannot read the spool {self.directory}: {_fact(error)}; put it right"
            self.losses.trouble(READING, f"{line}; until then what is in it waits")
            raise SpoolTroubleError(line) from None
        self._unreadable = None
        self.losses.well(READING)
        return frames

    def _is_gone(self, path: Path, error: OSError) -> bool:
        """Tell whether a file that cannot be read in a directory that can be is given up."""
        if error.errno in _GONE:
            return True
        if self._unreadable is None or self._unreadable[0] != path:
            self._unreadable = path, self._now_ns
        return self._now_ns - self._unreadable[1] >= _PATIENCE_NS

    def _close_writing(self) -> None:
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        try:
            if self._unsynced and self._policy.fsync != NEVER:
                os.fdatasync(writing)
            self._unsynced = False
        except OSError as error:
            self._cannot_sync(error)
        finally:
            with suppress(OSError):
                os.close(writing)

    def _sync(self, *, at_once: bool = False) -> None:
        """Bring to the disk what was written since the last time, if it is time."""
        if self._policy.fsync == NEVER or not (self._unsynced or self._removal.unsynced):
            return
        waits = self._policy.fsync == INTERVAL and not at_once
        if waits and self._now_ns - self._synced_ns < self._policy.fsync_interval_ns:
            return
        self._synced_ns = self._now_ns
        try:
            if self._unsynced and self._writing is not None:
                os.fdatasync(self._writing)
            if self._removal.unsynced:
                _sync_directory(self.directory)
        except OSError as error:
            self._cannot_sync(error)
        else:
            self._unsynced = self._removal.unsynced = False
            self.losses.well(SYNCING)

    def _cannot_sync(self, error: OSError) -> None:
        self.losses.trouble(
            SYNCING,
            f"cannot sync the spool {self.directory}: {_fact(error)}; a power cut may take what was written last",
        )

    def _drop_oldest(self, reason: str) -> tuple[int, int]:
        """Drop the oldest segment, counting what waits in it; return its run and last sequence."""
        oldest = self._segments[0]
        self.losses.lose(reason, len(oldest.waiting))
        self._delete_oldest()
        return oldest.run, oldest.last_sequence

    def _delete_oldest(self) -> None:
        if len(self._segments) == 1:
            self._unsynced = False
            self._close_writing()
        segment = self._segments.popleft()
        self.size_bytes -= segment.size
        self._removal.delete(segment.path)


def _fact(error: OSError | UserError) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)


def _sync_directory(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
