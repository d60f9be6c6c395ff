"""``db``: the database itself: its roll-ups made again."""

from __future__ import annotations

from typing import Any

import click

from common.console import Group, say
from correlator.cli.options import Place, with_place
from correlator.config import DAY_S, StoreSettings
from correlator.store.database import Built, changing
from correlator.store.rebuild import rebuild as rebuilt


@click.group(cls=Group, short_help="Look after the database itself")
def db() -> None:
    r"""Look after the database itself; sensors may go on sending meanwhile.

    \b
    Example:
      tunnelwatch db rebuild
    """


@db.command(short_help="Make the roll-ups again from the flows")
@click.option("--period-s", type=click.IntRange(60, DAY_S), metavar="N", help="Another length of the periods")
@click.option("--channel-gap-s", type=click.IntRange(0, 7 * DAY_S), metavar="N", help="Another gap between sessions")
@with_place
def rebuild(place: Place, **wanted: Any) -> None:
    r"""Make the tables that views are answered from again, from the flows; with other settings if some are given.

    All or nothing: until it is done, views show what was there before, and a sensor's records wait. What retention
    removed the flows of stays as it is.

    \b
    Example:
      tunnelwatch db rebuild
      tunnelwatch db rebuild --period-s 900
    """
    with changing(place.db) as store:
        given = {name: value for name, value in wanted.items() if value is not None}
        built = store.built._replace(**given)
        _check(built)
        records = rebuilt(store, built)
    say(f"{records} records rolled up again: periods of {built.period_s} s, a channel gap of {built.channel_gap_s} s")


def _check(built: Built) -> None:
    try:
        StoreSettings(**built._asdict())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
