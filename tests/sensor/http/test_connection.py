"""Responses belong to their requests, whatever the two sides send."""

from __future__ import annotations

import pytest
from http_talk import IN, OUT, Turn, anomalies, request, response, talk

from sensor.http.connection import MAX_WAITING

_GET = request()
_OK = response(body=b"hello")
_CONNECT = request("CONNECT a.example:443 HTTP/1.1", "Host: a.example:443", "User-Agent: t")
_ESTABLISHED = response("HTTP/1.1 200 Connection established", "X: y")
_UPGRADE = request("GET /ws HTTP/1.1", "Host: a", "User-Agent: t", "Upgrade: WebSocket", "Connection: Upgrade")
_SWITCHING = response("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket")


def _statuses(*turns: Turn) -> list[tuple[int, str | None, int | None, int]]:
    return [(r.number, r.method, r.status, r.response_body_bytes) for r in talk(*turns)]


def test_the_exchanges_of_a_connection_are_numbered() -> None:
    turns: list[Turn] = []
    for number in range(5):
        turns += [(OUT, request(f"GET /{number} HTTP/1.1")), (IN, response(body=b"x" * number))]
    assert _statuses(*turns) == [(number, "GET", 200, number) for number in range(5)]


def test_pipelined_requests_have_their_responses_in_order() -> None:
    asks = b"".join(request(f"{method} / HTTP/1.1") for method in ("GET", "HEAD", "GET"))
    answers = response(body=b"abc") + response("HTTP/1.1 200 OK", "Content-Length: 9") + response("HTTP/1.1 404 No")
    assert _statuses((OUT, asks), (IN, answers)) == [(0, "GET", 200, 3), (1, "HEAD", 200, 0), (2, "GET", 404, 0)]


def test_an_interim_response_is_none() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert _statuses((OUT, _GET), (IN, interim), (IN, _OK)) == [(0, "GET", 200, 5)]


def test_a_response_without_a_length_goes_on_until_the_end() -> None:
    assert _statuses((OUT, _GET), (IN, b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n" + b"x" * 10), (IN, b"HTTP/1.1 2")) == [
        (0, "GET", 200, 20)
    ]
    assert anomalies((OUT, _GET), (IN, b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nxyz")) == [()]


def test_a_request_of_http_0_9_has_the_rest_for_its_answer() -> None:
    (record,) = talk((OUT, b"GET /old\r\n"), (IN, b"<html>"), (IN, b"</html>"))
    assert (record.version, record.status, record.response_body_bytes) == ("0.9", None, 13)
    assert record.anomalies == ("unknown-version",)


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        ([(OUT, _GET)], [("no-response",)]),
        ([(OUT, _GET), (IN, _OK[:-1])], [("body-short",)]),
        ([(OUT, _GET), (IN, _OK + _OK)], [(), ("two-responses",)]),
        ([(OUT, _GET), (IN, _OK), (IN, response("HTTP/1.1 408 Timeout"))], [(), ("no-request",)]),
        ([(IN, _OK)], [("no-request",)]),
        ([(OUT, _GET), (IN, _OK + b"more")], [(), ("body-long",)]),
        ([(OUT, _GET), (IN, response() + b"more")], [(), ("not-http",)]),
        ([(OUT, _GET), (IN, b"SSH-2.0-OpenSSH_9.2\r\n")], [("not-http",)]),
        ([(OUT, _GET), (IN, _OK), (OUT, b"\x00\x01\x02")], [(), ("not-http",)]),
        ([(OUT, _GET[:20]), (IN, _OK), (OUT, _GET[20:])], [("early-response",)]),
        ([(OUT, _GET[:20])], [("cut-head",)]),
        ([(OUT, _GET), (IN, b"HTTP/1.1 200 OK\r\nA")], [("cut-head",)]),
        ([(OUT, b"\x16\x03\x01\x00\x05hello"), (IN, response("HTTP/1.1 400 Bad Request"))], [("no-request",)]),
        ([(OUT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), (IN, b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")], []),
        ([(OUT, b"SSH-2.0-x\r\n"), (IN, b"SSH-2.0-y\r\n")], []),
    ],
)
def test_what_does_not_fit_together_is_named(turns: list[Turn], found: list[tuple[str, ...]]) -> None:
    assert anomalies(*turns) == found


@pytest.mark.parametrize("end_reason", [4, 5])
@pytest.mark.parametrize("turns", [[(OUT, _GET)], [(OUT, _GET), (IN, _OK[:-1])]])
def test_what_the_sensor_did_not_wait_for_is_not_held_against_a_peer(turns: list[Turn], end_reason: int) -> None:
    assert anomalies(*turns, end_reason=end_reason) == [("unfinished",)]


class TestTunnels:
    def test_connect_is_over_with_the_responses_head(self) -> None:
        tls = b"\x16\x03\x01\x02\x00\x01"
        records = talk((OUT, _CONNECT), (IN, _ESTABLISHED), (OUT, tls), (IN, tls), (OUT, tls * 100))
        assert [(r.method, r.status, r.anomalies) for r in records] == [("CONNECT", 200, None)]
        assert (records[0].request_body_bytes, records[0].response_body_bytes) == (0, 0)

    def test_a_server_that_speaks_first_in_the_tunnel_is_no_anomaly(self) -> None:
        assert anomalies((OUT, _CONNECT), (IN, _ESTABLISHED + b"220 mail ESMTP\r\n"), (OUT, b"EHLO x\r\n")) == [()]

    def test_what_the_client_sends_before_the_answer_belongs_to_the_tunnel(self) -> None:
        assert anomalies((OUT, _CONNECT + b"\x16\x03\x01"), (IN, _ESTABLISHED), (IN, b"\x16\x03\x03")) == [()]

    def test_http_in_a_tunnel_is_told(self) -> None:
        assert anomalies((OUT, _CONNECT), (IN, _ESTABLISHED), (OUT, _GET), (IN, _OK)) == [(), ("http-in-connect",)]
        assert anomalies((OUT, _CONNECT + _GET), (IN, _ESTABLISHED), (IN, _OK)) == [(), ("http-in-connect",)]

    def test_after_a_refusal_the_connection_goes_on(self) -> None:
        refused = response("HTTP/1.1 403 Forbidden", body=b"no")
        assert _statuses((OUT, _CONNECT + _GET), (IN, refused), (IN, _OK)) == [
            (0, "CONNECT", 403, 2),
            (1, "GET", 200, 5),
        ]

    def test_an_upgrade_is_over_with_the_responses_head(self) -> None:
        records = talk((OUT, _UPGRADE), (IN, _SWITCHING + b"\x81\x05hello"), (OUT, b"\x81\x85....hello"))
        assert [(r.upgrade, r.status, r.anomalies) for r in records] == [("websocket", 101, None)]

    def test_after_an_upgrade_that_was_not_granted_the_connection_goes_on(self) -> None:
        assert _statuses((OUT, _UPGRADE), (IN, _OK), (OUT, _GET), (IN, _OK)) == [
            (0, "GET", 200, 5),
            (1, "GET", 200, 5),
        ]


class TestGaps:
    def test_a_gap_in_a_body_of_known_length_loses_nothing(self) -> None:
        answer = response(body=b"x" * 100)
        records = talk((OUT, _GET), (IN, answer[:60]), (IN, 50), (IN, answer[110:]), (OUT, _GET), (IN, _OK))
        assert [(r.response_body_bytes, r.anomalies) for r in records] == [(100, ("gap",)), (5, None)]

    def test_after_a_gap_in_a_head_the_next_message_is_found(self) -> None:
        turns: list[Turn] = [(OUT, _GET), (IN, 30), (IN, b"rest"), (OUT, _GET), (IN, _OK), (OUT, _GET), (IN, _OK)]
        assert anomalies(*turns) == [("gap",), (), ()]

    def test_a_response_that_nobody_saw_is_no_anomaly_of_the_server(self) -> None:
        assert anomalies((OUT, _GET), (IN, 30), (IN, b"rest")) == [("gap",)]

    def test_a_response_to_a_request_that_was_not_seen_is_no_anomaly_of_the_server(self) -> None:
        assert anomalies((OUT, _GET), (IN, _OK), (OUT, 40), (IN, _OK)) == [(), ("gap",)]


def test_requests_that_wait_are_bounded_and_their_responses_left_out() -> None:
    ask = b"".join(request(f"GET /{number} HTTP/1.1") for number in range(MAX_WAITING + 3))
    answer = b"".join(response(body=b"x" * number) for number in range(MAX_WAITING + 3))
    records = talk((OUT, ask), (IN, answer), (OUT, _GET), (IN, _OK))
    assert [r.response_body_bytes for r in records] == [*range(MAX_WAITING), 5]
    assert not any(r.anomalies for r in records)
