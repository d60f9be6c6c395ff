"""Start lines and headers are read as leniently as they are written, and what is odd about them is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.http.head import (
    MAX_FIELDS,
    RequestLine,
    StatusLine,
    end_of_head,
    may_be_request,
    may_be_response,
    read_headers,
    read_request_line,
    read_status_line,
)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"GET / HTTP/1.1\r", RequestLine(b"GET", b"/", b"1.1", spaces=False)),
        (b"GET / HTTP/1.1", RequestLine(b"GET", b"/", b"1.1", spaces=False)),
        (b"BREW http://a/ HTTP/1.0\r", RequestLine(b"BREW", b"http://a/", b"1.0", spaces=False)),
        (b"GET /a b HTTP/1.1\r", RequestLine(b"GET", b"/a b", b"1.1", spaces=True)),
        (b"GET /old\r", RequestLine(b"GET", b"/old", b"", spaces=False)),
        (b"GET / HTTP/3\r", RequestLine(b"GET", b"/", b"3", spaces=False)),
        (b"POST /old\r", None),
        (b"GET old\r", None),
        (b"GET  HTTP/1.1\r", None),
        (b"SSH-2.0-OpenSSH_9.2\r", None),
        (b"\x16\x03\x01 / HTTP/1.1", None),
        (b"A" * 33 + b" / HTTP/1.1", None),
        (b"", None),
    ],
)
def test_a_request_line_is_a_method_a_target_and_a_version(line: bytes, found: RequestLine | None) -> None:
    assert read_request_line(line) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"HTTP/1.1 200 OK\r", StatusLine(b"1.1", 200)),
        (b"HTTP/1.0 404\r", StatusLine(b"1.0", 404)),
        (b"HTTP/2 200 ", StatusLine(b"2", 200)),
        (b"ICY 200 OK\r", StatusLine(b"", 200)),
        (b"HTTP/1.1 20 OK\r", None),
        (b"HTTP/1.1 2000\r", None),
        (b"220 mail.example ESMTP\r", None),
    ],
)
def test_a_status_line_is_a_version_and_three_digits(line: bytes, found: StatusLine | None) -> None:
    assert read_status_line(line) == found


@given(st.binary(max_size=60), st.integers(0, 60))
def test_the_end_of_a_head_does_not_depend_on_how_it_came(data: bytes, cut: int) -> None:
    whole = end_of_head(data, 0)
    if end_of_head(data[:cut], 0) < 0:
        assert end_of_head(data, min(cut, len(data))) == whole


@pytest.mark.parametrize(
    ("data", "end"), [(b"a\r\n\r\nb", 5), (b"a\n\nb", 3), (b"a\n\r\n", 4), (b"a\r\n", -1), (b"a\n\nb\r\n\r\n", 3)]
)
def test_a_head_ends_with_its_first_empty_line(data: bytes, end: int) -> None:
    assert end_of_head(data, 0) == end


@pytest.mark.parametrize(
    ("data", "anomalies"),
    [
        (b"A: 1\r\nB: 2\r\n\r\n", []),
        (b"A: 1\nB: 2\n\n", ["bare-line-feed"]),
        (b"A: 1\r\n more\r\n\r\n", ["folded-header"]),
        (b"A : 1\r\n\r\n", ["bad-header"]),
        (b"nonsense\r\n\r\n", ["bad-header"]),
        (b"A: \x00\r\n\r\n", ["control-characters"]),
        (b"A: 1\rB: 2\r\n\r\n", ["control-characters"]),
        (b"A: \t1\r\n\r\n", []),
        (b"A: 1\r\n" * (MAX_FIELDS + 1) + b"\r\n", ["many-headers"]),
    ],
)
def test_what_is_odd_about_headers_is_named(data: bytes, anomalies: list[str]) -> None:
    assert read_headers(data).anomalies == anomalies


def test_headers_keep_their_order_and_spelling_and_are_found_in_lower_case() -> None:
    headers = read_headers(b"Host: a\r\nx-B:  1 \r\nX-b: 2\r\n  3\r\n\r\n")
    assert headers.names == [b"Host", b"x-B", b"X-b"]
    assert headers.fields == {b"host": [b"a"], b"x-b": [b"1", b"2 3"]}


@given(st.binary(max_size=400))
def test_no_bytes_are_refused_with_an_exception(data: bytes) -> None:
    headers = read_headers(data)
    assert len(headers.names) <= MAX_FIELDS
    assert sum(map(len, headers.fields.values())) == len(headers.names)
    read_request_line(data)
    read_status_line(data)


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"M-SEARCH * HTTP/1.1\r\n", b"GET /old\r\n"])
def test_every_beginning_of_a_request_may_become_one(line: bytes) -> None:
    assert all(may_be_request(line[:length]) for length in range(len(line) + 1))


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK\r\n", b"ICY 200 OK\r\n"])
def test_every_beginning_of_a_response_may_become_one(line: bytes) -> None:
    assert all(may_be_response(line[:length]) for length in range(len(line) + 1))


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"SSH-2.0-x\r\n", b"GET nowhere\r\n", b"A" * 40, b"HTTP/1.1 200 OK\r\n"]
)
def test_other_bytes_are_no_beginning_of_a_request(data: bytes) -> None:
    assert not may_be_request(data)


@pytest.mark.parametrize("data", [b"SSH-2.0-x", b"220 ", b"\x16\x03", b"HTTP/1.1 hello\r\n"])
def test_other_bytes_are_no_beginning_of_a_response(data: bytes) -> None:
    assert not may_be_response(data)
