"""The lock that gives the spool's directory to one sensor."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from common.errors import UserError


class DirectoryLock:
    """A lock on a file of a directory, held until it is closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / "lock"
        self._file = self._take()

    def keep(self) -> None:
        """See that the directory is still the one that is locked; lock another in its place. OSError, UserError."""
        try:
            if os.path.samestat(self.path.lstat(), os.fstat(self._file)):
                return
        except FileNotFoundError:
            pass
        taken = self._take()
        os.close(self._file)
        self._file = taken

    def close(self) -> None:
        """Give the directory up."""
        os.close(self._file)

    def _take(self) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise UserError(
                f"the spool {self._directory} is in use by another sensor; give each sensor a spool of its own"
            ) from None
        return file
