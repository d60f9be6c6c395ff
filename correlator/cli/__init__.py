"""The correlator's command line: ``tunnelwatch``; a command is imported when it is asked for."""

from __future__ import annotations

from typing import Final

import click

from common.console import CONTEXT_SETTINGS, LazyGroup, version_option
from correlator.cli.options import place_options

__all__ = ["main"]

_COMMANDS: Final = {
    "alarms": "alarms",
    "baseline": "baseline",
    "bottom": "ranking",
    "calibrate": "calibrate",
    "clients": "views",
    "config": "config",
    "db": "db",
    "detect": "detect",
    "evolution": "evolution",
    "exchanges": "exchanges",
    "flows": "flows",
    "import": "import_",
    "keygen": "keygen",
    "learn": "learn",
    "lists": "lists",
    "periods": "views",
    "sensors": "sensors",
    "serve": "serve",
    "servers": "views",
    "slots": "views",
    "summary": "summary",
    "top": "ranking",
}


@click.group(
    cls=LazyGroup,
    package="correlator.cli",
    modules=_COMMANDS,
    context_settings={**CONTEXT_SETTINGS, "auto_envvar_prefix": None},
)
@version_option("tunnelwatch")
@place_options
def main() -> None:
    r"""Find tunnels in recorded flows: collect them, look at them, be told.

    \b
    Example:
      tunnelwatch import conn.log
      tunnelwatch clients
      tunnelwatch top servers --by outbound
    """
