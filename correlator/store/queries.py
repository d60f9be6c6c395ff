"""Named queries: the store's rows for the views, typed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

from common.timespan import NS_PER_S
from correlator.rows import BucketRow, ChannelRow, Selection
from correlator.store.database import Store
from correlator.store.sessions import spans_of
from correlator.store.where import Ids, Segment, Table, ids_of, its_protocol, segments, source
from correlator.views.figures import Figures, combine
from correlator.views.uptime import Interval, bridge, clip, spread

MINUTE_NS: Final = 60_000_000_000
_ROLLED: Final = """
sum(t.connections), sum(t.packets_out), sum(t.packets_in), sum(t.{bytes}_out), sum(t.{bytes}_in),
sum(t.tcp_uptime_ns), sum(t.channel_uptime_ns), min(t.first_ns), max(t.last_ns), max(t.last_start_ns)
"""
_RECORDS: Final = """
sum(t.part = 0), sum(t.packets_out), sum(t.packets_in), sum(t.{bytes}_out), sum(t.{bytes}_in),
sum(t.end_ns - t.start_ns), 0, min(t.start_ns), max(t.end_ns), max(t.flow_start_ns)
"""
_FIRST: Final = Figures._fields.index("first_ns")
_UPTIME: Final = Figures._fields.index("channel_uptime_ns")
GROUPED: Final = ", ".join(f"g.f{place}" for place in range(len(Figures._fields)))
_TOGETHER: Final = 500
_PROTOCOL: Final = "(:protocol IS NULL OR s.protocol = :protocol)"

Key = tuple[int, int]


def figures_sql(table: Table, *, wire: bool) -> str:
    """Return the expressions of Figures' fields over a table named t; records know of no channel uptime."""
    expressions = _RECORDS if table is Table.RECORDS else _ROLLED
    return expressions.format(bytes="wire_bytes" if wire else "payload_bytes")


def rows_of(conn: sqlite3.Connection, query: str, values: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query; where forged records overflow its sums, those are only near the truth."""
    done = 0
    try:
        found = conn.execute(query, values)
        while some := found.fetchmany(_TOGETHER):
            yield from some
            done += len(some)
    except sqlite3.OperationalError as error:
        if "integer overflow" not in str(error):
            raise
        for row in islice(conn.execute(query.replace("sum(", "total("), values), done, None):
            yield tuple(int(value) if isinstance(value, float) else value for value in row)


def plan(store: Store, chosen: Selection) -> list[Segment]:
    """Return which table answers for which part of a selection's time."""
    if chosen.host is not None:  # roll-ups do not know it
        return [Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)]
    return segments(chosen.since_ns, chosen.until_ns, store.built.period_ns)


def channels(store: Store, chosen: Selection, *, use_rollup: bool = True) -> list[ChannelRow]:
    """Return the figures of every channel that has records in the selection."""
    ids = ids_of(store.conn, chosen)
    parts = plan(store, chosen) if use_rollup else [Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)]
    found: dict[Key, ChannelRow] = {}
    uptimes: dict[Key, int] = {}
    for part in parts:
        for key, uptime, row in _channel_rows(store, chosen, ids, part):
            uptimes[key] = uptimes.get(key, 0) + uptime
            if row is None:
                continue
            known = found.get(key)
            found[key] = row if known is None else known._replace(figures=combine(known.figures, row.figures))
        if part.table is Table.RECORDS:
            for key, length in _uptimes(store, chosen, ids, part).items():
                uptimes[key] = uptimes.get(key, 0) + length
    return [
        row._replace(figures=row.figures._replace(channel_uptime_ns=uptimes.get(key, 0))) for key, row in found.items()
    ]


def _channel_rows(
    store: Store, chosen: Selection, ids: Ids, part: Segment
) -> Iterator[tuple[Key, int, ChannelRow | None]]:
    """Yield (channel, its uptime, its figures) in a segment; no figures where it only stood up."""
    came = source(ids, chosen, part, store.built.period_s)
    figures = named(figures_sql(part.table, wire=chosen.wire))
    grouped = "GROUP BY t.client_id, t.service_id"
    if part.table is Table.TOTALS:  # grouped already
        figures, grouped = plain(figures), ""
    query = f"""SELECT g.client_id, g.service_id, c.client, s.server, s.server_port, s.protocol, {GROUPED}
                FROM (SELECT t.client_id, t.service_id, {figures} {came.sql} {grouped}) AS g
                JOIN clients AS c ON c.client_id = g.client_id JOIN services AS s ON s.service_id = g.service_id
                WHERE {_PROTOCOL}"""  # noqa: S608 - constant names, bound values
    for client_id, service_id, *rest in rows_of(store.conn, query, {**came.values, "protocol": chosen.protocol}):
        names, values = rest[:4], rest[4:]
        row = None
        if values[_FIRST] is not None:
            row = ChannelRow._make((client_id << 32 | service_id, *names, Figures._make(values)))
        yield (client_id, service_id), values[_UPTIME], row


def _uptimes(store: Store, chosen: Selection, ids: Ids, part: Segment) -> dict[Key, int]:
    """Return how long channels stood up in a segment that is no whole periods."""
    uptimes: dict[Key, int] = {}
    for key, span in spans(store, chosen, ids, part):
        uptimes[key] = uptimes.get(key, 0) + span[1] - span[0]
    return uptimes


def spans(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterator[tuple[Key, Interval]]:
    """Yield (channel, time) for all that channels stood up in a stretch of time; a session comes in pieces."""
    if chosen.host is not None:
        yield from _host_sessions(store, chosen, ids, part)
        return
    period_ns, period_s = store.built.period_ns, store.built.period_s
    since = None if part.since_ns is None else part.since_ns // period_ns * period_ns
    until = None if part.until_ns is None else -(-part.until_ns // period_ns) * period_ns
    came = source(ids, chosen, Segment(Table.PERIODS, since, until), period_s)
    query = f"""SELECT t.client_id, t.service_id, t.period_start_s, t.first_ns, t.last_ns, t.spans {came.sql}"""
    if chosen.protocol is not None:
        query += f" AND {its_protocol(Table.PERIODS)}"
    values = {**came.values, "protocol": chosen.protocol}
    for client_id, service_id, start_s, first, last, written in store.conn.execute(query, values):
        for span in spans_of(start_s * NS_PER_S, period_ns, first, last, written):
            clipped = clip(span, part.since_ns, part.until_ns)
            if clipped is not None:
                yield (client_id, service_id), clipped


def _host_sessions(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterator[tuple[Key, Interval]]:
    """Yield the sessions of the flows to a host name, by channel, as the records of the selection tell them."""
    came = source(ids, chosen, part, store.built.period_s)
    query = f"""SELECT t.client_id, t.service_id, t.start_ns, t.end_ns {came.sql}
                AND {its_protocol(Table.RECORDS)} ORDER BY 1, 2"""
    values = {**came.values, "protocol": chosen.protocol}
    for key, rows in groupby(store.conn.execute(query, values), key=itemgetter(0, 1)):
        for session in bridge([(row[2], row[3]) for row in rows], store.built.channel_gap_ns):
            clipped = clip(session, part.since_ns, part.until_ns)
            if clipped is not None:
                yield key, clipped


def periods(store: Store, chosen: Selection) -> list[BucketRow]:
    """Return the figures of every period that has records in the selection."""
    ids = ids_of(store.conn, chosen)
    period_ns = store.built.period_ns
    rows: list[BucketRow] = []
    # Segments meet at the bounds of periods, so no bucket comes out of two of them.
    for part in plan(store, chosen):
        if part.table is Table.RECORDS:
            rows += _record_buckets(store, chosen, ids, part, period_ns)
        elif ids == Ids(None, None) and chosen.protocol is not None:
            rows += _rolled_periods(store, chosen, part)
        else:
            rows += _channel_buckets(store, chosen, ids, part)
    return sorted(rows)


def minutes(store: Store, chosen: Selection) -> list[BucketRow]:
    """Return the figures of every minute that has records in the selection."""
    whole = Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)
    return list(_record_buckets(store, chosen, ids_of(store.conn, chosen), whole, MINUTE_NS))


def _rolled_periods(store: Store, chosen: Selection, part: Segment) -> Iterator[BucketRow]:
    tests, values = ["t.protocol = :protocol", "t.first_ns IS NOT NULL"], {"protocol": chosen.protocol}
    for test, name, moment in ((">=", "since", part.since_ns), ("<", "until", part.until_ns)):
        if moment is not None:
            tests.append(f"t.period_start_s {test} :{name}")
            values[name] = moment // NS_PER_S
    query = f"""SELECT t.period_start_s, t.clients, t.services, {plain(figures_sql(Table.PERIODS, wire=chosen.wire))}
                FROM periods AS t WHERE {" AND ".join(tests)}"""  # noqa: S608 - constant names, bound values
    for start_s, clients, services, *figures in store.conn.execute(query, values):
        yield BucketRow(start_s * NS_PER_S, clients, services, Figures._make(figures))


def _channel_buckets(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterator[BucketRow]:
    part = part._replace(table=Table.PERIODS)
    came = source(ids, chosen, part, store.built.period_s)
    counted = "CASE WHEN t.first_ns IS NOT NULL THEN t.{}_id END"
    query = f"""SELECT t.period_start_s, count(DISTINCT {counted.format("client")}),
                       count(DISTINCT {counted.format("service")}), {figures_sql(part.table, wire=chosen.wire)}
                {came.sql} AND {its_protocol(part.table)} GROUP BY t.period_start_s"""
    for start_s, clients, services, *figures in rows_of(
        store.conn, query, {**came.values, "protocol": chosen.protocol}
    ):
        if figures[_FIRST] is not None:
            yield BucketRow(start_s * NS_PER_S, clients, services, Figures._make(figures))


def _record_buckets(store: Store, chosen: Selection, ids: Ids, part: Segment, bucket_ns: int) -> Iterator[BucketRow]:
    uptimes: dict[int, int] = {}
    for _, span in spans(store, chosen, ids, part):
        for start, length in spread(span, bucket_ns):
            uptimes[start] = uptimes.get(start, 0) + length
    came = source(ids, chosen, part, store.built.period_s)
    query = f"""SELECT t.start_ns / :bucket AS bucket, count(DISTINCT t.client_id), count(DISTINCT t.service_id),
                       {figures_sql(part.table, wire=chosen.wire)}
                {came.sql} AND {its_protocol(part.table)} GROUP BY bucket ORDER BY bucket"""
    values = {**came.values, "protocol": chosen.protocol, "bucket": bucket_ns}
    for number, clients, services, *found in rows_of(store.conn, query, values):
        start = number * bucket_ns
        figures = Figures._make(found)._replace(channel_uptime_ns=uptimes.get(start, 0))
        yield BucketRow(start, clients, services, figures)


def plain(expressions: str) -> str:
    """Return expressions over many rows as those over one."""
    for aggregate in ("sum(", "min(", "max("):
        expressions = expressions.replace(aggregate, "(")
    return expressions


def named(expressions: str) -> str:
    """Return expressions with the names f0, f1, ..."""
    texts = expressions.replace("\n", " ").split(", ")
    return ", ".join(f"{text} AS f{place}" for place, text in enumerate(texts))
