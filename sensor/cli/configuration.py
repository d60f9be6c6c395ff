"""``tunnelwatch-sensor check-config`` and ``dump-config``."""

from __future__ import annotations

from pathlib import Path

import click

from common.console import say
from common.settings import dump_settings, load_settings
from sensor.cli.options import config_option
from sensor.config import SensorConfig
from sensor.config import check_config as check_settings


@click.command("check-config")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def check_config(path: Path) -> None:
    r"""Check a configuration file and start nothing.

    \b
    Example:
      tunnelwatch-sensor check-config /etc/tunnelwatch/sensor.toml
    """
    check_settings(load_settings(path, SensorConfig))
    say(f"{path} is fine")


@click.command("dump-config")
@config_option
@click.option("--example", is_flag=True, help="Print the commented example instead.")
def dump_config(config_path: Path | None, *, example: bool) -> None:
    r"""Print the settings in effect, as TOML that can be read back.

    \b
    Example:
      tunnelwatch-sensor dump-config --example > sensor.toml
    """
    if example:
        from importlib.resources import files  # noqa: PLC0415 - slow to import, and seldom needed

        click.echo(files("sensor").joinpath("example.toml").read_text(encoding="utf-8"), nl=False)
    else:
        click.echo(dump_settings(load_settings(config_path, SensorConfig)), nl=False)
