"""What the flows of the large store look like inside: packets, sizes, gaps and flags, drawn by kind of service."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Mapping
from itertools import starmap
from typing import Any, Final, NamedTuple

import msgpack

from common.records import FlowRecord

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
_SEGMENT = 1448
_SIZE_BOUNDS = (20, 64, 128, 256, 512, 1024, 1400)
_GAP_BOUNDS = tuple(ms * MS for ms in (10, 50, 200, 1_000, 2_000, 10_000, 60_000))
_LONGEST_PAUSE = 100 * SECOND  # servers' patience
PART: Final = 300 * SECOND
_MOST_SPLT = 32
_NO_ADDRESS = bytes(4)
_FIELDS = FlowRecord._fields
_FRONT = slice(_FIELDS.index("part"), _FIELDS.index("client_ip"))
_VOLUME = slice(_FIELDS.index("packets_out"), _FIELDS.index("handshake_rtt_ns"))
_SHAPE = slice(_FIELDS.index("data_packets_out"), _FIELDS.index("first_popcount"))
_FIRST = slice(_FIELDS.index("first_popcount"), _FIELDS.index("host"))
# Of TCP, the flags of both sides, the history and the state, with their weights.
_ENDINGS = (
    ((0x1B, 0x1B, "ShADadFf", "SF"), (0x1B, 0x1B, "ShADadfF", "SF"), (0x1E, 0x1B, "ShADadfR", "RSTO")),
    (5, 4, 1),
)
_OPEN = (0x1A, 0x1A, "ShADad", "S1")
_FAILURES = ((0x02, 0x00, "S", "S0", 0), (0x02, 0x14, "Sr", "REJ", 1))


class Habit(NamedTuple):
    """How the flows of one kind behave; medians of lognormal distributions, each with its sigma."""

    protocol: int
    exchanges: float
    """Mean of a Pareto-like count."""
    request: tuple[float, float]
    """Bytes."""
    response: tuple[float, float]
    think: tuple[float, float]
    """Milliseconds between an answer and the next exchange."""
    hello: tuple[int, ...] = ()
    """Bytes of the first data packets, negative from the server: TLS greetings and banners."""
    entropy: tuple[float, float] = (5.0, 6.5)
    ends: bool = True


HABITS: Final[Mapping[str, Habit]] = {
    "tls": Habit(6, 2.6, (420, 0.8), (5_000, 1.9), (300, 2.2), (517, -1448, -1448, -900, 64), (5.8, 7.2)),
    "http": Habit(6, 1.8, (430, 0.6), (6_000, 1.9), (250, 2.1)),
    "mail": Habit(6, 5.0, (60, 1.2), (220, 1.4), (90, 1.2), (-80, 24, -220)),
    "ssh": Habit(6, 9.0, (52, 0.7), (90, 1.3), (450, 1.4), (-41, 32, 1448, -1080), (4.6, 5.2)),
    "other": Habit(6, 3.0, (120, 1.3), (600, 1.8), (400, 1.9)),
    "quic": Habit(17, 3.0, (500, 0.9), (5_000, 1.8), (300, 2.0), (1250, -1250, -1250), (7.0, 7.6)),
    "dns": Habit(17, 1.05, (40, 0.2), (130, 0.5), (5, 0.5)),
    "ntp": Habit(17, 1.0, (48, 0.0), (48, 0.0), (5, 0.5)),
    "beacon": Habit(6, 1.0, (380, 0.2), (250, 0.3), (40, 0.5), (517, -1448, -900, 64), (5.8, 7.2)),
    "tunnel": Habit(6, 40.0, (70, 0.8), (160, 1.6), (2_500, 1.0), entropy=(6.5, 7.4), ends=False),
    "tunnel's end": Habit(6, 20.0, (70, 0.8), (160, 1.6), (2_500, 1.0), entropy=(6.5, 7.4)),
}


class Shape(NamedTuple):
    """A flow without who, when and where: pieces of a packed record, and what those need."""

    front: bytes
    volume: bytes
    inside: bytes
    duration_ns: int
    handshake: bool
    closes: bool


def pool(dice: random.Random, kind: str, count: int, *, failing: float = 0.0) -> list[Shape]:
    """Return shapes of a kind, some of connections that were never answered; what lasts longer is in parts."""
    habit = HABITS[kind]
    shapes: list[Shape] = []
    while len(shapes) < count:
        shape = failed(dice) if habit.protocol == 6 and dice.random() < failing else drawn(dice, habit)
        if shape.duration_ns < PART:
            shapes.append(shape)
    return shapes


def bulk(dice: random.Random, kind: str) -> Shape:
    """Return a shape of its own with a transfer from the far end of the tail, up to some GB."""
    megabytes = min(dice.paretovariate(1.1), 3_000.0)
    sizes = (megabytes * 2e6, 0.3), HABITS[kind].request
    upload = dice.random() < 0.15
    request, response = sizes if upload else sizes[::-1]
    return drawn(dice, HABITS[kind]._replace(exchanges=1.2, request=request, response=response, think=(50, 0.5)))


def front(shape: Shape, part: int) -> bytes:
    """Return a shape's first values for a later part of its flow."""
    return msgpack.packb(part) + shape.front[1:]


def failed(dice: random.Random) -> Shape:
    """Return the shape of a SYN that was refused or not answered."""
    flags_out, flags_in, history, state, answers = _FAILURES[dice.random() < 0.4]
    tries = 1 if answers else dice.choice((1, 2, 3, 4))
    values = {
        "packets_out": tries, "wire_bytes_out": 60 * tries, "packets_in": answers, "wire_bytes_in": 40 * answers,
        "tcp_flags_out": flags_out, "tcp_flags_in": flags_in, "history": history, "conn_state": state,
        "end_reason": 3 if answers else 1,
    }  # fmt: skip
    return _packed(6, values, SECOND * (1 << tries) - SECOND if not answers else 20 * MS, handshake=False, closes=False)


def drawn(dice: random.Random, habit: Habit) -> Shape:
    """Return one shape of a habit."""
    talk = _Talk(dice)
    for size in habit.hello:
        talk.send(abs(size), 0 if size > 0 else 1, int(dice.uniform(1, 40) * MS))
    pauses = []
    for number in range(_exchanges(dice, habit.exchanges)):
        pause = min(int(_lognormal(dice, habit.think) * MS), _LONGEST_PAUSE) if number else MS
        pauses.append(pause)
        talk.send(max(1, int(_lognormal(dice, habit.request))), 0, pause)
        talk.send(max(1, int(_lognormal(dice, habit.response))), 1, int(dice.lognormvariate(3.2, 0.7) * MS))
    return _packed(
        habit.protocol,
        talk.values(habit, pauses),
        talk.elapsed_ns + int(dice.uniform(1, 20) * MS),
        handshake=habit.protocol == 6,
        closes=habit.protocol == 6 and habit.ends,
    )


class _Talk:
    """A conversation so far, out (0) and in (1)."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._sizes = [0] * 8, [0] * 8
        self._gaps = [0] * 8, [0] * 8
        self._payload = [0, 0]
        self._data_packets = [0, 0]
        self._last_ns: list[int | None] = [None, None]
        self._splt: list[tuple[int, int]] = []
        self._max_gap_ns = 0
        self._typed: list[bool] = []
        self.elapsed_ns = 0

    def send(self, size: int, side: int, gap_ns: int) -> None:
        """One side sends so many bytes after a silence, in full segments and a rest."""
        self.elapsed_ns += gap_ns
        self._max_gap_ns = max(self._max_gap_ns, gap_ns)
        full, rest = divmod(size, _SEGMENT)
        if self._last_ns[side] is not None:
            self._gaps[side][bisect_left(_GAP_BOUNDS, self.elapsed_ns - self._last_ns[side])] += 1
        segments = full + bool(rest)
        self._gaps[side][0] += segments - 1
        self._sizes[side][7] += full
        if rest:
            self._sizes[side][bisect_left(_SIZE_BOUNDS, rest)] += 1
        room = min(_MOST_SPLT - len(self._splt), segments)
        for place in range(room):
            bytes_here = _SEGMENT if place < full else rest
            self._splt.append((-bytes_here if side else bytes_here, 0 if place else min(gap_ns // MS, 32_000)))
        if not side:
            self._typed.append(size <= 20)
        self._payload[side] += size
        self._data_packets[side] += segments
        self.elapsed_ns += segments * 12_000  # about 1 Gbit/s
        self._last_ns[side] = self.elapsed_ns

    def values(self, habit: Habit, pauses: list[int]) -> dict[str, Any]:
        """Return the fields of a record."""
        dice, tcp = self._dice, habit.protocol == 6
        flags_out, flags_in, history, state = _OPEN
        if tcp and habit.ends:
            ((flags_out, flags_in, history, state),) = dice.choices(*_ENDINGS)
        packets = [
            count + (2 + self._data_packets[1 - side] // 2 if tcp else 0)
            for side, count in enumerate(self._data_packets)
        ]
        again = _SEGMENT * dice.randrange(1, 4) if tcp and dice.random() < 0.04 else 0
        gaps_s = [pause / SECOND for pause in pauses[1:]]
        mean_s = sum(gaps_s) / len(gaps_s) if gaps_s else None
        keys = sum(self._typed)
        pairs = sum(starmap(lambda one, other: one and other, zip(self._typed, self._typed[1:], strict=False)))
        header = 52 if tcp else 28
        return {
            "end_reason": None if not habit.ends else 3 if tcp else 1,
            "packets_out": packets[0], "packets_in": packets[1],
            "wire_bytes_out": self._payload[0] + header * packets[0],
            "wire_bytes_in": self._payload[1] + header * packets[1] + again,
            "payload_bytes_out": self._payload[0], "payload_bytes_in": self._payload[1],
            "retransmitted_bytes_in": again,
            "tcp_flags_out": flags_out if tcp else 0, "tcp_flags_in": flags_in if tcp else 0,
            "conn_state": state if tcp else "SF", "history": history if tcp else "Dd",
            "data_packets_out": self._data_packets[0], "data_packets_in": self._data_packets[1],
            "payload_sizes_out": self._sizes[0], "payload_sizes_in": self._sizes[1],
            "gaps_out": self._gaps[0], "gaps_in": self._gaps[1],
            "max_idle_ns": self._max_gap_ns,
            "keystroke_packets": keys, "keystroke_pairs": pairs, "keystroke_typed_pairs": pairs, "echoes": pairs // 2,
            "exchanges": len(pauses), "exchange_gaps": len(gaps_s),
            "exchange_gap_mean_s": mean_s,
            "exchange_gap_m2_s2": None if mean_s is None else sum((gap - mean_s) ** 2 for gap in gaps_s),
            "exchange_gap_min_ns": min(pauses[1:], default=None), "exchange_gap_max_ns": max(pauses[1:], default=None),
            "splt": self._splt,
            "first_popcount": dice.uniform(3.4, 4.1), "first_printable": dice.uniform(0.3, 1.0),
            "first_printable_run": dice.randrange(3, 200), "first_entropy": dice.uniform(*habit.entropy),
        }  # fmt: skip


def _packed(protocol: int, values: Mapping[str, Any], duration_ns: int, *, handshake: bool, closes: bool) -> Shape:
    record = FlowRecord(0, 0, None, protocol, None, _NO_ADDRESS, 0, _NO_ADDRESS, 0, 1, 0, 0, 0)._replace(**values)
    inside = _pieces(record[_SHAPE]) + _pieces(record[_FIRST], single=True)
    return Shape(_pieces(record[_FRONT]), _pieces(record[_VOLUME]), inside, duration_ns, handshake, closes)


def _pieces(values: tuple[Any, ...], *, single: bool = False) -> bytes:
    """Return values packed one after another, those with a point in single or double precision."""
    return b"".join(msgpack.packb(value, use_single_float=single) for value in values)


def _lognormal(dice: random.Random, of: tuple[float, float]) -> float:
    median, sigma = of
    return median * dice.lognormvariate(0, sigma) if sigma else median


def _exchanges(dice: random.Random, mean: float) -> int:
    """Return a number with a heavy tail and about this mean, from 1 to 400."""
    return 1 if mean <= 1 else max(1, min(400, round((mean - 0.5) / 2 * dice.paretovariate(1.8))))
