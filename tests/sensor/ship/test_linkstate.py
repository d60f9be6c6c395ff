"""ZeroMQ's events, in the order in which libzmq was seen to give them, become statements, each told once."""

from __future__ import annotations

import errno

import pytest
import zmq

from common.link import ACK, PONG, REFUSED, WELCOME, Answer
from sensor.ship.linkstate import SILENT_NS, LinkState, Trouble

S = 1_000_000_000
KEY = "k$" + "a" * 38
CONNECTED = (zmq.EVENT_CONNECTED, 20)
READY = (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)
GONE = (zmq.EVENT_DISCONNECTED, 20)
RETRIED = (zmq.EVENT_CONNECT_RETRIED, 500)
ENDED = (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EPIPE)
REFUSED_KEY = (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
MISMATCH = (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0x11000002)
WELCOMED = Answer(WELCOME, 7, 0, "")


def state(key: str = KEY) -> LinkState:
    return LinkState("tcp://192.0.2.1:5690", "tap 1", key)


def after(found: LinkState, *events: tuple[int, int], now_ns: int = S) -> str:
    for kind, value in events:
        found.happened(kind, value, now_ns)
    return found.news(now_ns, waiting=True)


@pytest.mark.parametrize(
    ("events", "trouble", "words"),
    [
        ([RETRIED] * 5, Trouble.NOBODY, "nobody takes connections at tcp://192.0.2.1:5690"),
        ([CONNECTED, REFUSED_KEY, GONE], Trouble.KEY_UNKNOWN, f"tunnelwatch sensors add 'tap 1' '{KEY}'"),
        ([CONNECTED, ENDED, GONE, RETRIED] * 4, Trouble.CORRELATOR_KEY, "correlator_key is not its key"),
        ([CONNECTED, MISMATCH, GONE], Trouble.ONE_PLAIN, "serve there without --plaintext"),
        ([CONNECTED, GONE], Trouble.OTHER_PROTOCOL, "it speaks another protocol"),
        (
            [CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EAGAIN), GONE, RETRIED],
            Trouble.MUTE,
            "says nothing",
        ),
    ],
)
def test_each_trouble_is_told_once(events: list[tuple[int, int]], trouble: Trouble, words: str) -> None:
    found = state()
    line = after(found, *events)
    assert found.trouble is trouble
    assert words in line
    assert "\n" not in line
    for second in range(2, 60):
        assert after(found, *events, now_ns=second * S) == ""
    found.happened(*CONNECTED, 61 * S)
    found.happened(*READY, 61 * S)
    assert found.news(61 * S, waiting=True) == ""
    found.answered(WELCOMED, 62 * S)
    assert found.news(62 * S, waiting=True) == "the correlator at tcp://192.0.2.1:5690 answers"


def test_a_sensor_on_plain_text_where_keys_are_wanted_is_told_so() -> None:
    line = after(state(""), CONNECTED, ENDED, GONE, RETRIED, CONNECTED, MISMATCH, GONE)
    assert line.endswith("wants keys and this sensor speaks plain text; ship without --plaintext")


def test_a_good_link_is_no_news() -> None:
    found = state()
    assert after(found, CONNECTED, READY) == ""
    found.answered(WELCOMED, 2 * S)
    assert found.news(2 * S, waiting=True) == ""


def test_a_correlator_that_restarts_is_no_news_unless_it_stays_away() -> None:
    found = state()
    after(found, CONNECTED, READY)
    found.answered(WELCOMED, 2 * S)
    assert after(found, GONE, RETRIED, RETRIED, CONNECTED, ENDED, GONE, RETRIED, CONNECTED, READY, now_ns=3 * S) == ""
    assert "nobody takes connections" in after(found, GONE, *[RETRIED] * 5, now_ns=9 * S)


def test_a_connection_that_never_comes_about_is_nobody() -> None:
    found = state()
    assert found.news(S, waiting=True) == ""
    assert "nobody takes connections" in found.news(10 * S, waiting=True)


def test_a_correlator_that_is_connected_and_silent_is_told_when_an_answer_is_due() -> None:
    found = state()
    after(found, CONNECTED, READY, now_ns=0)
    assert found.news(100 * S, waiting=False) == ""
    assert found.news(100 * S + SILENT_NS, waiting=True) == ""
    line = found.news(101 * S + SILENT_NS, waiting=True)
    assert "has not answered for 15 s" in line
    assert "revoked" in line
    found.answered(Answer(ACK, 7, 1, ""), 200 * S)
    assert "answers" in found.news(200 * S, waiting=True)


def test_a_refused_hello_is_told_until_a_frame_is_taken() -> None:
    found = state()
    after(found, CONNECTED, READY)
    found.answered(Answer(REFUSED, 7, 0, "its key is that of 'roof'\x1b"), S)
    line = found.news(S, waiting=True)
    assert "takes no records of this sensor: " in line
    assert line.isprintable()
    found.answered(Answer(PONG, 0, 0, ""), 2 * S)
    assert found.news(2 * S, waiting=True) == ""
    found.answered(WELCOMED, 3 * S)
    assert found.news(3 * S, waiting=True).endswith("answers")


def test_what_zeromq_gives_up_is_tried_again_with_growing_pauses() -> None:
    found = state()
    now_ns, pauses = S, []
    for _ in range(6):
        after(found, CONNECTED, REFUSED_KEY, GONE, now_ns=now_ns)
        began_ns = now_ns
        while not found.is_due(now_ns):
            now_ns += S // 2
        assert not found.is_due(now_ns)
        pauses.append((now_ns - began_ns) // S)
    assert pauses == [1, 2, 4, 8, 10, 10]


def test_what_zeromq_tries_again_itself_is_left_to_it() -> None:
    found = state()
    after(found, CONNECTED, ENDED, GONE, RETRIED)
    assert not found.is_due(100 * S)
