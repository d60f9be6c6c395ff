"""``tunnelwatch-sensor check-link``."""

from __future__ import annotations

from typing import Any

import click

from common.console import printable
from common.errors import UserError
from sensor.cli.options import config_option, effective_config


@click.command("check-link")
@config_option
@click.option("--ship", "endpoint", metavar="ENDPOINT", help="The correlator, e.g. tcp://192.0.2.10:5690.")
@click.option("--key", metavar="PATH", help="This sensor's key pair; see keygen.")
@click.option("--correlator-key", metavar="KEY", help="The correlator's public key, or a file that holds it.")
@click.option("--plaintext", is_flag=True, default=None, help="No encryption: only on loopback and ipc.")
@click.option("--sensor", "name", metavar="NAME", help="This sensor's name.  [default: the host's]")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=5, show_default=True, metavar="S", help="Wait this long."
)
def check_link(timeout: float, **options: Any) -> None:
    r"""Try the whole way to the correlator with the settings in effect, and say what is wrong.

    No record is sent. The exit code is 0 when the correlator would take records of this sensor, and 1 else.

    \b
    Example:
      tunnelwatch-sensor check-link --config /etc/tunnelwatch/sensor.toml
      tunnelwatch-sensor check-link --ship tcp://192.0.2.10:5690 --correlator-key 'yFa3...'
    """
    config = effective_config(options)
    if not config.ship.endpoint:
        raise UserError("no correlator is set: give --ship tcp://HOST:5690, or [ship] endpoint with --config")
    from sensor.ship.check import check_way  # noqa: PLC0415 - ZeroMQ takes long to import

    checked = check_way(config, timeout)
    click.echo(
        printable(
            f"{config.ship.endpoint} takes records of {config.name}: round trip {checked.round_trip_ms:.1f} ms, "
            f"mark of this run {checked.mark}"
        )
    )
