"""``db``: what its commands take, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_cli import Cli


@pytest.mark.parametrize(
    "command", ["rebuild", "prune", "prune --dry-run", "stats", "check", "backup copy", "export a.csv"]
)
def test_no_database_is_made(cli: Cli, db: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(db.parent)
    done = cli("db", *command.split())
    assert done.code == 1
    assert done.err.startswith(f"error: no database at {db}: ")
    assert not list(db.parent.iterdir())
