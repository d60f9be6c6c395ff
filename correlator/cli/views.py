"""The views: ``clients``, ``servers``, ``periods`` and ``slots``."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import date
from operator import itemgetter
from typing import Any, Final

import click
import msgspec

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from common.timespan import NS_PER_S, iso_time, parse_time
from correlator.cli.averages import averages_option, print_levels
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
from correlator.cli.output import print_flat, print_lines, takes_lines
from correlator.render.machine import between, between_inner
from correlator.render.table import Column, human_count
from correlator.rows import BucketRow, ChannelRow, FlowFigures, Selection
from correlator.store import groups, queries
from correlator.store.database import Store
from correlator.store.flows import flow_figures, flow_rows, minute_flow_rows, minute_flows, names_of
from correlator.store.where import Segment
from correlator.views.averages import average_fields
from correlator.views.clients import client_names, client_nodes, client_period_view, client_record, client_view
from correlator.views.jsontext import (
    Below,
    FlowWriter,
    bucket_lines,
    client_lines,
    ordered_buckets,
    service_lines,
    sortable,
    with_lines,
)
from correlator.views.periods import MINUTE_NS, period_view
from correlator.views.servers import server_nodes, server_view, service_names, service_record
from correlator.views.slots import slot_view
from correlator.views.tree import FIGURE_FIELDS, PORT, UNSORTED, Node, Sorting, grouped, ordered_rows, sorted_nodes

_DAY_NS: Final = 86_400 * NS_PER_S
# Names that some level of a view has; the others are sorted by their last activity then.
_BELOW: Final = ("client", "server", PORT, "protocol", "client_port")
_FEW: Final = 100
"""First lines of a view below which all is read one by one, and not together with all other lines."""
_DEPTH = click.option(
    "--depth", type=click.IntRange(1, 3), help="How many levels to show  [default: 1, or 2 with an argument]"
)


@click.command(short_help="What each client did: client, its services, their flows")
@click.argument("only", metavar="[IP]", type=address, required=False)
@with_place
@selection_options
@_DEPTH
@click.option("--by-period", is_flag=True, help="Periods, and not flows, below the services of one client")
@averages_option("services")
@sort_options("last")
@format_options
def clients(only: str | None, place: Place, chosen: Selection, depth: int | None, **asked: Any) -> None:
    r"""Show what each client did: client, its services, their flows.

    \b
    Example:
      tunnelwatch clients --sort bytes_out -n 10
      tunnelwatch clients 10.1.1.9 --by-period
      tunnelwatch clients --averages --sort bytes_out_per_service
      tunnelwatch clients 10.1.1.9 --depth 3
    """
    sorting = _sorting(asked, ("client",), "services")
    if only is not None:
        if chosen.client is not None:
            raise click.UsageError("a client as argument, and --client: leave one of them out")
        chosen = chosen._replace(client=only)
    if asked["by_period"] and (chosen.client is None or depth not in (None, 3)):
        raise click.UsageError("--by-period is for one client, and has three levels: give its address, and no --depth")
    levels = depth or (1 if only is None else 2)
    columns = (Column("client", "client"), Column("services", "services", human_count, right=True))
    with open_store(place) as store:
        part = groups.rolled(store, chosen) if levels == 1 and not asked["by_period"] else None
        if part is not None:
            first = _first(sorting, asked)
            rows = list(groups.clients(store, chosen, part, first))
        elif asked["by_period"]:
            channels = queries.channels(store, chosen)
            nodes = client_period_view((row, _periods_of(store, chosen, row)) for row in channels)
        else:
            shown = _shown_clients(store, chosen, _first(sorting, asked))
            if levels > 2 and _takes_lines(sorting, asked):
                _print_with_flows(store, shown, client_view(_channels(store, shown), (), 2), sorting, asked)
                return
            nodes = client_view(_channels(store, shown), _flows(store, shown, levels), levels)
    if part is not None:
        if groups.sortable(sorting.field) and not asked["averages"]:
            rows = rows if first else ordered_rows(rows, client_names, sorting.field, ascending=sorting.ascending)
            if takes_lines(asked["form"]):
                print_lines([client_lines(rows, between(asked["form"]))], asked["form"])
            else:
                print_flat(map(client_record, rows), asked["form"], columns)
            return
        nodes = client_nodes(rows)
    _print(nodes, sorting, asked, columns, "services")


@click.command(short_help="What each service did: service, its clients, their flows")
@click.argument("only", metavar="[IP[:PORT]]", type=endpoint, required=False)
@with_place
@selection_options
@_DEPTH
@averages_option("clients")
@sort_options("last")
@format_options
def servers(
    only: tuple[str, int | None] | None,
    place: Place,
    chosen: Selection,
    depth: int | None,
    **asked: Any,
) -> None:
    r"""Show what each service did: service, its clients, their flows.

    \b
    Example:
      tunnelwatch servers --sort channel_uptime
      tunnelwatch servers 10.1.2.2:3128
    """
    sorting = _sorting(asked, ("server", "protocol"), "clients")
    if only is not None:
        chosen = _of_server(chosen, *only)
    levels = depth or (1 if only is None else 2)
    columns = (Column("server", "server"), Column("clients", "clients", human_count, right=True))
    with open_store(place) as store:
        part = groups.rolled(store, chosen) if levels == 1 else None
        if part is not None:
            first = _first(sorting, asked)
            rows = list(groups.services(store, chosen, part, first))
        else:
            shown = _shown_services(store, chosen, _first(sorting, asked))
            if levels > 2 and _takes_lines(sorting, asked):
                _print_with_flows(store, shown, server_view(_channels(store, shown), (), 2), sorting, asked)
                return
            nodes = server_view(_channels(store, shown), _flows(store, shown, levels), levels)
    if part is not None:
        if groups.sortable(sorting.field) and not asked["averages"]:
            rows = rows if first else ordered_rows(rows, service_names, sorting.field, ascending=sorting.ascending)
            if takes_lines(asked["form"]):
                print_lines([service_lines(rows, between(asked["form"]))], asked["form"])
            else:
                print_flat(map(service_record, rows), asked["form"], columns)
            return
        nodes = server_nodes(rows)
    _print(nodes, sorting, asked, columns, "clients")


@click.command(short_help="What happened when: hour, minute, flows")
@click.argument("day", metavar="[DAY]", required=False)
@with_place
@selection_options
@_DEPTH
@averages_option("clients")
@sort_options("first")
@format_options
def periods(day: str | None, place: Place, chosen: Selection, depth: int | None, **asked: Any) -> None:
    r"""Show what happened when: day and hour, minute, flows (UTC).

    \b
    Example:
      tunnelwatch periods
      tunnelwatch periods 2026-11-21 --depth 2
    """
    sorting = _sorting(asked, ("period", "services"), "clients")
    if day is not None:
        chosen = _within_day(chosen, day)
    levels = depth or (1 if day is None else 2)
    with open_store(place) as store:
        if levels > 1 and _takes_lines(sorting, asked):
            _print_minutes(store, chosen, sorting, asked, with_flows=levels > 2)
            return
        nodes = period_view(
            queries.periods(store, chosen),
            queries.minutes(store, chosen) if levels > 1 else (),
            minute_flows(store, chosen) if levels > 2 else (),
            store.built.period_ns,
        )
    columns = (
        Column("period", "period (UTC)"),
        Column("clients", "clients", human_count, right=True),
        Column("services", "services", human_count, right=True),
    )
    _print(nodes, sorting, asked, columns, "clients")


@click.command(short_help="What happens at which time of day: slot, weekday or weekend, periods")
@with_place
@selection_options
@_DEPTH
@averages_option("periods")
@sort_options("slot")
@format_options
def slots(place: Place, chosen: Selection, depth: int | None, **asked: Any) -> None:
    r"""Show what happens at which time of day (UTC): slot of the day, weekday or weekend, the periods themselves.

    A slot has all periods that begin at its time of day; their number is of those with records.

    \b
    Example:
      tunnelwatch slots --depth 2
      tunnelwatch slots --averages --client 10.1.1.9 --since 2026-11-01 --until 2026-11-15
    """
    sorting = _sorting(asked, ("slot",), "periods")
    with open_store(place) as store:
        nodes = slot_view(queries.periods(store, chosen), depth or 1)
    columns = (Column("slot", "slot (UTC)"), Column("periods", "periods", human_count, right=True))
    _print(nodes, sorting, asked, columns, "periods")


def _takes_lines(sorting: Sorting, asked: dict[str, Any]) -> bool:
    """Tell whether the lowest level can be written without an object for each of its lines."""
    return takes_lines(asked["form"]) and sortable(sorting) and not asked["averages"]


def _print_with_flows(
    store: Store, shown: Iterable[Selection], nodes: list[Node], sorting: Sorting, asked: dict[str, Any]
) -> None:
    """Print two levels of nodes with the flows of each channel below."""
    rows = [row for some in shown for row in flow_rows(store, some)]
    names = names_of(store, rows)
    inner = between_inner(asked["form"])
    writer = FlowWriter(names, sorting, inner)
    lines: dict[Hashable, list[bytes]] = {}
    for (client_id, service_id), some in grouped(rows, itemgetter(0, 1)).items():
        server, port, protocol = names.services[service_id]
        channel = names.clients[client_id], endpoint_text(server, port), protocol_name(protocol)
        lines[channel] = [writer.lines(some)]
    levels = sorted_nodes(nodes, sorting)[: asked["limit"]]
    _print_with_lines(levels, Below(lines, itemgetter("client", "server", "protocol"), inner), asked["form"])


def _print_minutes(
    store: Store, chosen: Selection, sorting: Sorting, asked: dict[str, Any], *, with_flows: bool
) -> None:
    """Print periods with their minutes, and the flows of each of those, below."""
    minutes = queries.minutes(store, chosen)
    if sorting.field != UNSORTED:
        minutes = ordered_buckets(minutes, sorting)
    texts, inner = bucket_lines(minutes, "minute"), between_inner(asked["form"])
    if with_flows:
        rows = list(minute_flow_rows(store, chosen))
        writer = FlowWriter(names_of(store, rows), sorting, inner)
        below = grouped(rows, lambda row: row.first_ns - row.first_ns % MINUTE_NS)
        texts = [
            text[:-1] + b', "children": [' + writer.lines(below[minute.start_ns]) + b"]}"
            if minute.start_ns in below
            else text
            for minute, text in zip(minutes, texts, strict=True)
        ]
    lines: dict[Hashable, list[bytes]] = {}
    for minute, text in zip(minutes, texts, strict=True):
        lines.setdefault(iso_time(minute.start_ns - minute.start_ns % store.built.period_ns), []).append(text)
    nodes = period_view(queries.periods(store, chosen), (), (), store.built.period_ns)
    levels = sorted_nodes(nodes, sorting)[: asked["limit"]]
    _print_with_lines(levels, Below(lines, itemgetter("period"), inner), asked["form"])


def _print_with_lines(nodes: list[Node], below: Below, form: str) -> None:
    print_lines(map(msgspec.json.encode, with_lines(nodes, below)), form)


def _periods_of(store: Store, chosen: Selection, row: ChannelRow) -> list[BucketRow]:
    one = chosen._replace(client=row.client, server=row.server, server_port=row.server_port, protocol=row.protocol)
    return queries.periods(store, one)


def _shown_clients(store: Store, chosen: Selection, first: groups.First | None) -> list[Selection]:
    """Return selections of what is shown: one of each client, where SQL can tell which few these are."""
    part = _listed(store, chosen, first)
    if part is None:
        return [chosen]
    return [chosen._replace(client=row.client) for row in groups.clients(store, chosen, part, first)]


def _shown_services(store: Store, chosen: Selection, first: groups.First | None) -> list[Selection]:
    """Do so for each service."""
    part = _listed(store, chosen, first)
    if part is None:
        return [chosen]
    return [
        chosen._replace(server=row.server, server_port=row.server_port, protocol=row.protocol)
        for row in groups.services(store, chosen, part, first)
    ]


def _listed(store: Store, chosen: Selection, first: groups.First | None) -> Segment | None:
    if first is None or first.limit > _FEW:
        return None
    return groups.rolled(store, chosen)


def _channels(store: Store, shown: Iterable[Selection]) -> list[ChannelRow]:
    return [row for some in shown for row in queries.channels(store, some)]


def _flows(store: Store, shown: Iterable[Selection], depth: int) -> Iterable[FlowFigures]:
    return (flow for some in shown for flow in flow_figures(store, some)) if depth > 2 else ()


def _first(sorting: Sorting, asked: dict[str, Any]) -> groups.First | None:
    """Return what is shown of a sorted list, where SQL can tell."""
    if asked["limit"] is None or not groups.sortable(sorting.field):
        return None
    return groups.First(sorting.field, sorting.ascending, asked["limit"])


def _sorting(asked: dict[str, Any], names: tuple[str, ...], count: str) -> Sorting:
    known = tuple(dict.fromkeys((*names, count, *FIGURE_FIELDS, *_BELOW, *average_fields(count), UNSORTED)))
    field, turned = sort_field(asked["sort"], known)
    from_first = field in _BELOW or field == "slot"
    return Sorting(field, ascending=asked["ascending"] or (from_first != turned))


def _print(nodes: list[Node], sorting: Sorting, asked: dict[str, Any], columns: tuple[Column, ...], count: str) -> None:
    shown = sorted_nodes(nodes, sorting)[: asked["limit"]]
    print_levels(shown, asked["form"], columns, count if asked["averages"] else None)


def _of_server(chosen: Selection, server: str, port: int | None) -> Selection:
    if chosen.server is not None:
        raise click.UsageError("a server as argument, and --server: leave one of them out")
    if port is None:
        return chosen._replace(server=server)
    if chosen.server_port is not None or chosen.server_ports is not None:
        raise click.UsageError("a port with the server, and --port: leave one of them out")
    return chosen._replace(server=server, server_port=port)


def _within_day(chosen: Selection, day: str) -> Selection:
    try:
        start = parse_time(date.fromisoformat(day).isoformat())
    except ValueError:
        raise click.BadParameter(f"not a day: {day!r}; write 2026-11-21", param_hint="DAY") from None
    since = start if chosen.since_ns is None else max(start, chosen.since_ns)
    until = start + _DAY_NS if chosen.until_ns is None else min(start + _DAY_NS, chosen.until_ns)
    return chosen._replace(since_ns=since, until_ns=until)
