"""``db``: the database itself looked after: what is old removed, its roll-ups made again."""

from __future__ import annotations

from typing import Any, Final

import click
from msgspec import structs

from common.console import Group, printable, say
from correlator.cli.copies import backup, export
from correlator.cli.options import Place, now_ns, open_store, with_place
from correlator.cli.space import stats
from correlator.config import DAY_S, RetentionSettings, StoreSettings
from correlator.store.check import faults
from correlator.store.database import Built, changing, reading
from correlator.store.rebuild import rebuild as rebuilt
from correlator.store.retention import Pruner, Removed, vacuumed

DAYS: Final = click.IntRange(0, 36_500)


@click.group(cls=Group, short_help="Look after the database itself")
def db() -> None:
    r"""Look after the database itself; sensors may go on sending meanwhile.

    \b
    Example:
      tunnelwatch db stats
      tunnelwatch db check
      tunnelwatch db prune --dry-run
      tunnelwatch db backup copy.db
      tunnelwatch db export flows.parquet
      tunnelwatch db rebuild
    """


for command in (stats, backup, export):
    db.add_command(command)


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


@db.command(short_help="Remove what [retention] says is too old")
@click.option("--dry-run", is_flag=True, help="Only say what is to go by its age")
@click.option("--flows-days", type=DAYS, metavar="N", help="Keep the flows of so many days; 0 keeps them for ever")
@click.option("--hours-days", type=DAYS, metavar="N", help="Keep the periods of so many days; 0 keeps them for ever")
@click.option("--max-bytes", type=click.IntRange(0), metavar="N", help="Let the oldest flows go above so many bytes")
@click.option("--vacuum", is_flag=True, help="Give free space back to the file system; writes the whole file again")
@with_place
def prune(place: Place, *, dry_run: bool, vacuum: bool, **wanted: Any) -> None:
    r"""Remove flows and periods that are older than [retention] says; 'serve' does the same as time goes by.

    Days count back from the newest record. Views without a time go on counting what was removed; flows, minutes and
    parts of periods from before are gone. The file keeps its size, and its free space is used for what comes.

    \b
    Example:
      tunnelwatch db prune --dry-run
      tunnelwatch db prune --flows-days 7 --vacuum
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    settings = _retention(place.settings().retention, given)
    if dry_run:
        with reading(place.db) as store:
            due = Pruner(store, settings).due(now_ns())
        say(f"{_counted(due)} are to go")
        return
    with changing(place.db) as store:
        pruner = Pruner(store, settings)
        total = Removed()
        while (removed := pruner.step(now_ns())) != Removed():
            total = Removed(*map(sum, zip(total, removed, strict=True)))
        say(f"{_counted(total)} removed")
        if pruner.is_over():
            say(f"warning: {place.db} is still over max_bytes = {settings.max_bytes}: lower --hours-days, or raise it")
        if vacuum:
            before, after = vacuumed(store)
            say(f"{place.db} went from {before} to {after} bytes")


@db.command(short_help="Look for what is wrong with the database")
@click.option("--full", is_flag=True, help="Compare indexes with their tables too; takes several times as long")
@with_place
def check(place: Place, *, full: bool) -> None:
    r"""Look for damaged pages, numbers that refer to nothing, roll-ups that are not the sums of the flows, and blocks
    that cannot be read.

    A line for each fault, and exit code 1; nothing is changed. 'db rebuild' mends roll-ups, a copy the rest.

    \b
    Example:
      tunnelwatch db check
    """  # noqa: D205 - one sentence
    count = 0
    with open_store(place) as store:
        for line in faults(store, full=full):
            click.echo(printable(line))
            count += 1
    if count:
        click.get_current_context().exit(1)
    say(f"{place.db}: nothing is wrong")


def _counted(removed: Removed) -> str:
    exchanges = f", {removed.exchanges} HTTP exchanges" if removed.exchanges else ""
    return f"{removed.records} flow records and {removed.periods} periods{exchanges}"


def _retention(configured: RetentionSettings, given: dict[str, int]) -> RetentionSettings:
    try:
        return structs.replace(configured, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _check(built: Built) -> None:
    try:
        StoreSettings(**built._asdict())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
