"""Runs the two programs as a user does, with bounds and without sleeping."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# The console scripts lie beside the interpreter that runs the tests.
SENSOR = str(Path(sys.executable).with_name("tunnelwatch-sensor"))
CORRELATOR = str(Path(sys.executable).with_name("tunnelwatch"))
# For a sensor whose spool or socket is in a directory that only its owner may enter, as tmp_path is.
AS_ROOT = ("-u", "root") if os.geteuid() == 0 else ()


def run(
    *command: str, stdin: bytes | None = None, timeout: float = 30, cwd: Path | None = None
) -> tuple[int, bytes, str]:
    """Return (exit code, stdout, stderr) of a command."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False, cwd=cwd)
    return done.returncode, done.stdout, done.stderr.decode()


def error_line(stderr: str) -> str:
    """The one ``error:`` line of a failed command; a traceback or a second error fails the test."""
    assert "Traceback" not in stderr, stderr
    lines = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, stderr
    return lines[0]


class Running:
    """A program in the background whose standard error is collected."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        # The tests themselves may run under nohup, which their programs would inherit.
        hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        signal.signal(signal.SIGHUP, hang_up)
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def wait_for(self, words: str, timeout: float = 20) -> str:
        """Return the first line that holds ``words``, waiting for it."""
        with self._news:
            found = self._news.wait_for(lambda: any(words in line for line in self.lines), timeout)
        assert found, f"no {words!r} in {self.lines}"
        return next(line for line in self.lines if words in line)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code


@contextmanager
def running(*command: str) -> Iterator[Running]:
    """Run a program for the length of a block; it is gone afterwards whatever happened."""
    program = Running(command)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait(10)
        program._reader.join(10)
        assert program.process.stderr is not None
        program.process.stderr.close()
