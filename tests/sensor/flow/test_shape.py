"""Sizes, gaps, keystrokes, echoes, exchanges, first packets and first payload, against plain computations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import (
    ACK,
    CLIENT,
    FIN,
    SERVER,
    SYN,
    T0,
    Conversation,
    S,
    all_records,
    ethernet,
    ipv4,
    records,
    tcp_frame,
    udp,
)

from common.records import FlowRecord
from sensor.flow._table import FlowTable

SIZES = (20, 64, 128, 256, 512, 1024, 1400)
GAPS_MS = (10, 50, 200, 1000, 2000, 10_000, 60_000)
MS = S // 1000


class Talk:
    """A connection whose data follows the sequence numbers; times in ms since its handshake."""

    def __init__(self, **settings: Any) -> None:
        self.conversation = Conversation(FlowTable(active_timeout_ns=0, **settings)).handshake(-0.1)
        self.next = {"out": 101, "back": 501}

    def say(self, at_ms: float, side: str, data: bytes) -> Talk:
        other = "back" if side == "out" else "out"
        send = getattr(self.conversation, side)
        send(at_ms / 1000, ACK, data, seq=self.next[side] & 0xFFFFFFFF, ack=self.next[other] & 0xFFFFFFFF)
        self.next[side] += len(data)
        return self

    def record(self) -> FlowRecord:
        (record,) = all_records(self.conversation.table)
        return record


def bin_of(value: float, limits: tuple[int, ...]) -> int:
    return sum(value > limit for limit in limits)


def histogram(values: Sequence[float], limits: tuple[int, ...]) -> tuple[int, ...] | None:
    found = Counter(bin_of(value, limits) for value in values)
    return tuple(found[number] for number in range(8)) if values else None


segments = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 9, 10, 11, 50, 51, 60, 200, 201, 1000, 1001, 2000, 2001, 10_000, 60_000, 60_001]),
        st.sampled_from(["out", "back"]),
        st.sampled_from([1, 20, 21, 64, 65, 128, 129, 256, 512, 513, 1024, 1400, 1401]),
    ),
    max_size=60,
)


@given(segments)
def test_everything_equals_a_plain_computation_over_the_segments(steps: list[tuple[int, str, int]]) -> None:
    talk = Talk(tcp_timeout_ns=10**6 * S)
    at_ms = 0
    timed = []
    for gap_ms, side, size in steps:
        at_ms += gap_ms
        talk.say(at_ms, side, bytes(size))
        timed.append((at_ms, side, size))
    record = talk.record()
    if not timed:
        assert (record.data_packets_out, record.payload_sizes_out, record.exchanges, record.splt) == (None,) * 4
        return
    for way, side in (("out", "out"), ("in", "back")):
        mine = [(at, size) for at, who, size in timed if who == side]
        assert getattr(record, f"data_packets_{way}") == len(mine)
        assert getattr(record, f"payload_sizes_{way}") == histogram([size for _, size in mine], SIZES)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(mine)]
        assert getattr(record, f"gaps_{way}") == histogram(gaps, GAPS_MS)
    assert record.splt == first_packets(timed)
    assert keystrokes(record) == typed([(at, size) for at, who, size in timed if who == "out"])
    check_exchanges(record, timed)


def first_packets(timed: list[tuple[int, str, int]]) -> tuple[tuple[int, int], ...]:
    gaps = [0, *(later[0] - earlier[0] for earlier, later in pairwise(timed))]
    return tuple(
        (size if side == "out" else -size, gap if gap < 32768 else gap // 512 * 512)
        for (_, side, size), gap in zip(timed, gaps, strict=True)
    )[:32]


def keystrokes(record: FlowRecord) -> tuple[int | None, ...]:
    return record.keystroke_packets, record.keystroke_pairs, record.keystroke_typed_pairs


def typed(mine: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Zhang and Paxson's three counts."""
    pairs = [(later[0] - earlier[0]) for earlier, later in pairwise(mine) if earlier[1] <= 20 and later[1] <= 20]
    return sum(size <= 20 for _, size in mine), len(pairs), sum(10 <= gap <= 2000 for gap in pairs)


def check_exchanges(record: FlowRecord, timed: list[tuple[int, str, int]]) -> None:
    """A run of client segments before a run of the server's is an exchange; gaps are between these."""
    runs: list[tuple[str, int, int]] = []
    for at_ms, side, _ in timed:
        if runs and runs[-1][0] == side:
            runs[-1] = (side, runs[-1][1], at_ms)
        else:
            runs.append((side, at_ms, at_ms))
    exchanges = [(one[1], other[2]) for one, other in pairwise(runs) if one[0] == "out"]
    gaps_s = [(later[0] - earlier[1]) / 1000 for earlier, later in pairwise(exchanges)]
    assert (record.exchanges, record.exchange_gaps) == (len(exchanges), len(gaps_s))
    if not gaps_s:
        assert record.exchange_gap_mean_s is record.exchange_gap_min_ns is None
        return
    mean = math.fsum(gaps_s) / len(gaps_s)
    assert record.exchange_gap_mean_s == pytest.approx(mean)
    assert record.exchange_gap_m2_s2 == pytest.approx(math.fsum((gap - mean) ** 2 for gap in gaps_s), abs=1e-9)
    assert record.exchange_gap_min_ns == pytest.approx(min(gaps_s) * S, abs=2)
    assert record.exchange_gap_max_ns == pytest.approx(max(gaps_s) * S, abs=2)


def test_repeated_segments_and_keep_alives_are_no_data_packets() -> None:
    talk = Talk().say(0, "out", b"hello")
    talk.conversation.out(0.2, ACK, b"hello", seq=101, ack=501).out(50, ACK, b"o", seq=105, ack=501)
    record = talk.record()
    assert (record.packets_out, record.data_packets_out, record.payload_sizes_out) == (5, 1, (1, 0, 0, 0, 0, 0, 0, 0))
    assert record.splt == ((5, 0),)


def test_what_a_later_part_tells_is_only_new() -> None:
    conversation = Conversation(FlowTable(active_timeout_ns=60 * S)).handshake()
    conversation.out(1, ACK, b"x" * 30, seq=101, ack=501).back(2, ACK, b"y", seq=501, ack=131)
    conversation.out(70, ACK, b"x", seq=131, ack=502).back(71, ACK, b"y", seq=502, ack=132)
    conversation.out(140, ACK, seq=132, ack=503)
    first, second, third = records(conversation.table) + all_records(conversation.table)
    assert (first.data_packets_out, second.data_packets_out, third.data_packets_out) == (1, 1, 0)
    assert (first.splt, second.splt, third.splt) == (
        ((30, 0), (-1, 1000)), ((30, 0), (-1, 1000), (1, 68_000 // 512 * 512), (-1, 1000)), None,
    )  # fmt: skip
    assert (first.exchanges, first.exchange_gaps, second.exchanges, second.exchange_gaps) == (1, 0, 1, 1)
    assert second.exchange_gap_min_ns == 68 * S
    assert second.gaps_out == (0, 0, 0, 0, 0, 0, 0, 1)
    assert (third.payload_sizes_out, third.exchange_gap_mean_s) == (None, None)
    assert first.first_printable == 1.0
    assert second.first_printable is None


def test_max_idle_is_the_longest_silence_before_a_packet_of_the_part() -> None:
    conversation = Conversation(FlowTable(active_timeout_ns=60 * S)).handshake()
    conversation.out(30, ACK, seq=101).back(35, ACK, seq=501).out(100, ACK, seq=101).out(101, ACK, seq=101)
    first, second = records(conversation.table) + all_records(conversation.table)
    assert (first.max_idle_ns, second.max_idle_ns) == (30 * S - 20 * MS, 65 * S)


def test_a_typist_on_a_shell_is_seen_by_the_echoes() -> None:
    talk = Talk()
    for number in range(10):
        talk.say(number * 300, "out", b"k" * 36).say(number * 300 + 20, "back", b"k" * 36)
    record = talk.record()
    # The first echo is the one that the others are measured by.
    assert record.echoes == 9


@pytest.mark.parametrize(
    ("interval_ms", "key_bytes", "echo_bytes", "delay_ms"),
    [
        (40, 36, 36, lambda _: 20),  # too fast for a person
        (300, 200, 36, lambda _: 20),  # no keystroke
        (300, 36, 600, lambda _: 20),  # output, no echo
        (300, 36, 36, lambda number: 20 + 200 * (number % 2)),  # the answers keep another pace
    ],
)
def test_what_is_no_echo(interval_ms: int, key_bytes: int, echo_bytes: int, delay_ms: Any) -> None:
    talk = Talk()
    for number in range(10):
        talk.say(number * interval_ms, "out", bytes(key_bytes))
        talk.say(number * interval_ms + delay_ms(number), "back", bytes(echo_bytes))
    assert talk.record().echoes == 0


def test_an_echo_acknowledges_its_keystroke() -> None:
    conversation = Conversation(FlowTable()).handshake()
    for number in range(5):
        conversation.out(number, ACK, b"k", seq=101 + number, ack=501 + number)
        conversation.back(number + 0.02, ACK, b"k", seq=501 + number, ack=101 + number)
    (record,) = all_records(conversation.table)
    assert record.echoes == 0


def test_udp_has_sizes_gaps_and_exchanges_and_no_keystrokes() -> None:
    table = FlowTable()
    for second in range(3):
        table.feed_frame(1, T0 + second * S, ethernet(ipv4(CLIENT[0], SERVER[0], 17, udp(4000, 53, b"what"))))
        table.feed_frame(1, T0 + second * S, ethernet(ipv4(SERVER[0], CLIENT[0], 17, udp(53, 4000, bytes(300)))))
    (record,) = all_records(table)
    assert (record.data_packets_out, record.payload_sizes_in) == (3, (0, 0, 0, 0, 3, 0, 0, 0))
    assert (record.exchanges, record.exchange_gap_mean_s) == (3, 1.0)
    assert (record.keystroke_packets, record.echoes) == (None, None)


def test_a_histogram_counts_beyond_16_bits() -> None:
    table = FlowTable(active_timeout_ns=0)
    frame = ethernet(ipv4(CLIENT[0], SERVER[0], 17, udp(4000, 53, b"x")))
    for number in range(70_000):
        table.feed_frame(1, T0 + number, frame)
    (record,) = all_records(table)
    assert record.payload_sizes_out == (70_000, 0, 0, 0, 0, 0, 0, 0)
    assert record.gaps_out == (69_999, 0, 0, 0, 0, 0, 0, 0)
    assert record.data_packets_out == 70_000


@given(st.binary(min_size=1, max_size=400) | st.text(min_size=1, max_size=300).map(str.encode).filter(len))
def test_the_first_payload_is_measured_as_a_plain_computation_says(data: bytes) -> None:
    record = Talk().say(0, "out", data).say(1, "out", bytes(300)).record()
    sample = data[:256]
    assert record.first_popcount == pytest.approx(sum(byte.bit_count() for byte in sample) / len(sample), rel=1e-5)
    assert record.first_printable == pytest.approx(sum(0x20 <= byte < 0x7F for byte in sample) / len(sample), rel=1e-5)
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "\0" for byte in sample)
    assert record.first_printable_run == max(map(len, text.split("\0")))
    shares = [count / len(sample) for count in Counter(sample).values()]
    assert record.first_entropy == pytest.approx(-math.fsum(share * math.log2(share) for share in shares), abs=1e-3)


@pytest.mark.parametrize(
    "talk",
    [
        Conversation().out(0, ACK, b"GET / HTTP/1.1", seq=7),  # picked up in the middle
        Conversation().handshake().out(1, ACK, b"later", seq=201, ack=501),  # the first segment was not seen
        Conversation().handshake().back(1, ACK, b"banner", seq=501, ack=101),  # the server's
        Conversation().handshake(),
    ],
)
def test_the_first_payload_is_the_first_that_the_client_sent_or_none(talk: Conversation) -> None:
    (record,) = all_records(talk.table)
    assert record.first_popcount is record.first_entropy is None


def test_a_segment_that_comes_late_is_still_the_first_payload() -> None:
    talk = Conversation().handshake().out(1, ACK, b"\0\0", seq=103, ack=501).out(2, ACK, b"AB", seq=101, ack=501)
    (record,) = all_records(talk.table)
    assert (record.first_printable, record.first_printable_run) == (1.0, 2)


def test_data_on_the_syn_is_the_first_payload() -> None:
    (record,) = all_records(Conversation().out(0, SYN, b"early", seq=100).table)
    assert (record.first_printable_run, record.payload_bytes_out) == (5, 5)


def test_a_cut_payload_is_measured_as_far_as_it_was_captured() -> None:
    talk = Conversation().handshake()
    whole = tcp_frame(CLIENT, SERVER, ACK, b"ABCD\0\0\0\0", seq=101, ack=501)
    talk.table.feed_frame(1, T0 + S, whole[:-4], len(whole))
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.first_printable) == (8, 1.0)


def test_what_follows_the_end_leaves_the_shape_alone() -> None:
    talk = Talk().say(0, "out", b"x").say(1, "back", b"y")
    talk.conversation.out(1, FIN | ACK, seq=102, ack=502).back(1.1, FIN | ACK, seq=502, ack=103)
    talk.conversation.out(1.2, ACK, seq=103, ack=503)
    record = talk.record()
    assert (record.data_packets_out, record.data_packets_in) == (1, 1)
