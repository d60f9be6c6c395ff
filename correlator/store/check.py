"""Looks for what is wrong with a store: its pages, its numbers, its roll-ups against its records, its blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from common.errors import UserError
from common.timespan import NS_PER_S
from correlator.store.database import Store
from correlator.store.details import Details
from correlator.store.meta import FLOWS_REMOVED, PERIODS_REMOVED, TOTALS_FROM, noted
from correlator.store.rollup import HOST_TABLES, MAX_SUM, PERIOD_TABLES, TABLES

_FAULTS: Final = 20
_BLOCKS: Final = "SELECT first_record FROM record_details WHERE first_record > ? ORDER BY first_record LIMIT 1000"
# What adds up, and how it is in the records; the channel uptime is not in them.
_SUMS: Final = {
    "connections": "part = 0",
    "packets_out": "packets_out",
    "packets_in": "packets_in",
    "wire_bytes_out": "wire_bytes_out",
    "wire_bytes_in": "wire_bytes_in",
    "payload_bytes_out": "payload_bytes_out",
    "payload_bytes_in": "payload_bytes_in",
    "tcp_uptime_ns": "end_ns - start_ns",
}
_UPTIME: Final = "channel_uptime_ns"
# Which columns are numbers of what; nothing else tells SQLite.
_NUMBERS: Final = {"client_id": "clients", "service_id": "services", "host_id": "hosts", "sensor_id": "sensors"}


def faults(store: Store, *, full: bool) -> Iterator[str]:
    """Yield a line for each thing that is wrong; ``full``: indexes are compared with their tables too."""
    pages = list(_damaged_pages(store, full=full))
    yield from pages
    if not pages:  # the rest would only repeat it, or stop at it
        yield from _lost_numbers(store)
        yield from _sums_that_differ(store)
        yield from _unreadable_blocks(store)


def _damaged_pages(store: Store, *, full: bool) -> Iterator[str]:
    pragma = "integrity_check" if full else "quick_check"
    for (text,) in store.conn.execute(f"PRAGMA {pragma}({_FAULTS})"):
        if text != "ok":
            yield from str(text).splitlines()
    for table, row, parent, _ in store.conn.execute("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} refers to nothing in {parent}"


def _lost_numbers(store: Store) -> Iterator[str]:
    for table in ("flow_records", *TABLES, *HOST_TABLES):
        columns = {name for _, name, *_ in store.conn.execute(f"PRAGMA table_info({table})")}
        for column, things in _NUMBERS.items():
            if column not in columns:
                continue
            query = f"""SELECT count(*), min({column}) FROM {table} AS t
                        WHERE {column} IS NOT NULL
                        AND NOT EXISTS (SELECT 1 FROM {things} AS n WHERE n.{column} = t.{column})"""  # noqa: S608 - constant names
            count, first = store.conn.execute(query).fetchone()
            if count:
                yield f"{table}: {count} rows have a {column} that is not in {things}, such as {first}"


def _sums_that_differ(store: Store) -> Iterator[str]:
    removed_s = noted(store.conn, FLOWS_REMOVED)
    of_records = _sums(store, _SUMS, f"flow_records WHERE +start_ns >= {removed_s * NS_PER_S}")
    names = {name: name for name in (*_SUMS, _UPTIME)}
    channels = _sums(store, names, "channel_periods")
    for table in PERIOD_TABLES:
        found = _sums(store, {name: name for name in _SUMS}, f"{table} WHERE period_start_s >= {removed_s}")
        yield from _compared(table, found, "flow_records", of_records)
        if table != "channel_periods":
            yield from _compared(table, _sums(store, names, table), "channel_periods", channels)
    grown = noted(store.conn, PERIODS_REMOVED) > noted(store.conn, TOTALS_FROM)
    for table in (name for name in TABLES if name not in PERIOD_TABLES):
        yield from _compared(table, _sums(store, names, table), "channel_periods", channels, at_least=grown)
    named = _sums(store, names, "host_channel_periods")
    of_records = _sums(store, _SUMS, f"flow_records WHERE host_id IS NOT NULL AND start_ns >= {removed_s * NS_PER_S}")
    found = _sums(store, {name: name for name in _SUMS}, f"host_channel_periods WHERE period_start_s >= {removed_s}")
    yield from _compared("host_channel_periods", found, "flow_records", of_records)
    for table in ("host_channel_totals", "host_totals"):
        yield from _compared(table, _sums(store, names, table), "host_channel_periods", named, at_least=grown)


def _sums(store: Store, expressions: dict[str, str], rows: str) -> dict[str, int]:
    """Return exact sums, which may be beyond 63 bits."""
    halves = ", ".join(
        f"coalesce(sum(({text}) >> 31), 0), coalesce(sum(({text}) & 2147483647), 0)" for text in expressions.values()
    )
    found = store.conn.execute(f"SELECT {halves} FROM {rows}").fetchone()  # noqa: S608 - constant names and numbers
    return {name: (found[place * 2] << 31) + found[place * 2 + 1] for place, name in enumerate(expressions)}


def _compared(
    table: str, found: dict[str, int], other: str, expected: dict[str, int], *, at_least: bool = False
) -> Iterator[str]:
    for name, value in found.items():
        if expected[name] >= MAX_SUM or value >= MAX_SUM:  # forged: sums stop somewhere there
            continue
        if value < expected[name] or (value != expected[name] and not at_least):
            yield f"{table}: {name} adds up to {value}, in {other} to {expected[name]}"


def _unreadable_blocks(store: Store) -> Iterator[str]:
    details = Details(store.conn)
    last = -1
    count = 0
    while found := store.conn.execute(_BLOCKS, (last,)).fetchall():
        for (first,) in found:
            try:
                details.of(first)
            except UserError as error:
                count += 1
                if count <= _FAULTS:
                    yield str(error)
            last = first
    if count > _FAULTS:
        yield f"record_details: {count - _FAULTS} more blocks are damaged"
