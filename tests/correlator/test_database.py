"""What can be wrong with a database is one line, and writers and readers share one."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from corr_castro import ndjson
from corr_cli import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from rec_records import flows
from sqlite_utils import Database

from common.addresses import address_text
from common.records import FlowRecord
from correlator.store.columns import COLUMNS, DETAILS, RECORD_EXPRESSIONS, channel_id, channel_key, record_of
from correlator.store.database import Built, StoreUnavailableError, explained, writing
from correlator.store.schema import migrations


def refused(cli: Cli, *arguments: str | Path) -> str:
    result = cli(*arguments)
    assert result.code == 1, result
    assert result.out == ""
    assert len(result.err.splitlines()) == 1, result.err
    return result.err


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "castro.ndjson"
    path.write_text(ndjson())
    return path


def test_a_view_of_no_database_names_the_option(cli: Cli, db: Path) -> None:
    assert "--db" in refused(cli, "clients")
    assert not db.exists()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused(cli: Cli, db: Path, records: Path, content: bytes) -> None:
    db.write_bytes(content)
    assert "is not a usable database" in refused(cli, "clients")
    assert "is not a usable database" in refused(cli, "import", records)
    assert db.read_bytes() == content


def test_a_locked_database_is_refused(castro: Cli, db: Path, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("correlator.store.database.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(db, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert "is locked by another program" in refused(castro, "import", records)
        assert castro("clients").code == 0
    finally:
        other.close()


def test_a_newer_database_is_refused(castro: Cli, db: Path, records: Path) -> None:
    conn = sqlite3.connect(db)
    with conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tunnelwatch', 'add_moons', '')"
        )
    conn.close()
    assert "was made by a newer version (it has add_moons)" in refused(castro, "clients")
    assert "newer version" in refused(castro, "import", records)


def test_the_database_of_another_program_is_refused(cli: Cli, db: Path, records: Path) -> None:
    conn = sqlite3.connect(db)
    conn.execute("CREATE TABLE recipes (name)")
    conn.close()
    assert "of another program" in refused(cli, "clients")
    assert "of another program" in refused(cli, "import", records)


def test_a_directory_and_a_missing_directory_are_refused(tmp_path: Path, records: Path) -> None:
    assert "is a directory" in refused(Cli(tmp_path), "import", records)
    assert "no directory" in refused(Cli(tmp_path / "no" / "x.db"), "import", records)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_database_without_permission_is_refused(castro: Cli, db: Path) -> None:
    db.chmod(0)
    assert "no permission" in refused(castro, "clients")


def test_odd_characters_in_the_path_are_only_characters(tmp_path: Path, records: Path) -> None:
    cli = Cli(tmp_path / "a?mode=memory#b %41 ü.db")
    cli.imported(records)
    assert cli.db.exists()
    assert cli.json("summary")["connections"] == 21


def test_other_settings_than_the_file_was_built_with_are_a_warning(castro: Cli, tmp_path: Path, records: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[store]\nperiod_s = 900\n")
    said = castro("--config", config, "import", records).err
    assert "was made with period_s 3600 (configured 900), which stays in force" in said
    assert len(castro.json("periods")) == 2


def test_readers_see_committed_rows_while_a_writer_works(castro: Cli, db: Path) -> None:
    writer = sqlite3.connect(db, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM channel_periods")
    try:
        assert castro.json("summary")["clients"] == 7
    finally:
        writer.close()


def test_every_field_of_a_record_has_a_column(db: Path) -> None:
    with writing(db, Built(3600, 300)) as store:
        columns = {name for _, name, *_ in store.conn.execute("PRAGMA table_info(flow_records)")}
        assert columns == set(COLUMNS)
        named = {name for _, name, *_ in store.conn.execute("PRAGMA table_info(records)")}
        assert named == {*COLUMNS, *DETAILS, "protocol", "client", "server", "server_port"} - {"channel_id", "details"}
        assert store.conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.conn.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.usefixtures("castro")
def test_the_flows_view_is_readable_with_sqlite_utils(db: Path) -> None:
    database = Database(db)
    rows = list(database.query("SELECT * FROM flows WHERE client = '10.1.1.9' AND server_port = 3128"))
    database.close()
    assert [(row["started"], row["duration_s"], row["parts"]) for row in rows] == [("2003-11-25T13:28:33Z", 60.0, 1)]


def test_migrations_run_once(db: Path) -> None:
    for _ in range(2):
        with writing(db, Built(3600, 300)) as store:
            assert not migrations.pending(Database(store.conn))


def test_a_database_from_before_fragments_were_counted_is_brought_up_to_date(
    castro: Cli, db: Path, records: Path
) -> None:
    with closing(sqlite3.connect(db)) as conn, conn:
        conn.execute("ALTER TABLE sensors DROP COLUMN fragments")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'count_fragments'")
    assert "was made by an older version" in refused(castro, "sensors")
    assert castro("import", records).code == 0
    assert castro("sensors").code == 0
    with closing(sqlite3.connect(db)) as conn:
        assert conn.execute("SELECT DISTINCT fragments FROM sensors").fetchall() == [(0,)]


def alike(one: Any, other: Any) -> bool:
    """Tell whether rows are equal but for what SQLite makes of fractions in JSON: 15 digits, and no huge ones."""
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(min(one, 1e300), min(other, 1e300), rel_tol=1e-12)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


@given(st.lists(flows(), max_size=4, unique_by=lambda record: (record.flow_id, record.part)))
@settings(max_examples=30)
def test_records_written_before_their_details_were_one_column_are_the_same_after_it(before: list[FlowRecord]) -> None:
    before.sort(key=lambda record: (record.flow_id, record.part))
    with closing(Database(memory=True)) as db:
        migrations.apply(db, stop_before="details_in_one_column")
        for record in before:
            protocol, client, server, port = channel_key(record)
            channel = channel_id(channel_key(record))
            key = (channel, protocol, address_text(client), address_text(server), port)
            db.conn.execute("INSERT OR IGNORE INTO channels VALUES (?, ?, ?, ?, ?)", key)
            row: dict[str, Any] = {"sensor": "tap", "channel_id": channel, **record._asdict()}
            for name in ("protocol", "client_ip", "server_ip", "server_port"):
                del row[name]
            values = [json.dumps(v) if isinstance(v, tuple | dict) else v for v in row.values()]
            db.conn.execute(f"INSERT INTO flow_records ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", values)
        migrations.apply(db)
        query = f"""SELECT {", ".join(RECORD_EXPRESSIONS)} FROM flow_records AS t
                    JOIN channels AS c ON c.channel_id = t.channel_id ORDER BY t.flow_id, t.part"""
        assert alike([record_of(row) for row in db.execute(query)], before)
        for name in DETAILS:
            stored = [value for (value,) in db.execute(f"SELECT {name} FROM records ORDER BY flow_id, part")]
            expected = json.loads(json.dumps([getattr(record, name) for record in before]))
            assert alike([json.loads(v) if isinstance(v, str) else v for v in stored], expected)


def test_a_database_from_before_spools_gave_an_account_is_brought_up_to_date(
    castro: Cli, db: Path, records: Path
) -> None:
    names = ("frames_lost", "spool_lag_s", "unclean_stops")
    with closing(sqlite3.connect(db)) as conn, conn:
        for name in names:
            conn.execute(f"ALTER TABLE sensors DROP COLUMN {name}")
        conn.execute("UPDATE sensors SET time_ns = 5, rejected = '{}'")  # as if it had sent statistics
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'account_of_the_spool'")
    assert "was made by an older version" in refused(castro, "sensors")
    assert castro("import", records).code == 0
    (row,) = castro.json("sensors")
    assert [row["stats"][name] for name in names] == [{}, 0, 0]


@pytest.mark.usefixtures("castro")
def test_the_schema_keeps_its_references(db: Path) -> None:
    conn = sqlite3.connect(db)
    assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
    assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    conn.close()


@pytest.mark.parametrize("said", ["database or disk is full", "disk I/O error"])
def test_what_a_full_disk_is_called_may_pass_and_names_the_disk(db: Path, said: str) -> None:
    problem = explained(db, sqlite3.OperationalError(said))
    assert isinstance(problem, StoreUnavailableError)
    assert "disk" in str(problem)
    assert "full" in str(problem)
