"""The evolution of one figure along the run: a value per bucket of time, zeros where nothing was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from common.timespan import NS_PER_S, iso_time, seconds
from correlator.views.ranking import MEASURES

MAX_POINTS: Final = 1_000_000
"""Minutes of about two years: a single record with a wrong year must not make a million lines of zeros."""
DAY_NS: Final = 86_400 * NS_PER_S
MINUTE_NS: Final = 60 * NS_PER_S


class Point(NamedTuple):
    """One bucket of time and the value in it, in public units."""

    start_ns: int
    value: int | float


class Buckets(NamedTuple):
    """The buckets of an evolution: the start of the first and of the last one, and the length of each."""

    first_ns: int
    last_ns: int
    length_ns: int

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.last_ns >= self.first_ns

    @property
    def number(self) -> int:
        """How many there are."""
        return (self.last_ns - self.first_ns) // self.length_ns + 1


def buckets(
    run: tuple[int, int], since_ns: int | None, until_ns: int | None, length_ns: int, values: Mapping[int, int]
) -> Buckets:
    """Return the buckets of the run that a time range takes; before and after the run is nothing to know.

    ``run`` is when the first and the last record began. Uptimes go on after that, so the last value counts too.
    """
    first = run[0] if since_ns is None else max(run[0], since_ns)
    last = run[1] if until_ns is None else min(run[1], until_ns - 1)
    ends = [last - last % length_ns, *values]
    return Buckets(first - first % length_ns, max(ends), length_ns)


def points(values: Mapping[int, int], along: Buckets, measure: str) -> Iterator[Point]:
    """Yield a point per bucket; uptimes come in nanoseconds and go out in seconds."""
    public = seconds if is_duration(measure) else int
    for start in range(along.first_ns, along.last_ns + 1, along.length_ns):
        yield Point(start, public(values.get(start, 0)))


def is_duration(measure: str) -> bool:
    """Whether a measure is a time, and not a number of something."""
    return MEASURES[measure].endswith("_s")


def point_record(point: Point) -> dict[str, Any]:
    """Return a point as the JSON object that the command line prints."""
    return {"period": iso_time(point.start_ns), "value": point.value}
