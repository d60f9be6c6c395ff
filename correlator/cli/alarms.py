"""``alarms``: what to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import click
from click.core import ParameterSource

from common.console import say
from common.errors import UserError
from correlator.cli.options import (
    Place,
    built_by,
    format_options,
    now_ns,
    open_store,
    who_and_when_options,
    with_place,
)
from correlator.cli.output import print_records
from correlator.cli.story import read_story, write_json, write_text
from correlator.cli.who import holds
from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, Lists
from correlator.render.table import Column, human_count, human_time
from correlator.rows import AlarmRow, Selection
from correlator.store.alarms import acknowledge, alarms_with_id, select_alarms
from correlator.store.database import writing
from correlator.store.lists import entries
from correlator.views.alarms import alarm_record, grouped, hidden_by

FAILED_ON: Final = 3
_COLUMNS: Final = (
    Column("time", "time (UTC)", human_time),
    Column("severity", "severity"),
    Column("id", "id"),
    Column("seen_count", "seen", human_count, right=True, spare=True),
    Column("kind", "kind", spare=True),
    Column("message", "message"),
)
_HIDDEN: Final = Column("hidden_by", "hidden by")
_GROUP_COLUMNS: Final = (
    Column("time", "last (UTC)", human_time),
    Column("severity", "severity"),
    Column("client", "client"),
    Column("host", "host", spare=True),
    Column("server", "server"),
    Column("alarms", "alarms", human_count, right=True),
    Column("seen_count", "seen", human_count, right=True, spare=True),
    Column("kinds", "kinds", ", ".join),
    Column("first_time", "first (UTC)", human_time, spare=True),
)


def _list_options(command: Any) -> Any:
    severities = click.Choice([severity.value for severity in Severity])
    for decorate in reversed(
        (
            with_place,
            who_and_when_options,
            click.option("--severity", type=severities, help="At least this severe"),
            click.option("--kind", metavar="KIND", help="Alarms of this kind, such as flow-threshold or black-list"),
            click.option("--group", "by_channel", is_flag=True, help="One line for each client and server or host"),
            click.option("--all", "with_hidden", is_flag=True, help="With those that the lists hide, marked"),
            click.option("--new", "only_new", is_flag=True, help="Leave out the acknowledged"),
            click.option(
                "--fail-on", type=severities, help="Exit with 3 when an alarm not acknowledged is this severe"
            ),
            click.option("-n", "limit", type=click.IntRange(min=1), metavar="N", help="At most so many"),
            format_options,
        )
    ):
        command = decorate(command)
    return command


@click.group(invoke_without_command=True, short_help="What to look at: list, show, ack")
@_list_options
@click.pass_context
def alarms(ctx: click.Context, /, **options: Any) -> None:
    r"""Show alarms, newest first; `alarms list` is the same.

    \b
    Example:
      tunnelwatch alarms --since 2026-11-21 --json
      tunnelwatch alarms --fail-on high
      tunnelwatch alarms show 5f0c8a
    """
    if ctx.invoked_subcommand is None:
        _list(ctx, _Wanted(**options))
    elif any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ctx.params):
        raise click.UsageError(f"write the options after '{ctx.invoked_subcommand}'")


@alarms.command(name="list", short_help="Alarms, newest first")
@_list_options
@click.pass_context
def list_(ctx: click.Context, /, **options: Any) -> None:
    r"""Show alarms, newest first.

    \b
    Example:
      tunnelwatch alarms list --severity high
      tunnelwatch alarms list --client 10.1.0.0/16 --group
    """
    _list(ctx, _Wanted(**options))


@alarms.command(short_help="One alarm: why, its flows, what to do next")
@click.argument("alarm_id", metavar="ID")
@with_place
@format_options
def show(alarm_id: str, place: Place, form: str) -> None:
    r"""Show why an alarm was raised, what its channel is like otherwise, its flows and what to do next.

    The beginning of its id is enough.

    \b
    Example:
      tunnelwatch alarms show 5f0c8a
    """
    with open_store(place) as store:
        row = _the_one(alarms_with_id(store.conn, alarm_id), alarm_id)
        story = read_story(store, row, hidden_by(row, Lists(entries(store.conn)), now_ns()))
    if form == "json":
        write_json(story)
    elif form != "table":
        print_records([alarm_record(row, story.hiding)], form, _COLUMNS)
    else:
        write_text(story)


@alarms.command(short_help="Mark an alarm as seen")
@click.argument("alarm_id", metavar="ID")
@with_place
def ack(alarm_id: str, place: Place) -> None:
    r"""Mark an alarm as seen, so that --fail-on and --new leave it out.

    \b
    Example:
      tunnelwatch alarms ack 5f0c8a
    """
    with open_store(place) as store:
        found = _the_one(alarms_with_id(store.conn, alarm_id), alarm_id)
    with writing(place.db, built_by(place.settings())) as store:
        acknowledge(store.conn, found.alarm_id, time.time_ns())
    say(f"acknowledged {found.alarm_id}")


class _Wanted(NamedTuple):
    """The options of a list of alarms."""

    place: Place
    chosen: Selection
    severity: str | None
    kind: str | None
    by_channel: bool
    with_hidden: bool
    only_new: bool
    fail_on: str | None
    limit: int | None
    form: str


def _list(ctx: click.Context, wanted: _Wanted) -> None:
    shown: list[AlarmRow] = []
    hidden: dict[str, Entry] = {}
    with open_store(wanted.place) as store:
        lists = Lists(entries(store.conn))
        for row in select_alarms(store.conn, wanted.chosen._replace(client=None)):
            if not _is_wanted(row, wanted):
                continue
            hiding = hidden_by(row, lists, now_ns())
            if hiding is not None:
                hidden[row.alarm_id] = hiding
            if hiding is None or wanted.with_hidden:
                shown.append(row)
    _print(shown[: None if wanted.by_channel else wanted.limit], hidden, wanted)
    if hidden and not wanted.with_hidden:
        click.echo(f"{len(hidden)} more are hidden by the lists: --all shows them", err=True)
    alive = (row for row in shown if row.acknowledged_ns is None and row.alarm_id not in hidden)
    if wanted.fail_on and any(_is_as_severe(row, wanted.fail_on) for row in alive):
        sys.stdout.flush()
        ctx.exit(FAILED_ON)


def _print(rows: Sequence[AlarmRow], hidden: Mapping[str, Entry], wanted: _Wanted) -> None:
    if wanted.by_channel:
        print_records(grouped(rows)[: wanted.limit], wanted.form, _GROUP_COLUMNS, empty="no alarms")
        return
    records = [alarm_record(row, hidden.get(row.alarm_id)) for row in rows]
    columns = (*_COLUMNS, _HIDDEN) if wanted.with_hidden and hidden else _COLUMNS
    print_records(records, wanted.form, columns, empty="no alarms")


def _is_wanted(row: AlarmRow, wanted: _Wanted) -> bool:
    return (
        _is_as_severe(row, wanted.severity or Severity.LOW)
        and wanted.kind in (None, row.kind)
        and (row.acknowledged_ns is None or not wanted.only_new)
        and holds(wanted.chosen, row.client, row.server, row.host)
    )


def _is_as_severe(row: AlarmRow, severity: str) -> bool:
    return Severity(row.severity).rank >= Severity(severity).rank


def _the_one(found: list[AlarmRow], prefix: str) -> AlarmRow:
    if not found:
        raise UserError(f"no alarm has an id that begins with {prefix!r}: 'tunnelwatch alarms' lists them")
    if len(found) > 1:
        raise UserError(f"{len(found)} alarms have an id that begins with {prefix!r}: write more of it")
    return found[0]
