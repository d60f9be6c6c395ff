"""Options that commands share, and the record they make together."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from common.console import printable, say
from common.settings import load_settings
from common.textrecords import protocol_number
from correlator.cli import who
from correlator.cli.naming import Find
from correlator.cli.when import EXAMPLES, Span, checked_range, moment, span
from correlator.config import Settings
from correlator.names.book import Book
from correlator.rows import Selection
from correlator.store.database import Built, Store, reading

DEFAULT_DB: Final = "tunnelwatch.db"
DB_VARIABLE: Final = "TUNNELWATCH_DB"
_NOW: Final = "tunnelwatch now_ns"
_DISPLAY: Final = "tunnelwatch display"
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Place(NamedTuple):
    """Which database and configuration a command works on."""

    db: Path
    config: Path | None

    def settings(self) -> Settings:
        """Return the configuration in force."""
        return load_settings(self.config, Settings)


def time_ns(text: str) -> int:
    """Return nanoseconds since 1970 of a time on the command line."""
    return _read(lambda words: moment(words, now_ns()), text)


def now_ns() -> int:
    """Return the time that relative times count from: one and the same for all of a command."""
    meta = click.get_current_context().meta
    if _NOW not in meta:
        meta[_NOW] = time.time_ns()
    return int(meta[_NOW])


def endpoint(text: str) -> tuple[str, int | None]:
    """Return (address or network, port or None) of a server on the command line."""
    return _read(who.endpoint, text)


def address(text: str) -> str:
    """Return an address, or a network, on the command line in its one spelling."""
    return _read(who.address, text)


def ports(text: str) -> who.Ports:
    """Return the first and the last of a range of ports on the command line."""
    return _read(who.ports, text)


def host_name(text: str) -> str:
    """Return a host's name, or a pattern of names, on the command line in its one spelling."""
    return _read(who.host_name, text)


def _read(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def protocol(text: str) -> int | None:
    """Return a protocol's number, None for all."""
    if text.lower() == "all":
        return None
    try:
        return protocol_number(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}, or all") from None


def _place_of(ctx: click.Context) -> Place:
    """Return the place; what stands after the command's name goes before what stands before it."""
    db: str | None = None
    config: str | None = None
    context: click.Context | None = ctx
    while context is not None:
        db = db or context.meta.get(f"{context.command_path} db")
        config = config or context.meta.get(f"{context.command_path} config")
        context = context.parent
    return Place(Path(db or os.environ.get(DB_VARIABLE) or DEFAULT_DB), Path(config) if config else None)


def place_options(command: F) -> F:
    """Add --db and --config; the values are kept in the context, see ``with_place``."""

    def keep(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
        def callback(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
            ctx.meta[f"{ctx.command_path} {name}"] = value

        return callback

    db = click.option(
        "--db",
        metavar="PATH",
        expose_value=False,
        callback=keep("db"),
        help=f"The database  [env: {DB_VARIABLE}; default: {DEFAULT_DB}]",
    )
    config = click.option(
        "--config",
        metavar="PATH",
        expose_value=False,
        callback=keep("config"),
        help="A configuration file; see 'tunnelwatch config --example'",
    )
    return db(config(command))


def with_place(command: F) -> F:
    """Add --db and --config to a command and hand it the Place they make."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ctx = click.get_current_context()
        return command(*args, place=_place_of(ctx), **kwargs)

    return place_options(wrapper)  # type: ignore[return-value] # a wrapper that takes less


_WHO_AND_WHEN: Final = (
    click.option(
        "--since",
        type=time_ns,
        metavar="TIME",
        help=f"From this time on, UTC unless it has an offset: {EXAMPLES}",
    ),
    click.option(
        "--until",
        type=time_ns,
        metavar="TIME",
        help="Before this time, in the same words, or now; records count by start",
    ),
    click.option(
        "--period",
        metavar="TIME",
        help="The period that holds this time, or the whole day where TIME is a day; instead of --since and --until",
    ),
    click.option("--client", type=address, metavar="IP|NET", help="One client, or a network such as 10.1.0.0/16"),
    click.option(
        "--server", type=endpoint, metavar="IP|NET[:PORT]", help="One server or service, or those of a network"
    ),
    click.option("--port", type=ports, metavar="N[-M]", help="One port of servers, or a range of them"),
    click.option("--host", type=host_name, metavar="NAME", help="One host name, or *.example.com for all below one"),
)
_WHAT: Final = (
    click.option(
        "--protocol", type=protocol, metavar="NAME", default="tcp", show_default=True, help="A name, a number or all"
    ),
    click.option("--wire", is_flag=True, help="Count IP bytes and not payload bytes"),
)


def selection_options(command: F) -> F:
    """Add the options that choose records, and hand the command the Selection they make."""
    return _with_selection(command, (*_WHO_AND_WHEN, *_WHAT))


def who_and_when_options(command: F) -> F:
    """Add the options that choose clients, servers and a time only, and hand over their Selection."""
    return _with_selection(command, _WHO_AND_WHEN)


def _with_selection(command: F, options: Sequence[Callable[[Any], Any]]) -> F:
    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        server, server_port = kwargs.pop("server") or (None, None)
        server_port, server_ports = _ports(server_port, kwargs.pop("port"))
        since_ns, until_ns = _range(kwargs["place"], kwargs.pop("since"), kwargs.pop("until"), kwargs.pop("period"))
        chosen = Selection(
            since_ns=since_ns,
            until_ns=until_ns,
            client=kwargs.pop("client"),
            server=server,
            server_port=server_port,
            server_ports=server_ports,
            host=kwargs.pop("host"),
            protocol=kwargs.pop("protocol", None),
            wire=kwargs.pop("wire", False),
        )
        return command(*args, chosen=chosen, **kwargs)

    wrapped: Any = wrapper
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return] # options keep what they decorate


def _ports(of_server: int | None, asked: who.Ports | None) -> tuple[int | None, who.Ports | None]:
    if asked is None:
        return of_server, None
    if of_server is not None:
        raise click.UsageError("a port in --server, and --port: leave one of them out")
    return (asked[0], None) if asked[0] == asked[1] else (None, asked)


def _range(place: Place, since: int | None, until: int | None, period: str | None) -> tuple[int | None, int | None]:
    try:
        if period is None:
            checked_range(since, until)
            return since, until
        if since is not None or until is not None:
            raise click.UsageError("--period stands alone: leave --since and --until out, or --period")
        return _span_of(period, place)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _span_of(text: str, place: Place) -> Span:
    at = now_ns()
    span(text, at, 1)  # a mistake in the text is told before the database is looked for
    with reading(place.db) as store:
        return span(text, at, store.built.period_ns)


class Display(NamedTuple):
    """How tables are shown to people."""

    raw: bool = False
    pager: bool = True
    names: bool | None = None
    """None: where the configuration has some."""


def display() -> Display:
    """Return how the command that runs shows its tables."""
    found: Display = click.get_current_context().meta.get(_DISPLAY, Display())
    return found


def _display_options(command: F) -> F:
    def keep(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own way
        known = ctx.meta.get(_DISPLAY, Display())
        ctx.meta[_DISPLAY] = known._replace(**{str(param.name): value})

    for flag, text in (
        ("--pager/--no-pager", "Show tables longer than the screen with $PAGER, or less  [default: pager]"),
        ("--names/--no-names", "Names beside addresses  [default: where [names] in the configuration says so]"),
        ("--raw", "Numbers in tables as JSON has them: bytes, seconds, ISO 8601"),
    ):
        default = Display._field_defaults[flag.split("/")[0].strip("-")]
        command = click.option(flag, is_flag=True, default=default, expose_value=False, callback=keep, help=text)(
            command
        )
    return command


def name_finder() -> Find | None:
    """Return what finds names for the command that runs, None for no names; what it has to say comes at the end."""
    wanted = display().names
    if wanted is False:
        return None
    ctx = click.get_current_context()
    place = _place_of(ctx)
    settings = place.settings().names
    if not settings.hosts_file and not settings.reverse_dns:
        if wanted:
            raise click.UsageError("no names are configured: give a --config with hosts_file or reverse_dns in [names]")
        return None
    book = Book(settings, Path(f"{place.db}-names"), now_ns())

    @ctx.call_on_close
    def _end() -> None:
        for line in book.close():
            click.echo(f"warning: {printable(line)}", err=True)

    return book.names


def format_options(command: F) -> F:
    """Add --json, --ndjson and --csv, and hand the command the one chosen, or ``table``; and how tables are shown."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        chosen = [name for name in ("json", "ndjson", "csv") if kwargs.pop(f"as_{name}")]
        if len(chosen) > 1:
            raise click.UsageError("one of --json, --ndjson and --csv at a time")
        return command(*args, form=chosen[0] if chosen else "table", **kwargs)

    wrapped: Any = _display_options(wrapper)
    for name, text in (
        ("csv", "Print csv"),
        ("ndjson", "Print one JSON object per line"),
        ("json", "Print JSON"),
    ):
        wrapped = click.option(f"--{name}", f"as_{name}", is_flag=True, help=text)(wrapped)
    return wrapped  # type: ignore[no-any-return] # options keep what they decorate


def sort_options(default: str) -> Callable[[F], F]:
    """Return a decorator that adds --sort, --ascending and -n."""

    def decorate(command: F) -> F:
        wrapped: Any = click.option(
            "-n", "limit", type=click.IntRange(min=1), metavar="N", help="At most so many rows"
        )(command)
        wrapped = click.option("--ascending", is_flag=True, help="Smallest, oldest or first name first")(wrapped)
        return click.option(  # type: ignore[no-any-return] # an option keeps what it decorates
            "--sort",
            metavar="FIELD",
            default=default,
            show_default=True,
            help="Any field of the output, largest or newest first; -FIELD turns the order round",
        )(wrapped)

    return decorate


def sort_field(text: str, known: tuple[str, ...]) -> tuple[str, bool]:
    """Return (field, whether '-' turned the order round); UsageError that lists the fields."""
    name = text.removeprefix("-").replace("-", "_")
    for candidate in (name, f"{name}_s"):
        if candidate in known:
            return candidate, text.startswith("-")
    raise click.UsageError(f"no field {text.removeprefix('-')!r} to sort by; the fields are {', '.join(known)}")


@contextmanager
def open_store(place: Place) -> Iterator[Store]:
    """Open the place's database for reading."""
    with reading(place.db) as store:
        yield store


def built_by(settings: Settings) -> Built:
    """Return what a new database is built with."""
    return Built(settings.store.period_s, settings.store.channel_gap_s)


def warn_if_built_otherwise(store: Store, settings: Settings) -> None:
    """Say on standard error when the file's values stand against the configuration's."""
    wanted = built_by(settings)
    if store.built != wanted:
        differing = ", ".join(
            f"{name} {getattr(store.built, name)} (configured {getattr(wanted, name)})"
            for name in wanted._fields
            if getattr(store.built, name) != getattr(wanted, name)
        )
        say(
            f"warning: {store.path} was made with {differing}, which stays in force; "
            "import into a new --db to change it"
        )
