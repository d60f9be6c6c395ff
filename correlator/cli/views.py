"""The three views: ``clients``, ``servers`` and ``periods``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import click

from common.timespan import NS_PER_S, parse_time
from correlator.cli.options import (
    Place,
    address,
    endpoint,
    format_options,
    open_store,
    selection_options,
    sort_field,
    sort_options,
    with_place,
)
from correlator.cli.output import print_nodes
from correlator.render.table import Column, human_count
from correlator.rows import FlowFigures, Selection
from correlator.store import queries
from correlator.store.database import Store
from correlator.store.flows import flow_figures
from correlator.views.clients import client_view
from correlator.views.periods import period_view
from correlator.views.servers import server_view
from correlator.views.tree import FIGURE_FIELDS, Node, Sorting, sorted_nodes

_DAY_NS: Final = 86_400 * NS_PER_S
_DEPTH = click.option(
    "--depth", type=click.IntRange(1, 3), help="How many levels to show  [default: 1, or 2 with an argument]"
)


@click.command(short_help="What each client did: client, its services, their flows")
@click.argument("only", metavar="[IP]", type=address, required=False)
@with_place
@selection_options
@_DEPTH
@sort_options("last")
@format_options
def clients(only: str | None, place: Place, chosen: Selection, depth: int | None, form: str, **order: Any) -> None:
    r"""Show what each client did: client, its services, their flows.

    \b
    Example:
      tunnelwatch clients --sort bytes_out -n 10
      tunnelwatch clients 10.1.1.9 --depth 3
    """
    sorting = _sorting(order, ("client", "services"))
    if only is not None:
        chosen = chosen._replace(client=only)
    levels = depth or (1 if only is None else 2)
    with open_store(place) as store:
        nodes = client_view(queries.channels(store, chosen), _flows(store, chosen, levels), levels)
    columns = (Column("client", "client"), Column("services", "services", human_count, right=True))
    _print(nodes, sorting, order, form, columns)


@click.command(short_help="What each service did: service, its clients, their flows")
@click.argument("only", metavar="[IP[:PORT]]", type=endpoint, required=False)
@with_place
@selection_options
@_DEPTH
@sort_options("last")
@format_options
def servers(
    only: tuple[str, int | None] | None,
    place: Place,
    chosen: Selection,
    depth: int | None,
    form: str,
    **order: Any,
) -> None:
    r"""Show what each service did: service, its clients, their flows.

    \b
    Example:
      tunnelwatch servers --sort channel_uptime
      tunnelwatch servers 10.1.2.2:3128
    """
    sorting = _sorting(order, ("server", "protocol", "clients"))
    if only is not None:
        chosen = chosen._replace(server=only[0], server_port=only[1])
    levels = depth or (1 if only is None else 2)
    with open_store(place) as store:
        nodes = server_view(queries.channels(store, chosen), _flows(store, chosen, levels), levels)
    columns = (Column("server", "server"), Column("clients", "clients", human_count, right=True))
    _print(nodes, sorting, order, form, columns)


@click.command(short_help="What happened when: hour, minute, flows")
@click.argument("day", metavar="[DAY]", required=False)
@with_place
@selection_options
@_DEPTH
@sort_options("first")
@format_options
def periods(day: str | None, place: Place, chosen: Selection, depth: int | None, form: str, **order: Any) -> None:
    r"""Show what happened when: day and hour, minute, flows (UTC).

    \b
    Example:
      tunnelwatch periods
      tunnelwatch periods 2026-11-21 --depth 2
    """
    sorting = _sorting(order, ("period", "clients", "services"))
    if day is not None:
        chosen = _within_day(chosen, day)
    levels = depth or (1 if day is None else 2)
    with open_store(place) as store:
        nodes = period_view(
            queries.periods(store, chosen),
            queries.minutes(store, chosen) if levels > 1 else (),
            _flows(store, chosen, levels),
            store.built.period_ns,
        )
    columns = (
        Column("period", "period (UTC)"),
        Column("clients", "clients", human_count, right=True),
        Column("services", "services", human_count, right=True),
    )
    _print(nodes, sorting, order, form, columns)


def _flows(store: Store, chosen: Selection, depth: int) -> Iterable[FlowFigures]:
    return flow_figures(store, chosen) if depth > 2 else ()


def _sorting(order: dict[str, Any], own: tuple[str, ...]) -> Sorting:
    field, turned = sort_field(order["sort"], (*own, *FIGURE_FIELDS))
    by_name = field in ("client", "server", "protocol")
    return Sorting(field, ascending=order["ascending"] or (by_name != turned))


def _print(nodes: list[Node], sorting: Sorting, order: dict[str, Any], form: str, columns: tuple[Column, ...]) -> None:
    print_nodes(sorted_nodes(nodes, sorting)[: order["limit"]], form, columns)


def _within_day(chosen: Selection, day: str) -> Selection:
    try:
        start = parse_time(date.fromisoformat(day).isoformat())
    except ValueError:
        raise click.BadParameter(f"not a day: {day!r}; write 2026-11-21", param_hint="DAY") from None
    since = start if chosen.since_ns is None else max(start, chosen.since_ns)
    until = start + _DAY_NS if chosen.until_ns is None else min(start + _DAY_NS, chosen.until_ns)
    return chosen._replace(since_ns=since, until_ns=until)
