"""How large the store is: the file, its levels, its tables, and what a flow takes of it."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.rows import Selection
from correlator.store.database import Store, log_bytes
from correlator.store.flows import open_flows
from correlator.store.meta import FLOWS_REMOVED, PERIODS_REMOVED, noted

_LEVELS: Final = {
    "flow_records": "flows",
    "record_details": "flows",
    "open_flows": "flows",
    "http_exchanges": "exchanges",
    "clients": "names",
    "services": "names",
}
# One pass over the file. The cells of a table's inner pages are no rows; those of an index's are.
_PAGES: Final = """
SELECT m.tbl_name, m.type = 'table', sum(p.pgsize),
       sum(CASE WHEN p.pagetype = 'leaf' OR m.sql LIKE '%WITHOUT ROWID' THEN p.ncell ELSE 0 END)
FROM (SELECT name, pagetype, sum(pgsize) AS pgsize, sum(ncell) AS ncell FROM dbstat GROUP BY name, pagetype) AS p
JOIN sqlite_schema AS m ON m.name = p.name GROUP BY m.name
"""
_FLOWS: Final = "SELECT coalesce(sum(connections), 0) FROM periods WHERE period_start_s >= ?"
_STORED: Final = "SELECT coalesce(sum(records_stored), 0) FROM sensors"
_NAMES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY name"
_TIMES: Final = "SELECT (SELECT min(start_ns) FROM flow_records), (SELECT max(start_ns) FROM flow_records)"


class TableSpace(NamedTuple):
    """What a table takes; None where the pages were not looked through."""

    table: str
    level: str
    rows: int | None
    table_bytes: int | None
    index_bytes: int | None


class Space(NamedTuple):
    """What a store takes."""

    file_bytes: int
    log_bytes: int
    free_bytes: int
    flows: int
    """Whose records are kept."""
    open_flows: int
    records: int | None
    """None where it takes a look through the pages to know."""
    first_ns: int | None
    last_ns: int | None
    flows_removed_ns: int | None
    periods_removed_ns: int | None
    tables: list[TableSpace]


def space(store: Store, *, pages: bool) -> Space:
    """Return what the store takes; ``pages``: by table, which reads the whole file once."""
    conn = store.conn
    page_bytes, count, free = (
        conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    removed_s = noted(conn, FLOWS_REMOVED)
    tables = _tables(conn, pages=pages)
    rows = {table.table: table.rows for table in tables}
    records = rows["flow_records"]
    if records is None and not removed_s:
        records = conn.execute(_STORED).fetchone()[0]
    first_ns, last_ns = conn.execute(_TIMES).fetchone()
    return Space(
        file_bytes=page_bytes * count,
        log_bytes=log_bytes(store.path),
        free_bytes=page_bytes * free,
        flows=conn.execute(_FLOWS, (removed_s,)).fetchone()[0],
        open_flows=open_flows(store, Selection(protocol=None)),
        records=records,
        first_ns=first_ns,
        last_ns=last_ns,
        flows_removed_ns=removed_s * NS_PER_S or None,
        periods_removed_ns=noted(conn, PERIODS_REMOVED) * NS_PER_S or None,
        tables=tables,
    )


def can_tell_pages(store: Store) -> bool:
    """Whether this SQLite can say what its pages are used for."""
    query = "SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')"
    return bool(store.conn.execute(query).fetchone()[0])


def _tables(conn: sqlite3.Connection, *, pages: bool) -> list[TableSpace]:
    names = [name for (name,) in conn.execute(_NAMES)]
    if not pages:
        return [TableSpace(name, _level(name), None, None, None) for name in names]
    sizes = {name: [0, 0, 0] for name in names}
    for name, is_table, size, cells in conn.execute(_PAGES):
        if name in sizes:
            sizes[name][not is_table] += size
            sizes[name][2] += cells if is_table else 0
    return [TableSpace(name, _level(name), rows, own, indexes) for name, (own, indexes, rows) in sizes.items()]


def _level(table: str) -> str:
    if table in _LEVELS:
        return _LEVELS[table]
    for level in ("periods", "totals"):
        if table.endswith(level):
            return level
    return "other"
