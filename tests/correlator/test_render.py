"""Tables for people: numbers, colours on a terminal only, and nothing that commands it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
from corr_castro import ndjson
from corr_cli import Cli
from corr_link import command, environment
from hypothesis import given
from hypothesis import strategies as st

from correlator.cli.output import print_records
from correlator.render.machine import write_json
from correlator.render.table import Column, human_bytes, human_duration, print_table


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (16448, "16.4 kB"), (3.4e9, "3.4 GB"), (9e18, "9000.0 PB")],
)
def test_sizes(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (4.25, "4.2 s"), (59, "59 s"), (90, "1m30s"), (11_220, "3h07m"), (187_200, "2d04h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def on_terminal(*arguments: str | Path, **settings: str) -> str:
    """Run a command on a terminal, and return all that it printed there."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            command(*arguments), stdin=slave, stdout=slave, stderr=slave,
            env={**environment(), "TERM": "xterm", "COLUMNS": "60", **settings},
        )  # fmt: skip
    finally:
        os.close(slave)
    found = b""
    try:
        while chunk := os.read(master, 65536):
            found += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
    assert process.wait(timeout=30) == 0
    return found.decode()


def test_a_terminal_gets_headings_and_whole_numbers_and_a_bar(tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    path.write_text(ndjson() * 400)
    said = on_terminal("--db", tmp_path / "t.db", "import", path)
    assert "100%" in said
    assert "8400 records stored" in said
    table = on_terminal("--db", tmp_path / "t.db", "clients")
    assert "\x1b[1m" in table
    lines = table.splitlines()
    assert len(lines) == 8
    assert "2,800" in lines[1]
    assert "10.1.1.9" in table
    assert "pkts out" not in table


@pytest.fixture
def long_db(tmp_path: Path) -> Path:
    """A database whose list of flows is longer than a screen."""
    path = tmp_path / "long.ndjson"
    path.write_text(ndjson() + ndjson().replace("10.1.1.", "10.7.7."))
    subprocess.run(
        command("--db", tmp_path / "t.db", "import", path), env=environment(), check=True, capture_output=True
    )
    return tmp_path / "t.db"


def test_a_table_longer_than_the_screen_goes_to_the_pager(long_db: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    shown = on_terminal("--db", long_db, "flows", PAGER=f"tee {seen}", LINES="24")
    assert len(seen.read_text().splitlines()) >= 43
    assert "10.7.7.9" in shown


def test_the_pager_is_asked_for_colours_and_long_lines(long_db: Path, tmp_path: Path) -> None:
    pager = tmp_path / "less"
    pager.write_text(f"#!/bin/sh\nprintf '%s' \"$LESS\" > {tmp_path}/options\nhead -n 1\n")
    pager.chmod(0o755)
    assert on_terminal("--db", long_db, "flows", PAGER=str(pager), LINES="24").startswith("\x1b[1mstart")
    assert (tmp_path / "options").read_text() == "-RS"
    on_terminal("--db", long_db, "flows", PAGER=str(pager), LINES="24", LESS="-X")
    assert (tmp_path / "options").read_text() == "-X"


def test_a_pager_that_is_left_early_is_no_error(long_db: Path) -> None:
    assert "Traceback" not in on_terminal("--db", long_db, "flows", PAGER="head -n 2", LINES="24")
    assert "rror" not in on_terminal("--db", long_db, "flows", PAGER="true", LINES="24")


@pytest.mark.parametrize(("arguments", "lines"), [(("--no-pager",), "24"), ((), "60"), (("-n", "5"), "24")])
def test_without_need_or_wish_there_is_no_pager(
    long_db: Path, tmp_path: Path, arguments: tuple[str, ...], lines: str
) -> None:
    seen = tmp_path / "seen"
    assert "10.1.1." in on_terminal("--db", long_db, "flows", *arguments, PAGER=f"tee {seen}", LINES=lines)
    assert not seen.exists()


def test_a_pager_that_is_not_there_is_done_without(long_db: Path) -> None:
    assert "10.7.7.9" in on_terminal("--db", long_db, "flows", PAGER="/no/such/pager", LINES="24")


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_no_escape_is_written(long_db: Path, settings: dict[str, str]) -> None:
    assert "\x1b" not in on_terminal("--db", long_db, "clients", **settings)


def test_raw_tables_have_the_numbers_of_json(castro: Cli) -> None:
    titles, row, *_ = castro("clients", "--client", "10.1.1.9", "--raw").out.splitlines()
    assert titles.split("  ")[0] == "client"
    client = castro.json("clients", "--client", "10.1.1.9")[0]
    assert row.split() == [str(client[name]) for name in client]
    assert castro("clients", "--client", "10.1.1.9", "--raw", "--json").json() == [client]


def test_a_raw_summary_has_the_numbers_of_json(castro: Cli) -> None:
    lines = dict(line.split(maxsplit=1) for line in castro("summary", "--raw").out.splitlines())
    summary = castro.json("summary")
    assert lines["bytes_out"] == str(summary["bytes_out"])
    assert lines["first"] == summary["first"]


@given(st.lists(st.tuples(st.text(), st.integers(0, 3)), max_size=7), st.integers(0, 3))
def test_json_is_the_array_of_all_records(values: list[tuple[str, int]], times: int) -> None:
    records: list[dict[str, Any]] = [
        {"name": name, **({"children": [{"name": name}] * below} if below else {})} for name, below in values
    ] * (times * 100)
    out = StringIO()
    write_json(iter(records), out)
    assert out.getvalue() == json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def test_a_table_is_written_while_its_rows_come(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []

    def rows() -> Iterator[dict[str, str]]:
        for number in range(5000):
            if number == 4000:
                written.append(capsys.readouterr().out)
            yield {"name": "x" * (1 + number // 3000)}

    print_table([Column("name", "n")], rows(), "empty")
    assert len(written[0].splitlines()) > 3000


@pytest.mark.parametrize("form", ["--json", "--ndjson", "--csv"])
def test_records_for_programs_are_written_while_they_come(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []

    def rows() -> Iterator[dict[str, int]]:
        yield from ({"n": number} for number in range(1000))
        written.append(capsys.readouterr().out)
        yield {"n": 1000}

    with click.Context(click.Command("any")):
        print_records(rows(), form.removeprefix("--"), [])
    assert written[0].count("799") == 1


@pytest.mark.parametrize("form", ["--json", "--ndjson", "--csv", "--raw"])
def test_a_reader_that_goes_away_is_no_error(long_db: Path, form: str) -> None:
    words = command("--db", long_db, "flows", form)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
