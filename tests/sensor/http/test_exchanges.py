"""All connections together: bounds, what may be left out, and what captures hold."""

from __future__ import annotations

from itertools import chain

import pytest
from http_talk import IN, MS, OUT, START_NS, began, events, request, response

from sensor.http import exchanges as module
from sensor.http.exchanges import Exchanges
from sensor.stream.events import Data, Ended, Skipped

_BIG = 1 << 20


def test_connections_are_told_apart() -> None:
    exchanges = Exchanges()
    one = list(events([(OUT, request("GET /1 HTTP/1.1")), (IN, response(body=b"1"))], flow_id=1))
    two = list(events([(OUT, request("PUT /2 HTTP/1.1")), (IN, response(body=b"22"))], flow_id=2))
    records = exchanges.take(chain.from_iterable(zip(one, two, strict=True)))
    assert [(r.flow_id, r.method, r.response_body_bytes) for r in records] == [(1, "GET", 1), (2, "PUT", 2)]
    assert exchanges.connections == 0


def test_a_record_comes_as_soon_as_its_exchange_is_over() -> None:
    exchanges = Exchanges()
    for event in list(events([(OUT, request()), (IN, response(body=b"x"))]))[:-1]:
        records = exchanges.take([event])
    assert len(records) == 1


def test_connections_beyond_the_bound_are_counted() -> None:
    exchanges = Exchanges(max_connections=1)
    exchanges.take([began(1), began(2)])
    assert (exchanges.connections, exchanges.dropped) == (1, 1)


def test_datagrams_are_not_looked_at() -> None:
    exchanges = Exchanges()
    exchanges.take([began()._replace(protocol=17)])
    assert exchanges.connections == 0


def test_heads_that_are_not_whole_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 1000)
    exchanges = Exchanges()
    for flow_id in range(10):
        head = b"GET / HTTP/1.1\r\nX: " + b"x" * 281
        exchanges.take([began(flow_id), Data(flow_id, OUT, 0, START_NS, head)])
    assert exchanges.counts["heads_dropped"] == 7
    assert sum(connection.buffered_bytes for connection in exchanges._connections.values()) == 900
    exchanges.take([Ended(flow_id, START_NS, 3) for flow_id in range(10)])
    assert exchanges._buffered_bytes == 0


def test_open_exchanges_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_EXCHANGES", 5)
    exchanges = Exchanges()
    for flow_id in range(8):
        exchanges.take([began(flow_id), Data(flow_id, OUT, 0, START_NS, request())])
    assert exchanges.dropped == 3
    assert len(exchanges.take([Ended(flow_id, START_NS, 3) for flow_id in range(8)])) == 5
    assert exchanges.take(events([(OUT, request()), (IN, response())], flow_id=9))


def test_a_long_body_need_not_be_handed_over() -> None:
    exchanges = Exchanges()
    ask, answer = request(), response("HTTP/1.1 200 OK", f"Content-Length: {_BIG}")
    exchanges.take([began(), Data(1, OUT, 0, START_NS, ask), Data(1, IN, 0, START_NS, answer + b"x" * 10)])
    end = len(answer) + _BIG
    assert exchanges.skips == [(1, IN, end)]
    (record,) = exchanges.take([Skipped(1, IN, len(answer) + 10, START_NS + 7 * MS, _BIG - 10)])
    assert (record.response_body_bytes, record.end_ns, record.anomalies) == (_BIG, START_NS + 7 * MS, None)
    assert exchanges.take([Data(1, OUT, len(ask), START_NS, ask), Data(1, IN, end, START_NS, response())])


def test_bytes_that_were_handed_over_before_they_were_refused_are_counted_once() -> None:
    exchanges = Exchanges()
    answer = response("HTTP/1.1 200 OK", f"Content-Length: {_BIG}")
    exchanges.take([began(), Data(1, OUT, 0, START_NS, request()), Data(1, IN, 0, START_NS, answer)])
    exchanges.take([Data(1, IN, len(answer), START_NS, b"x" * 5000)])
    (record,) = exchanges.take([Skipped(1, IN, len(answer), START_NS, _BIG)])
    assert record.response_body_bytes == _BIG


def test_a_direction_that_is_no_http_for_long_is_only_counted() -> None:
    exchanges = Exchanges()
    exchanges.take([began(), Data(1, OUT, 0, START_NS, request())])
    for number in range(30):
        exchanges.take([Data(1, IN, 10_000 * number, START_NS, b"\x00" * 10_000)])
    assert exchanges.skips[0] == (1, IN, 1 << 62)
    (record,) = exchanges.take([Skipped(1, IN, 300_000, START_NS, 7), Ended(1, START_NS, 3)])
    assert (record.response_body_bytes, record.anomalies) == (300_007, ("not-http",))


def test_nothing_of_a_tunnel_is_wanted() -> None:
    exchanges = Exchanges()
    ask = request("CONNECT a:443 HTTP/1.1", "Host: a:443", "User-Agent: t")
    answer = response("HTTP/1.1 200 OK", "A: b")
    exchanges.take([began(), Data(1, OUT, 0, START_NS, ask), Data(1, IN, 0, START_NS, answer)])
    assert not exchanges.skips
    exchanges.take([Data(1, OUT, len(ask), START_NS, b"\x16\x03\x01")])
    assert {(skip.direction, skip.until >= 1 << 60) for skip in exchanges.skips} == {(OUT, True), (IN, True)}
