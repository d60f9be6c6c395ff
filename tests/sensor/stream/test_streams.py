"""Streams: every byte once and in order, gaps where bytes never came, and bounds on what is held meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, CLIENT, FIN, PSH, RST, SERVER, SYN, T0, Conversation, S, ethernet, ipv4, tcp_frame, udp

from common.addresses import address_packed
from sensor.flow._table import FlowTable
from sensor.stream._streams import Streams
from sensor.stream.events import CLIENT as OUT
from sensor.stream.events import SERVER as BACK
from sensor.stream.events import Began, Data, Ended, Event, Gap


def followed(streams: Streams | None = None) -> Conversation:
    """A conversation whose streams are followed; the handshake is over."""
    return Conversation(FlowTable(streams=streams or Streams())).handshake()


def ended(talk: Conversation) -> list[Event]:
    """What came of it once every flow has ended."""
    streams = talk.table.streams
    assert streams is not None
    events = streams.drain()
    while talk.table.flush():
        events += streams.drain()
    return events + streams.drain()


def pieces(events: Iterable[Event], direction: int = OUT) -> list[tuple[int, bytes | int]]:
    """(offset, bytes or the length of a gap) of one direction, neighbours put together."""
    found: list[tuple[int, bytes | int]] = []
    data = b""
    for event in events:
        if isinstance(event, Data) and event.direction == direction:
            if data:
                assert event.offset == found[-1][0] + len(data)
                found.pop()
            found.append((event.offset - len(data), data + event.data))
            data += event.data
        elif isinstance(event, Gap) and event.direction == direction:
            found.append((event.offset, event.length))
            data = b""
    return found


def test_a_connection_begins_with_its_first_payload_and_ends() -> None:
    talk = followed()
    assert ended(followed()) == []
    talk.out(1, PSH | ACK, b"hello", seq=101).back(2, PSH | ACK, b"world!", seq=501).close(3)
    client, server = address_packed(CLIENT[0]), address_packed(SERVER[0])
    assert ended(talk) == [
        Began(1, T0, 6, None, client, CLIENT[1], server, SERVER[1]),
        Data(1, OUT, 0, T0 + S, b"hello"),
        Data(1, BACK, 0, T0 + 2 * S, b"world!"),
        Ended(1, T0 + 3 * S + 20_000_000, 3, packets_out=5, packets_in=3, wire_bytes_out=205, wire_bytes_in=126),
    ]


def test_bytes_that_follow_each_other_are_one_event_until_they_are_taken() -> None:
    talk = followed().out(1, ACK, b"ab", seq=101).out(2, ACK, b"cd", seq=103)
    streams = talk.table.streams
    assert streams is not None
    assert streams.drain()[1:] == [Data(1, OUT, 0, T0 + S, b"abcd")]
    talk.out(3, ACK, b"ef", seq=105)
    assert streams.drain() == [Data(1, OUT, 4, T0 + 3 * S, b"ef")]


def test_each_packet_and_each_datagram_may_be_an_event_of_its_own() -> None:
    talk = followed(Streams(apart=True)).out(1, ACK, b"cd", seq=103).out(2, ACK, b"ab", seq=101)
    assert [event.data for event in ended(talk) if isinstance(event, Data)] == [b"ab", b"cd"]
    table = FlowTable(streams=Streams(datagrams=True))
    for data in (b"one", b"two"):
        table.feed_frame(1, T0, ethernet(ipv4(CLIENT[0], SERVER[0], 17, udp(1025, 53, data))))
    assert [event.data for event in ended(Conversation(table)) if isinstance(event, Data)] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param([(101, b"ab"), (103, b"cd")], [(0, b"abcd")], id="in order"),
        pytest.param([(103, b"cd"), (101, b"ab")], [(0, b"abcd")], id="the second first"),
        pytest.param([(105, b"ef"), (103, b"cd"), (101, b"ab")], [(0, b"abcdef")], id="backwards"),
        pytest.param([(101, b"ab"), (101, b"ab"), (103, b"cd"), (101, b"ab")], [(0, b"abcd")], id="repeated"),
        pytest.param([(101, b"abcd"), (103, b"XXef")], [(0, b"abcdef")], id="what came first is right"),
        pytest.param([(103, b"cd"), (101, b"abXX"), (105, b"e")], [(0, b"abcde")], id="also when it was held"),
        pytest.param([(104, b"d"), (106, b"f"), (101, b"abcXeXg")], [(0, b"abcdefg")], id="around what was held"),
        pytest.param([(104, b"def"), (105, b"X"), (103, b"cXXX"), (101, b"ab")], [(0, b"abcdef")], id="held overlaps"),
        pytest.param([(100, b"X"), (101, b"ab"), (102, b"X"), (103, b"c")], [(0, b"abc")], id="kept alive"),
        pytest.param([(103, b"cd")], [(0, 2), (2, b"cd")], id="a gap at the start"),
        pytest.param([(101, b"a"), (103, b"c"), (106, b"f")], [(0, b"a"), (1, 1), (2, b"c"), (3, 2), (5, b"f")],
                     id="gaps"),
        pytest.param([(101, b"a"), (103 + (1 << 30), b"x")], [(0, b"a")], id="too far to be of this stream"),
    ],
)  # fmt: skip
def test_bytes_are_put_in_order(segments: Sequence[tuple[int, bytes]], expected: list[tuple[int, bytes | int]]) -> None:
    talk = followed()
    for number, (sequence, data) in enumerate(segments):
        talk.out(1 + number / 1000, PSH | ACK, data, seq=sequence)
    assert pieces(ended(talk)) == expected


def test_sequence_numbers_wrap() -> None:
    talk = Conversation(FlowTable(streams=Streams()))
    start = (1 << 32) - 3
    talk.out(0, SYN, seq=start - 1).out(1, ACK, b"defg", seq=0).out(2, ACK, b"abc", seq=start)
    assert pieces(ended(talk)) == [(0, b"abcdefg")]


def test_data_with_the_syn_and_with_a_reset_belong_to_the_stream() -> None:
    talk = Conversation(FlowTable(streams=Streams()))
    talk.out(0, SYN, b"ab", seq=100).out(1, ACK, b"cd", seq=103).out(2, RST, b"ef", seq=105)
    assert pieces(ended(talk)) == [(0, b"abcdef")]


FOUND_IN_THE_MIDDLE = [
    pytest.param([(5000, b"cd"), (4998, b"ab"), (5002, b"ef")], [(0, b"abcdef")], id="what lies before comes in front"),
    pytest.param([(5000, b"ef"), (4997, b"bc")], [(0, b"bc"), (2, 1), (3, b"ef")], id="gaps"),
    pytest.param([(5000, b"cd"), (4999, b"X")], [(0, b"cd")], id="kept alive"),
    pytest.param([(1, b"cd"), ((1 << 32) - 1, b"ab")], [(0, b"abcd")], id="sequence numbers wrap"),
    pytest.param([(5000, b"cd"), (5000, b"XX"), (4998, b"abXX")], [(0, b"abcd")], id="what came first is right"),
    pytest.param([(90_000, b"cd"), (5000, b"ab")], [(0, b"cd")], id="so far before it that it is no reordering"),
]  # fmt: skip


@pytest.mark.parametrize(("segments", "expected"), FOUND_IN_THE_MIDDLE)
def test_a_stream_found_in_its_middle_begins_with_the_first_byte_that_came_soon(
    segments: Sequence[tuple[int, bytes]], expected: list[tuple[int, bytes | int]]
) -> None:
    talk = Conversation(FlowTable(streams=Streams()))
    for number, (sequence, data) in enumerate(segments):
        talk.out(number / 1000, PSH | ACK, data, seq=sequence)
    assert pieces(ended(talk)) == expected


def waiting() -> tuple[Conversation, Streams]:
    """A stream found in its middle, whose beginning is waited for."""
    streams = Streams()
    talk = Conversation(FlowTable(streams=streams)).out(0, ACK, b"cd", seq=5000)
    assert pieces(streams.drain()) == []
    return talk, streams


def test_the_beginning_is_waited_for_until_the_receiver_has_it() -> None:
    talk, streams = waiting()
    talk.back(0.1, ACK, seq=1, ack=4998)
    assert pieces(streams.drain()) == []
    talk.out(0.2, ACK, b"ab", seq=4998).back(0.3, ACK, seq=1, ack=5002)
    assert pieces(streams.drain()) == [(0, b"abcd")]
    talk.out(0.4, ACK, b"XX", seq=4996)
    assert pieces(ended(talk)) == []


@pytest.mark.parametrize("direction", [OUT, BACK])
def test_the_beginning_is_waited_for_a_second(direction: int) -> None:
    talk, streams = waiting()
    if direction == OUT:
        talk.out(1.1, ACK, b"ab", seq=4998)
    else:
        talk.back(1.1, ACK, seq=1, ack=1)
    assert pieces(streams.drain()) == [(0, b"cd")]


def test_a_syn_that_comes_behind_its_data_is_the_beginning() -> None:
    talk, streams = waiting()
    talk.back(0.1, ACK, b"xyz", seq=700, ack=1).back(0.2, SYN | ACK, seq=696, ack=1)
    assert pieces(streams.drain(), BACK) == []
    assert streams.held == 5
    assert pieces(ended(talk), BACK) == [(0, 3), (3, b"xyz")]


def test_what_waits_for_its_beginning_is_bounded() -> None:
    streams = Streams()
    talk = Conversation(FlowTable(streams=streams))
    for number in range(100):
        talk.out(number / 1000, ACK, bytes(1000), seq=5000 + 1000 * number)
        assert streams.held <= 1 << 16
    assert streams.data_bytes == 100_000
    small = Streams(held_bytes=100)
    Conversation(FlowTable(streams=small)).out(0, ACK, bytes(60), seq=5000).out(0.1, ACK, bytes(60), seq=5060)
    assert (small.held, small.data_bytes) == (0, 120)


def test_what_a_short_snap_length_left_out_is_a_gap() -> None:
    talk = followed()
    for number in range(2):
        frame = tcp_frame(CLIENT, SERVER, ACK, b"0123456789", seq=101 + 10 * number)
        talk.table.feed_frame(1, T0 + S, frame[:-6], len(frame))
    assert pieces(ended(talk)) == [(0, b"0123"), (4, 6), (10, b"0123"), (14, 6)]


def test_a_gap_that_the_receiver_acknowledged_is_waited_for_a_second() -> None:
    talk = followed().out(1, ACK, b"cd", seq=103)
    streams = talk.table.streams
    assert streams is not None
    talk.back(1.5, ACK, seq=501, ack=105).back(2.1, ACK, seq=501, ack=101)
    assert pieces(streams.drain()) == []
    talk.back(2.2, ACK, seq=501, ack=105)
    assert pieces(streams.drain()) == [(0, 2), (2, b"cd")]
    talk.out(3, ACK, b"ab", seq=101).out(3, ACK, b"ef", seq=105)
    assert pieces(ended(talk)) == [(4, b"ef")]


def test_both_directions_of_two_connections_keep_apart() -> None:
    table = FlowTable(streams=Streams())
    one, two = Conversation(table).handshake(), Conversation(table, (CLIENT[0], 2000)).handshake()
    one.out(1, ACK, b"1", seq=101)
    two.out(1, ACK, b"2", seq=101)
    two.back(1, ACK, b"b", seq=501)
    one.back(1, ACK, b"a", seq=501)
    found = {(e.flow_id, e.direction): e.data for e in ended(one) if isinstance(e, Data)}
    assert found == {(1, OUT): b"1", (2, OUT): b"2", (2, BACK): b"b", (1, BACK): b"a"}


def test_only_so_much_of_a_direction_is_wanted() -> None:
    streams = Streams(most_bytes=4)
    talk = followed(streams).out(1, ACK, b"ef", seq=105).out(2, ACK, b"abcd", seq=101).out(3, ACK, b"gh", seq=107)
    talk.back(4, ACK, b"123", seq=501).back(5, ACK, b"456", seq=504)
    events = ended(talk)
    assert (pieces(events), pieces(events, BACK)) == ([(0, b"abcd")], [(0, b"1234")])
    assert (streams.cut_bytes, streams.held) == (2, 0)  # what was held or came later is not looked at


def test_datagrams_are_followed_where_that_is_asked_for() -> None:
    frames = [ethernet(ipv4(CLIENT[0], SERVER[0], 17, udp(1025, 53, data))) for data in (b"one", b"two")]
    for datagrams, expected in ((False, []), (True, [(0, b"onetwo")])):
        table = FlowTable(streams=Streams(datagrams=datagrams))
        for frame in frames:
            table.feed_frame(1, T0, frame)
        assert pieces(ended(Conversation(table))) == expected


@pytest.mark.parametrize(
    "streams",
    [Streams(held_bytes=1000), Streams(held_pieces=10), Streams(total_bytes=1000)],
    ids=["bytes", "pieces", "total"],
)
def test_more_than_may_be_held_makes_a_gap_of_what_is_missing(streams: Streams) -> None:
    talk = followed(streams)
    for number in range(1, 12):
        talk.out(1, ACK, b"x" * 100, seq=101 + number * 100)
    assert pieces(streams.drain()) == [(0, 100), (100, b"x" * 1100)]
    assert streams.held == 0
    assert pieces(ended(talk)) == []


def test_segments_with_holes_between_them_hold_no_more_than_the_bound() -> None:
    dice = random.Random(7)
    streams = Streams(held_bytes=20_000, held_pieces=50, total_bytes=30_000)
    table = FlowTable(streams=streams)
    talks = [Conversation(table, (CLIENT[0], port)).handshake() for port in range(2000, 2010)]
    lengths = 0
    for _ in range(5000):
        dice.choice(talks).out(1, ACK, bytes(dice.randrange(1, 1000)), seq=dice.randrange(1 << 29))
        assert streams.held <= 30_000
        lengths += sum(len(event.data) for event in streams.drain() if isinstance(event, Data))
    ended(talks[0])
    assert streams.held == 0
    assert lengths <= streams.data_bytes <= lengths + 30_000


def test_nothing_stays_behind_when_a_table_goes() -> None:
    streams = Streams()
    talk = followed(streams).out(1, ACK, b"x" * 100, seq=201)
    assert streams.held == 100
    del talk
    assert streams.held == 0


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(0, 255)), max_size=30),
    st.integers(0, (1 << 32) - 1),
)
def test_each_byte_is_that_of_the_first_segment_that_had_it(segments: list[tuple[int, int, int]], isn: int) -> None:
    """Whatever overlaps, and with contradictions: against a map of bytes."""
    talk = Conversation(FlowTable(streams=Streams()))
    talk.out(0, SYN, seq=isn)
    first: dict[int, int] = {}
    for start, length, value in segments:
        for offset in range(start, start + length):
            first.setdefault(offset, value)
        talk.out(0.1, ACK, bytes([value]) * length, seq=(isn + 1 + start) % (1 << 32))
    talk.out(0.2, FIN | ACK, seq=(isn + 100) % (1 << 32))
    found: dict[int, int] = {}
    reached = 0
    for offset, piece in pieces(ended(talk)):
        assert offset == reached
        reached += len(piece) if isinstance(piece, bytes) else piece
        if isinstance(piece, bytes):
            found.update(enumerate(piece, offset))
    assert found == first


@given(st.binary(max_size=400), st.randoms(use_true_random=False), st.integers(0, (1 << 32) - 1))
def test_any_cut_order_and_repetition_gives_the_stream(data: bytes, dice: random.Random, isn: int) -> None:
    talk = Conversation(FlowTable(streams=Streams()))
    talk.out(0, SYN, seq=isn)
    cuts = sorted({0, len(data), *(dice.randrange(len(data) + 1) for _ in range(6))})
    spans = [(start, end) for start, end in pairwise(cuts) if start < end]
    sent = spans + [dice.choice(spans) for _ in range(3 if spans else 0)]
    dice.shuffle(sent)
    for start, end in sent:
        talk.out(0.1, ACK, data[start:end], seq=(isn + 1 + start) % (1 << 32))
    assert pieces(ended(talk)) == ([(0, data)] if data else [])


def test_settings_out_of_bounds_are_refused() -> None:
    for held_bytes, held_pieces in ((0, 1), (1, 0), (1 << 25, 1)):
        with pytest.raises(ValueError, match="held"):
            Streams(held_bytes=held_bytes, held_pieces=held_pieces)
