"""``calibrate``: likelihood ratios by the site's own history."""

from __future__ import annotations

from pathlib import Path

import click

from common.console import say
from correlator.cli.options import Place, format_options, open_store, with_place
from correlator.cli.output import print_records
from correlator.detect.calibrate import EVERY, LEAST_ORDINARY, Recomputed, as_toml, recomputed
from correlator.detect.catalogue import CATALOGUE
from correlator.detect.profile import DAY_S
from correlator.detect.tunnels import CHANNELS, TUNNELS
from correlator.files import whole
from correlator.render.table import Column
from correlator.store.calibration import symptom_counts
from correlator.store.profiles import last_period

_COLUMNS = (
    Column("symptom", "symptom"),
    Column("log10_lr", "log10 LR", lambda value: f"{value:.2f}", right=True),
    Column("new_log10_lr", "new", lambda value: f"{value:.2f}", right=True),
    Column("ordinary_found", "found", right=True),
    Column("ordinary_tested", "of channel-days", right=True),
    Column("tunnels_found", "found", right=True),
    Column("tunnels_tested", "of tunnels", right=True),
)


@click.command(short_help="Likelihood ratios by this site's own traffic")
@click.option("--write", metavar="FILE", help="Write the new ones as TOML, for the configuration")
@click.option("--force", is_flag=True, help="Replace the file where it is there already")
@with_place
@format_options
def calibrate(write: str | None, place: Place, form: str, *, force: bool) -> None:
    r"""Compare how often each symptom shows on this site with how often it shows in tunnels.

    A channel's day counts once; days that alarmed and were not acknowledged are left out. The tunnels are labelled runs
    of real tools that come with the program. Nothing is changed: --write makes a section [detect.log10_lr] to look
    through and to put into the configuration.

    \b
    Example:
      tunnelwatch calibrate
      tunnelwatch calibrate --write ratios.toml
    """
    settings = place.settings().detect
    with open_store(place) as store:
        oldest_s = (last_period(store.conn) or 0) - settings.budget.window_days * DAY_S
        counts = symptom_counts(store.conn, oldest_s)
    found = recomputed(CATALOGUE, counts, {**TUNNELS, EVERY: (0, CHANNELS)}, settings.log10_lr)
    if not any(one.new is not None for one in found):
        say(
            f"warning: no symptom was tested for in {LEAST_ORDINARY} ordinary channel-days that have ended; "
            "the ratios stay as they are until then"
        )
    if write is not None:
        with whole(Path(write), force=force) as path:
            path.write_text(as_toml(found), encoding="utf-8")
    print_records(map(_record, found), form, _COLUMNS)


def _record(one: Recomputed) -> dict[str, object]:
    return {
        "symptom": one.symptom,
        "log10_lr": one.old,
        "new_log10_lr": None if one.new is None else round(one.new, 3),
        "ordinary_found": one.ordinary[0],
        "ordinary_tested": one.ordinary[1],
        "tunnels_found": one.tunnels[0],
        "tunnels_tested": one.tunnels[1],
    }
