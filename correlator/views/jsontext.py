"""Long lists of view records as JSON text: what ``tree`` says of flows and minutes, without an object for each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from common.addresses import endpoint_text
from common.textrecords import protocol_name
from common.timespan import iso_time
from correlator.rows import BucketRow, ClientRow, ServiceRow
from correlator.views._jsontext import COUNT, DIGITS, FLAG, SECONDS, TIME, WORD, objects
from correlator.views.tree import FIGURE_FIELDS, UNSORTED, Node, Sorting, figures_record, in_order

Field = tuple[str, int, int, Mapping[Any, bytes] | None]


class FlowRow(NamedTuple):
    """A flow of a selection as the store has it, its parts together; who talked is told by numbers."""

    client_id: int
    service_id: int
    sensor_id: int
    flow_id: int
    client_port: int
    open: bool
    connections: int
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    tcp_uptime_ns: int
    first_ns: int
    last_ns: int


class Names(NamedTuple):
    """What the numbers of flows stand for."""

    clients: Mapping[int, str]
    services: Mapping[int, tuple[str, int, int]]
    """Server address, port, protocol."""
    sensors: Mapping[int, str]


# Where a flow's figures are; one stands up for as long as it lasts.
_FLOW_FIGURES: Final[Mapping[str, int]] = {
    **{name: FlowRow._fields.index(name) for name in FIGURE_FIELDS if name in FlowRow._fields},
    "tcp_uptime_s": FlowRow._fields.index("tcp_uptime_ns"),
    "channel_uptime_s": FlowRow._fields.index("tcp_uptime_ns"),
    "first": FlowRow._fields.index("first_ns"),
    "last": FlowRow._fields.index("last_ns"),
}
_AT_FIGURES: Final[Mapping[str, int]] = {name: place for place, name in enumerate(FIGURE_FIELDS)}
_KINDS: Final = {"tcp_uptime_s": SECONDS, "channel_uptime_s": SECONDS, "first": TIME, "last": TIME}


def _figures(places: Callable[[str], int]) -> list[Field]:
    return [(name, _KINDS.get(name, COUNT), places(name), None) for name in FIGURE_FIELDS]


def sortable(sorting: Sorting) -> bool:
    """Tell whether flows can be sorted so here."""
    return sorting.field in _FLOW_FIGURES or sorting.field == UNSORTED


class FlowWriter:
    """Writes lists of flows that share names and the way they are sorted."""

    def __init__(self, names: Names, sorting: Sorting, between: bytes) -> None:
        self._names = names
        self._sorting = sorting
        self._between = between
        servers = {number: endpoint_text(*service[:2]) for number, service in names.services.items()}
        protocols = {number: protocol_name(service[2]) for number, service in names.services.items()}
        self._servers, self._protocols = servers, protocols
        at = FlowRow._fields.index
        self._fields: Sequence[Field] = (
            ("client", WORD, at("client_id"), _encoded(names.clients)),
            ("client_port", COUNT, at("client_port"), None),
            ("server", WORD, at("service_id"), _encoded(servers)),
            ("protocol", WORD, at("service_id"), _encoded(protocols)),
            ("sensor", WORD, at("sensor_id"), _encoded(names.sensors)),
            ("flow_id", DIGITS, at("flow_id"), None),
            ("open", FLAG, at("open"), None),
            *_figures(_FLOW_FIGURES.__getitem__),
        )

    def lines(self, rows: list[FlowRow]) -> bytes:
        """Return flows, sorted, as JSON objects, ``between`` between them."""
        sorting = self._sorting
        if sorting.field != UNSORTED and len(rows) > 1:
            field = "first" if sorting.field == "last" else sorting.field  # as sorted_nodes does
            value = itemgetter(_FLOW_FIGURES[field])
            rows = in_order(rows, value, self._label, ascending=sorting.ascending)
        return objects(rows, self._fields, self._between)

    def _label(self, row: FlowRow) -> tuple[str, ...]:
        """Return what ties are broken by: that of the flow's node."""
        client_id, service_id, sensor_id, flow_id, client_port, is_open, *_ = row
        names = (self._names.clients[client_id], client_port, self._servers[service_id], self._protocols[service_id])
        return tuple(map(str, (*names, self._names.sensors[sensor_id], flow_id, bool(is_open))))


def bucket_lines(rows: Iterable[BucketRow], name: str) -> list[bytes]:
    """Return each period or minute as a JSON object without what is below."""
    fields = ((name, TIME, 0, None), ("clients", COUNT, 1, None), ("services", COUNT, 2, None), *_figures(_after(3)))
    return _one_by_one(((row.start_ns, row.clients, row.services, *row.figures) for row in rows), fields)


def ordered_buckets(rows: Iterable[BucketRow], sorting: Sorting) -> list[BucketRow]:
    """Return periods or minutes sorted by one of the fields that flows are sorted by."""
    place = _AT_FIGURES[sorting.field]
    return in_order(
        rows, lambda row: row.figures[place], lambda row: (iso_time(row.start_ns),), ascending=sorting.ascending
    )


def client_lines(rows: Iterable[ClientRow], between: bytes) -> bytes:
    """Return clients as JSON objects, in their order."""
    fields = (("client", WORD, 0, _Words(str)), ("services", COUNT, 1, None), *_figures(_after(2)))
    return objects(((row.client, row.services, *row.figures) for row in rows), fields, between)


def service_lines(rows: Iterable[ServiceRow], between: bytes) -> bytes:
    """Return services likewise."""
    fields = (
        ("server", WORD, 0, _Words(lambda service: endpoint_text(*service))),
        ("protocol", WORD, 1, _Words(protocol_name)),
        ("clients", COUNT, 2, None),
        *_figures(_after(3)),
    )
    flat = (((row.server, row.server_port), row.protocol, row.clients, *row.figures) for row in rows)
    return objects(flat, fields, between)


def _after(count: int) -> Callable[[str], int]:
    """Return where each figure is in a row that has so many values before them."""
    return lambda name: count + _AT_FIGURES[name]


def _one_by_one(rows: Iterable[tuple[Any, ...]], fields: Sequence[Field]) -> list[bytes]:
    text = objects(rows, fields, b"\n")
    return text.split(b"\n") if text else []


def _encoded(words: Mapping[int, str]) -> dict[int, bytes]:
    return {number: msgspec.json.encode(word) for number, word in words.items()}


class _Words(dict[Any, bytes]):
    """Values as JSON text, each made once."""

    def __init__(self, text: Callable[[Any], str]) -> None:
        super().__init__()
        self._text = text

    def __missing__(self, value: Any) -> bytes:
        word = self[value] = msgspec.json.encode(self._text(value))
        return word


class Below(NamedTuple):
    """What is below the lowest nodes, as JSON text by the names of those and the nodes above."""

    lines: Mapping[Hashable, Sequence[bytes]]
    key: Callable[[Mapping[str, Any]], Hashable]
    between: bytes


def with_lines(
    nodes: Iterable[Node], below: Below, above: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[dict[str, Any]]:
    """Yield nodes as the objects that the command line prints, with what is below them."""
    for node in nodes:
        names = {**above, **node.names}
        plain = {**node.names, **node.counts, **figures_record(node.figures)}
        if node.children:
            plain["children"] = list(with_lines(node.children, below, names))
        elif lines := below.lines.get(below.key(names)):
            plain["children"] = msgspec.Raw(b"[" + below.between.join(lines) + b"]")
        yield plain
