"""The two byte streams of every TCP connection of a capture: put together in plain Python, for tests alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dpkt

_SYN, _RST, _ACK = 0x02, 0x04, 0x10
End = tuple[bytes, int]


class Streams(NamedTuple):
    """One connection: its ends, and what each sent from its first byte to the first gap."""

    client: str
    client_port: int
    server: str
    server_port: int
    out: bytes
    in_: bytes
    from_start: bool
    """Whether a SYN was seen, so that the bytes are the first ones."""


class _Connection:
    """Segments as they came; the first copy of a byte counts."""

    def __init__(self, client: End, server: End) -> None:
        self.ends = (client, server)
        self.segments: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = ([], [])
        self.initial: list[int | None] = [None, None]

    def stream(self, direction: int, limit: int) -> bytes:
        """Return the bytes from the first one on, up to a gap or the limit."""
        segments = self.segments[direction]
        initial = self.initial[direction]
        if initial is None:
            if not segments:
                return b""
            initial = segments[0][0]
        stream = b""
        # Stable: of two that begin alike the one that came first is taken.
        for start, data in sorted(
            ((start - initial & 0xFFFFFFFF, data) for start, data in segments), key=lambda s: s[0]
        ):
            if start > len(stream):
                break
            stream += data[len(stream) - start :]
            if len(stream) >= limit:
                break
        return stream[:limit]


def tcp_streams(path: Path, limit: int = 16384) -> list[Streams]:
    """Return every connection of a capture that carried payload, in the order of their first packets."""
    found: list[_Connection] = []
    current: dict[tuple[End, End], _Connection] = {}
    for packet in _packets(path):
        segment = packet.data
        source, target = (packet.src, segment.sport), (packet.dst, segment.dport)
        opens = segment.flags & (_SYN | _ACK) == _SYN
        connection = current.get((source, target))
        if connection is None or (opens and connection.ends[0] == source and _starts_anew(connection, segment.seq)):
            # Without its SYN a connection is the server's whose port is the smaller one.
            swapped = not opens and (segment.flags & _SYN or source[1] < target[1])
            connection = _Connection(target, source) if swapped else _Connection(source, target)
            current[source, target] = current[target, source] = connection
            found.append(connection)
        direction = int(connection.ends[0] != source)
        if segment.flags & _SYN:
            connection.initial[direction] = segment.seq + 1 & 0xFFFFFFFF
        if segment.data and not segment.flags & _RST:
            first = segment.seq + bool(segment.flags & _SYN) & 0xFFFFFFFF
            connection.segments[direction].append((first, bytes(segment.data)))
    streams = [_told(connection, limit) for connection in found]
    return [stream for stream in streams if stream.out or stream.in_]


def _starts_anew(connection: _Connection, sequence: int) -> bool:
    return connection.initial[0] not in (None, sequence + 1 & 0xFFFFFFFF)


def _told(connection: _Connection, limit: int) -> Streams:
    (client, client_port), (server, server_port) = connection.ends
    return Streams(
        dpkt.utils.inet_to_str(client), client_port, dpkt.utils.inet_to_str(server), server_port,
        connection.stream(0, limit), connection.stream(1, limit),
        connection.initial[0] is not None or connection.initial[1] is not None,
    )  # fmt: skip


def _packets(path: Path) -> Iterator[Any]:
    """Yield the IP packets that hold a TCP segment."""
    with path.open("rb") as file:
        capture = dpkt.pcap.UniversalReader(file)
        link = capture.datalink()
        for _, frame in capture:
            packet = _ip(link, frame)
            if packet is not None and isinstance(packet.data, dpkt.tcp.TCP):
                yield packet


def _ip(link: int, frame: bytes) -> Any:
    try:
        if link == dpkt.pcap.DLT_EN10MB:
            packet = dpkt.ethernet.Ethernet(frame).data
        elif link == dpkt.pcap.DLT_LINUX_SLL:
            packet = dpkt.sll.SLL(frame).data
        elif link == dpkt.pcap.DLT_NULL:
            packet = dpkt.loopback.Loopback(frame).data
        else:
            packet = dpkt.ip6.IP6(frame) if frame[0] >> 4 == 6 else dpkt.ip.IP(frame)
    except (dpkt.Error, IndexError, ValueError):
        return None
    return packet if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) else None
