"""Flow records as lines of text: ndjson, csv and Zeek's conn.log; lines out, and no file."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from common.addresses import address_text
from common.records import FlowRecord, HttpExchange
from common.textrecords import FLOW_COLUMNS, exchange_row, flow_cells, flow_row

COMMUNITY_ID = "community_id"
# Zeek's conn.log as its base scripts write it (zeek base/protocols/conn/main.zeek).
_ZEEK_FIELDS = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"),
    ("id.resp_p", "port"), ("proto", "enum"), ("service", "string"), ("duration", "interval"),
    ("orig_bytes", "count"), ("resp_bytes", "count"), ("conn_state", "string"), ("local_orig", "bool"),
    ("local_resp", "bool"), ("missed_bytes", "count"), ("history", "string"), ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"), ("resp_pkts", "count"), ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"), ("ip_proto", "count"),
)  # fmt: skip
_ZEEK_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Extra = Callable[[FlowRecord], str]
"""What a format puts into the last column, ``community_id``."""


class TextFormat:
    """One text format: what opens the file, each record's line, and what closes it."""

    def __init__(
        self, opening: str, line: Callable[[FlowRecord], str], closing: Callable[[], str] = lambda: ""
    ) -> None:
        self.opening = opening
        self.closing = closing
        self._line = line

    def lines(self, rows: Iterable[Sequence[Any]]) -> str:
        """Return the text of record rows."""
        return "".join(self._line(FlowRecord._make(row)) for row in rows)


def ndjson_format(sensor: str, extra: Extra | None = None) -> TextFormat:
    """One JSON object a line, with the record's own names."""

    def line(record: FlowRecord) -> str:
        row = flow_row(record, sensor)
        if extra:
            row[COMMUNITY_ID] = extra(record)
        return json.dumps(row, separators=(",", ":")) + "\n"

    return TextFormat("", line)


def exchange_lines(exchanges: Iterable[HttpExchange], sensor: str) -> str:
    """Return HTTP exchanges as one JSON object a line."""
    return "".join(json.dumps(exchange_row(one, sensor), separators=(",", ":")) + "\n" for one in exchanges)


def csv_format(sensor: str, extra: Extra | None = None) -> TextFormat:
    """Comma separated values (RFC 4180) under a line of names."""

    def line(record: FlowRecord) -> str:
        cells = flow_cells(record, sensor)
        return _csv_line([*cells, extra(record)] if extra else cells)

    return TextFormat(_csv_line([*FLOW_COLUMNS, COMMUNITY_ID] if extra else FLOW_COLUMNS), line)


def zeek_format(now_ns: Callable[[], int], home: Sequence[str] = (), extra: Extra | None = None) -> TextFormat:
    """Zeek's tab-separated conn.log; one line a connection, so the flow table must not cut parts.

    ``now_ns`` is asked when the log is opened and closed, ``home`` are the networks called local.
    """
    fields = (*_ZEEK_FIELDS, (COMMUNITY_ID, "string")) if extra else _ZEEK_FIELDS
    names, types = zip(*fields, strict=True)
    opening = (
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
        f"#open\t{_zeek_stamp(now_ns())}\n"
        f"#fields\t{chr(9).join(names)}\n#types\t{chr(9).join(types)}\n"
    )
    is_local = _local_test(home)

    def line(record: FlowRecord) -> str:
        cells = _zeek_cells(record, is_local)
        if extra:
            cells = (*cells, extra(record))
        return "\t".join(map(str, cells)) + "\n"

    return TextFormat(opening, line, lambda: f"#close\t{_zeek_stamp(now_ns())}\n")


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _zeek_cells(record: FlowRecord, is_local: Callable[[bytes], str]) -> tuple[Any, ...]:
    # Zeek's duration leaves out what follows when both sides have closed, and its bytes are those that were
    # sent, whether seen or missed. It leaves all of them unset for a connection without a duration.
    duration_ns = (record.closed_ns or record.end_ns) - record.flow_start_ns
    lasted = duration_ns > 0
    return (
        _zeek_seconds(record.flow_start_ns), "C" + _base62(record.flow_id),
        address_text(record.client_ip), record.client_port, address_text(record.server_ip), record.server_port,
        _ZEEK_PROTOCOLS.get(record.protocol, "unknown_transport"), _zeek_service(record),
        _zeek_seconds(duration_ns) if lasted else "-",
        record.payload_bytes_out + record.missed_bytes_out if lasted else "-",
        record.payload_bytes_in + record.missed_bytes_in if lasted else "-",
        _zeek_text(record.conn_state), is_local(record.client_ip), is_local(record.server_ip),
        record.missed_bytes_out + record.missed_bytes_in, _zeek_text(record.history),
        record.packets_out, record.wire_bytes_out, record.packets_in, record.wire_bytes_in, "-", record.protocol,
    )  # fmt: skip


def _local_test(home: Sequence[str]) -> Callable[[bytes], str]:
    """Return what says T or F of an address; nothing is known without home networks."""
    networks = [ip_network(text, strict=False) for text in home]

    @lru_cache(maxsize=65536)
    def is_local(packed: bytes) -> str:
        address = ip_address(packed)
        return "T" if any(address in network for network in networks) else "F"

    return is_local if networks else lambda _: "-"


def _zeek_service(record: FlowRecord) -> str:
    """Return what was spoken, as Zeek lists several protocols."""
    spoken = [name for name in (record.app_out, record.app_in) if name]
    return _zeek_text(",".join(dict.fromkeys(spoken)))


def _zeek_text(text: str | None) -> str:
    """Return text that is not taken for one of Zeek's own marks, nor for an escape."""
    if not text:
        return "-"
    escaped = text.replace("\\", "\\\\")
    return f"\\x{ord(text[0]):02x}{escaped[1:]}" if text in ("-", "(empty)") else escaped


def _zeek_stamp(time_ns: int) -> str:
    """Return local time, as Zeek's own writer does."""
    return time.strftime("%Y-%m-%d-%H-%M-%S", time.localtime(time_ns // 1_000_000_000))


def _zeek_seconds(time_ns: int) -> str:
    microseconds = (time_ns + 500) // 1000
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits or "0"
