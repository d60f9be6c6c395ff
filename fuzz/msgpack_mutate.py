"""Changes to msgpack that know where its values begin: tags, lengths, depths, and the same value written otherwise."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

import msgpack


class Token(NamedTuple):
    """One value's place: its tag and length, then its own bytes; members of arrays and maps are tokens themselves."""

    start: int
    body: int
    end: int


# tag: (bytes of the length, bytes that follow whatever the length says)
_LENGTHS: Final = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
_FIXED: Final = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
_CONTAINERS: Final = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_WHOLE: Final = [
    (0xCC, "B", 0, 0xFF), (0xCD, ">H", 0, 0xFFFF), (0xCE, ">I", 0, 0xFFFFFFFF), (0xCF, ">Q", 0, (1 << 64) - 1),
    (0xD0, "b", -128, 127), (0xD1, ">h", -(1 << 15), (1 << 15) - 1), (0xD2, ">i", -(1 << 31), (1 << 31) - 1),
    (0xD3, ">q", -(1 << 63), (1 << 63) - 1),
]  # fmt: skip
_DEPTHS: Final = (2, 8, 30, 100, 500, 510, 511, 512, 513, 1022, 1023, 1024, 1025, 2000, 5000)


def _packed(values: list[object]) -> list[bytes]:
    return [msgpack.packb(value) for value in values]


# What stands where another value did: the edges of every type; and what is no value, or none that a record holds.
VALUES: Final[list[bytes]] = _packed([
    None, True, False, 0, 1, 4, 5, 6, 7, 127, 128, 255, 256, 4095, 4096, 65535, 65536, (1 << 32) - 1, 1 << 32,
    (1 << 46), (1 << 46) + 1, 1 << 55, 1 << 62, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
    -1, -32, -33, -128, -129, -32769, -(1 << 31) - 1, -(1 << 63) + 1, -(1 << 63),
    0.0, -0.0, 0.5, 1.0, -1.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"),
    "", "a", "flow", "header", "stats", "alarm", "tap-1", "x" * 64, "x" * 65, "x" * 255, "x" * 256, "x" * 1025,
    "\0", "\n", "\x1b[2J", "\x7f", "\u202e", "\u2028", "é", "漢", "😀", "\ue000", "\ufeff",
    b"", b"abc", bytes(4), bytes(5), bytes(15), bytes(16), bytes(17),
    [], {}, [[]], [{}], {"a": 1}, {"a": "b"}, {"a": None}, {"a": 1.5}, {"a": []}, {"": ""}, {"a\n": 1}, {"a": "\n"},
    [0] * 7, [0] * 8, [0] * 9, [[1, 2]], [[1, 2]] * 32, [[1, 2]] * 33, [[1, 2, 3]], [[1]], [[-1, (1 << 63) - 1]],
    ["a"], ["\n"], ["a"] * 32, ["a"] * 33, ["x" * 65], [b"a"], [1.0] * 8, [None] * 8,
    {str(n): n for n in range(32)}, {str(n): n for n in range(33)}, {str(n): n for n in range(65)},
])  # fmt: skip
BROKEN: Final[list[bytes]] = [
    b"\xc1",  # never used
    b"\xa1\xff", b"\xa2\xc3\x28", b"\xa3\xed\xa0\x80", b"\xa2\xc0\x80", b"\xa4\xf4\x90\x80\x80",  # not UTF-8
    b"\x82\xa1a\x01\xa1a\x02", b"\x82\xa1a\x01\xa1b\x01", b"\xde\x00\x28" + b"\xa1a\x01" * 40,  # keys that repeat
    b"\x81\x01\x01", b"\x81\xc0\x01", b"\x81\xc4\x01a\x01", b"\x81\x90\x01", b"\x81\x80\x01", b"\x81\xcb" + bytes(9),
    b"\x81\xd6\xff" + bytes(5), b"\x81\xc3\x01", b"\x81\xca\x7f\xc0\x00\x00\x01",
    b"\xca\x7f\xc0\x00\x00", b"\xca\x7f\xa0\x00\x00", b"\xca\x3f\x00\x00\x00", b"\xca\x7f\x80\x00\x00",
    b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x01", b"\xcb\xff\xf8\x00\x00\x00\x00\x00\x00",
    b"\xd4\x01\x00", b"\xc7\x00\x05", b"\xc7\x03\x05abc", b"\xd4\xff\x00", b"\xc7\x00\xff", b"\xc7\x05\xff12345",
    b"\xd6\xff\x00\x00\x00\x01", b"\xd7\xff" + b"\xff" * 8, b"\xd7\xff" + bytes(8), b"\xc7\x0c\xff" + b"\xff" * 12,
    b"\xc7\x0c\xff" + bytes(4) + b"\x80" + bytes(7), b"\xc7\x0c\xff" + b"\x3b\x9a\xca\x00" + bytes(8),
    *(tag + b"\xff\xff\xff\xff" for tag in (b"\xc6", b"\xc9", b"\xdb", b"\xdd", b"\xdf")),
    *(tag + b"\x7f\xff\xff\xff" for tag in (b"\xc6", b"\xdb", b"\xdd", b"\xdf")),
    *(tag + b"\x00\x00\x10\x01" for tag in (b"\xdd", b"\xdf")), b"\xdc\xff\xff", b"\xde\xff\xff", b"\xdc\x10\x01",
]  # fmt: skip


def tokens(payload: bytes) -> list[Token]:
    """Return the places of all values of well-formed msgpack, in the order they stand."""
    found: list[Token] = []
    at = 0
    while at < len(payload):
        tag = payload[at]
        body = at + 1
        size = 0
        if 0xA0 <= tag <= 0xBF:
            size = tag & 0x1F
        elif tag in _LENGTHS:
            width, more = _LENGTHS[tag]
            size = int.from_bytes(payload[body : body + width], "big") + more
            body += width
        elif tag in _CONTAINERS:
            body += _CONTAINERS[tag]
        else:
            size = _FIXED.get(tag, 0)
        found.append(Token(at, body, body + size))
        at = body + size
    return found


def retoken(payload: bytes, places: list[Token], dice: random.Random) -> bytes:
    """Return the payload with one value, or a few, put otherwise."""
    roll = dice.random
    count = 1 if roll() < 0.7 else 2 + int(roll() * 4)
    out = bytearray(payload)
    for at in sorted({int(roll() * len(places)) for _ in range(count)}, reverse=True):
        place = places[at]
        out[place.start : place.end] = _WAYS[int(roll() * len(_WAYS))](payload, place, places, dice)
    return bytes(out)


Way = Callable[[bytes, Token, list[Token], random.Random], bytes]


def _other_value(_payload: bytes, _place: Token, _places: list[Token], dice: random.Random) -> bytes:
    return VALUES[int(dice.random() * len(VALUES))]


def _broken(_payload: bytes, _place: Token, _places: list[Token], dice: random.Random) -> bytes:
    return BROKEN[int(dice.random() * len(BROKEN))]


def _otherwise(payload: bytes, place: Token, _places: list[Token], dice: random.Random) -> bytes:
    """The same value in another of the encodings that hold it: readers may not care."""
    raw = payload[place.start : place.end]
    tag, body = raw[0], payload[place.body : place.end]
    wide = dice.random() < 0.5
    if 0xA0 <= tag <= 0xBF or tag in (0xD9, 0xDA):
        return (b"\xdb" + struct.pack(">I", len(body)) if wide else b"\xda" + struct.pack(">H", len(body))) + body
    if tag in (0xC4, 0xC5):
        return (b"\xc6" + struct.pack(">I", len(body)) if wide else b"\xc5" + struct.pack(">H", len(body))) + body
    if 0x90 <= tag <= 0x9F:
        return b"\xdd" + struct.pack(">I", tag & 15) if wide else b"\xdc" + struct.pack(">H", tag & 15)
    if 0x80 <= tag <= 0x8F:
        return b"\xdf" + struct.pack(">I", tag & 15) if wide else b"\xde" + struct.pack(">H", tag & 15)
    if tag < 0x80 or tag >= 0xE0 or 0xCC <= tag <= 0xD3:
        value = msgpack.unpackb(raw)
        fits = [(other, form) for other, form, low, high in _WHOLE if low <= value <= high]
        other, form = fits[int(dice.random() * len(fits))]
        return bytes([other]) + struct.pack(form, value)
    return raw


def _other_tag(payload: bytes, place: Token, _places: list[Token], dice: random.Random) -> bytes:
    return bytes([dice.getrandbits(8)]) + payload[place.start + 1 : place.end]


def _other_length(payload: bytes, place: Token, _places: list[Token], dice: random.Random) -> bytes:
    out = bytearray(payload[place.start : place.end])
    last = place.body - place.start - 1
    out[last] = (out[last] + (1, -1, 2, 16)[int(dice.random() * 4)]) & 0xFF
    return bytes(out)


def _nested(payload: bytes, place: Token, _places: list[Token], dice: random.Random) -> bytes:
    depth = _DEPTHS[int(dice.random() * len(_DEPTHS))]
    shell = (b"\x91", b"\x92\xc0", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01", b"\xdc\x00\x02\x80")[int(dice.random() * 5)]
    return shell * depth + payload[place.start : place.end]


def _gone(_payload: bytes, _place: Token, _places: list[Token], _dice: random.Random) -> bytes:
    return b""


def _twice(payload: bytes, place: Token, _places: list[Token], _dice: random.Random) -> bytes:
    return payload[place.start : place.end] * 2


def _anothers(payload: bytes, _place: Token, places: list[Token], dice: random.Random) -> bytes:
    other = places[int(dice.random() * len(places))]
    return payload[other.start : other.end]


_WAYS: Final[list[Way]] = [
    *[_other_value] * 10, *[_otherwise] * 8, *[_anothers] * 3, _broken, _broken, _nested, _other_tag, _other_length,
    _gone, _twice,
]  # fmt: skip
