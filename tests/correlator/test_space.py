"""How large a store is said to be is what SQLite says."""

from __future__ import annotations

import csv
import io
import sqlite3
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import flow, parts
from corr_store import add

from correlator.config import RetentionSettings
from correlator.store.database import Store
from correlator.store.retention import Pruner
from correlator.store.rollup import TABLES
from correlator.store.space import can_tell_pages, space


def test_tables_their_indexes_and_free_pages_are_the_whole_file(store: Store, db: Path) -> None:
    add(store, [flow(number, start_s=number * 60, server_port=number) for number in range(2000)], 500)
    store.conn.execute("DELETE FROM channel_totals")
    found = space(store, pages=True)
    told = sum((table.table_bytes or 0) + (table.index_bytes or 0) for table in found.tables)
    own = store.conn.execute(
        "SELECT sum(pgsize) FROM dbstat WHERE name = 'sqlite_schema' OR name LIKE '%sqlite_migrations%'"
    ).fetchone()[0]
    assert told + own + found.free_bytes == found.file_bytes
    assert found.free_bytes > 0
    store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert found.file_bytes == db.stat().st_size


def test_rows_are_counted_from_the_pages(store: Store) -> None:
    add(store, [flow(number, start_s=number * 60, server_port=number) for number in range(2000)], 500)
    rows = {table.table: table.rows for table in space(store, pages=True).tables}
    assert set(TABLES) < set(rows)
    for table, count in rows.items():
        assert store.conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,), table


def test_flows_are_those_that_are_kept(store: Store) -> None:
    add(store, [*parts(1, [60, 60]), *parts(2, [60, 60], closed=False, start_s=86_400 * 90)])
    assert space(store, pages=False)[3:6] == (2, 1, 4)
    Pruner(store, RetentionSettings()).step(1 << 62)
    assert space(store, pages=False)[3:6] == (1, 1, None)
    assert space(store, pages=True)[3:6] == (1, 1, 2)


def test_the_command_gives_bytes_by_level_and_table(castro: Cli) -> None:
    found = castro.json("db", "stats")
    assert (found["flows"], found["records"], found["open_flows"]) == (21, 21, 0)
    assert found["levels"].keys() == {"flows", "periods", "totals", "names", "exchanges", "other"}
    flows = next(table for table in found["tables"] if table["table"] == "flow_records")
    assert (flows["level"], flows["rows"]) == ("flows", 21)
    assert flows["bytes_per_flow"] == round((flows["bytes"] + flows["index_bytes"]) / 21, 1)
    shown = castro("db", "stats")
    assert "a flow takes" in shown.out
    assert "flow_records" in shown.out
    assert len(list(csv.DictReader(io.StringIO(castro("db", "stats", "--csv").out)))) == len(found["tables"])
    assert castro("db", "stats", "--ndjson").json() == found


def test_without_a_look_through_the_pages_it_gives_the_whole_only(castro: Cli) -> None:
    found = castro.json("db", "stats", "--no-pages")
    assert found["levels"] is None
    assert {table["bytes"] for table in found["tables"]} == {None}
    assert (found["flows"], found["records"]) == (21, 21)
    assert "flow_records" not in castro("db", "stats", "--no-pages").out


def test_an_sqlite_that_cannot_tell_is_a_mistake_only_when_asked(castro: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("correlator.cli.space.can_tell_pages", lambda _store: False)
    assert castro.json("db", "stats")["levels"] is None
    assert castro("db", "stats", "--pages").code == 2


def test_it_is_asked_whether_it_can_tell(store: Store) -> None:
    options = {name for (name,) in sqlite3.connect(":memory:").execute("PRAGMA compile_options")}
    assert can_tell_pages(store) == ("ENABLE_DBSTAT_VTAB" in options)
