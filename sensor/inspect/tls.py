"""What the hellos of TLS tell: versions, server name, ALPN, cipher suite, and JA4 of the client.

JA4 is FoxIO's (2023, BSD 3-Clause), written from its description.  The rest of JA4+, JA4S among it, is under another
licence and not here.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

import dpkt

from sensor.inspect.wiretext import wire_text

LARGEST_HELLO: Final = 1 << 16
"""Bytes of a handshake message beyond which it is not read."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SERVER_NAME, _ALPN, _SIGNATURE_ALGORITHMS, _SUPPORTED_VERSIONS = 0, 16, 13, 43
# JA4's two characters and Zeek's name of a version.
_VERSIONS: Final = {
    0x0002: ("s2", "SSLv2"),
    0x0300: ("s3", "SSLv3"),
    0x0301: ("10", "TLSv10"),
    0x0302: ("11", "TLSv11"),
    0x0303: ("12", "TLSv12"),
    0x0304: ("13", "TLSv13"),
}
# What dpkt raises on bytes that are no hello; it checks few of the lengths.
_DPKT_RAISES: Final = (dpkt.Error, struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError)
_NO_HASH: Final = "0" * 12

Facts = dict[str, str | int]


def client_hello_facts(data: bytes) -> Facts | None:
    """Return what a client's first bytes tell, or None when they hold no whole ClientHello.

    ``tls_offered`` is the highest version, ``sni`` and ``alpn`` are missing when the client sent none.
    """
    body = _handshake(data, _CLIENT_HELLO)
    if body is None:
        return None
    try:
        hello = dpkt.ssl.TLSClientHello(body)
        suites = [suite.code for suite in hello.ciphersuites]
        extensions: list[tuple[int, bytes]] = getattr(hello, "extensions", [])
        version: int = hello.version
    except _DPKT_RAISES:
        return None
    if not suites:
        return None
    by_type = dict(reversed(extensions))  # the first one counts
    protocols = _protocols(by_type.get(_ALPN, b""))
    facts: Facts = {"tls_offered": _version_name(_highest_version(by_type.get(_SUPPORTED_VERSIONS), version))}
    if name := wire_text(_server_name(by_type.get(_SERVER_NAME, b""))):
        facts["sni"] = name
    if offered := wire_text(b",".join(protocols)):
        facts["alpn_offered"] = offered
    facts["ja4"] = _ja4(version, suites, extensions, protocols)
    return facts


def server_hello_facts(data: bytes) -> Facts | None:
    """Return what a server's first bytes tell, or None when they hold no whole ServerHello.

    ``tls`` is the version chosen, ``cipher`` the suite's name; with TLS 1.3 the ALPN chosen is encrypted.
    """
    body = _handshake(data, _SERVER_HELLO)
    if body is None:
        return None
    try:
        hello = dpkt.ssl.TLSServerHello(body)
        code, name = hello.ciphersuite.code, hello.ciphersuite.name
        extensions: list[tuple[int, bytes]] = getattr(hello, "extensions", [])
        version: int = hello.version
    except _DPKT_RAISES:
        return None
    by_type = dict(reversed(extensions))
    chosen = by_type.get(_SUPPORTED_VERSIONS, b"")
    if len(chosen) == 2:
        version = int.from_bytes(chosen, "big")
    facts: Facts = {
        "tls": _version_name(version),
        "cipher": name if code in dpkt.ssl_ciphersuites.BY_CODE else f"{code:04x}",
    }
    if alpn := wire_text(b",".join(_protocols(by_type.get(_ALPN, b""))[:1])):
        facts["alpn"] = alpn
    return facts


def _handshake(data: bytes, kind: int) -> bytes | None:
    """Return the body of the first handshake message, put together from its records, if it is one of a kind."""
    message = b""
    at = 0
    while at + 5 <= len(data):
        record, major, length = data[at], data[at + 1], int.from_bytes(data[at + 3 : at + 5], "big")
        if record != _HANDSHAKE or major != 3 or not length:
            return None
        message += data[at + 5 : at + 5 + length]
        at += 5 + length
        if message and message[0] != kind:
            return None
        if len(message) >= 4:
            size = int.from_bytes(message[1:4], "big")
            if size > LARGEST_HELLO:
                return None
            if len(message) >= 4 + size:
                return message[4 : 4 + size]
    return None


def _is_grease(number: int) -> bool:
    """RFC 8701: 0x0a0a, 0x1a1a and so on."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def _numbers(data: bytes) -> list[int]:
    """Return the 16-bit numbers of a list, GREASE left out."""
    numbers = struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])
    return [number for number in numbers if not _is_grease(number)]


def _highest_version(versions: bytes | None, legacy: int) -> int:
    """Return the highest version that a client offers (RFC 8446, 4.2.1)."""
    return max(_numbers(versions[1 : 1 + versions[0]]) if versions else (), default=legacy)


def _version_name(version: int) -> str:
    return _VERSIONS[version][1] if version in _VERSIONS else f"{version:04x}"


def _server_name(data: bytes) -> bytes:
    """Return the first name of a list of names, if it is a host's (RFC 6066, 3)."""
    if len(data) < 5 or data[2] != 0:
        return b""
    return data[5 : 5 + int.from_bytes(data[3:5], "big")]


def _protocols(data: bytes) -> list[bytes]:
    """Return the names of an ALPN list (RFC 7301, 3.1)."""
    names = []
    at = 2
    while at < len(data):
        names.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return [name for name in names if name]


def _ja4(version: int, suites: list[int], extensions: list[tuple[int, bytes]], protocols: list[bytes]) -> str:
    """Return the client's JA4, of the two orders the sorted one."""
    by_type = dict(reversed(extensions))
    suites = [suite for suite in suites if not _is_grease(suite)]
    types = [kind for kind, _ in extensions if not _is_grease(kind)]
    highest = _highest_version(by_type.get(_SUPPORTED_VERSIONS), version)
    start = (
        f"t{_VERSIONS[highest][0] if highest in _VERSIONS else '00'}{'d' if _SERVER_NAME in by_type else 'i'}"
        f"{min(len(suites), 99):02}{min(len(types), 99):02}{_ja4_alpn(protocols)}"
    )
    listed = _hex(sorted(kind for kind in types if kind not in (_SERVER_NAME, _ALPN)))
    if algorithms := _hex(_numbers(by_type.get(_SIGNATURE_ALGORITHMS, b"")[2:])):
        listed += f"_{algorithms}"
    return f"{start}_{_short_hash(_hex(sorted(suites)))}_{_short_hash(listed) if types else _NO_HASH}"


def _ja4_alpn(protocols: list[bytes]) -> str:
    """Return the first and last character of the first protocol; of its hexadecimal form unless both are ASCII."""
    if not protocols:
        return "00"
    first, last = protocols[0][:1], protocols[0][-1:]
    if first.isalnum() and last.isalnum():
        return (first + last).decode("ascii")
    return first.hex()[0] + last.hex()[1]


def _hex(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else _NO_HASH
