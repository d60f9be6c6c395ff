"""A bounded queue before an output, and the threads that empty it: whoever fills it never waits."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition, Event, Thread
from typing import Final

from correlator.notify.formats.notice import Notice
from correlator.notify.output import Output, OutputError

_LONGEST_PAUSE_S: Final = 60.0
_AFTER_ABORT_S: Final = 2.0


class Lane:
    """Delivers notices in their order, each again after a pause that doubles, until it succeeds or was tried enough."""

    def __init__(self, output: Output, *, room: int, attempts: int, workers: int = 1, pause_s: float = 1.0) -> None:
        self.name = output.name
        self.delivered = 0
        self.failed = 0
        self.dropped = 0
        """Notices that found the queue full, or were still in it at the end."""
        self.problem = ""
        """The latest one."""
        self._output = output
        self._room = room
        self._attempts = attempts
        self._pause_s = pause_s
        self._waiting: deque[Notice] = deque()
        self._changed = Condition()
        self._closing = False
        self._abandoned = Event()
        names = (f"{output.name}-{number}" for number in range(workers))
        self._threads = [Thread(target=self._work, name=name, daemon=True) for name in names]

    @property
    def waiting(self) -> int:
        """How many notices wait."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next notice would be dropped."""
        return len(self._waiting) >= self._room

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    def offer(self, notice: Notice) -> None:
        """Take a notice, or drop and count it."""
        with self._changed:
            if self.is_full or self._closing:
                self.dropped += 1
                return
            self._waiting.append(notice)
            self._changed.notify()

    def finish(self) -> None:
        """Take no more notices, and end when those that wait are delivered."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, limit_s: float) -> None:
        """Deliver what waits within the limit; what is left is dropped and counted."""
        self.finish()
        self._join(limit_s)
        if any(thread.is_alive() for thread in self._threads):
            self._abandoned.set()
            with self._changed:
                self.dropped += len(self._waiting)
                self._waiting.clear()
            self._output.abort()
            self._join(_AFTER_ABORT_S)
        if not any(thread.is_alive() for thread in self._threads):
            self._output.close()

    def _join(self, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                notice = self._waiting.popleft()
            error = self._delivered(notice)
            with self._changed:
                if error is None:
                    self.delivered += 1
                else:
                    self.failed += 1
                    self.problem = str(error)

    def _delivered(self, notice: Notice) -> OutputError | None:
        """Deliver a notice; return the last error when it could not be."""
        pause_s = self._pause_s
        for attempt in range(1, self._attempts + 1):
            try:
                self._output.deliver(notice)
            except OutputError as error:
                if error.lasting or attempt == self._attempts or self._abandoned.wait(pause_s):
                    return error
                self.problem = str(error)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                return None
        raise AssertionError("the last attempt returns")
