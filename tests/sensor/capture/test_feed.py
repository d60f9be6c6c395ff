"""The callback of live capture: what pypcap hands over is counted as the file's walker counts it."""

from __future__ import annotations

import sys

import pytest
from hellos import client_hello
from packets import ACK, CLIENT, SERVER, SYN, T0, S, ethernet, ipv4, ipv4_fragment, tcp_frame, udp

from common.records import FlowRecord
from sensor.capture._feed import FrameFeed
from sensor.flow._table import FlowTable
from sensor.inspect._content import Inspector


def fragments(number: int) -> list[bytes]:
    """A UDP datagram of its own flow in two fragments."""
    packet = ipv4(CLIENT[0], SERVER[0], 17, udp(1024 + number, 53, bytes(40)))
    return [ethernet(ipv4_fragment(packet, 0, 24)), ethernet(ipv4_fragment(packet, 24, 48))]


def records(table: FlowTable) -> list[tuple[object, ...]]:
    """Every record of a table, which is empty afterwards."""
    rows = table.drain()
    while table.flush():
        rows += table.drain()
    return rows + table.drain()


def test_a_frame_shorter_than_the_snap_length_has_the_length_it_came_with() -> None:
    fed, given = FlowTable(), FlowTable()
    feed = FrameFeed(fed, 1, 200)
    for number in range(100):
        frame = tcp_frame((CLIENT[0], 2000 + number % 3), SERVER, ACK if number > 2 else SYN, bytes(number))
        feed(T0 + number * S, frame)
        given.feed_frame(1, T0 + number * S, frame)
    feed.settle()
    assert records(fed) == records(given)


def test_a_frame_as_long_as_the_snap_length_may_be_longer_and_its_headers_say_how_long() -> None:
    table = FlowTable()
    frame = tcp_frame(CLIENT, SERVER, ACK, bytes(1000))
    feed = FrameFeed(table, 1, 96)
    feed(T0, frame[:96])
    feed.settle()
    assert (table.packets, table.accepted, table.wire_bytes) == (1, 1, len(frame) - 14)


@pytest.mark.parametrize("arguments", [(), (T0,), (T0, b"", 1), ("now", b""), (T0, bytearray(60)), (T0, None)])
def test_only_a_time_and_bytes_are_a_frame(arguments: tuple[object, ...]) -> None:
    feed = FrameFeed(FlowTable(), 1, 262144)
    with pytest.raises(TypeError):
        feed(*arguments)  # type: ignore[arg-type]


def test_the_table_is_relieved_while_frames_come() -> None:
    table = FlowTable(max_flows=100_000)
    feed = FrameFeed(table, 1, 262144)
    for number in range(10_000):  # a flow each, the next one long after its timeout
        feed(T0 + number * 100 * S, tcp_frame((CLIENT[0], 1024 + number), SERVER, SYN))
    feed.settle()
    assert len(records(table)) == 10_000
    assert table.records_dropped == 0


def test_frames_are_kept_while_they_may_be_in_line_and_no_longer() -> None:
    frames = [tcp_frame((CLIENT[0], 2000 + number), SERVER, ACK, bytes(100)) for number in range(100)]
    before = [sys.getrefcount(frame) for frame in frames]
    table = FlowTable()
    feed = FrameFeed(table, 1, 262144)
    for number, frame in enumerate(frames):
        feed(T0 + number, frame)
    del frame
    assert feed.last_ns == T0 + 99
    assert 0 < table.packets - table.accepted < 64
    held = [sys.getrefcount(frame) for frame in frames]
    assert held[:36] == before[:36]
    assert held[36:] == [count + 1 for count in before[36:]]
    feed.settle()
    assert table.accepted == 100
    del feed
    assert [sys.getrefcount(frame) for frame in frames] == before


def test_content_is_measured_though_its_frame_is_gone_when_it_is_counted() -> None:
    def payload(number: int) -> bytes:
        return bytes((number * 7 + place * place) % 256 for place in range(number))

    fed, given = FlowTable(), FlowTable()
    feed = FrameFeed(fed, 1, 262144)
    for number in range(600):
        ends = (CLIENT[0], 2000 + number), SERVER
        for turn, (flags, content) in enumerate([(SYN, b""), (ACK, payload(number))]):
            frame = tcp_frame(*ends, flags, content, seq=turn)
            given.feed_frame(1, T0 + number, frame)
            feed(T0 + number, frame)
            del frame
    feed.settle()
    rows = records(fed)
    assert rows == records(given)
    assert len({FlowRecord._make(row).first_entropy for row in rows}) > 200


def test_a_long_hello_is_whole_though_its_frame_is_counted_later() -> None:
    table = FlowTable(inspector=Inspector())
    feed = FrameFeed(table, 1, 262144)
    feed(T0, tcp_frame(CLIENT, SERVER, SYN, seq=100))
    feed(T0 + 1, tcp_frame(CLIENT, SERVER, ACK, client_hello("long.example", padding=1200), seq=101))
    feed.settle()
    (row,) = records(table)
    assert FlowRecord._make(row).host == "long.example"


def test_the_table_is_relieved_while_nothing_but_fragments_comes() -> None:
    table = FlowTable(max_flows=100_000)
    feed = FrameFeed(table, 1, 262144)
    for number in range(5_000):
        for piece in fragments(number):
            feed(T0 + number * 200 * S, piece)
    feed.settle()
    assert len(records(table)) == 5_000
    assert table.records_dropped == 0


def test_a_feed_that_goes_away_has_counted_all_its_frames() -> None:
    table = FlowTable()
    feed = FrameFeed(table, 1, 262144)
    feed(T0, tcp_frame(CLIENT, SERVER, SYN))
    feed(T0, b"no frame at all")
    assert (table.packets, table.accepted) == (2, 0)
    del feed
    assert (table.packets, table.accepted) == (2, 1)
    assert len(records(table)) == 1
