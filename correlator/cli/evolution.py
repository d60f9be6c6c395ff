"""``evolution``: one figure along the run, drawn or as numbers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from common.addresses import endpoint_text
from common.errors import UserError
from common.timespan import NS_PER_S, iso_time
from correlator.cli.options import Place, format_options, open_store, selection_options, with_place
from correlator.cli.output import print_records
from correlator.render import picture, plot
from correlator.render.table import Column, human_bytes, human_count, human_duration, human_time
from correlator.rows import Selection
from correlator.store import evolution as stored
from correlator.store.database import Store
from correlator.views.evolution import (
    DAY_NS,
    MAX_POINTS,
    MINUTE_NS,
    Buckets,
    Point,
    buckets,
    is_duration,
    point_record,
    points,
)
from correlator.views.ranking import MEASURES

_NAMES: Final = ("period", "value")
_WRITE: Final[Mapping[str, Callable[[float], str]]] = {
    "connections": lambda value: human_count(round(value)),
    "outbound": human_bytes,
    "inbound": human_bytes,
    "channel-uptime": human_duration,
    "tcp-uptime": human_duration,
}


class _Question(NamedTuple):
    """The options of an evolution."""

    place: Place
    chosen: Selection
    by: str
    per: str
    form: str
    plotted: bool | None
    png: Path | None
    svg: Path | None


@click.command(short_help="One figure along the run: a plot, or a number per period")
@with_place
@selection_options
@click.option("--by", type=click.Choice(list(MEASURES)), default="connections", show_default=True)
@click.option(
    "--per",
    type=click.Choice(["period", "minute", "day"]),
    default="period",
    show_default=True,
    help="What one number is of",
)
@click.option("--plot/--table", "plotted", default=None, help="A plot, or the numbers  [default: a plot on a terminal]")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write a picture; needs the extra 'plot'")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write a picture; needs the extra 'plot'")
@format_options
def evolution(**arguments: Any) -> None:
    r"""Show one figure of a client, a service, a channel or of all along the run, a number per period (UTC).

    Periods with nothing are zeros. The run is from the first record that is stored to the last one.

    \b
    Example:
      tunnelwatch evolution --by outbound --client 10.1.1.9
      tunnelwatch evolution --by channel-uptime --client 10.1.1.9 --server 10.1.2.2:3128 --per day --json
      tunnelwatch evolution --by inbound --since monday --png inbound.png
    """
    question = _Question(**arguments)
    if question.plotted and question.form != "table":
        raise click.UsageError(f"--plot, and --{question.form} for numbers: leave one of them out")
    with open_store(question.place) as store:
        values, along = _asked(store, question)
    if not along:
        print_records((), question.form, (), _NAMES)
        return
    found = points(values, along, question.by)
    wants_picture = question.png is not None or question.svg is not None
    if question.form == "table" and (wants_picture or _is_drawn(question)):
        _draw(question, along, list(found))
    else:
        if wants_picture:
            found = iter(kept := list(found))
            _save(question, along, kept)
        columns = (
            Column("period", f"{question.per} (UTC)", human_time),
            Column("value", question.by, _WRITE[question.by], right=True),
        )
        print_records(map(point_record, found), question.form, columns, _NAMES)


def _asked(store: Store, question: _Question) -> tuple[dict[int, int], Buckets]:
    chosen = question.chosen
    length_ns = {"period": store.built.period_ns, "minute": MINUTE_NS, "day": DAY_NS}[question.per]
    run = stored.run(store)
    if run is None:
        return {}, Buckets(0, -1, length_ns)
    values = stored.evolution(store, chosen, question.by, length_ns)
    along = buckets(run, chosen.since_ns, chosen.until_ns, length_ns, values)
    if along and along.number > MAX_POINTS:
        times = f"from {iso_time(along.first_ns)} to {iso_time(along.last_ns)}"
        raise UserError(
            f"the run has {along.number:,} {question.per}s {times}, and {MAX_POINTS:,} can be shown: "
            f"narrow it with --since and --until, or give a longer --per"
        )
    return values, along


def _is_drawn(question: _Question) -> bool:
    if question.plotted is not None:
        return question.plotted
    return sys.stdout.isatty() and plot.can_show(sys.stdout.encoding)


def _draw(question: _Question, along: Buckets, found: list[Point]) -> None:
    if question.png is not None or question.svg is not None:
        _save(question, along, found)
        return
    if not plot.can_show(sys.stdout.encoding):
        raise UserError(f"a plot needs UTF-8, and the output is {sys.stdout.encoding}: give --table, or set LC_ALL")
    screen = shutil.get_terminal_size()
    values = [point.value for point in found]
    drawn = plot.drawn(plot.Series(values, *_times(along), _WRITE[question.by]), screen.columns, screen.lines)
    largest = max(found, key=lambda point: point.value)
    click.echo(_title(question))
    click.echo(drawn)
    click.echo(
        f"largest {_WRITE[question.by](largest.value)} in the {question.per} of "
        f"{human_time(iso_time(largest.start_ns))} UTC; {along.number:,} {question.per}s"
    )


def _save(question: _Question, along: Buckets, found: list[Point]) -> None:
    unit = "time" if is_duration(question.by) else question.by
    shown = picture.Picture(
        _title(question), unit, [point.value for point in found], *_times(along), _WRITE[question.by]
    )
    for path, form in ((question.png, "png"), (question.svg, "svg")):
        if path is not None:
            picture.save(shown, path, form)
            click.echo(f"wrote {path}", err=True)


def _times(along: Buckets) -> tuple[float, float]:
    return along.first_ns / NS_PER_S, along.length_ns / NS_PER_S


def _title(question: _Question) -> str:
    chosen = question.chosen
    server, port = chosen.server, chosen.server_port
    if server is not None and port is not None:
        server = endpoint_text(server, port)
    elif port is not None:
        server = f"port {port}"
    if chosen.server_ports is not None:
        server = " ".join(filter(None, (server, "ports {}-{}".format(*chosen.server_ports))))
    who = " -> ".join(name for name in (chosen.client, server, chosen.host) if name is not None)
    return f"{question.by} per {question.per} (UTC), {who or 'all'}"
