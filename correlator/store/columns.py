"""Flow records as rows of ``flow_records`` and columns of ``record_details``, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

from common.addresses import address_packed
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.columns import AT, Columns

# What of a record is a column of its own, beside what its numbers stand for. All else is in record_details.
_OWN: Final = (
    "flow_id", "part", "end_reason", "client_port", "flow_start_ns", "start_ns", "end_ns", "packets_out", "packets_in",
    "wire_bytes_out", "wire_bytes_in", "payload_bytes_out", "payload_bytes_in", "conn_state", "app_out", "app_in",
)  # fmt: skip
_NUMBERED: Final = {
    "protocol": "s.protocol",
    "client_ip": "c.client",
    "server_ip": "s.server",
    "server_port": "s.server_port",
    "host": "(SELECT h.host FROM hosts AS h WHERE h.host_id = t.host_id)",
}
# A host is there too when it is not spelled in lower case, as those in hosts are.
DETAILS: Final = (*(name for name in FlowRecord._fields if name not in _OWN and name not in _NUMBERED), "host")
COLUMNS: Final = ("record_id", "sensor_id", "client_id", "service_id", "host_id", "period_start_s", *_OWN)

# What is asked of flow_records AS t, clients AS c and services AS s for a whole record, beside its details.
PLAIN: Final = (*_NUMBERED, *_OWN)
RECORD_EXPRESSIONS: Final = (*_NUMBERED.values(), *(f"t.{name}" for name in _OWN))

_take_own: Final = itemgetter(*(AT[name] for name in _OWN))
_take_details: Final = itemgetter(*(AT[name] for name in DETAILS))
_in_record_order: Final = itemgetter(*map((*PLAIN, *DETAILS).index, FlowRecord._fields))
_HOST: Final = PLAIN.index("host")
_ADDRESSES: Final = tuple(PLAIN.index(name) for name in ("client_ip", "server_ip"))


def rows(
    first_id: int,
    sensor_id: int,
    ids: Sequence[Iterable[int | None]],
    period_s: int,
    columns: Columns,
) -> Iterator[tuple[Any, ...]]:
    """Return the rows of records in the order of COLUMNS; ``ids`` are of their clients, services and hosts."""
    own = _take_own(columns)
    count = len(own[0])
    length_ns = period_s * NS_PER_S
    periods = [start // length_ns * period_s for start in columns[AT["start_ns"]]]
    numbers = range(first_id, first_id + count)
    return zip(numbers, repeat(sensor_id, count), *ids, periods, *own, strict=True)


def details_of(columns: Columns) -> list[tuple[Any, ...] | None]:
    """Return the columns of DETAILS; None for one in which nothing is known."""
    *plain, hosts = _take_details(columns)
    return [
        None if column[0] is None and column.count(None) == len(column) else column
        for column in (*plain, _spelled(hosts))
    ]


def _spelled(hosts: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Return those hosts that are not in lower case."""
    together = "\n".join(host for host in hosts if host is not None)
    if together == together.lower():
        return (None,) * len(hosts)
    return tuple(None if host is None or host == host.lower() else host for host in hosts)


def record_of(row: Sequence[Any], details: Sequence[Any]) -> FlowRecord:
    """Return the record of a row that has RECORD_EXPRESSIONS, and the values of DETAILS."""
    plain = list(row)
    for index in _ADDRESSES:
        plain[index] = address_packed(plain[index])
    plain[_HOST] = details[-1] or plain[_HOST]
    return FlowRecord._make(_in_record_order((*plain, *details)))
