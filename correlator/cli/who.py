"""Whom a question is about: addresses, networks, ports and host names on the command line, each in its one spelling."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from common.addresses import address_packed, address_text, parse_endpoint
from correlator.rows import Selection

Ports = tuple[int, int]
_NETWORK: Final = re.compile(
    r"(?P<bracket>\[)?(?P<address>[^\[\]/]*)/(?P<length>[^\[\]:/]*)(?(bracket)\])(?::(?P<port>[^:/]*))?", re.DOTALL
)


def address(text: str) -> str:
    """Return an address, or a network in CIDR; ValueError in one line."""
    found, port = endpoint(text)
    if port is not None:
        raise ValueError(f"an address without a port is wanted, not {text!r:.80}")
    return found


def endpoint(text: str) -> tuple[str, int | None]:
    """Return (address or network, port or None) of ``IP[:PORT]`` or ``NET[:PORT]``; ValueError in one line."""
    if "/" not in text:
        return parse_endpoint(text)
    match = _NETWORK.fullmatch(text)
    if match is None:
        raise ValueError(f"not a network or network:port: {text!r:.80}; write 10.1.0.0/16:443 or [fd00::/8]:443")
    port = match["port"]
    if port is not None and not _is_port(port):
        raise ValueError(f"not a port number: {port!r:.40} in {text!r:.80}; write 10.1.0.0/16:443")
    return _network(match["address"], match["length"], text), None if port is None else int(port)


def ports(text: str) -> Ports:
    """Return the first and the last port of ``N`` or ``N-M``; ValueError in one line."""
    first, dash, last = text.strip().partition("-")
    found = [int(word) for word in (first, last if dash else first) if _is_port(word)]
    if len(found) != 2 or found[0] > found[1]:
        raise ValueError(f"not a port or range of ports: {text!r:.80}; write 443 or 8000-8999")
    return found[0], found[1]


def host_name(text: str) -> str:
    """Return a host's name in lower case, or a pattern for all names below one; ValueError in one line."""
    name = text.strip().lower().removesuffix(".")
    plain = name.removeprefix("*.")
    if not plain or "*" in plain or len(plain) > 253 or not plain.isprintable() or " " in plain:
        raise ValueError(f"not a host name: {text!r:.80}; write www.example.com or *.example.com")
    return name


def holds(chosen: Selection, client: str | None, server: str | None, host: str | None) -> bool:
    """Whether a selection's clients, servers and hosts hold these; ``server`` is an endpoint as text."""
    address_, port = (None, None) if server is None else parse_endpoint(server)
    wanted = (chosen.server_port, chosen.server_port) if chosen.server_port is not None else chosen.server_ports
    return (
        _is_in(chosen.client, client)
        and _is_in(chosen.server, address_)
        and (wanted is None or (port is not None and wanted[0] <= port <= wanted[1]))
        and _is_named(chosen.host, host)
    )


def _is_in(wanted: str | None, address_: str | None) -> bool:
    if wanted is None or address_ is None:
        return wanted is None
    return ip_address(address_) in _parsed(wanted) if "/" in wanted else address_ == wanted


def _is_named(wanted: str | None, host: str | None) -> bool:
    if wanted is None or host is None:
        return wanted is None
    return host.lower().endswith(wanted[1:]) if wanted.startswith("*.") else host.lower() == wanted


@lru_cache
def _parsed(network: str) -> IPv4Network | IPv6Network:
    return ip_network(network)


def _network(start: str, length: str, text: str) -> str:
    address_ = address_text(address_packed(start))
    longest = 128 if ":" in address_ else 32
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= longest):
        raise ValueError(f"not a network: {text!r:.80}; its length goes from 0 to {longest}, as in 10.1.0.0/16")
    found = ip_network(f"{address_}/{int(length)}", strict=False)
    if found.network_address.packed != address_packed(start):  # as text there are two ways to write ::ffff:0:0
        raise ValueError(f"not a network: {text!r:.80} has an address inside of it; write {found}")
    return address_ if found.prefixlen == longest else str(found)


def _is_port(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 65535
