"""Matches as text command no terminal, and JSON gives back the very bytes."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from capture_events import T0, began
from hypothesis import given
from hypothesis import strategies as st
from signatures import pattern

from sensor.match.stream import Match
from sensor.output.matches import (
    Context,
    around,
    match_json,
    match_line,
    protocol_name,
    safe_text,
    unmatched_json,
    unmatched_line,
)  # fmt: skip
from sensor.stream.events import CLIENT, SERVER

FOUND = Match(pattern(b"sec.et"), 7, b"sec\x1bet", b"one\ntwo\nthe ", b" end\r\nthree\nfour")


@given(st.binary())
def test_any_bytes_become_printable_ascii_that_says_what_they_were(data: bytes) -> None:
    text = safe_text(data)
    assert text.isascii()
    assert text == "" or text.isprintable()
    assert text.encode().decode("unicode_escape").encode("latin-1") == data


def test_a_match_is_a_line_with_when_who_where_and_what() -> None:
    line = match_line(began(), CLIENT, T0, FOUND, Context())
    assert line == "2023-11-14T22:13:20Z 10.1.1.9:1025 > 10.1.2.2:3128 tcp +7 sec.et: sec\\x1bet\n"
    assert " < 10.1.2.2:3128 " in match_line(began(), SERVER, T0, FOUND, Context())


@pytest.mark.parametrize(
    ("context", "before", "after"),
    [
        (Context(4, 2), b"the ", b" e"),
        (Context(0, 2), b"", b" e"),
        (Context(1, 0, lines=True), b"two\nthe ", b" end\r"),
        (Context(9, 1, lines=True), b"one\ntwo\nthe ", b" end\r\nthree"),
    ],
)
def test_context_is_so_many_bytes_or_lines(context: Context, before: bytes, after: bytes) -> None:
    assert around(FOUND, context) == (before, after)
    row = json.loads(match_json(began(), CLIENT, T0, FOUND, context))
    assert (row["before"], row["after"]) == (safe_text(before), safe_text(after))


def test_context_lines_stand_under_the_match() -> None:
    lines = match_line(began(), CLIENT, T0, FOUND, Context(1, 1, lines=True)).splitlines()
    assert lines[1:] == ["    two", "    the sec\\x1bet end", "    three"]


@given(st.binary(min_size=1))
def test_json_gives_back_the_very_bytes(data: bytes) -> None:
    line = match_json(began(), SERVER, T0, FOUND._replace(data=data), Context())
    row = json.loads(line)
    assert line.isascii()
    assert b64decode(row["base64"]) == data
    assert row["text"] == safe_text(data)
    assert list(row) == ["time", "client", "server", "protocol", "direction", "offset", "pattern", "text", "base64"]
    assert (row["direction"], row["client"], row["server"], row["offset"]) == (
        "server",
        "10.1.1.9:1025",
        "10.1.2.2:3128",
        7,
    )


def test_a_long_match_is_shown_in_part_and_the_rest_counted() -> None:
    assert match_line(began(), CLIENT, T0, FOUND._replace(data=b"x" * 600), Context()).endswith("xxx and 88 bytes\n")


def test_a_flow_without_a_match_is_a_line_or_an_object() -> None:
    line = unmatched_line(began(), 5, 6)
    assert line == "2023-11-14T22:13:20Z 10.1.1.9:1025 > 10.1.2.2:3128 tcp no match in 5 bytes out, 6 bytes in\n"
    row = json.loads(unmatched_json(began(), 5, 6))
    assert (row["protocol"], row["bytes_out"], row["bytes_in"]) == ("tcp", 5, 6)
    assert protocol_name(47) == "47"
