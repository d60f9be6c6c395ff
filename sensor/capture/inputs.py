"""Capture files opened while that is allowed, for a process that will not be allowed to."""

from __future__ import annotations

import os
import resource
import stat
from collections import defaultdict, deque
from collections.abc import Sequence

from common.errors import UserError

# Descriptors for everything else: outputs, spool, link, the interpreter's own.
_RESERVE = 64


class OpenInputs:
    """Files opened at once, each given out once by ``open``; what could not be opened is said when its turn comes."""

    def __init__(self, names: Sequence[str]) -> None:
        names = [name for name in names if name != "-"]
        _make_room(len(names))
        self._files: defaultdict[str, deque[int | OSError]] = defaultdict(deque)
        for name in names:
            self._files[name].append(_opened(name))

    def open(self, name: str, flags: int) -> int:
        """Return the descriptor of a file, as the ``opener`` of io.FileIO does."""
        waiting = self._files[name]
        if not waiting:
            return os.open(name, flags)
        found = waiting.popleft()
        if isinstance(found, OSError):
            raise found
        os.set_blocking(found, True)
        return found

    def close(self) -> None:
        """Close what was not asked for."""
        for waiting in self._files.values():
            for found in waiting:
                if isinstance(found, int):
                    os.close(found)
            waiting.clear()


def _opened(name: str) -> int | OSError:
    try:
        # A named pipe without a writer must not hold up the files before it.
        waits = os.O_NONBLOCK if stat.S_ISFIFO(os.stat(name).st_mode) else 0  # noqa: PTH116 - as os.open follows
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | waits)
    except OSError as error:
        return error


def _make_room(files: int) -> None:
    """Raise the limit of open files where it is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = files + _RESERVE
    if soft == resource.RLIM_INFINITY or need <= soft:
        return
    if hard != resource.RLIM_INFINITY and need > hard:
        raise UserError(
            f"{files} files are to be opened before root is given up, and the limit is {hard - _RESERVE} (ulimit -Hn); "
            "give fewer at a time, or stay root with -u root"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
