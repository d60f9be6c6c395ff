"""The alarm budget: how rare a score is among those of ordinary traffic, and how many alarms a day that allows.

A score's p-value is its rank among the site's own earlier scores: p = (1 + how many are at least as high) / (n + 1).
Where M scores come a day, alarms at p <= B / M are B a day at the most, as long as tomorrow is like the days before
(conformal prediction; the order of scores then says nothing).  Each kind of traffic has its own scores (Mondrian).
While there are too few of them a threshold guards, after SPADE's adapt2: the mean of the k-th and the next highest
score of the latest day, of the week and of four weeks; the highest of these, and the very highest score where k is less
than one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from correlator.detect.alarm import Severity

DAY_S: Final = 86_400
KEPT: Final = 256
"""The highest scores of a bucket; only how high the tail is matters."""
_WINDOWS_DAYS: Final = (1, 7, 28)


class BudgetSettings(Struct, frozen=True, kw_only=True):
    """[detect.budget]: how many alarms weak evidence may raise."""

    alarms_per_day: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    window_days: Annotated[int, Meta(ge=1, le=90)] = 28
    floor_log10_lr: Annotated[float, Meta(ge=0, le=5)] = 2.0
    most_per_day: Annotated[int, Meta(ge=0)] = 50


class Bucket(NamedTuple):
    """The scores of an hour or a day: how many, and the highest in descending order."""

    start_s: int
    tests: int
    highest: tuple[float, ...]

    def at_least(self, score: float) -> int:
        """Return how many are as high as a score, all of them where that is not known."""
        count = len(self.highest) - bisect_left(self.highest[::-1], score)
        return self.tests if count == KEPT < self.tests else count


def bucket(start_s: int, tests: int, scores: Iterable[float]) -> Bucket:
    """Return the bucket of some tests; their scores, as far as they can matter."""
    return Bucket(start_s, tests, tuple(nlargest(KEPT, scores)))


class Calibration(NamedTuple):
    """Scores of ordinary traffic of one kind."""

    buckets: tuple[Bucket, ...]

    @property
    def tests(self) -> int:
        """How many there are."""
        return sum(one.tests for one in self.buckets)

    @property
    def days(self) -> int:
        """On how many days they were counted."""
        return len({one.start_s // DAY_S for one in self.buckets})

    def p_value(self, score: float) -> float:
        """Return how probable so high a score is for ordinary traffic."""
        return (1 + sum(one.at_least(score) for one in self.buckets)) / (self.tests + 1)

    def guard(self, now_s: int, per_day: float) -> float | None:
        """Return a threshold for so many alarms a day, None while nothing was counted."""
        thresholds = []
        for days in _WINDOWS_DAYS:
            some = [one for one in self.buckets if now_s - days * DAY_S <= one.start_s < now_s]
            place = int(per_day * len({one.start_s // DAY_S for one in some}))
            high = nlargest(place + 1, (score for one in some for score in one.highest))
            if high:
                thresholds.append((high[max(min(place, len(high)), 1) - 1] + high[-1]) / 2)
        return max(thresholds, default=None)


class Budget(NamedTuple):
    """What scores of several kinds may raise together."""

    kinds: Mapping[str, Calibration]
    per_day: float

    @property
    def tests_per_day(self) -> float:
        """How many scores come a day, of all kinds."""
        return sum(kind.tests / kind.days for kind in self.kinds.values() if kind.days)

    def allows(self, kind: str, score: float, now_s: int, share: float = 1.0) -> float | None:
        """Return a score's p-value when it is so rare that the budget allows an alarm, None when it is not.

        ``share`` is of the budget, for alarms that matter more.
        """
        known = self.kinds.get(kind)
        per_day = self.per_day * share
        if known is None or not known.tests or per_day <= 0:
            return None
        rarest = per_day / self.tests_per_day
        p_value = known.p_value(score)
        if (known.tests + 1) * rarest >= 1:
            return p_value if p_value <= rarest else None
        threshold = known.guard(now_s, per_day * known.tests / known.days / self.tests_per_day)
        return p_value if threshold is not None and score > threshold else None


class Ranked(NamedTuple):
    """An alarm of the day, for its rank among the others."""

    id: str
    log10_odds: float
    severity: Severity
    decisive: bool
    """It rests on what was read, and not on behaviour."""


def flooded(alarms: Sequence[Ranked], most: int) -> list[str]:
    """Return the ids of a day's alarms that are too many (0: none are): the lowest-ranked, never decisive ones."""
    serious = [one for one in alarms if one.severity.rank >= Severity.MEDIUM.rank]
    room = max(0, most - sum(one.decisive for one in serious))
    ordinary = sorted((one for one in serious if not one.decisive), key=lambda one: (-one.log10_odds, one.id))
    return [one.id for one in ordinary[room:]] if most else []
