"""Notices appended to a file, a line each; the file may be moved away at any time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from correlator.notify.formats.notice import Notice
from correlator.notify.output import OutputError

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
"""Not blocking: a pipe that nobody reads is an error and no wait."""


class FileOutput:
    """A file that grows, opened for each line, so that logrotate needs no signal."""

    def __init__(self, name: str, path: Path, line_of: Callable[[Notice], bytes]) -> None:
        self.name = name
        self._path = path
        self._line_of = line_of

    def deliver(self, notice: Notice) -> None:
        """Append a line: all of it, or nothing."""
        line = self._line_of(notice)
        try:
            number = os.open(self._path, _FLAGS, 0o640)
            try:
                self._append(number, line)
            finally:
                os.close(number)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from None

    def _append(self, number: int, line: bytes) -> None:
        written = os.write(number, line)
        if written == len(line):
            return
        size = os.fstat(number).st_size
        os.ftruncate(number, max(0, size - written))  # of a full disk: the next line begins a line
        raise OutputError(f"cannot write {self._path}: no room for a line of {len(line)} bytes")

    def abort(self) -> None:
        """Do nothing: a write takes no time."""

    def close(self) -> None:
        """Do nothing: nothing stays open."""
