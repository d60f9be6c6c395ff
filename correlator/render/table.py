"""View records for people: tables with human durations and sizes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from os import terminal_size
from typing import Any, Final, NamedTuple

from tabulate import tabulate  # type: ignore[import-untyped]

from common.console import printable
from correlator.render.machine import cell

_MEASURED: Final = 1000
"""Rows that a table's widths are taken from; the rest is written as it comes."""
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


class Column(NamedTuple):
    """One column: the record's key, its title, and how a value is written."""

    key: str
    title: str
    write: Callable[[Any], str] = str
    right: bool = False
    spare: bool = False
    """Whether a terminal that is too narrow may do without it."""


def human_bytes(count: float) -> str:
    """Return ``812 B``, ``1.2 kB``, ``3.4 GB`` (powers of 1000)."""
    size = float(count)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit returns")


def human_duration(seconds: float) -> str:
    """Return ``0 s``, ``4.2 s``, ``5m12s``, ``3h07m``, ``2d04h``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"


def human_count(count: int) -> str:
    """Return a number with thousands set apart."""
    return f"{count:,}"


def human_time(iso: str) -> str:
    """Return an ISO time to the second, without its letters."""
    return iso[:19].replace("T", " ")


FIGURES: Final = (
    Column("connections", "conns", human_count, right=True),
    Column("packets_out", "pkts out", human_count, right=True, spare=True),
    Column("packets_in", "pkts in", human_count, right=True, spare=True),
    Column("bytes_out", "out", human_bytes, right=True),
    Column("bytes_in", "in", human_bytes, right=True),
    Column("tcp_uptime_s", "tcp up", human_duration, right=True),
    Column("channel_uptime_s", "channel up", human_duration, right=True),
    Column("first", "first (UTC)", human_time, spare=True),
    Column("last", "last (UTC)", human_time),
)


def print_table(
    columns: Sequence[Column],
    records: Iterable[Mapping[str, Any]],
    empty: str,
    *,
    raw: bool = False,
    page: Callable[[Iterable[str]], None] | None = None,
) -> None:
    """Print a table to standard output; headings stand out on a terminal, elsewhere it is plain text.

    ``raw`` leaves values as JSON has them. A table that is longer than the terminal goes to ``page``, line by line.
    """
    rows = ([_cell(column, record.get(column.key), raw=raw) for column in columns] for record in records)
    first = list(islice(rows, _MEASURED))
    if not first:
        sys.stderr.write(empty + "\n")
        return
    screen = shutil.get_terminal_size() if sys.stdout.isatty() else None
    lines = _lines(columns, first, rows, screen)
    if screen is not None and page is not None and len(first) + 1 >= screen.lines:
        page(lines)
    else:
        sys.stdout.writelines(lines)


def _lines(
    columns: Sequence[Column],
    first: Sequence[Sequence[str]],
    rest: Iterable[Sequence[str]],
    screen: terminal_size | None,
) -> Iterator[str]:
    """Yield a table's lines, as wide as its first rows need; a longer cell further below sticks out."""
    titles = [column.title for column in columns]
    widths = [max(map(len, cells)) for cells in zip(titles, *first, strict=True)]
    shown = range(len(columns)) if screen is None else _fitting(columns, widths, screen.columns)
    aligned = ["right" if columns[i].right else "left" for i in shown]
    ruler = ["-" * widths[i] for i in shown]  # makes the columns of every stretch as wide as those of the first

    def laid_out(rows: Iterable[Sequence[str]]) -> Iterator[str]:
        cells = [ruler, *([row[i] for i in shown] for row in rows)]
        table = tabulate(cells, tablefmt="plain", colalign=aligned, disable_numparse=True, preserve_whitespace=True)
        return (line.rstrip() for line in table.split("\n")[1:])

    (heading,) = laid_out([titles])
    bold = screen is not None and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    yield (f"\x1b[1m{heading}\x1b[0m" if bold else heading) + "\n"
    every = chain(first, rest)
    while some := list(islice(every, _MEASURED)):
        for line in laid_out(some):
            yield line + "\n"


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the indexes of the columns that a terminal has room for: spare ones go first, from the right."""
    shown = list(range(len(columns)))
    for index in [index for index in reversed(shown) if columns[index].spare]:
        if sum(widths[other] + 2 for other in shown) - 2 <= width:
            break
        shown.remove(index)
    return shown


def print_fields(record: Mapping[str, str]) -> None:
    """Print names and values, one pair per line."""
    width = max(map(len, record), default=0)
    for name, value in record.items():
        sys.stdout.write(f"{name:<{width}}  {printable(value)}\n")


def _cell(column: Column, value: Any, *, raw: bool) -> str:
    if value is None:
        return "-"
    return printable(cell(value) if raw else column.write(value))
