"""The tutorial's commands do what the tutorial shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from programs import CORRELATOR, SENSOR, run

PROGRAMS = {"tunnelwatch": CORRELATOR, "tunnelwatch-sensor": SENSOR}
BLOCK = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def transcript(commands: list[str], folder: Path) -> str:
    """Return commands and what they print, as a terminal shows it."""
    shown = []
    for command in commands:
        program, *arguments = shlex.split(command)
        code, out, err = run(PROGRAMS[program], *arguments, cwd=folder)
        assert code == 0, (command, err)
        shown.append(f"$ {command}\n{out.decode()}{err}")
    return "".join(shown)


def test_the_tutorial_shows_what_its_commands_print(repo_root: Path, tmp_path: Path, update_golden: bool) -> None:
    (tmp_path / "tests").symlink_to(repo_root / "tests")
    page = repo_root / "docs/tutorial.md"
    text = page.read_text()

    def again(block: re.Match[str]) -> str:
        commands = [line.removeprefix("$ ") for line in block[1].splitlines() if line.startswith("$ ")]
        return f"```console\n{transcript(commands, tmp_path)}```\n"

    expected = BLOCK.sub(again, text)
    if update_golden:
        page.write_text(expected)
    assert len(BLOCK.findall(text)) >= 6
    assert text == expected or update_golden


def test_it_takes_three_commands(repo_root: Path) -> None:
    steps = re.findall(
        r"^## [123]\. .*?(?=^## )", (repo_root / "docs/tutorial.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert [step.count("$ tunnelwatch ") for step in steps] == [1, 1, 1]
