"""Patterns over one stream that comes in pieces: the matches that re.finditer finds in the whole, within a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sensor.match.look import Look
from sensor.match.patterns import Pattern

WINDOW_BYTES: Final = 4096
"""Matches up to this length are found as in the whole stream; longer ones are cut between one and two of it."""
MAX_CONTEXT_BYTES: Final = 4096
_PROMPT_BYTES: Final = 256
_SLACK_BYTES: Final = 512  # dropped together, so that few bytes at a time are not copied again and again
_NEVER: Final = 1 << 62
# What was not seen is one byte that no match holds.
_UNSEEN: Final = b"\0"


class Match(NamedTuple):
    """What a pattern matched."""

    pattern: Pattern
    offset: int
    """In the stream, of the first byte."""
    data: bytes
    before: bytes
    """What went before it, as much as was asked for and is there."""
    after: bytes


_Found = tuple[int, int, Match]


class TookTooLong(Exception):  # noqa: N818 - raised into a search by a timer, see Stopwatch
    """A search is taking too long."""


class Stopwatch:
    """Tells whether one search goes on and on; ``tick`` is called by a timer in the same thread.

    Python's re looks for signals while it searches, and passes on what their handler raises.
    """

    def __init__(self) -> None:
        self.searching = False
        self.searches = 0
        self._last = -1

    def tick(self) -> None:
        """Raise TookTooLong into a search that was there at the last tick too."""
        if self.searching and self._last == self.searches:
            self.searching = False
            raise TookTooLong
        self._last = self.searches


class PatternSet:
    """The patterns of one direction and protocol, sorted by how soon each can be decided."""

    def __init__(
        self,
        patterns: Sequence[Pattern],
        make_look: Callable[[Sequence[Pattern]], Look],
        *,
        window: int = WINDOW_BYTES,
        before: int = 0,
        after: int = 0,
    ) -> None:
        self.patterns = tuple(patterns)
        self.window = window
        self.before = before
        self.after = after
        self.look = make_look(self.patterns)
        prompt = min(_PROMPT_BYTES, window)
        # How many bytes from its start on decide about a match; None is a whole window, block by block.
        self.holds = [one.shape.reach + after if one.shape.reach <= prompt else None for one in patterns]
        self.behind = min(max((one.shape.behind for one in patterns), default=0), window) + 1
        known = [hold for hold in self.holds if hold is not None]
        self.longest_hold = max(known, default=1)
        self.has_blocks = len(known) < len(patterns)
        self.always_prompt = tuple(number for number in self.look.always if self.holds[number] is not None)
        self.always_block = tuple(number for number in self.look.always if self.holds[number] is None)


class StreamMatcher:
    """One direction of a flow against a set of patterns."""

    __slots__ = (
        "_base",
        "_block",
        "_buffer",
        "_first",
        "_hot",
        "_look",
        "_resume",
        "_set",
        "_stopwatch",
        "end",
        "stopped",
    )

    def __init__(self, patterns: PatternSet, stopwatch: Stopwatch | None = None, offset: int = 0) -> None:
        self._set = patterns
        self._stopwatch = stopwatch or Stopwatch()
        self._look = patterns.look.open()
        self.stopped: list[Pattern] = []
        """Patterns whose search was stopped because it took too long; they are left out from there on."""
        self._hot: dict[int, int] = {}  # pattern's number: the last place that its matches may hold
        self._resume: dict[int, int] = {}  # where its last match ended, if that is not decided yet
        self._start(offset, b"")

    def _start(self, offset: int, sentinel: bytes) -> None:
        """Begin a stretch of bytes that follow each other."""
        self.end = offset
        self._base = offset - len(sentinel)
        self._buffer = sentinel
        self._first = offset
        self._block = offset
        self._hot.clear()
        self._resume = {number: place for number, place in self._resume.items() if place == _NEVER}

    @property
    def held_bytes(self) -> int:
        """Memory that the stream takes."""
        return len(self._buffer) + self._set.look.stream_bytes + 256

    def feed(self, data: bytes) -> list[Match]:
        """Take the next bytes; return the matches that are decided now, in order."""
        old_end = self.end
        self._buffer += data
        self.end += len(data)
        for number, place in self._look.feed(data):
            self._hot[number] = max(place + old_end, self._hot.get(number, 0))
        found: list[_Found] = []
        self._decide_prompt(old_end, found)
        if self._set.has_blocks:
            need = 2 * self._set.window + self._set.after
            while self._block + need <= self.end:
                self._decide_block(self._block + self._set.window, self._block + 2 * self._set.window, found)
        self._forget()
        return _in_order(found)

    def finish(self) -> list[Match]:
        """Return what is left to decide: what follows is not seen, or there is nothing."""
        found: list[_Found] = []
        for number in self._waiting(self._set.always_prompt):
            hold = self._set.holds[number]
            if hold is not None:
                self._decide(number, max(self._first, self.end - hold + 1), self.end + 1, self.end, found)
        while self._set.has_blocks and self._block <= self.end:
            last = min(self._block + 2 * self._set.window, self.end)
            self._decide_block(min(self._block + self._set.window, self.end + 1), last, found)
        self._look.restart()
        self._start(self.end, _UNSEEN)
        return _in_order(found)

    def gap(self, length: int) -> list[Match]:
        """Pass over bytes that were not seen: no match reaches over them, and ^ does not match behind them."""
        found = self.finish()
        self._start(self.end + length, _UNSEEN)
        return found

    def close(self) -> None:
        """Give back what the stream holds."""
        self._look.close()

    def _waiting(self, always: Sequence[int]) -> list[int]:
        return [*always, *self._hot] if self._hot else list(always)

    def _decide_prompt(self, old_end: int, found: list[_Found]) -> None:
        """Decide about the patterns that few bytes decide about."""
        for number in self._waiting(self._set.always_prompt):
            hold = self._set.holds[number]
            if hold is None:
                continue
            start = max(self._first, old_end - hold + 1)
            stop = self.end - hold + 1
            place = self._hot.get(number)
            if place is None or place >= start:
                self._decide(number, start, stop, self.end, found)
            if place is not None and place < stop:
                del self._hot[number]

    def _decide_block(self, stop: int, last: int, found: list[_Found]) -> None:
        """Decide about the other patterns' matches that begin before ``stop``; bytes up to ``last`` are looked at."""
        for number in self._waiting(self._set.always_block):
            if self._set.holds[number] is not None:
                continue
            place = self._hot.get(number)
            if place is None or place >= self._block:
                self._decide(number, self._block, stop, last, found)
            if place is not None and place < stop:
                del self._hot[number]
        self._block = stop

    def _decide(self, number: int, start: int, stop: int, last: int, found: list[_Found]) -> None:
        """Add a pattern's matches that begin in [start, stop)."""
        resume = max(start, self._resume.pop(number, start))
        if resume < stop:
            resume = self._search(number, resume, stop, last, found)
        if resume >= stop:
            self._resume[number] = resume

    def _search(self, number: int, start: int, stop: int, last: int, found: list[_Found]) -> int:
        """Search from ``start``; return where the last match ended."""
        pattern = self._set.patterns[number]
        base, watch = self._base, self._stopwatch
        resume = start
        try:
            watch.searches += 1
            watch.searching = True
            for match in pattern.regex.finditer(self._buffer, start - base, last - base):
                begin, end = match.span()
                if begin + base >= stop:
                    break
                resume = end + base
                if begin < end:
                    found.append((begin + base, number, self._match(pattern, begin, end)))
            watch.searching = False
        except TookTooLong:
            self.stopped.append(pattern)
            return _NEVER
        return resume

    def _match(self, pattern: Pattern, begin: int, end: int) -> Match:
        buffer, patterns = self._buffer, self._set
        before = buffer[max(0, begin - patterns.before, self._first_seen()) : begin] if patterns.before else b""
        return Match(pattern, begin + self._base, buffer[begin:end], before, buffer[end : end + patterns.after])

    def _first_seen(self) -> int:
        """Return where in the buffer bytes begin that were seen."""
        return max(0, self._first - self._base)

    def _forget(self) -> None:
        """Drop bytes that nothing needs any more."""
        patterns = self._set
        needed = self.end - patterns.longest_hold + 1
        if patterns.has_blocks:
            needed = min(needed, self._block)
        excess = needed - self._base - max(patterns.behind, patterns.before)
        if excess > _SLACK_BYTES:
            self._buffer = self._buffer[excess:]
            self._base += excess


def _in_order(found: list[_Found]) -> list[Match]:
    found.sort()  # no two have both the place and the pattern in common
    return [match for _, _, match in found]
