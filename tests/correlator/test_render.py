"""Tables for people: numbers, colours on a terminal only, and nothing that commands it."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from corr_castro import ndjson
from corr_link import command, environment

from correlator.render.table import human_bytes, human_duration


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


def on_terminal(*arguments: str | Path) -> str:
    """Run a command on a terminal, and return all that it printed there."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            command(*arguments), stdout=slave, stderr=slave, env={**environment(), "TERM": "xterm", "COLUMNS": "60"}
        )
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
