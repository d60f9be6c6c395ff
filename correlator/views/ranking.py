"""Top and bottom lists: the most and the least of one figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from correlator.rows import ChannelRow, HostRow
from correlator.views.tree import Node, figures_record, sort_value
from correlator.views.uptime import Interval, bridge, uptime_ns

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
    by_name = sorted(nodes, key=lambda node: node.label)
    best = sorted(by_name, key=lambda node: sort_value(node, field), reverse=not bottom)
    return [Ranked(place, figures_record(node.figures)[field], node) for place, node in enumerate(best[:count], 1)]


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


def host_nodes(hosts: Iterable[HostRow], uptimes: Mapping[str, int]) -> list[Node]:
    """Return a node per host name."""
    return [
        Node(
            {"host": row.host},
            {"clients": row.clients, "services": row.services},
            row.figures._replace(channel_uptime_ns=uptimes.get(row.host, 0)),
        )
        for row in hosts
    ]


def host_uptimes(intervals: Iterable[tuple[str, str, Interval]], gap_ns: int) -> dict[str, int]:
    """Return {host: the uptime of its channels by name}, from intervals sorted by host and client."""
    uptimes: dict[str, int] = {}
    for host, length in _channel_lengths(intervals, gap_ns):
        uptimes[host] = uptimes.get(host, 0) + length
    return uptimes


def _channel_lengths(intervals: Iterable[tuple[str, str, Interval]], gap_ns: int) -> Iterator[tuple[str, int]]:
    current: tuple[str, str] | None = None
    times: list[Interval] = []
    for host, client, interval in intervals:
        if current is not None and current != (host, client):
            yield current[0], uptime_ns(bridge(times, gap_ns))
            times = []
        current = (host, client)
        times.append(interval)
    if current is not None:
        yield current[0], uptime_ns(bridge(times, gap_ns))
