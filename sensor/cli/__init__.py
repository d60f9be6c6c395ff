"""The command ``tunnelwatch-sensor``."""

from __future__ import annotations

import click

from common.console import CONTEXT_SETTINGS, Group, version_option
from sensor.cli.capture import capture
from sensor.cli.checklink import check_link
from sensor.cli.configuration import check_config, dump_config
from sensor.cli.grep import grep
from sensor.cli.interfaces import interfaces
from sensor.cli.keygen import keygen
from sensor.cli.read import read
from sensor.cli.streams import streams


@click.group(cls=Group, context_settings=CONTEXT_SETTINGS)
@version_option("tunnelwatch-sensor")
def main() -> None:
    r"""Turn packets into flow records, write them to a flow log and ship them to the correlator.

    \b
    Examples:
      tunnelwatch-sensor read trace.pcap
      tunnelwatch-sensor read trace.pcap -w trace.flowlog tcp port 3128
      tunnelwatch-sensor capture -i eth0 --ship tcp://127.0.0.1:5690 --plaintext --spool /var/lib/tunnelwatch/spool
    """


for command in (read, capture, streams, grep, interfaces, keygen, check_link, check_config, dump_config):
    main.add_command(command)
