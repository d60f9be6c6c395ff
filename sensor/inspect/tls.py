"""What the hellos of TLS tell: versions, server name, ALPN, cipher suite, and JA4 of the client.

JA4 is FoxIO's (2023, BSD 3-Clause), written from its description.  The rest of JA4+, JA4S among it, is under another
licence and not here.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sensor.inspect._hello import client_parts, server_parts
from sensor.inspect.ciphers import cipher_names
from sensor.inspect.wiretext import wire_text

LARGEST_HELLO: Final = 1 << 16
"""Bytes of a handshake message beyond which it is not read."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_NOT_HASHED: Final = (0, 16)
"""The extensions of server name and ALPN: JA4 has them in its first part."""
# JA4's two characters and Zeek's name of a version.
_VERSIONS: Final = {
    0x0002: ("s2", "SSLv2"),
    0x0300: ("s3", "SSLv3"),
    0x0301: ("10", "TLSv10"),
    0x0302: ("11", "TLSv11"),
    0x0303: ("12", "TLSv12"),
    0x0304: ("13", "TLSv13"),
}
_GREASE: Final = frozenset(0x0A0A + 0x1010 * number for number in range(16))
"""RFC 8701: numbers that mean nothing, and are others each time."""
_NO_HASH: Final = "0" * 12
_HASHES: Final = 1024
"""Of lists that came lately: the same programs send the same ones."""

Facts = dict[str, str | int]


def client_hello_facts(data: bytes) -> Facts | None:
    """Return what a client's first bytes tell, or None when they hold no whole ClientHello.

    ``tls_offered`` is the highest version, ``sni`` and ``alpn`` are missing when the client sent none.
    """
    body = _handshake(data, _CLIENT_HELLO)
    parts = client_parts(body) if body is not None else None
    if parts is None or len(parts[1]) < 2:
        return None
    version, suites, types, name, protocols, algorithms, versions = parts
    offered, characters = _offered(protocols or b"")
    short, version_name = _versions(versions or b"", version)
    count, suites_hash = _suites_part(suites)
    facts: Facts = {"tls_offered": version_name}
    if name is not None and (host := wire_text(_server_name(name))):
        facts["sni"] = host
    if offered:
        facts["alpn_offered"] = offered
    # JA4, of its two orders the sorted one.
    facts["ja4"] = (
        f"t{short}{'i' if name is None else 'd'}{count:02}{min(len(types), 99):02}{characters}"
        f"_{suites_hash}_{_extensions_part(types, algorithms or b'')}"
    )
    return facts


def server_hello_facts(data: bytes) -> Facts | None:
    """Return what a server's first bytes tell, or None when they hold no whole ServerHello.

    ``tls`` is the version chosen, ``cipher`` the suite's name; with TLS 1.3 the ALPN chosen is encrypted.
    """
    body = _handshake(data, _SERVER_HELLO)
    parts = server_parts(body) if body is not None else None
    if parts is None:
        return None
    version, code, protocols, chosen = parts
    if chosen is not None and len(chosen) == 2:
        version = int.from_bytes(chosen, "big")
    facts: Facts = {"tls": _version_name(version), "cipher": cipher_names().get(code) or f"{code:04x}"}
    if protocols is not None and (alpn := wire_text(b",".join(_protocols(protocols)[:1]))):
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


def _numbers(data: bytes) -> list[int]:
    """Return the 16-bit numbers of a list, GREASE left out."""
    numbers = struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])
    return [number for number in numbers if number not in _GREASE]


@lru_cache(_HASHES)
def _versions(versions: bytes, legacy: int) -> tuple[str, str]:
    """Return JA4's characters and Zeek's name of the highest version that a client offers (RFC 8446, 4.2.1)."""
    highest = max(_numbers(versions[1 : 1 + versions[0]]) if versions else (), default=legacy)
    return (_VERSIONS[highest][0] if highest in _VERSIONS else "00"), _version_name(highest)


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


@lru_cache(_HASHES)
def _suites_part(suites: bytes) -> tuple[int, str]:
    """Return the number of suites, 99 at most, and the hash of them."""
    numbers = _numbers(suites)
    return min(len(numbers), 99), _short_hash(_hex(sorted(numbers)))


@lru_cache(_HASHES)
def _extensions_part(types: tuple[int, ...], algorithms: bytes) -> str:
    """Return the hash of the extensions' types and of the signature algorithms, in the order in which these came."""
    if not types:
        return _NO_HASH
    listed = _hex(kind for kind in types if kind not in _NOT_HASHED)
    if signatures := _hex(_numbers(algorithms[2:])):
        listed += f"_{signatures}"
    return _short_hash(listed)


@lru_cache(_HASHES)
def _offered(extension: bytes) -> tuple[str, str]:
    """Return the protocols that an ALPN extension offers, as text, and JA4's characters for them."""
    protocols = _protocols(extension)
    return wire_text(b",".join(protocols)), _ja4_alpn(protocols)


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
