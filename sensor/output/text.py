"""Flow records as lines of text: ndjson, csv and Zeek's conn.log; pure, lines out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from common.addresses import address_text
from common.records import FlowRecord
from common.textrecords import FLOW_COLUMNS, flow_cells, flow_row, protocol_name

# Zeek's conn.log, the columns that this program fills (zeek base/protocols/conn/main.zeek).
_ZEEK_FIELDS = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"),
    ("id.resp_p", "port"), ("proto", "enum"), ("service", "string"), ("duration", "interval"),
    ("orig_bytes", "count"), ("resp_bytes", "count"), ("conn_state", "string"), ("missed_bytes", "count"),
    ("history", "string"), ("orig_pkts", "count"), ("orig_ip_bytes", "count"), ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
)  # fmt: skip
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class TextFormat:
    """One text format: what opens the file, each record's line, and what closes it."""

    def __init__(self, opening: str, line: Callable[[FlowRecord], str], closing: str = "") -> None:
        self.opening = opening
        self.closing = closing
        self._line = line

    def lines(self, rows: Iterable[Sequence[Any]]) -> str:
        """Return the text of record rows."""
        return "".join(self._line(FlowRecord._make(row)) for row in rows)


def ndjson_format(sensor: str) -> TextFormat:
    """One JSON object a line, with the record's own names."""
    return TextFormat("", lambda record: json.dumps(flow_row(record, sensor), separators=(",", ":")) + "\n")


def csv_format(sensor: str) -> TextFormat:
    """Comma separated values (RFC 4180) under a line of names."""

    def line(record: FlowRecord) -> str:
        return _csv_line(flow_cells(record, sensor))

    return TextFormat(_csv_line(FLOW_COLUMNS), line)


def zeek_format() -> TextFormat:
    """Zeek's tab-separated conn.log; one line a connection, so the flow table must not cut parts."""
    names, types = zip(*_ZEEK_FIELDS, strict=True)
    opening = (
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
        f"#fields\t{chr(9).join(names)}\n#types\t{chr(9).join(types)}\n"
    )
    return TextFormat(opening, _zeek_line, "#close\n")


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _zeek_line(record: FlowRecord) -> str:
    duration_ns = record.end_ns - record.flow_start_ns
    # Zeek leaves duration and bytes unset for a connection of a single packet.
    several = record.packets_out + record.packets_in > 1
    cells = (
        _zeek_seconds(record.flow_start_ns), "C" + _base62(record.flow_id),
        address_text(record.client_ip), record.client_port, address_text(record.server_ip), record.server_port,
        "icmp" if record.protocol == 58 else protocol_name(record.protocol), record.app_in or "-",
        _zeek_seconds(duration_ns) if several else "-",
        record.payload_bytes_out if several else "-", record.payload_bytes_in if several else "-",
        record.conn_state or "-", record.missed_bytes_out + record.missed_bytes_in, record.history or "-",
        record.packets_out, record.wire_bytes_out, record.packets_in, record.wire_bytes_in,
    )  # fmt: skip
    return "\t".join(map(str, cells)) + "\n"


def _zeek_seconds(time_ns: int) -> str:
    microseconds = (time_ns + 500) // 1000
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits or "0"
