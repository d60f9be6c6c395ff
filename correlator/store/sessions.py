"""Channel sessions on disk: the union of the records' times, exact in whatever order records arrive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from correlator.views.uptime import Interval, bridge

# Asked for a whole batch at once: nearly always new records follow, or go on, a channel's last session.
_LAST: Final = """
SELECT s.channel_id, s.start_ns, s.end_ns
FROM json_each(?) AS j JOIN channel_sessions AS s ON s.channel_id = j.value
AND s.start_ns = (SELECT max(start_ns) FROM channel_sessions WHERE channel_id = j.value)
"""
# A channel's sessions are disjoint and sorted: those that a span can touch are the last one that
# starts before it, and all that start inside it.
_TOUCHED: Final = """
SELECT start_ns, end_ns FROM channel_sessions
WHERE channel_id = :channel AND start_ns <= :high AND start_ns >= coalesce(
    (SELECT max(start_ns) FROM channel_sessions WHERE channel_id = :channel AND start_ns <= :low), :low)
"""
_DELETE: Final = "DELETE FROM channel_sessions WHERE channel_id = ? AND start_ns = ?"
_PUT: Final = """
INSERT INTO channel_sessions (channel_id, start_ns, end_ns) VALUES (?, ?, ?)
ON CONFLICT (channel_id, start_ns) DO UPDATE SET end_ns = excluded.end_ns
"""


def merge_sessions(conn: sqlite3.Connection, added: Mapping[int, Sequence[Interval]], gap_ns: int) -> None:
    """Put times that channels stood up into their sessions, inside the caller's transaction."""
    last = _last_sessions(conn, added)
    gone: list[tuple[int, int]] = []
    changed: list[tuple[int, int, int]] = []
    for channel, intervals in added.items():
        latest = last.get(channel)
        if len(intervals) == 1 and (latest is None or intervals[0][0] >= latest[0]):
            session = _one_more(latest, intervals[0], gap_ns)
            if session != latest:
                changed.append((channel, *session))
            continue
        new = bridge(intervals, gap_ns)
        if latest is None or new[0][0] >= latest[0]:
            old = [] if latest is None else [latest]
        else:
            old = conn.execute(_TOUCHED, {"channel": channel, "low": new[0][0], "high": new[-1][1] + gap_ns}).fetchall()
        merged = bridge([*old, *new], gap_ns)
        kept = {start for start, _ in merged}
        gone.extend((channel, start) for start, _ in old if start not in kept)
        changed.extend((channel, *session) for session in merged if session not in old)
    conn.executemany(_DELETE, gone)
    conn.executemany(_PUT, sorted(changed))


def _one_more(latest: Interval | None, interval: Interval, gap_ns: int) -> Interval:
    """Return the session that an interval not before the latest one begins or goes on."""
    if latest is None or interval[0] - latest[1] > gap_ns:
        return interval
    return (latest[0], interval[1]) if interval[1] > latest[1] else latest


def _last_sessions(conn: sqlite3.Connection, channels: Iterable[int]) -> dict[int, Interval]:
    listed = msgspec.json.encode(list(channels)).decode()
    return {channel: (start, end) for channel, start, end in conn.execute(_LAST, (listed,))}
