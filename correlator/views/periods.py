"""The time view: period, its minutes, their flows.

A record belongs to the minute of its start, so a long flow stands below every minute that has records of it, with
what these hold, and counts as a connection in its first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.addresses import address_text
from common.records import FlowRecord
from common.timespan import iso_time
from correlator.rows import BucketRow, FlowFigures
from correlator.views.figures import Figures, combine
from correlator.views.tree import Node, flow_node, grouped

MINUTE_NS: Final = 60_000_000_000


def period_view(
    periods: Iterable[BucketRow], minutes: Iterable[BucketRow], flows: Iterable[FlowFigures], period_ns: int
) -> list[Node]:
    """Return a node per period; ``minutes`` are needed from depth 2 on, ``minute_flows`` at depth 3."""
    below = grouped(minutes, lambda row: row.start_ns - row.start_ns % period_ns)
    by_minute = grouped(flows, lambda flow: flow.figures.first_ns - flow.figures.first_ns % MINUTE_NS)
    return [
        bucket_node(
            "period",
            period,
            tuple(
                bucket_node("minute", minute, tuple(map(flow_node, by_minute.get(minute.start_ns, ()))))
                for minute in below.get(period.start_ns, ())
            ),
        )
        for period in periods
    ]


def bucket_node(name: str, row: BucketRow, children: tuple[Node, ...] = ()) -> Node:
    """Return the node of a period or a minute."""
    counts = {"clients": row.clients, "services": row.services}
    return Node({name: iso_time(row.start_ns)}, counts, row.figures, children)


def minute_flows(records: Iterable[tuple[str, FlowRecord]], *, wire: bool) -> list[FlowFigures]:
    """Return the figures of every flow in every minute that has records of it."""
    found: dict[tuple[str, int, int], FlowFigures] = {}
    ended: set[tuple[str, int]] = set()
    for sensor, record in records:
        key = (sensor, record.flow_id, record.start_ns - record.start_ns % MINUTE_NS)
        figures = _figures(record, wire=wire)
        if key in found:
            found[key] = found[key]._replace(figures=combine(found[key].figures, figures))
        else:
            found[key] = _flow(sensor, record, figures)
        if record.end_reason is not None:
            ended.add(key[:2])
    return [flow._replace(open=(flow.sensor, flow.flow_id) not in ended) for flow in found.values()]


def _flow(sensor: str, record: FlowRecord, figures: Figures) -> FlowFigures:
    client, server = address_text(record.client_ip), address_text(record.server_ip)
    names = (sensor, record.flow_id, client, record.client_port, server, record.server_port, record.protocol)
    return FlowFigures(*names, open=True, figures=figures)


def _figures(record: FlowRecord, *, wire: bool) -> Figures:
    uptime_ns = record.end_ns - record.start_ns
    return Figures(
        connections=int(record.part == 0),
        packets_out=record.packets_out,
        packets_in=record.packets_in,
        bytes_out=record.wire_bytes_out if wire else record.payload_bytes_out,
        bytes_in=record.wire_bytes_in if wire else record.payload_bytes_in,
        tcp_uptime_ns=uptime_ns,
        channel_uptime_ns=uptime_ns,
        first_ns=record.start_ns,
        last_ns=record.end_ns,
        last_start_ns=record.flow_start_ns,
    )
