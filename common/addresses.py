"""IP addresses and endpoints: packed on the wire, text for people."""

from __future__ import annotations

import socket
from functools import lru_cache


@lru_cache(maxsize=65536)
def address_text(packed: bytes) -> str:
    """Return the text form of a packed IPv4 (4 bytes) or IPv6 (16 bytes) address (RFC 5952)."""
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    if len(packed) == 16:
        return socket.inet_ntop(socket.AF_INET6, packed)
    raise ValueError(f"an address has 4 or 16 bytes, not {len(packed)}")


@lru_cache(maxsize=65536)
def address_packed(text: str) -> bytes:
    """Return the packed form of an IPv4 or IPv6 address; ValueError says what was not one."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        raise ValueError(f"not an IP address: {text!r}") from None


def endpoint_text(address: str, port: int) -> str:
    """Return ``10.1.2.2:3128``, or ``[2001:db8::1]:443`` for IPv6 (RFC 3986)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse_endpoint(text: str) -> tuple[str, int | None]:
    """Return (address, port) of ``ADDRESS`` or ``ADDRESS:PORT``; the port is None when absent."""
    host, port = text, None
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"not an address or address:port: {text!r}")
        port = rest[1:] if rest else None
    elif text.count(":") == 1:
        host, port = text.split(":")
    address = address_text(address_packed(host))
    if port is None:
        return address, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65535:
        raise ValueError(f"not a port number: {port!r:.40} in {text!r:.80}")
    return address, int(port)
