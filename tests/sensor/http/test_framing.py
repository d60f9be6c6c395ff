"""A body ends where RFC 9112, 6.3 says; contradictions are named."""

from __future__ import annotations

import pytest

from sensor.http.framing import MAX_LENGTH, NO_BODY, UNTIL_CLOSE, Body, chunk_size, request_body, response_body
from sensor.http.head import Fields

_CHUNKED = Body(None, chunked=True)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, NO_BODY),
        ({b"content-length": [b"12"]}, Body(12, chunked=False)),
        ({b"content-length": [b"12", b"12"]}, Body(12, chunked=False)),
        ({b"content-length": [b"12, 12"]}, Body(12, chunked=False)),
        ({b"content-length": [b"12", b"13"]}, Body(0, chunked=False, anomalies=("bad-length",))),
        ({b"content-length": [b"-1"]}, Body(0, chunked=False, anomalies=("bad-length",))),
        ({b"content-length": [b""]}, Body(0, chunked=False, anomalies=("bad-length",))),
        ({b"content-length": [str(MAX_LENGTH + 1).encode()]}, Body(0, chunked=False, anomalies=("bad-length",))),
        ({b"transfer-encoding": [b"Chunked"]}, _CHUNKED),
        ({b"transfer-encoding": [b"gzip", b"chunked"]}, _CHUNKED),
        ({b"transfer-encoding": [b"identity"], b"content-length": [b"3"]}, Body(3, chunked=False)),
        (
            {b"transfer-encoding": [b"chunked"], b"content-length": [b"3"]},
            Body(None, chunked=True, anomalies=("length-and-chunked",)),
        ),
    ],
)
def test_a_request_has_a_body_when_it_says_so(fields: Fields, body: Body) -> None:
    assert request_body(fields) == body


@pytest.mark.parametrize(
    ("method", "status", "fields", "body"),
    [
        (b"GET", 200, {}, UNTIL_CLOSE),
        (b"GET", 200, {b"content-length": [b"5"]}, Body(5, chunked=False)),
        (b"HEAD", 200, {b"content-length": [b"5"]}, NO_BODY),
        (b"GET", 204, {b"content-length": [b"5"]}, NO_BODY),
        (b"GET", 304, {b"transfer-encoding": [b"chunked"]}, NO_BODY),
        (None, 200, {b"transfer-encoding": [b"chunked"]}, _CHUNKED),
        (b"GET", 200, {b"transfer-encoding": [b"gzip"]}, UNTIL_CLOSE._replace(anomalies=("bad-transfer-encoding",))),
    ],
)
def test_a_response_goes_on_until_the_end_unless_it_says_otherwise(
    method: bytes | None, status: int, fields: Fields, body: Body
) -> None:
    assert response_body(method, status, fields) == body


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"1a\r", 26), (b"0\r", 0), (b"5;name=value\r", 5), (b" 5 \r", 5), (b"5", 5), (b"\r", None), (b"-5\r", None),
        (b"0x5\r", None), (b"5 5\r", None), (b"1" * 13, None),
    ],
)  # fmt: skip
def test_a_chunk_begins_with_its_size(line: bytes, size: int | None) -> None:
    assert chunk_size(line) == size
