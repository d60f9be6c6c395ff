"""Flow records as text rows: the names and values of ndjson and csv, both ways.

The sensor writes them, ``tunnelwatch flows`` prints them and ``tunnelwatch import`` reads them, so an
export can be imported again.  Addresses, protocols, reasons and orientations are words; ``flow_id`` is
text, because JSON readers that keep numbers as doubles would round it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from common.addresses import address_packed, address_text
from common.errors import WireError
from common.records import END_REASONS, ORIENTATIONS, PROTOCOLS, FlowRecord, HttpExchange, RecordReader, check_flow

# One column that a record does not have itself: which sensor it came from.
FLOW_COLUMNS: Final[tuple[str, ...]] = ("sensor", *FlowRecord._fields)
EXCHANGE_COLUMNS: Final[tuple[str, ...]] = ("sensor", *HttpExchange._fields)
REQUIRED_COLUMNS: Final[tuple[str, ...]] = ("client_ip", "server_ip", "start_ns", "end_ns")

_REASON_CODES = {name: code for code, name in END_REASONS.items()}
_ORIENTATION_CODES = {name: code for code, name in ORIENTATIONS.items()}
_PROTOCOL_CODES = {name: code for code, name in PROTOCOLS.items()}
_NESTED = frozenset(("payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in", "splt", "facts", "anomalies"))
_FLOATS = frozenset(("exchange_gap_mean_s", "exchange_gap_m2_s2", "first_popcount", "first_printable", "first_entropy"))
_TEXTS = frozenset(("conn_state", "history", "app_out", "app_in", "host"))
_END_REASON_AT = FlowRecord._fields.index("end_reason")
# Longer ones are no 63-bit numbers, and Python takes quadratic time over them.
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_READER = RecordReader(FlowRecord, FlowRecord._fields)


def protocol_name(protocol: int) -> str:
    """Return ``tcp``, ``udp``, ... or the number in text."""
    return PROTOCOLS.get(protocol) or str(protocol)


def protocol_number(name: str) -> int:
    """Return the protocol of a name or a number in text; ValueError for anything else."""
    lowered = name.lower()
    if lowered in _PROTOCOL_CODES:
        return _PROTOCOL_CODES[lowered]
    if lowered.isascii() and lowered.isdigit() and int(lowered) <= 255:
        return int(lowered)
    raise ValueError(f"not a protocol: {name!r}; write tcp, udp, icmp, icmp6 or a number up to 255")


def flow_row(record: FlowRecord, sensor: str) -> dict[str, Any]:
    """Return the JSON-able row of a record, keys in the order of FLOW_COLUMNS."""
    row: dict[str, Any] = {"sensor": sensor, **record._asdict()}
    row["flow_id"] = str(record.flow_id)
    row["end_reason"] = None if record.end_reason is None else END_REASONS[record.end_reason]
    row["protocol"] = protocol_name(record.protocol)
    row["client_ip"] = address_text(record.client_ip)
    row["server_ip"] = address_text(record.server_ip)
    row["oriented_by"] = ORIENTATIONS[record.oriented_by]
    return row


def exchange_row(record: HttpExchange, sensor: str) -> dict[str, Any]:
    """Return the JSON-able row of an HTTP exchange, keys in the order of EXCHANGE_COLUMNS."""
    row: dict[str, Any] = {"sensor": sensor, **record._asdict()}
    row["flow_id"] = str(record.flow_id)
    row["client_ip"] = address_text(record.client_ip)
    row["server_ip"] = address_text(record.server_ip)
    return row


def flow_cells(record: FlowRecord, sensor: str) -> list[str]:
    """Return the csv cells of a record in the order of FLOW_COLUMNS; nothing is an empty cell."""
    return [_cell(value) for value in flow_row(record, sensor).values()]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple | list | dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def flow_from_row(row: Mapping[str, Any], default_flow_id: int) -> FlowRecord:
    """Return the record of a text row (JSON values or csv cells); WireError says what is wrong.

    Only REQUIRED_COLUMNS must be there; an unknown column is ignored.  A row without ``part`` and
    ``end_reason`` is a whole flow that has ended.
    """
    missing = [name for name in REQUIRED_COLUMNS if row.get(name) in (None, "")]
    if missing:
        raise WireError("record_value", f"no {', '.join(missing)}")
    values = dict(_DEFAULTS)
    values["flow_id"] = default_flow_id
    values["flow_start_ns"] = row["start_ns"]
    for name, value in row.items():
        if name in _CONVERTERS and value not in (None, ""):
            values[name] = value
    try:
        converted = tuple(None if value is None else _CONVERTERS[name](value) for name, value in values.items())
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError("record_value", str(error)[:200]) from None
    if "end_reason" not in row:
        converted = (*converted[:_END_REASON_AT], _REASON_CODES["end_of_flow"], *converted[_END_REASON_AT + 1 :])
    record = _READER.read(converted)
    check_flow(record)
    return record


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise ValueError(f"not a whole number: {value!r:.40}")


def _number(value: Any) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"not a number: {value!r:.40}")


def _word(codes: Mapping[str, int]) -> Callable[[Any], int]:
    def to_code(value: Any) -> int:
        if isinstance(value, str) and value in codes:
            return codes[value]
        raise ValueError(f"{value!r:.40} is none of {', '.join(codes)}")

    return to_code


def _nested(value: Any) -> Any:
    parsed = json.loads(value) if isinstance(value, str) else value
    return _tuples(parsed) if isinstance(parsed, list) else parsed


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"not text: {value!r:.40}")


def _converter(name: str) -> Callable[[Any], Any]:
    special: dict[str, Callable[[Any], Any]] = {
        "client_ip": lambda value: address_packed(_text(value)),
        "server_ip": lambda value: address_packed(_text(value)),
        "protocol": lambda value: protocol_number(str(value)),
        "end_reason": _word(_REASON_CODES),
        "oriented_by": _word(_ORIENTATION_CODES),
    }
    if name in special:
        return special[name]
    if name in _NESTED:
        return _nested
    if name in _FLOATS:
        return _number
    return _text if name in _TEXTS else _whole


_CONVERTERS: Final = {name: _converter(name) for name in FlowRecord._fields}
_DEFAULTS: Final[dict[str, Any]] = {
    **dict.fromkeys(FlowRecord._fields),
    **FlowRecord._field_defaults,
    "part": 0,
    "protocol": "tcp",
    "client_port": 0,
    "server_port": 0,
    "oriented_by": "given",
}
