"""The server view: service, its clients, their flows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from correlator.rows import ChannelRow, FlowFigures, ServiceRow
from correlator.views.tree import Node, figures_record, flow_node, grouped, parent


def server_view(channels: Iterable[ChannelRow], flows: Iterable[FlowFigures], depth: int) -> list[Node]:
    """Return a node per service; ``flows`` are needed at depth 3 only."""
    by_channel = grouped(flows, lambda flow: (flow.client, flow.server, flow.server_port, flow.protocol))
    return [
        _service(service, rows, by_channel, depth)
        for service, rows in grouped(channels, lambda row: (row.server, row.server_port, row.protocol)).items()
    ]


def server_nodes(rows: Iterable[ServiceRow]) -> list[Node]:
    """Return a node per service, with nothing below."""
    return [
        Node(_names(row.server, row.server_port, row.protocol), {"clients": row.clients}, row.figures) for row in rows
    ]


def service_names(row: ServiceRow) -> dict[str, str]:
    """Return what a service is called."""
    return _names(row.server, row.server_port, row.protocol)


def service_record(row: ServiceRow) -> dict[str, Any]:
    """Return a service without what is below as the JSON object that the command line prints."""
    return {**service_names(row), "clients": row.clients, **figures_record(row.figures)}


def _service(
    service: tuple[str, int, int],
    rows: list[ChannelRow],
    flows: dict[tuple[str, str, int, int], list[FlowFigures]],
    depth: int,
) -> Node:
    server, port, protocol = service
    clients = [
        Node(
            {"client": row.client},
            {},
            row.figures,
            tuple(flow_node(flow) for flow in flows.get((row.client, server, port, protocol), ())),
        )
        for row in rows
    ]
    return parent(_names(server, port, protocol), {"clients": len(clients)}, clients, keep=depth > 1)


def _names(server: str, port: int, protocol: int) -> dict[str, str]:
    return {"server": endpoint_text(server, port), "protocol": protocol_name(protocol)}
