"""nfdump's flows as ``nfdump -o csv`` prints them, as flow records.

nfdump(1), of 1.6 and 1.7: ``ts,te,td,sa,da,...`` names the columns; ``-B`` puts both directions of a connection into
one line (``ipkt``, ``ibyt`` there, ``opkt``, ``obyt`` back), without it every direction is a flow of its own.  Times
have whole seconds here and no zone (nfdump writes local time; ``TZ=UTC nfdump`` writes UTC).  Payload is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from common.addresses import address_packed
from common.errors import WireError
from common.records import FlowRecord, RecordReader
from common.timespan import parse_time, seconds_to_ns
from correlator.ingest.formats.cells import ICMP, ICMP6, TCP, count, payload_estimate, protocol_of, row_of
from correlator.ingest.formats.lines import BadLine, Line, Row, flow_id_of
from correlator.ingest.formats.textrows import csv_cells
from correlator.ingest.receiver import check_plausible

BINARY_MAGIC: Final = (b"\x0c\xa5", b"\xa5\x0c")
REQUIRED_COLUMNS: Final = ("ts", "td", "sa", "da", "sp", "dp", "pr", "ipkt", "ibyt", "opkt", "obyt")
_SUMMARY: Final = "Summary"
_IDLE, _END_OF_FLOW = 1, 3
_BY_PORT: Final = 4
_FLAG_LETTERS: Final = "CEUAPRSF"  # a column each, "." where it was not seen
_SYN, _RST, _FIN, _ACK = 0x02, 0x04, 0x01, 0x10
_READER: Final = RecordReader(FlowRecord, FlowRecord._fields)


def columns_of(line: str) -> list[str] | None:
    """Return the columns' names when a line names those of nfdump."""
    names = csv_cells(line)
    return names if set(REQUIRED_COLUMNS) <= set(names) else None


def read_nfdump(lines: Iterable[Line | BadLine]) -> Iterator[Row | BadLine]:
    """Yield a record per line after the one that names the columns, up to nfdump's own summary."""
    names: list[str] | None = None
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        if line.text == _SUMMARY:
            return
        try:
            if names is None:
                names = columns_of(line.text)
                continue
            yield Row(None, _record(row_of("nfdump", names, csv_cells(line.text)), line))
        except WireError as error:
            yield BadLine(line.number, str(error))


def _record(row: Mapping[str, str], line: Line) -> FlowRecord:
    try:
        record = _converted(row, line)
    except (ValueError, OverflowError) as error:
        raise WireError("nfdump", str(error)[:200]) from None
    checked = _READER.read(record)
    check_plausible(checked)
    return checked


def _converted(row: Mapping[str, str], line: Line) -> FlowRecord:
    protocol = protocol_of(row["pr"].strip())
    start_ns = parse_time(row["ts"].strip().replace(" ", "T", 1))
    flags = _flags(row.get("flg", ""))
    source, destination = (address_packed(row["sa"].strip()), address_packed(row["da"].strip()))
    source_port, destination_port = _ports(row, protocol)
    there = (count(row["ipkt"]), count(row["ibyt"]))
    back = (count(row["opkt"]), count(row["obyt"]))
    only_syn = flags & (_SYN | _ACK) == _SYN
    # Without the handshake's order the lower port is the server's.
    if source_port < destination_port and not only_syn and protocol not in (ICMP, ICMP6):
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
        there, back = back, there
    return FlowRecord(
        flow_id=flow_id_of(line.text, line.number),
        part=0,
        end_reason=_END_OF_FLOW if flags & (_FIN | _RST) else _IDLE,
        protocol=protocol,
        vlan=None,
        client_ip=source,
        client_port=source_port,
        server_ip=destination,
        server_port=destination_port,
        oriented_by=_BY_PORT,
        flow_start_ns=start_ns,
        start_ns=start_ns,
        end_ns=start_ns + seconds_to_ns(row["td"].strip()),
        packets_out=there[0],
        packets_in=back[0],
        wire_bytes_out=there[1],
        wire_bytes_in=back[1],
        payload_bytes_out=payload_estimate(there[1], there[0], protocol, source),
        payload_bytes_in=payload_estimate(back[1], back[0], protocol, source),
        conn_state="S0" if protocol == TCP and only_syn and not back[0] else None,
    )


def _ports(row: Mapping[str, str], protocol: int) -> tuple[int, int]:
    """Return both ports; of ICMP its type and its code, which nfdump writes as ``3.1``."""
    if protocol in (ICMP, ICMP6):
        kind, _, code = row["dp"].strip().partition(".")
        return count(kind), count(code)
    return count(row["sp"].strip()), count(row["dp"].strip())


def _flags(cell: str) -> int:
    """Return the flags of ``...AP.SF``; they are those of both directions with -B."""
    cell = cell.strip()
    if len(cell) != len(_FLAG_LETTERS):
        return 0
    return sum(0x80 >> at for at, letter in enumerate(cell) if letter == _FLAG_LETTERS[at])
