"""Queries for flows: their parts merged, in any order, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from common.records import FlowRecord
from correlator.rows import FlowFigures, HostRow, Selection
from correlator.store.columns import RECORD_EXPRESSIONS, record_of
from correlator.store.database import Store
from correlator.store.queries import figures_sql
from correlator.store.where import Table, where
from correlator.views.figures import Figures
from correlator.views.uptime import Interval

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
    "server_ip": "c.server",
    "server_port": "c.server_port",
    "host": "max(t.host)",
    "sensor": "t.sensor",
}
_RECORD: Final = ", ".join(RECORD_EXPRESSIONS)
_JOIN: Final = "FROM flow_records AS t JOIN channels AS c ON c.channel_id = t.channel_id"


class Order(NamedTuple):
    """How flows are sorted and how many are wanted."""

    field: str = "start_ns"
    ascending: bool = False
    limit: int | None = None


def flow_figures(store: Store, chosen: Selection) -> Iterator[FlowFigures]:
    """Yield the figures of every flow in the selection, in no order."""
    clause, values = where(chosen, "t.start_ns", chosen.since_ns, chosen.until_ns)
    query = f"""SELECT t.sensor, t.flow_id, c.client, t.client_port, c.server, c.server_port, c.protocol,
                       sum(t.end_reason IS NOT NULL) = 0, {figures_sql(Table.RECORDS, wire=chosen.wire)}
                {_JOIN} {clause} GROUP BY t.sensor, t.flow_id"""
    for row in store.conn.execute(query, values):
        figures = Figures._make(row[8:])
        # A flow stands up for as long as it lasts.
        figures = figures._replace(channel_uptime_ns=figures.tcp_uptime_ns)
        yield FlowFigures._make((*row[:7], bool(row[7]), figures))


def flow_parts(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[str, list[FlowRecord]]]:
    """Yield (sensor, the parts in the selection) of every flow; no more than one flow is in memory."""
    clause, values = where(chosen, "t.start_ns", chosen.since_ns, chosen.until_ns)
    direction = "ASC" if order.ascending else "DESC"
    names = "c.client, t.client_port, c.server, c.server_port, t.sensor, t.flow_id"
    # The limit is on flows, so they are chosen first; then their parts come one after the other.
    query = f"""WITH flow AS (
                    SELECT t.sensor AS flow_sensor, t.flow_id AS flow_number, {FLOW_SORTS[order.field]} AS place
                    {_JOIN} {clause} GROUP BY t.sensor, t.flow_id ORDER BY place {direction}, {names} LIMIT :limit)
                SELECT t.sensor, {_RECORD}
                FROM flow JOIN flow_records AS t ON t.sensor = flow.flow_sensor AND t.flow_id = flow.flow_number
                JOIN channels AS c ON c.channel_id = t.channel_id
                {clause} ORDER BY flow.place {direction}, {names}, t.part"""  # noqa: S608 - constant names, bound values
    rows = store.conn.execute(query, {**values, "limit": -1 if order.limit is None else order.limit})
    for (sensor, _), parts in groupby(rows, key=itemgetter(0, 1)):
        yield sensor, [record_of(row[1:]) for row in parts]


def records(store: Store, chosen: Selection, order: Order) -> Iterator[tuple[str, FlowRecord]]:
    """Yield every record in the selection as it was received."""
    clause, values = where(chosen, "t.start_ns", chosen.since_ns, chosen.until_ns)
    direction = "ASC" if order.ascending else "DESC"
    expression = _of_one_record(FLOW_SORTS[order.field])
    query = f"""SELECT t.sensor, {_RECORD} {_JOIN} {clause}
                ORDER BY {expression} {direction}, t.sensor, t.flow_id, t.part LIMIT :limit"""
    for row in store.conn.execute(query, {**values, "limit": -1 if order.limit is None else order.limit}):
        yield row[0], record_of(row[1:])


def _of_one_record(expression: str) -> str:
    for aggregate in ("min(", "max(", "sum("):
        expression = expression.replace(aggregate, "(")
    return expression


def open_flows(store: Store, chosen: Selection) -> int:
    """Return how many flows of the selection have not ended."""
    clause, values = where(chosen, "t.start_ns", chosen.since_ns, chosen.until_ns)
    open_once = f"{clause} AND t.end_reason IS NULL" if clause else "WHERE t.end_reason IS NULL"
    query = f"""SELECT count(*) FROM (SELECT DISTINCT t.sensor, t.flow_id {_JOIN} {open_once}) AS once
                WHERE NOT EXISTS (
                    SELECT 1 FROM flow_records AS e WHERE e.sensor = once.sensor AND e.flow_id = once.flow_id
                    AND e.end_reason IS NOT NULL)"""  # noqa: S608 - constant names, bound values
    return int(store.conn.execute(query, values).fetchone()[0])


def hosts(store: Store, chosen: Selection) -> list[HostRow]:
    """Return the figures of every host name that clients asked for, without the channel uptime."""
    query, values = _named_flows(chosen)
    outer = f"""SELECT host, count(DISTINCT client), count(DISTINCT server || ' ' || server_port),
                       sum(f0), sum(f1), sum(f2), sum(f3), sum(f4), sum(f5), 0, min(f7), max(f8), max(f9)
                FROM ({query}) WHERE host IS NOT NULL GROUP BY host"""  # noqa: S608 - constant names
    return [HostRow._make((*row[:3], Figures._make(row[3:]))) for row in store.conn.execute(outer, values)]


def host_intervals(store: Store, chosen: Selection) -> Iterator[tuple[str, str, Interval]]:
    """Yield (host, client, time a flow took), sorted by host and client."""
    query, values = _named_flows(chosen)
    outer = f"SELECT host, client, f7, f8 FROM ({query}) WHERE host IS NOT NULL ORDER BY host, client"  # noqa: S608
    for host, client, start, end in store.conn.execute(outer, values):
        yield host, client, (start, end)


def _named_flows(chosen: Selection) -> tuple[str, dict[str, Any]]:
    """Return the query of flows with the host that any of their parts knew."""
    clause, values = where(chosen, "t.start_ns", chosen.since_ns, chosen.until_ns)
    columns = figures_sql(Table.RECORDS, wire=chosen.wire).strip()
    named = ", ".join(f"{text} AS f{index}" for index, text in enumerate(_split(columns)))
    query = f"""SELECT max(t.host) AS host, c.client AS client, c.server AS server, c.server_port AS server_port,
                       {named} {_JOIN} {clause} GROUP BY t.sensor, t.flow_id"""
    return query, values


def _split(columns: str) -> list[str]:
    return [text.strip() for text in columns.replace("\n", " ").split(", ")]
