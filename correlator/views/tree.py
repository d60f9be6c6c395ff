"""View records: named figures with children, sorted on any field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from common.timespan import iso_time, seconds
from correlator.rows import ClientRow, FlowFigures, ServiceRow
from correlator.views.figures import Figures, total

FIGURE_FIELDS: Final = (
    "connections",
    "packets_out",
    "packets_in",
    "bytes_out",
    "bytes_in",
    "tcp_uptime_s",
    "channel_uptime_s",
    "first",
    "last",
)
_RAW: Final[Mapping[str, Callable[[Figures], int]]] = {
    "connections": lambda figures: figures.connections,
    "packets_out": lambda figures: figures.packets_out,
    "packets_in": lambda figures: figures.packets_in,
    "bytes_out": lambda figures: figures.bytes_out,
    "bytes_in": lambda figures: figures.bytes_in,
    "tcp_uptime_s": lambda figures: figures.tcp_uptime_ns,
    "channel_uptime_s": lambda figures: figures.channel_uptime_ns,
    "first": lambda figures: figures.first_ns,
    "last": lambda figures: figures.last_ns,
}

UNSORTED: Final = "none"
PORT: Final = "port"
"""The server's, which its endpoint ends with."""
_AVERAGE: Final = "_per_"

Row = TypeVar("Row")
ListRow = TypeVar("ListRow", ClientRow, ServiceRow)


class Node(NamedTuple):
    """One line of a view: what it is about, its figures, and the level below."""

    names: dict[str, Any]
    counts: dict[str, int]
    figures: Figures
    children: tuple[Node, ...] = ()

    @property
    def label(self) -> tuple[Any, ...]:
        """What ties are broken by."""
        return tuple(str(value) for value in self.names.values())


class Sorting(NamedTuple):
    """What a view is sorted by, on every level that has the field; ``UNSORTED`` leaves it as it was read."""

    field: str = "last"
    ascending: bool = False


def figures_record(figures: Figures) -> dict[str, Any]:
    """Return figures under their public names, in public units."""
    connections, packets_out, packets_in, bytes_out, bytes_in, tcp_ns, channel_ns, first_ns, last_ns, _ = figures
    return {
        "connections": connections,
        "packets_out": packets_out,
        "packets_in": packets_in,
        "bytes_out": bytes_out,
        "bytes_in": bytes_in,
        "tcp_uptime_s": seconds(tcp_ns),
        "channel_uptime_s": seconds(channel_ns),
        "first": iso_time(first_ns),
        "last": iso_time(last_ns),
    }


def record(node: Node) -> dict[str, Any]:
    """Return a node as the JSON object that the command line prints."""
    plain = {**node.names, **node.counts, **figures_record(node.figures)}
    if node.children:
        plain["children"] = [record(child) for child in node.children]
    return plain


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Return rows by key, in the order they came."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def parent(names: dict[str, Any], counts: dict[str, int], below: Sequence[Node], *, keep: bool) -> Node:
    """Return the node above others: their figures together, and themselves as children when wanted."""
    return Node(names, counts, total(node.figures for node in below), tuple(below) if keep else ())


def flow_node(flow: FlowFigures) -> Node:
    """Return the node of a flow, the last level of every view."""
    names = {
        "client": flow.client,
        "client_port": flow.client_port,
        "server": endpoint_text(flow.server, flow.server_port),
        "protocol": protocol_name(flow.protocol),
        "sensor": flow.sensor,
        "flow_id": str(flow.flow_id),
        "open": flow.open,
    }
    return Node(names, {}, flow.figures)


def sorted_nodes(nodes: Iterable[Node], sorting: Sorting) -> list[Node]:
    """Return nodes and all below them sorted; ties go by name, and flows newest first by default.

    A level without the field goes by its last activity; without the average, by the value that was averaged.
    """
    if sorting.field == UNSORTED:
        return list(nodes)
    below = [
        node._replace(children=tuple(sorted_nodes(node.children, sorting))) if node.children else node for node in nodes
    ]
    field = sorting.field
    if not all(_has(node, field) for node in below):
        field = field.partition(_AVERAGE)[0] if _AVERAGE in field else "last"
    if field == "last" and sorting.field == "last" and all("flow_id" in node.names for node in below):
        field = "first"
    return ordered(below, field, ascending=sorting.ascending)


def ordered(nodes: Iterable[Node], field: str, *, ascending: bool) -> list[Node]:
    """Return nodes sorted by a field that all of them have; ties go by name."""
    return in_order(nodes, lambda node: sort_value(node, field), lambda node: node.label, ascending=ascending)


def ordered_rows(
    rows: Iterable[ListRow], names: Callable[[ListRow], Mapping[str, str]], field: str, *, ascending: bool
) -> list[ListRow]:
    """Return rows of a list sorted by a figure or a count as their nodes would be."""
    raw, counted = _RAW.get(field), attrgetter(field)

    def value(row: ListRow) -> int:
        return int(counted(row)) if raw is None else raw(row.figures)

    return in_order(rows, value, lambda row: tuple(names(row).values()), ascending=ascending)


def in_order(
    many: Iterable[Row], value: Callable[[Row], Any], label: Callable[[Row], Any], *, ascending: bool
) -> list[Row]:
    """Return what is sorted by a value, and by a label where values are equal."""
    by_value = sorted(many, key=value, reverse=not ascending)
    # Few values are equal: names are compared, as text, only where they are.
    equal = (list(some) for _, some in groupby(by_value, key=value))
    return [one for some in equal for one in (sorted(some, key=label) if len(some) > 1 else some)]


def sort_value(node: Node, field: str) -> Any:
    """Return what a node is sorted by."""
    if field in _RAW:
        return _RAW[field](node.figures)
    if _AVERAGE in field:
        value, count = _average_of(field)
        return _RAW[value](node.figures) / node.counts[count]
    if field == PORT:
        return int(node.names["server"].rpartition(":")[2])
    if field in node.counts:
        return node.counts[field]
    name = node.names[field]
    return name if isinstance(name, int) else str(name)


def _has(node: Node, field: str) -> bool:
    if _AVERAGE in field:
        return _average_of(field)[1] in node.counts
    if field == PORT:
        return "server" in node.names
    return field in _RAW or field in node.counts or field in node.names


def _average_of(field: str) -> tuple[str, str]:
    """Return the value and the count of an average: ``bytes_out`` and ``services`` of ``bytes_out_per_service``."""
    value, _, of = field.partition(_AVERAGE)
    return value, f"{of}s"


def flattened(nodes: Iterable[Node], above: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the lowest level as flat records that repeat the names of the levels above."""
    for node in nodes:
        names = {**(above or {}), **node.names}
        if node.children:
            yield from flattened(node.children, names)
        else:
            yield {**names, **node.counts, **figures_record(node.figures)}
