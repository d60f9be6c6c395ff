"""The correlator's command line: ``tunnelwatch``."""

from __future__ import annotations

import click

from common.console import CONTEXT_SETTINGS, Group, version_option
from correlator.cli.alarms import alarms
from correlator.cli.config import config
from correlator.cli.evolution import evolution
from correlator.cli.flows import flows
from correlator.cli.import_ import import_
from correlator.cli.keygen import keygen
from correlator.cli.options import place_options
from correlator.cli.ranking import bottom, top
from correlator.cli.sensors import sensors
from correlator.cli.serve import serve
from correlator.cli.summary import summary
from correlator.cli.views import clients, periods, servers, slots

__all__ = ["main"]


@click.group(cls=Group, context_settings={**CONTEXT_SETTINGS, "auto_envvar_prefix": None})
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


for command in (
    serve,
    import_,
    summary,
    clients,
    servers,
    periods,
    slots,
    flows,
    top,
    bottom,
    evolution,
    alarms,
    sensors,
    keygen,
    config,
):
    main.add_command(command)
