"""What heads of HTTP tell: a table of requests and responses, cut anywhere, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect.httphead import (
    CONNECT,
    NOT_ASKED,
    UPGRADE,
    WEBSOCKET,
    RequestHead,
    request_head,
    response_head,
    split_authority,
)

REQUESTS = [
    (b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", RequestHead("GET", "a.example")),
    (
        b"GET / HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: x/1\r\n\r\n",
        RequestHead("GET", "a.example", user_agent="x/1"),
    ),
    (b"GET http://b.example:81/x?y=http://c/ HTTP/1.1\r\nHost: a.example\r\n\r\n", RequestHead("GET", "b.example")),
    (b"GET http://u:p@b.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n", RequestHead("GET", "b.example")),
    (b"GET /x?to=http://c/ HTTP/1.1\r\nHost: a.example\r\n\r\n", RequestHead("GET", "a.example")),
    (b"POST /x HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", RequestHead("POST")),
    (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", RequestHead("GET", "2001:db8::1")),
    (b"GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n", RequestHead("GET", "one")),
    (
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: other\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n",
        RequestHead("CONNECT", "a.example", 443, "a.example:443", tunnel=CONNECT),
    ),
    (
        b"CONNECT [2001:db8::1]:22 HTTP/1.0\r\n\r\n",
        RequestHead("CONNECT", "2001:db8::1", 22, "[2001:db8::1]:22", tunnel=CONNECT),
    ),
    (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
        RequestHead("GET", "a", upgrade="websocket", tunnel=WEBSOCKET),
    ),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        RequestHead("GET", "a", upgrade="h2c", tunnel=UPGRADE),
    ),
    # Without the connection's option the field means nothing.
    (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", RequestHead("GET", "a")),
]


@pytest.mark.parametrize(("head", "told"), REQUESTS)
def test_a_request_tells_whom_it_asks_for_and_what(head: bytes, told: RequestHead) -> None:
    assert request_head(head) == told


@pytest.mark.parametrize("head", [head for head, _ in REQUESTS])
def test_a_request_cut_anywhere_tells_no_more_than_the_whole(head: bytes) -> None:
    whole = request_head(head)
    assert whole is not None
    for size in range(len(head)):
        part = request_head(head[:size])
        if part is not None:
            assert whole.method.startswith(part.method)
            assert part.tunnel in (NOT_ASKED, whole.tunnel)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.0 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nabc", 407),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00", 101),
    ],
)
def test_a_response_tells_its_status(head: bytes, status: int) -> None:
    told = response_head(head)
    assert told is not None
    assert told.status == status


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 ", b"SSH-2.0-x\r\n", b"\x16\x03\x01"])
def test_what_is_no_head_tells_nothing(head: bytes) -> None:
    assert response_head(head) is None
    assert request_head(head) is None


def test_secrets_are_not_kept() -> None:
    head = (
        b"GET http://user:secret@a.example/secret?secret HTTP/1.1\r\nCookie: secret\r\nAuthorization: secret\r\n"
        b"Referer: http://secret/\r\nUser-Agent: x\r\n\r\nsecret"
    )
    told = request_head(head)
    assert told == RequestHead("GET", "a.example", user_agent="x")
    assert "secret" not in repr(told)


def test_a_tunnels_credentials_are_not_kept() -> None:
    told = request_head(b"CONNECT user:secret@a.example:443 HTTP/1.1\r\n\r\n")
    assert told == RequestHead("CONNECT", "a.example", 443, "a.example:443", tunnel=CONNECT)


@pytest.mark.parametrize(
    ("authority", "told"),
    [
        (b"a:443", ("a", 443)),
        (b"a", ("a", 0)),
        (b"a:", ("a", 0)),
        (b"a:65536", ("a", 0)),
        (b"a:-1", ("a", 0)),
        (b"a:0000443", ("a", 0)),
        (b"2001:db8::1", ("2001:db8::1", 0)),
        (b"[::1]:22", ("::1", 22)),
        (b"[::1]", ("::1", 0)),
        (b"u:p@a:1", ("a", 1)),
        (b"\xff\x00:1", ("\\xff\\x00", 1)),
    ],
)
def test_an_authority_is_a_host_and_perhaps_a_port(authority: bytes, told: tuple[str, int]) -> None:
    assert split_authority(authority) == told


@given(st.binary(max_size=300), st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"CONNECT ", b"HTTP/1.1 200 OK\r\n"]))
def test_any_bytes_have_an_answer_of_short_printable_texts(rest: bytes, start: bytes) -> None:
    request = request_head(start + rest)
    if request is not None:
        for value in request:
            assert isinstance(value, int) or (value.isprintable() and len(value) <= 255)
    response = response_head(start + rest)
    assert response is None or 100 <= response.status <= 999
