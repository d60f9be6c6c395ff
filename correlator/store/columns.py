"""Flow records as rows of ``flow_records``, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final

import msgspec

from common.addresses import address_packed, address_text
from common.kinds import UINT63_MAX
from common.records import FlowRecord

# What a channel holds, a record's row does not repeat.
_IN_CHANNEL: Final = frozenset(("protocol", "client_ip", "server_ip", "server_port"))
# Shape, interaction and content are one JSON array of these fields, or NULL when nothing of them is known: binding
# a column costs as much as storing it. The view ``records`` has a column for each.
# Their order is the database's and stays for ever: new ones come last, and are NULL in rows without them.
DETAILS: Final = (
    "data_packets_out", "data_packets_in", "payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in",
    "max_idle_ns", "keystroke_packets", "keystroke_pairs", "keystroke_typed_pairs", "echoes", "exchanges",
    "exchange_gaps", "exchange_gap_mean_s", "exchange_gap_m2_s2", "exchange_gap_min_ns", "exchange_gap_max_ns",
    "splt", "first_popcount", "first_printable", "first_printable_run", "first_entropy", "facts", "anomalies",
)  # fmt: skip
_PLAIN: Final = tuple(name for name in FlowRecord._fields if name not in DETAILS)
_OWN: Final = tuple(name for name in _PLAIN if name not in _IN_CHANNEL)
COLUMNS: Final = ("sensor", "channel_id", *_OWN, "details")

# What is asked of flow_records AS t and channels AS c for a whole record.
_CHANNEL_EXPRESSIONS: Final = {
    "protocol": "c.protocol",
    "client_ip": "c.client",
    "server_ip": "c.server",
    "server_port": "c.server_port",
}
RECORD_EXPRESSIONS: Final = (*(_CHANNEL_EXPRESSIONS.get(name, f"t.{name}") for name in _PLAIN), "t.details")

_take_own: Final = itemgetter(*map(FlowRecord._fields.index, _OWN))
_take_details: Final = itemgetter(*map(FlowRecord._fields.index, DETAILS))
_in_record_order: Final = itemgetter(*map((*_PLAIN, *DETAILS).index, FlowRecord._fields))
_NO_DETAILS: Final = (None,) * len(DETAILS)
_ADDRESS_AT: Final = (_PLAIN.index("client_ip"), _PLAIN.index("server_ip"))
_LISTS: Final = frozenset(("payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in", "splt", "anomalies"))
_LISTS_AT: Final = tuple(place for place, name in enumerate(DETAILS) if name in _LISTS)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[Any]).decode

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


def row_of(sensor: str, channel: int, record: FlowRecord) -> tuple[Any, ...]:
    """Return a record's row in the order of COLUMNS."""
    details = _take_details(record)
    return sensor, channel, *_take_own(record), None if details == _NO_DETAILS else _encode(details).decode()


def record_of(row: Sequence[Any]) -> FlowRecord:
    """Return the record of a row that has RECORD_EXPRESSIONS."""
    *plain, written = row
    for index in _ADDRESS_AT:
        plain[index] = address_packed(plain[index])
    if written is None:
        return FlowRecord._make(_in_record_order((*plain, *_NO_DETAILS)))
    details = _decode(written)
    for index in _LISTS_AT:
        if details[index] is not None:
            details[index] = _tuples(details[index])
    return FlowRecord._make(_in_record_order((*plain, *details, *_NO_DETAILS[len(details) :])))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
