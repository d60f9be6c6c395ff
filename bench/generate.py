"""Write a synthetic capture of a given shape, the same bytes for the same arguments.

    python bench/generate.py mixed /tmp/mixed.pcap --packets 2000000

Shapes: ``mixed`` (the standard: 20,000 TCP connections at a time, 1 in 50 long, some UDP), ``spoken``
(the same, and each connection begins as its port's protocol does: TLS, HTTP, a CONNECT with TLS in it, SMTP),
``small`` (many flows of ten packets), ``large`` (64 connections for the whole capture), ``minimum`` (as large,
64-byte frames) and ``syn`` (a flood: one SYN a flow).
"""

from __future__ import annotations

import argparse
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SYN, FIN, PSH, ACK = 0x02, 0x01, 0x08, 0x10
_ETHERNET = bytes.fromhex("02000000000102000000000208 00".replace(" ", ""))
_IP = struct.Struct(">BBHHHBBH4s4s")
_TCP = struct.Struct(">HHIIBBHHH")
_RECORD = struct.Struct("<IIII")
_PAYLOAD = bytes(range(256)) * 6
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nServer: nginx\r\nContent-Type: text/html\r\n"
    b"Content-Length: 100000\r\nConnection: keep-alive\r\nCache-Control: max-age=600\r\n\r\n"
) + b"<html>" * 150


class Connection:
    """One TCP connection that hands out its frames in turn: handshake, data both ways, FINs."""

    def __init__(
        self, rng: random.Random, number: int, exchanges: int, *, minimum: bool = False, spoken: bool = False
    ) -> None:
        self.client = bytes((10, 1 + (number >> 16 & 0x7F), number >> 8 & 0xFF, number & 0xFF))
        self.server = bytes((198, 51, 100, rng.randrange(1, 255)))
        self.client_port = rng.randrange(20000, 60000)
        self.server_port = rng.choice((80, 443, 443, 443, 3128, 25, 993))
        self.sequences = [rng.getrandbits(32), rng.getrandbits(32)]
        self.sizes = (
            [(0, 0)] * exchanges
            if minimum
            else [(rng.choice((60, 200, 517, 900)), rng.choice((200, 1460, 1460, 1460))) for _ in range(exchanges)]
        )
        self.openings = beginnings(rng, self.server_port, number) if spoken else []

    def frames(self) -> Iterator[bytes]:
        """Yield the frames in order."""
        yield self._frame(0, SYN, 0)
        yield self._frame(1, SYN | ACK, 0)
        yield self._frame(0, ACK, 0)
        for out, back in self.openings:
            yield self._frame(0, PSH | ACK, len(out), out)
            yield self._frame(1, PSH | ACK, len(back), back)
        for out, back in self.sizes[len(self.openings) :]:
            yield self._frame(0, PSH | ACK, out)
            yield self._frame(1, PSH | ACK, back)
        yield self._frame(0, FIN | ACK, 0)
        yield self._frame(1, FIN | ACK, 0)
        yield self._frame(0, ACK, 0)

    def _frame(self, sender: int, flags: int, size: int, payload: bytes = _PAYLOAD) -> bytes:
        ends = (self.client, self.server), (self.client_port, self.server_port)
        header = _IP.pack(0x45, 0, 40 + size, 0, 0x4000, 64, 6, 0, ends[0][sender], ends[0][1 - sender])
        tcp = _TCP.pack(
            ends[1][sender],
            ends[1][1 - sender],
            self.sequences[sender],
            self.sequences[1 - sender],
            0x50,
            flags,
            65535,
            0,
            0,
        )
        self.sequences[sender] = (self.sequences[sender] + size + bool(flags & (SYN | FIN))) & 0xFFFFFFFF
        return _ETHERNET + header + tcp + payload[:size]


def beginnings(rng: random.Random, port: int, number: int) -> list[tuple[bytes, bytes]]:
    """Return the first exchanges of a connection to a port, from one of a few thousand servers."""
    host = f"www{number % 3000}.example.org"
    if port in {443, 993}:
        return [(client_hello(rng, host), server_hello(rng))]
    if port == 25:
        return [(b"EHLO mail.example.org\r\n", b"220 mx.example.org ESMTP Postfix\r\n250-mx.example.org\r\n")]
    if port == 80:
        return [(request("GET /some/path", host), _RESPONSE)]
    return [
        (request(f"CONNECT {host}:443", f"{host}:443"), b"HTTP/1.1 200 Connection established\r\n\r\n"),
        (client_hello(rng, host), server_hello(rng)),
    ]


def request(target: str, host: str) -> bytes:
    """A browser's request."""
    return (
        f"{target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 "
        "Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
        "Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789\r\n\r\n"
    ).encode()


def client_hello(rng: random.Random, host: str) -> bytes:
    """A browser's ClientHello, of one segment: 16 suites, 12 extensions, a key share; random where theirs are."""
    name = host.encode()
    extensions = b"".join(
        struct.pack(">HH", kind, len(data)) + data
        for kind, data in (
            (0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name),
            (23, b""),
            (0xFF01, b"\x00"),
            (10, bytes.fromhex("0008001d001700180019")),
            (11, b"\x01\x00"),
            (35, b""),
            (16, b"\x00\x0c\x02h2\x08http/1.1"),
            (5, b"\x01\x00\x00\x00\x00"),
            (13, bytes.fromhex("001004030804040105030805050108060601")),
            (51, struct.pack(">HHH", 36, 29, 32) + rng.randbytes(32)),
            (45, b"\x01\x01"),
            (43, b"\x04\x03\x04\x03\x03"),
        )
    )
    suites = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035000a")
    body = b"\x03\x03" + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + struct.pack(">H", len(suites)) + suites
    body += b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    return b"\x16\x03\x01" + struct.pack(">H", len(body) + 4) + b"\x01" + struct.pack(">I", len(body))[1:] + body


def server_hello(rng: random.Random) -> bytes:
    """A server's first segment with TLS 1.3: its hello, and what looks like the encrypted rest."""
    extensions = bytes.fromhex("002b00020304") + struct.pack(">HHHH", 51, 36, 29, 32) + rng.randbytes(32)
    body = b"\x03\x03" + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + b"\x13\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    hello = b"\x16\x03\x03" + struct.pack(">H", len(body) + 4) + b"\x02" + struct.pack(">I", len(body))[1:] + body
    return hello + b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x04\x00" + rng.randbytes(1024)


def udp_frames(rng: random.Random, number: int) -> Iterator[bytes]:
    """A question and its answer on port 53."""
    client = bytes((10, 200, number >> 8 & 0xFF, number & 0xFF))
    server = b"\x0a\x00\x00\x35"
    port = rng.randrange(20000, 60000)
    for source, target, ports, size in (
        (client, server, (port, 53), 40),
        (server, client, (53, port), 120),
    ):
        header = _IP.pack(0x45, 0, 28 + size, 0, 0, 64, 17, 0, source, target)
        yield _ETHERNET + header + struct.pack(">HHHH", *ports, 8 + size, 0) + _PAYLOAD[:size]


def streams(shape: str, rng: random.Random, number: int) -> Iterator[bytes]:
    """Return the frames of the shape's next flow."""
    if shape in {"mixed", "spoken"}:
        if number % 10 == 0:
            return udp_frames(rng, number)
        exchanges = 400 if number % 50 == 1 else rng.randrange(1, 12)
        return Connection(rng, number, exchanges, spoken=shape == "spoken").frames()
    if shape == "small":
        return Connection(rng, number, 2).frames()
    if shape == "syn":
        return iter([next(Connection(rng, number, 0, minimum=True).frames())])
    return Connection(rng, number, 200_000, minimum=shape == "minimum").frames()


def write_capture(shape: str, packets: int, out: BinaryIO, seed: int = 1) -> None:
    """Write ``packets`` frames of a shape as a microsecond pcap, flows interleaved at random."""
    rng = random.Random(seed)
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    concurrent = {"mixed": 20_000, "spoken": 20_000, "small": 20_000, "syn": 1}.get(shape, 64)
    number = concurrent
    open_streams = [streams(shape, rng, n) for n in range(concurrent)]
    time_us = 1_700_000_000_000_000
    written = 0
    pieces: list[bytes] = []
    while written < packets:
        slot = int(rng.random() * concurrent)
        frame = next(open_streams[slot], None)
        if frame is None:
            open_streams[slot] = streams(shape, rng, number)
            number += 1
            continue
        time_us += 20
        pieces.append(_RECORD.pack(time_us // 1_000_000, time_us % 1_000_000, len(frame), len(frame)))
        pieces.append(frame)
        written += 1
        if len(pieces) > 20_000:
            out.write(b"".join(pieces))
            pieces.clear()
    out.write(b"".join(pieces))


def main() -> None:
    """Parse the arguments and write the capture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=("mixed", "spoken", "small", "large", "minimum", "syn"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with arguments.path.open("wb") as out:
        write_capture(arguments.shape, arguments.packets, out, arguments.seed)


if __name__ == "__main__":
    main()
