"""A flow log file or stream being written: whole frames, so that a kill leaves at most a torn tail."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from common.errors import UserError
from common.flowlog import FILE_HEADER


def open_output(path: str) -> BinaryIO:
    """Open a file for writing; ``-`` is standard output."""
    if path == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        return Path(path).open("wb")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give a path that this user may write") from None


class FlowLogFile:
    """Writes the frames of one run."""

    def __init__(self, path: str, header: bytes) -> None:
        self._path = path
        self._file = open_output(path)
        write_first(self._file, FILE_HEADER + header, path)

    def write(self, frame: bytes) -> None:
        """Append a frame."""
        write_all(self._file, frame, self._path)

    def close(self) -> None:
        """Finish the file."""
        close_file(self._file, self._path)


def write_first(file: BinaryIO, data: bytes, path: str) -> None:
    """Write what opens a file, and close it when that fails: nobody else will."""
    try:
        write_all(file, data, path)
    except (UserError, OSError):
        with suppress(OSError):
            file.close()
        raise


def close_file(file: BinaryIO, path: str) -> None:
    """Close a file, which may write what earlier writes could not; the same one line when it cannot."""
    try:
        file.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room or give another path") from None


def write_all(file: BinaryIO, data: bytes, path: str) -> None:
    """Write and flush, turning a full disk into one line and leaving a closed pipe as it is."""
    try:
        file.write(data)
        file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room or give another path") from None
