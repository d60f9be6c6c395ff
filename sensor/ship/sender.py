"""What to send to the correlator next, and what to do with its answers; no sockets, no clock.

Frames are known here by run and sequence; their bytes stay in the spool until they are due.  Runs are
sent in the order in which they were spooled, so what an earlier run left goes first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from common.link import ACK, PONG, REFUSED, WELCOME, Answer
from sensor.ship.ranges import Ranges


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


class Limits(NamedTuple):
    """How much may be unanswered, and how long to wait; times in ns."""

    window_frames: int
    window_bytes: int
    resend_ns: int
    resend_max_ns: int
    ping_ns: int


class _Run:
    def __init__(self) -> None:
        self.unsent = Ranges()
        self.sent: deque[int] = deque()
        self.greeted = False


class Sender:
    """The sending half of the link: a window of unanswered frames, resent when answers stay away.

    The wait before that doubles up to a bound until frames are answered, or the correlator shows that it lives.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._wait_ns = limits.resend_ns
        self._runs: OrderedDict[int, _Run] = OrderedDict()
        self._in_flight = 0
        self._sizes: dict[tuple[int, int], int] = {}
        self._bytes_in_flight = 0
        self._progress_ns = 0
        self._spoke_ns = 0
        self.resends = 0
        self.refused = 0
        self.refusal = ""  # the reason of the first

    @property
    def waiting(self) -> int:
        """Frames that no answer covers yet."""
        return sum(len(run.unsent) + len(run.sent) for run in self._runs.values())

    @property
    def has_room(self) -> bool:
        """Whether the bytes in flight leave room for one more frame."""
        return self._bytes_in_flight < self._limits.window_bytes

    @property
    def _may_send(self) -> bool:
        return self._in_flight < self._limits.window_frames and self.has_room

    def add(self, run: int, sequence: int) -> None:
        """Take a frame that was spooled."""
        self._runs.setdefault(run, _Run()).unsent.append(sequence)

    def forget(self, run: int, sequence: int) -> None:
        """Drop everything of a run up to ``sequence``: answered, or lost at the spool's bound."""
        known = self._runs.get(run)
        if known is None:
            return
        while known.sent and known.sent[0] <= sequence:
            self._landed(run, known.sent.popleft())
        known.unsent.drop_through(sequence)
        self._tidy(run)

    def drop(self, run: int, sequence: int) -> bool:
        """Drop one frame and nothing before it: refused, or its bytes are gone; tell whether it was there."""
        known = self._runs.get(run)
        if known is None:
            return False
        waiting: tuple[deque[int] | Ranges, ...] = (known.sent, known.unsent)
        for frames in waiting:
            if frames and frames[0] <= sequence <= frames[-1] and sequence in frames:
                frames.remove(sequence)
                if frames is known.sent:
                    self._landed(run, sequence)
                self._tidy(run)
                return True
        return False

    def messages(self, now_ns: int) -> list[Message]:
        """Return what to send now."""
        if self._in_flight and now_ns - self._progress_ns >= self._wait_ns:
            self._start_over(now_ns)
        messages: list[Message] = []
        for number, run in self._runs.items():
            if not run.unsent:
                continue
            if not run.greeted and self._may_send:
                run.greeted = True
                messages.append(Hello(number))
            while run.unsent and self._may_send:
                if self._in_flight == 0:
                    self._progress_ns = now_ns
                sequence = run.unsent.popleft()
                run.sent.append(sequence)
                self._in_flight += 1
                messages.append(Send(number, sequence))
            if run.unsent:
                break
        if not messages and now_ns - self._spoke_ns >= self._limits.ping_ns:
            messages.append(Ping())
        if messages:
            self._spoke_ns = now_ns
        return messages

    def sent(self, run: int, sequence: int, size_bytes: int) -> None:
        """Note that a frame went out, and its size."""
        self._sizes[run, sequence] = size_bytes
        self._bytes_in_flight += size_bytes

    def put_back(self, messages: Sequence[Message]) -> None:
        """Take back the last of ``messages``, for which there was no room: they go out first next time."""
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

    def answered(self, answer: Answer, now_ns: int) -> bool:
        """Take an answer; return whether what it covers may leave the spool: all up to it, or the refused one."""
        if answer.kind == PONG:
            self._wait_ns = self._limits.resend_ns
        if answer.kind not in (WELCOME, ACK, REFUSED):
            return False
        waiting = self.waiting
        if answer.kind != REFUSED:
            self.forget(answer.run, answer.sequence)
        elif self.drop(answer.run, answer.sequence):
            self.refused += 1
            self.refusal = self.refusal or answer.reason or "no reason given"
        if self.waiting < waiting:
            self._wait_ns = self._limits.resend_ns
        self._progress_ns = now_ns
        return True

    def _landed(self, run: int, sequence: int) -> None:
        self._in_flight -= 1
        self._bytes_in_flight -= self._sizes.pop((run, sequence), 0)

    def _tidy(self, run: int) -> None:
        known = self._runs[run]
        if not known.sent and not known.unsent and next(reversed(self._runs)) != run:
            del self._runs[run]

    def _start_over(self, now_ns: int) -> None:
        """No answer for too long: the correlator may have restarted, so greet and send again."""
        for run in self._runs.values():
            run.unsent.extendleft(reversed(run.sent))
            self.resends += len(run.sent)
            run.sent.clear()
            run.greeted = False
        self._in_flight = 0
        self._sizes.clear()
        self._bytes_in_flight = 0
        self._progress_ns = now_ns
        self._wait_ns = min(2 * self._wait_ns, max(self._limits.resend_max_ns, self._limits.resend_ns))
