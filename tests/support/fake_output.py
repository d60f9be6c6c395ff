"""An output that does as a test says."""

from __future__ import annotations

from threading import Event

from correlator.notify.formats.notice import Notice
from correlator.notify.output import OutputError


class Fake:
    """An output that does as it is told; ``answers`` are given in turn, the last one for ever."""

    def __init__(self, *answers: OutputError | None, gate: Event | None = None, name: str = "fake") -> None:
        self.name = name
        self.taken: list[Notice] = []
        self.aborted = Event()
        self.closed = False
        self._answers = list(answers) or [None]
        self._gate = gate

    def deliver(self, told: Notice) -> None:
        self.taken.append(told)
        if self._gate is not None:
            while not self._gate.wait(0.01) and not self.aborted.is_set():
                pass
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is not None:
            raise answer

    def abort(self) -> None:
        self.aborted.set()

    def close(self) -> None:
        self.closed = True
