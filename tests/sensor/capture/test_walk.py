"""The capture walker: formats, byte orders, resolutions, pieces, damage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import (
    CLIENT,
    SERVER,
    SYN,
    T0,
    S,
    accounted,
    all_records,
    block,
    enhanced,
    interface,
    pcap,
    section,
    tcp_frame,
)

from sensor.capture._walk import CaptureDamaged, CaptureWalker, NotACapture
from sensor.flow._table import FlowTable

FRAMES = [(T0 + n * S + 1234, tcp_frame((CLIENT[0], 2000 + n), SERVER, SYN)) for n in range(5)]
PCAPNG = section() + interface() + b"".join(enhanced(time // 1000, frame) for time, frame in FRAMES)


def walk(data: bytes, piece: int | None = None, expression: str = "") -> tuple[FlowTable, CaptureWalker, int]:
    """Feed data whole, or as if it arrived ``piece`` bytes at a time; return what was left over."""
    table = FlowTable()
    walker = CaptureWalker(table, expression)
    start = end = 0
    while end < len(data) or start == 0:
        end = min(end + (piece or len(data)), len(data))
        while used := walker.feed(data[start:end]):
            start += used
        if end == len(data):
            break
    return table, walker, len(data) - start


def starts(table: FlowTable) -> list[int]:
    return [record.flow_start_ns for record in all_records(table)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_is_read_in_both_byte_orders_and_resolutions(*, order: str, nanoseconds: bool) -> None:
    table, walker, left = walk(pcap(FRAMES, order=order, nanoseconds=nanoseconds))
    assert (walker.format, left, table.accepted) == ("pcap", 0, 5)
    assert starts(table)[0] == T0 + (1234 if nanoseconds else 1000)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_is_read_in_both_byte_orders(order: str) -> None:
    data = section(order) + interface(order=order) + enhanced(T0 // 1000, FRAMES[0][1], order=order)
    table, walker, left = walk(data)
    assert (walker.format, left, table.accepted) == ("pcapng", 0, 1)
    assert starts(table) == [T0]


@pytest.mark.parametrize(
    ("resolution", "units", "expected_ns"),
    [
        (None, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (0, 1_700_000_000, 1_700_000_000 * S),
        (3, 1_700_000_000_123, 1_700_000_000_123_000_000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (10, 17_000_000_001_234_567_891, 1_700_000_000_123_456_789),
        (0x80 | 1, 3_400_000_001, 1_700_000_000_500_000_000),
        (0x80 | 32, (1_700_000_000 << 32) + (1 << 30), 1_700_000_000_250_000_000),
        (0x80 | 60, (7 << 60) + (1 << 58), 7_250_000_000),
    ],
)
def test_pcapng_resolutions_become_nanoseconds(resolution: int | None, units: int, expected_ns: int) -> None:
    table, _, _ = walk(section() + interface(resolution=resolution) + enhanced(units, FRAMES[0][1]))
    assert starts(table) == [expected_ns]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_time_offset_is_added(order: str) -> None:
    data = section(order) + interface(resolution=0, offset_s=-100, order=order)
    table, _, _ = walk(data + enhanced(1000, FRAMES[0][1], order=order))
    assert starts(table) == [900 * S]


@pytest.mark.parametrize(("resolution", "units"), [(0, 2**63), (6, 2**64 - 1), (0x80 | 1, 2**64 - 1)])
def test_a_pcapng_time_out_of_range_rejects_the_packet_and_nothing_else(resolution: int, units: int) -> None:
    data = section() + interface(resolution=resolution) + enhanced(units, FRAMES[0][1]) + enhanced(5, FRAMES[0][1])
    table, _, _ = walk(data)
    assert (table.rejected_by_reason(), table.accepted) == ({"bad_time": 1}, 1)


def test_each_pcapng_interface_has_its_own_link_type_and_resolution() -> None:
    frame = FRAMES[0][1]
    data = section() + interface(1, 9) + interface(101, 6)
    table, _, _ = walk(data + enhanced(T0, frame, 0) + enhanced(T0 // 1000 + 5, frame[14:], 1))
    (record,) = all_records(table)
    assert (record.packets_out, record.end_ns) == (2, T0 + 5000)


def test_a_new_pcapng_section_forgets_the_interfaces_of_the_last_and_may_change_byte_order() -> None:
    table, _, left = walk(PCAPNG + section(">") + interface(order=">") + enhanced(T0 // 1000, FRAMES[0][1], order=">"))
    assert (table.accepted, left) == (6, 0)
    with pytest.raises(CaptureDamaged, match="malformed block of type 6"):
        walk(PCAPNG + section() + enhanced(T0 // 1000, FRAMES[0][1]))


def test_simple_and_obsolete_packet_blocks_and_unknown_blocks_are_taken() -> None:
    frame = FRAMES[0][1]
    old = block(
        2, struct.pack("<HHIIII", 0, 0, T0 // 1000 >> 32, T0 // 1000 & 0xFFFFFFFF, len(frame), len(frame)) + frame
    )
    table, _, left = walk(
        section() + interface() + old + block(3, struct.pack("<I", len(frame)) + frame) + block(99, b"x" * 40)
    )
    assert (table.accepted, left) == (2, 0)


@pytest.mark.parametrize("data", [pcap(FRAMES), PCAPNG])
@pytest.mark.parametrize("piece", [1, 7, 100])
def test_pieces_of_any_size_give_what_the_whole_gives(data: bytes, piece: int) -> None:
    whole, pieces = walk(data), walk(data, piece)
    assert pieces[2] == 0
    assert all_records(pieces[0]) == all_records(whole[0])
    assert pieces[1].offset == len(data)


@pytest.mark.parametrize("data", [pcap(FRAMES), PCAPNG])
def test_a_cut_anywhere_keeps_the_whole_packets_before_it(data: bytes) -> None:
    for cut in range(len(data)):
        table, walker, left = walk(data[:cut])
        assert walker.offset + left == cut
        assert table.packets <= 5
        assert accounted(table)
    assert table.packets == 4


@pytest.mark.parametrize(
    "data", [b"not a capture at all", b"\xa1\xb2\xcd\x34" + bytes(40), b"\xd4\xc3\xb2\xa1\3\0\0\0" + bytes(40)]
)
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(NotACapture):
        walk(data)


def test_an_absurd_record_length_is_damage_with_its_offset_after_the_packets_before_it() -> None:
    good = pcap(FRAMES)
    table = FlowTable()
    walker = CaptureWalker(table)
    data = good + struct.pack("<IIII", 0, 0, 2**31, 60) + bytes(100)
    assert walker.feed(data) == len(good)
    with pytest.raises(CaptureDamaged, match=f"at offset {len(good)}") as caught:
        walker.feed(data[len(good) :])
    assert (caught.value.offset, table.accepted) == (len(good), 5)


@pytest.mark.parametrize(
    ("bad", "fact"),
    [
        (struct.pack("<III", 6, 8, 8), "claims 8 bytes"),
        (struct.pack("<III", 6, 13, 13) + b"x", "claims 13 bytes"),
        (struct.pack("<III", 6, 2**31, 0), "claims"),
        (struct.pack("<IIII", 99, 16, 0, 20), "two lengths differ"),
        (block(6, bytes(10)), "malformed block of type 6"),
        (block(6, struct.pack("<IIIII", 9, 0, 0, 0, 0)), "malformed block of type 6"),
        (block(6, struct.pack("<IIIII", 0, 0, 0, 999, 999)), "malformed block of type 6"),
        (block(1, b"\1\0"), "malformed block of type 1"),
        (interface(resolution=0xFF), "malformed block of type 1"),
        (interface(resolution=99), "malformed block of type 1"),
        (block(0x0A0D0D0A, bytes(16)), "without a byte order"),
    ],
)
def test_pcapng_damage_is_named_and_everything_before_it_counts(bad: bytes, fact: str) -> None:
    table = FlowTable()
    walker = CaptureWalker(table)
    data = PCAPNG + bad
    assert walker.feed(data) == len(PCAPNG)
    with pytest.raises(CaptureDamaged, match=fact):
        walker.feed(data[len(PCAPNG) :])
    assert table.accepted == 5


@pytest.mark.parametrize("data", [pcap(FRAMES), PCAPNG])
def test_a_filter_leaves_packets_out_and_counts_them(data: bytes) -> None:
    table, _, _ = walk(data, expression="tcp src port 2002 or tcp src port 2003")
    assert (table.packets, table.accepted, table.filtered) == (5, 2, 3)
    assert accounted(table)


def test_a_bad_filter_is_refused_with_libpcaps_words() -> None:
    with pytest.raises(ValueError, match="syntax error"):
        walk(pcap(FRAMES), expression="tcp prt 80")


def test_a_filter_that_a_later_interface_refuses_leaves_no_packet_uncounted() -> None:
    table = FlowTable()
    walker = CaptureWalker(table, "tcp or vlan")
    with pytest.raises(ValueError, match="no VLAN support"):
        walker.feed(PCAPNG + interface(228))
    assert (table.packets, table.accepted) == (5, 5)


def test_a_link_type_may_say_that_frames_end_in_a_check_sequence() -> None:
    table, walker, _ = walk(pcap([(T0, FRAMES[0][1] + b"\0\0\0\0")], link_type=0x24000001))
    assert (table.accepted, walker.unknown_link_types) == (1, set())


def test_an_unknown_link_type_rejects_its_packets_and_is_remembered() -> None:
    table, walker, _ = walk(pcap(FRAMES, link_type=147))
    assert (walker.unknown_link_types, table.rejected_by_reason()) == ({147}, {"unknown_link_type": 5})


def test_a_walker_stops_for_a_table_that_wants_to_be_drained() -> None:
    table = FlowTable(max_flows=1)
    walker = CaptureWalker(table)
    data = pcap((T0 + n, tcp_frame((CLIENT[0], n), SERVER, SYN)) for n in range(1, 10_000))
    start, handed_out = 0, 0
    while used := walker.feed(data[start:]):
        start += used
        handed_out += len(table.drain())
    assert (start, handed_out, table.records_dropped) == (len(data), 9998, 0)


@given(st.integers(0, len(PCAPNG) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_bytes_changed_anywhere_give_packets_or_a_declared_error(at: int, change: bytes, ng: bool) -> None:
    good = PCAPNG if ng else pcap(FRAMES)
    data = good[:at] + change + good[at + len(change) :]
    table = FlowTable()
    walker = CaptureWalker(table)
    start = 0
    try:
        while used := walker.feed(data[start:]):
            start += used
    except (NotACapture, CaptureDamaged):
        pass
    assert accounted(table)
    assert sum(record.packets_out + record.packets_in for record in all_records(table)) == table.accepted
