"""The parts of hellos are what dpkt finds in them, and no damage gives more than a refusal."""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect._hello import client_parts, server_parts

GREASE = {0x0A0A + 0x1010 * number for number in range(16)}
TYPES = st.sampled_from([0, 5, 10, 11, 13, 16, 23, 35, 43, 45, 51, 0xFF01, 0x0A0A, 0xFAFA, 0x0A1A])
EXTENSIONS = st.lists(st.tuples(TYPES, st.binary(max_size=40)), max_size=30)


def packed(extensions: list[tuple[int, bytes]]) -> bytes:
    block = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in extensions)
    return struct.pack(">H", len(block)) + block


def client_body(suites: list[int], extensions: list[tuple[int, bytes]] | None, session: bytes = b"") -> bytes:
    body = b"\x03\x03" + bytes(32) + bytes([len(session)]) + session
    body += struct.pack(f">H{len(suites)}H", 2 * len(suites), *suites) + b"\x01\x00"
    return body + (b"" if extensions is None else packed(extensions))


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60), EXTENSIONS, st.binary(max_size=32))
def test_a_clients_parts_are_those_that_dpkt_finds(
    suites: list[int], extensions: list[tuple[int, bytes]], session: bytes
) -> None:
    body = client_body(suites, extensions, session)
    parts = client_parts(body)
    assert parts is not None
    hello = dpkt.ssl.TLSClientHello(body)
    theirs = getattr(hello, "extensions", [])
    first = dict(reversed(theirs))
    assert parts[0] == hello.version
    assert parts[1] == struct.pack(f">{len(suites)}H", *suites)
    assert list(parts[2]) == sorted(kind for kind, _ in theirs if kind not in GREASE)
    assert parts[3:] == (first.get(0), first.get(16), first.get(13), first.get(43))


@given(st.integers(0, 0xFFFF), EXTENSIONS)
def test_a_servers_parts_are_those_that_were_sent(suite: int, extensions: list[tuple[int, bytes]]) -> None:
    body = b"\x03\x03" + bytes(32) + b"\x00" + struct.pack(">HB", suite, 0) + packed(extensions)
    first = dict(reversed(extensions))
    assert server_parts(body) == (0x0303, suite, first.get(16), first.get(43))


def test_a_hello_may_have_no_extensions() -> None:
    assert client_parts(client_body([0x2F], None)) == (0x0303, b"\x00\x2f", (), None, None, None, None)
    assert server_parts(b"\x03\x00" + bytes(32) + b"\x00\x00\x2f\x00") == (0x0300, 0x2F, None, None)


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_hello_whose_lengths_do_not_fit_is_none(cut: int) -> None:
    body = client_body([0x2F, 0x35], [(0, b"name"), (16, b"\x00\x03\x02h2")])
    extensions = 2 + 8 + 9
    if cut != extensions:
        assert client_parts(body[:-cut]) is None
    whole = b"\x03\x03" + bytes(32) + b"\x00\x00\x2f\x00" + packed([(16, b"\x00\x03\x02h2")])
    if cut != 11:
        assert server_parts(whole[:-cut]) is None


def test_more_extensions_than_any_hello_has_are_none() -> None:
    assert client_parts(client_body([1], [(9, b"")] * 512)) is not None
    assert client_parts(client_body([1], [(9, b"")] * 513)) is None


@given(st.binary(max_size=300))
def test_any_bytes_have_parts_or_none(body: bytes) -> None:
    client_parts(body)
    server_parts(body)
