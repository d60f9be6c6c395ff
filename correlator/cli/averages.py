"""``--averages``: views with the five values divided by a count, and the view of the day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import click

from correlator.cli.output import label, print_nodes, print_records, show_table
from correlator.render.table import FIGURES, Column, human_bytes, human_duration
from correlator.views.averages import average_fields, average_key, averaged_record, flat_record
from correlator.views.tree import Node

_SHORT: Final = ("conns", "out", "in", "channel up", "tcp up")


def human_number(value: float) -> str:
    """Return ``1,204.5``; a whole number without its fraction."""
    return f"{value:,.1f}".removesuffix(".0")


_WRITERS: Final[tuple[Callable[[Any], str], ...]] = (
    human_number,
    human_bytes,
    human_bytes,
    human_duration,
    human_duration,
)


def averages_option(over: str) -> Callable[[Any], Any]:
    """Return the option --averages, for values divided by the number of something."""
    return click.option("--averages", is_flag=True, help=f"The five values divided by the number of {over} too")


def print_levels(nodes: Sequence[Node], form: str, titles: Sequence[Column], count: str | None) -> None:
    """Print the levels of a view, with the averages over a count when one is given."""
    if form == "table":
        name, *counts = titles
        figures = FIGURES if count is None else _columns(count)
        show_table([Column("label", name.title), *counts, *figures], _rows(nodes, count, 0))
    elif count is None:
        print_nodes(nodes, form, titles)
    elif form == "csv":
        print_records((flat_record(node, count) for node in nodes), form, ())
    else:
        print_records((averaged_record(node, count) for node in nodes), form, ())


def _columns(count: str) -> Iterator[Column]:
    per = average_key(count).replace("per_", "/")
    for key, title, write in zip(average_fields(count), _SHORT, _WRITERS, strict=True):
        yield Column(key, title + per, write, right=True)


def _rows(nodes: Iterable[Node], count: str | None, level: int) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield {**flat_record(node, count or ""), "label": "  " * level + _label(node)}
        yield from _rows(node.children, count, level + 1)


def _label(node: Node) -> str:
    return str(next((node.names[name] for name in ("slot", "days") if name in node.names), "")) or label(node.names)
