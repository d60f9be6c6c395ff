from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.link import (
    ACK,
    FRAME,
    HELLO,
    LINK_VERSION,
    PING,
    PONG,
    REFUSED,
    VERSION,
    WELCOME,
    Answer,
    is_local,
    pack_answer,
    pack_frame,
    pack_hello,
    pack_version,
    unpack_answer,
    unpack_frame,
    unpack_hello,
)

marks = st.integers(0, (1 << 64) - 1)
kinds = st.sampled_from([ACK, REFUSED])


@given(kind=kinds, run=marks, sequence=marks, reason=st.text(st.characters(codec="utf-8"), max_size=255))
def test_an_answer_comes_back_as_it_was_packed(kind, run, sequence, reason):
    assert unpack_answer(pack_answer(kind, run, sequence, reason)) == Answer(kind, run, sequence, reason)


@given(run=marks, sequence=marks, frame=st.binary(max_size=40))
def test_a_frame_comes_back_with_its_numbers(run, sequence, frame):
    assert unpack_frame(pack_frame(run, sequence, frame)) == (run, sequence, frame)


@pytest.mark.parametrize(
    "parts", [[FRAME, b""], [FRAME, bytes(16)], [FRAME, bytes(15), b""], [FRAME, bytes(16), b"", b""]]
)
def test_a_frame_without_its_numbers_is_none(parts):
    with pytest.raises(WireError) as caught:
        unpack_frame(parts)
    assert caught.value.reason == "envelope"


def test_a_hello_tells_the_version_of_the_link_before_its_header():
    assert unpack_hello(pack_hello(b"header")) == (LINK_VERSION, b"header")
    assert unpack_hello([HELLO, b"header of version 1"]) == (1, b"")
    assert unpack_hello(pack_hello(b"header of another", version=77)) == (77, b"")
    with pytest.raises(WireError):
        unpack_hello([HELLO, b"", b"header"])


def test_a_welcome_of_another_version_is_that_news_and_no_welcome():
    assert unpack_answer(pack_answer(WELCOME, 5, 6)) == (WELCOME, 5, 6, "")
    assert unpack_answer([WELCOME, bytes(16), b""]) == (VERSION, 0, 1, "")
    assert unpack_answer([WELCOME, bytes(16), b"\0\x09"]) == (VERSION, 0, 9, "")
    assert unpack_answer(pack_version()) == (VERSION, 0, LINK_VERSION, "")


def test_a_pong_speaks_of_no_run():
    assert unpack_answer([PONG]) == Answer(PONG, 0, 0, "")


@pytest.mark.parametrize(
    "parts",
    [
        [], [b""], [ACK], [ACK, bytes(16)], [ACK, bytes(15), b""], [ACK, bytes(17), b""], [PING, bytes(16), b""],
        [PONG, bytes(16), b""], [b"ack", bytes(16), b""], [ACK, bytes(16), b"", b""], [PONG, b""],
    ],
)  # fmt: skip
def test_other_parts_are_no_answer(parts):
    with pytest.raises(WireError) as caught:
        unpack_answer(parts)
    assert caught.value.reason == "answer"


@given(parts=st.lists(kinds | st.binary(max_size=20) | st.binary(min_size=16, max_size=16), max_size=4))
def test_any_parts_are_an_answer_or_a_wire_error(parts):
    try:
        answer = unpack_answer(parts)
    except WireError:
        return
    assert answer.kind in (WELCOME, ACK, REFUSED, VERSION, PONG)
    assert len(answer.reason) <= 255


def test_a_reason_that_is_not_utf8_is_shown_and_a_long_one_cut():
    assert unpack_answer([REFUSED, bytes(16), b"\xff\xfe"]).reason == "\ufffd\ufffd"
    assert len(unpack_answer([REFUSED, bytes(16), b"x" * 10_000]).reason) == 255


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:5690",
        "tcp://127.9.9.9:1",
        "tcp://[::1]:5690",
        "tcp://localhost:5690",
        "ipc:///run/x",
        "inproc://x",
    ],
)
def test_endpoints_that_stay_on_this_host(endpoint):
    assert is_local(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://10.1.1.1:5690", "tcp://*:5690", "tcp://0.0.0.0:5690", "tcp://[::]:5690", "tcp://127.0.0.1.example.com:5690",
        "tcp://127.0.0.1:0;10.1.1.1:5690", "tcp://127.0.0.1;10.1.1.1:5690", "tcp://eth0:5690", "tcp://[fe80::1]:5690",
        "tcp://localhost.example.com:5690", "udp://127.0.0.1:5690", "pgm://127.0.0.1:1", "127.0.0.1:5690", "tcp://", "",
        "tcp://12.7.0.0.1:5690", "ws://127.0.0.1:1",
    ],
)  # fmt: skip
def test_endpoints_that_may_leave_it(endpoint):
    assert not is_local(endpoint)
