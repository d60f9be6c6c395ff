"""Named queries: the store's rows for the views, typed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from correlator.rows import BucketRow, ChannelRow, Selection
from correlator.store.database import Store
from correlator.store.where import Segment, Table, segments, where
from correlator.views.figures import Figures, combine
from correlator.views.uptime import Interval, clip, spread, uptime_ns

MINUTE_NS: Final = 60_000_000_000
# A channel's own sums stay far from SQLite's 63 bits; whatever adds up channels does so in Python.
_ROLLED: Final = """
sum(t.connections), sum(t.packets_out), sum(t.packets_in), sum(t.{bytes}_out), sum(t.{bytes}_in),
sum(t.tcp_uptime_ns), 0, min(t.first_ns), max(t.last_ns), max(t.last_start_ns)
"""
_RECORDS: Final = """
sum(t.part = 0), sum(t.packets_out), sum(t.packets_in), sum(t.{bytes}_out), sum(t.{bytes}_in),
sum(t.end_ns - t.start_ns), 0, min(t.start_ns), max(t.end_ns), max(t.flow_start_ns)
"""


def figures_sql(table: Table, *, wire: bool) -> str:
    """Return the expressions of Figures' fields, but for the channel uptime, over a table named t."""
    return (_ROLLED if table is Table.PERIODS else _RECORDS).format(bytes="wire_bytes" if wire else "payload_bytes")


def channels(store: Store, chosen: Selection, *, use_rollup: bool = True) -> list[ChannelRow]:
    """Return the figures of every channel that has records in the selection."""
    found: dict[int, ChannelRow] = {}
    parts = segments(chosen.since_ns, chosen.until_ns, store.built.period_ns)
    if not use_rollup:
        parts = [Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)]
    for part in parts:
        for row in _channel_rows(store.conn, chosen, part):
            known = found.get(row.channel_id)
            found[row.channel_id] = row if known is None else _together(known, row)
    uptimes = channel_uptimes(store.conn, chosen)
    return [
        row._replace(figures=row.figures._replace(channel_uptime_ns=uptimes.get(row.channel_id, 0)))
        for row in found.values()
    ]


def _channel_rows(conn: sqlite3.Connection, chosen: Selection, part: Segment) -> Iterator[ChannelRow]:
    clause, values = where(chosen, part.table.time_column, part.since_ns, part.until_ns)
    query = f"""SELECT c.channel_id, c.client, c.server, c.server_port, c.protocol,
                       {figures_sql(part.table, wire=chosen.wire)}
                FROM {part.table.value} AS t JOIN channels AS c ON c.channel_id = t.channel_id
                {clause} GROUP BY t.channel_id"""  # noqa: S608 - constant names, bound values
    for row in conn.execute(query, values):
        yield ChannelRow._make((*row[:5], Figures._make(row[5:])))


def _together(one: ChannelRow, other: ChannelRow) -> ChannelRow:
    return one._replace(figures=combine(one.figures, other.figures))


def channel_uptimes(conn: sqlite3.Connection, chosen: Selection) -> dict[int, int]:
    """Return {channel: how long it stood up inside the selection's time}."""
    clause, values = _sessions_where(chosen)
    low, high = _session_bounds(chosen)
    query = f"""SELECT t.channel_id, sum({high} - {low})
                FROM channel_sessions AS t JOIN channels AS c ON c.channel_id = t.channel_id
                {clause} GROUP BY t.channel_id"""  # noqa: S608 - constant names, bound values
    return dict(conn.execute(query, values))


def sessions(conn: sqlite3.Connection, chosen: Selection) -> Iterator[Interval]:
    """Yield the sessions of all channels that touch the selection's time, clipped to it."""
    clause, values = _sessions_where(chosen)
    query = f"""SELECT t.start_ns, t.end_ns
                FROM channel_sessions AS t JOIN channels AS c ON c.channel_id = t.channel_id {clause}"""  # noqa: S608
    for session in conn.execute(query, values):
        clipped = clip(session, chosen.since_ns, chosen.until_ns)
        if clipped is not None:
            yield clipped


def _session_bounds(chosen: Selection) -> tuple[str, str]:
    low = "t.start_ns" if chosen.since_ns is None else "max(t.start_ns, :since)"
    high = "t.end_ns" if chosen.until_ns is None else "min(t.end_ns, :until)"
    return low, high


def _sessions_where(chosen: Selection) -> tuple[str, dict[str, Any]]:
    clause, values = where(chosen, "t.start_ns", None, None)
    tests = [clause.removeprefix("WHERE ")] if clause else []
    if chosen.since_ns is not None:
        tests.append("t.end_ns > :since")
        values["since"] = chosen.since_ns
    if chosen.until_ns is not None:
        tests.append("t.start_ns < :until")
        values["until"] = chosen.until_ns
    return (f"WHERE {' AND '.join(tests)}" if tests else ""), values


def periods(store: Store, chosen: Selection) -> list[BucketRow]:
    """Return the figures of every period that has records in the selection."""
    period_ns = store.built.period_ns
    return _buckets(store, chosen, period_ns, segments(chosen.since_ns, chosen.until_ns, period_ns))


def minutes(store: Store, chosen: Selection) -> list[BucketRow]:
    """Return the figures of every minute that has records in the selection."""
    return _buckets(store, chosen, MINUTE_NS, [Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)])


def _buckets(store: Store, chosen: Selection, bucket_ns: int, parts: list[Segment]) -> list[BucketRow]:
    uptimes: dict[int, int] = {}
    for session in sessions(store.conn, chosen):
        for start, length in spread(session, bucket_ns):
            uptimes[start] = uptimes.get(start, 0) + length
    # Segments meet at the bounds of periods, so no bucket comes out of two of them.
    rows = [row for part in parts for row in _bucket_rows(store.conn, chosen, part, bucket_ns)]
    return [row._replace(figures=row.figures._replace(channel_uptime_ns=uptimes.get(row.start_ns, 0))) for row in rows]


def _bucket_rows(conn: sqlite3.Connection, chosen: Selection, part: Segment, bucket_ns: int) -> Iterator[BucketRow]:
    clause, values = where(chosen, part.table.time_column, part.since_ns, part.until_ns)
    column = part.table.time_column
    query = f"""SELECT {column} - {column} % :bucket AS bucket, count(DISTINCT c.client),
                       count(DISTINCT c.server || ' ' || c.server_port || ' ' || c.protocol),
                       {figures_sql(part.table, wire=chosen.wire)}
                FROM {part.table.value} AS t JOIN channels AS c ON c.channel_id = t.channel_id
                {clause} GROUP BY bucket ORDER BY bucket"""  # noqa: S608 - constant names, bound values
    for row in conn.execute(query, {**values, "bucket": bucket_ns}):
        yield BucketRow._make((*row[:3], Figures._make(row[3:])))


def total_uptime_ns(conn: sqlite3.Connection, chosen: Selection) -> int:
    """Return the channel uptime of all channels together."""
    return uptime_ns(sessions(conn, chosen))
