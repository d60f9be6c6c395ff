"""The flow table: what a flow counts, when it is cut and ends, who is client, and what bounds it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import (
    ACK,
    CLIENT,
    FIN,
    PSH,
    RST,
    SERVER,
    SYN,
    T0,
    Conversation,
    S,
    accounted,
    all_records,
    ethernet,
    ipv4,
    ipv6,
    records,
    tcp,
    tcp_frame,
    udp,
)

from common.addresses import address_packed
from common.records import END_REASONS, ORIENTATIONS, FlowRecord, RecordReader, check_flow
from sensor.flow._table import FlowTable

READER = RecordReader(FlowRecord, FlowRecord._fields)


def reason(record: FlowRecord) -> str | None:
    return None if record.end_reason is None else END_REASONS[record.end_reason]


# -- what a flow counts ---------------------------------------------------------------------------


def test_a_whole_connection_is_one_record_with_all_its_volumes() -> None:
    talk = Conversation().handshake()
    talk.out(0.1, PSH | ACK, b"x" * 100, seq=101).back(0.2, ACK, b"y" * 1000, seq=501)
    talk.out(1, FIN | ACK, seq=201).back(1.1, FIN | ACK, seq=1501).out(1.2, ACK, seq=202)
    (record,) = all_records(talk.table)
    assert (record.client_ip, record.client_port) == (b"\x0a\1\1\x09", 1025)
    assert (record.server_ip, record.server_port) == (b"\x0a\1\2\2", 3128)
    assert (record.packets_out, record.packets_in) == (5, 3)
    assert (record.wire_bytes_out, record.wire_bytes_in) == (5 * 40 + 100, 3 * 40 + 1000)
    assert (record.payload_bytes_out, record.payload_bytes_in) == (100, 1000)
    assert (record.tcp_flags_out, record.tcp_flags_in) == (FIN | SYN | PSH | ACK, FIN | SYN | ACK)
    assert (record.flow_start_ns, record.start_ns, record.end_ns) == (T0, T0, T0 + 1_200_000_000)
    assert (record.part, reason(record), record.conn_state) == (0, "end_of_flow", "SF")
    assert record.handshake_rtt_ns == 20_000_000


def test_every_record_passes_the_checks_of_the_wire() -> None:
    talk = Conversation().handshake().close(1)
    talk.table.feed_frame(1, T0, ethernet(ipv6("2001:db8::1", "2001:db8::2", 17, udp(53, 5353, b"x"))))
    rows = []
    while talk.table.flush():
        rows += talk.table.drain()
    for row in rows + talk.table.drain():
        check_flow(READER.read(row))


def test_udp_and_icmp_are_flows_too() -> None:
    table = FlowTable()
    a, b = "10.1.1.9", "10.1.2.2"
    table.feed_frame(1, T0, ethernet(ipv4(a, b, 17, udp(5353, 53, b"question"))))
    table.feed_frame(1, T0 + 1, ethernet(ipv4(b, a, 17, udp(53, 5353, b"long answer"))))
    table.feed_frame(1, T0 + 2, ethernet(ipv4(a, b, 1, b"\x08\0" + bytes(14))))
    table.feed_frame(1, T0 + 3, ethernet(ipv4(b, a, 1, b"\0\0" + bytes(14))))
    ping, dns = sorted(all_records(table), key=lambda record: record.protocol)
    assert (dns.payload_bytes_out, dns.payload_bytes_in, dns.conn_state) == (8, 11, "SF")
    assert (ping.packets_out, ping.packets_in, ping.client_port, ping.server_port) == (1, 1, 8, 0)


@pytest.mark.parametrize(
    ("segments", "unique", "again", "missed"),
    [
        ([(0, 10), (10, 10)], 20, 0, 0),
        ([(0, 10), (0, 10)], 10, 10, 0),
        ([(0, 10), (5, 10)], 15, 5, 0),
        ([(0, 10), (20, 10)], 20, 0, 10),
        ([(0, 10), (20, 10), (10, 10)], 30, 0, 0),
        ([(0, 10), (20, 10), (12, 4)], 24, 0, 6),
        ([(0, 10), (20, 10), (12, 4), (8, 14)], 30, 8, 0),
        ([(10, 10), (0, 10)], 20, 0, 0),
        ([(0, 1), (10, 1), (20, 1), (30, 1), (40, 1), (50, 1), (1, 9)], 6, 9, 45),
    ],
)
@pytest.mark.parametrize("base", [101, 2**32 - 15])
def test_stream_bytes_are_unique_retransmitted_or_missed(
    segments: list[tuple[int, int]], unique: int, again: int, missed: int, base: int
) -> None:
    talk = Conversation().out(0, SYN, seq=base - 1)
    for start, size in segments:
        talk.out(0.1, ACK, bytes(size), seq=(base + start) % 2**32)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.retransmitted_bytes_out, record.missed_bytes_out) == (
        unique,
        again,
        missed,
    )


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6), st.integers(0, 2**32 - 1))
def test_unique_and_missed_bytes_make_up_the_stream_in_any_order(order: list[int], twice: list[int], base: int) -> None:
    talk = Conversation().out(0, SYN, seq=(base - 1) % 2**32)
    for piece in order + twice:
        talk.out(0.1, ACK, bytes(10), seq=(base + piece * 10) % 2**32)
    (record,) = all_records(talk.table)
    assert record.payload_bytes_out + record.missed_bytes_out == 120
    assert record.payload_bytes_out + record.retransmitted_bytes_out == 10 * (12 + len(twice))


def test_data_that_comes_behind_its_acknowledgements_is_neither_missed_nor_repeated() -> None:
    talk = Conversation().handshake()  # as from two interfaces with a direction each
    for number in range(100):
        talk.back(1, ACK, seq=501, ack=101 + 1000 * (number + 1))
    for number in range(100):
        talk.out(1, ACK, bytes(1000), seq=101 + 1000 * number, ack=501)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.retransmitted_bytes_out, record.missed_bytes_out) == (100_000, 0, 0)


@given(st.permutations(range(5)), st.integers(0, 2**32 - 1))
def test_a_stream_picked_up_in_the_middle_grows_backwards_too(order: list[int], base: int) -> None:
    talk = Conversation()
    for piece in order:
        talk.out(0.1, ACK, bytes(10), seq=(base + piece * 10) % 2**32)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.retransmitted_bytes_out, record.missed_bytes_out) == (50, 0, 0)


def test_a_keep_alive_is_no_new_data() -> None:
    talk = Conversation().handshake().out(1, ACK, b"x", seq=100)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.retransmitted_bytes_out) == (0, 1)


def stream(talk: Conversation, start: int, total: int, lost: range = range(0)) -> Conversation:
    """The client sends ``total`` bytes from a sequence number on, in large segments; some are not seen."""
    sent = 0
    while sent < total:
        size = min(65_000, total - sent)
        frame = ethernet(ipv4(CLIENT[0], SERVER[0], 6, tcp(CLIENT[1], SERVER[1], ACK, seq=(start + sent) % 2**32)))
        # The headers claim the payload, as under a short snap length.
        frame = frame[:16] + (40 + size).to_bytes(2) + frame[18:]
        if sent not in lost:
            talk.table.feed_frame(1, T0 + sent, frame, len(frame) + size)
        sent += size
    return talk


@pytest.mark.parametrize("syn", [True, False])
def test_a_stream_of_more_than_two_gibibytes_is_counted_exactly(*, syn: bool) -> None:
    total = 2**31 + 10**8
    talk = Conversation(FlowTable(active_timeout_ns=0))
    if syn:
        talk.out(0, SYN, seq=999)
    lost = range(65_000, 65_000 * 11)
    (record,) = all_records(stream(talk, 1000, total, lost).table)
    missed = sum(65_000 for at in range(0, total, 65_000) if at in lost)
    assert missed == 650_000
    assert record.payload_bytes_out == total - missed
    assert (record.retransmitted_bytes_out, record.missed_bytes_out) == (0, missed)


JUMPS = st.sampled_from([0, 1, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**32 - 2**30, 2**32 - 1, 5000]) | st.integers(
    0, 2**32 - 1
)


@given(st.lists(st.tuples(JUMPS, st.sampled_from([0, 0, 1, 1000, 1400])), max_size=30), st.booleans())
def test_forged_sequence_numbers_never_make_a_count_that_is_not_there(steps: list[tuple[int, int]], syn: bool) -> None:
    talk = Conversation()
    sequence = 1
    if syn:
        talk.out(0, SYN, seq=sequence)
    for jump, size in steps:
        sequence = (sequence + jump) % 2**32
        talk.out(1, ACK, bytes(size), seq=sequence)
    for record in all_records(talk.table):
        assert record.payload_bytes_out + record.retransmitted_bytes_out == sum(size for _, size in steps)
        assert record.missed_bytes_out < 31 * 2**30


@pytest.mark.parametrize(("back", "size", "again"), [(5, 20, 0), (10, 20, 5), (2**30 - 5, 1000, 0)])
def test_gaps_that_add_up_to_more_than_two_gibibytes_leave_no_count_wrong(back: int, size: int, again: int) -> None:
    gap = 2**30 - 1
    talk = Conversation().out(0, SYN, seq=1).out(1, ACK, bytes(10), seq=2)
    sequence = 12
    for step in (gap, gap, gap if back != 10 else 5):
        sequence += step
        talk.out(2, ACK, seq=sequence % 2**32)
    talk.out(3, ACK, bytes(size), seq=(sequence - back) % 2**32)
    (record,) = all_records(talk.table)
    assert record.retransmitted_bytes_out == again
    assert record.payload_bytes_out + again == 10 + size


@pytest.mark.parametrize("flags", [ACK, FIN | ACK])
def test_a_gap_before_a_segment_without_data_is_missed_too(flags: int) -> None:
    talk = Conversation().handshake().out(1, ACK, b"x" * 10, seq=101).out(2, flags, seq=1111)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.missed_bytes_out) == (10, 1000)
    talk = Conversation().handshake().out(1, flags, seq=111).out(2, ACK, b"x" * 10, seq=101)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_out, record.missed_bytes_out) == (10, 0), "it came late"


# -- client and server ----------------------------------------------------------------------------

HIGH, LOW = ("10.1.1.9", 40000), ("192.0.2.1", 30000)
HOME = [(address_packed("10.0.0.0"), 8)]


@pytest.mark.parametrize(
    ("sender", "receiver", "flags", "home", "client", "by"),
    [
        (LOW, HIGH, SYN, (), LOW, "syn"),
        (LOW, HIGH, SYN | ACK, (), HIGH, "syn_ack"),
        (LOW, HIGH, ACK, HOME, HIGH, "home_network"),
        (HIGH, LOW, ACK, HOME, HIGH, "home_network"),
        (("192.0.2.1", 8080), ("192.0.2.2", 2000), ACK, HOME, ("192.0.2.2", 2000), "known_port"),
        (("192.0.2.1", 443), ("192.0.2.2", 2000), RST, (), ("192.0.2.2", 2000), "known_port"),
        (LOW, HIGH, ACK, (), HIGH, "known_port"),
        (("192.0.2.1", 7000), ("192.0.2.2", 7000), ACK, (), ("192.0.2.1", 7000), "first_packet"),
    ],
)
def test_client_and_server_are_told_apart_by_the_best_evidence(
    sender: tuple[str, int],
    receiver: tuple[str, int],
    flags: int,
    home: list[tuple[bytes, int]],
    client: tuple[str, int],
    by: str,
) -> None:
    table = FlowTable(home=home)
    table.feed_frame(1, T0, tcp_frame(sender, receiver, flags))
    (record,) = all_records(table)
    assert (record.client_ip, record.client_port) == (address_packed(client[0]), client[1])
    assert ORIENTATIONS[record.oriented_by] == by


def test_a_udp_answer_seen_first_does_not_make_the_server_a_client() -> None:
    table = FlowTable()
    table.feed_frame(1, T0, ethernet(ipv4("192.0.2.53", "10.1.1.9", 17, udp(53, 40000))))
    (record,) = all_records(table)
    assert record.server_port == 53


def test_parts_of_one_flow_never_change_sides() -> None:
    talk = Conversation(FlowTable(active_timeout_ns=S)).back(0, ACK, b"x")
    talk.out(2, SYN | ACK).out(4, ACK).back(6, ACK)
    parts = all_records(talk.table)
    assert len({(part.flow_id, part.client_ip) for part in parts}) == 1


# -- when flows are cut and end -------------------------------------------------------------------


def test_parts_are_contiguous_and_add_up_to_the_flow() -> None:
    whole, cut = Conversation(FlowTable(active_timeout_ns=0)), Conversation(FlowTable(active_timeout_ns=10 * S))
    for talk in (whole, cut):
        talk.handshake()
        for second in range(1, 100):
            talk.out(second, ACK, b"x" * second, seq=101 + second * 1000)
    (flow,) = all_records(whole.table)
    parts = all_records(cut.table)
    assert [part.part for part in parts] == list(range(len(parts)))
    assert len(parts) == 10
    assert [reason(part) for part in parts] == [None] * 9 + ["forced"]
    assert [part.start_ns for part in parts[1:]] == [part.end_ns for part in parts[:-1]]
    assert {part.flow_start_ns for part in parts} == {T0}
    for name in ("packets_out", "packets_in", "wire_bytes_out", "payload_bytes_out", "missed_bytes_out"):
        assert sum(getattr(part, name) for part in parts) == getattr(flow, name), name
    assert sum(part.end_ns - part.start_ns for part in parts) == flow.end_ns - flow.start_ns


def test_an_open_flow_shows_before_it_closes_even_when_it_falls_silent() -> None:
    talk = Conversation(FlowTable(active_timeout_ns=60 * S)).handshake()
    talk.table.advance(T0 + 61 * S)
    (part,) = records(talk.table)
    assert (part.part, part.end_reason, part.packets_out) == (0, None, 2)
    talk.table.advance(T0 + 600 * S)
    assert records(talk.table) == [], "silence gives no empty parts"


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        ([("out", FIN | ACK), ("back", FIN | ACK), ("out", ACK)], "SF"),
        ([("out", RST | ACK)], "RSTO"),
        ([("back", RST)], "RSTR"),
    ],
)
def test_fin_from_both_sides_or_a_reset_ends_the_flow_after_the_linger(
    ending: list[tuple[str, int]], state: str
) -> None:
    talk = Conversation().handshake()
    talk.back(0.5, ACK, b"x", seq=501)
    for side, flags in ending:
        getattr(talk, side)(1, flags, seq=101 if side == "out" else 502)
    talk.table.advance(T0 + 5 * S)
    assert records(talk.table) == [], "stragglers may still come"
    talk.table.advance(T0 + 7 * S)
    (record,) = records(talk.table)
    assert (reason(record), record.conn_state) == ("end_of_flow", state)


@pytest.mark.parametrize(
    ("talk", "state"),
    [
        (Conversation().out(0, SYN), "S0"),
        (Conversation().handshake(), "S1"),
        (Conversation().out(0, SYN).back(0.1, RST | ACK), "REJ"),
        (Conversation().handshake().out(1, FIN | ACK), "S2"),
        (Conversation().handshake().back(1, FIN | ACK), "S3"),
        (Conversation().out(0, SYN).out(0.1, RST), "RSTOS0"),
        (Conversation().back(0, SYN | ACK).back(1, RST), "RSTRH"),
        (Conversation().out(0, SYN).out(1, FIN), "SH"),
        (Conversation().back(0, SYN | ACK).back(1, FIN), "SHR"),
        (Conversation().out(0, ACK, b"x").back(1, ACK), "OTH"),
    ],
)
def test_conn_state_is_zeeks(talk: Conversation, state: str) -> None:
    (record,) = all_records(talk.table)
    assert record.conn_state == state


@pytest.mark.parametrize(
    ("frame", "timeout_s"),
    [
        (tcp_frame(CLIENT, SERVER, SYN), 60),
        (tcp_frame(CLIENT, SERVER, ACK), 60),
        (ethernet(ipv4("10.1.1.9", "10.1.2.2", 17, udp(1, 2))), 120),
        (ethernet(ipv4("10.1.1.9", "10.1.2.2", 1, bytes(8))), 60),
    ],
)
def test_an_idle_flow_ends_when_its_timeout_has_passed(frame: bytes, timeout_s: int) -> None:
    table = FlowTable(active_timeout_ns=0)
    table.feed_frame(1, T0, frame)
    table.advance(T0 + timeout_s * S)
    assert table.flows_open == 1
    table.advance(T0 + timeout_s * S + S)
    (record,) = records(table)
    assert (reason(record), table.flows_open) == ("idle", 0)


def test_an_unanswered_syn_is_one_record_although_both_its_timeouts_are_a_minute() -> None:
    table = FlowTable()
    table.feed_frame(1, T0, tcp_frame(CLIENT, SERVER, SYN))
    for second in range(59, 63):
        table.advance(T0 + second * S)
    (record,) = records(table)
    assert (record.part, reason(record)) == (0, "idle")


def test_an_established_connection_may_be_silent_for_two_hours() -> None:
    talk = Conversation().handshake().out(7190, ACK)
    talk.table.advance(T0 + 14_000 * S)
    assert talk.table.flows_open == 1
    talk.table.advance(T0 + 14_400 * S)
    assert talk.table.flows_open == 0


def test_a_packet_after_the_idle_timeout_starts_a_new_flow_whenever_the_old_one_is_noticed() -> None:
    talk = Conversation(FlowTable(udp_timeout_ns=S))
    for second in (0, 0.9, 1.8, 3.5):
        talk.table.feed_frame(1, T0 + round(second * S), ethernet(ipv4("10.1.1.9", "10.1.2.2", 17, udp(9, 9))))
    assert [record.packets_out for record in all_records(talk.table)] == [3, 1]


@pytest.mark.parametrize("gap_s", [0.5, 30, 600])
def test_the_same_four_numbers_used_again_are_a_new_flow(gap_s: float) -> None:
    talk = Conversation().handshake().close(1)
    talk.out(1 + gap_s, SYN, seq=90_000).back(1.1 + gap_s, SYN | ACK, seq=70_000).out(1.2 + gap_s, ACK, seq=90_001)
    first, second = sorted(all_records(talk.table), key=lambda record: record.flow_id)
    assert (first.packets_out, second.packets_out) == (4, 2)
    assert first.flow_id != second.flow_id


def test_a_syn_with_another_sequence_number_is_a_new_flow_and_a_repeated_syn_is_not() -> None:
    talk = Conversation().out(0, SYN, seq=1).out(1, SYN, seq=1).out(3, SYN, seq=2)
    assert [record.packets_out for record in all_records(talk.table)] == [2, 1]


def test_a_straggler_within_the_linger_belongs_to_the_old_flow() -> None:
    talk = Conversation().handshake().close(1).back(4, ACK)
    (record,) = all_records(talk.table)
    assert record.packets_in == 3


# -- time -----------------------------------------------------------------------------------------


def test_time_that_steps_back_by_years_ends_nothing_and_timeouts_go_on() -> None:
    talk = Conversation(FlowTable(active_timeout_ns=0)).handshake()
    talk.table.feed_frame(1, T0 - 10**17, tcp_frame(("10.1.1.1", 5), SERVER, SYN))
    talk.table.feed_frame(1, T0 - 10**17 + 30 * S, tcp_frame(("10.1.1.1", 5), SERVER, SYN))
    assert (talk.table.flows_open, talk.table.clock_steps) == (2, 1)
    talk.table.advance(T0 - 10**17 + 120 * S)
    (record,) = records(talk.table)
    assert (record.client_port, record.packets_out, reason(record)) == (5, 2, "idle")


def test_a_flow_goes_on_under_the_clock_as_it_was_set_back() -> None:
    hour = 3600
    talk = Conversation(FlowTable(active_timeout_ns=60 * S)).handshake(hour)
    for number in (1, 2, 30):
        talk.out(number, ACK, b"x", seq=100 + number)
    first, second = all_records(talk.table)
    assert (first.start_ns, first.end_ns, first.packets_out) == (T0 + hour * S, T0 + hour * S + 20_000_000, 2)
    assert (second.start_ns, second.end_ns, second.packets_out) == (T0 + S, T0 + 30 * S, 3)
    for record in (first, second):
        check_flow(record)


def test_without_parts_a_flow_is_one_record_although_the_clock_was_set_back() -> None:
    talk = Conversation(FlowTable(active_timeout_ns=0)).handshake(1000)
    talk.out(1001, ACK, b"x", seq=101, ack=501).out(500, ACK, b"y", seq=102, ack=501).out(501, ACK, seq=103, ack=501)
    (record,) = all_records(talk.table)
    assert (record.part, record.packets_out, record.payload_bytes_out) == (0, 5, 2)
    assert record.flow_start_ns == record.start_ns == T0 + 500 * S
    assert record.end_ns == T0 + 501 * S


def test_a_silent_wire_follows_a_clock_that_was_set_back() -> None:
    table = FlowTable(active_timeout_ns=0)
    table.feed_frame(1, T0, tcp_frame(CLIENT, SERVER, SYN))
    table.advance(T0 - 3600 * S)
    table.advance(T0 - 3600 * S + 61 * S)
    assert [reason(record) for record in records(table)] == ["idle"]


def test_a_silent_wire_ends_thousands_of_flows_at_once() -> None:
    table = FlowTable()
    for number in range(10_000):
        table.feed_frame(1, T0, syn(number))
    ended = []
    for turn in range(10):
        table.advance(T0 + 62 * S + turn * S // 10)
        ended += records(table)
    assert len(ended) == 10_000
    assert (table.flows_open, table.records_dropped) == (0, 0)


def test_a_little_disorder_leaves_starts_and_ends_in_order() -> None:
    talk = Conversation().out(1, SYN).back(0.9, SYN | ACK).out(0.95, ACK)
    (record,) = all_records(talk.table)
    assert record.flow_start_ns == record.start_ns == record.end_ns == T0 + S


@pytest.mark.parametrize("time_ns", [-1, 1 << 62])
def test_a_packet_without_a_possible_time_is_rejected(time_ns: int) -> None:
    table = FlowTable()
    table.feed_frame(1, time_ns, tcp_frame(CLIENT, SERVER, SYN))
    assert table.rejected_by_reason() == {"bad_time": 1}
    assert accounted(table)


# -- vlan -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("in_key", "flows"), [(True, 2), (False, 1)])
def test_the_same_addresses_on_two_vlans_are_two_flows_unless_told_otherwise(*, in_key: bool, flows: int) -> None:
    table = FlowTable(vlan_in_key=in_key)
    packet = ipv4("10.1.1.9", "10.1.2.2", 6, tcp(1, 2, ACK))
    for vlan in (10, 20):
        table.feed_frame(1, T0, ethernet(packet, vlans=[vlan]))
    found = all_records(table)
    assert len(found) == flows
    assert found[0].vlan == 10


# -- bounds ---------------------------------------------------------------------------------------


def syn(number: int) -> bytes:
    return tcp_frame((f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1 + number % 60000), SERVER, SYN)


def test_a_full_table_gives_up_the_flow_that_was_silent_longest() -> None:
    table = FlowTable(max_flows=3)
    for second, number in enumerate([1, 2, 3, 1, 4]):
        table.feed_frame(1, T0 + second * 2 * S, syn(number))
    (evicted,) = records(table)
    assert (evicted.client_port, reason(evicted)) == (3, "lack_of_resources")
    assert (table.flows_open, table.flows_evicted) == (3, 1)


def test_a_full_table_keeps_the_flow_that_goes_on_and_gives_up_the_silent_one() -> None:
    table = FlowTable(max_flows=2, active_timeout_ns=0)
    busy = Conversation(table).handshake()
    silent = Conversation(table, ("10.1.1.9", 2000)).handshake(10)
    for second in range(11, 50):
        busy.out(second, ACK, b"x", seq=101 + second - 11, ack=501)
    Conversation(table, ("10.1.1.9", 3000)).out(50, SYN)
    (given_up,) = records(table)
    assert (given_up.client_port, given_up.end_reason) == (silent.ends[0][1], 5)


def test_flows_in_use_outlive_a_flood_whatever_their_number() -> None:
    table = FlowTable(max_flows=500)
    ends = [(("10.1.1.9", port), SERVER) for port in range(1, 41)]
    for client, server in ends:
        table.feed_frame(1, T0, tcp_frame(client, server, SYN, seq=100))
        table.feed_frame(1, T0, tcp_frame(server, client, SYN | ACK, seq=500, ack=101))
    for step in range(1, 41):
        now = T0 + step * S // 2
        for client, server in ends:
            table.feed_frame(1, now, tcp_frame(client, server, ACK, seq=101, ack=501))
        for number in range(100):
            table.feed_frame(1, now + number, syn(1000 + step * 100 + number))
    evicted = records(table)
    assert len(evicted) > 3000
    assert not [record for record in evicted if record.packets_in]


def test_a_full_table_lets_a_closed_flow_go_before_it_gives_up_an_open_one() -> None:
    talk = Conversation(FlowTable(max_flows=2))
    talk.table.feed_frame(1, T0, syn(1))
    talk.handshake(1).out(2, RST)
    talk.table.feed_frame(1, T0 + 3 * S, syn(2))
    (record,) = records(talk.table)
    assert (reason(record), record.packets_out, talk.table.flows_evicted) == ("end_of_flow", 3, 0)


def test_a_flood_of_syns_stays_inside_the_bound_and_loses_no_count() -> None:
    table = FlowTable(max_flows=500)
    found = []
    for number in range(5000):
        table.feed_frame(1, T0 + number * 1000, syn(number))
        found += records(table)
    assert table.flows_open == 500
    found += all_records(table)
    assert sum(record.packets_out for record in found) == table.accepted == 5000
    assert table.records_dropped == 0
    assert len({record.flow_id for record in found}) == 5000


def test_records_that_nobody_takes_are_kept_while_python_feeds() -> None:
    table = FlowTable(max_flows=1)
    for number in range(10_000):
        table.feed_frame(1, T0 + number, syn(number))
    assert len(table.drain()) == 9_999


def test_flow_ids_count_up_from_the_first_one_given() -> None:
    table = FlowTable(first_flow_id=7)
    for number in range(3):
        table.feed_frame(1, T0, syn(number))
    assert sorted(record.flow_id for record in all_records(table)) == [7, 8, 9]


@given(st.randoms(use_true_random=False), st.binary(min_size=32, max_size=32))
def test_packets_in_equal_packets_in_flows_whatever_comes(rng: random.Random, seed: bytes) -> None:
    table = FlowTable(
        max_flows=rng.randrange(1, 20), active_timeout_ns=rng.choice([0, S, 60 * S]), udp_timeout_ns=S, seed=seed
    )
    found = []
    time_ns = T0
    for _ in range(rng.randrange(300)):
        time_ns += rng.choice([0, 1, S // 10, S, 100 * S, -S, -1000 * S])
        ends = ("10.0.0.1", rng.randrange(4)), ("10.0.0.2", rng.randrange(4))
        source, target = ends if rng.random() < 0.5 else ends[::-1]
        data = bytes(rng.randrange(30))
        if rng.random() < 0.7:
            frame = tcp_frame(source, target, rng.randrange(32), data, seq=rng.getrandbits(32))
        else:
            frame = ethernet(ipv4(source[0], target[0], 17, udp(source[1], target[1], data)))
        table.feed_frame(1, time_ns, frame[: rng.choice([len(frame)] * 5 + [20])], len(frame))
        found += records(table)
    found += all_records(table)
    assert accounted(table)
    assert table.flows_open == 0
    assert sum(record.packets_out + record.packets_in for record in found) == table.accepted
    assert sum(record.wire_bytes_out + record.wire_bytes_in for record in found) == table.wire_bytes
    assert len({(record.flow_id, record.part) for record in found}) == len(found) == table.records
    for record in found:
        check_flow(READER.read(tuple(record)))
    finals = [record.flow_id for record in found if record.end_reason is not None]
    assert sorted(finals) == sorted({record.flow_id for record in found}), "each flow ends once"


def test_the_hash_seed_changes_nothing_but_the_buckets() -> None:
    outcomes = set()
    for seed in (b"\0" * 32, b"\xa5" * 32):
        table = FlowTable(seed=seed)
        for number in range(500):
            table.feed_frame(1, T0 + number * S // 10, syn(number % 170))
        outcomes.add(tuple(all_records(table)))
    assert len(outcomes) == 1


# -- thresholds and traces ------------------------------------------------------------------------


def test_thresholds_fire_once_while_the_flow_is_open_and_only_above_the_limit() -> None:
    talk = Conversation(FlowTable(alarm_duration_ns=10 * S, alarm_bytes=100, alarm_packets=5))
    talk.handshake().out(10, ACK, bytes(100), seq=101)
    assert talk.table.drain_events() == []
    talk.back(10.5, ACK, b"x", seq=501).out(11, ACK).out(12, ACK)
    events = talk.table.drain_events()
    assert [(kind, fields[2], fields[3]) for kind, _, fields in events] == [
        ("bytes", 101, 100), ("duration", 10_500_000_000, 10 * S), ("packets", 6, 5),
    ]  # fmt: skip
    assert talk.table.alarms == 3
    assert talk.table.flows_open == 1


def test_the_duration_threshold_counts_from_the_flows_start_not_the_parts() -> None:
    talk = Conversation(FlowTable(alarm_duration_ns=100 * S, active_timeout_ns=10 * S)).handshake()
    for second in range(5, 120, 5):
        talk.out(second, ACK)
    assert [kind for kind, _, _ in talk.table.drain_events()] == ["duration"]


def test_a_trace_says_new_flow_and_the_direction_of_every_packet() -> None:
    talk = Conversation(FlowTable(trace=True)).out(0, SYN).back(1, SYN | ACK)
    assert [(kind, client) for kind, client, _ in talk.table.drain_events()] == [
        ("new_flow", True), ("packet", True), ("packet", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [{"max_flows": 0}, {"max_flows": 2**31}, {"seed": b"short"}, {"home": [(b"\0" * 4, 8)] * 1025}]
)
def test_impossible_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"max_flows|seed|home"):
        FlowTable(**arguments)  # type: ignore[arg-type]
