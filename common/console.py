"""What both command lines share: one-line errors, text that commands no terminal, exit codes, common options."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from common import __version__
from common.errors import UserError
from common.safetext import printable as printable  # noqa: PLC0414 - for those who print it with say

# No room, or closed: of all files only standard output is written without naming it in the error.
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def say(line: str) -> None:
    """Write one line for people to standard error; names in it may be anybody's."""
    click.echo(printable(line), err=True)


class Group(click.Group):
    """A command group whose commands fail in one line: UserError becomes ``error: ...`` and its exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _keep_lines(self)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Take a command, with the lines of the examples in its help as they are."""
        _keep_lines(cmd)
        super().add_command(cmd, name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the group's own options; its help is written here."""
        with _one_line(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; mend what may go wrong outside of it."""
        with _one_line(ctx):
            return super().invoke(ctx)


class LazyGroup(Group):
    """A group whose commands are imported when they are asked for: each brings what it alone needs.

    ``modules`` are the modules of ``package`` by the command that each has, under its name or one with ``_`` behind.
    """

    def __init__(self, *args: Any, package: str, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in order."""
        return sorted({*self._modules, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now if it was not."""
        if cmd_name in self._modules and cmd_name not in self.commands:
            module = import_module(f"{self._package}.{self._modules[cmd_name]}")
            self.add_command(getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_"), cmd_name)
        return super().get_command(ctx, cmd_name)


def _keep_lines(command: click.Command) -> None:
    """Turn the backslash and b of a raw docstring into the character that keeps click from filling a paragraph."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _keep_lines(one)


@contextmanager
def _one_line(ctx: click.Context) -> Iterator[None]:
    """Turn errors that a person has to mend into one line and an exit code."""
    if sys.stdout is None:
        # Started with >&-: what is written fails as it would there, and no other file gets the number 1.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    try:
        try:
            yield
        finally:
            # What print() still holds must fail here, if it does, and not when the interpreter ends.
            sys.stdout.flush()
    except UserError as error:
        say(f"error: {error}")
        ctx.exit(error.exit_code)
    except click.UsageError as error:
        # It repeats what was typed, or what a pattern of the shell found.
        lines = error.format_message().split("\n")
        if all(map(str.isprintable, lines)):
            raise
        raise click.UsageError("\n".join(map(printable, lines)), error.ctx) from None
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error, and nothing more to say.
        _discard_output()
        ctx.exit(0)
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_ERRORS:
            raise
        _discard_output()
        say(f"error: cannot write to standard output: {error.strerror}; make room or redirect it")
        ctx.exit(1)


def _discard_output() -> None:
    """Let what is still held go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def version_option(program: str) -> Callable[[Any], Any]:
    """Return the --version option of a program."""
    return click.version_option(__version__, "-V", "--version", prog_name=program)
