"""What to send to the correlator next, and what to do with its answers; no sockets, no clock.

Frames are known here by run and sequence; their bytes stay in the spool until they are due.  Runs are
sent in the order in which they were spooled, so what an earlier run left goes first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from common.link import ACK, REFUSED, WELCOME, Answer


class Hello(NamedTuple):
    """Introduce a run: its header frame goes out before its first frame."""

    run: int


class Send(NamedTuple):
    """Send one frame."""

    run: int
    sequence: int


class Ping(NamedTuple):
    """Show that this sensor is alive."""


Message = Hello | Send | Ping


class _Run:
    def __init__(self) -> None:
        self.unsent: deque[int] = deque()
        self.sent: deque[int] = deque()
        self.greeted = False


class Sender:
    """The sending half of the link: a window of unanswered frames, resent when answers stay away."""

    def __init__(self, window_frames: int, resend_ns: int, ping_ns: int) -> None:
        self._window = window_frames
        self._resend_ns = resend_ns
        self._ping_ns = ping_ns
        self._runs: OrderedDict[int, _Run] = OrderedDict()
        self._in_flight = 0
        self._progress_ns = 0
        self._spoke_ns = 0
        self.resends = 0
        self.refused = 0
        self.refusal = ""  # the reason of the first

    @property
    def waiting(self) -> int:
        """Frames that no answer covers yet."""
        return sum(len(run.unsent) + len(run.sent) for run in self._runs.values())

    def add(self, run: int, sequence: int) -> None:
        """Take a frame that was spooled."""
        self._runs.setdefault(run, _Run()).unsent.append(sequence)

    def forget(self, run: int, sequence: int) -> None:
        """Drop everything of a run up to ``sequence``: answered, or lost at the spool's bound."""
        known = self._runs.get(run)
        if known is None:
            return
        while known.sent and known.sent[0] <= sequence:
            known.sent.popleft()
            self._in_flight -= 1
        while known.unsent and known.unsent[0] <= sequence:
            known.unsent.popleft()
        if not known.sent and not known.unsent and next(reversed(self._runs)) != run:
            del self._runs[run]

    def messages(self, now_ns: int) -> list[Message]:
        """Return what to send now."""
        if self._in_flight and now_ns - self._progress_ns >= self._resend_ns:
            self._start_over(now_ns)
        messages: list[Message] = []
        for number, run in self._runs.items():
            if not run.unsent:
                continue
            if not run.greeted and self._in_flight < self._window:
                run.greeted = True
                messages.append(Hello(number))
            while run.unsent and self._in_flight < self._window:
                if self._in_flight == 0:
                    self._progress_ns = now_ns
                sequence = run.unsent.popleft()
                run.sent.append(sequence)
                self._in_flight += 1
                messages.append(Send(number, sequence))
            if run.unsent:
                break
        if not messages and now_ns - self._spoke_ns >= self._ping_ns:
            messages.append(Ping())
        if messages:
            self._spoke_ns = now_ns
        return messages

    def put_back(self, messages: Sequence[Message]) -> None:
        """Take back the last of ``messages``, which the socket had no room for: they go out first next time."""
        for message in reversed(messages):
            match message:
                case Hello(number):
                    self._runs[number].greeted = False
                case Send(number, _):
                    run = self._runs[number]
                    run.unsent.appendleft(run.sent.pop())
                    self._in_flight -= 1
                case Ping():
                    pass

    def lost(self, run: int, sequence: int) -> None:
        """Drop one frame whose bytes are gone, and nothing before it."""
        known = self._runs.get(run)
        if known is not None and sequence in known.sent:
            known.sent.remove(sequence)
            self._in_flight -= 1

    def answered(self, answer: Answer, now_ns: int) -> bool:
        """Take an answer; return whether the frames it covers may leave the spool."""
        if answer.kind not in (WELCOME, ACK, REFUSED):
            return False
        if answer.kind == REFUSED:
            self.refused += 1
            self.refusal = self.refusal or answer.reason or "no reason given"
        self._progress_ns = now_ns
        self.forget(answer.run, answer.sequence)
        return True

    def _start_over(self, now_ns: int) -> None:
        """No answer for too long: the correlator may have restarted, so greet and send again."""
        for run in self._runs.values():
            run.unsent.extendleft(reversed(run.sent))
            self.resends += len(run.sent)
            run.sent.clear()
            run.greeted = False
        self._in_flight = 0
        self._progress_ns = now_ns
