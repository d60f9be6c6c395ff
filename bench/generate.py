"""Write a synthetic capture of a given shape, the same bytes for the same arguments.

    python bench/generate.py mixed /tmp/mixed.pcap --packets 2000000

Shapes: ``mixed`` (the standard: 20,000 TCP connections at a time, 1 in 50 long, some UDP), ``small``
(many flows of ten packets), ``large`` (64 connections for the whole capture), ``minimum`` (as large,
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


class Connection:
    """One TCP connection that hands out its frames in turn: handshake, data both ways, FINs."""

    def __init__(self, rng: random.Random, number: int, exchanges: int, *, minimum: bool) -> None:
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

    def frames(self) -> Iterator[bytes]:
        """Yield the frames in order."""
        yield self._frame(0, SYN, 0)
        yield self._frame(1, SYN | ACK, 0)
        yield self._frame(0, ACK, 0)
        for out, back in self.sizes:
            yield self._frame(0, PSH | ACK, out)
            yield self._frame(1, PSH | ACK, back)
        yield self._frame(0, FIN | ACK, 0)
        yield self._frame(1, FIN | ACK, 0)
        yield self._frame(0, ACK, 0)

    def _frame(self, sender: int, flags: int, size: int) -> bytes:
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
        return _ETHERNET + header + tcp + _PAYLOAD[:size]


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
    if shape == "mixed":
        if number % 10 == 0:
            return udp_frames(rng, number)
        return Connection(rng, number, 400 if number % 50 == 1 else rng.randrange(1, 12), minimum=False).frames()
    if shape == "small":
        return Connection(rng, number, 2, minimum=False).frames()
    if shape == "syn":
        return iter([next(Connection(rng, number, 0, minimum=True).frames())])
    return Connection(rng, number, 200_000, minimum=shape == "minimum").frames()


def write_capture(shape: str, packets: int, out: BinaryIO, seed: int = 1) -> None:
    """Write ``packets`` frames of a shape as a microsecond pcap, flows interleaved at random."""
    rng = random.Random(seed)
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    concurrent = {"mixed": 20_000, "small": 20_000, "syn": 1}.get(shape, 64)
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
    parser.add_argument("shape", choices=("mixed", "small", "large", "minimum", "syn"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with arguments.path.open("wb") as out:
        write_capture(arguments.shape, arguments.packets, out, arguments.seed)


if __name__ == "__main__":
    main()
