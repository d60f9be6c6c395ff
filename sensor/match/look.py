"""The first look: which of many patterns a stretch of bytes can match at all, at a cost that is nearly theirs alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from sensor.match._grams import GramFinder
from sensor.match.patterns import Pattern
from sensor.match.shape import GRAM_BYTES, grams_in, rarity


class StreamLook(Protocol):
    """The first look at one stream, from its beginning on."""

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        """Return (pattern's number, place) of what ``data`` adds.

        Every match holds such a place of its pattern, counted from the start of ``data``: it may be negative.
        """

    def restart(self) -> None:
        """Go on after bytes that were not seen."""

    def close(self) -> None:
        """Give back what the look holds."""


class Look(Protocol):
    """The first look for one set of patterns."""

    always: Sequence[int]
    """The numbers of the patterns that it knows nothing about."""
    stream_bytes: int
    """Memory that one stream takes."""

    def open(self) -> StreamLook:
        """Begin a stream."""


class GramLook:
    """Looks for bytes that every match of a pattern holds, whatever their case."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        shared = Counter(
            gram for one in patterns for gram in {gram for word in one.shape.literals for gram in grams_in(word)}
        )
        owners: dict[bytes, list[int]] = {}
        for number, one in enumerate(patterns):
            # The stretch of a literal that few other patterns have tells most.
            best = {min(grams_in(word), key=lambda gram: (shared[gram], -rarity(gram))) for word in one.shape.literals}
            for gram in best:
                owners.setdefault(gram, []).append(number)
        self.always: Sequence[int] = tuple(number for number, one in enumerate(patterns) if not one.shape.literals)
        self.stream_bytes = 128
        self.finder = GramFinder(list(owners))
        self.owners = list(owners.values())

    def open(self) -> StreamLook:
        """Begin a stream."""
        return _GramStream(self)


class _GramStream:
    """One stream's last bytes, in which a gram may have begun."""

    __slots__ = ("_look", "_tail")

    def __init__(self, look: GramLook) -> None:
        self._look = look
        self._tail = b""

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        """Return (pattern's number, where a gram of it began last)."""
        found = self._look.finder.find(data, self._tail)
        self._tail = (self._tail + data[1 - GRAM_BYTES :])[1 - GRAM_BYTES :]
        if not found:
            return []
        owners = self._look.owners
        return [(number, place) for slot, place in found for number in owners[slot]]

    def restart(self) -> None:
        """Forget the last bytes."""
        self._tail = b""

    def close(self) -> None:
        """Nothing is held."""
