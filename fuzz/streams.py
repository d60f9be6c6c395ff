"""Whether the events of a table's streams keep their promises."""

from __future__ import annotations

import random
from typing import Any

from common.errors import WireError
from common.records import HttpExchange, RecordReader, check_exchange
from sensor.http.exchanges import Exchanges
from sensor.stream._streams import Streams
from sensor.stream.events import Began, Data, Ended, Event, Gap, Skipped

_PACKET_BYTES = 65_535


def limits(dice: random.Random) -> dict[str, Any] | None:
    """Return settings for streams, small and large; None for a table that follows none."""
    if dice.random() < 0.25:
        return None
    return {
        "held_bytes": dice.choice((1, 100, 5_000, 1 << 18)),
        "held_pieces": dice.choice((1, 3, 256)),
        "total_bytes": dice.choice((0, 1_000, 100_000, 1 << 26)),
        "most_bytes": dice.choice((0, 0, 1, 2_000)),
        "apart": dice.random() < 0.25,
        "datagrams": dice.random() < 0.5,
        "http": dice.random() < 0.3,
    }


class Watched:
    """Streams whose every event is looked at; ``wrong`` says what is not as it should be."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.streams = Streams(**settings)
        self._reached: dict[int, list[int]] = {}
        self._data_bytes = 0
        self._exchanges = Exchanges(uri_bytes=1024)
        self._reader = RecordReader(HttpExchange, HttpExchange._fields)
        self.wrong = ""

    def drain(self) -> None:
        """Take the events."""
        events = self.streams.drain()
        for event in events:
            if isinstance(event, Began):
                self._check(event, event.flow_id not in self._reached)
                self._reached[event.flow_id] = [0, 0]
            elif isinstance(event, Ended):
                self._check(event, self._reached.pop(event.flow_id, None) is not None)
            else:
                self._follow(event)
        self._exchange(events)
        most = self.streams.total_bytes + _PACKET_BYTES
        if self.streams.held > most:
            self.wrong = f"{self.streams.held} bytes held, {most} allowed"

    def _exchange(self, events: list[Event]) -> None:
        """Make HTTP exchanges of the events; with ``http`` what nobody wants of the streams is left out."""
        for record in self._exchanges.take(events):
            try:
                check_exchange(self._reader.read(tuple(record)))
            except WireError as error:
                self.wrong = f"{error} in {record!r:.300}"
        if self.streams.http:
            for skip in self._exchanges.skips:
                self.streams.leave_out(*skip)
        self._exchanges.skips.clear()

    def _follow(self, event: Data | Gap | Skipped) -> None:
        length = len(event.data) if isinstance(event, Data) else event.length
        reached = self._reached.get(event.flow_id)
        self._check(event, reached is not None and length > 0 and event.offset == reached[event.direction])
        if reached is not None:
            reached[event.direction] += length
        if isinstance(event, Data):
            self._data_bytes += length

    def close(self) -> None:
        """Tell what is still there when every flow has ended."""
        streams = self.streams
        if self._reached or streams.held or self._data_bytes != streams.data_bytes:
            self.wrong = (
                f"{len(self._reached)} streams without an end, {streams.held} bytes held, {self._data_bytes} of "
                f"{streams.data_bytes} handed out"
            )

    def _check(self, event: object, good: bool) -> None:  # noqa: FBT001 - the fact that is checked
        if not good and not self.wrong:
            self.wrong = f"out of order: {event!r:.300}"
