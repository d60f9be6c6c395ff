"""``db stats``: how large the database is, and what a flow takes of it."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from common.timespan import iso_time
from correlator.cli.options import Place, display, format_options, open_store, with_place
from correlator.cli.output import show_table
from correlator.render import machine
from correlator.render.table import Column, human_bytes, human_count, human_time, print_fields
from correlator.store.database import file_bytes
from correlator.store.space import Space, TableSpace, can_tell_pages, space

_ALWAYS_BYTES: Final = 256 << 20
_COLUMNS: Final = (
    Column("level", "level"),
    Column("table", "table"),
    Column("rows", "rows", human_count, right=True),
    Column("bytes", "table", human_bytes, right=True),
    Column("index_bytes", "indexes", human_bytes, right=True),
    Column("bytes_per_row", "a row", human_bytes, right=True),
    Column("bytes_per_flow", "a flow", human_bytes, right=True),
)


@click.command(short_help="How large the database is, and what a flow takes")
@click.option(
    "--pages/--no-pages",
    default=None,
    help="Bytes and rows of every level and table; reads the whole file  [default: up to 256 MiB]",
)
@with_place
@format_options
def stats(place: Place, form: str, *, pages: bool | None) -> None:
    r"""Show how large the database is, and what its levels and tables take: in all, a row and a flow.

    Flows are those whose records are kept. Indexes count to their table.

    \b
    Example:
      tunnelwatch db stats
      tunnelwatch db stats --pages --json
    """
    with open_store(place) as store:
        if pages and not can_tell_pages(store):
            raise click.UsageError("the SQLite of this Python cannot tell what its pages hold: leave --pages out")
        if pages is None:
            pages = can_tell_pages(store) and file_bytes(place.db) <= _ALWAYS_BYTES
        record = _record(space(store, pages=pages))
    tables: list[dict[str, Any]] = record["tables"]
    if form == "json":
        machine.write_json_object(record, sys.stdout)
    elif form == "ndjson":
        machine.write_ndjson([record], sys.stdout)
    elif form == "csv":
        machine.write_csv(tables, sys.stdout)
    else:
        fields = {name: value for name, value in record.items() if name not in ("tables", "levels")}
        print_fields(machine.plain(fields) if display().raw else _for_people(fields))
        if pages:
            click.echo()
            show_table(_COLUMNS, tables)


def _record(found: Space) -> dict[str, Any]:
    plain = found._asdict()
    used = found.file_bytes - found.free_bytes
    times = {
        name: None if (at_ns := plain[f"{name}_ns"]) is None else iso_time(at_ns)
        for name in ("first", "last", "flows_removed", "periods_removed")
    }
    names = ("file_bytes", "log_bytes", "free_bytes", "flows", "open_flows", "records")
    return {
        **{name: plain[name] for name in names},
        "bytes_per_flow": _each(used, found.flows),
        "bytes_per_record": None if found.records is None else _each(used, found.records),
        **times,
        "levels": _levels(found.tables),
        "tables": [_table(table, found.flows) for table in found.tables],
    }


def _table(table: TableSpace, flows: int) -> dict[str, Any]:
    record: dict[str, Any] = {"level": table.level, "table": table.table, "rows": table.rows}
    both = None if table.table_bytes is None else table.table_bytes + (table.index_bytes or 0)
    return {
        **record,
        "bytes": table.table_bytes,
        "index_bytes": table.index_bytes,
        "bytes_per_row": None if both is None else _each(both, table.rows or 0),
        "bytes_per_flow": None if both is None else _each(both, flows),
    }


def _levels(tables: list[TableSpace]) -> dict[str, int] | None:
    levels: dict[str, int] = {}
    for table in tables:
        if table.table_bytes is None:
            return None
        levels[table.level] = levels.get(table.level, 0) + table.table_bytes + (table.index_bytes or 0)
    return levels


def _each(size: int, count: int) -> float | None:
    return round(size / count, 1) if count else None


def _for_people(record: dict[str, Any]) -> dict[str, str]:
    def each(name: str) -> str:
        return "-" if record[name] is None else human_bytes(record[name])

    def time(name: str) -> str:
        return "-" if record[name] is None else human_time(record[name]) + " UTC"

    lines = {
        "file": f"{human_bytes(record['file_bytes'])}, {human_bytes(record['free_bytes'])} of it free",
        "log beside it": human_bytes(record["log_bytes"]),
        "flows": f"{human_count(record['flows'])} ({human_count(record['open_flows'])} still open)",
        "records": "see --pages" if record["records"] is None else human_count(record["records"]),
        "a flow takes": each("bytes_per_flow"),
        "first record": time("first"),
        "last record": time("last"),
    }
    for name, title in (("flows_removed", "flows removed before"), ("periods_removed", "periods removed before")):
        if record[name] is not None:
            lines[title] = time(name)
    return lines
