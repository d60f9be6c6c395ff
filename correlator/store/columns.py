"""Flow records as rows of ``flow_records``, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from common.addresses import address_packed, address_text
from common.records import UINT63_MAX, FlowRecord

# What a channel holds, a record's row does not repeat.
_IN_CHANNEL: Final = frozenset(("protocol", "client_ip", "server_ip", "server_port"))
_JSON: Final = frozenset(("payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in", "splt", "facts", "anomalies"))
OWN_FIELDS: Final = tuple(name for name in FlowRecord._fields if name not in _IN_CHANNEL)
COLUMNS: Final = ("sensor", "channel_id", *OWN_FIELDS)

# Binding a column costs as much as storing it, so records that end here, with nothing known of shape and
# content, are written with fewer.
_SHAPE_AT: Final = FlowRecord._fields.index("data_packets_out")
_NO_SHAPE: Final = (None,) * (len(FlowRecord._fields) - _SHAPE_AT)
SHORT_COLUMNS: Final = COLUMNS[: COLUMNS.index("data_packets_out")]

_VOLUME_AT: Final = FlowRecord._fields.index("oriented_by")
_JSON_AT: Final = tuple(index - _VOLUME_AT for index, name in enumerate(FlowRecord._fields) if name in _JSON)

# A record's fields in its own order, from flow_records AS t and channels AS c.
_CHANNEL_EXPRESSIONS: Final = {
    "protocol": "c.protocol",
    "client_ip": "c.client",
    "server_ip": "c.server",
    "server_port": "c.server_port",
}
RECORD_EXPRESSIONS: Final = tuple(_CHANNEL_EXPRESSIONS.get(name, f"t.{name}") for name in FlowRecord._fields)
_ADDRESS_AT: Final = (FlowRecord._fields.index("client_ip"), FlowRecord._fields.index("server_ip"))
_JSON_IN_RECORD_AT: Final = tuple(index for index, name in enumerate(FlowRecord._fields) if name in _JSON)

ChannelKey = tuple[int, bytes, bytes, int]


def channel_key(record: FlowRecord) -> ChannelKey:
    """Return what makes two records belong to one channel."""
    return record.protocol, record.client_ip, record.server_ip, record.server_port


@lru_cache(maxsize=131072)
def channel_id(key: ChannelKey) -> int:
    """Return the 63-bit hash that names a channel in every store."""
    protocol, client, server, port = key
    text = f"{protocol}|{address_text(client)}|{address_text(server)}|{port}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") & UINT63_MAX


def has_shape(record: FlowRecord) -> bool:
    """Tell whether a record needs more than SHORT_COLUMNS."""
    return record[_SHAPE_AT:] != _NO_SHAPE


def short_row_of(sensor: str, channel: int, record: FlowRecord) -> tuple[Any, ...]:
    """Return the row of a record without shape in the order of SHORT_COLUMNS."""
    return (
        sensor,
        channel,
        record.flow_id,
        record.part,
        record.end_reason,
        record.vlan,
        record.client_port,
        *record[_VOLUME_AT:_SHAPE_AT],
    )


def row_of(sensor: str, channel: int, record: FlowRecord) -> tuple[Any, ...]:
    """Return a record's row in the order of COLUMNS."""
    rest: list[Any] = list(record[_VOLUME_AT:])
    for index in _JSON_AT:
        if rest[index] is not None:
            rest[index] = msgspec.json.encode(rest[index]).decode()
    return (sensor, channel, record.flow_id, record.part, record.end_reason, record.vlan, record.client_port, *rest)


def record_of(row: Sequence[Any]) -> FlowRecord:
    """Return the record of a row that has RECORD_EXPRESSIONS."""
    values = list(row)
    for index in _ADDRESS_AT:
        values[index] = address_packed(values[index])
    for index in _JSON_IN_RECORD_AT:
        if values[index] is not None:
            values[index] = _tuples(msgspec.json.decode(values[index]))
    return FlowRecord._make(values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
