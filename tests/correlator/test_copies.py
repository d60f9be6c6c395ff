"""``db backup`` and ``db export``: what they write, and what they refuse in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest
from corr_cli import Cli
from corr_link import command, environment
from disks import disk


def test_a_backup_is_a_database(castro: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    done = castro("db", "backup", copy)
    assert (done.code, done.out, done.err) == (0, "", f"wrote {copy}: {copy.stat().st_size} bytes\n")
    assert Cli(copy)("flows", "--json") == castro("flows", "--json")
    assert castro("db", "backup", copy).err.startswith(f"error: {copy} is there already: ")
    assert castro("db", "backup", copy, "--force").code == 0
    (tmp_path / "copy.db-wal").write_bytes(b"log")
    assert "copy.db-wal belongs to a database" in castro("db", "backup", copy, "--force").err


@pytest.mark.parametrize("command", ["backup", "export"])
def test_the_database_itself_is_not_written_over(castro: Cli, db: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "other.csv").symlink_to(db)
    done = castro("db", command, tmp_path / "other.csv", "--force")
    assert (done.code, "is the database itself" in done.err) == (1, True)
    assert castro("summary").code == 0


def test_an_export_as_csv_is_imported_again(castro: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert castro("db", "export", path, "--details").err == f"wrote {path}: 21 records\n"
    other = Cli(tmp_path / "other.db")
    other.imported(path)
    assert other("flows", "--json") == castro("flows", "--json")


def test_an_export_as_parquet_has_the_selection(castro: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    client = castro.json("clients")[0]["client"]
    expected = castro.json("flows", "--parts", "--client", client)
    assert castro("db", "export", path, "--client", client).code == 0
    assert pyarrow.parquet.read_table(path).num_rows == len(expected)


@pytest.mark.parametrize("name", ["a.zip", "a"])
def test_only_forms_that_are_known_are_written(castro: Cli, tmp_path: Path, name: str) -> None:
    assert castro("db", "export", tmp_path / name).code == 2
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(("how", "name"), [("backup", "copy.db"), ("export", "a.csv"), ("export", "a.parquet")])
def test_a_full_disk_is_one_line_and_leaves_nothing(castro: Cli, how: str, name: str) -> None:
    with disk() as small:
        (small.path / "filler").write_bytes(bytes(256 << 10))
        # Inside its namespace, for SQLite follows the link that leads there.
        inside = ["nsenter", "-t", str(small.pid), "-m", *command("--db", castro.db, "db", how, f"/mnt/{name}")]
        done = subprocess.run(inside, env=environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1
        assert [path.name for path in small.path.iterdir()] == ["filler"]
