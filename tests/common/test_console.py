from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from common import __version__
from common.console import CONTEXT_SETTINGS, Group, printable, version_option
from common.errors import ConfigError, UserError


class SpecialError(UserError):
    exit_code = 3


ERRORS = {"user": UserError, "config": ConfigError, "special": SpecialError, "bug": ZeroDivisionError}


@click.group(cls=Group, context_settings=CONTEXT_SETTINGS)
@version_option("program")
def program():
    """A program."""


@program.command()
@click.argument("how")
def fail(how):
    """Fail."""
    raise ERRORS[how]("the disk is full; make room")


@program.command()
@click.argument("code", type=int)
@click.pass_context
def leave(ctx, code):
    """Leave."""
    click.echo("data")
    ctx.exit(code)


def run(*words: str):
    return CliRunner().invoke(program, words)


@pytest.mark.parametrize(("how", "code"), [("user", 1), ("config", 1), ("special", 3)])
def test_a_user_error_is_one_line_on_stderr_and_its_exit_code(how, code):
    result = run("fail", how)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "error: the disk is full; make room\n")


def test_a_bug_is_not_hidden():
    assert isinstance(run("fail", "bug").exception, ZeroDivisionError)


def test_an_exit_code_of_a_command_is_kept():
    result = run("leave", "3")
    assert (result.exit_code, result.stdout) == (3, "data\n")


def test_usage_errors_end_with_2():
    assert run("leave").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_both_short_options_work():
    assert run("-h").stdout.startswith("Usage: ")
    assert run("-V").stdout == f"program, version {__version__}\n"


SCRIPT = """
import click
from common.console import Group

@click.group(cls=Group)
def program(): pass

@program.command()
@click.argument("how")
@click.pass_context
def write(ctx, how):
    if how == "echo":
        for _ in range(100_000):
            click.echo("line")
    elif how == "lines":
        for _ in range(100_000):
            print("line")
    elif how == "little":
        print("line")
    else:
        print("line")
        ctx.exit(3)

program()
"""


@pytest.mark.parametrize("how", ["echo", "lines", "little", "code"])
def test_a_reader_that_went_away_is_no_error(how):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "write", how],
            stdout=writing, stderr=subprocess.PIPE, timeout=30, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_could_command_a_terminal_is_shown():
    assert printable("a\x1b[2J\u202eb\x9b1m\nc\udcff") == "a\\x1b[2J\\u202eb\\x9b1m\\nc\\udcff"
    assert printable("Käse, 漢 and '\\'") == "Käse, 漢 and '\\'"


def test_an_error_and_a_mistake_on_the_command_line_command_no_terminal(monkeypatch):
    monkeypatch.setitem(ERRORS, "hostile", lambda _: UserError("no file a\x1b[2J\nb; mend it"))
    assert run("fail", "hostile").stderr == "error: no file a\\x1b[2J\\nb; mend it\n"
    for words in (("--\x1b[2J",), ("\x1b[2J",), ("fail", "--\x1b[2J"), ("fail", "a", "\x1b[2J"), ("leave", "\x1b[2J")):
        result = run(*words)
        assert result.exit_code == 2
        assert "[2J" in result.stderr
        assert result.stderr.replace("\n", "").isprintable(), words
