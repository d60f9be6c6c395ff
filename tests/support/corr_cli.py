"""Runs the correlator's command line inside the test's process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from correlator.cli import main


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """The command line on one database."""

    def __init__(self, db: Path) -> None:
        self.db = db

    def __call__(self, *arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        """Run a command; anything but a clean exit is raised."""
        found = CliRunner().invoke(
            main, ["--db", str(self.db), *map(str, arguments)], input=stdin, catch_exceptions=False
        )
        return Result(found.exit_code, found.stdout, found.stderr)

    def json(self, *arguments: str | Path) -> Any:
        """Run a command that must succeed, and return its JSON."""
        result = self(*arguments, "--json")
        assert result.code == 0, result
        return result.json()

    def imported(self, *files: str | Path) -> str:
        """Import files that must be good; return what was said."""
        result = self("import", *files)
        assert result.code == 0, result
        return result.err
