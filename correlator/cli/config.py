"""``config``: the configuration in force, and the commented example."""

from __future__ import annotations

from importlib.resources import files

import click

from common.settings import dump_settings
from correlator.cli.options import Place, with_place


@click.command(short_help="The configuration in force, or a commented example")
@click.option("--example", "wants_example", is_flag=True, help="Print the commented example with all defaults")
@with_place
def config(place: Place, *, wants_example: bool) -> None:
    r"""Check the configuration and print what is in force, defaults included.

    \b
    Example:
      tunnelwatch config --example > tunnelwatch.toml
      tunnelwatch --config tunnelwatch.toml config
    """
    click.echo(example() if wants_example else dump_settings(place.settings()), nl=False)


def example() -> str:
    """Return the commented example configuration."""
    return files("correlator").joinpath("example.toml").read_text(encoding="utf-8")
