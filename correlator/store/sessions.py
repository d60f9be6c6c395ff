"""Channel sessions on disk: the union of the records' times, exact in whatever order records arrive."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from correlator.views.uptime import Interval, bridge

# A channel's sessions are disjoint and sorted: those that a span can touch are the last one that
# starts before it, and all that start inside it.
_TOUCHED: Final = """
SELECT start_ns, end_ns FROM channel_sessions
WHERE channel_id = ?1 AND start_ns <= ?3 AND start_ns >= coalesce(
    (SELECT max(start_ns) FROM channel_sessions WHERE channel_id = ?1 AND start_ns <= ?2), ?2)
"""
_DELETE: Final = "DELETE FROM channel_sessions WHERE channel_id = ? AND start_ns = ?"
_REPLACE: Final = "INSERT OR REPLACE INTO channel_sessions (channel_id, start_ns, end_ns) VALUES (?, ?, ?)"


def merge_sessions(conn: sqlite3.Connection, added: Mapping[int, Sequence[Interval]], gap_ns: int) -> None:
    """Put times that channels stood up into their sessions, inside the caller's transaction."""
    gone: list[tuple[int, int]] = []
    changed: list[tuple[int, int, int]] = []
    for channel, intervals in added.items():
        new = bridge(intervals, gap_ns)
        span = (channel, new[0][0], new[-1][1] + gap_ns)
        old = conn.execute(_TOUCHED, span).fetchall()
        merged = bridge([*old, *new], gap_ns) if old else new
        kept = {start for start, _ in merged}
        gone.extend((channel, start) for start, _ in old if start not in kept)
        changed.extend((channel, *session) for session in merged if session not in old)
    conn.executemany(_DELETE, gone)
    conn.executemany(_REPLACE, changed)
