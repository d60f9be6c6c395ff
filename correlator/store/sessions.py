"""How long channels stood up, exact in whatever order records arrive: spans of time in each period's row.

Records of a channel that follow each other within the channel gap are one session (``views.uptime.bridge``).  A session
is kept in pieces, cut at the bounds of periods, so that uptimes add up over periods, channels and clients, and a record
changes only what is near it in time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.store.database import Built
from correlator.store.rollup import SERVICES, Kind
from correlator.views.uptime import Interval, bridge, clip, uptime_ns


class _Statements(NamedTuple):
    """What is asked and told about a kind of channels."""

    added: str
    intervals: str
    known: str
    correct: str
    spill: str
    """A period in which the channel only stood up."""


_TEXTS: Final = _Statements(
    """SELECT client_id, {number}, period_start_s, place, records, first_ns, last_ns,
              known_first_ns, known_last_ns, known_uptime_ns, known_spans FROM {added}""",
    "SELECT t.client_id, t.{number}, t.start_ns, t.end_ns FROM flow_records AS t WHERE {records}",
    """SELECT first_ns, last_ns, channel_uptime_ns, spans FROM {periods}
       WHERE period_start_s = ? AND client_id = ? AND {number} = ?""",
    "UPDATE {added} SET channel_uptime_ns = ?, spans = ? WHERE place = ?",
    """INSERT INTO {added} (period_start_s, client_id, {number}, protocol, records, connections,
           packets_out, packets_in, wire_bytes_out, wire_bytes_in, payload_bytes_out, payload_bytes_in,
           tcp_uptime_ns, channel_uptime_ns, spans, new_ever, new_here)
       SELECT ?, ?, {number}, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, 0, 0 FROM {things} WHERE {number} = ?""",
)


@cache
def _statements(kind: Kind) -> _Statements:
    named = {"number": kind.number, "added": f"temp.{kind.added}", "periods": kind.periods, "things": kind.things}
    return _Statements._make(text.format(**named, records=kind.records) for text in _TEXTS)


Channel = tuple[int, int]


class _Row(NamedTuple):
    """What is known of a channel in one period: its records' times and how long it stood up."""

    first_ns: int | None
    last_ns: int | None
    uptime_ns: int
    spans: str | None


class _Group(NamedTuple):
    """New records of a channel in one period, and what was known before."""

    period_s: int
    place: int
    records: int
    first_ns: int
    last_ns: int
    known: _Row | None


def spans_of(period_start_ns: int, period_ns: int, first_ns: int, last_ns: int, spans: str | None) -> list[Interval]:
    """Return the times in a period during which a channel stood up, from its row by period."""
    if spans is None:
        return [(first_ns, min(last_ns, period_start_ns + period_ns))]
    ends = [period_start_ns + offset for offset in json.loads(spans)]
    return list(zip(ends[::2], ends[1::2], strict=True))


def merge_sessions(conn: sqlite3.Connection, first: int, last: int, built: Built, kind: Kind = SERVICES) -> None:
    """Correct the channel uptimes of the groups of the records with these numbers, where they are not simple."""
    statements = _statements(kind)
    period_ns, gap_ns = built.period_ns, built.channel_gap_ns
    several: set[Channel] = set()  # with records in several periods, or to be looked at closely
    seen: set[Channel] = set()
    corrections: list[tuple[int, str | None, int]] = []
    rows = conn.execute(statements.added).fetchall()
    for client, thing, *_ in rows:
        channel = (client, thing)
        (several if channel in seen else seen).add(channel)
    for client, thing, period_s, place, records, start, end, known_start, known_end, uptime, spans in rows:
        if (client, thing) in several:
            continue
        begin = period_s * NS_PER_S
        if (records == 1 or end - start <= gap_ns) and start - begin > gap_ns and begin + period_ns - end > gap_ns:
            if uptime is None:
                continue  # alone, and far from the periods beside this one
            if (
                spans is None
                and known_start is not None
                and known_end <= begin + period_ns
                and max(start, known_start) - min(end, known_end) <= gap_ns
            ):
                corrections.append((max(end, known_end) - min(start, known_start) - uptime, None, place))
                continue
        several.add((client, thing))
    if several:
        groups = _groups_of(rows, several)
        intervals = _intervals_of(conn, groups, (statements.intervals, {"first": first, "last": last}), gap_ns)
        spilt: list[tuple[int, int, int, str | None, int]] = []
        for channel, found in groups.items():
            closely = _Closely(conn, channel, found, built, statements.known)
            corrections += closely.corrected(intervals[channel])
            spilt += closely.spilt
        conn.executemany(statements.spill, spilt)
    conn.executemany(statements.correct, corrections)


def _groups_of(rows: Iterable[Sequence[Any]], channels: set[Channel]) -> dict[Channel, list[_Group]]:
    groups: dict[Channel, list[_Group]] = {channel: [] for channel in channels}
    for client, thing, period_s, place, records, start, end, *known in rows:
        if (client, thing) in channels:
            row = None if known[2] is None else _Row._make(known)
            groups[client, thing].append(_Group(period_s, place, records, start, end, row))
    return groups


def _intervals_of(
    conn: sqlite3.Connection, groups: dict[Channel, list[_Group]], records: tuple[str, dict[str, int]], gap_ns: int
) -> dict[Channel, list[Interval]]:
    """Return the times that the new records of channels cover; short groups leave no gap between their records."""
    intervals: dict[Channel, list[Interval]] = {}
    scattered: set[Channel] = set()
    for channel, found in groups.items():
        intervals[channel] = [(group.first_ns, group.last_ns) for group in found]
        if any(group.records > 1 and group.last_ns - group.first_ns > gap_ns for group in found):
            scattered.add(channel)
            intervals[channel] = []
    if scattered:
        for client, thing, start, end in conn.execute(*records):
            if (client, thing) in scattered:
                intervals[client, thing].append((start, end))
    return intervals


class _Closely:
    """One channel's new times put among those known around them."""

    def __init__(
        self, conn: sqlite3.Connection, channel: Channel, groups: Iterable[_Group], built: Built, known: str
    ) -> None:
        self._query = known
        self._conn = conn
        self._channel = channel
        self._groups = {group.period_s: group for group in groups}
        self._built = built
        self.spilt: list[tuple[int, int, int, str | None, int]] = []

    def corrected(self, intervals: Sequence[Interval]) -> Iterator[tuple[int, str | None, int]]:
        """Yield (what the uptime grows by, spans, place) for every group; gather what other periods get."""
        near: list[Interval] = []
        first = last = 0
        for start, end in sorted(intervals):
            # A session may end exactly where the period before begins to be in reach.
            low = (start - self._built.channel_gap_ns - 1) // self._built.period_ns
            if near and low > last:
                yield from self._corrected(near, first, last)
                near = []
            high = (end + self._built.channel_gap_ns) // self._built.period_ns
            first, last = (min(first, low), max(last, high)) if near else (low, high)
            near.append((start, end))
        yield from self._corrected(near, first, last)

    def _corrected(self, near: Sequence[Interval], first: int, last: int) -> Iterator[tuple[int, str | None, int]]:
        """Do so for times that may touch the same periods, which are those with numbers from first to last."""
        period_s = self._built.period_s
        known = {number * period_s: self._known(number * period_s) for number in range(first, last + 1)}
        before = [piece for start_s, row in known.items() if row is not None for piece in self._pieces(start_s, row)]
        sessions = bridge([*before, *near], self._built.channel_gap_ns)
        cut = self._cut(sessions)
        for start_s, row in known.items():
            pieces = cut.get(start_s, [])
            group = self._groups.get(start_s)
            grown = uptime_ns(pieces) - (0 if row is None else row.uptime_ns)
            spans = self._spans(start_s, row, group, pieces)
            if group is not None:
                yield grown, spans, group.place
            elif pieces if row is None else spans != row.spans:
                self.spilt.append((start_s, self._channel[0], grown, spans, self._channel[1]))

    def _known(self, start_s: int) -> _Row | None:
        group = self._groups.get(start_s)
        if group is not None:
            return group.known
        found = self._conn.execute(self._query, (start_s, *self._channel)).fetchone()
        return None if found is None else _Row._make(found)

    def _pieces(self, start_s: int, row: _Row) -> list[Interval]:
        if row.spans is None and (row.first_ns is None or row.last_ns is None):
            return []
        return spans_of(start_s * NS_PER_S, self._built.period_ns, row.first_ns or 0, row.last_ns or 0, row.spans)

    def _cut(self, sessions: Iterable[Interval]) -> dict[int, list[Interval]]:
        """Return {period: the sessions inside it}; one that ends at a period's start has nothing in it."""
        cut: dict[int, list[Interval]] = {}
        period_ns = self._built.period_ns
        for session in sessions:
            start, end = session
            for number in range(start // period_ns, end // period_ns + 1):
                piece = clip(session, number * period_ns, (number + 1) * period_ns)
                if piece is not None and (piece[0] < piece[1] or start == end):
                    cut.setdefault(number * self._built.period_s, []).append(piece)
        return cut

    def _spans(self, start_s: int, row: _Row | None, group: _Group | None, pieces: Sequence[Interval]) -> str | None:
        known: list[_Row | _Group] = [one for one in (row, group) if one is not None]
        starts = [one.first_ns for one in known if one.first_ns is not None]
        ends = [one.last_ns for one in known if one.last_ns is not None]
        begin = start_s * NS_PER_S
        if starts and list(pieces) == [(min(starts), min(max(ends), begin + self._built.period_ns))]:
            return None
        return json.dumps([moment - begin for piece in pieces for moment in piece], separators=(",", ":"))
