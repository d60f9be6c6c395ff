"""Intervals of time: the union that bridges short gaps, and clipping."""

from __future__ import annotations

from collections.abc import Iterable

Interval = tuple[int, int]


def bridge(intervals: Iterable[Interval], gap_ns: int) -> list[Interval]:
    """Return the sessions of intervals: sorted, disjoint, with gaps of up to ``gap_ns`` bridged."""
    sessions: list[Interval] = []
    for start, end in sorted(intervals):
        if sessions and start - sessions[-1][1] <= gap_ns:
            if end > sessions[-1][1]:
                sessions[-1] = (sessions[-1][0], end)
        else:
            sessions.append((start, end))
    return sessions


def clip(interval: Interval, since_ns: int | None, until_ns: int | None) -> Interval | None:
    """Return the part of an interval inside a time range, None when they do not meet."""
    start = interval[0] if since_ns is None else max(interval[0], since_ns)
    end = interval[1] if until_ns is None else min(interval[1], until_ns)
    return (start, end) if start <= end else None


def uptime_ns(sessions: Iterable[Interval]) -> int:
    """Return the summed length of disjoint intervals."""
    return sum(end - start for start, end in sessions)


def spread(interval: Interval, bucket_ns: int) -> Iterable[tuple[int, int]]:
    """Yield (start of bucket, nanoseconds of the interval inside it) for every bucket it touches."""
    start, end = interval
    while start < end:
        bucket = start - start % bucket_ns
        stop = min(end, bucket + bucket_ns)
        yield bucket, stop - start
        start = stop
