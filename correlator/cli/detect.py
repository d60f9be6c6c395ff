"""``detect``: the stored flows looked at for tunnels."""

from __future__ import annotations

import click

from common.console import say
from common.timespan import iso_time
from correlator.cli.options import Place, format_options, with_place
from correlator.cli.output import print_records
from correlator.detect.settings import DetectSettings
from correlator.detection import Detection
from correlator.notify.dispatcher import delivering
from correlator.render.table import Column, human_time
from correlator.store.database import changing
from correlator.store.rehearsal import Change, changes, rehearsing

_COLUMNS = (
    Column("time", "time (UTC)", human_time),
    Column("change", "change"),
    Column("before", "before"),
    Column("after", "after"),
    Column("id", "id", spare=True),
    Column("message", "message"),
)


@click.command(short_help="Look for tunnels in what is stored")
@click.option("--all", "anew", is_flag=True, help="Look at everything again, with the settings as they are now")
@click.option(
    "--dry-run",
    "--compare",
    "is_rehearsal",
    is_flag=True,
    help="Only say which alarms would be new, gone or of another severity",
)
@with_place
@format_options
def detect(place: Place, form: str, *, anew: bool, is_rehearsal: bool) -> None:
    r"""Look for tunnels in the flows that came since the last time; 'serve' and 'import' do so themselves.

    With --all what was seen before is forgotten and all that is stored is looked at again, so that changed settings
    count for the past too. Alarms stay: one that is raised again is updated.

    With --dry-run all of it is done in temporary tables and nothing is written; what would change is printed.

    \b
    Example:
      tunnelwatch detect --all
      tunnelwatch detect --dry-run --config changed.toml
    """
    settings = place.settings()
    if is_rehearsal:
        _rehearse(place, settings.detect, form)
        return
    if form != "table":
        raise click.UsageError(f"--{form} goes with --dry-run; 'tunnelwatch alarms --{form}' has the alarms")
    with changing(place.db) as store, delivering(store, settings.outputs, say) as dispatcher:
        detection = Detection(store, settings.detect, dispatcher.tell)
        if anew:
            detection.begin_anew()
        done = detection.run(say)
    say(f"{done.records} records looked at, {done.alarms} new alarms")


def _rehearse(place: Place, settings: DetectSettings, form: str) -> None:
    with rehearsing(place.db) as store:
        detection = Detection(store, settings)
        detection.begin_anew()
        done = detection.run(say)
        found = changes(store.conn)
    print_records(map(_record, found), form, _COLUMNS, empty="no alarm would change")
    counts = ", ".join(
        f"{sum(_kind(one) == kind for one in found)} {kind}" for kind in ("new", "gone", "other severity")
    )
    say(f"{done.records} records looked at, nothing written; alarms that would change: {counts}")


def _kind(change: Change) -> str:
    if change.before is None:
        return "new"
    return "gone" if change.after is None else "other severity"


def _record(change: Change) -> dict[str, object]:
    return {
        "id": change.alarm_id,
        "time": iso_time(change.time_ns),
        "kind": change.kind,
        "change": _kind(change),
        "before": change.before,
        "after": change.after,
        "client": change.client,
        "server": change.server,
        "host": change.host,
        "message": change.message,
    }
