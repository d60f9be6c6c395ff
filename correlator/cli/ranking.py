"""``top`` and ``bottom``: the most and the least accessed."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import click

from correlator.cli.options import Place, format_options, open_store, selection_options, with_place
from correlator.cli.output import label, print_records
from correlator.render.table import FIGURES, Column, human_count
from correlator.rows import Selection
from correlator.store import queries
from correlator.store.database import Store
from correlator.store.flows import host_intervals, hosts
from correlator.views.clients import client_view
from correlator.views.ranking import (
    MEASURES,
    channel_nodes,
    host_nodes,
    host_uptimes,
    ranked,
    ranked_record,
)
from correlator.views.servers import server_view
from correlator.views.tree import Node

_SUBJECTS: Final = ("servers", "clients", "channels", "hosts")
_COLUMNS: Final = (Column("rank", "#", human_count, right=True), Column("label", "name"), *FIGURES)


def _options(command: Any) -> Any:
    for decorate in reversed(
        (
            click.argument("subject", type=click.Choice(_SUBJECTS), default="servers"),
            with_place,
            selection_options,
            click.option("--by", type=click.Choice(list(MEASURES)), default="connections", show_default=True),
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
    """
    _list(_Question(**arguments), bottom=False)


@click.command(short_help="The least accessed servers, clients, channels or hosts")
@_options
def bottom(**arguments: Any) -> None:
    r"""List the servers, clients, channels or hosts with the least of one figure.

    \b
    Example:
      tunnelwatch bottom servers --by connections -n 10
    """
    _list(_Question(**arguments), bottom=True)


class _Question(NamedTuple):
    """The options of a list."""

    subject: str
    place: Place
    chosen: Selection
    by: str
    limit: int
    form: str


def _list(question: _Question, *, bottom: bool) -> None:
    with open_store(question.place) as store:
        nodes = _nodes(store, question.chosen, question.subject)
    lines = ranked(nodes, question.by, question.limit, bottom=bottom)
    rows = [ranked_record(line) for line in lines]
    if question.form == "table":
        rows = [{**row, "label": label(line.node)} for row, line in zip(rows, lines, strict=True)]
    print_records(rows, question.form, _COLUMNS)


def _nodes(store: Store, chosen: Selection, subject: str) -> list[Node]:
    if subject == "hosts":
        uptimes = host_uptimes(host_intervals(store, chosen), store.built.channel_gap_ns)
        return host_nodes(hosts(store, chosen), uptimes)
    channels = queries.channels(store, chosen)
    if subject == "clients":
        return client_view(channels, (), 1)
    return channel_nodes(channels) if subject == "channels" else server_view(channels, (), 1)
