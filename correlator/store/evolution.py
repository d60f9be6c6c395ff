"""One figure along the run: its value in every bucket of time, for the evolution."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.queries import sessions
from correlator.store.where import Segment, Table, segments, where
from correlator.views.uptime import Interval, bridge, clip, spread

_ROLLED: Final[Mapping[str, str]] = {
    "connections": "sum(t.connections)",
    "outbound": "sum(t.{bytes}_out)",
    "inbound": "sum(t.{bytes}_in)",
    "tcp-uptime": "sum(t.tcp_uptime_ns)",
}
_RECORDS: Final[Mapping[str, str]] = {
    **_ROLLED,
    "connections": "sum(t.part = 0)",
    "tcp-uptime": "sum(t.end_ns - t.start_ns)",
}
# A flow has the name that any of its parts knew.
_NAMED: Final = "(t.sensor, t.flow_id) IN (SELECT sensor, flow_id FROM flow_records WHERE {test})"


class Run(NamedTuple):
    """When the first and the last record of a store began."""

    first_ns: int
    last_ns: int


def run(store: Store) -> Run | None:
    """Return the time that the store knows of, None when it is empty."""
    query = "SELECT (SELECT min(start_ns) FROM flow_records), (SELECT max(start_ns) FROM flow_records)"
    first, last = store.conn.execute(query).fetchone()
    return None if first is None else Run(first, last)


def evolution(store: Store, chosen: Selection, measure: str, bucket_ns: int) -> dict[int, int]:
    """Return {start of a bucket: a measure's value in it} of all that the selection takes; uptimes are nanoseconds.

    Buckets without a record are left out. The values of buckets add up to the measure of the whole selection.
    """
    if measure == "channel-uptime":
        return _uptimes(_times(store, chosen), bucket_ns)
    whole = Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)
    from_rollup = chosen.host is None and bucket_ns % store.built.period_ns == 0
    parts = segments(chosen.since_ns, chosen.until_ns, store.built.period_ns) if from_rollup else [whole]
    found: dict[int, int] = {}
    for part in parts:
        for start, value in _values(store.conn, chosen, part, measure, bucket_ns):
            found[start] = found.get(start, 0) + value
    return found


def _values(
    conn: sqlite3.Connection, chosen: Selection, part: Segment, measure: str, bucket_ns: int
) -> Iterator[tuple[int, int]]:
    expressions = _ROLLED if part.table is Table.PERIODS else _RECORDS
    value = expressions[measure].format(bytes="wire_bytes" if chosen.wire else "payload_bytes")
    column = part.table.time_column
    clause, values = _where_named(chosen, part)
    query = f"""SELECT {column} - {column} % :bucket AS bucket, {value}
                FROM {part.table.value} AS t JOIN channels AS c ON c.channel_id = t.channel_id
                {clause} GROUP BY bucket"""  # noqa: S608 - constant names, bound values
    yield from conn.execute(query, {**values, "bucket": bucket_ns})


def _where_named(chosen: Selection, part: Segment) -> tuple[str, dict[str, Any]]:
    clause, values = where(chosen._replace(host=None), part.table.time_column, part.since_ns, part.until_ns)
    if chosen.host is None:
        return clause, values
    below = chosen.host.startswith("*.")
    named = _NAMED.format(test="substr(lower(host), -length(:host)) = :host" if below else "lower(host) = :host")
    return f"{clause} AND {named}" if clause else f"WHERE {named}", {**values, "host": chosen.host[below:]}


def _times(store: Store, chosen: Selection) -> Iterable[Interval]:
    if chosen.host is None:
        return sessions(store.conn, chosen)
    clause, values = _where_named(chosen, Segment(Table.RECORDS, None, None))
    query = f"""SELECT c.client, lower(max(t.host)), min(t.start_ns), max(t.end_ns)
                FROM flow_records AS t JOIN channels AS c ON c.channel_id = t.channel_id
                {clause} GROUP BY t.sensor, t.flow_id"""  # noqa: S608 - constant names, bound values
    # A channel by name is a client and a host, whatever the proxy between them.
    by_channel: dict[tuple[str, str], list[Interval]] = {}
    for client, host, start, end in store.conn.execute(query, values):
        by_channel.setdefault((client, host), []).append((start, end))
    stood_up = (time for times in by_channel.values() for time in bridge(times, store.built.channel_gap_ns))
    clipped = (clip(time, chosen.since_ns, chosen.until_ns) for time in stood_up)
    return [time for time in clipped if time is not None]


def _uptimes(times: Iterable[Interval], bucket_ns: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for time in times:
        for start, length in spread(time, bucket_ns):
            found[start] = found.get(start, 0) + length
    return found
