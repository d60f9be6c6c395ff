"""Queries for flows: their parts merged, in any order, streamed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.rows import FlowFigures, Selection
from correlator.store import queries
from correlator.store.columns import RECORD_EXPRESSIONS, record_of
from correlator.store.database import Store
from correlator.store.details import Details
from correlator.store.queries import MINUTE_NS, figures_sql, rows_of
from correlator.store.where import Ids, Segment, Source, Table, ids_of, its_protocol, source
from correlator.views.figures import Figures
from correlator.views.jsontext import FlowRow, Names

# What flows can be sorted by, and the expression over the parts of one flow.
FLOW_SORTS: Final[Mapping[str, str]] = {
    "start_ns": "min(t.start_ns)",
    "end_ns": "max(t.end_ns)",
    "duration": "max(t.end_ns) - min(t.start_ns)",
    "packets_out": "sum(t.packets_out)",
    "packets_in": "sum(t.packets_in)",
    "wire_bytes_out": "sum(t.wire_bytes_out)",
    "wire_bytes_in": "sum(t.wire_bytes_in)",
    "payload_bytes_out": "sum(t.payload_bytes_out)",
    "payload_bytes_in": "sum(t.payload_bytes_in)",
    "client_ip": "c.client",
    "server_ip": "s.server",
    "server_port": "s.server_port",
    "host": "max((SELECT h.host FROM hosts AS h WHERE h.host_id = t.host_id))",
    "sensor": "n.sensor",
}
_RECORD: Final = ", ".join(RECORD_EXPRESSIONS)
_JOIN: Final = """
JOIN clients AS c ON c.client_id = t.client_id
JOIN services AS s ON s.service_id = t.service_id AND (:protocol IS NULL OR s.protocol = :protocol)
JOIN sensors AS n ON n.sensor_id = t.sensor_id
"""
_NAMES: Final = "c.client, t.client_port, s.server, s.server_port, n.sensor, t.flow_id"
# The terms let SQLite use the index of flows in parts.
_OTHER_PART: Final = (
    "{0}.sensor_id = t.sensor_id AND {0}.flow_id = t.flow_id AND ({0}.part > 0 OR {0}.end_reason IS NULL)"
)

_flow_row: Final = partial(tuple.__new__, FlowRow)


class Order(NamedTuple):
    """How flows are sorted and how many are wanted."""

    field: str = "start_ns"
    ascending: bool = False
    limit: int | None = None

    @property
    def direction(self) -> str:
        """As SQL says it."""
        return "ASC" if self.ascending else "DESC"


def selected(store: Store, chosen: Selection) -> Source:
    """Return the records of a selection as ``t``, with the names of what their numbers stand for."""
    whole = Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)
    came = source(ids_of(store.conn, chosen), chosen, whole, store.built.period_s)
    return Source(f"{came.origin} {_JOIN}", came.tests, {**came.values, "protocol": chosen.protocol})


def flow_figures(store: Store, chosen: Selection) -> Iterator[FlowFigures]:
    """Yield the figures of every flow in the selection, in no order."""
    came = selected(store, chosen)
    query = f"""{_flows(chosen)} {came.sql} GROUP BY t.sensor_id, t.flow_id"""
    for row in rows_of(store.conn, query, came.values):
        yield _flow(row, open_=not row[7])


def minute_flows(store: Store, chosen: Selection) -> Iterator[FlowFigures]:
    """Return the figures of every flow in every minute that has records of it, by its first record there."""
    came = selected(store, chosen)
    query = f"""{_flows(chosen)} {came.sql} GROUP BY t.sensor_id, t.flow_id, t.start_ns / {MINUTE_NS}
                ORDER BY min(t.start_ns), n.sensor, t.flow_id"""
    rows = list(rows_of(store.conn, query, came.values))
    ended = {row[:2] for row in rows if row[7]}  # in any of its minutes
    return (_flow(row, open_=row[:2] not in ended) for row in rows)


def flow_rows(store: Store, chosen: Selection) -> Iterator[FlowRow]:
    """Yield every flow in the selection by the numbers of who talked, in no order."""
    yield from _alone(store, chosen)
    for row in _parted(store, chosen, ""):
        yield _flow_row((*row[:5], not row[5], *row[6:]))


def minute_flow_rows(store: Store, chosen: Selection) -> Iterator[FlowRow]:
    """Yield every flow in every minute that has records of it, in no order."""
    yield from _alone(store, chosen)
    rows = list(_parted(store, chosen, f", t.start_ns / {MINUTE_NS}"))
    ended = {row[2:4] for row in rows if row[5]}  # in any of its minutes
    for row in rows:
        yield _flow_row((*row[:5], row[2:4] not in ended, *row[6:]))


def _alone(store: Store, chosen: Selection) -> Iterator[FlowRow]:
    """Yield the flows that are one record, nearly all: what needs no grouping."""
    came, values = _numbered(store, chosen)
    query = f"""SELECT t.client_id, t.service_id, t.sensor_id, t.flow_id, t.client_port, 0,
                       {queries.plain(_figures_of_flows(chosen))} {came} AND t.part = 0 AND t.end_reason IS NOT NULL"""
    return map(_flow_row, rows_of(store.conn, query, values))


def _parted(store: Store, chosen: Selection, also: str) -> Iterator[tuple[Any, ...]]:
    """Yield the flows that are several records, with how many of these end them in place of whether they are open."""
    came, values = _numbered(store, chosen)
    query = f"""SELECT t.client_id, t.service_id, t.sensor_id, t.flow_id, t.client_port, count(t.end_reason),
                       {_figures_of_flows(chosen)} {came} AND (t.part > 0 OR t.end_reason IS NULL)
                GROUP BY t.sensor_id, t.flow_id{also}"""
    return rows_of(store.conn, query, values)


def _numbered(store: Store, chosen: Selection) -> tuple[str, dict[str, Any]]:
    whole = Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)
    came = source(ids_of(store.conn, chosen), chosen, whole, store.built.period_s)
    return f"{came.sql} AND {its_protocol(Table.RECORDS)}", {**came.values, "protocol": chosen.protocol}


def _figures_of_flows(chosen: Selection) -> str:
    """Return the figures of FlowRow: those of records, without channel uptimes and starts of flows."""
    names = figures_sql(Table.RECORDS, wire=chosen.wire).replace("\n", " ").split(", ")
    return ", ".join((*names[:6], *names[7:9]))


def names_of(store: Store, rows: Collection[FlowRow]) -> Names:
    """Return what the numbers of flows stand for."""
    clients = json.dumps(sorted({row.client_id for row in rows}))
    services = json.dumps(sorted({row.service_id for row in rows}))
    their = "IN (SELECT value FROM json_each(?))"
    return Names(
        dict(store.conn.execute(f"SELECT client_id, client FROM clients WHERE client_id {their}", (clients,))),  # noqa: S608 - constant test
        {
            number: (server, port, protocol)
            for number, server, port, protocol in store.conn.execute(
                f"SELECT service_id, server, server_port, protocol FROM services WHERE service_id {their}",  # noqa: S608 - as above
                (services,),
            )
        },
        dict(store.conn.execute("SELECT sensor_id, sensor FROM sensors")),
    )


def _flows(chosen: Selection) -> str:
    """Return the query for groups of records that each are of one flow; what it takes them from follows."""
    return f"""SELECT n.sensor, t.flow_id, c.client, t.client_port, s.server, s.server_port, s.protocol,
                      count(t.end_reason), {figures_sql(Table.RECORDS, wire=chosen.wire)}"""


def _flow(row: tuple[Any, ...], *, open_: bool) -> FlowFigures:
    *counted, tcp_uptime_ns, _, first_ns, last_ns, last_start_ns = row[8:]
    # A flow stands up for as long as it lasts.
    figures = Figures._make((*counted, tcp_uptime_ns, tcp_uptime_ns, first_ns, last_ns, last_start_ns))
    return FlowFigures._make((*row[:7], open_, figures))


def flow_parts(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[str, list[FlowRecord]]]:
    """Yield (sensor, the parts in the selection) of every flow; no more than one flow is in memory."""
    details = Details(store.conn)
    found = _by_start(store, chosen, order) if order.field == "start_ns" else _by_value(store, chosen, order)
    for sensor, sensor_id, flow_id, alone, record_id, *plain in found:
        if alone:
            yield sensor, [record_of(plain, details.of(record_id))]
        else:
            yield sensor, list(parts_of(store, chosen, sensor_id, flow_id, details))


def _by_value(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[Any, ...]]:
    came = selected(store, chosen)
    query = f"""SELECT n.sensor, t.sensor_id, t.flow_id,
                       count(*) = 1 AND t.part = 0 AND t.end_reason IS NOT NULL, t.record_id, {_RECORD}
                {came.sql} GROUP BY t.sensor_id, t.flow_id
                ORDER BY {FLOW_SORTS[order.field]} {order.direction}, {_NAMES} LIMIT :limit"""
    yield from rows_of(store.conn, query, {**came.values, "limit": -1 if order.limit is None else order.limit})


def _by_start(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[Any, ...]]:
    """Yield each flow's first record in the selection, which stands for it.

    All of a time come in the order of an index.  Those of some clients or services do not: where few are wanted, time
    is gone through in stretches that become longer.
    """
    left = -1 if order.limit is None else order.limit
    bounds = {"from_ns": chosen.since_ns, "to_ns": chosen.until_ns}
    since = "" if chosen.since_ns is None else "AND e.start_ns >= :from_ns"
    until = "" if chosen.until_ns is None else "AND e.start_ns < :to_ns"
    for start, end in _stretches(store, chosen, order):
        came = selected(store, chosen._replace(since_ns=start, until_ns=end))
        query = f"""SELECT n.sensor, t.sensor_id, t.flow_id, t.part = 0 AND t.end_reason IS NOT NULL,
                           t.record_id, {_RECORD}
                    {came.sql} AND (t.part = 0 OR NOT EXISTS (
                        SELECT 1 FROM flow_records AS e
                        WHERE {_OTHER_PART.format("e")} AND e.part < t.part {since} {until}))
                    ORDER BY t.start_ns {order.direction}, {_NAMES} LIMIT :limit"""  # noqa: S608 - constant names, bound values
        for row in store.conn.execute(query, {**came.values, "limit": left, **bounds}):
            left -= 1
            yield row
        if left == 0:
            return


def _stretches(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[int | None, int | None]]:
    """Yield (since, until) of parts of the selection's time, in the order wanted; at once where that is as quick."""
    if order.limit is None or ids_of(store.conn, chosen) == Ids(None, None):
        yield chosen.since_ns, chosen.until_ns
        return
    query = f"SELECT DISTINCT period_start_s FROM periods ORDER BY 1 {order.direction}"  # noqa: S608 - one of two words
    starts = [start_s * NS_PER_S for (start_s,) in store.conn.execute(query)]
    length = 1
    while starts:
        some, starts = starts[:length], starts[length:]
        first, last = min(some), max(some) + store.built.period_ns
        start = first if chosen.since_ns is None else max(first, chosen.since_ns)
        end = last if chosen.until_ns is None else min(last, chosen.until_ns)
        if start < end:
            yield start, end
            length *= 2


def parts_of(store: Store, chosen: Selection, sensor_id: int, flow_id: int, details: Details) -> Iterator[FlowRecord]:
    """Yield the parts of a flow that are in the selection."""
    query = f"""SELECT t.record_id, {_RECORD} FROM flow_records AS t {_JOIN}
                WHERE t.sensor_id = :sensor AND t.flow_id = :flow AND (t.part > 0 OR t.end_reason IS NULL)
                AND (:since IS NULL OR t.start_ns >= :since) AND (:until IS NULL OR t.start_ns < :until)
                ORDER BY t.part"""  # noqa: S608 - constant names, bound values
    times = {"since": chosen.since_ns, "until": chosen.until_ns}
    values = {"sensor": sensor_id, "flow": flow_id, "protocol": chosen.protocol, **times}
    for record_id, *plain in store.conn.execute(query, values):
        yield record_of(plain, details.of(record_id))


def records(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[str, FlowRecord]]:
    """Yield every record in the selection as it was received."""
    came = selected(store, chosen)
    expression = _of_one_record(FLOW_SORTS[order.field])
    query = f"""SELECT n.sensor, t.record_id, {_RECORD} {came.sql}
                ORDER BY {expression} {order.direction}, n.sensor, t.flow_id, t.part LIMIT :limit"""
    details = Details(store.conn)
    limit = -1 if order.limit is None else order.limit
    for sensor, record_id, *plain in store.conn.execute(query, {**came.values, "limit": limit}):
        yield sensor, record_of(plain, details.of(record_id))


def _of_one_record(expression: str) -> str:
    for aggregate in ("min(", "max(", "sum("):
        expression = expression.replace(aggregate, "(")
    return expression


def open_flows(store: Store, chosen: Selection) -> int:
    """Return how many flows of the selection have not ended."""
    came = selected(store, chosen)
    tests = came.tests
    ids = ids_of(store.conn, chosen)
    if ids.clients is not None:
        tests += " AND t.client_id IN (SELECT value FROM json_each(:clients))"
    if ids.services is not None:
        tests += " AND t.service_id IN (SELECT value FROM json_each(:services))"
    query = f"""SELECT count(*) FROM open_flows AS o WHERE EXISTS (
                    SELECT 1 FROM flow_records AS t INDEXED BY flow_records_parts
                    JOIN services AS s ON s.service_id = t.service_id AND (:protocol IS NULL OR s.protocol = :protocol)
                    WHERE t.sensor_id = o.sensor_id AND t.flow_id = o.flow_id
                    AND (t.part > 0 OR t.end_reason IS NULL) AND {tests})"""  # noqa: S608 - constant names, bound values
    return int(store.conn.execute(query, came.values).fetchone()[0])
