"""What earlier runs left in the spool's directory: which files are its own, and what is whole in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.flowlog import FILE_HEADER, MAX_FRAME_BYTES
from sensor.ship.segment import Segment, index, read_at

# A user's own flow logs in the same directory are not the spool's to ship and delete.
_SEGMENT_NAME = re.compile(r"([0-9]{20})-([0-9]{6,})\.flowlog")
_ASIDE = ".damaged"
# What is read of one file; no segment is longer.
_MOST_BYTES = (64 << 20) + MAX_FRAME_BYTES


def unusable(directory: Path, error: OSError) -> UserError:
    """Return the error of a start with a directory that cannot be a spool."""
    return UserError(f"cannot use the spool {directory}: {error.strerror}; give a directory that this user may write")


def segment_path(directory: Path, run: int, number: int) -> Path:
    """Return what a run's segment is called."""
    return directory / f"{run:020d}-{number:06d}.flowlog"


def segment_paths(directory: Path) -> list[Path]:
    """Return the segments in a directory, oldest first; UserError."""
    try:
        found = [(_SEGMENT_NAME.fullmatch(path.name), path) for path in directory.iterdir()]
    except OSError as error:
        raise unusable(directory, error) from None
    # By number: the million-and-first segment of a run has a longer name.
    return [path for _, _, path in sorted((int(name[1]), int(name[2]), path) for name, path in found if name)]


def aside_paths(directory: Path) -> list[Path]:
    """Return the segments that were moved aside."""
    return [path for path in directory.glob(f"*{_ASIDE}") if _SEGMENT_NAME.fullmatch(path.stem)]


class Recovery:
    """Indexes the segments of a directory. Files are read one at a time, and nothing of them is kept but where to look.

    Times are from ``start_ns`` on, the wall's clock at the run's start.
    """

    def __init__(self, directory: Path, start_ns: int) -> None:
        self._directory = directory
        self._start_ns = start_ns
        self._last_of_runs: dict[int, int] = {}
        self._headers: dict[bytes, bytes] = {}
        self.damaged = 0
        self.lines: list[str] = []  # what was found, a line for each file

    def segments(self) -> Iterator[Segment]:
        """Yield those that hold frames, oldest first; one that nothing can be read from is moved aside."""
        for path in segment_paths(self._directory):
            segment = self._segment(path)
            if segment is not None:
                segment.header = self._headers.setdefault(segment.header, segment.header)
                yield segment

    def _segment(self, path: Path) -> Segment | None:
        try:
            found = path.lstat()
            content = read_at(path, 0, _MOST_BYTES)
        except OSError as error:
            self.damaged += 1
            self._move_aside(path, f"cannot be read ({error.strerror})")
            return None
        came_ns = found.st_mtime_ns - self._start_ns
        segment = Segment(path, 0, b"", len(content), came_ns, came_ns)
        # A kill before the file's header was written leaves less than that, a power cut zeros.
        begun = FILE_HEADER.startswith(content.rstrip(b"\0"))
        damaged = 0 if begun else index(segment, memoryview(content), self._last_of_runs)
        damaged += found.st_size > _MOST_BYTES
        self.damaged += damaged
        if segment.waiting:
            if damaged:
                self.lines.append(
                    f"the spool's {path} is damaged in {damaged} places; "
                    f"the {len(segment.waiting)} frames that are whole will be sent"
                )
            return segment
        if damaged:
            self._move_aside(path, "holds no frame that can be sent")
            return None
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unusable(self._directory, error) from None
        return None

    def _move_aside(self, path: Path, fact: str) -> None:
        aside = path.with_name(path.name + _ASIDE)
        try:
            path.rename(aside)
        except OSError as error:
            self.lines.append(f"the spool's {path} {fact}, and cannot be moved aside: {error.strerror}")
        else:
            self.lines.append(f"the spool's {path} {fact}; it is kept as {aside.name}")
