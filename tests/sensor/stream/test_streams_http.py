"""Streams of flows that speak HTTP alone: which are followed, and what is left out of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, FIN, PSH, T0, Conversation, S

from sensor.flow._table import FlowTable
from sensor.stream._streams import Streams
from sensor.stream.events import CLIENT as OUT
from sensor.stream.events import SERVER as BACK
from sensor.stream.events import Began, Data, Ended, Event, Gap, Skipped

_ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\n\r\n"


def _talk(*, handshake: bool = True) -> tuple[Conversation, Streams]:
    streams = Streams(http=True)
    talk = Conversation(FlowTable(streams=streams))
    return (talk.handshake() if handshake else talk), streams


def _ended(talk: Conversation, streams: Streams) -> list[Event]:
    events = streams.drain()
    while talk.table.flush():
        events += streams.drain()
    return events + streams.drain()


def _data(events: list[Event]) -> list[tuple[int, int, bytes]]:
    return [(event.direction, event.offset, event.data) for event in events if isinstance(event, Data)]


@pytest.mark.parametrize("data", [_ASK, b"G", b"BREW /pot HTTP/1.0\r\n", b"GET /old\r\n"])
def test_a_flow_that_begins_as_a_request_does_is_followed(data: bytes) -> None:
    talk, streams = _talk()
    talk.out(1, PSH | ACK, data, seq=101)
    assert _data(_ended(talk, streams)) == [(OUT, 0, data)]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00", b"EHLO x\r\n"])
def test_other_flows_give_no_events(data: bytes) -> None:
    talk, streams = _talk()
    talk.out(1, PSH | ACK, data, seq=101).back(2, PSH | ACK, b"220 mail\r\n", seq=501)
    assert (_ended(talk, streams), streams.followed) == ([], 0)


def test_a_flow_found_on_the_way_is_followed_from_its_next_message_on() -> None:
    talk, streams = _talk(handshake=False)
    talk.out(1, ACK, b"the middle of a body", seq=101).out(2, ACK, _ASK, seq=121).back(3, ACK, _ANSWER, seq=501)
    assert [event[:3] for event in _data(_ended(talk, streams))] == [(OUT, 0, _ASK), (BACK, 0, _ANSWER)]


def test_a_keystroke_on_the_way_begins_nothing() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, b"\x00", seq=101).out(2, ACK, b"G", seq=102).out(3, ACK, b"E", seq=103)
    assert _ended(talk, streams) == []


def test_bytes_that_came_later_are_an_event_of_their_own_so_that_the_last_has_its_time() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK[:5], seq=101).out(1.005, ACK, _ASK[5:10], seq=106).out(2, ACK, _ASK[10:], seq=111)
    times = [(event.time_ns - T0, event.data) for event in _ended(talk, streams) if isinstance(event, Data)]
    assert times == [(S, _ASK[:10]), (2 * S, _ASK[10:])]


def test_what_nobody_wants_is_counted_and_told_with_the_time_of_its_last_byte() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK, seq=101).back(2, ACK, _ANSWER, seq=501)
    assert [type(event) for event in streams.drain()] == [Began, Data, Data]
    start = len(_ANSWER)
    streams.leave_out(1, BACK, start + 30)
    for number in range(5):
        talk.back(3 + number, ACK, bytes([number]) * 10, seq=501 + start + 10 * number)
    assert streams.drain() == [
        Skipped(1, BACK, start, T0 + 5 * S, 30),
        Data(1, BACK, start + 30, T0 + 6 * S, bytes([3]) * 10),
        Data(1, BACK, start + 40, T0 + 7 * S, bytes([4]) * 10),
    ]
    assert streams.skipped_bytes == 30


def test_what_was_left_out_until_the_end_is_told_before_it() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK, seq=101)
    streams.drain()
    streams.leave_out(1, OUT, 1 << 62)
    talk.out(2, ACK, b"x" * 100, seq=101 + len(_ASK))
    skipped, end = _ended(talk, streams)
    assert skipped == Skipped(1, OUT, len(_ASK), T0 + 2 * S, 100)
    assert isinstance(end, Ended)
    assert end[:3] == (1, T0 + 2 * S, 4)


def test_a_gap_in_what_nobody_wants_is_told_in_its_place() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK, seq=101)
    streams.drain()
    start = len(_ASK)
    streams.leave_out(1, OUT, start + 100)
    talk.out(2, ACK, b"x" * 10, seq=101 + start).out(3, ACK, b"y" * 10, seq=101 + start + 40)
    assert _ended(talk, streams)[:3] == [
        Skipped(1, OUT, start, T0 + 2 * S, 10),
        Gap(1, OUT, start + 10, T0 + 3 * S, 30),
        Skipped(1, OUT, start + 40, T0 + 3 * S, 10),
    ]


def test_flows_that_are_over_or_unknown_are_passed_over() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK, seq=101)
    streams.drain()
    while talk.table.flush():
        pass
    streams.leave_out(1, OUT, 1 << 62)  # its end was not taken yet
    streams.drain()
    for flow_id, direction in ((1, OUT), (99, BACK), (1, 5)):
        streams.leave_out(flow_id, direction, 1 << 62)


def test_after_its_table_is_gone_nothing_is_touched() -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK, seq=101)
    streams.drain()
    del talk
    streams.leave_out(1, OUT, 1 << 62)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
    until=st.integers(0, 1200),
    asked=st.integers(0, 20),
)
def test_every_byte_is_handed_out_left_out_or_missing_once(
    lengths: list[int], order: object, until: int, asked: int
) -> None:
    talk, streams = _talk()
    talk.out(1, ACK, _ASK, seq=101)
    events = streams.drain()
    places = []
    at = len(_ASK)
    for length in lengths:
        places.append((at, length))
        at += length
    order.shuffle(places)  # type: ignore[attr-defined]  # it is a random.Random
    for number, (place, length) in enumerate(places[: len(places) - len(places) // 4]):
        if number == asked:
            streams.leave_out(1, OUT, until)
        talk.out(2, ACK, b"x" * length, seq=101 + place)
        events += streams.drain()
    events += _ended(talk, streams)
    reached = 0
    for event in events[1:-1]:
        assert isinstance(event, Data | Gap | Skipped)
        assert event.offset == reached
        if isinstance(event, Skipped):
            assert event.offset + event.length <= until
        reached += len(event.data) if isinstance(event, Data) else event.length


def test_flows_by_the_hundred_begin_and_end_once_each() -> None:
    streams = Streams(http=True)
    table = FlowTable(streams=streams)
    for number in range(200):
        talk = Conversation(table, client=("10.0.0.1", 1000 + number)).handshake(number)
        talk.out(number + 0.1, PSH | ACK, _ASK, seq=101).out(number + 0.2, FIN | ACK, seq=101 + len(_ASK))
    while table.flush():
        pass
    events = streams.drain()
    assert sum(isinstance(event, Began) for event in events) == sum(isinstance(event, Ended) for event in events) == 200
