"""``lists``: white, red and black lists shown and changed."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, NamedTuple, cast

import click

from common.console import printable, say
from common.errors import UserError
from common.timespan import NS_PER_S, iso_time
from correlator.cli.listfile import CSV_COLUMNS, Numbered, entry_cells, entry_from, entry_line, read_lines
from correlator.cli.options import Place, built_by, format_options, now_ns, open_store, with_place
from correlator.cli.output import print_records
from correlator.cli.when import moment
from correlator.cli.who import address, endpoint, host_name
from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, ListKind, Lists, Subject
from correlator.ingest.formats.lines import BadLine, numbered_lines
from correlator.ingest.inputs import STDIN
from correlator.ingest.listing import listed_alarms
from correlator.notify.dispatcher import delivering
from correlator.render.table import Column, human_count
from correlator.store.database import Store, changing, writing
from correlator.store.listed import stored_contacts
from correlator.store.lists import MAX_ENTRIES, Changed, add_entries, entries, remove_entries
from correlator.store.writer import Writer

MAX_COMPLAINTS: Final = 10
_KINDS: Final = click.Choice([kind.value for kind in ListKind])
_LENGTH: Final = re.compile(r"([0-9]{1,6} ?(s|m|min|h|d|w|days?|hours?|weeks?|minutes?) ?)+")
_COLUMNS: Final = (
    Column("id", "id", human_count, right=True),
    Column("kind", "kind"),
    Column("client", "client"),
    Column("server", "server"),
    Column("port", "port"),
    Column("host", "host"),
    Column("asks", "asks for"),
    Column("until", "until", spare=True),
    Column("source", "source", spare=True),
    Column("comment", "comment", spare=True),
)


@click.group(invoke_without_command=True, short_help="White, red and black lists: show, add, remove, import, export")
@with_place
@format_options
@click.pass_context
def lists(ctx: click.Context, place: Place, form: str) -> None:
    r"""White, red and black lists of clients, servers, ports and host names; `lists show` is the same.

    White: no alarm is shown. Red: only what is over the entry's own limits. Black: any contact is an alarm.
    Entries count at once, for what is stored too; they hide alarms and never delete anything.

    \b
    Example:
      tunnelwatch lists add white --client 10.1.0.5 --host '*.backup.example.com'
      tunnelwatch lists import --kind black feed.txt
    """
    if ctx.invoked_subcommand is None:
        _show(place, form, None, None)


@lists.command(short_help="The entries")
@click.option("--kind", type=_KINDS, help="Of one kind")
@click.option("--of", "who", metavar="CHANNEL", help="Those of CLIENT[,SERVER[:PORT]][,HOST]; the first decides")
@with_place
@format_options
def show(kind: str | None, who: str | None, place: Place, form: str) -> None:
    r"""Show the entries, or those that speak of one channel, the most specific first.

    \b
    Example:
      tunnelwatch lists show --kind black
      tunnelwatch lists show --of 10.1.1.9,192.0.2.7:443,www.example.com
    """
    _show(place, form, kind, who)


@lists.command(short_help="One entry")
@click.argument("kind", type=_KINDS)
@click.option("--client", metavar="IP|NET", help="One client, or a network such as 10.1.0.0/16")
@click.option("--server", metavar="IP|NET[:PORT]", help="One server or service, or those of a network")
@click.option("--port", metavar="N[-M]", help="One port of servers, or a range of them")
@click.option("--host", metavar="NAME", help="One host name, or *.example.com for all below one")
@click.option("--all", "everything", is_flag=True, help="White: hide what was positively identified, too")
@click.option("--over", metavar="PERCENT", help="Red: hide what is over its limit by no more than this")
@click.option("--bytes", "octets", metavar="N", help="Red, black: this limit for a channel in a period")
@click.option("--packets", metavar="N", help="Red, black: this limit for a channel in a period")
@click.option("--tcp-uptime", metavar="SECONDS", help="Red, black: this limit for a channel in a period")
@click.option(
    "--severity", type=click.Choice([severity.value for severity in Severity]), help="Red, black: of its alarms"
)
@click.option("--until", metavar="TIME", help="It counts until then: 2027-01-31, 2027-01-31T12:00:00Z")
@click.option("--for", "length", metavar="TIME", help="It counts for so long from now: 12h, 30d")
@click.option("--comment", metavar="TEXT", help="Why it is there")
@with_place
def add(kind: str, place: Place, **options: Any) -> None:
    r"""Add an entry; all that it names must match. The same names again replace what was there.

    \b
    Example:
      tunnelwatch lists add white --server 192.0.2.0/24 --port 443 --comment 'our offices' --for 30d
      tunnelwatch lists add red --client 10.1.1.9 --over 30
      tunnelwatch lists add black --host '*.evil.example' --severity critical
    """
    options["until"] = _until(options["until"], options.pop("length"))
    options["all"] = "yes" if options.pop("everything") else None
    options["bytes"] = options.pop("octets")
    options["tcp_uptime_s"] = options.pop("tcp_uptime")
    try:
        entry = entry_from({name: value for name, value in options.items() if value is not None}, ListKind(kind))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    changed = _added(place, [entry])
    say(f"{'added' if changed.added else 'replaced'}: {entry_line(entry)}")


@lists.command(short_help="Entries by their numbers, or many at once")
@click.argument("numbers", metavar="ID...", type=click.IntRange(min=1), nargs=-1)
@click.option("--source", metavar="NAME", help="All that were imported under this name")
@click.option("--expired", is_flag=True, help="All whose time is over")
@with_place
def remove(numbers: tuple[int, ...], source: str | None, place: Place, *, expired: bool) -> None:
    r"""Remove entries; the alarms that they hid are shown again.

    \b
    Example:
      tunnelwatch lists remove 3 17
      tunnelwatch lists remove --source feed.txt
    """
    if sum(map(bool, (numbers, source, expired))) != 1:
        raise click.UsageError("name entries by their numbers, or give --source or --expired")
    at = now_ns()
    with changing(place.db) as store:
        known = {entry.entry_id: entry for entry in entries(store.conn)}
        if unknown := [number for number in numbers if number not in known]:
            raise UserError(f"no entry has the number {unknown[0]}: 'tunnelwatch lists' shows them")
        chosen = [number for number, entry in known.items() if (source and entry.source == source)]
        chosen += [number for number, entry in known.items() if expired and entry.is_over(at)]
        removed = remove_entries(store.conn, numbers or chosen)
    say(f"removed {removed}")


@lists.command(name="import", short_help="Entries from a file: one a line, or csv")
@click.argument("file", metavar="FILE")
@click.option("--kind", type=_KINDS, help="Of lines that do not say it, as those of other people's lists")
@click.option("--source", metavar="NAME", help="Under which name they are kept  [default: the file's]")
@click.option("--replace", is_flag=True, help="Remove what was imported under this name before and is not there now")
@click.option("--comment", metavar="TEXT", help="Of entries that have none")
@with_place
def import_(file: str, kind: str | None, source: str | None, place: Place, *, replace: bool, **more: Any) -> None:
    r"""Add the entries of a file; - is standard input. A bad line is named, the rest is taken; the exit code is 1 then.

    A line has a kind, fields and a comment, or an address, a network or a host name alone:

    \b
      white client=10.1.0.0/16 host=*.backup.example.com  # nightly
      red server=192.0.2.7:443 over=30
      black 203.0.113.0/24
      evil.example

    \b
    Example:
      tunnelwatch lists import site.txt
      tunnelwatch lists import --kind black --source feed --replace feed.txt
    """
    name = printable(source or (file if file != STDIN else "standard input"))[:200]
    read = _read(file, None if kind is None else ListKind(kind), more["comment"] or "", name)
    changed = _added(place, read.entries, name if replace else None)
    removed = f", {changed.removed} removed" if replace else ""
    say(f"{changed.added} added, {changed.replaced} replaced{removed}, {read.bad} bad")
    if read.bad:
        click.get_current_context().exit(1)


@lists.command(short_help="All entries as a file that import reads")
@click.option("--kind", type=_KINDS, help="Of one kind")
@click.option("--csv", "as_csv", is_flag=True, help="Print csv")
@with_place
def export(kind: str | None, place: Place, *, as_csv: bool) -> None:
    r"""Print all entries, one a line, as `lists import` reads them.

    \b
    Example:
      tunnelwatch lists export > lists.txt
    """
    with open_store(place) as store:
        found = [entry for entry in entries(store.conn) if kind in (None, entry.kind)]
    if as_csv:
        writer = csv.DictWriter(sys.stdout, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(entry_cells, found))
    else:
        sys.stdout.writelines(f"{entry_line(entry)}\n" for entry in found)


class _Read(NamedTuple):
    """What a file gave."""

    entries: list[Entry]
    bad: int


def _read(file: str, kind: ListKind | None, comment: str, source: str) -> _Read:
    found: list[Entry] = []
    bad = 0
    try:
        with click.open_file(file, "rb") as stream:
            for read in read_lines(numbered_lines(cast("BinaryIO", stream)), kind):
                if isinstance(read, BadLine):
                    bad += 1
                    if bad <= MAX_COMPLAINTS:
                        say(f"warning: {source}:{read.number}: {read.reason}")
                    continue
                found.append(_with_source(read, comment, source))
                if len(found) > MAX_ENTRIES:
                    raise UserError(f"{source} has more than {MAX_ENTRIES} entries: name networks instead")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}; check the path and its permissions") from None
    if bad > MAX_COMPLAINTS:
        say(f"warning: {source}: {bad - MAX_COMPLAINTS} more like these")
    return _Read(found, bad)


def _with_source(read: Numbered, comment: str, source: str) -> Entry:
    return read.entry._replace(source=source, comment=read.entry.comment or comment)


def _added(place: Place, found: Sequence[Entry], instead_of: str | None = None) -> Changed:
    """Add entries, and raise the alarms that black and red ones make of what is stored."""
    at, settings = time.time_ns(), place.settings()
    with writing(place.db, built_by(settings)) as store, delivering(store, settings.outputs, say) as dispatcher:
        changed = add_entries(store.conn, found, at, instead_of=instead_of)
        lists = Lists(entry for entry in found if entry.raises)
        if lists.count:
            writer = Writer(store)
            contacts = stored_contacts(store.conn)
            alarms = list(listed_alarms(lists, contacts, writer.figures_of, store.built.period_ns, at))
            with writer.transaction():
                news = writer.add_alarms(alarms)
            dispatcher.tell(news)
            if news:
                say(f"{len(news)} new alarms about what is stored")
    return changed


def _until(until: str | None, length: str | None) -> str | None:
    """Return when an entry ends as ISO 8601."""
    if length is None:
        return until
    if until is not None:
        raise click.UsageError("--until and --for: leave one of them out")
    if not _LENGTH.fullmatch(length.strip()):
        raise click.BadParameter(f"not a length of time: {length!r:.40}; write 12h or 30d", param_hint="--for")
    at = now_ns() // NS_PER_S * NS_PER_S
    return iso_time(2 * at - moment(length, at))


def _show(place: Place, form: str, kind: str | None, who: str | None) -> None:
    at = now_ns()
    with open_store(place) as store:
        found = _matching(store, who, at) if who else entries(store.conn)
        records = [_record(entry, at) for entry in found if kind in (None, entry.kind)]
    empty = "the lists are empty: add to them with 'tunnelwatch lists add' or import"
    print_records(records, form, _COLUMNS, empty=empty if who is None and kind is None else "no entry")


def _matching(store: Store, who: str, at: int) -> list[Entry]:
    words = [word.strip() for word in who.split(",")]
    try:
        subject = _subject(words)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--of") from None
    return Lists(entries(store.conn)).find(subject, at)


def _subject(words: Sequence[str]) -> Subject:
    """Return the channel that CLIENT,SERVER:PORT,HOST names; what is not known is left out."""
    client = address(words[0]) if words[0] else None
    server, port, host = None, None, None
    for word in filter(None, words[1:]):
        try:
            server, port = endpoint(word)
        except ValueError:
            host = host_name(word)
    return Subject(client, server, port, host)


def _record(entry: Entry, at: int) -> dict[str, Any]:
    cells: dict[str, Any] = {name: value or None for name, value in entry_cells(entry).items()}
    numbers = entry.limits._asdict()
    return {
        "id": entry.entry_id,
        **cells,
        "all": entry.everything,
        "over": entry.over_percent,
        **numbers,
        "source": entry.source or None,
        "expired": entry.is_over(at),
        "asks": _asks(entry, at),
    }


def _asks(entry: Entry, at: int) -> str:
    """Return what an entry asks for, in a few words."""
    limits = [f"{rule} over {limit:,}" for rule, limit in entry.limits.measured() if limit is not None]
    if entry.over_percent is not None:
        limits.append(f"{entry.over_percent:g} % over its limit")
    words = {
        ListKind.WHITE: "no alarm" + (", not even what is certain" if entry.everything else ""),
        ListKind.RED: "alarms from " + ", ".join(limits),
        ListKind.BLACK: f"an alarm at {', '.join(limits) or 'any contact'}",
    }[entry.kind]
    return f"{words} (expired)" if entry.is_over(at) else words
