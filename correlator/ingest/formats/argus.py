"""Argus' flows as its client ``ra`` prints them (``binetflow`` files), as flow records.

https://openargus.org/argus-man-pages, ra(1): a line names the columns, commas or tabs part them.  Argus counts
the link layer's bytes, so a header of Ethernet is taken off every packet.  What its columns do not tell is estimated:
payload from IP bytes and packets, packets of each direction from those of both.  Times without a zone are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from common.addresses import address_packed
from common.errors import WireError
from common.records import FlowRecord, RecordReader
from common.timespan import parse_time, seconds_to_ns
from correlator.ingest.formats.cells import TCP, count, payload_estimate, protocol_of, row_of
from correlator.ingest.formats.lines import BadLine, LeftOut, Line, Row, flow_id_of
from correlator.ingest.formats.textrows import csv_cells
from correlator.ingest.receiver import check_plausible

REQUIRED_COLUMNS: Final = ("StartTime", "Proto", "SrcAddr", "DstAddr", "TotPkts", "TotBytes", "SrcBytes")
_ETHERNET_BYTES: Final = 14
_IDLE, _END_OF_FLOW = 1, 3
_NOT_IP: Final = frozenset(("arp", "rarp", "man", "llc", "loop", "ether", "lldp", "stp", "isis", "ipx/spx", "decnet"))
_FLAGS: Final = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "C": 0x80}
_SYN, _RST, _FIN = 0x02, 0x04, 0x01
_READER: Final = RecordReader(FlowRecord, FlowRecord._fields)


class _Side(NamedTuple):
    address: bytes
    port: int
    packets: int
    ip_bytes: int
    payload_bytes: int
    flags: int


def columns_of(line: str) -> list[str] | None:
    """Return the columns' names when a line names those of Argus."""
    names = _cells(line)
    return names if set(REQUIRED_COLUMNS) <= set(names) else None


def read_argus(lines: Iterable[Line | BadLine]) -> Iterator[Row | BadLine | LeftOut]:
    """Yield a record per line after the one that names the columns; what is no IP is left out."""
    names: list[str] | None = None
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            if names is None:
                names = columns_of(line.text)
                continue
            row = row_of("argus", names, _cells(line.text))
            if row["Proto"].lower() in _NOT_IP:
                yield LeftOut(line.number, row["Proto"].lower())
                continue
            yield Row(None, _record(row, line))
        except WireError as error:
            yield BadLine(line.number, str(error))


def _cells(text: str) -> list[str]:
    cells = text.split("\t") if "\t" in text else csv_cells(text)
    return [cell.strip() for cell in cells]


def _record(row: Mapping[str, str], line: Line) -> FlowRecord:
    try:
        record = _converted(row, line)
    except (ValueError, OverflowError) as error:
        raise WireError("argus", str(error)[:200]) from None
    checked = _READER.read(record)
    check_plausible(checked)
    return checked


def _converted(row: Mapping[str, str], line: Line) -> FlowRecord:
    start_ns = _time_ns(row["StartTime"])
    end_ns = start_ns + seconds_to_ns(row.get("Dur") or "0")
    protocol = protocol_of(row["Proto"])
    source, destination = _sides(row, protocol)
    # <- says that the destination began; a sign between (<?, <|) tells how sure that is or how it ended.
    arrow = row.get("Dir", "")
    backwards = arrow.startswith("<") and not arrow.endswith(">")
    client, server = (destination, source) if backwards else (source, destination)
    state = row.get("State", "")
    return FlowRecord(
        flow_id=flow_id_of(line.text, line.number),
        part=0,
        end_reason=_END_OF_FLOW if (client.flags | server.flags) & (_FIN | _RST) or state in ("FIN", "RST") else _IDLE,
        protocol=protocol,
        vlan=None,
        client_ip=client.address,
        client_port=client.port,
        server_ip=server.address,
        server_port=server.port,
        oriented_by=0,
        flow_start_ns=start_ns,
        start_ns=start_ns,
        end_ns=end_ns,
        packets_out=client.packets,
        packets_in=server.packets,
        wire_bytes_out=client.ip_bytes,
        wire_bytes_in=server.ip_bytes,
        payload_bytes_out=client.payload_bytes,
        payload_bytes_in=server.payload_bytes,
        tcp_flags_out=client.flags,
        tcp_flags_in=server.flags,
        conn_state=_conn_state(state, client, server) if protocol == TCP else None,
    )


def _sides(row: Mapping[str, str], protocol: int) -> tuple[_Side, _Side]:
    packets, total_bytes, source_bytes = count(row["TotPkts"]), count(row["TotBytes"]), count(row["SrcBytes"])
    if source_bytes > total_bytes:
        raise ValueError(f"SrcBytes is {source_bytes}, TotBytes only {total_bytes}")
    if row.get("SrcPkts"):
        source_packets = count(row["SrcPkts"])
    else:
        source_packets = packets if source_bytes == total_bytes else packets - packets // 2 if source_bytes else 0
    if source_packets > packets:
        raise ValueError(f"SrcPkts is {source_packets}, TotPkts only {packets}")
    source_flags, _, destination_flags = row.get("State", "").partition("_")
    has_flags = protocol == TCP and "_" in row.get("State", "")
    return (
        _side(row, "S", protocol, source_packets, source_bytes, source_flags if has_flags else ""),
        _side(row, "D", protocol, packets - source_packets, total_bytes - source_bytes,
              destination_flags if has_flags else ""),
    )  # fmt: skip


def _side(row: Mapping[str, str], which: str, protocol: int, packets: int, frame_bytes: int, flags: str) -> _Side:
    address = address_packed(row["SrcAddr" if which == "S" else "DstAddr"])
    ip_bytes = max(0, frame_bytes - packets * _ETHERNET_BYTES)
    told = [count(row.get(f"{side}AppBytes")) for side in (which, "D" if which == "S" else "S")]
    # Argus writes 0 for both sides when it was not told to count them (argus -A).
    payload_bytes = told[0] if any(told) else payload_estimate(ip_bytes, packets, protocol, address)
    union = 0
    for letter in flags:
        union |= _FLAGS.get(letter, 0)
    return _Side(address, _port(row.get(f"{which}port", "")), packets, ip_bytes, payload_bytes, union)


def _port(cell: str) -> int:
    """Return a port; Argus writes ICMP's type and code in hexadecimal, and names unless told not to (``ra -n``)."""
    if cell.lower().startswith("0x") and len(cell) <= 6:
        return int(cell, 16)
    try:
        return count(cell)
    except ValueError:
        raise ValueError(f"not a port: {cell!r:.40}; write numbers with ra -n") from None


def _conn_state(state: str, client: _Side, server: _Side) -> str | None:
    """Return Zeek's word for Argus' flags of both sides (``S_RA``), or for its own word; None where it has none."""
    if "_" not in state:
        return {"REQ": "S0", "FIN": "SF"}.get(state)
    if not client.flags & _SYN or not server.flags & _SYN:
        return _unopened_state(client.flags, server.flags)
    if (client.flags | server.flags) & _RST:
        return "RSTO" if client.flags & _RST else "RSTR"
    closed = (bool(client.flags & _FIN), bool(server.flags & _FIN))
    return {(True, True): "SF", (True, False): "S2", (False, True): "S3", (False, False): "S1"}[closed]


def _unopened_state(client_flags: int, server_flags: int) -> str:
    if not client_flags & _SYN:
        return "OTH"
    if not server_flags:
        return "S0"
    return "REJ" if server_flags & _RST else "OTH"


def _time_ns(cell: str) -> int:
    """Return a time: ``2018/09/27 22:40:52.362768``, ISO 8601 or epoch seconds."""
    return parse_time(cell.replace("/", "-").replace(" ", "T", 1))
