"""``serve``: take frames from sensors until told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from common.console import say
from common.errors import UserError
from common.keys import default_key_path, read_key_file
from common.link import is_local
from common.metrics import MetricsServer
from correlator.cli.keygen import KEY_FILE, KEYGEN
from correlator.cli.options import Place, built_by, warn_if_built_otherwise, with_place
from correlator.service import Service
from correlator.store.database import writing


@click.command(short_help="Take records from sensors until told to stop")
@click.option("--bind", metavar="ENDPOINT", help="Where sensors connect to  [default: tcp://127.0.0.1:5690]")
@click.option("--key", metavar="PATH", help="This correlator's key pair; see keygen")
@click.option("--plaintext", is_flag=True, help="No encryption; on a loopback or ipc endpoint only")
@click.option("--metrics", metavar="ADDRESS:PORT", help="Counters for Prometheus, e.g. on 127.0.0.1:9465")
@with_place
def serve(bind: str | None, key: str | None, metrics: str | None, *, plaintext: bool, place: Place) -> None:
    r"""Take records from sensors and store them until SIGINT or SIGTERM.

    Only sensors whose keys were added with 'tunnelwatch sensors add' are let in; a change counts at once.

    \b
    Example:
      tunnelwatch serve --bind tcp://192.0.2.10:5690
      tunnelwatch serve --plaintext
      tunnelwatch --db /var/lib/tunnelwatch.db serve --plaintext --bind ipc:///run/tunnelwatch.sock
    """
    settings = place.settings()
    endpoint = bind or settings.serve.bind
    if plaintext and not is_local(endpoint):
        raise UserError(f"--plaintext is for this host only, not {endpoint}: bind tcp://127.0.0.1:PORT or ipc://PATH")
    path = Path(key or settings.serve.key or default_key_path(KEY_FILE))
    pair = None if plaintext else read_key_file(path, KEYGEN)
    server = MetricsServer(settings.metrics.bind if metrics is None else metrics)
    with writing(place.db, built_by(settings)) as store:
        warn_if_built_otherwise(store, settings)
        service = Service(store, settings, endpoint, say, pair)
        try:
            service.serve_metrics(server)
            service.run()
        finally:
            server.close()
