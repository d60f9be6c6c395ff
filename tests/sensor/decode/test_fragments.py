"""IP fragments put together: any cut in any order is the whole again, and nothing hostile grows or is lost."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import (
    ACK,
    T0,
    S,
    accounted,
    all_records,
    ethernet,
    ipv4,
    ipv4_fragment,
    ipv6,
    ipv6_fragment,
    tcp,
    udp,
)

from sensor.decode._fragments import Reassembler
from sensor.decode._frame import decode
from sensor.flow._table import FlowTable

A, B = "192.0.2.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::2"
SEGMENT = tcp(1025, 80, ACK, bytes(range(100)), seq=7, ack=9)
WHOLE = ipv4(A, B, 6, SEGMENT)
WHOLE6 = ipv6(A6, B6, 6, SEGMENT)
SIZE = len(SEGMENT)


def feed(table: FlowTable, *packets: bytes, at_s: float = 0.0) -> FlowTable:
    for packet in packets:
        table.feed_frame(1, T0 + round(at_s * S), ethernet(packet))
    return table


def put_together(*packets: bytes) -> list[dict[str, Any]]:
    """What each packet gives in turn, those that wait for others left out."""
    reassembler = Reassembler()
    seen = [reassembler.decode(1, T0, ethernet(packet)) for packet in packets]
    return [each for each in seen if each != {"rejected": "fragment"}]


def counts(table: FlowTable) -> tuple[int, int, dict[str, int]]:
    assert accounted(table)
    return table.accepted, table.fragments, table.rejected_by_reason()


@st.composite
def cut_up(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A packet and its fragments in any order, some of them twice."""
    data = draw(st.binary(min_size=1, max_size=200))
    protocol, transport = draw(st.sampled_from([(6, tcp(1, 2, ACK, data)), (17, udp(5, 6, data))]))
    version4 = draw(st.booleans())
    words = draw(st.integers(5, 15))
    packet = ipv4(A, B, protocol, transport, header_words=words) if version4 else ipv6(A6, B6, protocol, transport)
    size = len(transport)
    inner = draw(st.sets(st.integers(1, (size - 1) // 8), min_size=1, max_size=12))
    cuts = [0, *(8 * n for n in sorted(inner)), size]
    pieces = [
        ipv4_fragment(packet, start, end, header=words * 4) if version4 else ipv6_fragment(packet, start, end)
        for start, end in pairwise(cuts)
    ]
    order = draw(st.permutations(pieces))
    for _ in range(draw(st.integers(0, 3))):
        # A repeat of one that came before, and not after the datagram is whole.
        at = draw(st.integers(1, len(order) - 1))
        order.insert(at, order[draw(st.integers(0, at - 1))])
    return packet, order


@given(cut_up())
def test_any_cut_in_any_order_with_repeats_gives_the_packet_that_was_cut(case: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = case
    assert put_together(*pieces) == [decode(1, ethernet(whole))]


@given(cut_up())
def test_the_flow_counts_the_datagram_once_and_the_rest_as_fragments(case: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = case
    table = feed(FlowTable(), *pieces)
    assert counts(table) == (1, len(pieces) - 1, {})
    assert table.wire_bytes == len(whole)
    assert (table.reassembler.datagrams, table.reassembler.held_bytes) == (0, 0)
    (cut,), (uncut,) = all_records(table), all_records(feed(FlowTable(), whole))
    assert cut == uncut


def test_the_missing_of_a_fragment_is_told_when_the_table_is_flushed() -> None:
    table = feed(FlowTable(), ipv4_fragment(WHOLE, 0, 48), ipv4_fragment(WHOLE, 96, SIZE))
    assert counts(table) == (0, 2, {})
    assert all_records(table) == []
    assert counts(table) == (0, 0, {"fragment_incomplete": 2})


@pytest.mark.parametrize(
    ("later_s", "joined"), [(29.9, True), (30.1, False), (-29.9, True), (-30.1, False), (-1e6, False)]
)
def test_fragments_more_than_thirty_seconds_apart_do_not_meet(*, later_s: float, joined: bool) -> None:
    table = feed(FlowTable(), ipv4_fragment(WHOLE, 0, 48))
    feed(table, ipv4_fragment(WHOLE, 48, SIZE), at_s=later_s)
    assert counts(table) == ((1, 1, {}) if joined else (0, 1, {"fragment_incomplete": 1}))


def test_time_passing_without_fragments_gives_them_up_too() -> None:
    table = feed(FlowTable(), ipv4_fragment(WHOLE, 0, 48), WHOLE)
    table.advance(T0 + 31 * S)
    assert counts(table) == (1, 0, {"fragment_incomplete": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (WHOLE, ipv4(B, A, 6, SEGMENT)),
        (WHOLE, ipv4(A, B, 17, SEGMENT)),
        (WHOLE, WHOLE[:4] + b"\xff\xff" + WHOLE[6:]),
    ],
)
def test_only_what_has_the_same_ends_protocol_and_id_is_put_together(one: bytes, other: bytes) -> None:
    assert put_together(ipv4_fragment(one, 0, 48), ipv4_fragment(other, 48, SIZE)) == []
    assert len(put_together(ipv4_fragment(one, 0, 48), ipv4_fragment(one, 48, SIZE))) == 1


@pytest.mark.parametrize(("vlan_in_key", "accepted"), [(True, 0), (False, 1)])
def test_the_vlan_tells_datagrams_apart_where_it_tells_flows_apart(*, vlan_in_key: bool, accepted: int) -> None:
    table = FlowTable(vlan_in_key=vlan_in_key)
    for vlan, piece in ((1, ipv4_fragment(WHOLE, 0, 48)), (2, ipv4_fragment(WHOLE, 48, SIZE))):
        table.feed_frame(1, T0, ethernet(piece, vlans=[vlan]))
    assert table.accepted == accepted


def test_of_overlapping_ipv4_data_the_first_that_came_stays() -> None:
    other = WHOLE[:20] + bytes(SIZE)
    (seen,) = put_together(
        ipv4_fragment(WHOLE, 40, 64), ipv4_fragment(other, 24, 104), ipv4_fragment(other, 104, SIZE),
        ipv4_fragment(WHOLE, 0, 24),
    )  # fmt: skip
    assert seen["source_port"] == 1025
    assert seen["content"] == bytes(range(4)) + bytes(16) + bytes(range(20, 44)) + bytes(56)


def test_an_ipv6_overlap_drops_the_datagram_and_all_that_comes_of_it_later() -> None:
    table = feed(FlowTable(), ipv6_fragment(WHOLE6, 0, 48), ipv6_fragment(WHOLE6, 40, 80))
    assert counts(table) == (0, 0, {"fragment_bad": 2})
    feed(table, ipv6_fragment(WHOLE6, 0, 48), ipv6_fragment(WHOLE6, 48, SIZE))
    assert counts(table) == (0, 0, {"fragment_bad": 4})
    feed(table, ipv6_fragment(WHOLE6, 0, 48), ipv6_fragment(WHOLE6, 48, SIZE), at_s=31)
    assert counts(table) == (1, 1, {"fragment_bad": 4})


def test_a_mere_repeat_of_an_ipv6_fragment_is_no_overlap() -> None:
    piece = ipv6_fragment(WHOLE6, 48, SIZE)
    assert counts(feed(FlowTable(), piece, piece, ipv6_fragment(WHOLE6, 0, 48))) == (1, 2, {})


@pytest.mark.parametrize(
    "pieces",
    [
        [ipv4_fragment(WHOLE, 8, 48, more=False), ipv4_fragment(WHOLE, 48, SIZE)],
        [ipv4_fragment(WHOLE, 48, SIZE), ipv4_fragment(WHOLE, 8, 48, more=False)],
        [ipv4_fragment(WHOLE, 8, 48, more=False), ipv4_fragment(WHOLE, 0, 56)],
        [ipv4_fragment(WHOLE, 96, SIZE, more=True), ipv4_fragment(WHOLE, 48, 80, more=False)],
        # teardrop: the second ends before the first does
        [ipv4_fragment(WHOLE, 0, 56), ipv4_fragment(WHOLE, 24, 28, more=False)],
        [ipv6_fragment(WHOLE6, 8, 48, more=False), ipv6_fragment(WHOLE6, 48, SIZE)],
    ],
)
def test_fragments_that_disagree_about_the_end_are_dropped_together(pieces: list[bytes]) -> None:
    assert counts(feed(FlowTable(), *pieces)) == (0, 0, {"fragment_bad": 2})


@pytest.mark.parametrize(
    "piece",
    [
        ipv4_fragment(WHOLE, 8, 8, more=True),
        ipv4(A, B, 1, bytes(100), fragment=8191),
        ipv6_fragment(WHOLE6, 48, 48, more=False),
        ipv6_fragment(WHOLE6, 0, 47, more=True),
        ipv6(A6, B6, 44, struct.pack(">BxHI", 58, 0xFFF8, 1) + bytes(100)),
    ],
)
def test_a_fragment_that_cannot_be_is_dropped_alone(piece: bytes) -> None:
    table = feed(FlowTable(), ipv4_fragment(WHOLE, 0, 48), ipv6_fragment(WHOLE6, 0, 48), piece)
    assert counts(table) == (0, 2, {"fragment_bad": 1})
    feed(table, ipv4_fragment(WHOLE, 48, SIZE), ipv6_fragment(WHOLE6, 48, SIZE))
    assert counts(table) == (2, 2, {"fragment_bad": 1})


def test_a_longer_first_header_may_not_carry_the_datagram_over_64_kib() -> None:
    first = ipv4_fragment(ipv4(A, B, 17, bytes(65500), header_words=15, total=0), 0, 48, header=60)
    rest = [
        ipv4_fragment(ipv4(A, B, 17, bytes(65500), total=0), start, end) for start, end in ((48, 40000), (40000, 65500))
    ]
    assert counts(feed(FlowTable(), *rest, first)) == (0, 0, {"fragment_bad": 3})


@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        (ipv4(A, B, 17, udp(1, 2, bytes(65507))), ipv4_fragment),
        (ipv6(A6, B6, 17, udp(1, 2, bytes(65527))), ipv6_fragment),
    ],
)
def test_the_largest_datagram_there_is_comes_through(whole: bytes, cut: Any) -> None:
    size = len(whole) - (20 if cut is ipv4_fragment else 40)
    (seen,) = put_together(*(cut(whole, start, min(start + 1448, size)) for start in range(0, size, 1448)))
    assert (seen["wire_bytes"], len(seen["content"])) == (len(whole), size - 8)


def test_more_fragments_than_a_datagram_may_have_are_dropped() -> None:
    whole = ipv4(A, B, 17, udp(1, 2, bytes(8 * 600)))
    table = feed(FlowTable(), *(ipv4_fragment(whole, at * 16, at * 16 + 8, more=True) for at in range(257)))
    assert counts(table) == (0, 0, {"fragment_bad": 257})


def test_tiny_fragments_that_split_the_transport_header_are_put_together() -> None:
    pieces = [ipv4_fragment(WHOLE, at, min(at + 8, SIZE)) for at in range(0, SIZE, 8)]
    assert put_together(*pieces) == [decode(1, ethernet(WHOLE))]


@pytest.mark.parametrize("captured", range(14, 34 + 48))
def test_bytes_that_were_not_captured_are_not_made_up(captured: int) -> None:
    first, rest = ethernet(ipv4_fragment(WHOLE, 0, 48)), ethernet(ipv4_fragment(WHOLE, 48, SIZE))
    reassembler = Reassembler()
    one = reassembler.decode(1, T0, first[:captured], len(first))
    seen = reassembler.decode(1, T0, rest)
    if captured < 34:
        assert (one, seen) == ({"rejected": "truncated_ip"}, {"rejected": "fragment"})
    elif captured < 34 + 14:
        assert seen == {"rejected": "truncated_transport"}
    else:
        assert (seen["wire_bytes"], seen["payload_bytes"]) == (len(WHOLE), 100)
        assert seen["content"] == bytes(range(max(captured - 54, 0)))


def test_fragments_inside_a_tunnel_and_of_a_tunnel_are_put_together() -> None:
    inner = [ipv4(B, A, 47, b"\0\0\x08\0" + ipv4_fragment(WHOLE, *part)) for part in ((0, 48), (48, SIZE))]
    assert put_together(*inner) == [decode(1, ethernet(WHOLE))]
    pieces = [ipv4_fragment(packet, *part) for packet in inner for part in ((0, 16), (16, len(packet) - 20))]
    assert put_together(*pieces) == [decode(1, ethernet(WHOLE))]
    assert counts(feed(FlowTable(), *pieces)) == (1, 3, {})


def test_a_datagram_of_datagrams_of_datagrams_has_an_end() -> None:
    packet = SEGMENT + bytes(4)
    following = 6
    for number in range(30):
        packet = struct.pack(">BxHI", following, 0, number) + packet
        following = 44
    whole = ipv6(A6, B6, 44, packet)
    table = feed(FlowTable(), ipv6_fragment(whole, 0, 48), ipv6_fragment(whole, 48, len(packet)))
    assert counts(table)[0] == 0


@pytest.mark.parametrize("size", [8, 1400])
def test_a_flood_stays_within_its_bounds_and_the_oldest_goes(size: int) -> None:
    table = FlowTable()
    bounds = table.reassembler
    for number in range(6000):
        packet = ipv4(A, B, 17, bytes(size * 2))
        piece = packet[:4] + struct.pack(">H", number) + packet[6:]
        feed(table, ipv4_fragment(piece, 0, size))
        assert bounds.datagrams <= bounds.max_datagrams
        assert bounds.held_bytes <= bounds.max_bytes
    waiting = table.fragments
    assert waiting == bounds.datagrams > 100
    assert counts(table) == (0, waiting, {"fragment_incomplete": 6000 - waiting})
    last = ipv4(A, B, 17, bytes(size * 2))
    feed(table, ipv4_fragment(last[:4] + struct.pack(">H", 5999) + last[6:], size, size * 2))
    assert table.fragments == waiting, "the youngest was still there"


def test_bytes_are_bounded_before_the_number_of_datagrams_is() -> None:
    reassembler = Reassembler(max_bytes=1 << 18)
    for number in range(1000):
        packet = ipv4(A, B, 17, bytes(60000))
        reassembler.decode(
            1, T0, ethernet(ipv4_fragment(packet[:4] + struct.pack(">H", number) + packet[6:], 0, 59000))
        )
        assert reassembler.held_bytes <= 1 << 18
    assert 1 <= reassembler.datagrams <= 4


@pytest.mark.parametrize("settings", [{"max_datagrams": 0}, {"max_bytes": 1000}, {"seed": b"short"}])
def test_bounds_that_leave_no_room_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is|has"):
        Reassembler(**settings)


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Fragments of a few datagrams with any offset, length, flag, and now and then a damaged byte."""
    start, size = draw(st.integers(0, 40)) * 8, draw(st.integers(0, 80))
    payload = bytes(start + size)
    if draw(st.booleans()):
        piece = ipv4_fragment(ipv4(A, B, 6, payload), start, start + size, more=draw(st.booleans()))
    else:
        piece = ipv6_fragment(ipv6(A6, B6, 6, payload), start, start + size, more=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(piece) - 1))
        piece = piece[:at] + draw(st.binary(min_size=1, max_size=1)) + piece[at + 1 :]
    return piece


@given(st.lists(st.tuples(noise(), st.floats(-40, 40)), max_size=40))
def test_whatever_comes_every_packet_is_accounted_for(packets: list[tuple[bytes, float]]) -> None:
    table = FlowTable()
    for packet, at_s in packets:
        feed(table, packet, at_s=at_s)
        assert accounted(table)
        assert table.reassembler.datagrams <= table.fragments + table.rejected_by_reason().get("fragment_bad", 0)
    flows = all_records(table)
    assert accounted(table)
    assert (table.reassembler.datagrams, table.reassembler.held_bytes) == (0, 0)
    assert sum(flow.packets_out + flow.packets_in for flow in flows) == table.accepted
