"""The view of the day: slot of the day, weekday or weekend, the periods themselves.

A period is a slot of its day: the day has as many as fit into it, and the next day begins at the first again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from common.timespan import NS_PER_S
from correlator.rows import BucketRow
from correlator.views.periods import bucket_node
from correlator.views.tree import Node, grouped, parent

DAY_NS: Final = 86_400 * NS_PER_S
_SATURDAY: Final = 5


def slot_view(periods: Iterable[BucketRow], depth: int) -> list[Node]:
    """Return a node per slot of the day that has records; ``periods`` counts the periods with records in it."""
    by_slot = grouped(periods, lambda row: row.start_ns % DAY_NS)
    return [_slot(start_ns, rows, depth) for start_ns, rows in sorted(by_slot.items())]


def slot_name(time_ns: int) -> str:
    """Return the time of day that a slot begins at (UTC)."""
    minutes = time_ns % DAY_NS // (60 * NS_PER_S)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def kind_of_day(time_ns: int) -> str:
    """Return ``weekday`` or ``weekend`` (UTC)."""
    weekday = datetime.fromtimestamp(time_ns // NS_PER_S, UTC).weekday()
    return "weekend" if weekday >= _SATURDAY else "weekday"


def _slot(start_ns: int, rows: Sequence[BucketRow], depth: int) -> Node:
    days = [
        _together({"days": kind}, some, keep=depth > 2)
        for kind, some in sorted(grouped(rows, lambda row: kind_of_day(row.start_ns)).items())
    ]
    return parent({"slot": slot_name(start_ns)}, {"periods": len(rows)}, days, keep=depth > 1)


def _together(names: dict[str, str], rows: Sequence[BucketRow], *, keep: bool) -> Node:
    periods = [bucket_node("period", row) for row in rows]
    return parent(dict(names), {"periods": len(rows)}, periods, keep=keep)
