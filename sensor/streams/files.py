"""Many files written at once below one directory: few of them open, little of them in memory, none written over."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from common.errors import UserError

BUFFER_BYTES: Final = 64 << 10
"""Of one file in memory; beyond them it is written."""
MAX_BUFFERED_BYTES: Final = 64 << 20
"""Of all files together."""
MAX_TRIES: Final = 100_000
"""Names that are there already, before a file is given up."""
MAX_NAMES: Final = 1 << 16
"""Whose next counter is known without a search."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class OutputFile:
    """One file: its name below the directory and its length so far; the rest is its directory's business."""

    __slots__ = ("identity", "name", "naming", "number", "size", "waiting", "written")

    def __init__(self, naming: Callable[[int], str], number: int) -> None:
        self.naming = naming
        self.number = number
        self.name = naming(number)
        self.size = 0
        """With the bytes that wait and the holes before them."""
        self.identity: tuple[int, int] | None = None
        """Device and inode; None until it is on disk."""
        self.waiting = bytearray()
        self.written = 0
        """Where the bytes that wait belong."""


class OutputFiles:
    """The files below a directory; ``max_open`` of them are open, those written to last.

    An error of the disk is a UserError in one line.
    """

    def __init__(self, directory: Path, max_open: int, max_buffered: int = MAX_BUFFERED_BYTES) -> None:
        self.reopened = 0
        self._shown = directory
        self._max_open = max_open
        self._max_buffered = max_buffered
        self._buffered = 0
        self._holding: dict[OutputFile, None] = {}  # whose bytes have waited longest first
        self._open: OrderedDict[OutputFile, int] = OrderedDict()
        self._next: OrderedDict[str, int] = OrderedDict()
        self._promised: set[str] = set()
        try:
            self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._failed("", error) from None

    def create(self, name: Callable[[int], str], first: int = 0, *, at_once: bool = True) -> OutputFile:
        """Make an empty file with the first free name from this counter on, and the directories on its way.

        With ``at_once`` False it comes when something is written to it: most files are small, and are then
        opened once.  Should somebody take the name meanwhile, the file gets the next one that is free.
        """
        base = name(0)
        # Where the last search for the same name ended: many connections of the same ends must not search again.
        file = OutputFile(name, max(first, self._next.pop(base, 0)))
        if at_once:
            self._make(file)
        else:
            self._promise(file)
        self._next[base] = file.number + 1
        if len(self._next) > MAX_NAMES:
            self._next.popitem(last=False)
        return file

    def _promise(self, file: OutputFile) -> None:
        """Find the first name that nobody has; it is kept for this file."""
        for number in range(file.number, file.number + MAX_TRIES):
            file.name = file.naming(number)
            if file.name not in self._promised and not os.access(
                file.name, os.F_OK, dir_fd=self._directory, follow_symlinks=False
            ):
                self._promised.add(file.name)
                file.number = number
                return
        raise self._no_name(file)

    def _make(self, file: OutputFile) -> int:
        """Put a file on disk under the first name that nobody has; return its descriptor."""
        self._promised.discard(file.name)
        for number in range(file.number, file.number + MAX_TRIES):
            file.name = file.naming(number)
            if file.name in self._promised:
                continue
            try:
                descriptor = self._opened(file.name, _FILE | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                continue
            except OSError as error:
                raise self._failed(file.name, error) from None
            found = os.fstat(descriptor)
            file.number, file.identity = number, (found.st_dev, found.st_ino)
            self._open[file] = descriptor
            return descriptor
        raise self._no_name(file)

    def _no_name(self, file: OutputFile) -> UserError:
        base = self._shown / file.naming(0)
        return UserError(f"{base} is there already, and {MAX_TRIES} names after it; clear the directory")

    def append(self, file: OutputFile, data: bytes) -> None:
        """Put bytes at the end of a file."""
        length = len(data)
        if not file.waiting:
            self._holding[file] = None
        file.waiting += data
        file.size += length
        self._buffered += length
        if len(file.waiting) >= BUFFER_BYTES:
            self._write(file)
        while self._buffered > self._max_buffered:
            self._write(next(iter(self._holding)))

    def skip(self, file: OutputFile, length: int) -> None:
        """Leave a hole, which reads as zeros; it is there once something follows."""
        self._write(file)
        file.size += length
        file.written += length

    def finish(self, file: OutputFile, time_ns: int) -> None:
        """Write what waits, set the file's times and close it."""
        self._write(file)
        try:
            number = self._descriptor(file)
            os.utime(number, ns=(time_ns, time_ns))
        except OSError as error:
            raise self._failed(file.name, error) from None
        finally:
            self._close(file)

    def close(self) -> None:
        """Close what is open, without writing what waits of files that were not finished."""
        for file in [*self._open]:
            with suppress(OSError, UserError):
                self._close(file)
        self._holding.clear()
        self._buffered = 0
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _write(self, file: OutputFile) -> None:
        """Write what waits of a file."""
        waiting = file.waiting
        if not waiting:
            return
        self._holding.pop(file, None)
        self._buffered -= len(waiting)
        file.waiting = bytearray()
        try:
            number = self._descriptor(file)
            with memoryview(waiting) as view:
                done = 0
                while done < len(view):
                    done += os.pwrite(number, view[done:], file.written + done)
        except OSError as error:
            raise self._failed(file.name, error) from None
        file.written += len(waiting)

    def _descriptor(self, file: OutputFile) -> int:
        """Return the descriptor of a file, made if it was not yet, opened again if it was closed meanwhile."""
        if file.identity is None:
            return self._make(file)
        number = self._open.get(file)
        if number is None:
            number = self._opened(file.name, _FILE)
            found = os.fstat(number)
            if (found.st_dev, found.st_ino) != file.identity:
                os.close(number)
                raise OSError(errno.ESTALE, "somebody put another file in its place")
            self.reopened += 1
            self._open[file] = number
        self._open.move_to_end(file)
        return number

    def _opened(self, name: str, flags: int) -> int:
        """Open a file below the directory, step by step, so that no link leads out of it."""
        while len(self._open) >= self._max_open:
            self._close(next(iter(self._open)))
        *parents, last = name.split("/")
        here = self._directory
        try:
            for parent in parents:
                below = self._entered(parent, here, make=bool(flags & os.O_CREAT))
                if here != self._directory:
                    os.close(here)
                here = below
            return os.open(last, flags, 0o600, dir_fd=here)
        finally:
            if here != self._directory:
                os.close(here)

    @staticmethod
    def _entered(name: str, where: int, *, make: bool) -> int:
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=where)
        return os.open(name, _DIRECTORY, dir_fd=where)

    def _close(self, file: OutputFile) -> None:
        number = self._open.pop(file, None)
        if number is None:
            return
        try:
            os.close(number)
        except OSError as error:
            raise self._failed(file.name, error) from None

    def _failed(self, name: str, error: OSError) -> UserError:
        return UserError(
            f"cannot write {self._shown / name}: {error.strerror or error}; "
            "make room, or give another directory with -o"
        )


def make_directory(path: Path) -> bool:
    """Make a directory that only this user may look into, and those on its way; return whether it was not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():  # or what it was to be in is none
            raise UserError(f"{path} is there and is no directory; give another with -o") from None
        return False
    except OSError as error:
        fact = error.strerror or str(error)
        raise UserError(f"cannot make the directory {path}: {fact}; give another with -o") from None
    return True
