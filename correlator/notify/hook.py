"""Notices handed to a program, on its standard input; its time and its process group are bounded."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from correlator.notify.formats.notice import Notice, notice_line
from correlator.notify.output import OutputError

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


class HookOutput:
    """Runs a program for each notice; what it leaves running in its process group is killed when it ends."""

    name = "hook"

    def __init__(self, command: Sequence[str], timeout_s: float) -> None:
        self._command = list(command)
        self._timeout_s = timeout_s
        self._running: set[int] = set()
        self._lock = Lock()

    def deliver(self, notice: Notice) -> None:
        """Run the program once; anything but exit code 0 is a failure, and none is tried again."""
        with tempfile.TemporaryFile() as given:
            given.write(notice_line(notice))
            given.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - the administrator's own program
                    self._command, stdin=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=_environment(notice), cwd="/", start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise OutputError(f"cannot run {self._command[0]}: {error.strerror or error}", lasting=True) from None
        with self._lock:
            self._running.add(process.pid)
        try:
            in_time = _ends(process, self._timeout_s)
        finally:
            with self._lock:
                self._running.discard(process.pid)
                # It is not waited for yet, so its number is still its own, and so is that of its group.
                _kill_group(process.pid)
            code = process.wait()
        if not in_time:
            raise OutputError(f"{self._command[0]} was killed after {self._timeout_s:g} s", lasting=True)
        if code:
            raise OutputError(f"{self._command[0]} ended with {code}", lasting=True)

    def abort(self) -> None:
        """Kill what runs."""
        with self._lock:
            for number in self._running:
                _kill_group(number)

    def close(self) -> None:
        """Do nothing: nothing runs any more."""


def _ends(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Tell whether a program ends in time; it is not reaped."""
    number = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(number)


def _kill_group(number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)


def _environment(notice: Notice) -> dict[str, str]:
    """Return what the program finds in its environment: nothing that a stranger could choose."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    alarm = notice.alarm
    return {
        **kept,
        "TUNNELWATCH_ID": alarm["id"],
        "TUNNELWATCH_KIND": alarm["kind"],
        "TUNNELWATCH_SEVERITY": alarm["severity"],
        "TUNNELWATCH_EVENT": notice.event,
    }
