"""The page of figures: its commands run, and it names every requirement that has a command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import corr_castro
import pytest
from corr_cli import Cli

PAGE = (Path(__file__).parents[2] / "docs/figures.md").read_text()
COMMANDS = re.findall(r"\| `tunnelwatch ([^`]+)`", PAGE)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("paper")
    (folder / "paper.ndjson").write_text(corr_castro.ndjson())
    cli = Cli(folder / "paper.db")
    cli.imported(folder / "paper.ndjson")
    return cli


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_answers(paper: Cli, command: str) -> None:
    for form in ((), ("--json",), ("--csv",)):
        result = paper(*shlex.split(command), *form)
        assert result.code == 0, result
        assert result.out or "hosts" in command


def test_the_page_has_a_command_for_every_figure() -> None:
    named = set()
    for first, last in re.findall(r"([DEF]\d\d)(?:-[DEF](\d\d))?", PAGE):
        named |= {f"{first[0]}{number:02d}" for number in range(int(first[1:]), int(last or first[1:]) + 1)}
    wanted = [
        f"{letter}{number:02d}" for letter, last in (("D", 25), ("E", 7), ("F", 11)) for number in range(1, last + 1)
    ]
    assert set(wanted) == named
