"""HTTP conversations as the events of a connection, and the records that they become."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from common.records import HttpExchange
from sensor.http.exchanges import Exchanges
from sensor.stream._streams import Streams
from sensor.stream.events import CLIENT, SERVER, Began, Data, Ended, Event, Gap
from sensor.stream.reading import batches

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
OUT, IN = CLIENT, SERVER
Turn = tuple[int, bytes | int]
"""A direction, and bytes or the length of a gap; each turn is a millisecond later than the one before."""


def began(flow_id: int = 1) -> Began:
    return Began(flow_id, START_NS, 6, None, bytes((10, 1, 1, 9)), 40000, bytes((10, 1, 2, 2)), 3128)


def events(turns: Iterable[Turn], end_reason: int = 3, flow_id: int = 1) -> Iterator[Event]:
    """Yield a connection's events: 1 ms a turn."""
    offsets = [0, 0]
    time_ns = START_NS
    yield began(flow_id)
    for direction, what in turns:
        time_ns += MS
        offset = offsets[direction]
        if isinstance(what, int):
            yield Gap(flow_id, direction, offset, time_ns, what)
            offsets[direction] += what
        elif what:
            yield Data(flow_id, direction, offset, time_ns, what)
            offsets[direction] += len(what)
    yield Ended(flow_id, time_ns + MS, end_reason)


def talk(*turns: Turn, end_reason: int = 3, uri_bytes: int = 0) -> list[HttpExchange]:
    """Return the exchanges of a connection."""
    return Exchanges(uri_bytes=uri_bytes).take(events(turns, end_reason))


def anomalies(*turns: Turn, end_reason: int = 3) -> list[tuple[str, ...]]:
    """Return the anomalies of each exchange of a connection."""
    return [record.anomalies or () for record in talk(*turns, end_reason=end_reason)]


def exchanges_of(path: Path) -> list[HttpExchange]:
    """Return the exchanges of a capture."""
    exchanges = Exchanges()
    found: list[HttpExchange] = []
    for some in batches([str(path)], "", Streams()):
        found += exchanges.take(some)
    return found


def request(start: str = "GET / HTTP/1.1", *headers: str, body: bytes = b"") -> bytes:
    """Return a request with Host and User-Agent unless headers are given."""
    lines = headers or ("Host: a.example", "User-Agent: t")
    return "\r\n".join((start, *lines, "", "")).encode("latin-1") + body


def response(start: str = "HTTP/1.1 200 OK", *headers: str, body: bytes = b"") -> bytes:
    """Return a response with its length unless headers are given."""
    lines = headers or (f"Content-Length: {len(body)}",)
    return "\r\n".join((start, *lines, "", "")).encode("latin-1") + body
