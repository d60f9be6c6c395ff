"""``detect``: the stored flows looked at for tunnels."""

from __future__ import annotations

import click

from common.console import say
from correlator.cli.options import Place, with_place
from correlator.detection import Detection
from correlator.notify.dispatcher import delivering
from correlator.store.database import changing


@click.command(short_help="Look for tunnels in what is stored")
@click.option("--all", "anew", is_flag=True, help="Look at everything again, with the settings as they are now")
@with_place
def detect(place: Place, *, anew: bool) -> None:
    r"""Look for tunnels in the flows that came since the last time; 'serve' and 'import' do so themselves.

    With --all what was seen before is forgotten and all that is stored is looked at again, so that changed settings
    count for the past too. Alarms stay: one that is raised again is updated.

    \b
    Example:
      tunnelwatch detect --all
    """
    settings = place.settings()
    with changing(place.db) as store, delivering(store, settings.outputs, say) as dispatcher:
        detection = Detection(store, settings.detect, dispatcher.tell)
        if anew:
            detection.begin_anew()
        done = detection.run()
    say(f"{done.records} records looked at, {done.alarms} new alarms")
