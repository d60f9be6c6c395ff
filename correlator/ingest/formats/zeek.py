"""Zeek's conn.log, tab-separated with its ``#fields`` line or JSON, as flow records.

https://docs.zeek.org/en/master/logs/conn.html: orig is the client, resp the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from common.addresses import address_packed
from common.errors import WireError
from common.records import FlowRecord, RecordReader
from common.textrecords import protocol_number
from common.timespan import NS_PER_S, parse_time, seconds_to_ns
from correlator.ingest.formats.cells import count
from correlator.ingest.formats.lines import BadLine, Line, Row, flow_id_of
from correlator.ingest.formats.textrows import parse_json
from correlator.ingest.receiver import check_plausible

REQUIRED_FIELDS: Final = ("ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto")
_ENDED: Final = frozenset(("SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR"))
_IDLE, _END_OF_FLOW = 1, 3
_ICMP, _ICMP6, _UNKNOWN = 1, 58, 255
_MAX_EXPONENT: Final = 18
_READER: Final = RecordReader(FlowRecord, FlowRecord._fields)


def read_tsv(lines: Iterable[Line | BadLine]) -> Iterator[Row | BadLine]:
    """Yield a record per line; ``#`` lines name the fields, in any order and as often as they like."""
    layout = _Layout()
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            if line.text.startswith("#"):
                layout.learn(line.text)
            else:
                yield Row(None, _record(layout.values(line.text), line))
        except WireError as error:
            yield BadLine(line.number, str(error))


def read_json(lines: Iterable[Line | BadLine]) -> Iterator[Row | BadLine]:
    """Yield a record per line of JSON."""
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            yield Row(None, _record(parse_json(line.text), line))
        except WireError as error:
            yield BadLine(line.number, str(error))


class _Layout:
    """What the ``#`` lines of a log said so far."""

    def __init__(self) -> None:
        self._separator = "\t"
        self._unset = "-"
        self._empty = "(empty)"
        self._fields: Sequence[str] = ()

    def learn(self, text: str) -> None:
        """Take a ``#`` line; those of no interest pass."""
        if text.startswith("#separator "):
            self._separator = _unescaped(text.removeprefix("#separator "))
            return
        key, _, rest = text.partition(self._separator)
        if key == "#fields":
            self._fields = rest.split(self._separator)
            missing = [name for name in REQUIRED_FIELDS if name not in self._fields]
            if missing:
                raise WireError("zeek", f"#fields names no {', '.join(missing)}: not a conn.log")
        elif key == "#unset_field":
            self._unset = rest
        elif key == "#empty_field":
            self._empty = rest

    def values(self, text: str) -> dict[str, str]:
        """Return the fields of a line that are set."""
        cells = text.split(self._separator)
        if len(cells) != len(self._fields):
            raise WireError("zeek", f"{len(cells)} values, #fields names {len(self._fields)}")
        return {
            name: cell
            for name, cell in zip(self._fields, cells, strict=True)
            if cell not in (self._unset, self._empty, "")
        }


def _unescaped(text: str) -> str:
    r"""Return the separator that Zeek writes as ``\x09``."""
    text = text.strip()
    if text.startswith("\\x"):
        try:
            return chr(int(text[2:4], 16))
        except ValueError:
            raise WireError("zeek", f"#separator is {text!r:.40}") from None
    return text or "\t"


def _record(row: Mapping[str, Any], line: Line) -> FlowRecord:
    missing = [name for name in REQUIRED_FIELDS if row.get(name) in (None, "")]
    if missing:
        raise WireError("zeek", f"no {', '.join(missing)}")
    try:
        record = _converted(row, line)
    except (ValueError, TypeError, OverflowError) as error:
        raise WireError("zeek", str(error)[:200]) from None
    checked = _READER.read(record)
    check_plausible(checked)
    return checked


def _converted(row: Mapping[str, Any], line: Line) -> FlowRecord:
    start_ns = _time_ns(row["ts"])
    client, server = str(row["id.orig_h"]), str(row["id.resp_h"])
    state = row.get("conn_state")
    service = row.get("service")
    uid = row.get("uid")
    return FlowRecord(
        flow_id=(
            flow_id_of(uid, row["ts"], client, row["id.orig_p"], server, row["id.resp_p"])
            if uid
            else flow_id_of(line.text, line.number)
        ),
        part=0,
        end_reason=_END_OF_FLOW if state in _ENDED else _IDLE,
        protocol=_protocol(row, client),
        vlan=_optional_count(row.get("vlan")),
        client_ip=address_packed(client),
        client_port=count(row["id.orig_p"]),
        server_ip=address_packed(server),
        server_port=count(row["id.resp_p"]),
        oriented_by=0,
        flow_start_ns=start_ns,
        start_ns=start_ns,
        end_ns=start_ns + _duration_ns(row.get("duration")),
        packets_out=count(row.get("orig_pkts")),
        packets_in=count(row.get("resp_pkts")),
        wire_bytes_out=count(row.get("orig_ip_bytes")),
        wire_bytes_in=count(row.get("resp_ip_bytes")),
        payload_bytes_out=count(row.get("orig_bytes")),
        payload_bytes_in=count(row.get("resp_bytes")),
        missed_bytes_out=count(row.get("missed_bytes")),
        conn_state=_text(state),
        history=_text(row.get("history")),
        app_out=_text(service),
        app_in=_text(service),
    )


def _protocol(row: Mapping[str, Any], client: str) -> int:
    if row.get("ip_proto") not in (None, ""):
        return count(row["ip_proto"])
    name = str(row["proto"])
    if name == "unknown_transport":
        return _UNKNOWN
    number = protocol_number(name)
    return _ICMP6 if number == _ICMP and ":" in client else number


def _time_ns(value: Any) -> int:
    text = str(value)
    return parse_time(text) if "T" in text else _decimal_ns(text)


def _duration_ns(value: Any) -> int:
    if value in (None, ""):
        return 0
    duration_ns = _decimal_ns(str(value))
    if duration_ns < 0:
        raise ValueError(f"duration is {value!r:.40}")
    return duration_ns


def _decimal_ns(text: str) -> int:
    """Return nanoseconds of seconds in text; JSON may write small ones as ``3.1e-05``."""
    if "e" not in text.lower():
        return seconds_to_ns(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number of seconds: {text!r:.40}") from None
    if not value.is_finite() or value.adjusted() > _MAX_EXPONENT:
        raise ValueError(f"not a number of seconds: {text!r:.40}")
    return int(value * NS_PER_S)


def _optional_count(value: Any) -> int | None:
    return None if value in (None, "") else count(value)


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
