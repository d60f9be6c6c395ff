"""``tunnelwatch-sensor capture``: an interface into flow records, until it is stopped."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from sensor.capture.live import LiveSource
from sensor.cli.options import effective_config, make_run, one_filter, shared_options, user_to_run_as


@click.command()
@click.argument("words", nargs=-1, metavar="[FILTER...]")
@click.option(
    "-i", "--interface", "interfaces", required=True, multiple=True, metavar="IFACE",
    help="The interface; any is all of them. Repeatable.",
)  # fmt: skip
@click.option("-p", "promiscuous", flag_value=False, default=None, help="Do not use promiscuous mode.")
@click.option("--snap-length", type=click.IntRange(96, 262144), metavar="BYTES", help="Bytes kept of each packet.")
@click.option(
    "--buffer-bytes", type=click.IntRange(65536, 2**31 - 1), metavar="BYTES", help="Size of the kernel's buffer."
)
@shared_options
@click.pass_context
def capture(context: click.Context, /, words: tuple[str, ...], interfaces: tuple[str, ...], **options: Any) -> None:
    r"""Capture on interfaces; SIGINT or SIGTERM ends every flow, writes what is left and stops.

    SIGUSR1 gives the statistics at once. Started as root, it goes on as nobody; -u names another user.

    \b
    Examples:
      tunnelwatch-sensor capture -i eth0 -w today.flowlog
      tunnelwatch-sensor capture -i eth0 -i eth1 -v -t 10 -y 10 host 10.1.1.46
      tunnelwatch-sensor capture -i any --ship tcp://127.0.0.1:5690 --plaintext -u tunnelwatch
    """
    expression = one_filter(" ".join(words), options["filter_option"])
    config = effective_config(options)
    # The interfaces first: what cannot be captured on must not cost an earlier run's file.
    with closing(LiveSource(interfaces, expression, config.capture)) as live:
        user = user_to_run_as(options)
        run = make_run(options, config)
        try:
            with run.service.signals():
                run.give_up_root(user, keep_capturing=True)
                code = run.service.capture(live)
        finally:
            run.close()
    context.exit(code)
