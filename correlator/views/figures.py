"""The additive figures that every level of every view shows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from typing import Final, NamedTuple


class Figures(NamedTuple):
    """What one flow, channel, client, service or period amounts to; figures of disjoint parts add up."""

    connections: int
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    tcp_uptime_ns: int
    channel_uptime_ns: int
    first_ns: int
    last_ns: int
    last_start_ns: int
    """Start of the connection that started last."""


figures_of: Final = partial(tuple.__new__, Figures)
"""Makes them of their values: ``_make`` for lists of very many."""


def combine(one: Figures, other: Figures) -> Figures:
    """Return the figures of two disjoint sets of records together."""
    return Figures(
        one.connections + other.connections,
        one.packets_out + other.packets_out,
        one.packets_in + other.packets_in,
        one.bytes_out + other.bytes_out,
        one.bytes_in + other.bytes_in,
        one.tcp_uptime_ns + other.tcp_uptime_ns,
        one.channel_uptime_ns + other.channel_uptime_ns,
        min(one.first_ns, other.first_ns),
        max(one.last_ns, other.last_ns),
        max(one.last_start_ns, other.last_start_ns),
    )


def total(figures: Iterable[Figures]) -> Figures:
    """Return the figures of disjoint sets together; ValueError when there are none."""
    many = list(figures)
    if not many:
        raise ValueError("figures of nothing")
    return reduce(combine, many)
