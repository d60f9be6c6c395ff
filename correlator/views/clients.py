"""The client view: client, its services, their flows."""

from __future__ import annotations

from collections.abc import Iterable

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from correlator.rows import ChannelRow, FlowFigures
from correlator.views.tree import Node, flow_node, grouped, parent


def client_view(channels: Iterable[ChannelRow], flows: Iterable[FlowFigures], depth: int) -> list[Node]:
    """Return a node per client; ``flows`` are needed at depth 3 only."""
    by_channel = grouped(flows, lambda flow: (flow.client, flow.server, flow.server_port, flow.protocol))
    return [
        _client(client, rows, by_channel, depth) for client, rows in grouped(channels, lambda row: row.client).items()
    ]


def _client(
    client: str, rows: list[ChannelRow], flows: dict[tuple[str, str, int, int], list[FlowFigures]], depth: int
) -> Node:
    services = [
        Node(
            {"server": endpoint_text(row.server, row.server_port), "protocol": protocol_name(row.protocol)},
            {},
            row.figures,
            tuple(flow_node(flow) for flow in flows.get((client, row.server, row.server_port, row.protocol), ())),
        )
        for row in rows
    ]
    return parent({"client": client}, {"services": len(services)}, services, keep=depth > 1)
