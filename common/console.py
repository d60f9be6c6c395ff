"""What both command lines share: one-line errors, exit codes, and the common options' shape."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from common import __version__
from common.errors import UserError

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Group(click.Group):
    """A command group whose commands fail in one line: UserError becomes ``error: ...`` and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; mend what may go wrong outside of it."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                # What print() still holds must fail here, if it does, and not when the interpreter ends.
                sys.stdout.flush()
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # The reader of our output went away (`| head`): not an error, and nothing more to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


def version_option(program: str) -> Callable[[Any], Any]:
    """Return the --version option of a program."""
    return click.version_option(__version__, "-V", "--version", prog_name=program)
