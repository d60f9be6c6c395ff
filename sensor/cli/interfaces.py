"""``tunnelwatch-sensor interfaces``: what can be captured on."""

from __future__ import annotations

import click

from common.console import printable
from sensor.capture.device import interface_names


@click.command()
def interfaces() -> None:
    r"""List the interfaces that can be captured on, one a line.

    \b
    Example:
      tunnelwatch-sensor interfaces
    """
    for name in interface_names():
        click.echo(printable(name))
