"""Frames of capture files, as far as each can be followed; and capture files of frames, whole or damaged."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MAX_FRAME_BYTES = 0xFFFF
_S = 1_000_000_000


class Captured(NamedTuple):
    """A frame of a capture file."""

    link_type: int
    time_ns: int
    data: bytes
    length: int


def frames_of(data: bytes) -> Iterator[Captured]:
    """Yield a pcap or pcapng file's frames up to the first damage."""
    try:
        yield from (_pcapng(data) if data[:4] == b"\x0a\x0d\x0d\x0a" else _pcap(data))
    except (struct.error, IndexError):
        return


def _pcap(data: bytes) -> Iterator[Captured]:
    order = {b"\xa1\xb2\xc3\xd4": ">", b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">", b"\x4d\x3c\xb2\xa1": "<"}
    if data[:4] not in order:
        return
    byte_order = order[data[:4]]
    unit_ns = 1 if b"\x3c" in data[:4] else 1000
    (link_type,) = struct.unpack_from(byte_order + "I", data, 20)
    at = 24
    while at < len(data):
        second, fraction, captured, length = struct.unpack_from(byte_order + "IIII", data, at)
        if captured > MAX_FRAME_BYTES:
            return
        yield Captured(
            link_type & 0x03FFFFFF, second * _S + fraction * unit_ns, data[at + 16 : at + 16 + captured], length
        )
        at += 16 + captured


def _pcapng(data: bytes) -> Iterator[Captured]:
    at, byte_order, link_types = 0, "<", list[int]()
    while at < len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            byte_order = "<" if data[at + 8] == 0x4D else ">"
            link_types = []
        kind, total = struct.unpack_from(byte_order + "II", data, at)
        if total < 12:
            return
        if kind == 1:
            link_types.append(*struct.unpack_from(byte_order + "H", data, at + 8))
        elif kind == 6:
            number, high, low, captured, length = struct.unpack_from(byte_order + "IIIII", data, at + 8)
            if captured > MAX_FRAME_BYTES:
                return
            # The unit matters little here: it is microseconds in most files.
            time_ns = (high << 32 | low) * 1000 % (4 * _S * _S)
            yield Captured(link_types[number], time_ns, data[at + 28 : at + 28 + captured], length)
        at += total


# ---- writing -------------------------------------------------------------------------------------------------


def pcap_file(frames: Sequence[Captured], dice: random.Random) -> tuple[bytes, list[int]]:
    """Return a pcap file, byte order and resolution by the dice, and the offsets of its records."""
    order, nanoseconds = dice.choice("<>"), dice.random() < 0.5
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    link_type = frames[0].link_type if frames else 1
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link_type)]
    marks, size = [0], 24
    for frame in frames:
        fraction = frame.time_ns % _S // (1 if nanoseconds else 1000)
        head = struct.pack(
            order + "IIII", frame.time_ns // _S & 0xFFFFFFFF, fraction, len(frame.data), frame.length & 0xFFFFFFFF
        )
        marks.append(size)
        parts += [head, frame.data]
        size += 16 + len(frame.data)
    return b"".join(parts), marks


def pcapng_file(frames: Sequence[Captured], dice: random.Random, resolution: int = 9) -> tuple[bytes, list[int]]:
    """Return a pcapng file with an interface for each link type, and the offsets of its blocks.

    ``resolution`` is the raw if_tsresol byte; times are written as if it were nanoseconds.
    """
    order = dice.choice("<>")
    parts = [_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    interfaces: dict[int, int] = {}
    for frame in frames:
        if frame.link_type not in interfaces:
            interfaces[frame.link_type] = len(interfaces)
            options = struct.pack(order + "HHB3xHHqHH", 9, 1, resolution, 14, 8, 0, 0, 0)
            parts.append(_block(order, 1, struct.pack(order + "HHI", frame.link_type & 0xFFFF, 0, 0) + options))
        units = frame.time_ns & 0xFFFFFFFFFFFFFFFF
        head = struct.pack(
            order + "IIIII",
            interfaces[frame.link_type], units >> 32, units & 0xFFFFFFFF, len(frame.data), frame.length & 0xFFFFFFFF,
        )  # fmt: skip
        parts.append(_block(order, 6, head + frame.data))
    marks, size = [], 0
    for part in parts:
        marks.append(size)
        size += len(part)
    return b"".join(parts), marks


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    total = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + total + body + total


_ODD_NUMBERS = (
    0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 16, 20, 27, 28, 32, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF, 0x80000000,
    1 << 20, (1 << 20) + 1, 16 << 20, (16 << 20) + 4, 0x0A0D0D0A, 0x1A2B3C4D, 0x4D3C2B1A,
)  # fmt: skip


def damaged(data: bytes, marks: Sequence[int], dice: random.Random) -> bytes:
    """Return the file with some fields of its records changed, or bytes lost, doubled or put in."""
    out = bytearray(data)
    for _ in range(dice.choice((0, 1, 1, 2, 3, 8))):
        if not out:
            break
        at = min(dice.choice(marks) + 4 * dice.randrange(8), len(out) - 1)
        kind = dice.randrange(8)
        if kind < 3:
            number = dice.choice(_ODD_NUMBERS)
            out[at : at + 4] = number.to_bytes(4, dice.choice(("little", "big")))
        elif kind == 3:
            out[at] = (out[at] + dice.choice((1, 4, 255, 252))) & 0xFF
        elif kind == 4:
            out[dice.randrange(len(out))] = dice.randrange(256)
        elif kind == 5:
            del out[at : at + dice.choice((1, 4, 12, 100))]
        elif kind == 6:
            out[at:at] = out[at : at + dice.choice((1, 4, 12, 100))]
        else:
            del out[dice.randrange(len(out)) :]
    return bytes(out)
