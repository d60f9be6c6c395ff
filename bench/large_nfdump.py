"""The flows of the large store as nfdump's own files: exported as NetFlow 9 to nfcapd on the loopback, none lost."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from large_rows import Flow, whole_flows
from measure import say

_HOST: Final = "127.0.0.1"
_BUFFER_BYTES: Final = 4 << 20
_WAITING_BYTES: Final = 1 << 20  # of its receive buffer's, after which the exporter waits
_PER_DATAGRAM: Final = 400
_HEADER = struct.Struct(">HHIIII")
_SET = struct.Struct(">HH")
_VERSION, _TEMPLATE_SET, _TEMPLATE = 9, 0, 256
# RFC 3954's fields with their lengths; 23 and 24 are the other direction's, so that a flow is one record.
_FIELDS: Final = (
    (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (152, 8), (153, 8), (1, 8), (2, 4), (23, 8), (24, 4),
)  # fmt: skip
_RECORD = struct.Struct(">4s4sHHBBQQQIQI")
_TOTALS = re.compile(r"Flows: (\d+), Packets: (\d+), Bytes: (\d+), Sequence Errors: (\d+), Bad Packets: (\d+)")


class Sums(NamedTuple):
    """What was sent, or what arrived."""

    flows: int
    packets: int
    octets: int


def nfdump_files(directory: Path, logs: Sequence[Path]) -> Path | None:
    """Return the directory of nfcapd's files, made on first use; None where nfcapd is not installed."""
    if directory.exists():
        return directory
    if shutil.which("nfcapd") is None or shutil.which("nfdump") is None:
        return None
    say(f"making {directory.name}: exporting to nfcapd")
    partial = directory.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_HOST, 0))
        port = probe.getsockname()[1]
    command = [
        "nfcapd",
        "-4",
        "-b",
        _HOST,
        "-p",
        str(port),
        "-w",
        str(partial),
        "-t",
        "86400",
        "-B",
        str(_BUFFER_BYTES),
    ]
    log = partial.with_suffix(".log")
    with log.open("w") as told, subprocess.Popen(command, stdout=told, stderr=told) as collector:
        try:
            _until_bound(port)
            sent = _export(port, whole_flows(logs))
            while _waiting(port) > 0:
                time.sleep(0.1)
            time.sleep(1)
        finally:
            collector.terminate()
    stored = [Sums(*map(int, found[:3])) for found in _TOTALS.findall(log.read_text())]
    arrived = Sums(*map(sum, zip(*stored, strict=True))) if stored else Sums(0, 0, 0)
    if arrived != sent:
        raise SystemExit(f"nfcapd stored {arrived}, sent were {sent}; see {log}")
    partial.rename(directory)
    return directory


def _export(port: int, flows: Iterable[Flow]) -> Sums:
    count = packets = octets = sequence = 0
    pieces: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect((_HOST, port))
        fields = b"".join(_SET.pack(*field) for field in _FIELDS)
        out.send(_datagram(0, 1, _TEMPLATE_SET, _SET.pack(_TEMPLATE, len(_FIELDS)) + fields))
        for flow in flows:
            (
                _,
                _,
                _,
                protocol,
                client,
                client_port,
                server,
                server_port,
                start,
                end,
                p_out,
                p_in,
                b_out,
                b_in,
                flags,
                _,
            ) = flow
            times = start // 1_000_000, end // 1_000_000
            pieces.append(
                _RECORD.pack(
                    client, server, client_port, server_port, protocol, flags, *times, b_out, p_out, b_in, p_in
                )
            )
            count += 1
            packets += p_out + p_in
            octets += b_out + b_in
            if len(pieces) == _PER_DATAGRAM:
                sequence += 1
                out.send(_datagram(sequence, len(pieces), _TEMPLATE, b"".join(pieces)))
                pieces.clear()
                while _waiting(port) > _WAITING_BYTES:
                    time.sleep(0.001)
        if pieces:
            out.send(_datagram(sequence + 1, len(pieces), _TEMPLATE, b"".join(pieces)))
    return Sums(count, packets, octets)


def _datagram(sequence: int, records: int, kind: int, body: bytes) -> bytes:
    padding = b"\0" * (-len(body) % 4)
    header = _HEADER.pack(_VERSION, records, 1_000, time.time_ns() // 10**9, sequence, 1)
    return b"".join((header, _SET.pack(kind, _SET.size + len(body) + len(padding)), body, padding))


def _waiting(port: int) -> int:
    """Return the bytes in the collector's receive buffer; any datagram dropped is an error."""
    local = f"{struct.unpack('=I', socket.inet_aton(_HOST))[0]:08X}:{port:04X}"
    for line in Path("/proc/net/udp").read_text().splitlines():
        columns = line.split()
        if columns[1] == local:
            if columns[12] != "0":
                raise SystemExit(f"nfcapd lost {columns[12]} datagrams")
            return int(columns[4].split(":")[1], 16)
    return -1


def _until_bound(port: int) -> None:
    for _ in range(100):
        if _waiting(port) >= 0:
            return
        time.sleep(0.05)
    raise SystemExit("nfcapd did not start")
