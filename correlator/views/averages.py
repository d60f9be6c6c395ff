"""Averages: figures divided by how many services, clients or periods they are of."""

from __future__ import annotations

from typing import Any, Final

from correlator.views.figures import Figures
from correlator.views.tree import Node, figures_record, record

AVERAGED: Final = ("connections", "bytes_out", "bytes_in", "channel_uptime_s", "tcp_uptime_s")
"""The five values that are averaged and ranked."""


def average(value: float, count: int) -> float | int:
    """Return a value divided by a count, an int when it is whole and the value was one."""
    quotient = value / count
    if isinstance(value, int) and value % count == 0:
        return value // count
    return round(quotient, 9)


def averages(figures: Figures, count: int) -> dict[str, float | int]:
    """Return the five values divided by a count, under their public names."""
    values = figures_record(figures)
    return {name: average(values[name], count) for name in AVERAGED}


def average_key(count: str) -> str:
    """Return what averages over a count are called: ``per_service`` for ``services``."""
    return f"per_{count.removesuffix('s')}"


def average_fields(count: str) -> tuple[str, ...]:
    """Return the flat names of averages, which csv has and views are sorted by."""
    return tuple(f"{name}_{average_key(count)}" for name in AVERAGED)


def averaged_record(node: Node, count: str) -> dict[str, Any]:
    """Return a node as a JSON object with the averages of every level that has the count."""
    plain = record(node._replace(children=()))
    if count in node.counts:
        plain[average_key(count)] = averages(node.figures, node.counts[count])
    if node.children:
        plain["children"] = [averaged_record(child, count) for child in node.children]
    return plain


def flat_record(node: Node, count: str) -> dict[str, Any]:
    """Return a node without its children as a flat record; averages are there where the level has the count."""
    plain = record(node._replace(children=()))
    if count in node.counts:
        means = averages(node.figures, node.counts[count])
        plain |= dict(zip(average_fields(count), means.values(), strict=True))
    return plain
