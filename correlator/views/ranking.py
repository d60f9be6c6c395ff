"""Top and bottom lists: the most and the least of one figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from correlator.rows import ChannelRow, HostChannelRow, HostRow
from correlator.views.averages import average
from correlator.views.tree import Node, figures_record, grouped, ordered

MEASURES: Final[Mapping[str, str]] = {
    "connections": "connections",
    "outbound": "bytes_out",
    "inbound": "bytes_in",
    "channel-uptime": "channel_uptime_s",
    "tcp-uptime": "tcp_uptime_s",
}


class Ranked(NamedTuple):
    """A node with its place and the value that gave it the place."""

    rank: int
    value: int | float
    node: Node


def ranked(nodes: Iterable[Node], by: str, count: int, *, bottom: bool) -> list[Ranked]:
    """Return the ``count`` nodes with the most of a measure, or the least; ties go by name."""
    field = MEASURES[by]
    best = ordered(nodes, field, ascending=bottom)
    return [Ranked(place, figures_record(node.figures)[field], node) for place, node in enumerate(best[:count], 1)]


def lists(nodes: Iterable[Node], by: str, count: int, *, bottom: bool, per: str | None = None) -> list[list[Ranked]]:
    """Return a list of the most or the least, or one for each client, server or host when ``per`` names that."""
    if per is None:
        return [ranked(nodes, by, count, bottom=bottom)]
    groups = grouped(nodes, lambda node: (node.names[per], node.names.get("protocol") if per == "server" else None))
    return [ranked(group, by, count, bottom=bottom) for _, group in sorted(groups.items(), key=lambda item: item[0])]


def list_average(found: Sequence[Sequence[Ranked]], by: str) -> dict[str, Any]:
    """Return the average over all values of lists, which are not empty, as the JSON object that is printed."""
    values = [line.value for one in found for line in one]
    return {
        "by": by,
        "lists": len(found),
        "entries": len(values),
        "average": average(_exact_sum(values), len(values)),
    }


def _exact_sum(values: Iterable[float]) -> float | int:
    many = list(values)
    return sum(many) if all(isinstance(value, int) for value in many) else math.fsum(many)


def ranked_record(line: Ranked) -> dict[str, Any]:
    """Return a line of a list as the JSON object that the command line prints."""
    node = line.node
    return {
        "rank": line.rank,
        **node.names,
        "value": line.value,
        **node.counts,
        **figures_record(node.figures),
    }


def channel_nodes(channels: Iterable[ChannelRow]) -> list[Node]:
    """Return a node per channel."""
    return [
        Node(
            {
                "client": row.client,
                "server": endpoint_text(row.server, row.server_port),
                "protocol": protocol_name(row.protocol),
            },
            {},
            row.figures,
        )
        for row in channels
    ]


def host_nodes(hosts: Iterable[HostRow]) -> list[Node]:
    """Return a node per host name."""
    return [Node({"host": row.host}, {"clients": row.clients, "services": row.services}, row.figures) for row in hosts]


def host_channel_nodes(channels: Iterable[HostChannelRow]) -> list[Node]:
    """Return a node per channel by name."""
    return [Node({"client": row.client, "host": row.host}, {"services": row.services}, row.figures) for row in channels]
