"""``tunnelwatch-sensor keygen``."""

from __future__ import annotations

from pathlib import Path

import click

from common.console import say
from common.settings import load_settings
from sensor.cli.options import config_option
from sensor.config import SensorConfig


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--sensor", "name", metavar="NAME", help="This sensor's name.  [default: the host's]")
@config_option
def keygen(path: Path | None, name: str | None, config_path: Path | None) -> None:
    r"""Make this sensor's key pair and print its public key, which the correlator has to be told.

    PATH is [ship] key where it is not given. A file that exists is never written over.

    \b
    Example:
      tunnelwatch-sensor keygen
      tunnelwatch-sensor keygen /etc/tunnelwatch/sensor.key > tap-1.pub
    """
    from common.keys import quoted, write_key_file  # noqa: PLC0415 - ZeroMQ takes long to import
    from sensor.ship.dealer import key_path  # noqa: PLC0415 - as above

    config = load_settings(config_path, SensorConfig)
    path = path or key_path(config.ship)
    pair = write_key_file(path)
    say(f"wrote {path}; next, on the correlator's host:")
    say(f"  tunnelwatch sensors add {quoted(name or config.name)} {quoted(pair.public)}")
    click.echo(pair.public)
