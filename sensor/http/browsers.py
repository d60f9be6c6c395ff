"""The order in which browsers and other programs send their headers, told from what they call themselves.

Written from what these programs were seen to send over HTTP/1.1 without TLS and through proxies.  A family's rules are
pairs: whenever both headers are there, the first one comes first.  They hold for pages, their parts, XMLHttpRequest,
uploads and WebSocket alike, so what breaks one is another program under that name.  CONNECT is not judged: browsers
send it otherwise.  Nor is what a reverse proxy passed on, whose order is its own.  ``Proxy-Connection`` counts as
``Connection``, whose place it takes.

| family | order |
|---|---|
| Chromium: Chrome, Edge since 79, Opera since 15, Brave, WebView | Host, Connection, Content-Length, ... User-Agent,
  ... Accept-Encoding, Cookie; Accept and Referer before Accept-Encoding |
| Firefox | Host, User-Agent, Accept, Accept-Language, Accept-Encoding, ... Connection |
| Safari since 6 | Host first; Accept before Accept-Language; the rest has moved between versions |
| Internet Explorer, Edge before 79 | Accept, Referer, Accept-Language, ... User-Agent, ... Host, Content-Length,
  Connection, Cookie |
| curl | Host and User-Agent, which came first in old versions, Accept, then what was added |
| Wget | User-Agent, Accept, Accept-Encoding; Host and Connection have moved between versions |
| Go's net/http | Host, User-Agent, then the rest; Accept-Encoding last |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple


class Family(NamedTuple):
    """Programs that send their headers alike."""

    name: str
    agent: re.Pattern[bytes]
    """Their User-Agent; the first family that fits is meant."""
    pairs: tuple[tuple[bytes, bytes], ...]
    always: frozenset[bytes]
    """Headers of every request other than CONNECT; they are no browser's when all of them are missing."""


def _family(name: str, agent: bytes, *orders: str, always: str = "") -> Family:
    pairs = [pair for order in orders for pair in pairwise(order.encode("ascii").split())]
    return Family(name, re.compile(agent), tuple(pairs), frozenset(always.encode("ascii").split()))


_PASSED_ON: Final = frozenset((b"via", b"forwarded", b"x-forwarded-for"))
_BROWSER: Final = "accept accept-encoding"
FAMILIES: Final = (
    _family(
        "ie",
        rb"\AMozilla/[45]\.0 \((?:compatible; MSIE \d|Windows NT [\d.]+;[^)]*Trident/\d)|Edge/1[2-8]\.",
        "accept accept-language host connection cookie",
        "referer accept-language",
        "user-agent host content-length connection",
        "accept-encoding host",
        always="accept accept-encoding accept-language",
    ),
    _family(
        "chromium",
        rb"\AMozilla/5\.0 \([^)]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\).*Chrome/\d",
        "host connection content-length user-agent accept-encoding cookie",
        "user-agent accept-language cookie",
        "connection user-agent",
        "connection accept",
        "accept accept-encoding",
        "referer accept-encoding",
        always=_BROWSER,
    ),
    _family(
        "firefox",
        rb"\AMozilla/5\.0 \([^)]*rv:[\d.]+[^)]*\) Gecko/\d+ Firefox/\d",
        "host user-agent accept accept-language accept-encoding connection",
        "accept-encoding content-length connection",
        "host accept",
        "accept accept-encoding",
        "user-agent connection",
        always=_BROWSER,
    ),
    _family(
        "safari",
        rb"\AMozilla/5\.0 \([^)]*(?:Macintosh|iPhone|iPad|iPod)[^)]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\)"
        rb".*Version/(?:[6-9]|\d\d)\..*Safari/\d",
        "host accept accept-language",
        "host user-agent",
        "host accept-encoding",
        "host connection",
        always=_BROWSER,
    ),
    _family("curl", rb"\Acurl/\d", "host accept content-length", "user-agent accept"),
    _family("wget", rb"\AWget/\d", "user-agent accept accept-encoding connection", "host connection"),
    _family("go", rb"\AGo-http-client/1", "host user-agent content-length accept-encoding"),
)


def family_of(user_agent: bytes) -> Family | None:
    """Return the family that a User-Agent claims to be of."""
    return _family_of(user_agent[:512])


@lru_cache(maxsize=1024)
def _family_of(user_agent: bytes) -> Family | None:
    return next((family for family in FAMILIES if family.agent.search(user_agent)), None)


def order_anomalies(method: bytes, user_agent: bytes, names: Sequence[bytes]) -> list[str]:
    """Return what the headers' order, and those that are missing, say against the User-Agent."""
    family = family_of(user_agent)
    if family is None or method == b"CONNECT":
        return []
    place: dict[bytes, int] = {}
    for number, name in enumerate(names):
        lower = name.lower()
        place.setdefault(b"connection" if lower == b"proxy-connection" else lower, number)
    if not _PASSED_ON.isdisjoint(place):
        return []
    found = []
    if any(place.get(second, len(names)) < place.get(first, -1) for first, second in family.pairs):
        found.append("header-order")
    if family.always and not family.always & place.keys():
        found.append("missing-headers")
    return found
