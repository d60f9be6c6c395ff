"""What is usual for a client, a service or a channel: its figures in the same hour of earlier days.

A period (an hour, by default) belongs to a slot: its place in the day, with weekday or weekend, in UTC.  A cell holds
what one subject did in the latest periods of one slot.  Periods in which it did nothing are values too, zeros; they are
not stored, but follow from the calendar of periods that were watched.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from msgspec import Struct

from correlator.detect.robust import ORDINARY, Weighted

KEPT: Final = 28
"""Values of a cell: weekdays of over five weeks, or weekends of fourteen."""
DAY_S: Final = 86_400
HISTORY_S: Final = 7 * DAY_S * KEPT // 2
"""How long ago the oldest value of a cell may be: so many weekends."""
SILENCE_S: Final = DAY_S
"""When nothing at all was recorded for longer than this, nobody was watching."""
_FRIDAY: Final = 4
_THURSDAY: Final = 3
"""1970 began on one; Monday is 0."""
_WEEK_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Level(IntEnum):
    """What a profile is of."""

    CLIENT = 0
    SERVICE = 1
    CHANNEL = 2
    """A client and a service."""
    NAMED = 3
    """A client and a host name."""


class Values(NamedTuple):
    """Figures of one subject in one period."""

    connections: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    tcp_uptime_s: int = 0
    channel_uptime_s: int = 0
    events: int = 0
    """Bursts as Castro's probability rule counts them, where that is on."""


class Entry(NamedTuple):
    """What went into a cell for one period; ``weight`` is 100, less where the period alarmed."""

    period_s: int
    weight: int
    values: Values


class Cell(Struct, array_like=True):
    """One subject's entries for one slot, oldest first; none for periods in which it did nothing."""

    entries: list[Entry] = []

    def put(self, entry: Entry, oldest_s: int) -> None:
        """Keep an entry in place of the period's former one, and no entries from before a time."""
        kept = [old for old in self.entries if oldest_s <= old.period_s != entry.period_s]
        insort(kept, entry)
        self.entries = kept

    def drop(self, period_s: int) -> None:
        """Forget a period."""
        self.entries = [old for old in self.entries if old.period_s != period_s]


class Slots(NamedTuple):
    """The slots of a week for periods of one length."""

    period_s: int

    @property
    def of_a_day(self) -> int:
        """How many periods a day has."""
        return DAY_S // self.period_s

    def slot(self, start_s: int) -> int:
        """Return a period's slot: its place in the day, those of weekends after those of weekdays."""
        place = start_s % DAY_S // self.period_s
        return place + (self.of_a_day if _weekday(start_s) > _FRIDAY else 0)

    def title(self, slot: int) -> str:
        """Return what a person calls a slot: ``14:00 weekday``."""
        kind, place = divmod(slot, self.of_a_day)
        return f"{clock(place * self.period_s)} {'weekend' if kind else 'weekday'}"


def clock(start_s: int) -> str:
    """Return the time of day of a period's start (UTC)."""
    minutes = start_s % DAY_S // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def weekday(start_s: int) -> str:
    """Return the day of the week (UTC)."""
    return _WEEK_DAYS[_weekday(start_s)]


def _weekday(start_s: int) -> int:
    return (start_s // DAY_S + _THURSDAY) % 7


class Calendar:
    """The periods that were watched, by slot: those with records, and silent ones between that are not too many."""

    def __init__(self, slots: Slots, starts_s: Iterable[int]) -> None:
        self._slots = slots
        self._by_slot: dict[int, list[int]] = {}
        self._last_s: int | None = None
        for start_s in sorted(set(starts_s)):
            self._extend(start_s)

    def _extend(self, start_s: int) -> None:
        length = self._slots.period_s
        first = start_s
        if self._last_s is not None and start_s - self._last_s <= SILENCE_S + length:
            first = self._last_s + length
        for watched in range(first, start_s + 1, length):
            self._by_slot.setdefault(self._slots.slot(watched), []).append(watched)
        self._last_s = start_s

    def add(self, start_s: int) -> bool:
        """Note that a period was watched; False when it lies before the latest, and the calendar is to be made anew."""
        if self._last_s is not None and start_s <= self._last_s:
            return start_s == self._last_s
        self._extend(start_s)
        return True

    def window(self, slot: int, before_s: int, since_s: int = 0) -> Sequence[int]:
        """Return the latest periods of a slot that lie before a time and not before another, oldest first."""
        watched = self._by_slot.get(slot, [])
        end = bisect_left(watched, before_s)
        return watched[max(bisect_left(watched, since_s), end - KEPT) : end]

    def count(self, before_s: int, since_s: int) -> int:
        """Return how many periods of any slot lie between two times."""
        return sum(max(0, bisect_left(kept, before_s) - bisect_left(kept, since_s)) for kept in self._by_slot.values())


class History(NamedTuple):
    """A cell's values with its zeros, oldest first: what each of the periods was worth, and its weight."""

    weights: tuple[int, ...]
    values: tuple[Values, ...]

    def of(self, figure: str) -> list[Weighted]:
        """Return one figure's values."""
        return [(getattr(value, figure), weight) for value, weight in zip(self.values, self.weights, strict=True)]


def history(cell: Cell, window: Sequence[int]) -> History:
    """Return what a subject did in the periods of a window."""
    known = {entry.period_s: entry for entry in cell.entries}
    nothing = Entry(0, ORDINARY, Values())
    entries = [known.get(start_s, nothing) for start_s in window]
    return History(tuple(entry.weight for entry in entries), tuple(entry.values for entry in entries))


def active(cells: Iterable[Cell], before_s: int) -> History:
    """Return what a subject did in all periods before a time in which it did something, whatever their slot."""
    entries = [entry for cell in cells for entry in cell.entries if entry.period_s < before_s]
    return History(tuple(entry.weight for entry in entries), tuple(entry.values for entry in entries))
