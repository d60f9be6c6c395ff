"""Captures kept beside the project, read into records, and what their frames hold beside the IP packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dpkt
from packets import all_records, records

from common.addresses import address_text
from common.records import FlowRecord
from sensor.capture.pcapfile import CaptureFileError, read_capture
from sensor.flow._table import FlowTable

# (protocol, sender, its port, receiver, its port); ICMP's ports are 0
Direction = tuple[int, str, int, str, int]


def read(path: Path, **settings: Any) -> tuple[FlowTable, list[FlowRecord]]:
    """Read a capture as one flow a connection, keeping what was readable."""
    table = FlowTable(active_timeout_ns=0, **settings)
    found: list[FlowRecord] = []

    def collect() -> bool:
        found.extend(records(table))
        return True

    with suppress(CaptureFileError):
        read_capture(str(path), table, "", collect)
    collect()
    return table, found + all_records(table)


def directions(record: FlowRecord) -> tuple[Direction, Direction]:
    """Both directions of a flow, client to server first."""
    ports = (0, 0) if record.protocol in (1, 58) else (record.client_port, record.server_port)
    client, server = (address_text(record.client_ip), ports[0]), (address_text(record.server_ip), ports[1])
    return (record.protocol, *client, *server), (record.protocol, *server, *client)


def frame_bytes(path: Path, flows: list[FlowRecord]) -> Counter[Direction]:
    """Bytes of frames in each direction: the records' IP bytes, and what dpkt finds around the IP packets."""
    total: Counter[Direction] = Counter()
    for record in flows:
        there, back = directions(record)
        total[there] += record.wire_bytes_out
        total[back] += record.wire_bytes_in
    for direction, around in _around_ip(path):
        if direction in total:
            total[direction] += around
    return +total


def _around_ip(path: Path) -> Iterator[tuple[Direction, int]]:
    """Yield each frame's direction and its bytes that are not the IP packet: link headers, tags, padding."""
    with path.open("rb") as file:
        capture = dpkt.pcap.UniversalReader(file)
        link = {
            dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet, dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
            dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
        }[capture.datalink()]  # fmt: skip
        for _, frame in capture:
            packet = link(frame).data
            if isinstance(packet, dpkt.ip.IP):
                protocol, length = packet.p, packet.len or len(frame)
                ends = [dpkt.utils.inet_to_str(end) for end in (packet.src, packet.dst)]
            elif isinstance(packet, dpkt.ip6.IP6):
                protocol, length = packet.nxt, packet.plen + 40
                ends = [dpkt.utils.inet_to_str(end) for end in (packet.src, packet.dst)]
            else:
                continue
            above = packet.data
            ports = (above.sport, above.dport) if isinstance(above, dpkt.tcp.TCP | dpkt.udp.UDP) else (0, 0)
            yield (protocol, ends[0], ports[0], ends[1], ports[1]), len(frame) - length
