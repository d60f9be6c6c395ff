"""The time view: period, its minutes, their flows.

A record belongs to the minute of its start, so a long flow stands below every minute that has records of it, with
what these hold, and counts as a connection in its first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.timespan import iso_time
from correlator.rows import BucketRow, FlowFigures
from correlator.views.tree import Node, flow_node, grouped

MINUTE_NS: Final = 60_000_000_000


def period_view(
    periods: Iterable[BucketRow], minutes: Iterable[BucketRow], flows: Iterable[FlowFigures], period_ns: int
) -> list[Node]:
    """Return a node per period; ``minutes`` are needed from depth 2 on, ``flows``, cut at the minutes, at depth 3."""
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
