"""Names from reverse DNS: many questions at once, all of them within one time; its library is imported when one is put.

A name is what the owner of the address claims, and may be any bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from common.addresses import parse_endpoint
from common.errors import UserError

MAX_NAME: Final = 253
_AT_ONCE: Final = 16
_DNS_PORT: Final = 53


class Limits(NamedTuple):
    """How long all lookups together may take, and how many there may be."""

    time_s: float
    lookups: int


class Answer(NamedTuple):
    """What DNS said of an address: a name, or that there is none; or nothing at all in time."""

    address: str
    name: str | None
    failed: bool = False


class Reverse:
    """Asks DNS for the names of addresses until its limits are reached."""

    def __init__(self, servers: Iterable[str], limits: Limits) -> None:
        self._servers = [_server(text) for text in servers]
        self._left_s = limits.time_s
        self._left = limits.lookups
        self._resolver: Any = None
        self.unanswered = 0
        """Addresses that no answer came for, or that the limits left no room for."""

    def ask(self, addresses: Iterable[str]) -> list[Answer]:
        """Return what DNS says of addresses; those beyond the limits are left out."""
        wanted = list(addresses)
        asked = wanted[: self._left] if self._left_s > 0 else []
        self.unanswered += len(wanted) - len(asked)
        if not asked:
            return []
        self._left -= len(asked)
        begin = time.monotonic()
        answers = list(self._answers(asked, begin + self._left_s))
        self._left_s -= time.monotonic() - begin
        self.unanswered += sum(answer.failed for answer in answers)
        return answers

    def _answers(self, addresses: list[str], deadline: float) -> Iterator[Answer]:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as the library

        resolver = self._opened()
        if resolver is None:
            yield from (Answer(address, None, failed=True) for address in addresses)
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(addresses)), "names") as pool:
            yield from pool.map(lambda address: _asked(resolver, address, deadline), addresses)

    def _opened(self) -> Any:
        if self._resolver is None:
            import dns.exception  # noqa: PLC0415 - only where names are asked for
            import dns.nameserver  # noqa: PLC0415
            import dns.resolver  # noqa: PLC0415

            try:
                self._resolver = dns.resolver.Resolver(configure=not self._servers)
            except dns.exception.DNSException:  # this system names no server
                return None
            if self._servers:
                self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in self._servers]
            # A server that is silent is asked again, and the next one is tried, before the time is over.
            self._resolver.timeout = max(self._left_s / 3, 0.1)
        return self._resolver


def _asked(resolver: Any, address: str, deadline: float) -> Answer:
    import dns.exception  # noqa: PLC0415 - see above
    import dns.resolver  # noqa: PLC0415

    left_s = deadline - time.monotonic()
    if left_s <= 0:
        return Answer(address, None, failed=True)
    try:
        found = resolver.resolve_address(address, lifetime=left_s)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Answer(address, None)
    except (dns.exception.DNSException, OSError, ValueError):
        return Answer(address, None, failed=True)
    return Answer(address, clean(min(str(record.target) for record in found)))


def clean(name: str) -> str | None:
    """Return a name from the wire without what could harm: printable ASCII of a name's length, or None."""
    text = name.removesuffix(".").lower()
    return text if 0 < len(text) <= MAX_NAME and text.isascii() and text.isprintable() else None


def _server(text: str) -> tuple[str, int]:
    try:
        address, port = parse_endpoint(text)
    except ValueError as error:
        raise UserError(f"no DNS server in [names] servers: {error}; write 192.0.2.53 or 127.0.0.1:5353") from None
    return address, _DNS_PORT if port is None else port
