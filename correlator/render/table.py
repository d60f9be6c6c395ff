"""View records for people: tables with human durations and sizes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.console import printable

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


def print_table(columns: Sequence[Column], records: Iterable[Mapping[str, Any]], empty: str) -> None:
    """Print a table to standard output; headings stand out on a terminal, elsewhere it is plain text."""
    rows = [[_cell(column, record.get(column.key)) for column in columns] for record in records]
    if not rows:
        sys.stderr.write(empty + "\n")
    elif sys.stdout.isatty():
        _print_rich(columns, rows)
    else:
        _print_plain(columns, rows)


def _print_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    console = Console(file=sys.stdout, highlight=False)
    widths = _widths(columns, rows)
    shown = _fitting(columns, widths, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index in shown:
        column = columns[index]
        # A width of its own, so that a terminal that is too narrow folds lines and cuts no number.
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True, width=widths[index])
    for row in rows:
        table.add_row(*(Text(row[index]) for index in shown))
    console.width = max(console.width, sum(widths[index] + 2 for index in shown))
    console.print(table)


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the indexes of the columns that a terminal has room for: spare ones go first, from the right."""
    shown = list(range(len(columns)))
    for index in [index for index in reversed(shown) if columns[index].spare]:
        if sum(widths[other] + 2 for other in shown) - 2 <= width:
            break
        shown.remove(index)
    return shown


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    titled = [[column.title for column in columns], *rows]
    return [max(map(len, cells)) for cells in zip(*titled, strict=True)]


def _print_plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    widths = _widths(columns, rows)
    for row in [[column.title for column in columns], *rows]:
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_fields(record: Mapping[str, str]) -> None:
    """Print names and values, one pair per line."""
    width = max(map(len, record), default=0)
    for name, value in record.items():
        sys.stdout.write(f"{name:<{width}}  {printable(value)}\n")


def _cell(column: Column, value: Any) -> str:
    return "-" if value is None else printable(column.write(value))
