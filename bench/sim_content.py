"""First bytes of the simulated connections: what the sensor would read of them, and how random they look."""

from __future__ import annotations

import math
import random
from collections import Counter
from functools import cache
from typing import Final, NamedTuple

from sim_talk import Known

_SAMPLE: Final = 256
_POOL: Final = 64


class Software(NamedTuple):
    """A program that opens connections."""

    user_agent: str
    ja4: str
    """Of its ClientHello, as ``sensor/inspect/tls.py`` writes it."""


# What many users have; the names are in the style of the programs' own, of 2025.
BROWSERS: Final = (
    Software(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/131.0.0.0 Safari/537.36",
        "t13d1516h2_8daaf6152771_02713d6af862",
    ),
    Software(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
        "t13d1715h2_5b57614c22b0_5c2c66f702b0",
    ),
    Software(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.1 Safari/605.1.15",
        "t13d2014h2_a09f3c656075_14788d8d241b",
    ),
)  # fmt: skip


def looks_of(data: bytes) -> tuple[float, float, int, float]:
    """Return set bits per byte, printable share, longest printable run and entropy of the first 256 bytes."""
    head = data[:_SAMPLE]
    longest = run = printable = 0
    for byte in head:
        run = run + 1 if 0x20 <= byte < 0x7F else 0
        printable += run > 0
        longest = max(longest, run)
    shares = [count / len(head) for count in Counter(head).values()]
    bits = sum(byte.bit_count() for byte in head)
    entropy = max(0.0, -sum(share * math.log2(share) for share in shares))
    return bits / len(head), printable / len(head), longest, entropy


@cache
def _tls_looks() -> list[tuple[float, float, int, float]]:
    dice = random.Random("client hellos")
    return [looks_of(client_hello(dice)) for _ in range(_POOL)]


@cache
def _http_looks() -> list[tuple[float, float, int, float]]:
    dice = random.Random("requests")
    return [looks_of(request(dice, "GET", BROWSERS[number % len(BROWSERS)].user_agent)) for number in range(_POOL)]


def client_hello(dice: random.Random) -> bytes:
    """Return the beginning of a ClientHello as browsers send it: random, session id, 16 ciphers, extensions."""
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035000a")
    name = bytes(dice.choices(b"abcdefghijklmnopqrstuvwxyz.-", k=dice.randrange(9, 30)))
    extensions = b"\0\0\0" + bytes((len(name) + 5, 0, len(name) + 3, 0, 0, len(name))) + name
    extensions += bytes.fromhex(
        "00170000ff01000100000a000a0008001d001700180019000b00020100002300000010000e000c02683208687474702f312e31"
    )
    body = b"\x03\x03" + dice.randbytes(32) + b"\x20" + dice.randbytes(32) + bytes((0, len(ciphers))) + ciphers
    body += b"\x01\0\x01\xf0" + extensions + dice.randbytes(300)
    return b"\x16\x03\x01\x02\0\x01\0\x01\xfc" + body


def request(dice: random.Random, method: str, user_agent: str) -> bytes:
    """Return the beginning of an HTTP request."""
    path = "".join(dice.choices("abcdefghijklmnopqrstuvwxyz0123456789/-", k=dice.randrange(4, 60)))
    fields = f"Host: {path[:8]}.example\r\nUser-Agent: {user_agent}\r\nAccept: */*\r\n\r\n"
    return f"{method} /{path} HTTP/1.1\r\n{fields}".encode()


def tls(dice: random.Random, host: str | None, software: Software, alpn: str = "h2") -> Known:
    """Return what is known of TLS on its own port."""
    return Known("tls", "tls", host, _hello_facts(host, software, alpn), None, dice.choice(_tls_looks()))


def _hello_facts(host: str | None, software: Software, alpn: str) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"tls_offered": "1.3", "ja4": software.ja4, "tls": "1.3"}
    facts["cipher"] = "TLS_AES_128_GCM_SHA256"
    if host:
        facts["sni"] = host
    if alpn:
        facts["alpn_offered"] = alpn
    return facts


def http(dice: random.Random, host: str, software: Software, method: str = "GET") -> Known:
    """Return what is known of HTTP in the clear, through a proxy or not."""
    facts: dict[str, str | int] = {"http_method": method, "http_status": 200}
    if software.user_agent:
        facts["user_agent"] = software.user_agent
    return Known("http", "http", host, facts, None, dice.choice(_http_looks()))


def connected(dice: random.Random, host: str, software: Software, alpn: str = "h2") -> Known:
    """Return what is known of TLS inside CONNECT."""
    facts: dict[str, str | int] = {"http_method": "CONNECT", "http_connect": f"{host}:443", "http_status": 200}
    facts |= {"user_agent": software.user_agent, "inside_out": "tls", "inside_in": "tls"}
    return Known("http", "http", host, facts | _hello_facts(host, software, alpn), None, dice.choice(_http_looks()))


def connected_to(host: str, inside: tuple[str, str], port: int = 443) -> Known:
    """Return what is known of something else inside CONNECT, asked for without a browser's name."""
    facts: dict[str, str | int] = {"http_method": "CONNECT", "http_connect": f"{host}:{port}", "http_status": 200}
    facts |= {"inside_out": inside[0], "inside_in": inside[1]}
    if inside[0] == "ssh":
        facts |= {"ssh_banner_out": "SSH-2.0-OpenSSH_9.6", "ssh_banner_in": "SSH-2.0-OpenSSH_9.2p1"}
    looks = looks_of(f"CONNECT {host}:{port} HTTP/1.0\r\n\r\n".encode())
    return Known("http", "http", host, facts, ("connect-not-tls",), looks)


def ssh(*, odd: bool) -> Known:
    """Return what is known of ssh, on its own port or another."""
    facts: dict[str, str | int] = {"ssh_banner_out": "SSH-2.0-OpenSSH_9.6", "ssh_banner_in": "SSH-2.0-OpenSSH_9.2p1"}
    anomalies = ("odd-port",) if odd else None
    return Known("ssh", "ssh", None, facts, anomalies, looks_of(b"SSH-2.0-OpenSSH_9.6\r\n"))


def random_looking(dice: random.Random) -> Known:
    """Return what is known where both sides send nothing but random bytes from the first on."""
    return Known("random", "random", None, None, ("odd-port",), looks_of(dice.randbytes(dice.randrange(60, 600))))


def unknown(data: bytes, *, app: str = "unknown", odd: bool = True) -> Known:
    """Return what is known of bytes that begin no protocol."""
    return Known(app, app, None, None, ("odd-port",) if odd else None, looks_of(data))
