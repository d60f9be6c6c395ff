"""A connection made of bursts, as the records that the sensor would hand out about it.

The counting is that of ``sensor/flow/_shape.pxd`` and of the flow table's parts; tests/test_simulate.py feeds packets
of the same bursts to the sensor itself and compares.  What is simpler here: a burst's segments follow each other
within a bin of the gap histogram, a receiver acknowledges every second segment, only the first headers have options.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from common.records import FlowRecord

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
OUT, IN = 0, 1
SEGMENT: Final = 1448  # Ethernet's 1500 bytes less IP and TCP headers with timestamps
ACTIVE_NS: Final = 60 * SECOND  # the sensor's default: a record a minute while a flow is open
_HEADER = 52
_HANDSHAKE_BYTES = 60
_SEGMENT_NS = 230_000  # 50 Mbit/s on the way
_CHUNK = 4_000 * SEGMENT  # about a second's worth: what takes longer is told in several bursts
_SIZES = (20, 64, 128, 256, 512, 1024, 1400)
_GAPS = tuple(ms * MS for ms in (10, 50, 200, 1_000, 2_000, 10_000, 60_000))
_MOST_SPLT = 32
_EXACT_GAP_MS, _GAP_STEP_MS = 32_768, 512
_LONGEST_GAP_MS = (_EXACT_GAP_MS - 1) * _GAP_STEP_MS
_KEYSTROKE, _KEY, _ECHO = 20, 128, 256
_END_OF_FLOW, _IDLE = 3, 1

# Bytes that one side sends after a silence in nanoseconds, from the end of the burst before.
Burst = tuple[int, int, int]


class Known(NamedTuple):
    """What the sensor knows about a flow from its first bytes."""

    app_out: str | None
    app_in: str | None
    host: str | None
    facts: dict[str, str | int] | None
    anomalies: tuple[str, ...] | None
    looks: tuple[float, float, int, float] | None
    """Of the client's first 256 bytes: set bits per byte, printable share, longest printable run, entropy."""


NOTHING_KNOWN: Final = Known(None, None, None, None, None, None)


class Ends(NamedTuple):
    """Who talks to whom."""

    client: bytes
    client_port: int
    server: bytes
    server_port: int
    protocol: int = 6


class _Part:
    """The counters of one record."""

    __slots__ = (
        "began_ns", "data", "echoes", "exchange_gaps", "exchanges", "gaps", "keys", "longest_ns", "m2", "max_gap",
        "mean", "min_gap", "missed", "packets", "pairs", "payload", "sizes", "typed",
    )  # fmt: skip

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.packets, self.payload, self.data, self.missed = [0, 0], [0, 0], [0, 0], [0, 0]
        self.sizes, self.gaps = ([0] * 8, [0] * 8), ([0] * 8, [0] * 8)
        self.keys = self.pairs = self.typed = self.echoes = 0
        self.exchanges = self.exchange_gaps = self.min_gap = self.max_gap = self.longest_ns = 0
        self.mean = self.m2 = 0.0


class Talk:
    """A conversation in the making; ``say`` what happens, then take its ``records``."""

    def __init__(self, start_ns: int, rtt_ns: int, *, tcp: bool = True, active_ns: int = ACTIVE_NS) -> None:
        self.start_ns = self.now_ns = self.last_ns = start_ns
        self._rtt_ns, self._tcp, self._active_ns = rtt_ns, tcp, active_ns
        self._part = _Part(start_ns)
        self._part_start_ns = start_ns
        self._done: list[tuple[_Part, int, int, int]] = []
        self._data_ns: list[int | None] = [None, None]
        self._last_side: int | None = None
        self._splt: list[tuple[int, int]] = []
        self._waiting = self._exchanged = self._after_key = False
        self._pending_ns = -1
        self._key_ns = self._echoed_key_ns = self._echo_ns = 0
        if tcp:
            self._part.packets[:] = [2, 1]  # SYN, SYN-ACK, ACK
            self.now_ns = self.last_ns = start_ns + rtt_ns
            self._part.longest_ns = rtt_ns

    def play(self, bursts: Iterable[Burst]) -> Talk:
        """Say a whole script."""
        for side, size, gap_ns in bursts:
            self.say(side, size, gap_ns)
        return self

    def say(self, side: int, size: int, gap_ns: int, lost: int = 0) -> None:
        """One side sends ``size`` bytes after a silence; ``lost`` of its segments are not seen by the sensor."""
        while size > _CHUNK:
            self._burst(side, _CHUNK, gap_ns, 0)
            size, gap_ns = size - _CHUNK, _SEGMENT_NS
        self._burst(side, size, gap_ns, lost)

    def lose(self, dice: random.Random, bursts: Iterable[Burst], share: float) -> Talk:
        """Say a script of which the sensor misses a share of the segments."""
        for side, size, gap_ns in bursts:
            segments = -(-size // SEGMENT)
            lost = sum(dice.random() < share for _ in range(min(segments, 200)))
            self.say(side, size, gap_ns, lost * segments // min(segments, 200))
        return self

    def _burst(self, side: int, size: int, gap_ns: int, lost: int) -> None:
        at_ns = self.now_ns + gap_ns
        full, rest = divmod(size, SEGMENT)
        segments = full + (rest > 0)
        self.now_ns = at_ns + (segments - 1) * _SEGMENT_NS
        if lost >= segments:
            self._part.missed[side] += size
            return
        if self._active_ns and at_ns - self._part.began_ns > self._active_ns:
            self._cut(at_ns)
        part = self._part
        if at_ns - self.last_ns > part.longest_ns:
            part.longest_ns = at_ns - self.last_ns
        if lost:
            away = min(size - 1, lost * SEGMENT)
            part.missed[side] += away
            size, segments = size - away, segments - lost
            full, rest = divmod(size, SEGMENT)
        before_ns = self._data_ns[side]
        gaps = part.gaps[side]
        if before_ns is not None:
            gaps[bisect_left(_GAPS, at_ns - before_ns)] += 1
        gaps[0] += segments - 1
        part.sizes[side][7] += full
        if rest:
            part.sizes[side][bisect_left(_SIZES, rest)] += 1
        part.payload[side] += size
        part.data[side] += segments
        part.packets[side] += segments
        if self._tcp:
            part.packets[1 - side] += (segments + 1) // 2
        if len(self._splt) < _MOST_SPLT:
            self._tell_first(side, full, rest, at_ns)
        if self._tcp:
            if side == OUT:
                self._note_keys(segments, rest or SEGMENT, -1 if before_ns is None else at_ns - before_ns)
            self._note_echo(side, segments, size, at_ns)
        self._note_exchange(side, at_ns)
        self._data_ns[side] = self.last_ns = self.now_ns
        self._last_side = side

    def _cut(self, at_ns: int) -> None:
        """Hand out the part before a burst that comes after its time."""
        self._done.append((self._part, self._part_start_ns, self.last_ns, len(self._splt)))
        self._part_start_ns = self.last_ns
        self._part = _Part(at_ns)

    def _tell_first(self, side: int, full: int, rest: int, at_ns: int) -> None:
        before_ns = None if self._last_side is None else self._data_ns[self._last_side]
        gap_ms = 0 if before_ns is None else max(0, at_ns - before_ns) // MS
        if gap_ms >= _EXACT_GAP_MS:
            gap_ms = min(gap_ms // _GAP_STEP_MS * _GAP_STEP_MS, _LONGEST_GAP_MS)
        room = min(_MOST_SPLT - len(self._splt), full + (rest > 0))
        for place in range(room):
            size = SEGMENT if place < full else rest
            self._splt.append((-size if side else size, 0 if place else gap_ms))

    def _note_keys(self, segments: int, last: int, gap_ns: int) -> None:
        part = self._part
        if segments > 1:
            self._after_key = False
            gap_ns = _SEGMENT_NS
        if last > _KEYSTROKE:
            self._after_key = False
            return
        part.keys += 1
        if self._after_key:
            part.pairs += 1
            part.typed += 10 <= gap_ns // MS <= 2_000
        self._after_key = True

    def _note_echo(self, side: int, segments: int, size: int, at_ns: int) -> None:
        if side == OUT:
            # Of several segments the last alone can be the keystroke.
            self._key_ns = self.now_ns if (size - 1) % SEGMENT < _KEY else 0
            return
        if not self._key_ns:
            return
        if (size if segments == 1 else SEGMENT) <= _ECHO:
            client_us, server_us = (self._key_ns - self._echoed_key_ns) // 1000, (at_ns - self._echo_ns) // 1000
            if self._echo_ns and client_us >= 50_000 and 816 * server_us <= client_us * 1000 <= 1122 * server_us:
                self._part.echoes += 1
            self._echoed_key_ns, self._echo_ns = self._key_ns, at_ns
        self._key_ns = 0

    def _note_exchange(self, side: int, at_ns: int) -> None:
        part = self._part
        if side == OUT:
            if self._last_side != OUT:
                before_ns = self._data_ns[IN]
                self._pending_ns = max(0, at_ns - before_ns) if self._exchanged and before_ns is not None else -1
                self._waiting = True
            return
        if not self._waiting:
            return
        self._waiting, self._exchanged = False, True
        part.exchanges += 1
        gap_ns = self._pending_ns
        if gap_ns < 0:
            return
        part.min_gap = min(part.min_gap, gap_ns) if part.exchange_gaps else gap_ns
        part.max_gap = max(part.max_gap, gap_ns)
        part.exchange_gaps += 1
        delta = gap_ns / SECOND - part.mean
        part.mean += delta / part.exchange_gaps
        part.m2 += delta * (gap_ns / SECOND - part.mean)

    def records(self, flow_id: int, ends: Ends, known: Known, *, closes: bool = True) -> list[FlowRecord]:
        """Return the records of the conversation, which is over; ``closes``: by FIN, otherwise it fell silent."""
        if self._tcp and closes:
            at_ns = self.now_ns + self._rtt_ns
            if self._active_ns and at_ns - self._part.began_ns > self._active_ns:
                self._cut(at_ns)
            self._part.packets[OUT] += 2
            self._part.packets[IN] += 1
            self._part.longest_ns = max(self._part.longest_ns, at_ns - self.last_ns)
            self.last_ns = at_ns
        parts = [*self._done, (self._part, self._part_start_ns, self.last_ns, len(self._splt))]
        answered = self._tcp and bool(self._data_ns[IN] is not None or closes)
        found = []
        told = 0
        has_payload = False
        for number, (part, start_ns, end_ns, splt) in enumerate(parts):
            last = number == len(parts) - 1
            payload_out, payload_in = part.payload
            packets_out, packets_in = part.packets
            gapped = part.exchange_gaps > 0
            tcp = self._tcp
            has_payload = has_payload or any(part.data)  # parts before the first payload have no counts of it
            found.append(
                FlowRecord(
                    flow_id, number, (_END_OF_FLOW if tcp and closes else _IDLE) if last else None, ends.protocol, None,
                    ends.client, ends.client_port, ends.server, ends.server_port, 1 if tcp else 4,
                    self.start_ns, start_ns, end_ns, packets_out, packets_in,
                    payload_out + packets_out * (_HEADER if tcp else 28) + (0 if number or not tcp else 16),
                    payload_in + packets_in * (_HEADER if tcp else 28) + (0 if number or not tcp else 8),
                    payload_out, payload_in, 0, 0,
                    sum(one[0].missed[OUT] for one in parts) if last else 0,
                    sum(one[0].missed[IN] for one in parts) if last else 0,
                    (0x1B if last and closes else 0x1A) if tcp else 0,
                    (0x1B if last and closes else 0x1A) if answered else 0,
                    ("SF" if last and closes else "S1") if tcp else "SF",
                    ("ShADadFf" if last and closes else "ShADad") if tcp else "Dd",
                    self._rtt_ns if tcp else None, end_ns if last and closes and tcp else None,
                    part.data[OUT] if has_payload else None, part.data[IN] if has_payload else None,
                    tuple(part.sizes[OUT]) if part.data[OUT] else None,
                    tuple(part.sizes[IN]) if part.data[IN] else None,
                    tuple(part.gaps[OUT]) if any(part.gaps[OUT]) else None,
                    tuple(part.gaps[IN]) if any(part.gaps[IN]) else None, part.longest_ns,
                    *((part.keys, part.pairs, part.typed, part.echoes) if tcp and has_payload else (None,) * 4),
                    *((part.exchanges, part.exchange_gaps) if has_payload else (None,) * 2),
                    part.mean if gapped else None, part.m2 if gapped else None,
                    part.min_gap if gapped else None, part.max_gap if gapped else None,
                    tuple(self._splt[:splt]) if splt > told else None,
                    known.app_out, known.app_in,
                    *(known.looks if known.looks is not None and not number else (None, None, None, None)),
                    known.host, known.facts, known.anomalies,
                )
            )  # fmt: skip
            told = splt
        return found


def refused(start_ns: int, flow_id: int, ends: Ends, *, answered: bool) -> FlowRecord:
    """Return the record of a SYN that was refused, or sent three times without an answer."""
    tries = 1 if answered else 3
    end_ns = start_ns + (20 * MS if answered else 7 * SECOND)
    return FlowRecord(
        flow_id, 0, _END_OF_FLOW if answered else _IDLE, 6, None, ends.client, ends.client_port, ends.server,
        ends.server_port, 1, start_ns, start_ns, end_ns, tries, int(answered), _HANDSHAKE_BYTES * tries,
        40 * answered, tcp_flags_out=0x02, tcp_flags_in=0x14 * answered, conn_state="REJ" if answered else "S0",
        history="Sr" if answered else "S", data_packets_out=0, data_packets_in=0,
        max_idle_ns=0 if answered else 4 * SECOND, keystroke_packets=0, keystroke_pairs=0, keystroke_typed_pairs=0,
        echoes=0, exchanges=0, exchange_gaps=0,
    )  # fmt: skip
