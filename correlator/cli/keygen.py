"""``keygen``: the correlator's key pair."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from common.console import say
from common.keys import default_key_path, quoted, write_key_file
from common.link import DEFAULT_PORT, is_local
from correlator.cli.options import Place, with_place

KEYGEN: Final = "tunnelwatch keygen"
KEY_FILE: Final = "correlator.key"


@click.command(short_help="Make this correlator's key pair")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@with_place
def keygen(path: Path | None, place: Place) -> None:
    r"""Make this correlator's key pair and print its public key, which every sensor needs.

    PATH is [serve] key where it is not given. A file that exists is never written over.

    \b
    Example:
      tunnelwatch keygen
      tunnelwatch keygen /etc/tunnelwatch/correlator.key > correlator.pub
    """
    serve = place.settings().serve
    path = path or Path(serve.key or default_key_path(KEY_FILE))
    pair = write_key_file(path)
    endpoint = serve.bind
    if is_local(endpoint) or "*" in endpoint or "://0.0.0.0:" in endpoint or "://[::]:" in endpoint:
        endpoint = f"tcp://THIS_HOST:{DEFAULT_PORT}"
    say(f"wrote {path}; next, on each sensor:")
    say("  tunnelwatch-sensor keygen")
    say(f"  tunnelwatch-sensor check-link --ship {endpoint} --correlator-key {quoted(pair.public)}")
    click.echo(pair.public)
