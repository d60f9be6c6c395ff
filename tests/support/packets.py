"""Builders of frames and capture files: tests say what matters, the rest has a default."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Any

from common.records import FlowRecord
from sensor.flow._table import FlowTable

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
S = 1_000_000_000
T0 = 1_700_000_000 * S
CLIENT, SERVER = ("10.1.1.9", 1025), ("10.1.2.2", 3128)


def ipv4(source: str, destination: str, protocol: int, payload: bytes, **fields: int) -> bytes:
    """An IPv4 packet; ``total``, ``header_words`` and ``fragment`` override what is right."""
    words = fields.get("header_words", 5)
    total = fields.get("total", words * 4 + len(payload))
    header = struct.pack(
        ">BBHHHBBH4s4s", 4 << 4 | words, 0, total, 1, fields.get("fragment", 0), 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    return header + bytes(max(words - 5, 0) * 4) + payload


def ipv6(source: str, destination: str, following: int, payload: bytes, length: int | None = None) -> bytes:
    """An IPv6 packet."""
    size = len(payload) if length is None else length
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    return struct.pack(">IHBB", 6 << 28, size, following, 64) + addresses + payload


def ipv4_fragment(packet: bytes, start: int, end: int, *, more: bool | None = None, header: int = 20) -> bytes:
    """Bytes [start, end) of an IPv4 packet's payload as a fragment; ``more`` follows unless it is said."""
    size = len(packet) - header
    flags = (0x2000 if (end < size if more is None else more) else 0) | start // 8
    head = bytearray(packet[:header])
    head[2:4] = struct.pack(">H", header + end - start)
    head[6:8] = struct.pack(">H", flags)
    return bytes(head) + packet[header:][start:end]


def ipv6_fragment(packet: bytes, start: int, end: int, *, more: bool | None = None, number: int = 1) -> bytes:
    """Bytes [start, end) of an IPv6 packet's payload as a fragment."""
    size = len(packet) - 40
    flags = start | (end < size if more is None else more)
    head = bytearray(packet[:40])
    head[4:6] = struct.pack(">H", 8 + end - start)
    head[6] = 44
    return bytes(head) + struct.pack(">BxHI", packet[6], flags, number) + packet[40:][start:end]


def tcp(source: int, destination: int, flags: int, data: bytes = b"", **fields: int) -> bytes:
    """A TCP segment; ``seq``, ``ack``, ``window`` and ``words`` (header length) can be given."""
    words = fields.get("words", 5)
    header = struct.pack(
        ">HHIIBBHHH", source, destination, fields.get("seq", 0), fields.get("ack", 0), words << 4, flags,
        fields.get("window", 65535), 0, 0,
    )  # fmt: skip
    return header + bytes(max(words - 5, 0) * 4) + data


def udp(source: int, destination: int, data: bytes = b"") -> bytes:
    """A UDP datagram."""
    return struct.pack(">HHHH", source, destination, 8 + len(data), 0) + data


def ethernet(packet: bytes, ether_type: int | None = None, vlans: Iterable[int] = ()) -> bytes:
    """An Ethernet frame, tags outermost first; the type follows from the packet unless it is given."""
    if ether_type is None:
        ether_type = 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    return b"\x02\0\0\0\0\1\x02\0\0\0\0\2" + tags + struct.pack(">H", ether_type) + packet


def tcp_frame(
    source: tuple[str, int], destination: tuple[str, int], flags: int, data: bytes = b"", **fields: int
) -> bytes:
    """An Ethernet frame with a TCP segment from one endpoint to another."""
    segment = tcp(source[1], destination[1], flags, data, **fields)
    return ethernet(ipv4(source[0], destination[0], 6, segment))


def pcap(
    frames: Iterable[tuple[int, bytes]], link_type: int = 1, *, order: str = "<", nanoseconds: bool = False
) -> bytes:
    """A pcap file of (time in ns, frame)."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link_type)]
    for time_ns, frame in frames:
        fraction = time_ns % S if nanoseconds else time_ns % S // 1000
        out.append(struct.pack(order + "IIII", time_ns // S, fraction, len(frame), len(frame)) + frame)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A pcapng block, padded."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """A pcapng section header."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    link_type: int = 1, resolution: int | None = None, offset_s: int | None = None, order: str = "<"
) -> bytes:
    """A pcapng interface description; ``resolution`` is the raw if_tsresol byte."""
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset_s is not None:
        options += struct.pack(order + "HHq", 14, 8, offset_s)
    return block(1, struct.pack(order + "HHI", link_type, 0, 0) + options, order)


def enhanced(units: int, frame: bytes, interface_number: int = 0, order: str = "<") -> bytes:
    """A pcapng enhanced packet."""
    head = struct.pack(order + "IIIII", interface_number, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)


class Conversation:
    """Feeds TCP segments between CLIENT and SERVER into a table; times in seconds from T0."""

    def __init__(
        self, table: FlowTable | None = None, client: tuple[str, int] = CLIENT, server: tuple[str, int] = SERVER
    ) -> None:
        self.table = table or FlowTable()
        self.ends = client, server

    def out(self, at_s: float, flags: int, data: bytes = b"", **fields: int) -> Conversation:
        """The client sends."""
        self.table.feed_frame(1, T0 + round(at_s * S), tcp_frame(self.ends[0], self.ends[1], flags, data, **fields))
        return self

    def back(self, at_s: float, flags: int, data: bytes = b"", **fields: int) -> Conversation:
        """The server sends."""
        self.table.feed_frame(1, T0 + round(at_s * S), tcp_frame(self.ends[1], self.ends[0], flags, data, **fields))
        return self

    def handshake(self, at_s: float = 0.0) -> Conversation:
        """SYN, SYN-ACK, ACK with sequence numbers 100 and 500, ten milliseconds apart."""
        self.out(at_s, SYN, seq=100).back(at_s + 0.01, SYN | ACK, seq=500, ack=101)
        return self.out(at_s + 0.02, ACK, seq=101, ack=501)

    def close(self, at_s: float) -> Conversation:
        """FIN from both sides."""
        return self.out(at_s, FIN | ACK, seq=101).back(at_s + 0.01, FIN | ACK, seq=501).out(at_s + 0.02, ACK, seq=102)


def records(table: FlowTable) -> list[FlowRecord]:
    """Everything that the table has handed out so far."""
    return [FlowRecord._make(row) for row in table.drain()]


def all_records(table: FlowTable) -> list[FlowRecord]:
    """End every flow and return all records."""
    out: list[FlowRecord] = []
    more = True
    while more:
        more = table.flush()
        out.extend(records(table))
    return out


def accounted(table: FlowTable) -> bool:
    """Whether every packet read was accepted, filtered, rejected for a reason, or a fragment of another."""
    rejected: dict[str, Any] = table.rejected_by_reason()
    return bool(table.packets == table.accepted + table.filtered + table.fragments + sum(rejected.values()))
