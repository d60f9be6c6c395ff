"""Hellos: what they tell, that any bytes are a hello or None, and JA4 against the values that nDPI computes."""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import tcp_streams

from common.kinds import FACTS
from sensor.inspect.tls import client_hello_facts, server_hello_facts


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def listed(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def named(host: bytes) -> bytes:
    return extension(0, listed(b"\x00" + listed(host)))


def alpn(*names: bytes) -> bytes:
    return extension(16, listed(b"".join(bytes([len(name)]) + name for name in names)))


def record(message: bytes, *cuts: int) -> bytes:
    pieces = [message[a:b] for a, b in zip((0, *cuts), (*cuts, len(message)), strict=True)]
    return b"".join(b"\x16\x03\x01" + listed(piece) for piece in pieces)


def client(suites: bytes, extensions: bytes | None = None, version: int = 0x0303) -> bytes:
    body = struct.pack(">H", version) + bytes(32) + b"\x00" + listed(suites) + b"\x01\x00"
    body += b"" if extensions is None else listed(extensions)
    return b"\x01" + struct.pack(">I", len(body))[1:] + body


def server(suite: int, extensions: bytes = b"", version: int = 0x0303) -> bytes:
    body = struct.pack(">H", version) + bytes(32) + b"\x00" + struct.pack(">HB", suite, 0) + listed(extensions)
    return b"\x02" + struct.pack(">I", len(body))[1:] + body


# The example of JA4's description: Chrome, with GREASE among the suites, extensions, versions.
CHROME_SUITES = numbers(
    0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D,
    0x2F, 0x35,
)  # fmt: skip
CHROME_EXTENSIONS = (
    extension(0x3A3A, b"")
    + named(b"example.org")
    + b"".join(extension(kind, b"\x00") for kind in (0x17, 0xFF01, 0x0A, 0x0B, 0x23))
    + alpn(b"h2", b"http/1.1")
    + extension(5, b"\x01\x00\x00\x00\x00")
    + extension(0x0D, listed(numbers(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)))
    + b"".join(extension(kind, b"\x00") for kind in (0x12, 0x33, 0x2D))
    + extension(0x2B, b"\x06" + numbers(0x4A4A, 0x0304, 0x0303))
    + b"".join(extension(kind, b"\x00") for kind in (0x1B, 0x4469, 0x8A8A, 0x15))
)
CHROME = client(CHROME_SUITES, CHROME_EXTENSIONS)


def test_the_example_of_ja4s_description() -> None:
    assert client_hello_facts(record(CHROME)) == {
        "tls_offered": "TLSv13",
        "sni": "example.org",
        "alpn_offered": "h2,http/1.1",
        "ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1",
    }


def test_a_hello_in_several_records_is_the_same() -> None:
    assert client_hello_facts(record(CHROME, 1, 3, 100)) == client_hello_facts(record(CHROME) + b"more")


def test_a_hello_without_extensions() -> None:
    assert client_hello_facts(record(client(numbers(0x2F), version=0x0301))) == {
        "tls_offered": "TLSv10",
        "ja4": "t10i010000_ba72b8082249_000000000000",
    }


@pytest.mark.parametrize(
    ("name", "characters"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"h\x00", "60"),
        (b"", "00"),
    ],
)
def test_the_characters_of_alpn_in_ja4(name: bytes, characters: str) -> None:
    facts = client_hello_facts(record(client(numbers(0x2F), alpn(name))))
    assert facts is not None
    assert str(facts["ja4"])[8:10] == characters


def test_what_a_server_chose() -> None:
    assert server_hello_facts(record(server(0x1301, extension(0x2B, b"\x03\x04")))) == {
        "tls": "TLSv13",
        "cipher": "TLS_AES_128_GCM_SHA256",
    }
    assert server_hello_facts(record(server(0xC02F, alpn(b"http/1.1")))) == {
        "tls": "TLSv12",
        "cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "alpn": "http/1.1",
    }
    assert server_hello_facts(record(server(0xEEEE, version=0x0299))) == {"tls": "0299", "cipher": "eeee"}


def test_a_hello_is_the_one_that_is_asked_for() -> None:
    assert client_hello_facts(record(server(0x1301))) is None
    assert server_hello_facts(record(CHROME)) is None


def test_names_are_bounded_and_printable() -> None:
    facts = client_hello_facts(
        record(client(numbers(0x2F), named(b"\x00\x1b\xff" * 500) + alpn(b"\n" * 200, b"a" * 200)))
    )
    assert facts is not None
    assert FACTS.check(facts)
    assert len(str(facts["sni"])) == len(str(facts["alpn_offered"])) == 255
    assert str(facts["sni"]).startswith("\\x00\\x1b\\xff")


def test_a_cut_hello_is_none() -> None:
    whole = record(CHROME, 50)
    assert not [cut for cut in range(len(whole)) if client_hello_facts(whole[:cut])]
    whole = record(server(0x1301, extension(0x2B, b"\x03\x04")))
    assert not [cut for cut in range(len(whole)) if server_hello_facts(whole[:cut])]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        record(b"\x01\xff\xff\xff" + bytes(100)),
        record(client(b"")),
        record(client(b"\x00")),
        record(client(numbers(0x2F), b"\x00")),
        b"\x16\x03\x01\x00\x00" * 4,
    ],
)
def test_what_is_no_hello_is_none(data: bytes) -> None:
    assert client_hello_facts(data) is None or data == record(client(numbers(0x2F), b"\x00"))
    assert server_hello_facts(data) is None


@given(st.data())
def test_any_bytes_and_any_damage_give_facts_or_none(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([record(CHROME), record(server(0xC02F, alpn(b"h2")))])))
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))]) + data.draw(st.binary(max_size=80))
    for facts in (client_hello_facts(cut), server_hello_facts(cut)):
        assert facts is None or FACTS.check(facts)


@given(st.binary(max_size=300), st.sampled_from((b"\x01", b"\x02")))
def test_any_body_gives_facts_or_none(body: bytes, kind: bytes) -> None:
    data = record(kind + struct.pack(">I", len(body))[1:] + body)
    for facts in (client_hello_facts(data), server_hello_facts(data)):
        assert facts is None or FACTS.check(facts)


# nDPI 4 takes the first two characters of the ALPN value instead of the first and the last: "ht" of http/1.1.
NDPI_SAYS_OTHERWISE = {"t12d6707ht_2955a3196ffa_c83f907a73d3": "t12d6707h1_2955a3196ffa_c83f907a73d3"}


@pytest.mark.shared
def test_ja4_is_what_ndpi_computes(shared_dir: Path) -> None:
    checked = 0
    for path in sorted((shared_dir / "data").glob("*/*.ndpi.txt")):
        told = re.findall(r"TCP .*\[JA4: (\w+)\]", path.read_text(encoding="utf-8", errors="replace"))
        streams = tcp_streams(path.with_name(path.name.removesuffix(".ndpi.txt")))
        facts = [client_hello_facts(stream.out) for stream in streams]
        computed = Counter(fact["ja4"] for fact in facts if fact)
        assert computed == Counter(NDPI_SAYS_OTHERWISE.get(value, value) for value in told), path.name
        checked += computed.total()
    assert checked == 16
