"""Prints view records in the format that was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from common.addresses import endpoint_text
from correlator.cli.naming import named, named_table
from correlator.cli.options import display, name_finder
from correlator.render import machine
from correlator.render.table import FIGURES, Column, print_table
from correlator.views.tree import Node, flattened, record

EMPTY = "nothing is stored for this selection"


def print_nodes(nodes: Sequence[Node], form: str, titles: Sequence[Column]) -> None:
    """Print the levels of a view; ``titles`` are the first level's own columns."""
    if form == "csv":
        print_records(flattened(nodes), form, ())
    elif form != "table":
        print_records(map(record, nodes), form, ())
    else:
        name, *counts = titles
        show_table([Column("label", name.title), *counts, *FIGURES], _indented(nodes, 0), EMPTY)


def takes_lines(form: str) -> bool:
    """Tell whether records may come as JSON text: where names for addresses are asked for, they are put in later."""
    return form in ("json", "ndjson") and name_finder() is None


def print_lines(texts: Iterable[bytes], form: str) -> None:
    """Print JSON objects that are text already."""
    machine.write_lines(texts, sys.stdout, form)


def print_flat(records: Iterable[Mapping[str, Any]], form: str, titles: Sequence[Column]) -> None:
    """Print view records that have nothing below; ``titles`` are the columns before the figures."""
    if form == "table":
        name, *counts = titles
        records = ({**record, "label": label(record)} for record in records)
        titles = [Column("label", name.title), *counts, *FIGURES]
    print_records(records, form, titles)


def print_records(
    records: Iterable[Mapping[str, Any]],
    form: str,
    columns: Sequence[Column],
    names: Sequence[str] | None = None,
    empty: str = EMPTY,
) -> None:
    """Print flat records; ``names`` are the csv columns when there may be no record to take them from."""
    if form == "table":
        show_table(columns, records, empty)
        return
    find = name_finder()
    if find is not None:
        records = named(records, find)
    if form == "json":
        machine.write_json(records, sys.stdout)
    elif form == "ndjson":
        machine.write_ndjson(records, sys.stdout)
    else:
        machine.write_csv(records, sys.stdout, names)


def show_table(columns: Sequence[Column], records: Iterable[Mapping[str, Any]], empty: str = EMPTY) -> None:
    """Print a table for people as --raw and --no-pager say."""
    wanted, find = display(), name_finder()
    if find is not None:
        columns, records = named_table(columns, records, find)
    print_table(columns, records, empty, raw=wanted.raw, page=_page if wanted.pager else None)


def _page(lines: Iterable[str]) -> None:
    # Colours go through, and lines that are too long are scrolled to and not folded; whoever set LESS is heeded.
    os.environ.setdefault("LESS", "-RS")
    click.echo_via_pager(lines)


def _indented(nodes: Iterable[Node], level: int) -> Iterator[dict[str, Any]]:
    for node in nodes:
        plain = record(node._replace(children=()))
        yield {**plain, "label": "  " * level + label(node.names)}
        yield from _indented(node.children, level + 1)


def label(names: Mapping[str, Any]) -> str:
    """Return what a person calls a node with these names."""
    if "flow_id" in names:
        state = " (open)" if names["open"] else ""
        return f"{endpoint_text(names['client'], names['client_port'])} -> {names['server']}{state}"
    if "period" in names:
        return str(names["period"])[:16].replace("T", " ")
    if "minute" in names:
        return str(names["minute"])[11:16]
    protocol = names.get("protocol", "tcp")
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    parts = [str(names[name]) for name in ("client", "server", "host") if name in names]
    return " -> ".join(parts) + suffix
