"""What can be wrong with a database is one line, and writers and readers share one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from corr_castro import ndjson
from corr_cli import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from rec_records import plausible_flows
from sqlite_utils import Database

from common.records import FlowRecord
from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.rows import Selection
from correlator.store.columns import COLUMNS, DETAILS
from correlator.store.database import Built, StoreUnavailableError, explained, writing
from correlator.store.flows import Order
from correlator.store.flows import records as stored_records
from correlator.store.schema import migrations
from correlator.store.steps import SET, STEPS
from correlator.store.writer import Writer


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


def test_every_field_of_a_record_has_a_place(db: Path) -> None:
    with writing(db, Built(3600, 300)) as store:
        columns = {name for _, name, *_ in store.conn.execute("PRAGMA table_info(flow_records)")}
        assert columns == set(COLUMNS)
        numbered = {"protocol", "client_ip", "server_ip", "server_port"}
        assert (columns & set(FlowRecord._fields)) | set(DETAILS) | numbered == set(FlowRecord._fields)
        assert store.conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.conn.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.usefixtures("castro")
def test_the_flows_view_is_readable_with_sqlite_utils(db: Path) -> None:
    database = Database(db)
    rows = list(database.query("SELECT * FROM flows WHERE client = '10.1.1.9' AND server_port = 3128"))
    database.close()
    assert [(row["started"], row["duration_s"], row["parts"]) for row in rows] == [("2003-11-25T13:28:33Z", 60.0, 1)]


def test_the_steps_that_are_known_by_name_are_those_of_the_schema() -> None:
    with closing(Database(memory=True)) as empty:
        assert {step.name for step in migrations.pending(empty)} == STEPS
    assert migrations.name == SET


@pytest.mark.usefixtures("castro")
def test_what_only_reads_needs_no_library_for_migrations(db: Path) -> None:
    script = "import sys; from correlator.cli import main\ntry: main()\nfinally: print('sqlite_utils' in sys.modules)"
    for arguments in (["clients", "--json"], ["import", "/dev/null"]):
        done = subprocess.run(
            [sys.executable, "-c", script, "--db", db, *arguments], capture_output=True, text=True, check=False
        )
        assert done.stdout.endswith("False\n"), done


def test_migrations_run_once(db: Path) -> None:
    for _ in range(2):
        with writing(db, Built(3600, 300)) as store:
            assert not migrations.pending(Database(store.conn))


def test_a_database_from_before_the_first_release_is_refused(castro: Cli, db: Path, records: Path) -> None:
    with closing(sqlite3.connect(db)) as conn, conn:
        conn.execute("UPDATE _sqlite_migrations SET name = 'initial_schema' WHERE name = 'tables'")
    for arguments in (("sensors",), ("import", records)):
        assert "before the first release: import its flow logs into a new file" in refused(castro, *arguments)


@given(st.lists(plausible_flows(), min_size=1, max_size=6, unique_by=lambda record: (record.flow_id, record.part)))
@settings(max_examples=50)
def test_records_are_read_back_as_they_were_written(before: list[FlowRecord]) -> None:
    # A part without a host is read with its flow's.
    hosts = {record.flow_id: record.host for record in before}
    before = [record._replace(host=hosts[record.flow_id]) for record in before]
    with TemporaryDirectory() as folder, writing(Path(folder) / "r.db", Built(3600, 300)) as store:
        Pipeline(Writer(store), Thresholds()).store_records([("tap", record) for record in before], 0)
        after = [record for _, record in stored_records(store, Selection(protocol=None), Order())]
    assert sorted(after, key=repr) == sorted(before, key=repr)


def test_damaged_details_are_one_line(castro: Cli, db: Path) -> None:
    with closing(sqlite3.connect(db)) as conn, conn:
        conn.execute("UPDATE record_details SET columns = substr(columns, 1, 20)")
    assert "details of records 1 to 21 are damaged" in refused(castro, "flows", "--json")


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
