"""Write fuzz/seeds: packets beneath every header on every link, and a cut of the demo's capture.

PYTHONPATH=.:tests/support .venv/bin/python -m fuzz.make_seeds
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

from packets import ACK, FIN, PSH, SYN, T0, S, ethernet, ipv4, ipv6, pcap, tcp, udp

from fuzz.captures import frames_of

SEEDS = Path(__file__).resolve().parent / "seeds"
DEMO = SEEDS.parents[1] / "tests/data/demo.pcap"
A, B, A6, B6 = "10.1.1.9", "10.1.2.2", "2001:db8::9", "2001:db8::2"
_DEMO_FRAMES = 600
_LLC = b"\xaa\xaa\x03\0\0\0"
_MAC = b"\x02\0\0\0\0\1"


def conversation(port: int = 1025) -> Iterator[tuple[bool, bytes]]:
    """(from the client?, segment): a handshake, data both ways, one segment twice, the end."""
    yield True, tcp(port, 443, SYN, seq=100, words=10)
    yield False, tcp(443, port, SYN | ACK, seq=500, ack=101)
    yield True, tcp(port, 443, ACK, seq=101, ack=501)
    yield True, tcp(port, 443, PSH | ACK, b"GET / HTTP/1.1\r\n\r\n", seq=101, ack=501)
    yield False, tcp(443, port, ACK, b"x" * 40, seq=501, ack=119)
    yield False, tcp(443, port, ACK, b"x" * 40, seq=501, ack=119)
    yield True, tcp(port, 443, FIN | ACK, seq=119, ack=541)
    yield False, tcp(443, port, FIN | ACK, seq=541, ack=120)


def packets() -> Iterator[bytes]:
    """A conversation, a datagram and an echo, over IPv4 and IPv6."""
    for out, segment in conversation():
        yield ipv4(*((A, B) if out else (B, A)), 6, segment)
        yield ipv6(*((A6, B6) if out else (B6, A6)), 6, segment)
    yield ipv4(A, B, 17, udp(5353, 53, b"question"))
    yield ipv6(A6, B6, 17, udp(5353, 53, b"question"))
    yield ipv4(A, B, 1, b"\x08\0\0\0\0\1\0\1ping")
    yield ipv6(A6, B6, 58, b"\x80\0\0\0\0\1\0\1ping")


def ether_type(packet: bytes) -> int:
    """The one of a packet's version."""
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def extended() -> Iterator[bytes]:
    """IPv6 with each extension header, and with many."""
    segment = tcp(1025, 443, ACK, b"hello", seq=7, ack=9)
    for kind, header in (
        (0, b"\6\0" + bytes(6)), (43, b"\6\1" + bytes(14)), (44, b"\6\0\0\0\0\0\0\1"), (51, b"\6\4" + bytes(22)),
        (60, b"\6\0" + bytes(6)), (135, b"\6\0" + bytes(6)), (139, b"\6\0" + bytes(6)),
    ):  # fmt: skip
        yield ipv6(A6, B6, kind, header + segment)
    yield ipv6(A6, B6, 60, (b"\x3c\0" + bytes(6)) * 15 + b"\6\0" + bytes(6) + segment)
    yield ipv4(A, B, 51, b"\6\4" + bytes(22) + segment)
    yield ipv4(A, B, 6, segment, header_words=15)


def fragments() -> Iterator[bytes]:
    """A datagram in pieces: in order, and the other way round; IPv4 and IPv6."""
    data = udp(5353, 53, bytes(range(96)))
    pieces = [(at, data[at : at + 40], at + 40 < len(data)) for at in range(0, len(data), 40)]
    for order in (pieces, pieces[::-1]):
        for at, piece, more in order:
            yield ipv4(A, B, 17, piece, fragment=at // 8 | (0x2000 if more else 0))
            yield ipv6(A6, B6, 44, struct.pack(">BBHI", 17, 0, at | more, 7) + piece)


def tunnelled(packet: bytes) -> Iterator[bytes]:
    """A packet in each tunnel, over IPv4 and over IPv6, and in two of them."""
    inner = 41 if packet[0] >> 4 == 6 else 4
    gre = struct.pack(">HH", 0, ether_type(packet)) + packet
    keyed = struct.pack(">HHHHII", 0xB000, ether_type(packet), 0, 0, 7, 1) + packet
    bridged = struct.pack(">HH", 0, 0x6558) + ethernet(packet)
    point_to_point = struct.pack(">HHHHII", 0x3081, 0x880B, len(packet) + 2, 7, 1, 1) + packet
    vxlan = udp(50000, 4789, b"\x08\0\0\0\0\0\7\0" + ethernet(packet))
    geneve = udp(50000, 6081, b"\1\0\x65\x58\0\0\7\0" + bytes(4) + ethernet(packet))
    gtp = udp(2152, 2152, struct.pack(">BBHI", 0x30, 0xFF, len(packet), 7) + packet)
    for protocol, payload in (
        (inner, packet), (47, gre), (47, keyed), (47, bridged), (47, point_to_point),
        (17, vxlan), (17, geneve), (17, gtp),
    ):  # fmt: skip
        yield ipv4(A, B, protocol, payload)
        yield ipv6(A6, B6, protocol, payload)
        yield ipv4(A, B, 47, struct.pack(">HH", 0, 0x0800) + ipv4(B, A, protocol, payload))


def tagged(packet: bytes) -> Iterator[bytes]:
    """An Ethernet frame with tags, labels and PPPoE."""
    kind = ether_type(packet)
    yield ethernet(packet, vlans=[12])
    yield ethernet(struct.pack(">HHHH", 12, 0x8100, 34, kind) + packet, 0x88A8)
    yield ethernet(b"\0\0\x20\x40\0\0\x21\x40" + packet, 0x8847)
    point_to_point = struct.pack(">H", 0x57 if kind == 0x86DD else 0x21)
    yield ethernet(b"\x11\0\0\1" + struct.pack(">H", len(packet) + 2) + point_to_point + packet, 0x8864)
    yield ethernet(_LLC + struct.pack(">H", kind) + packet, len(packet) + 8)


def linked(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """(link type, frame) of a packet on each link but Ethernet."""
    six = packet[0] >> 4 == 6
    kind = struct.pack(">H", ether_type(packet))
    point_to_point = b"\0\x57" if six else b"\0\x21"
    yield 0, (b"\x1e" if six else b"\2") + bytes(3) + packet
    yield 108, bytes(3) + (b"\x18" if six else b"\2") + packet
    yield 101, packet
    yield (229 if six else 228), packet
    yield 113, b"\0\0\0\1\0\6" + _MAC + b"\0\0" + kind + packet
    yield 276, kind + b"\0\0\0\0\0\2\0\1\0\6" + _MAC + b"\0\0" + packet
    for head in (b"", b"\xff\x03"):
        yield 9, head + point_to_point + packet
    yield 9, point_to_point[1:] + packet
    yield 50, b"\xff\x03" + point_to_point + packet
    yield 51, b"\x11\0\0\1" + struct.pack(">H", len(packet) + 2) + point_to_point + packet
    yield 104, b"\x0f\0" + kind + packet
    wireless = _MAC * 3 + b"\x10\0"
    for control in (b"\x08\x01", b"\x08\x02", b"\x88\x01", b"\x08\x03", b"\x88\x03", b"\x08\x41", b"\x80\0"):
        addresses = _MAC if control[1] & 3 == 3 else b""
        quality = b"\0\0" if control[0] == 0x88 else b""
        frame = control + b"\0\0" + wireless + addresses + quality + _LLC + kind + packet
        yield 105, frame
        yield 127, b"\0\0\x08\0\0\0\0\0" + frame
        yield 127, b"\0\0\x09\0\2\0\0\0\x10" + frame + b"\1\2\3\4"
    family = (b"\x0a" if six else b"\2") + b"\0\0\0"
    payload = struct.pack("<HH", len(packet) + 4, 9) + packet
    yield 239, family + payload
    yield 239, family + struct.pack("<HHI", 8, 1, 0) + payload + bytes(-len(packet) % 4)


def all_frames() -> Iterator[tuple[int, bytes]]:
    """(link type, frame) of everything."""
    for packet in packets():
        yield 1, ethernet(packet)
        yield from linked(packet)
        yield from ((1, frame) for frame in tagged(packet))
    for packet in itertools.chain(extended(), fragments()):
        yield 1, ethernet(packet)
    for packet in list(packets())[4:10]:
        yield from ((1, ethernet(tunnel)) for tunnel in tunnelled(packet))


def seed_files() -> dict[str, bytes]:
    """Return {name: content}: a pcap file for each link type, and the demo's first frames."""
    by_link: dict[int, list[tuple[int, bytes]]] = {}
    for number, (link_type, frame) in enumerate(all_frames()):
        by_link.setdefault(link_type, []).append((T0 + number * S // 100, frame))
    files = {f"link-{link_type:03}.pcap": pcap(frames, link_type) for link_type, frames in by_link.items()}
    demo = itertools.islice(frames_of(DEMO.read_bytes()), _DEMO_FRAMES)
    files["demo.pcap"] = pcap([(frame.time_ns, frame.data[:512]) for frame in demo])
    return files


if __name__ == "__main__":
    for name, content in seed_files().items():
        (SEEDS / name).write_bytes(content)
