"""Queries for host names, and for channels by name: a client and a host.

A channel by name is of one protocol, as a service is; over several protocols the figures of its channels add up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.rows import HostChannelRow, HostRow, Selection
from correlator.store.database import Store
from correlator.store.queries import rows_of
from correlator.store.sessions import spans_of
from correlator.store.where import Ids, Segment, Table, host_test, ids_of, segments, source
from correlator.views.figures import Figures
from correlator.views.uptime import Interval, bridge, clip, uptime_ns

_ROLLED: Final = (
    "t.connections, t.packets_out, t.packets_in, t.{bytes}_out, t.{bytes}_in, t.tcp_uptime_ns, t.channel_uptime_ns, "
    "t.first_ns, t.last_ns, t.last_start_ns"
)
_OF_RECORD: Final = (
    "t.part = 0, t.packets_out, t.packets_in, t.{bytes}_out, t.{bytes}_in, t.end_ns - t.start_ns, 0, "
    "t.start_ns, t.end_ns, t.flow_start_ns"
)
_SUMS: Final = (
    "sum(r.f0) AS f0, sum(r.f1) AS f1, sum(r.f2) AS f2, sum(r.f3) AS f3, sum(r.f4) AS f4, sum(r.f5) AS f5, "
    "sum(r.f6) AS f6, min(r.f7) AS f7, max(r.f8) AS f8, max(r.f9) AS f9"
)
_FIELDS: Final = tuple(f"f{place}" for place in range(len(Figures._fields)))
_NOTHING: Final = "0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL"
_UPTIME: Final = "0, 0, 0, 0, 0, 0, json_extract(u.value, '$[2]'), NULL, NULL, NULL"
# What hosts can be sorted by.
_SORTS: Final = {"connections": "f0", "outbound": "f3", "inbound": "f4", "channel-uptime": "f6", "tcp-uptime": "f5"}
# What is bound for each stretch of time.
_TIMES: Final = re.compile(r":(since|until|first_period|last_period)\b")


class Best(NamedTuple):
    """The most or the least of a measure: so many, or so many for each client or host; ties go by name."""

    measure: str
    limit: int
    bottom: bool = False
    per: str | None = None


def hosts(store: Store, chosen: Selection, best: Best | None = None) -> list[HostRow]:
    """Return the figures of every host name that clients asked for in the selection, or the best of them."""
    whole = Selection(protocol=chosen.protocol, host=chosen.host, wire=chosen.wire)
    if chosen == whole and chosen.protocol is not None:
        asked = _all_time(chosen)
        reached = "SELECT count(DISTINCT s.service_id) FROM host_services AS s WHERE s.host_id = g.host_id"
    else:
        asked, reached = _added_up(store, chosen, by_client=False)
    query = f"""SELECT g.host, g.clients, ({reached}), {_listed("g")}
                FROM ({_best(asked.sql, best, "host")}) AS g"""  # noqa: S608 - constant names, bound values
    values = {**asked.values, "count": best.limit if best else -1}
    return [HostRow._make((*row[:3], Figures._make(row[3:]))) for row in rows_of(store.conn, query, values)]


def host_channels(store: Store, chosen: Selection, best: Best | None = None) -> list[HostChannelRow]:
    """Return the figures of every channel by name that has records in the selection, or the best of them."""
    asked, reached = _added_up(store, chosen, by_client=True)
    query = f"""SELECT g.client, g.host, ({reached}), {_listed("g")}
                FROM ({_best(asked.sql, best, "client, host")}) AS g"""  # noqa: S608 - constant names, bound values
    values = {**asked.values, "count": best.limit if best else -1}
    return [HostChannelRow._make((*row[:3], Figures._make(row[3:]))) for row in rows_of(store.conn, query, values)]


def _best(query: str, best: Best | None, names: str) -> str:
    """Return a query with as many of its rows as are wanted."""
    if best is None:
        return query
    order = f"{_SORTS[best.measure]} {'ASC' if best.bottom else 'DESC'}, {names}"
    if best.per is None:
        return f"SELECT * FROM ({query}) ORDER BY {order} LIMIT :count"  # noqa: S608 - constant names
    placed = f"SELECT *, row_number() OVER (PARTITION BY {best.per} ORDER BY {order}) AS place FROM ({query})"  # noqa: S608 - as above
    return f"SELECT * FROM ({placed}) WHERE place <= :count"  # noqa: S608 - as above


def _all_time(chosen: Selection) -> _Query:
    """Return all hosts of a protocol over all time, for which there is a roll-up."""
    test, values = _named(chosen)
    figures = _numbered(_ROLLED, chosen)
    return _Query(
        f"""SELECT t.host_id, h.host, t.clients, {figures}
            FROM host_totals AS t JOIN hosts AS h ON h.host_id = t.host_id WHERE {test}""",  # noqa: S608 - constant names
        values,
    )


def _added_up(store: Store, chosen: Selection, *, by_client: bool) -> tuple[_Query, str]:
    """Return the figures of hosts, or of channels by name, and SQL for how many services each was reached on."""
    rows = _rows(store, chosen)
    test, values = _named(chosen)
    key = "r.host_id" if chosen.protocol is not None else "h.host"
    who, joined, asked_by = "count(DISTINCT r.asking) AS clients", "", "true"
    if by_client:
        who, joined = "r.client_id AS client_id, c.client AS client", "JOIN clients AS c ON c.client_id = r.client_id"
        key, asked_by = f"r.client_id, {key}", "s.client_id = g.client_id"
    elif rows.ids.clients is not None:
        asked_by = "s.client_id IN (SELECT value FROM json_each(:clients))"
    services, reached = "count(DISTINCT r.service_id)", "g.services"
    if rows.all_time:
        services = "NULL"
        reached = f"""SELECT count(DISTINCT s.service_id) FROM host_services AS s WHERE {asked_by}
                      AND s.host_id IN (SELECT h.host_id FROM hosts AS h WHERE h.host = g.host AND {test})"""  # noqa: S608 - constant names
    query = f"""SELECT h.host AS host, {who}, {services} AS services, {_SUMS}
                FROM ({rows.sql}) AS r JOIN hosts AS h ON h.host_id = r.host_id {joined}
                WHERE {test} GROUP BY {key} HAVING min(r.f7) IS NOT NULL"""  # noqa: S608 - constant names, bound values
    return _Query(query, {**rows.values, **values}), reached


class _Query(NamedTuple):
    """A query and what it binds."""

    sql: str
    values: dict[str, Any]


class _Rows(NamedTuple):
    """What is added up: a query of client_id, asking (that where it has records), host_id, service_id, f0, f1, ..."""

    sql: str
    values: dict[str, Any]
    ids: Ids
    all_time: bool
    """Of the roll-up that does not tell services."""


def _rows(store: Store, chosen: Selection) -> _Rows:
    chosen = chosen._replace(host=None)  # that is asked of what is found
    ids = ids_of(store.conn, chosen)
    texts: list[str] = []
    values: dict[str, Any] = {}
    uptimes: list[tuple[int, int, int]] = []
    parts = [Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)]
    if ids.services is None:
        parts = segments(chosen.since_ns, chosen.until_ns, store.built.period_ns)
    for number, part in enumerate(parts):
        for table in _TABLES[part.table]:
            came = source(ids, chosen, part._replace(table=table), store.built.period_s)
            text = _TIMES.sub(rf":\1_{number}", _row(table, chosen, came.sql))
            texts.append(text)
            values |= {
                f"{name}_{number}" if f":{name}_{number}" in text else name: came.values[name] for name in came.values
            }
        if part.table is Table.RECORDS:
            uptimes += _uptimes(store, chosen, ids, part)
    if uptimes or not texts:
        texts.append(
            f"""SELECT json_extract(u.value, '$[0]') AS client_id, NULL AS asking,
                       json_extract(u.value, '$[1]') AS host_id, NULL AS service_id, {_as_fields(_UPTIME)}
                FROM json_each(:uptimes) AS u"""  # noqa: S608 - constant names
        )
        values["uptimes"] = json.dumps(uptimes)
    return _Rows(" UNION ALL ".join(texts), values, ids, any(part.table is Table.TOTALS for part in parts))


_TABLES: Final = {
    Table.TOTALS: (Table.HOST_TOTALS,),
    Table.PERIODS: (Table.HOST_PERIODS, Table.HOST_SERVICES),
    Table.RECORDS: (Table.RECORDS,),
}


def _row(table: Table, chosen: Selection, came: str) -> str:
    """Return the query of a table's rows."""
    asking, service = "t.client_id", "t.service_id"
    figures = _numbered(_ROLLED, chosen)
    if table is Table.RECORDS:
        figures, came = _numbered(_OF_RECORD, chosen), f"{came} AND t.host_id IS NOT NULL"
    elif table is Table.HOST_TOTALS:
        service = "NULL"
    elif table is Table.HOST_SERVICES:
        asking, figures = "NULL", _as_fields(_NOTHING)
    else:
        asking = "CASE WHEN t.first_ns IS NOT NULL THEN t.client_id END"
    return f"""SELECT t.client_id AS client_id, {asking} AS asking, t.host_id AS host_id, {service} AS service_id,
                      {figures} {came}"""


def _uptimes(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterator[tuple[int, int, int]]:
    """Yield (client, host, how long that channel stood up) in a stretch of time that is no whole periods."""
    spans = _spans if ids.services is None else _sessions
    for (client_id, host_id), span in spans(store, chosen, ids, part):
        clipped = clip(span, part.since_ns, part.until_ns)
        if clipped is not None:
            yield client_id, host_id, uptime_ns([clipped])


def _spans(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterator[tuple[tuple[int, int], Interval]]:
    period_ns = store.built.period_ns
    since = None if part.since_ns is None else part.since_ns // period_ns * period_ns
    until = None if part.until_ns is None else -(-part.until_ns // period_ns) * period_ns
    came = source(ids, chosen, Segment(Table.HOST_PERIODS, since, until), store.built.period_s)
    query = f"SELECT t.client_id, t.host_id, t.period_start_s, t.first_ns, t.last_ns, t.spans {came.sql}"
    for client_id, host_id, start_s, *times in store.conn.execute(query, came.values):
        for span in spans_of(start_s * NS_PER_S, period_ns, *times):
            yield (client_id, host_id), span


def _sessions(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterator[tuple[tuple[int, int], Interval]]:
    """Yield the sessions that the records of the selection make: of some services there is no roll-up by name."""
    came = source(ids, chosen, part, store.built.period_s)
    query = f"""SELECT t.client_id, t.host_id, t.start_ns, t.end_ns {came.sql} AND t.host_id IS NOT NULL
                ORDER BY t.client_id, t.host_id"""
    for key, rows in groupby(store.conn.execute(query, came.values), key=itemgetter(0, 1)):
        for session in bridge([(row[2], row[3]) for row in rows], store.built.channel_gap_ns):
            yield key, session


def _named(chosen: Selection) -> tuple[str, dict[str, Any]]:
    """Return the test that rows of hosts AS h are in the selection."""
    tests, values = ["true"], {"protocol": chosen.protocol}
    if chosen.protocol is not None:
        tests.append("h.protocol = :protocol")
    if chosen.host is not None:
        test, bound = host_test(chosen.host)
        tests.append(test)
        return " AND ".join(tests), {**values, **bound}
    return " AND ".join(tests), values


def _numbered(expressions: str, chosen: Selection) -> str:
    return _as_fields(expressions.format(bytes="wire_bytes" if chosen.wire else "payload_bytes"))


def _as_fields(expressions: str) -> str:
    """Return expressions under the names f0, f1, ..."""
    texts = re.split(r", (?!'\$)", expressions)
    return ", ".join(f"{text} AS {field}" for text, field in zip(texts, _FIELDS, strict=True))


def _listed(table: str) -> str:
    return ", ".join(f"{table}.{field}" for field in _FIELDS)
