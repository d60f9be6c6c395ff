"""Other people's programs read what the sensor writes. ``scripts/interop`` brings them and runs this."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from programs import SENSOR, run

pytestmark = pytest.mark.interop

# What each type of Zeek's is in zat's rows and in its data frames, where categories hold the rest.
ROW_TYPES = {
    "time": "datetime", "interval": "timedelta", "count": "int", "port": "int", "bool": "bool", "string": "str",
    "enum": "str", "addr": "str", "set[string]": "str",
}  # fmt: skip
FRAME_TYPES = {"time": "datetime64", "interval": "timedelta64", "count": "UInt64", "port": "UInt16"}


@pytest.fixture(scope="module")
def zat(repo_root: Path) -> list[str]:
    """The command that reads a conn.log with zat."""
    python = Path(os.environ.get("INTEROP", "/nowhere")) / "bin/python"
    if not python.exists():
        pytest.skip("needs zat in an environment of its own: run scripts/interop")
    return [str(python), str(repo_root / "tests/support/zat_reads.py")]


@pytest.fixture(scope="module")
def zeek_cut() -> str:
    """Zeek's own cutter of columns, which was bro-cut before."""
    found = shutil.which("zeek-cut") or shutil.which("bro-cut")
    if found is None:
        pytest.skip("needs zeek-cut, or bro-cut of the package bro-aux: neither is installed")
    return found


@pytest.fixture(scope="module")
def log(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conn.log with every column that the sensor can write."""
    path = tmp_path_factory.mktemp("log") / "conn.log"
    more = ("--home", "10.0.0.0/8", "--community-id")
    assert run(SENSOR, "read", str(data_dir / "demo.pcap"), "-w", str(path), *more)[0] == 0
    return path


@pytest.fixture(scope="module")
def empty_log(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a capture without packets."""
    directory = tmp_path_factory.mktemp("empty")
    (directory / "empty.pcap").write_bytes((data_dir / "demo.pcap").read_bytes()[:24])
    assert run(SENSOR, "read", str(directory / "empty.pcap"), "-w", str(directory / "conn.log"))[0] == 0
    return directory / "conn.log"


def columns(path: Path) -> dict[str, str]:
    """Every column's name and type."""
    names, types = (
        line.split("\t")[1:] for line in path.read_text().splitlines() if line.startswith(("#fields", "#types"))
    )
    return dict(zip(names, types, strict=True))


def cells(path: Path) -> list[dict[str, str]]:
    lines = path.read_text().splitlines()
    return [dict(zip(columns(path), line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]


def read(zat: list[str], path: Path) -> Any:
    code, out, err = run(*zat, str(path), timeout=50)
    assert code == 0, err
    assert "Conversion Issue" not in err
    return json.loads(out)


def test_zat_reads_every_row_with_the_right_types(zat: list[str], log: Path) -> None:
    got, want = read(zat, log), cells(log)
    assert len(want) == 69
    assert got["row_types"] == {name: ROW_TYPES[kind] for name, kind in columns(log).items()}
    for row, line in zip(got["rows"], want, strict=True):
        for name in ("uid", "id.orig_h", "id.resp_p", "orig_bytes", "conn_state", "resp_ip_bytes", "community_id"):
            assert row[name] == line[name]
        assert datetime.fromisoformat(row["ts"]).timestamp() == pytest.approx(float(line["ts"]), abs=1e-6)
        assert (row["local_orig"], row["local_resp"]) == ("True", str(line["id.resp_h"].startswith("10.")))


def test_zats_data_frame_has_the_right_types_and_totals(zat: list[str], log: Path) -> None:
    got, want = read(zat, log), cells(log)
    assert got["frame_rows"] == len(want)
    for name, kind in columns(log).items():
        assert got["frame_types"][name].startswith(FRAME_TYPES.get(kind, ("object", "category", "str")))
    for name, total in got["frame_totals"].items():
        assert total == sum(int(line[name]) for line in want if line[name] != "-")
    assert got["frame_seconds"] == pytest.approx(
        sum(float(line["duration"]) for line in want if line["duration"] != "-")
    )


def test_zat_reads_a_log_without_connections(zat: list[str], empty_log: Path) -> None:
    got = read(zat, empty_log)
    assert (got["rows"], got["frame_rows"]) == ([], 0)
    assert set(got["frame_types"]) == set(columns(empty_log))


def test_zeek_cut_finds_every_column_and_turns_times_into_dates(zeek_cut: str, log: Path, empty_log: Path) -> None:
    names = list(columns(log))
    for name in names:
        code, out, err = run(zeek_cut, name, stdin=log.read_bytes())
        assert (code, err) == (0, "")
        assert out.decode().splitlines() == [row[name] for row in cells(log)]
    _, out, err = run(zeek_cut, "-U", "%s", "ts", stdin=empty_log.read_bytes() + log.read_bytes())
    assert err == ""
    assert [int(line) for line in out.split()] == [int(float(row["ts"])) for row in cells(log)]
    _, out, err = run(zeek_cut, "-C", stdin=log.read_bytes())
    assert (out, err) == (log.read_bytes(), "")


def test_the_times_of_opening_and_closing_are_local_time(log: Path) -> None:
    opened, closed = (
        datetime.strptime(line.split("\t")[1], "%Y-%m-%d-%H-%M-%S").astimezone(UTC)
        for line in log.read_text().splitlines()
        if line.startswith(("#open", "#close"))
    )
    written = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    assert (written - opened).total_seconds() < 60
    assert opened <= closed <= written
