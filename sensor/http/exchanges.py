"""The HTTP exchanges of all connections: the events of streams in, records out, within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from common.records import HttpExchange
from sensor.http.connection import Budget, Connection
from sensor.http.side import Mode, Side
from sensor.stream.events import Began, Data, Ended, Event, Gap, Skipped

MAX_CONNECTIONS: Final = 16_384
MAX_OPEN_EXCHANGES: Final = 65_536
MAX_BUFFERED_BYTES: Final = 32 << 20
"""Of heads that are not whole, all connections together."""
_TCP: Final = 6
_WORTH_SKIPPING: Final = 4096
_TO_THE_END: Final = 1 << 62


class Skip(NamedTuple):
    """Bytes of a direction that nobody wants, up to an offset of its stream."""

    flow_id: int
    direction: int
    until: int


class Exchanges:
    """Feeds each connection's events to it; what is dropped is in ``counts``.

    ``skips`` are the bytes of bodies and tunnels that whoever hands out the streams may leave out from now on.
    """

    def __init__(self, *, uri_bytes: int = 0, max_connections: int = MAX_CONNECTIONS) -> None:
        self.counts: Counter[str] = Counter()
        self.skips: list[Skip] = []
        self.records = 0
        """Handed out so far."""
        self._budget = Budget(MAX_OPEN_EXCHANGES, uri_bytes)
        self._max_connections = max_connections
        self._connections: dict[int, Connection] = {}
        self._buffered_bytes = 0

    @property
    def connections(self) -> int:
        """How many are followed now."""
        return len(self._connections)

    @property
    def dropped(self) -> int:
        """Exchanges and connections that there was no room for."""
        return self._budget.dropped + self.counts["connections_dropped"] + self.counts["heads_dropped"]

    def take(self, events: Iterable[Event]) -> list[HttpExchange]:
        """Return the records of the exchanges that these events ended."""
        records: list[HttpExchange] = []
        for event in events:
            if isinstance(event, Began):
                self._begin(event)
                continue
            connection = self._connections.get(event.flow_id)
            if connection is None:
                continue
            before = connection.buffered_bytes
            if isinstance(event, Data):
                self._data(connection, event)
            elif isinstance(event, Ended):
                connection.end(event.end_reason)
                del self._connections[event.flow_id]
            else:
                self._missing(connection, event)
            self._buffered_bytes += connection.buffered_bytes - before
            if self._buffered_bytes > MAX_BUFFERED_BYTES and connection.buffered_bytes:
                self._buffered_bytes -= connection.buffered_bytes
                self.counts["heads_dropped"] += 1
                connection.stop()
            records += connection.take()
        self.records += len(records)
        return records

    def _begin(self, event: Began) -> None:
        if event.protocol != _TCP:
            return
        if len(self._connections) >= self._max_connections:
            self.counts["connections_dropped"] += 1
            return
        self._connections[event.flow_id] = Connection(event, self._budget)

    def _data(self, connection: Connection, event: Data) -> None:
        side = connection.sides[event.direction]
        side.data(event.offset, event.time_ns, event.data)
        if connection.stopped:
            for direction in (0, 1):
                self.skips.append(Skip(event.flow_id, direction, _TO_THE_END))
            return
        until = _wanted_from(side)
        if until:
            self.skips.append(Skip(event.flow_id, event.direction, until))

    @staticmethod
    def _missing(connection: Connection, event: Gap | Skipped) -> None:
        side = connection.sides[event.direction]
        if event.offset > side.position:
            side.pass_over(event.offset - side.position, event.time_ns)
        known = max(0, side.position - event.offset)
        if event.length > known:
            side.pass_over(event.length - known, event.time_ns, gap=isinstance(event, Gap))


def _wanted_from(side: Side) -> int:
    """Return the offset up to which a direction's bytes are only counted, 0 when they are wanted."""
    if side.mode is Mode.FIXED and side.left >= _WORTH_SKIPPING:
        return side.position + side.left
    return _TO_THE_END if side.mode in (Mode.UNTIL_CLOSE, Mode.GONE) else 0
