"""Small disks of a test's own: a tmpfs in a mount namespace that nobody else sees and that goes when the test ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

_AT = "/mnt"
_HOLD = f"mount -t tmpfs -o size=256k,mode=755 tmpfs {_AT} && echo mounted && exec cat"


class Disk(NamedTuple):
    """A file system of 256 KiB; ``path`` leads to it from every namespace."""

    path: Path
    pid: int

    def read_only(self) -> None:
        """Let nothing be opened for writing any more, as after an error of the file system."""
        self._run(f"mount --bind {_AT} {_AT} && mount -o remount,bind,ro {_AT}")

    def writable(self) -> None:
        """Take that back."""
        self._run(f"umount {_AT}")

    def _run(self, script: str) -> None:
        subprocess.run(["nsenter", "-t", str(self.pid), "-m", "sh", "-c", script], check=True, timeout=10)


@contextmanager
def disk() -> Iterator[Disk]:
    """Make a Disk, or skip the test with the reason why it cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a file system")
    try:
        holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError:
        pytest.skip("needs the unshare command (util-linux) to mount a file system of its own")
    with holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != b"mounted\n":
            pytest.skip(f"cannot mount a file system here: {holder.stderr.read().decode().strip()}")
        try:
            yield Disk(Path(f"/proc/{holder.pid}/root{_AT}"), holder.pid)
        finally:
            holder.kill()
