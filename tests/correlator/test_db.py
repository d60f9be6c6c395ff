"""``db``: what its commands take, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_cli import Cli


@pytest.mark.parametrize("command", ["rebuild"])
def test_no_database_is_made(cli: Cli, db: Path, command: str) -> None:
    done = cli("db", command)
    assert done.code == 1
    assert done.err.startswith(f"error: no database at {db}: ")
    assert not db.exists()
