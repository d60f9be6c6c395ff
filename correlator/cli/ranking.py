"""``top`` and ``bottom``: the most and the least accessed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import click
from click.core import ParameterSource

from correlator.cli.averages import human_number
from correlator.cli.options import Place, format_options, open_store, selection_options, with_place
from correlator.cli.output import label, print_records
from correlator.render.table import FIGURES, Column, human_bytes, human_count, human_duration
from correlator.rows import Selection
from correlator.store import groups, queries
from correlator.store.database import Store
from correlator.store.hosts import Best, host_channels, hosts
from correlator.views.clients import client_nodes, client_view
from correlator.views.ranking import (
    MEASURES,
    channel_nodes,
    host_channel_nodes,
    host_nodes,
    list_average,
    lists,
    ranked_record,
)
from correlator.views.servers import server_nodes, server_view
from correlator.views.tree import Node

_SUBJECTS: Final = ("servers", "clients", "channels", "hosts")
# What a list can be made for each of, and whose lists these are: a client's servers are its channels.
_PER: Final = {
    "servers": ("client",),
    "clients": ("server", "host"),
    "hosts": ("client",),
    "channels": ("client", "server"),
}
_COLUMNS: Final = (Column("rank", "#", human_count, right=True), Column("label", "name"), *FIGURES)
_AVERAGE_COLUMNS: Final = (
    Column("by", "by"),
    Column("lists", "lists", human_count, right=True),
    Column("entries", "entries", human_count, right=True),
    Column("average", "average", right=True),
)


def _options(command: Any) -> Any:
    for decorate in reversed(
        (
            click.argument("subject", type=click.Choice(_SUBJECTS), default="servers"),
            with_place,
            selection_options,
            click.option("--by", type=click.Choice(list(MEASURES)), default="connections", show_default=True),
            click.option(
                "--per", type=click.Choice(("client", "server", "host")), help="A list for each client, server or host"
            ),
            click.option("--average", is_flag=True, help="The average over all values of the lists, and no lists"),
            click.option("-n", "limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N"),
            format_options,
        )
    ):
        command = decorate(command)
    return command


@click.command(short_help="The most accessed servers, clients, channels or hosts")
@_options
def top(**arguments: Any) -> None:
    r"""List the servers, clients, channels or hosts with the most of one figure.

    \b
    Example:
      tunnelwatch top servers --by outbound
      tunnelwatch top servers --by channel-uptime --client 10.1.1.9
      tunnelwatch top servers --per client --average
    """
    _list(_Question(**arguments), bottom=False)


@click.command(short_help="The least accessed servers, clients, channels or hosts")
@_options
def bottom(**arguments: Any) -> None:
    r"""List the servers, clients, channels or hosts with the least of one figure.

    \b
    Example:
      tunnelwatch bottom servers --by connections -n 10
      tunnelwatch bottom servers --per client --by outbound
    """
    _list(_Question(**arguments), bottom=True)


class _Question(NamedTuple):
    """The options of a list."""

    subject: str
    place: Place
    chosen: Selection
    by: str
    per: str | None
    average: bool
    limit: int
    form: str


def _list(question: _Question, *, bottom: bool) -> None:
    subject, per = question.subject, question.per
    if per is not None and per not in _PER[subject]:
        raise click.UsageError(f"{subject} are listed per {' or '.join(_PER[subject])}, not per {per}")
    with open_store(question.place) as store:
        nodes = _nodes(store, question, bottom=bottom)
    if question.average:
        _print_averages(question, nodes, bottom=bottom)
        return
    lines = chain.from_iterable(lists(nodes, question.by, question.limit, bottom=bottom, per=per))
    rows = ({**ranked_record(line), **_label(line.node, question.form)} for line in lines)
    print_records(rows, question.form, _COLUMNS)


def _label(node: Node, form: str) -> dict[str, str]:
    return {"label": label(node.names)} if form == "table" else {}


def _print_averages(question: _Question, nodes: Sequence[Node], *, bottom: bool) -> None:
    """Print the average over all values of the lists: by the measure that was asked for, else by each."""
    given = click.get_current_context().get_parameter_source("by") is not ParameterSource.DEFAULT
    measures = ([question.by] if given else list(MEASURES)) if nodes else []
    rows = [list_average(lists(nodes, by, question.limit, bottom=bottom, per=question.per), by) for by in measures]
    if question.form == "table":
        rows = [{**row, "average": _human_average(row)} for row in rows]
    print_records(rows, question.form, _AVERAGE_COLUMNS)


def _human_average(row: dict[str, Any]) -> str:
    writer = {"connections": human_number, "outbound": human_bytes, "inbound": human_bytes}
    return writer.get(row["by"], human_duration)(row["average"])


def _nodes(store: Store, question: _Question, *, bottom: bool) -> list[Node]:
    subject, chosen = question.subject, question.chosen
    if "hosts" in (subject, f"{question.per}s"):
        return _host_nodes(store, question, bottom=bottom)
    part = groups.rolled(store, chosen) if question.per is None and not question.average else None
    if part is not None:
        first = groups.First(MEASURES[question.by], bottom, question.limit)
        if subject == "channels":
            return channel_nodes(groups.channels(store, chosen, part, first))
        if subject == "clients":
            return client_nodes(groups.clients(store, chosen, part, first))
        return server_nodes(groups.services(store, chosen, part, first))
    channels = queries.channels(store, chosen)
    if subject == "channels" or question.per is not None:
        return channel_nodes(channels)
    return client_view(channels, (), 1) if subject == "clients" else server_view(channels, (), 1)


def _host_nodes(store: Store, question: _Question, *, bottom: bool) -> list[Node]:
    """Return the nodes of hosts or of channels by name: those that the lists will have, but for averages all."""
    best = None if question.average else Best(question.by, question.limit, bottom, question.per)
    if question.per is None:
        return host_nodes(hosts(store, question.chosen, best))
    return host_channel_nodes(host_channels(store, question.chosen, best))
