"""A record says what was asked and answered, and what was odd about the two heads."""

from __future__ import annotations

import pytest
from http_talk import IN, MS, OUT, START_NS, anomalies, request, response, talk

from common.records import HttpExchange, RecordReader
from sensor.http.exchange import MAX_NAMES


def test_an_exchange_has_its_times_sizes_and_names() -> None:
    ask = request(
        "POST http://WWW.Example.net:8080/form?a=1 HTTP/1.1", "Host: www.example.net:8080", "user-agent: curl/8.0",
        "Referer: http://portal.example/", "Cookie: secret", "Content-Length: 6", body=b"abcdef",
    )  # fmt: skip
    answer = response("HTTP/1.0 201 Created", "Content-Type: Text/HTML; charset=x", "Content-Length: 3", body=b"xyz")
    (record,) = talk((OUT, ask), (IN, answer[:20]), (IN, answer[20:]))
    assert record.number == 0
    assert (record.start_ns, record.request_end_ns) == (START_NS + MS, START_NS + MS)
    assert (record.response_start_ns, record.end_ns) == (START_NS + 2 * MS, START_NS + 3 * MS)
    assert (record.method, record.host, record.host_port, record.version) == ("POST", "www.example.net", 8080, "1.1")
    assert record.uri_bytes == len("http://WWW.Example.net:8080/form?a=1")
    assert record.header_names == ("Host", "user-agent", "Referer", "Cookie", "Content-Length")
    assert (record.user_agent, record.referer_host) == ("curl/8.0", "portal.example")
    assert (record.request_header_bytes, record.request_body_bytes) == (len(ask) - 6, 6)
    assert (record.status, record.response_version, record.content_type) == (201, "1.0", "text/html")
    assert (record.response_header_bytes, record.response_body_bytes) == (len(answer) - 3, 3)
    assert record.anomalies is None


def test_nothing_secret_is_kept() -> None:
    ask = request(
        "GET http://me:topsecret@a.example/in?password=topsecret HTTP/1.1", "Host: a.example", "Cookie: topsecret",
        "Authorization: Basic topsecret", "Proxy-Authorization: Basic topsecret", "User-Agent: t",
        "Referer: http://x:topsecret@b.example/topsecret",
    )  # fmt: skip
    for uri_bytes in (0, 1000):
        (record,) = talk((OUT, ask), (IN, response()), uri_bytes=uri_bytes)
        assert "topsecret" not in str(record)


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (request(), ()),
        (b"GET / HTTP/1.1\r\n\r\n", ("no-host", "no-headers")),
        (b"GET / HTTP/1.0\r\n\r\n", ("no-headers",)),
        (b"GET / HTTP/1.0\r\nX: y\r\n\r\n", ("no-user-agent",)),
        (request("GET / HTTP/1.1", "User-Agent: t"), ("no-host",)),
        (request("GET / HTTP/1.1", "Host: a", "Host: a", "User-Agent: t"), ("repeated-host",)),
        (request("GET http://b/ HTTP/1.1", "Host: a", "User-Agent: t"), ("host-differs",)),
        (request("GET http://A.example/ HTTP/1.1", "Host: a.example:80", "User-Agent: t"), ()),
        (request("GET / HTTP/1.1", "Host: a b", "User-Agent: t"), ("bad-host",)),
        (request("GET / HTTP/1.1", "Host: ", "User-Agent: t"), ()),
        (request("BREW / HTTP/1.1"), ("exotic-method",)),
        (request("PROPFIND / HTTP/1.1"), ()),
        (request("get / HTTP/1.1"), ("exotic-method",)),
        (request("GET / HTTP/1.7"), ("unknown-version",)),
        (request("GET /a b HTTP/1.1"), ("bad-start-line",)),
        (request("GET / HTTP/1.1", "Host: a", "User-Agent: t", "Content-Length: 1", body=b"x"), ("body-on-get",)),
        (request("GET / HTTP/1.1", "Host: a", "User-Agent: t", "Content-Length: x"), ("bad-length",)),
        (request("GET / HTTP/1.1", "Host: a", "User-Agent: \x07"), ("control-characters",)),
        (b"GET / HTTP/1.1\nHost: a\nUser-Agent: t\n\n", ("bare-line-feed",)),
        (request("GET / HTTP/1.1", "User-Agent: curl/8", "Accept: */*", "Host: a"), ("header-order",)),
    ],
)
def test_what_is_odd_about_a_request_is_named(ask: bytes, found: tuple[str, ...]) -> None:
    assert anomalies((OUT, ask), (IN, response())) == [found]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (response("HTTP/3.0 200 OK"), ("unknown-version",)),
        (response("ICY 200 OK"), ("unknown-version",)),
        (response("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2"), ("bad-length",)),
        (response("HTTP/1.1 200 OK", "no colon", "Content-Length: 0"), ("bad-header",)),
    ],
)
def test_what_is_odd_about_a_response_is_named(answer: bytes, found: tuple[str, ...]) -> None:
    assert anomalies((OUT, request()), (IN, answer)) == [found]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("a.example:443", ("a.example", 443, None)),
        ("a.example:22", ("a.example", 22, ("connect-odd-port",))),
        ("[2001:db8::1]:443", ("2001:db8::1", 443, None)),
    ],
)
def test_connect_goes_to_its_target(target: str, found: tuple[str, int, tuple[str, ...] | None]) -> None:
    ask = request(f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: t")
    (record,) = talk((OUT, ask), (IN, response("HTTP/1.1 200 OK", "X: y")))
    assert (record.host, record.host_port, record.anomalies) == found


def test_texts_of_any_size_become_records_that_readers_take() -> None:
    names = [f"X-{number}-{'n' * 90}: {'v' * 3000}" for number in range(MAX_NAMES + 10)]
    ask = request(
        f"{'M' * 32} http://{'h' * 255}:1/{'u' * 9000} HTTP/1.1", f"Host: {'h' * 500}", "User-Agent: " + "a\xff" * 999,
        f"Upgrade: {'w' * 300}", f"Referer: http://{'r' * 300}/", *names,
    )[:60_000] + b"\r\n\r\n"  # fmt: skip
    answer = response("HTTP/1.1 200 OK", f"Content-Type: {'t' * 5000}", "Content-Length: 0")
    (record,) = talk((OUT, ask), (IN, answer), uri_bytes=1024)
    reader = RecordReader(HttpExchange, record._fields)
    assert reader.read(tuple(record)) == record
    assert len(record.header_names or ()) <= MAX_NAMES
