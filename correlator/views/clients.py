"""The client view: client, its services, their flows or periods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from correlator.rows import BucketRow, ChannelRow, ClientRow, FlowFigures
from correlator.views.periods import bucket_node
from correlator.views.tree import Node, figures_record, flow_node, grouped, parent

Channel = tuple[str, str, int, int]


def client_view(channels: Iterable[ChannelRow], flows: Iterable[FlowFigures], depth: int) -> list[Node]:
    """Return a node per client; ``flows`` are needed at depth 3 only."""
    by_channel = grouped(flows, lambda flow: (flow.client, flow.server, flow.server_port, flow.protocol))
    below = {channel: list(map(flow_node, found)) for channel, found in by_channel.items()}
    return _clients(channels, below, depth)


def client_nodes(rows: Iterable[ClientRow]) -> list[Node]:
    """Return a node per client, with nothing below."""
    return [Node({"client": row.client}, {"services": row.services}, row.figures) for row in rows]


def client_names(row: ClientRow) -> dict[str, str]:
    """Return what a client is called."""
    return {"client": row.client}


def client_record(row: ClientRow) -> dict[str, Any]:
    """Return a client without what is below as the JSON object that the command line prints."""
    return {"client": row.client, "services": row.services, **figures_record(row.figures)}


def client_period_view(rows: Iterable[tuple[ChannelRow, Sequence[BucketRow]]]) -> list[Node]:
    """Return a node per client, with its services and the periods of each."""
    many = list(rows)
    below = {
        _key(row): [bucket_node("period", period)._replace(counts={}) for period in periods] for row, periods in many
    }
    return _clients([row for row, _ in many], below, 3)


def _key(row: ChannelRow) -> Channel:
    return row.client, row.server, row.server_port, row.protocol


def _clients(channels: Iterable[ChannelRow], below: Mapping[Channel, Sequence[Node]], depth: int) -> list[Node]:
    return [_client(client, rows, below, depth) for client, rows in grouped(channels, lambda row: row.client).items()]


def _client(client: str, rows: list[ChannelRow], below: Mapping[Channel, Sequence[Node]], depth: int) -> Node:
    services = [
        Node(
            {"server": endpoint_text(row.server, row.server_port), "protocol": protocol_name(row.protocol)},
            {},
            row.figures,
            tuple(below.get(_key(row), ())),
        )
        for row in rows
    ]
    return parent({"client": client}, {"services": len(services)}, services, keep=depth > 1)
