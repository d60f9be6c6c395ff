"""What every output is, and how one says that it could not deliver."""

from __future__ import annotations

from typing import Final, Protocol

from common.safetext import printable
from correlator.notify.formats.notice import Notice

_LONGEST: Final = 500


class OutputError(Exception):
    """A notice that was not delivered, in one line; ``lasting`` where the same again would fail the same way."""

    def __init__(self, fact: str, *, lasting: bool = False) -> None:
        super().__init__(printable(fact)[:_LONGEST])
        self.lasting = lasting


class Output(Protocol):
    """Delivers notices, one after the other on each of its threads."""

    name: str

    def deliver(self, notice: Notice) -> None:
        """Deliver a notice within the output's own time limit; OutputError when that fails."""

    def abort(self) -> None:
        """End what is being delivered; called from another thread."""

    def close(self) -> None:
        """Let go of what is open; nothing is delivered any more."""
