"""Messages are the same however their bytes are cut, and their bodies are as long as other parsers say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httptools
import pytest
from http_talk import IN, OUT, Turn, anomalies, request, response, talk
from hypothesis import given
from hypothesis import strategies as st

from common.records import HttpExchange
from sensor.http.side import MAX_HEAD_BYTES, MAX_HELD_BYTES

_CHUNKED = "Transfer-Encoding: chunked"


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def _plain(record: HttpExchange) -> HttpExchange:
    """Return a record without times: they are those of the pieces."""
    return record._replace(start_ns=0, request_end_ns=0, response_start_ns=0, end_ns=0)


_TOKENS = st.text("abcdefgXYZ-", min_size=1, max_size=8)
_HEADERS = st.lists(st.tuples(_TOKENS, st.text("abc 123", max_size=8)), max_size=5)


@st.composite
def _bodies(draw: Any) -> tuple[list[str], bytes, int]:
    """Draw (headers, what is sent, bytes of the body)."""
    body = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        return [f"Content-Length: {len(body)}"], body, len(body)
    sent = b""
    for piece in filter(None, _pieces(body, draw(st.lists(st.integers(0, 40), max_size=3)))):
        extension = draw(st.sampled_from([b"", b";a=b"]))
        sent += f"{len(piece):x}".encode() + extension + b"\r\n" + piece + b"\r\n"
    return [_CHUNKED], sent + b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: 1\r\n"])) + b"\r\n", len(body)


@st.composite
def _conversations(draw: Any) -> tuple[bytes, bytes]:
    """Draw what both sides of a good connection send."""
    asks = answers = b""
    for _ in range(draw(st.integers(1, 4))):
        headers = [f"{name}: {value}" for name, value in draw(_HEADERS)]
        more, body, _ = draw(_bodies())
        asks += request("POST /x HTTP/1.1", "Host: a", *headers, *more, body=body)
        more, body, _ = draw(_bodies())
        answers += response("HTTP/1.1 200 OK", *more, body=body)
    return asks, answers


class _Reference:
    """What llhttp finds in a stream: header names and body bytes of each message."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[bytes], int]] = []

    def on_message_begin(self) -> None:
        self.messages.append(([], 0))

    def on_header(self, name: bytes, _value: bytes) -> None:
        names, size = self.messages[-1]
        if not size:
            names.append(name)

    def on_body(self, data: bytes) -> None:
        names, size = self.messages[-1]
        self.messages[-1] = (names, size + len(data))


@given(_conversations(), st.lists(st.integers(0, 2000), max_size=20), st.lists(st.integers(0, 2000), max_size=20))
def test_messages_do_not_depend_on_how_they_are_cut(
    streams: tuple[bytes, bytes], out_cuts: list[int], in_cuts: list[int]
) -> None:
    out, in_ = streams
    whole = [_plain(record) for record in talk((OUT, out), (IN, in_))]
    turns: list[Turn] = [(OUT, piece) for piece in _pieces(out, out_cuts)]
    turns += [(IN, piece) for piece in _pieces(in_, in_cuts)]
    assert [_plain(record) for record in talk(*turns)] == whole


@given(_conversations())
def test_good_streams_are_read_as_llhttp_reads_them(streams: tuple[bytes, bytes]) -> None:
    asked, answered = _Reference(), _Reference()
    httptools.HttpRequestParser(asked).feed_data(streams[0])
    httptools.HttpResponseParser(answered).feed_data(streams[1])
    records = talk((OUT, streams[0]), (IN, streams[1]))
    assert [record.request_body_bytes for record in records] == [size for _, size in asked.messages]
    assert [record.response_body_bytes for record in records] == [size for _, size in answered.messages]
    for record, (names, _) in zip(records, asked.messages, strict=True):
        assert record.header_names == tuple(name.decode() for name in names if name != b"X-Trailer")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", ()),
        (b"5\nhello\n0\n\n", ()),
        (b"x\r\nhello\r\n0\r\n\r\n", ("bad-chunk",)),
        (b"5\r\nhello!\r\n0\r\n\r\n", ("bad-chunk",)),
        (b"1" * 5000, ("bad-chunk",)),
        (b"0\r\n" + b"X: y\r\n" * 5000, ("bad-chunk",)),
        (b"5\r\nhel", ("body-short",)),
    ],
)
def test_chunks_that_are_wrong_are_told(body: bytes, found: tuple[str, ...]) -> None:
    answer = response("HTTP/1.1 200 OK", _CHUNKED, body=body)
    assert anomalies((OUT, request()), (IN, answer)) == [found]


def test_a_chunk_has_its_bytes_counted_without_its_frame() -> None:
    answer = response("HTTP/1.1 200 OK", _CHUNKED, body=b"5\r\nhello\r\n6;x\r\n world\r\n0\r\nA: b\r\n\r\n")
    assert [record.response_body_bytes for record in talk((OUT, request()), (IN, answer))] == [11]


def test_a_head_without_end_is_cut_and_told() -> None:
    (record,) = talk(
        (OUT, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: t\r\n"), (OUT, b"X: y\r\n" * 20_000), (IN, response())
    )
    assert record.request_header_bytes == MAX_HEAD_BYTES
    assert record.anomalies == ("many-headers", "long-head")
    assert record.status == 200


def test_what_a_client_sends_without_waiting_for_the_answer_is_bounded() -> None:
    ask = request("CONNECT a:443 HTTP/1.1", "Host: a:443", "User-Agent: t")
    answer = response("HTTP/1.1 200 OK", "A: b")
    (record,) = talk((OUT, ask), (OUT, bytes(MAX_HELD_BYTES + 1)), (OUT, bytes(1 << 20)), (IN, answer))
    assert (record.method, record.status) == ("CONNECT", 200)


@given(st.lists(st.tuples(st.sampled_from([OUT, IN]), st.binary(max_size=30) | st.integers(1, 50)), max_size=20))
def test_any_bytes_end_without_an_exception(turns: list[Turn]) -> None:
    records = talk(*turns)
    assert [record.number for record in sorted(records, key=lambda r: r.number)] == list(range(len(records)))


@given(_conversations(), st.data())
def test_damaged_streams_end_without_an_exception_and_with_good_records(
    streams: tuple[bytes, bytes], data: st.DataObject
) -> None:
    turns: list[Turn] = []
    for direction, stream in zip((OUT, IN), streams, strict=True):
        damaged = bytearray(stream)
        for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6)):
            damaged[place % len(damaged)] = byte
        pieces: list[Turn] = [(direction, p) for p in _pieces(bytes(damaged), data.draw(st.lists(st.integers(0, 500))))]
        if data.draw(st.booleans()) and pieces:
            pieces.insert(data.draw(st.integers(0, len(pieces))), (direction, data.draw(st.integers(1, 300))))
        turns += pieces
    for record in talk(*turns, end_reason=data.draw(st.sampled_from([1, 3, 4, 5]))):
        assert record.start_ns <= record.end_ns
        assert record.anomalies is None or record.anomalies == tuple(dict.fromkeys(record.anomalies))
